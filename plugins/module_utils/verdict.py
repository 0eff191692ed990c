# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all views of a fleet together say: findings, how many nodes open and encrypt with each key, the clocks.

A node that gave no answer counts as one that accepts nothing: "n of N" is always of the whole inventory group.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import clock
from .canary import EXPIRED, ROW, Canary
from .clock import Interval, Limits
from .cookie import sealed_length
from .evidence import View
from .findings import FAIL, INFO, KINDS, SEVERITIES, UNKNOWN, WARN, Finding, finding
from .node_verdict import Places, judge_node
from .question import Question, seconds, signed
from .scopes import Scope
from .store_verdict import judge_stores, once_for_all

BROWSER_LIMIT = 4096
"""Characters of name and value of a cookie, together, that browsers keep."""

EXPIRY_LENGTH = len("&expiry=") + 16
"""Bytes that httpd adds to a session's payload."""

HEALTHY, WARNED, FAILED, NOT_KNOWN = "healthy", "warned", "failed", "unknown"
_STATUS = {FAIL: FAILED, UNKNOWN: NOT_KNOWN, WARN: WARNED, INFO: HEALTHY}


@dataclass(frozen=True)
class KeyCount:
    """Nodes that open (``opens``) and that encrypt with (``encrypts``) one key, in one scope or in all (``""``).

    ``missing`` and ``not_encrypting``: all other nodes by name, less those that are declared absent and silent.
    """

    scope: str
    index: int
    opens: int
    encrypts: int
    missing: tuple[str, ...]
    not_encrypting: tuple[str, ...]


@dataclass(frozen=True)
class Clocks:
    """The clocks of the fleet; all times in microseconds.

    ``spread``: the largest difference of two clocks. ``base``: the offset that most nodes agree on. ``offsets``:
    against the asker's clock. ``coarse``: nodes of which only whole seconds are known. ``unread``: how many told none.
    """

    verdict: str
    limits: Limits
    spread: Interval | None
    base: Interval | None
    offsets: dict[str, Interval]
    coarse: frozenset[str]
    unread: int


@dataclass(frozen=True)
class Room:
    """What still fits into a scope's cookie: ``overhead`` characters are taken by name and sealing of an empty session,
    ``room`` bytes of form-encoded payload fit, ``seen`` is the size of the largest cookie that came back."""

    scope: str
    overhead: int
    room: int
    seen: int


