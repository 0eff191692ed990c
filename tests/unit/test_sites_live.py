# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites of several virtual hosts on a real httpd: each is judged by itself, and a fault counts only where the scope is served."""
from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils import config_causes, httpd_config
from plugins.module_utils.config import render
from plugins.module_utils.cookie import CookieError, sealed_by
from plugins.module_utils.layout import DEBIAN, Layout
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import parse_set_cookie
from plugins.module_utils.scopes import Scope, parse_scopes
from plugins.module_utils.vhost_file import with_includes

try:
    _binary, modules = real_httpd.find()
    needed = ("info", "macro", "auth_form", "request", "authn_core")
    lacking = [name for name in needed if not (modules / f"mod_{name}.so").exists()]
    reason = "no mod_%s" % lacking[0] if lacking else ""
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

KEY = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
STRANGER = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
HOST = "www.example.com"
UNSAFE = ("passphrase_inline", "cookie_not_secure", "session_env")  # told, wherever they stand
BY_HAND = (f"<Location /app>\nSession On\nSessionCookieName httpd-session path=/app;Secure\nSessionCryptoPassphrase {STRANGER}\n"
           "SessionMaxAge 1800\n</Location>\n")
REDIRECT = f"<VirtualHost *:{{plain}}>\nServerName {HOST}\n%sRedirect / https://{HOST}/\n</VirtualHost>\n"
SITE = f"<VirtualHost *:{{port}}>\nServerName {HOST}\n%s</VirtualHost>\n"
OTHER = "<VirtualHost *:{port}>\nServerName other.example.com\n%s</VirtualHost>\n"
LOGOUT = "<Location /app/logout>\nSetHandler form-logout-handler\nSessionMaxAge 1\nAuthFormLogoutLocation /\n</Location>\n"

# Each is sound: sessions of the scope are as it says.
SITES = {
    "80 redirects, 443 serves": REDIRECT % "" + SITE % "",
    "a hand-made section that has lost": REDIRECT % "" + SITE % BY_HAND,
    "the same one where the scope is not served": REDIRECT % BY_HAND + SITE % BY_HAND,
    "another host with a session of its own": OTHER % BY_HAND + SITE % "" + REDIRECT % "",
    "another host is the default": OTHER % "" + REDIRECT % "" + SITE % BY_HAND,
    "a hand-made section of the whole server": BY_HAND + SITE % "" + REDIRECT % "",
    "a hand-made section that follows the virtual hosts": SITE % "" + REDIRECT % "" + BY_HAND,
    "mod_auth_form's logout": SITE % LOGOUT + REDIRECT % "",
    "addresses": (REDIRECT % BY_HAND + SITE % "").replace("*:", "127.0.0.1:"),
    "an alias": REDIRECT % "" + OTHER % BY_HAND + SITE.replace("ServerName", "ServerName x\nServerAlias") % "",
    "a macro for another host": f"<Macro Old $n>\n{OTHER % BY_HAND}</Macro>\nUse Old x\n".replace("other.", "$n.") + SITE % "",
}
# What is put behind the scope, and the code that is to be told.
FAULTS = {
    "passphrase_override": f"<Location /app/admin>\nSessionCryptoPassphrase {STRANGER}\n</Location>",
    "max_age_differs": "<Location /app>\nSessionMaxAge 7\n</Location>",
    "max_age_off": "<Location /app>\nSessionMaxAge 0\n</Location>",
    "max_age_negative": "<Location /app>\nSessionMaxAge -1\n</Location>",
    "scope_shadowed": "<Location />\nSession Off\n</Location>",
    "cipher_unknown": "<Location /app>\nSessionCryptoCipher aes512\n</Location>",
}


