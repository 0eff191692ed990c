# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A diagnosis as one HTML file that needs nothing else: no network, no scripts."""

from __future__ import annotations

import time
from typing import Any

from .diagnosis_text import who
from .report_html import SEVERITIES, template

HEADLINES = {
    "healthy": ("Nothing found", "✓"),
    "warned": ("Sessions stay", "!"),
    "failed": ("Sessions end", "✕"),
    "unknown": ("Not all is known", "?"),
}
HOUR = 3600
MOST_HOURS = 48
"""Columns of the picture of lost sessions: the last ones."""

LISTED = 500
"""Largest number of rows of the table of error logs."""

Data = dict[str, Any]


def render(diagnosis: Data) -> str:
    """The whole file."""
    headline, sign = HEADLINES[diagnosis["status"]]
    total = len(diagnosis["nodes"])
    return template("diagnosis.html.j2").render(
        diagnosis=diagnosis,
        headline=headline,
        sign=sign,
        total=total,
        labels=SEVERITIES,
        who=lambda nodes: who(nodes, total),
        lost=_lost(diagnosis["log"]),
        log=diagnosis["log"][:LISTED],
        moment=_moment,
    )


def _moment(seconds: int | None) -> str:
    return "\N{EN DASH}" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _lost(log: list[Data]) -> Data | None:
    """Sessions lost by node and hour; a share of the worst hour for each."""
    rows = [row for row in log if row["code"] == "AH01842"]
    hours = sorted({int(hour) for row in rows for hour in row["per_hour"]})
    if not hours:
        return None
    last = hours[-1]
    first = max(hours[0], last - (MOST_HOURS - 1) * HOUR)
    columns = range(first, last + HOUR, HOUR)
    worst = max(count for row in rows for count in row["per_hour"].values())
    nodes = []
    for row in rows:
        counts = {int(hour): count for hour, count in row["per_hour"].items()}
        shown = [(hour, counts.get(hour, 0)) for hour in columns]
        cells = [{"hour": _moment(hour)[:16], "count": count, "share": count / worst} for hour, count in shown]
        nodes.append({"node": row["node"], "count": row["count"], "cells": cells})
    return {"nodes": nodes, "first": _moment(first)[:16], "last": _moment(last)[:16], "worst": worst}
