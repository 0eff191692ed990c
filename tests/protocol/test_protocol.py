# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens in whatever order, no session is lost; and every part of the protocol is needed for that."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from plugins.module_utils.ring import not_before

from .operators import Operator
from .world import APPLICATION, MAX_AGES, NODE, PROXY, SECOND_SCOPE, SKEW, AdoptedWorld, World

WANTED = int(os.environ.get("PROTOCOL_STEPS", "100000"))
"""Steps at least; `make protocol PROTOCOL_STEPS=2000000` does more."""

WORLDS = 100
"""Worlds of one search; each goes through STEPS steps at most."""

STEPS = 100

OFFSETS = (-SKEW, -SKEW, -1, 0, 1, SKEW, SKEW)
FEW = st.integers(0, 3)
A_WHILE = st.sampled_from((1, 2, 3, 5, 8, 13, 25, 60, 120))
MOST_NODES = 5
CLOCKS = ((0, 0), (500, 0), (0, 500), (30, 0), (-30, 30))
"""How much the operators' machines are ahead."""

THEN = ("wait", "clocks", "clocks", "die", "other", "fails")
"""What happens while a playbook stands still, or after it was killed: another operator begins; or it will fail then."""

ASTRAY = ("", "", "", NODE, PROXY, APPLICATION)

HOW = ("crash", "start", "start", "start", "reboot", "reboot", "logrotate", "logrotate", "fails")


