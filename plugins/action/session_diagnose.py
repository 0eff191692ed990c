# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_diagnose: seals the probes for a node, and joins what all nodes told with a check."""

from __future__ import annotations

import json

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils import diagnosis
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes, without_secrets
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import StoreOptionError, store_for
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils import (
    diagnosis_html,
    diagnosis_text,
    report_files,
    report_text,
)
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.diagnosis_looked import looked
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.identities import read_identities
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.keys import read_keys
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.piped import Piped
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.seal import seal_probes

MODULE = "httpd_fleet.mod_session.session_diagnose"
LOOKED = "session_diagnose_looked"
"""Name that the results of the step look are registered under."""

HOURS = range(1, 8761)


class ActionModule(Piped, ActionBase):
    """Examine a node, or judge what was seen on all of them."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Take the step."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        if self._task.args.get("step", "look") == "judge":
            return self._judge(task_vars)
        return self._look(task_vars)

    def _look(self, task_vars):
        arguments = dict(self._task.args)
        keys = read_keys(arguments, self._loader)
        arguments.pop("ring_store", None)
        arguments.update(passphrases=list(keys.passphrases))
        if keys.ring:
            arguments.update(ring={"id": keys.ring.id, "generation": keys.ring.changed_in}, allow_weak=True)
        try:
            arguments["scopes"] = read_identities(arguments.get("scopes"))
            scopes = parse_scopes(arguments["scopes"])
            store_for(arguments.get("store"), scopes)
            hours = int(arguments.get("hours", 24))
        except (ScopeError, StoreOptionError) as error:
            raise AnsibleActionFail(str(error)) from error
        except ValueError:
            hours = 0
        if hours not in HOURS:
            raise AnsibleActionFail(f"hours: {arguments['hours']!r} is not a number of hours from 1 to {HOURS[-1]}")
        arguments["scopes"], arguments["apart"] = without_secrets(arguments["scopes"])
        arguments["probes"] = seal_probes(scopes, keys.passphrases, task_vars["inventory_hostname"])
        found = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        told = looked(found, task_vars["inventory_hostname"], {scope.name for scope in scopes})
        if "fault" in told:
            return {"failed": True, "msg": told["fault"]}
        return {"changed": False, **told}

    def _judge(self, task_vars):
        group = self._task.args.get("group", "session_fleet")
        nodes = list((task_vars.get("groups") or {}).get(group, ()))
        report = self._task.args.get("report")
        if not nodes or not isinstance(report, dict) or "findings" not in report:
            raise AnsibleActionFail("judge needs the report of session_check (return_report: true) and a group with hosts")
        names = {scope["name"] for scope in report["scopes"]}
        gathered = {}
        for node in nodes:
            found = task_vars["hostvars"].raw_get(node).get(LOOKED)
            if isinstance(found, dict):
                gathered[node] = looked(found, node, names, again=True)
        data = diagnosis.join(nodes, gathered, report)
        written = self._write(data)
        self._display.display(diagnosis_text.render(data), color=report_text.COLOURS[data["status"]])
        return {"changed": False, "status": data["status"], "msg": data["summary"], "causes": data["causes"], "reports": written}

    def _write(self, data):
        directory = self._task.args.get("report_dir")
        if not directory:
            return []
        files = {"diagnosis.json": json.dumps(data, indent=1) + "\n", "diagnosis.html": diagnosis_html.render(data)}
        try:
            return report_files.write(directory, files)
        except OSError as error:
            raise AnsibleActionFail(f"report_dir: {directory}: {error.strerror or error}") from error
