# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites that are reached only as their load balancer reaches them, on a real httpd and behind a real HAProxy.

Each is asked in all three ways: by the check from the controller, by the module on a node, and by a deploy's live proof.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_fleet as fleet
from small_fleet import KEYS, Member

from plugins.module_utils import clock, live
from plugins.module_utils.clock import Interval
from plugins.module_utils.http_client import load_identity
from plugins.module_utils.live import ScopeProbe
from plugins.module_utils.node import Node as Machine
from plugins.module_utils.probe import identity
from plugins.module_utils.question import Key, Question
from plugins.module_utils.scopes import ScopeError, parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils import node_side
from plugins.plugin_utils.identities import read_identities
from plugins.plugin_utils.prober import Node, Plan, Prober

from .test_check_on_nodes import module

__all__ = ["module"]
pytestmark = pytest.mark.skipif(bool(fleet.NO_HTTPD), reason=fleet.NO_HTTPD or "httpd is here")

SITE = "www.example.com"
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
REQUIRED = "SSLVerifyClient require\nSSLCACertificateFile {ca}\nSSLProtocol %s"
EVASIVE = None if fleet.NO_HTTPD else next(fleet.real_httpd.find()[1].glob("mod_evasive20.so"), None)
REDIRECT = "RewriteEngine On\nRewriteCond %s\nRewriteRule ^ %s://www.example.com%%{REQUEST_URI} [R=301,L]"
BEHIND_TLS = REDIRECT % ("%{HTTP:X-Forwarded-Proto} !=https", "https")
BY_NAME = REDIRECT % ("%{HTTP_HOST} !=www.example.com", "http")
PROXY = "RemoteIPProxyProtocol On"
OWN = {"client_certificate": "{client}", "client_key": "{client}"}
ASKS_FOR_ONE = "set reach.client_certificate and reach.client_key"

# Whether there is TLS, the address, what the site has, what reaches it, and what is said without.
SITES = {
    "client certificate, TLS 1.3": (True, "127.0.5.1", REQUIRED % "TLSv1.3", OWN, ASKS_FOR_ONE),
    "client certificate, TLS 1.2": (True, "127.0.5.1", REQUIRED % "TLSv1.2", OWN, ASKS_FOR_ONE),
    "PROXY 1": (False, "127.0.5.1", PROXY, {"proxy_protocol": 1}, "set reach.proxy_protocol"),
    "PROXY 2": (False, "127.0.5.1", PROXY, {"proxy_protocol": 2}, "set reach.proxy_protocol"),
    "PROXY 1, IPv6": (False, "[::1]", PROXY, {"proxy_protocol": 1}, "set reach.proxy_protocol"),
    "PROXY 2, IPv6": (False, "[::1]", PROXY, {"proxy_protocol": 2}, "set reach.proxy_protocol"),
    "PROXY 1, TLS": (True, "127.0.5.1", PROXY, {"proxy_protocol": 1}, "set reach.proxy_protocol"),
    "PROXY 2, TLS": (True, "127.0.5.1", PROXY, {"proxy_protocol": 2}, "set reach.proxy_protocol"),
    "no PROXY": (False, "127.0.5.1", "", {}, "reach.proxy_protocol is 2"),
    "no PROXY, TLS": (True, "127.0.5.1", "", {}, "reach.proxy_protocol is 1"),
}
# What makes those two fail that need nothing.
TOO_MUCH = {"no PROXY": {"proxy_protocol": 2}, "no PROXY, TLS": {"proxy_protocol": 1}}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = fleet.make_authority(folder)
    return {"ca": authority, "client": fleet.make_certificate(folder, "client.example.com"),
            "site": fleet.make_certificate(folder, SITE), "folder": folder}


def scopes_for(files, port, tls, reach):
    given = {name: str(value).format(**files) if isinstance(value, str) else value for name, value in reach.items()}
    scope = {**fleet.SCOPE, "port": port, "scheme": "https" if tls else "http", "reach": {"server_name": SITE, **given}}
    return parse_scopes(read_identities([scope]))


def context(files, scope):
    found = ssl.create_default_context(cafile=str(files["ca"]))
    if scope.reach.client_certificate:
        load_identity(found, scope.reach.client_certificate, scope.reach.client_key)
    return found


def check(files, module, scopes, address):
    """The findings of a check from here, of one through the node, and the problems of a deploy's live proof."""
    (scope,) = scopes
    node = Node(address, address)
    question = Question((address,), scopes, (Key("", "primary"), Key("", "secondary")), clock.limits(3600))
    plan = Plan(scopes, KEYS, tls=context(files, scope), timeout=5)
    from_here = judge(question, Prober(plan).run([node]))

    prober = Prober(plan)
    shots = node_side.key_shots(prober)
    sending = json.loads(json.dumps(node_side.requests(prober, node, shots, files["ca"].read_text())))
    answers = module.ask_all(sending, 5, module.SteadyClock())
    shots = json.loads(json.dumps([{**shot, "answer": answer} for shot, answer in zip(shots, answers)]))
    on_node = judge(question, asyncio.run(node_side.views(prober, node, shots, Interval(-1000, 1000), None)))

    cookies = tuple(prober.probe(scope, key, False) for key in range(len(KEYS)))
    sealed = ScopeProbe(scope, prober.marker, cookies, identity(address))
    proof = live.problems(Machine("none"), [sealed], KEYS, live.Way(), only_keys=True)
    return [from_here.findings, on_node.findings, proof]


def words(found):
    """All that is told to a person."""
    return " ".join(item if isinstance(item, str) else f"{item.code} {item.seen} {item.remedy}" for item in found)


