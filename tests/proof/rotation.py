# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's rotation as cron runs it, while the controller is killed and nodes are reloaded, stop and start."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from controller import IDLE, KILLS, PROMOTED, STAGED, WAITING, Controller, Kill, Run, load_ring, phase_of
from disturb import Nodes
from load import Tally
from ways import ProofError

from plugins.module_utils.ring import Margins, Ring, not_before

ROTATE = "httpd_fleet.mod_session.rotate"
MARGINS = Margins(drift=3, drain=5)
"""As the inventory has them."""
MOST_REFUSED = 3
"""In succession. Where the machine is too busy for a check to tell the clocks apart, no step passes: cron runs it again."""
MOST_RUNS = 60
"""More runs than any rotation needs, the killed ones included."""


@dataclass
class Happened:
    """What was done to the fleet and to the controller meanwhile."""

    runs: int = 0
    reloads: int = 0
    kills: list[str] = field(default_factory=list)
    not_killed: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    rotations: list[float] = field(default_factory=list)


class Rotations:
    """Runs the playbook rotate again and again, as cron does."""

    def __init__(
        self, controller: Controller, nodes: Nodes, chance: random.Random, quick: bool, say: Callable[[str], None]
    ) -> None:
        self._controller, self._nodes, self._chance, self._say = controller, nodes, chance, say
        self._moments = [kill for kill in KILLS if kill.main or not quick]
        self._happened = Happened()

    async def run(self, count: int, tally: Tally) -> Happened:
        """So many whole rotations."""
        happened = self._happened
        reloads = asyncio.create_task(self._nodes.reload_at_random(self._chance))
        try:
            for number in range(1, count + 1):
                begun = time.monotonic()
                # In one rotation a node is away while the new key is handed out, in the next one after it was promoted.
                await self._one(number, (STAGED, PROMOTED)[number % 2 - 1], tally)
                happened.rotations.append(round(time.monotonic() - begun, 1))
                if reloads.done():
                    reloads.result()
        finally:
            reloads.cancel()
        happened.reloads = self._nodes.reloads
        happened.not_killed = [str(kill) for kill in self._moments if str(kill) not in happened.kills]
        return happened

    async def _one(self, number: int, absence: str, tally: Tally) -> None:
        first = self._ring().primary.id
        kills = list(self._moments)
        waited, refused = False, 0
        for _run in range(MOST_RUNS):
            ring = self._ring()
            phase = phase_of(ring)
            tally.phase = f"rotation {number}, {phase}"
            if phase == IDLE and ring.primary.id != first:
                await self._nothing_is_due()
                return
            if phase == absence:
                absence = ""
                await self._without_a_node(phase)
            elif phase == WAITING and not waited:
                waited = True
                date = max(not_before(ring, key, MARGINS) or 0 for key in ring.secondaries)
                await self._nothing_is_due(date)
                await asyncio.sleep(max(0.0, date - time.time()) + 1)
            else:
                # Where nothing is under way, cron's run would begin nothing yet: the operator demands it.
                words = ["-e", "session_rotate_now=true"] if phase == IDLE else []
                run = await self._rotate(*words, kills=kills)
                if run.killed:
                    self._say(f"    killed, {run.killed}")
                    self._happened.kills.append(str(run.killed))
                elif run.status != 0:
                    refused += 1
                    self._say("    a run was refused")
                    self._happened.refused.append(f"{tally.phase}: {run.last_words()}")
                    if refused == MOST_REFUSED:
                        raise ProofError(f"{refused} runs in succession ended with status {run.status}:\n{run.last_words()}")
                    continue
                refused = 0
        raise ProofError(f"{MOST_RUNS} runs of rotate did not bring rotation {number} to its end")

    async def _rotate(self, *words: str, kills: list[Kill] | None = None) -> Run:
        self._happened.runs += 1
        return await self._controller.run(ROTATE, *words, kills=kills)

    async def _nothing_is_due(self, until: float | None = None) -> None:
        """A run when nothing is due (``until`` a moment, or for long) succeeds and changes nothing."""
        before = self._ring().generation
        run = await self._rotate()
        changed = self._ring().generation != before and (until is None or time.time() < until)
        if run.status != 0 or changed:
            raise ProofError(f"a run with nothing due changed the ring, or ended with status {run.status}:\n{run.last_words()}")

    async def _without_a_node(self, phase: str) -> None:
        """A node is away: the rotation must not go on, and must name it."""
        name = self._chance.choice(self._nodes.names)
        self._say(f"    {name} is stopped")
        await self._nodes.stop(name)
        run = await self._rotate()
        if run.status == 0 or name not in run.output or phase_of(self._ring()) != phase:
            raise ProofError(f"{name} was away; rotate did not stop and name it (status {run.status}):\n{run.last_words()}")
        await self._nodes.start(name)
        self._say(f"    {name} is back; meanwhile rotate refused to go on")
        self._happened.blocked.append(f"{phase}: {name}")

    def _ring(self) -> Ring:
        ring = load_ring()
        if ring is None:
            raise ProofError("the ring is gone")
        return ring
