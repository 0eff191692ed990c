# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import builtins
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plugins.module_utils import cookie
from plugins.module_utils.cookie import CIPHERS, CookieError

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
SIPHASH = json.loads((VECTORS / "siphash24.json").read_text(encoding="utf-8"))
CAPTURED = json.loads((VECTORS / "cookies.json").read_text(encoding="utf-8"))["cookies"]
INVALID = json.loads((VECTORS / "invalid.json").read_text(encoding="utf-8"))["invalid"]

KEY = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
OTHER = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
PAYLOAD = "user=alice&expiry=1795398085466647"

passphrases = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50)
ciphers = st.sampled_from(sorted(CIPHERS))
salts = st.binary(min_size=16, max_size=16)
ivs = st.binary(min_size=16, max_size=16)
payloads = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=200)
# What a session can hold: no NUL, and an empty value is as good as none.
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
sessions = st.dictionaries(words, words, max_size=8).filter(
    lambda pairs: len({name.encode().lower() for name in pairs} | {b"expiry"}) == len(pairs) + 1)
expiries = st.none() | st.integers(1, 2**63 - 1)
# A key derivation is 4096 rounds, so properties that derive get fewer examples.
few = settings(max_examples=40, deadline=None)
many = settings(max_examples=300, deadline=None)


def sealed(cipher: str = "aes256", passphrase: str = KEY, payload: str = PAYLOAD) -> str:
    return cookie.seal(payload, passphrase, cipher, bytes(range(16)), bytes(range(CIPHERS[cipher].iv_bytes)))


def reason_of(value: str, keys: list[str], cipher: str = "aes256") -> str:
    with pytest.raises(CookieError) as caught:
        cookie.unseal(value, keys, cipher)
    return caught.value.reason


# SipHash

@pytest.mark.parametrize("length", range(64))
def test_siphash_gives_the_published_macs(length: int) -> None:
    found = cookie.siphash24(bytes.fromhex(SIPHASH["key"]), bytes(range(length)))
    assert found.to_bytes(8, "little").hex() == SIPHASH["macs"][length]


def test_siphash_counts_the_length_modulo_256() -> None:
    # The last word holds it: a wrong carry would show beyond 255 bytes. Value from httpd, which sealed this body.
    vector = max(CAPTURED, key=lambda found: len(found["value"]))
    raw = base64.b64decode(vector["value"])
    assert len(raw) > 1024
    assert cookie.mac(vector["passphrases"][vector["index"]], raw[8:]) == raw[:8]


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_siphash_refuses_keys_of_another_length(size: int) -> None:
    with pytest.raises(ValueError):
        cookie.siphash24(bytes(size), b"")


# Cookies of a real httpd

@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_opens_what_httpd_sealed(vector: dict[str, Any]) -> None:
    assert cookie.sealed_by(vector["value"], vector["passphrases"]) == vector["index"]
    assert cookie.unseal(vector["value"], vector["passphrases"], vector["cipher"]) == cookie.Opened(
        vector["index"], vector["payload"])


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_seals_what_httpd_sealed_byte_for_byte(vector: dict[str, Any]) -> None:
    raw = base64.b64decode(vector["value"])
    iv = raw[24:24 + CIPHERS[vector["cipher"]].iv_bytes]
    key = vector["passphrases"][vector["index"]]
    assert cookie.seal(vector["payload"], key, vector["cipher"], raw[8:24], iv) == vector["value"]


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_writes_payloads_as_httpd_does(vector: dict[str, Any]) -> None:
    session = cookie.parse_payload(vector["payload"])
    assert (session.expiry is not None) == bool(vector["max_age"])
    assert cookie.format_payload(session.pairs, session.expiry) == vector["payload"]
    assert cookie.sealed_length(len(vector["payload"]), vector["cipher"]) == len(vector["value"])


def test_the_vectors_cover_every_cipher_and_a_list_of_keys() -> None:
    assert {vector["cipher"] for vector in CAPTURED} == set(CIPHERS)
    assert max(len(vector["passphrases"]) for vector in CAPTURED) > 1
    assert {row["reason"] for row in INVALID} == set(cookie.REASONS)


