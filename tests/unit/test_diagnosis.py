# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told first, what is told once, what is not told again; and the diagnosis in all its forms."""

from __future__ import annotations

import json
import re

import pytest

from plugins.module_utils import causes, diagnosis
from plugins.module_utils.causes import CAUSES, Symptom
from plugins.module_utils.findings import KINDS, SEVERITIES, finding
from plugins.plugin_utils import diagnosis_html, diagnosis_text

NODES = ("n1", "n2", "n3")
EVIL = "<script>alert('x')</script>\"&"
LOST = {"code": "AH01842", "count": 7, "first": 1_800_000_000, "last": 1_800_007_000,
        "per_hour": {1_799_996_400: 5, 1_800_003_600: 2}, "example": "AH01842: decryption failed"}


def looked(*symptoms, node="n2", log=()):
    return {"findings": [diagnosis.finding(one, node) for one in symptoms], "log": list(log)}


def checked(*found):
    """A report of a check with these findings."""
    members = ("code", "severity", "node", "scope", "title", "seen", "expected", "remedy")
    rows = [{name: getattr(one, name) for name in members} for one in found]
    passed = not any(one.severity in ("fail", "unknown") for one in found)
    return {"findings": rows, "time": "2027-01-15T08:00:00Z", "status": "healthy" if passed else "failed", "passed": passed,
            "summary": "All 3 nodes agree: every session lives on every node." if passed else "1 of 3 nodes failed."}


def join(report=None, nodes=NODES, **by_node):
    gathered = {node: by_node.get(node, looked(node=node)) for node in nodes}
    return diagnosis.join(nodes, gathered, report or checked())


def told(data):
    return [(cause["code"], cause["nodes"]) for cause in data["causes"]]


def test_a_fleet_without_a_fault():
    data = join()
    assert (data["status"], data["causes"]) == ("healthy", [])
    assert data["summary"] == "Nothing was found on 3 nodes that would end a session."


def test_the_root_takes_what_follows_on_its_node_and_lost_sessions_on_all():
    """One node has another key: each of the others loses the sessions that it made, and its own log says nothing of it."""
    report = checked(finding("wrong_key", "n2", "app", "encrypts with 0a1b2c3d"), finding("carry_lost", "n1", "app", "lost one"),
                     finding("carry_lost", "n3", "app", "lost one"))
    other = Symptom("key_file_differs", "the file has 0a1b2c3d")
    data = join(report, n2=looked(other, Symptom("sessions_lost", "7 times"), log=[LOST]),
                n1=looked(Symptom("sessions_lost", "9 times"), node="n1"))
    assert told(data) == [("key_file_differs", ["n2"])]
    (cause,) = data["causes"]
    assert {one["code"]: one["nodes"] for one in cause["explains"]} == {
        "wrong_key": ["n2"], "sessions_lost": ["n1", "n2"], "carry_lost": ["n1", "n3"]}
    assert data["summary"] == "Begin with this: the key file is not the fleet's (n2). 1 thing in all."
    assert data["log"] == [{"node": "n2", **LOST}]


def test_another_nodes_wrong_key_is_a_cause_of_its_own():
    report = checked(finding("wrong_key", "n3", "app", "encrypts with 4d5e6f70"))
    data = join(report, n2=looked(Symptom("key_file_differs", "x")))
    assert told(data) == [("key_file_differs", ["n2"]), ("wrong_key", ["n3"])]


def test_the_same_on_many_nodes_is_told_once_and_before_what_is_on_few():
    nodes = tuple("n%d" % number for number in range(1, 41))
    every = {node: looked(Symptom("key_not_loaded", "written at one, loaded at another"), node=node) for node in nodes}
    every["n7"]["findings"] += looked(Symptom("key_file_open", "mode 0644"), node="n7")["findings"]
    report = checked(*(finding("stale_ring", node, "app", "has an old list") for node in nodes))
    data = diagnosis.join(nodes, every, report)
    assert told(data) == [("key_not_loaded", list(nodes)), ("key_file_open", ["n7"])]
    assert len(data["causes"][0]["evidence"]) == 1, "the same words are said once"
    text = diagnosis_text.render(data)
    assert text.count("written at one") == 1
    assert "all 40" in text


def test_a_server_that_is_down_explains_all_that_a_check_misses_there_but_no_other_nodes_fault():
    report = checked(finding("refused", "n2", "app", "127.0.0.1:80"), finding("cookie_secure", "n1", "app", "no Secure"))
    found = Symptom("driver_missing", "no file"), Symptom("server_down", "failed"), Symptom("key_file_open", "0644")
    data = join(report, n2=looked(*found))
    assert told(data) == [("driver_missing", ["n2"]), ("key_file_open", ["n2"]), ("cookie_secure", ["n1"])]
    assert {one["code"] for one in data["causes"][0]["explains"]} == {"server_down", "refused"}


