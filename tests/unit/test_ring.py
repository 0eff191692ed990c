# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each verb of the ring does, and that doing it again does nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.passphrases import validate
from plugins.module_utils.ring import KEPT, Key, MaxAge, Refusal, not_before, problem, saved
from plugins.module_utils.ring_evidence import NodeSeen
from plugins.module_utils.ring_rotate import DEMANDED, advance

from .ring_stories import (
    MARGINS,
    MAX_AGE,
    NODES,
    START,
    at,
    confirmed,
    first,
    obedient,
    promoted,
    retired,
    secret,
    seen,
    staged,
)


def states(ring):
    return [key.state for key in ring.keys]


def test_a_whole_rotation():
    old = first().primary
    new = staged().staged
    assert staged().passphrases() == (old.passphrase, new.passphrase)
    assert promoted().passphrases() == (new.passphrase, old.passphrase)
    assert confirmed().secondaries[0].proven == START + 30
    assert not_before(confirmed(), confirmed().secondaries[0], MARGINS) == START + 30 + MAX_AGE + 30
    assert retired().passphrases() == (new.passphrase,)
    assert states(retired()) == ["primary", "retired"]
    ring = retired()
    clean = saved(ring, verbs.observe(ring, at(5000), seen(ring, 5000)))
    assert states(clean) == ["primary"]
    assert [event.verb for event in clean.history] == ["init", "stage", "promote", "confirm", "retire", "erase"]
    assert clean.generation == 6 and clean.changed_in == 5
    assert old.passphrase not in repr(clean.history) and new.passphrase not in repr(clean)
    assert clean.history[2].summary == "3/3 nodes accept it, checked at 2027-01-15T08:00:20Z"


def test_a_generated_key_has_256_bits():
    key = first().primary
    assert len(key.passphrase) == 43 and validate([key.passphrase]) == ([key.passphrase], [])
    assert key.id not in key.passphrase and not key.weak and key.origin == "generated"
    with pytest.raises(ValueError):
        verbs.stage(first(), at(), lambda: b"short")


TAKEN = secret(1)()
NAMELESS = hashlib.sha256(b"nameless116").digest()
"""A key that looks as if a person had chosen it."""


@pytest.mark.parametrize(
    ("verb", "drawn_before"),
    [
        (lambda draw: verbs.init("r2", at(), draw).primary, NAMELESS),
        (lambda draw: verbs.stage(first(), at(), draw).staged, NAMELESS),
        (lambda draw: verbs.stage(first(), at(), draw).staged, TAKEN),
        (lambda draw: verbs.revoke(first(), at(), draw).primary, NAMELESS),
        (lambda draw: verbs.revoke(first(), at(), draw).primary, TAKEN),
        (lambda draw: advance(first(), at(9), seen(first(), 9), 10**6, MARGINS, DEMANDED, draw).staged, NAMELESS),
    ],
)
def test_a_key_that_cannot_be_named_is_drawn_again(verb, drawn_before):
    draws = iter([drawn_before, drawn_before, secret(4)()])
    assert verb(lambda: next(draws)) == verb(secret(4))


def test_a_source_that_gives_nothing_new_is_not_asked_for_ever():
    with pytest.raises(ValueError, match="100 draws"):
        verbs.stage(first(), at(), lambda: TAKEN)


def test_adopted_keys_have_names_of_their_own():
    spares = ["s1", "s1", "s2"]
    ring = verbs.adopt("r1", at(), ["one word", "another word"], lambda: spares.pop(0), NODES)
    assert [key.id for key in ring.keys] == ["s1", "s2"]


@pytest.mark.parametrize(
    "again",
    [
        lambda: (staged(), lambda ring: verbs.stage(ring, at(99), secret(9))),
        lambda: (promoted(), lambda ring: verbs.promote(ring, at(99), seen(ring, 99))),
        lambda: (retired(), lambda ring: verbs.retire(ring, at(9999), seen(ring, 9999), MARGINS)),
        lambda: (first(), lambda ring: verbs.retire(ring, at(99), seen(ring, 99), MARGINS)),
        lambda: (gone("n3"), lambda ring: verbs.absent(ring, at(99), "n3")),
        lambda: (verbs.forget(first(), at(), "n3", []), lambda ring: verbs.forget(ring, at(99), "n3", [])),
    ],
)
def test_done_again_nothing_changes(again):
    ring, verb = again()
    assert verb(ring) is ring


def gone(name):
    ring = first()
    return saved(ring, verbs.absent(ring, at(5), name, "disk died"))


def revoked():
    ring = confirmed()
    return saved(ring, verbs.revoke(ring, at(40), secret(7)))


