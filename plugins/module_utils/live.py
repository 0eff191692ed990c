# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running server does with sessions, seen by asking it: nothing on the disk counts as evidence.

The door is an argument; the cookies to ask with were sealed on the controller, so that a node needs no AES.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Protocol, Sequence, Tuple

from .hygiene import cookie_deviations
from .probe import Answer, Observation, SetCookie, answered_by, observe, parse_set_cookie, spread
from .reach import PLAIN, Reach, hint, status_hint
from .scopes import Scope


@dataclass(frozen=True)
class ScopeProbe:
    """A scope and one sealed probe for each passphrase of the list, in its order.

    ``identity``: what this node's probe locations are known by.
    """

    scope: Scope
    marker: str
    cookies: Tuple[str, ...]
    identity: str


class Http(Protocol):
    """What is needed of a node to ask its own server."""

    def get(self, address: str, port: int, tls: bool, host: str, path: str, cookie: str, reach: Reach) -> Answer:
        """One GET request; raises OSError where nobody answers."""

    def listeners(self) -> Dict[int, List[str]]:
        """Listening TCP ports with their addresses."""


@dataclass(frozen=True)
class Way:
    """How to reach a server: the live one (``port`` 0: that of each scope), or a trial on a loopback port."""

    address: str = ""
    port: int = 0


_numbers = itertools.count()

_ROW = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
"""The cookie of a session in a database: the name of its row, a UUID."""


def ask(node: Http, probe: ScopeProbe, passphrases: Sequence[str], way: Way) -> List[Observation]:
    """What the server answers to each of a scope's probes, in their order.

    :raises OSError: nobody answers; the text says where.
    """
    scope = probe.scope
    found = []
    for cookie in probe.cookies:
        answer = _get(node, scope, way, scope.probe_path, cookie)
        seen = observe(answer, scope.cookie_name, passphrases, scope.cipher, probe.marker, cookie)
        location = next((value for name, value in answer.headers if name.lower() == "location"), "")
        found.append(replace(seen, location=location))
    return found


def _get(node: Http, scope: Scope, way: Way, path: str, cookie: str) -> Answer:
    path = spread(path, next(_numbers))
    port = way.port or scope.port
    address = way.address or _own_address(node.listeners().get(port, []))
    # A trial has no load balancer before it.
    tls, reach = (False, PLAIN) if way.port else (scope.scheme == "https", scope.reach)
    host = (scope.virtual_host if way.port else scope.asked_as) or "localhost"
    try:
        return node.get(address, port, tls, host, path, "%s=%s" % (scope.cookie_name, cookie) if cookie else "", reach)
    except OSError as error:
        missing = hint(reach, tls, getattr(error, "kind", ""), str(error))
        raise OSError("%s port %d: %s%s" % (address, port, error, ". " + missing if missing else "")) from error


def _own_address(listening: Sequence[str]) -> str:
    """An address of this machine on which a listening socket can be reached from itself."""
    for address in listening:
        if address not in ("0.0.0.0", "::", "127.0.0.1", "::ffff:0.0.0.0"):
            return address
    return "127.0.0.1"


def problems(
    node: Http, probes: Sequence[ScopeProbe], passphrases: Sequence[str], way: Way, only_keys: bool = False, store: bool = False
) -> List[str]:
    """Sentences about what the server does not do as it should; empty when all is proven.

    :param only_keys: whatever else the cookie is like; a key must not wait until a configuration is deployed.
    :param store: have the scopes whose sessions are in a database write a row and find it again.
    """
    found: List[str] = []
    for probe in probes:
        try:
            answers = ask(node, probe, passphrases, way)
        except OSError as error:
            found.append("scope %s: no answer from %s" % (probe.scope.name, error))
            continue
        judged = (_judge(probe, seen, position, only_keys) for position, seen in enumerate(answers, 1))
        wrong = next(filter(None, judged), "")
        if not wrong and store and probe.scope.store == "dbd":
            wrong = store_problem(node, probe, way)
        if wrong:
            said = "" if way.port else _status_hint(probe.scope, answers[0])
            found.append("scope %s: %s%s" % (probe.scope.name, wrong, ". " + said if said else ""))
    return found


def _status_hint(scope: Scope, seen: Observation) -> str:
    return status_hint(scope.reach, scope.scheme == "https", seen.status, seen.location, scope.asked_as)


