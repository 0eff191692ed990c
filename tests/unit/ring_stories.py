# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings and evidence for tests: a fleet of three that does as it is told, and what can be wrong with it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.ring import Margins, Stamp, saved
from plugins.module_utils.ring_evidence import Evidence, NodeSeen

START = 1_800_000_000
NODES = ("n1", "n2", "n3")
MARGINS = Margins(drift=10, drain=20)
MAX_AGE = 3600


def secret(number):
    """A source of random bytes for one key."""
    return Drawn(number)


class Drawn:
    """Draws other bytes each time, the same ones in each run."""

    def __init__(self, number):
        self.number = number
        self.times = 0

    def __call__(self):
        self.times += 1
        return hashlib.sha256(b"%d" % self.number + b"." * (self.times - 1)).digest()


def at(seconds=0, who="ann"):
    return Stamp(START + seconds, who)


def first():
    """A ring with one key."""
    return saved(None, verbs.init("r1", at(), secret(1), NODES))


def staged():
    return saved(first(), verbs.stage(first(), at(10), secret(2)))


def promoted():
    ring = staged()
    return saved(ring, verbs.promote(ring, at(20), seen(ring, 20)))


def confirmed():
    """The wait has begun at START + 30."""
    ring = promoted()
    return saved(ring, verbs.observe(ring, at(30), seen(ring, 30)))


def retired():
    ring = confirmed()
    date = 30 + MAX_AGE + 30
    return saved(ring, verbs.retire(ring, at(date), seen(ring, date), MARGINS))


def obedient(ring):
    """What is seen of a node that has this ring."""
    return NodeSeen(True, frozenset(key.id for key in ring.live), frozenset(key.id for key in ring.removed),
                    frozenset({ring.primary.id}))


def seen(of, seconds, nodes=None, **changes):
    """Evidence of a check that took no time; ``nodes`` are those that differ: a NodeSeen, or None for a silent one."""
    fleet = dict.fromkeys(NODES, obedient(of))
    fleet.update({name: one or NodeSeen() for name, one in (nodes or {}).items()})
    evidence = Evidence(
        of.id, of.generation, START + seconds, START + seconds, fleet, "ok", (0, 0), {"app": frozenset({MAX_AGE})})
    return replace(evidence, **changes)
