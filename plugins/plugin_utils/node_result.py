# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module on a node gave back, made harmless before a task registers, shows or writes it."""

from __future__ import annotations

from typing import Any

from ..module_utils.text import printable

MOST_ITEMS = 20000
"""Members of a list or dictionary that are kept."""

MOST_LINE = 8192
"""Characters of a line that are kept."""

DEEPEST = 12
"""Levels of lists and dictionaries that are kept."""

_ALWAYS = ("failed", "msg", "changed")
_DROPPED = ("ansible_facts",)  # a node would set variables of its own host with them


def harmless(result: object, *names: str) -> dict[str, Any]:
    """A module's result with all of its texts printable, line by line, and bounded.

    What is no dictionary becomes a failure.

    :param names: members that the module gives back; none but these and ``failed``, ``msg`` and ``changed`` are kept. Without
        them all but facts are.
    """
    if not isinstance(result, dict):
        return {"failed": True, "msg": "the node's answer is no result of a module"}
    return {printable(name, 200): _harmless(value, DEEPEST) for name, value in list(result.items())[:MOST_ITEMS]
            if (name in (*names, *_ALWAYS) if names else name not in _DROPPED)}


def texts(value: object) -> list[str]:
    """A list of texts, where a list is expected; what is none has none."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _harmless(value: object, depth: int) -> Any:
    if isinstance(value, str):
        if value.isprintable() and len(value) <= MOST_LINE:
            return value
        return "\n".join(printable(line, MOST_LINE) for line in value.split("\n", MOST_ITEMS)[:MOST_ITEMS])
    if not isinstance(value, (dict, list, tuple)):
        return value
    if not depth:
        return printable(type(value).__name__)
    if isinstance(value, dict):
        return {printable(name, 200): _harmless(one, depth - 1) for name, one in list(value.items())[:MOST_ITEMS]}
    return [_harmless(one, depth - 1) for one in value[:MOST_ITEMS]]
