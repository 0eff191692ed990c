# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole checks against a real httpd with many addresses: each fault by its name, and nothing said of the others."""

from __future__ import annotations

import contextlib
import sqlite3
import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_fleet as fleet
from small_fleet import KEYS, OLD_KEY, OTHER_KEY, Member, databases, stored

from plugins.module_utils import clock
from plugins.module_utils.question import Key, Question
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import Verdict, judge
from plugins.plugin_utils.prober import Plan, Prober
from plugins.plugin_utils.wire import Wire, WireError

pytestmark = pytest.mark.skipif(bool(fleet.NO_HTTPD), reason=fleet.NO_HTTPD or "httpd is here")

needs_sqlite = pytest.mark.skipif(fleet.SQLITE is None, reason="apr-util's driver for SQLite is not installed")
DENIED = "    <If"  # the probe location begins here


def without_probe(text: str = "") -> tuple[str, str]:
    return ("mod-session-probe", "elsewhere")


FAULTS = {
    # name: (the faulty node, the findings on it)
    "wrong_key": (Member("127.0.1.11", keys=OTHER_KEY), {"wrong_key"}),
    "other_order": (Member("127.0.1.12", keys=f"{KEYS[1]}\n{KEYS[0]}\n"), {"wrong_order"}),
    "stale_node": (Member("127.0.1.13", keys=f"{KEYS[1]}\n{OLD_KEY}\n"), {"stale_ring"}),
    "key_missing": (Member("127.0.1.14", keys=KEYS[0]), {"key_missing"}),
    "empty_key_file": (Member("127.0.1.15", keys="# nothing\n"), {"plain_text"}),
    "exec_that_fails": (Member("127.0.1.16", keys="exec:/bin/false\n"), {"empty_key"}),
    "aes128": (Member("127.0.1.17", {"cipher": "aes128"}), {"wrong_cipher"}),
    "3des192": (Member("127.0.1.18", {"cipher": "3des192", "allow_insecure": True}), {"wrong_cipher"}),
    "other_max_age": (Member("127.0.1.19", {"max_age": 1800}), {"cookie_max_age"}),
    "not_secure": (Member("127.0.1.20", {"secure": False, "allow_insecure": True}), {"cookie_secure"}),
    "not_http_only": (Member("127.0.1.21", {"http_only": False, "allow_insecure": True}), {"cookie_http_only"}),
    "other_same_site": (Member("127.0.1.22", {"same_site": "Strict"}), {"cookie_same_site"}),
    "other_path": (Member("127.0.1.23", {"cookie_path": "/"}), {"cookie_path"}),
    "other_domain": (Member("127.0.1.24", {"cookie_domain": "example.com"}), {"cookie_domain"}),
    "other_name": (Member("127.0.1.25", {"cookie_name": "sid"}), {"cookie_name"}),
    "max_age_zero": (Member("127.0.1.26", replace=(("SessionMaxAge 3600", "SessionMaxAge 0"),)), {"max_age_zero"}),
    "unknown_cipher": (
        Member("127.0.1.27", replace=(("SessionCryptoCipher aes256", "SessionCryptoCipher aes257"),)),
        {"max_age_zero"},
    ),
    "sessions_off": (Member("127.0.1.28", replace=(("Session On", "Session Off"),)), {"sessions_off"}),
    "no_probe_location": (Member("127.0.1.29", replace=(without_probe(),)), {"probe_missing"}),
    "no_probe_location_wrong_key": (Member("127.0.1.30", keys=OTHER_KEY, replace=(without_probe(),)), {"probe_missing"}),
    "no_probe_location_key_missing": (
        Member("127.0.1.31", keys=KEYS[0], replace=(without_probe(),)),
        {"probe_missing", "key_missing"},
    ),
    "all_missing": (
        Member("127.0.1.36", replace=(without_probe(), ("Session On", "Session Off"))),
        {"probe_missing"},
    ),
    "redirect": (
        Member("127.0.1.32", replace=(("Require all denied", 'Redirect 302 "https://www.example.com/app"'),)),
        {"redirected"},
    ),
    "server_error": (Member("127.0.1.33", replace=(("Require all denied", "Redirect 503"),)), {"server_error"}),
    "path_with_other_key": (
        Member(
            "127.0.1.34",
            replace=(
                (
                    DENIED,
                    "    <If \"%{REQUEST_URI} == '/app/admin'\">\n    SessionCryptoPassphrase "
                    f"{OTHER_KEY}\n    SessionExpiryUpdateInterval 0\n    </If>\n{DENIED}",
                ),
            ),
        ),
        {"path_cut_off"},
    ),
    "path_without_session": (
        Member(
            "127.0.1.35",
            replace=((DENIED, f"    <If \"%{{REQUEST_URI}} == '/app/admin'\">\n    Session Off\n    </If>\n{DENIED}"),),
        ),
        {"path_cut_off"},
    ),
}
HEALTHY = [Member("127.0.1.1"), Member("127.0.1.2"), Member("127.0.1.3")]


