# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole rotation, step by step as the playbook takes them, and what stops it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.ring import MaxAge, Refusal, saved
from plugins.module_utils.ring_evidence import NodeSeen
from plugins.module_utils.ring_rotate import DEMANDED, DUE, NO, advance, is_due, under_way

from .ring_stories import MARGINS, MAX_AGE, NODES, at, confirmed, first, obedient, promoted, retired, secret, seen, staged

DAY = 86400
WAIT = MAX_AGE + MARGINS.drift + MARGINS.drain


def step(ring, when, begin=NO, evidence=None, count=9):
    """Learn, take the step that is due, save where anything changed."""
    evidence = evidence or seen(ring, when)
    learned = verbs.observe(ring, at(when), evidence)
    new = advance(learned, at(when), evidence, DAY, MARGINS, begin, secret(count))
    return ring if new == ring else saved(ring, new)


def due(ring, when, begin=DUE):
    return is_due(ring, at(when).time, DAY, MARGINS, begin)


def states(ring):
    return [key.state for key in ring.keys]


def test_a_rotation_in_two_runs():
    ring = first()
    assert not due(ring, DAY - 1) and due(ring, DAY)
    ring = step(ring, DAY, DUE)
    assert states(ring) == ["primary", "staged"] and under_way(ring) and due(ring, DAY)
    ring = step(ring, DAY + 1)
    assert states(ring) == ["primary", "secondary"] and under_way(ring) and due(ring, DAY)
    ring = step(ring, DAY + 2)
    assert not under_way(ring) and not due(ring, DAY + 1 + WAIT)
    # The second run, when the last session under the old key has ended.
    later = DAY + 2 + WAIT
    assert due(ring, later)
    assert step(ring, later - 1) is ring
    ring = step(ring, later)
    assert states(ring) == ["primary", "retired"] and under_way(ring) and due(ring, later)
    ring = step(ring, later + 1)
    assert states(ring) == ["primary"] and not under_way(ring) and not due(ring, later + 1)
    assert step(ring, later + 2, DUE) is ring


def test_on_demand_it_begins_at_once_and_an_interrupted_one_is_gone_on_with():
    ring = step(first(), 10, DEMANDED)
    assert states(ring) == ["primary", "staged"]
    key = ring.staged.id
    ring = step(ring, 11, DEMANDED)
    assert ring.primary.id == key and states(ring) == ["primary", "secondary"]
    silent = seen(ring, 12, {"n2": None})
    with pytest.raises(Refusal, match="n2 gave no answer"):
        step(ring, 12, DEMANDED, silent)
    assert due(first(), 0, DEMANDED)


@pytest.mark.parametrize(
    ("ring", "changes", "reason", "words"),
    [
        (staged(), {"nodes": {"n3": None}}, "nodes", "n3 gave no answer"),
        (staged(), {"nodes": {"n3": obedient(first())}}, "nodes", "n3 does not accept"),
        (promoted(), {"nodes": {"n1": None}}, "nodes", "n1 gave no answer"),
        (promoted(), {"nodes": {"n1": obedient(staged())}}, "nodes", "n1 encrypts with"),
        (promoted(), {"clock": "unknown"}, "clock", "clocks of the fleet are unknown"),
        (retired(), {"nodes": {"n2": None}}, "nodes", "n2 gave no answer"),
        (retired(), {"nodes": {"n2": obedient(confirmed())}}, "nodes", "n2 still accepts it"),
        (retired(), {"nodes": {"n2": replace(obedient(retired()), refuses=frozenset())}}, "nodes", "n2 accepts it in some"),
    ],
)
def test_what_stops_it(ring, changes, reason, words):
    evidence = seen(ring, 5000, **changes)
    with pytest.raises(Refusal, match=words) as refusal:
        step(ring, 5000, DUE, evidence)
    assert refusal.value.reason == reason


def test_sessions_without_end_stop_it_by_name_of_the_reason():
    ring = replace(confirmed(), max_ages=(MaxAge(0),))
    with pytest.raises(Refusal) as refusal:
        step(ring, 2 * DAY, NO, seen(ring, 2 * DAY, max_ages={"app": frozenset({0})}))
    assert refusal.value.reason == "max_age_zero"


def test_a_node_declared_absent_is_not_waited_for_and_keeps_the_retired_key_in_the_ring():
    ring = confirmed()
    ring = saved(ring, verbs.absent(ring, at(40), "n2"))
    when = 30 + WAIT
    ring = step(ring, when, NO, seen(ring, when, {"n2": None}))
    assert states(ring) == ["primary", "retired"]
    after = step(ring, when + 1, NO, seen(ring, when + 1, {"n2": None}))
    assert states(after) == ["primary", "retired"] and not due(after, when + 2)
    # Back, and stale: it stops the rotation by name until it is deployed to.
    with pytest.raises(Refusal, match="n2"):
        step(after, when + 3, NO, seen(after, when + 3, {"n2": obedient(confirmed())}))


def test_nothing_begins_where_not_even_one_node_answers():
    ring = promoted()
    with pytest.raises(Refusal):
        step(ring, DAY * 2, DUE, seen(ring, DAY * 2, dict.fromkeys(NODES, NodeSeen())))
