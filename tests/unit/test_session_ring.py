# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action session_ring as Ansible runs it, on a ring in a vault file: what it saves, refuses and shows."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import replace

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret

from plugins.module_utils.clock import SECOND, Interval, Limits
from plugins.module_utils.evidence import Fault, Look, View
from plugins.module_utils.question import Key, Question
from plugins.module_utils.report import build
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils.ring_store import open_store

from .installed import OURS

PASSWORD = b"the vault password of a test"
SCOPES = [{"name": "app", "path": "/app", "max_age": 600}]


class Controller:
    """Runs one task for a fleet of two."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "ring.vault"
        (folder / "password").write_bytes(PASSWORD)
        (folder / "hosts").write_text("[session_fleet]\nn1\nn2\n[all:vars]\nansible_connection=local\n")
        self.printed = ""

    def __call__(self, verb, *words, **options):
        task = {"ring_store": {"file": str(self.path)}, "verb": verb, "scopes": SCOPES, **options}
        play = [{"hosts": "session_fleet", "gather_facts": False, "tasks": [
            {"httpd_fleet.mod_session.session_ring": task, "run_once": True}]}]
        (self.folder / "play.yml").write_text(json.dumps(play))
        command = ["ansible-playbook", "-i", str(self.folder / "hosts"), "--vault-password-file",
                   str(self.folder / "password"), str(self.folder / "play.yml"), "-vvvv", *words]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(OURS), "ANSIBLE_NOCOLOR": "1",
                       "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        printed = done.stdout + done.stderr
        ring = self.ring()
        for key in ring.keys if ring else ():
            assert key.passphrase not in printed
        start = printed.index("=> {") + 3
        return {**json.JSONDecoder().raw_decode(printed[start:])[0], "failed": "FAILED! =>" in printed}, printed

    def ring(self):
        loader = DataLoader()
        loader.set_vault_secrets([("default", VaultSecret(PASSWORD))])
        return open_store({"file": str(self.path)}, loader).load()[0]


@pytest.fixture
def controller(tmp_path):
    return Controller(tmp_path)


def test_the_story_without_evidence(controller):
    result, _printed = controller("status")
    assert result["failed"] and result["reason"] == "no_ring" and "verb=init" in result["msg"]
    result, _printed = controller("init", "--check", "--diff")
    assert result["changed"] and controller.ring() is None
    result, printed = controller("init", "--diff")
    ring = controller.ring()
    assert result["changed"] and ring.nodes == ("n1", "n2") and [age.seconds for age in ring.max_ages] == [600]
    assert "+key %s: primary" % ring.primary.id in printed
    assert controller.path.read_text().startswith("$ANSIBLE_VAULT;") and controller.path.stat().st_mode & 0o777 == 0o600
    result, _printed = controller("init")
    assert not result["changed"] and result["msg"].startswith("Nothing was to be done: the ring is there already. Next: ")
    result, printed = controller("init", passphrases=["another list of a fleet"])
    assert not result["changed"] and "1 of the passphrases in session_keys_passphrases are not in the ring" in printed
    result, printed = controller("status")
    assert not result["changed"] and not result["work"] and "Next: stage, not before" in printed
    assert controller("status", begin="now")[0]["work"]
    result, _printed = controller("tell", scopes=[{**SCOPES[0], "max_age": 60}])
    assert result["changed"] and [age.seconds for age in controller.ring().max_ages] == [60, 600]
    result, _printed = controller("stage")
    assert result["changed"] and result["unproven"] and result["did"] == ["stage %s: generated" % controller.ring().staged.id]
    again, _printed = controller("stage")
    assert not again["changed"] and again["work"]
    before = controller.ring()
    assert controller("revoke", "--check")[0]["changed"] and controller.ring() == before
    result, _printed = controller("revoke", key=before.staged.id)
    assert result["work"] and [key.state for key in controller.ring().keys] == ["primary", "revoked", "revoked"]
    result, _printed = controller("revoke")
    assert result["changed"] and result["work"] and len(controller.ring().removed) == 3
    result, _printed = controller("revoke", key=before.staged.id)
    assert result["failed"] and "is revoked since" in result["msg"] and len(controller.ring().removed) == 3


def ages(ring):
    return [(age.seconds, age.gone is None, age.listed) for age in ring.max_ages]


def test_a_deploy_tells_the_ring_what_it_brings_and_where_it_has(controller):
    controller("init")
    assert controller.ring().settled == ()
    assert controller("tell", deployed=["n1"])[0]["changed"] and controller.ring().settled == ("n1",)
    assert controller("tell", deployed=["all"])[0]["changed"] and controller.ring().settled == ("n1", "n2")
    before = controller.ring()
    assert not controller("tell")[0]["changed"] and not controller("tell", deployed=["n2", "n1"])[0]["changed"]
    shorter = [{**SCOPES[0], "max_age": 60}]
    assert controller("tell", "--check", scopes=shorter)[0]["changed"] and controller.ring() == before
    result, printed = controller("tell", "--diff", scopes=shorter)
    assert result["changed"] and "+node n1, may serve older scopes" in printed
    assert controller.ring().settled == () and ages(controller.ring()) == [(60, True, True), (600, True, False)]
    assert result["ring"]["max_ages"][1] == {"seconds": 600, "gone": None, "listed": False}
    waits = "max age 600 s counts on: no deploy has brought the scopes as they are to "
    assert waits + "n1, n2\n" in controller("status", scopes=shorter)[1]
    controller("tell", deployed=["n1"], scopes=shorter)
    assert waits + "n2\n" in controller("status", scopes=shorter)[1]
    controller("tell", deployed=["n2"], scopes=shorter)
    assert "max age 600 s counts on: until a check has seen" in controller("status", scopes=shorter)[1]


def test_adopted_keys_warn_until_the_earlier_max_age_is_known(controller):
    _result, printed = controller("init", passphrases=["k3JxQ0v9mZr8sT1uWb5yE2aHcLdNfPgR4iKoVtXwY6A"])
    assert "was in use before this ring was made" in printed and "session_ring_earlier_max_age" in printed
    assert "was in use before this ring was made" in controller("status")[1]
    result, printed = controller("tell", earlier_max_age="2592000")
    assert result["changed"] and "was in use before" not in printed and controller.ring().earlier == 2592000
    assert (2592000, True, False) in ages(controller.ring())
    assert not controller("tell", earlier_max_age=2592000)[0]["changed"]


def test_the_earlier_max_age_may_be_said_at_once(controller):
    _result, printed = controller("init", passphrases=["k3JxQ0v9mZr8sT1uWb5yE2aHcLdNfPgR4iKoVtXwY6A"], earlier_max_age=600)
    assert "was in use before" not in printed and ages(controller.ring()) == [(600, True, True)]


def test_adopted(controller):
    weak = "only-a-phrase-of-a-person"
    result, printed = controller("init", passphrases=[weak, "k3JxQ0v9mZr8sT1uWb5yE2aHcLdNfPgR4iKoVtXwY6A"])
    ring = controller.ring()
    assert result["changed"] and ring.passphrases()[0] == weak and ring.primary.weak and ring.primary.origin == "adopted"
    assert "key %s (primary) is weak" % ring.primary.id in printed
    result, printed = controller("status", begin="due")
    assert result["work"] and "is weak" in printed


@pytest.mark.parametrize(
    ("verb", "options", "words"),
    [
        ("promote", {}, "needs the report of a check"),
        ("promote", {"report": {"time": "now"}}, "made without the ring"),
        ("advance", {"report": {"ring": {"id": "x", "generation": 1}}}, "this is no report of a check"),
        ("absent", {}, "say which node"),
        ("absent", {"node": "n9"}, "no node n9 is known to this ring, which knows n1 n2"),
        ("forget", {"node": "n1"}, "n1 is in the inventory"),
        ("forget", {"node": "n9"}, "no node n9 is known to this ring, which knows n1 n2"),
        ("revoke", {"key": "nokey"}, "the ring has no key nokey"),
        ("stage", {"key": "nokey"}, "stage takes no key, but 'nokey' was given; only revoke does"),
        ("retire", {"node": "n1"}, "retire takes no node"),
        ("forget", {"node": "n1", "reason": "sold"}, "forget takes no reason"),
        ("stage", {"group": "nobody"}, "no host in the group 'nobody'"),
        ("forget", {"node": "n1", "group": "nobody"}, "no host in the group 'nobody'"),
        ("remove", {}, "value of verb must be one of"),
        ("stage", {"deployed": ["n1"]}, "stage takes no deployed"),
        ("tell", {"deployed": ["n1", "n9"]}, "no node n9 is known to the ring or the inventory, which know n1 n2"),
        ("status", {"interval": "1h"}, "session_ring_interval: found '1h', expected a whole number of seconds from 60 to"),
        ("retire", {"drift": -3600}, "session_ring_drift: found -3600, expected"),
        ("status", {"drain": True}, "session_ring_drain: found True, expected"),
        ("stage", {"drift": 19}, "session_ring_drift is 19 s: expected at least 20 s, four times"),
        ("revoke", {"fail_drift": 15.5}, "session_ring_drift is 60 s: expected at least 62 s, four times"),
        ("stage", {"scopes": [{"name": "app"}]}, "path"),
        ("status", {"ring_store": {"file": "ring.vault"}}, "no absolute path"),
    ],
)
def test_refused(controller, verb, options, words):
    controller("init")
    before = controller.path.read_bytes()
    result, _printed = controller(verb, **options)
    assert result["failed"] and words in result["msg"], result
    assert controller.path.read_bytes() == before


def test_a_ring_is_made_for_a_fleet(controller):
    result, _printed = controller("init", group="nobody")
    assert result["failed"] and "no host in the group 'nobody'" in result["msg"] and controller.ring() is None


def report(ring, silent=(), lost_on=(), user="idle"):
    """The report of a check that was made just now; all nodes but the silent ones have the ring."""
    keys = tuple(Key(key.id, key.state) for key in ring.live)
    accepts = (True,) * len(keys)
    good = View("", "app", status=403, proven=True, sealed="key", encrypts_with=0, accepts=accepts, size=100, cipher="aes256",
                look=Look("session", "/app", "", "Lax", True, True, 600), offset=Interval(0, 1000), offset_by="expiry")
    views = [View(node, "app", fault=Fault("refused"), accepts=(None,) * len(keys)) if node in silent
             else replace(good, node=node) for node in ("n1", "n2")]
    question = Question(("n1", "n2"), tuple(parse_scopes(SCOPES)), keys, Limits(SECOND, 5 * SECOND),
                        ring=(ring.id, ring.generation))
    now = time.time_ns() // 1000
    made = build(question, views, judge(question, views), now - SECOND, now, "controller")
    shown = {"lost_on": list(lost_on)}
    phases = [{"idle": None, "busy": None, "row": None, user: shown}]
    return {**made, "canary": [{"scope": "app", "phases": phases}, {"scope": "shop", "phases": []}]}


def test_a_step_is_taken_on_evidence_and_refused_by_name_without(controller):
    controller("init")
    result, _printed = controller("advance", begin="now", report=report(controller.ring()))
    assert result["changed"] and [key.state for key in controller.ring().keys] == ["primary", "staged"]
    staged = controller.ring()
    result, _printed = controller("advance", report=report(staged, silent=["n2"]))
    assert result["failed"] and result["reason"] == "nodes" and result["refused_by"] == {"n2": "gave no answer"}
    assert controller.ring().keys == staged.keys
    for user in ("idle", "busy", "row"):
        result, _printed = controller("advance", report=report(controller.ring(), lost_on=["n2"], user=user))
        assert result["failed"] and "canary session was lost on n2" in result["msg"] and controller.ring().keys == staged.keys
    old = report(controller.ring())
    result, printed = controller("advance", report=report(controller.ring()))
    assert result["changed"] and "2/2 nodes accept it" in printed
    assert [key.state for key in controller.ring().keys] == ["primary", "secondary"]
    assert controller.ring().secondaries[0].proven is None
    result, _printed = controller("retire", report=old)
    assert result["failed"] and result["reason"] == "old_evidence"
    result, printed = controller("advance", report=report(controller.ring()))
    assert result["changed"] and not result["work"] and "Next: retire, not before" in printed
    result, _printed = controller("retire", report=report(controller.ring()))
    assert result["failed"] and result["reason"] == "not_yet" and result["not_before"] > "2026"
