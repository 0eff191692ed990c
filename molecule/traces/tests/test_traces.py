# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every passphrase that a scenario used is searched for where none may be."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import ansible_mitogen
import pytest

from tests import journey
from tests.ring_journey import Operator

MITOGEN = os.path.join(os.path.dirname(ansible_mitogen.__file__), "plugins", "strategy")
KEY_FILE = "/etc/apache2/mod_session/passphrases"
# What the transaction itself may leave when it is killed, for root only; the next run knows of it.
STAGED = {KEY_FILE, *("/etc/apache2/mod_session/.passphrases.mod-session-" + one for one in ("new", "old")),
          "/run/mod-session-fleet-trial/passphrases"}
VAULTS = {"passphrases.json", "used-passphrases", "vault-password", "database.json"}


@pytest.fixture(autouse=True)
def _pipelining_is_off(monkeypatch):
    monkeypatch.setitem(journey.SETTINGS, "ANSIBLE_PIPELINING", "0")


def deploy(*words, verbose=3, **extra):
    return journey.playbook("deploy", *words, extra=extra, verbose=verbose)


def test_no_file_is_left_where_modules_are_kept(monkeypatch):
    """Each playbook that gives a key to a node, with ANSIBLE_KEEP_REMOTE_FILES; the debug output tells none either."""
    keys = [*journey.fleet_keys(), journey.new_key()]
    monkeypatch.setitem(journey.SETTINGS, "ANSIBLE_KEEP_REMOTE_FILES", "1")
    monkeypatch.setitem(journey.SETTINGS, "ANSIBLE_DEBUG", "1")
    assert deploy(session_keys_passphrases=keys).status == 0
    for name in ("check", "diagnose"):
        by_node = {"session_check_via": "node", "session_check_port": 80}
        run = journey.playbook(name, extra={"session_keys_passphrases": keys, **by_node}, verbose=3)
        assert run.status == 0, run.output[-3000:]
    stock = ["ansible", "-i", str(journey.INVENTORY), "n1", "-m", "ansible.builtin.ping"]
    subprocess.run(stock, env=journey.environment(), check=True, capture_output=True)
    kept = journey.on("n1", "find / -xdev -name 'AnsiballZ_*'")
    assert "AnsiballZ_ping" in kept and "AnsiballZ_session" not in kept, "stock modules are kept, ours never were a file"
    assert set(journey.files_with_keys("n1")) == {KEY_FILE}
    with monkeypatch.context() as patched:
        patched.setitem(journey.SETTINGS, "ANSIBLE_STRATEGY", "mitogen_linear")
        patched.setitem(journey.SETTINGS, "ANSIBLE_STRATEGY_PLUGINS", MITOGEN)
        patched.delitem(journey.SETTINGS, "ANSIBLE_DEBUG")
        assert deploy().changed == 3
    assert set(journey.files_with_keys("n1")) == {KEY_FILE}


