# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What httpd's error log says of sessions: counts by code, their hours, one example without what is secret."""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Match, Optional, Pattern, Sequence, Tuple, Union

from .causes import Symptom
from .probe import PROBE_NAME

HOUR = 3600
MOST_HOURS = 24 * 366
MOST_EXAMPLE = 300
"""Characters of an example line."""

MEANINGS: Dict[str, str] = {
    "AH01842": "sessions_lost",
    "AH01815": "no_store_logged", "AH01821": "no_store_logged",
    "AH01819": "expired_at_save",
    **{"AH0%d" % code: "cipher_failed" for code in (1820, 1823, 1824, *range(1825, 1832))},
    **{"AH0%d" % code: "driver_failed" for code in (1843, 1845, 1846, 1847, 1848)},
    "AH00561": "header_too_large",
    **{"AH0%d" % code: "store_failed" for code in (1816, 1822, *range(1850, 1866))},
    "AH00629": "store_failed", "AH00632": "store_failed",
    # Counted, and no cause: what stands beside another line, or is said at debug level, or is no failure.
    **{"AH%05d" % code: "" for code in (1814, 1817, 1818, *range(1832, 1842), 1844, 1849, 10005, 10006)},
}
"""What a code of httpd speaks of, a code of the table of causes (source: modules/session/*.c of httpd 2.4.71)."""

LOSS = "AH01842"
"""A session that could not be opened and is replaced by an empty one."""

NOT_LOADED = "AH01817"
"""Stands right behind a loss, and names the path."""

MOST_HELD = 256
"""Losses of which it is not known yet whether a visitor or a probe had them."""

_CLIENT = re.compile(r"\[(?:client|remote) ([^\]]+)\]")
_OF_A_PROBE = re.compile(r"/%s(?:,|\s|\Z)" % re.escape(PROBE_NAME))
_CODE = re.compile(r"\bAH(\d{5})\b")
_STAMPS = (
    # [Mon Nov 23 11:12:13.123456 2026], as httpd writes it; in local time
    re.compile(r"\[(?:[A-Z][a-z]{2} )?(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)(?:\.\d+)? "
               r"(?P<year>\d{4})\]"),
    # 2026-11-23T11:12:13.123+01:00 or 2026-11-23 11:12:13, as an operator's ErrorLogFormat or a syslog may write it
    re.compile(r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,]\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?"),
    # Nov 23 11:12:13 host httpd[12]: as the traditional syslog writes it, without the year
    re.compile(r"\A(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d) "),
)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _hide_random(found: Match[str]) -> str:
    """A sealed cookie or a key: a long word, or one of base64, which may have slashes as a path has. In doubt it is hidden."""
    word = found.group(0)
    mixed = all(re.search(letters, word) for letters in ("[a-z]", "[A-Z]", "[0-9]"))
    return "(hidden)" if mixed or max(map(len, word.split("/"))) >= 24 or (
        len(word) >= 32 and re.search("[A-Z+=]|//", word)) else word


_SECRETS: Tuple[Tuple[Pattern[str], Union[str, Callable[[Match[str]], str]]], ...] = (
    (re.compile(r"(?i)(\b(?:session)?crypto\s*passphrase\s+)\S.*"), r"\1(hidden)"),
    (re.compile(r"(?i)((?:password|passwd|pass|secret|passphrase|token)['\"]?\s*[=:]\s*)[^\s,;&]+"), r"\1(hidden)"),
    (re.compile(r"(?i)((?:set-)?cookie:?\s*[^\s=]+=)[^\s;,]+"), r"\1(hidden)"),
    (re.compile(r"\?[^\s,\]]+"), "?(hidden)"),
    (re.compile(r"[A-Za-z0-9+/_=-]{20,}"), _hide_random),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "(hidden)"),
)


@dataclass
class CodeCount:
    """How often a code was logged. Times are seconds since the epoch; None where no line told the time."""

    code: str
    count: int = 0
    first: Optional[int] = None
    last: Optional[int] = None
    per_hour: Dict[int, int] = field(default_factory=dict)
    example: str = ""


