# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a check as plain data: what report.json holds, and what every other form of it is made from.

The schema is described in docs/report.md. It grows by new members only; anything else raises :data:`VERSION`.
Times are seconds (numbers), moments are ISO 8601 in UTC.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .canary import SHOWN, Canary, Phase, Tally
from .clock import SECOND, Interval
from .evidence import StoreView, View
from .findings import Finding
from .question import Question
from .store_verdict import shares
from .text import clean
from .verdict import FAILED, HEALTHY, NOT_KNOWN, WARNED, KeyCount, Verdict

SCHEMA = "httpd_fleet.mod_session/check"
VERSION = 1

Data = dict[str, Any]


def build(question: Question, views: Sequence[View], verdict: Verdict, started: int, ended: int, via: str) -> Data:
    """The whole report. ``started`` and ``ended`` are microseconds since the epoch.

    Everything that is shown of a check is made from it. So here, and nowhere else, what nodes said is made safe to show.
    """
    data = {
        "schema": SCHEMA,
        "version": VERSION,
        "time": moment(started // SECOND),
        "duration": round((ended - started) / SECOND, 3),
        "via": via,
        "ring": None if question.ring is None else {"id": question.ring[0], "generation": question.ring[1]},
        "status": verdict.status,
        "passed": verdict.passed,
        "summary": summary(question, verdict),
        "nodes": _node_counts(question, verdict),
        "scopes": [_scope(question, verdict, index) for index in range(len(question.scopes))],
        "keys": [_key(question, verdict, index) for index in range(len(question.keys))],
        "clock": _clock(verdict),
        "canary": _canaries(question),
        "findings": [_finding(item) for item in verdict.findings],
        "details": _details(question, views, verdict),
    }
    found: Data = clean(data)
    return found


def moment(seconds: int) -> str:
    """A moment in ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def summary(question: Question, verdict: Verdict) -> str:
    """The verdict in one or two sentences."""
    total = len(question.nodes)
    counts = Counter(verdict.nodes.values())
    good = counts[HEALTHY] + counts[WARNED]
    absent = f" ({counts['absent']} more declared absent)" if counts["absent"] else ""
    if verdict.status == HEALTHY:
        those = "The one node agrees" if good == 1 else f"All {good} nodes agree"
        return f"{those}: every session lives on every node{absent}."
    if counts["absent"] == total:
        return f"Nothing is proven: all {total} nodes are declared absent, and none answers." if total else "There is no node."
    parts = []
    if counts[FAILED]:
        parts.append(f"{counts[FAILED]} of {total} nodes failed")
    if counts[NOT_KNOWN]:
        parts.append(f"{counts[NOT_KNOWN]} of {total} cannot be judged")
    if not parts:
        if verdict.status == WARNED:
            return f"{good} of {total} nodes agree, with something to look after{absent}."
        parts.append("the fleet as a whole does not pass")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}; {good} of {total} are fine{absent}."


def _node_counts(question: Question, verdict: Verdict) -> Data:
    counts = Counter(verdict.nodes.values())
    return {
        "total": len(question.nodes),
        **{status: counts[status] for status in (HEALTHY, WARNED, FAILED, NOT_KNOWN, "absent")},
    }


def _scope(question: Question, verdict: Verdict, index: int) -> Data:
    scope = question.scopes[index]
    room = next((item for item in verdict.rooms if item.scope == scope.name), None)
    return {
        "name": scope.name,
        "path": scope.path,
        "virtual_host": scope.virtual_host,
        "scheme": scope.scheme,
        "cookie_name": scope.cookie_name,
        "cipher": scope.cipher,
        "max_age": scope.max_age,
        "store": scope.store,
        "payload_room": room.room if room else None,
        "cookie_overhead": room.overhead if room else None,
        "largest_cookie": room.seen if room else None,
        "payload_asked": question.payload or None,
    }


def _key(question: Question, verdict: Verdict, index: int) -> Data:
    key = question.keys[index]
    counts = [count for count in verdict.keys if count.index == index]
    whole = counts[0]
    return {
        "number": index + 1,
        "fingerprint": key.fingerprint,
        "state": key.state,
        "created": None if key.created is None else moment(key.created),
        "weak": key.weak,
        **_count(whole),
        "missing": list(whole.missing),
        "not_encrypting": list(whole.not_encrypting),
        "scopes": [{"scope": count.scope, **_count(count)} for count in counts if count.scope],
    }


def _count(count: KeyCount) -> Data:
    return {
        "opens": count.opens,
        "encrypts": count.encrypts,
        "opened_by_all": not count.missing,
        "encrypted_with_by_all": not count.not_encrypting,
    }


def _clock(verdict: Verdict) -> Data:
    clocks = verdict.clocks
    return {
        "verdict": clocks.verdict,
        "warn": _seconds(clocks.limits.warn),
        "fail": _seconds(clocks.limits.fail),
        "spread": _interval(clocks.spread),
        "base": _interval(clocks.base),
        "unread": clocks.unread,
    }


def _canaries(question: Question) -> list[Data] | None:
    """The way of each scope's canary so far; None where none is wanted."""
    if question.canary is None:
        return None
    carried = {one.scope: one for one in question.canary}
    return [_canary(carried[scope.name]) for scope in question.scopes if scope.name in carried]


def _canary(one: Canary) -> Data:
    made = moment(one.made) if one.made else None
    phases = [_phase(phase) for phase in one.phases]
    return {"scope": one.scope, "maker": one.maker or None, "made": made, "phases": phases}


def _phase(phase: Phase) -> Data:
    return {
        "time": moment(phase.time),
        "generation": phase.generation,
        "maker": phase.maker or None,
        "nodes": phase.nodes,
        **{user: _tally(phase.tallies.get(user)) for user in SHOWN},
    }


def _tally(tally: Tally | None) -> Data | None:
    if tally is None:
        return None
    return {
        "by": tally.node,
        "since": moment(tally.since),
        "intact": tally.intact,
        "lost": tally.lost,
        "lost_on": list(tally.names),
        "ended": tally.ended,
        "ended_why": tally.why or None,
    }


def _finding(item: Finding) -> Data:
    return {
        "code": item.code,
        "severity": item.severity,
        "title": item.title,
        "node": item.node or None,
        "scope": item.scope or None,
        "seen": item.seen,
        "expected": item.expected,
        "remedy": item.remedy,
    }


def _details(question: Question, views: Iterable[View], verdict: Verdict) -> list[Data]:
    by_node: dict[str, list[View]] = {}
    for view in views:
        by_node.setdefault(view.node, []).append(view)
    rows = []
    for node in question.nodes:
        offset = verdict.clocks.offsets.get(node)
        rows.append(
            {
                "node": node,
                "status": verdict.nodes[node],
                "clock": _interval(offset),
                "clock_by": None if offset is None else "date" if node in verdict.clocks.coarse else "expiry",
                "scopes": [_view(view) for view in by_node.get(node, ())],
            }
        )
    return rows


def _view(view: View) -> Data:
    look = view.look
    return {
        "scope": view.scope,
        "fault": view.fault.kind if view.fault else None,
        "http_status": view.status or None,
        "proven": view.proven,
        "sealed": view.sealed,
        "encrypts_with": None if view.encrypts_with is None else view.encrypts_with + 1,
        "opens": list(view.accepts),
        "cipher": view.cipher or None,
        "cookie": None
        if look is None
        else {
            "name": look.name,
            "path": look.path,
            "domain": look.domain,
            "same_site": look.same_site,
            "http_only": look.http_only,
            "secure": look.secure,
            "max_age": look.max_age,
            "size": view.size,
        },
        "canary": dict(view.canary) or None,
        "carried": [{"from": carried.source, "lived": carried.lived} for carried in view.carried],
        "store": _store(view.store),
        "paths": [
            {"path": path.path, "http_status": path.status, "sealed": path.sealed, "opens": path.accepted} for path in view.paths
        ],
    }


def _store(store: StoreView | None) -> Data | None:
    if store is None:
        return None
    return {
        "answer": store.answer,
        "fault": store.fault.kind if store.fault else None,
        "http_status": store.status or None,
        "shared": shares(store),
        "rows": [{"from": row.source, "lived": row.lived} for row in store.rows],
    }


def _interval(interval: Interval | None) -> Data | None:
    if interval is None:
        return None
    return {"low": _seconds(interval.low), "high": _seconds(interval.high)}


def _seconds(micros: int) -> float:
    return round(micros / SECOND, 6)
