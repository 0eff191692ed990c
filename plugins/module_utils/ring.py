# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring: the keys of a fleet, what each is for, and all that has to be remembered to change them safely.

What may be done with a ring is in ``ring_verbs``, what a check saw in ``ring_evidence``; docs/rotation.md says why.
All times are whole seconds since the epoch, UTC. A ring is never changed: a verb returns a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Mapping, Optional, Tuple

from .passphrases import PassphraseError, validate

PRIMARY, STAGED, SECONDARY, RETIRED, REVOKED = "primary", "staged", "secondary", "retired", "revoked"
LIVE = (PRIMARY, STAGED, SECONDARY)
"""States of keys that nodes have, in httpd's order: encrypts; will encrypt next; only decrypts."""

REMOVED = (RETIRED, REVOKED)
"""States of keys that no node may accept any more; kept until a check has proven that."""

DRIFTS = 4
"""How many times the difference of two clocks that a check lets pass has to fit into the margin for clocks."""

GENERATED, ADOPTED = "generated", "adopted"
HISTORY = 500
"""Events kept; the oldest are dropped."""

KEPT = 6
"""Retired keys kept, where nodes are absent for so long that nobody can prove that they refuse them."""


@dataclass(frozen=True)
class Stamp:
    """Who acts, and when by the clock of that person's machine."""

    time: int
    who: str


@dataclass(frozen=True)
class Margins:
    """What is added to the longest max age before a key may be retired, in seconds.

    :ivar drift: by how much a node's clock may be set or drift between two checks.
    :ivar drain: how long a worker of httpd may still answer a request after a reload has replaced it.
    :ivar endless: how long a session made under ``SessionMaxAge 0`` may be idle before its loss is accepted; None: never.
    """

    drift: int = 60
    drain: int = 300
    endless: Optional[int] = None

    def problem(self, tolerance: float) -> str:
        """What is wrong with them, as a sentence; empty where sessions are safe with them.

        :param tolerance: by how many seconds two clocks may differ before a check calls them drifted.
        """
        if self.drain < 1 or self.drift < 1 or (self.endless is not None and self.endless < 1):
            return "session_ring_drift, session_ring_drain and session_ring_endless must be 1 s at least"
        if self.drift < DRIFTS * tolerance:
            return (
                "session_ring_drift is %d s: expected at least %.4g s, four times the difference of clocks that the check lets "
                "pass, %.4g s. Raise it, or lower session_check_fail_drift" % (self.drift, DRIFTS * tolerance, tolerance)
            )
        return ""


@dataclass(frozen=True)
class Key:
    """One key.

    :ivar id: its public name, which tells nothing about the passphrase.
    :ivar weak: it can be guessed from a cookie.
    :ivar created: when it came into the ring; ``staged``, ``promoted``, ``demoted`` and ``removed``: when it was.
    :ivar proven: of a secondary: since when, by the latest clock of the fleet, it certainly encrypts nowhere; None: it
        is not known to have stopped.
    """

    id: str
    passphrase: str = field(repr=False)
    state: str
    origin: str = GENERATED
    weak: bool = False
    created: int = 0
    staged: Optional[int] = None
    promoted: Optional[int] = None
    demoted: Optional[int] = None
    removed: Optional[int] = None
    proven: Optional[int] = None


@dataclass(frozen=True)
class MaxAge:
    """A max age (seconds, 0: sessions without end) that nodes have or had.

    :ivar gone: since when no node has it, by the latest clock of the fleet; None: some node may.
    :ivar listed: a scope has it in the list that deploys bring to the nodes.
    """

    seconds: int
    gone: Optional[int] = None
    listed: bool = False


@dataclass(frozen=True)
class Absence:
    """A node of which an operator said that it is not there and gets no traffic."""

    node: str
    time: int
    who: str
    reason: str = ""


@dataclass(frozen=True)
class Event:
    """What was done. ``keys`` are ids; ``summary`` is a sentence with the evidence, without any passphrase."""

    time: int
    who: str
    verb: str
    keys: Tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True)
