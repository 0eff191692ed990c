# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import clock
from plugins.module_utils.clock import SECOND, Interval, Limits

NOW = 1_800_000_000 * SECOND
OFFSETS = st.integers(-20 * SECOND, 20 * SECOND)
DELAYS = st.integers(0, 3 * SECOND)


@st.composite
def samples(draw, offset):
    """One answer of a node that is ``offset`` ahead: any delay on each way, read by expiry or by Date."""
    sent = NOW + draw(st.integers(0, 100 * SECOND))
    there, back = draw(DELAYS), draw(DELAYS)
    node_time = sent + there + offset
    received = sent + there + back
    if draw(st.booleans()):
        max_age = draw(st.integers(1, 100000))
        return clock.from_expiry(node_time + max_age * SECOND, max_age, sent, received)
    return clock.from_date(node_time // SECOND * SECOND, sent, received)


@st.composite
def fleets(draw):
    """(true offsets, what was seen of each): several samples per node, some nodes unreadable."""
    truths = draw(st.lists(OFFSETS, min_size=1, max_size=6))
    seen = []
    for truth in truths:
        seen.append(clock.intersect(draw(st.lists(samples(truth), max_size=3))))
    return truths, seen


@given(OFFSETS.flatmap(lambda offset: st.tuples(st.just(offset), st.lists(samples(offset), min_size=1, max_size=5))))
def test_every_interval_holds_the_truth(case):
    truth, intervals = case
    assert all(truth in interval for interval in intervals)
    common = clock.intersect(intervals)
    assert common is not None and truth in common


@given(OFFSETS.flatmap(lambda a: OFFSETS.flatmap(lambda b: st.tuples(st.just(a), st.just(b), samples(a), samples(b)))))
def test_a_chain_of_two_clocks_holds_the_truth(case):
    one, two, first, second = case
    assert one + two in clock.chain(first, second)


@given(fleets())
def test_the_spread_holds_the_truth(case):
    truths, seen = case
    known = [(truth, interval) for truth, interval in zip(truths, seen) if interval is not None]
    between = clock.spread([interval for _, interval in known])
    if known:
        assert max(truth for truth, _ in known) - min(truth for truth, _ in known) in between
    else:
        assert between is None


@given(fleets(), st.integers(1, 3 * SECOND), st.integers(1, 10 * SECOND))
def test_a_verdict_is_never_wrong(case, warn, fail):
    truths, seen = case
    limit = Limits(min(warn, fail), fail)
    true_spread = max(truths) - min(truths)
    verdict = clock.verdict(seen, limit)
    if verdict == clock.OK:
        assert true_spread <= limit.fail
    if verdict == clock.WARNED:
        assert limit.warn < true_spread <= limit.fail
    if verdict == clock.DRIFTED:
        assert true_spread > limit.fail
    if None in seen:
        assert verdict in (clock.UNKNOWN, clock.DRIFTED)


@given(fleets())
def test_the_reference_is_where_most_intervals_meet(case):
    known = [interval for interval in case[1] if interval is not None]
    base = clock.reference(known)
    if not known:
        assert base is None
        return

    def depth(value):
        return sum(value in interval for interval in known)

    most = max(depth(interval.low) for interval in known)
    assert depth(base.low) == most and depth(base.high) == most


@given(OFFSETS, OFFSETS, DELAYS, DELAYS)
def test_a_distance_holds_the_truth(one, two, before, after):
    seen, base = Interval(one - before, one + after), Interval(two - after, two + before)
    assert abs(one - two) in clock.distance(seen, base)


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([], clock.UNKNOWN),
        ([Interval(0, 0)], clock.OK),
        ([Interval(-9 * SECOND, 9 * SECOND)], clock.OK),  # one clock cannot differ from itself
        ([Interval(0, 1000), Interval(0, 2000)], clock.OK),
        ([Interval(0, 0), Interval(SECOND, SECOND)], clock.OK),
        ([Interval(0, 0), Interval(800000, 1000001)], clock.OK),
        ([Interval(0, 0), Interval(SECOND + 1, SECOND + 2)], clock.WARNED),
        ([Interval(0, 0), Interval(5 * SECOND, 5 * SECOND)], clock.WARNED),
        ([Interval(0, 0), Interval(5 * SECOND - 1, 5 * SECOND + 1)], clock.UNKNOWN),
        ([Interval(0, 0), Interval(5 * SECOND + 1, 5 * SECOND + 2)], clock.DRIFTED),
        ([Interval(0, 0), Interval(-6 * SECOND, -6 * SECOND), None], clock.DRIFTED),
        ([Interval(0, 0), None], clock.UNKNOWN),
    ],
)
def test_verdict(offsets, expected):
    assert clock.verdict(offsets, Limits(SECOND, 5 * SECOND)) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((3600,), Limits(SECOND, 5 * SECOND)),
        ((100,), Limits(SECOND, SECOND)),
        ((60,), Limits(600000, 600000)),  # a warning limit above the failing one would never be reached
        ((3600, 2 * SECOND), Limits(2 * SECOND, 5 * SECOND)),
        ((3600, None, 500000), Limits(500000, 500000)),
        ((3600, 100000, 9 * SECOND), Limits(100000, 9 * SECOND)),
    ],
)
def test_limits(args, expected):
    assert clock.limits(*args) == expected


def test_another_max_age_is_no_other_clock():
    for max_age in (60, 3600, 7200):
        assert 5 in clock.from_expiry(NOW + 5 + max_age * SECOND, max_age, NOW, NOW + 10)
        assert clock.from_expiry(NOW + 5 + max_age * SECOND, max_age, NOW, NOW + 10) == Interval(-5, 6)


def test_contradicting_samples_are_no_clock():
    assert clock.intersect([Interval(0, 1), Interval(2, 3)]) is None
    assert clock.intersect([]) is None


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([Interval(0, 10), Interval(5, 15), Interval(100, 110)], Interval(5, 10)),
        ([Interval(0, 10), Interval(100, 110)], Interval(0, 110)),
        ([Interval(0, 10), Interval(10, 20)], Interval(10, 10)),
    ],
)
def test_reference(offsets, expected):
    assert clock.reference(offsets) == expected


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Interval(1, 0)
    with pytest.raises(ValueError, match="before"):
        clock.from_answer(0, 10, 9)
