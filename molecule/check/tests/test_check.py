# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node gets a fault at a time: the check names it, says nothing of the two others, and exits accordingly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
import small_fleet

from tests import journey

FLEET = ("n1", "n2", "n3")
NODE = "n2"
# SessionCookieRemove On makes httpd 2.4.71 lose a session where a request is not denied: no other path could be asked.
SCOPE = journey.APP
SITE = "www.example.test"
CONF = "/etc/apache2/conf-available/mod-session-fleet.conf"
KEYS = "/etc/apache2/mod_session/passphrases"
RELOAD = "systemctl reload apache2"
BACKUP = "/run/check-backup"


@pytest.fixture(scope="module")
def keys():
    """The fleet with two keys."""
    keys = [*journey.fleet_keys(), journey.new_key()]
    run = journey.playbook("deploy", extra={"session_keys_passphrases": keys, "session_config_scopes": [SCOPE]})
    assert run.status == 0, run.output
    return keys


@pytest.fixture
def check(keys, tmp_path):
    """Runs the playbook; gives its exit status, the findings' codes by node, and the report."""

    def run(*words, scope=None, status=None, **extra):
        extra = {
            "session_keys_passphrases": keys,
            "session_config_scopes": [{**SCOPE, **(scope or {})}],
            "session_check_report_dir": str(tmp_path),
            "session_check_timeout": 4,
            **extra,
        }
        done = journey.playbook("check", *words, extra=extra)
        report = json.loads((tmp_path / "report.json").read_text())
        found = {}
        for item in report["findings"]:
            found.setdefault(item["node"], set()).add(item["code"])
        assert (done.status == 0) is report["passed"], done.output
        assert done.changed == 0
        for name in ("report.json", "report.html", "mod_session.prom"):
            text = (tmp_path / name).read_text()
            assert not any(key in text for key in keys)
        return found, report

    return run


@pytest.fixture
def node():
    """Changes one node, and puts it back."""
    journey.on(NODE, f"rm -rf {BACKUP} && cp -a /etc/apache2 {BACKUP}")
    yield lambda command: journey.on(NODE, command)
    journey.on(
        NODE,
        "pkill -CONT apache2; tc qdisc del dev eth0 root 2>/dev/null;"
        f"find /etc/apache2 -mindepth 1 -delete; cp -a {BACKUP}/. /etc/apache2/; rm -rf {BACKUP} /var/www/html/app"
        " /etc/systemd/system/apache2.service.d/clock.conf;"
        "systemctl daemon-reload; systemctl restart apache2",
    )


def edit(*words):
    """A sed command on the node's live configuration, then a reload."""
    scripts = " ".join("-e " + shlex.quote(word) for word in words)
    return f"sed -i {scripts} {CONF} && {RELOAD}"


def clock(shift):
    """Gives httpd another clock."""
    unit = (
        "[Service]\\nEnvironment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
        f" FAKETIME={shift} FAKETIME_DONT_FAKE_MONOTONIC=1\\n"
    )
    place = "/etc/systemd/system/apache2.service.d"
    return f"mkdir -p {place} && printf '{unit}' >{place}/clock.conf && systemctl daemon-reload && systemctl restart apache2"


OTHER = "q7Vn3ZkT0xLr5JcW8bYd2GhM9sPf4RuA6eXo1KtBzNi"
NARROWER = f"<Location /app/admin>\\nSessionCryptoPassphrase {OTHER}\\nSessionExpiryUpdateInterval 0\\n</Location>"

