# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small world in which the ring has to prove itself: nodes, clients, clocks. Operators are in ``operators``.

The ring's code is the real one; nodes and clients do what httpd does (mod_session.c, mod_session_crypto.c), as far as
keys and expiry matter. A key is its id. Times are seconds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from plugins.module_utils import ring_verbs
from plugins.module_utils.ring import Margins, Ring, Stamp, saved
from plugins.module_utils.ring_evidence import UNLISTED, Evidence, NodeSeen
from plugins.module_utils.ring_json import from_json, to_json

SKEW = 5
"""A node's clock is off by this much at most, either way."""

MARGINS = Margins(drift=8 * SKEW, drain=25)
INTERVAL = 60
BUSY = 5
"""Seconds between two requests of the client that never rests."""

MAX_AGES = (20, 60, 300)
SECOND_SCOPE = (None, None, 20, 300)
"""What a second scope may have in the inventory; None: there is none."""

NOTHING = object()
NODE, PROXY, APPLICATION = "node", "proxy", "application"
"""What may answer a check in place of a node's probe location: that of another node, always or by turns, or an application on the
node itself, whose sessions are as long as those that a check looks for."""


class Violation(AssertionError):
    """Something happened that must never happen."""


class Conflict(Exception):
    """Somebody else saved a ring meanwhile."""


@dataclass(frozen=True)
class Loaded:
    """What a node's disk holds, or its running server has loaded: a list of the ring, with the generation that stands in
    the same file, and a configuration; ``max_age`` None: there is none. ``second``: the max age of a second scope, if any."""

    keys: tuple[str, ...]
    changed_in: int
    max_age: int | None
    second: int | None = None

    def age_for(self, client: Client) -> int | None:
        """The max age of the scope that a client is in; None where it is not served."""
        return self.second if client.in_second else self.max_age

    def with_config_of(self, other: object) -> Loaded:
        """These keys with another configuration."""
        has = isinstance(other, Loaded)
        return replace(self, max_age=other.max_age if has else None, second=other.second if has else None)


@dataclass
class Node:
    """``undo``: what an unfinished transaction has kept of the disk; ``boot`` counts starts; ``fails``: the next
    transaction will not pass its live proof."""

    name: str
    disk: Loaded | None
    running: Loaded | None = None
    up: bool = True
    traffic: bool = False
    offset: int = 0
    undo: object = NOTHING
    lock: object = None
    boot: int = 0
    fails: bool = False
    reloaded: int = 0

    def reload(self, time: int) -> None:
        """The server loads what is on the disk, now."""
        self.running = self.disk if self.disk is not None and self.disk.max_age is not None else None
        self.reloaded = time

    @property
    def serves(self) -> bool:
        """Whether the load balancer sends requests here."""
        return self.up and self.traffic and self.running is not None


@dataclass(frozen=True)
class Cookie:
    """A sealed session."""

    key: str
    expiry: int


@dataclass
class Client:
    """A browser, with its cookie and the answers that it still waits for; in the second scope or in the first."""

    in_second: bool = False
    cookie: Cookie | None = None
    slow: list[Slow] = field(default_factory=list)


@dataclass(frozen=True)
class Slow:
    """A request whose worker has opened the session and will seal it when it answers."""

    node: Node
    loaded: Loaded
    boot: int
    begun: int


