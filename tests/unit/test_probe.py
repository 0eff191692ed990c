# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import builtins
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils import cookie, probe
from plugins.module_utils.cookie import CIPHERS
from plugins.module_utils.probe import Answer, Observation, SetCookie

OLD = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
NEW = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
STRANGE = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
KEYS = [NEW, OLD]
MARKER = "Marker-12_ab"
EXPIRY = 1795398085466647
NAME = "session"


def seal(payload: str, key: str = NEW, cipher: str = "aes256") -> str:
    return cookie.seal(payload, key, cipher, bytes(range(16)), bytes(range(CIPHERS[cipher].iv_bytes)))


def accepted(key: str = NEW, cipher: str = "aes256", marker: str = MARKER, expiry: int = EXPIRY) -> str:
    return seal(cookie.format_payload({probe.MARKER: marker}, expiry), key, cipher)


def fresh(key: str = NEW, cipher: str = "aes256", expiry: int = EXPIRY) -> str:
    return seal(cookie.format_payload({}, expiry), key, cipher)


SENT = probe.seal_probe(OLD, "aes256", MARKER, bytes(16), bytes(16))


def answer(*set_cookies: str, status: int = 403, date: Optional[str] = None) -> Answer:
    headers = [("Server", "Apache")] + [("set-cookie", text) for text in set_cookies]
    return Answer(status, tuple(headers + ([("Date", date)] if date else [])), 1, 2)


def observe(
    found: Answer, cipher: str = "aes256", marker: str = MARKER, keys: Optional[list[str]] = None
) -> Observation:
    return probe.observe(found, NAME, KEYS if keys is None else keys, cipher, marker, SENT)


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("/", "/.mod-session-probe"),
        ("/app", "/app/.mod-session-probe"),
        ("/app/", "/app/.mod-session-probe"),
        ("/a/b", "/a/b/.mod-session-probe"),
    ],
)
def test_the_path_of_a_scopes_probe(scope: str, path: str) -> None:
    assert probe.probe_path(scope) == path


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/.mod-session-probe", "/.mod-session-probe/7"),
        ("/app/.mod-session-probe?store", "/app/.mod-session-probe/7?store"),
        ("/app/page?a=b", "/app/page?a=b"),
        ("/app/.mod-session-probes", "/app/.mod-session-probes"),
        ("/app/.mod-session-probe/x", "/app/.mod-session-probe/x"),
    ],
)
def test_each_probe_asks_for_a_page_of_its_own_and_other_paths_stay(path: str, asked: str) -> None:
    assert probe.spread(path, 7) == asked


def test_a_probe_carries_the_marker_and_no_expiry_unless_told() -> None:
    assert cookie.unseal(SENT, [OLD], "aes256").payload == "fleetprobe=" + MARKER
    timed = probe.seal_probe(OLD, "aes128", MARKER, bytes(16), bytes(16), expiry=EXPIRY)
    assert cookie.parse_payload(cookie.unseal(timed, [OLD], "aes128").payload) == cookie.Payload(
        {"fleetprobe": MARKER}, EXPIRY)


@pytest.mark.parametrize("marker", ["", "a b", "a&b", "\u00fc", "a" * 65, "a\n"])
def test_a_marker_must_not_change_its_length_when_written(marker: str) -> None:
    with pytest.raises(ValueError):
        probe.seal_probe(OLD, "aes256", marker, bytes(16), bytes(16))
    with pytest.raises(ValueError):
        observe(answer(), marker=marker)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("session=abc;Max-Age=3600;path=/;HttpOnly;Secure;SameSite=Lax",
         SetCookie("session", "abc",
                   {"max-age": "3600", "path": "/", "httponly": True, "secure": True, "samesite": "Lax"}, 10)),
        ("session=;Max-Age=0;path=/", SetCookie("session", "", {"max-age": "0", "path": "/"}, 7)),
        (" session = a b ; Path = /x ", SetCookie("session", "a b", {"path": "/x"}, 10)),
        ("session=ab==;path=/a=b", SetCookie("session", "ab==", {"path": "/a=b"}, 11)),
        ("a=1;;;=x; ;Path=/;PATH=/b", SetCookie("a", "1", {"path": "/b"}, 2)),
        ("novalue;path=/", SetCookie("", "novalue", {"path": "/"}, 7)),
        ("", SetCookie("", "", {}, 0)),
    ],
)
def test_set_cookie_is_read_as_browsers_read_it(header: str, expected: SetCookie) -> None:
    assert probe.parse_set_cookie(header) == expected


def test_a_cookie_of_endless_attributes_is_cut() -> None:
    found = probe.parse_set_cookie("session=a" + "".join(";a%d=1" % number for number in range(100000)))
    assert len(found.attributes) == 32


