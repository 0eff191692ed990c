# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From views to findings, in tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import clock
from plugins.module_utils.clock import SECOND, Interval
from plugins.module_utils.cookie import CIPHERS, sealed_length
from plugins.module_utils.evidence import FAULTS, Carried, Elsewhere, Fault, Look, PathView, Shot, StoreView, View, fold
from plugins.module_utils.findings import KINDS, SEVERITIES
from plugins.module_utils.probe import Observation, identity, parse_set_cookie
from plugins.module_utils.question import STATES, Key, Question
from plugins.module_utils.report import summary
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import BROWSER_LIMIT, EXPIRY_LENGTH, judge, room_for

SCOPES = parse_scopes([{"name": "app", "path": "/app"}])
KEYS = (Key("9f2c41aa", "primary"), Key("d07b3e55", "secondary"))
LOOK = Look("session", "/app", "", "Lax", True, True, 3600)
NODES = ("a", "b", "c", "d")


def good(node, **changes):
    """The view of a node in order."""
    view = View(
        node,
        "app",
        status=403,
        proven=True,
        sealed="key",
        encrypts_with=0,
        accepts=(True, True),
        look=LOOK,
        size=143,
        marked=True,
        cipher="aes256",
        offset=Interval(-1000, 1000),
        offset_by="expiry",
    )
    return replace(view, **changes)


def silent(node, kind="refused"):
    return View(node, "app", fault=Fault(kind, "words"), accepts=(None, None))


def question(**changes):
    return replace(Question(NODES, SCOPES, KEYS, clock.limits(3600)), **changes)


def codes(verdict):
    return {(item.node, item.code) for item in verdict.findings}


def test_a_fleet_in_order():
    verdict = judge(question(), [good(node) for node in NODES])
    assert verdict.findings == () and verdict.status == "healthy" and verdict.passed
    assert set(verdict.nodes.values()) == {"healthy"}
    assert [(count.opens, count.encrypts) for count in verdict.keys] == [(4, 4), (4, 0)]


UNSEEN = {"proven": False, "sealed": "none", "encrypts_with": None, "accepts": (None, None), "look": None, "cipher": "",
          "offset": None, "elsewhere": Elsewhere("none", None, (None, None))}  # fmt: skip
