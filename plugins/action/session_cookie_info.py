# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explains a cookie on the controller; options and results are documented in the module of the same name."""

from __future__ import annotations

import time

from ansible.errors import AnsibleError
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.cookie import CIPHERS
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.explain import explain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.keys import read_keys

ARGUMENTS = {
    "cookie": {"type": "str", "required": True},
    "passphrases": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "ring_store": {"type": "dict"},
    "cipher": {"type": "str", "choices": list(CIPHERS), "default": "aes256"},
    "show_values": {"type": "bool", "default": False},
    "max_age": {"type": "int", "default": 0},
}


class ActionModule(ActionBase):
    """Needs no connection and no file on any host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Check the arguments, explain, and see to it that no passphrase leaves."""
        result = super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        given = self._task.args.get("passphrases") or []
        if self._task.args.get("ring_store"):
            self._task.args["passphrases"] = given = list(read_keys(self._task.args, self._loader).passphrases)
        # A string would be split at its commas, and Ansible's message about a wrong element would show it.
        if not isinstance(given, (list, tuple)) or any(isinstance(one, (dict, list, type(None))) for one in given):
            return dict(result, failed=True, msg="passphrases must be a list of strings")
        secrets = {str(one) for one in given if str(one)}
        try:
            _checked, arguments = self.validate_argument_spec(ARGUMENTS)
            found = explain(
                arguments["cookie"], arguments["passphrases"] or [], arguments["cipher"], time.time_ns() // 1000,
                arguments["show_values"], arguments["max_age"])
        except ImportError:
            text = "the controller needs the Python library cryptography: pip install cryptography"
            return dict(result, failed=True, msg=text)
        except AnsibleError as error:
            return dict(result, failed=True, msg=remove_values(str(error.message), secrets))
        keys = []
        for key in found.keys:
            keys.append({"name": key.name, "size": key.size})
            if key.value is not None:
                keys[-1]["value"] = remove_values(key.value, secrets)
        return dict(
            result, changed=False, opened_by=found.opened_by, keys=keys, expiry=found.expiry, expired=found.expired,
            age=found.age, size=found.size, reason=found.reason)