def check(members, port, scope=None, more=(), tls=None, **plan) -> Verdict:
    scopes = parse_scopes([{**fleet.SCOPE, "port": port, **(scope or {})}])
    nodes = [member.node for member in members] + list(more)
    keys = tuple(Key("", "primary" if key == KEYS[0] else "secondary") for key in KEYS)
    prober = Prober(Plan(scopes, KEYS, tls=tls, timeout=5, paths={"app": ("/app/admin",)}, **plan))
    views = prober.run(nodes)
    limits = clock.limits(min(item.max_age for item in scopes))
    return judge(Question(tuple(node.name for node in nodes), scopes, keys, limits), views)


def findings(verdict: Verdict) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in verdict.findings:
        found.setdefault(item.node, set()).add(item.code)
    return found


@pytest.fixture(scope="module")
def port():
    port = fleet.free_port()
    with fleet.running(HEALTHY + [member for member, _ in FAULTS.values()], port):
        yield port


def test_a_healthy_fleet(port):
    verdict = check(HEALTHY, port)
    assert findings(verdict) == {}
    assert verdict.status == "healthy" and verdict.passed
    assert [(count.opens, count.encrypts) for count in verdict.keys] == [(3, 3), (3, 0)]
    assert verdict.clocks.verdict == clock.OK
    assert verdict.clocks.spread.high < clock.SECOND
    assert all(0 in offset for offset in verdict.clocks.offsets.values())
    assert not verdict.clocks.coarse


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_in_a_healthy_fleet(port, name):
    member, expected = FAULTS[name]
    verdict = check([*HEALTHY, member], port)
    assert findings(verdict) == {member.address: expected}
    assert verdict.nodes[HEALTHY[0].address] == "healthy"


def test_all_faults_at_once(port):
    verdict = check([*HEALTHY, *(member for member, _ in FAULTS.values())], port)
    assert findings(verdict) == {member.address: expected for member, expected in FAULTS.values()}


def test_every_pair_is_carried_on_request(port):
    scopes = parse_scopes([{**fleet.SCOPE, "port": port}])
    views = Prober(Plan(scopes, KEYS, carry="matrix")).run([member.node for member in HEALTHY])
    pairs = {(carried.source, view.node): carried.lived for view in views for carried in view.carried}
    names = [member.address for member in HEALTHY]
    assert pairs == {(one, other): True for one in names for other in names if one != other}


def test_a_ring_is_carried_by_default(port):
    scopes = parse_scopes([{**fleet.SCOPE, "port": port}])
    views = Prober(Plan(scopes, KEYS)).run([member.node for member in HEALTHY])
    assert sorted(carried.source for view in views for carried in view.carried) == [m.address for m in HEALTHY]
    assert all(len(view.carried) == 1 and view.carried[0].lived for view in views)


def test_a_revoked_key_that_is_still_accepted(port):
    scopes = parse_scopes([{**fleet.SCOPE, "port": port}])
    nodes = [HEALTHY[0].node, FAULTS["key_missing"][0].node]
    views = Prober(Plan(scopes, KEYS)).run(nodes)
    question = Question(tuple(node.name for node in nodes), scopes, (Key("", "primary"), Key("", "revoked")), clock.limits(3600))
    assert findings(judge(question, views)) == {HEALTHY[0].address: {"revoked_key"}}


