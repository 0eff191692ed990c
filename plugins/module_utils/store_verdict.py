# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the views of a fleet say of the database of its sessions: whether each node reaches it, and whether it is the same.

A row that a node does not open because of its keys is no matter here: only nodes that encrypt with the first key, and accept
it, are shown rows (:func:`..plugin_utils.store_walk.takes_part`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .evidence import COOKIE, NOTHING, StoreView, View
from .findings import Finding, finding
from .question import Question
from .scopes import Scope

_EXPECTED = "writes a row and names it in a cookie"


def judge_stores(question: Question, by_place: Mapping[tuple[str, str], View]) -> list[Finding]:
    """All findings on the database, by node, then scope."""
    found: list[Finding] = []
    for scope in question.scopes:
        seen = {node: _store(by_place, node, scope) for node in question.nodes}
        stores = {node: store for node, store in seen.items() if store is not None}
        for node, store in stores.items():
            found += _judge_node(node, scope, store)
        found += _judge_shared(scope, stores)
    return found


def once_for_all(question: Question, by_place: Mapping[tuple[str, str], View], found: Sequence[Finding]) -> list[Finding]:
    """The same findings, but one of the fleet where no node that was asked reaches the database: then it is the database.

    It is the same one for all scopes: what shows in each of them is said once, too.
    """
    kept = list(found)
    for scope in question.scopes:
        asked = [node for node in question.nodes if _store(by_place, node, scope) is not None]
        out = [item for item in found if (item.code, item.scope) == ("store_unreachable", scope.name)]
        if len(asked) > 1 and {item.node for item in out} == set(asked):
            kept = [item for item in kept if item not in out]
            common = f"of all {len(asked)} nodes asked, each {min(item.seen for item in out)}"
            kept.append(finding("store_down", "", scope.name, common, _EXPECTED))
    stored = sum(scope.store == "dbd" for scope in question.scopes)
    several: dict[tuple[str, str, str], list[Finding]] = {}
    for item in kept:
        if item.code.startswith("store_"):
            several.setdefault((item.code, item.node, item.seen), []).append(item)
    for (code, node, seen), same in several.items():
        if len(same) == stored > 1:
            kept[kept.index(same[0])] = finding(code, node, "", seen, same[0].expected)
            kept = [item for item in kept if item not in same]
    return kept


def shares(store: StoreView | None) -> bool:
    """Whether a node writes rows, and found all that it was shown."""
    return store is not None and store.look is not None and store.fault is None and all(row.lived for row in store.rows)


def _store(by_place: Mapping[tuple[str, str], View], node: str, scope: Scope) -> StoreView | None:
    """What a node's database showed; None where it has no sessions at a probe location, which is a finding of its own."""
    view = by_place.get((node, scope.name))
    return view.store if view and view.proven and view.sealed != "none" else None


def _judge_node(node: str, scope: Scope, store: StoreView) -> list[Finding]:
    if store.fault is not None:
        what = "written" if store.answer == NOTHING else "read"
        seen = f"gives no answer where a row is to be {what}: {store.fault.detail or store.fault.kind}"
        return [finding("store_unreachable", node, scope.name, seen, _EXPECTED)]
    if store.answer == COOKIE:
        return [finding("store_in_cookies", node, scope.name, "the cookie holds the session itself", "a cookie that names a row")]
    if store.answer == NOTHING:
        seen = f"answers without a session (status {store.status})"
        return [finding("store_unreachable", node, scope.name, seen, _EXPECTED)]
    if any(row.lived is None for row in store.rows):
        seen = "writes a row, but answers without a session where it is to read one"
        return [finding("store_unreachable", node, scope.name, seen, "reads rows too")]
    return []


def _judge_shared(scope: Scope, stores: Mapping[str, StoreView]) -> list[Finding]:
    """Nodes that have not the rows of most; where no group is more than half of them, all that miss each other. And nodes
    that share rows with others all the same, but did not find this one."""
    pairs = [(row.source, node, row.lived) for node, store in stores.items() for row in store.rows if row.lived is not None]
    groups = _groups(pairs)
    most = max({id(members): members for members in groups.values()}.values(), key=len, default=set())
    if len(most) * 2 <= len(groups):
        most = set()
    missed: dict[str, list[str]] = {node: [] for node in stores}
    strangers: dict[str, set[str]] = {node: set() for node in stores}
    # Whoever does not find its own row has not put it where the others look.
    nowhere = {source for source, node, lived in pairs if source == node and not lived}
    for source, node, lived in pairs:
        if not lived and source in stores:
            if groups[source] is not groups[node]:
                strangers[source].add(node)
                strangers[node].add(source)
            elif source == node or source not in nowhere:
                missed[node].append(source)
    found = []
    for node in stores:
        others = [other for other in stores if other in strangers[node] and (other in most or not most)]
        seen = ""
        if others and node not in most:
            seen = f"its rows and those of {_some(others)} are not in one table"
        elif missed[node]:
            seen = f"does not find the row of {_some(missed[node])}"
        if seen:
            found.append(finding("store_not_shared", node, scope.name, seen, "finds the rows of all nodes"))
    return found


def _groups(pairs: Iterable[tuple[str, str, bool]]) -> dict[str, set[str]]:
    """For each node those that found each other's rows, directly or through others; one set for all of them."""
    group: dict[str, set[str]] = {}
    for source, node, lived in pairs:
        one, other = group.setdefault(source, {source}), group.setdefault(node, {node})
        if lived and one is not other:
            one |= other
            group.update(dict.fromkeys(other, one))
    return group


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
