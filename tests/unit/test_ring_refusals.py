# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ring refuses: by which reason, for which nodes, and that the sentence says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.passphrases import MAX_KEYS
from plugins.module_utils.ring import MaxAge, Refusal, saved
from plugins.module_utils.ring_evidence import UNLISTED, NodeSeen

from .ring_stories import MARGINS, MAX_AGE, NODES, at, confirmed, first, obedient, promoted, secret, seen, staged

DATE = 30 + MAX_AGE + 30


def old_list(ring):
    """A node that has only the key that was there first."""
    return NodeSeen(True, frozenset({first().primary.id}), frozenset(), frozenset({first().primary.id}))


def promote(nodes=None, change=lambda ring: ring, **changes):
    ring = change(staged())
    return verbs.promote(ring, at(20), seen(ring, 20, nodes, **changes))


def retire(nodes=None, change=lambda ring: ring, when=DATE, **changes):
    ring = change(confirmed())
    return verbs.retire(ring, at(when), seen(ring, when, nodes, **changes), MARGINS)


def absent(name):
    return lambda ring: saved(ring, verbs.absent(ring, at(15), name))


STAGED = staged().staged.id
OLD = first().primary.id
LACKING = "does not accept %s" % STAGED


@pytest.mark.parametrize("verb", [promote, retire])
@pytest.mark.parametrize(
    ("changes", "reason", "nodes"),
    [
        ({"nodes": {"n2": None}}, "nodes", {"n2": "gave no answer"}),
        ({"nodes": {"n2": None, "n3": None}}, "nodes", {"n2": "gave no answer", "n3": "gave no answer"}),
        ({"nodes": {"n4": None}}, "nodes", {"n4": "gave no answer"}),
        ({"change": lambda ring: replace(ring, nodes=(*ring.nodes, "n9"))}, "nodes", {"n9": "is not in this inventory"}),
        ({"ring": "r2"}, "other_ring", {}),
        ({"generation": 1}, "old_evidence", {}),
        ({"generation": 99}, "old_evidence", {}),
        ({"ended": 0}, "old_evidence", {}),
    ],
)
def test_promote_and_retire_refuse(verb, changes, reason, nodes):
    with pytest.raises(Refusal) as told:
        verb(**changes)
    assert (told.value.reason, told.value.nodes) == (reason, nodes)
    assert all(node in str(told.value) for node in nodes)
    assert "check again" in str(told.value)


@pytest.mark.parametrize(
    ("seen_there", "why"),
    [
        (old_list(staged()), LACKING),
        (replace(obedient(staged()), accepts=frozenset({STAGED})), "does not accept %s" % OLD),
        (replace(obedient(staged()), encrypts_with=frozenset({UNLISTED})), "encrypts with a key that is not in the ring"),
        (replace(obedient(staged()), encrypts_with=frozenset({OLD, UNLISTED})), "encrypts with a key that is not in the ring"),
    ],
)
def test_promote_names_what_is_wrong_with_a_node(seen_there, why):
    with pytest.raises(Refusal) as told:
        promote({"n3": seen_there})
    assert told.value.nodes == {"n3": why}
    assert str(told.value).startswith("cannot promote: all 3 nodes must accept every key of the ring; n3 %s." % why)


def test_promote_refuses_without_a_staged_key():
    with pytest.raises(Refusal) as told:
        verbs.promote(first(), at(20), seen(first(), 20))
    assert told.value.reason == "nothing_staged"


def test_a_silent_node_that_is_declared_absent_is_not_waited_for_but_named():
    ring = promote({"n2": None}, absent("n2"))
    assert ring.history[-1].summary.startswith("2/3 nodes (absent: n2) accept it")


def test_an_absent_node_that_answers_is_needed():
    with pytest.raises(Refusal) as told:
        promote({"n2": old_list(staged())}, absent("n2"))
    assert told.value.nodes == {"n2": LACKING}


def test_a_fleet_of_absent_nodes_proves_nothing():
    def all_absent(ring):
        for name in ring.nodes:
            ring = absent(name)(ring)
        return ring

    with pytest.raises(Refusal) as told:
        promote(dict.fromkeys(("n1", "n2", "n3")), all_absent)
    assert "no node answered" in str(told.value)


def test_a_slice_of_the_inventory_does_not_make_the_fleet_smaller():
    ring = staged()
    evidence = seen(ring, 20)
    with pytest.raises(Refusal) as told:
        verbs.promote(ring, at(20), replace(evidence, nodes={"n1": evidence.nodes["n1"]}))
    assert told.value.nodes == {"n2": "is not in this inventory", "n3": "is not in this inventory"}


@pytest.mark.parametrize("clock", ["drifted", "unknown"])
def test_retire_needs_clocks(clock):
    with pytest.raises(Refusal) as told:
        retire(clock=clock)
    assert told.value.reason == "clock" and clock in str(told.value)


def test_promote_does_not_need_clocks():
    assert promote(clock="unknown").primary.id == STAGED