class Site(real_httpd.RealHttpd):
    """A real httpd on two ports with one scope; ``at`` says in which virtual host a fault is put: ``port`` or ``plain``."""

    plain = 0
    scopes: tuple[Scope, ...] = ()

    def _whole_configuration(self) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.plain = free.getsockname()[1]
        root = str(self._root)
        include = f"{root}/included/{HOST}.conf"
        text = super()._whole_configuration().replace("{plain}", str(self.plain)).replace("{port}", str(self.port))
        scope = {"name": "app", "path": "/app", "virtual_host": HOST, "port": self.port, "update_interval": 0}
        self.scopes = parse_scopes([scope])
        (self._root / "included").mkdir(exist_ok=True)
        Path(include).write_text(render(self.scopes, root + "/keys", (2, 4, 62)))
        site = self.pages["site"].replace("{plain}", str(self.plain)).replace("{port}", str(self.port))
        site = with_includes(site, HOST, {self.port: include})
        line = f'    Include "{include}"\n'
        if self.pages["at"] == "port":
            site = site.replace(line, line + self.pages["fault"] + "\n")
        elif self.pages["at"] == "plain":  # as if the scope had been included there too
            site = site.replace("Redirect /", line + self.pages["fault"] + "\nRedirect /")
        (self._root / "site.conf").write_text(site.replace("{root}", root))
        return text

    def seen(self) -> tuple[object, ...]:
        """Name, key, max age and path of the cookie that a visitor gets below the scope."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/app/admin", headers={"Host": HOST})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        cookies = [parse_set_cookie(value) for name, value in answer.getheaders() if name.lower() == "set-cookie"]
        if not cookies:
            return ()
        try:
            key = sealed_by(cookies[0].value, [KEY])
        except CookieError:
            key = -1
        return cookies[0].name, key, str(cookies[0].attributes.get("max-age")), cookies[0].attributes.get("path")

    def codes(self, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        root = str(self._root)
        monkeypatch.setattr(Layout, "key_file", property(lambda _self: root + "/keys"))
        monkeypatch.setattr(Layout, "include_dir", property(lambda _self: root + "/included"))
        command = [self.binary, "-d", root, "-f", root + "/httpd.conf"]
        tree, loaded, hosts = (
            read(subprocess.run([*command, *words], capture_output=True, text=True, check=True).stdout) for read, words in (
                (httpd_config.parse_dump, ("-t", "-D", "DUMP_CONFIG")), (httpd_config.parse_modules, ("-M",)),
                (httpd_config.parse_vhosts, ("-S",))))
        said = config_causes.judge(tree, loaded, hosts, self.scopes, DEBIAN)
        assert not any(STRANGER in one.evidence for one in said)
        return {one.code for one in said} - set(UNSAFE)


@contextmanager
def served(site: str, fault: str = "", at: str = "") -> Iterator[Site]:
    load = "".join("LoadModule %s_module %s/mod_%s.so\n" % (name, modules, name) for name in (*needed, "alias"))
    pages = {"site": site, "fault": fault, "at": at}
    text = load + "Listen 127.0.0.1:{plain}\nInclude {root}/site.conf\n"
    with Site(text, pages, {"keys": render_file([KEY])}) as httpd:
        yield httpd


GOOD = ("httpd-session", 0, "3600", "/app")


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_a_sound_site_is_left_in_peace(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(site) as httpd:
        assert httpd.seen() == GOOD
        assert httpd.codes(monkeypatch) == set()


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_a_fault_is_found_in_each_site(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in ("passphrase_override", "max_age_differs"):
        with served(site, FAULTS[code], "port") as httpd:
            assert httpd.seen() != GOOD
            assert httpd.codes(monkeypatch) == {code}


@pytest.mark.parametrize(("code", "fault"), FAULTS.items(), ids=FAULTS)
def test_a_fault_counts_only_where_the_scope_is_served(code: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(SITES["80 redirects, 443 serves"], fault, "port") as httpd:
        assert httpd.seen() != GOOD
        assert httpd.codes(monkeypatch) == {code}
    for site in (REDIRECT % "" + SITE % "", SITE % "" + REDIRECT % ""):
        with served(site, fault, "plain") as httpd:
            assert httpd.seen() == GOOD
            assert httpd.codes(monkeypatch) == set()


SAME = ("<Location /app>\nSession On\nSessionCookieName httpd-session path=/app;HttpOnly;secure;SameSite=lax\n"
        "SessionCryptoPassphraseFile {root}/keys\nSessionMaxAge 3600\n</Location>")


@pytest.mark.parametrize("harmless", [LOGOUT, SAME, LOGOUT + SAME], ids=["logout", "the same again", "both"])
def test_what_is_no_fault_behind_the_scope_is_left_in_peace(harmless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(SITE % "" + REDIRECT % "", harmless, "port") as httpd:
        assert httpd.seen() == GOOD
        assert httpd.codes(monkeypatch) == set()