class Tally:
    """Counts lines within a window of time; what it keeps does not grow with their number.

    What probes lose is not counted: a check or a deploy shows a node cookies under keys that it must refuse.

    :param since: beginning, seconds since the epoch.
    :param until: end.
    """

    def __init__(self, since: int, until: int) -> None:
        self.since, self.until = since, until
        self._counts: Dict[str, CodeCount] = {}
        self._last_loss: Tuple[str, Optional[int]] = ("", None)
        self._held: Dict[str, Tuple[str, Optional[int]]] = {}
        self._probes: Dict[str, Optional[int]] = {}

    def feed(self, line: str, moment: Optional[int] = None) -> None:
        """Count one line.

        :param moment: its time where the line itself does not tell it, as in a journal.
        """
        found = _CODE.search(line)
        code = "AH" + found.group(1) if found else ""
        if code not in MEANINGS:
            return
        at = moment if moment is not None else stamp(line, self.until)
        if at is not None and not self.since <= at <= self.until + HOUR:
            return
        client = _CLIENT.search(line)
        who = client.group(1) if client else ""
        if code == NOT_LOADED and who:
            if _OF_A_PROBE.search(line):
                self._is_probe(who, at)
                return
            self._release(who)
        if code == LOSS:
            self._lost(who, line, at)
        else:
            self._count(code, line, at)

    def _count(self, code: str, line: str, at: Optional[int]) -> None:
        count = self._counts.setdefault(code, CodeCount(code))
        count.count += 1
        count.example = line if not count.example else count.example
        if at is not None:
            count.first = at if count.first is None else min(count.first, at)
            count.last = at if count.last is None else max(count.last, at)
            hour = at - at % HOUR
            if hour in count.per_hour or len(count.per_hour) < MOST_HOURS:
                count.per_hour[hour] = count.per_hour.get(hour, 0) + 1

    def _lost(self, who: str, line: str, at: Optional[int]) -> None:
        """Hold a loss until the line behind it says whether a probe had it; in a journal, read backwards, that stands before."""
        if self._again(who, at) or (who in self._probes and _same_moment(self._probes[who], at)):
            return
        self._release(who)
        if not who:
            self._count(LOSS, line, at)
            return
        self._held[who] = (line, at)
        if len(self._held) > MOST_HELD:
            self._release(next(iter(self._held)))

    def _is_probe(self, who: str, at: Optional[int]) -> None:
        self._held.pop(who, None)
        self._probes[who] = at
        if len(self._probes) > MOST_HELD:
            del self._probes[next(iter(self._probes))]

    def _release(self, who: str) -> None:
        if who in self._held:
            self._count(LOSS, *self._held.pop(who))

    def _again(self, who: str, at: Optional[int]) -> bool:
        """Whether this is the loss that came last: httpd loads a session more than once where a request goes on inside
        (DirectoryIndex, ErrorDocument), and says so each time (measured, 2.4.71)."""
        here = (who, at)
        again = bool(who) and here == self._last_loss
        self._last_loss = here
        return again

    def rows(self) -> List[CodeCount]:
        """What was counted, the most frequent first; examples are redacted."""
        for who in list(self._held):
            self._release(who)
        for count in self._counts.values():
            count.example = redact(count.example)[:MOST_EXAMPLE]
        return sorted(self._counts.values(), key=lambda count: (-count.count, count.code))


def _same_moment(one: Optional[int], other: Optional[int]) -> bool:
    return one is None or other is None or abs(one - other) <= 1


def stamp(line: str, now: int) -> Optional[int]:
    """When a line was written, seconds since the epoch; None where it does not tell.

    :param now: tells the year of a line that has none.
    """
    for pattern in _STAMPS:
        found = pattern.search(line[:200])
        if found:
            try:
                return _epoch(found.groupdict(), now)
            except (ValueError, OverflowError):
                return None
    return None


def _epoch(parts: Dict[str, Optional[str]], now: int) -> int:
    clock = [int(word) for word in (parts["clock"] or "").split(":")]
    if parts.get("date"):
        date = [int(word) for word in (parts["date"] or "").split("-")]
    else:
        year = int(parts.get("year") or time.localtime(now).tm_year)
        date = [year, _MONTHS.index(parts["month"] or "") + 1, int(parts["day"] or 0)]
    zone = parts.get("zone")
    if zone:
        away = 0 if zone == "Z" else (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
        return calendar.timegm((*date, *clock)) - away
    local = int(time.mktime((*date, *clock, 0, 0, -1)))  # type: ignore[arg-type]
    if not parts.get("date") and not parts.get("year") and local > now + 86400:
        return int(time.mktime((date[0] - 1, date[1], date[2], *clock, 0, 0, -1)))  # type: ignore[arg-type]
    return local


def redact(line: str) -> str:
    """A line without what may be secret: keys, cookies, passwords, query strings."""
    for pattern, instead in _SECRETS:
        line = pattern.sub(instead, line)
    return line.strip()


def judge(rows: Sequence[CodeCount]) -> List[Symptom]:
    """What the counts mean, one symptom for each meaning."""
    by_cause: Dict[str, List[CodeCount]] = {}
    for row in rows:
        if MEANINGS[row.code]:
            by_cause.setdefault(MEANINGS[row.code], []).append(row)
    return [Symptom(cause, _evidence(cause, own)) for cause, own in by_cause.items()]


def _evidence(cause: str, rows: Sequence[CodeCount]) -> str:
    count = sum(row.count for row in rows)
    codes = ", ".join(sorted(row.code for row in rows))
    what = "session" if cause == "sessions_lost" else "line"
    text = "%d %s%s%s (%s)" % (count, what, "" if count == 1 else "s", " lost" if cause == "sessions_lost" else "", codes)
    hours: Dict[int, int] = {}
    for row in rows:
        for hour, number in row.per_hour.items():
            hours[hour] = hours.get(hour, 0) + number
    if hours:
        first = min(row.first for row in rows if row.first is not None)
        last = max(row.last for row in rows if row.last is not None)
        worst = max(hours, key=lambda hour: (hours[hour], -hour))
        text += " from %s to %s, at worst %d in the hour from %s" % (
            _moment(first), _moment(last), hours[worst], _moment(worst))
    return "%s; such as: %s" % (text, rows[0].example)


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
