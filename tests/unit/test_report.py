# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report in all its forms: complete, escaped, and with nothing that a browser would have to fetch."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from plugins.module_utils import clock, report
from plugins.module_utils.canary import USERS, Canary, Held, advance
from plugins.module_utils.clock import SECOND, Interval
from plugins.module_utils.evidence import Carried, Fault, Look, StoreView, View
from plugins.module_utils.question import Key, Question
from plugins.module_utils.ring_evidence import from_report
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils import report_html, report_prometheus, report_text

SCOPES = parse_scopes([{"name": "app", "path": "/app"}])
NOW = 1_800_000_000 * SECOND
KEYS = (Key("9f2c41aa", "primary", 1_800_000_000 - 12 * 86400), Key("d07b3e55", "secondary", weak=True))
LOOK = Look("session", "/app", "", "Lax", True, True, 3600)
EVIL = "<script>alert('x')</script>\"&"


def journey(nodes, lost=(), scope="app"):
    """A canary that four checks have seen, the last of them with nodes that lost it; the first node is silent then."""
    made = NOW // SECOND - 720
    one = Canary(scope, "5" * 32, nodes[0], made, dict.fromkeys(USERS, Held("COOKIE0", nodes[0], made, None)))
    for number in range(4):
        fates = {node: {"idle": "intact", "busy": "intact"} for node in nodes}
        if lost and number == 3:
            fates[nodes[0]] = {}
            fates.update({node: {"idle": "expired", "busy": "fresh"} for node in lost})
        moment = NOW // SECOND + 240 * (number - 3)
        newest = Held(f"COOKIE{number + 1}", nodes[number % len(nodes)], moment, None)
        one = advance(one, not number, fates, newest, nodes, moment, number + 4)
    return one


def made(count, faults=None, name="web", canary=True):
    nodes = tuple(f"{name}{number + 1}" for number in range(count))
    views = []
    for number, node in enumerate(nodes):
        view = View(
            node, "app", status=403, proven=True, sealed="key", encrypts_with=0, accepts=(True, True), look=LOOK,
            size=143, cipher="aes256", offset=Interval(number % 7 * 1000 - 2000, number % 7 * 1000 + 2000), offset_by="expiry",
            carried=(Carried(nodes[number - 1], True),) if count > 1 else (),
        )  # fmt: skip
        views.append(replace(view, **(faults or {}).get(number, {})))
    question = Question(nodes, SCOPES, KEYS, clock.limits(3600), ring=("r1", 7))
    if canary:
        lost = [nodes[number] for number, fault in (faults or {}).items() if fault is STALE and number < count]
        views = [replace(view, canary=(("idle", "expired"), ("busy", "fresh"))) if view.node in lost else view for view in views]
        question = replace(question, canary=(journey(nodes, lost),))
    return report.build(question, views, judge(question, views), NOW, NOW + 1500000, "controller")


SILENT = {"status": 0, "proven": False, "sealed": "none", "encrypts_with": None, "accepts": (None, None), "look": None,
          "offset": None, "fault": Fault("refused", f"at {EVIL}")}  # fmt: skip
STALE = {"encrypts_with": 1, "accepts": (False, True)}
DRIFTED = {"offset": Interval(9 * SECOND, 9 * SECOND + 1000)}
FAULTS = {0: SILENT, 2: STALE, 4: DRIFTED}
SIZES = (1, 3, 12, 41, 1000)


@pytest.mark.parametrize("size", SIZES)
def test_json(size):
    data = json.loads(json.dumps(made(size, FAULTS)))
    assert (data["schema"], data["version"]) == ("httpd_fleet.mod_session/check", 1)
    assert data["time"] == "2027-01-15T08:00:00Z" and data["duration"] == 1.5
    counts = dict(data["nodes"])
    assert counts.pop("total") == size == sum(counts.values()) == len(data["details"])
    assert {row["node"] for row in data["findings"]} <= {row["node"] for row in data["details"]} | {None}


def test_json_is_as_documented():
    """Every member that is written is described in docs/report.md."""
    from pathlib import Path

    text = (Path(__file__).resolve().parents[2] / "docs" / "report.md").read_text(encoding="utf-8")

    def members(data):
        if isinstance(data, dict):
            for key, value in data.items():
                yield key
                yield from members(value)
        elif isinstance(data, list):
            for value in data:
                yield from members(value)

    several = (made(5, FAULTS), in_database(web1=found("web1")))
    missing = {key for data in several for key in members(data) if f"`{key}`" not in text}
    assert missing == set()


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (None, "All 5 nodes agree"),
        ({0: STALE}, "1 of 5 nodes failed; 4 of 5 are fine."),
        ({0: SILENT, 1: {"accepts": (True, None)}}, "1 of 5 nodes failed, 1 of 5 cannot be judged; 3 of 5 are fine."),
    ],
)
def test_summary(faults, expected):
    data = made(5, faults)
    # A weak key is in the list: that is a warning of the fleet.
    assert data["summary"].startswith(expected.replace("All 5", "5 of 5"))


