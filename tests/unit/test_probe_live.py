# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe location among what else a site has: who answers, what the answer shows, and what is logged. On a real httpd."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils import clock
from plugins.module_utils.config import render
from plugins.module_utils.live import ScopeProbe, Way, problems
from plugins.module_utils.node import Node
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import Answer, Observation, answered_by, identity, observe, seal_probe
from plugins.module_utils.question import Key, Question
from plugins.module_utils.scopes import Scope, parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils.prober import Node as Asked
from plugins.plugin_utils.prober import Plan, Prober

MODULES = (
    "dir alias rewrite auth_basic auth_form authn_core authn_file authz_user authz_host access_compat proxy proxy_http request"
).split()
reason = ""
try:
    binary, folder = real_httpd.find()
    reason = ", ".join(name for name in MODULES if not (folder / f"mod_{name}.so").exists())
    reason = reason and f"this httpd has no modules {reason}"
except real_httpd.NoHttpd as missing:
    reason = f"no real httpd: {missing}"
pytestmark = pytest.mark.skipif(bool(reason), reason=reason or "httpd is here")

KEY = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
STRANGER = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
MARKER = "live-marker1"
ME = identity("web1")
NAME = "httpd-session"
LOGIN = "AuthUserFile {root}/users\nAuthType %s\nAuthName x\nAuth%sProvider file\nRequire valid-user\n%s"


def at(section: str, *lines: str) -> str:
    return "<%s>\n%s\n</%s>\n" % (section, "\n".join(lines), section.split()[0])


FORM = LOGIN % ("form", "Form", "AuthFormLoginRequiredLocation /login.html")
BASIC = LOGIN % ("Basic", "Basic", "")
PAGES = "Directory {root}/pages"
HERE = 'Location "/app"'

SITES = {
    # what the site has: its configuration, and the status of the probe location's answer
    "nothing else": ("", 403),
    "basic authentication of all": (at('Location "/"', BASIC), 403),
    "form login of all": (at('Location "/"', FORM), 403),
    "form login of the scope": (at(HERE, FORM), 403),
    "all may enter": (at(HERE, "AuthMerging Or", at("RequireAny", "Require ip 127.0.0.1", "Require all granted")), 403),
    "some may not enter": (at(HERE, at("RequireAll", "Require all granted", at("RequireNone", "Require ip 10.0.0.1"))), 403),
    "nobody may enter": (at(HERE, "Require all denied"), 403),
    "all files may be read": (at(PAGES, "Require all granted") + at('Files "*"', "Require all granted"), 403),
    "an <If> that lets all in": (at('If "true"', "Require all granted"), 403),
    "only for GET": (at(HERE, at("Limit GET", "Require all granted")), 403),
    "access rules of httpd 2.2": (at('Location "/"', "Order allow,deny", "Allow from all", "Satisfy Any"), 403),
    "and a login": (at('Location "/"', BASIC, "Order allow,deny", "Allow from 127.0.0.1", "Satisfy Any"), 403),
    "and the asker is shut out": (at('Location "/"', "Order deny,allow", "Deny from 127.0.0.1"), 403),
    "an error page": ("ErrorDocument 403 /sorry.html\nErrorDocument 401 /sorry.html", 403),
    "an error page of the scope": (at(HERE, "ErrorDocument 403 /sorry.html"), 403),
    "an error page elsewhere": ("ErrorDocument 403 https://www.example.com/sorry", 403),
    "an error page of the application": ("ErrorDocument 403 /app/login", 403),
    "an error text": ('ErrorDocument 403 "go away"', 403),
    "a front controller": (at(PAGES, "FallbackResource /index.html"), 403),
    "a front controller by rewriting": (at(PAGES, "RewriteEngine On", "RewriteRule ^ index.html [L]"), 403),
    "by rewriting of the virtual host": ("RewriteEngine On\nRewriteRule ^ /index.html [L]", 403),
    "by another path": ("RewriteEngine On\nRewriteRule ^/app /app/index.html [PT,L]", 403),
    "one file for all": ("AliasMatch ^/.*$ {root}/pages/index.html", 403),
    "a handler for all": (at('Location "/"', "SetHandler send-as-is"), 403),
    "a redirect by rewriting": (at(PAGES, "RewriteEngine On", "RewriteRule ^ https://example.com/ [R=302,L]"), 403),
    "a redirect of the virtual host by rewriting": ("RewriteEngine On\nRewriteRule ^/(.*) https://example.com/$1 [R=301,L]", 301),
    "a redirect of the virtual host": ('Redirect permanent "/" "https://example.com/"', 301),
    "a redirect of the scope": (at(HERE, "Redirect 302 https://example.com/"), 302),
    "a proxy for all": ('ProxyPass "/" "http://127.0.0.1:9/"\nProxyErrorOverride On\nErrorDocument 403 /sorry.html', 403),
    "a proxy by rewriting": ("RewriteEngine On\nRewriteRule ^/app/(.*) http://127.0.0.1:9/$1 [P]", 403),
    "hidden files forbidden": ('RewriteEngine On\nRewriteRule "(^|/)\\." - [F]', 403),
    "hidden files gone": ('RewriteEngine On\nRewriteRule "(^|/)\\." - [G]\nErrorDocument 410 /sorry.html', 410),
    "hidden files not found": ('RedirectMatch 404 "/\\..*$"\nErrorDocument 404 /sorry.html', 404),
    "hidden files denied": (
        at('DirectoryMatch "/\\."', "Require all denied") + at('FilesMatch "^\\."', "Require all denied"), 403),
    "headers taken away": ("Header always unset Server\nHeader always unset Mod-Session-Probe\nHeader unset Set-Cookie", 403),
    "cookies changed": ('Header edit Set-Cookie ^(.*)$ "$1; SameSite=Strict"', 403),
}

