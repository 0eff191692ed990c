# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One probe: the cookie that is sent to a node, and what the node's answer shows.

A probe is a request with a cookie that we sealed, to a location inside a scope that answers 403 by itself. mod_session
saves its session on error answers too, so the answer carries a cookie sealed by the node: with the probe's marker when
the node opened ours, without it when it did not. Both have an expiry, and with it the length of the ciphertext says
which of the two came back, the mac which key sealed it: a node that judges answers needs no decryption.

All times are microseconds since the epoch.
"""
from __future__ import annotations

import calendar
import hashlib
import re
from dataclasses import dataclass
from typing import Mapping, Optional, Sequence, Union

from .cookie import CookieError, format_payload, parse_payload, seal, sealed_by, sealed_length

PROBE_NAME = ".mod-session-probe"
"""Last part of the path that a scope answers probes at."""

STORE_QUERY = "store"
"""Query string that asks the probe location for its database."""

IDENTITY_HEADER = "Mod-Session-Probe"
"""Response header of a probe location's own answer; its value names the node, see :func:`identity`."""

REACHED_HEADER = "Mod-Session-Probe-Passed"
"""Request header that httpd adds to a request for a probe location right before a handler would answer it. Where it is
there, the answer is an application's, and goes without :data:`IDENTITY_HEADER`."""

MARKER = "fleetprobe"
"""Name of the session value that a probe carries."""

MARKER_LENGTH = 12
"""The best length of a marker, in characters: ``fleetprobe=<12>&expiry=<16 digits>`` ends one byte below a block's
boundary for every cipher, so that a node with a clock of few digits (years before 2001) gives the same length."""

SEALED = ("key", "plain", "empty_key", "unlisted_key", "garbage", "none")
"""Every value of :attr:`Observation.sealed`."""

_MARKER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IDENTITY = re.compile(r"[0-9a-f]{16}")
_EXPIRY_DIGITS = range(10, 17)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"[A-Z][a-z]{2}, ([0-3][0-9]) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-2][0-9]):([0-5][0-9]):([0-6][0-9]) GMT")
_SECONDS = re.compile(r"-?[0-9]{1,12}")
# Bounds for hostile answers: cookies looked at in one answer, attributes read of one cookie.
_COOKIES = 8
_ATTRIBUTES = 32


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: ``status``, the ``headers`` as they came, and when the request was ``sent`` and the answer
    ``received``, both by the asker's clock."""

    status: int
    headers: tuple[tuple[str, str], ...]
    sent: int
    received: int


@dataclass(frozen=True)
class SetCookie:
    """A Set-Cookie header as a browser reads it: ``attributes`` by lower-case name, True where one has no value.

    ``size`` is what browsers hold against their limit of 4096: the characters of name and value together.
    """

    name: str
    value: str
    attributes: Mapping[str, Union[str, bool]]
    size: int


@dataclass(frozen=True)
class Observation:
    """What one answer to a probe shows.

    ``status``: of the answer. ``cookie``: the last Set-Cookie of the expected name, or None.
    ``sealed``: how its value is sealed: ``key`` (a listed one), ``plain`` (not at all), ``empty_key`` (the empty
    passphrase, so that anybody can forge it), ``unlisted_key``, ``garbage`` (no session cookie; also our own cookie
    sent back), ``none`` (no cookie, or an empty one).
    ``encrypts_with``: index of the listed key, else None.
    ``accepted``: whether the node opened the probe's cookie; None where the answer does not tell.
    ``max_age``: the cookie's Max-Age in seconds; ``date``: the answer's Date header; each None if there is none.
    ``location``: where the answer redirects to, as far as whoever asked kept it.
    ``other_names``: names of Set-Cookie headers sealed by a listed key when the expected name is not among the cookies.
    ``identity``: of the node whose probe location gave the answer, see :func:`answered_by`; empty: something else did.
    """

    status: int
    cookie: Optional[SetCookie]
    sealed: str
    encrypts_with: Optional[int]
    accepted: Optional[bool]
    max_age: Optional[int]
    date: Optional[int]
    other_names: tuple[str, ...] = ()
    identity: str = ""
    location: str = ""


def probe_path(scope_path: str) -> str:
    """The URL path that answers the probes of the scope at ``scope_path``."""
    return scope_path.rstrip("/") + "/" + PROBE_NAME


def store_path(scope_path: str) -> str:
    """Where a scope whose sessions are in a database answers from that database; :func:`probe_path` answers from cookies."""
    return probe_path(scope_path) + "?" + STORE_QUERY


def spread(path: str, number: int) -> str:
    """The path to ask for, with a number that makes it another page each time; a path of no probe location stays as it is.

    mod_evasive, and rules of its kind, shut an address out that asks for one page several times within a second.
    """
    before, name, after = path.partition("/" + PROBE_NAME)
    return "%s%s/%d%s" % (before, name, number, after) if name and after in ("", "?" + STORE_QUERY) else path