class Machine(RuleBasedStateMachine):
    """Draws what happens next. ``kind`` is the world; tests that spoil the protocol give another one."""

    kind = World
    steps = 0

    def __init__(self):
        super().__init__()
        self.world = self.kind()
        self.operators = [Operator(self.world, "one"), Operator(self.world, "two")]
        self.by_hand = self.only_keys = False

    @initialize(
        by_hand=st.booleans(), only_keys=st.booleans(), clocks=st.sampled_from(CLOCKS), offset=st.sampled_from((-SKEW, 0, SKEW))
    )
    def choose(self, by_hand, only_keys, clocks, offset):
        """In half of the worlds verbs are used by hand too, without a deploy before; in half of those in which scopes come
        and go, runs that nobody disturbs bring keys alone."""
        self.by_hand = by_hand
        self.only_keys = only_keys and self.change_scopes is not None
        for operator, clock in zip(self.operators, clocks):
            operator.offset = clock
        for node in self.world.nodes:
            self.world.set_clock(node, offset)

    @invariant()
    def holds(self):
        """Also after every small step inside a rule; here steps are counted."""
        self.world.check()
        Machine.steps += 1

    def node(self, number):
        return self.world.nodes[number % len(self.world.nodes)]

    @rule(who=st.booleans(), steps=A_WHILE, without=st.integers(0, 3 * MOST_NODES), by_hand=st.booleans(), dies=st.integers(0, 3))
    def operate(self, who, steps, without, by_hand, dies):
        """A playbook goes on, or begins, now and then with a slice of the inventory; or it is killed."""
        if dies == 0:
            self.operators[who].die()
        for _number in range(steps):
            self.operators[who].step(frozenset(["n%d" % without]), by_hand and self.by_hand)
            self.world.check()

    def run_until(self, operator, reached=lambda: False, by_hand=False, only_keys=False):
        """A playbook goes on to its end, or to a certain point, or until it waits for another."""
        ended = operator.ended
        while operator.ended == ended and not operator.waits and not reached():
            operator.step(by_hand=by_hand and self.by_hand, only_keys=only_keys)
            self.world.check()

    @rule(who=st.booleans(), where=st.integers(-3, MOST_NODES), then=st.sampled_from(THEN))
    def interrupt(self, who, where, then):
        """A playbook stops where it matters: the ring has changed (-3), so has its primary (-2), but no node knows, a
        check has been made (-1), or so many nodes have changed and the last of them is about to be proven."""
        operator, version, primary = self.operators[who], self.world.version, self.world.primary
        if where == -3:
            self.run_until(operator, lambda: self.world.version != version)
        elif where == -2:
            self.run_until(operator, lambda: self.world.primary != primary)
        elif where == -1:
            self.run_until(operator, lambda: operator.checked)
        for _number in range(where):
            self.run_until(operator, lambda: not operator.half_done)
            self.run_until(operator, lambda: operator.half_done)
        if then in ("die", "other"):
            operator.die()
        elif then == "fails":
            for node in self.world.nodes:
                node.fails = node.fails or node.lock is operator
        if then == "wait":
            self.advance(150)
        elif then == "clocks":
            self.browse([0, 1, 2], True, 0)
            for node in self.world.nodes:
                self.world.set_clock(node, -node.offset)
        elif then in ("other", "fails"):
            self.operators[not who].die()
            self.run(not who, 0, True)

    @rule(who=st.booleans(), seconds=st.sampled_from((0, 10, 60, 130)), by_hand=st.booleans())
    def run(self, who, seconds, by_hand):
        """After some time, a run that nobody disturbs."""
        self.advance(seconds)
        self.run_until(self.operators[who], by_hand=by_hand, only_keys=self.only_keys)

    @rule(who=st.booleans(), early=st.integers(0, 40))
    def run_when_due(self, who, early):
        """The time passes until a key may be retired, or a little less; then runs follow closely."""
        if self.world.waiting:
            self.run(who, 0, False)
        ring, _version = self.world.load()
        dates = [not_before(ring, key, self.world.margins) for key in ring.secondaries if key.proven]
        if dates and min(dates) - self.world.time < 400:
            self.advance(max(0, min(dates) - self.world.time - early))
            for _number in range(4):
                self.run(who, 10, False)

    @rule(
        numbers=st.lists(st.integers(0, 4), min_size=1, max_size=3),
        dirty=st.booleans(),
        interval=st.sampled_from((0, 0, 5, 30)),
    )
    def browse(self, numbers, dirty, interval):
        """Each client asks some node."""
        for position, client in enumerate(self.world.clients):
            self.world.request(client, self.node(numbers[position % len(numbers)]), dirty, interval)
            self.world.check()

    @rule(number=st.integers(0, 4))
    def begin(self, number):
        """Each client asks a node that takes its time."""
        for position, client in enumerate(self.world.clients):
            self.world.begin(client, self.node(number + position))

    @rule(client=FEW)
    def end(self, client):
        self.world.end(self.world.clients[client])
        self.world.check()

    @rule(seconds=st.sampled_from((1, 3, 7, 20, 45, 80)))
    def advance(self, seconds):
        self.world.advance(seconds)
        self.world.check()

    @rule(number=st.integers(0, 4), how=st.sampled_from(HOW))
    def trouble(self, number, how):
        node = self.node(number)
        if how in ("crash", "reboot") and node.up:
            self.world.crash(node)
        if how == "reboot":
            self.world.start(node)
        elif how == "start" and not node.up:
            self.world.start(node)
        elif how == "logrotate":
            self.world.logrotate(node)
        elif how == "fails":
            node.fails = True
        self.world.check()

    @rule(number=st.integers(0, 4), by=st.sampled_from(ASTRAY), other=st.integers(0, MOST_NODES))
    def lead_astray(self, number, by, other):
        """Something else answers where a node is asked, until it is put right."""
        self.world.astray.pop(self.node(number).name, None)
        if by:
            self.world.astray[self.node(number).name] = (by, other)

    @rule(number=st.integers(0, 8), offset=st.sampled_from(OFFSETS), who=st.booleans())
    def set_clocks(self, number, offset, who):
        """The clock of one node changes, or those of all, or a controller's."""
        for node in [self.node(number)] if number < MOST_NODES else self.world.nodes if number < 7 else []:
            self.world.set_clock(node, offset)
        if number >= 7:
            self.operators[who].offset = 100 * offset
            self.operators[who].clock_set = True

    @rule(max_age=st.sampled_from(MAX_AGES))
    def change_max_age(self, max_age):
        """The inventory gets another max age."""
        self.end_deploys()
        self.world.wanted_max_age = max_age

    @rule(max_age=st.sampled_from(SECOND_SCOPE))
    def change_scopes(self, max_age):
        """A second scope comes into the inventory, or leaves it."""
        self.end_deploys()
        self.world.wanted_second = max_age

    def end_deploys(self):
        """Everybody's last request comes before the inventory changes, and no deploy with the old list goes on after it:
        two deploys with different lists at once are not part of the protocol."""
        for operator in self.operators:
            if operator.deploys:
                operator.die()
        self.browse([0, 1, 2], True, 0)

    @rule(who=st.booleans(), image=st.integers(0, 30), how=st.sampled_from(("all know", "in time", "now")))
    def join(self, who, image, how):
        """A new node, of which one operator knows, and the other at some later time; this one may begin with it."""
        operator = self.operators[who]
        if how == "all know":
            operator.inventory = [node.name for node in self.world.nodes]
        elif len(self.world.nodes) < MOST_NODES:
            disks = [None, *self.world.old_disks]
            operator.inventory.append(self.world.join(disks[image % len(disks)]).name)
            if how == "now":
                operator.die()
                self.run_until(operator, lambda: operator.checked)

    @rule(who=st.booleans(), number=st.integers(0, 4))
    def declare_absent(self, who, number):
        node = self.node(number)
        if not node.up and sum(one.traffic for one in self.world.nodes) > 1:
            self.operators[who].declare_absent(node)

    @rule(who=st.booleans(), really=st.integers(0, 60))
    def revoke(self, who, really):
        if really == 0:
            self.operators[who].revoke()
            self.world.check()