class Ring:
    """The ring of a fleet.

    :ivar id: a random name, so that two rings are never mistaken for each other.
    :ivar generation: counts saves. ``changed_in``: the generation in which the keys changed last; nodes remember it
        and take no older list, and evidence of an older one counts for nothing.
    :ivar keys: in httpd's order, the removed ones last.
    :ivar max_ages: all that may still matter, see :func:`wait`.
    :ivar nodes: every node known to be of the fleet, whatever an inventory says today.
    :ivar settled: the nodes to which a deploy has brought the list of scopes as it is. A scope that was taken out of the list
        is not probed any more: only a deploy can say that a node serves it no longer.
    :ivar earlier: the longest max age (seconds) of before the ring was made, as an operator said; None: nobody did.
    """

    id: str
    generation: int = 0
    changed_in: int = 0
    keys: Tuple[Key, ...] = ()
    max_ages: Tuple[MaxAge, ...] = ()
    nodes: Tuple[str, ...] = ()
    settled: Tuple[str, ...] = ()
    earlier: Optional[int] = None
    absent: Tuple[Absence, ...] = ()
    history: Tuple[Event, ...] = ()

    @property
    def live(self) -> Tuple[Key, ...]:
        """The keys that every node has to have, in httpd's order."""
        return tuple(key for key in self.keys if key.state in LIVE)

    @property
    def primary(self) -> Key:
        """The key that encrypts."""
        return self.keys[0]

    @property
    def staged(self) -> Optional[Key]:
        """The key that will encrypt next, if there is one."""
        return next((key for key in self.keys if key.state == STAGED), None)

    @property
    def secondaries(self) -> Tuple[Key, ...]:
        """The keys that only decrypt, the latest first."""
        return tuple(key for key in self.keys if key.state == SECONDARY)

    @property
    def removed(self) -> Tuple[Key, ...]:
        """The keys that no node may accept."""
        return tuple(key for key in self.keys if key.state in REMOVED)

    @property
    def absentees(self) -> Tuple[str, ...]:
        """Names of the nodes declared absent."""
        return tuple(absence.node for absence in self.absent)

    def passphrases(self) -> Tuple[str, ...]:
        """The list for httpd: the first encrypts, all decrypt."""
        return tuple(key.passphrase for key in self.live)

    def with_keys(self, *keys: Key) -> Ring:
        """This ring with other keys, brought into order. Nodes have to be told: evidence begins anew."""
        retired = [key for key in keys if key.state == RETIRED]
        too_many = sorted(retired, key=lambda key: key.removed or 0)[: max(0, len(retired) - KEPT)]
        ordered = sorted((key for key in keys if key not in too_many), key=lambda key: (LIVE + REMOVED).index(key.state))
        return replace(self, keys=tuple(ordered), changed_in=self.generation + 1)

    def with_event(self, stamp: Stamp, verb: str, keys: Tuple[Key, ...], summary: str) -> Ring:
        """This ring with one more event in its history."""
        event = Event(stamp.time, stamp.who, verb, tuple(key.id for key in keys), summary)
        return replace(self, history=(*self.history, event)[-HISTORY:])


class Refusal(Exception):
    """A verb that is not allowed now. Prints as a sentence that says what to do.

    :ivar reason: one word for programs: ``no_ring``, ``exists``, ``bad_key``, ``other_ring``, ``old_evidence``,
        ``nodes``, ``clock``, ``not_yet``, ``max_age_zero``, ``nothing_staged``, ``full``, ``unknown_node``,
        ``in_inventory``, ``margins``, ``other_fleet``.
    :ivar nodes: the nodes in the way, each with what is wrong with it.
    :ivar not_before: when it will be allowed, where only time is missing.
    """

    def __init__(
        self, reason: str, sentence: str, nodes: Optional[Mapping[str, str]] = None, not_before: Optional[int] = None
    ) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.nodes = dict(nodes or {})
        self.not_before = not_before


def wait(ring: Ring, key: Key, margins: Margins) -> Optional[int]:
    """Seconds that a key which has stopped encrypting must still be accepted; None: without end, or it has not stopped.

    A cookie sealed just before that moment (``key.proven``) lives for the max age that its node had then. A max age that
    was taken back before still counts: as long as its sessions live, and for every key that was there at the time. For a
    node whose deploy fails goes back to its old max age, and a check may have seen it in between only. One that came later
    counts too. All this costs only time.
    """
    if key.proven is None:
        return None
    longest = 0
    for age in ring.max_ages:
        seconds, before = age.seconds, age.gone is not None and key.created > age.gone
        if seconds == 0 and not before:
            if age.gone is None or margins.endless is None:
                return None
            seconds = margins.endless
        if age.gone is None or not before or age.gone + seconds + margins.drift + margins.drain > key.proven:
            longest = max(longest, seconds)
    return longest + margins.drift + margins.drain


def not_before(ring: Ring, key: Key, margins: Margins) -> Optional[int]:
    """From when on a secondary may be retired, by the earliest clock of the fleet; None: cannot be said yet."""
    seconds = wait(ring, key, margins)
    return None if key.proven is None or seconds is None else key.proven + seconds


def saved(old: Optional[Ring], new: Ring) -> Ring:
    """The ring as it is to be saved: one generation on, however many verbs it went through."""
    return replace(new, generation=(old.generation if old else 0) + 1)


def problem(ring: Ring) -> str:
    """What is wrong with a ring, as a sentence; empty for a good one. No passphrase is part of it."""
    states = [key.state for key in ring.keys]
    ids = [key.id for key in ring.keys]
    if any(state not in LIVE + REMOVED for state in states):
        return "a key has an unknown state"
    if states[:1] != [PRIMARY] or states.count(PRIMARY) > 1:
        return "it must have exactly one primary key, as the first"
    if states.count(STAGED) > 1 or (STAGED in states and states[1] != STAGED):
        return "it may have one staged key, after the primary"
    if states != sorted(states, key=(LIVE + REMOVED).index):
        return "its keys are out of order"
    if not all(ids) or len(set(ids)) < len(ids):
        return "each key needs an id of its own"
    if not ring.id or not 1 <= ring.changed_in <= ring.generation:
        return "its id or generation is missing"
    if any(age.seconds < 0 for age in ring.max_ages):
        return "a max age is below 0"
    try:
        validate(list(ring.passphrases()), allow_weak=True)
    except PassphraseError as error:
        return str(error)
    return ""
