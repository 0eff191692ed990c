# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that a changed scope ends are warned of, with the way around; what ends none is not."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.config import HEADER, render
from plugins.module_utils.endings import ALL_AT_ONCE, NEW_NAME, endings, sections
from plugins.module_utils.scopes import parse_scopes

APP: dict[str, Any] = {"name": "app", "path": "/app", "cookie_name": "app", "cookie_path": "/app"}


def said(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    was = parse_scopes([old])
    live = sections(render(was, "/keys", (2, 4, 62)), was[0].virtual_host)
    return endings(live, parse_scopes([new]))


@pytest.mark.parametrize(("change", "told", "way"), [
    ({"cipher": "aes128"}, "cipher changes from aes256 to aes128", ALL_AT_ONCE),
    ({"cookie_name": "shop"}, "cookie_name changes from app to shop", ALL_AT_ONCE),
    ({"cookie_name": "shop", "cipher": "aes128"}, "cookie_name changes from app to shop", ALL_AT_ONCE),
    ({"store": "dbd"}, "store changes from cookie to dbd", ALL_AT_ONCE),
    ({"cookie_path": "/"}, "cookie_path changes from /app to /", NEW_NAME),
    ({"cookie_domain": "example.com"}, "cookie_domain changes from none to example.com", NEW_NAME),
    ({"path": "/app/shop", "cookie_path": "/app/shop"}, "cookie_path changes from /app to /app/shop", NEW_NAME),
    ({"path": "/shop", "cookie_path": "/shop"}, "path changes from /app to /shop", ALL_AT_ONCE),
    ({"virtual_host": "www.example.com"}, "virtual_host changes from none to www.example.com", ALL_AT_ONCE),
    ({"cookie_path": "/", "cookie_name": "shop"}, "cookie_name changes from app to shop", ALL_AT_ONCE),
])  # fmt: skip
def test_a_change_that_ends_sessions_is_warned_of_with_the_way_around(change: dict[str, Any], told: str, way: str) -> None:
    (sentence,) = said(APP, {**APP, **change})
    assert sentence.startswith("scope app: ") and told in sentence and "the sessions that are alive end" in sentence
    assert sentence.endswith(way)


def test_a_cookie_that_becomes_secure_ends_the_sessions_of_plain_http_only() -> None:
    old = {**APP, "secure": False, "allow_insecure": True}
    (sentence,) = said(old, APP)
    assert "secure changes from false to true" in sentence
    assert said({**old, "scheme": "https"}, {**APP, "scheme": "https"}) == []


@pytest.mark.parametrize("change", [
    {}, {"max_age": 60}, {"same_site": "Strict"}, {"hide_cookie": False}, {"request_header": "X-S"}, {"exclude": ["/app/x"]},
    {"directives": ["SetEnv A b"]}, {"name": "renamed"}, {"path": "/app/shop"}, {"port": 8080}, {"log_level": "debug"},
])  # fmt: skip
def test_a_change_that_ends_none_is_not(change: dict[str, Any]) -> None:
    assert said(APP, {**APP, **change}) == []


def test_a_scope_that_is_taken_out_is_named() -> None:
    live = sections(render(parse_scopes([{**APP, "virtual_host": "www.example.com"}]), "/keys", (2, 4, 62)), "www.example.com")
    (sentence,) = endings(live, ())
    assert sentence.startswith("scope app (www.example.com/app) is no longer in session_config_scopes: its sessions end")


def test_nothing_is_read_from_what_is_not_ours() -> None:
    for text in ("", HEADER, "<Location /app>\n    Session On\n</Location>\n", "# x\n<Location \"/x\">\n</Location>\n"):
        assert sections(text, "") == []
