# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A canary, pure: what an answer says of it, what goes on to the next check, and what is refused there."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))
from test_verdict import good, silent

from plugins.module_utils import canary, clock
from plugins.module_utils.canary import (
    BUSY,
    EXPIRED,
    FATES,
    FRESH,
    IDLE,
    INTACT,
    LOST,
    OTHER,
    REVOKED,
    UNKNOWN,
    UNREADABLE,
    USERS,
    Canary,
    Held,
    Phase,
    Tally,
)
from plugins.module_utils.cookie import format_payload, seal
from plugins.module_utils.evidence import Fault
from plugins.module_utils.probe import IDENTITY_HEADER, Answer, identity
from plugins.module_utils.question import Key, Question
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils.canary_walk import Walk

A, B, STRANGE = "first key of the fleet, long enough", "second key of the fleet, long enough", "a key that nobody has listed"
SECRET, WRONG = "ab" * 16, "cd" * 16
SECOND = clock.SECOND
NOW = 1_800_000_000 * SECOND
AGE = 3600
EXPIRY = NOW + 100 * SECOND


def sealed(pairs, key=A, expiry=None, cipher="aes256"):
    return seal(format_payload(pairs, expiry), key, cipher, bytes(16), bytes(16))


SHOWN = sealed({canary.NAME: SECRET}, A, EXPIRY)


def fresh(now, key=A):
    """The session that a node makes at ``now`` in place of one that it did not open."""
    return sealed({}, key, now + AGE * SECOND)


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (sealed({canary.NAME: SECRET}, A, NOW), INTACT),
        (sealed({canary.NAME: SECRET}, B, NOW), INTACT),
        (sealed({"other": "x", canary.NAME: SECRET}, B, NOW), INTACT),
        (sealed({canary.NAME: WRONG}, A, NOW), OTHER),
        (fresh(NOW), FRESH),
        (fresh(EXPIRY), FRESH),  # at its last moment it still lives
        (fresh(EXPIRY + 1), EXPIRED),
        (fresh(EXPIRY + 1, B), EXPIRED),
        (fresh(NOW, STRANGE), UNREADABLE),
        (fresh(EXPIRY + 1, STRANGE), UNREADABLE),  # its clock cannot be read; by what else is known it lives
        (sealed({canary.NAME: SECRET}, A, NOW, "aes128"), UNREADABLE),
        (f"{canary.NAME}={SECRET}&expiry={NOW}", UNREADABLE),  # not sealed: anybody can make that
        ("x", UNREADABLE),
        ("", UNKNOWN),
        (SHOWN, UNKNOWN),  # sent back by somebody who need not have opened it
    ],
)
def test_what_an_answer_says(answer, fate):
    seen = canary.look(SHOWN, SECRET, EXPIRY, answer, (A, B), "aes256", AGE, NOW)
    assert seen.fate == fate
    assert seen.expiry == (NOW if fate == INTACT else None)


@pytest.mark.parametrize(
    ("expiry", "max_age", "now", "fate"),
    [
        (EXPIRY, None, NOW, FRESH),
        (EXPIRY, None, EXPIRY + 1, EXPIRED),  # no Max-Age tells the node's clock: the asker's counts
        (None, AGE, NOW, FRESH),  # a session without end
        (None, None, NOW, FRESH),
    ],
)
def test_whether_it_had_expired(expiry, max_age, now, fate):
    assert canary.look(SHOWN, SECRET, expiry, fresh(NOW), (A, B), "aes256", max_age, now).fate == fate


@pytest.mark.parametrize(
    ("answer", "revoked", "fate"),
    [
        (fresh(NOW, B), {0}, REVOKED),
        (fresh(NOW, B), {1}, FRESH),
        (fresh(NOW, B), set(), FRESH),
        (sealed({canary.NAME: SECRET}, B), {0}, INTACT),
        (fresh(EXPIRY + 1, B), {0}, EXPIRED),
    ],
)
def test_a_session_under_a_revoked_key_ends_by_design(answer, revoked, fate):
    assert canary.look(SHOWN, SECRET, EXPIRY, answer, (A, B), "aes256", AGE, NOW, frozenset(revoked)).fate == fate