APPLICATIONS = {
    # what lets an application answer in place of the probe location
    "an <If> in a section behind": at('LocationMatch "^/"', at('If "true"', "Require all granted")),
    "and its own error page": at(HERE, at('If "true"', "Require all granted", "ErrorDocument 404 /app/sorry.html")),
    "and a redirect of its own": at(HERE, at('If "true"', "Require all granted", "SetHandler send-as-is")),
}


def scope(path: str = "/app") -> Scope:
    return parse_scopes([{"name": "app", "path": path, "hide_cookie": False}])[0]


@contextmanager
def served(site: str, path: str = "/app") -> Iterator[real_httpd.RealHttpd]:
    """A real httpd with our section and, behind it, the site's own."""
    load = "".join(f"LoadModule {name}_module {folder}/mod_{name}.so\n" for name in MODULES)
    text = render([scope(path)], "{root}/keys", (2, 4, 62), identity=ME)
    pages = {"index.html": "hello", "sorry.html": "sorry", "login.html": "log in"}
    with real_httpd.RealHttpd(load + text + site, pages, {"keys": render_file([KEY]), "users": ""}) as server:
        yield server


def ask(server: real_httpd.RealHttpd, key: str, path: str = "/app") -> tuple[Answer, Observation]:
    of = scope(path)
    value = seal_probe(key, of.cipher, MARKER, os.urandom(16), os.urandom(16))
    found = server.get(of.probe_path, f"{NAME}={value}")
    answer = Answer(found.status, tuple(found.getheaders()), 1, 2)
    return answer, observe(answer, NAME, [KEY], of.cipher, MARKER, value)


def errors(server: real_httpd.RealHttpd) -> list[str]:
    """What of the error log anybody may act on."""
    return [line for line in server.error_log().splitlines() if re.search(r":(emerg|alert|crit|error|warn)\] .*client", line)]


