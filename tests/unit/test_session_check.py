# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action session_check as Ansible runs it: what one check returns as canary is the option of the next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_fleet as fleet
from small_fleet import KEYS, Member, databases, stored

from .installed import OURS

pytestmark = pytest.mark.skipif(bool(fleet.NO_HTTPD), reason=fleet.NO_HTTPD or "httpd is here")

ADDRESSES = ("127.0.4.1", "127.0.4.2")
MODULE = "httpd_fleet.mod_session.session_check"
NEXT = "{{ result.canary | default({'make': true}) }}"
ONCE, SECRET = {"run_once": True, "register": "result"}, {"no_log": True}
STEPS = [
    {MODULE: {"canary": NEXT}, **ONCE, **SECRET},
    {MODULE: {"canary": NEXT}, **ONCE, **SECRET},
    {MODULE: {"canary": NEXT, "step": "ask"}, "register": "session_check_asked", **SECRET},
    {MODULE: {"canary": NEXT, "step": "carry"}, "register": "session_check_carried", **SECRET},
    {MODULE: {"canary": NEXT, "step": "judge"}, **ONCE, **SECRET},
]


def play(folder, port, tasks, hosts=None, **scope):
    """What ansible-playbook prints, and the last report. One node after the other: they may share a file of SQLite."""
    options = {
        "passphrases": list(KEYS), "concurrency": 1, "report_dir": str(folder / "report"),
        "scopes": [{"name": "app", "path": "/app", "hide_cookie": False, "port": port, **scope}],
    }  # fmt: skip
    plays = [{"hosts": "session_fleet", "gather_facts": False, "module_defaults": {MODULE: options}, "tasks": tasks}]
    hosts = hosts or "".join(f"{address} session_check_node_address={address}\n" for address in ADDRESSES)
    (folder / "hosts").write_text(
        f"[session_fleet]\n{hosts}[all:vars]\nansible_connection=local\nansible_python_interpreter={sys.executable}\n"
    )
    (folder / "play.yml").write_text(json.dumps(plays))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(OURS), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "1"}
    command = ["ansible-playbook", "-i", str(folder / "hosts"), str(folder / "play.yml"), "-vvv"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    report = folder / "report" / "report.json"
    return done.stdout + done.stderr, json.loads(report.read_text()) if report.exists() else None


def test_a_canary_goes_from_check_to_check_both_ways(tmp_path):
    """Twice from the controller, then through the nodes: one journey."""
    port = fleet.free_port()
    with fleet.running([Member(address) for address in ADDRESSES], port):
        printed, report = play(tmp_path, port, STEPS)
    assert report, printed
    (canary,) = report["canary"]
    assert report["passed"] and report["via"] == "node" and canary["maker"] == ADDRESSES[0]
    shown = [[(phase[user]["by"], phase[user]["intact"]) for user in ("idle", "busy")] for phase in canary["phases"]]
    one, other = [(address, 2) for address in ADDRESSES]
    assert shown == [[one, one], [one, other], [one, one]]
    assert "canary  app: idle 2/2, busy 2/2 nodes gave it back" in printed and "3 checks, never lost" in printed
    assert '"secret"' not in printed and "fleetcanary" not in printed


@pytest.mark.parametrize("steps", [STEPS[:1], STEPS[2:]], ids=["from here", "by themselves"])
def test_two_names_of_one_server_prove_nothing(tmp_path, steps):
    """The server is healthy, and it has every key: its answers count for neither name, and the third node is judged."""
    own, shared = ADDRESSES
    hosts = "".join(f"{name} ansible_host={address} session_check_node_address={address}\n"
                    for name, address in ((own, own), ("first", shared), (shared, shared)))  # fmt: skip
    port = fleet.free_port()
    with fleet.running([Member(address) for address in ADDRESSES], port):
        printed, report = play(tmp_path, port, steps, hosts)
    assert report, printed
    found = {item["node"]: (item["code"], item["severity"]) for item in report["findings"] if item["node"]}
    assert found == dict.fromkeys(["first", shared], ("shared_address", "unknown")) and not report["passed"], report["findings"]
    assert all(len(key["missing"]) == 2 and not key["opened_by_all"] for key in report["keys"])


def test_what_is_no_canary_is_refused_in_one_sentence(tmp_path):
    printed, report = play(tmp_path, 9, [{MODULE: {"canary": {"scopes": 7}}, "run_once": True}])
    assert report is None
    assert "canary: give {make: true}, or what the check before returned as canary, unchanged" in printed


@pytest.mark.skipif(fleet.SQLITE is None, reason="apr-util's driver for SQLite is not installed")
def test_a_row_goes_from_check_to_check_both_ways(tmp_path):
    port = fleet.free_port()
    with databases([stored(address) for address in ADDRESSES], port, "shared"):
        printed, report = play(tmp_path, port, STEPS, store="dbd")
    assert report, printed
    assert report["status"] == "healthy" and report["via"] == "node", report["findings"]
    for row in report["details"]:
        (view,) = row["scopes"]
        assert view["store"]["shared"] and {item["from"] for item in view["store"]["rows"]} == set(ADDRESSES)
        assert view["canary"] == {"idle": "intact", "busy": "intact", "row": "intact"}
    (one,) = report["canary"]
    assert [phase["row"] and phase["row"]["intact"] for phase in one["phases"]] == [None, 2, 2]


@pytest.mark.parametrize("way", ["controller", "node"])
def test_a_site_with_client_certificates_and_a_secret_header_both_ways(tmp_path, way):
    """Nothing secret is in what Ansible prints at -vvv: not the header's value, not the key."""
    authority, port = fleet.make_authority(tmp_path), fleet.free_port()
    certificate, client = (str(fleet.make_certificate(tmp_path, name)) for name in ("www.example.com", "client.example.com"))
    site = f"SSLVerifyClient require\nSSLCACertificateFile {authority}\n"
    site += "RewriteEngine On\nRewriteCond %{HTTP:X-Token} !=TEST-ONLY-token\nRewriteRule ^ /sorry [R=302,L]"
    members = [Member(address, more=site, certificate=certificate, name="www.example.com") for address in ADDRESSES]
    reach = {"server_name": "www.example.com", "headers": {"X-Token": "TEST-ONLY-token"},
             "client_certificate": client, "client_key": client}
    options = {"ca": str(authority)}
    tasks = [{MODULE: options, **ONCE}] if way == "controller" else [
        {MODULE: {**options, "step": "ask"}, "register": "session_check_asked"},
        {MODULE: {**options, "step": "carry"}, "register": "session_check_carried"},
        {MODULE: {**options, "step": "judge"}, **ONCE},
    ]
    with fleet.running(members, port, tls=True):
        printed, report = play(tmp_path, port, tasks, scheme="https", reach=reach)
    assert report, printed
    assert report["status"] == "healthy" and report["via"] == way, report["findings"]
    key = (tmp_path / "client.example.com.key").read_text().splitlines()[1]
    assert "TEST-ONLY-token" not in printed and "PRIVATE KEY" not in printed and key not in printed
