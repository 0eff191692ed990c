# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journeys on real nodes share: running playbooks as an operator does, and asking nodes as a browser does.

Every output of every run is kept below ``.cache/fleet/molecule/outputs``, and every passphrase that a journey ever used in
``used-passphrases``, so that one test at the end can search the former for the latter.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import secrets
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from plugins.module_utils.cookie import CIPHERS
from plugins.module_utils.probe import MARKER_LENGTH, Answer, Observation, identity, observe, seal_probe
from plugins.module_utils.scopes import Scope, parse_scopes

ROOT = Path(__file__).resolve().parent.parent
INVENTORY = ROOT / "molecule" / "inventory"
STATE = ROOT / ".cache" / "fleet" / "molecule"
OUTPUTS = STATE / "outputs"
PORT = 20080


@dataclass
class Run:
    """One run of ansible-playbook: exit status, all it printed, and per host the counts of the recap."""

    status: int
    output: str
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """Tasks that changed something, over all hosts."""
        return sum(row["changed"] for row in self.recap.values())

    @property
    def nodes(self) -> set[str]:
        """The nodes that were reached; the controller's own plays aside."""
        return set(self.recap) - {"localhost"}

    def results(self, task: str) -> dict[str, dict]:
        """The results of a task by host, as far as they were printed (runs have ``-v``)."""
        found: dict[str, dict] = {}
        blocks = re.split(r"^TASK \[", self.output, flags=re.M)
        for block in blocks:
            if not block.startswith((task + "]", "httpd_fleet")) or task + "]" not in block.splitlines()[0]:
                continue
            for match in re.finditer(r"^\w+: \[([^]]+)\](?:: \w+!)? => (\{.*?^\}|\{.*\})$", block, re.M | re.S):
                found[match.group(1)] = json.loads(match.group(2))
        return found


def arguments(name: str) -> list[str]:
    """The command line of a shipped playbook (``deploy``) or of a file (``x.yml``)."""
    playbook = str(ROOT / "playbooks" / (name + ".yml")) if "/" not in name and not name.endswith(".yml") else name
    return ["ansible-playbook", "-i", str(INVENTORY), playbook]


SETTINGS: dict[str, str] = {}
"""What a scenario sets otherwise in the environment of its operator's shell."""


def environment() -> dict[str, str]:
    """The environment of an operator's shell."""
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": "%s:%s" % (ROOT / ".cache" / "dev", ROOT / ".cache" / "vendor"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "1",
        "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        **SETTINGS,
    }


def playbook(name: str, *words: str, extra: dict | None = None, verbose: int = 1) -> Run:
    """Run a playbook to its end. ``extra`` are variables; they go through a file, as passphrases must."""
    command, cleanup = prepared(name, *words, extra=extra, verbose=verbose)
    try:
        done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    finally:
        cleanup()
    return finished(done.returncode, done.stdout + done.stderr)


def prepared(name: str, *words: str, extra: dict | None = None, verbose: int = 1):
    """The command of a run, and a function that removes its file of variables."""
    STATE.mkdir(parents=True, exist_ok=True)
    command = [*arguments(name), *words] + (["-" + "v" * verbose] if verbose else [])
    path = STATE / ("extra-%s.json" % secrets.token_hex(4))
    if extra:
        path.touch(mode=0o600)
        path.write_text(json.dumps(extra))
        command += ["-e", "@%s" % path]
    return command, lambda: path.unlink(missing_ok=True)


def finished(status: int, output: str) -> Run:
    """Keep a run's output and read its recap."""
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    (OUTPUTS / ("%d-%s.log" % (time.time_ns(), secrets.token_hex(2)))).write_text(output)
    recap = {}
    for match in re.finditer(r"^(\S+)\s+: (ok=\d+ .*)$", output, re.M):
        recap[match.group(1)] = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", match.group(2))}
    return Run(status, output, recap)


def new_key() -> str:
    """A passphrase, remembered so that leaks of it are found."""
    key = secrets.token_urlsafe(32)
    remember(key)
    return key


def remember(*keys: str) -> None:
    """Keep passphrases for the search for leaks."""
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / "used-passphrases", "a", encoding="utf-8") as handle:
        handle.writelines(key + "\n" for key in keys)


def fleet_keys() -> list[str]:
    """The passphrases in the fleet's inventory."""
    keys = json.loads((STATE / "passphrases.json").read_text())
    remember(*keys)
    return keys


def used_keys() -> list[str]:
    """Every passphrase that a journey ever used, weak ones of few characters aside."""
    fleet_keys()
    return sorted(key for key in set((STATE / "used-passphrases").read_text().split("\n")) if len(key) >= 16)


def files_with_keys(node: str) -> list[str]:
    """The files of a node that hold such a passphrase."""
    said = on(node, "cat > /dev/shm/patterns; grep -rlaF -f /dev/shm/patterns / --exclude-dir=proc --exclude-dir=sys "
                    "2>/dev/null | grep -v ^/dev/shm/patterns; rm /dev/shm/patterns", check=False,
              stdin="\n".join(used_keys()) + "\n")
    return said.split()


