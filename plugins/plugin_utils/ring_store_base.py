# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stores of a ring have in common: their interface, their errors, and the ring as the text that they keep."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from ..module_utils.ring import Ring
from ..module_utils.ring_json import RingFormatError, from_json, to_json
from ..module_utils.ring_times import moment


class StoreError(Exception):
    """A ring cannot be loaded or saved. Prints as a sentence that says where and what to do, without any secret."""


class Conflict(StoreError):
    """Somebody else saved meanwhile; nothing was changed by us."""


class Store(Protocol):
    """Where a ring is kept.

    :ivar where: its place, for sentences.
    """

    where: str

    def load(self) -> tuple[Ring | None, Hashable]:
        """The ring, None where none was made yet, and a token that stands for exactly what was read.

        :raises StoreError: where there is something that cannot be read as a ring.
        """

    def save(self, ring: Ring, token: Hashable) -> None:
        """Put a ring in the place of the one that ``token`` came with: all of it, or nothing of it.

        :raises Conflict: where another one is there by now.
        :raises StoreError: where it cannot be saved.
        """


class ReadOnly:
    """A store that is never saved to, as a copy of a file: what was saved there would be lost with it.

    :param store: where the ring is read.
    """

    def __init__(self, store: Store) -> None:
        self.where = store.where
        self._store = store

    def load(self) -> tuple[Ring | None, Hashable]:
        """What the store has."""
        return self._store.load()

    def save(self, ring: Ring, token: Hashable) -> None:
        """Refuse."""
        raise StoreError(
            f"{self.where} is only read here (session_ring_store: read_only), and this would change the ring. Do it where the "
            "ring is kept; before a deploy with other max ages: ansible-playbook httpd_fleet.mod_session.ring "
            "-e session_ring_verb=tell"
        )


def write_ring(ring: Ring, where: str) -> str:
    """The text to keep, after a proof that it can be read back."""
    text = to_json(ring)
    try:
        from_json(text)
    except RingFormatError as error:
        raise StoreError(f"{where}: nothing was saved, for {error}. This is a bug of the collection: please report it") from None
    return text


def read_ring(text: str, where: str, before: str) -> Ring:
    """The ring that a kept text holds. ``before``: a sentence on where the generation before is."""
    try:
        return from_json(text)
    except RingFormatError as error:
        raise StoreError(f"{where}: {error}. {before}") from None


def changed_meanwhile(where: str, ring: Ring | None) -> Conflict:
    """The refusal to save over what somebody else saved; with what it was, where that can be read."""
    what = ""
    if ring is not None:
        what = f": it is generation {ring.generation} now"
        if ring.history:
            last = ring.history[-1]
            what += f", the last event is {last.verb} by {last.who} at {moment(last.time)}"
    return Conflict(f"{where}: somebody else changed the ring meanwhile{what}. Nothing was saved: run the same command again")
