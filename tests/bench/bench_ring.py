# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rotation costs the controller beside asking the nodes: verdict, report, evidence, the ring and its file.

A simulation: nobody is asked. Every node's answer is made up, and goes the way of a real one, from the verdict through the
report to the gate of each step. One node that lags must stop it, by name. A process for each size, so that memory is its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2]))

from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.parsing.vault import VaultSecret  # noqa: E402

from plugins.module_utils import clock, ring_verbs  # noqa: E402
from plugins.module_utils.clock import SECOND, Interval  # noqa: E402
from plugins.module_utils.evidence import Carried, Fault, Look, View  # noqa: E402
from plugins.module_utils.question import Key, Question  # noqa: E402
from plugins.module_utils.report import build  # noqa: E402
from plugins.module_utils.ring import Margins, Refusal, Ring, Stamp, saved  # noqa: E402
from plugins.module_utils.ring_evidence import Evidence, from_report  # noqa: E402
from plugins.module_utils.scopes import parse_scopes  # noqa: E402
from plugins.module_utils.verdict import judge  # noqa: E402
from plugins.plugin_utils.ring_store import open_store  # noqa: E402

SCOPES = parse_scopes([{"name": "app", "path": "/app", "max_age": 3600}])
LOOK = Look("session", "/app", "", "Lax", True, True, 3600)
START = 1800000000
ROUNDS = 5
SECRETS = random.Random(1)


class Simulation:
    """A fleet that does what the ring says, and what each part of a step took at most.

    :ivar took: seconds by what was done.
    """

    def __init__(self, count: int) -> None:
        self.names = tuple(f"web{number}.example.com" for number in range(count))
        self.took: dict[str, float] = {}
        self.report_bytes = 0

    def timed(self, what: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        done = work()
        self.took[what] = max(self.took.get(what, 0), time.perf_counter() - started)
        return done

    def check(self, ring: Ring, now: int, lagging: str = "", silent: str = "") -> Evidence:
        """The fleet answers, as a report that was written and read."""
        live = [key for key in ring.keys if key.state in ("primary", "staged", "secondary")]
        keys = tuple(Key(key.id, key.state, key.created) for key in ring.keys)
        views = []
        for index, name in enumerate(self.names):
            accepts = tuple(key in live and not (name == lagging and key.state == "staged") for key in ring.keys)
            view = View(name, "app", status=403, proven=True, sealed="key", encrypts_with=0, accepts=accepts, look=LOOK,
                        size=143, marked=True, cipher="aes256", offset=Interval(-1000, 1000 + index % 500), offset_by="expiry",
                        carried=(Carried(self.names[index - 1], True),))  # fmt: skip
            if name == silent:
                view = View(name, "app", fault=Fault("refused"), accepts=(None,) * len(keys))
            views.append(view)
        question = Question(self.names, SCOPES, keys, clock.limits(3600), ring=(ring.id, ring.generation))
        verdict = self.timed("verdict", lambda: judge(question, views))
        data = self.timed("report", lambda: build(question, views, verdict, now * SECOND, (now + 5) * SECOND, "controller"))
        text = self.timed("report as JSON", lambda: json.dumps(data))
        self.report_bytes = max(self.report_bytes, len(text))
        return self.timed("evidence", lambda: from_report(json.loads(text)))


def stamp(seconds: int) -> Stamp:
    return Stamp(START + seconds, "operator")


def one_rotation(count: int) -> dict[str, Any]:
    """A whole rotation of so many nodes."""
    fleet = Simulation(count)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    ring = saved(None, ring_verbs.init("simulated", stamp(0), partial(SECRETS.randbytes, 32), fleet.names, [3600]))
    ring = saved(ring, ring_verbs.stage(ring, stamp(10), partial(SECRETS.randbytes, 32)))
    for trouble in ("lagging", "silent"):
        late = fleet.names[count // 2]
        seen = fleet.check(ring, START + 20, **{trouble: late})
        try:
            fleet.timed("step", lambda: ring_verbs.promote(ring, stamp(30), seen))  # noqa: B023
            raise SystemExit(f"a step was taken over a {trouble} node")
        except Refusal as refusal:
            if list(refusal.nodes) != [late]:
                raise SystemExit(f"refused, but not by name: {refusal}") from None
    seen = fleet.check(ring, START + 40)
    ring = saved(ring, fleet.timed("step", lambda: ring_verbs.promote(ring, stamp(50), seen)))
    seen = fleet.check(ring, START + 60)
    ring = saved(ring, fleet.timed("step", lambda: ring_verbs.observe(ring, stamp(70), seen)))
    seen = fleet.check(ring, START + 8000)
    ring = saved(ring, fleet.timed("step", lambda: ring_verbs.retire(ring, stamp(8010), seen, Margins())))
    seen = fleet.check(ring, START + 8020)
    ring = saved(ring, fleet.timed("step", lambda: ring_verbs.observe(ring, stamp(8030), seen)))
    if [key.state for key in ring.keys] != ["primary"]:
        raise SystemExit(f"the rotation did not end: {[key.state for key in ring.keys]}")
    seconds = time.perf_counter() - began
    ring = saved(ring, replace(ring, nodes=fleet.names))
    loader = DataLoader()
    loader.set_vault_secrets([("default", VaultSecret(b"only here"))])
    with tempfile.TemporaryDirectory() as name:
        store = open_store({"file": f"{name}/ring.vault"}, loader)
        fleet.timed("ring saved", lambda: store.save(ring, None))
        for _round in range(ROUNDS):
            fleet.timed("ring loaded", store.load)
        size = Path(store.where).stat().st_size
    return {
        "seconds": seconds,
        "took": fleet.took,
        "report": fleet.report_bytes,
        "ring": size,
        "memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_rotation(options.one)))
        return
    for count in options.nodes:
        done = subprocess.run([sys.executable, str(HERE), "--one", str(count)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        found = json.loads(done.stdout)
        parts = ", ".join(f"{what} {seconds * 1000:.0f} ms" for what, seconds in found["took"].items())
        print(f"{count:6} nodes: six checks and their steps {found['seconds']:.2f} s, {found['memory']:.0f} MB more memory,"
              f" report {found['report'] / 1e6:.2f} MB, ring's file {found['ring'] / 1e3:.0f} kB\n"
              f"              the longest: {parts}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