def test_adopt_keeps_what_the_fleet_has():
    spares = iter(["s1", "s2", "s3"])
    ring = saved(None, verbs.adopt("r1", at(), ["old fleet word", "x" * 20, "b" * 40], spares.__next__, NODES, [60]))
    assert ring.passphrases() == ("old fleet word", "x" * 20, "b" * 40)
    assert states(ring) == ["primary", "secondary", "secondary"]
    assert [key.id for key in ring.keys] == ["s1", "s2", "s3"]
    assert [key.weak for key in ring.keys] == [True, True, True]
    assert {key.origin for key in ring.keys} == {"adopted"}
    assert ring.max_ages == (MaxAge(60, listed=True),)
    assert problem(ring) == ""
    assert "old fleet word" not in repr(ring)


def test_adopt_names_a_random_key_by_its_fingerprint():
    passphrase = first().primary.passphrase
    assert verbs.adopt("r1", at(), [passphrase], "s1".lower).primary.id == first().primary.id


@pytest.mark.parametrize("bad", [[], ["a", "a"], ["exec:/bin/x"], ["# no"], ["x\r"], [""]])
def test_adopt_refuses_what_httpd_would_misread(bad):
    with pytest.raises(Refusal) as told:
        verbs.adopt("r1", at(), bad, "s1".lower)
    assert told.value.reason == "bad_key"


def test_two_rotations_may_overlap_and_each_key_waits_for_itself():
    ring = confirmed()
    ring = saved(ring, verbs.stage(ring, at(1000), secret(3)))
    ring = saved(ring, verbs.promote(ring, at(1100), seen(ring, 1100)))
    ring = saved(ring, verbs.observe(ring, at(1200), seen(ring, 1200)))
    assert [key.proven - START for key in ring.secondaries] == [1200, 30]
    once = saved(ring, verbs.retire(ring, at(3660), seen(ring, 3660), MARGINS))
    assert states(once) == ["primary", "secondary", "retired"]
    twice = saved(once, verbs.retire(once, at(4830), seen(once, 4830), MARGINS))
    assert states(twice) == ["primary", "retired"]


def test_the_wait_begins_anew_where_an_old_key_encrypts_again():
    ring = confirmed()
    old = ring.secondaries[0]
    stale = replace(obedient(ring), encrypts_with=frozenset({old.id}))
    ring = verbs.observe(ring, at(100), seen(ring, 100, {"n2": stale}))
    assert ring.secondaries[0].proven is None
    assert ring.history[-1].verb == "reopen" and "n2" in ring.history[-1].summary
    assert verbs.observe(ring, at(200), seen(ring, 200)).secondaries[0].proven == START + 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": {"n2": None}},
        {"clock": "unknown"},
        {"nodes": {"n2": NodeSeen(True)}},
        {"nodes": {"n2": NodeSeen(True, encrypts_with=frozenset({""}))}},
    ],
)
def test_the_wait_does_not_begin_before_all_is_seen(wrong):
    ring = promoted()
    assert verbs.observe(ring, at(30), seen(ring, 30, **wrong)).secondaries[0].proven is None


def test_the_wait_is_counted_by_the_nodes_clocks():
    ring = promoted()
    ring = saved(ring, verbs.observe(ring, at(30), seen(ring, 30, ahead=(-400, 500))))
    assert ring.secondaries[0].proven == START + 30 + 500
    date = 530 + MAX_AGE + 30
    with pytest.raises(Refusal) as told:
        verbs.retire(ring, at(date), seen(ring, date, ahead=(-1, 0)), MARGINS)
    assert told.value.reason == "not_yet"
    assert told.value.not_before == START + date
    assert verbs.retire(ring, at(date - 900), seen(ring, date - 900, ahead=(900, 900)), MARGINS) is not ring


def test_revoke_leaves_one_new_key_and_what_must_be_refused():
    ring = revoked()
    assert states(ring) == ["primary", "revoked", "revoked"]
    assert len(ring.passphrases()) == 1 and ring.primary.created == START + 40
    with pytest.raises(Refusal) as told:
        verbs.revoke(ring, at(50), secret(8), "nokey")
    assert told.value.reason == "bad_key"


