# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole files of virtual hosts, edited and served by a real httpd: only the host and port of the scope have what is included."""
from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils.httpd_config import parse_defines, parse_vhosts
from plugins.module_utils.vhost_file import with_includes

try:
    binary, modules = real_httpd.find()
    reason = "" if (modules / "mod_macro.so").exists() else "no mod_macro"
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

HOST = "www.example.com"
PLAIN, TLS = "{plain}", "{port}"
REDIRECT = "<VirtualHost *:{plain}>\nServerName www.example.com\nRedirect /x http://www.example.com/\n</VirtualHost>\n"
OTHER = "<VirtualHost *:{port}>\nServerName other.example.com\nServerAlias *.other.example.com\n</VirtualHost>\n"
SITE = "<VirtualHost *:{port}>\nServerName www.example.com\n</VirtualHost>\n"

SITES = {
    "80 redirects, 443 serves": REDIRECT + SITE,
    "443 first": SITE + REDIRECT,
    "CRLF": (REDIRECT + SITE).replace("\n", "\r\n"),
    "another host is the default": OTHER + SITE + REDIRECT,
    "addresses": SITE.replace("*:{port}", "127.0.0.1:{port} [::1]:{port}") + REDIRECT.replace("*:", "127.0.0.1:"),
    "_default_": SITE.replace("*:", "_default_:") + REDIRECT,
    "quotes": SITE.replace("*:{port}", '"*:{port}"').replace("www.example.com", '"www.example.com"') + REDIRECT,
    "ServerName with scheme and port": REDIRECT + OTHER + SITE.replace("www", "https://www").replace(".com", ".com:443"),
    "an alias": REDIRECT + OTHER + SITE.replace("ServerName www.example.com", "ServerName a\nServerAlias b WWW.Example.com"),
    "several aliases": REDIRECT + SITE.replace("</V", "ServerAlias *.x\nServerAlias y\n</V"),
    "IfModule around": "<IfModule !mod_none.c>\n" + SITE + "</IfModule>\n" + REDIRECT,
    "nested conditions": "<IfDefine !NOPE>\n<IfVersion >= 2.4>\n<IfModule mod_alias.c>\n" + SITE
                         + "</IfModule>\n</IfVersion>\n</IfDefine>\n" + REDIRECT,
    "a condition inside": REDIRECT + SITE.replace("ServerName", "<IfModule mod_alias.c>\nServerName").replace(
        "</V", "</IfModule>\n</V"),
    "continued lines": REDIRECT + SITE.replace("ServerName ", "ServerName \\\n").replace("<VirtualHost ", "<VirtualHost \\\n "),
    "variables of the file": "Define P {port}\nDefine D example.com\n" + SITE.replace("{port}", "${P}").replace(
        "www.example.com", "www.${D}") + REDIRECT,
    "variables of another file": REDIRECT + SITE.replace("{port}", "${OUTER}"),
    "a name from a file": REDIRECT + OTHER + SITE.replace("ServerName www.example.com", "Include {root}/names.conf"),
    "an underscore": (REDIRECT + OTHER + SITE).replace("www.", "w_w."),
    "a comment that looks like one": "# <VirtualHost *:{port}>\n" + SITE.replace("</V", "# </VirtualHost>\n</V") + REDIRECT,
    "macros beside it": "<Macro Site $n>\n<VirtualHost *:{port}>\nServerName $n\n</VirtualHost>\n</Macro>\nUse Site m\n"
                        + SITE + REDIRECT,
    "an include in the wrong block": REDIRECT.replace("</V", 'Include "{root}/www.example.com.conf"\n</V') + SITE,
}


class Site(real_httpd.RealHttpd):
    """A real httpd on two ports, whose file of virtual hosts is edited before it starts."""

    plain = 0
    edited = ""

    def _whole_configuration(self) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.plain = free.getsockname()[1]
        text = super()._whole_configuration().replace("{plain}", str(self.plain)).replace("{port}", str(self.port))
        site = self._root / "site.conf"
        site.write_bytes(self._filled(self.pages["site"]).encode())
        config = self._root / "httpd.conf"
        config.write_text(text)
        said = subprocess.run([self.binary, "-d", str(self._root), "-f", str(config), "-S"], capture_output=True, text=True,
                              check=False).stdout
        host = self.pages["host"]
        lines = [int(found.place.rpartition(":")[2]) for found in parse_vhosts(said) if found.port in (0, self.port)
                 and found.place.startswith(str(site)) and host in (found.name, *found.aliases)]
        self.edited = with_includes(site.read_bytes().decode(), host, {self.port: str(self._root / (host + ".conf"))},
                                    parse_defines(said), {self.port: lines})
        site.write_bytes(self.edited.encode())
        return text

    def _filled(self, text: str) -> str:
        return text.replace("{plain}", str(self.plain)).replace("{port}", str(self.port)).replace("{root}", str(self._root))

    def marked(self, port: int, host: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/", headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.getheader("X-Included") is not None


@pytest.mark.parametrize("text", SITES.values(), ids=SITES)
def test_only_the_virtual_host_that_serves_the_scope_is_given_it(text: str) -> None:
    host = "w_w.example.com" if "w_w." in text else HOST
    load = "".join("LoadModule %s_module %s/mod_%s.so\n" % (name, modules, name) for name in ("alias", "macro"))
    configuration = load + "Listen 127.0.0.1:{plain}\nDefine OUTER {port}\nIncludeOptional {root}/site.conf\n"
    included = {host + ".conf": "Header always set X-Included yes\n", "names.conf": "ServerName www.example.com\n"}
    with Site(configuration, {"site": text, "host": host}, included) as httpd:
        assert httpd.marked(httpd.port, host)
        assert not httpd.marked(httpd.plain, host)
        assert not ("other.example.com" in text and httpd.marked(httpd.port, "other.example.com"))
        assert httpd.edited.count('Include "%s/%s.conf"' % (httpd._root, host)) == 1
