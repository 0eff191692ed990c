# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client certificates and their keys: read on the controller, once, so that a wrong one is refused before anything is asked."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any

from ..module_utils.http_client import load_identity, words_of
from ..module_utils.reach import IDENTITY, is_pem
from ..module_utils.scopes import ScopeError

LARGEST = 65536
"""Bytes of a file of certificates or of a key."""


def read_identities(raw: Any) -> Any:
    """A scope list as an operator gave it, with what their files hold in place of the files' names. Nothing else is checked.

    :raises ScopeError: a file that cannot be read, or a certificate and a key that cannot be used together.
    """
    if not isinstance(raw, (list, tuple)):
        return raw
    return [_read(scope) if isinstance(scope, Mapping) else scope for scope in raw]


def _read(scope: Mapping[str, Any]) -> dict[str, Any]:
    given = scope.get("reach")
    if not isinstance(given, Mapping) or not all(isinstance(given.get(option), str) and given[option] for option in IDENTITY):
        return dict(scope)
    name = str(scope.get("name"))
    texts = {option: _content(name, option, str(given[option])) for option in IDENTITY}
    try:
        load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), texts[IDENTITY[0]], texts[IDENTITY[1]])
    except (OSError, ValueError) as error:
        raise ScopeError(
            f"certificate and key cannot be used ({words_of(error)}); expected in PEM a certificate, with its chain, and the key "
            "that belongs to it, without a passphrase",
            name,
            "reach.client_key",
        ) from None
    return {**scope, "reach": {**given, **texts}}


def _content(scope: str, option: str, value: str) -> str:
    if is_pem(value):
        return value
    try:
        with open(os.path.expanduser(value), encoding="ascii") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise ScopeError(f"{value}: {error.strerror or error}", scope, f"reach.{option}") from None
    except UnicodeError:
        text = ""
    if not is_pem(text) or len(text) > LARGEST:
        raise ScopeError(f"{value} is no PEM file of at most {LARGEST // 1024} KiB", scope, f"reach.{option}")
    return text
