# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_debug_log: what may be secret in the scopes is kept from the node's log, and what a node says is
made harmless before it is shown or written to a file."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes, without_secrets
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.node_result import harmless, texts
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.piped import Piped

MODULE = "httpd_fleet.mod_session.session_debug_log"


class ActionModule(Piped, ActionBase):
    """Runs the module of the same name."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Run it with where the scopes are, and no more; lines are a list of texts whatever the node sent."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        arguments = dict(self._task.args)
        try:
            parse_scopes(arguments.get("scopes"))
        except ScopeError as error:
            raise AnsibleActionFail(str(error)) from error
        arguments["scopes"], _apart = without_secrets(arguments["scopes"])
        found = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        result = harmless(found, "lines", "unread")
        if arguments.get("state") == "collected" and not result.get("failed"):
            result.update({name: texts(result.get(name)) for name in ("lines", "unread")})
        return result
