# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all answers of one node in one scope show, folded into one small record.

A **shot** is one probe and the observation made of its answer. A **view** is what remains of all shots at one node in
one scope: small enough to keep ten thousand of them, and all that a verdict needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from .clock import Interval
from .probe import Observation, SetCookie, identity

FAULTS = (
    "not_asked",
    "result_invalid",
    "bad_address",
    "shared_address",
    "unresolved",
    "refused",
    "unreachable",
    "connect_timeout",
    "tls_certificate",
    "tls_handshake",
    "timeout",
    "reset",
    "closed",
    "garbage",
    "too_large",
)
"""Every way in which a node can fail to give an answer at all."""

ROW, COOKIE, NOTHING = "row", "cookie", "nothing"
"""What a node may answer at a scope's store path: the name of a row; a session in the cookie itself; no session."""

_ROW_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The more telling one counts where the answers of a node are sealed differently.
_WORST_FIRST = ("plain", "empty_key", "unlisted_key", "garbage", "key", "none")


@dataclass(frozen=True)
class Fault:
    """Why there is no answer: ``kind`` is one of :data:`FAULTS`, ``detail`` a few words on what was seen."""

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Shot:
    """One probe and what its answer showed.

    ``purpose``: ``key`` (at the probe location), ``fallback`` (elsewhere, because no probe location answered), ``path``
    (at another path that should share the scope's key), ``carry`` (a session that another node made).
    ``seen``: its ``accepted`` goes by the cookie's length for a probe location's own 403, else by the opened cookie.
    ``key``: index of the key that sealed the probe, None for a carried session. ``source``: the node that made it.
    ``marked``: whether the answer has the ``Cache-Control: no-cache, private`` that mod_session_cookie and
    mod_session_dbd add whenever sessions are on, also where they send no cookie.
    ``location``: the answer's Location header, cut short. ``large``: its body is larger than an answer to a probe is.
    ``twice``: that mark is there twice: httpd loaded the session a second time to save it. ``sent``, ``received``:
    microseconds by the asker's clock.
    """

    purpose: str
    path: str
    key: int | None
    seen: Observation
    source: str = ""
    marked: bool = False
    location: str = ""
    large: bool = False
    twice: bool = False
    sent: int = 0
    received: int = 0


@dataclass(frozen=True)
class Look:
    """How a session cookie looks to a browser; None and empty where the attribute is absent. The same on most nodes."""

    name: str
    path: str
    domain: str
    same_site: str
    http_only: bool
    secure: bool
    max_age: int | None


@dataclass(frozen=True)
class Carried:
    """A session made by the node ``source`` and shown to this one; ``lived``: whether it was opened, None unknown.

    ``in_row``: the answer's cookie names a row of a database.
    """

    source: str
    lived: bool | None
    in_row: bool = False


@dataclass(frozen=True)
class PathView:
    """What another path of the scope showed. ``sealed`` and ``encrypts_with`` as in an observation, ``look`` of its cookie."""

    path: str
    status: int
    sealed: str
    encrypts_with: int | None
    accepted: bool | None
    twice: bool = False
    look: Look | None = None


@dataclass(frozen=True)
class Elsewhere:
    """What an answer that is no probe location's showed: a hint of what is wrong, never evidence of what is right.

    The members are as in a view.
    """

    sealed: str
    encrypts_with: int | None
    accepts: tuple[bool | None, ...]


@dataclass(frozen=True)
class StoreView:
    """What one node showed of its database in one scope.

    ``answer``: to a request without a cookie, :data:`ROW`, :data:`COOKIE` or :data:`NOTHING`; ``status``: of that answer,
    0 without any. ``fault``: why there was no (further) answer. ``look``: of the cookie with the row's name, ``row``.
    ``rows``: made by other nodes and by itself, and shown to it; ``lived``: whether it found and opened the row, None where
    it gave no session at all.
    """

    answer: str
    status: int = 0
    fault: Fault | None = None
    look: Look | None = None
    rows: tuple[Carried, ...] = ()
    row: str = field(default="", repr=False)


@dataclass(frozen=True)
class View:
    """All that is known of one node in one scope.

    ``status``: of the first answer, 0 without any. ``redirect``: where it points to, if it does.
    ``proven``: whether all answers came from this node's own probe location. Else nothing else here is known of the node,
    ``elsewhere`` says what the answers showed, and ``strangers`` has the identities of other nodes that gave them.
    ``sealed``: the worst of all answers. ``encrypts_with``: index of the key that sealed the answers; ``changing``: it
    was not the same key every time. ``accepts``: for each key, whether the node opens it; None where not known.
    ``size``: characters of cookie name and value. ``cipher``: the one that opened the answer, empty if none did.
    ``offset``: the node's clock against ours; ``offset_by``: ``expiry`` or ``date``.
    ``canary``: what became of the canary's cookies, by user; empty where none was shown.
    ``store``: what its database showed; None where it was not asked for that.
    """

    node: str
    scope: str
    fault: Fault | None = None
    status: int = 0
    redirect: str = ""
    proven: bool = False
    sealed: str = "none"
    encrypts_with: int | None = None
    changing: bool = False
    accepts: tuple[bool | None, ...] = ()
    look: Look | None = None
    size: int = 0
    marked: bool = False
    large: bool = False
    twice: bool = False
    other_names: tuple[str, ...] = ()
    cipher: str = ""
    offset: Interval | None = None
    offset_by: str = ""
    carried: tuple[Carried, ...] = ()
    paths: tuple[PathView, ...] = ()
    canary: tuple[tuple[str, str], ...] = ()
    store: StoreView | None = None
    elsewhere: Elsewhere | None = None
    strangers: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether the node gave an HTTP answer to at least one probe."""
        return self.status > 0


def names_a_row(value: str) -> bool:
    """Whether a session cookie's value is the name of a row of a database."""
    return _ROW_NAME.fullmatch(value) is not None


