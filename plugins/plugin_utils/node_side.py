# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check that is sent by the nodes themselves: what each one is to send, and what its raw answers mean.

Nodes get ready-made requests and give back raw answers; keys and judgement stay on the controller. A **shot** here is a
dictionary that travels: ``scope``, ``purpose``, ``key``, ``path``, ``value``, ``source``, ``marker``, and then ``answer``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..module_utils import clock
from ..module_utils.clock import Interval
from ..module_utils.evidence import Fault, View, fold
from ..module_utils.probe import Answer
from ..module_utils.scopes import Scope
from . import store_walk
from .canary_walk import Fates, Walk
from .prober import Asked, Node, Prober, own
from .wire import Reply

Shot = dict[str, Any]


def key_shots(prober: Prober, walk: Walk | None = None) -> list[Shot]:
    """All probes for one node, in the order of sending; where a canary is wanting, each node makes one."""
    shots = []
    for scope in prober.plan.scopes:
        fallback = prober.plan.fallback.get(scope.name, scope.probe_path)
        keys = range(len(prober.plan.passphrases))
        shots += [_shot(scope, "key", key, scope.probe_path, prober.probe(scope, key, False)) for key in keys]
        if scope.store == "cookie":
            shots += [_shot(scope, "fallback", key, fallback, prober.probe(scope, key, True)) for key in keys]
        for path in prober.plan.paths.get(scope.name, ()):
            shots.append(_shot(scope, "path", 0, path, prober.probe(scope, 0, True)))
        if walk is not None and walk.wanting(scope):
            shots.append(_shot(scope, "make", 0, scope.probe_path, walk.seed(scope)))
    # The last ones: a database that hangs ends this list.
    shots = [{**shot, "marker": prober.marker} for shot in shots]
    return shots + [_shot(scope, "store", None, scope.store_path, "") for scope in prober.stored()]


def make_canaries(prober: Prober, walk: Walk, shots: Mapping[str, Sequence[Shot]]) -> None:
    """Take a canary for each scope that wants one, of the first node that made one. ``shots``: by name of the node."""
    for scope in prober.plan.scopes:
        for node, sent in shots.items():
            if not walk.wanting(scope):
                break
            for answer in _answers(sent, scope, "make"):
                walk.make(scope, node, answer[1])


def canary_shots(prober: Prober, walk: Walk) -> list[Shot]:
    """The canaries' cookies, for any node."""
    return [
        _shot(scope, "canary", None, scope.probe_path, held.value)
        for scope in prober.plan.scopes
        for _users, held in walk.cookies(scope)
    ]


def canary_fates(walk: Walk, node: str, scope: Scope, shots: Sequence[Shot]) -> Fates:
    """What became of the canary's cookies on a node, by user."""
    answers = dict(_answers(shots, scope, "canary"))
    found: Fates = ()
    for users, held in walk.cookies(scope):
        if held.value in answers:
            answer = answers[held.value]
            found += walk.record(scope, node, users, answer, walk.look(scope, node, held, answer))
    row = walk.row(scope)
    for _value, answer in _answers(shots, scope, "row_canary"):
        if row is not None:
            found += walk.record_row(scope, node, row, answer)
    return found


def _answers(shots: Sequence[Shot], scope: Scope, purpose: str) -> Iterable[tuple[str, Answer]]:
    for shot in shots:
        answer = shot.get("answer")
        if shot["scope"] == scope.name and shot["purpose"] == purpose and answer is not None and "fault" not in answer:
            yield shot["value"], _reply(answer).answer


def carry_shots(prober: Prober, node: str, nodes: Sequence[str], made: Mapping[str, Mapping[str, str]]) -> list[Shot]:
    """Sessions of other nodes for one node. ``made``: by name of the scope, then of the node.

    In a ring each node gets the session of the nearest node before it in the inventory that made one.
    """
    shots = []
    for scope in prober.plan.scopes:
        here = made.get(scope.name, {})
        if node not in here or prober.plan.carry == "none":
            continue
        at = list(nodes).index(node)
        before = [name for name in [*nodes[:at][::-1], *nodes[at + 1 :][::-1]] if name in here]
        for source in before if prober.plan.carry == "matrix" else before[:1]:
            shots.append(_shot(scope, "carry", None, store_walk.carry_path(scope), here[source], source))
    return shots


def row_shots(prober: Prober, node: str, rows: Mapping[str, Mapping[str, str]], walk: Walk | None = None) -> list[Shot]:
    """Rows for one node to find. ``rows``: their names by name of the scope, then of the node, in the inventory's order."""
    shots = []
    for scope in prober.stored():
        here = rows.get(scope.name, {})
        if node in here:
            for source, row in store_walk.sources(here, list(here), prober.plan.carry):
                shots.append(_shot(scope, "row", None, scope.store_path, row, source))
            held = walk.row(scope) if walk is not None else None
            if held is not None:
                shots.append(_shot(scope, "row_canary", None, scope.store_path, held.value))
    return shots


