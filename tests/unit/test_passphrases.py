# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plugins.module_utils import passphrases
from plugins.module_utils.passphrases import (
    PassphraseError,
    fingerprint,
    is_weak,
    parse_file,
    parse_ring,
    render_file,
    validate,
)

STRONG = "Kq8f-LZ2xM0wPb7Rk3TnV9sYc5HdJgEa"
OTHER = "v7Wn_3bXo9QeUj5Zt1RyGm4Ks8LcHd2Fp6Aq0Bi"

# Passphrase files with what a real httpd reads from them (held against one in test_passphrases_live.py).
FILES = Path(__file__).resolve().parents[1] / "vectors" / "passphrase_files.json"


def refusal(given_list: object, allow_weak: bool = False) -> PassphraseError:
    with pytest.raises(PassphraseError) as caught:
        validate(given_list, allow_weak)  # type: ignore[arg-type]
    return caught.value


def test_accepted() -> None:
    assert validate([STRONG, OTHER]) == ([STRONG, OTHER], [])
    assert validate((STRONG,)) == ([STRONG], [])
    assert validate([STRONG, OTHER], allow_weak=True) == ([STRONG, OTHER], [])
    longest = "abcdefgh" * (passphrases.MAX_LENGTH // 8)
    assert validate([longest]) == ([longest], [])


@pytest.mark.parametrize(
    ("given_list", "position", "sentence"),
    [
        ([], 0, "session_keys_passphrases is empty: httpd would then send sessions in plain text. Give at least one"),
        (STRONG, 0, "must be a list of strings, the first of which encrypts; found str"),
        (STRONG.encode(), 0, "must be a list of strings, the first of which encrypts; found bytes"),
        (None, 0, "must be a list of strings, the first of which encrypts; found NoneType"),
        ({"a": STRONG}, 0, "must be a list of strings, the first of which encrypts; found dict"),
        ([STRONG + str(n) for n in range(7)], 0, "has 7 entries, at most 6 are accepted: retire the oldest ones first"),
        ([STRONG, 12345], 2, "passphrase 2 must be a string, found int: put it in quotes"),
        ([None], 1, "passphrase 1 must be a string, found NoneType"),
        ([STRONG.encode()], 1, "passphrase 1 must be a string, found bytes"),
        ([""], 1, "passphrase 1 is empty: anyone could forge a session"),
        ([STRONG, " \t"], 2, "passphrase 2 is empty"),
        (["#" + STRONG], 1, "passphrase 1 starts with '#': httpd reads a comment and would send sessions in plain text"),
        (["exec:/bin/key"], 1, "passphrase 1 starts with 'exec:': httpd would run it as a program"),
        ([STRONG + "\r"], 1, "passphrase 1 holds a control character, such as a line break or a carriage return"),
        ([STRONG + "\n"], 1, "passphrase 1 holds a control character"),
        ([STRONG + "\n" + OTHER], 1, "passphrase 1 holds a control character"),
        ([STRONG + "\0"], 1, "passphrase 1 holds a control character"),
        ([STRONG + "\x7f"], 1, "passphrase 1 holds a control character"),
        ([STRONG + "\ud800"], 1, "passphrase 1 is no valid UTF-8 text"),
        ([STRONG + "\udfff"], 1, "passphrase 1 is no valid UTF-8 text"),
        (["aB3-" * 64 + "x"], 1, "passphrase 1 has more than 256 characters"),
        ([STRONG, OTHER, STRONG], 3, "passphrase 3 is the same as passphrase 1: each may stand in the list once"),
    ],
)
@pytest.mark.parametrize("allow_weak", [False, True])
def test_refused_always(given_list: object, position: int, sentence: str, allow_weak: bool) -> None:
    error = refusal(given_list, allow_weak)
    assert (error.position, sentence in str(error)) == (position, True), error


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (STRONG[:-1], "has 31 characters, at least 32 are needed"),
        ("x", "has 1 characters, at least 32 are needed"),
        (STRONG + "+", "has characters outside A-Z a-z 0-9 _ -"),
        (STRONG + " ", "has characters outside A-Z a-z 0-9 _ -"),
        (STRONG + "é", "has characters outside A-Z a-z 0-9 _ -"),
        ("abcdefg" * 5, "repeats a handful of characters"),
    ],
)
def test_weak_ones_only_where_the_operator_says_so(key: str, sentence: str) -> None:
    error = refusal([STRONG, key])
    assert error.position == 2
    assert str(error).startswith("passphrase 2 %s. Make one with: openssl rand -base64 32" % sentence)
    assert "session_keys_allow_weak: true" in str(error)
    accepted, warnings = validate([STRONG, key], allow_weak=True)
    assert accepted == [STRONG, key]
    assert warnings == [
        "passphrase 2 %s: one captured cookie is enough to guess at it offline. Rotate it out." % sentence]
    assert (is_weak(key), is_weak(STRONG)) == (True, False)


anything = st.text(max_size=40) | st.text(alphabet="aB3 \"'\\#$é\u00a0\u2028=:\t\r\n", max_size=12) | st.sampled_from(
    [STRONG, OTHER, "exec:x", "#x", "x" * 256, "\"" * 256, "\\" * 257])


@settings(max_examples=500)
@given(st.lists(anything, max_size=7))
def test_no_message_holds_a_passphrase(keys: list[str]) -> None:
    for allow_weak in (False, True):
        try:
            accepted, said = validate(keys, allow_weak)
        except PassphraseError as error:
            said = [str(error)]
        else:
            assert accepted == keys
        for key in keys:
            # Shorter ones may be part of any sentence.
            assert len(key) < 12 or key not in " ".join(said)


