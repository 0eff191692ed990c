# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of session_check, for its action on the controller and its module on the nodes alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import clock
from .bounds import CHECK
from .clock import Limits
from .scopes import Scope

ARGUMENT_SPEC: dict[str, dict[str, object]] = {
    "passphrases": {"type": "list", "elements": "str", "no_log": True},
    "ring_store": {"type": "dict"},
    "key_info": {"type": "list", "elements": "dict", "default": [], "no_log": False},
    "revoked": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "ring": {"type": "dict"},
    "allow_weak": {"type": "bool", "default": False},
    "scopes": {"type": "list", "elements": "dict", "required": True},
    "group": {"type": "str", "default": "session_fleet"},
    "absent": {"type": "list", "elements": "str", "default": []},
    "step": {"type": "str", "choices": ["all", "ask", "carry", "judge"], "default": "all"},
    "ca": {"type": "path"},
    "carry": {"type": "str", "choices": ["ring", "matrix", "none"], "default": "ring"},
    "paths": {"type": "list", "elements": "raw", "default": []},
    "fallback": {"type": "dict", "default": {}},
    "payload": {"type": "raw"},
    "canary": {"type": "dict", "default": {}, "no_log": True},
    "warn_drift": {"type": "float"},
    "fail_drift": {"type": "float"},
    "timeout": {"type": "float", "default": CHECK["timeout"].default},
    "concurrency": {"type": "int", "default": CHECK["concurrency"].default},
    "report_dir": {"type": "path"},
    "fail": {"type": "bool", "default": True},
    "return_report": {"type": "bool", "default": False},
    "quiet": {"type": "bool", "default": False},
    # One text: what is part of a list that is not logged would be hidden in the answers too, addresses and numbers among it.
    "requests": {"type": "str", "default": "{}", "no_log": True},
}


class OptionError(ValueError):
    """An option that is refused; the message names it and says what is expected."""


def paths_by_scope(paths: Sequence[object], scopes: Sequence[Scope]) -> dict[str, tuple[str, ...]]:
    """Other paths to ask at, by name of their scope: given by name, or the scope with the longest path above."""
    found: dict[str, list[str]] = {}
    names = {scope.name for scope in scopes}
    for item in paths:
        if isinstance(item, Mapping):
            name, path = str(item.get("scope")), item.get("path")
            if name not in names:
                raise OptionError(f"paths: there is no scope {name!r}; there are {', '.join(sorted(names))}")
        else:
            path = item
            above = [scope for scope in scopes if isinstance(path, str) and _below(path, scope.path)]
            if not above:
                raise OptionError(f"paths: {path!r} is below the path of no scope")
            name = max(above, key=lambda scope: len(scope.path)).name
        if any(scope.name == name and scope.store == "dbd" for scope in scopes):
            raise OptionError(f"paths: {path!r} is in the scope {name}, whose sessions are in a database: no answer from there "
                              "tells whether a row was opened, leave it out")
        if not is_path(path):
            raise OptionError(f"paths: {path!r} is not a URL path without blanks")
        found.setdefault(name, []).append(str(path))
    return {name: tuple(items) for name, items in found.items()}


def is_path(path: object) -> bool:
    """Whether it is a URL path that can be sent as it is."""
    return (
        isinstance(path, str)
        and path.startswith("/")
        and path.isascii()
        and all(char.isprintable() and not char.isspace() for char in path)
    )


def _below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def payload_bytes(payload: object) -> int:
    """Size of a session given as a number of bytes or as text; 0 for none."""
    if payload is None or payload == "":
        return 0
    if isinstance(payload, int) and not isinstance(payload, bool) and payload >= 0:
        return payload
    if isinstance(payload, str):
        text = payload.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else len(payload.encode("utf-8"))
    raise OptionError("payload: give a number of bytes, or the form-encoded session itself")


def drift_limits(max_age: int, warn: float | None, fail: float | None) -> Limits:
    """The limits of the clocks, in microseconds, from seconds.

    :param max_age: seconds that the shortest session lives.
    :raises OptionError: a warning that could never come.
    """
    limits = clock.limits(max_age, _micros(warn), _micros(fail))
    if warn is not None and _micros(warn) != limits.warn:
        raise OptionError(
            f"session_check_warn_drift: found {warn:g} s, expected at most what fails, {limits.fail / clock.SECOND:g} s "
            "(session_check_fail_drift; 5 s or 1 % of the shortest max age by default)"
        )
    return limits


def _micros(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * clock.SECOND)
