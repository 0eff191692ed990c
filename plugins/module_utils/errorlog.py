# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What httpd's error log says of sessions: counts by code, their hours, one example without what is secret."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, Dict, List, Match, Optional, Pattern, Sequence, Tuple, Union

from .causes import Symptom
from .log_time import stamp
from .probe import PROBE_NAME
from .text import printable

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

MOST = 8192
"""Characters of a line that are looked at: httpd's own lines are no longer (MAX_STRING_LEN)."""

_CLIENT = re.compile(r"(?i)(?:\[(?:client|remote) |(?<![a-z])(?:client|remote|peer)(?:_?(?:ip|addr|address|host))?"
                     r"[\"']?\s?[:=]\s?[\"']?)(\[?[0-9a-f:.]{2,60}(?:\]:\d{1,5})?)")
"""The client in httpd's own format, and as a format of JSON or of names and values has it."""

_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]{2,45}\]):[1-9]\d{3,4}(?!\w)")
_PORT = re.compile(r":[1-9]\d{0,4}\Z")
_WORKER = re.compile(r"(?i)(?<![a-z])pid[^\w]{0,4}(\d{1,10})(?:[^\w]{1,4}tid[^\w]{0,4}(\d{1,20}))?")
_OF_A_PROBE = re.compile(
    r"(?i)/(?:%s|%%2e%s)(?:/[0-9]+)?(?=[,\s?\"'\\\])}]|\Z)" % (re.escape(PROBE_NAME), re.escape(PROBE_NAME[1:])))
_CODE = re.compile(r"\bAH(\d{5})\b")


def _hide_random(found: Match[str]) -> str:
    """A sealed cookie or a key: a long word, or one of base64, which may have slashes as a path has. In doubt it is hidden."""
    word = found.group(0)
    mixed = all(re.search(letters, word) for letters in ("[a-z]", "[A-Z]", "[0-9]"))
    return "(hidden)" if mixed or max(map(len, word.split("/"))) >= 24 or (
        len(word) >= 32 and re.search("[A-Z+=]|//", word)) else word


