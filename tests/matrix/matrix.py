#!/usr/bin/env python3
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One journey with every ansible-core on every Python that is here, on a fleet of Debian 11, 12 and 13.

Each cell begins with nodes as the distribution ships them: a ring is made, deployed, deployed again (nothing changes), checked,
rotated, checked, diagnosed. Prints a table of Markdown and writes it to .cache/matrix/table.md. Exit status 1: a cell failed.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "matrix"
SPEC = ROOT / "tests" / "matrix" / "fleet.json"
INVENTORY = ROOT / "tests" / "matrix" / "inventory"
SUPPORTED = {"2.17": ("3.10", "3.11", "3.12"), "2.18": ("3.11", "3.12", "3.13"), "2.19": ("3.11", "3.12", "3.13"),
             "2.20": ("3.12", "3.13", "3.14"), "2.21": ("3.12", "3.13", "3.14")}
"""Pythons of a controller, by ansible-core (source: the packages' Requires-Python, and their classifiers for the latest)."""
PYTHONS = sorted({python for row in SUPPORTED.values() for python in row}, key=lambda name: int(name[2:]))
JOURNEY = (
    ("ring", ["-e", "session_ring_verb=init"], None), ("deploy", [], None), ("deploy", [], 0), ("check", [], 0),
    ("rotate", ["-e", "session_rotate_now=true"], None), ("check", [], 0), ("diagnose", [], 0),
)
"""Playbook, its words, and how many tasks may change something (None: any)."""


class Failed(Exception):
    """A step of a journey; says which and shows its end."""


def find_python(version: str) -> str | None:
    """The program of a Python: on the path, or one that pyenv keeps."""
    kept = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}"))
    for program in (shutil.which(f"python{version}"), *sorted(kept)):
        if program and not subprocess.run([program, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode:
            return program
    return None


def environment(core: str, python: str, program: str) -> Path:
    """A virtual environment with the latest of an ansible-core and what the collection needs; made once."""
    place = CACHE / f"core{core}-py{python}"
    if not (place / ".complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([program, "-m", "venv", place], check=True)
        wanted = [f"ansible-core=={core}.*", "cryptography"]
        done = subprocess.run([place / "bin/pip", "install", "-q", "--disable-pip-version-check", *wanted], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise Failed("pip: " + done.stderr.strip()[-300:])
        (place / ".complete").touch()
    return place


def journey(place: Path, log: Path) -> str:
    """Go through it; the exact version of ansible-core. :raises Failed: a step was not as it has to be."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "password").write_text(secrets.token_urlsafe(32))
        words = {
            **os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}", "ANSIBLE_VAULT_PASSWORD_FILE": f"{folder}/password",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "dev"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_HOME": f"{folder}/ansible",
        }
        ring = f'{{"session_ring_store": {{"file": "{folder}/ring.vault"}}}}'
        _run(log, ["ansible", "-i", INVENTORY, "session_fleet", "--become", "-m", "ansible.builtin.script", "-a",
                   ROOT / "molecule/default/reset.sh"], words)
        for name, extra, most in JOURNEY:
            said = _run(log, ["ansible-playbook", "-i", INVENTORY, f"httpd_fleet.mod_session.{name}", "-e", ring, *extra], words)
            changed = sum(map(int, re.findall(r"changed=(\d+)", said)))
            if most is not None and changed > most:
                raise Failed(f"{name} changed {changed} tasks")
        return re.search(r"core ([\d.]+)", _run(log, ["ansible", "--version"], words)).group(1)


def _run(log: Path, command: list, words: dict) -> str:
    done = subprocess.run(list(map(str, command)), env=words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
    with log.open("a") as handle:
        handle.write(f"$ {' '.join(map(str, command))}\n{done.stdout}\n")
    if done.returncode:
        raise Failed(f"{Path(str(command[3])).name}: exit status {done.returncode}, see {log.relative_to(ROOT)}")
    return done.stdout


def table(cells: dict[tuple[str, str], str]) -> str:
    """Markdown: a row for each ansible-core, a column for each Python."""
    heads = ["ansible-core", *(f"Python {python}" for python in PYTHONS)]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for core, pythons in SUPPORTED.items():
        row = [cells.get((core, python), "" if python in pythons else "not supported") for python in PYTHONS]
        lines.append(f"| {core} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """All cells, or those that were asked for."""
    parser = argparse.ArgumentParser(prog="make matrix", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CORE:PYTHON", help="only these, for example 2.19:3.12")
    parser.add_argument("--keep", action="store_true", help="leave the fleet running at the end")
    chosen = parser.parse_args()
    every = [f"{core}:{python}" for core, pythons in SUPPORTED.items() for python in pythons]
    unknown = set(chosen.cells) - set(every)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {' '.join(every)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    fleet = [sys.executable, str(ROOT / "demo" / "fleet.py")]
    cells = {}
    if subprocess.run([*fleet, "up", SPEC], check=False).returncode:
        return 1
    try:
        for cell in chosen.cells or every:
            core, python = cell.split(":")
            program = find_python(python)
            if program is None:
                cells[core, python] = "skipped: this Python is not here"
            else:
                log = CACHE / f"core{core}-py{python}.log"
                log.unlink(missing_ok=True)
                try:
                    cells[core, python] = journey(environment(core, python, program), log) + " ok"
                except (Failed, subprocess.TimeoutExpired) as error:
                    cells[core, python] = f"FAILED: {error}"
            print(f"ansible-core {core}, Python {python}: {cells[core, python]}", flush=True)
    finally:
        if not chosen.keep:
            subprocess.run([*fleet, "down", SPEC], check=False)
    text = table(cells)
    (CACHE / "table.md").write_text(text)
    print("\n" + text, end="")
    return int(any(cell.startswith("FAILED") for cell in cells.values()))


if __name__ == "__main__":
    sys.exit(main())