def test_reads_the_values_that_httpd_was_given() -> None:
    by_name = {vector["name"]: cookie.parse_payload(vector["payload"]).pairs for vector in CAPTURED}
    assert by_name["aes256-one.login"] == {"user": "alice", "note": "hello world"}
    assert by_name["aes256-one.case"] == {"Name": "second", "other": "kept"}
    assert by_name["aes256-one.names"] == {"a b": "1", "x=y&z": "2", "\u00fcber": "3", "~!*'()": "4", "per%cent": "5"}
    both = by_name["aes256-one.bytes"]
    assert "".join(both.values()).encode("utf-8", "surrogateescape") == bytes(range(1, 256))


@pytest.mark.parametrize("row", INVALID, ids=lambda row: row["name"])
def test_does_not_open_and_says_why(row: dict[str, Any]) -> None:
    with pytest.raises(CookieError) as caught:
        cookie.unseal(row["value"], row["passphrases"], row["cipher"])
    assert caught.value.reason == row["reason"]
    for passphrase in row["passphrases"]:
        assert passphrase not in str(caught.value)


@pytest.mark.parametrize("row", INVALID, ids=lambda row: row["name"])
def test_the_mac_alone_tells_what_it_can(row: dict[str, Any]) -> None:
    shapes = ("plain_text", "bad_base64", "too_short", "too_long")
    if row["reason"] in shapes:
        with pytest.raises(CookieError) as caught:
            cookie.sealed_by(row["value"], row["passphrases"])
        assert caught.value.reason == row["reason"]
    else:
        # A wrong cipher has the right mac; no mac at all is nobody's.
        expected = 0 if row["reason"] == "wrong_cipher" else -1
        assert cookie.sealed_by(row["value"], row["passphrases"]) == expected


# Keys and ciphers

def test_the_position_in_the_list_is_told() -> None:
    assert cookie.sealed_by(sealed(), [OTHER, "", KEY]) == 2
    assert cookie.unseal(sealed(), [OTHER, "", KEY], "aes256").index == 2
    assert cookie.sealed_by(sealed(passphrase=""), [KEY, ""]) == 1
    assert cookie.sealed_by(sealed(), []) == -1


def test_a_wrong_cipher_is_named_with_its_key() -> None:
    with pytest.raises(CookieError) as caught:
        cookie.unseal(sealed("aes128"), [OTHER, KEY], "aes256")
    assert (caught.value.reason, caught.value.index, caught.value.cipher) == ("wrong_cipher", 1, "aes128")


def test_a_right_mac_over_nonsense_is_a_wrong_cipher_without_a_name() -> None:
    body = bytes(80)
    value = base64.b64encode(cookie.mac(KEY, body) + body).decode()
    with pytest.raises(CookieError) as caught:
        cookie.unseal(value, [KEY], "aes256")
    assert (caught.value.reason, caught.value.index, caught.value.cipher) == ("wrong_cipher", 0, None)


def test_judging_a_mac_needs_no_third_party_library(monkeypatch: pytest.MonkeyPatch) -> None:
    value = sealed()
    real_import = builtins.__import__

    def no_cryptography(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "cryptography":
            raise ImportError(name)
        return real_import(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", no_cryptography)
    assert cookie.sealed_by(value, [OTHER, KEY]) == 1
    with pytest.raises(ImportError):
        cookie.unseal(value, [KEY], "aes256")


@pytest.mark.parametrize(
    ("payload", "cipher", "salt", "iv"),
    [
        ("", "aes256", 16, 16),
        ("a=\u00fc", "aes256", 16, 16),
        ("a=b\n", "aes256", 16, 16),
        ("a=\ud800", "aes256", 16, 16),
        ("a=b", "aes256", 15, 16),
        ("a=b", "aes256", 16, 8),
        ("a=b", "3des192", 16, 16),
        ("a=b", "aes512", 16, 16),
        ("a=b", "AES256", 16, 16),
    ],
)
def test_seal_refuses_what_httpd_would_never_make(payload: str, cipher: str, salt: int, iv: int) -> None:
    with pytest.raises(ValueError):
        cookie.seal(payload, KEY, cipher, bytes(salt), bytes(iv))


def test_an_unknown_cipher_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError) as caught:
        cookie.unseal(sealed(), [KEY], "aes512")
    assert not isinstance(caught.value, CookieError)
    with pytest.raises(ValueError):
        cookie.sealed_length(10, "aes512")
    with pytest.raises(ValueError):
        cookie.sealed_length(-1, "aes256")


@pytest.mark.parametrize("cipher", sorted(CIPHERS))
@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 47, 48, 3000])
def test_the_length_is_known_beforehand(cipher: str, size: int) -> None:
    assert len(sealed(cipher, payload="x" * size)) == cookie.sealed_length(size, cipher)