@pytest.mark.parametrize(
    ("value", "sealed", "encrypts_with", "came_back"),
    [
        (accepted(NEW), "key", 0, True),
        (fresh(NEW), "key", 0, False),
        (accepted(OLD), "key", 1, True),
        (fresh(OLD), "key", 1, False),
        (seal("x=" + "y" * 100), "key", 0, None),
        (accepted(""), "empty_key", None, True),
        (fresh(""), "empty_key", None, False),
        (accepted(STRANGE), "unlisted_key", None, None),
        (fresh(STRANGE), "unlisted_key", None, None),
        ("expiry=%d" % EXPIRY, "plain", None, False),
        ("a=b&expiry=%d" % EXPIRY, "plain", None, False),
        ("fleetprobe=%s&expiry=%d" % (MARKER, EXPIRY), "plain", None, None),
        ("x=" + "y" * 50000, "plain", None, False),
        (SENT, "garbage", None, None),
        ("3f2a8c9e-1b2c-4d5e-8f90-a1b2c3d4e5f6", "garbage", None, None),
        ("A" * 50000, "garbage", None, None),
        (fresh(NEW)[:-8], "garbage", None, None),
        ("", "none", None, None),
    ],
)
def test_what_an_answers_cookie_shows(
    value: str, sealed: str, encrypts_with: Optional[int], came_back: Optional[bool]
) -> None:
    found = observe(answer("session=%s;Max-Age=3600;path=/" % value, date="Sun, 06 Nov 1994 08:49:37 GMT"))
    assert found == Observation(
        403, SetCookie(NAME, value, {"max-age": "3600", "path": "/"}, len(NAME) + len(value)), sealed, encrypts_with,
        came_back, 3600, 784111777000000)
    assert found.sealed in probe.SEALED


def test_an_answer_without_a_cookie_tells_nothing_of_the_key() -> None:
    assert observe(answer(status=200)) == Observation(200, None, "none", None, None, None, None)


def test_the_empty_key_in_the_list_is_the_empty_key_all_the_same() -> None:
    assert observe(answer("session=" + accepted("")), keys=[NEW, ""]).sealed == "empty_key"


def test_without_any_key_a_cookie_is_sealed_by_an_unlisted_one() -> None:
    assert observe(answer("session=" + accepted(NEW)), keys=[]).sealed == "unlisted_key"


def test_of_several_cookies_of_the_name_the_last_counts() -> None:
    found = observe(answer("session=" + fresh(OLD), "session=" + accepted(NEW), "other=1"))
    assert (found.encrypts_with, found.accepted, found.other_names) == (0, True, ())


def test_a_session_under_another_name_is_named() -> None:
    found = observe(answer("SESSION=" + accepted(NEW), "lang=de", "id=" + fresh(STRANGE), "empty="))
    assert (found.cookie, found.sealed, found.accepted, found.other_names) == (None, "none", None, ("SESSION",))


@pytest.mark.parametrize("cipher", sorted(CIPHERS))
@pytest.mark.parametrize("length", range(1, 65))
def test_marker_and_fresh_session_differ_for_every_marker_and_cipher(cipher: str, length: int) -> None:
    marker = "m" * length
    for value, expected in ((accepted(NEW, cipher, marker), True), (fresh(NEW, cipher), False)):
        assert observe(answer("session=" + value), cipher, marker).accepted is expected


@pytest.mark.parametrize("cipher", sorted(CIPHERS))
@pytest.mark.parametrize("digits", range(10, 17))
def test_a_node_that_lives_in_the_seventies_is_judged_too(cipher: str, digits: int) -> None:
    expiry = 10 ** (digits - 1)
    assert observe(answer("session=" + accepted(NEW, cipher, expiry=expiry)), cipher).accepted is True
    assert observe(answer("session=" + fresh(NEW, cipher, expiry=expiry)), cipher).accepted is False


@pytest.mark.parametrize("cipher", sorted(CIPHERS))
def test_the_best_marker_has_one_length_for_every_clock(cipher: str) -> None:
    marker = "m" * probe.MARKER_LENGTH
    assert len({len(accepted(NEW, cipher, marker, 10 ** power)) for power in range(9, 16)}) == 1


def test_judging_needs_no_third_party_library(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answer("session=" + accepted(OLD))
    real_import = builtins.__import__

    def no_cryptography(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "cryptography":
            raise ImportError(name)
        return real_import(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", no_cryptography)
    assert observe(found).accepted is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777000000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 29 Feb 2024 23:59:60 GMT", 1709251200000000),
        (" Sun, 06 Nov 1994 08:49:37 GMT ", 784111777000000),
        ("Wed, 29 Feb 2023 00:00:00 GMT", None),
        ("Sun, 00 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ("784111777", None),
        ("", None),
    ],
)
def test_dates(text: str, expected: Optional[int]) -> None:
    assert observe(Answer(200, (("DATE", text),), 1, 2)).date == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Max-Age=60", 60), ("max-age=0", 0), ("MAX-AGE=-1", -1), ("Max-Age=1.5", None), ("Max-Age", None), ("a=b", None),
     ("Max-Age=" + "9" * 5000, None), ("Max-Age=\u0661", None)],
)
def test_max_age(text: str, expected: Optional[int]) -> None:
    assert observe(answer("session=a;" + text)).max_age == expected


headers = st.lists(st.tuples(st.sampled_from(["Set-Cookie", "Date", "X"]), st.text() | st.just("session=")), max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.integers(), headers, st.text())
def test_no_answer_is_too_strange(status: int, found: list[tuple[str, str]], value: str) -> None:
    observation = observe(Answer(status, (*found, ("Set-Cookie", "session=" + value)), 5, 1))
    assert observation.sealed in probe.SEALED
    assert observation.accepted is not True


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_answer_is_never_evidence(place: int, change: int) -> None:
    raw = bytearray(base64.b64decode(accepted(NEW)))
    raw[place % len(raw)] ^= change
    found = observe(answer("session=" + base64.b64encode(bytes(raw)).decode()))
    assert (found.sealed, found.encrypts_with, found.accepted) == ("unlisted_key", None, None)
