# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_apply: checks the input and seals the probes, so that nodes need no AES."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes, without_secrets
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import StoreOptionError, store_for
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.identities import read_identities
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.keys import read_keys
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.piped import Piped
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.seal import seal_probes

MODULE = "httpd_fleet.mod_session.session_apply"


class ActionModule(Piped, ActionBase):
    """Runs the module of the same name on the node, with sealed probes."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        """Check, seal, run on the node, add warnings."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        arguments = dict(self._task.args)
        keys = read_keys(arguments, self._loader)
        arguments.pop("ring_store", None)
        arguments.update(passphrases=list(keys.passphrases))
        if keys.ring:
            arguments.update(ring={"id": keys.ring.id, "generation": keys.ring.changed_in}, allow_weak=True)
        try:
            arguments["scopes"] = read_identities(arguments.get("scopes"))
            scopes = parse_scopes(arguments["scopes"])
            if not boolean(arguments.get("only_keys", False), strict=False):
                store_for(arguments.get("store"), scopes)
        except (ScopeError, StoreOptionError) as error:
            raise AnsibleActionFail(str(error)) from error
        arguments["scopes"], arguments["apart"] = without_secrets(arguments["scopes"])
        arguments["probes"] = seal_probes(scopes, keys.passphrases, task_vars["inventory_hostname"])
        result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        warnings = [*keys.warnings, *(text for scope in scopes for text in scope.warnings)]
        if warnings:
            result["warnings"] = warnings + list(result.get("warnings", []))
        return result
