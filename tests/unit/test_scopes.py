# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.scopes import Scope, ScopeError, parse_scopes

APP = {"name": "app", "path": "/app"}


def parse(**options: Any) -> Scope:
    return parse_scopes([{**APP, **options}])[0]


def refusal(raw: object) -> ScopeError:
    with pytest.raises(ScopeError) as caught:
        parse_scopes(raw)
    return caught.value


def test_defaults_are_the_best_practice() -> None:
    assert parse() == Scope(
        name="app", path="/app", store="cookie", virtual_host="", virtual_host_file="", scheme="http", port=80,
        cookie_name="httpd-session", cookie_path="/app", cookie_domain="", same_site="Lax", http_only=True, secure=True,
        allow_insecure=False,
        max_age=3600, update_interval=300, cipher="aes256", exclude=(), hide_cookie=True, request_header="",
        response_header="", log_level="", directives=(),
    )
    assert parse().warnings == []
    assert parse().probe_path == "/app/.mod-session-probe"
    assert parse(path="/").probe_path == "/.mod-session-probe"


def test_no_scopes_at_all_is_a_list_too() -> None:
    assert parse_scopes([]) == ()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("path", "/", "/"),
        ("path", "/a/b-c_d.e~f@g:h+i", "/a/b-c_d.e~f@g:h+i"),
        ("path", "/.well-known", "/.well-known"),
        ("path", "/...", "/..."),
        ("path", "/" + "a" * 511, "/" + "a" * 511),
        ("virtual_host", "WWW.Example.com", "www.example.com"),
        ("virtual_host", "localhost", "localhost"),
        ("virtual_host", "my_site.example.com", "my_site.example.com"),
        ("virtual_host", "_a_._b", "_a_._b"),
        ("virtual_host", "www.example.com.", "www.example.com"),
        ("virtual_host", "192.0.2.7", "192.0.2.7"),
        ("virtual_host", "xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("virtual_host", None, ""),
        ("virtual_host", "", ""),
        ("store", None, "cookie"),
        ("store", "dbd", "dbd"),
        ("scheme", "https", "https"),
        ("port", 8443, 8443),
        ("port", "8443", 8443),
        ("cookie_name", "__Secure-a.b_c-1", "__Secure-a.b_c-1"),
        ("cookie_path", "/", "/"),
        ("cookie_path", "", "/app"),
        ("cookie_domain", "Example.com", "example.com"),
        ("same_site", "Strict", "Strict"),
        ("same_site", "", ""),
        ("same_site", "None", "None"),
        ("max_age", 1, 1),
        ("max_age", "86400", 86400),
        ("max_age", 315360000, 315360000),
        ("update_interval", 0, 0),
        ("update_interval", 3599, 3599),
        ("update_interval", None, 300),
        ("cipher", "aes128", "aes128"),
        ("exclude", ["/app/static", "/app/public/"], ("/app/static", "/app/public/")),
        ("exclude", None, ()),
        ("hide_cookie", "no", False),
        ("hide_cookie", "True", True),
        ("request_header", "X-Session", "X-Session"),
        ("response_header", "X-Replace-Session", "X-Replace-Session"),
        ("log_level", "trace4", "trace4"),
        ("directives", ["Header set X \"y\"", "SetEnv a b"], ('Header set X "y"', "SetEnv a b")),
    ],
)
def test_accepted(option: str, value: object, expected: object) -> None:
    assert getattr(parse(**{option: value}), option) == expected


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"max_age": 100}, {"update_interval": 10}),
        ({"max_age": 9}, {"update_interval": 0}),
        ({"max_age": 1}, {"update_interval": 0}),
        ({"max_age": 100000}, {"update_interval": 300}),
        ({"scheme": "https"}, {"port": 443}),
        ({"scheme": "https", "port": 8443}, {"port": 8443}),
        ({"path": "/a/b"}, {"cookie_path": "/a/b"}),
        ({"path": "/a/b", "cookie_path": "/a"}, {"cookie_path": "/a"}),
        ({"path": "/a/b", "cookie_path": "/a/"}, {"cookie_path": "/a/"}),
        ({"virtual_host": "www.example.com", "cookie_domain": "example.com"}, {"cookie_domain": "example.com"}),
        ({"virtual_host": "example.com", "cookie_domain": "example.com"}, {"cookie_domain": "example.com"}),
        ({"virtual_host": "www.example.com", "virtual_host_file": "/etc/x.conf"}, {"virtual_host_file": "/etc/x.conf"}),
        ({"cookie_name": "__Host-s", "cookie_path": "/"}, {"cookie_name": "__Host-s"}),
    ],
)
def test_accepted_together(options: dict[str, Any], found: dict[str, Any]) -> None:
    scope = parse(**options)
    assert {name: getattr(scope, name) for name in found} == found


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (None, "session_config_scopes: expected a list of scopes, found NoneType"),
        ({"name": "app", "path": "/app"}, "session_config_scopes: expected a list of scopes, found dict"),
        ("app", "session_config_scopes: expected a list of scopes, found str"),
        (["app"], "session_config_scopes [number 1]: expected a dictionary, found str"),
        ([APP, None], "session_config_scopes [number 2]: expected a dictionary, found NoneType"),
        ([{"path": "/"}], "session_config_scopes [number 1] name: expected 1 to 64 characters of a-z 0-9 _ -, found None"),
        ([{"name": "My App", "path": "/"}], "[number 1] name: expected 1 to 64 characters of a-z 0-9 _ -, found 'My App'"),
        ([{"name": "a" * 65, "path": "/"}], "[number 1] name: expected 1 to 64 characters"),
        ([{"name": "a\n", "path": "/"}], "[number 1] name: expected 1 to 64 characters"),
        ([{"name": 1, "path": "/"}], "[number 1] name: expected 1 to 64 characters"),
        ([{"name": "app"}], "session_config_scopes [app] path: is required: a URL path that starts with /"),
        ([{**APP, "maxage": 1, "color": 2}], "session_config_scopes [app]: unknown option color, maxage; known are name, path,"),
        ([{**APP, 1: 2}], "session_config_scopes [app]: unknown option 1; known are name, path,"),
        ([APP, APP], "session_config_scopes [app] name: the name is used twice"),
        ([APP, {**APP, "name": "b"}], "session_config_scopes [b] path: scope app has the same path and virtual host"),
    ],
)
def test_refused_as_a_whole(raw: object, sentence: str) -> None:
    assert sentence in str(refusal(raw))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"path": None}, "path: expected a URL path that starts with / and has no blanks, wildcards or %, found None"),
        ({"path": ""}, "path: expected a URL path that starts with /"),
        ({"path": "app"}, "path: expected a URL path that starts with /"),
        ({"path": "/a b"}, "path: expected a URL path"),
        ({"path": "/a*"}, "path: expected a URL path"),
        ({"path": '/a"b'}, "path: expected a URL path"),
        ({"path": "/a%20b"}, "path: expected a URL path"),
        ({"path": "/app\n"}, "path: expected a URL path"),
        ({"path": "/é"}, "path: expected a URL path"),
        ({"path": "/" + "a" * 512}, "path: expected a URL path"),
        ({"path": "/app/"}, "path: expected a path without '//', '.', '..' or a slash at its end, found '/app/'"),
        ({"path": "//"}, "path: expected a path without '//'"),
        ({"path": "/a//b"}, "path: expected a path without '//'"),
        ({"path": "/a/../b"}, "path: expected a path without '//'"),
        ({"path": "/a/.."}, "path: expected a path without '//'"),
        ({"path": "/a/./b"}, "path: expected a path without '//'"),
        ({"path": "/."}, "path: expected a path without '//'"),
        ({"virtual_host": "www.example.com:80"}, "virtual_host: expected a host name, found 'www.example.com:80'"),
        ({"virtual_host": "*.example.com"}, "virtual_host: expected a host name, found '*.example.com': a pattern names no"),
        ({"virtual_host": "https://x.com"}, "virtual_host: expected a host name, found 'https://x.com': leave scheme and port"),
        ({"virtual_host": "[::1]"}, "virtual_host: expected a host name, found '[::1]': an IPv6 address is not supported here"),
        ({"virtual_host": "2001:db8::1"}, "virtual_host: expected a host name, found '2001:db8::1': an IPv6 address"),
        ({"virtual_host": "m\u00fcnchen.de"}, "virtual_host: expected a host name, found 'm\u00fcnchen.de': browsers ask for its "
                                              "ASCII form, and so must ServerName: xn--mnchen-3ya.de"),
        ({"virtual_host": "\u00fc" * 80},
         "virtual_host: expected a host name, found '%s': it has no ASCII form" % ("\u00fc" * 80)),
        ({"virtual_host": "a" * 64}, "virtual_host: expected a host name"),
        ({"virtual_host": "."}, "virtual_host: expected a host name"),
        ({"virtual_host": "../x"}, "virtual_host: expected a host name"),
        ({"virtual_host": "a..b"}, "virtual_host: expected a host name"),
        ({"virtual_host": "-a"}, "virtual_host: expected a host name"),
        ({"virtual_host": "a" * 254}, "virtual_host: expected a host name"),
        ({"virtual_host": ["a"]}, "virtual_host: expected a host name, found ['a']"),
        ({"virtual_host": "a", "virtual_host_file": "x.conf"}, "virtual_host_file: expected an absolute file name"),
        ({"virtual_host": "a", "virtual_host_file": "/x y"}, "virtual_host_file: expected an absolute file name"),
        ({"virtual_host_file": "/x"}, "virtual_host_file: needs virtual_host too: the name of the host in that file"),
        ({"scheme": "ftp"}, "scheme: expected one of 'http', 'https', found 'ftp'"),
        ({"port": 0}, "port: expected a whole number from 1 to 65535, found 0"),
        ({"port": 65536}, "port: expected a whole number from 1 to 65535, found 65536"),
        ({"port": True}, "port: expected a whole number from 1 to 65535, found True"),
        ({"port": 80.0}, "port: expected a whole number"),
        ({"port": "80 "}, "port: expected a whole number"),
        ({"cookie_name": "a b"}, "cookie_name: expected 1 to 64 characters of A-Z a-z 0-9 _ . -, found 'a b'"),
        ({"cookie_name": "a;b"}, "cookie_name: expected 1 to 64 characters"),
        ({"cookie_name": "a=b"}, "cookie_name: expected 1 to 64 characters"),
        ({"cookie_path": "/a;b"}, "cookie_path: expected a URL path that starts with /"),
        ({"cookie_path": "/other"}, "cookie_path: a browser would not send a cookie of path /other to /app"),
        ({"cookie_path": "/ap"}, "cookie_path: a browser would not send a cookie of path /ap to /app"),
        ({"cookie_path": "/app/"}, "cookie_path: a browser would not send a cookie of path /app/ to /app"),
        ({"cookie_domain": ".example.com"}, "cookie_domain: expected a domain name, without a leading dot"),
        ({"virtual_host": "www.example.com", "cookie_domain": "example.org"},
         "cookie_domain: a browser drops a cookie for example.org that comes from www.example.com"),
        ({"virtual_host": "wwwexample.com", "cookie_domain": "example.com"}, "cookie_domain: a browser drops a cookie"),
        ({"virtual_host": "example.com", "cookie_domain": "www.example.com"}, "cookie_domain: a browser drops a cookie"),
        ({"same_site": "lax"}, "same_site: expected one of '', 'Lax', 'Strict', 'None', found 'lax'"),
        ({"same_site": True}, "same_site: expected one of"),
        ({"same_site": "None", "secure": False, "allow_insecure": True},
         "same_site: browsers drop a SameSite=None cookie that is not Secure"),
        ({"secure": False}, "secure: False gives up protection of the session; set allow_insecure: true in this scope"),
        ({"http_only": "no"}, "http_only: 'no' gives up protection of the session; set allow_insecure: true"),
        ({"cipher": "3des192"}, "cipher: '3des192' gives up protection of the session; set allow_insecure: true"),
        ({"secure": "maybe"}, "secure: expected true or false, found 'maybe'"),
        ({"hide_cookie": 1}, "hide_cookie: expected true or false, found 1"),
        ({"allow_insecure": []}, "allow_insecure: expected true or false, found []"),
        ({"cookie_name": "__Host-s"}, "cookie_name: a __Host- cookie needs secure, cookie_path / and no cookie_domain"),
        ({"cookie_name": "__Host-s", "cookie_path": "/", "cookie_domain": "a.b"}, "cookie_name: a __Host- cookie needs"),
        ({"cookie_name": "__Host-s", "cookie_path": "/", "secure": False, "allow_insecure": True},
         "cookie_name: a __Host- cookie needs"),
        ({"cookie_name": "__Secure-s", "secure": False, "allow_insecure": True},
         "cookie_name: a __Secure- cookie needs secure: true"),
        ({"max_age": 0}, "max_age: expected a whole number from 1 to 315360000, found 0"),
        ({"max_age": -1}, "max_age: expected a whole number from 1 to 315360000, found -1"),
        ({"max_age": "1h"}, "max_age: expected a whole number from 1 to 315360000, found '1h'"),
        ({"update_interval": 3600}, "update_interval: expected a whole number from 0 to 3599, found 3600"),
        ({"max_age": 1, "update_interval": 1}, "update_interval: expected a whole number from 0 to 0, found 1"),
        ({"cipher": "aes512"}, "cipher: expected one of 'aes256', 'aes192', 'aes128', '3des192', found 'aes512'"),
        ({"exclude": "/app/static"}, "exclude: expected a list, each entry a URL path that starts with /"),
        ({"exclude": ["static"]}, "exclude: expected a list, each entry a URL path that starts with /"),
        ({"exclude": ["/app/%20"]}, "exclude: expected a list, each entry a URL path that starts with /"),
        ({"exclude": [1]}, "exclude: expected a list, each entry a URL path that starts with /"),
        ({"exclude": ["/app"]}, "exclude: /app excludes the whole scope"),
        ({"exclude": ["/"]}, "exclude: / excludes the whole scope"),
        ({"exclude": ["/app/.mod"]}, "exclude: /app/.mod excludes the whole scope"),
        ({"request_header": "X Session"}, "request_header: expected a header name, found 'X Session'"),
        ({"request_header": "X-Session\r\nHost"}, "request_header: expected a header name"),
        ({"response_header": 'X"'}, "response_header: expected a header name"),
        ({"log_level": "loud"}, "log_level: expected one of '', 'error', 'warn',"),
        ({"directives": "SetEnv a b"}, "directives: expected a list, each entry one httpd directive to an entry"),
        ({"directives": ["a\n</Location>"]}, "directives: expected a list, each entry one httpd directive to an entry"),
        ({"directives": [""]}, "directives: expected a list"),
    ],
)
def test_refused(options: dict[str, Any], sentence: str) -> None:
    error = refusal([{**APP, **options}])
    assert str(error).startswith("session_config_scopes [app] " + sentence), error
    assert (error.scope, error.option) == ("app", sentence.split(":")[0])


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"secure": False}, "scope app: the cookie goes over plain HTTP too (secure: false)"),
        ({"http_only": False}, "scope app: scripts in the page can read the cookie (http_only: false)"),
        ({"cipher": "3des192"}, "scope app: 3des192 has a block of 64 bits only; aes256 is as fast or faster"),
    ],
)
def test_what_gives_up_protection_is_warned_of(options: dict[str, Any], warning: str) -> None:
    assert parse(**options, allow_insecure=True).warnings == [warning]


