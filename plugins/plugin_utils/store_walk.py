# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a database on their way through one check: what an answer at a store path shows, and who is shown which row.

Asked at a scope's store path without a cookie, a node writes a row and names it in its cookie. Shown that name, a node that
finds the row and opens what is in it keeps the name; any other writes a row of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..module_utils.evidence import COOKIE, NOTHING, ROW, Carried, Fault, StoreView, View, looks, names_a_row
from ..module_utils.probe import Answer, SetCookie, parse_set_cookie
from ..module_utils.scopes import Scope

SOURCES = 2
"""Nodes whose rows all others are shown, unless each is shown the rows of all: with one, and that the odd one out, nobody
could say who is."""


def carry_path(scope: Scope) -> str:
    """Where a sealed session of another node is shown: it tells, too, of a database where sessions are to be kept in cookies."""
    return scope.store_path if scope.store == "cookie" else scope.probe_path


def made(answer: Answer, scope: Scope) -> StoreView:
    """What the answer to a request without a cookie shows."""
    found = _cookie(answer, scope)
    if found is None or not found.value:
        return StoreView(NOTHING, answer.status)
    if not names_a_row(found.value):
        return StoreView(COOKIE, answer.status)
    return StoreView(ROW, answer.status, look=looks(found), row=found.value)


def shown(view: StoreView, answer: Answer, scope: Scope, source: str, row: str) -> StoreView:
    """What is known of a node after its answer to a row's name that the node ``source`` made."""
    found = _cookie(answer, scope)
    lived = found.value == row if found is not None and names_a_row(found.value) else None
    return replace(view, rows=(*view.rows, Carried(source, lived)))


def silent(view: StoreView | None, fault: Fault) -> StoreView:
    """What is known of a node that gave no answer at the store path."""
    return replace(view or StoreView(NOTHING), fault=fault)


def takes_part(view: View) -> bool:
    """Whether a node is shown rows: one with keys in another order, or of its own, would seal them anew for others to lose."""
    return view.proven and view.encrypts_with == 0 and not view.changing and view.accepts[:1] == (True,)


def sources(rows: Mapping[str, str], nodes: Sequence[str], carry: str) -> list[tuple[str, str]]:
    """Whose rows all nodes are shown: (node, row's name). ``rows``: all that were made, by node; ``nodes``: in their order;
    ``carry``: ``ring``, ``matrix`` (those of all) or ``none``.

    The one who made a row is shown it too: what a node can write it may still not be able to read.
    """
    found = [(node, rows[node]) for node in nodes if node in rows]
    return found[: {"ring": SOURCES, "none": 0}.get(carry)]


def _cookie(answer: Answer, scope: Scope) -> SetCookie | None:
    """The session cookie of an answer; the last one, as browsers keep it."""
    cookies = [parse_set_cookie(text) for name, text in answer.headers if name.lower() == "set-cookie"]
    return next((found for found in reversed(cookies) if found.name == scope.cookie_name), None)