@pytest.mark.parametrize("name", SITES)
def test_a_site_is_reached_in_all_ways_or_the_option_is_named(files, module, name):
    tls, address, more, needed, said = SITES[name]
    port = fleet.free_port()
    member = Member(address, more=more.format(**files), certificate=str(files["site"]), name=SITE)
    with fleet.running([member], port, tls):
        without = check(files, module, scopes_for(files, port, tls, TOO_MUCH.get(name, {})), address)
        with_it = check(files, module, scopes_for(files, port, tls, needed), address)
    for found in without:
        assert said in words(found), found
    assert with_it == [(), (), []]


@pytest.mark.parametrize(("more", "needed", "said"), [
    (BEHIND_TLS, {"headers": {"X-Forwarded-Proto": "https"}}, "reach.headers"),
    (BY_NAME, {"server_name": SITE}, "reach.server_name"),
])
def test_a_redirect_names_the_option(files, module, more, needed, said):
    port = fleet.free_port()
    with fleet.running([Member("127.0.5.1", more=more, name=SITE)], port):
        # Where the answer is the probe location's own all the same, nothing is amiss.
        for found in check(files, module, scopes_for(files, port, False, {"server_name": ""}), "127.0.5.1"):
            assert not found or said in words(found), found
        assert check(files, module, scopes_for(files, port, False, needed), "127.0.5.1") == [(), (), []]


@pytest.mark.skipif(EVASIVE is None, reason="mod_evasive is not installed")
def test_mod_evasive_blocks_probes_and_nothing_is_logged_that_fail2ban_bans_for(files, module):
    port = fleet.free_port()
    with fleet.running([Member("127.0.5.1", more="DOSPageCount 2", name=SITE)], port) as (server,):
        for _check in range(3):
            assert check(files, module, scopes_for(files, port, False, {}), "127.0.5.1") == [(), (), []]
        assert "denied" not in server.error_log()
        assert server.get("/index.html").status in (200, 403)


def test_a_certificate_of_nobody_known_is_named(files, module, tmp_path):
    fleet.make_authority(tmp_path)
    stranger = fleet.make_certificate(tmp_path, "stranger.example.com")
    for version in ("TLSv1.2", "TLSv1.3"):
        port = fleet.free_port()
        more = (REQUIRED % version).format(**files)
        with fleet.running([Member("127.0.5.1", more=more, certificate=str(files["site"]), name=SITE)], port, True):
            reach = {"client_certificate": str(stranger), "client_key": str(stranger)}
            for found in check(files, module, scopes_for(files, port, True, reach), "127.0.5.1"):
                assert "does not take reach.client_certificate" in words(found), found


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed")
@pytest.mark.parametrize("version", [1, 2])
def test_what_haproxy_says_and_understands_is_what_we_say(files, module, tmp_path, version):
    """httpd takes the PROXY protocol from HAProxy and from us alike; HAProxy takes it from us."""
    port, plain, front, takes = (fleet.free_port() for _ in range(4))
    send = "send-proxy-v2" if version == 2 else "send-proxy"
    (tmp_path / "haproxy.cfg").write_text(f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen sends
    bind 127.0.5.1:{front}
    server web 127.0.5.1:{port} {send}
listen takes
    bind 127.0.5.1:{takes} accept-proxy
    server web 127.0.5.2:{plain}
""")
    with (
        fleet.running([Member("127.0.5.1", more=PROXY, name=SITE)], port),
        fleet.running([Member("127.0.5.2", name=SITE)], plain),
        haproxy(tmp_path / "haproxy.cfg", takes),
    ):
        spoken = {"proxy_protocol": version}
        for name, at, reach in (("127.0.5.1", front, {}), ("127.0.5.1", port, spoken), ("127.0.5.2", takes, spoken)):
            scopes = scopes_for(files, at, False, reach)
            prober = Prober(Plan(scopes, KEYS, timeout=5))
            (view,) = prober.run([Node(name, "127.0.5.1")])
            assert view.fault is None and view.status == 403 and view.sealed == "key" and view.accepts == (True, True), (at, view)


@contextlib.contextmanager
def haproxy(config, port):
    process = subprocess.Popen([HAPROXY, "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end and process.poll() is None:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.5.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(("certificate", "key", "said"), [
    ("/nonexistent.pem", "{client}", "reach.client_certificate: /nonexistent.pem: No such file or directory"),
    ("{ca}", "{client}", "reach.client_key: certificate and key cannot be used (key values mismatch)"),
    ("{client}", "{locked}", "reach.client_key: certificate and key cannot be used"),
    ("{client}", "{text}", "is no PEM file"),
])
def test_a_certificate_that_cannot_be_used_is_refused_before_anything_is_asked(files, tmp_path, certificate, key, said):
    locked, text = tmp_path / "locked.pem", tmp_path / "text.pem"
    text.write_text("no key\n")
    subprocess.run(["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", files["folder"] / "client.example.com.key", "-out",
                    locked], check=True, capture_output=True)
    reach = {name: value.format(**files, locked=locked, text=text)
             for name, value in (("client_certificate", certificate), ("client_key", key))}
    with pytest.raises(ScopeError) as caught:
        read_identities([{**fleet.SCOPE, "scheme": "https", "reach": reach}])
    assert said in str(caught.value) and "PRIVATE" not in str(caught.value)


def test_a_key_leaves_no_file(files, monkeypatch):
    """Wherever a context gets a certificate and a key, they have no name in a file system."""
    text = files["client"].read_text()
    opened = []

    def load(_self, *names, **_more):
        opened.extend(map(os.path.realpath, names))

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), text, text)
    assert len(opened) == 2 and all("(deleted)" in name for name in opened)
    assert "PRIVATE" not in repr(scopes_for(files, 1, True, OWN)[0])