# From check to check

NODES = ("a", "b", "c")


def held(value, node="a"):
    return Held(value, node, 1000, 5_000_000_000)


def whole(**changes):
    return replace(Canary("app", SECRET, "a", 1000, {IDLE: held("first"), BUSY: held("newest", "b")}), **changes)


def fates(*each):
    return {node: dict(zip(USERS, pair)) for node, pair in zip(NODES, each)}


BOTH = (INTACT, INTACT)


def test_all_keep_it():
    after = canary.advance(whole(), False, fates(BOTH, BOTH, BOTH), held("next", "c"), NODES, 2000, 7)
    assert after.held == {IDLE: held("first"), BUSY: held("next", "c")}
    assert after.phases == (Phase(2000, 7, "", 3, {IDLE: Tally("a", 1000, 3), BUSY: Tally("b", 1000, 3)}),)


@pytest.mark.parametrize(
    ("given", "newest", "idle", "busy", "left"),
    [
        # A node lost it: both go on, for the next check to see whether that is mended.
        ((BOTH, (FRESH, OTHER), BOTH), "c", (2, 0, 1), (2, 0, 1), {IDLE: "first", BUSY: "c"}),
        ((BOTH, (UNREADABLE,) * 2, {}), "a", (1, 0, 1), (1, 0, 1), {IDLE: "first", BUSY: "a"}),
        # Nobody kept the busy one: it goes on as it is.
        (((INTACT, FRESH),) * 3, None, (3, 0, 0), (0, 0, 3), {IDLE: "first", BUSY: "newest"}),
        # The one who was away was away for too long: the newest cookie is his from now on.
        (((EXPIRED, INTACT),) * 3, "c", (0, 3, 0), (3, 0, 0), {IDLE: "c", BUSY: "c"}),
        ((BOTH, (EXPIRED, INTACT), BOTH), "a", (2, 1, 0), (3, 0, 0), {IDLE: "a", BUSY: "a"}),
        # Both ended: the next check makes another.
        (((EXPIRED, EXPIRED),) * 3, None, (0, 3, 0), (0, 3, 0), {}),
        (((REVOKED, REVOKED),) * 2, None, (0, 2, 0), (0, 2, 0), {}),
        (((INTACT, EXPIRED),) * 3, None, (3, 0, 0), (0, 3, 0), {}),
        # Nobody answers.
        ((), None, (0, 0, 0), (0, 0, 0), {IDLE: "first", BUSY: "newest"}),
    ],
)
def test_what_goes_on(given, newest, idle, busy, left):
    pairs = fates(*(pair or (UNKNOWN, UNKNOWN) for pair in given))
    after = canary.advance(whole(), False, pairs, held(newest) if newest else None, NODES, 2000, None)
    (phase,) = after.phases
    assert [(t.intact, t.ended, t.lost) for t in (phase.tallies[IDLE], phase.tallies[BUSY])] == [idle, busy]
    assert {user: one.value for user, one in after.held.items()} == left


def test_the_first_phase_names_the_maker_and_shows_one_cookie():
    one = whole(held=dict.fromkeys(USERS, held("first")))
    assert one.cookies() == [((IDLE, BUSY), held("first"))]
    assert [users for users, _held in whole().cookies()] == [(IDLE,), (BUSY,)]
    assert canary.advance(one, True, {}, None, NODES, 1, None).phases[0].maker == "a"


def test_phases_and_names_are_bounded():
    one, nodes = whole(), tuple(f"n{number}" for number in range(100))
    for number in range(canary.MOST_PHASES + 5):
        one = canary.advance(one, False, {node: {IDLE: FRESH} for node in nodes}, None, nodes, number, None)
    assert len(one.phases) == canary.MOST_PHASES and one.phases[-1].time == canary.MOST_PHASES + 4
    assert one.phases[-1].tallies[IDLE].lost == 100 and len(one.phases[-1].tallies[IDLE].names) == canary.MOST_NAMES