def is_allowed(key: str) -> bool:
    try:
        return bool(validate([key], allow_weak=True))
    except PassphraseError:
        return False


@settings(max_examples=500)
@given(st.lists(anything.filter(is_allowed), min_size=1, max_size=6, unique=True))
@example(["ends with a backslash\\", STRONG])
@example(["\\", '"', "'", '\\"', "\\\\"])
@example([" # no comment", "it's", '"quoted"'])
@example(["\u00a0x\u00a0", "a\u00a0b", "\u2028x\u0085"])
def test_httpd_reads_from_the_file_what_was_given(keys: list[str]) -> None:
    accepted, _warnings = validate(keys, allow_weak=True)
    assert parse_file(render_file(accepted)) == keys
    assert render_file(accepted).count("\n") == len(keys)


def test_strong_keys_stand_in_the_file_as_they_are() -> None:
    assert render_file([STRONG, OTHER]) == "%s\n%s\n" % (STRONG, OTHER)


def test_the_ring_of_a_list_is_a_comment_before_its_keys() -> None:
    text = render_file([STRONG, OTHER], ("r1-_X", 17))
    assert text == "# ring r1-_X 17\n%s\n%s\n" % (STRONG, OTHER)
    assert (parse_ring(text), parse_file(text)) == (("r1-_X", 17), [STRONG, OTHER])


@given(st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True), st.integers(0, 10**18 - 1),
       st.lists(anything.filter(is_allowed), min_size=1, max_size=6, unique=True))
def test_a_ring_is_read_as_it_was_written(ring: str, generation: int, keys: list[str]) -> None:
    text = render_file(keys, (ring, generation))
    assert (parse_ring(text), parse_file(text)) == ((ring, generation), keys)
    assert parse_ring(render_file(keys)) is None


@pytest.mark.parametrize("ring", [("", 1), ("ends\\", 1), ("two words", 1), ("line\n", 1), ("r", -1), ("r", 10**18), ("é", 1)])
def test_a_ring_that_would_spoil_the_file_is_refused(ring: tuple[str, int]) -> None:
    with pytest.raises(PassphraseError, match="the ring's id must have"):
        render_file([STRONG], ring)


@pytest.mark.parametrize("text", [
    "", "%s\n" % STRONG, "# ring r\n", "# ring r x\n", "# ring r 1", "#ring r 1\n", " # ring r 1\n", "# ring r 1 \n",
    "# rings r 1\n", "# ring r 1\\\n", "%s\n# ring r 1\n" % STRONG, "# ring r 1\r\n", "# ring r \u0661\n",
])
def test_what_is_no_ring(text: str) -> None:
    assert parse_ring(text) is None


@pytest.mark.parametrize("row", json.loads(FILES.read_text(encoding="utf-8")), ids=lambda row: ascii(row["text"]))
def test_files_that_somebody_else_wrote(row: dict[str, Any]) -> None:
    assert parse_file(row["text"]) == row["keys"]


@given(st.text())
def test_any_file_can_be_read(text: str) -> None:
    assert all(key and not key.startswith("#") for key in parse_file(text))


def test_no_fingerprint_for_what_a_person_may_have_chosen() -> None:
    shown = [key for key in (
        "secret",
        "correct-horse-battery-staple-correct-horse",
        "CorrectHorseBatteryStapleCorrectHorse",
        "MyDogIs5YearsOldAndHeLikes2EatBigBones",
        "IchHabe3Katzen2HundeUnd1VogelZuHause",
        "SummerVacation2024InTheMountains99",
        "Company-Name-Session-Key-2024-Prod1",
        "P4ssw0rdF0rMyC0mpanyS3rv3rs2024xx",
        "S3ss10n-K3y-F0r-Th3-W3b-Fl33t-2024",
        "Passw0rd1Passw0rd1Passw0rd1Passw0rd1",
        "x9Q-x9Q-x9Q-x9Q-x9Q-x9Q-x9Q-x9Q-zT4u",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789",
        "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6",
        "qwertyuiopasdfghjklzxcvbnm1234567890",
        "2026-11-23-2026-11-23-2026-11-23-2026",
        STRONG + "!",
    ) if fingerprint(key) != "hidden"]
    assert shown == []


def generated(random_bytes: Callable[[int], bytes]) -> str:
    return base64.urlsafe_b64encode(random_bytes(passphrases.GENERATED_BYTES)).decode().rstrip("=")


def test_fingerprints_of_random_keys() -> None:
    source = random.Random(20260101)
    keys = [generated(source.randbytes) for _count in range(3000)]
    names = [fingerprint(key) for key in keys]
    shown = [name for name in names if name != "hidden"]
    assert len(shown) >= 2985
    assert len(set(shown)) == len(shown)
    assert all(len(name) == 8 and set(name) <= set("0123456789abcdef") for name in shown)
    assert names == [fingerprint(key) for key in keys]
    assert not any(name in key for name, key in zip(names, keys))


def test_a_fingerprint_stays_the_same_from_release_to_release() -> None:
    assert (fingerprint(STRONG), fingerprint(OTHER)) == ("e380f814", "4a22134e")


@given(st.text(max_size=80))
def test_a_weak_key_has_no_fingerprint(key: str) -> None:
    assert fingerprint(key) == "hidden" or not is_weak(key)
