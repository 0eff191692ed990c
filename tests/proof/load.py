# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsers, many of them, each with one session of its own, who notice when it is lost.

A session is all in its cookie, so every client knows what the next answer must say. Three kinds:

counter   asks for /app/count, thinks a little, and asks again: the count goes up by one with every answer
idle      the same, but rests for 70 % of the max age between two requests
reader    has put a note into its session and only reads it from then on: httpd alone keeps such a session alive

As a browser does, a client stores the cookie of every answer, drops it after its Max-Age, keeps its connection, and asks
once more over a new one when a connection that it had kept turns out to be closed before a byte of the answer came. Any other
failure is an error: no answer, status 5xx, an answer cut short. After an error the client still has its cookie, asks again a
second later, and must be answered as if the failed request had not been: that one's cookie never reached it. Only where the
head of an answer came and its body did not, the client has the new cookie without the new count: then it may be one or two
more.

A session may end by its max age while its request waits, on a machine that is too busy. Such an answer says nothing about
keys: it is counted apart (``expired``), and the proof says that it could not be made.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlencode

COOKIE = "shop_session"
KINDS = ("counter", "idle", "reader")
PATIENCE = 0.2
"""Which part of the max age a client waits for an answer: an idle one must be able to ask again before its session ends."""


class Failed(Exception):
    """A request without a whole answer of status 2xx or 3xx: why. ``stored``: its cookie came all the same."""

    def __init__(self, why: str, stored: bool = False) -> None:
        super().__init__(why)
        self.stored = stored


class Unanswered(Exception):
    """The connection was closed before a byte of the answer came."""


@dataclass(frozen=True)
class Site:
    """Where the load balancer is, and how a client calls the site."""

    address: str
    port: int
    name: str
    tls: ssl.SSLContext


@dataclass(frozen=True)
class Loss:
    """One session that was lost, as its client noticed. ``age``: seconds since its cookie was asked for."""

    when: float
    phase: str
    client: int
    kind: str
    node: str
    expected: str
    got: str
    age: float