@pytest.mark.parametrize("path", ["/app", "/"])
@pytest.mark.parametrize("name", SITES)
def test_the_probe_location_answers_by_itself_and_nothing_is_logged(name: str, path: str) -> None:
    site, status = SITES[name]
    if path == "/" and "/app" in site and status != 403:
        status = 403  # the scope's own section only
    with served(site, path) as server:
        for key, accepted in ((KEY, True), (STRANGER, False)):
            answer, seen = ask(server, key, path)
            assert answered_by(answer) == ME
            assert (seen.status, seen.sealed, seen.encrypts_with, seen.accepted) == (status, "key", 0, accepted)
        assert errors(server) == []


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_that_answers_is_recognised(name: str) -> None:
    with served(APPLICATIONS[name]) as server:
        assert answered_by(ask(server, KEY)[0]) == ""


def length_of_a_probe() -> str:
    """A session value with which an application's session is as long as one that holds a probe's marker."""
    return "x" * (len("fleetprobe=") + len(MARKER) - len("u="))


SIGNED_IN = {
    "a page in place of the probe location": ("", (("mod-session-probe", "elsewhere"),)),
    "an error page that begins a session": ("", (("ErrorDocument 403 default", "ErrorDocument 403 /app/set.asis"),)),
    "access rules of httpd 2.2": (
        at(HERE, "Order allow,deny", "Allow from all", "Satisfy Any"), (("Satisfy All", "Satisfy Any"),)),
    "an <If> in a section behind": (at('LocationMatch "^/"', at('If "true"', "Require all granted")), ()),
}
"""What gives every newcomer a session of the very length that an accepted probe has, though the node lacks the key."""


@pytest.mark.parametrize("name", SIGNED_IN)
def test_an_applications_session_of_the_right_length_proves_nothing(name: str) -> None:
    site, changes = SIGNED_IN[name]
    set_asis = f"Status: 200\nContent-Type: text/plain\nX-Replace: u={length_of_a_probe()}\n\nok\n"
    wanted = replace(scope(), response_header="X-Replace")
    text = render([wanted], "{root}/keys", (2, 4, 62), identity=ME)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    load = "".join(f"LoadModule {module}_module {folder}/mod_{module}.so\n" for module in MODULES)
    everything = "AliasMatch ^/app {root}/pages/set.asis\n"
    with real_httpd.RealHttpd(load + text + site + everything, {"set.asis": set_asis}, {"keys": render_file([KEY])}) as server:
        answer, seen = ask(server, STRANGER)
        assert seen.sealed == "key" and seen.accepted, "else this is no test"
        assert answered_by(answer) == ""
        wanted = replace(wanted, port=server.port)
        cookies = tuple(seal_probe(key, "aes256", MARKER, bytes(16), bytes(16)) for key in (KEY, STRANGER))
        probes = [ScopeProbe(wanted, MARKER, cookies, ME)]
        (told,) = problems(Node("apache2"), probes, [KEY, STRANGER], Way("127.0.0.1", server.port), only_keys=True)
        assert "but not as this node's probe location" in told
        (view,) = Prober(Plan((wanted,), (KEY, STRANGER), timeout=5)).run([Asked("web1", "127.0.0.1")])
    assert not view.proven and view.accepts == (None, None) and view.encrypts_with is None and view.offset is None
    assert view.elsewhere is not None and view.elsewhere.accepts[1] is not True, "it was opened"
    keys = (Key("", "primary"), Key("", "staged"))
    verdict = judge(Question(("web1",), (wanted,), keys, clock.limits(3600)), [view])
    assert not verdict.passed and [(count.opens, count.encrypts) for count in verdict.keys] == [(0, 0), (0, 0)]
    assert "probe_missing" in {item.code for item in verdict.findings}


