# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd passphrases against a real httpd's reader on this machine; skipped where there is none."""
from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils import probe
from plugins.module_utils.passphrases import PassphraseError, parse_file, render_file, validate

try:
    real_httpd.find()
    reason = ""
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
    print(reason, file=sys.__stderr__)
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

VECTORS = Path(real_httpd.__file__).parent
MARKER = "live-marker1"
STRANGER = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"

ODD = [
    "short", "two words", " blank before", "blank after ", "two  blanks", "a", "=", "a=b;c", "<x>", " # hash",
    "a#b", "a #b", '"', "'", '"quoted"', "'quoted'", 'one"quote', "it's", '" "', "\\", "\\\\", "back\\slash", "ends\\",
    '\\"', "\\'", "\\\\\"'", "ends with blank\\ ", "é", "ключ", "密码", "\U0001f511", "a\u00a0b", "a\u0085b",
    "a\u2028b", "${HOME}", "%{ENV:HOME}", "exec", "Exec:/bin/true", " exec:/bin/true", "x" * 256, "é" * 256, '"' * 256,
    "\\" * 256, "\U0001f511" * 256,
]


def some_more(count: int) -> list[str]:
    """Random ones of awkward characters, the same in every run."""
    source = random.Random(7)
    found: list[str] = []
    while len(found) < count:
        key = "".join(source.choices("a \\\"'#$%é\u00a0{}", k=source.randint(1, 9)))
        try:
            validate([key], allow_weak=True)
        except PassphraseError:
            continue
        if key not in found and key not in ODD:
            found.append(key)
    return found


ALLOWED = ODD + some_more(78)
LISTS = [ALLOWED[start:start + 6] for start in range(0, len(ALLOWED), 6)]

# Files that somebody else wrote: text, the keys in it, and what are none.
FILES: list[tuple[str, list[str], list[str]]] = [
    (row["text"], row["keys"], row["no_keys"])
    for row in json.loads((VECTORS / "passphrase_files.json").read_text(encoding="utf-8"))]


def any_files(count: int) -> list[tuple[str, list[str], list[str]]]:
    """Random files of awkward characters, the same in every run, with the keys that we read from them."""
    source = random.Random(8)
    texts = ["".join(source.choices("ab \t\\\"'#\r\n\n\u00a0", k=source.randint(1, 30))) for _count in range(count)]
    return [(text, parse_file(text), []) for text in texts]


FILES += any_files(120)


def test_the_lists_are_allowed() -> None:
    for keys in LISTS:
        assert validate(keys, allow_weak=True)[0] == keys


@pytest.fixture(scope="module")
def httpd() -> Iterator[real_httpd.RealHttpd]:
    # Every second list is from a ring: httpd skips the comment that says so.
    rings = (None, ("TEST-ring_1", 12345))
    texts = {"list%d" % number: render_file(keys, rings[number % 2]) for number, keys in enumerate(LISTS)}
    texts.update({"file%d" % number: row[0] for number, row in enumerate(FILES)})
    lines = []
    for name in texts:
        lines += [
            '<Location "/%s">' % name, "Session On", "SessionMaxAge 600", "SessionCookieName session path=/%s" % name,
            "SessionCryptoCipher aes128", "SessionCryptoPassphraseFile {root}/%s" % name, "Require all denied",
            "</Location>",
        ]
    with real_httpd.RealHttpd("\n".join(lines), {}, texts) as found:
        yield found


def ask(httpd: real_httpd.RealHttpd, scope: str, key: str, keys: list[str]) -> probe.Observation:
    cookie = probe.seal_probe(key, "aes128", MARKER, bytes(16), bytes(16))
    answer = httpd.get(probe.probe_path("/" + scope), "session=" + cookie)
    return probe.observe(
        probe.Answer(answer.status, tuple(answer.getheaders()), 0, 0), "session", keys, "aes128", MARKER, cookie)


@pytest.mark.parametrize("number", range(len(LISTS)))
def test_an_odd_key_that_is_allowed_is_the_key(httpd: real_httpd.RealHttpd, number: int) -> None:
    keys = LISTS[number]
    for key in keys:
        seen = ask(httpd, "list%d" % number, key, keys)
        assert (seen.sealed, seen.encrypts_with, seen.accepted) == ("key", 0, True), repr(key)
    assert ask(httpd, "list%d" % number, STRANGER, keys).accepted is False


@pytest.mark.parametrize("number", range(len(FILES)))
def test_a_file_is_read_as_httpd_reads_it(httpd: real_httpd.RealHttpd, number: int) -> None:
    text, keys, others = FILES[number]
    if not keys:
        assert ask(httpd, "file%d" % number, STRANGER, []).sealed == "plain", text
    for key in keys:
        seen = ask(httpd, "file%d" % number, key, keys)
        assert (seen.sealed, seen.encrypts_with, seen.accepted) == ("key", 0, True), (text, key)
    for key in others:
        assert ask(httpd, "file%d" % number, key, keys).accepted is False, (text, key)
