# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.config import HEADER, modules_for, render
from plugins.module_utils.scopes import Scope, parse_scopes

KEYS = "/etc/httpd/mod_session/passphrases"
NOW = (2, 4, 62)


def scope(**options: Any) -> Scope:
    return parse_scopes([{"name": "app", "path": "/app", **options}])[0]


def lines(version: tuple[int, ...] = NOW, **options: Any) -> list[str]:
    return [line.strip() for line in render([scope(**options)], KEYS, version).splitlines()]


def test_the_whole_file() -> None:
    assert render([scope()], KEYS, NOW, identity="0123456789abcdef") == HEADER + '''
# app
<Location "/app">
    Session On
    SessionCookieName httpd-session Path=/app;HttpOnly;Secure;SameSite=Lax
    SessionCookieRemove Off
    SessionCryptoCipher aes256
    SessionCryptoPassphraseFile "/etc/httpd/mod_session/passphrases"
    SessionMaxAge 3600
    SessionExpiryUpdateInterval 300
    SessionEnv Off
    RequestHeader edit* Cookie "(^|[;,])[[:space:]]*httpd\\-session=[^;,]*" ""
    RequestHeader edit Cookie "^[;,[:space:]]+" ""
    RequestHeader unset Cookie "expr=%{req:Cookie} == ''"
    RequestHeader unset Cookie2
    <If "%{THE_REQUEST} =~ m#^[A-Z]+ /app/\\.mod-session-probe(/[0-9]+)?[? ]#">
        Require all denied
        <IfModule mod_access_compat.c>
            Satisfy All
            LogLevel access_compat:crit
        </IfModule>
        ErrorDocument 403 default
        ErrorDocument 404 default
        ErrorDocument 410 default
        LogLevel authz_core:crit session:crit session_cookie:crit session_crypto:crit
        <IfModule mod_evasive20.c>
            LogLevel evasive20:crit
        </IfModule>
        RequestHeader set "Mod-Session-Probe-Passed" "1"
        Header always set "Mod-Session-Probe" "0123456789abcdef" "expr=-z %{req_novary:Mod-Session-Probe-Passed}"
        SessionExpiryUpdateInterval 0
    </If>
</Location>
'''


def test_the_whole_file_with_a_database() -> None:
    assert render([scope(store="dbd", cookie_domain="example.com", log_level="debug")], KEYS, NOW) == HEADER + '''
# app
<Location "/app">
    Session On
    SessionDBDCookieName httpd-session Path=/app;Domain=example.com;HttpOnly;Secure;SameSite=Lax
    SessionDBDCookieRemove Off
    SessionCryptoCipher aes256
    SessionCryptoPassphraseFile "/etc/httpd/mod_session/passphrases"
    SessionMaxAge 3600
    SessionExpiryUpdateInterval 300
    SessionEnv Off
    RequestHeader edit* Cookie "(^|[;,])[[:space:]]*httpd\\-session=[^;,]*" ""
    RequestHeader edit Cookie "^[;,[:space:]]+" ""
    RequestHeader unset Cookie "expr=%{req:Cookie} == ''"
    RequestHeader unset Cookie2
    LogLevel session:debug session_cookie:debug session_crypto:debug session_dbd:debug
    <If "%{THE_REQUEST} =~ m#^[A-Z]+ /app/\\.mod-session-probe(/[0-9]+)?[? ]#">
        Require all denied
        <IfModule mod_access_compat.c>
            Satisfy All
            LogLevel access_compat:crit
        </IfModule>
        ErrorDocument 403 default
        ErrorDocument 404 default
        ErrorDocument 410 default
        LogLevel authz_core:crit session:crit session_cookie:crit session_crypto:crit
        <IfModule mod_evasive20.c>
            LogLevel evasive20:crit
        </IfModule>
        SessionExpiryUpdateInterval 0
    </If>
    <If "%{THE_REQUEST} =~ m#^[A-Z]+ /app/\\.mod-session-probe(/[0-9]+)? #">
        SessionCookieName httpd-session Path=/app;Domain=example.com;HttpOnly;Secure;SameSite=Lax
        SessionCookieRemove Off
    </If>
</Location>
'''