NAMES = st.text("abcxyz.-0", max_size=8)
NUMBERS = st.integers(0, 2**53)
TALLIES = st.builds(
    Tally, NAMES, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", *canary.ENDED]), NUMBERS,
    st.lists(NAMES, max_size=canary.MOST_NAMES).map(tuple),
)  # fmt: skip
PHASES = st.builds(
    Phase, NUMBERS, st.none() | NUMBERS, NAMES, NUMBERS, st.dictionaries(st.sampled_from(USERS), TALLIES)
)
HELD = st.builds(Held, NAMES, NAMES, NUMBERS, st.none() | NUMBERS)
CANARIES = st.builds(
    Canary, st.just("app"), NAMES, NAMES, NUMBERS, st.dictionaries(st.sampled_from(USERS), HELD),
    st.lists(PHASES, max_size=4).map(tuple),
)  # fmt: skip


@given(CANARIES)
def test_what_one_check_returns_the_next_one_takes(one):
    assert canary.read(json.loads(json.dumps(canary.write({"app": one})))) == {"app": one}


@pytest.mark.parametrize("option", [None, {}, "", {"make": False}, {"make": "no"}])
def test_none_wanted(option):
    assert canary.read(option) is None


@pytest.mark.parametrize("option", [{"make": True}, {"make": "yes"}, {"scopes": {}}, {"make": True, "scopes": {}}])
def test_one_is_to_be_made(option):
    assert canary.read(option) == {}


GOOD = canary.write({"app": whole()})["scopes"]["app"]


@pytest.mark.parametrize(
    "option",
    [
        {"make": 7}, {"made": True}, {"scopes": 7}, {"scopes": {"app": 7}}, {"scopes": {"app": {}}}, ["make"], "make", 7,
        {"scopes": {"app": {**GOOD, "held": {"idle": ["x"]}}}},
        {"scopes": {"app": {**GOOD, "held": {"idle": ["x", "a", "yesterday", 1]}}}},
        {"scopes": {"app": {**GOOD, "phases": [[1, 2]]}}},
        {"scopes": {"app": {**GOOD, "phases": 3}}},
        {"scopes": {"app": {**GOOD, "phases": [[1, 2, "a", 3, {"idle": [1]}]]}}},
        {"scopes": {"app": {**GOOD, "made": None}}},
    ],
)  # fmt: skip
def test_what_is_no_canary_is_refused(option):
    with pytest.raises(canary.CanaryError, match=r"give \{make: true\}, or what the check before returned") as refused:
        canary.read(option)
    assert SECRET not in str(refused.value)


def test_a_canary_is_not_printed():
    assert SECRET not in repr(whole()) and "newest" not in repr(whole())


# The walk through one check

SCOPES = parse_scopes([{"name": "app", "path": "/app"}, {"name": "shop", "path": "/shop", "cookie_name": "s"}])
APP = SCOPES[0]


def walk(given=None, **more):
    return Walk(given or {}, SCOPES, (A, B), NODES, **more)


def answers(value, received=NOW, name="httpd-session", node="b"):
    headers = (("Set-Cookie", f"{name}={value};Max-Age={AGE};path=/app"), (IDENTITY_HEADER, identity(node)))
    return Answer(403, headers, received, received)


