# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stateless backend behind httpd gets the decrypted session, and nothing that a client made up."""

from __future__ import annotations

import json
import os

import pytest

from plugins.module_utils.cookie import seal, unseal
from tests import journey

SITE = """ProxyPass /app/plain.txt !
ProxyPass /app http://127.0.0.1:9001/app
<Location /app>
    Require all granted
</Location>
"""


@pytest.fixture(scope="module", autouse=True)
def _backend():
    program = (journey.ROOT / "tests" / "node" / "echo_backend.py").read_text()
    journey.on("n1", "cat > /run/echo_backend.py && systemd-run -q --unit=echo python3 /run/echo_backend.py", stdin=program)
    journey.on("n1", "a2enmod -q proxy_http && cat > /etc/apache2/conf-enabled/zz-proxy.conf && systemctl restart apache2",
               stdin=SITE)
    yield
    journey.on("n1", "systemctl stop echo; rm /run/echo_backend.py /etc/apache2/conf-enabled/zz-proxy.conf; "
                     "a2dismod -q -f proxy_http proxy; systemctl restart apache2")


def ask(path, cookie="", **headers):
    answer, body = journey.get("n1", path, cookie, headers={name.replace("__", "-"): value for name, value in headers.items()})
    cookies = [value.split(";")[0] for name, value in answer.headers if name.lower() == "set-cookie"]
    return answer, json.loads(body) if answer.status == 200 else None, cookies[-1] if cookies else ""


def seen(body, name):
    return [value for key, value in body["headers"] if key.lower() == name]


def test_backend_reads_and_writes_the_session_by_headers():
    _answer, _body, cookie = ask("/app/set?name=alice&cart=3")
    assert cookie.startswith("httpd-session=") and "alice" not in cookie
    answer, body, _cookie = ask("/app/show", cookie)
    assert seen(body, "x-session")[0].startswith("name=alice&cart=3&expiry=")
    assert not [name for name, _value in answer.headers if name.lower() == "x-replace-session"], "it is not for the client"


@pytest.mark.parametrize(("before", "after", "left"), [
    ("", "", []), ("one=1; ", "", ["one=1"]), ("", "; two=2", ["two=2"]), ("one=1; ", "; two=2", ["one=1; two=2"]),
    ("xhttpd-session=1; ", ";httpd-session2=2", ["xhttpd-session=1;httpd-session2=2"]),
])
def test_backend_never_sees_the_cookie(before, after, left):
    _answer, _body, cookie = ask("/app/set?name=alice")
    _answer, body, _cookie = ask("/app/show", before + cookie + after)
    assert seen(body, "cookie") == left


@pytest.mark.parametrize(("node", "path"), [("n1", "/app/show"), ("n1", "/app/plain.txt"), ("n3", "/app/plain.txt")],
                         ids=["a backend that changes nothing", "a file", "a file on Debian 13"])
def test_session_that_nobody_changes_stays_as_it_is(node, path):
    """With SessionCookieRemove On, httpd 2.4.71 saves an empty session here instead."""
    keys = journey.fleet_keys()
    journey.on(node, "mkdir -p /var/www/html/app && echo hello > /var/www/html/app/plain.txt")
    always = [{**journey.APP, "update_interval": 0}]
    assert journey.playbook("deploy", "--limit", node, extra={"session_config_scopes": always}).status == 0
    try:
        made = seal("name=alice&cart=3", keys[0], "aes256", os.urandom(16), os.urandom(16))
        answer, _body = journey.get(node, path, "httpd-session=" + made)
        sent = [value for name, value in answer.headers if name.lower() == "set-cookie"]
        assert [unseal(value.split(";")[0].partition("=")[2], keys, "aes256").payload.split("&expiry")[0] for value in sent] == [
            "name=alice&cart=3"]
    finally:
        journey.on(node, "rm -r /var/www/html/app")
        assert journey.playbook("deploy", "--limit", node).status == 0


@pytest.mark.parametrize("name", ["X__Session", "x__session", "X_Session", "Session"])
def test_client_cannot_spoof_the_session(name):
    _answer, _body, cookie = ask("/app/set?name=alice")
    for sent in (cookie, ""):
        _answer, body, _cookie = ask("/app/show", sent, **{name: "name=admin"})
        assert "admin" not in json.dumps(body)


def test_probe_location_never_reaches_the_backend_though_the_site_grants_all():
    before = ask("/app/show")[1]["asked"]
    answer, _body, cookie = ask("/app/.mod-session-probe")
    assert answer.status == 403 and cookie
    assert ask("/app/show")[1]["asked"] == before + 1