def looks(cookie: SetCookie) -> Look:
    """How a cookie looks, from its Set-Cookie header."""

    def text(name: str) -> str:
        value = cookie.attributes.get(name, "")
        return value if isinstance(value, str) else ""

    age = text("max-age")
    return Look(
        name=cookie.name,
        path=text("path"),
        domain=text("domain").lstrip(".").lower(),
        same_site=text("samesite").capitalize(),
        http_only="httponly" in cookie.attributes,
        secure="secure" in cookie.attributes,
        max_age=int(age) if age.isascii() and age.isdigit() and len(age) < 13 else None,
    )


def fold(
    node: str,
    scope: str,
    keys: int,
    shots: list[Shot],
    fault: Fault | None = None,
    cipher: str = "",
    offset: Interval | None = None,
    offset_by: str = "",
) -> View:
    """Everything that the ``shots`` at one node in one scope show, ``keys`` being the number of keys asked for.

    ``fault``: why asking ended early, if it did. ``cipher``, ``offset`` and ``offset_by``: what opening an answer gave.
    """
    me = identity(node)
    at_probe = [shot for shot in shots if shot.purpose == "key"]
    strangers = tuple(sorted({shot.seen.identity for shot in shots} - {me, ""}))
    first = at_probe[0] if at_probe else None
    proven = not strangers and bool(at_probe) and all(shot.seen.identity == me for shot in at_probe)
    view = View(
        node=node,
        scope=scope,
        fault=fault,
        status=first.seen.status if first else 0,
        redirect=first.location if first else "",
        proven=proven,
        accepts=(None,) * keys,
        large=any(shot.large for shot in at_probe),
        carried=tuple(_carried(shot, me) for shot in shots if shot.purpose == "carry"),
        strangers=strangers,
    )
    if not proven:
        told = [shot for shot in shots if shot.purpose == "fallback"]
        told = told if told and all(shot.seen.cookie is None for shot in at_probe) else at_probe
        elsewhere = None if strangers else Elsewhere(_sealed(told), _encrypts_with(told), _accepts(keys, told))
        return replace(view, elsewhere=elsewhere, other_names=_other_names(told))
    cookies = [shot.seen.cookie for shot in at_probe if shot.seen.cookie is not None and shot.seen.sealed != "none"]
    return replace(
        view,
        sealed=_sealed(at_probe),
        encrypts_with=_encrypts_with(at_probe),
        changing=len({shot.seen.encrypts_with for shot in at_probe} - {None}) > 1,
        accepts=_accepts(keys, at_probe),
        look=looks(cookies[0]) if cookies else None,
        size=max((cookie.size for cookie in cookies), default=0),
        marked=any(shot.marked for shot in at_probe),
        twice=any(shot.twice for shot in at_probe),
        other_names=_other_names(at_probe),
        cipher=cipher,
        offset=offset,
        offset_by=offset_by,
        paths=tuple(_path(shot) for shot in shots if shot.purpose == "path"),
    )


def _sealed(told: list[Shot]) -> str:
    return min((shot.seen.sealed for shot in told), key=_WORST_FIRST.index, default="none")


def _encrypts_with(told: list[Shot]) -> int | None:
    return min((shot.seen.encrypts_with for shot in told if shot.seen.encrypts_with is not None), default=None)


def _other_names(told: list[Shot]) -> tuple[str, ...]:
    return tuple(sorted({name for shot in told for name in shot.seen.other_names}))


def _accepts(keys: int, told: list[Shot]) -> tuple[bool | None, ...]:
    """For each key whether the node opens it.

    Away from the probe location an update interval may be in force: httpd then re-sends a session only where its
    expiry moves by that much, as that of our probes there does, and never a fresh one (mod_session.c: ap_session_save).
    So where one key comes back and another gives no cookie at all, that other one was refused.
    """
    found: list[bool | None] = [None] * keys
    for shot in told:
        if shot.key is not None and shot.seen.accepted is not None:
            found[shot.key] = shot.seen.accepted
    if True in found:
        for shot in told:
            if shot.key is not None and shot.purpose == "fallback" and shot.seen.sealed == "none":
                found[shot.key] = False
    return tuple(found)


def _carried(shot: Shot, me: str) -> Carried:
    if shot.seen.identity != me:
        return Carried(shot.source, None)
    cookie = shot.seen.cookie
    in_row = cookie is not None and names_a_row(cookie.value)
    return Carried(shot.source, False if in_row else shot.seen.accepted, in_row)


def _path(shot: Shot) -> PathView:
    seen = shot.seen
    look = looks(seen.cookie) if seen.cookie is not None else None
    return PathView(shot.path, seen.status, seen.sealed, seen.encrypts_with, seen.accepted, shot.twice, look)
