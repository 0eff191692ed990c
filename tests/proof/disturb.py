# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to nodes by itself: they are reloaded by logrotate, go away and return; and what their error logs say of it."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

import fleet as fleet_tool
from engine import FleetError, podman

SPEC = Path(__file__).resolve().parent / "fleet.json"


class Nodes:
    """The containers of the proof's fleet, seen from the machine that they run on."""

    def __init__(self) -> None:
        self._fleet = fleet_tool.load(str(SPEC))
        self.names = [one.name for one in self._fleet.containers if one.kind == "node"]
        self.reloads = 0
        self._away: set[str] = set()
        self._logged: dict[str, int] = {}

    def up(self) -> None:
        """Start the fleet."""
        fleet_tool.up(self._fleet)

    def down(self) -> None:
        """Remove the fleet."""
        fleet_tool.down(self._fleet)

    async def stop(self, name: str) -> None:
        """Shut a node down."""
        self._away.add(name)
        await asyncio.to_thread(fleet_tool.stop, self._fleet.select([name]))

    async def start(self, name: str) -> None:
        """Start a node again, with whatever is on its disk, and wait until the load balancer gives it requests."""
        await asyncio.to_thread(fleet_tool.start, self._fleet.select([name]))
        self._away.discard(name)
        for _attempt in range(60):
            if f"nodes,{name},UP" in await asyncio.to_thread(self._balancer_sees):
                return
            await asyncio.sleep(0.5)
        raise FleetError(f"{name} runs again, but the load balancer does not use it.")

    def _balancer_sees(self) -> str:
        table = self._inside("lb", "echo 'show stat' | socat stdio /run/haproxy/admin.sock")
        rows = [line.split(",") for line in table.splitlines()]
        return "\n".join(f"{row[0]},{row[1]},{row[17]}" for row in rows if len(row) > 17)

    async def reload_at_random(self, chance: random.Random) -> None:
        """Reload httpd on one node or another every few seconds, as logrotate does once a day, for ever."""
        while True:
            await asyncio.sleep(chance.uniform(1.0, 6.0))
            name = chance.choice(self.names)
            if name not in self._away:
                try:
                    await asyncio.to_thread(self._inside, name, "systemctl reload apache2")
                    self.reloads += 1
                except FleetError:
                    if name not in self._away:
                        raise

    def begin_to_count(self) -> None:
        """From now on :meth:`undecipherable` counts."""
        self._logged = {name: self._lines(name) for name in self.names}

    def undecipherable(self) -> dict[str, int]:
        """Messages AH01842, "decrypt session failed", that users caused on each node: those of requests by the load balancer.

        The proof that a node refuses a retired key makes it write the same message, for a request that comes from elsewhere.
        """
        return {name: self._lines(name) - self._logged.get(name, 0) for name in self.names}

    def _lines(self, name: str) -> int:
        balancer = re.escape(podman("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
                                    next(one.id for one in self._fleet.containers if one.kind == "lb")))
        found = self._inside(name, f"grep -cE 'client {balancer}:[0-9]+\\] AH01842:' /var/log/apache2/error.log || true")
        return int(found)

    def _inside(self, name: str, command: str) -> str:
        return podman("exec", self._fleet.select([name])[0].id, "sh", "-c", command)
