# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every passphrase that a scenario used is searched for where none may be."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from tests import journey
from tests.ring_journey import Operator

VAULTS = {"passphrases.json", "used-passphrases", "vault-password", "database.json"}


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
    key_file = {"/etc/apache2/mod_session/passphrases"}
    assert set(journey.files_with_keys(node)) - key_file == set(), "left-over files"
    assert key_file <= set(journey.files_with_keys(node))


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
