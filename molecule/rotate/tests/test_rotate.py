# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of a fleet's ring: adopted, rotated twice, broken into at each phase, a node lost and back, one new, revoked."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests import journey, openbao
from tests.ring_journey import FLEET, Browser, Operator

MAX_AGE = 10
SCOPES = [{**journey.APP, "max_age": MAX_AGE, "update_interval": 1}]
SCOPE = journey.scope(max_age=MAX_AGE, update_interval=1)
KEYS = "/etc/apache2/mod_session/passphrases"


@pytest.fixture(scope="module")
def operator():
    """An operator whose fleet has sessions with a list that somebody made by hand, one weak key; no ring yet."""
    path = journey.STATE / "ring.vault"
    for one in journey.STATE.glob("ring.vault*"):
        one.unlink()
    operator = Operator({"file": str(path)}, session_config_scopes=SCOPES, session_ring_drift=1, session_ring_drain=1)
    weak = "summer-" + journey.new_key()[:9]
    journey.remember(weak)
    extra = {"session_keys_passphrases": [weak], "session_keys_allow_weak": True, "session_config_scopes": SCOPES}
    run = journey.playbook("deploy", extra=extra)
    assert run.status == 0, run.output
    operator.weak = weak
    return operator


def flat(run):
    return " ".join(run.output.replace("\\n", " ").split())


def until_nothing_is_due(operator):
    """What cron does, every few seconds instead of every hour; all that was said."""
    said = ""
    for _hour in range(30):
        said += flat(operator.did("rotate"))
        if operator.states == ["primary"]:
            return said
        time.sleep(1)
    raise AssertionError(said)


def test_without_a_ring_a_clear_sentence(operator):
    run = operator.run("rotate")
    assert run.status != 0 and "there is no ring yet" in flat(run) and "verb=init" in flat(run)
    assert journey.serves("n1", [operator.weak], SCOPE)


def test_adopting_logs_nobody_out_and_the_weak_key_is_named(operator):
    operator.did("ring", session_ring_verb="init", session_keys_passphrases=[operator.weak])
    assert operator.every_key() == [operator.weak]
    run = operator.did("ring", session_ring_verb="init", session_keys_passphrases=[operator.weak])
    assert run.changed == 0
    with Browser([operator.weak], SCOPE).busy(operator):
        run = operator.did("deploy")
    assert "is weak" in flat(run)
    assert journey.on("n2", "head -n 1 %s" % KEYS).startswith("# ring ")
    assert operator.did("deploy").changed == 0
    run = operator.did("check")
    assert "weak" in flat(run)


def test_status_touches_nothing(operator):
    before = operator.ring()
    run = operator.did("ring")
    assert run.changed == 0 and operator.ring() == before
    assert "is weak" in flat(run) and "Next: stage, now" in flat(run)


def test_check_mode_changes_nothing(operator):
    before = operator.ring()
    run = operator.run("rotate", "--check", "--diff")
    assert run.status == 0, run.output
    assert operator.ring() == before and "staged" in run.output
    assert journey.serves("n3", [operator.weak], SCOPE)


def test_weak_key_is_rotated_out_and_no_session_is_lost(operator, tmp_path):
    user = Browser([operator.weak], SCOPE)
    with user.busy(operator):
        run = operator.did("rotate", session_check_report_dir=str(tmp_path))
    # The canary was shown to all nodes before the first step and after each: the report has its journey.
    canary = json.loads((tmp_path / "report.json").read_text())["canary"][0]
    assert len(canary["phases"]) == 3 and "maker" in canary["phases"][0]
    for shown in [phase[user] for phase in canary["phases"][1:] for user in ("idle", "busy")]:
        # On a slow machine these short sessions may end between two rounds.
        assert not shown["lost"] and shown["intact"] + shown["ended"] == 3
    assert "canary" in (tmp_path / "report.html").read_text()
    assert operator.states == ["primary", "secondary"]
    assert user.alive(operator.every_key())
    assert all(journey.serves(node, operator.every_key(), SCOPE) for node in FLEET)
    assert "Next: retire, not before" in flat(run)
    # Nothing is due: a second run asks no node.
    again = operator.did("rotate")
    assert again.changed == 0 and operator.states == ["primary", "secondary"]
    said = until_nothing_is_due(operator)
    assert "retire" in said and "erase" in said
    assert operator.weak not in operator.every_key()
    for node in FLEET:
        assert journey.serves(node, operator.every_key(), SCOPE)
        assert not journey.ask(node, [operator.weak], 0, SCOPE).accepted
    assert "is weak" not in flat(operator.did("check"))


def test_again_on_demand(operator):
    user = Browser(operator.every_key(), SCOPE)
    old = operator.every_key()
    with user.busy(operator):
        operator.did("rotate", session_rotate_now=True)
        assert operator.states == ["primary", "secondary"] and operator.every_key()[1:] == old
        until_nothing_is_due(operator)
    history = [event.verb for event in operator.ring().history]
    assert history.count("promote") == history.count("retire") == 2


