# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a check as one HTML file that needs nothing else: no network, no scripts.

Here is what is drawn where; how it looks is in report.html.j2 and report.css.j2. Small
fleets get tables in which every node has its
name, large ones get maps and a plot in which what deviates stands out, and lists of what deviates beside them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from .report_text import USERS, age, epoch, group, lost_in

MATRIX_NODES = 24
"""Largest fleet whose matrix is drawn as a table, node by node."""

ROW_NODES = 40
"""Largest fleet whose clocks are drawn as a table, node by node."""

LISTED_NODES = 2000
"""Largest fleet whose nodes are all listed at the end."""

HEADLINES = {
    "healthy": ("Healthy", "✓"),
    "warned": ("Healthy, with warnings", "!"),
    "failed": ("Failed", "✕"),
    "unknown": ("Unknown", "?"),
}
HEADINGS = {"idle": "Visitor who was away", "busy": "Visitor who was there", "row": "Row in the database"}
SEVERITIES = {"fail": "Failure", "unknown": "Unknown", "warn": "Warning", "info": "Note"}
OPENS, REFUSES, UNCLEAR, SILENT = "opens", "refuses", "unclear", "silent"
NONE = "\N{EN DASH}"
SIGNS = {OPENS: "✓", REFUSES: "✕", UNCLEAR: "?", SILENT: NONE}

Data = dict[str, Any]


def render(report: Data) -> str:
    """The whole file."""
    headline, sign = HEADLINES[report["status"]]
    details = report["details"]
    return template("report.html.j2").render(
        report=report,
        headline=headline,
        sign=sign,
        signs=SIGNS,
        groups=[_group(rows) for rows in group(report["findings"])],
        keys=_keys(report),
        canaries=[_canary(one, report["time"]) for one in report["canary"] or ()],
        matrix=_matrix(report) if len(details) <= MATRIX_NODES else None,
        maps=[_map(report, number) for number in range(len(report["keys"]))] if len(details) > MATRIX_NODES else [],
        clock=_clock(report),
        deviating=[row for row in details if row["status"] != "healthy"],
        listed=details if len(details) <= LISTED_NODES else [],
        duration=_seconds(report["duration"]),
        seconds=_seconds,
        node=_node,
    )


def template(name: str) -> Template:
    """A template of this folder; what is put into it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(str(Path(__file__).resolve().parent)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _seconds(value: float) -> str:
    """A length of time for people."""
    size = abs(value)
    if size < 0.0095:
        return f"{value * 1000:.1f} ms"
    if size < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s".replace(".00 s", " s")


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + _seconds(value).replace("-", "\N{MINUS SIGN}")


def _group(rows: list[Data]) -> Data:
    first = rows[0]
    return {
        **first,
        "label": SEVERITIES[first["severity"]],
        "nodes": [row["node"] for row in rows if row["node"]],
        "each": rows if len({row["seen"] for row in rows}) > 1 else [],
    }


def _keys(report: Data) -> list[Data]:
    total = max(1, report["nodes"]["total"])
    ages = [age(key["created"], report["time"]) for key in report["keys"]]
    made = [key["created"] for key in report["keys"] if key["created"]]
    oldest = min(made, default=None)
    return [
        {
            **key,
            "age": text,
            "opens_share": 100 * key["opens"] / total,
            "encrypts_share": 100 * key["encrypts"] / total,
            "age_share": _age_share(key["created"], oldest, report["time"]) if key["created"] and oldest else 0,
        }
        for key, text in zip(report["keys"], ages)
    ]


def _age_share(created: str, oldest: str, now: str) -> float:
    """A key's age as a share of the oldest one's, in per cent."""
    whole = epoch(now) - epoch(oldest)
    return 100.0 if whole <= 0 else max(2.0, 100 * (epoch(now) - epoch(created)) / whole)


# The canary


def _canary(one: Data, now: str) -> Data:
    """The way of one scope's canary, check by check."""
    phases = one["phases"]
    lost = sum(1 for phase in phases if lost_in(phase))
    users = [user for user in USERS if user != "row" or any(phase["row"] for phase in phases)]
    return {
        **one,
        "headings": [HEADINGS[user] for user in users],
        "age": age(one["made"], now),
        "lost": lost,
        "whole": all(phase[user] and phase[user]["intact"] == phase["nodes"] for phase in phases for user in users),
        "rows": [
            {**phase, "number": number, "cells": [_visitor(phase, user) for user in users], "lost_on": _lost_on(phase)}
            for number, phase in enumerate(phases, 1)
        ],
    }


