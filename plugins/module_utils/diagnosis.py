# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nodes of a fleet tell of themselves and what a check saw from outside, joined: each likely root cause once.

A row is one thing on one node. A cause that explains others takes their rows to it, so that what is left is what to mend; of
those, the same thing on several nodes is told once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

from .causes import CAUSES, FOLLOWS, LOGGED, LOST, Symptom
from .findings import FAIL, KINDS, SEVERITIES, UNKNOWN, WARN
from .text import printable

SCHEMA = "httpd_fleet.mod_session/diagnosis"
VERSION = 1
PAGE = "docs/troubleshooting.md"

Data = Dict[str, Any]

_RANK = {code: rank for rank, code in enumerate([*CAUSES, *KINDS])}
# What a check sees may be the root of what it sees besides, where no node tells a reason.
_SEEN_EXPLAINS = {
    **dict.fromkeys(("clock_drift", "wrong_key", "stale_ring", "wrong_order", "key_missing", "plain_text", "empty_key",
                     "wrong_cipher", "path_cut_off", "loaded_twice"), LOST),
    "store_down": ("store_unreachable", "store_failed"),
    "store_unreachable": ("store_failed",),
}
_STATUS = {FAIL: "failed", UNKNOWN: "unknown", WARN: "warned"}


@dataclass(frozen=True)
class Row:
    """One thing on one node (``node`` empty: of the fleet as a whole)."""

    code: str
    severity: str
    node: str
    scope: str
    evidence: str
    title: str
    remedy: str


def doc(code: str) -> str:
    """Where the documentation speaks of a code."""
    return "%s#%s" % (PAGE, code)


def finding(symptom: Symptom, node: str) -> Data:
    """A symptom with the words that the table has for it, and the node's name."""
    cause = CAUSES[symptom.code]
    return {"code": symptom.code, "severity": cause.severity, "node": node, "scope": symptom.scope, "title": cause.title,
            "evidence": symptom.evidence, "remedy": cause.remedy, "doc": doc(symptom.code)}


def rank(symptoms: Iterable[Symptom]) -> List[Symptom]:
    """What one node tells, the gravest and likeliest root first."""
    return sorted(symptoms, key=lambda one: (SEVERITIES.index(CAUSES[one.code].severity), _RANK[one.code], one.scope))


def join(nodes: Sequence[str], gathered: Mapping[str, Data], report: Data) -> Data:
    """The diagnosis of a fleet.

    :param nodes: all nodes of the group, in the inventory's order.
    :param gathered: by name of the node what ``session_diagnose`` told there (``findings``, ``log``), or ``fault``, a
        sentence, where it could not look. A node that is not in it was not asked. Of a finding, code, scope and evidence count;
        all else is said from here, whatever it has.
    :param report: of a check of the same fleet, as :func:`report.build` makes it.
    :returns: what ``diagnosis.json`` holds; docs/diagnose.md describes it.
    """
    rows = _rows(nodes, gathered, report)
    left, explained = _explain(rows)
    causes = [_cause(group, explained, nodes) for group in _groups(left)]
    causes.sort(key=lambda cause: (SEVERITIES.index(cause["severity"]), _RANK[cause["code"]], -len(cause["nodes"])))
    status = next((_STATUS[severity] for severity in (FAIL, UNKNOWN, WARN)
                   if any(cause["severity"] == severity for cause in causes)), "healthy")
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "time": report["time"],
        "status": status,
        "summary": _summary(causes, len(nodes)),
        "nodes": list(nodes),
        "causes": causes,
        "log": [{"node": node, **row} for node in nodes for row in gathered.get(node, {}).get("log", ())],
        "check": {key: report[key] for key in ("status", "passed", "summary")},
    }


