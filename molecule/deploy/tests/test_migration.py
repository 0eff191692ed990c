# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/migration.md: servers with a passphrase that somebody typed in years ago become a fleet, and nobody is logged out."""

from __future__ import annotations

import json
import secrets
import time

import pytest

from plugins.module_utils.cookie import format_payload, parse_payload, seal, unseal
from tests import journey
from tests.ring_journey import FLEET, Operator

PHRASE = "secret phrase " + secrets.token_hex(3) + "!"
"""Weak and with spaces, as in the document; another one each time, for it is searched for in the end."""
SITE, FILE = "www.example.test", "/etc/apache2/sites-available/000-default.conf"
BY_HAND = f"""<Location /app>
Session On
SessionCookieName session path=/app;HttpOnly;Secure
SessionCryptoPassphrase "{PHRASE}"
SessionMaxAge 1800
</Location>
"""
HOST = f"<VirtualHost *:80>\nServerName {SITE}\nDocumentRoot /var/www/html\n{BY_HAND}</VirtualHost>\n"
SCOPE = {"name": "app", "path": "/app", "max_age": 1800, "cookie_name": "session"}


class Visitor:
    """Logged in on the servers as they were."""

    def __init__(self):
        self.cookie = self.sealed({"user": "anna"}, PHRASE)

    @staticmethod
    def sealed(pairs, key):
        # It ends soon, so that each answer has it again.
        ends = int(time.time() + 60) * 1000000
        return seal(format_payload(pairs, ends), key, "aes256", secrets.token_bytes(16), secrets.token_bytes(16))

    def lives(self, keys):
        """Visit each node with the cookie of the one before."""
        for node in FLEET:
            answer, _body = journey.get(node, "/app/", "session=" + self.cookie, SITE)
            found = [value for name, value in answer.headers if name.lower() == "set-cookie"]
            made = found[-1].split(";")[0].partition("=")[2]
            opened = unseal(made, keys, "aes256")
            pairs = parse_payload(opened.payload).pairs
            if pairs != {"user": "anna"}:
                return False
            self.cookie = self.sealed(pairs, keys[opened.index])
        return True


@pytest.fixture(scope="module")
def visitor():
    """Servers as somebody left them, and somebody who uses them."""
    for node in FLEET:
        journey.on(node, "rm -rf /run/kept; cp -a /etc/apache2 /run/kept; rm -rf /etc/apache2/mod_session*"
                         " /etc/apache2/conf-*/mod-session-fleet.conf")
        journey.on(node, f"cat >{FILE} && a2ensite -q 000-default && : >/var/log/apache2/error.log && systemctl restart apache2",
                   stdin=HOST)
    yield Visitor()
    for node in FLEET:
        journey.on(node, "find /etc/apache2 -mindepth 1 -delete; cp -a /run/kept/. /etc/apache2/; rm -r /run/kept;"
                         "systemctl restart apache2")


LIST = {"session_keys_passphrases": [PHRASE], "session_keys_allow_weak": True,
        "session_config_scopes": [{**SCOPE, "virtual_host": SITE, "virtual_host_file": FILE}]}
RING = {**LIST, "session_keys_passphrases": None}


def did(name, extra):
    """A run that has to succeed."""
    done = journey.playbook(name, extra=extra)
    assert done.status == 0, done.output
    return done


def test_visitors_have_sessions_on_the_old_servers(visitor):
    assert visitor.lives([PHRASE])


def test_a_scope_beside_the_hand_made_one_is_refused_and_the_old_state_serves(visitor):
    done = journey.playbook("deploy", extra={**LIST, "session_config_scopes": [SCOPE]})
    assert done.status != 0 and "The old files are back and the old state serves again" in " ".join(done.output.split())
    assert visitor.lives([PHRASE])


def test_a_scope_in_the_same_virtual_host_takes_the_sessions_over(visitor):
    assert "passphrase 1 has 21 characters" in did("deploy", LIST).output
    assert visitor.lives([PHRASE])


def test_the_hand_made_lines_can_go_then(visitor, tmp_path):
    for node in FLEET:
        journey.on(node, f"sed -i '/^<Location .app>/,/^<.Location>/d' {FILE}; systemctl reload apache2;"
                         f"! grep Passphrase {FILE}")
    assert visitor.lives([PHRASE])
    assert did("deploy", LIST).changed == 0
    did("check", LIST)
    did("diagnose", {**LIST, "session_diagnose_report_dir": str(tmp_path)})
    found = json.loads((tmp_path / "diagnosis.json").read_text())["causes"]
    # Their cookie is called session, as that of many frameworks is.
    assert [cause["code"] for cause in found] == ["weak_key", "cookie_of_framework"], "only the phrase is left to rotate out"


def test_the_typed_phrase_is_rotated_out_and_nobody_is_logged_out(visitor, tmp_path):
    operator = Operator({"file": str(tmp_path / "ring.vault")}, **RING)
    operator.did("ring", session_ring_verb="init", session_keys_passphrases=[PHRASE])
    operator.did("deploy")
    assert visitor.lives([PHRASE])
    operator.did("rotate", session_rotate_now=True)
    new = operator.every_key()
    assert new[0] != PHRASE and PHRASE in new
    assert visitor.lives(new)
    assert unseal(visitor.cookie, new, "aes256").index == 0, "it is under the new key by now"
