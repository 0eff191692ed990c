# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seals the probes that a node asks itself with: it takes AES, which nodes need not have."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from ansible.errors import AnsibleActionFail

from ..module_utils.cookie import CIPHERS
from ..module_utils.probe import MARKER_LENGTH, identity, seal_probe
from ..module_utils.scopes import Scope


def seal_probes(scopes: Sequence[Scope], passphrases: Sequence[str], node: str) -> list[dict[str, object]]:
    """For each scope one probe for each passphrase, all with one marker, as modules take them.

    ``node``: name in the inventory of the one that asks itself.

    :raises AnsibleActionFail: the library that it takes is not there.
    """
    try:
        return [_seal(scope, passphrases, node) for scope in scopes]
    except ImportError as error:
        raise AnsibleActionFail("the controller needs the Python library cryptography: pip install cryptography") from error


def _seal(scope: Scope, passphrases: Sequence[str], node: str) -> dict[str, object]:
    marker = secrets.token_hex(MARKER_LENGTH // 2)
    iv_bytes = CIPHERS[scope.cipher].iv_bytes
    cookies = [seal_probe(key, scope.cipher, marker, os.urandom(16), os.urandom(iv_bytes)) for key in passphrases]
    return {"scope": scope.name, "marker": marker, "identity": identity(node), "cookies": cookies}
