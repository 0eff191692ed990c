#!/usr/bin/env python3
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture session cookies from a real httpd into cookies.json and invalid.json; with --check write nothing, compare."""
from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from pathlib import Path
from typing import Any, Optional

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from real_httpd import NoHttpd, RealHttpd, versions  # noqa: E402

from plugins.module_utils import cookie  # noqa: E402

COOKIES = HERE / "cookies.json"
INVALID = HERE / "invalid.json"
COOKIE_NAME = "session"
MAX_AGE = 3600

# Keys for these vectors and nothing else.
KEY_A = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
KEY_B = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
KEY_C = "TEST-ONLY-C-0123456789abcdefghijklmnopqrstu"
KEY_UNKNOWN = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
KEY_LISTS = {"one": [KEY_A], "three": [KEY_B, KEY_A, KEY_C]}

# What a response header puts into the session: each byte written as %XX, so that the cookie shows httpd's own escaping.
SESSIONS: dict[str, list[tuple[bytes, bytes]]] = {
    "fresh": [],
    "login": [(b"user", b"alice"), (b"note", b"hello world")],
    "bytes": [(b"low", bytes(range(1, 128))), (b"high", bytes(range(128, 256)))],
    "names": [(b"a b", b"1"), (b"x=y&z", b"2"), ("\u00fcber".encode(), b"3"), (b"~!*'()", b"4"), (b"per%cent", b"5")],
    "case": [(b"Name", b"first"), (b"other", b"kept"), (b"nAME", b"second")],
    "block": [(b"k", b"v" * 21)],
    "long": [(b"text", b"lorem ipsum " * 180)],
}


def scopes() -> dict[str, dict[str, Any]]:
    """Every scope of the throw-away httpd: name -> cipher, passphrases, max_age."""
    found: dict[str, dict[str, Any]] = {}
    for cipher in cookie.CIPHERS:
        for name, passphrases in KEY_LISTS.items():
            found["%s-%s" % (cipher, name)] = {"cipher": cipher, "passphrases": passphrases, "max_age": MAX_AGE}
    found["aes256-endless"] = {"cipher": "aes256", "passphrases": [KEY_A], "max_age": 0}
    return found


def server() -> RealHttpd:
    """An httpd with all scopes. ``/<scope>.<session>.asis`` answers a session, ``/<scope>.echo.txt`` shows the one of
    the request in the header X-Payload, as httpd itself opened and wrote it."""
    configuration = []
    pages = {}
    secrets = {}
    for name, scope in scopes().items():
        secrets[name + ".keys"] = "\n".join(scope["passphrases"]) + "\n"
        configuration += [
            '<LocationMatch "^/%s\\.">' % name,
            "Session On", "SessionMaxAge %d" % scope["max_age"], "SessionHeader X-Replace-Session",
            "SessionCookieName %s path=/;HttpOnly" % COOKIE_NAME,
            "SessionCryptoCipher %s" % scope["cipher"], "SessionCryptoPassphraseFile {root}/%s.keys" % name,
            "</LocationMatch>",
            # Only here: SessionEnv makes httpd write the expiry first into a new session.
            '<Location "/%s.echo.txt">' % name, "SessionEnv On",
            'Header always set X-Payload "%{HTTP_SESSION}e"', "</Location>",
        ]
        pages[name + ".echo.txt"] = "echo\n"
        for session, pairs in SESSIONS.items():
            form = "&".join("%s=%s" % (_every_byte(key), _every_byte(value)) for key, value in pairs)
            header = "X-Replace-Session: %s\n" % form if form else ""
            pages["%s.%s.asis" % (name, session)] = "Content-Type: text/plain\n%s\nok\n" % header
    return RealHttpd("\n".join(configuration), pages, secrets)


def capture(httpd: RealHttpd) -> list[dict[str, Any]]:
    """A cookie of every session in every scope, with the payload in httpd's own words."""
    captured = []
    for name, scope in scopes().items():
        for session in SESSIONS:
            value = _cookie_of(httpd.get("/%s.%s.asis" % (name, session)))
            if value is None:
                if session == "fresh" and not scope["max_age"]:
                    continue  # nothing to save: httpd sets no cookie
                raise RuntimeError("no cookie for %s.%s:\n%s" % (name, session, httpd.error_log()))
            captured.append({
                "name": "%s.%s" % (name, session), "cipher": scope["cipher"], "passphrases": scope["passphrases"],
                "index": 0, "value": value, "payload": opened_by(httpd, name, value), "max_age": scope["max_age"],
            })
    return captured