def test_what_follows_may_be_graver_than_its_root():
    assert CAUSES["clock_undisciplined"].severity == "warn"
    report = checked(finding("clock_drift", "n2", "", "2 h ahead"))
    data = join(report, n2=looked(Symptom("clock_undisciplined", "neither chrony nor timesyncd")))
    assert [(cause["code"], cause["severity"]) for cause in data["causes"]] == [("clock_undisciplined", "fail")]
    assert data["status"] == "failed"
    alone = join(n2=looked(Symptom("clock_undisciplined", "neither chrony nor timesyncd")))
    assert (alone["status"], alone["causes"][0]["severity"]) == ("warned", "warn")


def test_a_clock_is_not_explained_by_a_key():
    report = checked(finding("clock_drift", "n2", "", "2 h ahead"))
    data = join(report, n2=looked(Symptom("key_file_empty", "no key")))
    assert told(data) == [("key_file_empty", ["n2"]), ("clock_drift", ["n2"])]


def test_a_node_that_nobody_reaches_is_told_once():
    report = checked(finding("unreachable", "n3", "app", "no route"), finding("not_asked", "n3", "", "unreachable"))
    others = {"n1": looked(node="n1"), "n2": looked(node="n2")}
    data = diagnosis.join(NODES, {**others, "n3": {"fault": "ssh: no route to host"}}, report)
    assert told(data) == [("not_examined", ["n3"])]
    left_out = diagnosis.join(NODES, others, checked())
    assert left_out["causes"][0]["evidence"][0]["text"] == "this run left it out (--limit)"
    assert left_out["status"] == "failed"


def test_findings_of_a_node_are_ranked():
    found = [Symptom(code, "x") for code in ("sessions_lost", "htaccess_allowed", "key_file_open", "disk_full")]
    assert [one.code for one in diagnosis.rank(found)] == [
        "disk_full", "key_file_open", "sessions_lost", "htaccess_allowed"]


def test_every_code_that_is_explained_exists_and_ranks_after_its_cause():
    order = [*CAUSES, *KINDS]
    for code, cause in CAUSES.items():
        assert cause.severity in SEVERITIES
        for other in cause.explains:
            assert other == "*" or other in order, f"{code} explains {other}, which is no code"
            if other in CAUSES:
                assert order.index(other) > order.index(code), f"{code} explains {other}, which stands before it"
    assert not set(CAUSES) & set(KINDS)
    assert {*causes.LOST, *causes.LOGGED, *causes.FOLLOWS} <= set(order)
    with pytest.raises(ValueError, match="nonsense"):
        Symptom("nonsense", "x")


def faults():
    report = checked(finding("cookie_secure", "n1", "app", EVIL, "Secure"))
    return join(report, n2=looked(Symptom("key_file_differs", EVIL, "app"), log=[{**LOST, "example": EVIL}]))


def test_in_a_terminal():
    text = diagnosis_text.render(faults())
    assert text.index("key_file_differs") < text.index("cookie_secure")
    assert "docs/troubleshooting.md#key_file_differs" in text
    assert "AH01842: 7 sessions lost" in text
    assert re.search(r"^n2 +AH01842 +7 +5 +01-15 08:00:00 +01-15 09:56:40$", text, re.M)
    assert text.splitlines()[-1].startswith("FAILED: Begin with this: ")
    assert max(len(line) for line in text.splitlines()) <= 130


def test_many_causes_are_cut_in_a_terminal_only():
    report = checked(*(finding(code, "n1", "app", "x") for code in list(KINDS)[:30]))
    data = join(report)
    assert "... and 10 more" in diagnosis_text.render(data)
    assert diagnosis_html.render(data).count('class="facts"') == 30


def test_as_a_page_nothing_is_fetched_and_nothing_is_markup():
    page = diagnosis_html.render(faults())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#)", page)
    assert page.count('class="hours"') == 1
    assert "Sessions end" in page
    healthy = diagnosis_html.render(join())
    assert "Nothing found" in healthy
    assert "No line about sessions" in healthy


def test_as_json_it_is_the_same_after_a_journey():
    data = faults()
    again = json.loads(json.dumps(data))
    assert again["causes"] == data["causes"]
    assert {"schema", "version", "time", "status", "summary", "nodes", "causes", "log", "check"} == set(again)
    # A file has text for keys, and the pictures are made from either.
    assert diagnosis_html.render(again) == diagnosis_html.render(data)
