# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A diagnosis for a terminal: a table of causes, what is known of each, the error logs, and where to begin."""

from __future__ import annotations

import time
from typing import Any

from .report_text import MOST_NODES, SEVERITY, table, wrap

WORDS = {"healthy": "HEALTHY", "warned": "HEALTHY, WITH WARNINGS", "failed": "FAILED", "unknown": "UNKNOWN"}
MOST_CAUSES = 20
"""Causes shown; the report files have all of them."""

MOST_LINES = 30
"""Rows of the table of error logs; the report files have all of them."""

Data = dict[str, Any]


def render(diagnosis: Data, width: int = 100) -> str:
    """The diagnosis as lines of at most about ``width`` columns."""
    causes = diagnosis["causes"][:MOST_CAUSES]
    total = len(diagnosis["nodes"])
    lines = [""]
    if causes:
        rows = [("", "", "cause", "nodes", "what")]
        for number, cause in enumerate(causes, 1):
            rows.append((str(number), SEVERITY[cause["severity"]], cause["code"], who(cause["nodes"], total), cause["title"]))
        lines += [*table(rows), ""]
    for number, cause in enumerate(causes, 1):
        lines += _cause(number, cause, total, width)
    if len(diagnosis["causes"]) > MOST_CAUSES:
        lines.append(f"... and {len(diagnosis['causes']) - MOST_CAUSES} more")
    lines += _log(diagnosis["log"])
    lines += ["", f"{WORDS[diagnosis['status']]}: {diagnosis['summary']}"]
    return "\n".join(lines)


def who(nodes: list[str], total: int) -> str:
    """The nodes that something concerns, in few words."""
    if not nodes:
        return "the fleet"
    if len(nodes) == total and total > 1:
        return f"all {total}"
    if len(nodes) <= 2:
        return ", ".join(nodes)
    return f"{nodes[0]} and {len(nodes) - 1} more"


def _cause(number: int, cause: Data, total: int, width: int) -> list[str]:
    scopes = f" [{', '.join(cause['scopes'])}]" if cause["scopes"] else ""
    lines = [f"{number}. {cause['title']}{scopes}: {who(cause['nodes'], total)}"]
    shown = cause["evidence"][:MOST_NODES]
    for one in shown:
        names = f"{', '.join(one['nodes'][:MOST_NODES])}: " if one["nodes"] and total > 1 else ""
        lines += wrap(f"seen: {names}{one['text']}", width, "   ")
    if len(cause["evidence"]) > len(shown):
        lines.append(f"   ... and on {len(cause['evidence']) - len(shown)} more")
    lines += wrap(f"do: {cause['remedy']}", width, "   ")
    if cause["explains"]:
        follows = "; ".join(f"{one['title']} ({who(one['nodes'], total)})" for one in cause["explains"])
        lines += wrap(f"explains: {follows}", width, "   ")
    return [*lines, f"   {cause['doc']}", ""]


def _log(log: list[Data]) -> list[str]:
    if not log:
        return ["error logs  nothing about sessions in the time asked for"]
    rows = [("error log", "code", "lines", "worst hour", "first", "last (UTC)")]
    for row in log[:MOST_LINES]:
        rate = f"{max(row['per_hour'].values())}" if row["per_hour"] else "-"
        rows.append((row["node"], row["code"], str(row["count"]), rate, _moment(row["first"]), _moment(row["last"])))
    lines = table(rows)
    if len(log) > MOST_LINES:
        lines.append(f"... and {len(log) - MOST_LINES} more")
    lost = sum(row["count"] for row in log if row["code"] == "AH01842")
    return [*lines, f"AH01842: {lost} sessions lost"] if lost else lines


def _moment(seconds: int | None) -> str:
    return "-" if seconds is None else time.strftime("%m-%d %H:%M:%S", time.gmtime(seconds))