GONE = {"sealed": "none", "encrypts_with": None, "accepts": (None, None), "look": None, "cipher": ""}


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ({"sealed": "plain", "encrypts_with": None, "accepts": (False, False)}, "plain_text", "fail"),
        ({"sealed": "empty_key", "encrypts_with": None, "accepts": (False, False)}, "empty_key", "fail"),
        ({"sealed": "unlisted_key", "encrypts_with": None, "accepts": (None, None)}, "wrong_key", "fail"),
        ({"sealed": "garbage", "encrypts_with": None, "accepts": (None, None)}, "bad_cookie", "fail"),
        ({"encrypts_with": 1}, "wrong_order", "fail"),
        ({"encrypts_with": 1, "accepts": (False, True)}, "stale_ring", "fail"),
        ({"accepts": (True, False)}, "key_missing", "fail"),
        ({"accepts": (True, None)}, "key_unknown", "unknown"),
        ({"cipher": "aes128", "accepts": (False, False)}, "wrong_cipher", "fail"),
        ({"changing": True}, "changing", "unknown"),
        ({"look": replace(LOOK, secure=False)}, "cookie_secure", "fail"),
        ({"look": replace(LOOK, http_only=False)}, "cookie_http_only", "fail"),
        ({"look": replace(LOOK, same_site="")}, "cookie_same_site", "fail"),
        ({"look": replace(LOOK, path="/")}, "cookie_path", "fail"),
        ({"look": replace(LOOK, domain="example.com")}, "cookie_domain", "fail"),
        ({"look": replace(LOOK, max_age=60)}, "cookie_max_age", "fail"),
        ({"look": replace(LOOK, max_age=None)}, "cookie_max_age", "fail"),
        ({**GONE, "marked": False}, "sessions_off", "fail"),
        (GONE, "max_age_zero", "fail"),
        ({**GONE, "other_names": ("sid",)}, "cookie_name", "fail"),
        ({**UNSEEN, "status": 404}, "probe_missing", "unknown"),
        (UNSEEN, "probe_missing", "unknown"),
        ({**UNSEEN, "status": 302, "redirect": "https://x/"}, "redirected", "unknown"),
        ({**UNSEEN, "status": 502}, "server_error", "fail"),
        ({**UNSEEN, "strangers": (identity("b"),)}, "another_node", "fail"),
        ({**UNSEEN, "strangers": (identity("elsewhere"),)}, "another_node", "fail"),
        ({"status": 302, "redirect": "https://x/"}, "redirected", "info"),
        ({"status": 503}, "server_error", "fail"),
        ({**GONE, "status": 503}, "server_error", "fail"),
        ({"large": True}, "large_answer", "warn"),
        ({"fault": Fault("reset", "cut off in the middle")}, "reset", "fail"),
        ({"paths": (PathView("/app/x", 200, "none", None, None),)}, "path_cut_off", "fail"),
        ({"paths": (PathView("/app/x", 200, "plain", None, False),)}, "path_cut_off", "fail"),
        ({"paths": (PathView("/app/x", 200, "unlisted_key", None, None),)}, "path_cut_off", "fail"),
        ({"paths": (PathView("/app/x", 200, "key", 1, True),)}, "path_cut_off", "fail"),
        ({"paths": (PathView("/app/x", 200, "key", 0, False),)}, "path_cut_off", "fail"),
        ({"paths": (PathView("/app/x", 200, "none", None, None, True),)}, "loaded_twice", "fail"),
        ({**GONE, "twice": True}, "loaded_twice", "fail"),
        ({"paths": (PathView("/x", 200, "key", 0, True, look=replace(LOOK, same_site="Strict")),)}, "cookie_same_site", "fail"),
        ({"carried": (Carried("a", False),)}, "carry_lost", "fail"),
        ({"carried": (Carried("a", None),)}, "carry_unknown", "unknown"),
        ({"carried": (Carried("a", None, True),)}, "store_in_database", "fail"),
        ({"offset": Interval(6 * SECOND, 6 * SECOND)}, "clock_drift", "fail"),
        ({"offset": Interval(-6 * SECOND, -6 * SECOND)}, "clock_drift", "fail"),
        ({"offset": Interval(2 * SECOND, 2 * SECOND)}, "clock_warn", "warn"),
        ({"offset": Interval(0, 9 * SECOND)}, "clock_unknown", "unknown"),
        ({"offset": Interval(5 * SECOND - 2000, 5 * SECOND + 2000)}, "clock_drift", "unknown"),
        ({"offset": None}, "clock_unknown", "unknown"),
    ],
)
def test_one_fault_and_nothing_else(changes, code, severity):
    verdict = judge(question(), [*(good(node) for node in NODES[:3]), good("d", **changes)])
    assert [(item.node, item.code, item.severity) for item in verdict.findings] == [("d", code, severity)]
    passes = severity in ("warn", "info")
    assert verdict.passed is passes
    assert verdict.nodes["d"] == {"fail": "failed", "unknown": "unknown", "warn": "warned", "info": "healthy"}[severity]
    assert {verdict.nodes[node] for node in NODES[:3]} == {"healthy"}


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": Interval(-SECOND // 2, SECOND // 2), "offset_by": "date"},
        {"offset": Interval(800000, 800000)},
        {"look": replace(LOOK, name="session")},
        {"paths": (PathView("/app/x", 200, "key", 0, True),)},
        {"carried": (Carried("a", True),)},
        {"carried": (Carried("gone", False),)},  # of a node that was not asked itself
    ],
)
def test_no_false_alarm(changes):
    verdict = judge(question(), [*(good(node) for node in NODES[:3]), good("d", **changes)])
    assert verdict.findings == ()


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_of_silence_is_a_failure_of_its_own(kind):
    verdict = judge(question(), [*(good(node) for node in NODES[:3]), silent("d", kind)])
    assert codes(verdict) == {("d", kind)}
    assert verdict.status == ("unknown" if kind == "shared_address" else "failed")
    assert verdict.keys[0].opens == 3 and verdict.keys[0].missing == ("d",)
    assert verdict.clocks.verdict == clock.UNKNOWN and verdict.clocks.unread == 1