def test_the_room_of_a_browser_cookie() -> None:
    # Name "session" and 4096 characters in all leave 3023 bytes of payload.
    assert cookie.sealed_length(3023, "aes256") + len("session") <= 4096
    assert cookie.sealed_length(3024, "aes256") + len("session") > 4096


@few
@given(payloads, passphrases, ciphers, salts, ivs, st.lists(passphrases, max_size=3), st.integers(0, 3))
def test_seal_and_unseal_are_inverse(
    payload: str, passphrase: str, cipher: str, salt: bytes, iv: bytes, others: list[str], place: int
) -> None:
    value = cookie.seal(payload, passphrase, cipher, salt, iv[:CIPHERS[cipher].iv_bytes])
    keys = [key for key in others if key != passphrase]
    keys.insert(place, passphrase)
    expected = cookie.Opened(keys.index(passphrase), payload)
    assert cookie.sealed_by(value, keys) == expected.index
    assert cookie.unseal(value, keys, cipher) == expected


@many
@given(st.sampled_from(sorted(CIPHERS)), st.integers(0, 10**6))
def test_no_bit_of_the_sealed_bytes_can_be_flipped(cipher: str, bit: int) -> None:
    raw = bytearray(base64.b64decode(sealed(cipher)))
    bit %= len(raw) * 8
    raw[bit // 8] ^= 1 << bit % 8
    value = base64.b64encode(bytes(raw)).decode()
    assert cookie.sealed_by(value, [KEY, OTHER]) == -1
    assert reason_of(value, [KEY], cipher) in ("unknown_key", "before_2_4_25")


@many
@given(st.sampled_from([sealed(cipher) for cipher in sorted(CIPHERS)]), st.integers(0, 10**6), st.integers(0, 6))
def test_no_bit_of_the_text_can_be_flipped(value: str, place: int, bit: int) -> None:
    place %= len(value)
    changed = value[:place] + chr(ord(value[place]) ^ 1 << bit) + value[place + 1:]
    try:
        assert cookie.sealed_by(changed, [KEY, OTHER]) == -1
    except CookieError as error:
        assert error.reason in ("bad_base64", "too_short", "plain_text")


@many
@given(st.sampled_from([sealed(cipher) for cipher in sorted(CIPHERS)]), st.integers(0, 10**6))
def test_no_beginning_of_a_cookie_opens(value: str, size: int) -> None:
    cut = value[:size % len(value)]
    try:
        assert cookie.sealed_by(cut, [KEY]) == -1
    except CookieError as error:
        assert error.reason in ("bad_base64", "too_short")


@many
@given(st.text() | st.text("ABCab01+/=&%-. ") | st.binary().map(lambda raw: base64.b64encode(raw).decode()), ciphers)
@example("A===", "aes256")
@example("=", "aes256")
@example("\ud800", "aes256")
@example("\u0661" * 64, "aes256")
def test_any_text_gives_a_cookie_error_and_nothing_else(value: str, cipher: str) -> None:
    assert reason_of(value, [KEY], cipher) in cookie.REASONS


@pytest.mark.parametrize("value", ["A" * 5_000_000, "a=" + "&a=" * 2_000_000, "%" * 5_000_000, "=" * 5_000_000])
def test_megabytes_are_refused_before_they_cost_anything(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cookie, "siphash24", lambda key, data: pytest.fail("a mac was computed"))
    assert reason_of(value, [KEY]) in ("too_long", "plain_text")


# Payloads

@many
@given(sessions, expiries)
def test_parse_is_the_inverse_of_format(pairs: dict[str, str], expiry: Any) -> None:
    text = cookie.format_payload(pairs, expiry)
    assert cookie.parse_payload(text) == cookie.Payload(pairs, expiry)
    assert list(cookie.parse_payload(text).pairs) == list(pairs)
    assert all(" " < character < "\x7f" for character in text)


@many
@given(st.text() | st.text("ab=&%+01expiry\0"))
@example("\ud800=\udcff&\udc7f")
def test_parse_never_raises_and_what_it_reads_can_be_written(text: str) -> None:
    session = cookie.parse_payload(text)
    # A pair "Expiry" is no expiry to httpd, and would be replaced when it writes the session.
    pairs = {name: value for name, value in session.pairs.items() if name.lower() != "expiry"}
    again = cookie.parse_payload(cookie.format_payload(pairs, session.expiry))
    assert again == cookie.Payload(pairs, session.expiry)


@pytest.mark.parametrize(
    ("text", "pairs", "expiry"),
    [
        ("", {}, None),
        ("a=b", {"a": "b"}, None),
        ("a=b&expiry=12", {"a": "b"}, 12),
        ("expiry=12&a=b", {"a": "b"}, 12),
        ("expiry=12&expiry=13", {}, 13),
        ("expiry=0", {}, None),
        ("expiry=abc", {}, None),
        ("expiry=12abc", {}, 12),
        ("expiry=+12", {}, 12),
        ("expiry=-5", {}, -5),
        ("expiry=" + "9" * 5000, {}, 2**63 - 1),
        ("expiry=-" + "9" * 5000, {}, -2**63),
        ("Expiry=12", {"Expiry": "12"}, None),
        ("a=b+c%20d%2Be", {"a": "b c d+e"}, None),
        ("a=%C3%bc", {"a": "\u00fc"}, None),
        ("a=%ff", {"a": "\udcff"}, None),
        ("a=1&A=2", {"a": "2"}, None),
        ("a=1&b=2&A=", {"b": "2"}, None),
        ("a=1&b=2&a", {"b": "2"}, None),
        ("a=%zz&b=%0&c=%&d=1", {"d": "1"}, None),
        ("a=%00", {}, None),
        ("a=1\0&b=2", {"a": "1"}, None),
        ("&&a=1&&", {"a": "1"}, None),
        ("==a==b==c", {"a": "b"}, None),
        ("=", {}, None),
    ],
)
def test_payloads_are_read_as_httpd_reads_them(text: str, pairs: dict[str, str], expiry: Any) -> None:
    assert cookie.parse_payload(text) == cookie.Payload(pairs, expiry)


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ({}, ""),
        ({"a": ""}, "a="),
        ({"a b": "c d"}, "a+b=c+d"),
        ({"a": "\u00fc~!*'()-._/+&=%"}, "a=%c3%bc%7e%21*%27%28%29-._%2f%2b%26%3d%25"),
        ({"b": "1", "a": "2"}, "b=1&a=2"),
    ],
)
def test_payloads_are_written_as_httpd_writes_them(pairs: dict[str, str], text: str) -> None:
    assert cookie.format_payload(pairs) == text
    assert cookie.format_payload(pairs, 5) == (text + "&" if text else "") + "expiry=5"


@pytest.mark.parametrize(
    "pairs", [{"": "a"}, {"a\0": "b"}, {"a": "b\0"}, {"expiry": "1"}, {"EXPIRY": "1"}, {"a": "1", "A": "2"}])
def test_payloads_that_httpd_cannot_hold_are_refused(pairs: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        cookie.format_payload(pairs)
