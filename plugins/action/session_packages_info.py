# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_packages_info: what a node says is read without trust."""

from __future__ import annotations

import re

from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.node_result import harmless, texts

MODULE = "httpd_fleet.mod_session.session_packages_info"
_NAME = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,99}")


class ActionModule(ActionBase):
    """Runs the module of the same name."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Run it; fail where the answer is none of this module's."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        found = self._execute_module(module_name=MODULE, module_args=dict(self._task.args), task_vars=task_vars)
        result = harmless(found, "missing", "family", "service")
        if result.get("failed"):
            return result
        missing, family, service = (result.get(name) for name in ("missing", "family", "service"))
        names = texts(missing)
        if names != missing or not all(map(_NAME.fullmatch, names)) or family not in ("debian", "redhat") or not (
                isinstance(service, str) and _NAME.fullmatch(service)):
            text = "the node's answer is none of session_packages_info: look at the node by hand; nothing was changed"
            return {"failed": True, "msg": text}
        return result