@dataclass(frozen=True)
class Verdict:
    """The answer.

    ``status``: ``healthy``, ``warned``, ``failed`` or ``unknown``; ``nodes`` has the same for each node, or ``absent``.
    """

    status: str
    nodes: dict[str, str]
    findings: tuple[Finding, ...]
    keys: tuple[KeyCount, ...]
    clocks: Clocks
    rooms: tuple[Room, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed and nothing is unknown."""
        return self.status in (HEALTHY, WARNED)


def judge(question: Question, views: Iterable[View]) -> Verdict:
    """The verdict on a fleet. Views of nodes that are not in ``question.nodes`` are not looked at."""
    by_place = {(view.node, view.scope): view for view in views}
    found: list[Finding] = []
    for node in question.nodes:
        found += judge_node(question, node, by_place)
    clocks = _clocks(question, by_place)
    found += _clock_findings(question, clocks) + _unread_clocks(question, clocks, by_place, found)
    if not any(_counts_for_the_fleet(question, node, by_place) for node in question.nodes):
        found.append(finding("no_node", "", "", f"{len(question.nodes)} nodes, all declared absent", "a node that answers"))
    rooms = tuple(_room(question, scope, by_place) for scope in question.scopes if scope.store == "cookie")
    found += _fleet_findings(question, rooms)
    found += judge_stores(question, by_place)
    found.sort(key=_rank)
    nodes = _node_status(question, found)
    found = sorted(once_for_all(question, by_place, found), key=_rank)
    return Verdict(
        status=_STATUS[min((item.severity for item in found), key=SEVERITIES.index, default=INFO)],
        nodes=nodes,
        findings=tuple(found),
        keys=tuple(_counts(question, by_place)),
        clocks=clocks,
        rooms=rooms,
    )


_CODES = {code: place for place, code in enumerate(KINDS)}


def _rank(item: Finding) -> tuple[int, int, str]:
    return SEVERITIES.index(item.severity), _CODES[item.code], item.scope


def _counts_for_the_fleet(question: Question, node: str, by_place: Places) -> bool:
    """Whether a node is judged: all but those that are declared absent, and indeed silent."""
    return node not in question.absent or any(view.answered for view in _views(question, node, by_place))


def _views(question: Question, node: str, by_place: Places) -> list[View]:
    found = [by_place.get((node, scope.name)) for scope in question.scopes]
    return [view for view in found if view is not None]


def _node_status(question: Question, found: list[Finding]) -> dict[str, str]:
    status = dict.fromkeys(question.nodes, HEALTHY)
    for item in reversed(found):  # the gravest come first, so they are written last
        if item.node:
            status[item.node] = "absent" if item.code == "absent" else _STATUS[item.severity]
    return status


def _counts(question: Question, by_place: Places) -> Iterable[KeyCount]:
    scopes = [scope.name for scope in question.scopes]
    for index in range(len(question.keys)):
        groups = [("", scopes)] + ([(name, [name]) for name in scopes] if len(scopes) > 1 else [])
        for label, names in groups:
            opens, encrypts, missing, other = 0, 0, [], []
            for node in question.nodes:
                views = [by_place.get((node, name)) for name in names]
                silent = not any(view and view.answered for view in views)
                if views and all(view and view.proven and index < len(view.accepts) and view.accepts[index] for view in views):
                    opens += 1
                elif not (silent and node in question.absent):
                    missing.append(node)
                if views and all(view and view.proven and view.encrypts_with == index and not view.changing for view in views):
                    encrypts += 1
                elif not (silent and node in question.absent):
                    other.append(node)
            yield KeyCount(label, index, opens, encrypts, tuple(missing), tuple(other))


def _clocks(question: Question, by_place: Places) -> Clocks:
    offsets: dict[str, Interval] = {}
    coarse = set()
    needed: list[Interval | None] = []
    for node in question.nodes:
        views = [view for view in _views(question, node, by_place) if view.offset is not None]
        fine = [view for view in views if view.offset_by == "expiry"]
        offset = clock.intersect(view.offset for view in fine or views if view.offset)
        if offset is not None:
            offsets[node] = offset
            if not fine:
                coarse.add(node)
        if offset is not None or _counts_for_the_fleet(question, node, by_place):
            needed.append(offset)
    known = list(offsets.values())
    return Clocks(
        verdict=clock.verdict(needed, question.limits),
        limits=question.limits,
        spread=clock.spread(known),
        base=clock.reference(known),
        offsets=offsets,
        coarse=frozenset(coarse),
        unread=needed.count(None),
    )


def _clock_findings(question: Question, clocks: Clocks) -> list[Finding]:
    """What is certain of single nodes, and where the fleet is off without one of them standing out, the outermost."""
    if clocks.base is None or clocks.spread is None:
        return []
    away = {node: clock.distance(offset, clocks.base) for node, offset in clocks.offsets.items()}
    warn, fail = clocks.limits.warn, clocks.limits.fail
    drifted = [node for node, distance in away.items() if distance.low > fail]
    differing = [node for node, distance in away.items() if warn < distance.low <= fail]
    unclear: list[str] = []
    if clocks.verdict == clock.DRIFTED:
        drifted = drifted or _outermost(clocks.offsets)
    elif clocks.verdict == clock.WARNED:
        differing = differing or _outermost(clocks.offsets)
    elif clocks.verdict == clock.UNKNOWN and clocks.spread.high > fail:
        unclear = [node for node, distance in away.items() if distance.high > fail] or _outermost(clocks.offsets)
    found = []
    for code, nodes, limit, severity in (
        ("clock_drift", drifted, fail, FAIL),
        # Certainly off, and perhaps over the limit, perhaps just at it.
        ("clock_drift", [node for node in unclear if away[node].low > warn], fail, UNKNOWN),
        ("clock_unknown", [node for node in unclear if away[node].low <= warn], fail, UNKNOWN),
        ("clock_warn", [node for node in differing if node not in {*drifted, *unclear}], warn, WARN),
    ):
        expected = f"within {seconds(limit)} of each other"
        found += [finding(code, node, "", _clock_seen(clocks, node), expected, severity) for node in nodes]
    return found


def _unread_clocks(question: Question, clocks: Clocks, by_place: Places, found: list[Finding]) -> list[Finding]:
    """Nodes in order of which nothing is known but the time: unknown never passes."""
    grave = {item.node for item in found if item.severity in (FAIL, UNKNOWN)}
    unread = []
    for node in question.nodes:
        if node in clocks.offsets or node in grave or not _counts_for_the_fleet(question, node, by_place):
            continue
        told = any(view.offset is not None for view in _views(question, node, by_place))
        seen = "its answers in different scopes contradict each other" if told else "no answer told the time"
        unread.append(finding("clock_unknown", node, "", seen, f"within {seconds(clocks.limits.fail)} of each other"))
    return unread


def _outermost(offsets: dict[str, Interval]) -> list[str]:
    """The node that is certainly furthest ahead, and the one furthest behind."""
    ahead = max(offsets, key=lambda node: offsets[node].low)
    behind = min(offsets, key=lambda node: offsets[node].high)
    return [behind, ahead] if behind != ahead else [ahead]


def _clock_seen(clocks: Clocks, node: str) -> str:
    offset = clocks.offsets[node]
    base = clocks.base or offset
    low, high = offset.low - base.middle, offset.high - base.middle
    return f"{signed(low)} to {signed(high)} against the fleet"


def room_for(name_length: int, cipher: str) -> int:
    """Bytes of form-encoded payload, without the expiry, that fit into a cookie that browsers keep."""
    room = -1
    for payload in range(BROWSER_LIMIT):
        if name_length + sealed_length(payload + EXPIRY_LENGTH, cipher) > BROWSER_LIMIT:
            break
        room = payload
    return room


def _room(question: Question, scope: Scope, by_place: Places) -> Room:
    views = [by_place.get((node, scope.name)) for node in question.nodes]
    seen = max((view.size for view in views if view), default=0)
    overhead = len(scope.cookie_name) + sealed_length(EXPIRY_LENGTH - 1, scope.cipher)
    return Room(scope.name, overhead, room_for(len(scope.cookie_name), scope.cipher), seen)


def _fleet_findings(question: Question, rooms: Sequence[Room]) -> list[Finding]:
    found = []
    for room in rooms:
        if question.payload > room.room:
            seen = f"a payload of {question.payload} bytes"
            found.append(finding("cookie_size", "", room.scope, seen, f"at most {room.room} bytes"))
    for index, key in enumerate(question.keys):
        if key.weak and key.state != "revoked":
            found.append(finding("weak_key", "", "", f"{question.name(index)} is weak", "256 random bits"))
    for one in question.canary or ():
        found += _canary_findings(one)
    if question.clock_set:
        found.append(finding("controller_clock", "", "", f"it jumped by {signed(question.clock_set)}", "a steady clock"))
    return found


def _canary_findings(one: Canary) -> list[Finding]:
    """What the last check says of a canary as a whole."""
    tallies = one.phases[-1].tallies if one.phases else {}
    if not tallies:
        return [finding("canary_unknown", "", one.scope, "no node made one", "a node that encrypts with the first key makes it")]
    found = []
    for user, tally in tallies.items():
        if tally.why:
            code = "canary_expired" if tally.why == EXPIRED else "canary_revoked"
            since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(tally.since))
            what = "row" if user == ROW else f"{user} cookie"
            found.append(finding(code, "", one.scope, f"its {what}, which {tally.node} made at {since}"))
    return found
