# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose result has another form, or whose words are meant for a terminal, is a finding, and all others are judged."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_fleet as fleet
from small_fleet import KEYS, Member

from plugins.module_utils import clock, report
from plugins.module_utils.question import Key, Question
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils import node_side, report_html, report_prometheus, report_text
from plugins.plugin_utils.node_steps import LATEST, answers, read
from plugins.plugin_utils.prober import Node, Plan, Prober

from .installed import OURS

NOW = 1_800_000_000_000_000
ESCAPE = "\x1b]0;owned\x07\x1b[31m\x9b31m\r\nmod_session_up 1\n<script>alert(1)</script>"
HEADERS = [["set-cookie", "httpd-session=x;Path=/"], ["date", "x"]]
ANSWER = {"status": 403, "headers": HEADERS, "sent": NOW, "received": NOW + 900, "large": False}
SHOT = {"scope": "app", "purpose": "key", "key": 0, "path": "/app/x", "value": "x", "source": "", "marker": "m",
        "answer": ANSWER}
GOOD = {"changed": False, "shots": [SHOT], "ring": None, "samples": [[NOW, NOW, NOW]]}


def with_answer(**what):
    return {**GOOD, "shots": [SHOT, {**SHOT, "answer": {**ANSWER, **what}}]}


def with_shot(**what):
    return {**GOOD, "shots": [SHOT, {**SHOT, **what}]}


WRONG = {
    "shots is a text": {**GOOD, "shots": "x"},
    "shots is none": {**GOOD, "shots": None},
    "shots is a number": {**GOOD, "shots": 7},
    "shots is a dictionary": {**GOOD, "shots": {"a": 1}},
    "a shot is a text": {**GOOD, "shots": ["x"]},
    "a shot without keys": {**GOOD, "shots": [{}]},
    "another scope": with_shot(scope="other"),
    "a scope that is a list": with_shot(scope=[]),
    "another purpose": with_shot(purpose="own"),
    "a purpose that is a list": with_shot(purpose=[]),
    "no key": with_shot(key=None),
    "a key beyond": with_shot(key=2),
    "a negative key": with_shot(key=-1),
    "a key that is true": with_shot(key=True),
    "a key that is a fraction": with_shot(key=0.5),
    "a value that is none": with_shot(value=None),
    "a source that is a list": with_shot(source=[]),
    "a path that is none": with_shot(path=None),
    "no marker": {**GOOD, "shots": [{name: part for name, part in SHOT.items() if name != "marker"}]},
    "an empty marker, which any answer has": with_shot(marker=""),
    "an answer that is a text": with_shot(answer="x"),
    "an answer that is a list": with_shot(answer=[]),
    "an empty answer": with_shot(answer={}),
    "an unknown fault": with_shot(answer={"fault": "nonsense"}),
    "a fault that is a list": with_shot(answer={"fault": []}),
    "status is a text": with_answer(status="403"),
    "status is true": with_answer(status=True),
    "status is huge": with_answer(status=10**400),
    "status is 0": with_answer(status=0),
    "status is not a number": with_answer(status=float("nan")),
    "headers is a dictionary": with_answer(headers={"a": "b"}),
    "headers is none": with_answer(headers=None),
    "headers is a text": with_answer(headers="ab"),
    "a header is a text": with_answer(headers=["ab"]),
    "a header of three": with_answer(headers=[["a", "b", "c"]]),
    "a header of numbers": with_answer(headers=[[1, 2]]),
    "a header outside Latin-1": with_answer(headers=[["date", "\u202e"]]),
    "a lone surrogate": with_answer(headers=[["date", "\ud800"]]),
    "a long header": with_answer(headers=[["date", "x" * 70000]]),
    "many headers": with_answer(headers=[["date", "x"]] * 2000),
    "sent is none": with_answer(sent=None),
    "sent is a text": with_answer(sent=str(NOW)),
    "sent is infinite": with_answer(sent=float("inf")),
    "sent is huge": with_answer(sent=10**400),
    "received before sent": with_answer(received=NOW - 1),
    "received much later": with_answer(received=NOW + 10**12),
    "the end of all calendars": with_answer(sent=LATEST, received=LATEST),
    "samples is a number": {**GOOD, "samples": 1},
    "a sample of two": {**GOOD, "samples": [[1, 2]]},
    "a sample of texts": {**GOOD, "samples": [["1", "2", "3"]]},
    "a sample backwards": {**GOOD, "samples": [[3, 2, 1]]},
    "a huge sample": {**GOOD, "samples": [[1, 10**400, 2]]},
    "ring is a number": {**GOOD, "ring": 5},
    "ring of one": {**GOOD, "ring": ["a"]},
    "ring of lists": {**GOOD, "ring": [[], []]},
}
NOT_ASKED = [
    None, "text", 7, [], {}, {"msg": ESCAPE}, {"msg": {"a": 1}}, {"module_stderr": "x" * 10**6},
    {"failed": True, "msg": 10**5000},
]  # fmt: skip


def take(found):
    return read(found, {"app"}, 2)


def judged(results):
    """The report of a check of nodes that left these results, by name."""
    scopes = parse_scopes([fleet.SCOPE])
    prober = Prober(Plan(scopes, KEYS))

    async def views():
        found = []
        for name, result in results.items():
            step = take(result)
            between = node_side.bracket(step.samples)
            found += await node_side.views(prober, Node(name, name), step.shots, between, step.fault)
        return found

    seen = asyncio.run(views())
    question = Question(tuple(results), scopes, (Key("", "primary"), Key("", "secondary")), clock.limits(3600))
    return report.build(question, seen, judge(question, seen), NOW, NOW, "node")


