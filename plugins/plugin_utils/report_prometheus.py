# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a check as a file for node_exporter's textfile collector."""

from __future__ import annotations

import calendar
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..module_utils.text import printable
from .report_text import USERS, shared

PREFIX = "mod_session_check"
CLOCKS = ("ok", "warn", "drifted", "unknown")
STATUSES = ("healthy", "warned", "failed", "unknown")


def render(report: dict[str, Any]) -> str:
    """The report in Prometheus' text format."""
    lines: list[str] = []

    def metric(name: str, text: str, samples: Iterable[tuple[dict[str, object], float]]) -> None:
        lines.append(f"# HELP {PREFIX}_{name} {text}")
        lines.append(f"# TYPE {PREFIX}_{name} gauge")
        for labels, value in samples:
            inside = ",".join(f'{key}="{_escape(str(text))}"' for key, text in labels.items())
            lines.append(f"{PREFIX}_{name}{'{' + inside + '}' if inside else ''} {value:.17g}")

    moment = calendar.timegm(time.strptime(report["time"], "%Y-%m-%dT%H:%M:%SZ"))
    metric("timestamp_seconds", "When the check began.", [({}, moment)])
    metric("duration_seconds", "How long it took.", [({}, report["duration"])])
    metric("passed", "Whether nothing failed and nothing is unknown.", [({}, report["passed"])])
    metric("status", "The verdict.", [({"status": word}, word == report["status"]) for word in STATUSES])
    counts = report["nodes"].items()
    metric("nodes", "Nodes of the inventory group by status.", [({"status": word}, count) for word, count in counts])
    per_key = [({"key": key["number"], "fingerprint": key["fingerprint"], "state": key["state"]}, key) for key in report["keys"]]
    metric("key_opens_nodes", "Nodes that accept the key.", [(labels, key["opens"]) for labels, key in per_key])
    metric("key_encrypts_nodes", "Nodes that encrypt with it.", [(labels, key["encrypts"]) for labels, key in per_key])
    metric(
        "key_created_timestamp_seconds",
        "When the key was made.",
        [
            (labels, calendar.timegm(time.strptime(key["created"], "%Y-%m-%dT%H:%M:%SZ")))
            for labels, key in per_key
            if key["created"]
        ],
    )
    clock = report["clock"]
    metric("clock_verdict", "What is certain of the clocks.", [({"verdict": w}, w == clock["verdict"]) for w in CLOCKS])
    if clock["spread"]:
        metric("clock_spread_min_seconds", "The least that two clocks differ by.", [({}, clock["spread"]["low"])])
        metric("clock_spread_max_seconds", "The most that two clocks differ by.", [({}, clock["spread"]["high"])])
    read = [row for row in report["details"] if row["clock"]]
    metric("node_clock_low_seconds", "Least offset.", [({"node": row["node"]}, row["clock"]["low"]) for row in read])
    metric("node_clock_high_seconds", "Most offset.", [({"node": row["node"]}, row["clock"]["high"]) for row in read])
    metric(
        "node_passed",
        "Whether nothing of the node failed or is unknown.",
        [
            ({"node": row["node"]}, row["status"] in ("healthy", "warned"))
            for row in report["details"]
            if row["status"] != "absent"
        ],
    )
    found = Counter((item["code"], item["severity"]) for item in report["findings"])
    metric(
        "findings",
        "Findings by code.",
        [({"code": code, "severity": severity}, count) for (code, severity), count in sorted(found.items())],
    )
    shown = [
        ({"scope": one["scope"], "user": user}, one["phases"][-1][user])
        for one in report["canary"] or ()
        for user in USERS
        if one["phases"] and one["phases"][-1][user]
    ]
    if shown:
        metric("canary_intact_nodes", "Nodes that gave the canary back.", [(labels, seen["intact"]) for labels, seen in shown])
        metric("canary_lost_nodes", "Nodes that lost it.", [(labels, seen["lost"]) for labels, seen in shown])
    stored = [({"scope": scope}, count) for scope, count in shared(report).items()]
    if stored:
        metric("store_nodes", "Nodes that write rows of the database and find each other's.", stored)
    room = [({"scope": item["name"]}, item["payload_room"]) for item in report["scopes"] if item["payload_room"]]
    metric("payload_room_bytes", "Bytes of session that fit into a scope's cookie.", room)
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return printable(text, 500).replace("\\", "\\\\").replace('"', '\\"')
