# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node told of itself, read without trust: codes and evidence are the node's; words, rank and name are ours."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..module_utils.causes import CAUSES, OURS, Symptom
from ..module_utils.diagnosis import finding, rank
from ..module_utils.errorlog import HOUR, MEANINGS, MOST_EXAMPLE, MOST_HOURS
from ..module_utils.text import printable

MOST_FINDINGS = 300
"""Findings of a node that are read."""

MOST_EVIDENCE = 1000
"""Characters of a finding's evidence."""

MOST_FAULT = 300
MOST_COUNT = 1 << 48
LATEST = 1 << 36
"""Seconds since the epoch, beyond the year 4000."""

Data = dict[str, Any]


def looked(found: object, node: str, scopes: Collection[str], again: bool = False) -> Data:
    """What is told of a node: ``findings`` and ``log``, of the form that is documented; or ``fault``, why it could not look.

    What has another form is left out, and said: a finding ``node_result_invalid``. No value of ``found`` raises an error.

    :param found: what the module returned there.
    :param node: its name in the inventory.
    :param scopes: names of the scopes.
    :param again: whether this is what an earlier call gave back, which may have a finding of the controller's.
    """
    if not isinstance(found, dict):
        return {"fault": "it gave no answer"}
    if "findings" not in found:
        text = found.get("msg") or found.get("module_stderr") or "it gave no answer"
        return {"fault": printable(" ".join(printable(text).split()), MOST_FAULT)}
    wrong: list[str] = []
    symptoms = [one for item in _items(found["findings"], "findings", MOST_FINDINGS, wrong)
                for one in [_symptom(item, scopes, wrong, again)] if one]
    log = [row for item in _items(found.get("log", []), "log", len(MEANINGS), wrong) for row in [_row(item, wrong)] if row]
    if wrong:
        symptoms.append(Symptom("node_result_invalid", "%s%s" % (
            "; ".join(wrong[:3]), " and %d more" % (len(wrong) - 3) if len(wrong) > 3 else "")))
    return {"findings": [finding(one, node) for one in rank(symptoms)], "log": log}


def _items(value: object, name: str, most: int, wrong: list[str]) -> list[object]:
    if not isinstance(value, list):
        wrong.append("%s is no list" % name)
        return []
    if len(value) > most:
        wrong.append("%s has %d entries" % (name, len(value)))
    return value[:most]


def _symptom(item: object, scopes: Collection[str], wrong: list[str], again: bool) -> Symptom | None:
    code = item.get("code") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(code, str) or code not in CAUSES or (code in OURS and not again):
        wrong.append("a finding has the code %s" % printable(code, 60))
        return None
    scope, evidence = item.get("scope", ""), item.get("evidence")
    if not isinstance(scope, str) or (scope and scope not in scopes) or not isinstance(evidence, str):
        wrong.append("%s has no evidence or no scope of this fleet" % code)
        scope = scope if isinstance(scope, str) and scope in scopes else ""
    return Symptom(code, printable(evidence, MOST_EVIDENCE) if isinstance(evidence, str) else "", scope)


def _row(item: object, wrong: list[str]) -> Data | None:
    """A row of the table of error logs; None where it is none."""
    try:
        row = _read_row(item)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        row = None
    if row is None:
        wrong.append("a row of the log has another form")
    return row


def _read_row(item: Any) -> Data | None:
    code, hours = item["code"], item["per_hour"]
    if not isinstance(code, str) or code not in MEANINGS or len(hours) > MOST_HOURS or not isinstance(item["example"], str):
        return None
    return {
        "code": code,
        "count": _number(item["count"], MOST_COUNT),
        **{name: None if item[name] is None else _number(item[name], LATEST) for name in ("first", "last")},
        "per_hour": {_hour(hour): _number(count, MOST_COUNT) for hour, count in hours.items()},
        "example": printable(item["example"], MOST_EXAMPLE),
    }


def _number(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError("no number of this kind")
    return value


def _hour(key: object) -> int:
    """The start of an hour; JSON has it as text."""
    if isinstance(key, str) and not (len(key) < 12 and key.isascii() and key.isdigit()):
        raise ValueError("no hour")
    return _number(int(key) if isinstance(key, str) else key, LATEST) // HOUR * HOUR
