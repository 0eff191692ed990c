# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.config import render
from plugins.module_utils.hygiene import cookie_deviations
from plugins.module_utils.probe import parse_set_cookie
from plugins.module_utils.scopes import CIPHERS, SAME_SITE, Scope, parse_scopes


def scope(**options: Any) -> Scope:
    return parse_scopes([{"name": "app", "path": "/app", "allow_insecure": True, **options}])[0]


GOOD = "httpd-session=value;Max-Age=3600;path=/app;HttpOnly;Secure;SameSite=Lax"


@pytest.mark.parametrize(
    ("options", "header", "deviations"),
    [
        ({}, GOOD, []),
        # Case and order of attributes, blanks, and what is not ours do not matter; nor does the value.
        ({}, "httpd-session=x; SECURE; samesite=LAX; HttpOnly; PATH=/app; max-age=3600; Priority=High", []),
        ({"cookie_domain": "example.com"}, GOOD + ";Domain=.Example.COM", []),
        ({"same_site": "", "secure": False, "http_only": False}, "httpd-session=x;Max-Age=3600;Path=/app", []),
        ({"same_site": "None"}, GOOD.replace("Lax", "none"), []),
        ({"cookie_name": "id"}, GOOD, [("cookie_name", "httpd-session", "id")]),
        ({}, GOOD.replace("httpd-session", "Session"), [("cookie_name", "Session", "httpd-session")]),
        ({"max_age": 60}, GOOD, [("max_age", "3600", "60")]),
        ({}, GOOD.replace("Max-Age=3600;", ""), [("max_age", "", "3600")]),
        ({}, GOOD.replace("=3600", ""), [("max_age", "True", "3600")]),
        ({}, GOOD.replace("/app", "/App"), [("cookie_path", "/App", "/app")]),
        ({}, GOOD.replace("path=/app;", ""), [("cookie_path", "", "/app")]),
        ({}, GOOD + ";Domain=example.com", [("cookie_domain", "example.com", "")]),
        ({"cookie_domain": "example.com"}, GOOD, [("cookie_domain", "", "example.com")]),
        ({"cookie_domain": "example.com"}, GOOD + ";domain=www.example.com",
         [("cookie_domain", "www.example.com", "example.com")]),
        ({}, GOOD.replace("Lax", "None"), [("same_site", "None", "Lax")]),
        ({}, GOOD.replace(";SameSite=Lax", ""), [("same_site", "", "Lax")]),
        ({"same_site": ""}, GOOD, [("same_site", "Lax", "")]),
        ({}, GOOD.replace(";HttpOnly", ""), [("http_only", "false", "true")]),
        ({}, GOOD.replace(";Secure", ""), [("secure", "false", "true")]),
        ({"http_only": False, "secure": False}, GOOD, [("http_only", "true", "false"), ("secure", "true", "false")]),
        ({}, "", [("cookie_name", "", "httpd-session"), ("max_age", "", "3600"), ("cookie_path", "", "/app"),
                  ("same_site", "", "Lax"), ("http_only", "false", "true"), ("secure", "false", "true")]),
    ],
)
def test_deviations(options: dict[str, Any], header: str, deviations: list[tuple[str, str, str]]) -> None:
    assert cookie_deviations(scope(**options), parse_set_cookie(header)) == deviations


@given(
    st.fixed_dictionaries({}, optional={
        "secure": st.booleans(), "http_only": st.booleans(), "max_age": st.integers(1, 10 ** 6),
        "same_site": st.sampled_from([name for name in SAME_SITE if name != "None"]), "cipher": st.sampled_from(CIPHERS),
        "cookie_path": st.sampled_from(["/", "/app"]), "cookie_domain": st.sampled_from(["", "example.com"]),
        "cookie_name": st.from_regex("[A-Za-z0-9.][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    }))
def test_a_cookie_made_as_rendered_is_as_the_scope_says(options: dict[str, Any]) -> None:
    wanted = scope(**options)
    line = next(line for line in render([wanted], "/k", (2, 4, 62)).splitlines() if "SessionCookieName" in line)
    _directive, name, attributes = line.split()
    # This is how httpd puts them together.
    header = "%s=value;Max-Age=%d;%s" % (name, wanted.max_age, attributes)
    assert cookie_deviations(wanted, parse_set_cookie(header)) == []


@given(st.text())
def test_whatever_a_server_sends_is_judged(header: str) -> None:
    for option, seen, expected in cookie_deviations(scope(), parse_set_cookie(header)):
        assert seen != expected and str(getattr(scope(), option)).lower() == expected.lower()
