#!/usr/bin/env python3
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many sessions are lost when the key changes: by this collection's rotation while all goes wrong, and by the textbook ways.

Real nodes behind HAProxy, hundreds of clients who notice when their session is lost; docs/proof.md says what is done and found.
Exit status 0: the rotation lost none, and the same clients did notice the losses of the textbook way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[1:1] = [str(ROOT), str(ROOT / "demo")]

from controller import CACHE, PASSWORD, RING, Controller  # noqa: E402
from disturb import Nodes  # noqa: E402
from engine import FleetError  # noqa: E402
from load import Load, Site  # noqa: E402
from make_secrets import make_certificates, write_private  # noqa: E402
from rotation import Rotations  # noqa: E402
from table import Result, write  # noqa: E402
from ways import WAYS, ProofError, Textbook  # noqa: E402

NAME, ADDRESS, PORT = "shop.example.test", "127.0.33.10", 20443
OURS = "rotate"


def parse_words(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make proof", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=500, help="clients that ask all the time; a tenth more of two other kinds")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second of all of them together")
    parser.add_argument("--max-age", type=int, default=60, help="seconds after which an idle session ends")
    parser.add_argument("--rotations", type=int, default=2, help="how many the collection has to do")
    parser.add_argument("--quick", action="store_true", help="max age 30, fewer kills, and only the first textbook way")
    parser.add_argument("--ways", default="", help=f"only some of {','.join([*WAYS, OURS])}")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of all that happens by chance")
    parser.add_argument("--keep", action="store_true", help="leave the fleet running at the end")
    chosen = parser.parse_args(words)
    if chosen.quick:
        chosen.max_age = min(chosen.max_age, 30)
    chosen.ways = [way for way in chosen.ways.split(",") if way] or [*list(WAYS)[: 1 if chosen.quick else None], OURS]
    unknown = set(chosen.ways) - {*WAYS, OURS}
    if unknown or chosen.clients < 10 or chosen.max_age < 20:
        parser.error(f"no way {', '.join(unknown)}" if unknown else "at least 10 clients and a max age of 20 seconds are needed")
    return chosen


class Proof:
    """Runs one way after another, each with new clients; the collection on nodes that the textbook ways have not touched."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.chance = random.Random(options.seed)
        self.nodes = Nodes()
        self.phase = "start"
        self.controller = Controller(options.max_age, self.chance, lambda phase: say(f"    the ring: {phase}"))
        self.site = Site(ADDRESS, PORT, NAME, ssl.create_default_context(cafile=str(CACHE / "ca.pem")))

    async def new_fleet(self) -> None:
        """Nodes as the distribution ships them, with the demo's site on them."""
        self.nodes.down()
        self.nodes.up()
        await self.playbook("demo/site.yml")

    async def playbook(self, name: str, *words: str) -> None:
        """A run that must do all that it is to do."""
        run = await self.controller.run(name, *words)
        if run.status != 0:
            raise ProofError(f"{name} ended with status {run.status}:\n{run.last_words()}")

    async def measure(self, way: str, title: str, rotations: int, act: Callable[[Load], Awaitable[object]]) -> Result:
        """Have clients, change the key, and see who lost a session."""
        options = self.options
        load = Load(self.site, options.clients, options.rate, options.max_age, self.chance)
        try:
            await load.start()
            self.nodes.begin_to_count()
            say(f"{title}: {len(load.clients)} sessions are alive")
            details = await act(load)
            alive = await load.end()
        finally:
            await load.abort()
        return Result.of(way, title, rotations, load, alive, self.nodes.undecipherable(), details)

    async def textbook(self, way: str) -> Result:
        """One of the textbook ways."""
        textbook = Textbook(self.playbook, self.nodes, self.options.max_age)
        await textbook.begin()
        return await self.measure(way, WAYS[way], 1, lambda load: textbook.change(way, load.tally))

    async def ours(self) -> Result:
        """The collection's rotation, with all that goes wrong."""
        await self.playbook("httpd_fleet.mod_session.ring", "-e", "session_ring_verb=init")
        await self.playbook("httpd_fleet.mod_session.deploy")
        rotations = Rotations(self.controller, self.nodes, self.chance, self.options.quick, say)
        count = self.options.rotations
        return await self.measure(
            OURS, "this collection, while all goes wrong", count, lambda load: rotations.run(count, load.tally)
        )

    async def run(self) -> list[Result]:
        """All ways that were asked for."""
        results: list[Result] = []
        for way in self.options.ways:
            if way == OURS or not results:
                await self.new_fleet()
            results.append(await (self.ours() if way == OURS else self.textbook(way)))
            say(f"  {results[-1].sentence()}")
        return results


def say(text: str) -> None:
    """Print with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def prepare() -> None:
    """Secrets of this run alone, and no result of an earlier one."""
    CACHE.mkdir(parents=True, exist_ok=True)
    forget_secrets()
    for old in (*CACHE.glob("outputs/*.log"), *CACHE.glob("result.*")):
        old.unlink()
    write_private(PASSWORD, secrets.token_urlsafe(32).encode() + b"\n")
    make_certificates(CACHE / "ca.pem", CACHE / "shop.pem", NAME, ADDRESS)


def forget_secrets() -> None:
    """Remove what opens sessions, or the vault."""
    for path in (PASSWORD, *RING.parent.glob(RING.name + "*"), CACHE / "shop.pem", *CACHE.glob("textbook*")):
        path.unlink(missing_ok=True)


def main() -> int:
    """The command."""
    options = parse_words()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.chdir(ROOT)
    say(f"seed {options.seed}")
    prepare()
    proof = Proof(options)
    try:
        results = asyncio.run(proof.run())
    except (ProofError, FleetError, TimeoutError) as error:
        print(f"proof: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("proof: interrupted.", file=sys.stderr)
        return 130
    finally:
        if not options.keep:
            proof.nodes.down()
            forget_secrets()
    print(write(results, vars(options)))
    wrong = [sentence for result in results for sentence in result.wrong(ours=result.way == OURS)]
    for sentence in wrong:
        print(f"proof: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
