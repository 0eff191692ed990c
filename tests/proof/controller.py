# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's machine: runs ansible-playbook, and dies at the worst moment if it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ansible.parsing.vault import VaultLib, VaultSecret

from plugins.module_utils.ring import Ring
from plugins.module_utils.ring_json import from_json

ROOT = Path(__file__).resolve().parent.parent.parent
INVENTORY = ROOT / "tests" / "proof" / "inventory"
CACHE = ROOT / ".cache" / "proof"
PASSWORD = CACHE / "vault-password"
RING = CACHE / "session_ring.vault"

IDLE, STAGED, PROMOTED, WAITING, RETIRED = "idle", "staged", "promoted", "waiting", "retired"
"""Where a rotation is: no old key is there; the next key is staged; it encrypts, and not all nodes are known to use it; all
do; the old key is out of the ring, and not all nodes are known to refuse it."""

SAVED = "saved"


@dataclass(frozen=True)
class Kill:
    """A moment at which the controller dies: in this phase, in a task of that name (``changed``: once a node has changed), or
    as soon as the ring's file was replaced by the next phase's (``SAVED``). ``main``: also in a quick proof."""

    phase: str
    task: str
    changed: bool = False
    main: bool = False

    def __str__(self) -> str:
        if self.task == SAVED:
            return f"{self.phase}: the ring was just saved"
        return f"{self.phase}: {self.task}" + (", one node changed" if self.changed else "")


SPREAD, CHECK, STEP = "Passphrases are live", "Fleet is judged", "Ring goes on"
LONGEST = {SPREAD: 0.6, CHECK: 0.15, STEP: 0.05}
"""Seconds after the begin of a task within which the controller dies: before the task ends, more often than not."""
KILLS = (
    Kill(IDLE, CHECK),
    Kill(IDLE, STEP, main=True),
    Kill(IDLE, SAVED),
    Kill(STAGED, SPREAD),
    Kill(STAGED, SPREAD, changed=True, main=True),
    Kill(STAGED, CHECK, main=True),
    Kill(STAGED, STEP),
    Kill(STAGED, SAVED, main=True),
    Kill(PROMOTED, SPREAD),
    Kill(PROMOTED, SPREAD, changed=True, main=True),
    Kill(PROMOTED, CHECK, main=True),
    Kill(PROMOTED, STEP),
    Kill(PROMOTED, SAVED),
    Kill(WAITING, CHECK),
    Kill(WAITING, STEP, main=True),
    Kill(WAITING, SAVED, main=True),
    Kill(RETIRED, SPREAD),
    Kill(RETIRED, SPREAD, changed=True, main=True),
    Kill(RETIRED, CHECK, main=True),
    Kill(RETIRED, STEP),
    Kill(RETIRED, SAVED),
)
"""In the order in which one rotation comes to them."""


def load_ring() -> Ring | None:
    """The ring as it stands in its file, None before there is one."""
    try:
        content = RING.read_bytes()
    except FileNotFoundError:
        return None
    vault = VaultLib([("default", VaultSecret(PASSWORD.read_bytes().strip()))])
    return from_json(vault.decrypt(content).decode())


def phase_of(ring: Ring) -> str:
    """The phase that a ring is in."""
    if ring.staged:
        return STAGED
    if ring.removed:
        return RETIRED
    if ring.secondaries:
        return WAITING if all(key.proven is not None for key in ring.secondaries) else PROMOTED
    return IDLE


@dataclass(frozen=True)
class Run:
    """One run of ansible-playbook: exit status (None: killed), what it printed, how long it took, how it was killed."""

    status: int | None
    output: str
    seconds: float
    killed: Kill | None = None

    def last_words(self) -> str:
        """The end of the output, for a person who looks for what went wrong."""
        return "\n".join(self.output.splitlines()[-25:])


