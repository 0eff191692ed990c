# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: every node of the fleet, or a refusal that names those in the way.

The fleet is every node that the ring has ever known and every node of the inventory, so that neither a sliced inventory
nor a new one makes N smaller. Only a node that is declared absent, and indeed silent, is not waited for.
"""

from __future__ import annotations

from typing import Callable, Dict

from .ring import Refusal, Ring, Stamp
from .ring_evidence import Evidence, NodeSeen
from .ring_times import span

Test = Callable[[NodeSeen], str]
"""What is wrong with a node that answered, as the end of a sentence; empty when nothing is."""

FRESH = 900
"""Seconds for which evidence counts: nodes may be changed by others than the ring."""

SHOWN = 10
"""Nodes named in one sentence; a refusal carries all of them."""


def is_current(ring: Ring, evidence: Evidence) -> bool:
    """Whether evidence was made for the keys as they are: for this ring, not before its keys were changed last.

    Generations and not times are compared: a check that knew a generation began after it was saved, whatever the clocks
    of two operators say.
    """
    return evidence.ring == ring.id and ring.changed_in <= evidence.generation <= ring.generation


def require_current(ring: Ring, stamp: Stamp, evidence: Evidence) -> None:
    """Refuse evidence that is not current, or of another fleet: ``other_ring``, ``old_evidence`` or ``other_fleet``."""
    if evidence.ring != ring.id:
        raise Refusal(
            "other_ring", "the check was made for another ring (%s, this one is %s): check again" % (evidence.ring, ring.id)
        )
    if not is_current(ring, evidence):
        raise Refusal(
            "old_evidence",
            "the check was made for generation %d of the ring, and the keys changed in generation "
            "%d: deploy and check again" % (evidence.generation, ring.changed_in),
        )
    if ring.nodes and not {*ring.nodes} & {*evidence.nodes}:
        raise Refusal(
            "other_fleet",
            "not one node of the check is known to this ring, which knows %s: is session_fleet_group the group that the ring is "
            "for? A node that was renamed is forgotten under its old name first" % " ".join(ring.nodes[:SHOWN]),
        )
    if abs(stamp.time - evidence.ended) > FRESH:
        raise Refusal(
            "old_evidence",
            "the check is %s old, evidence counts for %s: check again" % (span(abs(stamp.time - evidence.ended)), span(FRESH)),
        )


def nodes_against(ring: Ring, evidence: Evidence, test: Test) -> Dict[str, str]:
    """The nodes in the way, each with what is wrong with it."""
    found: Dict[str, str] = {}
    for node in sorted({*ring.nodes, *evidence.nodes}):
        seen = evidence.nodes.get(node)
        if seen is not None and seen.answered:
            why = test(seen)
        elif node in ring.absentees:
            continue
        else:
            why = "is not in this inventory" if seen is None else "gave no answer"
        if why:
            found[node] = why
    if not any(seen.answered for seen in evidence.nodes.values()):
        found.setdefault("*", "no node answered at all")
    return found


def fleet_of(ring: Ring, evidence: Evidence) -> str:
    """``n/N nodes`` where all that are needed agree; N counts the absent ones too, which are named."""
    total = len({*ring.nodes, *evidence.nodes})
    silent = [name for name in ring.absentees if not evidence.nodes.get(name, NodeSeen()).answered]
    text = "%d/%d nodes" % (total - len(silent), total)
    return text + (" (absent: %s)" % ", ".join(silent) if silent else "")


def refuse_nodes(ring: Ring, evidence: Evidence, test: Test, verb: str, wanted: str) -> str:
    """Refuse (``nodes``) unless all agree; ``n/N nodes`` where they do. ``wanted``: what all of them must do."""
    found = nodes_against(ring, evidence, test)
    if not found:
        return fleet_of(ring, evidence)
    total = len({*ring.nodes, *evidence.nodes})
    named = ["%s %s" % (name, why) for name, why in found.items() if name != "*"][:SHOWN]
    more = " and %d more" % (len(found) - len(named)) if len(found) > SHOWN else ""
    raise Refusal(
        "nodes",
        "cannot %s: all %d nodes must %s; %s%s. Deploy to them and check again; a node that is gone and gets no traffic may "
        "be declared absent" % (verb, total, wanted, "; ".join(named) or found["*"], more),
        {name: why for name, why in found.items() if name != "*"},
    )
