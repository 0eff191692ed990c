# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each part of the protocol, taken away: the search that finds nothing in the whole must find the session that is lost."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import Phase

from plugins.module_utils.ring import Margins
from plugins.module_utils.ring_evidence import NodeSeen

from .operators import Operator
from .test_protocol import search
from .world import APPLICATION, INTERVAL, NODE, PROXY, AdoptedWorld, Violation, World

WORLDS = int(os.environ.get("MUTATION_WORLDS", "3000"))
"""Worlds tried at most until the loss must have been found."""


def agreeing(ring, evidence):
    """Evidence in which every node does as it should, whatever was seen."""
    seen = NodeSeen(True, frozenset(key.id for key in ring.live), frozenset(), frozenset({ring.primary.id}))
    return replace(evidence, nodes=dict.fromkeys({*ring.nodes, *evidence.nodes}, seen))


class PromoteWithoutAllNodes(World):
    def promote(self, ring, stamp, evidence):
        return super().promote(ring, stamp, agreeing(ring, evidence))


class SlicedInventoryCounts(World):
    """N is what the check's inventory has."""

    def promote(self, ring, stamp, evidence):
        changed = super().promote(replace(ring, nodes=()), stamp, evidence)
        return replace(changed, nodes=ring.nodes)

    def retire(self, ring, stamp, evidence):
        changed = super().retire(replace(ring, nodes=()), stamp, evidence)
        return replace(changed, nodes=ring.nodes)


class RetireWithoutTime(World):
    def retire(self, ring, stamp, evidence):
        return super().retire(ring, stamp, replace(evidence, started=evidence.started + 10**6))


class WaitFromPromote(World):
    """The wait begins when the ring changes, not when the last node encrypts with the new key."""

    def promote(self, ring, stamp, evidence):
        changed = super().promote(ring, stamp, evidence)
        keys = [replace(key, proven=evidence.latest) if key.state == "secondary" else key for key in changed.keys]
        return replace(changed, keys=tuple(keys))


class StagedEncrypts(World):
    """The new key goes to the front at once."""

    def order(self, ring):
        keys = super().order(ring)
        return (ring.staged.id, *(key for key in keys if key != ring.staged.id)) if ring.staged else keys


class AppendThenRemove(World):
    """The manual's way: the old key is dropped where it should become a secondary."""

    def promote(self, ring, stamp, evidence):
        changed = super().promote(ring, stamp, evidence)
        return replace(changed, keys=tuple(key for key in changed.keys if key.state != "secondary"))


class NodesTakeOlderLists(World):
    def takes(self, node, wish):
        return True


class KilledRunsTakeTheirKeysBack(World):
    """Whether or not they went live."""

    def put_back(self, node, killed):
        if killed:
            node.disk = node.undo
        else:
            super().put_back(node, killed)


class FailedRunsTakeTheirKeysBack(World):
    def put_back(self, node, killed):
        if killed:
            super().put_back(node, killed)
        else:
            node.disk = node.undo


class TrafficWithoutProof(World):
    """A new node gets traffic after its deploy, and the ring is not told."""

    def present(self, ring, stamp, name, evidence):
        return ring


class ControllersClockCounts(World):
    def retire(self, ring, stamp, evidence):
        return super().retire(ring, stamp, replace(evidence, ahead=(0, 0)))

    def observe(self, ring, stamp, evidence):
        return super().observe(ring, stamp, replace(evidence, ahead=(0, 0)))


class ShortenedMaxAgeIsForgotten(World):
    def retire(self, ring, stamp, evidence):
        ages = tuple(age for age in ring.max_ages if age.gone is None)
        now = {seconds for seen in evidence.max_ages.values() for seconds in seen}
        changed = super().retire(replace(ring, max_ages=tuple(age for age in ages if age.seconds in now)), stamp, evidence)
        return replace(changed, max_ages=ring.max_ages)


class Unbounded(Margins):
    """Margins that are taken whatever they are."""

    def problem(self, tolerance):
        return ""


class AnswersOfAnotherNameCount(World):
    """Two names of the inventory lead to one server."""

    def counts(self, name, identity, by):
        return by == NODE or super().counts(name, identity, by)


class AnswersOfAProxyInFrontCount(World):
    """It has each request answered by another node."""

    def counts(self, name, identity, by):
        return by == PROXY or super().counts(name, identity, by)


class AnswersOfApplicationsCount(World):
    """Whether a key is accepted is told by the length of what an application put into the session."""

    def counts(self, name, identity, by):
        return by == APPLICATION or super().counts(name, identity, by)


