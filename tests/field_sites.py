# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the sites of tests/field through what an operator does with them; the form of a site: tests/field/README.md."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret

from plugins.plugin_utils.ring_store import open_store

from . import field_faults, journey, small_fleet

ROOT = journey.ROOT
SITES = ROOT / "tests" / "field"
SPEC = ROOT / "molecule" / "field" / "fleet.json"
CACHE = ROOT / ".cache" / "fleet"
STATE = CACHE / "field"
RESET = (ROOT / "molecule" / "default" / "reset.sh", ROOT / "molecule" / "field" / "reset.sh")
PORTS = {80: 20080, 443: 20443, 8080: 28080, 8443: 28443}
"""A port of a site, and where this machine reaches it."""

KNOWN = {
    "about", "modules", "services", "python", "reach", "works", "login", "login_first", "stays", "rotations", "playbooks",
    "leaves", "before_removal", "warned", "refused", "files_with_keys", "diagnosis", "fault",
}  # fmt: skip
ONE_VISIT = {"url", "status", "text", "without", "location", "form", "headers"}


@dataclass(frozen=True)
class Site:
    """One folder of tests/field."""

    folder: Path
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


def sites() -> list[Site]:
    """All sites; a misspelt word in one is an error."""
    found = []
    for path in sorted(SITES.glob("*/site.yml")):
        spec = yaml.safe_load(path.read_text())
        assert set(spec) <= KNOWN and {"about", "works", "fault"} <= set(spec), f"{path}: {sorted(set(spec) - KNOWN)}"
        for visit in spec["works"] + spec.get("login", []) + spec.get("stays", []) + spec.get("leaves", []):
            assert set(visit) <= ONE_VISIT and "url" in visit, f"{path}: {visit}"
        assert (path.parent / "group_vars.yml").exists() and (path.parent / "fault.sh").exists(), path
        found.append(Site(path.parent, spec))
    return found