def test_a_run_that_is_killed_at_any_moment_leaves_no_file_of_ansible_with_a_key():
    """The controller at once with all its processes, every second time the module on the node too."""
    moments = [0.5 * count for count in range(1, 17)]
    ended = 0
    for count, moment in enumerate(moments):
        keys = [*journey.fleet_keys(), journey.new_key()]
        command, cleanup = journey.prepared("deploy", "--limit", "n1", extra={"session_keys_passphrases": keys})
        process = subprocess.Popen(command, env=journey.environment(), cwd=journey.ROOT, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
            ended += 1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if count % 2:
            journey.on("n1", "kill -9 $(pgrep -f '^/usr/bin/python3( |$)') 2>&1", check=False)
        left = set(journey.files_with_keys("n1"))
        cleanup()
        assert left <= STAGED, "killed after %.1f s: %s" % (moment, left)
    assert ended < len(moments), "some were killed"
    assert deploy(verbose=1).status == 0
    assert set(journey.files_with_keys("n1")) == {KEY_FILE}


def test_su_gets_a_module_through_a_pipe_too():
    password = journey.new_key()
    journey.on("n1", "cat > /dev/shm/password; chpasswd < /dev/shm/password; rm /dev/shm/password", stdin="root:%s\n" % password)
    try:
        su = {"ansible_become_method": "su", "ansible_become_password": password}
        run = deploy("--limit", "n1", session_keys_passphrases=[*journey.fleet_keys(), journey.new_key()], **su)
        assert (run.status, run.changed) == (0, 1), run.output[-3000:]
        assert deploy("--limit", "n1", **su).changed == 1
    finally:
        journey.on("n1", "passwd -l root")


def test_sudo_that_asks_for_a_terminal_is_named_before_anything_is_sent():
    journey.on("n1", "echo 'Defaults requiretty' > /etc/sudoers.d/tty")
    try:
        run = deploy("--limit", "n1")
    finally:
        journey.on("n1", "rm /etc/sudoers.d/tty", terminal=True)
    assert run.status != 0 and run.changed == 0
    assert "sudo on this node asks for a terminal (requiretty in sudoers)" in run.output, run.output[-3000:]


def test_secrets_of_the_operators_own_lines_are_in_no_output_and_no_log():
    """In a scope's directives, and in a virtual host's file: shown are directives' names, our line and its place."""
    token, other, site = journey.new_key(), journey.new_key(), "/etc/apache2/sites-available/secret.conf"
    journey.on("n1", "cat > %s && a2ensite -q secret && systemctl reload apache2" % site, stdin=(
        "<VirtualHost *:80>\n    ServerName secret.example.test\n    SetEnv TOKEN %s\n</VirtualHost>\n" % other))
    host = {"name": "secret", "path": "/secret", "virtual_host": "secret.example.test", "virtual_host_file": site,
            "cookie_name": "secret", "directives": ["SetEnv TOKEN %s" % token]}
    bad = {**host, "directives": ["SetEnv TOKEN %s 2 3" % token]}
    try:
        for words in (["--check", "--diff"], ["--diff"]):
            run = deploy("--limit", "n1", *words, session_config_scopes=[journey.APP, host])
            assert run.status == 0 and "SetEnv (hidden)" in run.output, run.output[-3000:]
            assert "mod_session.d/secret.example.test.conf" in run.output
            assert token not in run.output and other not in run.output
        run = deploy("--limit", "n1", "--diff", session_config_scopes=[journey.APP, bad])
        assert run.status != 0 and "SetEnv takes 1-2 arguments" in run.output, run.output[-3000:]
        assert token not in run.output and other not in run.output
        # Taken out of the inventory, its file is emptied.
        run = deploy("--limit", "n1", "--diff")
        assert "scope secret (secret.example.test/secret) is no longer in session_config_scopes" in " ".join(run.output.split())
        assert token not in journey.on("n1", "cat /etc/apache2/mod_session.d/*.conf")
        assert deploy("--limit", "n1").changed == 0
    finally:
        journey.on("n1", "a2dissite -q secret; rm %s; systemctl reload apache2" % site)


def test_the_most_talkative_runs_tell_no_key(tmp_path):
    """With -vvv, check mode, diff, a failure, and while process lists are watched on both sides."""
    new = [*journey.fleet_keys(), journey.new_key()]
    seen, ended = [], threading.Event()

    def watch():
        while not ended.wait(0.05):
            seen.append(subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout)

    watcher = threading.Thread(target=watch)
    watcher.start()
    journey.on("n2", "(for i in $(seq 1600); do ps axww -o args; sleep 0.05; done > /run/seen-processes 2>&1 &) > /dev/null 2>&1")
    try:
        extra = {"session_keys_passphrases": new}
        assert journey.playbook("deploy", "--check", "--diff", extra=extra, verbose=3).status == 0
        assert journey.playbook("deploy", "--diff", extra=extra, verbose=3).status == 0
        bad = [{**journey.APP, "directives": ["SessionFoo On"]}]
        assert journey.playbook("deploy", extra={**extra, "session_config_scopes": bad}, verbose=3).status != 0
        assert journey.playbook("deploy", extra={"session_keys_passphrases": {"not": new[0]}}, verbose=3).status != 0
        assert journey.playbook("deploy", extra={"session_keys_passphrases": [*new, new[0]]}, verbose=3).status != 0
        watched = {"session_diagnose_report_dir": str(tmp_path), "session_debug_nodes": "n2", "session_debug_wait": 1,
                   "session_debug_dir": str(tmp_path)}
        assert "error log" in journey.playbook("diagnose", extra={**extra, **watched}, verbose=3).output
        assert journey.playbook("debug", extra={**extra, **watched}, verbose=3).status == 0
        assert not [key for key in new for path in tmp_path.iterdir() if key in path.read_text()]
        operator = Operator({"file": str(tmp_path / "ring.vault")})
        operator.did("ring", "-vvv", session_ring_verb="init", session_keys_passphrases=journey.fleet_keys())
        operator.did("deploy", "-vvv", "--diff")
        operator.did("rotate", "-vvv", "--diff", session_rotate_now=True)
        operator.did("revoke", "-vvv", "--diff", session_revoke_confirmed=True)
        assert journey.playbook("deploy", verbose=3).status == 0
    finally:
        ended.set()
        watcher.join()
    processes = "\n".join(seen) + journey.on("n2", "cat /run/seen-processes; rm /run/seen-processes")
    assert "ansible-playbook" in processes
    assert not [key for key in journey.used_keys() if key in processes]


def test_no_output_of_any_scenario_has_a_key():
    outputs = sorted(journey.OUTPUTS.iterdir())
    assert len(outputs) > 5, "the scenarios before this one kept their outputs"
    keys = journey.used_keys()
    assert keys
    found = {path.name for path in outputs for key in keys if key in path.read_text(errors="replace")}
    assert not found


@pytest.mark.parametrize("node", ["n1", "n2", "n3"])
def test_no_file_on_a_node_has_a_key_but_the_key_file(node):
    assert set(journey.files_with_keys(node)) == {KEY_FILE}, "left-over files"


@pytest.mark.parametrize("node", ["n1", "n2", "n3"])
def test_no_journal_has_a_key(node):
    journal = journey.on(node, "journalctl --no-pager -o cat --all")
    assert "Invoked" in journal, "modules do write there"
    assert not [key for key in journey.used_keys() if key in journal]


def test_no_file_on_the_controller_has_a_key_but_its_vault():
    places = [journey.ROOT, Path(tempfile.gettempdir()), Path.home() / ".ansible"]
    patterns = "\n".join(journey.used_keys()) + "\n"
    done = subprocess.run(["grep", "-rlaF", "--exclude-dir=venv", "-f", "-", *(str(place) for place in places if place.exists())],
                          input=patterns, capture_output=True, text=True, check=False)
    found = {Path(name).name for name in done.stdout.split()}
    assert "used-passphrases" in found
    assert found - VAULTS == set(), "left-over files"