FAULTS = {
    # name: (what is done to the node, codes of the findings on it)
    "wrong key": (f"printf '%s\\n' {OTHER} >{KEYS}; {RELOAD}", {"wrong_key"}),
    "keys in another order": (f"tac {KEYS} >{KEYS}.t; cat {KEYS}.t >{KEYS}; rm {KEYS}.t; {RELOAD}", {"wrong_order"}),
    "old ring": (f"sed -i -e 1d {KEYS}; printf '%s\\n' {OTHER} >>{KEYS}; {RELOAD}", {"stale_ring"}),
    "a key is missing": (f"sed -i -e 2d {KEYS}; {RELOAD}", {"key_missing"}),
    "empty key file": (f": >{KEYS}; {RELOAD}", {"plain_text"}),
    "only a comment": (f"echo '# none' >{KEYS}; {RELOAD}", {"plain_text"}),
    "exec: that fails": (f"echo exec:/bin/false >{KEYS}; {RELOAD}", {"empty_key"}),
    "other cipher": (edit("s/aes256/aes128/"), {"wrong_cipher"}),
    "other cipher with other blocks": (edit("s/aes256/3des192/"), {"wrong_cipher"}),
    "unknown cipher": (edit("s/aes256/aes512/"), {"max_age_zero"}),
    "other max age": (edit("s/SessionMaxAge 3600/SessionMaxAge 1800/"), {"cookie_max_age"}),
    "max age 0": (edit("s/SessionMaxAge 3600/SessionMaxAge 0/"), {"max_age_zero"}),
    "sessions off": (edit("s/Session On/Session Off/"), {"sessions_off"}),
    "not Secure": (edit("s/;Secure//"), {"cookie_secure"}),
    "not HttpOnly": (edit("s/;HttpOnly//"), {"cookie_http_only"}),
    "other cookie name": (edit("s/SessionCookieName httpd-session/SessionCookieName sid/"), {"cookie_name"}),
    "no probe location": (edit("s/mod-session-probe/elsewhere/"), {"probe_missing"}),
    "5 s ahead": (clock("+5s"), {"clock_drift"}),
    "5 s behind": (clock("-5s"), {"clock_drift"}),
    "0.8 s ahead": (clock("+0.8s"), None),
    "2 s ahead": (clock("+2s"), {"clock_warn"}),
    "path with another key": (edit("$a" + NARROWER), {"path_cut_off"}),
    ".htaccess": (
        "mkdir -p /var/www/html/app/admin; echo 'SessionExclude /app/admin' >/var/www/html/app/admin/.htaccess;"
        "printf '<Directory /var/www/html/app>\\nAllowOverride AuthConfig\\n</Directory>\\n'"
        f" >>{CONF}; {RELOAD}",
        {"path_cut_off"},
    ),
    "server error": (edit("s/Require all denied/Redirect 503/"), {"server_error"}),
    "down": ("systemctl stop apache2", {"refused"}),
    "hangs": ("pkill -STOP apache2", {"timeout"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(fault, node, check):
    damage, expected = FAULTS[fault]
    node(damage)
    found, report = check(session_check_paths=["/app/admin/"])
    assert found == ({NODE: expected} if expected else {}), json.dumps(report["findings"], indent=1)
    if expected is None:
        assert report["status"] == "healthy"
    for key in report["keys"]:
        assert key["opens"] == 3 - len(key["missing"])


class Relay:
    """A way to the node that takes 300 ms in each direction, for kernels without netem."""

    def __init__(self, seconds):
        self.seconds, self.loop = seconds, asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.relay, "127.0.0.1", 0), self.loop)
        self.server = started.result(10)
        self.port = self.server.sockets[0].getsockname()[1]

    async def relay(self, reader, writer):
        there, back = await asyncio.open_connection(journey.addresses()[NODE], journey.PORT)
        await asyncio.gather(self.pump(reader, back), self.pump(there, writer))

    async def pump(self, source, target):
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await asyncio.sleep(self.seconds)
                target.write(data)
            target.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


@pytest.fixture
def far(node, tmp_path):
    """Puts the node 300 ms away; words for the playbook, that say where it is then."""
    try:
        node("tc qdisc add dev eth0 root netem delay 300ms")
    except AssertionError:
        relay = Relay(0.3)
    else:
        yield []
        return
    inventory = tmp_path / "far.yml"
    inventory.write_text(f"all: {{hosts: {{{NODE}: {{session_check_address: 127.0.0.1, session_check_port: {relay.port}}}}}}}\n")
    yield ["-i", str(inventory)]
    relay.close()


@pytest.mark.parametrize(
    ("shift", "possible"),
    [
        (0, [set()]),
        (0.8, [set()]),
        (-0.8, [set()]),
        (4.9, [{"clock_drift"}, {"clock_warn"}, {"clock_unknown"}]),
        (5.2, [{"clock_drift"}, {"clock_unknown"}]),
        (-5.2, [{"clock_drift"}, {"clock_unknown"}]),
        (6, [{"clock_drift"}]),
    ],
)
def test_a_clock_300_ms_away_is_judged_rightly_or_not_at_all(shift, possible, node, far, check):
    node(clock(f"{shift:+}s") if shift else "true")
    found, report = check(*far)
    assert found.get(NODE, set()) in possible and set(found) <= {NODE}
    if found == {NODE: {"clock_drift"}} and report["clock"]["verdict"] == "drifted":
        assert abs(shift) > 5
    row = next(row for row in report["details"] if row["node"] == NODE)
    # The containers share this machine's clock, so that the truth is known.
    assert row["clock"]["low"] <= shift + 0.001 and row["clock"]["high"] >= shift - 0.001


def test_drift_of_a_short_session(node, check):
    """1 % of 200 s is 2 s: what is tolerable for long sessions is not for short ones."""
    node(clock("+3s"))
    found, _report = check(scope={"max_age": 200})
    assert found[NODE] == {"cookie_max_age", "clock_drift"}


def test_healthy(check):
    found, report = check()
    assert found == {} and report["status"] == "healthy" and report["nodes"]["total"] == 3
    carried = [item for row in report["details"] for one in row["scopes"] for item in one["carried"]]
    assert sorted(item["from"] for item in carried) == list(FLEET) and all(item["lived"] for item in carried)


def test_every_pair_on_request(check):
    _found, report = check(session_check_matrix=True)
    pairs = {
        (item["from"], row["node"]): item["lived"]
        for row in report["details"] for one in row["scopes"] for item in one["carried"]
    }  # fmt: skip
    assert pairs == {(one, other): True for one in FLEET for other in FLEET if one != other}


def test_it_runs_in_check_mode(check):
    found, _report = check("--check", "--diff")
    assert found == {}


def test_limit_does_not_shrink_the_fleet(node, check):
    node(edit("s/;Secure//"))
    found, report = check("--limit", "n1")
    assert found == {NODE: {"cookie_secure"}} and report["nodes"]["total"] == 3


@pytest.mark.parametrize("fault", ["old ring", "exec: that fails", "other cipher", "no probe location", "0.8 s ahead"])
def test_from_the_nodes(fault, node, check):
    damage, expected = FAULTS[fault]
    node(damage)
    found, report = check(session_check_via="node", session_check_port=80)
    assert found == ({NODE: expected} if expected else {}), json.dumps(report["findings"], indent=1)
    assert report["via"] == "node"


def test_from_the_nodes_each_clock_is_its_own(node, check):
    node(clock("+7s"))
    found, _report = check(session_check_via="node", session_check_port=80)
    assert found == {NODE: {"clock_drift"}}


def test_from_the_nodes_one_is_unreachable(check, tmp_path):
    inventory = tmp_path / "unreachable.yml"
    inventory.write_text("all: {hosts: {n2: {ansible_port: 9}}}\n")
    found, report = check("-i", str(inventory), session_check_via="node", session_check_port=80)
    assert found == {NODE: {"not_asked"}} and report["keys"][0]["opens"] == 2


def test_from_the_nodes_limit_does_not_shrink_the_fleet(check):
    found, report = check("--limit", "n1,n3", session_check_via="node", session_check_port=80)
    assert found == {NODE: {"not_asked"}} and report["nodes"]["total"] == 3


def test_an_absent_node_may_be_down(node, check):
    node("systemctl stop apache2")
    found, report = check(session_check_absent=[NODE])
    assert found == {NODE: {"absent"}} and report["passed"] and report["nodes"]["absent"] == 1


def test_a_session_that_has_to_fit(check):
    assert check(session_check_payload=2983)[0] == {}
    assert check(session_check_payload=2984)[0] == {None: {"cookie_size"}}


@pytest.fixture(scope="module")
def tls(keys, tmp_path_factory):
    """The fleet behind TLS: the authority's file, and a function that gives a node another certificate."""
    folder = tmp_path_factory.mktemp("tls")
    authority = small_fleet.make_authority(folder)
    site = f"<VirtualHost *:443>\nServerName {SITE}\nSSLEngine On\nSSLCertificateFile /run/site.pem\n</VirtualHost>\n"

    def give(name, certificate):
        journey.on(name, "cat >/run/site.pem", stdin=certificate.read_text())
        journey.on(name, "cat >/etc/apache2/sites-enabled/tls.conf", stdin=site)
        journey.on(name, "a2enmod -q ssl >/dev/null && systemctl restart apache2")

    good = small_fleet.make_certificate(folder, SITE)
    for name in FLEET:
        give(name, good)
    yield authority, folder, give, good
    for name in FLEET:
        journey.on(name, "rm /etc/apache2/sites-enabled/tls.conf; a2dismod -q ssl >/dev/null; systemctl restart apache2")


def test_certificates(tls, check):
    authority, folder, give, good = tls
    asked = {"scope": {"scheme": "https", "virtual_host": SITE}, "session_check_port": 20443}
    trusting = {**asked, "session_check_ca": str(authority)}
    assert check(**trusting)[0] == {}
    assert check(**asked)[0] == {name: {"tls_certificate"} for name in FLEET}
    node_side = {**trusting, "session_check_via": "node", "session_check_port": 443}
    assert check(**node_side)[0] == {}
    give(NODE, small_fleet.make_certificate(folder, "www.example.org"))
    assert check(**trusting)[0] == {NODE: {"tls_certificate"}}
    assert check(**node_side)[0] == {NODE: {"tls_certificate"}}
    subprocess.run(["openssl", "x509", "-in", str(good), "-noout"], check=True)
    give(NODE, good)
    plain = check(**{**asked, "scope": {}, "session_check_port": 20443})[0]
    assert all("probe_missing" in codes for codes in plain.values()) and set(plain) == set(FLEET)