def fleet(verb: str) -> None:
    """Start or remove the containers."""
    command = [sys.executable, str(ROOT / "demo" / "fleet.py"), verb, str(SPEC)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def lanes() -> list[tuple[str, ...]]:
    """Pairs of nodes: the first letter of a name says which belong together. Sites share nothing but this machine."""
    names = [one["name"] for one in json.loads(SPEC.read_text())["containers"]]
    return [tuple(name for name in names if name[0] == letter) for letter in sorted({name[0] for name in names})]


def prepare() -> None:
    """What all sites share: certificates of an authority, that of a client, the vault's password."""
    shutil.rmtree(STATE / "sites", ignore_errors=True)
    folder = STATE / "certificates"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    small_fleet.make_authority(folder)
    for name in ("*.example.test", "controller"):
        small_fleet.make_certificate(folder, name)
    password = STATE / "vault-password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(32))


@dataclass
class Visitor:
    """A browser, with its cookies, as far as these sites need one."""

    reach: dict[str, Any]
    cookies: dict[str, str] = field(default_factory=dict)
    number: int = 0

    def visits(self, node: str, visit: dict[str, Any]) -> None:
        """One visit, and all that is expected of it."""
        status, headers, body = self._ask(node, visit)
        seen = f"{node}: {visit}: {status} {headers} {body[:2000]}"
        assert status == visit.get("status", 200), seen
        assert str(visit.get("text", "")) in body, seen
        assert "without" not in visit or visit["without"] not in body, seen
        assert "location" not in visit or dict(headers).get("Location") == visit["location"], seen

    def _ask(self, node: str, visit: dict[str, Any]) -> tuple[int, list[tuple[str, str]], str]:
        self.number += 1
        url = urlsplit(visit["url"].replace("{number}", str(self.number)))
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        headers = {"Host": url.netloc, **self.reach.get("headers", {}), **visit.get("headers", {})}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = None
        if "form" in visit:
            body = urlencode(visit["form"])
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(url.netloc)
        connection.sock = self._connect(node, PORTS[port], url.hostname or "", url.scheme == "https")
        try:
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST" if body else "GET", path, body, headers)
            answer = connection.getresponse()
            for line in answer.headers.get_all("Set-Cookie", []):
                name, _, value = line.partition(";")[0].partition("=")
                if re.search(r"max-age=0\b|1970", line, re.I):
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = value
            return answer.status, answer.getheaders(), answer.read().decode(errors="replace")
        finally:
            connection.close()

    def _connect(self, node: str, port: int, name: str, tls: bool) -> socket.socket:
        sock = socket.create_connection((address(node), port), timeout=20)
        if self.reach.get("proxy_protocol"):
            sock.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.1 40000 443\r\n")
        if not tls:
            return sock
        context = ssl.create_default_context(cafile=str(STATE / "certificates" / "ca.pem"))
        if self.reach.get("client_certificate"):
            context.load_cert_chain(STATE / "certificates" / "controller.pem")
        return context.wrap_socket(sock, server_hostname=name)


def address(node: str) -> str:
    """A node's loopback address."""
    return next(one["address"] for one in json.loads(SPEC.read_text())["containers"] if one["name"] == node)


def ssh(node: str, command: str, stdin: bytes = b"", check: bool = True) -> str:
    """A shell command on a node as root; its output."""
    words = ["ssh", "-i", str(CACHE / "id_ed25519"), "-p", "20022", "-o", f"UserKnownHostsFile={STATE / 'known_hosts'}",
             "-o", "LogLevel=ERROR", "-o", "ControlMaster=auto", "-o", "ControlPersist=60",
             "-o", f"ControlPath={tempfile.gettempdir()}/session-field-%C", f"ops@{address(node)}",
             "sudo", "bash", "-c", shlex.quote(command)]  # fmt: skip
    done = subprocess.run(words, capture_output=True, input=stdin, timeout=300, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    assert not check or done.returncode == 0, f"{node}: {command[:200]}: status {done.returncode}: {said}"
    return said


class Journey:
    """One site on the nodes of one lane.

    :ivar said: every run of a playbook: what it was, how long it took, its output.
    """

    def __init__(self, site: Site, nodes: tuple[str, ...]) -> None:
        self.site, self.nodes = site, nodes
        self.folder = STATE / "sites" / site.name
        self.visitor = Visitor(site.spec.get("reach", {}))
        self.said: list[tuple[str, float, str]] = []

    def go(self) -> None:
        """All of it."""
        self._inventory()
        self._build()
        self._site_works()
        if self.site.spec.get("login_first"):
            self._log_in()
        self._deploy()
        if not self.site.spec.get("login_first"):
            self._log_in()
        self._session_stays()
        self._check()
        if "before_removal" in self.site.spec:
            self._diagnosed(self.site.spec["before_removal"], "before the removal")
        for node in self.nodes:
            self._script(node, "remove.sh")
        for number in range(self.site.spec.get("rotations", 1)):
            self._rotate(number)
        for name in self.site.spec.get("playbooks", []):
            self._did(name, str(self.site.folder / name))
        self._diagnosed(self.site.spec.get("diagnosis", []), "healthy")
        self._fault()
        for visit in self.site.spec.get("leaves", []):
            self.visitor.visits(self.nodes[-1], visit)
        self._proof()
        self._more_faults()  # the last: their lines stay in the logs
        self._no_key_in_the_open()

    # The site

    def _inventory(self) -> None:
        """A folder as an operator has it: the nodes, and the site's own group_vars."""
        shutil.rmtree(self.folder, ignore_errors=True)
        group = self.folder / "inventory" / "group_vars" / "session_fleet"
        group.mkdir(parents=True)
        hosts = {
            node: {
                "ansible_host": address(node), "ansible_port": 20022, "ansible_user": "ops",
                "ansible_ssh_private_key_file": str(CACHE / "id_ed25519"),
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={STATE / 'known_hosts'}",
                "ansible_python_interpreter": "/usr/bin/python3",
            } for node in self.nodes
        }  # fmt: skip
        (self.folder / "inventory" / "hosts.yml").write_text(yaml.safe_dump({"session_fleet": {"hosts": hosts}}))
        shutil.copy(self.site.folder / "group_vars.yml", group / "main.yml")
        here = {"field_certificates": str(STATE / "certificates"), "session_check_ca": str(STATE / "certificates" / "ca.pem"),
                "session_ring_store": {"file": str(self.folder / "ring.vault")}}
        (group / "here.yml").write_text(yaml.safe_dump(here))

    def _build(self) -> None:
        """The nodes become this site."""
        for node in self.nodes:
            for script in RESET:
                ssh(node, "bash -s", script.read_bytes())
            ssh(node, "tar -C / --no-same-owner -xz", self._archive(node))
            brought = (self.site.folder / "files" / "etc" / "apache2" / "sites-available").glob("*.conf")
            for enable, names in (("a2enmod", self.site.spec.get("modules", [])), ("a2ensite", [one.stem for one in brought])):
                if names:
                    ssh(node, f"{enable} -q {' '.join(sorted(names))}")
            self._script(node, "setup.sh")
            ssh(node, "chown -R www-data: /var/www; systemctl restart apache2; systemctl is-active apache2")
            for service in self.site.spec.get("services", []):
                ssh(node, f"systemctl restart {service}; systemctl is-active {service}")
            self._wait(node)

    def _wait(self, node: str) -> None:
        """Until the services behind the first page answer."""
        until = time.monotonic() + 60
        while True:
            try:
                return Visitor(self.visitor.reach).visits(node, self.site.spec["works"][0])
            except (AssertionError, OSError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def _archive(self, node: str) -> bytes:
        """The site's files, its certificates and Python packages, as they lie on a node."""
        certificates = STATE / "certificates"
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz") as tar:
            if (self.site.folder / "files").exists():
                tar.add(self.site.folder / "files", ".", filter=_as_on_a_node)
            tar.add(certificates / "*.example.test.pem", "etc/ssl/site/site.pem", filter=_as_on_a_node)
            tar.add(certificates / "ca.pem", "etc/ssl/site/ca.pem", filter=_as_on_a_node)
            if self.site.spec.get("python"):
                tar.add(python_packages(self.site.spec["python"]), "srv/python", filter=_as_on_a_node)
        return made.getvalue()

    def _script(self, node: str, name: str) -> None:
        path = self.site.folder / name
        if path.exists():
            ssh(node, "bash -e -s", path.read_bytes())

    def _site_works(self) -> None:
        """The site's own pages, on every node, for somebody who comes for the first time."""
        for node in self.nodes:
            for visit in self.site.spec["works"]:
                Visitor(self.visitor.reach).visits(node, visit)

    def _log_in(self) -> None:
        for visit in self.site.spec.get("login", []):
            self.visitor.visits(self.nodes[0], visit)

    def _session_stays(self) -> None:
        """Who logged in at the first node is logged in on all, and the site works as before."""
        for node in self.nodes[::-1] + self.nodes:
            for visit in self.site.spec.get("stays", []):
                self.visitor.visits(node, visit)
        self._site_works()

    # What an operator runs

    def _run(self, title: str, name: str, *words: str, **extra: object) -> journey.Run:
        playbook = str(ROOT / "playbooks" / f"{name}.yml") if "/" not in name else name
        command = ["ansible-playbook", "-i", str(self.folder / "inventory"), playbook, "--vault-password-file",
                   str(STATE / "vault-password"), "-v", *words]  # fmt: skip
        if extra:
            command += ["-e", json.dumps(extra)]
        environment = {**journey.environment(), "ANSIBLE_PIPELINING": "0"}
        began = time.monotonic()
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=900, check=False)
        output = done.stdout + done.stderr
        self.said.append((title, time.monotonic() - began, output))
        (self.folder / f"{len(self.said):02}-{title.replace(' ', '-').replace('/', '_')}.log").write_text(output)
        recap = {}
        for match in re.finditer(r"^(\S+)\s+: (ok=\d+ .*)$", output, re.M):
            recap[match.group(1)] = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", match.group(2))}
        return journey.Run(done.returncode, output, recap)

    def _did(self, title: str, name: str, *words: str, **extra: object) -> journey.Run:
        done = self._run(title, name, *words, **extra)
        assert done.status == 0, f"{title}:\n{done.output}"
        return done

    def _deploy(self) -> None:
        self._did("init", "ring", session_ring_verb="init")
        if "refused" in self.site.spec:
            self._refused("check mode that is refused", self.site.spec["refused"], "--check")
        for node in self.nodes:
            self._script(node, "by_hand.sh")
        with self._untouched():
            said = self._did("check mode", "deploy", "--check", "--diff")
        done = self._did("deploy", "deploy")
        assert set(done.recap) >= set(self.nodes) and done.changed >= len(self.nodes), done.output
        assert _changes(said) == _changes(done), f"{_changes(said)} was foretold, {_changes(done)} was done"
        with self._untouched():
            again = self._did("second deploy", "deploy")
        assert again.changed == 0, again.output

    def _refused(self, title: str, sentence: str, *words: str) -> None:
        """A deploy fails, and says why."""
        done = self._run(title, "deploy", *words)
        said = " ".join(done.output.replace("\\n", " ").replace('\\"', '"').split())
        assert done.status != 0 and sentence in said, done.output

    @contextmanager
    def _untouched(self) -> Iterator[None]:
        """Meanwhile no file of httpd's configuration changes, and httpd is not restarted."""
        look = "find /etc/apache2 | sort; find /etc/apache2 -type f | sort | xargs sha256sum; cat /run/apache2/apache2.pid"
        before = [ssh(node, look) for node in self.nodes]
        yield
        assert [ssh(node, look) for node in self.nodes] == before

    def _check(self) -> None:
        done = self._did("check", "check")
        number = len(self.nodes)
        warned = self.site.spec.get("warned")
        wanted = f"HEALTHY, WITH WARNINGS: {number} of {number} nodes agree" if warned else f"All {number} nodes agree"
        assert wanted in " ".join(done.output.replace("\\n", " ").split()), done.output
        self._session_stays()

    def _rotate(self, number: int) -> None:
        """A new key is staged and promoted; an earlier one is retired before that, once its time is up."""
        before = self._ring()[0]
        until = time.monotonic() + 90
        while True:
            self._did(f"rotation {number + 1}", "rotate", session_rotate_now=True)
            keys = self._ring()
            if keys[0] != before or time.monotonic() > until:
                break
            time.sleep(5)
        assert keys[0] != before, "the key is still the old one"
        self._session_stays()

    def _diagnosed(self, expected: list[str], title: str, **extra: object) -> dict[str, Any]:
        """The causes that a diagnosis names are these, in this order."""
        done = self._run(f"diagnose {title}", "diagnose", session_diagnose_report_dir=str(self.folder), **extra)
        data = json.loads((self.folder / "diagnosis.json").read_text())
        found = [cause["code"] for cause in data["causes"]]
        assert found[: len(expected)] == expected if expected and title != "healthy" else found == expected, (
            f"{title}: expected {expected}, found {json.dumps(data['causes'], indent=1)}")  # fmt: skip
        assert (done.status == 0) is (title == "healthy"), done.output
        return dict(data)

    def _fault(self) -> None:
        """One fault on the last node is found by its name, and a deploy puts the node right."""
        fault, node = self.site.spec["fault"], self.nodes[-1]
        self._script(node, "fault.sh")
        data = self._diagnosed([fault["code"]], "fault")
        assert data["causes"][0]["nodes"] == [node], json.dumps(data["causes"], indent=1)
        if "refused" in fault:
            self._refused("deploy that fails", fault["refused"])
        self._script(node, "mend.sh")
        self._did("deploy after the fault", "deploy", **fault.get("extra", {}))
        self._session_stays()
        self._check()

    def _more_faults(self) -> None:
        """Each fault of tests/field_faults.py that was asked for is named, on its node, beside what it brings with it."""
        node, problems = self.nodes[-1], []
        scope = yaml.safe_load((self.site.folder / "group_vars.yml").read_text())["session_config_scopes"][0]
        for fault in field_faults.faults(scope["path"], scope.get("virtual_host", "")):
            ssh(node, field_faults.KEEP)
            ssh(node, fault.make, check=False)
            where = {"session_diagnose_report_dir": str(self.folder), "session_check_timeout": 4}
            self._run(f"fault {fault.code}", "diagnose", **where)
            causes = json.loads((self.folder / "diagnosis.json").read_text())["causes"]
            if not any(cause["code"] == fault.code and node in cause["nodes"] for cause in causes):
                problems.append(f"{fault.code}: found {[(cause['code'], cause['nodes']) for cause in causes]}")
            ssh(node, f"{fault.undo}; {field_faults.RESTORE}")
        assert not problems, f"{self.site.name}: " + "; ".join(problems)

    def _proof(self) -> None:
        """What a site says of itself at the end."""
        for node in self.nodes:
            self._script(node, "proof.sh")

    # Keys

    def _ring(self) -> list[str]:
        """The passphrases of the ring, the primary first."""
        loader = DataLoader()
        loader.set_vault_secrets([("default", VaultSecret((STATE / "vault-password").read_bytes()))])
        ring, _version = open_store({"file": str(self.folder / "ring.vault")}, loader).load()
        assert ring is not None
        with open(self.folder / "keys", "a", opener=lambda path, flags: os.open(path, flags, 0o600)) as handle:
            handle.writelines(f"{key.passphrase}\n" for key in ring.keys)
        return [key.passphrase for key in sorted(ring.keys, key=lambda key: key.state != "primary")]

    def _no_key_in_the_open(self) -> None:
        """No output has a key, and no file of a node beside the key file."""
        self._ring()
        keys = set((self.folder / "keys").read_text().split("\n")) - {""}
        for title, _seconds, output in self.said:
            assert not any(key in output for key in keys), f"a key stands in the output of {title}"
        allowed = self.site.spec.get("files_with_keys", [])
        for node in self.nodes:
            ssh(node, "cat >/dev/shm/patterns", "\n".join(keys).encode())
            found = ssh(node, "grep -rlaF -f /dev/shm/patterns /etc /home /root /tmp /var /run 2>/dev/null; rm /dev/shm/patterns",
                        check=False).split()  # fmt: skip
            assert set(found) <= {"/etc/apache2/mod_session/passphrases", *allowed}, f"{node}: {found}"


def _changes(run: journey.Run) -> dict[str, list[str]]:
    """What a deploy changed on each node, or says that it would."""
    return {node: result["changes"] for node, result in run.results("Sessions are live").items()}


def _as_on_a_node(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files are root's, and programs can be run."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o111 else 0o644
    if entry.name.endswith(".pem"):
        entry.mode = 0o600
    return entry


def python_packages(names: list[str]) -> Path:
    """Packages of PyPI in a folder, for a node's own Python."""
    folder = STATE / "python" / "-".join(names)
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(folder)]
        done = subprocess.run([*pip, *names], capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"PyPI's {' '.join(names)} cannot be had: {done.stderr.strip()}"
        (folder / ".complete").touch()
    return folder
