# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a line of an error log was written, in whatever form its ErrorLogFormat, a logger or a shipper wrote the time."""

from __future__ import annotations

import calendar
import re
import time
from typing import Dict, Iterator, Match, Optional

MOST = 8192
"""Characters of a line that are looked at: httpd's own lines are no longer (MAX_STRING_LEN)."""

DAY = 86400

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTH = "(?P<month>%s)" % "|".join(_MONTHS)
_CLOCK = r"(?P<clock>\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?"
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)\b)?"
_FREE = r"(?<![\w/?&%-])"
"""A time begins a word, and stands in no URL."""

_FORMS = (
    # %t, %{u}t, %{m}t, %{z}t of ErrorLogFormat: Mon Nov 23 11:12:13.123456 2026 +0100
    re.compile(_FREE + r"(?:[A-Z][a-z]{2} )?%s {1,2}(?P<day>\d{1,2}) %s (?P<year>\d{4})%s" % (_MONTH, _CLOCK, _ZONE)),
    # %{cu}t, a strftime, RFC 3339 of a syslog or a shipper: 2026-11-23 11:12:13.123456, 2026-11-23T11:12:13+01:00
    re.compile(_FREE + r"(?P<date>\d{4}([-/])\d\d\2\d\d)(?P<between>[T _])%s%s" % (_CLOCK, _ZONE)),
    # as in an access log: 23/Nov/2026:11:12:13 +0100
    re.compile(_FREE + r"(?P<day>\d\d)/%s/(?P<year>\d{4}):%s%s" % (_MONTH, _CLOCK, _ZONE)),
    # "timestamp": 1795432333.123, time=1795432333123, @timestamp; or the line begins with it
    re.compile(r"(?i)(?:(?<![a-z])(?:time|timestamp|ts|date|epoch)[\"']?\s?[:=]\s?[\"']?|\A[\[\"']?)"
               r"(?P<epoch>\d{10})(?:\d{3}|\d{6}|\d{9})?(?:\.\d{1,9})?(?![\d.])"),
    # the traditional syslog, without the year: Nov 23 11:12:13 host httpd[12]:
    re.compile(r"\A(?:<\d{1,3}>)?%s {1,2}(?P<day>\d{1,2}) %s " % (_MONTH, _CLOCK)),
    # multilog, svlogd, s6-log: @400000006922f2ad0c2a1b14
    re.compile(r"\A@(?P<tai>4[0-9a-f]{15})[0-9a-f]{8}\b"),
)
_CODE = re.compile(r"\bAH\d{5}\b")
_REFERER = re.compile(r"(?i)referer\W{1,8}[^\s\"'\\]*")


def stamp(line: str, now: int) -> Optional[int]:
    """When a line was written, seconds since the epoch; None where it does not tell.

    A time before the message counts; else one behind it, as a format may have it, where it stands in no URL. A time without a
    zone is in the local time of this process.

    :param now: tells the year of a line that has none.
    """
    line = line[:MOST]
    code = _CODE.search(line)
    if code is None:
        return _first(line, now)
    before = _first(line[:code.start()], now)
    return before if before is not None else _first(_REFERER.sub(" ", line[code.end():]), now)


def _first(text: str, now: int) -> Optional[int]:
    for found in _found(text):
        try:
            return _epoch(found.groupdict(), now)
        except (ValueError, OverflowError):
            pass
    return None


def _found(text: str) -> Iterator[Match[str]]:
    for form in _FORMS:
        found = form.search(text)
        if found:
            yield found


def _epoch(parts: Dict[str, Optional[str]], now: int) -> int:
    """The time that a form found. ValueError for a day or an hour that is none."""
    if parts.get("epoch"):
        return int(parts["epoch"] or 0)
    if parts.get("tai"):
        return int(parts["tai"] or "", 16) - (1 << 62) - 10
    hour, minute, second = (int(word) for word in (parts["clock"] or "").split(":"))
    if parts.get("date"):
        year, month, day = (int(word) for word in re.split("[-/]", parts["date"] or ""))
    else:
        year = int(parts.get("year") or time.localtime(now).tm_year)
        month, day = _MONTHS.index(parts["month"] or "") + 1, int(parts["day"] or 0)
    if not (1 <= month <= 12 and 1970 <= year and 1 <= day <= calendar.monthrange(year, month)[1]):
        raise ValueError("no day of the calendar")
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("no time of a day")
    moment = (year, month, day, hour, minute, second)
    zone = "Z" if parts.get("between") == "_" else parts.get("zone")  # svlogd writes UTC
    if zone:
        return calendar.timegm(moment) - _away(zone)
    local = int(time.mktime((*moment, 0, 0, -1)))
    if not parts.get("date") and not parts.get("year") and local > now + DAY:
        return int(time.mktime((year - 1, *moment[1:], 0, 0, -1)))
    return local


def _away(zone: str) -> int:
    if zone[0] not in "+-":
        return 0
    return (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
