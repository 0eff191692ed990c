# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bare machines with Rocky and Alma Linux become a fleet with sessions, from the distributions' own packages.

Containers have no SELinux of their own, so that a machine with SELinux enforcing is not told of here.
"""

from __future__ import annotations

import secrets
import subprocess

import pytest

from plugins.module_utils.probe import MARKER_LENGTH
from tests import journey
from tests.ring_journey import Browser, Operator

FLEET = ("rocky9", "alma10")
GROUP = {"session_fleet_group": "rpm_fleet"}
RING = {"max_age": 10, "update_interval": 1}
SESSIONS = "/etc/httpd/conf.d/mod-session-fleet.conf"


def fleet(verb):
    command = ["python3", str(journey.ROOT / "demo" / "fleet.py"), verb, str(journey.ROOT / "molecule" / "rocky" / "fleet.json")]
    return subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)


@pytest.fixture(scope="module", autouse=True)
def _containers():
    """Both machines, bare; skips where their images cannot be had because no registry answers."""
    fleet("down")
    done = fleet("up")
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    yield
    fleet("down")


def run(name, *words, **extra):
    return journey.playbook(name, *words, extra={**GROUP, **extra})


def deploy(*words, **extra):
    """A run that has to succeed."""
    done = run("deploy", *words, **extra)
    assert done.status == 0, done.output
    return done


def flat(done):
    return " ".join(done.output.replace("\\n", " ").split())


def test_bare_machines_get_httpd_and_sessions_in_one_run():
    for node in FLEET:
        assert journey.on(node, "rpm -q httpd mod_session apr-util-openssl", check=False).count("not installed") == 3
    deploy()
    keys = journey.fleet_keys()
    for node in FLEET:
        assert journey.serves(node, keys)
        assert "not installed" not in journey.on(node, "rpm -q httpd mod_session apr-util-openssl")


def test_second_run_changes_nothing():
    done = deploy()
    assert done.changed == 0 and done.nodes == set(FLEET), done.output


@pytest.mark.parametrize(("maker", "reader"), [FLEET, FLEET[::-1]])
def test_session_made_by_one_node_lives_on_the_other(maker, reader):
    keys = journey.fleet_keys()
    marker = secrets.token_hex(MARKER_LENGTH // 2)
    made = journey.ask(maker, keys, marker=marker).cookie
    assert journey.ask(reader, keys, cookie=made.value, marker=marker).accepted


def test_check_is_healthy():
    done = run("check")
    assert done.status == 0 and "All 2 nodes agree" in flat(done), done.output


def test_check_mode_predicts_exactly_what_the_run_changes():
    extra = {"session_config_scopes": [{**journey.APP, "max_age": 1800}]}
    before = deploy("--check", **extra).results("Sessions are live")
    after = deploy(**extra).results("Sessions are live")
    assert [row[node]["changes"] for row in (before, after) for node in FLEET] == [[SESSIONS, "reload"]] * 4
    deploy()


@pytest.mark.parametrize("node", FLEET)
def test_crypto_driver_is_missing(node):
    keys = journey.fleet_keys()
    journey.on(node, "rpm -e --nodeps apr-util-openssl")
    try:
        done = run("deploy", "--limit", node, "-e", "session_modules_install=false",
                   session_keys_passphrases=[*keys, journey.new_key()])
        assert done.status != 0 and done.changed == 0
        assert "the crypto driver cannot be loaded" in flat(done) and "nothing was changed" in flat(done), done.output
        assert journey.serves(node, keys)
    finally:
        deploy("--limit", node)
    assert "not installed" not in journey.on(node, "rpm -q apr-util-openssl")


@pytest.mark.parametrize("node", FLEET)
def test_bad_directive(node):
    done = run("deploy", "--limit", node, session_config_scopes=[{**journey.APP, "directives": ["SessionFoo On"]}])
    assert done.status != 0 and done.changed == 0
    assert "Invalid command 'SessionFoo'" in flat(done) and "nothing was changed" in flat(done)
    assert journey.serves(node, journey.fleet_keys())


def test_ring_is_made_and_rotated_and_no_session_is_lost():
    for one in journey.STATE.glob("rpm.vault*"):
        one.unlink()
    operator = Operator({"file": str(journey.STATE / "rpm.vault")}, **GROUP, session_config_scopes=[{**journey.APP, **RING}],
                        session_ring_drift=1, session_ring_drain=1)
    scope = journey.scope(**RING)
    old = journey.fleet_keys()
    deploy(session_config_scopes=operator.settings["session_config_scopes"])
    operator.did("ring", session_ring_verb="init", session_keys_passphrases=old)
    user = Browser(old, scope, FLEET[0])
    with user.busy(operator, FLEET):
        operator.did("deploy")
        operator.did("rotate", session_rotate_now=True)
    assert operator.states == ["primary", "secondary"] and operator.every_key()[1:] == old
    assert user.alive(operator.every_key(), FLEET)
