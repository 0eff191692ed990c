# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence from a report that the check itself has built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils.clock import SECOND, Interval, Limits
from plugins.module_utils.evidence import Fault, Look, View
from plugins.module_utils.question import Key, Question
from plugins.module_utils.report import build
from plugins.module_utils.ring_evidence import UNLISTED, EvidenceError, NodeSeen, from_report
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import judge

from .ring_stories import START

SCOPES = parse_scopes([{"name": "app", "path": "/app", "max_age": 3600}, {"name": "shop", "path": "/shop", "max_age": 60}])
KEYS = (Key("aa", "primary"), Key("bb", "secondary"))


def view(node, scope, **changes):
    look = Look("session", "/", "", "Lax", True, True, 3600 if scope == "app" else 60)
    good = View(node, scope, status=403, proven=True, sealed="key", encrypts_with=0, accepts=(True, True), look=look, size=100,
                offset=Interval(0, 1000), offset_by="expiry", cipher="aes256")
    return replace(good, **changes)


def silent(node, scope):
    return View(node, scope, fault=Fault("refused"), accepts=(None, None))


def report(views, **changes):
    question = Question(("n1", "n2"), tuple(SCOPES), KEYS, Limits(SECOND, 5 * SECOND), **changes)
    made = build(question, views, judge(question, views), START * SECOND + 300000, START * SECOND + 2500000, "controller")
    return {**made, "ring": {"id": "r1", "generation": 4}}


def of(*changed, **changes):
    views = [view(node, scope) for node in ("n1", "n2") for scope in ("app", "shop")]
    by_place = {(one.node, one.scope): one for one in [*views, *changed]}
    return from_report(report(list(by_place.values()), **changes))


GOOD = NodeSeen(True, frozenset({"aa", "bb"}), frozenset(), frozenset({"aa"}))


def test_all_is_well():
    found = of()
    assert dict(found.nodes) == {"n1": GOOD, "n2": GOOD}
    assert (found.ring, found.generation, found.clock, found.ahead) == ("r1", 4, "ok", (0, 1))
    assert found.started == START and START + 3 <= found.ended <= START + 4
    assert found.max_ages == {"app": {3600}, "shop": {60}}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([silent("n2", "app"), silent("n2", "shop")], NodeSeen(False, frozenset(), frozenset(), frozenset({UNLISTED}))),
        ([silent("n2", "app")], NodeSeen(True, frozenset(), frozenset(), frozenset({UNLISTED, "aa"}))),
        ([view("n2", "app", accepts=(True, False))], replace(GOOD, accepts=frozenset({"aa"}))),
        ([view("n2", "app", accepts=(True, None))], replace(GOOD, accepts=frozenset({"aa"}))),
        ([view("n2", scope, accepts=(True, False)) for scope in ("app", "shop")],
         replace(GOOD, accepts=frozenset({"aa"}), refuses=frozenset({"bb"}))),
        ([view("n2", "app", encrypts_with=1)], replace(GOOD, encrypts_with=frozenset({"aa", "bb"}))),
        ([view("n2", "app", encrypts_with=None, sealed="plain")], replace(GOOD, encrypts_with=frozenset({"aa", UNLISTED}))),
        ([view("n2", "app", proven=False)], NodeSeen(True, frozenset(), frozenset(), frozenset({UNLISTED, "aa"}))),
        ([view("n2", scope, proven=False, accepts=(True, False)) for scope in ("app", "shop")],
         NodeSeen(True, frozenset(), frozenset(), frozenset({UNLISTED}))),
        ([view("n2", "app", changing=True)], replace(GOOD, encrypts_with=frozenset({"aa", UNLISTED}))),
    ],
)
def test_what_a_node_does_in_all_scopes_counts(changed, expected):
    assert of(*changed).nodes == {"n1": GOOD, "n2": expected}


def test_a_node_that_was_not_asked_is_there_all_the_same():
    views = [view("n1", "app"), view("n1", "shop")]
    assert from_report(report(views)).nodes["n2"].answered is False


def test_max_ages_seen_count_beside_those_configured():
    look = view("n1", "app").look
    assert of(view("n2", "app", look=replace(look, max_age=9))).max_ages["app"] == {3600, 9}
    assert of(view("n2", "app", look=replace(look, max_age=None))).max_ages["app"] == {3600, 0}


@pytest.mark.parametrize("said", [0, 315360001, 999999999999])
def test_a_max_age_that_no_session_can_have_is_one_without_end(said):
    assert of(view("n2", "app", look=replace(view("n1", "app").look, max_age=said))).max_ages["app"] == {3600, 0}


def test_how_far_clocks_may_be_apart_is_part_of_the_evidence():
    assert of().tolerance == 5.0


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf"), 10**400, "1", None])
def test_a_report_that_took_no_possible_time_is_none(duration):
    with pytest.raises(EvidenceError):
        from_report({**report([view("n1", "app"), view("n1", "shop")]), "duration": duration})


@pytest.mark.parametrize(
    ("changed", "changes", "expected"),
    [
        ([], {}, "ok"),
        ([view("n2", scope, offset=None) for scope in ("app", "shop")], {}, "unknown"),
        ([view("n2", scope, offset=Interval(9 * SECOND, 9 * SECOND)) for scope in ("app", "shop")], {}, "drifted"),
        ([], {"clock_set": 5 * SECOND}, "unknown"),
    ],
)
def test_clock(changed, changes, expected):
    assert of(*changed, **changes).clock == expected


def test_clocks_are_rounded_outwards():
    changed = [view("n2", scope, offset=Interval(-1200000, -1100000)) for scope in ("app", "shop")]
    assert of(*changed).ahead == (-2, 1)


@pytest.mark.parametrize("spoil", [{"ring": None}, {"ring": {"id": "r1"}}, {"time": "now"}, {"details": None}, {"keys": []}])
def test_what_is_no_report_is_refused(spoil):
    views = [view(node, scope) for node in ("n1", "n2") for scope in ("app", "shop")]
    with pytest.raises(EvidenceError):
        from_report({**report(views), **spoil})
