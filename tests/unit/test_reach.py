# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the option reach takes, what is sent because of it, and that its secrets are shown nowhere."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils.reach import PLAIN, Reach, hint, host_header, host_of, parse_reach, proxy_header, request, status_hint
from plugins.module_utils.scopes import ScopeError, parse_scopes, with_secrets, without_secrets

SECRET = "TEST-ONLY-token-of-a-load-balancer"
SCOPE = {"name": "app", "path": "/app", "scheme": "https"}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(("raw", "expected"), [
    (None, PLAIN),
    ({}, PLAIN),
    ({"headers": {}, "server_name": "", "proxy_protocol": None, "client_key": ""}, PLAIN),
    ({"headers": {"X-Forwarded-Proto": "https", "X-Forwarded-Port": 443}},
     Reach((("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443")))),
    ({"headers": {"User-Agent": "probe \xe9"}}, Reach((("User-Agent", "probe \xe9"),))),
    ({"server_name": "WWW.Example.com:8443"}, Reach(server_name="www.example.com:8443")),
    ({"server_name": "my_site.example.com"}, Reach(server_name="my_site.example.com")),
    ({"proxy_protocol": "2"}, Reach(proxy_protocol=2)),
    ({"client_certificate": "probe.pem", "client_key": PEM}, Reach(client_certificate="probe.pem", client_key=PEM)),
])  # fmt: skip
def test_what_is_taken(raw, expected):
    assert parse_reach(raw) == expected


@pytest.mark.parametrize(("raw", "said"), [
    ([], "reach: expected a dictionary, found list"),
    ({"header": {}}, "reach: unknown option header; known are headers, server_name, proxy_protocol"),
    ({"headers": ["a"]}, "reach.headers: expected a dictionary of names and values, found list"),
    ({"headers": {f"X-{number}": "y" for number in range(33)}}, "reach.headers: expected at most 32 of them, found 33"),
    ({"headers": {"X Y": "z"}}, "reach.headers: expected the name of a request header, found 'X Y'"),
    ({"headers": {"X\r\nY": "z"}}, "reach.headers: expected the name"),
    ({"headers": {1: "z"}}, "reach.headers: expected the name"),
    ({"headers": {"host": "x"}}, "reach.headers: Host is sent by itself: set reach.server_name"),
    ({"headers": {"Cookie": "x"}}, "reach.headers: Cookie is the client's own"),
    ({"headers": {"content-length": 5}}, "reach.headers: content-length is the client's own"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "is the client's own"),
    ({"headers": {"X-A": "1", "x-a": "2"}}, "reach.headers: x-a is there twice"),
    *(({"headers": {"X-A": value}}, "reach.headers: expected as value of X-A")
      for value in (f"{SECRET}\r\nX: y", f"{SECRET}\0", f" {SECRET}", f"{SECRET} ", f"{SECRET}\u20ac", SECRET * 1000, "", None,
                    True, 1.5, [SECRET])),
    ({"server_name": "http://x"}, "reach.server_name: expected a host name"),
    ({"server_name": "x:0"}, "reach.server_name: expected a port from 1 to 65535"),
    ({"server_name": "x:70000"}, "reach.server_name: expected a port from 1 to 65535"),
    ({"server_name": "x\n"}, "reach.server_name: expected a host name"),
    ({"server_name": 5}, "reach.server_name: expected a host name"),
    *(({"proxy_protocol": value}, "reach.proxy_protocol: expected 0 (not spoken), 1 or 2")
      for value in (3, -1, "v2", True, 1.5, [1])),
    ({"client_certificate": "a.pem"}, "reach.client_key: is missing"),
    ({"client_key": "a.pem"}, "reach.client_certificate: is missing"),
    ({"client_certificate": "a.pem", "client_key": [SECRET]}, "reach.client_key: expected the name of a PEM file"),
    ({"client_certificate": "a.pem", "client_key": f"{SECRET}\n"}, "reach.client_key: expected the name of a PEM file"),
])  # fmt: skip
def test_what_is_refused_and_that_no_secret_is_shown(raw, said):
    with pytest.raises(ScopeError) as caught:
        parse_scopes([{**SCOPE, "reach": raw}])
    text = str(caught.value)
    assert (text.startswith("session_config_scopes [app] reach") and said in text.replace("reach ", "reach: ")) or said in text
    assert SECRET not in text


def test_a_certificate_is_for_tls():
    with pytest.raises(ScopeError, match=r"reach\.client_certificate: is shown in a TLS handshake only: set scheme: https"):
        parse_scopes([{"name": "app", "path": "/app", "reach": {"client_certificate": "a", "client_key": "a"}}])


def test_secrets_are_in_no_text_of_a_scope_and_travel_apart():
    raw = [{**SCOPE, "reach": {"headers": {"X-Token": SECRET}, "client_certificate": PEM + SECRET, "client_key": PEM + SECRET}}]
    scopes = parse_scopes(raw)
    assert SECRET not in repr(scopes)
    bare, apart = without_secrets(raw)
    assert SECRET not in json.dumps(bare) and SECRET in apart
    assert parse_scopes(with_secrets(json.loads(json.dumps(bare)), apart)) == scopes


