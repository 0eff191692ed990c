# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a configuration, beside what a real httpd does with it; skipped where there is none.

Each configuration is served and asked, and its dump is judged: a session that is not as the scope wants it has to be told by the
code that stands here, and one that is has to be left in peace.
"""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils import config_causes, httpd_config
from plugins.module_utils.causes import Symptom
from plugins.module_utils.config import render
from plugins.module_utils.cookie import CookieError, sealed_by
from plugins.module_utils.layout import DEBIAN, Layout
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import parse_set_cookie
from plugins.module_utils.scopes import parse_scopes

try:
    binary, modules = real_httpd.find()
    reason = "" if (modules / "mod_info.so").exists() and (modules / "mod_macro.so").exists() else "no mod_info or mod_macro"
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

KEY = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
STRANGER = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
SECRET = "TEST0SECRET"
SCOPES = parse_scopes([{"name": "app", "path": "/app", "update_interval": 0}])
PAGES = ("/app", "/app/x", "/app/admin", "/app/admin/x", "/app/sub/x", "/app/x.html")
OVERRIDE = f"SessionCryptoPassphrase {STRANGER}"
ALLOW = "<Directory {root}/pages>\nAllowOverride All\n</Directory>\n"
HOST = "<VirtualHost *:{port}>\nServerName localhost\n%s\n</VirtualHost>\n"
UNSAFE = ("passphrase_inline", "htaccess_allowed", "session_env", "cookie_not_secure")  # told, whatever becomes of the session


def at(section: str, words: str) -> str:
    return "<%s>\n%s\n</%s>\n" % (section, words, section.split()[0])


# (what, configuration before ours, after ours, .htaccess files by folder, codes that are to be told)
CHANGED = [
    ("location", "", at("Location /app/sub", OVERRIDE), {}, {"passphrase_override"}),
    ("a regular expression for a part", "", at('LocationMatch "^/app/(admin|login)"', OVERRIDE), {}, {"passphrase_override"}),
    ("a tilde", "", at('Location ~ "^/app/admin"', "SessionMaxAge 7"), {}, {"scope_narrowed"}),
    ("without case", "", at('LocationMatch "(?i)^/APP/admin"', "SessionMaxAge 7"), {}, {"scope_narrowed"}),
    ("only PCRE knows", "", at('LocationMatch "^/app/[a-z]++/x"', "SessionMaxAge 7"), {}, {"scope_narrowed"}),
    ("not anchored", "", at('LocationMatch "html$"', "SessionMaxAge 7"), {}, {"scope_narrowed"}),
    ("wildcard before", "", at('Location "/*/admin"', "SessionMaxAge 7"), {}, {"scope_narrowed"}),
    ("wildcard after", "", at('Location "/app*"', "Session Off"), {}, {"scope_shadowed"}),
    ("include anywhere", "SessionInclude /other", "", {}, {"scope_shadowed"}),
    ("include of a part", "", "SessionInclude /app/sub", {}, {"scope_shadowed"}),
    ("include in a directory", "", at("Directory {root}/pages", "SessionInclude /other"), {}, {"scope_shadowed"}),
    ("exclude", "SessionExclude /app/sub", "", {}, {"scope_narrowed"}),
    ("off in a part", "", at("Location /app/sub", "Session Off"), {}, {"scope_narrowed"}),
    ("a longer age in a part", "", at("Location /app/sub", "SessionMaxAge 7200"), {}, {"max_age_differs"}),
    ("another session in a part", "", at("Location /app/sub", "SessionCookieName sub path=/app/sub;Secure\n" + OVERRIDE), {},
     {"scope_narrowed"}),
    ("another session in all of it", "", at("Location /app", "SessionCookieName sub path=/app;Secure\n" + OVERRIDE), {},
     {"scope_shadowed", "passphrase_override"}),
    ("the same name and another path in a part", "",
     at("Location /app/sub", "SessionCookieName httpd-session path=/app/sub;Secure;HttpOnly"), {}, {"scope_shadowed"}),
    ("a short age that is no logout's", "", at("Location /app", "SetHandler none\nSessionMaxAge 1"), {}, {"max_age_differs"}),
    ("exclude, as text", "", "SessionExclude /ap", {}, {"scope_shadowed"}),
    ("exclude in a directory", "", at("Directory {root}/pages/app", "SessionExclude /app/sub"), {}, {"scope_narrowed"}),
    ("exclude further out, before", at("Location /", "SessionExclude /app/sub"), "", {}, {"scope_narrowed"}),
    ("if", "", at('If "true"', "SessionMaxAge 7"), {}, {"max_age_differs"}),
    ("if in a directory", "", at("Directory {root}/pages/app", at('If "true"', "SessionMaxAge 7")), {}, {"max_age_differs"}),
    ("virtual host before", HOST % at("Location /app", "SessionMaxAge 7"), "", {}, {"max_age_differs"}),
    ("a sign", "", at("Location /app/sub", "SessionMaxAge +7"), {}, {"scope_narrowed"}),
    ("a unit that httpd overlooks", "", at("Location /app/sub", "SessionMaxAge 60s"), {}, {"scope_narrowed"}),
    ("zero", "", at("Location /app/sub", "SessionMaxAge 0"), {}, {"max_age_off"}),
    ("a word is zero", "", at("Location /app/sub", "SessionMaxAge hour"), {}, {"max_age_off"}),
    ("negative", "", at("Location /app/sub", "SessionMaxAge -7"), {}, {"max_age_negative"}),
    ("interval beyond the age", "", at("Location /app/sub", "SessionExpiryUpdateInterval 9999"), {}, {"scope_shadowed"}),
    ("cipher", "", at("Location /app/sub", "SessionCryptoCipher blowfish"), {}, {"cipher_unknown"}),
    ("a variable", "Define PLACE /app/admin", at("Location ${PLACE}", "SessionMaxAge 7"), {}, {"scope_narrowed"}),
    ("a macro", at("Macro short $p", at("Location $p", "SessionMaxAge 7")), "Use short /app/admin\n", {}, {"scope_narrowed"}),
    (".htaccess exclude", ALLOW, "", {"app": "SessionExclude /app/sub\n"}, {"htaccess_session"}),
    (".htaccess, two lines", ALLOW, "", {"app": "Session\\\nExclude /app/sub\n"}, {"htaccess_session"}),
    (".htaccess if", ALLOW, "", {"app": at('If "true"', OVERRIDE)}, {"htaccess_session"}),
    (".htaccess listed", at("Directory {root}/pages", "AllowOverride None\nAllowOverrideList SessionExclude"), "",
     {"app": "SessionExclude /app/sub\n"}, {"htaccess_session"}),
    (".htaccess wildcard", at("Directory {root}/pag*", "AllowOverride AuthConfig"), "",
     {"app": "SessionExclude /app/sub\n"}, {"htaccess_session"}),
]
SAME = [
    ("ours alone", "", "", {}),
    ("before ours", at("LocationMatch ^/app", "Session Off"), "", {}),
    ("a longer name", "", at("Location /application", "Session Off"), {}),
    ("slashes that httpd merges", "", at("Location //app//admin", "SessionMaxAge 7"), {}),
    ("not anchored here", "", at('LocationMatch "^/$"', "Session Off"), {}),
    ("directory", "", at("Directory {root}/pages/app", OVERRIDE + "\nSessionMaxAge 7"), {}),
    ("files", "", at('Files "x.html"', "Session Off"), {}),
    ("if elsewhere", "", at("Location /else", at('If "true"', "SessionMaxAge 7")), {}),
    ("if in a directory elsewhere", "", at("Directory {root}/pages/else", at('If "true"', "SessionMaxAge 7")), {}),
    ("include that has it", "", "SessionInclude /other\nSessionInclude /app", {}),
    ("include elsewhere", "", at("Location /else", "SessionInclude /else"), {}),
    ("include in a directory elsewhere", "", at("Directory {root}/pages/else", "SessionInclude /else"), {}),
    ("exclude elsewhere", "", "SessionExclude /static", {}),
    ("on once more", "", at("Location /app/sub", "Session On"), {}),
    ("a name that is inherited", "",
     at("Location /o", "SessionCookieName o path=/;Secure") + at("Location /o/x", "Session On"), {}),
    ("the same age", "", at("Location /app/sub", "SessionMaxAge 3600"), {}),
    ("the same file", "", at("Location /app/sub", "SessionCryptoPassphraseFile {root}/keys"), {}),
    ("all the same", "", at("Location /app",
     "Session On\nSessionCookieName httpd-session path=/app;httponly;Secure;SameSite=lax\n"
     "SessionCryptoPassphraseFile {root}/keys\nSessionCryptoCipher aes256\nSessionMaxAge 3600\nSessionEnv Off"), {}),
    ("not defined", "", at("IfDefine NOPE", at("Location /app", "Session Off")), {}),
    ("a cookie that no browser reads", "", at("Location /app/sub", "SessionCookieName2 o path=/;Secure"), {}),
    (".htaccess loses", ALLOW, "", {"app": "SessionMaxAge 7\nSession Off\n" + OVERRIDE + "\n"}),
    (".htaccess elsewhere", ALLOW, "", {"else": at('If "true"', "SessionMaxAge 7")}),
    (".htaccess of other paths", ALLOW, "", {"app": "SessionExclude /static\n"}),
    (".htaccess not allowed below", ALLOW + at("Directory {root}/pages/app", "AllowOverride None"), "",
     {"app": "SessionExclude /app/sub\n"}),
]


class Served(real_httpd.RealHttpd):
    """A real httpd with our sections between others."""

    def __init__(self, before: str, after: str, htaccess: dict[str, str]) -> None:
        load = "".join("LoadModule %s_module %s/mod_%s.so\n" % (name, modules, name) for name in ("info", "macro"))
        super().__init__(f"{load}{before}\nInclude {{root}}/{os.path.basename(DEBIAN.conf_file)}\n{after}", {},
                         {"keys": render_file([KEY])})
        self.htaccess = htaccess

    def _whole_configuration(self) -> str:
        ours = render(SCOPES, "{root}/keys", (2, 4, 62)).replace("{root}", str(self._root))
        (self._root / os.path.basename(DEBIAN.conf_file)).write_text(ours, encoding="utf-8")
        for folder in ("app", "app/admin", "app/sub", "else"):
            (self._root / "pages" / folder).mkdir(exist_ok=True)
            (self._root / "pages" / folder).chmod(0o755)
        for page in ("app/x", "app/admin/x", "app/sub/x", "app/x.html"):
            (self._root / "pages" / page).write_text("x", encoding="utf-8")
        for folder, text in self.htaccess.items():
            (self._root / "pages" / folder / ".htaccess").write_text(text, encoding="utf-8")
        return super()._whole_configuration().replace("{port}", str(self.port))

    def wanted(self) -> list[str]:
        """The pages whose session is not as the scope wants it."""
        return [page for page in PAGES if self.seen(page) != ("httpd-session", 0, "3600", "/app")]

    def seen(self, page: str) -> tuple[object, ...]:
        cookies = [value for name, value in self.get(page).getheaders() if name.lower() == "set-cookie"]
        if not cookies:
            return ()
        found = parse_set_cookie(cookies[0])
        try:
            key = sealed_by(found.value, [KEY])
        except CookieError:
            key = -1
        return found.name, key, str(found.attributes.get("max-age")), found.attributes.get("path")

    def dumped(self, *arguments: str) -> str:
        return subprocess.run([self.binary, "-d", str(self._root), "-f", str(self._root / "httpd.conf"), *arguments],
                              capture_output=True, text=True, check=True).stdout

    def said(self, monkeypatch: pytest.MonkeyPatch) -> list[Symptom]:
        monkeypatch.setattr(Layout, "key_file", property(lambda _self: str(self._root / "keys")))
        tree = httpd_config.parse_dump(self.dumped("-t", "-D", "DUMP_CONFIG"))
        loaded = httpd_config.parse_modules(self.dumped("-M"))
        hosts = httpd_config.parse_vhosts(self.dumped("-S"))
        return config_causes.judge(tree, loaded, hosts, SCOPES, DEBIAN) + config_causes.htaccess(
            tree, hosts, htaccess_files, SCOPES)


def htaccess_files(directory: str) -> Iterator[tuple[str, str]]:
    for path in sorted(Path(directory).rglob(".htaccess")):
        yield str(path), path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("before", "after", "htaccess", "codes"), [row[1:] for row in CHANGED], ids=[row[0] for row in CHANGED])
def test_what_changes_sessions_is_told(
        before: str, after: str, htaccess: dict[str, str], codes: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(before, after, htaccess) as httpd:
        assert httpd.wanted() != []
        said = httpd.said(monkeypatch)
    assert {one.code for one in said} - set(UNSAFE) == codes
    assert not any(STRANGER in one.evidence for one in said)


@pytest.mark.parametrize(("before", "after", "htaccess"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_what_changes_nothing_is_left_in_peace(
        before: str, after: str, htaccess: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Served(before, after, htaccess) as httpd:
        assert httpd.wanted() == []
        assert [one for one in httpd.said(monkeypatch) if one.code not in UNSAFE] == []


def test_a_condition_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    condition = "req('X-Token') == '%s'" % SECRET
    with Served("", at('If "%s"' % condition, "SessionMaxAge 7"), {}) as httpd:
        said = httpd.said(monkeypatch)
    assert [one.code for one in said] == ["max_age_differs"]
    assert SECRET not in said[0].evidence


def test_where_the_logs_are(tmp_path: Path) -> None:
    with Served("ErrorLogFormat \"%M\"\n" + HOST % 'ErrorLog "{root}/with space.log"',
                "<VirtualHost 127.0.0.1:1>\nServerName b\nErrorLog \"|/bin/cat -u '{root}/x y'\"\n</VirtualHost>", {}) as httpd:
        root = str(httpd._root)
        tree = httpd_config.parse_dump(httpd.dumped("-t", "-D", "DUMP_CONFIG"))
        settings = httpd.dumped("-S")
        hosts = httpd_config.parse_vhosts(settings)
    assert httpd_config.error_logs(tree) == [root + "/error.log", root + "/with space.log", "|/bin/cat -u '%s/x y'" % root]
    assert httpd_config.server_root(settings) == root
    assert [(host.name, host.address) for host in hosts] == [("b", "127.0.0.1"), ("localhost", "*")]