def addresses() -> dict[str, str]:
    """Nodes of the inventory with their addresses."""
    specs = [json.loads((ROOT / "molecule" / name).read_text()) for name in ("fleet.json", "rocky/fleet.json")]
    return {one["name"]: one["address"] for spec in specs for one in spec["containers"]}


def fleet_py(*words: str) -> None:
    """Run the fleet tool, for example ``stop n1``."""
    verb, *names = words
    command = ["python3", str(ROOT / "demo" / "fleet.py"), verb, str(ROOT / "molecule" / "fleet.json"), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def on(
    node: str, command: str, check: bool = True, stdin: str | None = None, seconds: float = 300, terminal: bool = False
) -> str:
    """Run a shell command on a node as root, over ssh, for so long at most; its output. sudo may ask for a terminal."""
    cache = ROOT / ".cache" / "fleet"
    ssh = ["ssh", *(["-tt"] if terminal else []), "-i", str(cache / "id_ed25519"), "-p", "20022", "-o",
           "UserKnownHostsFile=%s %s" % (STATE / "known_hosts", cache / "rocky" / "known_hosts"),
           "-o", "LogLevel=ERROR", "ops@" + addresses()[node], "sudo", "sh", "-c", shlex.quote(command)]
    done = subprocess.run(ssh, capture_output=True, text=True, timeout=seconds, check=False, input=stdin or "")
    if check and done.returncode:
        raise AssertionError("%s: %s: status %d: %s" % (node, command, done.returncode, done.stdout + done.stderr))
    return (done.stdout + done.stderr).strip()


def scope(**options: object) -> Scope:
    """The scope of the molecule inventory, with differences."""
    return parse_scopes([{**APP, **options}])[0]


APP = {"name": "app", "path": "/app", "max_age": 3600, "request_header": "X-Session",
       "response_header": "X-Replace-Session"}


def get(
    node: str, path: str, cookie: str = "", host: str = "localhost", headers: dict[str, str] | None = None
) -> tuple[Answer, bytes]:
    """One GET request to a node, from this machine."""
    connection = http.client.HTTPConnection(addresses()[node], PORT, timeout=10)
    try:
        sent = time.time_ns() // 1000
        wanted = {"Host": host, **({"Cookie": cookie} if cookie else {}), **(headers or {})}
        connection.request("GET", path, headers=wanted)
        answer = connection.getresponse()
        received = time.time_ns() // 1000
        return Answer(answer.status, tuple(answer.getheaders()), sent, received), answer.read()
    finally:
        connection.close()


def ask(
    node: str, keys: list[str], position: int = 0, of: Scope | None = None, cookie: str = "", marker: str = ""
) -> Observation:
    """What a node answers to a probe sealed under ``keys[position]``, or to a cookie that another node made."""
    of = of or scope()
    marker = marker or secrets.token_hex(MARKER_LENGTH // 2)
    iv = os.urandom(CIPHERS[of.cipher].iv_bytes)
    cookie = cookie or seal_probe(keys[position], of.cipher, marker, os.urandom(16), iv)
    answer, _body = get(node, of.probe_path, "%s=%s" % (of.cookie_name, cookie), of.virtual_host or "localhost")
    return observe(answer, of.cookie_name, keys, of.cipher, marker, cookie)


def wish(keys: list[str], scopes: list[dict]) -> dict:
    """What the controller sends to a node, sealed probes included, for programs that run on the node directly."""
    rows = []
    for one in parse_scopes(scopes):
        marker, size = secrets.token_hex(MARKER_LENGTH // 2), CIPHERS[one.cipher].iv_bytes
        cookies = [seal_probe(key, one.cipher, marker, os.urandom(16), os.urandom(size)) for key in keys]
        rows.append({"marker": marker, "cookies": cookies, "identity": identity("killed")})
    return {"passphrases": keys, "scopes": scopes, "probes": rows}


def on_node(node: str, program: str, request: dict, seconds: float = 300) -> dict:
    """Run a program of tests/node on a node with the collection's module_utils beside it; its one line of JSON."""
    archive = subprocess.run(["tar", "-C", str(ROOT), "--exclude=__pycache__", "-cz", "plugins/module_utils",
                              "-C", str(ROOT / "tests" / "node"), program], capture_output=True, check=True).stdout
    place = on(node, "mktemp -d /run/journey-XXXXXX")
    on(node, "base64 -d | tar -C %s -xz" % place, stdin=base64.b64encode(archive).decode())
    try:
        said = on(node, "python3 %s/%s" % (place, program), stdin=json.dumps(request), seconds=seconds)
        return json.loads(said.splitlines()[-1])
    finally:
        on(node, "rm -r " + place)


def serves(node: str, keys: list[str], of: Scope | None = None) -> bool:
    """Whether a node opens sessions of all these keys and encrypts with the first."""
    seen = [ask(node, keys, position, of) for position in range(len(keys))]
    return all(one.accepted and one.encrypts_with == 0 and one.status == 403 for one in seen)