def test_a_node_that_was_not_asked_counts():
    verdict = judge(question(), [good(node) for node in NODES[:2]])
    assert codes(verdict) == {("c", "not_asked"), ("d", "not_asked")}
    assert verdict.keys[0].opens == 2 and verdict.keys[0].missing == ("c", "d")


def test_a_view_of_a_stranger_is_not_looked_at():
    assert judge(question(), [good(node) for node in (*NODES, "stranger")]).keys[0].opens == 4


def test_an_absent_node_may_be_silent():
    asked = question(absent=frozenset("d"))
    verdict = judge(asked, [*(good(node) for node in NODES[:3]), silent("d")])
    assert codes(verdict) == {("d", "absent")} and verdict.passed and verdict.nodes["d"] == "absent"
    assert verdict.keys[0].opens == 3 and verdict.keys[0].missing == ()
    assert verdict.clocks.verdict == clock.OK


@pytest.mark.parametrize("nodes", [(), ("a",), NODES])
@pytest.mark.parametrize("of", [silent, lambda node: None])
def test_a_fleet_of_which_nobody_is_there_proves_nothing(nodes, of):
    asked = question(nodes=nodes, absent=frozenset(nodes))
    verdict = judge(asked, [view for view in map(of, nodes) if view])
    assert ("", "no_node") in codes(verdict) and verdict.status == "unknown" and not verdict.passed
    assert verdict.clocks.verdict == clock.UNKNOWN
    assert summary(asked, verdict) in ("There is no node.", f"Nothing is proven: all {len(nodes)} nodes are declared absent, and "
                                       "none answers.")


def test_no_clock_of_a_fleet_is_known():
    verdict = judge(question(), [good(node, offset=None) for node in NODES])
    assert codes(verdict) == {(node, "clock_unknown") for node in NODES} and verdict.status == "unknown"
    assert {item.seen for item in verdict.findings} == {"no answer told the time"}


def test_an_absent_node_that_answers_has_to_tell_the_time_too():
    asked = question(absent=frozenset("d"))
    verdict = judge(asked, [*(good(node) for node in NODES[:3]), good("d", offset=None)])
    assert codes(verdict) == {("d", "clock_unknown"), ("d", "absent_answers")} and verdict.clocks.verdict == clock.UNKNOWN


def test_scopes_of_a_node_that_tell_different_times_tell_none():
    names = ("app", "shop")
    asked = question(nodes=("a",), scopes=parse_scopes([{"name": one, "path": f"/{one}", "cookie_name": one} for one in names]))
    views = [
        good("a", scope=one, offset=Interval(number * SECOND, number * SECOND), look=replace(LOOK, name=one, path=f"/{one}"))
        for number, one in enumerate(names)
    ]
    (item,) = judge(asked, views).findings
    assert (item.code, item.severity) == ("clock_unknown", "unknown") and "contradict each other" in item.seen


def test_an_absent_node_that_returns_stale_is_named():
    asked = question(absent=frozenset("d"))
    stale = good("d", encrypts_with=1, accepts=(False, True))
    verdict = judge(asked, [*(good(node) for node in NODES[:3]), stale])
    assert codes(verdict) == {("d", "stale_ring"), ("d", "absent_answers")} and verdict.keys[0].missing == ("d",)
    assert "Run the deploy playbook" in verdict.findings[0].remedy and verdict.nodes["d"] == "failed"


