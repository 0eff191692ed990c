# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the canaries through one check: what is sent to make one, what each node is shown, what came of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ..module_utils import canary, cookie
from ..module_utils.canary import Canary, Held, Seen
from ..module_utils.clock import SECOND
from ..module_utils.evidence import View, looks
from ..module_utils.probe import Answer, SetCookie, answered_by, identity, parse_set_cookie
from ..module_utils.scopes import Scope
from . import store_walk

Fates = tuple[tuple[str, str], ...]
"""By user, what became of the cookie that a node was shown."""


class Walk:
    """The canaries of one check, by name of the scope.

    ``nodes``: names of the whole group. ``given``: what the check before left. ``revoked``: indices of passphrases whose
    sessions end by design. Only :meth:`look` takes time, and it changes nothing: it may run in a thread.
    """

    def __init__(
        self,
        given: Mapping[str, Canary],
        scopes: Sequence[Scope],
        passphrases: Sequence[str],
        nodes: Sequence[str],
        revoked: frozenset[int] = frozenset(),
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._stored = {scope.name: scope for scope in scopes if scope.store == "dbd"}
        self.canaries = {scope.name: given.get(scope.name, Canary(scope.name)) for scope in scopes}
        self._passphrases, self._revoked, self._randomness = passphrases, revoked, randomness
        self._places = {name: place for place, name in enumerate(nodes)}
        self._made: set[str] = set()
        self._newest: dict[str, tuple[int, Held]] = {}
        self._rows: dict[str, Held] = {}
        self._same: dict[Fates, Fates] = {}

    def wanting(self, scope: Scope) -> bool:
        """Whether there is no canary yet, so that one is to be made."""
        return scope.name in self.canaries and canary.BUSY not in self.canaries[scope.name].held

    def seed(self, scope: Scope) -> str:
        """A cookie of which a node is to make a canary."""
        random = self._randomness
        text = canary.payload(random(canary.SECRET_BYTES).hex())
        iv = random(cookie.CIPHERS[scope.cipher].iv_bytes)
        return cookie.seal(text, self._passphrases[0], scope.cipher, random(cookie.SALT_BYTES), iv)

    def make(self, scope: Scope, node: str, answer: Answer) -> bool:
        """Take the node's answer to the seed as the canary of the scope, if it is one; sealed with the first key, as every
        node will open it that has the list."""
        found = _own_session(node, answer, scope)
        if found is None or not self.wanting(scope):
            return False
        try:
            opened = cookie.unseal(found.value, self._passphrases, scope.cipher)
        except cookie.CookieError:
            return False
        session = cookie.parse_payload(opened.payload)
        secret = session.pairs.get(canary.NAME, "")
        if opened.index != 0 or len(secret) != 2 * canary.SECRET_BYTES:
            return False
        made = answer.received // SECOND
        held = dict.fromkeys(canary.USERS, Held(found.value, node, made, session.expiry))
        before = self.canaries[scope.name]
        held.update((user, one) for user, one in before.held.items() if user == canary.ROW)
        self.canaries[scope.name] = Canary(scope.name, secret, node, made, held, before.phases)
        self._made.add(scope.name)
        return True

    def cookies(self, scope: Scope) -> list[tuple[tuple[str, ...], Held]]:
        """What a node is to be shown in a scope, each with its users."""
        return self.canaries[scope.name].cookies() if scope.name in self.canaries else []

    def look(self, scope: Scope, node: str, held: Held, answer: Answer) -> Seen:
        """What became of a cookie that a node was shown, by its answer."""
        found = _own_session(node, answer, scope)
        return canary.look(
            held.value,
            self.canaries[scope.name].secret,
            held.expiry,
            found.value if found else "",
            self._passphrases,
            scope.cipher,
            looks(found).max_age if found else None,
            answer.received,
            self._revoked,
        )

    def record(self, scope: Scope, node: str, users: Sequence[str], answer: Answer, seen: Seen) -> Fates:
        """Take down what became of it; of all cookies that come back the one of the next node goes on."""
        found = _own_session(node, answer, scope)
        if canary.BUSY in users and seen.fate == canary.INTACT and found is not None:
            last = self._places.get(self.canaries[scope.name].held[canary.BUSY].node, -1)
            # The node after the last one comes first, so that the session moves through the fleet.
            rank = (self._places[node] - last - 1) % len(self._places)
            if scope.name not in self._newest or rank < self._newest[scope.name][0]:
                held = Held(found.value, node, answer.received // SECOND, seen.expiry)
                self._newest[scope.name] = (rank, held)
        fates = tuple((user, seen.fate) for user in users)
        return self._same.setdefault(fates, fates)

    def row(self, scope: Scope) -> Held | None:
        """The row whose name a node is to be shown, if there is one."""
        return self.canaries[scope.name].held.get(canary.ROW) if scope.name in self.canaries else None

    def record_row(self, scope: Scope, node: str, row: Held, answer: Answer) -> Fates:
        """Take down what became of the row on a node that was shown its name."""
        found = _own_session(node, answer, scope)
        busy = self.canaries[scope.name].held.get(canary.BUSY)
        name = found.value if found else ""
        fate = canary.look_at_row(row, busy, name, self._passphrases, answer.received, self._revoked)
        if fate == canary.INTACT:
            self._rows[scope.name] = _row(scope, node, row.value, answer.received)
        fates = ((canary.ROW, fate),)
        return self._same.setdefault(fates, fates)

    def end(self, views: Iterable[View], time: int, generation: int | None) -> dict[str, Canary]:
        """All canaries after this check, which began at ``time`` (seconds since the epoch)."""
        fates: dict[str, dict[str, dict[str, str]]] = {}
        views = sorted(views, key=lambda view: self._places.get(view.node, 0))
        for view in views:
            if view.canary:
                fates.setdefault(view.scope, {})[view.node] = dict(view.canary)
        after = {
            name: canary.advance(
                one,
                name in self._made,
                fates.get(name, {}),
                self._newest[name][1] if name in self._newest else None,
                list(self._places),
                time,
                generation,
                self._rows.get(name),
            )
            for name, one in self.canaries.items()
        }
        for name, row in self._written(views, time).items():
            if canary.ROW not in after[name].held:
                after[name] = replace(after[name], held={**after[name].held, canary.ROW: row})
        return after

    def _written(self, views: Iterable[View], time: int) -> dict[str, Held]:
        """By scope, the row of this check that most nodes found: it can go on from here."""
        rows: dict[str, dict[str, Held]] = {}
        found: Counter[tuple[str, str]] = Counter()
        for view in views:
            scope = self._stored.get(view.scope)
            if scope is not None and view.store is not None and view.store.row and store_walk.takes_part(view):
                rows.setdefault(view.scope, {})[view.node] = _row(scope, view.node, view.store.row, time * SECOND)
                found.update((view.scope, row.source) for row in view.store.rows if row.lived)
        return {name: max(each.values(), key=lambda row: found[name, row.node]) for name, each in rows.items()}


def _row(scope: Scope, node: str, name: str, received: int) -> Held:
    """A row that a node has just sealed: it ends by that node's clock, which is about ours."""
    return Held(name, node, received // SECOND, received + scope.max_age * SECOND)


def _own_session(node: str, answer: Answer, scope: Scope) -> SetCookie | None:
    """The session cookie of a probe location's own answer; the last one, as browsers keep it. What anybody else answered says
    nothing."""
    if answered_by(answer) != identity(node):
        return None
    cookies = [parse_set_cookie(text) for name, text in answer.headers if name.lower() == "set-cookie"]
    return next((found for found in reversed(cookies) if found.name == scope.cookie_name), None)