@pytest.mark.parametrize("name", [
    "session", "SESSION", "sessionid", "JSESSIONID", "PHPSESSID", "connect.sid", "_session_id", "laravel_session"])
def test_a_name_that_a_framework_uses_for_a_cookie_is_warned_of_where_it_is_hidden(name: str) -> None:
    (warning,) = parse(cookie_name=name).warnings
    assert warning.startswith("scope app: cookie_name %s is also the default of %s; an application" % (
        name, parse(cookie_name=name).framework))
    assert parse(cookie_name=name, hide_cookie=False).warnings == []
    assert parse(cookie_name="__Host-" + name, cookie_path="/").warnings == []


def test_allowing_it_without_doing_it_is_no_warning() -> None:
    assert parse(allow_insecure=True).warnings == []


A = {"name": "a", "path": "/a"}
B = {"name": "b", "path": "/b"}
@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"path": "/"}, {"path": "/b"}),
        ({"path": "/b"}, {"path": "/b/c", "virtual_host": "x.com"}),
        ({"path": "/b"}, {"path": "/b", "virtual_host": "x.com"}),
        ({"path": "/", "virtual_host": "x.com"}, {"path": "/b", "virtual_host": "x.com"}),
    ],
)
def test_a_database_inside_a_scope_of_cookies_is_refused(wide: dict[str, Any], narrow: dict[str, Any]) -> None:
    pair = [{"name": "wide", "cookie_name": "wide", **wide}, {"name": "narrow", "cookie_name": "n", "store": "dbd", **narrow}]
    for raw in (pair, pair[::-1]):
        error = refusal(raw)
        assert (error.scope, error.option) == ("narrow", "store")
        assert "is inside scope wide" in str(error)
        assert "Give scope wide store: dbd too" in str(error)
    parse_scopes([{**pair[0], "store": "dbd"}, pair[1]])
    parse_scopes([{**pair[0], "store": "dbd"}, {**pair[1], "store": "cookie"}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/b"}, {"path": "/bc"}),
        ({"path": "/b/c", "virtual_host": "x.com"}, {"path": "/b"}),
        ({"path": "/b", "virtual_host": "x.com"}, {"path": "/b/c", "virtual_host": "y.com"}),
    ],
)
def test_a_database_beside_a_scope_of_cookies(one: dict[str, Any], other: dict[str, Any]) -> None:
    scopes = parse_scopes([{"name": "one", "cookie_name": "one", **one},
                           {"name": "other", "cookie_name": "other", "store": "dbd", **other}])
    assert [scope.store for scope in scopes] == ["cookie", "dbd"]
    assert scopes[1].store_path == other["path"] + "/.mod-session-probe?store"


