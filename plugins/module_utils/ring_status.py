# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes next and when, and the ring as it may be shown: never a passphrase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from .passphrases import MAX_KEYS
from .ring import ADOPTED, SECONDARY, Key, Margins, Ring, not_before
from .ring_times import moment, span


@dataclass(frozen=True)
class Step:
    """What comes next: a verb, from when on (None: nobody can say), and why, as a sentence for people."""

    verb: str
    due: Optional[int]
    why: str


def plan(ring: Ring, now: int, interval: int, margins: Margins) -> List[Step]:
    """All that is to be done, what is due first at the head.

    :param interval: seconds after which a primary is due to be replaced.

    ``promote``, ``confirm``, ``retire`` and ``erase`` need a deploy and a check before; ``confirm`` and ``erase`` are the
    work of ``observe``: the check alone.
    """
    steps: List[Step] = []
    if ring.staged:
        steps.append(Step("promote", now, "key %s is staged: once every node accepts it, it will encrypt" % ring.staged.id))
    for key in ring.secondaries:
        if key.proven is None:
            steps.append(
                Step("confirm", now, "the wait for key %s begins once every node encrypts with %s" % (key.id, ring.primary.id))
            )
            continue
        date = not_before(ring, key, margins)
        why = "by then every session under key %s has ended" % key.id
        if date is None:
            why = "key %s can never be retired: there were sessions without end (max age 0)" % key.id
        steps.append(Step("retire", None if date is None else max(date, key.proven), why))
    for key in ring.removed:
        why = "key %s was %s: no node may accept it any more" % (key.id, key.state)
        steps.append(Step("erase", None if ring.absent else now, why + ("; waits for absent nodes" if ring.absent else "")))
    if ring.staged is None:
        steps.append(_next_rotation(ring, now, interval, margins))
    return sorted(steps, key=lambda step: _urgency(step, now))


def _urgency(step: Step, now: int) -> int:
    """What is due stays in its order; the rest by date."""
    return 2**62 if step.due is None else max(step.due, now)


def _next_rotation(ring: Ring, now: int, interval: int, margins: Margins) -> Step:
    """The next ``stage``: when the primary is old or weak, and there is room."""
    since = ring.primary.promoted if ring.primary.promoted is not None else ring.primary.created
    due = since + interval
    why = "key %s is to encrypt for %s" % (ring.primary.id, span(interval))
    if ring.primary.weak:
        due, why = now, "key %s is weak: it can be guessed from one cookie" % ring.primary.id
    if any(key.proven is None for key in ring.secondaries) or (ring.removed and not ring.absent):
        due, why = max(due, now + 1), why + "; after the rotation under way"
    if len(ring.live) >= MAX_KEYS:
        dates = [not_before(ring, key, margins) for key in ring.secondaries]
        known = [date for date in dates if date is not None]
        return Step("stage", max(due, min(known)) if len(known) == len(dates) else None, why + "; after an old key is retired")
    return Step("stage", due, why)


def next_sentence(steps: List[Step], now: int) -> str:
    """What comes next, as a sentence."""
    if not steps:
        return "Nothing is to be done."
    step = steps[0]
    if step.due is None:
        return "Next: %s, but %s." % (step.verb, step.why)
    when = "now" if step.due <= now else "not before %s (in %s)" % (moment(step.due), span(step.due - now))
    return "Next: %s, %s: %s." % (step.verb, when, step.why)


def public(ring: Ring, now: int, interval: int, margins: Margins) -> Dict[str, Any]:
    """The ring for reports and people."""
    steps = plan(ring, now, interval, margins)
    return {
        "id": ring.id,
        "generation": ring.generation,
        "changed_in": ring.changed_in,
        "keys": [_key(ring, key, margins) for key in ring.keys],
        "nodes": list(ring.nodes),
        "absent": [
            {"node": item.node, "since": moment(item.time), "by": item.who, "reason": item.reason} for item in ring.absent
        ],
        "max_ages": [
            {"seconds": age.seconds, "gone": None if age.gone is None else moment(age.gone), "listed": age.listed}
            for age in ring.max_ages
        ],
        "steps": [
            {
                "verb": step.verb,
                "due": step.due is not None and step.due <= now,
                "not_before": None if step.due is None else moment(step.due),
                "why": step.why,
            }
            for step in steps
        ],
        "next": next_sentence(steps, now),
        "earlier_max_age": ring.earlier,
        "settled": list(ring.settled),
        "warnings": warnings(ring),
    }


def _key(ring: Ring, key: Key, margins: Margins) -> Dict[str, Any]:
    date = not_before(ring, key, margins) if key.state == SECONDARY else None
    times = {
        "created": key.created,
        "staged": key.staged,
        "promoted": key.promoted,
        "demoted": key.demoted,
        "removed": key.removed,
        "confirmed": key.proven,
        "retire_not_before": date,
    }
    shown: Dict[str, Any] = {"id": key.id, "state": key.state, "origin": key.origin, "weak": key.weak}
    shown.update({name: None if value is None else moment(value) for name, value in times.items()})
    return shown


def warnings(ring: Ring) -> List[str]:
    """What an operator has to be reminded of at every run."""
    found = [
        "key %s (%s) is weak: it can be guessed from one cookie. It stays a risk until it is rotated out" % (key.id, key.state)
        for key in ring.live
        if key.weak
    ]
    adopted = [key.id for key in ring.live if key.origin == ADOPTED]
    if adopted and ring.earlier is None:
        longest = max((age.seconds for age in ring.max_ages), default=0)
        found.append(
            "key %s was in use before this ring was made. A session lives as long as the max age said when it was used last: if "
            "that was ever longer than %s, set session_ring_earlier_max_age to it (seconds; 0: without end), or such sessions "
            "end when the key is retired. Where it was not, set it to the longest of today" % (" ".join(adopted), span(longest))
        )
    return found + [
        "%s is declared absent since %s by %s: it must not get traffic before it is proven ready (verb present)"
        % (item.node, moment(item.time), item.who)
        for item in ring.absent
    ]


def lines(ring: Optional[Ring]) -> str:
    """The ring as lines for a diff: keys, nodes that are absent, max ages."""
    if ring is None:
        return ""
    rows = [
        "key %s: %s%s%s"
        % (
            key.id,
            key.state,
            ", weak" if key.weak else "",
            ", encrypts nowhere since %s" % moment(key.proven) if key.proven is not None else "",
        )
        for key in ring.keys
    ]
    rows += [
        "node %s%s%s"
        % (node, ": absent" if node in ring.absentees else "", "" if node in ring.settled else ", may serve older scopes")
        for node in ring.nodes
    ]
    rows += [
        "max age %d s%s" % (age.seconds, "" if age.gone is None else ", gone since %s" % moment(age.gone))
        for age in ring.max_ages
    ]
    return "\n".join(rows) + "\n"
