# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation as a whole: of all verbs the one that is due, after each check, until nothing is."""

from __future__ import annotations

from .ring import Margins, Refusal, Ring, Stamp, not_before
from .ring_evidence import Evidence, NodeSeen
from .ring_gate import refuse_nodes
from .ring_status import plan
from .ring_verbs import Draw, not_primary, promote, retire, stage

NO, DUE, DEMANDED = "no", "due", "now"
BEGIN = (NO, DUE, DEMANDED)
"""May a rotation begin: not in this step; when the primary is old enough; at once."""


def under_way(ring: Ring) -> bool:
    """Whether nodes may lack something of the ring: a deploy and a check have to follow."""
    return bool(ring.staged or ring.removed or any(key.proven is None for key in ring.secondaries))


def is_due(ring: Ring, now: int, interval: int, margins: Margins, begin: str) -> bool:
    """Whether a run of the rotation has anything to do."""
    if begin == DEMANDED:
        return True
    steps = [step for step in plan(ring, now, interval, margins) if step.due is not None and step.due <= now]
    return any(step.verb != "stage" or begin == DUE for step in steps)


def advance(
    ring: Ring, stamp: Stamp, evidence: Evidence, interval: int, margins: Margins, begin: str, draw: Draw
) -> Ring:
    """The one step that is due after a check, else the same ring. ``ring`` has learned from the evidence (``observe``).

    A rotation begins only where none is under way, so that a run that was interrupted is gone on with.

    :param begin: one of :data:`BEGIN`.
    :param draw: a source of 32 random bytes, for a key.
    :raises Refusal: something is due, and nodes, clocks or a max age are in the way.
    """
    if ring.staged:
        return promote(ring, stamp, evidence)
    dates = {key: not_before(ring, key, margins) for key in ring.secondaries if key.proven is not None}
    if any(date is None or date <= evidence.earliest for date in dates.values()):
        return retire(ring, stamp, evidence, margins)
    _refuse_unfinished(ring, evidence)
    if begin == DEMANDED or (begin == DUE and _stage_is_due(ring, stamp.time, interval, margins)):
        return stage(ring, stamp, draw)
    return ring


def _stage_is_due(ring: Ring, now: int, interval: int, margins: Margins) -> bool:
    return any(step.verb == "stage" and step.due is not None and step.due <= now
               for step in plan(ring, now, interval, margins))


def _refuse_unfinished(ring: Ring, evidence: Evidence) -> None:
    """What a check should have confirmed, and did not."""
    if any(key.proven is None for key in ring.secondaries):
        refuse_nodes(ring, evidence, not_primary(ring), "go on", "encrypt with the primary %s" % ring.primary.id)
        raise Refusal(
            "clock",
            "the wait for the old key cannot begin: the clocks of the fleet are %s. Repair the time on the nodes that the "
            "check names, and run again" % evidence.clock,
        )
    for key in ring.removed:
        _refuse_accepting(ring, evidence, key.id, key.state)


def _refuse_accepting(ring: Ring, evidence: Evidence, key: str, state: str) -> None:
    def wrong(seen: NodeSeen) -> str:
        if key in seen.accepts:
            return "still accepts it"
        return "" if key in seen.refuses else "accepts it in some scope or could not be asked for it"

    refuse_nodes(ring, evidence, wrong, "go on", "refuse the %s key %s" % (state, key))