@dataclass
class Tally:
    """What all clients together have seen. ``phase`` says what is being done to the fleet just now."""

    phase: str = "start"
    requests: int = 0
    reopened: int = 0
    expired: int = 0
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)
    latencies: array[float] = field(default_factory=lambda: array("f"))
    nodes: Counter[str] = field(default_factory=Counter)

    @property
    def sessions_lost(self) -> int:
        """Clients who lost their session at least once."""
        return len({loss.client for loss in self.losses})

    def percentile(self, share: float) -> float:
        """A latency in seconds that this share of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Client:
    """One browser with one session."""

    def __init__(
        self, number: int, kind: str, pause: float, patience: float, site: Site, tally: Tally, chance: random.Random
    ) -> None:
        self.number, self.kind, self.pause, self.patience = number, kind, pause, patience
        self.alive = False
        self._site, self._tally, self._chance = site, tally, chance
        self._cookie, self._cookie_ends = "", 0.0
        # When the cookie that was sent last was asked for, and until when its session certainly lives: a node made it after that.
        self._born, self._lives_until = 0.0, 0.0
        self._sent_born, self._sent_lives_until = 0.0, 0.0
        self._expected: set[int] = {1}
        self._note = f"note of client {number}"
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, ready: asyncio.Event, finish: asyncio.Event) -> None:
        """Begin a session and see it once (``ready``), live on until ``finish``, and prove at last that it is alive."""
        seen = 0
        while not finish.is_set():
            answered = await self._visit()
            seen += answered
            if seen == 2:
                ready.set()
            if seen < 2:
                pause = 1.0
            else:
                pause = self.pause * self._chance.uniform(0.97, 1.03) if self.kind == "idle" else (
                    self.pause * self._chance.uniform(0.5, 1.5))
            await _wait(finish, pause if answered else 1.0)
        lost = len(self._tally.losses)
        for _attempt in range(5):
            if await self._visit():
                self.alive = not any(loss.client == self.number for loss in self._tally.losses[lost:])
                break
            await asyncio.sleep(1.0)
        self._close()

    async def _visit(self) -> bool:
        """One request and the judgement of its answer; False after an error."""
        if self._cookie and time.monotonic() >= self._cookie_ends:
            # Not the server's fault: the client came too late.
            self._tally.expired += 1
            self._cookie = ""
        if not self._cookie:
            self._expected = {1}
        try:
            if self.kind == "reader":
                await self._read()
            else:
                await self._count()
        except Failed as error:
            self._tally.errors[(self._tally.phase, str(error))] += 1
            if error.stored:
                self._expected |= {count + 1 for count in self._expected}
            return False
        return True

    async def _count(self) -> None:
        answer = json.loads(await self._ask("GET", "/app/count"))
        if answer["count"] not in self._expected:
            self._lost(answer["node"], " or ".join(map(str, sorted(self._expected))), str(answer["count"]))
        self._expected = {answer["count"] + 1}

    async def _read(self) -> None:
        if not self._cookie:
            await self._ask("POST", "/app/notes", {"note": self._note})
        answer = json.loads(await self._ask("GET", "/app/notes"))
        if answer["notes"] != [self._note]:
            self._lost(answer["node"], self._note, ", ".join(answer["notes"]) or "nothing")
            self._cookie = ""

    def _lost(self, node: str, expected: str, got: str) -> None:
        if time.monotonic() >= self._sent_lives_until:
            self._tally.expired += 1
            return
        age = round(time.monotonic() - self._sent_born, 1)
        self._tally.losses.append(Loss(time.time(), self._tally.phase, self.number, self.kind, node, expected, got, age))

    async def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> bytes:
        """The body of the answer to one request."""
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(self.patience):
                try:
                    body = await self._exchange(method, path, form)
                except Unanswered as error:
                    if not error.args[0]:
                        raise
                    self._tally.reopened += 1
                    body = await self._exchange(method, path, form)
        except TimeoutError:
            self._close()
            raise Failed(f"no answer within {self.patience:.0f} s") from None
        except Unanswered:
            raise Failed("connection closed without an answer") from None
        except OSError as error:
            self._close()
            raise Failed(f"no connection: {type(error).__name__}") from None
        self._tally.requests += 1
        self._tally.latencies.append(time.perf_counter() - begun)
        return body

    async def _exchange(self, method: str, path: str, form: dict[str, str] | None) -> bytes:
        kept = self._connection is not None
        if self._connection is None:
            self._connection = await asyncio.open_connection(
                self._site.address, self._site.port, ssl=self._site.tls, server_hostname=self._site.name
            )
        reader, writer = self._connection
        text, sent = "" if form is None else urlencode(form), time.monotonic()
        self._sent_born, self._sent_lives_until = self._born, self._lives_until
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._site.name}"]
        lines += [f"Cookie: {COOKIE}={self._cookie}"] if self._cookie else []
        if form is not None:
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(text)}"]
        try:
            writer.write(("\r\n".join(lines) + "\r\n\r\n" + text).encode())
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError as error:
            self._close()
            if error.partial:
                raise Failed("answer cut short") from None
            raise Unanswered(kept) from None
        except OSError:
            self._close()
            raise Unanswered(kept) from None
        status = int(head[9:12])
        self._store_cookies(head, sent)
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        if length is None or status >= 500:
            self._close()
            raise Failed(f"status {status}" if status >= 500 else "an answer without Content-Length", status < 500)
        try:
            body = await reader.readexactly(int(length.group(1)))
        except (asyncio.IncompleteReadError, OSError):
            self._close()
            raise Failed("answer cut short", stored=True) from None
        if re.search(r"(?im)^connection: *close", head):
            self._close()
        if status not in (200, 303):
            raise Failed(f"status {status}", stored=True)
        if status == 200:
            self._tally.nodes[str(json.loads(body)["node"])] += 1
        return body

    def _store_cookies(self, head: str, sent: float) -> None:
        for line in re.findall(r"(?im)^set-cookie: *(.*?)\r?$", head):
            found = re.match(rf"{COOKIE}=([^;]*)", line)
            max_age = re.search(r"(?i);\s*max-age=(-?\d+)", line)
            if found and max_age:
                self._cookie = found.group(1) if int(max_age.group(1)) > 0 else ""
                self._cookie_ends = time.monotonic() + int(max_age.group(1))
                self._born, self._lives_until = sent, sent + int(max_age.group(1))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection[1].transport.abort()
            self._connection = None


class Load:
    """All clients: ``clients`` counters that together ask ``rate`` times a second, and a tenth as many of each other kind."""

    def __init__(self, site: Site, clients: int, rate: float, max_age: int, chance: random.Random) -> None:
        self.tally = Tally()
        pauses = {"counter": clients / rate, "idle": 0.7 * max_age, "reader": min(clients / rate * 2, 0.4 * max_age)}
        numbers = {"counter": clients, "idle": clients // 10, "reader": clients // 10}
        kinds = [kind for kind in KINDS for _one in range(numbers[kind])]
        self.clients = [
            Client(number, kind, pauses[kind], PATIENCE * max_age, site, self.tally, random.Random(chance.random()))
            for number, kind in enumerate(kinds)
        ]
        self._finish = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.seconds = 0.0

    async def start(self) -> None:
        """Start all clients, some at a time, and return when each has a live session."""
        waiting = []
        for client in self.clients:
            ready = asyncio.Event()
            waiting.append(ready.wait())
            self._tasks.append(asyncio.create_task(client.run(ready, self._finish)))
            await asyncio.sleep(0.012)
        async with asyncio.timeout(120):
            await asyncio.gather(*waiting)
        # What is measured begins here.
        self.seconds = time.monotonic()
        self.tally.requests, self.tally.latencies = 0, array("f")
        self.tally.nodes.clear()

    async def end(self) -> int:
        """Ask every client for a last look at its session, end them all; how many sessions are alive."""
        self.seconds = time.monotonic() - self.seconds
        self._finish.set()
        await asyncio.gather(*self._tasks)
        return sum(client.alive for client in self.clients)

    async def abort(self) -> None:
        """End all clients at once, if they still run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _wait(finish: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await finish.wait()
    except TimeoutError:
        pass
