#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action session_store_info, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_store_info
short_description: Say what a database needs to keep sessions
version_added: 0.1.0
description:
  - Checks the settings of the database for sessions, and returns the SQL that makes its table and what deletes expired rows.
  - Runs on the controller, whatever the host. It asks no server and changes nothing.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.reads
options:
  store:
    description:
      - The database, as the inventory's C(session_store) has it. See docs/store.md.
    type: dict
    required: true
  nodes:
    description: How many nodes the fleet has; SQLite serves one only.
    type: int
    default: 1
  housekeeping:
    description: Return RV(client), RV(package) and RV(user) too.
    type: bool
    default: false
  family:
    description: Family of the node's system, for the name of RV(package) and RV(user).
    type: str
    choices: [debian, redhat]
    default: debian
author:
  - httpd_fleet maintainers (@httpd-fleet)
seealso:
  - module: httpd_fleet.mod_session.session_apply
  - module: httpd_fleet.mod_session.session_store_files
"""

EXAMPLES = r"""
- name: SQL for the owner of the database is known
  httpd_fleet.mod_session.session_store_info:
    store: "{{ session_store }}"
  register: settings

- name: SQL is shown
  ansible.builtin.debug:
    msg: "{{ settings.sql }}"
"""

RETURN = r"""
driver:
  description: V(postgresql), V(mysql) or V(sqlite).
  returned: success
  type: str
settings:
  description: The settings with their defaults, without the password.
  returned: success
  type: dict
schema:
  description: Statements that make the table and its index, where they are not there.
  returned: success
  type: list
  elements: str
sql:
  description: All that the owner of the database runs by hand, line by line, with a placeholder for the password.
  returned: success
  type: list
  elements: str
missing:
  description: What the controller lacks to set the database up by itself, as commands that install it.
  returned: success
  type: list
  elements: str
client:
  description: The database's client, a program of the node.
  returned: with O(housekeeping)
  type: str
package:
  description: Name of the package with that program.
  returned: with O(housekeeping)
  type: str
user:
  description: The user of the node as whom expired rows are deleted.
  returned: with O(housekeeping)
  type: str
"""
