# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

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
    if row["name"] in ("blank in front", "quoted"):  # slips of the hand, not of the server
        assert found.opened_by == 0
        return
    assert found.opened_by == -1
    assert found.reason.startswith(LABELS[row["reason"]] + ": ")
    assert (found.expired is None) == (row["reason"] != "plain_text")
    for passphrase in row["passphrases"]:
        assert passphrase not in repr(found)


def test_every_reason_has_a_label() -> None:
    assert set(LABELS) == {*REASONS, "row", "none"}


@pytest.mark.parametrize("vector", CAPTURED, ids=lambda vector: vector["name"])
def test_cookies_of_a_real_httpd(vector: dict[str, Any]) -> None:
    found = explain(vector["value"], vector["passphrases"], vector["cipher"], NOON)
    assert (found.opened_by, found.reason, found.size) == (vector["index"], "", len(vector["value"]))
    assert [key.name for key in found.keys] == [
        name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        for name in cookie.parse_payload(vector["payload"]).pairs]


OTHERS = "theme=dark; _ga=GA1.2.1234567890.1700000000; PHPSESSID=q1w2e3r4t5y6u7i8o9p0; consent=%7B%22a%22%3A1%7D"


@pytest.mark.parametrize("text", [
    "%s", "session=%s", "session=%s; Path=/; HttpOnly", "session = %s;Max-Age=60", " %s\n", "%s;Path=/",
    "Set-Cookie: __Host-session=%s;Max-Age=60;path=/;Secure;HttpOnly", "set-cookie:session=%s",
    "< Set-Cookie: session=%s; path=/\r",
    "> Cookie: " + OTHERS + "; session=%s", "Cookie: session=%s; " + OTHERS, "cookie: a=b,session=%s", OTHERS + "; session=%s",
    '"%s"', "'session=%s'", "`%s`", '"session": "%s"', 'session:"%s"', '{"name": "session", "value": "%s", "path": "/"}',
    '[{"name":"a","value":"b"},{"name":"session","value":"%s"}]',
    "curl 'https://x/' -H 'accept: */*' -b 'a=b; session=%s' --compressed",
    'curl https://x/ -H "Cookie: session=%s"', "session\t%s\twww.example.test\t/\t2026-01-01T00:00:00Z\t120",
    "#HttpOnly_x.test\tFALSE\t/\tTRUE\t0\tsession\t%s", "document.cookie='session=%s;path=/'",
    "HTTP/1.1 200 OK\nDate: Mon, 23 Nov 2026 11:00:00 GMT\nSet-Cookie: session=%s; path=/\nContent-Length: 0\n",
    "(session=%s)", "<session=%s>", "_gat=1; session=%s; _fbp=fb.1.1596403881668.1116446470",
])
@pytest.mark.parametrize("form", ["plain", "encoded", "encoded twice", "broken into lines", "slashes escaped"])
def test_what_people_paste(text: str, form: str) -> None:
    sealed = seal("user=al+ice&expiry=%d" % NOON) if form != "slashes escaped" else SLASHED
    written = {"plain": sealed, "encoded": quote(sealed, safe=""), "encoded twice": quote(quote(sealed, safe=""), safe=""),
               "broken into lines": sealed[:40] + "\n  " + sealed[40:], "slashes escaped": sealed.replace("/", "\\/")}[form]
    if form == "broken into lines" and text not in ("%s", "session=%s", " %s\n", "session = %s"):
        return
    found = explain(text.replace("%s", written), [OTHER, KEY], "aes256", NOON)
    assert (found.opened_by, found.size, found.reason) == (1, len(sealed), "")


SLASHED = next(one for one in (seal("a=%d" % number) for number in range(99)) if "/" in one)


def test_of_several_cookies_the_one_that_opens_counts() -> None:
    foreign = cookie.seal("a=b", "TEST-ONLY-C-0123456789abcdefghijklmnopqrstu", "aes256", bytes(16), bytes(16))
    text = "Cookie: old=%s; session=%s; older=%s" % (foreign, SEALED, foreign)
    assert explain(text, [KEY], "aes256", NOON).opened_by == 0
    assert explain(text.replace(SEALED, "x"), [KEY], "aes256", NOON).reason.startswith("unknown key: ")


@pytest.mark.parametrize(("text", "names"), [
    ("session=private-user=a&expiry=1; path=/", ["private-user"]),
    ("private-user=a&expiry=1", ["private-user"]),
    ("Set-Cookie: session=user=alice&note=x&expiry=1; path=/; HttpOnly", ["user", "note"]),
    ("Cookie: " + OTHERS + "; session=user=alice&expiry=1", ["user"]),
    ("session=expiry=1", []),
    ("session=user%3Dalice%26expiry%3D1", ["user"]),
    ("user%3Dalice%26expiry%3D1", ["user"]),
    ("'user=al%20ice&expiry=1'", ["user"]),
    ("user=alice", ["user"]),
])
def test_a_session_in_plain_text_is_one_under_any_name(text: str, names: list[str]) -> None:
    found = explain(text, [KEY], "aes256", NOON)
    assert found.reason.startswith("plain text: ")
    assert [key.name for key in found.keys] == names
    assert "alice" not in repr(found)


ROW = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize("text", [
    ROW, "session=%s; path=/" % ROW, "Set-Cookie: session=%s;Max-Age=600;path=/" % ROW, '{"session": "%s"}' % ROW,
    "Cookie: a=b; session=%s; c=d" % ROW, " %s\n" % ROW])
def test_the_name_of_a_row_is_one(text: str) -> None:
    found = explain(text, [KEY], "aes256", NOON)
    said = "name of a row: What it holds is in the database of sessions (store: dbd), in the row of that name."
    assert found == Explanation(-1, (), None, None, None, len(ROW), said)


@pytest.mark.parametrize(("text", "reason"), [
    ("Cookie: " + OTHERS, "no session: "),
    ("session=%s; path=/" % SEALED[:60], "too short: "),
    ("session=%s" % SEALED[:61], "bad base64: "),
    ("Cookie: session=hunter2", "bad base64: "),
    ("Set-Cookie: session=; path=/", "too short: "),
    ("", "too short: "),
])
def test_what_is_no_session_is_said(text: str, reason: str) -> None:
    found = explain(text, [KEY], "aes256", NOON)
    assert found.reason.startswith(reason)
    assert found.opened_by == -1 and "hunter2" not in repr(found)


def test_what_is_shown_cannot_act_on_a_terminal() -> None:
    found = explain(seal("user%1b[31m=%1b]0;x%07"), [KEY], "aes256", NOON, show_values=True)
    assert found.keys == (SessionKey("user\\x1b[31m", 6, "\\x1b]0;x\\x07"),)


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
