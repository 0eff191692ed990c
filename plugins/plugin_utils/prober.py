# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks all nodes of a fleet at once and gives one view per node and scope.

What costs is the key derivation of PBKDF2. So one probe is sealed per key, for all nodes; which key sealed an answer
and whether the probe's marker came back is read from mac and length; and one answer per node and scope is opened, the
one with the shortest way, for the clock.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from ..module_utils import clock, cookie, probe, reach
from ..module_utils.clock import Interval
from ..module_utils.evidence import Fault, Look, Shot, StoreView, View, fold
from ..module_utils.probe import Answer, Observation
from ..module_utils.scopes import Scope
from . import store_walk
from .canary_walk import Walk
from .wire import Reply, Resolver, Target, Wire, WireError

MARK = "no-cache, private"
"""What mod_session_cookie and mod_session_dbd add to Cache-Control whenever sessions are on."""

_LEFT = 300 * clock.SECOND
"""What a probe with an expiry has left: more than clocks are apart, less than a max age that is wrong by mistake."""


MAKERS = 5
"""Nodes that are asked to make a canary until one does."""


class SteadyClock:
    """Microseconds since the epoch that only count forward, whatever happens to the system's clock meanwhile."""

    def __init__(self) -> None:
        self._base = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """The time, by this clock."""
        return (self._base + time.monotonic_ns()) // 1000

    def was_set(self) -> int:
        """By how many microseconds the system's clock was set since this clock was made; 0 below 100 ms, which is what
        slewing and scheduling explain."""
        moved = (time.time_ns() - time.monotonic_ns() - self._base) // 1000
        return moved if abs(moved) >= 100000 else 0