def test_text():
    text = report_text.render(made(5, FAULTS))
    assert "1  9f2c41aa        primary    3/5    3/5       12 d" in text
    assert "2  d07b3e55  weak  secondary  4/5    1/5       -" in text
    assert "FAIL  web3: node has an old list of keys [app]" in text
    assert "clocks  DRIFTED: between 9 s and 9 s apart; 1 told no time" in text
    assert text.rstrip().endswith("FAILED: 3 of 5 nodes failed; 2 of 5 are fine.")
    assert max(map(len, text.splitlines())) <= 130


def test_text_stays_short():
    text = report_text.render(made(1000, dict.fromkeys(range(100, 900), STALE)))
    assert len(text.splitlines()) < 34 and "and 795 more (800/1000)" in text


def test_age():
    now = "2026-11-23T00:00:00Z"
    ages = [report_text.age(report.moment(1795392000 - seconds), now) for seconds in (0, 600, 7200, 86400, 864000)]
    assert ages == ["0 min", "10 min", "2 h", "24 h", "10 d"]
    assert report_text.age(None, now) == "-"


def test_prometheus():
    text = report_prometheus.render(made(5, FAULTS))
    names = []
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            names.append(line.split()[2])
        elif not line.startswith("#"):
            assert re.fullmatch(r'[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?[0-9.e+-]+', line), line
            assert line.split("{")[0].split()[0] == names[-1]
    assert len(names) == len(set(names))
    assert 'mod_session_check_key_opens_nodes{key="1",fingerprint="9f2c41aa",state="primary"} 3' in text
    assert "mod_session_check_passed 0" in text


def test_the_journey_of_a_canary_in_words():
    text = report_text.render(made(5))
    assert "canary  app: idle 5/5, busy 5/5 nodes gave it back; made by web1 12 min ago; 4 checks, never lost" in text
    text = report_text.render(made(5, FAULTS))
    assert "canary  app: idle 3/5, busy 3/5 nodes gave it back; made by web1 12 min ago; lost in 1 of 4 checks" in text
    assert "canary" not in report_text.render(made(5, canary=False))


def test_the_journey_of_a_canary_in_numbers():
    text = report_prometheus.render(made(5, FAULTS))
    assert 'mod_session_check_canary_intact_nodes{scope="app",user="busy"} 3' in text
    assert 'mod_session_check_canary_lost_nodes{scope="app",user="busy"} 1' in text
    assert "canary" not in report_prometheus.render(made(5, canary=False))


def test_the_journey_of_a_canary_on_the_page():
    page = Page(report_html.render(made(5, FAULTS)))
    assert "made by web1 12 min ago · 4 checks · lost in 1" in page.text
    assert "made now by web1" in page.text and "cookie of web3, 4 min old" in page.text
    assert "1 lost it, 1 no answer" in page.text and "1 expired, 1 no answer" in page.text
    assert "intact on every node in all of them" in Page(report_html.render(made(5))).text
    assert "A session on its way" not in Page(report_html.render(made(5, canary=False))).text


