# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out which hosts are the fleet, from the variables of all hosts. Documented in the module of the same name."""

from __future__ import annotations

from ansible import constants, context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import strategy_loader
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils import fleet

ARGUMENTS = {
    "reached": {"type": "bool", "default": True},
    "optional": {"type": "bool", "default": False},
}
PLAYBOOKS = "httpd_fleet.mod_session."
FOLDER = "/ansible_collections/httpd_fleet/mod_session/playbooks/"


class ActionModule(ActionBase):
    """Runs on the controller, for one host of the run, whichever it is."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Read the variables of all hosts, judge them, and say what plays need to know."""
        result = super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(ARGUMENTS)
        nobody = {"group": fleet.DEFAULT_GROUP, "hosts": "localhost", "strategy": "linear", **fleet.SERIALS}
        if not options["reached"]:
            if any(_is_ours(name) for name in context.CLIARGS.get("args") or ()):
                raise AnsibleActionFail(
                    "--tags or --skip-tags leave out every task of this playbook: its tasks have no tags. Run it without them"
                )
            return dict(result, changed=False, fleet=nobody)
        inventory = self._inventory(task_vars)
        try:
            group = fleet.find_group(inventory, options["optional"])
            if not group:
                return dict(result, changed=False, fleet=nobody)
            found = fleet.judge(inventory, group)
        except fleet.FleetError as error:
            raise AnsibleActionFail(f"{error}. Nothing was changed") from None
        names = {name for host in (*inventory.groups[group], task_vars["inventory_hostname"]) for name in inventory.said[host]}
        strange = fleet.unknown([*names, *task_vars])
        if strange:
            result["warnings"] = [f"no setting of httpd_fleet.mod_session, and not read: {fleet.some(strange)}"]
        return dict(result, changed=False, fleet={"group": group, "hosts": group, "strategy": strategy(), **found})

    def _inventory(self, task_vars):
        hostvars, here = task_vars["hostvars"], task_vars["inventory_hostname"]
        groups = {name: list(hosts) for name, hosts in task_vars["groups"].items()}
        said = {name: hostvars.raw_get(name) for name in dict.fromkeys([*groups["all"], here])}
        everywhere = {}
        for name in fleet.VARIABLES:
            if name in task_vars and not _same(task_vars[name], said[here].get(name)):
                everywhere[name] = self._templar.template(task_vars[name])

        def template(host, name):
            value = said[host][name]
            return hostvars[host][name] if "{{" in repr(value) or "{%" in repr(value) else value

        return fleet.Inventory(groups, list(task_vars["ansible_play_hosts_all"]), said, everywhere, template)


def _same(one, other):
    return one is other or (type(one) is type(other) and one == other)


def _is_ours(playbook):
    return playbook.startswith(PLAYBOOKS) or FOLDER in playbook


def strategy():
    """The strategy of the configuration where it goes task by task, as Ansible's and Mitogen's ``linear`` do; else such a one."""
    wanted = constants.DEFAULT_STRATEGY
    linear = strategy_loader.get("linear", class_only=True)
    for name in (wanted, "mitogen_linear" if wanted.startswith("mitogen") else "linear"):
        found = strategy_loader.get(name, class_only=True)
        if found is not None and issubclass(found, linear):
            return name
    return "linear"
