# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scopes in one list, on a real httpd: each has what it asks for, or the list is refused because one takes another's place."""
from __future__ import annotations

import http.client
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils import scopes as scopes_module
from plugins.module_utils.config import render
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import parse_set_cookie
from plugins.module_utils.scopes import Scope, ScopeError, parse_scopes

try:
    real_httpd.find()
    reason = ""
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

KEY = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
HOST, ELSEWHERE = "h.example.com", "other.example.com"
PATHS = ("/x", "/a/x", "/a/b/x", "/a/b/not/x")
KINDS = [{"path": path, **host, **more} for path in ("/", "/a", "/a/b") for host in ({}, {"virtual_host": HOST})
         for more in ({}, {"exclude": ["/a/b/not"]})]
PAIRS = [(one, other) for one, other in itertools.combinations(KINDS, 2)
         if (one["path"], one.get("virtual_host")) != (other["path"], other.get("virtual_host"))]


def wanted(scopes: tuple[Scope, ...], host: str, path: str) -> str:
    """The name of the cookie that an operator expects: the narrowest scope's, and the host's own one of equal ones."""
    found = [scope for scope in scopes
             if scope.virtual_host in ("", host) and path.startswith(scope.path.rstrip("/") + "/")]
    if not found:
        return ""
    best = max(found, key=lambda scope: (len(scope.path), bool(scope.virtual_host)))
    return "" if path.startswith(best.exclude or ("\0",)) else best.cookie_name


def served(scopes: tuple[Scope, ...]) -> dict[tuple[str, str], str]:
    """The name of the cookie that httpd sets, by host and path."""
    everywhere = render([scope for scope in scopes if not scope.virtual_host], "{root}/keys", (2, 4, 62))
    own = render([scope for scope in scopes if scope.virtual_host], "{root}/keys", (2, 4, 62))
    hosts = "".join("<VirtualHost *>\nServerName %s\n%s</VirtualHost>\n" % row for row in ((ELSEWHERE, ""), (HOST, own)))
    found = {}
    with real_httpd.RealHttpd(everywhere + hosts, {}, {"keys": render_file([KEY])}) as httpd:
        for host, path in itertools.product((HOST, ELSEWHERE), PATHS):
            connection = http.client.HTTPConnection("127.0.0.1", httpd.port, timeout=20)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            cookies = [parse_set_cookie(value).name for name, value in answer.getheaders() if name.lower() == "set-cookie"]
            connection.close()
            found[host, path] = cookies[-1] if cookies else ""
    return found


def named(pair: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    return [{"name": "s%d" % number, "cookie_name": "c%d" % number, "cookie_path": "/", "update_interval": 0, **one}
            for number, one in enumerate(pair)]


def says(pair: tuple[dict[str, Any], ...]) -> str:
    try:
        parse_scopes(named(pair))
    except ScopeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " ".join("%s%s%s" % (
    "h" if "virtual_host" in one else "", one["path"], "-" if "exclude" in one else "") for one in pair))
def test_two_scopes_have_what_they_ask_for_or_are_refused(
        pair: tuple[dict[str, Any], ...], monkeypatch: pytest.MonkeyPatch) -> None:
    said = says(pair)
    monkeypatch.setattr(scopes_module, "_no_conflicts", lambda scopes: None)
    scopes = parse_scopes(named(pair))
    found = served(scopes)
    expected = {(host, path): wanted(scopes, host, path) for host, path in found}
    assert (found != expected) is bool(said), said


def test_which_scope_takes_which_is_said() -> None:
    shop, site = {"name": "shop", "path": "/shop"}, {"name": "site", "path": "/", "virtual_host": HOST, "cookie_name": "c"}
    for raw in ([shop, site], [site, shop]):
        with pytest.raises(ScopeError) as caught:
            parse_scopes(raw)
        assert str(caught.value).startswith(
            "session_config_scopes [shop] virtual_host: scope site takes /shop on h.example.com: httpd merges what a virtual "
            "host has after what the whole server has, so that the path / there wins over the narrower /shop here. ")
