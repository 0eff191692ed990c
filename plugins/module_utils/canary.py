# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canary: a session of ours that goes through all checks of a rotation, as a visitor's would.

A node makes it, one for each scope. In every check every node is shown two cookies of it: the one made first, as of a
visitor who is away meanwhile (**idle**), and the newest one, as of a visitor who is there all the time (**busy**). The answers
are opened: the session's value must have come back. What each check saw is a **phase**.

Where sessions are in a database there is a third one, the name of a **row** that a node wrote before the first change. Each
node that is shown it must find and open the row: then it keeps the name. Whoever opens a row seals it anew, so that this one is
a busy visitor's.

What goes from check to check holds cookies alive and is a secret; a phase holds none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from .cookie import CookieError, format_payload, parse_payload, sealed_by, unseal

NAME = "fleetcanary"
"""Name of the session value that a canary holds."""

SECRET_BYTES = 16
IDLE, BUSY = "idle", "busy"
USERS = (IDLE, BUSY)
ROW = "row"
SHOWN = (*USERS, ROW)
"""All that a node may be shown: cookies of two users, and the name of a row."""


INTACT, FRESH, OTHER, UNREADABLE, EXPIRED, REVOKED, UNKNOWN = (
    "intact", "fresh", "other", "unreadable", "expired", "revoked", "unknown",
)  # fmt: skip
"""What became of a cookie on one node: the value came back; a fresh session did; one with another value; one that no key of
ours opens; a fresh one, because the canary had expired by the node's clock, or because its key is revoked; nobody can say."""

FATES = (INTACT, FRESH, OTHER, UNREADABLE, EXPIRED, REVOKED, UNKNOWN)
LOST = (FRESH, OTHER, UNREADABLE)
ENDED = (EXPIRED, REVOKED)

MOST_PHASES = 100
"""Phases kept; the oldest are dropped."""

MOST_NAMES = 20
"""Nodes named in a phase, of those that lost a cookie."""


class CanaryError(ValueError):
    """A canary that is none; prints as a sentence that says what to do."""


@dataclass(frozen=True)
class Held:
    """A cookie as a visitor's browser holds it.

    :ivar node: that made the cookie; ``since``: when, in seconds since the epoch by the clock of who asked.
    :ivar expiry: microseconds since the epoch by that node's clock; None: never.
    """

    value: str = field(repr=False)
    node: str
    since: int
    expiry: Optional[int]


@dataclass(frozen=True)
class Tally:
    """What one check saw of one cookie, or row, on all nodes.

    :ivar node: and ``since``: of the cookie that was shown.
    :ivar intact: how many nodes gave the value back; ``ended``: how many say that it had ended by itself, and ``why``
        (:data:`ENDED`); ``lost``: how many lost it, of which ``names`` are some.
    """

    node: str
    since: int
    intact: int
    ended: int = 0
    why: str = ""
    lost: int = 0
    names: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Phase:
    """What one check saw of the canary of one scope.

    :ivar time: when the check began, in seconds since the epoch; ``generation``: of the ring, None without one.
    :ivar maker: the node that made the canary, if it was made in this check.
    :ivar nodes: of the whole group; ``tallies``: by :data:`SHOWN`, empty where there was no canary.
    """

    time: int
    generation: Optional[int]
    maker: str
    nodes: int
    tallies: Mapping[str, Tally]


@dataclass(frozen=True)
class Canary:
    """The canary of one scope: what it holds (``secret``), which node made it, and by :data:`SHOWN` what is shown. Without a
    busy cookie: there is none yet, or it has ended."""

    scope: str
    secret: str = field(default="", repr=False)
    maker: str = ""
    made: int = 0
    held: Mapping[str, Held] = field(default_factory=dict)
    phases: Tuple[Phase, ...] = ()

    def cookies(self) -> List[Tuple[Tuple[str, ...], Held]]:
        """What a node is to be shown, and for which users: once where they have the same cookie."""
        several: Dict[str, List[str]] = {}
        for user in USERS:
            if user in self.held:
                several.setdefault(self.held[user].value, []).append(user)
        return [(tuple(users), self.held[users[0]]) for users in several.values()]


@dataclass(frozen=True)
class Seen:
    """What an answer shows: a fate, and the expiry of the cookie that came with it (microseconds), if it was opened."""

    fate: str
    expiry: Optional[int] = None


def payload(secret: str) -> str:
    """The session that a node is to make a canary of. Without an expiry no node takes it for expired."""
    return format_payload({NAME: secret})


def look(
    shown: str,
    secret: str,
    expiry: Optional[int],
    answer: str,
    passphrases: Sequence[str],
    cipher: str,
    max_age: Optional[int],
    now: int,
    revoked: FrozenSet[int] = frozenset(),
) -> Seen:
    """What became of the cookie ``shown`` on the node whose answer brought the cookie ``answer`` (empty: none).

    :param secret: and ``expiry``: what the cookie holds. ``max_age``: of the answer's cookie, in seconds.
    :param now: the node's time as far as known otherwise, in microseconds: an answer that can be opened tells it better.
    :param revoked: indices of passphrases whose sessions end by design.
    :raises ImportError: without the package cryptography.
    """
    if not answer or answer == shown:
        return Seen(UNKNOWN)
    fate, fresh = _open(secret, answer, passphrases, cipher)
    if fate == INTACT:
        return Seen(INTACT, fresh)
    if fresh is not None and max_age is not None:
        now = fresh - max_age * 1000000
    if expiry is not None and expiry < now:
        return Seen(EXPIRED)
    if revoked and _sealed_by(shown, passphrases) in revoked:
        return Seen(REVOKED)
    return Seen(fate)


