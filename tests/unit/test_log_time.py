# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a line was written, in each form that ErrorLogFormat, loggers and shippers give it."""

from __future__ import annotations

import calendar
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.log_time import stamp

HOUR = 3600
NOW = calendar.timegm((2026, 11, 23, 12, 0, 0))


@pytest.fixture(autouse=True)
def _zone():
    """Lines of httpd are in the node's local time."""
    before = os.environ.get("TZ")
    set_zone("UTC")
    yield
    set_zone(before)


def set_zone(zone):
    os.environ.pop("TZ", None)
    if zone is not None:
        os.environ["TZ"] = zone
    time.tzset()


@pytest.mark.parametrize(("line", "seconds"), [
    ("[Mon Nov 23 11:49:42.826037 2026] [core:error] x", 11 * HOUR + 49 * 60 + 42),
    ("[Mon Nov 23 11:49:42 2026] x", 11 * HOUR + 49 * 60 + 42),
    ("2026-11-23T11:49:42.123456+01:00 host apache2: x", 10 * HOUR + 49 * 60 + 42),
    ("2026-11-23T11:49:42Z x", 11 * HOUR + 49 * 60 + 42),
    ("2026-11-23 11:49:42,123 x", 11 * HOUR + 49 * 60 + 42),
    ("Nov 23 11:49:42 host site-errors[12]: x", 11 * HOUR + 49 * 60 + 42),
    ("[Mon Foo 23 11:49:42 2026] x", None),
    ("[Mon Feb 31 11:49:42 2026] AH01842", None),
    ("no time at all", None),
    # ErrorLogFormat of httpd 2.4.71, measured: %t, %{u}t, %{m}t, %{cu}t, %{c}t, %{z}t, %{cuz}t, a strftime
    ('{"time":"Mon Nov 23 11:49:42 2026","client":"10.0.0.1:4","msg":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ('{"time":"Mon Nov 23 11:49:42.994677 2026","msg":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ('{"time":"Mon Nov 23 11:49:42.503 2026","msg":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ('{"time":"2026-11-23 11:49:42.116986","msg":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ('{"time":"2026-11-23 11:49:42","msg":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ('{"time":"Mon Nov 23 11:49:42 2026 +0100","msg":"AH01842: x"}', 10 * HOUR + 49 * 60 + 42),
    ('{"time":"2026-11-23 11:49:42.380676 -0130","msg":"AH01842: x"}', 13 * HOUR + 19 * 60 + 42),
    ('{"time":"2026-11-23T11:49:42","msg":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ('{"time":"3sec_frac", "function" : "[-:error]", "process" : "[pid12]" ,"message" : "AH01842: x"}', None),
    # behind the message, and not in what a visitor says
    ("AH01842: decrypt session failed [curl/7.88.1] 21614 2026-11-23 11:49:42.080533", 11 * HOUR + 49 * 60 + 42),
    ('{"msg":"AH01842: x, referer: https://x/?since=2020-01-01T00:00:00Z","time":"2026-11-23 11:49:42"}',
     11 * HOUR + 49 * 60 + 42),
    ("AH01817: not loaded: /r/2020-01-01T00:00:00, referer: https://x/2020-01-01T00:00:00", None),
    # shippers and loggers
    ('{"log":"AH01842: x","@timestamp":"2026-11-23T11:49:42.000Z"}', 11 * HOUR + 49 * 60 + 42),
    ('{"date":1795434582.123,"log":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ('{"ts": 1795434582123, "log":"AH01842: x"}', 11 * HOUR + 49 * 60 + 42),
    ("1795434582 AH01842: x", 11 * HOUR + 49 * 60 + 42),
    ("time=2026-11-23T11:49:42+0000 level=error AH01842", 11 * HOUR + 49 * 60 + 42),
    ("[23/Nov/2026:12:49:42 +0100] [error] AH01842", 11 * HOUR + 49 * 60 + 42),
    ("2026/11/23 11:49:42 [error] AH01842", 11 * HOUR + 49 * 60 + 42),
    ("<134>Nov 23 11:49:42 host httpd[12]: AH01842", 11 * HOUR + 49 * 60 + 42),
    ("<134>1 2026-11-23T11:49:42.003Z host httpd - - - AH01842", 11 * HOUR + 49 * 60 + 42),
    ("2026-11-23_11:49:42.12345 AH01842", 11 * HOUR + 49 * 60 + 42),
    ("@400000006b04286026c5c36c AH01842", 11 * HOUR + 49 * 60 + 42),
    ("pid 1795434582 AH01842", None),
    ("10.1795434582.1 AH01842", None),
    ("2026-13-23 11:49:42 AH01842", None),
    ("2026-11-23 25:49:42 AH01842", None),
    ("xMon Nov 23 11:49:42 2026 AH01842", 11 * HOUR + 49 * 60 + 42),
    ("", None),
])
def test_times(line, seconds):
    found = stamp(line, NOW)
    assert found == (None if seconds is None else calendar.timegm((2026, 11, 23, 0, 0, 0)) + seconds)


def test_a_syslog_of_last_december_is_not_of_next():
    assert stamp("Dec 31 23:59:59 host x", calendar.timegm((2027, 1, 1, 1, 0, 0))) == calendar.timegm((2026, 12, 31, 23, 59, 59))


@pytest.mark.parametrize(("line", "moment"), [
    ("[Mon Jul 20 12:00:00.1 2026] AH01842", (2026, 7, 20, 10, 0, 0)),  # summer time
    ("[Mon Nov 23 12:00:00.1 2026] AH01842", (2026, 11, 23, 11, 0, 0)),
    ("[Mon Nov 23 12:00:00 2026 +0000] AH01842", (2026, 11, 23, 12, 0, 0)),
    ("2026-07-20 12:00:00Z AH01842", (2026, 7, 20, 12, 0, 0)),
])
def test_a_time_without_a_zone_is_local(line, moment):
    set_zone("Europe/Berlin")
    assert stamp(line, NOW) == calendar.timegm(moment)


@given(st.text(max_size=300))
def test_any_line_is_taken(line):
    stamp(line, NOW)
    stamp("2026-11-23T" + line + " AH01842 " + line, NOW)