def test_a_request_as_it_is_sent():
    assert request("/x", "www.example.com", "sid=v", (("user-agent", "me"), ("X-A", "b")), close=True) == (
        b"GET /x HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\nuser-agent: me\r\nX-A: b\r\nCookie: sid=v\r\n"
        b"Connection: close\r\n\r\n")
    assert b"Cookie" not in request("/x", "x", "")


V4, V6 = ("192.0.2.1", 4711), ("2001:db8::1", 4711, 0, 0)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


@pytest.mark.parametrize(("version", "source", "destination", "expected"), [
    (0, V4, V4, b""),
    (1, V4, ("192.0.2.9", 443), b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 443\r\n"),
    (1, V6, ("fe80::1%eth0", 443, 0, 2), b"PROXY TCP6 2001:db8::1 fe80::1 4711 443\r\n"),
    (1, ("::ffff:192.0.2.1", 4711, 0, 0), ("::ffff:192.0.2.9", 443, 0, 0), b"PROXY TCP4 192.0.2.1 192.0.2.9 4711 443\r\n"),
    (2, V4, ("192.0.2.9", 443), SIGNATURE + b"\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x09\x12\x67\x01\xbb"),
    (2, V6, ("::1", 443, 0, 0),
     SIGNATURE + b"\x21\x21\x00\x24\x20\x01\x0d\xb8" + bytes(11) + b"\x01" + bytes(15) + b"\x01\x12\x67\x01\xbb"),
])  # fmt: skip
def test_the_proxy_protocol_as_its_specification_has_it(version, source, destination, expected):
    assert proxy_header(version, source, destination) == expected


@pytest.mark.parametrize(("name", "address", "port", "tls", "expected"), [
    ("www.example.com", "192.0.2.1", 8443, True, "www.example.com"),
    ("www.example.com:9", "192.0.2.1", 8443, True, "www.example.com:9"),
    ("", "192.0.2.1", 443, True, "192.0.2.1"),
    ("", "192.0.2.1", 443, False, "192.0.2.1:443"),
    ("", "::1", 80, False, "[::1]"),
    ("", "[fe80::1%eth0]", 8080, False, "[fe80::1]:8080"),
    ("", "b\xfccher.example", 80, False, "xn--bcher-kva.example"),
    ("", "w\u0119b\u2028\r\nX: y", 80, False, "[w?b???X:?y]"),
])  # fmt: skip
def test_host_is_the_sites_name_or_the_address(name, address, port, tls, expected):
    assert host_header(name, address, port, tls) == expected
    assert host_of(address).isascii()


CERTIFIED = Reach(client_certificate="a", client_key="b")
SPOKEN = Reach(proxy_protocol=2)


@pytest.mark.parametrize(("reach", "tls", "kind", "detail", "said"), [
    (PLAIN, True, "tls_handshake", "tlsv13 alert certificate required", "This server asks for a client certificate"),
    (PLAIN, True, "tls_handshake", "sslv3 alert handshake failure", "if this one does, set reach.client_certificate"),
    (CERTIFIED, True, "tls_handshake", "tlsv1 alert unknown ca", "does not take reach.client_certificate"),
    (CERTIFIED, True, "tls_handshake", "sslv3 alert certificate expired", "does not take reach.client_certificate"),
    (PLAIN, True, "tls_handshake", "unexpected eof while reading", "set reach.proxy_protocol"),
    (PLAIN, False, "closed", "", "set reach.proxy_protocol"),
    (PLAIN, False, "reset", "Connection reset by peer", "set reach.proxy_protocol"),
    (SPOKEN, False, "closed", "", "reach.proxy_protocol is 2"),
    (SPOKEN, True, "tls_handshake", "wrong version number", "reach.proxy_protocol is 2"),
    (PLAIN, True, "tls_handshake", "no end of the handshake in 10 s", ""),
    (PLAIN, True, "tls_handshake", "wrong version number", ""),
    (PLAIN, True, "tls_certificate", "certificate has expired", ""),
    (PLAIN, False, "refused", "192.0.2.1 port 80", ""),
    (PLAIN, False, "timeout", "no answer in 10 s", ""),
    (PLAIN, False, "too_large", "", ""),
])  # fmt: skip
def test_the_option_that_may_be_missing_is_named(reach, tls, kind, detail, said):
    found = hint(reach, tls, kind, detail)
    assert said in found if said else not found


@pytest.mark.parametrize(("tls", "status", "location", "named"), [
    (False, 301, "https://www.example.com/app", {"reach.headers"}),
    (False, 302, "HTTPS://other.example.com", {"reach.headers", "reach.server_name"}),
    (False, 301, "http://other.example.com:8080/", {"reach.server_name"}),
    (True, 301, "https://www.example.com/login", set()),
    (False, 301, "/login", set()),
    (False, 301, "", set()),
    (False, 301, "https://192.0.2.1/", {"reach.headers"}),
    (False, 403, "https://www.example.com/", set()),
])  # fmt: skip
def test_a_redirect_names_what_the_load_balancer_sends(tls, status, location, named):
    found = status_hint(PLAIN, tls, status, location, "www.example.com:8443")
    assert {option for option in ("reach.headers", "reach.server_name") if option in found} == named


def test_nothing_of_a_redirect_but_a_host_name_is_told():
    said = status_hint(PLAIN, False, 301, "http://x\x1b[31m.example.com/?token=1", "")
    assert said == "If the site is called x, ask for it by that name: reach.server_name of the scope."