@pytest.mark.parametrize(
    ("at", "occurrence"),
    [("TASK [httpd_fleet.mod_session.session_keys : Passphrases are live]", 1), ("TASK [Fleet is judged]", 2),
     ("TASK [Ring goes on]", 2), ("TASK [httpd_fleet.mod_session.session_keys : Passphrases are live]", 3)],
)
def test_controller_killed(operator, at, occurrence):
    """In the middle of a phase: whoever runs it again goes on, and sessions live all the time."""
    until_nothing_is_due(operator)
    old = operator.every_key()
    user = Browser(old, SCOPE)
    with user.busy(operator):
        operator.killed("rotate", at, occurrence, 0.6, session_rotate_now=True)
        operator.did("rotate")
    assert operator.states == ["primary", "secondary"]
    assert user.alive(operator.every_key())
    assert len(operator.ring().keys) == 2, "one rotation, not two"


def test_a_limit_makes_the_fleet_no_smaller(operator):
    until_nothing_is_due(operator)
    user = Browser(operator.every_key(), SCOPE)
    with user.busy(operator):
        run = operator.run("rotate", "--limit", "n1", session_rotate_now=True)
        assert run.status != 0
        assert "n2 does not accept" in flat(run) and "n3 does not accept" in flat(run)
        assert operator.states == ["primary", "staged"]
        operator.did("rotate")
    assert operator.states == ["primary", "secondary"]


def test_an_older_copy_of_the_ring_is_refused_by_the_nodes(operator, tmp_path):
    until_nothing_is_due(operator)
    copy = tmp_path / "ring.vault"
    copy.write_bytes((journey.STATE / "ring.vault").read_bytes())
    copy.chmod(0o600)
    operator.did("rotate", session_rotate_now=True)
    keys = operator.every_key()
    run = operator.run("deploy", session_ring_store={"file": str(copy)})
    assert run.status != 0 and "older" in flat(run) and run.changed == 0
    assert all(journey.serves(node, keys, SCOPE) for node in FLEET)


def test_a_key_file_changed_by_hand_is_named_and_mended_as_the_diagnosis_says(operator):
    until_nothing_is_due(operator)
    user, other = Browser(operator.every_key(), SCOPE), journey.new_key()
    journey.remember(other)
    with user.busy(operator, ("n1", "n3")):
        journey.on("n2", f"printf '%s\\n' {other} >{KEYS}; systemctl reload apache2")
        run = operator.run("diagnose")
        assert run.status != 0 and "Begin with this: the key file is not the fleet's (n2)" in flat(run)
        assert "session_keys_allow_loss=true" in flat(run)
        run = operator.run("deploy", "--limit", "n2")
        assert run.status != 0 and "a list that is from no ring" in flat(run) and run.changed == 0
        assert journey.serves("n2", [other], SCOPE), "untouched: it is for the operator to end the node's own sessions"
        operator.did("deploy", "--limit", "n2", session_keys_allow_loss=True)
        operator.did("check")
    assert user.visits("n2", operator.every_key())


def test_a_node_that_is_down_blocks_by_name_can_be_absent_and_is_healed(operator):
    until_nothing_is_due(operator)
    user = Browser(operator.every_key(), SCOPE)
    journey.fleet_py("stop", "n3")
    try:
        with user.busy(operator, ("n1", "n2")):
            run = operator.run("rotate", session_rotate_now=True)
            assert run.status != 0 and "n3 gave no answer" in flat(run)
            assert "declared absent" in flat(run)
            operator.did("ring", session_ring_verb="absent", session_ring_node="n3", session_ring_reason="disk broken")
            operator.did("rotate")
            assert operator.states == ["primary", "secondary"]
            run = operator.did("check")
            assert "n3" in flat(run) and "absent" in flat(run)
    finally:
        journey.fleet_py("start", "n3")
    run = operator.run("check")
    assert run.status != 0 and re.search(r"n3.*does not open|n3.*stale", flat(run)), run.output
    run = operator.run("ring", session_ring_verb="present", session_ring_node="n3")
    assert run.status != 0 and "n3 is not ready for traffic" in flat(run)
    operator.did("deploy", "--limit", "n3")
    operator.did("ring", session_ring_verb="present", session_ring_node="n3")
    assert not operator.ring().absent
    operator.did("check")


def test_a_late_joiner_gets_the_whole_ring_before_it_gets_traffic(operator, tmp_path):
    until_nothing_is_due(operator)
    operator.did("rotate", session_rotate_now=True)
    journey.on("n4", "rm -rf /etc/apache2/mod_session /etc/apache2/conf-enabled/mod-session-fleet.conf")  # a new machine
    more = tmp_path / "hosts.yml"
    more.write_text("session_fleet:\n  hosts:\n    n4:\n")
    with_n4 = ("-i", str(journey.INVENTORY), "-i", str(more))
    run = operator.run("check", *with_n4)
    assert run.status != 0 and "n4" in flat(run)
    operator.did("deploy", *with_n4, "--limit", "n4")
    run = operator.did("check", *with_n4)
    assert "All 4 nodes agree" in flat(run)
    assert Browser(operator.every_key(), SCOPE).alive(operator.every_key(), (*FLEET, "n4"))
    # It is of the fleet from the first check of the ring on: without it nothing goes on, also with the old inventory.
    operator.did("ring", *with_n4, session_ring_verb="present", session_ring_node="n4")
    run = operator.run("rotate", session_rotate_now=True)
    assert run.status != 0 and "n4 is not in this inventory" in flat(run)
    run = operator.run("ring", *with_n4, session_ring_verb="forget", session_ring_node="n4")
    assert run.status != 0 and "n4 is in the inventory" in flat(run)
    operator.did("ring", session_ring_verb="forget", session_ring_node="n4")
    operator.did("rotate")


