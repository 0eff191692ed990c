# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one session cookie is: which key sealed it, until when it lives, what is inside, or why it cannot be opened."""
from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Iterator, Optional, Sequence
from urllib.parse import unquote

from .cookie import MAX_LENGTH, CookieError, Payload, parse_payload, sealed_by, unseal
from .text import printable

LABELS = {
    "plain_text": "plain text",
    "bad_base64": "bad base64",
    "too_short": "too short",
    "too_long": "too long",
    "unknown_key": "unknown key",
    "wrong_cipher": "other cipher",
    "before_2_4_25": "older than 2.4.25",
    "row": "name of a row",
    "none": "no session",
}
"""The words that :attr:`Explanation.reason` begins with: by :attr:`cookie.CookieError.reason`, and what is no sealed cookie."""

MOST_TEXT = 1 << 18
"""Characters of a pasted text that are looked through; of a longer one only the beginning counts."""

MOST_WORDS = 2000
"""Words of it."""

MOST_SEALED = 40
"""Cookies in it that are tried."""

_ROW = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BETWEEN = re.compile(r"[;,\s\"'`<>(){}\[\]|]+")
_EXPIRY = re.compile(r"(?:\A|&)expiry=-?\d")
_CUT = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_HEADER = re.compile(r"(?i)[\s<>*]*(?:set-)?cookie2?\s*:\s*")

_EPOCH = datetime(1970, 1, 1)
_SECOND = 1000000


@dataclass(frozen=True)
class SessionKey:
    """A name in the session, the ``size`` of its value in bytes, and the ``value`` itself when it was asked for."""

    name: str
    size: int
    value: Optional[str]


@dataclass(frozen=True)
class Explanation:
    """What is known of a cookie.

    ``opened_by``: index of the passphrase that opened it, -1 when none did.
    ``keys``: what is in the session, in its order, without the expiry; empty where it cannot be read.
    ``expiry``: ISO 8601 in UTC, to the second; None without one, where it cannot be read, or beyond the year 9999.
    ``expired``: whether httpd would refuse it for its age; None where it cannot be read.
    ``age``: seconds since httpd wrote the cookie; None unless the max age is known.
    ``size``: characters of the cookie's value.
    ``reason``: empty when it was opened; else one of :data:`LABELS`, a colon, and a sentence.
    """

    opened_by: int
    keys: tuple[SessionKey, ...]
    expiry: Optional[str]
    expired: Optional[bool]
    age: Optional[int]
    size: int
    reason: str


def explain(
    cookie: str, passphrases: Sequence[str], cipher: str, now: int, show_values: bool = False, max_age: int = 0
) -> Explanation:
    """Explain a session cookie, whatever is pasted around its value.

    That may be ``name=value; attributes``, a line of ``Set-Cookie``, one of ``Cookie`` with several cookies, of ``curl -v``, of a
    browser's tools, JSON; quoted, percent-encoded, broken into lines. Of several cookies the one that opens counts, then what
    looks likest one of httpd's.

    ``now``: microseconds since the epoch. ``max_age``: SessionMaxAge of the scope in seconds, 0 when it is not known.
    An unencrypted cookie is read too, although no passphrase opened it. Nothing about the cookie raises an error;
    ValueError for an unknown cipher, ImportError without the package ``cryptography`` where it is needed.
    """
    text = cookie.strip()
    best: Optional[tuple[str, CookieError]] = None
    for value in _sealed(text):
        try:
            opened = unseal(value, passphrases, cipher)
        except CookieError as error:
            if best is None or error.index > best[1].index:
                best = value, error
            continue
        return _describe(opened.index, parse_payload(opened.payload), now, show_values, max_age, len(value), "")
    if best:
        return _without(len(best[0]), best[1].reason, _sentence(best[1], best[0]))
    plain = next((value for value in map(_payload, _words(text)) if _EXPIRY.search(value) and len(value) <= MAX_LENGTH), "")
    row = next((value for word in _words(text) for value in _behind(word) if _ROW.fullmatch(value)), "")
    if row and not plain:
        return _without(len(row), "row", "What it holds is in the database of sessions (store: dbd), in the row of that name.")
    if not plain and _several(text):
        return _without(len(text), "none", "None of these cookies is sealed, and none holds an expiry, as a session does.")
    return _unsealed(plain or _first(text), passphrases, cipher, now, show_values, max_age)