def _visitor(phase: Data, user: str) -> Data | None:
    """One cookie in one phase."""
    seen = phase[user]
    if seen is None:
        return None
    silent = phase["nodes"] - seen["intact"] - seen["lost"] - seen["ended"]
    words = [(seen["lost"], "lost it"), (seen["ended"], f"{seen['ended_why']}"), (silent, "no answer")]
    tone = "failed" if seen["lost"] else "healthy" if seen["intact"] == phase["nodes"] else "unknown"
    return {
        **seen,
        "user": user,
        "tone": "info" if seen["ended"] and not seen["lost"] else tone,
        "share": 100 * seen["intact"] / max(1, phase["nodes"]),
        "words": ", ".join(f"{count} {word}" for count, word in words if count),
        "age": age(seen["since"], phase["time"]),
    }


def _lost_on(phase: Data) -> list[str]:
    return sorted({name for user in USERS if phase[user] for name in phase[user]["lost_on"]})


# Who opens what


def _opens(row: Data, number: int) -> str:
    """Whether a node opens a key in all scopes."""
    cookies = [scope for scope in row["scopes"] if scope["opens"]]
    told = [scope["opens"][number] for scope in cookies if number < len(scope["opens"])]
    if not any(scope["http_status"] for scope in row["scopes"]):
        return SILENT
    if False in told:
        return REFUSES
    return OPENS if told and all(told) else UNCLEAR


def _lives(source: Data, target: Data) -> str:
    """Whether sessions made on one node live on another, by all that is known."""
    if SILENT in (_opens(source, 0), _opens(target, 0)):
        return SILENT
    told = []
    for made in source["scopes"]:
        shown = next((scope for scope in target["scopes"] if scope["scope"] == made["scope"]), None)
        if shown is None:
            return UNCLEAR
        carried = [item["lived"] for item in shown["carried"] if item["from"] == source["node"]]
        if made["store"] and shown["store"]:
            rows = [item["lived"] for item in shown["store"]["rows"] if item["from"] == source["node"]]
            told += [bool(rows[0])] if rows else [] if made["store"]["answer"] == shown["store"]["answer"] == "row" else [False]
        key = made["encrypts_with"]
        if carried and carried[0] is not None:
            told.append(carried[0])
        elif key is not None and key <= len(shown["opens"]):
            told.append(shown["opens"][key - 1])
        else:
            # An unlisted key: whether the other node has it too cannot be seen.
            same = made["sealed"] == shown["sealed"] and made["sealed"] in ("unlisted_key", "empty_key")
            told.append(None if same else False)
    if False in told:
        return REFUSES
    return OPENS if told and all(told) else UNCLEAR


def _carried(source: Data, target: Data) -> bool:
    return any(item["from"] == source["node"] for scope in target["scopes"] for item in _shown(scope))


def _shown(scope: Data) -> list[Data]:
    """Sessions of other nodes, and rows."""
    return [*scope["carried"], *(scope["store"]["rows"] if scope["store"] else ())]


def _matrix(report: Data) -> list[Data]:
    rows = report["details"]
    return [
        {
            "node": source["node"],
            "cells": [
                {"node": target["node"], "state": _lives(source, target), "carried": _carried(source, target)} for target in rows
            ],
        }
        for source in rows
    ]


def _map(report: Data, number: int) -> Data:
    """All nodes as small squares for one key: one path per state, and those that do not open it once more by name."""
    rows = report["details"]
    columns = min(100, max(25, math.ceil(math.sqrt(len(rows) * 2.2))))
    paths: dict[str, list[str]] = {state: [] for state in SIGNS}
    odd: list[Data] = []
    for at, row in enumerate(rows):
        state = _opens(row, number)
        x, y = at % columns * 10, at // columns * 10
        if state == OPENS or len(odd) >= 500:
            paths[state].append(f"M{x + 1} {y + 1}h8v8h-8z")
        else:
            odd.append({"x": x, "y": y, "state": state, "node": row["node"]})
    counts = {state: len(paths[state]) + sum(cell["state"] == state for cell in odd) for state in SIGNS}
    return {
        "key": report["keys"][number],
        "width": columns * 10,
        "height": math.ceil(len(rows) / columns) * 10,
        "paths": {state: "".join(path) for state, path in paths.items() if path},
        "odd": odd,
        "counts": counts,
        "expected": REFUSES if report["keys"][number]["state"] == "revoked" else OPENS,
    }


# Clocks


