# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring as text, as stores keep it: JSON that a person can read, with a version of its form."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Dict, List, Mapping, Tuple, Type, TypeVar

from .ring import Absence, Event, Key, MaxAge, Ring, problem
from .ring_times import moment, parse_moment

FORM = "httpd_fleet.mod_session/ring"
VERSION = 1
"""Raised by every change that an older reader would misunderstand."""

_TIMES = ("created", "staged", "promoted", "demoted", "removed", "proven", "gone", "time")
_Part = TypeVar("_Part", Key, MaxAge, Absence, Event)


class RingFormatError(ValueError):
    """A text that is no ring. Prints as a sentence; nothing of the text is part of it, for it may hold passphrases."""


def to_json(ring: Ring) -> str:
    """The ring as text. It holds the passphrases."""
    data: Dict[str, Any] = {"form": FORM, "version": VERSION}
    for item in fields(ring):
        value = getattr(ring, item.name)
        if isinstance(value, tuple):
            value = [one if isinstance(one, str) else _plain(one) for one in value]
        data[item.name] = value
    return json.dumps(data, indent=1, sort_keys=False) + "\n"


def _plain(part: Any) -> Dict[str, Any]:
    found = {}
    for item in fields(part):
        value = getattr(part, item.name)
        if item.name in _TIMES and value is not None:
            value = moment(value)
        found[item.name] = list(value) if isinstance(value, tuple) else value
    return found


def from_json(text: str) -> Ring:
    """The ring that a text holds.

    :raises RingFormatError: for a damaged text, a newer version, and a ring that could not have been made.
    """
    try:
        data = json.loads(text)
    except ValueError:
        raise RingFormatError("the ring is damaged: it is no JSON. Its store keeps the generation before") from None
    if not isinstance(data, dict) or data.get("form") != FORM:
        raise RingFormatError("this is no ring: its form is not %s" % FORM)
    version = data.get("version")
    if not isinstance(version, int) or version < 1:
        raise RingFormatError("the ring is damaged: it has no version")
    if version > VERSION:
        raise RingFormatError("the ring has version %d, this collection reads up to %d: use a newer one" % (version, VERSION))
    try:
        ring = Ring(
            id=_typed(data, "id", str),
            generation=_typed(data, "generation", int),
            changed_in=_typed(data, "changed_in", int),
            keys=_parts(data, "keys", Key),
            max_ages=_parts(data, "max_ages", MaxAge),
            nodes=tuple(_strings(data["nodes"], "nodes")),
            settled=tuple(_strings(data["settled"], "settled")),
            earlier=None if data["earlier"] is None else _typed(data, "earlier", int),
            absent=_parts(data, "absent", Absence),
            history=_parts(data, "history", Event),
        )
    except KeyError as error:
        raise RingFormatError("the ring is damaged: %s is missing" % error.args[0]) from None
    wrong = problem(ring)
    if wrong:
        raise RingFormatError("the ring is damaged: %s" % wrong)
    return ring


def _typed(data: Mapping[str, Any], name: str, kind: type) -> Any:
    value = data[name]
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise RingFormatError("the ring is damaged: %s is no %s" % (name, kind.__name__))
    return value


def _strings(value: Any, name: str) -> List[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RingFormatError("the ring is damaged: %s is no list of strings" % name)
    return value


def _parts(data: Mapping[str, Any], name: str, kind: Type[_Part]) -> Tuple[_Part, ...]:
    rows = _typed(data, name, list)
    return tuple(_part(row, name, kind) for row in rows)


def _part(row: Any, name: str, kind: Type[_Part]) -> _Part:
    if not isinstance(row, dict):
        raise RingFormatError("the ring is damaged: an entry of %s is no mapping" % name)
    found: Dict[str, Any] = {}
    for item in fields(kind):
        where = "%s of %s" % (item.name, name)
        try:
            value = row[item.name]
        except KeyError:
            raise RingFormatError("the ring is damaged: %s is missing" % where) from None
        if item.name in _TIMES:
            found[item.name] = _time(value, where, "Optional" in str(item.type))
        elif item.name == "keys":
            found[item.name] = tuple(_strings(value, where))
        else:
            wanted = {"weak": bool, "listed": bool, "seconds": int}.get(item.name, str)
            found[item.name] = _typed({where: value}, where, wanted)
    return kind(**found)


def _time(value: Any, where: str, optional: bool) -> Any:
    if value is None and optional:
        return None
    try:
        return parse_moment(value)
    except (TypeError, ValueError):
        raise RingFormatError("the ring is damaged: %s is no time" % where) from None
