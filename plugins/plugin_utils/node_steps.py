# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node gave back in the steps ask and carry of a check, read without trust: of another form, it is that node's fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..module_utils.clock import SECOND
from ..module_utils.evidence import FAULTS, Fault
from ..module_utils.http_client import KEPT, MAX_HEADERS
from ..module_utils.text import printable

PURPOSES = ("key", "fallback", "path", "make", "carry", "canary", "store", "row", "row_canary")
"""What a shot may be for."""

LATEST = 253402300800 * SECOND
"""The first moment of the year 10000: calendars end there."""

LONGEST = 3600 * SECOND
"""More than any answer may take."""

MOST_HEADERS = 1000
MOST_SAMPLES = 100
MOST_WORDS = 300


@dataclass(frozen=True)
class Step:
    """One step of one node.

    ``shots``: with their answers, all of the form that node_side reads. ``samples``: of its clock. ``ring``: id and generation
    that it was asked with. ``fault``: why there is nothing of it, else None.
    """

    shots: tuple[dict[str, Any], ...] = ()
    samples: tuple[tuple[int, int, int], ...] = ()
    ring: tuple[str, int] | None = None
    fault: Fault | None = None


class _WrongShape(ValueError):
    """What is wrong, as the end of a sentence."""


def read(found: object, scopes: Collection[str], keys: int) -> Step:
    """A step as it was registered. ``scopes``: their names; ``keys``: how many were asked for."""
    if not isinstance(found, Mapping):
        return Step(fault=Fault("not_asked", "it was not asked in this run"))
    if "shots" not in found:
        why = found.get("msg") or found.get("module_stderr") or "it was not asked in this run"
        return Step(fault=Fault("not_asked", printable(why, MOST_WORDS)))
    try:
        return Step(
            tuple(_shot(shot, scopes, keys) for shot in _list(found["shots"], "shots")),
            tuple(_sample(sample) for sample in _list(found.get("samples", []), "samples", MOST_SAMPLES)),
            _ring(found.get("ring")),
        )
    except _WrongShape as error:
        return Step(fault=Fault("result_invalid", str(error)))


def answers(result: Mapping[str, Any], asked: int) -> list[Any] | str:
    """The answers in a module's result, as many as were asked for; else why there are none, as a sentence."""
    found = result.get("answers")
    if result.get("failed") or found is None:
        why = result.get("msg") or result.get("module_stderr") or "the module gave no answers"
        return printable(why, MOST_WORDS)
    if not isinstance(found, list) or len(found) != asked:
        return "the module's result is not the answers that were asked for"
    return found


def _list(value: object, name: str, most: int = 1000000) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise _WrongShape(f"{name} is no list of at most {most}")
    return value


def _number(value: object, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
        raise _WrongShape(f"{name} is no number from {low} to {high}")
    return value


def _text(value: object, name: str, most: int = MAX_HEADERS) -> str:
    if not isinstance(value, str) or len(value) > most or any(char > "\xff" for char in value):
        raise _WrongShape(f"{name} is no text of at most {most} Latin-1 characters")
    return value


def _shot(value: object, scopes: Collection[str], keys: int) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _WrongShape("a shot is no dictionary")
    scope, purpose, key, source = (value.get(name) for name in ("scope", "purpose", "key", "source"))
    if not isinstance(scope, str) or scope not in scopes:
        raise _WrongShape("a shot is of no scope that was asked for")
    if not isinstance(purpose, str) or purpose not in PURPOSES:
        raise _WrongShape("a shot is for nothing that was asked for")
    own = purpose in ("key", "fallback", "path", "make")
    if own or key is not None:
        key = _number(key, "a shot's key", 0, keys)
    if not isinstance(source, str):
        raise _WrongShape("a shot's source is no text")
    texts = {name: _text(value.get(name), f"a shot's {name}") for name in ("path", "value", *(["marker"] if own else []))}
    if texts.get("marker") == "":
        raise _WrongShape("a shot's marker is empty")
    return {"scope": scope, "purpose": purpose, "key": key, "source": source, **texts, "answer": _answer(value.get("answer"))}


def _answer(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _WrongShape("an answer is no dictionary")
    if "fault" in value:
        fault = value["fault"]
        if not isinstance(fault, str) or fault not in FAULTS:
            raise _WrongShape("an answer's fault is none that is known")
        return {"fault": fault, "detail": printable(value.get("detail", ""), MOST_WORDS)}
    sent = _number(value.get("sent"), "an answer's time", 0, LATEST)
    headers = []
    for pair in _list(value.get("headers"), "an answer's headers", MOST_HEADERS):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise _WrongShape("a header is no name and value")
        name, text = (_text(part, "a header") for part in pair)
        if name.lower() in KEPT:
            headers.append((name, text))
    return {
        "status": _number(value.get("status"), "an answer's status", 100, 1000),
        "headers": headers,
        "sent": sent,
        "received": _number(value.get("received"), "an answer's time", sent, min(sent + LONGEST, LATEST)),
        "large": value.get("large") is True,
    }


def _sample(value: object) -> tuple[int, int, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise _WrongShape("a sample of the clock is not three numbers")
    first, middle, last = (_number(part, "a sample of the clock", 0, LATEST) for part in value)
    if first > last:
        raise _WrongShape("a sample of the clock ends before it began")
    return first, middle, last


def _ring(value: object) -> tuple[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not isinstance(value[0], str):
        raise _WrongShape("the ring is not id and generation")
    return value[0], _number(value[1], "the ring's generation", 0, 10**12)