def shown(data):
    """All forms of a report."""
    text = json.dumps(data, ensure_ascii=False)
    return [text, report_text.render(data), report_html.render(data), report_prometheus.render(data)]


def test_what_a_module_gives_is_read():
    step = take(json.loads(json.dumps(GOOD)))
    assert step.fault is None and step.samples == ((NOW, NOW, NOW),) and step.shots[0]["answer"]["status"] == 403
    others = [{**SHOT, "answer": None}, {**SHOT, "answer": {"fault": "refused", "detail": "x"}}]
    assert take({**GOOD, "shots": others}).fault is None


@pytest.mark.parametrize("name", WRONG)
def test_another_form_is_a_fault_of_that_node_alone(name):
    data = judged({"web1": GOOD, "web2": WRONG[name]})
    codes = {(item["node"], item["code"]) for item in data["findings"]}
    assert ("web2", "result_invalid") in codes and ("web1", "result_invalid") not in codes
    assert [row["node"] for row in data["details"]] == ["web1", "web2"] and shown(data)


@pytest.mark.parametrize("found", NOT_ASKED, ids=lambda found: str(type(found)))
def test_no_result_is_a_node_that_was_not_asked(found):
    fault = take(found).fault
    assert fault.kind == "not_asked" and 0 < len(fault.detail) <= 300 and fault.detail.isprintable()


@pytest.mark.parametrize("words", [
    with_answer(headers=[["set-cookie", f"httpd-session=x;Path={ESCAPE};Domain={ESCAPE};SameSite={ESCAPE}"]]),
    with_answer(status=302, headers=[["location", ESCAPE]]),
    with_shot(answer={"fault": "reset", "detail": ESCAPE}), with_shot(answer={"fault": "tls_handshake", "detail": {"a": ESCAPE}}),
    {"failed": True, "msg": ESCAPE}, {"failed": True, "module_stderr": "\u202e\u2066" + ESCAPE * 1000},
], ids=["cookie", "location", "fault", "a fault's dictionary", "message", "long message"])  # fmt: skip
def test_nothing_that_a_node_says_acts_on_a_terminal_a_page_or_a_metric(words):
    for text in shown(judged({"web1": words, "web2": {**GOOD, "shots": list(reversed(words.get("shots", [])))}})):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert "\nmod_session_up 1" not in text
        assert "<script>alert" not in text or text.startswith("{") or "</html>" not in text


@pytest.mark.parametrize("result", [
    {}, {"answers": None}, {"answers": "x"}, {"answers": []}, {"answers": [1, 2, 3]}, {"failed": True, "answers": [1, 2]},
    {"failed": True, "msg": ESCAPE, "shots": [SHOT]},
])  # fmt: skip
def test_a_module_that_gives_no_answers_is_said_in_words_of_ours(result):
    said = answers(result, 2)
    assert isinstance(said, str) and said and said.isprintable()


names = st.sampled_from([*GOOD, *SHOT, *ANSWER, "fault", "msg"])
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["app", "key", NOW, 403]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["shots", "samples", "ring", *SHOT, *ANSWER]), json_like)
def test_whatever_is_given_there_is_a_verdict(name, value):
    what = {name: value}
    found = {**GOOD, **what} if name in GOOD else with_shot(**what) if name in SHOT else with_answer(**what)
    assert take(found).fault is None or take(found).fault.kind in ("result_invalid", "not_asked")
    assert len(judged({"web1": found, "web2": GOOD})["details"]) == 2


@pytest.mark.skipif(bool(fleet.NO_HTTPD), reason=fleet.NO_HTTPD or "httpd is here")
def test_the_action_judges_all_others(tmp_path):
    """As Ansible runs it: two nodes that ask themselves, and one of each wrong form beside them."""
    good, port = ("127.0.6.1", "127.0.6.2"), fleet.free_port()
    # All but one, which YAML cannot hold.
    wrong = {f"bad{number}": {"session_check_asked": result, "session_check_node_address": f"127.0.7.{number}"}
             for number, result in enumerate([*WRONG.values(), *NOT_ASKED[:-1]], 1) if "ud800" not in repr(result)}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {**{name: {"session_check_node_address": name} for name in good}, **wrong}
    hosts = {name: {**local, **more, "ansible_host": name} for name, more in hosts.items()}
    hosts["bad1"]["session_check_asked"] = {"shots": [SHOT] * 3, "msg": ESCAPE, "ring": 5}
    module = "httpd_fleet.mod_session.session_check"
    options = {"passphrases": list(KEYS), "scopes": [{**fleet.SCOPE, "port": port}], "report_dir": str(tmp_path / "report")}
    plays = [
        {"hosts": "good", "gather_facts": False, "module_defaults": {module: options}, "tasks": [
            {module: {"step": "ask"}, "register": "session_check_asked"},
            {module: {"step": "carry"}, "register": "session_check_carried"}]},
        {"hosts": "session_fleet", "gather_facts": False, "tasks": [
            {module: {**options, "step": "judge"}, "run_once": True}]},
    ]  # fmt: skip
    inventory = {"all": {"children": {"session_fleet": {"hosts": hosts}, "good": {"hosts": dict.fromkeys(good)}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "play.yml").write_text(json.dumps(plays))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(OURS), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "2"}
    command = ["ansible-playbook", "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]
    with fleet.running([Member(name) for name in good], port):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    printed = done.stdout + done.stderr
    assert (tmp_path / "report" / "report.json").exists(), printed
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    states = {row["node"]: row["status"] for row in data["details"]}
    assert len(states) == len(hosts) and {name for name, state in states.items() if state == "healthy"} == set(good), printed
    assert "Traceback" not in printed and "\x1b" not in printed