def _open(secret: str, answer: str, passphrases: Sequence[str], cipher: str) -> Tuple[str, Optional[int]]:
    try:
        session = parse_payload(unseal(answer, passphrases, cipher).payload)
    except CookieError:
        return UNREADABLE, None
    found = session.pairs.get(NAME)
    return INTACT if found == secret else FRESH if found is None else OTHER, session.expiry


def look_at_row(
    row: Held, busy: Optional[Held], answer: str, passphrases: Sequence[str], now: int, revoked: FrozenSet[int] = frozenset()
) -> str:
    """What became of the row on the node whose answer brought the name ``answer`` (empty: none).

    :param busy: the cookie that was made when the row was last sealed: it tells with which key. ``now``: microseconds.
    """
    if not answer:
        return UNKNOWN
    if answer == row.value:
        return INTACT
    if row.expiry is not None and row.expiry < now:
        return EXPIRED
    if busy is not None and revoked and _sealed_by(busy.value, passphrases) in revoked:
        return REVOKED
    return FRESH


def _sealed_by(value: str, passphrases: Sequence[str]) -> int:
    try:
        return sealed_by(value, passphrases)
    except CookieError:
        return -1


def advance(
    canary: Canary, made_now: bool, fates: Mapping[str, Mapping[str, str]], newest: Optional[Held], nodes: Sequence[str],
    time: int, generation: Optional[int], row: Optional[Held] = None,
) -> Canary:
    """The canary after a check: one phase more, and the cookies for the next check.

    :param fates: by node of ``nodes``, then by user. ``newest``: a cookie of a node that kept the busy one;
        ``row``: the row, as a node that kept it left it.

    A cookie that has ended anywhere is not shown again. Then the one who is away begins anew with the newest cookie; where
    the busy one has ended too the next check makes a new canary.
    """
    tallies = {user: _tally(canary.held[user], user, fates, nodes) for user in SHOWN if user in canary.held}
    phase = Phase(time, generation, canary.maker if made_now else "", len(nodes), tallies)
    held = {user: canary.held[user] for user, tally in tallies.items() if not tally.ended}
    if ROW in held:
        held[ROW] = row or held[ROW]
    if BUSY in held:
        held[BUSY] = newest or held[BUSY]
        held.setdefault(IDLE, held[BUSY])
    else:
        held.pop(IDLE, None)
    return replace(canary, held=held, phases=(*canary.phases, phase)[-MOST_PHASES:])


def _tally(held: Held, user: str, fates: Mapping[str, Mapping[str, str]], nodes: Sequence[str]) -> Tally:
    here = [(node, fates.get(node, {}).get(user, UNKNOWN)) for node in nodes]
    lost = [node for node, fate in here if fate in LOST]
    ended = [fate for _node, fate in here if fate in ENDED]
    return Tally(
        node=held.node,
        since=held.since,
        intact=sum(fate == INTACT for _node, fate in here),
        ended=len(ended),
        why=min(ended, key=ENDED.index, default=""),
        lost=len(lost),
        names=tuple(lost[:MOST_NAMES]),
    )


# From check to check


def read(option: object) -> Optional[Dict[str, Canary]]:
    """The option ``canary``: None where none is wanted, else the canaries by scope; none of a scope: it is to be made.

    :raises CanaryError: for anything but what :func:`write` made, ``{"make": true}`` and nothing.
    """
    if not option:
        return None
    if not isinstance(option, Mapping) or not set(option) <= {"make", "scopes"}:
        raise CanaryError(_EXPECTED)
    if "scopes" not in option:
        make = option["make"]
        if make is True or (isinstance(make, str) and make.lower() in ("true", "yes", "1")):
            return {}
        if make is False or (isinstance(make, str) and make.lower() in ("false", "no", "0")):
            return None
        raise CanaryError(_EXPECTED)
    try:
        return {str(name): _canary(str(name), data) for name, data in option["scopes"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise CanaryError(_EXPECTED) from None


_EXPECTED = "canary: give {make: true}, or what the check before returned as canary, unchanged"


def write(canaries: Mapping[str, Canary]) -> Dict[str, Any]:
    """What the next check is to be given: plain data that holds cookies alive."""
    return {
        "scopes": {
            name: {
                "secret": canary.secret,
                "maker": canary.maker,
                "made": canary.made,
                "held": {user: [one.value, one.node, one.since, one.expiry] for user, one in canary.held.items()},
                "phases": [_plain_phase(phase) for phase in canary.phases],
            }
            for name, canary in canaries.items()
        }
    }


def _plain_phase(phase: Phase) -> List[Any]:
    tallies = {
        user: [one.node, one.since, one.intact, one.ended, one.why, one.lost, list(one.names)]
        for user, one in phase.tallies.items()
    }
    return [phase.time, phase.generation, phase.maker, phase.nodes, tallies]


def _canary(scope: str, data: Mapping[str, Any]) -> Canary:
    held = {
        user: Held(str(value), str(node), int(since), None if expiry is None else int(expiry))
        for user, (value, node, since, expiry) in data["held"].items()
        if user in SHOWN
    }
    phases = tuple(_phase(*phase) for phase in data["phases"][-MOST_PHASES:])
    return Canary(scope, str(data["secret"]), str(data["maker"]), int(data["made"]), held, phases)


def _phase(time: Any, generation: Any, maker: Any, nodes: Any, tallies: Mapping[str, Any]) -> Phase:
    return Phase(
        int(time),
        None if generation is None else int(generation),
        str(maker),
        int(nodes),
        {user: _read_tally(*tallies[user]) for user in SHOWN if user in tallies},
    )


def _read_tally(node: Any, since: Any, intact: Any, ended: Any, why: Any, lost: Any, names: Any) -> Tally:
    return Tally(str(node), int(since), int(intact), int(ended), str(why), int(lost), tuple(map(str, names[:MOST_NAMES])))
