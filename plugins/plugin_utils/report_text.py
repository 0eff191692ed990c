# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a check for a terminal: the keys, what deviates, the clocks, the verdict and what to do."""

from __future__ import annotations

import calendar
import time
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

WORDS = {"healthy": "HEALTHY", "warned": "HEALTHY, WITH WARNINGS", "failed": "FAILED", "unknown": "UNKNOWN"}
COLOURS = {"healthy": "green", "warned": "yellow", "failed": "red", "unknown": "purple"}
SEVERITY = {"fail": "FAIL", "unknown": "????", "warn": "warn", "info": "info"}
USERS = ("idle", "busy", "row")
"""What a canary has: a cookie of a visitor who is away meanwhile, one of a visitor who is there all the time, and the name of
a row where sessions are in a database."""

MOST_NODES = 5
"""Nodes named in one line; the report files have all of them."""

MOST_GROUPS = 30
"""Different findings shown; the report files have all of them."""


def render(report: dict[str, Any], width: int = 100) -> str:
    """The report as lines of at most about ``width`` columns."""
    lines = [""]
    lines += _keys(report) + [""]
    groups = group(report["findings"])
    if groups:
        for rows in groups[:MOST_GROUPS]:
            lines += _finding(rows, report["nodes"]["total"], width)
        if len(groups) > MOST_GROUPS:
            lines.append(f"... and {len(groups) - MOST_GROUPS} more kinds of findings")
        lines.append("")
    lines += _clock(report["clock"]) + _canary(report) + _store(report) + _room(report)
    lines += ["", f"{WORDS[report['status']]}: {report['summary']}"]
    return "\n".join(lines)


def group(findings: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Findings that differ in the node only, together; in the order they came."""
    groups: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for item in findings:
        key: tuple[object, ...] = (item["severity"], item["code"], item["scope"], item["expected"])
        if not item["code"].startswith("clock"):
            key += (item["seen"],)
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def age(created: str | None, now: str) -> str:
    """How old a key is, for people."""
    if not created:
        return "-"
    seconds = epoch(now) - epoch(created)
    if seconds < 7200:
        return f"{max(0, seconds) // 60} min"
    return f"{seconds // 3600} h" if seconds < 172800 else f"{seconds // 86400} d"


def epoch(moment: str) -> int:
    """Seconds since the epoch of a moment as reports write it."""
    return calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ"))


def _keys(report: dict[str, Any]) -> list[str]:
    total = report["nodes"]["total"]
    rows = [("key", "state", "opens", "encrypts", "age")]
    for key in report["keys"]:
        name = f"{key['number']}  {key['fingerprint']}" + ("  weak" if key["weak"] else "")
        opens, encrypts = f"{key['opens']}/{total}", f"{key['encrypts']}/{total}"
        rows.append((name, key["state"], opens, encrypts, age(key["created"], report["time"])))
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, their columns below each other."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell + " " * (widths[at] - _width(cell)) for at, cell in enumerate(row)).rstrip() for row in rows]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _finding(rows: list[dict[str, Any]], total: int, width: int) -> list[str]:
    first = rows[0]
    names = [row["node"] for row in rows if row["node"]]
    who = ""
    if names:
        who = ", ".join(names[:MOST_NODES])
        if len(names) > MOST_NODES:
            who += f" and {len(names) - MOST_NODES} more"
        if len(names) > 1:
            who += f" ({len(names)}/{total})"
        who += ": "
    scope = f" [{first['scope']}]" if first["scope"] else ""
    lines = [f"{SEVERITY[first['severity']]}  {who}{first['title']}{scope}"]
    expected = f"; expected: {first['expected']}" if first["expected"] else ""
    details = [f"seen: {row['seen']}{expected}" for row in _different(rows)]
    for detail in [*details, first["remedy"]]:
        lines += wrap(detail, width, "      ")
    return lines


def _different(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row["seen"], row)
    several = list(found.values())[:MOST_NODES]
    return several if len(several) == 1 else [{**row, "seen": f"{row['node']} {row['seen']}"} for row in several]


def wrap(text: str, width: int, indent: str) -> list[str]:
    """A text as lines of at most ``width`` columns, each behind ``indent``."""
    lines, line = [], indent
    for word in text.split():
        if _width(line) + _width(word) + 1 > width and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += word + " "
    return [*lines, line.rstrip()]


def _clock(clock: dict[str, Any]) -> list[str]:
    spread = clock["spread"]
    if spread is None:
        return ["clocks  not known: no node told the time"]
    most = f"at most {_time(spread['high'])}"
    exact = f"between {_time(spread['low'])} and {_time(spread['high'])}" if spread["low"] else most
    words = {"ok": "ok", "warn": "WARN", "drifted": "DRIFTED", "unknown": "UNKNOWN"}
    limits = f"warned of over {_time(clock['warn'])}, failed over {_time(clock['fail'])}"
    unread = f"; {clock['unread']} told no time" if clock["unread"] else ""
    return [f"clocks  {words[clock['verdict']]}: {exact} apart{unread} ({limits})"]


def _time(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s".replace(".00 s", " s")


def _canary(report: dict[str, Any]) -> list[str]:
    lines = []
    for one in report["canary"] or ():
        last = one["phases"][-1] if one["phases"] else {}
        shown = [f"{user} {last[user]['intact']}/{last['nodes']}" for user in USERS if last.get(user)]
        if not shown:
            lines.append(f"canary  {one['scope']}: none, no node made one")
            continue
        checks = len(one["phases"])
        lost = sum(1 for phase in one["phases"] if lost_in(phase))
        journey = f"lost in {lost} of {checks} checks" if lost else f"{checks} check{'' if checks == 1 else 's'}, never lost"
        made = f"made by {one['maker']} {age(one['made'], report['time'])} ago"
        lines.append(f"canary  {one['scope']}: {', '.join(shown)} nodes gave it back; {made}; {journey}")
    return lines


def lost_in(phase: dict[str, Any]) -> bool:
    """Whether any node lost the canary in a phase."""
    return any(phase[user] and phase[user]["lost"] for user in USERS)


def _store(report: dict[str, Any]) -> list[str]:
    lines = []
    for scope, count in shared(report).items():
        lines.append(f"rows    {scope}: {count}/{report['nodes']['total']} nodes write rows and find each other's")
    return lines


def shared(report: dict[str, Any]) -> dict[str, int]:
    """How many nodes write rows and found those that they were shown, by scope whose sessions are in a database."""
    found = {scope["name"]: 0 for scope in report["scopes"] if scope["store"] == "dbd"}
    for row in report["details"]:
        for view in row["scopes"]:
            if view["store"] and view["store"]["shared"]:
                found[view["scope"]] += 1
    return found


def _room(report: dict[str, Any]) -> list[str]:
    lines = []
    for scope in report["scopes"]:
        if scope["payload_room"] is not None and scope["largest_cookie"]:
            lines.append(f"room    {scope['name']}: {scope['payload_room']} bytes of session fit into its cookie")
    return lines