@pytest.mark.skipif(fleet.FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize(
    ("shift", "expected", "verdict"),
    [
        ("+5.5s", {"clock_drift"}, clock.DRIFTED),
        ("-5.5s", {"clock_drift"}, clock.DRIFTED),
        ("+0.8s", set(), clock.OK),
        ("+2s", {"clock_warn"}, clock.WARNED),
    ],
)
def test_clocks(shift, expected, verdict):
    member, port = Member("127.0.1.4", shift=shift), fleet.free_port()
    with fleet.running([*HEALTHY, member], port):
        seen = check([*HEALTHY, member], port)
    assert findings(seen) == ({member.address: expected} if expected else {})
    assert seen.clocks.verdict == verdict
    truth = int(float(shift[:-1]) * clock.SECOND)
    assert truth in seen.clocks.offsets[member.address]


def test_tls(tmp_path):
    authority = fleet.make_authority(tmp_path)
    good = fleet.make_certificate(tmp_path, "www.example.com")
    wrong_name = fleet.make_certificate(tmp_path, "www.example.org")
    members = [Member(member.address, certificate=str(good)) for member in HEALTHY]
    bad = Member("127.0.1.5", certificate=str(wrong_name))
    context = ssl.create_default_context(cafile=str(authority))
    port = fleet.free_port()
    with fleet.running([*members, bad], port, tls=True):
        scope = {"scheme": "https", "virtual_host": "www.example.com"}
        verdict = check([*members, bad], port, scope, tls=context)
        assert findings(verdict) == {bad.address: {"tls_certificate"}}
        assert verdict.clocks.spread.high < clock.SECOND
        untrusted = check(members, port, scope, tls=ssl.create_default_context())
        assert set().union(*findings(untrusted).values()) == {"tls_certificate"}
        plain = check(members, port, {"scheme": "http"})
        assert set().union(*findings(plain).values()) == {"probe_missing"}


@needs_sqlite
@pytest.mark.parametrize("carry", ["ring", "matrix"])
def test_sessions_in_a_database(carry):
    members = [stored(f"127.0.1.{last}") for last in (1, 2, 3)]
    faults = {
        "127.0.1.4": (stored("127.0.1.4", "another"), "store_not_shared"),
        "127.0.1.5": (stored("127.0.1.5", keys=OTHER_KEY), "wrong_key"),
        "127.0.1.6": (Member("127.0.1.6"), "store_in_cookies"),
        "127.0.1.7": (stored("127.0.1.7", "no-table"), "store_unreachable"),
        "127.0.1.8": (stored("127.0.1.8", keys=f"{KEYS[1]}\n{KEYS[0]}\n"), "wrong_order"),
        "127.0.1.9": (
            stored("127.0.1.9", replace=(("DBDCookieName httpd-session Path=/app", "DBDCookieName httpd-session Path=/"),)),
            "cookie_path",
        ),
        "127.0.1.10": (stored("127.0.1.10", keys=KEYS[0]), "key_missing"),
        "127.0.1.11": (stored("127.0.1.11", replace=(without_probe(),)), "probe_missing"),
        "127.0.1.12": (stored("127.0.1.12", replace=(("    SessionCookieName", "    #"),)), "bad_cookie"),
    }
    port = fleet.free_port()
    with databases([*members, *(member for member, _code in faults.values())], port, "shared", "another"):
        verdict = check_stored(members, port, carry=carry)
        assert findings(verdict) == {} and verdict.rooms == ()
        assert [(count.opens, count.encrypts) for count in verdict.keys] == [(3, 3), (3, 0)]
        assert verdict.clocks.verdict == clock.OK and not verdict.clocks.coarse
        for address, (member, code) in faults.items():
            # Also as the first one, whose rows the others are shown.
            assert findings(check_stored([*members, member], port, carry=carry)) == {address: {code}}
            assert findings(check_stored([member, *members], port, carry=carry)) == {address: {code}}
        everyone = [member for member, _code in faults.values()] + members
        seen = findings(check_stored(everyone, port, carry=carry))
        assert {address: code for address, (_member, code) in faults.items()}.items() <= {
            address: min(codes) for address, codes in seen.items()}.items()  # fmt: skip
        assert set(seen) == set(faults)
        assert findings(check_stored(members[:1], port, carry=carry)) == {}


@needs_sqlite
def test_a_database_that_is_out_is_no_fault_of_nodes():
    members, port = [stored(f"127.0.1.{last}") for last in (1, 2, 3)], fleet.free_port()
    with databases(members, port):
        verdict = check_stored(members, port)
        assert findings(verdict) == {"": {"store_down"}} and set(verdict.nodes.values()) == {"failed"}
        assert findings(check_stored(members[:1], port)) == {"127.0.1.1": {"store_unreachable"}}
    with databases(members, port, "shared") as folder:
        assert findings(check_stored(members, port)) == {}
        with contextlib.closing(sqlite3.connect(folder / "shared.db")) as rows, rows:
            rows.execute("create trigger no_reading before update on session begin select raise(abort, 'no'); end")
        # It comes out where a row is shown.
        assert findings(check_stored(members, port)) == {"": {"store_down"}}


@needs_sqlite
@pytest.mark.parametrize("carry", ["ring", "matrix"])
def test_a_node_that_should_keep_sessions_in_cookies(carry):
    left_behind, port = stored("127.0.1.4"), fleet.free_port()
    with databases([*HEALTHY, left_behind], port, "shared"):
        scopes = parse_scopes([{**fleet.SCOPE, "port": port}])
        nodes = [member.node for member in (*HEALTHY, left_behind)]
        views = Prober(Plan(scopes, KEYS, timeout=5, carry=carry)).run(nodes)
    keys = (Key("", "primary"), Key("", "secondary"))
    verdict = judge(Question(tuple(node.name for node in nodes), scopes, keys, clock.limits(3600)), views)
    assert findings(verdict) == {left_behind.address: {"store_in_database"}}


@needs_sqlite
def test_a_database_that_hangs_is_no_node_that_hangs(monkeypatch):
    members, port, ask = [stored(f"127.0.1.{last}") for last in (1, 2, 3)], fleet.free_port(), Wire.ask

    async def hang(self, request):
        if b"?store" in request and self._target.address == "127.0.1.2":
            raise WireError("timeout", "no answer in 5 s")
        return await ask(self, request)

    monkeypatch.setattr(Wire, "ask", hang)
    with databases(members, port, "shared"):
        verdict = check_stored(members, port)
    assert findings(verdict) == {"127.0.1.2": {"store_unreachable"}} and verdict.keys[0].opens == 3
    assert verdict.findings[0].seen == "gives no answer where a row is to be written: no answer in 5 s"


@needs_sqlite
def test_a_database_that_nobody_shares():
    members, port = [stored(f"127.0.1.{last}", f"own{last}") for last in (1, 2)], fleet.free_port()
    with databases(members, port, "own1", "own2"):
        assert findings(check_stored(members, port)) == {member.address: {"store_not_shared"} for member in members}
        assert findings(check_stored(members, port, carry="none")) == {}


def check_stored(members, port, **plan):
    scopes = parse_scopes([{**fleet.SCOPE, "store": "dbd", "port": port}])
    nodes = [member.node for member in members]
    # One after the other: SQLite says that it is locked where several use it at once.
    views = Prober(Plan(scopes, KEYS, timeout=5, concurrency=1, **plan)).run(nodes)
    keys = (Key("", "primary"), Key("", "secondary"))
    return judge(Question(tuple(node.name for node in nodes), scopes, keys, clock.limits(3600)), views)


def test_a_session_that_is_loaded_twice_is_no_path_of_its_own():
    """SessionCookieRemove On: httpd 2.4.71 loses the session where a request is not denied, others do not."""
    member, port = Member("127.0.1.7", {"directives": ["SessionCookieRemove On"]}), fleet.free_port()
    with fleet.running([member], port) as (server,):
        (Path(server._root) / "pages" / "app").mkdir()
        (Path(server._root) / "pages" / "app" / "admin").write_text("hello\n")
        assert findings(check([member], port)) in ({}, {member.address: {"loaded_twice"}})
