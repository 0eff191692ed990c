# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sessions end because a scope changes: what is live, read from the files rendered for it, beside what is wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import List, Sequence

from .scopes import Scope

_SECTION = re.compile(r'(?ms)^# (\S+)\n<Location "([^"]+)">\n(.*?)^</Location>')
_COOKIE = re.compile(r"(?m)^[ \t]*Session(DBD)?CookieName (\S+)[ \t]*(\S*)$")
_CIPHER = re.compile(r"(?m)^[ \t]*SessionCryptoCipher (\S+)$")

ALL_AT_ONCE = (
    "No setting keeps them: change it when few visitors are logged in, and on all nodes in one batch (-e session_serial=100%), "
    "for while nodes differ each ends the sessions of the others"
)
NEW_NAME = (
    "Browsers keep the old cookie beside the new one, and httpd takes neither of two that have one name: visitors stay locked "
    "out until the old one expires. Give the scope another cookie_name with this change"
)


@dataclass(frozen=True)
class Section:
    """A scope as it is live, as far as it matters to sessions; ``virtual_host`` is empty for the whole server."""

    name: str
    path: str
    virtual_host: str
    store: str
    cookie_name: str
    cookie_path: str
    cookie_domain: str
    secure: bool
    cipher: str


def sections(text: str, virtual_host: str) -> List[Section]:
    """The sections of a file that :func:`config.render` made for a virtual host, or for the whole server."""
    found = []
    for name, path, body in _SECTION.findall(text):
        cookie, cipher = _COOKIE.search(body), _CIPHER.search(body)
        if not cookie or not cipher:
            continue
        attributes = {part.partition("=")[0].lower(): part.partition("=")[2] for part in cookie.group(3).split(";")}
        found.append(Section(
            name=name, path=path, virtual_host=virtual_host, store="dbd" if cookie.group(1) else "cookie",
            cookie_name=cookie.group(2), cookie_path=attributes.get("path", ""),
            cookie_domain=attributes.get("domain", ""), secure="secure" in attributes, cipher=cipher.group(1)))
    return found


def endings(live: Sequence[Section], scopes: Sequence[Scope]) -> List[str]:
    """Sentences about sessions that end when these scopes replace what is live, each with the way around."""
    found = []
    by_name = {scope.name: scope for scope in scopes}
    by_place = {(scope.virtual_host, scope.path): scope for scope in scopes}
    for old in live:
        scope = by_name.get(old.name) or by_place.get((old.virtual_host, old.path))
        if scope is None:
            found.append("scope %s (%s%s) is no longer in session_config_scopes: its sessions end. Put it back if that is not "
                         "meant" % (old.name, old.virtual_host, old.path))
            continue
        found += _changed(old, scope)
    return found


def _changed(old: Section, scope: Scope) -> List[str]:
    found = []
    options = [one.name for one in fields(Section) if one.name != "name"]
    pairs = {name: (getattr(old, name), getattr(scope, name)) for name in options}
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    moved = "virtual_host" in differ or ("path" in differ and not _reaches(old, scope))
    ending = [name for name in differ
              if name in ("cipher", "store", "cookie_name") or (moved and name in ("virtual_host", "path"))]
    if "secure" in differ and scope.secure and scope.scheme == "http":
        ending.append("secure")
    if ending:
        found.append("scope %s: %s: the sessions that are alive end. %s" % (
            scope.name, ", ".join(_said(name, differ[name]) for name in ending), ALL_AT_ONCE))
    twice = [name for name in ("cookie_path", "cookie_domain") if name in differ]
    if twice and "cookie_name" not in differ and not moved:
        found.append("scope %s: %s: the sessions that are alive end. %s" % (
            scope.name, ", ".join(_said(name, differ[name]) for name in twice), NEW_NAME))
    return found


def _reaches(old: Section, scope: Scope) -> bool:
    """Whether browsers send the cookie that they have to the new path."""
    return old.cookie_path == "/" or (scope.path + "/").startswith(old.cookie_path.rstrip("/") + "/")


def _said(name: str, pair: Sequence[object]) -> str:
    def value(one: object) -> str:
        return str(one).lower() if isinstance(one, bool) else str(one) or "none"

    return "%s changes from %s to %s" % (name, value(pair[0]), value(pair[1]))
