# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `make demo` cannot go on it says what to do, and leaves nothing half-made."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("bash", "cat", "dirname", "env", "flock", "make", "mkdir", "python3", "tail")


class Machine:
    """A copy of what `make demo` starts with, on a machine that has only the programs that a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.checkout = folder / "bin", folder / "checkout"
        self.programs.mkdir()
        for name in PROGRAMS:
            (self.programs / name).symlink_to(str(shutil.which(name)))
        self.program("id", "echo 0")
        self.program("dpkg-query", "exit 1")
        ignored = shutil.ignore_patterns("__pycache__", "vault.yml")
        for name in ("demo", "tools"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=ignored)
        shutil.copy(ROOT / "Makefile", self.checkout)

    def program(self, name: str, script: str) -> None:
        """Put a program there, written in shell."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def fails(self, *command: str) -> str:
        """Run a command that must fail; what it said."""
        environment = {"PATH": str(self.programs), "HOME": str(self.checkout)}
        done = subprocess.run(command, cwd=self.checkout, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        return done.stderr

    def left(self) -> set[str]:
        """The files that were made."""
        return {str(path.relative_to(self.checkout)) for path in (self.checkout / ".cache").rglob("*") if path.is_file()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_podman_cannot_be_installed_with_a_mock_of_apt_get(machine: Machine) -> None:
    machine.program("apt-get", '[ "$1" = update ] || { echo "E: Unable to locate package podman"; exit 100; }')
    said = machine.fails("make", "demo")
    assert "\nE: Unable to locate package podman\n" in said
    assert "apt-get could not install podman mmdebstrap" in said
    assert "sources in /etc/apt have these packages (on Ubuntu: also universe). The same command then goes on." in said
    assert machine.left() == {".cache/deps.lock", ".cache/apt.log"}


@pytest.mark.parametrize("sudo", ["absent", "exit 1"])
def test_neither_root_nor_sudo_with_a_mock_of_id_sudo_and_apt(machine: Machine, sudo: str) -> None:
    machine.program("id", "echo 1000")
    if sudo != "absent":
        machine.program("sudo", sudo)
    machine.program("apt-get", "exit 1")
    # Ubuntu 22.04 has no netavark.
    machine.program("apt-cache", 'case $2 in netavark) ;; *) echo "  Candidate: 1.0" ;; esac')
    said = machine.fails("make", "demo")
    assert "you are not root, and there is no sudo that lets you: ask root to run: apt-get install podman mmdebstrap" in said
    assert " containernetworking-plugins aardvark-dns\n" in said
    assert machine.left() == {".cache/deps.lock"}


def test_no_apt(machine: Machine) -> None:
    assert "please install these packages yourself, this is no Debian or Ubuntu: podman" in machine.fails("make", "demo")
    assert machine.left() == {".cache/deps.lock"}


def test_a_port_in_use_with_a_mock_of_podman_and_ssh_keygen(machine: Machine) -> None:
    calls = machine.checkout / "calls"
    machine.program("sudo", 'while [ "$1" != podman ]; do shift; done; exec "$@"')
    machine.program("ssh-keygen", 'for file; do :; done; : >"$file"; : >"$file.pub"')
    machine.program("podman", f'echo "$1" >>{calls}; echo "[]"')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        container = {"name": "n", "suite": "bookworm", "kind": "node", "address": "127.0.0.1", "ports": {str(port): 22}}
        (machine.checkout / "spec").write_text(json.dumps({"fleet": "refused", "containers": [container]}))
        said = machine.fails("python3", "demo/fleet.py", "up", "spec")
    assert said.startswith(f"fleet: 127.0.0.1:{port}, wanted for 'n', is in use by another program. Stop that program (`ss ")
    assert set(calls.read_text().split()) == {"ps"}
    assert machine.left() == {".cache/fleet/lock", ".cache/fleet/id_ed25519", ".cache/fleet/id_ed25519.pub"}


@pytest.mark.parametrize("sudo", ["", "echo 'ops is not in the sudoers file.' >&2; echo 'This was reported.' >&2; exit 1"])
def test_podman_without_root_with_a_mock_of_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sudo: str) -> None:
    if sudo:
        (tmp_path / "sudo").write_text(f"#!/bin/sh\n{sudo}\n")
        (tmp_path / "sudo").chmod(0o755)
    monkeypatch.syspath_prepend(str(ROOT / "demo"))
    engine = importlib.import_module("engine")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(engine.FleetError, match="need root: run this as root, or as a user who may use sudo") as caught:
        engine.podman("ps")
    assert ("(ops is not in the sudoers file.)" in str(caught.value)) == bool(sudo)


@pytest.mark.parametrize(
    ("complaint", "skip", "sentence"),
    [
        ('initializing source docker://rocky: pinging container registry quay.io: Get "https://quay.io/v2/": dial tcp: lookup '
         "quay.io: no such host", True, "The registry of quay.io/rockylinux/rockylinux:9-ubi-init cannot be reached from here. "),
        ("initializing source docker://rocky: reading manifest 9: manifest unknown", False, "podman pull failed: Error: init"),
    ],
)
def test_an_image_of_rocky_linux_cannot_be_had_with_a_mock_of_podman(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, skip: bool, sentence: str
) -> None:
    """Only where no registry answers may a scenario be skipped; a wrong name of an image is a failure."""
    (tmp_path / "podman").write_text(f"#!/bin/sh\n[ $1 = pull ] && echo 'Error: {complaint}' >&2\nexit 125\n")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.syspath_prepend(str(ROOT / "demo"))
    engine, images = importlib.import_module("engine"), importlib.import_module("rpm_images")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("FLEET_IMAGE_ROCKY9", raising=False)
    with pytest.raises(engine.FleetError) as caught:
        images.build("rocky9")
    assert isinstance(caught.value, images.NoRegistry) == skip
    assert str(caught.value).startswith(sentence)
