# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments as people and ring files write them: ISO 8601, UTC, whole seconds."""

from __future__ import annotations

import calendar
import time

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def moment(seconds: int) -> str:
    """A moment (seconds since the epoch) as text, such as ``2026-01-31T12:00:00Z``."""
    return time.strftime(_FORM, time.gmtime(seconds))


def parse_moment(text: str) -> int:
    """Seconds since the epoch of such a text.

    :raises ValueError: for any other text.
    """
    return calendar.timegm(time.strptime(text, _FORM))


def span(seconds: int) -> str:
    """A length of time for people, in its two largest units."""
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append("%d %s" % (count, unit))
    return " ".join(parts[:2]) or "0 s"