@pytest.mark.parametrize(
    "between",
    [
        lambda ring: ring,  # killed before any node had it
        lambda ring: verbs.absent(ring, at(41), "n3"),
        lambda ring: verbs.observe(ring, at(42), seen(ring, 42, {"n2": None})),
        lambda ring: verbs.observe(ring, at(42), seen(ring, 42)),  # proven
        lambda ring: verbs.stage(ring, at(42), secret(11)),
        lambda ring: verbs.stage(verbs.absent(ring, at(41), "n3"), at(42), secret(11)),
    ],
)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("named", [False, True])
def test_each_revoke_makes_another_key_whatever_became_of_the_one_before(between, times, named):
    ring = revoked()
    for number in range(times):
        ring = between(ring)
        ring = ring if ring.generation > ring.changed_in else saved(ring, ring)
        live = [key.id for key in ring.live]
        ring = saved(ring, verbs.revoke(ring, at(50 + number), secret(20 + number), live[0] if named else None))
        assert [key.id for key in ring.live] == [ring.primary.id] and ring.primary.id not in live
        assert set(live) <= {key.id for key in ring.removed if key.state == "revoked"}
        assert ring.changed_in == ring.generation and problem(ring) == ""


def test_a_key_that_is_revoked_already_is_not_revoked_again_in_silence():
    ring = revoked()
    with pytest.raises(Refusal, match=r"is revoked since 2027-01-15T08:00:40Z.*rotate.*without session_ring_key") as told:
        verbs.revoke(ring, at(50), secret(8), ring.removed[0].id)
    assert told.value.reason == "bad_key"


def test_a_revoked_key_is_kept_until_every_node_was_seen_to_refuse_it():
    ring = revoked()
    ring = saved(ring, verbs.absent(ring, at(50), "n3"))
    ring = saved(ring, verbs.observe(ring, at(60), seen(ring, 60, {"n3": None})))
    assert len(ring.removed) == 2
    accepting = replace(obedient(ring), refuses=frozenset({ring.removed[0].id}))
    ring = verbs.observe(ring, at(70), seen(ring, 70, {"n3": accepting}))
    assert [key.id for key in ring.removed] == [revoked().removed[1].id]


def test_retired_keys_do_not_pile_up():
    ring = first()
    keys = [replace(ring.primary, id="k%d" % number, state="retired", removed=number) for number in range(KEPT + 3)]
    assert [key.id for key in ring.with_keys(ring.primary, *keys).removed] == ["k%d" % number for number in range(3, KEPT + 3)]


def test_absent_present_forget():
    ring = gone("n3")
    assert ring.absentees == ("n3",) and ring.absent[0].reason == "disk died"
    back = saved(ring, verbs.present(ring, at(50), "n3", seen(ring, 50)))
    assert back.absentees == () and back.changed_in == ring.changed_in
    without = verbs.forget(ring, at(60), "n3", ["n1", "n2"])
    assert without.nodes == ("n1", "n2") and without.absentees == ()
    other = verbs.absent(ring, at(70), "n3", "sold")
    assert [(item.reason, item.time) for item in other.absent] == [("sold", START + 5)]


def test_a_node_that_is_down_before_it_was_ever_seen_can_be_declared_absent():
    ring = verbs.absent(first(), at(5), "n4", inventory=["n1", "n4"])
    assert ring.absentees == ("n4",) and ring.nodes == ("n1", "n2", "n3", "n4")


def test_a_new_node_counts_as_soon_as_it_was_seen_in_an_inventory():
    ring = first()
    ring = verbs.observe(ring, at(10), seen(ring, 10, {"n4": None}))
    assert ring.nodes == ("n1", "n2", "n3", "n4")


DAY = 86400
SHOWS_NOTHING = NodeSeen(True, frozenset(), frozenset(), frozenset({""}))


def ages(ring):
    """The max ages that count as in force."""
    return [age.seconds for age in ring.max_ages if age.gone is None]


def settled(*listed):
    """A fleet in which a deploy has brought scopes with these max ages to all nodes."""
    return verbs.brought(verbs.bring(first(), listed), listed, NODES)


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ([], [MAX_AGE, DAY]),  # out of the inventory, and no deploy
        (["begin"], [MAX_AGE, DAY]),
        (["begin", "n1", "n2"], [MAX_AGE, DAY]),
        (["begin", "n1", "n2", "n3"], [MAX_AGE]),
        (["begin", "n1 n2 n3"], [MAX_AGE]),
        (["begin", "n1 n2 n3", "back"], [MAX_AGE, DAY]),
        (["begin", "n1 n2 n3", "back", "other's end"], [MAX_AGE, DAY]),
        (["begin", "n1 n2 n3", "back", "begin", "n1"], [MAX_AGE, DAY]),
        (["begin", "back", "n1 n2 n3"], [MAX_AGE, DAY]),  # two deploys with different lists at once
        (["begin", "back", "n1 n2 n3", "n1 n2 n3"], [MAX_AGE]),
        (["begin", "n1 n2 n3", "n4 joins"], [MAX_AGE, DAY]),
        (["begin", "n1 n2 n3", "n4 joins", "n4"], [MAX_AGE]),
    ],
)
def test_a_scope_that_was_taken_out_counts_until_a_deploy_has_brought_every_node_the_new_list(story, expected):
    ring, nodes = settled(MAX_AGE, DAY), {}
    for one in story:
        if one == "begin":
            ring = verbs.bring(ring, [MAX_AGE])
        elif one == "back":
            ring = verbs.bring(ring, [MAX_AGE, DAY])
        elif one == "other's end":
            ring = verbs.brought(ring, [MAX_AGE], NODES)
        elif one == "n4 joins":
            nodes["n4"] = obedient(ring)
        else:
            ring = verbs.brought(ring, [MAX_AGE], one.split())
    assert ages(verbs.observe(ring, at(20), seen(ring, 20, nodes))) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({}, [MAX_AGE]),
        ({"n2": None}, [MAX_AGE, DAY]),
        ({"n2": SHOWS_NOTHING}, [MAX_AGE, DAY]),  # its max age is not known
    ],
)
def test_a_max_age_is_given_up_only_where_all_nodes_show_another(nodes, expected):
    ring = verbs.tell(settled(MAX_AGE), [DAY])
    assert ages(verbs.observe(ring, at(20), seen(ring, 20, nodes))) == expected


