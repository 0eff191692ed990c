# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cookies httpd takes for a session, and what a real backend is sent of them; skipped where there is no httpd."""
from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils.config import render
from plugins.module_utils.cookie import format_payload, seal
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.scopes import parse_scopes

try:
    _binary, modules = real_httpd.find()
    reason = ""
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

KEY = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
SCOPES = parse_scopes([
    {"name": "app", "path": "/app", "cookie_name": "sess.x", "request_header": "X-S"},
    {"name": "host", "path": "/host", "cookie_path": "/", "cookie_name": "__Host-s", "request_header": "X-S"},
])


def sealed(user: str) -> str:
    payload = format_payload({"user": user}, int((time.time() + 600) * 1e6))
    return seal(payload, KEY, "aes256", os.urandom(16), os.urandom(16))


class Backend(HTTPServer):
    """Keeps the headers of the last request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen = dict(self.headers.items())  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[real_httpd.RealHttpd, Backend]]:
    backend = Backend()
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    text = "".join("LoadModule %s_module %s/mod_%s.so\n" % (name, modules, name) for name in ("proxy", "proxy_http"))
    text += render(SCOPES, "{root}/keys", (2, 4, 62)) + "ProxyPass / http://127.0.0.1:%d/\n" % backend.server_port
    with real_httpd.RealHttpd(text, {}, {"keys": render_file([KEY])}) as httpd:
        yield httpd, backend
    backend.shutdown()
    backend.server_close()


def visit(site: tuple[real_httpd.RealHttpd, Backend], path: str, fields: list[str]) -> tuple[str, dict[str, str]]:
    """The user whose session the backend was given, and the cookie fields that it was sent."""
    httpd, backend = site
    backend.seen = {}
    with socket.create_connection(("127.0.0.1", httpd.port)) as wire:
        lines = ["GET %s HTTP/1.1" % path, "Host: localhost", "Connection: close", *fields, "", ""]
        wire.sendall("\r\n".join(lines).encode("latin-1"))
        while wire.recv(65536):
            pass
    user = backend.seen.get("X-S", "").partition("user=")[2].partition("&")[0]
    return user, {name: value for name, value in backend.seen.items() if name.lower().startswith("cookie")}


ANN, BOB = ("{ann}", "{bob}")


def said(fields: list[str]) -> list[str]:
    ann, bob = sealed("ann"), sealed("bob")
    return [field.replace(ANN, ann).replace(BOB, bob) for field in fields]


@pytest.mark.parametrize(("fields", "user", "left"), [
    (["Cookie: sess.x={ann}"], "ann", None),
    (["Cookie: a=1; sess.x={ann}; b=2"], "ann", "a=1; b=2"),
    (["Cookie: sess.x={ann}; b=2"], "ann", "b=2"),
    (["Cookie: a=1;sess.x={ann}"], "ann", "a=1"),
    (["Cookie: a=1; \t sess.x={ann}; b=2"], "ann", "a=1; b=2"),
    (["Cookie: a=1; sess.x={ann} ; b=2"], "ann", "a=1; b=2"),
    # Behind a comma, and in fields that httpd joins with one.
    (["Cookie: evil=1,sess.x={ann}"], "ann", "evil=1"),
    (["Cookie: evil=1, sess.x={ann}; b=2,3"], "ann", "evil=1; b=2,3"),
    (["Cookie: sess.x={ann},evil=1; b=2"], "ann", "evil=1; b=2"),
    (["Cookie: a=1", "Cookie: sess.x={ann}"], "ann", "a=1"),
    (["Cookie: sess.x={ann}", "Cookie: a=1; b=2"], "ann", "a=1; b=2"),
    (["Cookie: a=1,;,sess.x={ann}"], "ann", "a=1,;"),
    (["Cookie2: sess.x={ann}"], "ann", None),
    (["Cookie: a=1", "Cookie2: sess.x={ann}"], "ann", "a=1"),
    # Several copies: httpd takes none of two that differ, the backend gets neither.
    (["Cookie: sess.x={ann}; a=1; sess.x={ann}"], "ann", "a=1"),
    (["Cookie: sess.x={ann},sess.x={bob}; a=1"], "", "a=1"),
    (["Cookie: sess.x={ann}", "Cookie: sess.x={bob}"], "", None),
    # Quotes mean nothing to httpd.
    (['Cookie: a="1;sess.x={ann}'], "ann", 'a="1'),
    (['Cookie: sess.x="{ann}"; a=1'], "", "a=1"),
    # Names that only look alike.
    (["Cookie: xsess.x=1; sess.x2=2; sess-x=3; SESS.X=4; sess=5"], "", "xsess.x=1; sess.x2=2; sess-x=3; SESS.X=4; sess=5"),
    (["Cookie: a=sess.x=1; b=,; c"], "", "a=sess.x=1; b=,; c"),
    (["Cookie: a=1"], "", "a=1"),
    ([], "", None),
])
def test_the_backend_never_sees_a_cookie_that_httpd_takes_for_a_session(
        site: tuple[real_httpd.RealHttpd, Backend], fields: list[str], user: str, left: str | None) -> None:
    assert visit(site, "/app/x", said(fields)) == (user, {} if left is None else {"Cookie": left})


@pytest.mark.parametrize(("fields", "user"), [
    (["Cookie: __Host-s={ann}"], "ann"),
    (["Cookie: a=1; __Host-s={ann}"], "ann"),
    # What a sister domain can plant: a cookie of another name whose value has a comma.
    (["Cookie: evil=1,__Host-s={bob}"], ""),
    (["Cookie: evil=1, \t__Host-s={bob}; a=1"], ""),
    (["Cookie: evil=1,,__Host-s={bob}"], ""),
    (["Cookie: evil=,__Host-s=1,__Host-s={bob}"], ""),
    (["Cookie: evil=,__Ho,__Host-s=1,st-s={bob}"], ""),
    (["Cookie: __Host-s={ann}; evil=1,__Host-s={bob}"], "ann"),
    (["Cookie: evil=1,__Host-s={bob}; __Host-s={ann}"], "ann"),
])
def test_another_cookies_value_is_no_session_where_the_name_begins_with_host(
        site: tuple[real_httpd.RealHttpd, Backend], fields: list[str], user: str) -> None:
    found, cookies = visit(site, "/host/x", said(fields))
    assert found == user
    assert "__Host-s=" not in str(cookies)


def test_another_cookies_value_is_a_session_under_any_other_name(site: tuple[real_httpd.RealHttpd, Backend]) -> None:
    """Why docs/security.md names ``__Host-`` alone: a sister domain could as well set the cookie itself."""
    assert visit(site, "/app/x", said(["Cookie: evil=1,sess.x={bob}"]))[0] == "bob"
