# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked of which fleet, and how keys and times are spoken of in findings."""

from __future__ import annotations

from dataclasses import dataclass

from .canary import Canary
from .clock import SECOND, Limits
from .scopes import Scope

STATES = ("primary", "staged", "secondary", "revoked")
"""What a key is for: encrypts; will encrypt next; decrypts only; must not be accepted by any node."""


@dataclass(frozen=True)
class Key:
    """A key as it is spoken of. ``created``: seconds since the epoch, None if not known."""

    fingerprint: str
    state: str
    created: int | None = None
    weak: bool = False


@dataclass(frozen=True)
class Question:
    """What was asked of which fleet.

    ``nodes``: all of the inventory group. ``keys``: as they were probed for, the revoked ones last; the index of a key
    in a view is its place here. ``absent``: nodes that the operator declared absent; they are asked too.
    ``payload``: bytes of a session that has to fit, 0 for none.
    ``clock_set``: microseconds by which the asker's clock was set meanwhile. ``ring``: id and generation of the ring that
    the keys are from, if any. ``canary``: the canaries after the check, one for each scope; None: not wanted.
    """

    nodes: tuple[str, ...]
    scopes: tuple[Scope, ...]
    keys: tuple[Key, ...]
    limits: Limits
    absent: frozenset[str] = frozenset()
    payload: int = 0
    clock_set: int = 0
    ring: tuple[str, int] | None = None
    canary: tuple[Canary, ...] | None = None

    def name(self, index: int) -> str:
        """How a key is called in sentences."""
        key = self.keys[index]
        public = "" if key.fingerprint == "hidden" else f" {key.fingerprint}"
        return f"key {index + 1}{public} ({key.state})"


def seconds(micros: int) -> str:
    """A length of time for people."""
    if abs(micros) < SECOND:
        return f"{micros / 1000:.0f} ms" if abs(micros) >= 10000 else f"{micros / 1000:.1f} ms"
    return f"{micros / SECOND:.2f} s".replace(".00 s", " s")


def signed(micros: int) -> str:
    """A difference of time for people."""
    return ("+" if micros > 0 else "") + seconds(micros)
