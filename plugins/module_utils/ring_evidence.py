# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence: what a check saw the running servers do, as far as the ring needs it.

Only what was seen counts: a node that gave no answer accepts nothing, refuses nothing and encrypts with nothing.
"""

from __future__ import annotations

import calendar
import math
import time
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Set, Tuple

from .bounds import LONGEST_AGE

UNLISTED = ""
"""Stands for anything that a node seals with and the ring does not have: another key, or none at all."""

UNKNOWN = "unknown"
CLOCKS = ("ok", "warn", "drifted", UNKNOWN)
"""Verdicts on the clocks of a fleet."""


class EvidenceError(ValueError):
    """A report that cannot be used; prints as a sentence that says what to do."""


@dataclass(frozen=True)
class NodeSeen:
    """What one node did, in all scopes together.

    :ivar accepts: ids of the keys that it opens in every scope; ``refuses``: that it opens in none.
    :ivar encrypts_with: ids of all keys that its answers were sealed with; :data:`UNLISTED` for anything else.
    """

    answered: bool = False
    accepts: FrozenSet[str] = frozenset()
    refuses: FrozenSet[str] = frozenset()
    encrypts_with: FrozenSet[str] = frozenset()


@dataclass(frozen=True)
class Evidence:
    """What one check saw.

    :ivar ring: id of the ring that the check was made for, and its ``generation`` when the check began.
    :ivar started: and ``ended``: by the clock of the machine that checked; seconds since the epoch.
    :ivar nodes: every node of that machine's inventory, silent ones too.
    :ivar clock: one of :data:`CLOCKS`.
    :ivar ahead: the least and the most that the nodes' clocks are ahead of that machine's, in seconds.
    :ivar max_ages: all max ages of each scope, configured or seen, in seconds; 0 for sessions without end.
    :ivar tolerance: by how many seconds two clocks may differ before the check calls them drifted.
    """

    ring: str
    generation: int
    started: int
    ended: int
    nodes: Mapping[str, NodeSeen]
    clock: str
    ahead: Tuple[int, int]
    max_ages: Mapping[str, FrozenSet[int]]
    tolerance: float = 0.0

    @property
    def earliest(self) -> int:
        """The earliest time that any node's clock showed when the check began."""
        return self.started + self.ahead[0]

    @property
    def latest(self) -> int:
        """The latest time that any node's clock showed when the check ended."""
        return self.ended + self.ahead[1]


def from_report(report: Mapping[str, Any]) -> Evidence:
    """The evidence in a check's report (schema in docs/report.md), whose member ``ring`` says for which ring it was made.

    :raises EvidenceError: for something else than a report, and for one that was made without a ring.
    """
    try:
        ring = report.get("ring") or {}
        if not ring.get("id"):
            raise EvidenceError("this report was made without the ring; run the check with the ring's keys")
        return _read(report, str(ring["id"]), int(ring["generation"]))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        if isinstance(error, EvidenceError):
            raise
        raise EvidenceError("this is no report of a check (%s: %s)" % (type(error).__name__, error)) from error


def _read(report: Mapping[str, Any], ring: str, generation: int) -> Evidence:
    started = calendar.timegm(time.strptime(report["time"], "%Y-%m-%dT%H:%M:%SZ"))
    ids = [str(key["fingerprint"]) for key in report["keys"]]
    scopes = [scope["name"] for scope in report["scopes"]]
    found = {(item["code"], item["node"]) for item in report["findings"]}
    max_ages = {scope["name"]: {int(scope["max_age"])} for scope in report["scopes"]}
    nodes: Dict[str, NodeSeen] = {}
    clocks: List[Mapping[str, float]] = []
    clock = str(report["clock"]["verdict"])
    for row in report["details"]:
        nodes[row["node"]] = seen = _node(row, ids, scopes, ("changing", row["node"]) in found)
        for view in row["scopes"]:
            if view["cookie"]:
                age = int(view["cookie"]["max_age"] or 0)
                max_ages[view["scope"]].add(age if 0 < age <= LONGEST_AGE else 0)  # else without end
        if row["clock"]:
            clocks.append(row["clock"])
        elif seen.answered:
            clock = UNKNOWN
    if not 0 <= report["duration"] < 10**6:
        raise EvidenceError("this report took no possible time: check again")
    if not clocks or clock not in CLOCKS or any(code == "controller_clock" for code, _node_name in found):
        clock = UNKNOWN
    return Evidence(
        ring=ring,
        generation=generation,
        started=started,
        ended=started + math.ceil(report["duration"]) + 1,  # the moments of a report are cut off to whole seconds
        nodes=nodes,
        clock=clock,
        ahead=(
            math.floor(min((one["low"] for one in clocks), default=0)),
            math.ceil(max((one["high"] for one in clocks), default=0)),
        ),
        max_ages={scope: frozenset(ages) for scope, ages in max_ages.items()},
        tolerance=float(report["clock"]["fail"]),
    )


def _node(row: Mapping[str, Any], ids: List[str], scopes: List[str], changing: bool) -> NodeSeen:
    views = {view["scope"]: view for view in row["scopes"]}
    opens: Dict[str, Set[Optional[bool]]] = {key: set() for key in ids}
    encrypts: Set[str] = {UNLISTED} if changing else set()
    for scope in scopes:
        view = views.get(scope, {})
        if not view.get("proven"):
            # What anything else than the node's own probe location answered is no evidence.
            view = {"opens": [], "encrypts_with": None}
        for index, key in enumerate(ids):
            opens[key].add(view["opens"][index] if index < len(view["opens"]) else None)
        number = view["encrypts_with"]
        encrypts.add(UNLISTED if number is None else ids[number - 1])
    return NodeSeen(
        answered=any(view["http_status"] for view in row["scopes"]),
        accepts=frozenset(key for key, told in opens.items() if told == {True}),
        refuses=frozenset(key for key, told in opens.items() if told == {False}),
        encrypts_with=frozenset(encrypts),
    )