class NoTimeToDrain(World):
    """With clocks that need no allowance that could serve instead."""

    margins = Unbounded(drift=0, drain=0)

    def set_clock(self, node, offset):
        pass


class NoAllowanceForClocks(World):
    """With no slow request that could be the reason instead."""

    margins = Unbounded(drift=0, drain=0)

    def begin(self, client, node):
        pass


class MarginsBelowZero(World):
    """An operator gives them, and nothing refuses them."""

    margins = Unbounded(drift=-20, drain=-20)


class ScopesOutOfTheInventoryAreForgotten(World):
    """What a check of the inventory's scopes does not see is gone."""

    def save(self, ring, expected):
        nodes = (*ring.nodes, *(node.name for node in getattr(self, "nodes", ())))
        ages = tuple(replace(age, listed=False) for age in ring.max_ages)
        return super().save(replace(ring, max_ages=ages, settled=tuple(sorted({*nodes}))), expected)


class DeployIsToldAtItsBegin(World):
    """That nodes have the new list is said before they have it."""

    def bring(self, ring):
        return super().brought(super().bring(ring), [*ring.nodes, *(node.name for node in self.nodes)])


class EarlierMaxAgeIsNotTold(AdoptedWorld):
    def tell_earlier(self, ring):
        return ring


class OneRevocationAtATime(World):
    """As long as one is not proven, another makes no key."""

    def revoke(self, ring, stamp):
        return ring if any(key.state == "revoked" for key in ring.keys) else super().revoke(ring, stamp)


MUTATIONS = {
    PromoteWithoutAllNodes: {"trouble"},
    SlicedInventoryCounts: set(),
    RetireWithoutTime: set(),
    WaitFromPromote: set(),
    StagedEncrypts: set(),
    AppendThenRemove: set(),
    NodesTakeOlderLists: set(),
    KilledRunsTakeTheirKeysBack: set(),
    FailedRunsTakeTheirKeysBack: set(),
    TrafficWithoutProof: {"join"},
    ControllersClockCounts: {"set_clocks"},
    ShortenedMaxAgeIsForgotten: {"change_max_age"},
    NoTimeToDrain: {"begin"},
    NoAllowanceForClocks: {"set_clocks"},
    MarginsBelowZero: set(),
    ScopesOutOfTheInventoryAreForgotten: {"change_scopes"},
    DeployIsToldAtItsBegin: {"change_scopes"},
    EarlierMaxAgeIsNotTold: set(),
    OneRevocationAtATime: {"revoke"},
}
"""What is taken away, and the side stories that matter to it: without the others it is found sooner."""


@pytest.mark.parametrize("kind", MUTATIONS)
def test_the_search_finds_what_is_lost_without(kind):
    with pytest.raises(Violation):
        search(kind, WORLDS, MUTATIONS[kind], phases=[Phase.generate])


TOLD_BY_OTHERS = {NODE: AnswersOfAnotherNameCount, PROXY: AnswersOfAProxyInFrontCount, APPLICATION: AnswersOfApplicationsCount}
"""These are told as one story: by chance it comes up too rarely."""


def rotate_while_others_answer(world, by):
    """One node has the new key; what is asked of the others is answered by something that has it, or seems to."""
    one, two = Operator(world, "one"), Operator(world, "two")

    def run(operator, until=lambda: False, by_hand=False):
        ended = operator.ended
        while operator.ended == ended and not until():
            operator.step(by_hand=by_hand)
            world.check()

    world.advance(INTERVAL)
    run(one, lambda: world.ring.staged is not None)
    first = world.nodes[0]
    run(one, lambda: first.lock is None and world.ring.staged.id in first.running.keys)
    one.die()
    before = world.primary
    for node in world.nodes[1:]:
        world.astray[node.name] = (by, -world.time if by == PROXY else 0)
    run(two, by_hand=True)
    assert world.primary == before, "no gate passed"
    world.astray.clear()
    for _run in range(3):
        run(one)
    assert world.primary != before, "the rotation goes on once the nodes are asked themselves"


@pytest.mark.parametrize("by", TOLD_BY_OTHERS)
def test_a_gate_takes_only_what_was_seen_on_that_very_node(by):
    rotate_while_others_answer(World(), by)


@pytest.mark.parametrize("by", TOLD_BY_OTHERS)
def test_and_would_lose_sessions_otherwise(by):
    world = TOLD_BY_OTHERS[by]()
    with pytest.raises(AssertionError, match="no gate passed"):
        rotate_while_others_answer(world, by)
    operator = Operator(world, "one")
    with pytest.raises(Violation):
        for _step in range(200):
            operator.step()
            world.check()
