# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the views of one node say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .canary import FRESH, OTHER, ROW, UNREADABLE
from .canary import UNKNOWN as NOT_TOLD
from .evidence import Look, View
from .findings import INFO, UNKNOWN, Finding, finding
from .probe import identity
from .question import Question
from .reach import hint, status_hint
from .scopes import Scope

Places = dict[tuple[str, str], View]
"""Views by node and scope."""


def judge_node(question: Question, node: str, by_place: Places) -> list[Finding]:
    """All findings on one node of the inventory, asked or not."""
    views = [by_place.get((node, scope.name)) for scope in question.scopes]
    if node in question.absent and not any(view and view.answered for view in views):
        return [finding("absent", node, "", "does not answer, as declared")]
    if not any(views):
        return [finding("not_asked", node, "", "was not asked", "an answer")]
    found: list[Finding] = []
    for scope, view in zip(question.scopes, views):
        if view is None:
            found.append(finding("not_asked", node, scope.name, "was not asked in this scope", "an answer"))
            continue
        if view.fault:
            found.append(finding(view.fault.kind, node, scope.name, view.fault.detail or view.fault.kind, "an answer over HTTP"))
        if view.answered:
            found += _judge_view(question, scope, view, by_place) + _judge_canary(view, scope)
    found = [_hinted(question, item, by_place) for item in found]
    if node in question.absent:
        found.append(finding("absent_answers", node, "", "answers"))
    return _once_per_node(found, len(question.scopes))


def _hinted(question: Question, item: Finding, by_place: Places) -> Finding:
    """A finding, and which option of the scope may be missing."""
    view = by_place.get((item.node, item.scope))
    scope = next((scope for scope in question.scopes if scope.name == item.scope), None)
    if view is None or scope is None:
        return item
    tls, said = scope.scheme == "https", ""
    if view.fault and item.code == view.fault.kind:
        said = hint(scope.reach, tls, item.code, view.fault.detail)
    elif item.code in ("redirected", "probe_missing"):
        said = status_hint(scope.reach, tls, view.status, view.redirect, scope.asked_as)
    return replace(item, remedy=f"{item.remedy} {said}") if said else item


def _once_per_node(found: list[Finding], scopes: int) -> list[Finding]:
    """A fault that shows in the same way in every scope is one of the node."""
    kept: list[Finding] = []
    for item in found:
        same = [other for other in found if (other.code, other.seen) == (item.code, item.seen)]
        if scopes > 1 and len(same) == scopes:
            if item is same[0]:
                kept.append(replace(item, scope=""))
        else:
            kept.append(item)
    return kept


def _judge_view(question: Question, scope: Scope, view: View, by_place: Places) -> list[Finding]:
    found = []
    if view.large:
        found.append(finding("large_answer", view.node, scope.name, "more than 64 KiB", "a short error page"))
    if not view.proven:
        return found + _judge_elsewhere(question, view, scope)
    if view.status >= 500:
        found.append(finding("server_error", view.node, scope.name, f"{scope.probe_path} answers {view.status}", "403"))
    if 300 <= view.status < 400:
        found.append(_redirected(view, scope, INFO))
    if view.sealed == "none":
        stop = view.fault is not None or view.status >= 500
        return found if stop else found + [_no_cookie(view, scope)]
    keys = _judge_keys(question, view, scope)
    found += keys + _judge_looks(view, scope)
    if not keys:
        found += _judge_paths(question, view, scope) + _judge_carried(view, scope, by_place)
    return found


def _judge_elsewhere(question: Question, view: View, scope: Scope) -> list[Finding]:
    """Something else than the node's own probe location answered: that proves nothing, but may show what is wrong."""
    found = []
    if view.strangers:
        names = {identity(name): name for name in question.nodes}
        seen = " and as ".join(names.get(one, "a node that the group does not have") for one in view.strangers)
        return [finding("another_node", view.node, scope.name, f"answers as {seen}", f"answers as {view.node}")]
    if view.status >= 500:
        found.append(finding("server_error", view.node, scope.name, f"{scope.probe_path} answers {view.status}", "403"))
    elif 300 <= view.status < 400:
        found.append(_redirected(view, scope, UNKNOWN))
    else:
        seen = f"something else answers {scope.probe_path} ({view.status})"
        found.append(finding("probe_missing", view.node, scope.name, seen, "the probe location's own answer"))
    if view.other_names:
        found.append(_other_name(view, scope))
    elif view.elsewhere is not None and view.elsewhere.sealed == "key":
        hint = view.elsewhere
        known = replace(view, sealed="key", encrypts_with=hint.encrypts_with, accepts=hint.accepts)
        # That all keys are there would prove nothing, so neither is it a fault that one is not known to be.
        found += [item for item in _judge_keys(question, known, scope) if item.code != "key_unknown"]
    return found


