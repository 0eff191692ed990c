#!/usr/bin/env python3
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this collection costs, beside what it is compared with: one table, each row a ratio taken side by side in one run.

Real nodes over SSH, in containers; docs/performance.md says what is done and what came out. Nothing here is a test: the exit
status is 0 whatever the figures are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "demo"), str(ROOT / "tests"), str(ROOT / "tests" / "vectors")]

import bench_check  # noqa: E402
import costs  # noqa: E402
import nodes  # noqa: E402
import real_httpd  # noqa: E402
from engine import FleetError  # noqa: E402
from measured import Row, markdown, number, plot, put, ratios  # noqa: E402

PARTS = ("fleet", "forks", "growth", "rotation", "check", "memory", "costs")
PICTURE = ROOT / "docs" / "pictures" / "performance-hosts.svg"
FORKS = 20


def parse_words(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=24, help="containers, 24 at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="", help=f"only some of {','.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="four nodes, one round, fewest parts: a minute's look")
    parser.add_argument("--write", metavar="PAGE", help="put the tables into this page, and the picture beside it")
    parser.add_argument("--keep", action="store_true", help="leave the containers there")
    chosen = parser.parse_args(words)
    parts = [part for part in chosen.parts.split(",") if part]
    if set(parts) - set(PARTS) or not 1 <= chosen.nodes <= 24 or chosen.rounds < 1:
        parser.error(f"parts are {', '.join(PARTS)}; nodes 1 to 24; rounds 1 or more")
    if chosen.quick:
        chosen.nodes, chosen.rounds = min(chosen.nodes, 4), 1
    chosen.parts = parts or (["fleet", "costs"] if chosen.quick else list(PARTS))
    return chosen


def say(text: str) -> None:
    """Print with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


class Bench:
    """Takes all measurements that were asked for, one after another."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rows: list[Row] = []
        self.nodes = nodes.Nodes(options.nodes)
        self.primary = secrets.token_urlsafe(32)
        self.keys: list[str] = []
        self.lines: dict[str, list[tuple[float, float]]] = {}
        self.costs = ""

    def run(self) -> None:
        """All parts, and the table."""
        parts = self.options.parts
        if {"fleet", "forks", "growth", "rotation"} & set(parts):
            try:
                self.nodes.up()
                self.fleet()
                if "forks" in parts:
                    self.forks()
                if "growth" in parts:
                    self.growth()
                if "rotation" in parts:
                    self.rotation()
            finally:
                if not self.options.keep:
                    self.nodes.down()
        if "check" in parts:
            self.check()
        if "memory" in parts:
            self.memory()
        if "costs" in parts:
            self.sessions()

    def row(
        self, what: str, beside: str, ours: list[float], theirs: list[float], unit: str, target: float | None, more: bool = False
    ) -> None:
        """One more row."""
        self.rows.append(Row(what, beside, ours, theirs, unit, target, more))
        say(f"{what}: {number(self.rows[-1].ratio)} x")

    def list_of_keys(self, staged: bool) -> list[str]:
        """Words for a run with the primary key and, if ``staged``, another one behind it."""
        self.keys = [self.primary, *([secrets.token_urlsafe(32)] if staged else [])]
        return nodes.variables("list", {"session_keys_passphrases": self.keys, "session_keys_allow_loss": True})

    def same_keys(self) -> list[str]:
        """Words for a run with the keys that the nodes have."""
        return nodes.variables("list", {"session_keys_passphrases": self.keys})

    def fleet(self) -> None:
        """First deploy, one phase, and nothing to change, in turns with the textbook's and with ping."""
        first: tuple[list[float], list[float]] = ([], [])
        phase: tuple[list[float], list[float]] = ([], [])
        idle: tuple[list[float], list[float]] = ([], [])
        fast: list[float] = []
        mitogen = nodes.mitogen()
        for _round in range(self.options.rounds):
            self.nodes.shell(nodes.AS_NEW)
            first[1].append(nodes.playbook("textbook/first.yml", FORKS, *self.list_of_keys(False)))
            phase[1].append(nodes.playbook("textbook/phase.yml", FORKS, *self.list_of_keys(True)))
            self.nodes.shell(nodes.AS_NEW)
            first[0].append(nodes.playbook("deploy", FORKS, *self.list_of_keys(False)))
            phase[0].append(nodes.playbook("phase.yml", FORKS, *self.list_of_keys(True)))
            idle[1].append(nodes.ping(FORKS))
            idle[0].append(nodes.playbook("deploy", FORKS, *self.same_keys()))
            if mitogen:
                fast.append(nodes.playbook("deploy", FORKS, *self.same_keys(), more=mitogen))
        self.row("deploy, nothing to change", "`ansible -m ping`", *idle, "s", 4)
        if fast:
            self.row("the same under Mitogen", "without Mitogen", fast, idle[0], "s", None)
        self.row("one rotation phase, proven", "textbook playbook", *phase, "s", 0.5)
        self.row("first deploy, httpd installed", "textbook playbook", *first, "s", 0.7)

    def forks(self) -> None:
        """Nothing to change with fewer and with more forks."""
        for forks in (5, 50):
            pings, deploys = [], []
            for _round in range(self.options.rounds):
                pings.append(nodes.ping(forks))
                deploys.append(nodes.playbook("deploy", forks, *self.same_keys()))
            self.row(f"the same, {forks} forks", "`ansible -m ping`", deploys, pings, "s", 4)

    def growth(self) -> None:
        """Seconds by the number of hosts."""
        self.lines = {"ping": [], "deploy, nothing to change": []}
        names = [one.name for one in self.nodes.fleet.containers]
        for count in sorted({max(1, self.options.nodes * part // 4) for part in range(1, 5)}):
            limit = ",".join(names[:count])
            self.lines["ping"].append((count, nodes.ping(FORKS, limit)))
            self.lines["deploy, nothing to change"].append(
                (count, nodes.playbook("deploy", FORKS, *self.same_keys(), "--limit", limit)))

    def rotation(self) -> None:
        """Stage and promote, by the ring."""
        # One key: with an old one in the list, one run in two would have its end to carry out as well.
        nodes.playbook("deploy", FORKS, *self.list_of_keys(False))
        ring = {"session_ring_store": {"file": str(nodes.RING)}}
        both = nodes.variables("ring", {**ring, "session_keys_passphrases": self.keys})
        nodes.playbook("ring", FORKS, "-e", "session_ring_verb=init", *both)
        words = nodes.variables("ring", ring)
        nodes.playbook("deploy", FORKS, *words)
        pings, rotations = [], []
        for number_of in range(min(2, self.options.rounds)):
            if number_of:
                time.sleep(nodes.MAX_AGE + nodes.DRIFT + nodes.DRAIN + 3)
                nodes.playbook("rotate", FORKS, *words)
            nodes.ping(FORKS)  # SSH's connections may have ended meanwhile
            pings.append(nodes.ping(FORKS))
            rotations.append(nodes.playbook("rotate", FORKS, *words, "-e", "session_rotate_now=true"))
        self.row("stage and promote, with all proofs", "`ansible -m ping`", rotations, pings, "s", 5)

    def check(self) -> None:
        """A check of many addresses, and a replay of its requests."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with bench_check.server(folder) as (port, _secure):
                bench_check.check("http", port, 50, 16, folder / "ca.pem")
                for count, rounds in ((1000, self.options.rounds), (10000, 1)):
                    checks, replays = [], []
                    for _round in range(rounds):
                        replays.append(bench_check.replay("http", port, count, 64))
                        checks.append(bench_check.check("http", port, count, 64, folder / "ca.pem")["seconds"])
                    self.row(f"check of {count:,} addresses", "replay of its requests", checks, replays, "s", 1.5)

    def memory(self) -> None:
        """The controller's memory with many hosts that answer at once."""
        nodes.many(1000)
        try:
            pings = [nodes.peak("-e", '{"ping": true}')]
            ours = [nodes.peak(*self.list_of_keys(True))]
        finally:
            nodes.forget()
        self.row("controller's peak memory, 1,000 hosts", "the same play with ping", ours, pings, "MB", 1.3)

    def sessions(self) -> None:
        """What sessions cost httpd."""
        quick = self.options.quick
        found = costs.measure(quick, self.options.rounds, 2 if quick else 3)
        ours, manual = ([figures[0] for figures in found[name].figures] for name in (costs.OURS, costs.MANUAL))
        self.row("requests/s of a scope, defaults", "aes256, max age, no interval", ours, manual, "/s", 1.8, more=True)
        self.costs = costs.table(found) + ("" if quick else "\n" + costs.look_ups(5))
        nodes.CACHE.mkdir(parents=True, exist_ok=True)
        costs.save(found, nodes.CACHE / "costs.json")


def lost() -> str:
    """Sessions lost by rotations, as the last ``make proof`` of this checkout found."""
    path = ROOT / ".cache" / "proof" / "result.json"
    if not path.exists():
        return "Sessions lost by a rotation: `make proof` counts them, [proof.md](proof.md) has the table.\n"
    results = json.loads(path.read_text())["results"]
    rows = [[one["title"], str(one["sessions"]), str(one["lost"])] for one in results]
    return markdown(("key changed by", "sessions", "lost"), rows)


def machine(options: argparse.Namespace) -> str:
    """What it ran on."""
    told = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in told if "model name" in line), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = subprocess.run(["ansible", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    try:
        httpd = real_httpd.versions()["httpd"]
    except real_httpd.NoHttpd:
        httpd = "no httpd"
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({cpu or platform.machine()}), {memory:.0f} GB; {version}, Python "
        f"{platform.python_version()}; {httpd} here; {options.nodes} nodes (Debian 12, containers on the same machine) over SSH "
        f"with pipelining, {FORKS} forks; load {os.getloadavg()[0]:.1f} at the end. Medians (lowest to highest).\n"
    )


def main() -> int:
    """The command."""
    options = parse_words()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.chdir(ROOT)
    nodes.open_files()
    bench = Bench(options)
    try:
        bench.run()
    except (nodes.BenchError, FleetError) as error:
        print(f"\n{ratios(bench.rows)}\nbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted.", file=sys.stderr)
        return 130
    text = machine(options) + "\n" + ratios(bench.rows) + "\n" + lost()
    print("\n" + text + ("\n" + bench.costs if bench.costs else ""))
    nodes.CACHE.mkdir(parents=True, exist_ok=True)
    (nodes.CACHE / "result.md").write_text(text + "\n" + bench.costs)
    picture = plot(f"{FORKS} forks, 2 cores for all" if os.cpu_count() == 2 else f"{FORKS} forks", "hosts", "seconds",
                   bench.lines) if bench.lines else ""  # fmt: skip
    if options.write:
        page = Path(options.write)
        changed = put(page.read_text(), "ratios", text)
        page.write_text(put(changed, "costs", bench.costs) if bench.costs else changed)
        if picture:
            PICTURE.write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