def _clock(report: Data) -> Data | None:
    """Offsets against the fleet's reference, with a scale around them."""
    clock = report["clock"]
    rows = [row for row in report["details"] if row["clock"]]
    if not rows or clock["base"] is None:
        return None
    base = (clock["base"]["low"] + clock["base"]["high"]) / 2
    points = [
        {
            "node": row["node"],
            "low": row["clock"]["low"] - base,
            "high": row["clock"]["high"] - base,
            "by": row["clock_by"],
            "off": _away(row, clock),
        }
        for row in rows
    ]
    limits = {word: clock[word] for word in ("warn", "fail")}
    scale = _Scale(points, list(limits.values()))
    place = scale.place

    for point in points:
        middle = (point["low"] + point["high"]) / 2
        point.update(
            left=place(point["low"]),
            width=round(max(0.4, place(point["high"]) - place(point["low"])), 2),
            dot=place(middle),
            text=f"{_signed(middle)} ± {_seconds((point['high'] - point['low']) / 2)}",
        )
    marks = sorted((sign * limit, word) for word, limit in limits.items() if limit <= scale.reach for sign in (-1, 1))
    return {
        "ticks": scale.ticks(),
        "limits": [{"at": place(value), "word": word, "text": _signed(value)} for value, word in marks],
        "rows": points if len(points) <= ROW_NODES else [],
        "plot": _plot(points) if len(points) > ROW_NODES else None,
        "odd": [point for point in points if point["off"]],
        "count": len(points),
    }


def _away(row: Data, clock: Data) -> str:
    """Whether a node is certainly further than a limit from what most nodes agree on: ``fail``, ``warn`` or empty."""
    base, seen = clock["base"], row["clock"]
    least = max(seen["low"] - base["high"], base["low"] - seen["high"], 0)
    return "fail" if least > clock["fail"] else "warn" if least > clock["warn"] else ""


class _Scale:
    """Places offsets between 0 and 100 per cent: evenly, or where a few clocks are far off so that both they and the
    differences of all the others can be seen, by the inverse hyperbolic sine (even near zero, logarithmic far out)."""

    def __init__(self, points: list[Data], limits: list[float]) -> None:
        sizes: list[float] = sorted(max(abs(point["low"]), abs(point["high"])) for point in points)
        typical = max(sizes[len(sizes) // 2], 0.0005)
        self.reach: float = max([sizes[-1] * 1.08, 0.001, *(limit * 1.08 for limit in limits if limit <= sizes[-1] * 3)])
        self.bend = typical if self.reach > 12 * typical else 0.0

    def place(self, value: float) -> float:
        """Per cent."""
        if not self.bend:
            return round(50 + 50 * value / self.reach, 2)
        return round(50 + 50 * math.asinh(value / self.bend) / math.asinh(self.reach / self.bend), 2)

    def ticks(self) -> list[Data]:
        """Round numbers with their places; ``major`` ones are shown where there is little room, too."""
        values = self._bent() if self.bend else self._even()
        most = max(values)
        return [
            {
                "at": self.place(sign * value),
                "text": _signed(sign * value) if value else "0",
                "major": value in (0, most),
            }
            for value in values
            for sign in ((-1, 1) if value else (1,))
        ]

    def _even(self) -> list[float]:
        power = math.pow(10, math.floor(math.log10(self.reach / 2.5)))
        step = next((factor * power for factor in (1, 2, 5) if factor * power >= self.reach / 2.5), 10 * power)
        return [round(step * number, 9) for number in range(int(self.reach / step) + 1)]

    def _bent(self) -> list[float]:
        least, most = math.ceil(math.log10(self.bend)), math.floor(math.log10(self.reach))
        return [0.0, *(round(math.pow(10, power), 9) for power in range(least, most + 1))]


def _plot(points: list[Data]) -> Data:
    """Many clocks in one drawing: nodes from left to right in the order of their offset, which is drawn upwards."""
    ordered = sorted(points, key=lambda point: point["dot"])
    step = 1000 / len(ordered)
    bars, dots, odd = [], [], []
    for at, point in enumerate(ordered):
        x = round((at + 0.5) * step, 1)
        low, high, dot = (round(10 * (100 - value), 1) for value in
                          (point["left"], point["left"] + point["width"], point["dot"]))  # fmt: skip
        if point["off"]:
            odd.append({**point, "x": x, "low": low, "high": high, "dot": dot})
        bars.append(f"M{x} {low}V{high}")
        dots.append(f"M{x} {dot}h0")
    return {"bars": "".join(bars), "dots": "".join(dots), "odd": odd[:200]}


# Nodes


def _node(row: Data) -> Data:
    """One line on a node."""
    scopes, clock = row["scopes"], row["clock"]
    keys = sorted({scope["encrypts_with"] for scope in scopes if scope["encrypts_with"]})
    answers = [str(status) for status in sorted({scope["http_status"] for scope in scopes if scope["http_status"]})]
    answers += sorted({scope["fault"].replace("_", " ") for scope in scopes if scope["fault"]})
    carried = [item["lived"] for scope in scopes for item in _shown(scope)]
    offset = NONE
    if clock:
        middle, reach = (clock["low"] + clock["high"]) / 2, (clock["high"] - clock["low"]) / 2
        offset = f"{_signed(middle)} ± {_seconds(reach)}"
    return {
        "encrypts": ", ".join(f"key {number}" for number in keys) or NONE,
        "answer": ", ".join(answers) or NONE,
        "carried": f"{sum(1 for lived in carried if lived)}/{len(carried)}" if carried else NONE,
        "clock": offset,
    }