def opened_by(httpd: RealHttpd, scope: str, value: str) -> str:
    """The payload that httpd reads from the cookie ``value``; a fresh session's when it refuses it."""
    payload = httpd.get("/%s.echo.txt" % scope, "%s=%s" % (COOKIE_NAME, value)).headers["X-Payload"]
    return "" if payload in (None, "(null)") else str(payload)


def invalid(captured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Values that do not open, each with the reason, made from captured ones. ``httpd_opens``: httpd, which is less
    strict about base64, does open it."""
    by_name = {vector["name"]: vector for vector in captured}
    good = by_name["aes256-three.login"]
    value = good["value"]
    raw = base64.b64decode(value)
    assert value.endswith("="), "the table below needs a padded value"
    rows: list[tuple[str, str, str, dict[str, Any]]] = [
        ("empty", "", "too_short", {}),
        ("plain text", good["payload"], "plain_text", {}),
        ("plain text, one value", "expiry=1700000000000000", "plain_text", {}),
        ("plain text, empty value first", "a=&b=c", "plain_text", {}),
        ("plain text, too long", "a=" + "b" * 20000, "plain_text", {}),
        ("too long", "A" * 20000, "too_long", {}),
        ("not base64", "!" + value[1:], "bad_base64", {}),
        ("base64 of URLs", "-_" + value[2:], "bad_base64", {}),
        ("junk behind it", value + "!", "bad_base64", {"httpd_opens": True}),
        ("padding lost", value.rstrip("="), "bad_base64", {"httpd_opens": True}),
        ("quoted", '"%s"' % value, "bad_base64", {}),
        ("blank in front", " " + value, "bad_base64", {}),
        ("only a mac", _b64(raw[:8]), "too_short", {}),
        ("mac and salt", _b64(raw[:24]), "too_short", {}),
        ("mac, salt, iv", _b64(raw[:40]), "unknown_key", {}),
        ("last byte lost", _b64(raw[:-1]), "too_short", {}),
        ("last block lost", _b64(raw[:-16]), "unknown_key", {}),
        ("block added", _b64(raw + bytes(16)), "unknown_key", {}),
        ("mac changed", _b64(_flip(raw, 0)), "unknown_key", {}),
        ("salt changed", _b64(_flip(raw, 8)), "unknown_key", {}),
        ("iv changed", _b64(_flip(raw, 24)), "unknown_key", {}),
        ("ciphertext changed", _b64(_flip(raw, 40)), "unknown_key", {}),
        ("last bit changed", _b64(_flip(raw, len(raw) - 1)), "unknown_key", {}),
        ("mac removed", _b64(raw[8:]), "before_2_4_25", {}),
        ("wrong key", value, "unknown_key", {"passphrases": [KEY_UNKNOWN]}),
        ("no keys", value, "unknown_key", {"passphrases": []}),
        ("key in other case", value, "unknown_key", {"passphrases": [KEY_B.lower()]}),
        ("random", _b64(bytes(range(88))), "unknown_key", {}),
    ]
    for cipher, spec in cookie.CIPHERS.items():
        sealed = by_name[cipher + "-one.login"]["value"]
        for other in cookie.CIPHERS:
            if other != cipher:
                rows.append(("%s read as %s" % (cipher, other), sealed, "wrong_cipher",
                             {"passphrases": [KEY_A], "cipher": other}))
        # 2.4.24 and older: the same bytes, but no mac in front of them.
        old = cookie.seal("user=alice", KEY_A, cipher, bytes(range(16)), bytes(range(spec.iv_bytes)))
        rows.append(("%s before 2.4.25" % cipher, _b64(base64.b64decode(old)[8:]), "before_2_4_25",
                     {"passphrases": [KEY_C, KEY_A], "cipher": cipher}))
    return [
        dict({"name": name, "value": text, "passphrases": good["passphrases"], "cipher": "aes256", "reason": reason,
              "httpd_opens": False}, **more)
        for name, text, reason, more in rows
    ]


def complaints(httpd: RealHttpd) -> list[str]:
    """Everything in which httpd and the codec do not agree; empty when all is well."""
    found = []
    captured = capture(httpd)
    for vector in captured:
        try:
            opened = cookie.unseal(vector["value"], vector["passphrases"], vector["cipher"])
        except cookie.CookieError as error:
            found.append("%s: a cookie of httpd does not open: %s" % (vector["name"], error))
            continue
        if opened != cookie.Opened(vector["index"], vector["payload"]):
            found.append("%s: opened as %r, httpd says %r" % (vector["name"], opened, vector["payload"]))
        session = cookie.parse_payload(opened.payload)
        if cookie.format_payload(session.pairs, session.expiry) != vector["payload"]:
            found.append("%s: %r is not what the codec writes" % (vector["name"], vector["payload"]))
        if len(vector["value"]) != cookie.sealed_length(len(vector["payload"]), vector["cipher"]):
            found.append("%s: not of the computed length" % vector["name"])
    for name, scope in scopes().items():
        spec = cookie.CIPHERS[scope["cipher"]]
        payload = cookie.format_payload({"made": "here", "t\u00fc": "a b&c=d"}, 4000000000000000)
        for index, passphrase in enumerate(scope["passphrases"]):
            value = cookie.seal(payload, passphrase, spec.name, os.urandom(16), os.urandom(spec.iv_bytes))
            if opened_by(httpd, name, value) != payload:
                found.append("%s: httpd refuses what was sealed with key %d" % (name, index))
        value = cookie.seal(payload, KEY_UNKNOWN, spec.name, os.urandom(16), os.urandom(spec.iv_bytes))
        if opened_by(httpd, name, value) == payload:
            found.append("%s: httpd takes a key that it does not have" % name)
    for row in invalid(captured):
        found += _complaints_about(row, httpd)
    return found


def _complaints_about(row: dict[str, Any], httpd: RealHttpd) -> list[str]:
    try:
        cookie.unseal(row["value"], row["passphrases"], row["cipher"])
        return ["%s: the codec opens it" % row["name"]]
    except cookie.CookieError as error:
        found = [] if error.reason == row["reason"] else ["%s: %s, not %s" % (row["name"], error.reason, row["reason"])]
    scope = {KEY_A: "%s-one" % row["cipher"], KEY_B: "%s-three" % row["cipher"]}.get((row["passphrases"] or [""])[0])
    if scope and len(row["value"]) < 8000:
        opens = "user=alice" in opened_by(httpd, scope, row["value"])
        if opens != row["httpd_opens"]:
            found.append("%s: httpd %s it" % (row["name"], "opens" if opens else "refuses"))
    return found


def _every_byte(data: bytes) -> str:
    return "".join("%%%02X" % byte for byte in data)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1:]


def _cookie_of(answer: Any) -> Optional[str]:
    text = answer.headers.get("Set-Cookie")
    return None if text is None else str(text).partition("=")[2].partition(";")[0]


def _write(path: Path, key: str, rows: list[dict[str, Any]]) -> None:
    content = dict(versions(), note="Made by recapture.py; all passphrases are for tests only.", **{key: rows})
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say where httpd and the codec differ")
    check = parser.parse_args().check
    try:
        with server() as httpd:
            found = complaints(httpd)
            captured = [] if check else capture(httpd)
    except NoHttpd as error:
        print("Needs a real httpd: %s" % error, file=sys.stderr)
        return 2
    for line in found:
        print(line[:300], file=sys.stderr)
    print("%s with apr-util %s: %d complaints" % (*versions().values(), len(found)))
    if not check and not found:
        _write(COOKIES, "cookies", captured)
        _write(INVALID, "invalid", invalid(captured))
        print("wrote %s and %s" % (COOKIES.name, INVALID.name))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