@dataclass(frozen=True)
class Node:
    """A node: its name in the inventory, its address, and its port for each scope that has not the scope's own."""

    name: str
    address: str
    ports: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What all nodes are asked.

    ``passphrases``: all keys to probe for, in httpd's order, revoked ones last. ``paths``: other paths by scope name
    that should share the scope's key. ``fallback``: by scope name, where to ask when there is no probe location; the
    place of the missing probe location itself by default. ``carry``: ``ring``, ``matrix`` or ``none``. ``timeout``: seconds
    for each request, with all that comes before it. ``tls``: to verify nodes with; ``identified``: the same by scope name, with
    the client certificate of those that have one.
    """

    scopes: tuple[Scope, ...]
    passphrases: tuple[str, ...]
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fallback: dict[str, str] = field(default_factory=dict)
    carry: str = "ring"
    timeout: float = 10.0
    concurrency: int = 64
    tls: ssl.SSLContext | None = None
    identified: dict[str, ssl.SSLContext] = field(default_factory=dict)
    randomness: Callable[[int], bytes] = os.urandom


@dataclass
class Asked:
    """What is known of one node in one scope while it is being asked.

    ``node``: its name. ``session``: one that the node made and will know again. ``best``: the answer with the shortest way
    among those of its own probe location whose cookie (``best_value``) tells the time. ``store``: what its database showed.
    """

    node: str = ""
    shots: list[Shot] = field(default_factory=list)
    best: Answer | None = None
    best_value: str = ""
    best_sealed: str = ""
    session: str = ""
    fault: Fault | None = None
    store: StoreView | None = None


class Prober:
    """Carries out a plan. One prober is used for one check."""

    def __init__(self, plan: Plan, steady: SteadyClock | None = None) -> None:
        self.plan = plan
        self.clock = steady or SteadyClock()
        alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
        self.marker = "".join(alphabet[byte % 36] for byte in plan.randomness(probe.MARKER_LENGTH))
        self._sealed: dict[tuple[str, int, bool], str] = {}
        self._looks: dict[Look, Look] = {}
        self._waiting: dict[str, tuple[str, str]] = {}
        self._first: dict[str, Node] = {}
        self._sessions: dict[str, dict[str, str]] = {}
        self._rows: dict[str, dict[str, str]] = {}
        self._views: dict[tuple[str, str], View] = {}
        self._numbers = itertools.count()
        self._threads = ThreadPoolExecutor(max_workers=2)
        self._resolver = Resolver()

    def run(self, nodes: Sequence[Node], walk: Walk | None = None) -> list[View]:
        """Ask all nodes, and show them the canaries, if there are any; one view per node and scope."""
        try:
            return asyncio.run(self._run(nodes, walk))
        finally:
            self._threads.shutdown()

    async def _run(self, nodes: Sequence[Node], walk: Walk | None) -> list[View]:
        for scope in self.plan.scopes:
            for key in range(len(self.plan.passphrases)):
                self.probe(scope, key, False)
        await self._each(nodes, self._visit)
        if self.plan.carry == "ring":
            await self._close_rings()
        elif self.plan.carry == "matrix":
            await self._each(nodes, self._show_all)
        if self.stored():
            names = [node.name for node in nodes]
            await self._each(nodes, self._make_rows)
            await self._each(nodes, partial(self._show_rows, names, walk))
        if walk is not None:
            await self._make_canaries(walk, nodes)
            await self._each(nodes, partial(self._show_canaries, walk))
        return list(self._views.values())

    def closer_look(self, nodes: Sequence[Node], rounds: int = 3) -> list[View]:
        """Read the clocks of these nodes a few more times, few at once, and intersect; all views, the new ones too.

        Under the load of a whole check answers take longer than they need to, and so intervals are wider.
        """
        self._threads = ThreadPoolExecutor(max_workers=2)
        try:
            asyncio.run(self._each(list(nodes) * rounds, self._read_clock, 4))
        finally:
            self._threads.shutdown()
        return list(self._views.values())

    async def _each(self, nodes: Sequence[Node], work: Callable[[Node], object], at_once: int | None = None) -> None:
        """Do the work for all nodes, a bounded number of them at once."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        wanted = at_once or self.plan.concurrency
        bound = max(1, min(wanted, len(nodes), files // 2 if files > 0 else wanted))
        queue = iter(nodes)

        async def worker() -> None:
            for node in queue:
                await work(node)  # type: ignore[misc]

        await asyncio.gather(*(worker() for _worker in range(bound)))

    # One node

    async def _visit(self, node: Node) -> None:
        for scopes in self._routes(node):
            wire = self._wire(node, scopes[0])
            fault: Fault | None = None
            try:
                for scope in scopes:
                    asked = Asked(node.name, fault=fault)
                    if fault is None:
                        try:
                            await self._ask(wire, node, scope, asked)
                        except WireError as error:
                            asked.fault = fault = Fault(error.kind, str(error))
                    await self.keep(node, scope, asked)
            finally:
                wire.close()

    def _routes(self, node: Node) -> Iterable[list[Scope]]:
        """Scopes that can be asked over one connection."""
        routes: dict[tuple[Target, str], list[Scope]] = {}
        for scope in self.plan.scopes:
            routes.setdefault((self.target(node, scope), scope.reach.client_certificate), []).append(scope)
        return routes.values()

    def target(self, node: Node, scope: Scope) -> Target:
        """Where a node is asked for a scope."""
        name = scope.asked_as.partition(":")[0] or reach.host_of(node.address)
        port = node.ports.get(scope.name, scope.port)
        return Target(node.address, port, scope.scheme == "https", name, scope.reach.proxy_protocol)

    def _wire(self, node: Node, scope: Scope) -> Wire:
        tls = self.plan.identified.get(scope.name, self.plan.tls)
        return Wire(self.target(node, scope), tls, self.clock.now, self.plan.timeout, self._resolver)

    async def _ask(self, wire: Wire, node: Node, scope: Scope, asked: Asked) -> None:
        for key in range(len(self.plan.passphrases)):
            await self._shoot(wire, node, scope, asked, "key", scope.probe_path, key)
        # Where sessions are in a database a cookie of ours is no name of a row: elsewhere it shows nothing.
        missing = all(not shot.seen.identity and shot.seen.cookie is None for shot in asked.shots)
        if missing and scope.store == "cookie":
            path = self.plan.fallback.get(scope.name, scope.probe_path)
            for key in range(len(self.plan.passphrases)):
                await self._shoot(wire, node, scope, asked, "fallback", path, key)
        # Where the key is not known a path would lose our session, and log that as a visitor's loss.
        knows = any(shot.purpose == "key" and shot.key == 0 and shot.seen.accepted for shot in asked.shots)
        for path in self.plan.paths.get(scope.name, ()) if knows else ():
            await self._shoot(wire, node, scope, asked, "path", path, 0)
        await self._carry(wire, node, scope, asked)

    async def _shoot(self, wire: Wire, node: Node, scope: Scope, asked: Asked, purpose: str, path: str, key: int) -> None:
        value = self.probe(scope, key, purpose != "key")
        reply = await wire.ask(self.request(node, scope, path, value))
        shot = self.shot(reply, scope, purpose, path, key, value)
        if self.unsure(shot):
            shot = await asyncio.get_running_loop().run_in_executor(self._threads, self.opened, shot, scope, self.marker)
        self.record(asked, shot, reply)

    def unsure(self, shot: Shot) -> bool:
        """Whether the length of an answer's cookie does not tell what is in it: an application may have answered."""
        seen = shot.seen
        return seen.sealed == "key" and not (seen.identity and seen.status == 403 and shot.purpose == "key")

    def opened(self, shot: Shot, scope: Scope, marker: str) -> Shot:
        """The same with its cookie opened: the node gave the session back if the ``marker`` of the probe is in it. Takes
        milliseconds."""
        value = shot.seen.cookie.value if shot.seen.cookie else ""
        accepted = None
        try:
            accepted = probe.gave_back(cookie.unseal(value, self.plan.passphrases, scope.cipher).payload, marker)
        except cookie.CookieError:
            pass  # another cipher
        return replace(shot, seen=replace(shot.seen, accepted=accepted))

    def record(self, asked: Asked, shot: Shot, reply: Reply) -> None:
        """Take down a shot, made of this reply."""
        asked.shots.append(shot)
        if shot.purpose != "key" or shot.seen.cookie is None or not own(asked.node, reply.answer):
            return
        seen, answer = shot.seen, reply.answer
        if seen.accepted and seen.sealed == "key" and not asked.session:
            asked.session = shot.seen.cookie.value
        shorter = asked.best is None or answer.received - answer.sent < asked.best.received - asked.best.sent
        if seen.sealed in ("key", "plain") and (shorter or asked.best_sealed == "plain"):
            asked.best, asked.best_value, asked.best_sealed = answer, shot.seen.cookie.value, seen.sealed

    def record_carried(self, asked: Asked, scope: Scope, reply: Reply, source: str, session: str) -> None:
        """Take down the answer to a session that the node ``source`` made."""
        asked.shots.append(self._carried_shot(reply, scope, source, session))

    def shot(self, reply: Reply, scope: Scope, purpose: str, path: str, key: int | None, value: str, source: str = "") -> Shot:
        """What the answer to a probe with the cookie ``value`` shows, as far as it shows it unopened."""
        answer = reply.answer
        seen = probe.observe(answer, scope.cookie_name, self.plan.passphrases, scope.cipher, self.marker, value)
        return _shot(reply, purpose, path, key, seen, source)

    def probe(self, scope: Scope, key: int, expiring: bool) -> str:
        """The cookie of a probe, sealed once for all nodes.

        At the probe location it has no expiry, so that no clock can be too far off to open it. Elsewhere an update
        interval may be in force: then httpd re-sends the session only where its expiry moves by at least that much.
        """
        found = self._sealed.get((scope.name, key, expiring))
        if found is None:
            spec = cookie.CIPHERS[scope.cipher]
            left = min((scope.max_age - scope.update_interval) * clock.SECOND // 2, _LEFT)
            found = self._sealed[(scope.name, key, expiring)] = probe.seal_probe(
                self.plan.passphrases[key],
                scope.cipher,
                self.marker,
                self.plan.randomness(cookie.SALT_BYTES),
                self.plan.randomness(spec.iv_bytes),
                self.clock.now() + left if expiring else None,
            )
        return found

    def request(self, node: Node, scope: Scope, path: str, value: str) -> bytes:
        """A request as it is sent, with the cookie ``value`` unless that is empty."""
        target = self.target(node, scope)
        host = reach.host_header(scope.asked_as, node.address, target.port, target.tls)
        path = probe.spread(path, next(self._numbers))
        return reach.request(path, host, f"{scope.cookie_name}={value}" if value else "", scope.reach.headers)

    async def keep(self, node: Node, scope: Scope, asked: Asked) -> View:
        """Turn what was asked into the view that stays."""
        cipher, offset, offset_by = "", None, ""
        if asked.best is not None:
            cipher, expiry = await self._open(asked.best_value, asked.best_sealed, scope)
            offset = self._offset(asked, scope, expiry)
            offset_by = "expiry" if offset else ""
        dates = [shot for shot in asked.shots if shot.purpose == "key"]
        if offset is None and all(shot.seen.identity == probe.identity(node.name) for shot in dates):
            offset = clock.intersect(
                clock.from_date(shot.seen.date, shot.sent, shot.received) for shot in dates if shot.seen.date is not None
            )
            offset_by = "date" if offset else ""
        keys = len(self.plan.passphrases)
        view = fold(node.name, scope.name, keys, asked.shots, asked.fault, cipher, offset, offset_by)
        view = replace(view, store=asked.store)
        if view.look is not None:
            view = replace(view, look=self._looks.setdefault(view.look, view.look))
        self._views[(node.name, scope.name)] = view
        if asked.session and self.plan.carry == "matrix" and view.proven:
            self._sessions.setdefault(scope.name, {})[node.name] = asked.session
        return view

    async def _open(self, value: str, sealed: str, scope: Scope) -> tuple[str, int | None]:
        """Cipher and expiry of an answer's cookie."""
        if sealed == "plain":
            return "", cookie.parse_payload(value).expiry
        loop = asyncio.get_running_loop()
        try:
            opened = await loop.run_in_executor(self._threads, cookie.unseal, value, self.plan.passphrases, scope.cipher)
        except cookie.CookieError as error:
            return error.cipher or "", None
        return scope.cipher, cookie.parse_payload(opened.payload).expiry

    @staticmethod
    def _offset(asked: Asked, scope: Scope, expiry: int | None) -> Interval | None:
        best = asked.best
        ages = {shot.seen.max_age for shot in asked.shots if shot.seen.max_age is not None and shot.purpose != "path"}
        # Without one Max-Age that all answers agree on, the expiry does not tell the time.
        if best is None or expiry is None or len(ages) != 1:
            return None
        return clock.from_expiry(expiry, ages.pop(), best.sent, best.received)

    # Sessions of other nodes

    async def _carry(self, wire: Wire, node: Node, scope: Scope, asked: Asked) -> None:
        """Show this node the session of the node asked before it, and leave its own to the next one: a ring."""
        if self.plan.carry != "ring" or not asked.session:
            return
        waiting = self._waiting.get(scope.name)
        self._waiting[scope.name] = (node.name, asked.session)
        if waiting is None:
            self._first[scope.name] = node
        else:
            asked.shots.append(await self._show(wire, node, scope, *waiting))

    async def _show(self, wire: Wire, node: Node, scope: Scope, source: str, session: str) -> Shot:
        reply = await wire.ask(self.request(node, scope, store_walk.carry_path(scope), session))
        return self._carried_shot(reply, scope, source, session)

    def _carried_shot(self, reply: Reply, scope: Scope, source: str, session: str) -> Shot:
        return self.shot(reply, scope, "carry", scope.probe_path, None, session, source)

    async def _close_rings(self) -> None:
        """The node that was asked first gets the session of the last one."""
        for scope in self.plan.scopes:
            first, last = self._first.get(scope.name), self._waiting.get(scope.name)
            if first is not None and last is not None and last[0] != first.name:
                await self._show_later(first, scope, [last])

    async def _show_all(self, node: Node) -> None:
        for scope in self.plan.scopes:
            sessions = self._sessions.get(scope.name, {})
            if node.name in sessions:
                await self._show_later(node, scope, [item for item in sessions.items() if item[0] != node.name])

    async def _show_later(self, node: Node, scope: Scope, sessions: Iterable[tuple[str, str]]) -> None:
        shots = []
        wire = self._wire(node, scope)
        view = self._views[(node.name, scope.name)]
        try:
            for source, session in sessions:
                shots.append(await self._show(wire, node, scope, source, session))
        except WireError as error:
            view = replace(view, fault=Fault(error.kind, str(error)))
        finally:
            wire.close()
        carried = fold(node.name, scope.name, 0, shots).carried
        self._views[(node.name, scope.name)] = replace(view, carried=view.carried + carried)

    # Canaries

    async def _make_canaries(self, walk: Walk, nodes: Sequence[Node]) -> None:
        for scope in self.plan.scopes:
            tries = MAKERS
            for node in nodes:
                if not tries or not walk.wanting(scope):
                    break
                view = self._views[(node.name, scope.name)]
                if view.fault is not None or view.encrypts_with != 0:
                    continue
                tries -= 1
                wire = self._wire(node, scope)
                try:
                    reply = await wire.ask(self.request(node, scope, scope.probe_path, walk.seed(scope)))
                    walk.make(scope, node.name, reply.answer)
                except WireError:
                    continue
                finally:
                    wire.close()

    async def _show_canaries(self, walk: Walk, node: Node) -> None:
        """Show a node the canaries' cookies, in the scopes in which it answers."""
        for scopes in self._routes(node):
            asked = [scope for scope in scopes if self._answers(node, scope) and walk.cookies(scope)]
            wire = self._wire(node, scopes[0])
            try:
                for scope in asked:
                    await self._show_canary(walk, wire, node, scope)
            finally:
                wire.close()

    def _answers(self, node: Node, scope: Scope) -> bool:
        view = self._views[(node.name, scope.name)]
        return view.answered and view.fault is None

    async def _show_canary(self, walk: Walk, wire: Wire, node: Node, scope: Scope) -> None:
        place, loop = (node.name, scope.name), asyncio.get_running_loop()
        for users, held in walk.cookies(scope):
            try:
                reply = await wire.ask(self.request(node, scope, scope.probe_path, held.value))
            except WireError as error:
                self._views[place] = replace(self._views[place], fault=Fault(error.kind, str(error)))
                return
            seen = await loop.run_in_executor(self._threads, walk.look, scope, node.name, held, reply.answer)
            fates = walk.record(scope, node.name, users, reply.answer, seen)
            self._views[place] = replace(self._views[place], canary=self._views[place].canary + fates)

    # Sessions in a database

    def stored(self) -> list[Scope]:
        """The scopes whose sessions are in a database."""
        return [scope for scope in self.plan.scopes if scope.store == "dbd"]

    async def _make_rows(self, node: Node) -> None:
        """Have a node write a row in each of these scopes, over connections of their own: a database may make it hang."""
        for scope in self.stored():
            view = self._views[(node.name, scope.name)]
            if not self._answers(node, scope) or not view.proven:
                continue
            wire = self._wire(node, scope)
            try:
                reply = await wire.ask(self.request(node, scope, scope.store_path, ""))
                if not own(node.name, reply.answer):
                    continue
                store = store_walk.made(reply.answer, scope)
            except WireError as error:
                store = store_walk.silent(None, Fault(error.kind, str(error)))
            finally:
                wire.close()
            self._views[(node.name, scope.name)] = replace(view, store=store)
            if store.row and store_walk.takes_part(view):
                self._rows.setdefault(scope.name, {})[node.name] = store.row

    async def _show_rows(self, names: Sequence[str], walk: Walk | None, node: Node) -> None:
        for scope in self.stored():
            rows = self._rows.get(scope.name, {})
            view = self._views[(node.name, scope.name)]
            store = view.store
            if node.name not in rows or store is None:
                continue
            wire = self._wire(node, scope)
            try:
                for source, row in store_walk.sources(rows, names, self.plan.carry):
                    reply = await wire.ask(self.request(node, scope, scope.store_path, row))
                    if own(node.name, reply.answer):
                        store = store_walk.shown(store, reply.answer, scope, source, row)
                held = walk.row(scope) if walk is not None else None
                if walk is not None and held is not None:
                    reply = await wire.ask(self.request(node, scope, scope.store_path, held.value))
                    view = replace(view, canary=walk.record_row(scope, node.name, held, reply.answer))
            except WireError as error:
                store = store_walk.silent(store, Fault(error.kind, str(error)))
            finally:
                wire.close()
            self._views[(node.name, scope.name)] = replace(view, store=store)

    # Clocks

    async def _read_clock(self, node: Node) -> None:
        for scope in self.plan.scopes:
            view = self._views.get((node.name, scope.name))
            if view is None or view.offset is None or view.offset_by != "expiry" or view.encrypts_with is None:
                continue
            asked = Asked(node.name)
            wire = self._wire(node, scope)
            try:
                for _round in range(2):  # the first one pays for the connection
                    await self._shoot(wire, node, scope, asked, "key", scope.probe_path, view.encrypts_with)
            except WireError:
                return
            finally:
                wire.close()
            expiry = (await self._open(asked.best_value, asked.best_sealed, scope))[1] if asked.best else None
            closer = self._offset(asked, scope, expiry)
            if closer is not None:
                latest = self._views[(node.name, scope.name)]
                common = clock.intersect(offset for offset in (latest.offset, closer) if offset is not None)
                self._views[(node.name, scope.name)] = replace(latest, offset=common, offset_by="expiry" if common else "")
            return


def own(node: str, answer: Answer) -> bool:
    """Whether a node's own probe location gave the answer. ``node``: its name."""
    return probe.answered_by(answer) == probe.identity(node)


def _header(answer: Answer, name: str) -> str:
    return ", ".join(value for key, value in answer.headers if key.lower() == name)


def _shot(reply: Reply, purpose: str, path: str, key: int | None, seen: Observation, source: str) -> Shot:
    answer = reply.answer
    marks = _header(answer, "cache-control").count(MARK)
    return Shot(
        purpose,
        path,
        key,
        seen,
        source,
        marked=marks > 0,
        location=_location(answer),
        large=reply.large,
        twice=marks > 1,
        sent=answer.sent,
        received=answer.received,
    )


def _location(answer: Answer) -> str:
    return "".join(char for char in _header(answer, "location")[:120] if char.isprintable())
