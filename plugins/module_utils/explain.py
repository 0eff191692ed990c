# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one session cookie is: which key sealed it, until when it lives, what is inside, or why it cannot be opened."""
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional, Sequence

from .cookie import MAX_LENGTH, CookieError, Payload, parse_payload, sealed_by, unseal

LABELS = {
    "plain_text": "plain text",
    "bad_base64": "bad base64",
    "too_short": "too short",
    "too_long": "too long",
    "unknown_key": "unknown key",
    "wrong_cipher": "other cipher",
    "before_2_4_25": "older than 2.4.25",
}
"""The words that :attr:`Explanation.reason` begins with, by :attr:`cookie.CookieError.reason`."""

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
    """Explain the value of a session cookie; ``name=value; attributes``, as browsers show it, will do too.

    ``now``: microseconds since the epoch. ``max_age``: SessionMaxAge of the scope in seconds, 0 when it is not known.
    An unencrypted cookie is read too, although no passphrase opened it. Nothing about the cookie raises an error;
    ValueError for an unknown cipher, ImportError without the package ``cryptography`` where it is needed.
    """
    value = _value_of(cookie.strip(" \t\r\n"))
    try:
        opened = unseal(value, passphrases, cipher)
    except CookieError as error:
        reason = "%s: %s" % (LABELS[error.reason], _sentence(error, value))
        if error.reason != "plain_text":
            return Explanation(-1, (), None, None, None, len(value), reason)
        return _describe(-1, parse_payload(value[:MAX_LENGTH]), now, show_values, max_age, len(value), reason)
    return _describe(opened.index, parse_payload(opened.payload), now, show_values, max_age, len(value), "")


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


def _value_of(text: str) -> str:
    """The cookie's value, also of ``name=value`` and of a Set-Cookie line, where what follows the name looks sealed."""
    value = text.partition(";")[0].rstrip(" \t")
    if len(text) > 2 * MAX_LENGTH or _looks_sealed(value):
        return value
    behind = value.partition("=")[2].lstrip(" \t")
    return behind if _looks_sealed(behind) else value


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
    """Text that any terminal and JSON writer takes: bytes that are not UTF-8 become backslash escapes."""
    return _bytes(text).decode("utf-8", "backslashreplace")