def store_problem(node: Http, probe: ScopeProbe, way: Way) -> str:
    """What is wrong with a scope's database as httpd uses it, as a sentence; empty where a row is written and found again."""
    scope, value = probe.scope, ""
    for told in ("write a session to", "find the session again that it wrote to"):
        try:
            answer = _get(node, scope, way, scope.store_path, value)
        except OSError as error:
            return "no answer from %s" % error
        if answered_by(answer) != probe.identity:
            return _stranger(scope, scope.store_path, answer.status, answered_by(answer))
        cookie = _store_cookie(answer, scope)
        if cookie is None:
            return "httpd could not %s the database (%s answered %d without a session cookie; expected one)" % (
                told, scope.store_path, answer.status)
        if not _ROW.match(cookie.value):
            return "%s answered with a session cookie that is no name of a row: httpd keeps these sessions in cookies" % (
                scope.store_path)
        if value and cookie.value != value:
            return "httpd could not %s the database; may its user SELECT from the table?" % told
        for option, was, expected in cookie_deviations(scope, cookie):
            return "the cookie's %s is %r; expected %r" % (option, was, expected)
        value = cookie.value
    return ""


def _store_cookie(answer: Answer, scope: Scope) -> Optional[SetCookie]:
    cookies = [parse_set_cookie(text) for name, text in answer.headers if name.lower() == "set-cookie"]
    return next((cookie for cookie in reversed(cookies) if cookie.name == scope.cookie_name), None)


def _stranger(scope: Scope, path: str, status: int, identity: str) -> str:
    """That the node's own probe location did not answer, as a sentence."""
    if identity:
        return ("the probe location of another node answered %s: this server has the configuration of another name of the "
                "inventory, or a proxy that listens here leads to another server" % path)
    text = "%s answered %d, but not as this node's probe location: its configuration is not in force here, or an application, " \
           "another virtual host or a proxy answers in its place" % (path, status)
    if scope.virtual_host and not scope.virtual_host_file:
        text += ". Does the virtual host %s include its file of sessions?" % scope.virtual_host
    return text


def _judge(probe: ScopeProbe, seen: Observation, position: int, only_keys: bool) -> str:
    """What is wrong with one answer, as a sentence; empty when nothing is.

    Any status will do: where the header is there no application has answered, whatever the site does to all requests.
    """
    scope = probe.scope
    if seen.identity != probe.identity:
        return _stranger(scope, scope.probe_path, seen.status, seen.identity)
    if seen.cookie is None:
        return "%s answered without a session cookie; expected one. Does a section behind it turn sessions off, or a Header " \
               "directive take Set-Cookie away?" % scope.probe_path
    sentences = {
        "plain": "the session cookie is not encrypted",
        "empty_key": "the session cookie is encrypted with an empty passphrase",
        "unlisted_key": "the session cookie is encrypted with a passphrase that is not in the list",
        "garbage": "the session cookie is no sealed cookie",
    }
    if seen.sealed in sentences:
        return sentences[seen.sealed]
    if seen.encrypts_with != 0:
        return "it encrypts with passphrase %d; expected the first" % ((seen.encrypts_with or 0) + 1)
    if not seen.accepted:
        return "it does not open sessions of passphrase %d with %s" % (position, scope.cipher)
    if only_keys:
        return ""
    for option, was, expected in cookie_deviations(scope, seen.cookie):
        return "the cookie's %s is %r; expected %r" % (option, was, expected)
    return ""


@dataclass(frozen=True)
class Seen:
    """What the live server did with one probe; ``status`` 0: it gave no answer. The rest is as in an observation.

    ``own``: whether the node's own probe location answered.
    """

    scope: str
    status: int = 0
    sealed: str = ""
    encrypts_with: Optional[int] = None
    accepted: Optional[bool] = None
    attributes: str = ""
    own: bool = False


def snapshot(node: Http, probes: Sequence[ScopeProbe], passphrases: Sequence[str]) -> Tuple[Seen, ...]:
    """What the live server does now, in a form that is equal as long as it does the same.

    :param passphrases: new ones, then the old ones, so that the key that encrypts is told apart.
    """
    rows: List[Seen] = []
    for probe in probes:
        try:
            answers = ask(node, probe, passphrases, Way())
        except OSError:
            rows.append(Seen(probe.scope.name))
            continue
        for seen in answers:
            attributes = sorted(seen.cookie.attributes.items(), key=str) if seen.cookie else ()
            own = seen.identity == probe.identity
            rows.append(Seen(
                probe.scope.name, seen.status, seen.sealed, seen.encrypts_with, seen.accepted, str(attributes), own))
    return tuple(rows)


def as_before(now: Sequence[Seen], before: Sequence[Seen], new_keys: bool) -> bool:
    """Whether the server does what it did.

    :param new_keys: it has the new list of keys now. Then it may encrypt with the first of them and accept more than before,
        but not less.
    """
    if not new_keys or len(now) != len(before):
        return tuple(now) == tuple(before)
    return all(_not_worse(one, other) for one, other in zip(now, before))


def _not_worse(now: Seen, before: Seen) -> bool:
    same = (now.status, now.attributes, now.own) == (before.status, before.attributes, before.own)
    opens = bool(now.accepted) or not before.accepted
    with_old_key = (now.sealed, now.encrypts_with) == (before.sealed, before.encrypts_with)
    with_new_key = now.sealed == "key" and now.encrypts_with == 0
    return same and opens and (with_old_key or with_new_key)