def test_an_absent_node_that_is_ready_is_said_to_be():
    verdict = judge(question(absent=frozenset("d")), [good(node) for node in NODES])
    assert codes(verdict) == {("d", "absent_answers")} and verdict.status == "healthy"
    assert verdict.nodes["d"] == "healthy" and "verb=present" in verdict.findings[0].remedy


def test_a_key_that_a_node_refuses_explains_a_lost_session():
    views = [*(good(node) for node in NODES[:3]), good("d", accepts=(False, True), carried=(Carried("a", False),))]
    assert codes(judge(question(), views)) == {("d", "key_missing")}


def test_a_revoked_key():
    keys = (*KEYS, Key("0badcafe", "revoked"))
    refuses, takes = (True, True, False), (True, True, True)
    views = [*(good(node, accepts=refuses) for node in NODES[:3]), good("d", accepts=takes)]
    assert codes(judge(question(keys=keys), views)) == {("d", "revoked_key")}
    views = [*(good(node, accepts=refuses) for node in NODES[:3]), good("d", accepts=takes, encrypts_with=2)]
    assert ("d", "revoked_key") in codes(judge(question(keys=keys), views))


@pytest.mark.parametrize("state", STATES)
def test_a_weak_key_is_said_in_every_check_until_it_is_rotated_out(state):
    keys = (KEYS[0], Key("hidden", state, weak=True))
    views = [good(node, accepts=(True, state != "revoked")) for node in NODES]
    found = judge(question(keys=keys), views).findings
    if state == "revoked":
        assert found == ()
        return
    (item,) = found
    assert (item.code, item.severity, item.seen) == ("weak_key", "warn", f"key 2 ({state}) is weak")
    assert "ansible-playbook httpd_fleet.mod_session.rotate" in item.remedy


def test_a_weak_key_and_a_set_clock_are_said_of_the_fleet():
    asked = question(keys=(replace(KEYS[0], weak=True), KEYS[1]), clock_set=3 * SECOND)
    verdict = judge(asked, [good(node) for node in NODES])
    assert codes(verdict) == {("", "weak_key"), ("", "controller_clock")} and verdict.status == "warned"


@pytest.mark.parametrize(("payload", "found"), [(0, set()), (2983, set()), (2984, {("", "cookie_size")})])
def test_a_payload_that_has_to_fit(payload, found):
    assert codes(judge(question(payload=payload), [good(node) for node in NODES])) == found


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("name_length", [1, 7, 64])
def test_room_is_all_that_fits(cipher, name_length):
    room = room_for(name_length, cipher)
    assert name_length + sealed_length(room + EXPIRY_LENGTH, cipher) <= BROWSER_LIMIT
    assert name_length + sealed_length(room + 1 + EXPIRY_LENGTH, cipher) > BROWSER_LIMIT


def test_two_clocks_that_differ_are_both_named():
    views = [good("a"), good("b", offset=Interval(9 * SECOND, 9 * SECOND))]
    verdict = judge(question(nodes=("a", "b")), views)
    assert codes(verdict) == {("a", "clock_drift"), ("b", "clock_drift")}


def test_a_fault_in_all_scopes_is_said_once():
    scopes = parse_scopes([{"name": "app", "path": "/app"}, {"name": "shop", "path": "/shop", "cookie_name": "s"}])
    views = [replace(silent("a"), scope=name) for name in ("app", "shop")]
    verdict = judge(question(nodes=("a",), scopes=scopes), views)
    assert [(item.code, item.scope) for item in verdict.findings] == [("refused", "")]


def test_a_key_counts_where_all_scopes_have_it():
    scopes = parse_scopes([{"name": "app", "path": "/app"}, {"name": "shop", "path": "/shop"}])
    views = [good("a"), replace(good("a"), scope="shop", accepts=(True, False), look=replace(LOOK, path="/shop"))]
    counts = judge(question(nodes=("a",), scopes=scopes), views).keys
    assert [(count.scope, count.index, count.opens) for count in counts] == [
        ("", 0, 1), ("app", 0, 1), ("shop", 0, 1), ("", 1, 0), ("app", 1, 1), ("shop", 1, 0),
    ]  # fmt: skip


