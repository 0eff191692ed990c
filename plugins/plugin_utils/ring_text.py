# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring for a terminal: its keys, who is absent, what was done, what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..module_utils.ring import Event
from ..module_utils.ring_gate import SHOWN
from ..module_utils.ring_times import moment

__all__ = ["event", "moment", "render"]


def event(one: Event) -> str:
    """What was done, as one line."""
    keys = " ".join(one.keys)
    return f"{one.verb} {keys}".rstrip() + (f": {one.summary}" if one.summary else "")


def render(ring: Mapping[str, Any], did: Sequence[str], whole: bool) -> str:
    """What was done and what comes next, in lines; ``whole``: after the ring as ``ring_status.public`` gives it."""
    lines = _table(ring) if whole else []
    return "\n".join(["", *lines, *(f"Done: {line}" for line in did), ring["next"]])


def _table(ring: Mapping[str, Any]) -> list[str]:
    rows = [("Key", "State", "Created", "Encrypts since", "Encrypts nowhere since", "Retire not before")]
    for key in ring["keys"]:
        state = key["state"] + (", weak" if key["weak"] else "")
        times = (key["created"], key["promoted"], key["confirmed"], key["retire_not_before"])
        rows.append((key["id"], state, *(time or "-" for time in times)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"Ring {ring['id']}, generation {ring['generation']}, {len(ring['nodes'])} nodes known"]
    lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines += [f"  max age {age['seconds']} s counts on: {_until(ring)}" for age in ring["max_ages"] if _is_left(age)]
    for item in ring["absent"]:
        lines.append(f"  absent: {item['node']} since {item['since']} by {item['by']} {item['reason']}".rstrip())
    return lines


def _is_left(age: Mapping[str, Any]) -> bool:
    """Whether a max age that the list of scopes has no more may still be served."""
    return age["gone"] is None and not age["listed"]


def _until(ring: Mapping[str, Any]) -> str:
    nodes = [node for node in ring["nodes"] if node not in ring["settled"]]
    more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
    if nodes:
        return f"no deploy has brought the scopes as they are to {', '.join(nodes[:SHOWN])}{more}"
    return "until a check has seen on all nodes that it is gone"