class Controller:
    """Runs playbooks against the proof's fleet, one at a time, and keeps what each of them printed."""

    def __init__(self, max_age: int, chance: random.Random, on_phase: Callable[[str], None]) -> None:
        self._extra = json.dumps({"proof_max_age": max_age})
        self._chance = chance
        self._on_phase = on_phase
        self._runs = 0

    async def run(self, playbook: str, *words: str, kills: list[Kill] | None = None) -> Run:
        """Run a playbook to its end, or until the first of ``kills`` whose moment comes: that one is taken off the list."""
        begun = time.monotonic()
        command = ["ansible-playbook", "-i", str(INVENTORY), playbook, "-e", self._extra, *words]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=_environment(), start_new_session=True, limit=2**24,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        watch = _Watch(process.pid, kills if kills is not None else [], self._chance, self._on_phase)
        saved = asyncio.create_task(watch.ring_file())
        lines: list[str] = []
        try:
            assert process.stdout is not None
            while line := (await process.stdout.readline()).decode(errors="replace"):
                lines.append(line)
                await watch.line(line)
            status: int | None = await process.wait()
        except BaseException:
            kill_tree(process.pid)
            raise
        finally:
            saved.cancel()
        watch.look_at_ring()
        if watch.killed:
            status = None
            lines.append(f"--- killed with SIGKILL: {watch.killed}\n")
        self._runs += 1
        output = "".join(lines)
        (CACHE / "outputs").mkdir(exist_ok=True)
        name = re.split("[/.]", playbook.removesuffix(".yml"))[-1]
        (CACHE / "outputs" / f"{self._runs:03}-{name}.log").write_text(output)
        return Run(status, output, time.monotonic() - begun, watch.killed)


class _Watch:
    """Follows one run by its output and by the ring's file, and kills it."""

    def __init__(self, process: int, kills: list[Kill], chance: random.Random, on_phase: Callable[[str], None]) -> None:
        self.killed: Kill | None = None
        self._process, self._kills, self._chance, self._on_phase = process, kills, chance, on_phase
        self._task = ""
        self._stat = _stat(RING)
        ring = load_ring()
        self._phase = phase_of(ring) if ring else IDLE

    async def line(self, line: str) -> None:
        """One line of output."""
        self.look_at_ring()
        if line.startswith(("PLAY [", "TASK [", "RUNNING HANDLER [")):
            self._task = line[line.index("[") + 1: line.rindex("]")]
            if ": " in self._task:
                self._task = self._task.rpartition(": ")[2]
        wanted = self._next()
        if wanted is None or wanted.task != self._task or not line.startswith("changed: [" if wanted.changed else "TASK ["):
            return
        if not wanted.changed:
            # Somewhere within the task.
            await asyncio.sleep(self._chance.uniform(0.0, LONGEST[wanted.task]))
            self.look_at_ring()
        if self._phase == wanted.phase:
            self._kill(wanted)

    async def ring_file(self) -> None:
        """Look at the ring's file all the time."""
        while True:
            await asyncio.sleep(0.005)
            if not self.killed:
                self.look_at_ring()

    def look_at_ring(self) -> None:
        """See whether the ring was saved, and kill the controller if this is the moment."""
        stat = _stat(RING)
        if stat == self._stat:
            return
        wanted = self._next()
        ring = load_ring()
        before, self._stat, self._phase = self._phase, stat, phase_of(ring) if ring else IDLE
        if wanted and wanted.task == SAVED and before != self._phase:
            self._kill(wanted)
        if before != self._phase:
            self._on_phase(self._phase)

    def _next(self) -> Kill | None:
        """The next moment to die in this phase."""
        return None if self.killed else next((kill for kill in self._kills if kill.phase == self._phase), None)

    def _kill(self, moment: Kill) -> None:
        if self.killed:
            return
        kill_tree(self._process)
        self.killed = moment
        self._kills.remove(moment)


def kill_tree(process: int) -> None:
    """Kill a process with SIGKILL together with all that it started: as when a machine loses its power."""
    tree, known = [process], 0
    while known < len(tree):
        children = Path(f"/proc/{tree[known]}/task/{tree[known]}/children")
        try:
            tree += [int(word) for word in children.read_text().split()]
        except OSError:
            pass
        known += 1
    for one in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def _environment() -> dict[str, str]:
    """The environment of an operator's shell, without what would change the output."""
    kept = {name: value for name, value in os.environ.items() if not re.match("ANSIBLE_", name)}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "dev"),
        "ANSIBLE_VAULT_PASSWORD_FILE": str(PASSWORD),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "PYTHONUNBUFFERED": "1",
    }
