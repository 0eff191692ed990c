# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_store_files: checks the settings, and pipes them, for the password is among them."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import StoreOptionError, parse_store
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.piped import Piped

MODULE = "httpd_fleet.mod_session.session_store_files"


class ActionModule(Piped, ActionBase):
    """Runs the module of the same name on the node."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Check, run on the node."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        try:
            parse_store(self._task.args.get("store"))
        except StoreOptionError as error:
            raise AnsibleActionFail(str(error)) from error
        return self._execute_module(module_name=MODULE, module_args=dict(self._task.args), task_vars=task_vars)
