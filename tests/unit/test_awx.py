# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""examples/awx: what it gives to the modules of awx.awx is what they take, and what it starts exists. No AWX is asked."""

from __future__ import annotations

import importlib
import sys

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19
    trust_as_template = str  # type: ignore[assignment]

from plugins.module_utils.ring_options import VERBS

from .installed import OTHERS, ROOT
from .test_docs import known_variables

AWX = ROOT / "examples" / "awx"
PROJECT = AWX / "project"
if not (OTHERS / "ansible_collections" / "awx").exists():
    pytest.skip("awx.awx is not here: make deps-databases", allow_module_level=True)
sys.path.append(str(OTHERS))


def trusted(value):
    """What was read from a playbook, as Ansible takes it."""
    if isinstance(value, dict):
        return {key: trusted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [trusted(one) for one in value]
    return trust_as_template(value) if isinstance(value, str) else value


class Stop(Exception):
    """The module has said what it takes."""


def options_of(name, monkeypatch):
    """The argument spec of a module, as the module itself states it."""
    api = importlib.import_module("ansible_collections.awx.awx.plugins.module_utils.controller_api")
    module = importlib.import_module("ansible_collections.awx.awx.plugins.modules." + name)
    found = {}

    def stated(argument_spec=None, **more):
        found.update(more, argument_spec={**api.ControllerAPIModule.AUTH_ARGSPEC, **argument_spec})
        raise Stop

    monkeypatch.setattr(module, "ControllerAPIModule", stated)
    with pytest.raises(Stop):
        module.main()
    return found


def documented(options):
    """An argument spec made of a module's documentation, for what is deeper than the spec itself goes."""
    spec = {}
    for name, page in options.items():
        keys = {key: page[key] for key in ("type", "elements", "required", "choices", "aliases") if key in page}
        spec[name] = {**keys, **({"options": documented(page["suboptions"])} if page.get("suboptions") else {})}
    return spec


def errors(spec, arguments):
    """What a module would say of its arguments."""
    more = {key: value for key, value in spec.items() if key != "argument_spec"}
    return ArgumentSpecValidator(spec["argument_spec"], **more).validate(arguments).error_messages


@pytest.fixture(scope="module")
def tasks():
    """(module, arguments) of every task, templated, once for each item of a loop."""
    (play,) = trusted(yaml.safe_load((AWX / "site.yml").read_text()))
    play["vars"].update(session_awx_project_url="https://git.example.com/sessions.git", session_awx_vault_password="an example")
    found = []
    for task in play["tasks"]:
        (action,) = [key for key in task if key.startswith("awx.awx.")]
        templar = Templar(DataLoader(), variables=play["vars"])
        for item in templar.template(task["loop"]) if "loop" in task else [None]:
            arguments = Templar(DataLoader(), variables={**play["vars"], "item": item}).template(task[action])
            found.append((action.removeprefix("awx.awx."), arguments))
    return found


@pytest.fixture(scope="module")
def templates(tasks):
    """The job templates by name."""
    return {arguments["name"]: arguments for module, arguments in tasks if module == "job_template"}


def test_every_module_takes_what_it_is_given(tasks, monkeypatch):
    assert [module for module, _arguments in tasks if module != "job_template"] == [
        "execution_environment", "credential", "project", "inventory", "inventory_source", "inventory_source_update",
        "workflow_job_template",
    ]  # fmt: skip
    for module, arguments in tasks:
        spec = options_of(module, monkeypatch)
        assert errors(spec, arguments) == [], module
        assert errors(spec, {**arguments, "job_slices": 2}), "an option that it has not is found"


def test_the_workflow_is_one(tasks, templates):
    (workflow,) = [arguments for module, arguments in tasks if module == "workflow_job_template"]
    page = importlib.import_module("ansible_collections.awx.awx.plugins.modules.workflow_job_template").DOCUMENTATION
    spec = documented(yaml.safe_load(page)["options"]["workflow_nodes"]["suboptions"])
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    assert len(nodes) == len(workflow["workflow_nodes"])
    here, way = "1", []
    while here:
        node = nodes.pop(here)
        assert errors({"argument_spec": spec}, node) == []
        assert errors({"argument_spec": spec}, {**node, "unified_job_template": {"named": "x"}})
        job = node["unified_job_template"]
        assert job["type"] == "job_template" and job["organization"] == {"name": "Default"} and job["name"] in templates
        way.append(job["name"])
        after = node.get("related", {"success_nodes": []})
        assert list(after) == ["success_nodes"], "nothing follows a failure"
        here = ([*(one["identifier"] for one in after["success_nodes"]), ""])[0]
    assert not nodes
    assert way == ["sessions-" + step for step in ("stage", "deploy", "check", "promote", "deploy", "check")]


def test_only_distribution_is_sliced(templates):
    assert {name for name, one in templates.items() if int(one["job_slice_count"]) > 1} == {"sessions-deploy"}
    assert not any(one["ask_limit_on_launch"] for one in templates.values())


def test_what_is_started_exists(tasks, templates):
    for template in templates.values():
        (play,) = yaml.safe_load((PROJECT / template["playbook"]).read_text())
        name = play["ansible.builtin.import_playbook"].removeprefix("httpd_fleet.mod_session.")
        assert (ROOT / "playbooks" / (name + ".yml")).exists()
        assert set(template["extra_vars"]) <= {"session_ring_verb"}
        assert template["extra_vars"].get("session_ring_verb", "status") in VERBS
        assert ("session_ring_verb" in template["extra_vars"]) == (name == "ring")
        assert template["credentials"][0] in [one["name"] for module, one in tasks if module == "credential"]
    (source,) = [arguments for module, arguments in tasks if module == "inventory_source"]
    assert (PROJECT / source["source_path"]).exists()
    assert "session_fleet" in yaml.safe_load((PROJECT / source["source_path"]).read_text())
    settings = yaml.safe_load((PROJECT / "inventory" / "group_vars" / "session_fleet.yml").read_text())
    assert set(settings) <= known_variables()
    (needed,) = yaml.safe_load((PROJECT / "collections" / "requirements.yml").read_text())["collections"]
    assert needed["name"] == "httpd_fleet.mod_session"
