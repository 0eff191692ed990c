# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a check takes, beside what the servers themselves need for the same requests.

One real httpd answers at every loopback address. The check asks 1,000 of them (and 10,000 with ``--large``), two keys
each and a session carried round; ``ab`` replays as many ready-made requests at the same concurrency, with as many new
connections. Client and server share this machine's cores, so what the check itself computes slows the servers too. What
is printed are medians of ``--rounds`` runs; nothing is asserted but that the fleet is found healthy.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT), str(HERE.parents[1]), str(HERE.parents[1] / "vectors")]

import real_httpd  # noqa: E402
import small_fleet as fleet  # noqa: E402

from plugins.module_utils import clock, evidence, probe  # noqa: E402
from plugins.module_utils.config import render  # noqa: E402
from plugins.module_utils.question import Key, Question  # noqa: E402
from plugins.module_utils.scopes import parse_scopes  # noqa: E402
from plugins.module_utils.verdict import judge  # noqa: E402
from plugins.plugin_utils.prober import Node, Plan, Prober  # noqa: E402

SITE = "www.example.com"
REQUESTS_PER_NODE = 3
SAME = probe.identity("all")
"""One server answers for all nodes, so that here all have one name."""


def addresses(count: int) -> list[str]:
    """So many loopback addresses."""
    return [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(count)]


@contextmanager
def server(folder: Path):
    """One httpd on all addresses: (port for HTTP, port for HTTPS)."""
    modules = real_httpd.find()[1]
    plain, secure = fleet.free_port(), fleet.free_port()
    fleet.make_authority(folder)
    certificate = fleet.make_certificate(folder, SITE)
    scopes = parse_scopes([fleet.SCOPE])
    configuration = f"""
LoadModule ssl_module {modules}/mod_ssl.so
ServerName {SITE}
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
KeepAlive On
MaxKeepAliveRequests {REQUESTS_PER_NODE}
LogLevel emerg
Listen 0.0.0.0:{plain}
Listen 0.0.0.0:{secure}
{render(scopes, "{root}/keys", (2, 4, 62), identity=SAME)}
<VirtualHost *:{secure}>
ServerName {SITE}
SSLEngine On
SSLCertificateFile {certificate}
</VirtualHost>
"""
    with real_httpd.RealHttpd(configuration, {}, {"keys": "\n".join(fleet.KEYS) + "\n"}):
        yield plain, secure


def one_check(scheme: str, port: int, count: int, concurrency: int, authority: str) -> dict[str, float]:
    """Run one check in this process: seconds, CPU seconds, peak memory in MB."""
    scopes = parse_scopes([{**fleet.SCOPE, "scheme": scheme, "port": port, "virtual_host": SITE}])
    nodes = [Node(f"node{number}", address) for number, address in enumerate(addresses(count))]
    tls = ssl.create_default_context(cafile=authority) if scheme == "https" else None
    evidence.identity = probe.identity = lambda _node: SAME
    started, cpu = time.perf_counter(), time.process_time()
    prober = Prober(Plan(scopes, fleet.KEYS, tls=tls, concurrency=concurrency, timeout=30))
    views = prober.run(nodes)
    keys = (Key("", "primary"), Key("", "secondary"))
    verdict = judge(Question(tuple(node.name for node in nodes), scopes, keys, clock.limits(3600)), views)
    result = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "spread": verdict.clocks.spread.high / clock.SECOND if verdict.clocks.spread else -1,
    }
    if verdict.status != "healthy":
        raise SystemExit(f"the fleet is {verdict.status}: {verdict.findings[:3]}")
    return result