# Sessions in a database

STORED = parse_scopes([{"name": "app", "path": "/app", "store": "dbd"}])
OUT = StoreView("nothing", 403)


def rows(*sources, **others):
    """A node that found the rows of these nodes, and did (True), did not (False) or could not (None) find those of others."""
    told = [*((one, True) for one in sources), *others.items()]
    return StoreView("row", 403, None, LOOK, tuple(Carried(*pair) for pair in told))


def stored(*stores, **changes):
    views = [good(node, store=store) for node, store in zip(NODES, stores)]
    return judge(question(scopes=STORED, **changes), views)


@pytest.mark.parametrize(
    ("stores", "found"),
    [
        ([rows("a", "b")] * 4, set()),
        ([rows()] * 4, set()),
        # One of four is out, or is the odd one, as who shows rows or not.
        ([rows("a", "b")] * 3 + [OUT], {("d", "store_unreachable")}),
        ([rows("a", "b")] * 3 + [rows(a=None, b=None)], {("d", "store_unreachable")}),
        ([rows("a", "b")] * 3 + [rows("a", b=None)], {("d", "store_unreachable")}),
        ([rows("a", "b")] * 3 + [replace(OUT, fault=Fault("timeout", "no answer in 5 s"))], {("d", "store_unreachable")}),
        ([rows("a", "b")] * 3 + [replace(rows("a"), fault=Fault("timeout"))], {("d", "store_unreachable")}),
        ([rows("a", "b")] * 3 + [StoreView("cookie", 403)], {("d", "store_in_cookies")}),
        ([rows("a", "b")] * 3 + [rows(a=False, b=False)], {("d", "store_not_shared")}),
        ([rows("a", b=False), *[rows("b", a=False)] * 3], {("a", "store_not_shared")}),
        ([rows("b", a=False)] * 4, {("a", "store_not_shared")}),
        # Nobody is more than half.
        ([rows("a", b=False), rows("b", a=False)] * 2, {(node, "store_not_shared") for node in NODES}),
        # They share it, and yet a row is missed: its own, or another's.
        ([rows(a=False), rows("a"), rows("a"), rows("a")], {("a", "store_not_shared")}),
        ([rows("a", "b"), rows("a", "b"), rows("a", "b"), rows("a", b=False)], {("d", "store_not_shared")}),
        ([rows("a", b=False), rows("b", a=False), OUT, OUT],
         {("a", "store_not_shared"), ("b", "store_not_shared"), ("c", "store_unreachable"), ("d", "store_unreachable")}),
        ([rows("a", "b"), rows("a", "b"), rows(a=False, b=False), rows(a=False, b=False)],
         {(node, "store_not_shared") for node in NODES}),
        # It is the database.
        ([OUT] * 4, {("", "store_down")}),
        ([OUT, rows(a=None), OUT, replace(OUT, status=0, fault=Fault("timeout"))], {("", "store_down")}),
        ([OUT, OUT, StoreView("cookie", 403), OUT],
         {("a", "store_unreachable"), ("b", "store_unreachable"), ("c", "store_in_cookies"), ("d", "store_unreachable")}),
    ],
)  # fmt: skip
def test_sessions_in_a_database(stores, found):
    verdict = stored(*stores)
    assert codes(verdict) == found and verdict.rooms == () and verdict.passed is (not found)
    failed = set(NODES) if ("", "store_down") in found else {node for node, _code in found}
    assert {node for node, status in verdict.nodes.items() if status == "failed"} == failed
    assert all(item.seen and item.expected and item.remedy for item in verdict.findings)