def test_two_operators_at_once(operator):
    """Both want to rotate: no session is lost, and the ring goes one way."""
    until_nothing_is_due(operator)
    user = Browser(operator.every_key(), SCOPE)
    with user.busy(operator):
        waits = [operator.started("rotate", session_rotate_now=True) for _operator in range(2)]
        for run in [wait() for wait in waits]:
            assert run.status == 0 or any(text in flat(run) for text in ("somebody else", "check again", "older")), run.output
        operator.did("rotate")
    assert [event.verb for event in operator.ring().history][-3:].count("promote") <= 1


def test_the_ring_moves_to_openbao_and_rotates_there(operator):
    """A new ring adopts the keys of the old one: nobody is logged out, and from then on only the new one is taken."""
    until_nothing_is_due(operator)
    with openbao.running() as server:
        token = server.token('path "secret/*" { capabilities = ["create", "read", "update"] }')
        journey.remember(token)
        store = {"kv": {"address": server.address, "path": "httpd/ring", "token": token}}
        there = Operator(store, **operator.settings)
        with Browser(operator.every_key(), SCOPE).busy(operator):
            there.did("ring", session_ring_verb="init", session_keys_passphrases=operator.every_key())
            there.did("deploy")
        with Browser(there.every_key(), SCOPE).busy(there):
            there.did("rotate", session_rotate_now=True)
        assert there.states == ["primary", "secondary"]
        run = operator.run("deploy")
        assert run.status != 0 and "was given the ring" in flat(run) and run.changed == 0
        until_nothing_is_due(there)
        # And back into the file, as it came.
        for one in journey.STATE.glob("ring.vault*"):
            one.unlink()
        operator.did("ring", session_ring_verb="init", session_keys_passphrases=there.every_key())
        operator.did("deploy")
    assert operator.did("rotate").changed == 0


def test_revoked(operator):
    """The key leaked: all sessions end, and no node accepts the old keys any more."""
    old = operator.every_key()
    user = Browser(old, SCOPE)
    run = operator.run("revoke")
    assert run.status != 0 and "Not confirmed, nothing was changed" in flat(run)
    assert user.alive(old)
    operator.did("revoke", session_revoke_confirmed=True)
    assert operator.states == ["primary"] and not set(old) & set(operator.every_key())
    for node in FLEET:
        assert journey.serves(node, operator.every_key(), SCOPE)
        for key in old:
            assert not journey.ask(node, [*operator.every_key(), key], 1, SCOPE).accepted
    assert operator.did("check").changed == 0


def test_revoked_while_a_node_is_down(operator):
    old = operator.every_key()
    journey.fleet_py("stop", "n2")
    try:
        run = operator.run("revoke", session_revoke_confirmed=True)
        assert run.status != 0 and "n2 gave no answer" in flat(run)
        assert journey.serves("n1", [operator.ring().primary.passphrase], SCOPE), "the others are safe at once"
    finally:
        journey.fleet_py("start", "n2")
    run = operator.run("check")
    assert run.status != 0 and "n2" in flat(run)
    new = operator.ring().primary.passphrase
    operator.did("rotate")
    assert operator.states == ["primary"] and operator.every_key() == [new], "rotate finishes it and ends no session again"
    assert not journey.ask("n2", old, 0, SCOPE).accepted


def test_revoked_twice_while_a_node_is_absent(operator):
    """The new key leaked too, before the first revocation was proven everywhere."""
    journey.fleet_py("stop", "n2")
    try:
        operator.did("ring", session_ring_verb="absent", session_ring_node="n2")
        operator.did("revoke", session_revoke_confirmed=True)
        leaked = operator.ring().primary
        operator.did("revoke", session_revoke_confirmed=True)
        assert operator.ring().primary.id != leaked.id and len(operator.ring().live) == 1
        assert not journey.ask("n1", operator.every_key(), operator.every_key().index(leaked.passphrase), SCOPE).accepted
        run = operator.run("revoke", session_revoke_confirmed=True, session_ring_key=leaked.id)
        assert run.status != 0 and "is revoked since" in flat(run)
    finally:
        journey.fleet_py("start", "n2")
    operator.did("deploy", "--limit", "n2")
    operator.did("ring", session_ring_verb="present", session_ring_node="n2")
    operator.did("rotate")
    assert operator.states == ["primary"]