DESTROY = "they would destroy each other's sessions. Give one of them another cookie_name"


@pytest.mark.parametrize(
    ("one", "other", "option"),
    [
        # Both cookies are sent to one URL, under one name.
        ({"path": "/"}, {"path": "/b"}, "cookie_path"),
        ({"path": "/a"}, {"path": "/a/b"}, "cookie_path"),
        ({"path": "/a", "cookie_path": "/"}, {"path": "/b"}, "cookie_path"),
        ({"path": "/", "cookie_path": "/"}, {"path": "/b", "virtual_host": "x.com"}, "cookie_path"),
        ({"path": "/", "virtual_host": "x.com"}, {"path": "/b", "virtual_host": "X.com"}, "cookie_path"),
        # One cookie, that only one of them can open.
        ({"cookie_path": "/"}, {"cookie_path": "/", "cipher": "aes128"}, "cipher"),
        ({"cookie_path": "/"}, {"cookie_path": "/", "store": "dbd"}, "store"),
        # The domain makes it another cookie, or takes it to the other host.
        ({"cookie_path": "/"}, {"cookie_path": "/", "cookie_domain": "x.com"}, "cookie_domain"),
        ({"cookie_path": "/", "virtual_host": "a.x.com", "cookie_domain": "x.com"},
         {"cookie_path": "/", "virtual_host": "b.x.com"}, "cookie_domain"),
        ({"cookie_path": "/", "virtual_host": "a.x.com"},
         {"cookie_path": "/", "virtual_host": "x.com", "cookie_domain": "x.com"}, "cookie_domain"),
        ({"cookie_path": "/", "virtual_host": "a.x.com", "cookie_domain": "x.com"},
         {"cookie_path": "/", "virtual_host": "b.y.x.com", "cookie_domain": "y.x.com"}, "cookie_domain"),
        ({"cookie_path": "/", "virtual_host": "a.x.com", "cookie_domain": "x.com"},
         {"cookie_path": "/", "virtual_host": "b.x.com", "cookie_domain": "x.com", "cipher": "aes192"}, "cipher"),
    ],
)
def test_scopes_that_would_destroy_each_others_sessions(
    one: dict[str, Any], other: dict[str, Any], option: str
) -> None:
    for first, second in (({**A, **one}, {**B, **other}), ({**B, **other}, {**A, **one})):
        error = refusal([first, second])
        assert str(error) == (
            "session_config_scopes [%s] %s: scope %s has the same cookie_name and reaches the same paths, but another %s: %s"
            % (second["name"], option, first["name"], option, DESTROY))
        parse_scopes([first, {**second, "cookie_name": "other"}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"cipher": "aes128"}, {}),
        ({"path": "/a", "cookie_path": "/"}, {"path": "/b", "cookie_path": "/"}),
        ({"path": "/a"}, {"path": "/ab"}),
        ({"path": "/", "virtual_host": "a.com"}, {"path": "/", "virtual_host": "b.com", "cipher": "aes128"}),
        ({"path": "/", "virtual_host": "a.x.com", "cookie_domain": "a.x.com"},
         {"path": "/", "virtual_host": "b.x.com", "cookie_domain": "b.x.com"}),
        ({"path": "/a", "virtual_host": "a.x.com", "cookie_domain": "x.com"}, {"path": "/b", "virtual_host": "b.x.com"}),
        ({"path": "/a", "virtual_host": "a.com"}, {"path": "/a", "cookie_name": "other"}),
        ({"path": "/", "exclude": ["/a"]}, {"path": "/b", "cookie_name": "other"}),
        # What is excluded does not hold on another host, nor outside of the section.
        ({"path": "/", "exclude": ["/b"], "virtual_host": "a.com"}, {"path": "/b", "virtual_host": "b.com"}),
        ({"path": "/a", "exclude": ["/b"]}, {"path": "/b"}),
    ],
)
def test_scopes_that_live_together(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert len(parse_scopes([{**A, **one}, {**B, **other}])) == 2


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"path": "/", "exclude": ["/b"]}, {"path": "/b"}),
        ({"path": "/", "exclude": ["/x", "/b/"]}, {"path": "/b"}),
        ({"path": "/x", "exclude": ["/x/y"]}, {"path": "/x/yes"}),
        ({"path": "/", "exclude": ["/b"]}, {"path": "/b", "virtual_host": "x.com"}),
        ({"path": "/", "exclude": ["/b"], "virtual_host": "x.com"}, {"path": "/b", "virtual_host": "x.com"}),
    ],
)
def test_an_excluded_prefix_would_hold_inside_a_narrower_scope(wide: dict[str, Any], narrow: dict[str, Any]) -> None:
    first, second = {**A, **wide}, {**B, **narrow, "cookie_name": "other"}
    for raw in ([first, second], [second, first]):
        error = refusal(raw)
        assert (error.scope, error.option) == ("a", "exclude")
        assert "%s would turn sessions off in scope b too" % wide["exclude"][-1] in str(error)