def test_a_database_that_is_out_is_said_once_for_all_scopes():
    scopes = parse_scopes([{"name": "app", "path": "/app", "store": "dbd"}, {"name": "shop", "path": "/shop", "store": "dbd"},
                           {"name": "old", "path": "/old"}])  # fmt: skip
    looks = {"app": LOOK, "shop": replace(LOOK, path="/shop"), "old": replace(LOOK, path="/old")}

    def check(*out):
        stores = {node: OUT if node in out else replace(rows("a"), look=None) for node in NODES}
        views = [replace(good(node), scope=name, look=look, store=None if name == "old" else stores[node])
                 for node in NODES for name, look in looks.items()]  # fmt: skip
        verdict = judge(question(scopes=scopes), views)
        assert [room.scope for room in verdict.rooms] == ["old"]
        return [(item.node, item.code, item.scope) for item in verdict.findings]

    assert check(*NODES) == [("", "store_down", "")]
    assert check("b") == [("b", "store_unreachable", "")]
    assert check() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [({**UNSEEN, "status": 404}, "probe_missing"), ({**GONE, "marked": False}, "sessions_off"),
     ({"encrypts_with": 1}, "wrong_order")],
)  # fmt: skip
def test_a_database_that_is_not_asked_is_not_out(changes, code):
    store = None if code == "wrong_order" else OUT
    views = [*(good(node, store=rows("a")) for node in NODES[:3]), good("d", store=store, **changes)]
    found = codes(judge(question(scopes=STORED), views))
    assert ("d", code) in found and not [code for _node, code in found if code.startswith("store")]


def test_the_cookie_that_names_a_row_is_looked_at_too():
    wrong = replace(rows("a"), look=replace(LOOK, http_only=False))
    assert codes(stored(rows("a"), rows("a"), rows("a"), wrong)) == {("d", "cookie_http_only")}


def test_a_row_need_not_fit_into_a_cookie():
    assert stored(*[rows("a")] * 4, payload=100_000).passed


def test_the_gravest_come_first():
    views = [good("a", status=302), good("b", accepts=(True, None)), good("c", encrypts_with=1), silent("d")]
    order = [SEVERITIES.index(item.severity) for item in judge(question(), views).findings]
    assert order == sorted(order)


VIEWS = st.builds(
    View,
    node=st.sampled_from(NODES),
    scope=st.just("app"),
    fault=st.one_of(st.none(), st.builds(Fault, st.sampled_from(FAULTS))),
    status=st.sampled_from([0, 200, 302, 403, 404, 500]),
    proven=st.booleans(),
    sealed=st.sampled_from(["key", "plain", "empty_key", "unlisted_key", "garbage", "none"]),
    encrypts_with=st.sampled_from([None, 0, 1]),
    changing=st.booleans(),
    accepts=st.tuples(*[st.sampled_from([None, True, False])] * 2),
    look=st.one_of(st.none(), st.just(LOOK), st.just(replace(LOOK, secure=False))),
    marked=st.booleans(),
    cipher=st.sampled_from(["", "aes256", "aes128"]),
    offset=st.one_of(st.none(), st.just(Interval(0, 10)), st.just(Interval(0, 10**8))),
    carried=st.lists(st.builds(Carried, st.sampled_from(NODES), st.sampled_from([None, True, False])), max_size=2).map(tuple),
)


@given(st.lists(VIEWS, max_size=4, unique_by=lambda view: view.node))
def test_a_fleet_passes_only_if_every_node_is_known_to_be_right(views):
    verdict = judge(question(), views)
    if verdict.passed:
        by_node = {view.node: view for view in views}
        for node in NODES:
            view = by_node[node]
            assert view.fault is None and view.proven and view.sealed == "key" and view.encrypts_with == 0 and not view.changing
            assert view.accepts == (True, True) and view.look in (LOOK, None) and view.offset is not None
        assert verdict.keys[0].opens == verdict.keys[0].encrypts == len(NODES)
    for item in verdict.findings:
        assert item.code in KINDS and item.seen and item.remedy


# Folding


def shot(purpose, key, sealed="key", encrypts=0, accepted=True, status=403, by="a", **more):
    cookie = None if sealed == "none" else parse_set_cookie("httpd-session=x;Max-Age=3600;path=/app;HttpOnly;SameSite=lax")
    seen = Observation(status, cookie, sealed, encrypts, accepted, 3600, None, (), by and identity(by))
    return Shot(purpose, "/app/p", key, seen, **more)


