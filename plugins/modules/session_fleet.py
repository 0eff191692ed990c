#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action session_fleet, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_fleet
short_description: Say which hosts of the inventory are the fleet
version_added: 0.1.0
description:
  - Reads the variables of all hosts and says what the keywords of a play need to know, which see no variable of an inventory.
    The playbooks of this collection begin with it.
  - Fails where the inventory says two things. Hosts that name several groups; a group without hosts, or without any in this run;
    a setting of the whole fleet that differs between its nodes; batches that are none.
  - Warns of variables that begin with C(session_) and are none of this collection's.
  - Runs on the controller, whatever the host. It connects to no host and changes nothing.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.reads
options:
  reached:
    description: Whether C(--tags) and C(--skip-tags) let the tasks of the playbook run. Without it nothing is judged.
    type: bool
    default: true
  optional:
    description: Take an inventory that has no fleet; the hosts are C(localhost) then.
    type: bool
    default: false
author:
  - httpd_fleet maintainers (@httpd-fleet)
seealso:
  - plugin: httpd_fleet.mod_session.session_fleet
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Fleet is known
  httpd_fleet.mod_session.session_fleet:
  run_once: true
  register: found

- name: Fleet is shown
  ansible.builtin.debug:
    msg: "{{ groups[found.fleet.group] | length }} nodes"
  run_once: true
"""

RETURN = r"""
fleet:
  description:
    - C(group), the name of the group; C(hosts), the pattern for a play; C(strategy), one that goes task by task, which is the
      configured one where that does. Each setting that a play's keyword needs, such as C(session_serial), by its name.
  returned: success
  type: dict
"""
