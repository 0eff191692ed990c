# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's nodes: containers over SSH, an inventory for them, and how long a run of Ansible takes."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import fleet

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "bench"
SPEC = HERE / "fleet.json"
CACHE = ROOT / ".cache" / "bench"
INVENTORY = CACHE / "hosts.json"
MANY = CACHE / "many.json"
PASSWORD = CACHE / "vault-password"
RING = CACHE / "session_ring.vault"
PORT = 20080
MAX_AGE, DRIFT, DRAIN = 30, 3, 5
"""Seconds: short, so that a rotation can be followed by the next."""

SCOPES = [{"name": "app", "path": "/app", "cookie_name": "shop_session", "max_age": MAX_AGE}]
SITE = "mkdir -p /var/www/html/app && echo hello >/var/www/html/app/index.html && cp -a /etc/apache2 /root/apache2.new"
AS_NEW = ("rm -rf /etc/apache2 && cp -a /root/apache2.new /etc/apache2 && systemctl reset-failed apache2; "
          "systemctl restart apache2")


class BenchError(Exception):
    """A run that had to succeed and did not."""


class Nodes:
    """So many containers of the fleet."""

    def __init__(self, count: int) -> None:
        whole = fleet.load(str(SPEC))
        self.fleet = fleet.Fleet(whole.name, whole.containers[:count])

    def up(self) -> None:
        """New containers with httpd and a page, and the inventory."""
        fleet.down(self.fleet)
        fleet.up(self.fleet)
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in RING.parent.glob(RING.name + "*"):
            old.unlink()
        _private(PASSWORD, secrets.token_urlsafe(32) + "\n")
        hosts = {one.name: {"ansible_host": one.address} for one in self.fleet.containers}
        _private(INVENTORY, json.dumps(inventory(hosts, {
            "ansible_user": "ops", "ansible_port": 20022, "ansible_become": True,
            "ansible_ssh_private_key_file": str(fleet.USER_KEY),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.fleet.known_hosts} -o StrictHostKeyChecking=yes",
            "session_check_port": PORT, "session_ring_drift": DRIFT, "session_ring_drain": DRAIN,
        })))  # fmt: skip
        self.shell(SITE)

    def down(self) -> None:
        """Nothing is left."""
        fleet.down(self.fleet)
        forget()

    def shell(self, command: str) -> None:
        """The same on all nodes."""
        run(["ansible", "all", "-i", str(INVENTORY), "-f", "10", "-m", "shell", "-a", command])


def inventory(hosts: Mapping[str, object], common: Mapping[str, object]) -> dict[str, object]:
    """An inventory, as YAML that is JSON."""
    return {"session_fleet": {"hosts": hosts, "vars": {
        **common, "ansible_python_interpreter": "/usr/bin/python3",
        "session_config_scopes": SCOPES,
    }}}  # fmt: skip


def forget() -> None:
    """Remove inventories and secrets."""
    for path in (PASSWORD, INVENTORY, MANY, *CACHE.glob("keys*.json"), *RING.parent.glob(RING.name + "*")):
        path.unlink(missing_ok=True)


def many(count: int) -> None:
    """The inventory of hosts that are not there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    _private(PASSWORD, secrets.token_urlsafe(32) + "\n")
    hosts = {f"host{number}": None for number in range(count)}
    _private(MANY, json.dumps(inventory(hosts, {"ansible_connection": "answered"})))


def _private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def variables(name: str, content: Mapping[str, object]) -> list[str]:
    """The words that give these variables to a run; keys are no words of a command line."""
    path = CACHE / f"keys-{name}.json"
    _private(path, json.dumps(content))
    return ["-e", f"@{path}"]


def environment() -> dict[str, str]:
    """The same for all that is compared."""
    return {
        **os.environ,
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.cache' / 'dev'}:{ROOT / '.cache' / 'vendor'}",
        "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection"),
        "ANSIBLE_VAULT_PASSWORD_FILE": str(PASSWORD),
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_NOCOLOR": "1",
    }


def mitogen() -> dict[str, str]:
    """What makes Ansible use Mitogen's strategy; empty where it is not installed."""
    found = importlib.util.find_spec("ansible_mitogen")
    folders = found.submodule_search_locations if found else None
    if not folders:
        return {}
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": f"{folders[0]}/plugins/strategy"}


def run(command: list[str], more: Mapping[str, str] = MappingProxyType({})) -> float:
    """Run it to its end, with ``more`` in its environment: seconds."""
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env={**environment(), **more}, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        raise BenchError(f"{' '.join(command)} ended with status {done.returncode}:\n" + "\n".join(lines[-25:]))
    return seconds


def ping(forks: int, limit: str = "all") -> float:
    """Seconds of ``ansible -m ping``."""
    return run(["ansible", limit, "-i", str(INVENTORY), "-f", str(forks), "-m", "ping"])


def playbook(name: str, forks: int, *words: str, more: Mapping[str, str] = MappingProxyType({})) -> float:
    """Seconds of a playbook: one of the collection, or a file of the benchmark."""
    where = str(HERE / name) if name.endswith(".yml") else f"httpd_fleet.mod_session.{name}"
    return run(["ansible-playbook", "-i", str(INVENTORY), "-f", str(forks), where, *words], more)


def peak(*words: str) -> float:
    """The memory in MB of one run on hosts that are not there: of the largest of its processes."""
    program = "import resource, subprocess, sys; s = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; " \
              "print(s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", program, "ansible-playbook", "-i", str(MANY), "-f", "5", str(HERE / "memory.yml"), *words],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, largest = map(int, done.stdout.split())
    if status:
        raise BenchError(f"memory.yml ended with status {status}: {done.stderr[-2000:]}")
    return largest / 1024


def open_files() -> None:
    """Ansible with many forks needs them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 8192), hard))
