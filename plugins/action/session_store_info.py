# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what a database needs for sessions; options and results are documented in the module of the same name."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict

from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.layout import DEBIAN, REDHAT
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import (
    StoreOptionError,
    parse_store,
    schema,
)
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store_keeping import (
    CLIENT_PACKAGES,
    CLIENTS,
    by_hand,
)
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain

ARGUMENTS = {
    "store": {"type": "dict", "required": True, "no_log": True},
    "nodes": {"type": "int", "default": 1},
    "housekeeping": {"type": "bool", "default": False},
    "family": {"type": "str", "choices": ["debian", "redhat"], "default": "debian"},
}
# What sets the database up from the controller: Python modules, and what installs each.
NEEDED = {
    "postgresql": {
        "ansible_collections.community.postgresql": "ansible-galaxy collection install community.postgresql",
        "psycopg2": "pip install psycopg2-binary",
    },
    "mysql": {
        "ansible_collections.community.mysql": "ansible-galaxy collection install community.mysql",
        "pymysql": "pip install PyMySQL",
    },
    "sqlite": {},
}


def found(name):
    """Whether the controller has a Python module."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


class ActionModule(ActionBase):
    """Needs no connection and no file on any host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Check the settings; the password goes into no result."""
        result = super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        _checked, arguments = self.validate_argument_spec(ARGUMENTS)
        try:
            store = parse_store(arguments["store"], arguments["nodes"])
        except StoreOptionError as error:
            return dict(result, failed=True, msg=str(error))
        settings = {name: value for name, value in asdict(store).items() if name != "password"}
        missing = [command for name, command in NEEDED[store.driver].items() if not found(name)]
        result.update(changed=False, driver=store.driver, settings=settings, missing=missing,
                      schema=schema(store), sql=by_hand(store))
        if arguments["housekeeping"]:
            family = arguments["family"]
            layout = DEBIAN if family == "debian" else REDHAT
            result.update(client=CLIENTS[store.driver], package=CLIENT_PACKAGES[store.driver][family],
                          user=layout.user if store.driver == "sqlite" else "root")
        return result