def _shot(scope: Scope, purpose: str, key: int | None, path: str, value: str, source: str = "") -> Shot:
    return {"scope": scope.name, "purpose": purpose, "key": key, "path": path, "value": value, "source": source}


def requests(prober: Prober, node: Node, shots: Sequence[Shot], authority: str) -> dict[str, Any]:
    """What the module on the node is told to send: ``requests``, the ``authority`` (certificates to trust, as text), and by
    scope its ``identities`` (client certificate and key), where it has one."""
    scopes = {scope.name: scope for scope in prober.plan.scopes}
    identities = {
        name: [scope.reach.client_certificate, scope.reach.client_key]
        for name, scope in scopes.items()
        if scope.reach.client_certificate and any(shot["scope"] == name for shot in shots)
    }
    rows = []
    for shot in shots:
        scope = scopes[shot["scope"]]
        target = prober.target(node, scope)
        rows.append(
            {
                "scope": scope.name,
                "purpose": shot["purpose"],
                "address": target.address,
                "port": target.port,
                "tls": target.tls,
                "host": target.host,
                "proxy_protocol": target.proxy_protocol,
                "text": prober.request(node, scope, shot["path"], shot["value"]).decode("latin-1"),
            }
        )
    return {"requests": rows, "authority": authority, "identities": identities}


def asked(prober: Prober, node: str, shots: Sequence[Shot]) -> dict[str, Asked]:
    """What the answers of a node to these shots show, by name of the scope."""
    scopes = {scope.name: scope for scope in prober.plan.scopes}
    found: dict[str, Asked] = {name: Asked(node) for name in scopes}
    broken = False
    for shot in shots:
        answer, here = shot.get("answer"), found.get(shot["scope"])
        if answer is None or here is None:
            continue
        in_store = shot["purpose"] in ("store", "row", "row_canary")
        if "fault" in answer:
            fault = Fault(str(answer["fault"]), str(answer.get("detail", "")))
            if not in_store:
                here.fault, broken = here.fault or fault, True
            elif not broken:
                here.store = store_walk.silent(here.store, fault)
            continue
        if shot["purpose"] in ("make", "canary", "row_canary"):
            continue
        scope, reply = scopes[shot["scope"]], _reply(answer)
        if shot["purpose"] == "carry":
            prober.record_carried(here, scope, reply, shot["source"], shot["value"])
        elif in_store and not own(node, reply.answer):
            continue
        elif shot["purpose"] == "store":
            here.store = store_walk.made(reply.answer, scope)
        elif shot["purpose"] == "row":
            if here.store is not None:
                here.store = store_walk.shown(here.store, reply.answer, scope, shot["source"], shot["value"])
        else:
            seen = prober.shot(reply, scope, shot["purpose"], shot["path"], shot["key"], shot["value"])
            prober.record(here, prober.opened(seen, scope, shot["marker"]) if prober.unsure(seen) else seen, reply)
    return found


def _reply(answer: Mapping[str, Any]) -> Reply:
    headers = tuple((str(name), str(value)) for name, value in answer["headers"])
    times = int(answer["sent"]), int(answer["received"])
    return Reply(Answer(int(answer["status"]), headers, *times), bool(answer.get("large")))


def sessions(prober: Prober, node: str, shots: Sequence[Shot]) -> dict[str, str]:
    """The session that a node made, by name of the scope, where it is fit to be shown to others."""
    return {name: here.session for name, here in asked(prober, node, shots).items() if here.session}


def rows(prober: Prober, node: str, shots: Sequence[Shot]) -> dict[str, str]:
    """The name of the row that a node made, by name of the scope, where it takes part in showing them."""
    keys = len(prober.plan.passphrases)
    return {
        name: here.store.row
        for name, here in asked(prober, node, shots).items()
        if here.store is not None and here.store.row and store_walk.takes_part(fold(node, name, keys, here.shots))
    }


def bracket(samples: Sequence[Sequence[int]]) -> Interval | None:
    """A node's clock against ours, from (sent, node's time, received); the shortest round trips count the most."""
    return clock.intersect(clock.from_answer(int(node_time), int(sent), int(received)) for sent, node_time, received in samples)


async def views(
    prober: Prober,
    node: Node,
    shots: Sequence[Shot],
    between: Interval | None,
    silent: Fault | None,
    walk: Walk | None = None,
) -> list[View]:
    """The views of one node. ``between``: its clock against ours; its answers are timed by its own clock."""
    found = []
    by_scope = asked(prober, node.name, shots)
    for scope in prober.plan.scopes:
        here = by_scope[scope.name]
        here.fault = here.fault or silent
        view = await prober.keep(node, scope, here)
        if view.offset is not None:
            offset = None if between is None else clock.chain(view.offset, between)
            view = replace(view, offset=offset, offset_by=view.offset_by if offset else "")
        if walk is not None:
            view = replace(view, canary=canary_fates(walk, node.name, scope, shots))
        found.append(view)
    return found