def test_names_that_lead_to_one_server_are_told_from_each_other() -> None:
    with served("") as server:
        wanted = replace(scope(), port=server.port)
        nodes = ("web1", "web2", "web3")
        views = Prober(Plan((wanted,), (KEY,), timeout=5)).run([Asked(name, "127.0.0.1") for name in nodes])
    verdict = judge(Question(nodes, (wanted,), (Key("", "primary"),), clock.limits(3600)), views)
    assert [(count.opens, count.encrypts, count.missing) for count in verdict.keys] == [(1, 1, ("web2", "web3"))]
    assert {(item.node, item.code, item.seen) for item in verdict.findings} == {
        ("web2", "another_node", "answers as web1"), ("web3", "another_node", "answers as web1")}


@pytest.mark.parametrize("name", [name for name, (_site, status) in SITES.items() if status != 403])
def test_a_site_that_answers_something_else_to_all_is_proven(name: str) -> None:
    with served(SITES[name][0]) as server:
        wanted = replace(scope(), port=server.port)
        probes = [ScopeProbe(wanted, MARKER, (seal_probe(KEY, "aes256", MARKER, bytes(16), bytes(16)),), ME)]
        assert problems(Node("apache2"), probes, [KEY], Way("127.0.0.1", server.port)) == []
        views = Prober(Plan((wanted,), (KEY,), timeout=5)).run([Asked("web1", "127.0.0.1")])
    verdict = judge(Question(("web1",), (wanted,), (Key("", "primary"),), clock.limits(3600)), views)
    assert verdict.passed and {item.code for item in verdict.findings} <= {"redirected"}


def test_what_a_directive_does_to_a_page_is_seen_where_that_page_is_asked_for() -> None:
    edit = at('Location "/app/page"', 'Header always edit Set-Cookie ^(.*)$ "$1; SameSite=Strict"')
    with served(edit + "AliasMatch ^/app/page {root}/pages/index.html\n") as server:
        wanted = replace(scope(), port=server.port)
        found = {}
        for paths in ((), ("/app/page",)):
            views = Prober(Plan((wanted,), (KEY,), timeout=5, paths={"app": paths})).run([Asked("web1", "127.0.0.1")])
            verdict = judge(Question(("web1",), (wanted,), (Key("", "primary"),), clock.limits(3600)), views)
            found[paths] = [(item.code, item.seen) for item in verdict.findings]
    assert found == {(): [], ("/app/page",): [("cookie_same_site", "/app/page: Strict")]}


@pytest.mark.parametrize("always", ["", "always "])
def test_the_probe_location_shows_what_a_directive_does_to_the_cookies_of_pages(always: str) -> None:
    """mod_session's cookie is among the headers that only "always" reaches, on a page as on an error."""
    site = f'Header {always}edit Set-Cookie ^(.*)$ "$1; SameSite=Strict"\n'
    with served(site + "AliasMatch ^/app/page {root}/pages/index.html\n") as server:
        value = seal_probe(KEY, "aes256", MARKER, os.urandom(16), os.urandom(16), (int(time.time()) + 60) * clock.SECOND)
        answers = [server.get(path, f"{NAME}={value}") for path in ("/app/page", scope().probe_path)]
    cookies = [str(answer.getheader("Set-Cookie")) for answer in answers]
    assert [answer.status for answer in answers] == [200, 403] and all(NAME in cookie for cookie in cookies)
    assert ["Strict" in cookie for cookie in cookies] == [bool(always)] * 2


def test_a_visitor_cannot_have_an_application_speak_as_the_probe_location() -> None:
    behind = at('LocationMatch "^/"', at('If "true"', "Require all granted"))
    with served(behind) as server:
        for header in ("Mod-Session-Probe", "Mod-Session-Probe-Passed"):
            for value in ("", ME):
                answer = server.get(scope().probe_path, headers={header: value})
                assert answer.getheader("Mod-Session-Probe") is None


def test_what_a_visitor_loses_is_logged_as_ever() -> None:
    value = seal_probe(STRANGER, "aes256", MARKER, os.urandom(16), os.urandom(16))
    with served("") as server:
        server.get("/app/x", f"{NAME}={value}")
        assert "AH01842" in server.error_log()
