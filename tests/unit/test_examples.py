# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every inventory in examples/ is one that all playbooks take. The Molecule scenario ``examples`` runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.store import store_for

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/inventory"))
EXAMPLE = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
SECRETS = {"vault_session_store_password": "x" * 20, "vault_database_admin_password": "x" * 20}


def variables(example, *names):
    """What the inventory says to the playbooks, templates resolved."""
    message = "msg={{ {%s} | to_json }}" % ", ".join(f"'{name}': {name} | default(none)" for name in names)
    command = ["ansible", "-i", example / "inventory", "session_fleet[0]", "-m", "ansible.builtin.debug", "-a", message]
    done = subprocess.run([*command, "-e", json.dumps(SECRETS)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.partition("=>")[2])["msg"]
    return json.loads(found) if isinstance(found, str) else found


@EXAMPLE
def test_scopes_store_and_ring_are_accepted(example):
    found = variables(example, "session_config_scopes", "session_store", "session_ring_store")
    scopes = parse_scopes(found["session_config_scopes"])
    assert (store_for(found["session_store"], scopes) is not None) is (example.name == "sql-store")
    assert found["session_ring_store"]
    assert not any(scope.allow_insecure for scope in scopes), "people copy it"


@EXAMPLE
def test_every_playbook_takes_it(example):
    playbooks = sorted((ROOT / "playbooks").glob("*.yml"))
    done = subprocess.run(["ansible-playbook", "--syntax-check", "-i", example / "inventory", *playbooks], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_is_in_the_list():
    text = (ROOT / "examples" / "README.md").read_text()
    assert all(f"]({path.parent.name}/README.md)" in text for path in ROOT.glob("examples/*/README.md"))
