# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a session cookie that a server sent, compared with its scope."""

from __future__ import annotations

from typing import List, Tuple

from .probe import SetCookie
from .scopes import Scope

Deviation = Tuple[str, str, str]
"""Option of the scope, what was seen, what was expected."""


def cookie_deviations(scope: Scope, cookie: SetCookie) -> List[Deviation]:
    """Attributes of the cookie that are not as the scope says; an empty list when all are.

    The value is not looked at. ``Max-Age`` is compared with ``max_age`` in seconds.
    """
    attributes = cookie.attributes
    wanted = (
        ("cookie_name", cookie.name, scope.cookie_name),
        ("max_age", attributes.get("max-age", ""), str(scope.max_age)),
        ("cookie_path", attributes.get("path", ""), scope.cookie_path),
        ("cookie_domain", str(attributes.get("domain", "")).lower().lstrip("."), scope.cookie_domain),
        ("same_site", str(attributes.get("samesite", "")).capitalize(), scope.same_site),
        ("http_only", str("httponly" in attributes).lower(), str(scope.http_only).lower()),
        ("secure", str("secure" in attributes).lower(), str(scope.secure).lower()),
    )
    return [(option, str(seen), expected) for option, seen, expected in wanted if str(seen) != expected]
