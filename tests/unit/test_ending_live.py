# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/ending-sessions.md says of ways to end sessions, on a real httpd here; those in a database: test_store_live."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils.config import modules_for, render
from plugins.module_utils.cookie import format_payload, parse_payload, seal, unseal
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import SetCookie, parse_set_cookie
from plugins.module_utils.scopes import parse_scopes

try:
    real_httpd.find()
    reason = ""
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

KEY = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
NEW = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
HOUR = 3600


@contextmanager
def server(keys: list[str] | None = None, max_age: int = HOUR, instead: str = "") -> Iterator[real_httpd.RealHttpd]:
    """An httpd with one scope, everywhere.

    :param instead: a value of SessionMaxAge that the collection refuses.
    """
    scopes = parse_scopes([{
        "name": "all", "path": "/", "max_age": max_age, "update_interval": 0, "request_header": "X-S",
        "directives": ['Header always set X-Seen "%{HTTP_SESSION}e"']}])
    modules = real_httpd.find()[1]
    loads = ["LoadModule %s_module %s/mod_%s.so" % (name, modules, name)
             for name in modules_for(scopes) if name not in real_httpd.MODULES]
    text = "\n".join(loads) + "\n" + render(scopes, "{root}/keys", (2, 4, 62))
    if instead:
        text = text.replace("SessionMaxAge %d" % max_age, "SessionMaxAge " + instead)
    with real_httpd.RealHttpd(text, {"index.html": "hello\n"}, {"keys": render_file(keys or [KEY])}) as httpd:
        yield httpd


def session(seconds: int = HOUR) -> str:
    """A visitor's cookie from before: a session that ends so many seconds from now."""
    payload = format_payload({"user": "bob"}, int((time.time() + seconds) * 1e6))
    return "httpd-session=" + seal(payload, KEY, "aes256", bytes(range(16)), bytes(16))


def visit(httpd: real_httpd.RealHttpd, cookie: str) -> tuple[bool, SetCookie | None]:
    """Whether the page had the visitor's session, and the cookie that it answered with."""
    answer = httpd.get("/index.html", cookie)
    cookies = [parse_set_cookie(text) for name, text in answer.getheaders() if name == "Set-Cookie"]
    return "user=bob" in str(answer.getheader("X-Seen")), cookies[-1] if cookies else None


def test_a_session_lives_as_long_as_it_is_used() -> None:
    with server() as httpd:
        lived, cookie = visit(httpd, session(5))
        assert lived and cookie is not None
        expiry = parse_payload(unseal(cookie.value, [KEY], "aes256").payload).expiry
        assert expiry is not None and expiry / 1e6 > time.time() + HOUR - 60


def test_a_new_key_ends_all_sessions_at_once_and_for_ever() -> None:
    """What revoke does."""
    with server([NEW]) as httpd:
        assert [visit(httpd, session())[0] for _visit in range(2)] == [False, False]


def test_a_negative_max_age_lets_each_old_session_through_once_more() -> None:
    """And a copy of the cookie as often as it is shown: the session's own expiry is what is looked at."""
    with server(instead="-1") as httpd:
        old = session()
        lived, cookie = visit(httpd, old)
        assert lived, "the first request after the change still has its session"
        assert cookie is not None and not visit(httpd, "httpd-session=" + cookie.value)[0], "it has ended"
        assert visit(httpd, old)[0], "whoever kept a copy still has it"
        assert "AH01819" in httpd.error_log()


def test_a_shorter_max_age_does_not_touch_who_is_away() -> None:
    """It is in force from a session's next use on."""
    with server(max_age=2) as httpd:
        old = session()
        time.sleep(2.1)
        lived, cookie = visit(httpd, old)
        assert lived, "its own expiry, an hour from when it was made, counts"
        assert cookie is not None and cookie.attributes["max-age"] == "2"
        time.sleep(2.1)
        assert not visit(httpd, "httpd-session=" + cookie.value)[0]


def test_retiring_an_old_key_ends_what_was_not_used_since_the_new_one_encrypts() -> None:
    """So a rotation ends all sessions that are older than it, but for those in use meanwhile, which are under the new key."""
    with server([NEW, KEY]) as httpd:
        away, busy = session(), session()
        lived, cookie = visit(httpd, busy)
        assert lived and cookie is not None
        busy = "httpd-session=" + cookie.value
    with server([NEW]) as httpd:
        assert visit(httpd, busy)[0]
        assert not visit(httpd, away)[0]


def test_a_logout_ends_no_copy_of_a_cookie() -> None:
    """Nothing on a node knows which cookies there are: a browser forgets its own, and a copy lives until it expires."""
    with server() as httpd:
        old = session()
        assert visit(httpd, "httpd-session=")[0] is False
        assert visit(httpd, old)[0]