def test_retire_waits():
    with pytest.raises(Refusal) as told:
        retire(when=DATE - 1)
    assert told.value.reason == "not_yet"
    assert told.value.not_before == at(DATE).time
    assert "2027-01-15T09:01:00Z" in str(told.value)


def test_retire_right_after_promote_begins_the_wait():
    ring = promoted()
    with pytest.raises(Refusal) as told:
        verbs.retire(ring, at(40), seen(ring, 40), MARGINS)
    assert told.value.not_before == at(40 + MAX_AGE + 30).time


def test_retire_refuses_while_a_node_encrypts_with_the_old_key():
    with pytest.raises(Refusal) as told:
        retire({"n1": replace(obedient(confirmed()), encrypts_with=frozenset({OLD}))})
    assert told.value.nodes == {"n1": "encrypts with %s" % OLD}


def test_retire_refuses_margins_that_are_too_small_for_what_the_check_lets_pass():
    with pytest.raises(Refusal, match="at least 20 s") as told:
        retire(tolerance=5.0)
    assert told.value.reason == "margins"
    assert retire(tolerance=2.5)


@pytest.mark.parametrize("verb", [verbs.observe, verbs.promote])
def test_a_check_of_another_fleet_teaches_the_ring_nothing(verb):
    ring = staged()
    with pytest.raises(Refusal, match="session_fleet_group") as told:
        verb(ring, at(20), replace(seen(ring, 20), nodes=dict.fromkeys(("w1", "w2"), obedient(ring))))
    assert told.value.reason == "other_fleet"


def test_retire_refuses_where_sessions_never_end():
    with pytest.raises(Refusal) as told:
        retire(max_ages={"app": frozenset({60}), "shop": frozenset({60, 0})})
    assert told.value.reason == "max_age_zero" and "shop" in str(told.value)


def test_retire_refuses_where_sessions_never_ended_before():
    with pytest.raises(Refusal) as told:
        retire(change=lambda ring: replace(ring, max_ages=(*ring.max_ages, MaxAge(0, at(5).time))))
    assert told.value.reason == "max_age_zero" and "endless" in str(told.value)


@pytest.mark.parametrize(
    ("seen_there", "why"),
    [
        (None, "gave no answer"),
        (old_list(staged()), LACKING),
        (replace(obedient(staged()), encrypts_with=frozenset({STAGED})), "does not encrypt with the primary %s" % OLD),
    ],
)
def test_a_node_gets_no_traffic_before_it_has_the_ring(seen_there, why):
    ring = absent("n2")(staged())
    with pytest.raises(Refusal) as told:
        verbs.present(ring, at(20), "n2", seen(ring, 20, {"n2": seen_there}))
    assert told.value.nodes == {"n2": why} and "Deploy" in str(told.value)


def test_a_node_that_accepts_a_revoked_key_gets_no_traffic():
    ring = first()
    ring = saved(ring, verbs.revoke(ring, at(10), secret(5)))
    both = NodeSeen(True, frozenset({OLD, ring.primary.id}), frozenset(), frozenset({ring.primary.id}))
    with pytest.raises(Refusal) as told:
        verbs.present(ring, at(20), "n9", seen(ring, 20, {"n9": both}))
    assert told.value.nodes == {"n9": "still accepts %s" % OLD}


def test_absent_refuses_a_name_that_nobody_knows():
    with pytest.raises(Refusal) as told:
        verbs.absent(first(), at(), "n33")
    assert told.value.reason == "unknown_node" and "n1 n2 n3" in str(told.value)


def test_forget_refuses_a_name_that_the_ring_never_had():
    with pytest.raises(Refusal) as told:
        verbs.forget(first(), at(), "n33", NODES)
    assert told.value.reason == "unknown_node" and "n1 n2 n3" in str(told.value)


def test_forget_refuses_a_node_of_the_inventory():
    with pytest.raises(Refusal) as told:
        verbs.forget(first(), at(), "n3", ["n3"])
    assert told.value.reason == "in_inventory"


def test_stage_refuses_a_seventh_key():
    ring = first()
    for number in range(2, MAX_KEYS + 1):
        ring = verbs.stage(ring, at(number), secret(number))
        if number < MAX_KEYS:
            ring = saved(ring, verbs.promote(saved(ring, ring), at(number), seen(ring, number, generation=ring.generation + 1)))
    ring = replace(ring, keys=tuple(
        replace(key, state="secondary") if key.state == "staged" else key for key in ring.keys))
    with pytest.raises(Refusal) as told:
        verbs.stage(ring, at(99), secret(99))
    assert told.value.reason == "full"


def test_a_refusal_names_some_and_carries_all():
    silent = dict.fromkeys("m%02d" % number for number in range(40))
    with pytest.raises(Refusal) as told:
        promote(silent)
    assert len(told.value.nodes) == 40
    assert "m09 gave no answer and 30 more" in str(told.value)