def test_what_has_no_canary_is_said():
    question = Question(("web1",), SCOPES, KEYS, clock.limits(3600))
    question = replace(question, canary=(advance(Canary("app"), False, {}, None, ["web1"], NOW // SECOND, None),))
    data = report.build(question, [], judge(question, []), NOW, NOW, "controller")
    assert "canary  app: none, no node made one" in report_text.render(data)
    assert "no node made one" in Page(report_html.render(data)).text


STORED = parse_scopes([{"name": "app", "path": "/app", "store": "dbd"}])


def in_database(**stores):
    """A report of nodes whose sessions are in a database."""
    cookies = {"status": 403, "proven": True, "sealed": "key", "encrypts_with": 0, "accepts": (True, True), "look": LOOK,
               "size": 143}  # fmt: skip
    views = [View(node, "app", **cookies, cipher="aes256", offset=Interval(0, 1), offset_by="expiry", store=store)
             for node, store in stores.items()]  # fmt: skip
    question = Question(tuple(stores), STORED, KEYS, clock.limits(3600), payload=9000)
    return report.build(question, views, judge(question, views), NOW, NOW, "controller")


def found(*sources):
    return StoreView("row", 403, None, LOOK, tuple(Carried(source, source != "web9") for source in sources))


def test_sessions_in_a_database():
    data = in_database(web1=found("web1", "web2"), web2=found("web1", "web2"), web3=StoreView("nothing", 403))
    (scope,) = data["scopes"]
    assert scope["store"] == "dbd" and scope["payload_room"] is None
    first, _second, third = (row["scopes"][0]["store"] for row in data["details"])
    assert first == {"answer": "row", "fault": None, "http_status": 403, "shared": True,
                     "rows": [{"from": "web1", "lived": True}, {"from": "web2", "lived": True}]}  # fmt: skip
    assert (third["answer"], third["shared"], third["rows"]) == ("nothing", False, [])
    text = report_text.render(data)
    assert "rows    app: 2/3 nodes write rows and find each other's" in text and "room" not in text
    assert 'mod_session_check_store_nodes{scope="app"} 2' in report_prometheus.render(data)
    titles = [attrs["title"] for attrs in Page(report_html.render(data)).all("td") if "title" in attrs]
    assert "web1 → web2: opens, carried" in titles and "web1 → web3: refuses" in titles and "web3 → web1: refuses" in titles
    assert from_report({**data, "ring": {"id": "r1", "generation": 7}}).nodes["web3"].accepts == {"9f2c41aa", "d07b3e55"}


def test_a_database_that_is_out_is_one_finding():
    data = in_database(web1=StoreView("nothing", 403), web2=StoreView("nothing", 403))
    assert data["summary"].startswith("2 of 2 nodes failed") and [one["code"] for one in data["findings"][:1]] == ["store_down"]
    assert "of all 2 nodes asked, each answers without a session (status 403)" in report_text.render(data)
    assert [one["node"] for one in data["findings"] if one["severity"] == "fail"] == [None]


@pytest.mark.parametrize("render", [json.dumps, report_text.render, report_html.render, report_prometheus.render])
def test_no_report_holds_a_canary_alive(render):
    text = render(made(5, FAULTS))
    assert "COOKIE" not in text and "5" * 32 not in text


def test_a_ring_takes_a_report_with_a_canary_as_evidence():
    assert from_report(made(5, FAULTS)) == from_report(made(5, FAULTS, canary=False))
    assert from_report(made(5)).nodes["web5"].accepts == {"9f2c41aa", "d07b3e55"}


class Page(HTMLParser):
    """Collects what matters of a page, and notices tags that are not closed."""

    VOID = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.urls, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.urls += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("faults", [None, FAULTS])
def test_html(size, faults):
    data = made(size, faults)
    html = report_html.render(data)
    page = Page(html)
    assert all(url.startswith("#") for url in page.urls)
    assert not page.all("script") and not page.all("link") and "@import" not in html and "url(" not in html
    assert "default-src 'none'" in html
    assert data["summary"] in page.text
    # For those who listen: a language, headings, named regions, tables with captions, drawings with words.
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
    assert all("aria-labelledby" in attrs for attrs in page.all("section"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in attrs for attrs in page.all("th"))
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") for attrs in page.all("svg"))
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    assert {attrs[name] for _, attrs in page.tags for name in attrs if name == "aria-labelledby"} <= set(identifiers)


def test_html_puts_findings_first():
    page = Page(report_html.render(made(5, FAULTS)))
    headings = [attrs["id"] for attrs in page.all("h2")]
    assert headings == ["findings-title", "keys-title", "canary-title", "matrix-title", "clock-title", "nodes-title"]


def test_html_escapes_whatever_it_shows():
    html = report_html.render(made(3, FAULTS, name=EVIL))
    assert "<script" not in html and "&lt;script&gt;" in html
    assert "<script" not in report_html.render(made(100, FAULTS, name=EVIL))


def test_matrix_says_who_loses_whose_session():
    page = Page(report_html.render(made(4, {2: STALE})))
    titles = [attrs["title"] for attrs in page.all("td") if "title" in attrs]
    assert len(titles) == 16
    assert "web1 → web3: refuses" in titles and "web3 → web1: opens" in titles
    assert "web1 → web2: opens, carried" in titles


def test_map_of_a_large_fleet_names_what_deviates():
    html = report_html.render(made(1000, FAULTS))
    assert "<title>web3: refuses</title>" in html and "<title>web1: silent</title>" in html
    assert "opened by 998, refused by 1, unknown 0, no answer 1" in html
    assert len(html) < 400_000


def test_ten_thousand_nodes_are_still_a_page():
    html = report_html.render(made(10000, {5: SILENT}))
    assert len(html) < 2_000_000


@pytest.mark.parametrize("reach", [0.0012, 0.04, 0.9, 7, 3000])
def test_ticks_are_few_round_and_inside(reach):
    for limits in ([], [1, 5]):
        spots = [{"low": -reach, "high": reach}] + [{"low": -0.001, "high": 0.001}] * 5
        scale = report_html._Scale(spots, limits)
        ticks = scale.ticks()
        assert 3 <= len(ticks) <= 15
        assert all(0 <= tick["at"] <= 100 for tick in ticks) and {50} <= {tick["at"] for tick in ticks}