def _unsealed(value: str, passphrases: Sequence[str], cipher: str, now: int, show_values: bool, max_age: int) -> Explanation:
    """What cannot be opened under any key: why, and what it holds where anybody can read it."""
    try:
        unseal(value, passphrases, cipher)
    except CookieError as error:
        if error.reason != "plain_text":
            return _without(len(value), error.reason, _sentence(error, value))
        reason = "%s: %s" % (LABELS[error.reason], _sentence(error, value))
        return _describe(-1, parse_payload(value[:MAX_LENGTH]), now, show_values, max_age, len(value), reason)
    raise AssertionError("a sealed cookie was not tried")


def _without(size: int, reason: str, sentence: str) -> Explanation:
    return Explanation(-1, (), None, None, None, size, "%s: %s" % (LABELS[reason], sentence))


def _describe(
    index: int, session: Payload, now: int, show_values: bool, max_age: int, size: int, reason: str
) -> Explanation:
    keys = tuple(
        SessionKey(_readable(name), len(_bytes(value)), _readable(value) if show_values else None)
        for name, value in session.pairs.items()
    )
    if session.expiry is None:
        return Explanation(index, keys, None, False, None, size, reason)
    # Every save sets the expiry to its own time plus the max age.
    age = (now - session.expiry) // _SECOND + max_age if max_age > 0 else None
    return Explanation(index, keys, _iso(session.expiry), session.expiry < now, age, size, reason)


def _sealed(text: str) -> Iterator[str]:
    """What has the form of a sealed cookie, each once."""
    seen: set[str] = set()
    joined = ["".join(text.split())] if len(text) <= 2 * MAX_LENGTH else []  # a long line that was broken
    for word in (*joined, *_words(text)):
        for form in {word: None, unquote(word): None, unquote(unquote(word)): None} if "%" in word else (word,):
            for value in _behind(form):
                if value not in seen and len(value) <= MAX_LENGTH and _looks_sealed(value):
                    seen.add(value)
                    yield value
        if len(seen) >= MOST_SEALED:
            return


def _words(text: str) -> list[str]:
    """The words of a text, without what stands between cookies, in headers, JSON and shells."""
    if len(text) > MOST_TEXT:
        return []
    return [word.replace("\\/", "/") for word in _BETWEEN.split(text, MOST_WORDS)[:MOST_WORDS] if word]


def _behind(word: str) -> tuple[str, ...]:
    """A word, and what stands behind a name in it."""
    return word, word.partition("=")[2], word.rpartition(":")[2]


def _payload(word: str) -> str:
    """What may be a session in plain text. Its own pairs have one equals sign each: with two, the cookie's name stands before."""
    name, _equals, behind = word.partition("=")
    if "=" in behind.partition("&")[0]:
        return behind
    encoded = behind if "=" not in behind and "&" not in word and behind else name if not behind else ""
    return unquote(encoded) if "%3d" in encoded.lower() else word


def _several(text: str) -> bool:
    """Whether these are several cookies, as a Cookie header has them."""
    found = _HEADER.match(text[:MAX_LENGTH])
    bare = text[found.end():MOST_TEXT] if found else ""
    return bool(bare) and "=" in bare.partition(";")[2] and not _attributes(bare)


def _attributes(text: str) -> bool:
    """Whether what follows a cookie are the attributes of a Set-Cookie."""
    return re.search(r"(?i);\s*(?:path|max-age|expires|httponly|secure|samesite|domain)\b", text) is not None


def _first(text: str) -> str:
    """The value of which is said why it cannot be opened."""
    found = _HEADER.match(text[:MAX_LENGTH])
    value = text[found.end():] if found else text
    value = value.strip("\"'` \t\r\n").partition(";")[0].rstrip()
    name, _equals, behind = value.partition("=")
    if len(behind) <= MAX_LENGTH and _CUT.fullmatch(behind.strip()):
        return behind.strip()  # a sealed cookie that was cut or changed
    return behind.strip() if found and name and "=" not in behind and "&" not in behind else value


def _looks_sealed(value: str) -> bool:
    try:
        sealed_by(value, ())
    except CookieError:
        return False
    return True


def _sentence(error: CookieError, value: str) -> str:
    if error.reason == "unknown_key" and sealed_by(value, ("",)) == 0:
        return "It was sealed with the empty passphrase, so that anybody can forge it."
    if error.index >= 0:
        return "%s Passphrase number %d of the list is the one that sealed it." % (error, error.index + 1)
    return str(error)


def _iso(microseconds: int) -> Optional[str]:
    try:
        return (_EPOCH + timedelta(seconds=microseconds // _SECOND)).isoformat() + "Z"
    except OverflowError:
        return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _readable(text: str) -> str:
    """Text that any terminal and JSON writer takes: what cannot be shown, and bytes that are not UTF-8, as backslash escapes."""
    return printable(_bytes(text).decode("utf-8", "backslashreplace"), MAX_LENGTH)