def _redirected(view: View, scope: Scope, severity: str) -> Finding:
    seen = f"{scope.probe_path} answers {view.status} to {view.redirect or 'nowhere'}"
    return finding("redirected", view.node, scope.name, seen, "403", severity)


def _other_name(view: View, scope: Scope) -> Finding:
    seen = f"the cookie is called {', '.join(view.other_names)}"
    return finding("cookie_name", view.node, scope.name, seen, f"a cookie {scope.cookie_name}")


def _no_cookie(view: View, scope: Scope) -> Finding:
    """The node's own probe location answers without a session."""
    expected = f"a cookie {scope.cookie_name}"
    if view.other_names:
        return _other_name(view, scope)
    if view.twice:
        return finding("loaded_twice", view.node, scope.name, "the answer to another path shows that", expected)
    if view.marked:
        return finding("max_age_zero", view.node, scope.name, "sessions are on, but no cookie came back", expected)
    return finding("sessions_off", view.node, scope.name, "no cookie came back, and no sign of mod_session", expected)


_UNSEALED = {
    "plain": ("plain_text", "the cookie is readable"),
    "empty_key": ("empty_key", "the cookie is sealed with an empty passphrase"),
    "garbage": ("bad_cookie", "the cookie's value is no session"),
    "unlisted_key": ("wrong_key", "the cookie is sealed with a key that is not in the list"),
}


def _judge_keys(question: Question, view: View, scope: Scope) -> list[Finding]:
    listed = [index for index, key in enumerate(question.keys) if key.state != "revoked"]
    expected = f"encrypts with {question.name(0)}"
    if view.sealed in _UNSEALED:
        code, seen = _UNSEALED[view.sealed]
        return [finding(code, view.node, scope.name, seen, expected)]
    if view.changing:
        return [finding("changing", view.node, scope.name, "encrypts now with one key, now with another", expected)]
    if view.cipher and view.cipher != scope.cipher:
        return [finding("wrong_cipher", view.node, scope.name, f"the cipher is {view.cipher}", f"the cipher {scope.cipher}")]
    found = []
    revoked = [index for index, lives in enumerate(view.accepts) if lives and index not in listed]
    if view.encrypts_with not in listed and view.encrypts_with is not None:
        revoked.append(view.encrypts_with)
    if revoked:
        names = _names(question, revoked)
        found.append(finding("revoked_key", view.node, scope.name, f"accepts {names}", "refuses every revoked key"))
    refused = [index for index in listed if view.accepts[index] is False]
    unclear = [index for index in listed if view.accepts[index] is None]
    if view.encrypts_with is not None and view.encrypts_with != 0:
        seen = f"encrypts with {question.name(view.encrypts_with)}"
        if 0 in refused:
            seen += f" and does not accept {_names(question, refused)}"
            return [*found, finding("stale_ring", view.node, scope.name, seen, expected)]
        found.append(finding("wrong_order", view.node, scope.name, seen, expected))
    if refused:
        seen = f"does not accept {_names(question, refused)}"
        found.append(finding("key_missing", view.node, scope.name, seen, "accepts every key of the list"))
    if unclear:
        seen = f"cannot tell about {_names(question, unclear)}"
        found.append(finding("key_unknown", view.node, scope.name, seen, "accepts every key of the list"))
    return found


def _names(question: Question, indices: Iterable[int]) -> str:
    return ", ".join(question.name(index) for index in sorted(set(indices)))