def identity(node: str) -> str:
    """What the probe locations of a node are known by: 16 hexadecimal digits, made from its name in the inventory.

    Everybody may ask for it, so it does not tell the name; who guesses a name can confirm the guess.
    """
    return hashlib.sha256(("mod-session-probe:" + node).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def answered_by(answer: Answer) -> str:
    """The identity in an answer; empty where it has none, or more than one: then it is no probe location's own answer."""
    found = {text.strip() for name, text in answer.headers if name.lower() == IDENTITY_HEADER.lower()}
    text = found.pop() if len(found) == 1 else ""
    return text if _IDENTITY.fullmatch(text) else ""


def seal_probe(
    passphrase: str, cipher: str, marker: str, salt: bytes, iv: bytes, expiry: Optional[int] = None
) -> str:
    """The cookie value of a probe; salt and iv are random bytes as :func:`cookie.seal` wants them.

    ``marker``: 1 to 64 characters of ``[A-Za-z0-9_-]``, best :data:`MARKER_LENGTH` of them. Without ``expiry`` no node
    takes the probe for expired, whatever its clock. Raises ValueError and ImportError as :func:`cookie.seal` does.
    """
    _check_marker(marker)
    return seal(format_payload({MARKER: marker}, expiry), passphrase, cipher, salt, iv)


def parse_set_cookie(header: str) -> SetCookie:
    """Read the value of a Set-Cookie header the way browsers do (RFC 6265, section 5.2). Nothing is refused.

    Without "=" in the first part there is no name, and the name is empty. Of an attribute given twice the last counts;
    attributes beyond the thirty-second are not read.
    """
    first, *rest = header.split(";", _ATTRIBUTES + 1)
    name, equals, value = first.partition("=")
    if not equals:
        name, value = "", first
    name, value = name.strip(" \t"), value.strip(" \t")
    attributes: dict[str, Union[str, bool]] = {}
    for part in rest[:_ATTRIBUTES]:
        key, equals, text = part.partition("=")
        key = key.strip(" \t").lower()
        if key:
            attributes[key] = text.strip(" \t") if equals else True
    return SetCookie(name, value, attributes, len(name) + len(value))


def observe(
    answer: Answer, cookie_name: str, passphrases: Sequence[str], cipher: str, marker: str, probe_cookie: str
) -> Observation:
    """Judge the ``answer`` to a probe that carried ``marker`` in the cookie value ``probe_cookie``. Never raises for
    anything in the answer; ValueError for an unknown cipher or a bad marker.

    ``accepted`` needs no decryption: a mac of a listed key (or of the empty one, which is known too) and exactly the
    length of a session with marker and expiry is True, exactly the length of a fresh session False, any other None.
    An unencrypted answer without the marker is False. What an unlisted key sealed is no evidence: None. All that is true of
    a probe location's own answer only: an application's session may have any length, so whoever asks looks at ``identity``.
    """
    _check_marker(marker)
    cookies = [parse_set_cookie(text) for name, text in answer.headers if name.lower() == "set-cookie"]
    cookie = next((found for found in reversed(cookies) if found.name == cookie_name), None)
    date = next((_parse_date(text) for name, text in answer.headers if name.lower() == "date"), None)
    who = answered_by(answer)
    if cookie is None:
        others = tuple(found.name for found in cookies[:_COOKIES] if _how_sealed(found.value, passphrases)[0] == "key")
        return Observation(answer.status, None, "none", None, None, None, date, others, who)

    if cookie.value and cookie.value == probe_cookie:
        sealed, index = "garbage", None
    else:
        sealed, index = _how_sealed(cookie.value, passphrases)
    accepted: Optional[bool] = None
    if sealed in ("key", "empty_key"):
        accepted = _came_back(len(cookie.value), cipher, marker)
    elif sealed == "plain":
        accepted = None if parse_payload(cookie.value).pairs.get(MARKER) == marker else False
    return Observation(answer.status, cookie, sealed, index, accepted, _parse_max_age(cookie), date, (), who)


def gave_back(payload: str, marker: str) -> bool:
    """Whether a decrypted session holds the probe's marker."""
    return parse_payload(payload).pairs.get(MARKER) == marker


def _check_marker(marker: str) -> None:
    if not _MARKER.fullmatch(marker):
        raise ValueError("a marker has 1 to 64 characters of [A-Za-z0-9_-]")


def _how_sealed(value: str, passphrases: Sequence[str]) -> tuple[str, Optional[int]]:
    if not value:
        return "none", None
    try:
        index = sealed_by(value, passphrases)
        if index >= 0:
            return ("key", index) if passphrases[index] else ("empty_key", None)
        return ("empty_key" if sealed_by(value, [""]) == 0 else "unlisted_key"), None
    except CookieError as error:
        return ("plain" if error.reason == "plain_text" else "garbage"), None


def _came_back(length: int, cipher: str, marker: str) -> Optional[bool]:
    """Whether a cookie of ``length`` characters holds marker and expiry (True), an expiry alone (False), or neither."""
    fresh = {sealed_length(len("expiry=") + digits, cipher) for digits in _EXPIRY_DIGITS}
    if length in fresh:
        return False
    before = len("%s=%s&expiry=" % (MARKER, marker))
    return True if length in {sealed_length(before + digits, cipher) for digits in _EXPIRY_DIGITS} else None


def _parse_max_age(cookie: SetCookie) -> Optional[int]:
    text = cookie.attributes.get("max-age")
    return int(text) if isinstance(text, str) and _SECONDS.fullmatch(text) else None


def _parse_date(text: str) -> Optional[int]:
    """An HTTP date (RFC 9110, section 5.6.7, the one form that may be sent), or None."""
    found = _DATE.fullmatch(text.strip())
    if not found or found.group(2) not in _MONTHS:
        return None
    day, _name, year, hour, minute, second = found.groups()
    month = _MONTHS.index(found.group(2)) + 1
    if int(year) < 1970 or not 1 <= int(day) <= calendar.monthrange(int(year), month)[1] or int(hour) > 23:
        return None
    return calendar.timegm((int(year), month, int(day), int(hour), int(minute), int(second))) * 1000000
