# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is secret goes to a node through a pipe, whatever Ansible is told, and is in no file, log or talkative output."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from plugins.module_utils.scopes import parse_scopes, with_secrets, without_secrets
from plugins.plugin_utils.piped import Piped, why_not_piped

from .installed import OURS, ROOT

SECRET = "piped-SECRET-0123456789abcdefghijklmnopqrstuv"
SCOPE = {"name": "app", "path": "/app", "port": 9, "directives": [f"SetEnv TOKEN {SECRET}"]}
CHECK = {"httpd_fleet.mod_session.session_check": {
    "passphrases": ["B8GZ3ITwRt0xY1mK9sLqPzVn4cHuE7oJfDa2Wb6XgSk"], "scopes": [SCOPE], "step": "ask", "group": "all",
    "canary": {"make": True},
}}  # fmt: skip
PREFLIGHT = {"httpd_fleet.mod_session.session_preflight": {"passphrases": [SECRET], "scopes": [SCOPE], "reachable": False}}
UNABLE = """
from ansible.plugins.connection.local import Connection as Local, DOCUMENTATION as TEXT
DOCUMENTATION = TEXT.replace("name: local", "name: unable")
class Connection(Local):
    transport = "unable"
    has_pipelining = False
"""


def run(folder, task, *, connection="local", words=("-vvvvv",), **environment):
    """What ansible-playbook prints, and all text below Ansible's folder for modules that are sent as files."""
    plugins, temporary = folder / "connections", folder / "remote"
    plugins.mkdir(exist_ok=True)
    (plugins / "unable.py").write_text(UNABLE)
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    (folder / "hosts").write_text(f"here ansible_connection={connection} ansible_python_interpreter={sys.executable}\n")
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(OURS), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_REMOTE_TMP": str(temporary),
        "ANSIBLE_CONNECTION_PLUGINS": str(plugins), "ANSIBLE_DEPRECATION_WARNINGS": "0", "ANSIBLE_PIPELINING": "0",
    }  # fmt: skip
    command = ["ansible-playbook", "-i", str(folder / "hosts"), str(folder / "play.yml"), *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings, **environment}, check=False)
    left = "".join(path.read_text(errors="replace") for path in temporary.rglob("*") if path.is_file())
    return done.stdout + done.stderr, left


@pytest.mark.parametrize("environment", [{}, {"ANSIBLE_KEEP_REMOTE_FILES": "1"}, {"ANSIBLE_DEBUG": "1"}])
@pytest.mark.parametrize("task", [CHECK, PREFLIGHT], ids=["check", "preflight"])
def test_nothing_is_left_and_nothing_is_said_with_pipelining_off(tmp_path, task, environment):
    said, left = run(tmp_path, task, **environment)
    assert "PLAY RECAP" in said, said
    assert left == "", "a file was sent"
    secrets = [SECRET, "piped-SECRET", "GET /app/.mod-session-probe HTTP"]
    assert [one for one in secrets if one in said] == []


def test_this_test_sees_a_module_that_is_sent_as_a_file(tmp_path):
    _said, left = run(tmp_path, {"ansible.builtin.ping": {"data": SECRET}}, ANSIBLE_KEEP_REMOTE_FILES="1")
    assert SECRET in left


@pytest.mark.parametrize("task", [CHECK, PREFLIGHT], ids=["check", "preflight"])
def test_a_connection_that_cannot_pipe_is_refused_before_anything_is_sent(tmp_path, task):
    said, left = run(tmp_path, task, connection="unable", words=())
    assert "the connection unable cannot pipe a module" in said and "Nothing was sent" in said, said
    assert left == ""


def become(name, pipelining=True):
    return SimpleNamespace(name=name, pipelining=pipelining)


@pytest.mark.parametrize(("has_pipelining", "method", "said"), [
    (True, None, ""),
    (True, become("sudo"), ""),
    (True, become("su", False), ""),
    (True, become("machinectl", False), "the become method machinectl cannot pipe a module"),
    (False, None, "the connection paramiko cannot pipe a module"),
])
def test_what_can_pipe_and_what_is_refused(has_pipelining, method, said):
    reason = why_not_piped(SimpleNamespace(transport="paramiko", has_pipelining=has_pipelining, become=method))
    assert reason.startswith(said) and bool(reason) == bool(said)


class Base:
    """As much of ActionBase as matters."""

    _connection = SimpleNamespace(transport="local", has_pipelining=True, become=None, get_option=None)

    def _execute_module(self, module_args):
        self.sent = module_args
        return self._parse_returned_data({"failed": False, "had": dict(module_args)})

    def _parse_returned_data(self, result):
        return result


def test_arguments_are_forgotten_and_those_of_the_action_are_not(monkeypatch):
    monkeypatch.setattr("plugins.plugin_utils.piped._pipelining", lambda _connection: contextlib.nullcontext())
    action, own = type("Action", (Piped, Base), {})(), {"passphrases": [SECRET], "port": 20443}
    action._execute_module(module_args=own)
    assert action.sent == {} and own == {"passphrases": [SECRET], "port": 20443}


def actions():
    return {path.stem: path.read_text() for path in (ROOT / "plugins" / "action").glob("session_*.py")}


def test_every_action_that_sends_a_module_pipes_it():
    sending = {name for name, text in actions().items() if "_execute_module(" in text} - {"session_packages_info"}  # no secrets
    assert {"session_apply", "session_check", "session_diagnose", "session_preflight"} <= sending
    assert [name for name in sorted(sending) if "class ActionModule(Piped, ActionBase):" not in actions()[name]] == []


def test_every_module_that_is_given_secrets_is_sent_by_an_action():
    """Without one it would be Ansible's own, which sends a file."""
    sent_by_none = []
    for path in sorted((ROOT / "plugins" / "modules").glob("*.py")):
        secret = re.search(r'"no_log": True|: ARGUMENT\b|= ARGUMENT_SPEC\b|=ARGUMENT_SPEC\b', path.read_text())
        if secret and path.stem not in actions():
            sent_by_none.append(path.stem)
    assert sent_by_none == []


def test_directives_travel_apart_and_come_back():
    plain = {"name": "shop", "path": "/shop", "cookie_name": "shop"}
    raw = [SCOPE, plain]
    bare, apart = without_secrets(raw)
    assert SECRET not in json.dumps(bare) and SECRET in apart
    assert parse_scopes(with_secrets(bare, apart)) == parse_scopes(raw)
    assert without_secrets([plain]) == ([plain], "")
    assert with_secrets([plain], "") == [plain]


@pytest.mark.parametrize(("file", "option"), [
    ("modules/session_apply.py", "apart"), ("modules/session_diagnose.py", "apart"),
    ("module_utils/check_options.py", "requests"),
])
def test_what_may_hold_a_secret_is_one_text_that_is_not_logged(file, option):
    """As a list, each of its parts would be hidden wherever it stands in a sentence."""
    text = (ROOT / "plugins" / file).read_text()
    assert re.search(rf'"{option}": {{"type": "str", "default": "[^"]*", "no_log": True}}', text)