_SECRETS: Tuple[Tuple[Pattern[str], Union[str, Callable[[Match[str]], str]]], ...] = (
    (re.compile(r"(?i)(\b(?:session)?crypto\s*passphrase\s+)\S.*"), r"\1(hidden)"),
    (re.compile(r"(?i)((?:password|passwd|pass|secret|passphrase|token)['\"]?\s*[=:]\s*)[^\s,;&]+"), r"\1(hidden)"),
    (re.compile(r"(?i)((?:set-)?cookie:?\s{0,8}[^\s=]{1,256}=)[^\s;,]+"), r"\1(hidden)"),
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


_Loss = Tuple[str, Optional[int]]


class Tally:
    """Counts lines within a window of time; what it keeps does not grow with their number.

    What probes lose is not counted: a check or a deploy shows a node cookies under keys that it must refuse. A line without a
    time that can be read may be of any year: it is counted apart, in :attr:`undated`.

    :param since: beginning, seconds since the epoch.
    :param until: end.
    :ivar undated: by code, the lines with a meaning whose time is not known, or lies in the future; ``example`` is one of them.
    """

    def __init__(self, since: int, until: int) -> None:
        self.since, self.until = since, until
        self.undated: Dict[str, CodeCount] = {}
        self._counts: Dict[str, CodeCount] = {}
        self._last_loss: Tuple[str, Optional[int]] = ("", None)
        self._held: Dict[str, Deque[_Loss]] = {}
        self._number = 0
        self._probes: Dict[str, Optional[int]] = {}

    def feed(self, line: str, moment: Optional[int] = None) -> None:
        """Count one line.

        :param moment: its time where the line itself does not tell it, as in a journal.
        """
        line = line[:MOST]
        found = _CODE.search(line)
        code = "AH" + found.group(1) if found else ""
        of_a_probe = PROBE_NAME[1:] in line and _names_a_probe(line)
        if code not in MEANINGS and not of_a_probe:
            return
        at = moment if moment is not None else stamp(line, self.until)
        if at is not None and at < self.since:
            return
        if at is not None and at > self.until + HOUR:
            at = None
        who, alone = _asker(line)
        if of_a_probe:
            self._is_probe(who, alone, at)
        elif code == LOSS:
            self._lost(who, alone, line, at)
        else:
            if code == NOT_LOADED:
                self._release(who)
            self._count(code, line, at)

    def _count(self, code: str, line: str, at: Optional[int]) -> None:
        if at is None:
            if not MEANINGS[code]:
                return
            count = self.undated.setdefault(code, CodeCount(code))
        else:
            count = self._counts.setdefault(code, CodeCount(code))
            count.first = at if count.first is None else min(count.first, at)
            count.last = at if count.last is None else max(count.last, at)
            hour = at - at % HOUR
            if hour in count.per_hour or len(count.per_hour) < MOST_HOURS:
                count.per_hour[hour] = count.per_hour.get(hour, 0) + 1
        count.count += 1
        count.example = count.example or show(line)

    def _lost(self, who: str, alone: bool, line: str, at: Optional[int]) -> None:
        """Hold a loss until the line behind it says whether a probe had it; in a journal, read backwards, that stands before."""
        if alone and self._again(who, at):
            return
        if who in self._probes and _same_moment(self._probes[who], at):
            if not alone:
                del self._probes[who]  # several share the name: one line of a probe takes one loss
            return
        self._held.setdefault(who, deque()).append((line, at))
        self._number += 1
        if self._number > MOST_HELD:
            self._release(next(iter(self._held)))

    def _is_probe(self, who: str, alone: bool, at: Optional[int]) -> None:
        """Take away what a probe lost. One connection is a probe's as a whole; of a worker's losses the newest is."""
        held = self._held.get(who)
        taken = False
        while held and _same_moment(held[-1][1], at) and not (taken and not alone):
            held.pop()
            self._number -= 1
            taken = True
        if held is not None and not held:
            del self._held[who]
        if alone or not taken:
            self._probes.pop(who, None)
            self._probes[who] = at
        if len(self._probes) > MOST_HELD:
            del self._probes[next(iter(self._probes))]

    def _release(self, who: str) -> None:
        held = self._held.get(who)
        if held:
            self._number -= 1
            self._count(LOSS, *held.popleft())
        if held is not None and not held:
            del self._held[who]

    def _again(self, who: str, at: Optional[int]) -> bool:
        """Whether this is the loss that came last: httpd loads a session more than once where a request goes on inside
        (DirectoryIndex, ErrorDocument), and says so each time (measured, 2.4.71)."""
        here = (who, at)
        again = here == self._last_loss
        self._last_loss = here
        return again

    def rows(self) -> List[CodeCount]:
        """What was counted, the most frequent first; examples are redacted."""
        while self._held:
            self._release(next(iter(self._held)))
        return sorted(self._counts.values(), key=lambda count: (-count.count, count.code))


def _names_a_probe(line: str) -> bool:
    """Whether a line speaks of a probe location, not only of a visitor who says to come from there."""
    for found in _OF_A_PROBE.finditer(line):
        before = line[max(0, found.start() - 2048):found.start()]
        if "://" not in re.split(r"[\s\"']", before)[-1]:
            return True
    return False


def _asker(line: str) -> Tuple[str, bool]:
    """Whose line it is, and whether that is one connection; else the worker, which may serve others in the same second."""
    found = _CLIENT.search(line)
    client = found.group(1) if found else ""
    if _PORT.search(client) and (client.count(":") == 1 or client.startswith("[")):
        return client, True
    # A format may have the client's address with nothing around it; the server's own has a port below these.
    bare = [one for one in _ADDRESS.findall(line) if int(one.rpartition(":")[2]) >= 10000] if not client else []
    if bare:
        return bare[-1], True
    worker = _WORKER.search(line)
    return (client or (worker.group(0) if worker else "")), False


def _same_moment(one: Optional[int], other: Optional[int]) -> bool:
    return one is None or other is None or abs(one - other) <= 1


def redact(line: str) -> str:
    """A line without what may be secret: keys, cookies, passwords, query strings."""
    for pattern, instead in _SECRETS:
        line = pattern.sub(instead, line)
    return line.strip()


def show(line: str) -> str:
    """A line as a report shows it: without what is secret, short, and harmless to a terminal."""
    return printable(redact(line[:MOST]), MOST_EXAMPLE)


def judge(rows: Sequence[CodeCount]) -> List[Symptom]:
    """What the counts mean, one symptom for each meaning."""
    by_cause: Dict[str, List[CodeCount]] = {}
    for row in rows:
        if MEANINGS[row.code]:
            by_cause.setdefault(MEANINGS[row.code], []).append(row)
    return [Symptom(cause, _evidence(cause, own)) for cause, own in by_cause.items()]


def undated(tally: Tally) -> Optional[str]:
    """A sentence about the lines whose time is not known; None without any."""
    rows = sorted(tally.undated.values(), key=lambda row: (-row.count, row.code))
    if not rows:
        return None
    count = sum(row.count for row in rows)
    return "%d line%s (%s) may be of any time, and %s counted; such as: %s" % (
        count, "" if count == 1 else "s", ", ".join(row.code for row in rows), "is not" if count == 1 else "are not",
        rows[0].example)


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
