# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks of this collection found out of the fleet, for keywords of plays and for tasks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: session_fleet
author:
  - httpd_fleet maintainers (@httpd-fleet)
short_description: What is known of the fleet
version_added: 0.1.0
description:
  - One value of what M(httpd_fleet.mod_session.session_fleet) has found in this run.
  - Where Ansible only lists or checks a playbook, C(--list-hosts) or C(--syntax-check), nothing was found yet. Then it is the
    extra variable of that name, or the default.
options:
  _terms:
    description: One name, such as C(group), C(hosts), C(strategy) or C(session_serial).
    type: list
    elements: str
    required: true
seealso:
  - module: httpd_fleet.mod_session.session_fleet
"""

EXAMPLES = r"""
- name: Fleet is counted
  ansible.builtin.debug:
    msg: "{{ groups[lookup('httpd_fleet.mod_session.session_fleet', 'group')] | length }} nodes"
"""

RETURN = r"""
_raw:
  description: The value.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils import fleet

FACT = "_session_fleet"
"""Where the playbooks keep it, on localhost."""


class LookupModule(LookupBase):
    """Reads the fact of this run."""

    def run(self, terms, variables=None, **_options):
        """The value for the one name."""
        variables = variables or {}
        if "hostvars" not in variables:
            group = self._templar.template(variables.get("session_fleet_group", fleet.DEFAULT_GROUP))
            listed = {"group": group, "hosts": group, "strategy": "linear", "session_debug_nodes": [group], **fleet.SERIALS}
            return [listed[terms[0]]]
        found = variables["hostvars"]["localhost"].get(FACT)
        if not found:
            raise AnsibleError(
                "it is not known which hosts are the fleet: --start-at-task or --skip-tags has left out the first play of this "
                "playbook, which the others need. Run the playbook from its beginning"
            )
        return [found[terms[0]]]