def test_a_max_age_that_comes_back_counts_again():
    ring = verbs.tell(settled(MAX_AGE), [DAY])
    ring = verbs.observe(ring, at(20), seen(ring, 20))
    assert ring.max_ages == (MaxAge(MAX_AGE, None, True), MaxAge(DAY, START + 20))
    assert ages(verbs.tell(ring, [DAY])) == [MAX_AGE, DAY]
    assert ages(verbs.bring(ring, [DAY])) == [MAX_AGE, DAY]
    assert ages(verbs.observe(ring, at(30), seen(ring, 30, max_ages={"app": frozenset({DAY})}))) == [MAX_AGE, DAY]


def test_a_node_that_missed_the_deploy_may_bring_back_what_the_others_gave_up():
    ring = verbs.tell(settled(MAX_AGE), [DAY])
    ring = saved(ring, verbs.observe(ring, at(20), seen(ring, 20)))
    evidence = seen(ring, 30, {"n4": obedient(ring)})
    assert ages(verbs.present(ring, at(30), "n4", evidence)) == [MAX_AGE, DAY]
    deployed = verbs.brought(ring, [MAX_AGE], ["n4"])
    assert ages(verbs.present(deployed, at(30), "n4", evidence)) == [MAX_AGE]


def test_a_deploy_that_brings_the_same_again_changes_nothing():
    ring = settled(MAX_AGE, DAY)
    assert verbs.bring(ring, [DAY, MAX_AGE]) == ring and verbs.brought(ring, [MAX_AGE, DAY], ["n2"]) == ring


def test_a_forgotten_node_is_not_waited_for():
    ring = verbs.brought(verbs.tell(first(), [DAY]), [], ["n1", "n2"])
    ring = verbs.forget(ring, at(5), "n3", [])
    evidence = seen(ring, 20)
    evidence = replace(evidence, nodes={name: evidence.nodes[name] for name in ("n1", "n2")})
    assert ages(verbs.observe(ring, at(20), evidence)) == [MAX_AGE]


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([MaxAge(100)], 130),
        ([MaxAge(100), MaxAge(900)], 930),
        ([MaxAge(100), MaxAge(900, START - 930)], 130),  # its last session ended when this key stopped
        ([MaxAge(100), MaxAge(900, START - 929)], 930),
        ([MaxAge(100), MaxAge(900, START + 5)], 930),
        ([MaxAge(10), MaxAge(50, START - 90)], 80),  # it was in force when this key was there already, and may come back
        ([MaxAge(10), MaxAge(50, START - 101)], 40),
        ([MaxAge(100), MaxAge(0)], None),
        ([MaxAge(100), MaxAge(0, START - 50)], None),
        ([MaxAge(100), MaxAge(0, START - 101)], 130),  # before this key was made
    ],
)
def test_the_longest_max_age_that_matters_counts(ages, expected):
    key = Key("k", "x", "secondary", created=START - 100, proven=START)
    date = not_before(replace(first(), max_ages=tuple(ages)), key, MARGINS)
    assert date == (None if expected is None else START + expected)


def test_sessions_without_end_may_be_given_a_time_after_which_their_loss_is_accepted():
    key = Key("k", "x", "secondary", created=START - 100, proven=START)
    ring = replace(first(), max_ages=(MaxAge(100), MaxAge(0, START - 50)))
    assert not_before(ring, key, replace(MARGINS, endless=5000)) == START + 5030
    assert not_before(replace(ring, max_ages=(MaxAge(0),)), key, replace(MARGINS, endless=5000)) is None
