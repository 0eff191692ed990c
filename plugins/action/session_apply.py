# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_apply: checks the input and seals the probes, so that nodes need no AES."""

from __future__ import annotations

import os
import secrets

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.cookie import CIPHERS
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.probe import MARKER_LENGTH, seal_probe
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import StoreOptionError, store_for
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.keys import read_keys

MODULE = "httpd_fleet.mod_session.session_apply"


class ActionModule(ActionBase):
    """Runs the module of the same name on the node, with sealed probes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        """Check, seal, run on the node, add warnings."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        keys = read_keys(arguments, self._loader)
        arguments.pop("ring_store", None)
        arguments.update(passphrases=list(keys.passphrases))
        if keys.ring:
            arguments.update(ring={"id": keys.ring.id, "generation": keys.ring.changed_in}, allow_weak=True)
        try:
            scopes = parse_scopes(arguments.get("scopes"))
            if not boolean(arguments.get("only_keys", False), strict=False):
                store_for(arguments.get("store"), scopes)
        except (ScopeError, StoreOptionError) as error:
            raise AnsibleActionFail(str(error)) from error
        try:
            arguments["probes"] = [_seal(scope, keys.passphrases) for scope in scopes]
        except ImportError as error:
            raise AnsibleActionFail("the controller needs the Python library cryptography: pip install cryptography") from error
        result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        warnings = [*keys.warnings, *(text for scope in scopes for text in scope.warnings)]
        if warnings:
            result["warnings"] = warnings + list(result.get("warnings", []))
        return result


def _seal(scope, passphrases):
    """One sealed probe for each passphrase, all with one marker."""
    marker = secrets.token_hex(MARKER_LENGTH // 2)
    iv_bytes = CIPHERS[scope.cipher].iv_bytes
    cookies = [seal_probe(key, scope.cipher, marker, os.urandom(16), os.urandom(iv_bytes)) for key in passphrases]
    return {"scope": scope.name, "marker": marker, "cookies": cookies}
