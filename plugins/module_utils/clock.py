# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far apart the clocks of a fleet are, with what certainty.

Everything is in whole microseconds. An **offset** is a node's clock minus the asker's clock, and it is never a number
but an :class:`Interval` that certainly holds the true value: a node that answers between ``sent`` and ``received`` (by
the asker's clock) and says that it is ``t`` is off by something between ``t - received`` and ``t - sent``, however
long each way took (Cristian 1989, Marzullo 1984). Samples of one node are intersected. What cannot be decided from
intervals is ``unknown``; a verdict is never guessed.

The asker's own clock cancels out wherever nodes are compared, as long as it is not set while it asks: use a clock that
only counts forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, List, Optional, Sequence, Tuple

SECOND = 1000000
"""Microseconds in a second."""

WARN = SECOND
"""Spread over which a fleet is warned of, by default."""

FAIL = 5 * SECOND
"""Spread that fails a fleet at most, by default; less where a scope's max age is short, see :func:`limits`."""

OK, WARNED, DRIFTED, UNKNOWN = "ok", "warn", "drifted", "unknown"


@dataclass(frozen=True, order=True)
class Interval:
    """All values from ``low`` to ``high``, both included; raises ValueError where ``low`` is above ``high``."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("an interval from %d to %d is empty" % (self.low, self.high))

    @property
    def middle(self) -> int:
        """The value in the middle, rounded down."""
        return (self.low + self.high) // 2

    @property
    def width(self) -> int:
        """How much is uncertain."""
        return self.high - self.low

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Limits:
    """Spreads over ``warn`` are warned of, spreads over ``fail`` are failures."""

    warn: int
    fail: int


def from_answer(node_time: int, sent: int, received: int, resolution: int = 1) -> Interval:
    """The offset of a node that answered ``node_time``.

    :param node_time: the node's clock, cut off to whole units of ``resolution`` microseconds, read at some moment
        between ``sent`` and ``received``, which are times of the asker's clock.
    :raises ValueError: an answer that was received before it was asked for.
    """
    if received < sent:
        raise ValueError("received %d microseconds before it was sent" % (sent - received))
    return Interval(node_time - received, node_time + resolution - sent)


def from_expiry(expiry: int, max_age: int, sent: int, received: int) -> Interval:
    """The offset of a node whose session says ``expiry`` (microseconds) and whose cookie says ``max_age`` (seconds).

    httpd sets the expiry to its clock plus SessionMaxAge whenever it saves a session, and sends the same SessionMaxAge
    as the cookie's Max-Age (mod_session.c: ap_session_save; mod_session_cookie.c: session_cookie_save). So a node with
    another max age than its neighbours is not taken for one with another clock.
    """
    return from_answer(expiry - max_age * SECOND, sent, received)


def from_date(date: int, sent: int, received: int) -> Interval:
    """The offset of a node whose answer has a ``Date`` header of ``date`` microseconds: whole seconds only."""
    return from_answer(date, sent, received, SECOND)


def intersect(intervals: Iterable[Interval]) -> Optional[Interval]:
    """What all samples of one clock agree on; None for no sample at all, or for samples that contradict each other."""
    found: Optional[Interval] = None
    for interval in intervals:
        if found is None:
            found = interval
        elif max(found.low, interval.low) > min(found.high, interval.high):
            return None
        else:
            found = Interval(max(found.low, interval.low), min(found.high, interval.high))
    return found


def chain(first: Interval, second: Interval) -> Interval:
    """The offset of a clock that is ``first`` ahead of one that is itself ``second`` ahead of the asker's."""
    return Interval(first.low + second.low, first.high + second.high)


def spread(offsets: Sequence[Interval]) -> Optional[Interval]:
    """Between which bounds the largest difference of any two of these clocks lies; None without a clock."""
    if not offsets:
        return None
    least = max(offset.low for offset in offsets) - min(offset.high for offset in offsets)
    return Interval(max(0, least), _largest(offsets))


def _largest(offsets: Sequence[Interval]) -> int:
    """The largest possible difference of two clocks. Two, not one: a single wide interval is no difference."""
    if len(offsets) == 1:
        return 0
    by_high = sorted(range(len(offsets)), key=lambda index: offsets[index].high)[-2:]
    by_low = sorted(range(len(offsets)), key=lambda index: offsets[index].low)[:2]
    return max(0, max(offsets[one].high - offsets[other].low for one in by_high for other in by_low if one != other))


def limits(max_age: int, warn: Optional[int] = None, fail: Optional[int] = None) -> Limits:
    """The limits of a fleet whose shortest session lives ``max_age`` seconds.

    A node whose clock is ahead ends sessions early, by as much as it is ahead: 1 % of a session's life is tolerable,
    and 5 s in any case is a sign that time is not synchronised at all. ``warn`` and ``fail`` (microseconds) override.
    """
    if fail is None:
        fail = min(FAIL, max_age * SECOND // 100)
    if warn is None:
        warn = WARN
    return Limits(min(warn, fail), fail)


def verdict(offsets: Sequence[Optional[Interval]], limit: Limits) -> str:
    """What is certain about a fleet, None standing for a node whose clock could not be read.

    ``drifted``: two clocks differ by more than ``limit.fail``. ``ok``: none do, and nothing shows that two differ by
    more than ``limit.warn``. ``warn``: none do, but two differ by more than ``limit.warn``. All that is certain; where
    it is not, and where a clock could not be read, ``unknown``.
    """
    known = [offset for offset in offsets if offset is not None]
    between = spread(known)
    if between is not None and between.low > limit.fail:
        return DRIFTED
    if between is None or len(known) < len(offsets):
        return UNKNOWN
    if between.high > limit.fail:
        return UNKNOWN
    return WARNED if between.low > limit.warn else OK


def reference(offsets: Sequence[Interval]) -> Optional[Interval]:
    """The offset that most of these clocks agree on (Marzullo's algorithm), None without a clock.

    Where several places are agreed on by as many, it reaches from the first to the last of them: with two clocks that
    differ nobody can say which one is right.
    """
    if not offsets:
        return None
    edges: List[Tuple[int, int]] = sorted([(offset.low, 0) for offset in offsets] + [(offset.high, 1) for offset in offsets])
    best = depth = low = high = 0
    open_best = False
    for value, closing in edges:
        if not closing:
            depth += 1
            if depth > best:
                best, low = depth, value
            open_best = open_best or depth == best
        else:
            if depth == best and open_best:
                high = value
            open_best = False
            depth -= 1
    return Interval(low, high)


def distance(offset: Interval, base: Interval) -> Interval:
    """By how much a clock certainly, and by how much it possibly, differs from ``base``."""
    least = max(offset.low - base.high, base.low - offset.high, 0)
    return Interval(least, max(offset.high - base.low, base.high - offset.low))
