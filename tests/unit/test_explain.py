# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils import cookie
from plugins.module_utils.cookie import CIPHERS, REASONS
from plugins.module_utils.explain import LABELS, Explanation, SessionKey, explain

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
CAPTURED = json.loads((VECTORS / "cookies.json").read_text(encoding="utf-8"))["cookies"]
INVALID = json.loads((VECTORS / "invalid.json").read_text(encoding="utf-8"))["invalid"]
KEY = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
OTHER = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
SECOND = 1_000_000
NOON = 1_700_049_600 * SECOND  # 2023-11-15 12:00:00 UTC


def seal(payload: str, key: str = KEY, cipher: str = "aes256") -> str:
    return cookie.seal(payload, key, cipher, bytes(range(16)), bytes(range(CIPHERS[cipher].iv_bytes)))


SEALED = seal("user=al+ice&note=%%c3%%bc&expiry=%d" % NOON)


def test_an_opened_cookie() -> None:
    assert explain(SEALED, [OTHER, KEY], "aes256", NOON) == Explanation(
        1, (SessionKey("user", 6, None), SessionKey("note", 2, None)), "2023-11-15T12:00:00Z", False, None, len(SEALED),
        "")


def test_values_are_told_when_asked_for() -> None:
    found = explain(SEALED, [KEY], "aes256", NOON, show_values=True)
    assert found.keys == (SessionKey("user", 6, "al ice"), SessionKey("note", 2, "\u00fc"))
    assert "al ice" not in repr(explain(SEALED, [KEY], "aes256", NOON))


@pytest.mark.parametrize(("now", "expired"), [(NOON - 1, False), (NOON, False), (NOON + 1, True)])
def test_expired_is_what_httpd_calls_expired(now: int, expired: bool) -> None:
    assert explain(SEALED, [KEY], "aes256", now).expired is expired


@pytest.mark.parametrize(
    ("now", "max_age", "age"),
    [(NOON, 0, None), (NOON, 60, 60), (NOON - 60 * SECOND, 60, 0), (NOON - 18 * SECOND, 60, 42),
     (NOON + SECOND, 60, 61)],
)
def test_the_age_follows_from_the_max_age(now: int, max_age: int, age: Optional[int]) -> None:
    assert explain(SEALED, [KEY], "aes256", now, max_age=max_age).age == age


def test_a_session_without_expiry_never_expires() -> None:
    found = explain(seal("a=b"), [KEY], "aes256", 2**62, max_age=60)
    assert (found.opened_by, found.expiry, found.expired, found.age) == (0, None, False, None)


@pytest.mark.parametrize(
    ("expiry", "text"),
    [
        (1, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (253402300799 * SECOND, "9999-12-31T23:59:59Z"),
        (253402300800 * SECOND, None),
        (2**63 - 1, None),
        (-2**63, None),
    ],
)
def test_every_expiry_can_be_told(expiry: int, text: Optional[str]) -> None:
    assert explain(seal("expiry=%d" % expiry), [KEY], "aes256", 0).expiry == text


def test_an_unencrypted_cookie_is_read_but_not_opened() -> None:
    found = explain("user=alice&expiry=%d" % NOON, [KEY], "aes256", NOON + 1)
    assert (found.opened_by, found.keys, found.expiry, found.expired) == (
        -1, (SessionKey("user", 5, None),), "2023-11-15T12:00:00Z", True)
    assert found.reason.startswith("plain text: ")


@pytest.mark.parametrize("row", INVALID, ids=lambda row: row["name"])
def test_what_cannot_be_opened_has_a_reason(row: dict[str, Any]) -> None:
    found = explain(row["value"], row["passphrases"], row["cipher"], NOON)
    if row["name"] == "blank in front":  # a slip of the hand, not of the server
        assert found.opened_by == 0
        return
    assert found.opened_by == -1
    assert found.reason.startswith(LABELS[row["reason"]] + ": ")
    assert (found.expired is None) == (row["reason"] != "plain_text")
    for passphrase in row["passphrases"]:
        assert passphrase not in repr(found)


def test_every_reason_has_a_label() -> None:
    assert set(LABELS) == set(REASONS)


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_cookies_of_a_real_httpd(vector: dict[str, Any]) -> None:
    found = explain(vector["value"], vector["passphrases"], vector["cipher"], NOON)
    assert (found.opened_by, found.reason, found.size) == (vector["index"], "", len(vector["value"]))
    assert [key.name for key in found.keys] == [
        name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        for name in cookie.parse_payload(vector["payload"]).pairs]


@pytest.mark.parametrize(
    "text", ["%s", "session=%s", "session=%s; Path=/; HttpOnly", "session = %s;Max-Age=60", " %s\n", "%s;Path=/"])
def test_what_people_paste(text: str) -> None:
    found = explain(text % SEALED, [KEY], "aes256", NOON)
    assert (found.opened_by, found.size) == (0, len(SEALED))


def test_the_empty_passphrase_is_named() -> None:
    found = explain(seal("a=b", ""), [KEY], "aes256", NOON)
    assert found.reason == "unknown key: It was sealed with the empty passphrase, so that anybody can forge it."
    assert explain(seal("a=b", ""), [KEY, ""], "aes256", NOON).opened_by == 1


def test_a_wrong_cipher_names_cipher_and_key() -> None:
    reason = explain(seal("a=b", KEY, "aes128"), [OTHER, KEY], "aes256", NOON).reason
    assert reason.startswith("other cipher: ") and "aes128" in reason and "number 2" in reason


def test_strange_bytes_can_be_shown_and_written() -> None:
    found = explain(seal("%ff%fe=%80x"), [KEY], "aes256", NOON, show_values=True)
    assert found.keys == (SessionKey("\\xff\\xfe", 2, "\\x80x"),)


def test_an_unknown_cipher_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError):
        explain(SEALED, [KEY], "aes512", NOON)


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text("ABCab01+/=&%-.; "), st.integers(0, 2**63), st.booleans())
def test_no_text_is_too_strange(text: str, now: int, show_values: bool) -> None:
    found = explain(text, [KEY], "aes256", now, show_values)
    assert found.opened_by == -1
    assert found.reason.partition(": ")[0] in LABELS.values()
    json.dumps([key.name + (key.value or "") for key in found.keys], ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("text", ["A" * 5_000_000, "a=b&" * 1_000_000, "=" * 5_000_000, ";" * 5_000_000])
def test_megabytes_are_cut(text: str) -> None:
    found = explain(text, [KEY], "aes256", NOON)
    assert found.opened_by == -1
    assert len(found.keys) <= 1