@pytest.mark.parametrize(
    ("value", "name", "made"),
    [
        (sealed({canary.NAME: SECRET}, A, EXPIRY), "httpd-session", True),
        (sealed({canary.NAME: SECRET}, B, EXPIRY), "httpd-session", False),  # nodes in order encrypt with the first key
        (sealed({canary.NAME: "short"}, A, EXPIRY), "httpd-session", False),
        (fresh(NOW), "httpd-session", False),
        (fresh(NOW, STRANGE), "httpd-session", False),
        (f"{canary.NAME}={SECRET}", "httpd-session", False),
        (sealed({canary.NAME: SECRET}, A, EXPIRY), "elsewhere", False),
    ],
)
def test_what_makes_a_canary(value, name, made):
    here = walk()
    assert here.make(APP, "b", answers(value, name=name)) is made
    assert here.wanting(APP) is not made
    if made:
        assert here.cookies(APP) == [(USERS, Held(value, "b", NOW // SECOND, EXPIRY))]
        assert not here.make(APP, "c", answers(value, node="c"))


def test_a_seed_is_another_one_each_time():
    here = walk()
    first, second = here.seed(APP), here.seed(APP)
    assert first != second
    assert here.make(APP, "a", answers(first, node="a")) and walk().make(APP, "a", answers(second, node="a"))


@pytest.mark.parametrize(
    ("last", "order", "chosen"),
    [("a", "abc", "b"), ("b", "abc", "c"), ("c", "cba", "a"), ("a", "ca", "c"), ("a", "a", "a"), ("gone", "cb", "b")],
)
def test_the_session_moves_through_the_fleet(last, order, chosen):
    """Whatever order nodes answer in, the one after the last one is next."""
    here = walk({"app": whole(held=dict.fromkeys(USERS, Held(SHOWN, last, 1, EXPIRY)))})
    ((users, shown),) = here.cookies(APP)
    for node in order:
        answer = answers(sealed({canary.NAME: SECRET}, B, NOW + ord(node)), node=node)
        seen = here.look(APP, node, shown, answer)
        assert here.record(APP, node, users, answer, seen) == ((IDLE, INTACT), (BUSY, INTACT))
    ended = here.end([good(node, canary=((IDLE, INTACT), (BUSY, INTACT))) for node in order], 9, 4)["app"]
    assert (ended.held[IDLE].node, ended.held[BUSY].node) == (last, chosen)
    assert ended.held[BUSY].expiry == NOW + ord(chosen)
    assert ended.phases[0].tallies[BUSY].intact == len(order) and ended.phases[0].nodes == 3


# What a verdict makes of it

TWO = (Key("", "primary"), Key("", "secondary"))


def verdict(canaries, views):
    apps = SCOPES[:1]
    return judge(Question(NODES, apps, TWO, clock.limits(AGE), canary=canaries), views)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("fate", FATES)
def test_findings(user, fate):
    seen = {node: dict.fromkeys(USERS, INTACT) for node in NODES}
    seen["b"][user] = fate
    views = [good(node, canary=tuple(seen[node].items())) for node in NODES]
    after = canary.advance(whole(), False, seen, None, NODES, 2000, None)
    result = verdict((after,), views)
    expected = {
        INTACT: [], UNKNOWN: [("b", "canary_unknown")], EXPIRED: [("", "canary_expired")], REVOKED: [("", "canary_revoked")],
    }.get(fate, [("b", "canary_lost")])  # fmt: skip
    assert [(item.node, item.code) for item in result.findings] == expected
    assert result.passed is (fate in (INTACT, EXPIRED, REVOKED))
    if fate in LOST:
        assert user in result.findings[0].seen and result.nodes["b"] == "failed"


def test_a_silent_node_is_none_that_kept_it():
    seen = {node: dict.fromkeys(USERS, INTACT) for node in "ac"}
    views = [*(good(node, canary=tuple(seen[node].items())) for node in "ac"), silent("b")]
    after = canary.advance(whole(), False, seen, None, NODES, 2000, None)
    assert after.phases[0].tallies[IDLE].intact == 2 and after.phases[0].nodes == 3
    assert {(item.node, item.code) for item in verdict((after,), views).findings} == {("b", "refused")}


def test_a_node_that_falls_silent_meanwhile_is_named_for_that():
    views = [good(node, canary=((IDLE, INTACT),)) for node in "ac"]
    views.append(good("b", fault=Fault("reset", "cut off"), canary=((IDLE, UNKNOWN),)))
    assert {item.code for item in verdict(None, views).findings} == {"reset"}


def test_a_fleet_that_cannot_make_one_does_not_pass():
    after = canary.advance(Canary("app"), False, {}, None, NODES, 2000, None)
    result = verdict((after,), [good(node) for node in NODES])
    assert [(item.node, item.code) for item in result.findings] == [("", "canary_unknown")] and not result.passed