def test_fold():
    view = fold("a", "app", 2, [shot("key", 0), shot("key", 1, accepted=False), shot("carry", None, source="b")])
    assert view.accepts == (True, False) and view.encrypts_with == 0 and view.proven and not view.changing
    assert view.look == Look("httpd-session", "/app", "", "Lax", True, False, 3600)
    assert view.carried == (Carried("b", True),)


def test_fold_takes_the_worst():
    view = fold("a", "app", 2, [shot("key", 0), shot("key", 1, sealed="plain", encrypts=None, accepted=False)])
    assert view.sealed == "plain"


def test_fold_notices_changing_keys():
    assert fold("a", "app", 2, [shot("key", 0), shot("key", 1, encrypts=1)]).changing


def test_an_unanswered_key_elsewhere_was_refused_if_another_came_back():
    missing = [shot("key", key, "none", None, None, 404, "") for key in (0, 1)]
    none = shot("fallback", 1, "none", None, None, 200, "")
    view = fold("a", "app", 2, [*missing, shot("fallback", 0, status=200, by=""), none])
    assert view.elsewhere == Elsewhere("key", 0, (True, False)) and view.status == 404
    assert not view.proven and view.accepts == (None, None)
    view = fold("a", "app", 2, [*missing, shot("fallback", 0, "none", None, None, 200, ""), none])
    assert view.elsewhere == Elsewhere("none", None, (None, None))


@pytest.mark.parametrize("by", [("", ""), ("a", ""), ("", "a"), ("b", "b"), ("a", "b"), ("b", "")])
def test_what_did_not_come_from_the_nodes_own_probe_location_is_no_evidence(by):
    shots = [shot("key", key, by=who) for key, who in enumerate(by)]
    view = fold("a", "app", 2, [*shots, shot("carry", None, source="b", by=by[1])], cipher="aes256", offset=Interval(0, 1))
    assert (view.proven, view.sealed, view.encrypts_with, view.accepts) == (False, "none", None, (None, None))
    assert (view.look, view.cipher, view.offset) == (None, "", None)
    assert view.carried == (Carried("b", True if by[1] == "a" else None),)
    assert view.strangers == ((identity("b"),) if "b" in by else ())
    assert (view.elsewhere is None) is ("b" in by)


def test_the_one_who_answers_in_place_of_a_node_is_named():
    views = [good("a", **UNSEEN, strangers=(identity("b"),)), *(good(node) for node in NODES[1:])]
    verdict = judge(question(), views)
    (told,) = verdict.findings
    assert (told.node, told.seen, told.expected) == ("a", "answers as b", "answers as a")
    assert verdict.keys[0].missing == verdict.keys[0].not_encrypting == ("a",)
    views[0] = good("a", **UNSEEN, strangers=(identity("elsewhere"),))
    assert judge(question(), views).findings[0].seen == "answers as a node that the group does not have"


@pytest.mark.parametrize(
    ("hint", "code"),
    [
        (Elsewhere("key", 0, (True, False)), "key_missing"),
        (Elsewhere("key", 1, (True, True)), "wrong_order"),
        (Elsewhere("key", 0, (True, True)), ""),
        (Elsewhere("key", 0, (None, None)), ""),
        (Elsewhere("plain", None, (None, None)), ""),
        (Elsewhere("unlisted_key", None, (None, None)), ""),
    ],
)
def test_what_else_answers_may_show_what_is_wrong_never_what_is_right(hint, code):
    verdict = judge(question(), [*(good(node) for node in NODES[:3]), good("d", **{**UNSEEN, "elsewhere": hint})])
    assert codes(verdict) == {("d", "probe_missing")} | ({("d", code)} if code else set())
    assert not verdict.passed and (verdict.keys[0].opens, verdict.keys[0].encrypts) == (3, 3)
