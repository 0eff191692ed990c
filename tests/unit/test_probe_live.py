# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe location among what else a site has: who answers, what the answer shows, and what is logged. On a real httpd."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils.config import render
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import Answer, Observation, answered_by, identity, observe, seal_probe
from plugins.module_utils.scopes import Scope, parse_scopes

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