class World:
    """Everything there is. A method is one thing that happens; :meth:`check` holds after each."""

    margins = MARGINS
    drain = MARGINS.drain

    def __init__(self, nodes: int = 3, clients: int = 3) -> None:
        self.time = 1_000_000
        self.wanted_max_age = MAX_AGES[1]
        self.wanted_second: int | None = None
        self.count = 0
        names = ["n%d" % number for number in range(nodes)]
        stamp = Stamp(self.time, "first")
        ring = self.first_ring(stamp, names)
        ring = ring_verbs.brought(ring, self.listed, names)
        self.text, self.version, self.ring = "", 0, None
        self.save(ring, 0)
        ready = self.wish(self.load()[0])
        self.nodes = [Node(name, ready, ready, traffic=True) for name in names]
        self.clients = [*(Client() for _number in range(clients)), Client(in_second=True)]
        self.old_disks = [ready]
        self.revoked_in = 0
        self.astray: dict[str, tuple[str, int]] = {}
        self.leaked: set[str] = set()

    def first_ring(self, stamp: Stamp, names: list[str]) -> Ring:
        """The ring that the story begins with."""
        return ring_verbs.init("world", stamp, self.secret, names, self.listed)

    @property
    def listed(self) -> list[int]:
        """The max ages of the inventory's scopes."""
        return [age for age in (self.wanted_max_age, self.wanted_second) if age is not None]

    def secret(self) -> bytes:
        """Bytes for a key, never the same twice."""
        self.count += 1
        return hashlib.sha256(b"%d" % self.count).digest()

    def node(self, name: str) -> Node:
        """The node of this name."""
        return next(node for node in self.nodes if node.name == name)

    # The store.

    @property
    def primary(self) -> str:
        """Id of the ring's primary."""
        return self.load()[0].primary.id

    @property
    def waiting(self) -> bool:
        """Whether a key was demoted and its wait has not begun."""
        return any(key.proven is None for key in self.load()[0].secondaries)

    def load(self) -> tuple[Ring, int]:
        """The ring and its version."""
        return self.ring, self.version

    def save(self, ring: Ring, expected: int) -> Ring:
        """Compare and swap."""
        if expected != self.version:
            raise Conflict
        ring = saved(self.ring, ring)
        self.text, self.version, self.ring = to_json(ring), self.version + 1, ring
        if from_json(self.text) != ring:
            raise Violation("the ring was read back differently")
        return ring

    def wish(self, ring: Ring) -> Loaded:
        """What a deploy wants to have on a node."""
        return Loaded(self.order(ring), ring.changed_in, self.wanted_max_age, self.wanted_second)

    def order(self, ring: Ring) -> tuple[str, ...]:
        """The list for httpd."""
        names = {key.passphrase: key.id for key in ring.keys}
        return tuple(names[passphrase] for passphrase in ring.passphrases())

    # Verbs, for mutations to spoil.

    def observe(self, ring: Ring, stamp: Stamp, evidence: Evidence) -> Ring:
        """The verb."""
        return ring_verbs.observe(ring, stamp, evidence)

    def promote(self, ring: Ring, stamp: Stamp, evidence: Evidence) -> Ring:
        """The verb."""
        return ring_verbs.promote(ring, stamp, evidence)

    def retire(self, ring: Ring, stamp: Stamp, evidence: Evidence) -> Ring:
        """The verb."""
        return ring_verbs.retire(ring, stamp, evidence, self.margins)

    def present(self, ring: Ring, stamp: Stamp, name: str, evidence: Evidence) -> Ring:
        """The verb."""
        return ring_verbs.present(ring, stamp, name, evidence)

    def revoke(self, ring: Ring, stamp: Stamp) -> Ring:
        """The verb."""
        return ring_verbs.revoke(ring, stamp, self.secret)

    def bring(self, ring: Ring) -> Ring:
        """The verb tell, where a deploy begins."""
        return ring_verbs.bring(ring, self.listed)

    def brought(self, ring: Ring, names: list[str]) -> Ring:
        """The verb tell, where a deploy of these nodes has ended."""
        return ring_verbs.brought(ring, self.listed, names)

    # The node transaction, as plugins/module_utils/apply.py does it; for mutations to spoil as well.

    def takes(self, node: Node, wish: Loaded) -> bool:
        """Whether a node takes a list: never one that is older than its own."""
        return node.disk is None or wish.changed_in >= node.disk.changed_in

    def put_back(self, node: Node, killed: bool) -> None:
        """A transaction failed, or a killed one is found: the old configuration returns. The list of keys stays: it may
        have gone live, and a check may have seen it."""
        if node.disk is not None:
            node.disk = node.disk.with_config_of(node.undo)

    # Nodes.

    def crash(self, node: Node) -> None:
        """Power off. A transaction that was under way is left as it is."""
        node.up, node.running, node.lock = False, None, None

    def start(self, node: Node) -> None:
        """Power on, with whatever is on the disk."""
        node.up, node.boot = True, node.boot + 1
        node.reload(self.time)

    def logrotate(self, node: Node) -> None:
        """A reload that nobody asked for."""
        if node.up:
            node.reload(self.time)

    def set_clock(self, node: Node, offset: int) -> None:
        """A node's clock is set."""
        node.offset = offset

    def join(self, disk: Loaded | None) -> Node:
        """A new node, blank or made from an old image, without traffic."""
        node = Node("n%d" % len(self.nodes), disk, disk)
        self.nodes.append(node)
        return node

    def seen(self, node: Node, asked: list[str]) -> NodeSeen:
        """What probes show of a node."""
        if not node.up or node.running is None:
            return NodeSeen(answered=node.up, encrypts_with=frozenset({UNLISTED} if node.up else ()))
        keys = node.running.keys
        if self.wanted_second is not None and node.running.second is None:
            return NodeSeen(answered=True, encrypts_with=frozenset({keys[0] if keys[0] in asked else UNLISTED, UNLISTED}))
        return NodeSeen(
            answered=True,
            accepts=frozenset(key for key in asked if key in keys),
            refuses=frozenset(key for key in asked if key not in keys),
            encrypts_with=frozenset({keys[0] if keys[0] in asked else UNLISTED}),
        )

    # Who answers a check.

    def counts(self, name: str, identity: str, by: str) -> bool:
        """Whether an answer is evidence of a node: only if its own probe location gave it."""
        return identity == name

    def probed(self, name: str, asked: list[str]) -> NodeSeen:
        """What a check sees at the address that stands for a node in the inventory."""
        by, number = self.astray.get(name, ("", 0))
        who = self.node(name)
        if by in (NODE, PROXY):
            who = self.nodes[(number + (self.time if by == PROXY else 0)) % len(self.nodes)]
        found = self.seen(who, asked)
        if by == APPLICATION and found.encrypts_with != {UNLISTED}:
            found = replace(found, accepts=frozenset(asked), refuses=frozenset())
        if found.answered and not self.counts(name, "" if by == APPLICATION else who.name, by):
            return NodeSeen(answered=True, encrypts_with=frozenset({UNLISTED}))
        return found

    # Clients.

    def request(self, client: Client, node: Node, dirty: bool, interval: int) -> None:
        """A quick request. ``interval``: SessionExpiryUpdateInterval."""
        if not node.serves or self.revoking or node.running.age_for(client) is None:
            return
        clock = self.time + node.offset
        old = self.opened(client, node)
        expiry = clock + node.running.age_for(client)
        if dirty or old is None or not interval or expiry - old.expiry >= interval:
            client.cookie = Cookie(node.running.keys[0], expiry)

    def opened(self, client: Client, node: Node) -> Cookie | None:
        """The session that a node finds in a request, None for none or an ended one."""
        cookie = client.cookie
        if cookie is None or cookie.expiry < self.time + node.offset:
            return None
        if cookie.key not in node.running.keys:
            raise Violation("a session under %s was lost on %s, which has %s" % (cookie.key, node.name, node.running.keys))
        return cookie

    def begin(self, client: Client, node: Node) -> None:
        """A request that takes its time."""
        if not node.serves or self.revoking or node.running.age_for(client) is None:
            return
        if self.opened(client, node) is not None and len(client.slow) < 3:
            client.slow.append(Slow(node, node.running, node.boot, self.time))

    def end(self, client: Client) -> None:
        """The oldest slow request is answered, by a worker that may be of before a reload."""
        if not client.slow:
            return
        slow = client.slow.pop(0)
        if slow.node.up and slow.node.boot == slow.boot:
            client.cookie = Cookie(slow.loaded.keys[0], self.time + slow.node.offset + slow.loaded.age_for(client))

    def advance(self, seconds: int) -> None:
        """Time goes on, and the first client with it, from node to node."""
        while seconds > 0:
            tick = min(seconds, BUSY)
            for client in self.clients:
                while any(self.overdue(slow, tick) for slow in client.slow):
                    self.end(client)
            self.time += tick
            seconds -= tick
            self.request(self.clients[0], self.nodes[self.time // BUSY % len(self.nodes)], False, 0)

    def overdue(self, slow: Slow, seconds: int) -> bool:
        """No worker outlives the reload that replaced it by more than the time to drain."""
        replaced = slow.node.reloaded
        return replaced >= slow.begun and self.time + seconds - replaced > self.drain

    # What must hold.

    @property
    def revoking(self) -> bool:
        """Whether a revocation is not live on all nodes yet: then sessions end, by design."""
        if self.revoked_in and self.primary in self.leaked:
            raise Violation("the leaked key %s encrypts after it was revoked" % self.primary)
        if not self.revoked_in:
            return False
        lists = [one for node in self.nodes if node.traffic for one in (node.disk, node.running) if one is not None]
        if all(one.changed_in >= self.revoked_in for one in lists):
            self.revoked_in = 0
            return False
        for client in self.clients:
            client.cookie = None
            client.slow.clear()
        return True

    def check(self) -> None:
        """No list anywhere encrypts with a key that another lacks, and none lacks the key of a session alive.

        What is on a disk counts like what runs: it may be loaded at any moment.
        """
        if self.revoking:
            return
        fleet = [node for node in self.nodes if node.traffic]
        lists = [(node, one) for node in fleet for one in (node.disk, node.running) if one is not None]
        for node, one in lists:
            if not one.keys:
                raise Violation("%s would send sessions in plain text" % node.name)
            for other, two in lists:
                if one is not two and one.keys[0] not in two.keys:
                    raise Violation("%s encrypts with %s, %s has %s" % (node.name, one.keys[0], other.name, two.keys))
            for client in self.clients:
                cookie = client.cookie
                if one.age_for(client) is None:
                    continue
                if cookie and cookie.key not in one.keys and cookie.expiry >= self.time + node.offset:
                    raise Violation("a session under %s lives, %s has %s" % (cookie.key, node.name, one.keys))


class AdoptedWorld(World):
    """The fleet had its key before there was a ring, and a longer max age until just before."""

    EARLIER = MAX_AGES[-1]

    def __init__(self, nodes: int = 3, clients: int = 3) -> None:
        super().__init__(nodes, clients)
        for client in self.clients:
            if not client.in_second:
                client.cookie = Cookie(self.primary, self.time + self.EARLIER - SKEW)

    def first_ring(self, stamp: Stamp, names: list[str]) -> Ring:
        """The key is adopted, and the earlier max age told."""
        key = ring_verbs.init("world", stamp, self.secret, names).primary
        return self.tell_earlier(ring_verbs.adopt("world", stamp, [key.passphrase], key.id.lower, names, self.listed))

    def tell_earlier(self, ring: Ring) -> Ring:
        """The verb, for a mutation to spoil."""
        return ring_verbs.earlier(ring, self.EARLIER)
