# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_preflight: checks the input, asks the node, then connects to its ports."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.http_client import connect
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes, without_secrets
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import StoreOptionError, store_for
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils import endpoints
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.identities import read_identities
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.keys import read_keys
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.piped import Piped

MODULE = "httpd_fleet.mod_session.session_preflight"
SECONDS = 5.0
"""How long the controller waits for a connection."""


class ActionModule(Piped, ActionBase):
    """Runs the module of the same name on the node, then sees for itself that its ports are reached."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Check, ask, connect."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        arguments = dict(self._task.args)
        read_keys(arguments, self._loader)
        try:
            scopes = parse_scopes(read_identities(arguments.get("scopes")))
            store = store_for(arguments.get("store"), scopes, int(arguments.get("nodes") or 1))
        except (ScopeError, StoreOptionError) as error:
            raise AnsibleActionFail(str(error)) from error
        wanted = boolean(arguments.get("reachable", True), strict=False)
        there = self._endpoint(arguments, scopes, task_vars, wanted)
        # Nothing that is secret goes to the node. It is piped all the same: where nothing can be, that is found here, first.
        for name in ("passphrases", "ring_store", "store", "address", "port"):
            arguments.pop(name, None)
        arguments["scopes"], _apart = without_secrets(arguments["scopes"])
        if store:
            arguments["store"] = {"driver": store.driver, "ca": store.ca}
        result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if result.get("failed") or not wanted or not result.get("httpd"):
            return result
        refusals = [text for text in (_refusal(there.address, port) for port in sorted(set(there.ports.values()))) if text]
        if refusals:
            result.update(failed=True, refusals=refusals,
                          msg="this node is not fit for sessions, nothing was changed: %s" % "; ".join(refusals))
        return result

    def _endpoint(self, arguments, scopes, task_vars, wanted):
        """Where the node is asked, judged before anything is done."""
        found = {name: self._templar.template(task_vars[name]) for name in endpoints.VARIABLES if name in task_vars}
        for name, option in (("session_check_address", "address"), ("session_check_port", "port")):
            if arguments.get(option):
                found[name] = arguments[option]
        try:
            return endpoints.read(task_vars["inventory_hostname"], found, scopes, local=not wanted)
        except endpoints.EndpointError as error:
            raise AnsibleActionFail(f"{task_vars['inventory_hostname']}: {error}. Nothing was changed") from None


def _refusal(address, port):
    """Why a port cannot be reached, as a sentence; empty when it can."""
    try:
        with connect(address, port, SECONDS):
            return ""
    except OSError as error:
        return ("port %d of %s cannot be reached from the controller (%s); open it in the firewall, set "
                "session_check_address and session_check_port, or session_check_via: node where only SSH reaches the nodes"
                % (port, address, error))