SIDE = {
    "begin", "end", "trouble", "lead_astray", "set_clocks", "change_max_age", "change_scopes", "join", "declare_absent", "revoke"}
"""Rules that are not part of every story."""


def search(kind, worlds, rules=SIDE, number=1, **options):
    """Look for a violation in so many worlds; raises the first that is found.

    :param rules: those of SIDE to be used.
    :param number: of the search; each tries other worlds, the same ones whenever it is repeated.
    """
    members = {"kind": kind, **dict.fromkeys(SIDE - set(rules))}
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(seed(number)(type("Machine", (Machine,), members)), settings=settings(
        max_examples=worlds, stateful_step_count=STEPS, deadline=None, database=None, suppress_health_check=checks, **options))


def test_no_session_is_lost():
    Machine.steps = number = 0
    while Machine.steps < WANTED:
        number += 1
        search(World, WORLDS, number=number)
    print(f"{Machine.steps} steps in {number * WORLDS} worlds")


def test_no_session_of_before_the_ring_is_lost():
    search(AdoptedWorld, WORLDS // 4)


def test_a_max_age_that_a_failed_deploy_brings_back():
    """No check saw it while the deploy was under way: it counts until a deploy has ended on all nodes."""
    world = World()
    one, two = Operator(world, "one"), Operator(world, "two")
    last = world.nodes[-1]

    def run(operator, until=lambda: False, by_hand=False):
        ended = operator.ended
        while operator.ended == ended and not until():
            operator.step(by_hand=by_hand)
            world.check()

    world.wanted_max_age = 300
    run(one)
    world.wanted_max_age, last.fails = 20, True
    run(one, lambda: one.half_done and last.lock is one)
    run(two, by_hand=True)
    assert [age.seconds for age in world.ring.max_ages if age.gone is None] == [20, 300]
    run(one)
    assert last.running.max_age == 300
    world.advance(1000)
    for client in world.clients:
        world.request(client, last, True, 0)
    old, ends = world.clients[0].cookie.key, world.time + 300
    while old in last.running.keys and world.time < ends + 1000:
        run(one)
        world.advance(5)
    assert ends < world.time < ends + 1000