def _rows(nodes: Sequence[str], gathered: Mapping[str, Data], report: Data) -> List[Row]:
    rows = []
    for node in nodes:
        here = gathered.get(node, {"fault": "this run left it out (--limit)"})
        if "fault" in here:
            rows.append(_row(finding(Symptom("not_examined", here["fault"]), node)))
        rows += [_row(finding(Symptom(item["code"], item["evidence"], item["scope"]), node)) for item in here.get("findings", ())]
    for item in report["findings"]:
        expected = "; expected: %s" % item["expected"] if item["expected"] else ""
        whole = {"node": item["node"] or "", "scope": item["scope"] or ""}
        rows.append(_row({**item, **whole, "evidence": printable(item["seen"] + expected)}))
    return rows


def _row(item: Data) -> Row:
    return Row(**{name: item[name] for name in ("code", "severity", "node", "scope", "evidence", "title", "remedy")})


def _explain(rows: Sequence[Row]) -> Tuple[List[Row], Dict[Row, List[Row]]]:
    """The rows that nothing explains, and by each of them what it explains. A cause is asked in the order of rank."""
    left: List[Row] = sorted(rows, key=lambda row: _RANK[row.code])
    explained: Dict[Row, List[Row]] = {}
    for row in list(left):
        if row not in left:
            continue
        taken = [other for other in left if other is not row and _explains(row, other)]
        explained[row] = taken
        left = [other for other in left if other not in taken]
    return left, explained


def _explains(row: Row, other: Row) -> bool:
    if row.code == other.code:
        return False
    if row.code not in CAUSES:
        codes = _SEEN_EXPLAINS.get(row.code, ())
        return other.code in codes and (row.node == other.node or codes is LOST or not row.node)
    cause = CAUSES[row.code]
    if row.node != other.node:
        return cause.fleet and other.code in LOST
    if other.code in cause.explains:
        return True
    follows = other.code in FOLLOWS + LOGGED or (other.code in KINDS and not other.code.startswith("clock"))
    return "*" in cause.explains and follows


def _groups(rows: Iterable[Row]) -> List[List[Row]]:
    groups: Dict[Tuple[str, str, str], List[Row]] = {}
    for row in rows:
        groups.setdefault((row.code, row.severity, row.remedy), []).append(row)
    return list(groups.values())


def _cause(rows: Sequence[Row], explained: Mapping[Row, Sequence[Row]], nodes: Sequence[str]) -> Data:
    first = rows[0]
    taken = [other for row in rows for other in explained.get(row, ())]
    # What follows may be graver than what it follows from: a clock that nobody keeps right is a warning, until it is wrong.
    severity = min((row.severity for row in [*rows, *taken]), key=SEVERITIES.index)
    by_evidence: Dict[Tuple[str, str], List[str]] = {}
    for row in rows:
        by_evidence.setdefault((row.scope, row.evidence), []).append(row.node)
    follows = Counter((row.code, row.title) for row in taken)
    return {
        "code": first.code,
        "severity": severity,
        "title": first.title,
        "nodes": [node for node in nodes if node in {row.node for row in rows}],
        "scopes": sorted({row.scope for row in rows if row.scope}),
        "evidence": [{"scope": scope, "text": text, "nodes": sorted(set(who), key=list(nodes).index) if all(who) else []}
                     for (scope, text), who in by_evidence.items()],
        "remedy": first.remedy,
        "doc": doc(first.code),
        "explains": [{"code": code, "title": title,
                      "nodes": [node for node in nodes if any(row.node == node and row.code == code for row in taken)]}
                     for code, title in follows],
    }


def _summary(causes: Sequence[Data], total: int) -> str:
    grave = [cause for cause in causes if cause["severity"] in (FAIL, UNKNOWN)]
    count = "1 node" if total == 1 else "%d nodes" % total
    if not causes:
        return "Nothing was found on %s that would end a session." % count
    if not grave:
        return "No session ends on %s; %s to look after." % (count, _things(len(causes)))
    first = grave[0]
    who = ("%d of %d nodes" % (len(first["nodes"]), total) if len(first["nodes"]) > 1 else "".join(first["nodes"])) or "the fleet"
    return "Begin with this: %s (%s). %s in all." % (first["title"], who, _things(len(causes)).capitalize())


def _things(number: int) -> str:
    return "1 thing" if number == 1 else "%d things" % number
