# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators: what the playbooks do, one small step at a time, so that anything may happen between two of them."""

from __future__ import annotations

from collections.abc import Iterator

from plugins.module_utils import ring_verbs
from plugins.module_utils.ring import Refusal, Ring, Stamp
from plugins.module_utils.ring_evidence import Evidence, NodeSeen
from plugins.module_utils.ring_status import plan

from .world import INTERVAL, MARGINS, NOTHING, SKEW, Conflict, Loaded, Node, World

Steps = Iterator[None]


class Stopped(Exception):
    """The playbook ends here with a failure."""


class Operator:
    """A person with a controller: its clock, its inventory, and the playbook that runs there."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.offset = 0
        self.clock_set = False
        self.inventory = [node.name for node in world.nodes]
        self.playbook: Steps | None = None
        self.ended = 0
        self.waits = False
        self.checked = False
        self.deploys = False

    def stamp(self) -> Stamp:
        """Now, by this machine's clock, however wrong it is."""
        return Stamp(self.world.time + self.offset, self.name)

    def step(self, without: frozenset[str] = frozenset(), by_hand: bool = False, only_keys: bool = False) -> None:
        """The next small step of the playbook; a new run begins where none is under way."""
        if self.playbook is None:
            inventory = [name for name in self.inventory if name not in without]
            self.playbook = self.by_hand(inventory) if by_hand else self.rotate(inventory, only_keys)
        try:
            next(self.playbook)
        except (StopIteration, Stopped, Conflict, Refusal):
            self.playbook = None
            self.deploys = False
            self.ended += 1

    @property
    def half_done(self) -> bool:
        """Whether a node has just loaded what this operator's transaction brought, and may still go back."""
        return any(node.lock is self and node.undo is not NOTHING and node.running is node.disk for node in self.world.nodes)

    def die(self) -> None:
        """The controller is killed, and its transaction on a node with it."""
        if self.playbook is not None:
            self.playbook.close()  # type: ignore[attr-defined]
            self.playbook = None
            self.waits = self.checked = self.deploys = False

    def rotate(self, inventory: list[str], only_keys: bool) -> Steps:
        """Deploy, check, do what is due; again, until nothing is. ``only_keys``: nodes keep the scopes that they have."""
        world = self.world
        while True:
            ring, version = world.load()
            if not only_keys:
                self.deploys = True
                ring, version = yield from self.tell(ring, version, world.bring(ring))
            ready = []
            for name in inventory:
                node = world.node(name)
                yield from self.reach(node, ring)
                if node.up:
                    wish = world.wish(ring)
                    yield from self.apply(node, wish.with_config_of(node.disk) if only_keys else wish)
                    ready.append(name)
            if not only_keys:
                now, found = world.load()
                told = yield from self.tell(now, found, world.brought(now, ready))
                ring, version = told if found == version else (ring, version)
                self.deploys = False
            evidence = Holder()
            yield from self.look(ring, inventory, evidence)
            self.checked = True
            yield
            self.checked = False
            for name in ready:
                if not world.node(name).traffic:
                    ring, version = yield from self.give_traffic(ring, version, name, evidence.found)
            changed = self.do_what_is_due(ring, evidence.found)
            if changed is ring:
                return
            world.save(changed, version)
            yield
            self.try_without_a_check(evidence.found)

    def tell(self, ring: Ring, version: int, changed: Ring) -> Iterator[None]:
        """A deploy tells the ring of its scopes; the ring and its version after that."""
        if changed is not ring:
            ring, version = self.world.save(changed, version), version + 1
            yield
        return ring, version  # type: ignore[return-value]

    def by_hand(self, inventory: list[str]) -> Steps:
        """A check and a verb, without a deploy before."""
        ring, version = self.world.load()
        evidence = Holder()
        yield from self.look(ring, inventory, evidence)
        yield
        changed = self.do_what_is_due(ring, evidence.found)
        if changed is not ring:
            self.world.save(changed, version)

    def try_without_a_check(self, evidence: Evidence) -> None:
        """An impatient operator goes on with the check that was made before the keys changed."""
        ring, version = self.world.load()
        try:
            changed = self.do_what_is_due(ring, evidence)
        except Refusal:
            return
        if changed is not ring:
            self.world.save(changed, version)

    def reach(self, node: Node, ring: Ring) -> Steps:
        """A node that is down stops the play, unless it was declared absent."""
        yield
        if not node.up and node.name not in ring.absentees:
            raise Stopped

    def apply(self, node: Node, wish: Loaded) -> Steps:
        """The transaction on a node, under its lock."""
        world = self.world
        while node.lock not in (None, self):
            self.waits = True
            yield
        self.waits = False
        boot = node.boot
        node.lock = self
        try:
            if not world.takes(node, wish):
                raise Stopped
            if node.undo is not NOTHING:
                yield from self.go_back(node, boot, killed=True)
            yield from self.same(node, boot)
            if node.disk == wish and node.running == wish:
                return
            node.undo = node.disk
            node.disk = wish.with_config_of(node.disk)
            yield from self.same(node, boot)
            node.disk = wish
            world.old_disks.append(wish)
            yield from self.same(node, boot)
            node.reload(world.time)
            yield from self.same(node, boot)
            if node.fails:
                node.fails = False
                yield from self.go_back(node, boot, killed=False)
                raise Stopped
            node.undo = NOTHING
        finally:
            if node.lock is self:
                node.lock = None

    def go_back(self, node: Node, boot: int, killed: bool) -> Steps:
        """What a transaction had changed is undone and loaded."""
        self.world.put_back(node, killed)
        yield from self.same(node, boot)
        node.reload(self.world.time)
        node.undo = NOTHING

    def same(self, node: Node, boot: int) -> Steps:
        """Time for others; the transaction has died where the node has."""
        yield
        if not node.up or node.boot != boot:
            raise Stopped

    def look(self, ring: Ring, inventory: list[str], evidence: Holder) -> Steps:
        """A check: the nodes are asked one after the other."""
        world = self.world
        self.clock_set = False
        started = self.stamp().time
        asked = [key.id for key in ring.keys]
        nodes: dict[str, NodeSeen] = {}
        ahead: list[int] = []
        max_ages: set[int] = set(world.listed)
        for name in inventory:
            yield
            node = world.node(name)
            nodes[name] = world.probed(name, asked)
            if nodes[name].answered:
                ahead.append(node.offset - self.offset)
                max_ages |= {node.running.max_age} if node.running else set()
                if node.running and node.running.second and world.wanted_second:
                    max_ages.add(node.running.second)
        clock = "ok" if ahead and max(ahead) - min(ahead) < 2 * SKEW else "drifted"
        if self.clock_set or not ahead:
            clock = "unknown"
        evidence.found = Evidence(
            ring.id, ring.generation, started, self.stamp().time + 1, nodes, clock,
            (min(ahead, default=0), max(ahead, default=0)), {"app": frozenset(max_ages)})

    def give_traffic(self, ring: Ring, version: int, name: str, evidence: Evidence) -> Iterator[None]:
        """A node that was just deployed and checked is let in."""
        world = self.world
        try:
            changed = world.present(ring, self.stamp(), name, evidence)
        except Refusal:
            return ring, version  # type: ignore[return-value]
        if changed is not ring:
            ring, version = world.save(changed, version), version + 1
        yield
        world.node(name).traffic = True
        return ring, version  # type: ignore[return-value]

    def do_what_is_due(self, ring: Ring, evidence: Evidence) -> Ring:
        """The ring after the verb that is due, or with what was learned where it is refused."""
        stamp = self.stamp()
        learned = self.world.observe(ring, stamp, evidence)
        if learned == ring:
            learned = ring
        for step in plan(ring, stamp.time, INTERVAL, MARGINS):
            try:
                if step.verb == "promote":
                    return self.world.promote(ring, stamp, evidence)
                if step.verb == "retire":
                    return self.world.retire(ring, stamp, evidence)
                if step.verb == "stage" and step.due is not None and step.due <= stamp.time:
                    return ring_verbs.stage(learned, stamp, self.world.secret)
            except Refusal:
                continue
        return learned

    def declare_absent(self, node: Node) -> None:
        """Out of the load balancer first, then recorded; whatever this operator ran before is over."""
        self.die()
        node.traffic = False
        ring, version = self.world.load()
        changed = ring_verbs.absent(ring, self.stamp(), node.name) if node.name in ring.nodes else ring
        if changed is not ring:
            self.world.save(changed, version)

    def revoke(self) -> None:
        """The key that encrypts has leaked."""
        world = self.world
        ring, version = world.load()
        world.leaked.add(ring.primary.id)
        changed = world.revoke(ring, self.stamp())
        world.revoked_in = world.save(changed, version).changed_in if changed is not ring else ring.changed_in


class Holder:
    """Where a check leaves what it found."""

    found: Evidence
