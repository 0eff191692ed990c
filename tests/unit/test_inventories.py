# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories as people write them, in tests/field/inventories: playbooks reach the right hosts, or say why not.

Each is a folder: ``inventory``, perhaps an ``ansible.cfg`` and a ``site.yml``, and ``expected.yml`` with what to run, the exit
status, what is said, and as ``reached`` the hosts that Ansible tried to connect to. These are ports of this machine where nothing
listens.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from plugins.plugin_utils import fleet

from .installed import OTHERS, OURS, ROOT

FOLDERS = sorted(path.parent for path in ROOT.glob("tests/field/inventories/*/expected.yml"))
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=5"}


def operate(folder, here, words):
    """Run a playbook on the inventory in a folder, as an operator does whose home is ``here``: exit status, and what it said."""
    (here / "password").write_text("the vault password of a test")
    (here / "nowhere.yml").write_text(yaml.safe_dump({"all": {"vars": NOWHERE}}))
    environment = {
        **os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{OURS}:{OTHERS}", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_VAULT_PASSWORD_FILE": str(here / "password"), "SESSION_TEST_RING": str(here / "ring.vault"),
        "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(here / "facts"),
    }  # fmt: skip
    if (folder / "ansible.cfg").exists():
        environment["ANSIBLE_CONFIG"] = str(folder / "ansible.cfg")
    name, *more = shlex.split(words)
    playbook = str(folder / "site.yml") if name == "site" else "httpd_fleet.mod_session." + name
    command = ["ansible-playbook", "-i", here / "nowhere.yml", "-i", folder / "inventory", playbook, *more]
    done = subprocess.run(command, cwd=here, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def expected_of(folder):
    """What is to be run on an inventory, in this order, and what is to come out."""
    return yaml.safe_load((folder / "expected.yml").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The runs on each inventory, several inventories at once."""
    def run(folder, here):
        return [operate(folder, here, expected["run"]) for expected in expected_of(folder)]

    homes = [tmp_path_factory.mktemp(folder.name) for folder in FOLDERS]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        return dict(zip(FOLDERS, threads.map(run, FOLDERS, homes)))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_playbooks_reach_the_fleet_or_say_why_not(runs, folder):
    for expected, (status, said) in zip(expected_of(folder), runs[folder]):
        text = " ".join(said.split())
        assert status == expected["status"], (expected, said)
        words = expected.get("says", [])
        assert all(word in text for word in ([words] if isinstance(words, str) else words)), (expected, said)
        reached = set(re.findall(r"^fatal: \[(\w+)[^]]*\]: UNREACHABLE", said, re.M))
        assert reached == set(expected.get("reached", ())), (expected, said)


VALUES = {
    **dict.fromkeys(fleet.VARIABLES, "x"), **dict.fromkeys(fleet.SWITCHES, True),
    "session_fleet_group": "web", "session_serial": [1, "50%"], "session_ring_serial": 2, "session_check_via": "node",
    "session_debug_nodes": ["web1"], "session_config_scopes": [{"name": "app", "path": "/app"}],
}  # fmt: skip
PLAYBOOK = [
    {"ansible.builtin.import_playbook": str(ROOT / "playbooks/parts/fleet.yml")},
    {
        "hosts": "{{ lookup('httpd_fleet.mod_session.session_fleet', 'hosts') }}",
        "serial": "{{ lookup('httpd_fleet.mod_session.session_fleet', 'session_serial') }}",
        "strategy": "{{ lookup('httpd_fleet.mod_session.session_fleet', 'strategy') }}",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.debug": {"msg": "{{ ansible_play_batch }} see {{ query('ansible.builtin.vars', *names) }}"}}],
        "vars": {"names": list(fleet.VARIABLES)},
    },
]


@pytest.mark.parametrize("place", ["all", "web", "command line"])
def test_every_variable_is_seen_from(place, tmp_path):
    (tmp_path / "site.yml").write_text(yaml.safe_dump(PLAYBOOK))
    (tmp_path / "inventory" / "group_vars").mkdir(parents=True)
    (tmp_path / "inventory" / "hosts").write_text("[web]\nweb1\nweb2\nweb3\n[db]\ndb1\n")
    path = tmp_path / "extra.yml" if place == "command line" else tmp_path / "inventory" / "group_vars" / f"{place}.yml"
    path.write_text(yaml.safe_dump(VALUES))
    status, said = operate(tmp_path, tmp_path, "site -e @extra.yml" if place == "command line" else "site")
    seen = f"see {list(VALUES.values())}".replace('"', "'")
    found = re.findall(r'"msg": "(.*)"', said.replace("\\\"", "'"))
    assert status == 0 and found == [f"{batch} {seen}" for batch in (["web1"], ["web2"], ["web3"])], said


def test_every_playbook_is_run():
    names = {expected["run"].split()[0] for folder in FOLDERS for expected in expected_of(folder)}
    assert {path.stem for path in ROOT.glob("playbooks/*.yml")} <= names