@pytest.mark.parametrize("prefix", ["/b/static", "/b/static/deep", "/b/.hidden"])
def test_an_excluded_prefix_would_hold_in_a_part_of_a_narrower_scope(prefix: str) -> None:
    first, second = {**A, "path": "/", "exclude": ["/x", prefix]}, {**B, "cookie_name": "other"}
    for raw in ([first, second], [second, first]):
        error = refusal(raw)
        assert (error.scope, error.option) == ("a", "exclude")
        assert "%s would turn sessions off in that part of scope b too" % prefix in str(error)
    parse_scopes([first, {**second, "exclude": [prefix]}])
    parse_scopes([first, {**second, "exclude": ["/b/s", "/b/.h"]}])


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6) | st.sampled_from(
        ["/", "/a", "app", "Lax", "aes128", "yes", "http"]),
    lambda inner: st.lists(inner, max_size=3), max_leaves=4)
OPTIONS: list[str] = list(Scope.__dataclass_fields__)


@given(st.lists(st.dictionaries(st.sampled_from([*OPTIONS, "x"]), json, max_size=5).map(lambda more: {**APP, **more}) | json,
                max_size=3))
def test_whatever_is_given_there_are_scopes_or_a_sentence(raw: list[Any]) -> None:
    try:
        scopes = parse_scopes(raw)
    except ScopeError as error:
        assert str(error).startswith("session_config_scopes")
    else:
        for scope in scopes:
            given = {name: getattr(scope, name) for name in OPTIONS}
            given["reach"] = {**vars(scope.reach), "headers": dict(scope.reach.headers)}
            assert parse_scopes([given]) == (scope,)
            assert 0 <= scope.update_interval < scope.max_age