def test_no_scopes_make_an_empty_file_with_its_header() -> None:
    assert render([], KEYS, NOW) == HEADER
    assert HEADER.startswith("# ") and HEADER.endswith("\n") and HEADER.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"path": "/"}, '<Location "/">'),
        ({"path": "/"}, r'<If "%{THE_REQUEST} =~ m#^[A-Z]+ /\.mod-session-probe(/[0-9]+)?[? ]#">'),
        ({"path": "/a+b/v1.2"}, r'<If "%{THE_REQUEST} =~ m#^[A-Z]+ /a\+b/v1\.2/\.mod-session-probe(/[0-9]+)?[? ]#">'),
        ({"cookie_domain": "example.com", "same_site": "Strict", "cookie_path": "/", "cookie_name": "id"},
         "SessionCookieName id Path=/;Domain=example.com;HttpOnly;Secure;SameSite=Strict"),
        ({"same_site": "", "secure": False, "http_only": False, "allow_insecure": True},
         "SessionCookieName httpd-session Path=/app"),
        ({"cookie_name": "a.b"}, 'RequestHeader edit* Cookie "(^|[;,])[[:space:]]*a\\.b=[^;,]*" ""'),
        ({"cipher": "aes128"}, "SessionCryptoCipher aes128"),
        ({"max_age": 60}, "SessionMaxAge 60"),
        ({"max_age": 60}, "SessionExpiryUpdateInterval 6"),
        ({"update_interval": 0}, "SessionExpiryUpdateInterval 0"),
        ({"exclude": ["/app/a", "/app/b"]}, 'SessionExclude "/app/a"'),
        ({"exclude": ["/app/a", "/app/b"]}, 'SessionExclude "/app/b"'),
        ({"response_header": "X-Replace"}, "SessionHeader X-Replace"),
        ({"log_level": "debug"}, "LogLevel session:debug session_cookie:debug session_crypto:debug"),
        ({"directives": ["SetEnv a b", 'Header set X "y"']}, "SetEnv a b"),
        ({"directives": ["SetEnv a b", 'Header set X "y"']}, 'Header set X "y"'),
    ],
)
def test_an_option_becomes_a_directive(options: dict[str, Any], line: str) -> None:
    assert line in lines(**options)


@pytest.mark.parametrize("directive", ["SessionHeader", "SessionExclude", "LogLevel session", "RequestHeader", "SessionEnv On"])
def test_what_is_not_wanted_is_not_there(directive: str) -> None:
    assert directive not in "\n".join(lines(hide_cookie=False))


@pytest.mark.parametrize(("version", "there"), [((2, 4, 40), False), ((2, 4, 41), True), ((2, 4), False), ((2, 5), True)])
def test_an_old_httpd_gets_no_directive_that_it_does_not_know(version: tuple[int, ...], there: bool) -> None:
    text = "\n".join(lines(version))
    assert (text.count("SessionExpiryUpdateInterval") == 2) is there
    assert ("SessionExpiryUpdateInterval" in text) is there
    assert "Require all denied" in text


def test_a_client_cannot_speak_in_the_name_of_the_session() -> None:
    found = lines(request_header="X-My_Session", hide_cookie=False)
    start = found.index("SessionEnv On")
    assert sorted(found[start + 1:start + 5]) == [
        'RequestHeader unset "%s"' % name for name in ("X-My-Session", "X-My_Session", "X_My-Session", "X_My_Session")]
    assert found[start + 5] == 'RequestHeader set "X-My_Session" "%{HTTP_SESSION}e" env=HTTP_SESSION'
    assert found[start + 6].startswith("<If ")


def test_a_header_of_five_words_is_unset_in_all_spellings() -> None:
    unset = {line for line in lines(request_header="a-b_c-d_e") if "unset" in line and "Cookie" not in line}
    assert len(unset) == 16
    assert {'RequestHeader unset "a-b_c-d_e"', 'RequestHeader unset "a_b_c_d_e"', 'RequestHeader unset "a-b-c-d-e"'} < unset


def test_a_header_of_many_words_is_unset_as_it_is_and_with_underscores() -> None:
    unset = [line for line in lines(request_header="a-b-c-d-e-f") if "unset" in line and "Cookie" not in line]
    assert unset == ['RequestHeader unset "a-b-c-d-e-f"', 'RequestHeader unset "a_b_c_d_e_f"']


def test_wide_paths_come_first() -> None:
    scopes = parse_scopes([
        {"name": name, "path": path, "cookie_name": name} for name, path in (
            ("deep", "/a/b/c"), ("all", "/"), ("other", "/other"), ("a", "/a"))])
    text = render(scopes, KEYS, NOW)
    assert [line for line in text.splitlines() if line.startswith("# ")][1:] == ["# all", "# a", "# deep", "# other"]


def test_every_section_names_the_one_key_file() -> None:
    text = render(parse_scopes([{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]), "/k", NOW)
    assert (text.count("<Location "), text.count('SessionCryptoPassphraseFile "/k"')) == (2, 2)


def test_modules() -> None:
    assert modules_for([scope()]) == ("session", "session_cookie", "session_crypto", "headers")
    assert modules_for([scope(store="dbd")]) == ("session", "session_cookie", "session_crypto", "headers", "dbd", "session_dbd")


def test_a_host_cookie_is_never_read_out_of_another_ones_value() -> None:
    early = 'RequestHeader edit* Cookie ",[[:space:]]*__Host\\-s=[^;,]*" "" early'
    text = render([scope(cookie_name="__Host-s", cookie_path="/")] * 2, KEYS, NOW)
    assert text.count(early) == 1
    assert text.index(early) < text.index("<Location"), "early directives stand outside of sections"
    assert "early" not in render([scope(cookie_name="__Secure-s")], KEYS, NOW)
