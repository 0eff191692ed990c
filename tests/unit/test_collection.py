# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as Ansible sees it: pages of documentation, options and defaults of roles, the action group."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml

from plugins.module_utils.scopes import CIPHERS, DEFAULT_PORTS, SAME_SITE, parse_scopes

from .installed import OURS, ROOT

NAME = "httpd_fleet.mod_session."
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("session_*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]


def ansible(*command):
    """What a program of Ansible prints; it must not fail or warn."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(OURS), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def modules():
    """The documentation of all modules, as Ansible read it."""
    pages = json.loads(ansible("ansible-doc", "-j", *(NAME + each for each in MODULES)))
    return {name[len(NAME):]: page for name, page in pages.items()}


@pytest.fixture(scope="module")
def roles():
    """The options of all roles, as Ansible read them."""
    pages = json.loads(ansible("ansible-doc", "-t", "role", "-j", *(NAME + each for each in ROLES)))
    return {name[len(NAME):]: page["entry_points"]["main"]["options"] for name, page in pages.items()}


def test_every_page_can_be_read(modules, roles):
    assert (sorted(modules), sorted(roles)) == (MODULES, ROLES)
    for kind, names in (("module", MODULES), ("role", ROLES)):
        text = ansible("ansible-doc", "-t", kind, *(NAME + each for each in names))
        assert [each for each in names if (NAME + each) not in text] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_documented(modules, name):
    page = modules[name]
    assert page["doc"]["version_added"] == VERSION
    assert {"check_mode", "diff_mode", "platform"} <= set(page["doc"]["attributes"])
    for attribute, said in page["doc"]["attributes"].items():
        assert said["support"] in ("full", "none"), attribute
        assert said["description"], attribute
    assert NAME + name + ":" in page["examples"]
    assert yaml.safe_load(page["examples"])
    assert page["return"]


# Roles


def defaults_of(role):
    path = ROOT / "roles" / role / "defaults/main.yml"
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def owner(option):
    """The role whose variable it is: the one whose name it begins with."""
    (role,) = [each for each in ROLES if option.startswith(each + "_")] or [None]
    return role


@pytest.mark.parametrize("role", ROLES)
def test_documented_defaults_are_the_real_ones(roles, role):
    own = {name: option["default"] for name, option in roles[role].items() if "default" in option and owner(name) == role}
    assert own == defaults_of(role)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_of_another_role_s_option_what_that_role_says(roles, role):
    for name, option in roles[role].items():
        if owner(name):
            assert option == roles[owner(name)][name], name


@pytest.mark.parametrize("role", ROLES)
def test_a_role_s_tasks_use_all_of_its_options_and_no_others(roles, role):
    files = [*(ROOT / "roles" / role).glob("tasks/*.yml"), *(ROOT / "roles" / role).glob("templates/*")]
    text = "\n".join(path.read_text() for path in files)
    used = set(re.findall(r"(?<!mod_session\.)(?<![\w_])session_[a-z_]+", text))
    assert used - {"session_apply", "session_fleet"} == set(roles[role])
    for name, written in re.findall(r"(session_[a-z_]+) \| default\((?!omit)([^)]*)\)", text):
        assert yaml.safe_load(written) == roles[role][name]["default"], name


def test_options_of_a_scope(roles):
    spec = roles["session_config"]["session_config_scopes"]["options"]
    (scope,) = parse_scopes([{"name": "app", "path": "/app"}])
    assert set(vars(scope)) == set(spec)
    assert [name for name, option in spec.items() if option.get("required")] == ["name", "path"]
    said = {}
    for name, option in spec.items():
        text = " ".join([option["description"]] if isinstance(option["description"], str) else option["description"])
        said.update((name, yaml.safe_load(value)) for value in re.findall(r"Default V?\(?([A-Za-z0-9-]+)\)?[.;]", text))
    assert said.pop("cookie_domain") == "none"
    assert len(said) == 9
    assert said == {name: getattr(scope, name) for name in said}
    assert spec["cipher"]["choices"] == list(CIPHERS)
    assert spec["same_site"]["choices"] == list(SAME_SITE)
    assert spec["scheme"]["choices"] == list(DEFAULT_PORTS)


# The action group


def test_the_group_has_every_module_that_takes_the_ring(modules):
    members = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["session"]
    assert members == [name for name in MODULES if "ring_store" in modules[name]["doc"].get("options", ())]
    assert members == [name for name in MODULES if "action_group" in modules[name]["doc"]["attributes"]]


def test_defaults_of_the_group(tmp_path):
    """A ring is made and used by tasks that do not say where it is."""
    (tmp_path / "password").write_text("the vault password of a test")
    play = [{
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/httpd_fleet.mod_session.session": {"ring_store": {"file": str(tmp_path / "ring.vault")}}},
        "tasks": [
            {NAME + "session_ring": {"verb": "init", "quiet": True}},
            {NAME + "session_cookie_info": {"cookie": "session=x"}, "register": "explained"},
            {"ansible.builtin.assert": {"that": ["explained.opened_by == -1"]}},
        ],
    }]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    (tmp_path / "hosts").write_text("[session_fleet]\nlocalhost ansible_connection=local\n")
    ansible("ansible-playbook", "-i", str(tmp_path / "hosts"), "--vault-password-file", str(tmp_path / "password"),
            str(tmp_path / "play.yml"))
    assert (tmp_path / "ring.vault").read_text().startswith("$ANSIBLE_VAULT;")