def check(*words: object) -> dict[str, float]:
    """One check in a process of its own, so that memory is its own."""
    done = subprocess.run([sys.executable, str(HERE), "--one", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)
    return json.loads(done.stdout)


def replay(scheme: str, port: int, count: int, concurrency: int) -> float:
    """Seconds that ``ab`` needs for the same number of the same requests over the same number of connections."""
    scope = parse_scopes([fleet.SCOPE])[0]
    sealed = probe.seal_probe(fleet.KEYS[0], scope.cipher, "m" * probe.MARKER_LENGTH, os.urandom(16), os.urandom(16))
    done = subprocess.run(
        ["ab", "-q", "-k", "-n", str(count * REQUESTS_PER_NODE), "-c", str(concurrency),
         "-H", f"Cookie: {scope.cookie_name}={sealed}",
         "-H", f"Host: {SITE}", f"{scheme}://127.1.0.1:{port}{scope.probe_path}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    complete = re.search(r"Complete requests:\s+(\d+)", done.stdout)
    assert complete and int(complete.group(1)) == count * REQUESTS_PER_NODE, done.stdout
    return float(re.search(r"Time taken for tests:\s+([\d.]+)", done.stdout).group(1))


def ping(count: int, folder: Path) -> float | None:
    """Seconds of ``ansible all -m ping`` over so many addresses, through the local connection: no SSH, no network."""
    if not shutil.which("ansible"):
        return None
    inventory = folder / "hosts"
    inventory.write_text(
        "\n".join(f"{address} ansible_connection=local ansible_python_interpreter={sys.executable}"
                  for address in addresses(count)) + "\n"
    )  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(
        ["ansible", "all", "-i", str(inventory), "-m", "ping", "-f", "20", "-o"], capture_output=True, text=True,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "0"}, cwd=folder,
    )  # fmt: skip
    return time.perf_counter() - started if done.returncode == 0 else None


def compare(scheme: str, port: int, options: argparse.Namespace, authority: Path) -> float:
    """One row of the table, and the time of one check."""
    checks, replays = [], []
    for _ in range(options.rounds):
        replays.append(replay(scheme, port, options.nodes, options.concurrency))
        checks.append(check(scheme, port, options.nodes, options.concurrency, authority))
    seconds = statistics.median(item["seconds"] for item in checks)
    base = statistics.median(replays)
    cpu = statistics.median(item["cpu"] for item in checks) / options.nodes * 1000
    memory, spread = max(item["memory"] for item in checks), max(item["spread"] for item in checks)
    print(f"{scheme:6} {options.nodes:6} nodes  check {seconds:6.2f} s  replay {base:6.2f} s  ratio {seconds / base:4.2f}"
          f"  CPU {cpu:4.2f} ms/node  {memory:4.0f} MB  clocks within {spread:.3f} s", flush=True)  # fmt: skip
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=10000, help="nodes of the large run, 0 for none")
    parser.add_argument("--ping", type=int, default=20, help="hosts for `ansible -m ping`, 0 for none")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        scheme, port, count, concurrency, authority = options.one
        print(json.dumps(one_check(scheme, int(port), int(count), int(concurrency), authority)))
        return
    if fleet.NO_HTTPD or not shutil.which("ab"):
        raise SystemExit(f"{fleet.NO_HTTPD or 'ab is not here'}: on Debian, apt-get install apache2-bin apache2-utils")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder) as (plain, secure):
            print(f"2 keys, {REQUESTS_PER_NODE} requests per node, {options.concurrency} at once, medians of {options.rounds}")
            check("http", plain, 50, 16, folder / "ca.pem")
            seconds = compare("http", plain, options, folder / "ca.pem")
            compare("https", secure, options, folder / "ca.pem")
            if options.large:
                large = check("http", plain, options.large, options.concurrency, folder / "ca.pem")
                print(f"http   {options.large:6} nodes  check {large['seconds']:6.2f} s, {large['seconds'] / seconds:.1f} times"
                      f" that of {options.nodes}  CPU {large['cpu'] / options.large * 1000:4.2f} ms/node"
                      f"  {large['memory']:4.0f} MB", flush=True)  # fmt: skip
        if options.ping:
            took = ping(options.ping, folder)
            if took is None:
                print("ansible -m ping cannot be run here")
            else:
                print(f"ansible -m ping of {options.ping} hosts (local connection, 20 forks) {took:6.2f} s; by that"
                      f" {options.nodes} would take {took / options.ping * options.nodes:.0f} s, over SSH more")  # fmt: skip


if __name__ == "__main__":
    main()
