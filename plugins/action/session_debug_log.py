# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_debug_log: what a node says is made harmless before it is shown or written to a file."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.node_result import harmless, texts

MODULE = "httpd_fleet.mod_session.session_debug_log"


class ActionModule(ActionBase):
    """Runs the module of the same name."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Run it; lines are a list of texts whatever the node sent."""
        super().run(tmp, task_vars)
        result = harmless(self._execute_module(module_name=MODULE, module_args=dict(self._task.args), task_vars=task_vars))
        if self._task.args.get("state") == "collected" and not result.get("failed"):
            result.update({name: texts(result.get(name)) for name in ("lines", "unread")})
        return result
