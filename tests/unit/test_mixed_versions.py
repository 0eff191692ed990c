# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy.yml's own task, run by Ansible: it warns where httpd versions read one session differently, and only there."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def tasks_named(part: str) -> list[dict]:
    plays = yaml.safe_load((ROOT / "playbooks/deploy.yml").read_text())
    return [task for play in plays for task in play.get("tasks", ()) if part in task.get("name", "")]


@pytest.mark.parametrize(("versions", "warned"), [
    (["2.4.46", "2.4.47"], "httpd 2.4.46, 2.4.47"),
    (["2.4.62", "2.4.37", "2.4.62"], "httpd 2.4.37, 2.4.62"),
    (["2.4.37", "2.4.46"], ""),
    (["2.4.47", "2.4.62", ""], ""),
    (["", "2.4.37"], ""),
])
def test_mixed_versions_are_warned_of(versions: list[str], warned: str, tmp_path: Path) -> None:
    (task,) = tasks_named("versions of httpd")
    play = {"hosts": "all", "gather_facts": False, "tasks": [
        {"ansible.builtin.set_fact": {"_session_node_fit": {"httpd": "{{ given }}"}}}, task]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    hosts = {"n%d" % number: {"given": version, "ansible_connection": "local"} for number, version in enumerate(versions)}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    done = subprocess.run([str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(tmp_path / "inventory.yml"),
                           str(tmp_path / "play.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("WARNING: this fleet has " in done.stdout) is bool(warned)
    assert warned in done.stdout
