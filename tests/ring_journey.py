# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What journeys with a ring share: an operator with a ring in a store, and browsers whose sessions must live."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret

from plugins.module_utils.cookie import CookieError, parse_payload, unseal
from plugins.module_utils.probe import MARKER, MARKER_LENGTH
from plugins.module_utils.ring import Ring
from plugins.module_utils.scopes import Scope
from plugins.plugin_utils.ring_store import open_store

from . import journey

FLEET = ("n1", "n2", "n3")


class Operator:
    """Runs the playbooks with a ring.

    :ivar store: the value of ``session_ring_store``.
    :ivar settings: further variables of the inventory.
    """

    def __init__(self, store: dict, **settings: object) -> None:
        self.store = store
        self.settings = settings
        self.password = journey.STATE / "vault-password"
        if not self.password.exists():
            self.password.touch(mode=0o600)
            self.password.write_text(journey.new_key())

    def words(self, *words: str) -> tuple[str, ...]:
        """The command line with the vault's password."""
        return ("--vault-password-file", str(self.password), *words)

    def extra(self, **extra: object) -> dict:
        """The variables of a run; the plain list of the inventory is not used any more."""
        return {"session_ring_store": self.store, "session_keys_passphrases": None, **self.settings, **extra}

    def run(self, name: str, *words: str, **extra: object) -> journey.Run:
        """One run of a playbook to its end."""
        try:
            return journey.playbook(name, *self.words(*words), extra=self.extra(**extra))
        finally:
            self.ring()

    def did(self, name: str, *words: str, **extra: object) -> journey.Run:
        """A run that has to succeed."""
        run = self.run(name, *words, **extra)
        assert run.status == 0, run.output
        return run

    def started(self, name: str, **extra: object):
        """A run that goes on meanwhile; call what is given back to wait for its end."""
        command, cleanup = journey.prepared(name, *self.words(), extra=self.extra(**extra))
        process = self._popen(command)

        def wait() -> journey.Run:
            try:
                output, _nothing = process.communicate(timeout=300)
            finally:
                cleanup()
                self.ring()
            return journey.finished(process.returncode, output)

        return wait

    def killed(self, name: str, at: str, occurrence: int, delay: float, **extra: object) -> None:
        """A run whose controller is killed ``delay`` seconds after its output says ``at`` for that many times."""
        command, cleanup = journey.prepared(name, *self.words(), extra=self.extra(**extra))
        process = self._popen(command)
        printed = ""
        try:
            while printed.count(at) < occurrence:
                line = process.stdout.readline()
                assert line, "it ended before %r: %s" % (at, printed)
                printed += line
            time.sleep(delay)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            cleanup()
            journey.finished(-9, printed)
            self.ring()

    def _popen(self, command: list[str]) -> subprocess.Popen:
        return subprocess.Popen(command, env=journey.environment(), cwd=journey.ROOT, text=True, start_new_session=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ring(self) -> Ring | None:
        """The ring as its store has it; its keys are remembered for the search for leaks."""
        loader = DataLoader()
        loader.set_vault_secrets([("default", VaultSecret(self.password.read_bytes().strip()))])
        ring, _version = open_store(self.store, loader).load()
        if ring:
            journey.remember(*(key.passphrase for key in ring.keys))
        return ring

    @property
    def states(self) -> list[str]:
        """The states of the ring's keys, in their order."""
        return [key.state for key in self.ring().keys]

    def every_key(self) -> list[str]:
        """All passphrases that the ring still has."""
        return [key.passphrase for key in self.ring().keys]


class Browser:
    """One user, whose session was made by a node and holds a value."""

    def __init__(self, keys: Sequence[str], of: Scope, node: str = "n1") -> None:
        self.of = of
        self.value = secrets.token_hex(MARKER_LENGTH // 2)
        self.cookie = journey.ask(node, list(keys), 0, of, marker=self.value).cookie.value

    def visits(self, node: str, keys: Sequence[str], keep: bool = True) -> bool:
        """Whether the session is alive on a node, value intact. ``keep``: go on with the node's new cookie."""
        answer, _body = journey.get(node, self.of.probe_path, "%s=%s" % (self.of.cookie_name, self.cookie))
        found = [value for name, value in answer.headers if name.lower() == "set-cookie"]
        new = found[0].split(";")[0].partition("=")[2]
        try:
            alive = parse_payload(unseal(new, list(keys), self.of.cipher).payload).pairs.get(MARKER) == self.value
        except CookieError:
            return False
        if alive and keep:
            self.cookie = new
        return alive

    @contextlib.contextmanager
    def busy(self, operator: Operator, nodes: Sequence[str] = FLEET) -> Iterator[None]:
        """Meanwhile this user goes from node to node, twice a second, and must never lose the session."""
        ended, lost = threading.Event(), []

        def visit() -> None:
            for node in itertools.cycle(nodes):
                # The ring may have changed since it was read.
                if not any(self.visits(node, operator.every_key()) for _try in range(2)):
                    lost.append("%s at %.1f" % (node, time.time()))
                if ended.wait(0.5):
                    return

        with ThreadPoolExecutor(1) as pool:
            visits = pool.submit(visit)
            try:
                yield
            finally:
                ended.set()
                visits.result()
        assert not lost, lost

    def alive(self, keys: Sequence[str], nodes: Sequence[str] = FLEET) -> bool:
        """Whether the session is alive on all nodes: as it is for who was idle, and as it goes on."""
        return all([self.visits(node, keys, keep=False) for node in nodes] + [self.visits(node, keys) for node in nodes])