def _judge_looks(view: View, scope: Scope) -> list[Finding]:
    """Of the cookie at the probe location, and of the one that names a row."""
    found: dict[tuple[str, str], Finding] = {}
    for look in (view.look, view.store.look if view.store else None):
        if look is not None:
            found.update({(item.code, item.seen): item for item in _judge_look(view, look, scope)})
    for path in view.paths:
        # A directive may change the cookies of answers that are no errors, and leave that of the probe location alone.
        if path.look is not None and path.sealed == "key" and view.look is not None and path.look != view.look:
            for item in _judge_look(view, path.look, scope):
                if (item.code, item.seen) not in found:
                    found[(item.code, path.path)] = replace(item, seen=f"{path.path}: {item.seen}")
    return list(found.values())


def _judge_look(view: View, look: Look, scope: Scope) -> list[Finding]:
    found = []
    age = "none" if look.max_age is None else f"{look.max_age} s"
    for code, seen, expected, wrong in (
        ("cookie_secure", "no Secure", "Secure", scope.secure and not look.secure),
        ("cookie_http_only", "no HttpOnly", "HttpOnly", scope.http_only and not look.http_only),
        ("cookie_same_site", _or_none(look.same_site), _or_none(scope.same_site), look.same_site != scope.same_site),
        ("cookie_path", _or_none(look.path), _or_none(scope.cookie_path), look.path != scope.cookie_path),
        ("cookie_domain", _or_none(look.domain), _or_none(scope.cookie_domain), look.domain != scope.cookie_domain),
        ("cookie_max_age", age, f"{scope.max_age} s", look.max_age != scope.max_age),
    ):
        if wrong:
            found.append(finding(code, view.node, scope.name, seen, expected))
    return found


def _or_none(text: str) -> str:
    return text or "none"


def _judge_paths(question: Question, view: View, scope: Scope) -> list[Finding]:
    found = []
    for path in view.paths:
        if path.sealed == "key" and path.encrypts_with == view.encrypts_with and path.accepted:
            continue
        if path.twice:
            seen = f"the answer to {path.path} shows that"
            found.append(finding("loaded_twice", view.node, scope.name, seen, "the session lives on"))
            continue
        if path.sealed == "key" and path.encrypts_with is not None:
            seen = f"{path.path} encrypts with {question.name(path.encrypts_with)}"
            if path.encrypts_with == view.encrypts_with:
                seen += ", but does not open the fleet's sessions"
        elif path.sealed == "none":
            seen = f"{path.path} sends no session cookie (status {path.status})"
        else:
            seen = f"{path.path}: {_UNSEALED[path.sealed][1]}"
        found.append(finding("path_cut_off", view.node, scope.name, seen, "the same sessions as in the rest of the scope"))
    return found


def _judge_carried(view: View, scope: Scope, by_place: Places) -> list[Finding]:
    if scope.store == "cookie" and any(carried.in_row for carried in view.carried):
        seen = "the cookie names a row of a database"
        return [finding("store_in_database", view.node, scope.name, seen, "a cookie that holds the session itself")]
    lost: list[str] = []
    unclear: list[str] = []
    for carried in view.carried:
        source = by_place.get((carried.source, scope.name))
        key = source.encrypts_with if source else None
        # A key that this node is already known not to accept is a finding of its own.
        if carried.lived or key is None or view.accepts[key] is not True:
            continue
        (unclear if carried.lived is None else lost).append(carried.source)
    found = []
    if lost:
        found.append(finding("carry_lost", view.node, scope.name, f"lost a session of {_some(lost)}", "opens it"))
    if unclear:
        found.append(finding("carry_unknown", view.node, scope.name, f"with a session of {_some(unclear)}", "opens it"))
    return found


_CANARY = {
    FRESH: "answers with a fresh session",
    OTHER: "answers with a session of another value",
    UNREADABLE: "answers with a session that no key of the list opens",
}


def _judge_canary(view: View, scope: Scope) -> list[Finding]:
    found = []
    for fate, seen in _CANARY.items():
        users = [user for user, what in view.canary if what == fate]
        if users:
            what = " and ".join("row" if user == ROW else f"{user} cookie" for user in users)
            seen = f"{seen} (shown: the canary's {what})"
            found.append(finding("canary_lost", view.node, scope.name, seen, "gives its value back"))
    # That it gives no row is a finding of its own.
    unclear = [user for user, what in view.canary if what == NOT_TOLD and user != ROW]
    if view.proven and view.sealed != "none" and view.fault is None and unclear:
        seen = "answers to it without a session"
        found.append(finding("canary_unknown", view.node, scope.name, seen, "gives its value back"))
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
