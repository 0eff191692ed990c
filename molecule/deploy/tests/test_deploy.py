# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet was deployed (converge) and deployed again (idempotence). This is what an operator has then."""

from __future__ import annotations

import os
import secrets

import ansible_mitogen
import pytest

from plugins.module_utils.probe import MARKER_LENGTH
from tests import journey

FLEET = ("n1", "n2", "n3")
VHOST = """<VirtualHost *:80>
    ServerName www.example.test
    ServerAlias shop.example.test
    DocumentRoot /var/www/html
    # the operator's own line
    <Location "/">
        Require all granted
    </Location>
</VirtualHost>
"""


@pytest.mark.parametrize("node", FLEET)
def test_node_opens_and_makes_sessions_of_the_fleets_key(node):
    assert journey.serves(node, journey.fleet_keys())


@pytest.mark.parametrize("maker", FLEET)
@pytest.mark.parametrize("reader", FLEET)
def test_session_made_by_one_node_lives_on_another(maker, reader):
    keys = journey.fleet_keys()
    marker = secrets.token_hex(MARKER_LENGTH // 2)
    made = journey.ask(maker, keys, marker=marker).cookie
    seen = journey.ask(reader, keys, cookie=made.value, marker=marker)
    assert seen.accepted, "%s does not open what %s made" % (reader, maker)


@pytest.mark.parametrize("node", FLEET)
def test_key_is_for_root_only(node):
    assert journey.on(node, "stat -c '%U:%G %a' /etc/apache2/mod_session /etc/apache2/mod_session/passphrases") == (
        "root:root 700\nroot:root 600")


def test_cookie_is_as_the_scope_says():
    cookie = journey.ask("n1", journey.fleet_keys()).cookie
    assert cookie.name == "httpd-session"
    assert {name: cookie.attributes[name] for name in ("path", "max-age", "samesite")} == {
        "path": "/app", "max-age": "3600", "samesite": "Lax"}
    assert "secure" in cookie.attributes and "httponly" in cookie.attributes


def test_second_run_changes_nothing():
    run = journey.playbook("deploy")
    assert run.status == 0, run.output
    assert run.changed == 0, run.output
    assert run.nodes == set(FLEET)


def test_mitogen_s_strategy_does_the_same(monkeypatch):
    folder = os.path.join(os.path.dirname(ansible_mitogen.__file__), "plugins", "strategy")
    extra = {"session_config_scopes": [{**journey.APP, "max_age": 1800}]}
    with monkeypatch.context() as patched:
        patched.setenv("ANSIBLE_STRATEGY", "mitogen_linear")
        patched.setenv("ANSIBLE_STRATEGY_PLUGINS", folder)
        changed = journey.playbook("deploy", extra=extra, verbose=3)
        idle, check = journey.playbook("deploy", extra=extra), journey.playbook("check", extra=extra)
    age = journey.ask("n2", journey.fleet_keys()).max_age
    back = journey.playbook("deploy", verbose=3)
    assert (changed.status, changed.changed, age) == (0, 3, 1800), changed.output
    assert (idle.status, idle.changed, check.status) == (0, 0, 0), idle.output + check.output
    assert (back.status, back.changed) == (0, 3), back.output
    assert "SSH: EXEC" in back.output and "SSH: EXEC" not in changed.output, "Mitogen has connections of its own"


def test_check_mode_predicts_exactly_what_the_run_changes():
    scopes = [{**journey.APP, "max_age": 1800}, {"name": "shop", "path": "/shop", "cookie_name": "shop"}]
    extra = {"session_config_scopes": scopes}
    predicted = journey.playbook("deploy", "--check", "--diff", extra=extra)
    assert predicted.status == 0, predicted.output
    assert journey.serves("n1", journey.fleet_keys()) and journey.ask("n1", journey.fleet_keys()).max_age == 3600
    done = journey.playbook("deploy", "--diff", extra=extra)
    assert done.status == 0, done.output
    assert predicted.recap == done.recap
    before, after = predicted.results("Sessions are live"), done.results("Sessions are live")
    assert set(before) == set(FLEET)
    assert {node: before[node]["changes"] for node in FLEET} == {node: after[node]["changes"] for node in FLEET}
    assert "+    SessionMaxAge 1800" in done.output and "-    SessionMaxAge 3600" in done.output
    assert journey.ask("n3", journey.fleet_keys()).max_age == 1800
    assert journey.playbook("deploy").status == 0


def test_diff_shows_keys_as_fingerprints_only():
    old = journey.fleet_keys()
    new = [*old, journey.new_key()]
    run = journey.playbook("deploy", "--diff", "--limit", "n2", extra={"session_keys_passphrases": new})
    assert run.status == 0, run.output
    assert "key 2: " in run.output
    assert not any(key in run.output for key in new)
    assert journey.serves("n2", new)
    assert journey.playbook("deploy").changed == 1


def test_changing_the_key_that_encrypts_in_one_step_is_warned_of():
    new = [journey.new_key(), *journey.fleet_keys()]
    run = journey.playbook("deploy", "--check", "--limit", "n1", extra={"session_keys_passphrases": new})
    assert run.status == 0, run.output
    assert "sessions are lost" in " ".join(run.output.split())


def test_scope_of_a_virtual_host_needs_one_include_in_the_operators_file():
    path = "/etc/apache2/sites-available/www.conf"
    journey.on("n1", "cat > %s && a2ensite -q www && systemctl reload apache2" % path, stdin=VHOST)
    one = {"name": "www", "path": "/www", "virtual_host": "www.example.test", "virtual_host_file": path, "cookie_name": "www"}
    extra = {"session_config_scopes": [journey.APP, one]}
    first = journey.playbook("deploy", "--limit", "n1", extra=extra)
    assert first.status == 0, first.output
    second = journey.playbook("deploy", "--limit", "n1", extra=extra)
    assert (second.status, second.changed) == (0, 0), second.output
    text = journey.on("n1", "cat " + path)
    line = '    Include "/etc/apache2/mod_session.d/www.example.test.conf"\n'
    assert text.replace(line, "") + "\n" == VHOST
    assert text.count("Include") == 1
    scope = journey.scope(**one, max_age=3600, request_header="", response_header="")
    assert journey.serves("n1", journey.fleet_keys(), scope)
    answer, _body = journey.get("n1", "/www", host="localhost")
    assert not any(name.lower() == "set-cookie" for name, _value in answer.headers), "only that virtual host has the scope"
    journey.on("n1", "a2dissite -q www && rm %s && systemctl reload apache2" % path)
    assert journey.playbook("deploy", "--limit", "n1").status == 0


def test_insecure_cookie_needs_to_be_asked_for_and_is_warned_of():
    bare = {**journey.APP, "secure": False}
    refused = journey.playbook("deploy", extra={"session_config_scopes": [bare]})
    assert refused.status != 0 and refused.changed == 0
    assert "allow_insecure" in refused.output
    allowed = journey.playbook("deploy", "--check", extra={"session_config_scopes": [{**bare, "allow_insecure": True}]})
    assert allowed.status == 0, allowed.output
    assert "goes over plain HTTP" in allowed.output


def test_bare_node_gets_httpd_and_sessions_in_one_run():
    journey.on("n4", "! command -v apache2")
    run = journey.playbook("deploy", "-e", "session_fleet_group=newcomers")
    assert run.status == 0, run.output
    assert journey.serves("n4", journey.fleet_keys())
    again = journey.playbook("deploy", "-e", "session_fleet_group=newcomers")
    assert (again.status, again.changed) == (0, 0), again.output
