# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The codec and the probe against a real httpd on this machine; skipped where there is none."""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd
import recapture

from plugins.module_utils import cookie, probe

try:
    real_httpd.find()
    reason = ""
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
    print(reason, file=sys.__stderr__)
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

KEYS = [recapture.KEY_B, recapture.KEY_A]
MARKER = "live-marker1"
MAX_AGE = 3600
SCOPES = {
    # name: the passphrase file, the cipher, more directives
    "app": ("\n".join(KEYS), "aes256", ""),
    "interval": ("\n".join(KEYS), "aes256", "SessionExpiryUpdateInterval 300"),
    "small": ("\n".join(KEYS), "aes128", "SessionEnv On"),
    "old": ("\n".join(KEYS), "3des192", ""),
    "one": (KEYS[0], "aes256", ""),
    "strange": (recapture.KEY_UNKNOWN, "aes256", ""),
    "plain": ("# nothing\n", "aes256", ""),
}


def test_codec_and_httpd_agree() -> None:
    with recapture.server() as httpd:
        assert recapture.complaints(httpd) == []


@pytest.fixture(scope="module")
def httpd() -> Iterator[real_httpd.RealHttpd]:
    lines = []
    secrets = {}
    for name, (passphrases, cipher, more) in SCOPES.items():
        secrets[name + ".keys"] = passphrases
        lines += [
            '<Location "/%s">' % name, "Session On", "SessionMaxAge %d" % MAX_AGE,
            "SessionCookieName session path=/%s;HttpOnly;Secure;SameSite=Lax" % name,
            "SessionCryptoCipher %s" % cipher, "SessionCryptoPassphraseFile {root}/%s.keys" % name, more, "</Location>",
            '<Location "%s">' % probe.probe_path("/" + name), "Require all denied", "SessionExpiryUpdateInterval 0",
            "</Location>",
        ]
    with real_httpd.RealHttpd("\n".join(lines), {}, secrets) as found:
        yield found


def ask(
    httpd: real_httpd.RealHttpd, scope: str, key: str, cipher: Optional[str] = None, salt: Optional[bytes] = None
) -> tuple[probe.Observation, probe.Answer]:
    cipher = cipher or SCOPES[scope][1]
    iv = os.urandom(cookie.CIPHERS[cipher].iv_bytes) if salt is None else salt
    sent_cookie = probe.seal_probe(key, cipher, MARKER, salt or os.urandom(16), iv)
    sent = time.time_ns() // 1000
    answer = httpd.get(probe.probe_path("/" + scope), "session=" + sent_cookie)
    found = probe.Answer(answer.status, tuple(answer.getheaders()), sent, time.time_ns() // 1000)
    return probe.observe(found, "session", KEYS, cipher, MARKER, sent_cookie), found


@pytest.mark.parametrize(
    ("scope", "key", "sealed", "encrypts_with", "accepted"),
    [
        ("app", KEYS[0], "key", 0, True),
        ("app", KEYS[1], "key", 0, True),
        ("app", recapture.KEY_UNKNOWN, "key", 0, False),
        ("interval", KEYS[1], "key", 0, True),
        ("interval", recapture.KEY_UNKNOWN, "key", 0, False),
        ("small", KEYS[1], "key", 0, True),
        ("small", recapture.KEY_UNKNOWN, "key", 0, False),
        ("old", KEYS[1], "key", 0, True),
        ("old", recapture.KEY_UNKNOWN, "key", 0, False),
        ("one", KEYS[1], "key", 0, False),
        ("strange", KEYS[0], "unlisted_key", None, None),
        ("plain", KEYS[0], "plain", None, False),
    ],
)
def test_a_probe_shows_what_the_running_httpd_does(
    httpd: real_httpd.RealHttpd,
    scope: str,
    key: str,
    sealed: str,
    encrypts_with: Optional[int],
    accepted: Optional[bool],
) -> None:
    seen, answer = ask(httpd, scope, key)
    assert (seen.status, seen.sealed, seen.encrypts_with, seen.accepted) == (403, sealed, encrypts_with, accepted)
    assert seen.max_age == MAX_AGE
    assert seen.cookie is not None
    assert {"path": "/" + scope, "httponly": True, "secure": True, "samesite": "Lax"}.items() <= dict(
        seen.cookie.attributes).items()
    assert seen.date is not None
    # The answer's second, by the same clock as ours.
    assert answer.sent - 1_000_000 <= seen.date <= answer.received
    if sealed == "key":
        payload = cookie.parse_payload(cookie.unseal(seen.cookie.value, KEYS, SCOPES[scope][1]).payload)
        assert (payload.pairs == {probe.MARKER: MARKER}) is accepted
        assert payload.expiry is not None
        assert answer.sent <= payload.expiry - MAX_AGE * 1_000_000 <= answer.received


def test_a_node_with_another_cipher_does_not_bring_the_marker_back(httpd: real_httpd.RealHttpd) -> None:
    # With random bytes one padding in 256 would fit, and httpd would take the nonsense for a session.
    seen, _answer = ask(httpd, "small", KEYS[0], "aes256", salt=bytes(range(16)))
    assert (seen.sealed, seen.encrypts_with, seen.accepted) == ("key", 0, False)
    assert seen.cookie is not None
    with pytest.raises(cookie.CookieError) as caught:
        cookie.unseal(seen.cookie.value, KEYS, "aes256")
    assert (caught.value.reason, caught.value.cipher) == ("wrong_cipher", "aes128")
