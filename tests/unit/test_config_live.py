# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered scopes on a real httpd of this machine, asked the way a node asks itself; skipped where there is none."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils.config import render
from plugins.module_utils.cookie import CIPHERS
from plugins.module_utils.live import ScopeProbe, Way, problems, snapshot
from plugins.module_utils.node import Node
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import identity, seal_probe
from plugins.module_utils.scopes import parse_scopes

try:
    real_httpd.find()
    reason = ""
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
    print(reason, file=sys.__stderr__)
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

NEW = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
OLD = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
STRANGER = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
# Narrow ones first, so that their order is seen to be mended.
SCOPES = parse_scopes([
    {"name": "deep", "path": "/app/deep/er", "cookie_name": "deep", "cipher": "aes128", "max_age": 60,
     "update_interval": 0},
    {"name": "app", "path": "/app", "cookie_name": "app", "same_site": "Strict", "request_header": "X-App",
     "exclude": ["/app/static"], "log_level": "debug", "update_interval": 0},
    {"name": "all", "path": "/", "same_site": "", "http_only": False, "secure": False, "allow_insecure": True,
     "request_header": "X-Session", "response_header": "X-Replace", "directives": ["Header always set X-Own yes"]},
    {"name": "old", "path": "/old", "cookie_name": "old", "cipher": "3des192", "allow_insecure": True},
    {"name": "192", "path": "/192", "cookie_name": "192", "cipher": "aes192", "hide_cookie": False,
     "cookie_domain": "example.com"},
])
MARKER = "live-marker1"
ME = identity("n1")


def probes(keys: list[str]) -> list[ScopeProbe]:
    return [ScopeProbe(scope, MARKER, tuple(
        seal_probe(key, scope.cipher, MARKER, bytes(16), bytes(CIPHERS[scope.cipher].iv_bytes)) for key in keys), ME)
        for scope in SCOPES]


@pytest.fixture(scope="module")
def httpd() -> Iterator[real_httpd.RealHttpd]:
    seen = '\nHeader always set X-Seen "%{HTTP_SESSION}e"\n'
    text = render(SCOPES, "{root}/keys", (2, 4, 62), identity=ME) + seen
    with real_httpd.RealHttpd(text, {}, {"keys": render_file([NEW, OLD])}) as found:
        yield found


def ask(httpd: real_httpd.RealHttpd, keys: list[str], expected: list[str]) -> list[str]:
    return problems(Node("no-such-service"), probes(keys), expected, Way("127.0.0.1", httpd.port))


def test_every_scope_does_what_it_says(httpd: real_httpd.RealHttpd) -> None:
    assert ask(httpd, [NEW, OLD], [NEW, OLD]) == []


def test_what_is_wrong_is_said_of_every_scope(httpd: real_httpd.RealHttpd) -> None:
    names = [scope.name for scope in SCOPES]
    assert ask(httpd, [NEW, STRANGER], [NEW, STRANGER]) == [
        "scope %s: it does not open sessions of passphrase 2 with %s" % (scope.name, scope.cipher) for scope in SCOPES]
    assert ask(httpd, [OLD, NEW], [OLD, NEW]) == [
        "scope %s: it encrypts with passphrase 2; expected the first" % name for name in names]
    assert ask(httpd, [STRANGER], [STRANGER]) == [
        "scope %s: the session cookie is encrypted with a passphrase that is not in the list" % name for name in names]


def test_a_narrow_scope_does_not_hand_its_session_on(httpd: real_httpd.RealHttpd) -> None:
    seen = {path: httpd.get(path).getheader("X-Seen") for path in ("/", "/app", "/app/deep/er")}
    assert [path for path, text in seen.items() if text and "expiry=" in text] == ["/", "/app"]


def test_an_excluded_path_has_no_session(httpd: real_httpd.RealHttpd) -> None:
    assert httpd.get("/app/static/x").getheader("Set-Cookie") is None
    assert str(httpd.get("/app/dynamic").getheader("Set-Cookie")).startswith("app=")


def test_an_operators_own_directive_holds(httpd: real_httpd.RealHttpd) -> None:
    assert httpd.get("/").getheader("X-Own") == "yes"


def test_a_snapshot_stays_the_same_and_tells_keys_apart(httpd: real_httpd.RealHttpd, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node("no-such-service")
    get = node.get
    monkeypatch.setattr(node, "get", lambda _address, _port, *more: get("127.0.0.1", httpd.port, *more))
    first = snapshot(node, probes([NEW, OLD]), [NEW, OLD])
    assert first == snapshot(node, probes([NEW, OLD]), [NEW, OLD])
    assert first != snapshot(node, probes([NEW, STRANGER]), [NEW, OLD])
    assert len(first) == 2 * len(SCOPES)
