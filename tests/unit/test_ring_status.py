# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes next, in each state of a ring, and that what is shown holds no passphrase."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.ring import MaxAge, saved
from plugins.module_utils.ring_status import lines, plan, public
from plugins.module_utils.ring_times import moment, parse_moment, span

from .ring_stories import MARGINS, MAX_AGE, START, at, confirmed, first, promoted, retired, secret, staged

DAY = 86400
RETIRE = 30 + MAX_AGE + 30


def adopted():
    return saved(None, verbs.adopt("r1", at(), ["short"], "s1".lower, ["n1"]))


def with_an_absent_node():
    ring = retired()
    return saved(ring, verbs.absent(ring, at(4000), "n2"))


@pytest.mark.parametrize(
    ("ring", "when", "expected"),
    [
        (first(), 0, [("stage", DAY)]),
        (first(), DAY, [("stage", DAY)]),
        (adopted(), 5, [("stage", 5)]),
        (staged(), 50, [("promote", 50)]),
        (promoted(), 50, [("confirm", 50), ("stage", DAY + 20)]),
        (promoted(), 2 * DAY, [("confirm", 2 * DAY), ("stage", 2 * DAY + 1)]),
        (confirmed(), 50, [("retire", RETIRE), ("stage", DAY + 20)]),
        (confirmed(), 2 * DAY, [("retire", RETIRE), ("stage", DAY + 20)]),
        (retired(), 4000, [("erase", 4000), ("stage", DAY + 20)]),
        (with_an_absent_node(), 4000, [("stage", DAY + 20), ("erase", None)]),
        (replace(confirmed(), max_ages=(MaxAge(0),)), 50, [("stage", DAY + 20), ("retire", None)]),
    ],
)
def test_plan(ring, when, expected):
    steps = plan(ring, START + when, DAY, MARGINS)
    assert [(step.verb, None if step.due is None else step.due - START) for step in steps] == expected


def test_a_full_ring_waits_for_room():
    ring = confirmed()
    old = ring.secondaries[0]
    many = [replace(old, id="k%d" % number, proven=old.proven + number) for number in range(5)]
    ring = ring.with_keys(ring.primary, *many)
    stage = [step for step in plan(ring, START + 10 * DAY, 60, MARGINS) if step.verb == "stage"]
    assert stage[0].due == START + RETIRE and "after an old key is retired" in stage[0].why


def test_public_tells_all_but_the_passphrases():
    ring = saved(adopted(), verbs.stage(adopted(), at(5), secret(2)))
    ring = saved(ring, verbs.absent(ring, at(6), "n1", "gone"))
    shown = json.dumps(public(ring, START, DAY, MARGINS)) + lines(ring) + lines(None)
    assert ring.staged.passphrase not in shown and "short" not in shown
    assert "key s1 (primary) is weak" in shown and "n1 is declared absent" in shown
    assert public(ring, START, DAY, MARGINS)["next"].startswith("Next: promote, now: key %s is staged" % ring.staged.id)


def test_public_tells_the_date():
    shown = public(confirmed(), START + 60, DAY, MARGINS)
    assert shown["keys"][1]["retire_not_before"] == moment(START + RETIRE)
    assert shown["next"] == (
        "Next: retire, not before 2027-01-15T09:01:00Z (in 1 h): by then every session under key %s has ended."
        % confirmed().secondaries[0].id)
    assert [step["due"] for step in shown["steps"]] == [False, False]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (3661, "1 h 1 min"), (90061, "1 d 1 h"), (86400 * 90, "90 d")])
def test_span(seconds, text):
    assert span(seconds) == text


def test_moments():
    assert parse_moment(moment(START)) == START
    with pytest.raises(ValueError):
        parse_moment("2027-01-15 08:00")
