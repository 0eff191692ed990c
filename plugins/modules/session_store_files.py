#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node side of session_store_files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_store_files
short_description: Have on a node what deletes expired rows from the database of sessions
version_added: 0.1.0
description:
  - Writes the script, its SQL and the client's settings, with the database's password, to C(/etc/mod-session-store). Each file is
    swapped in whole.
  - The password goes to the node through a pipe, and into no other file.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The names of files that change are in RV(changes); their contents are not shown.
author:
  - httpd_fleet maintainers (@httpd-fleet)
seealso:
  - module: httpd_fleet.mod_session.session_store_info
"""

EXAMPLES = r"""
- name: Files are in place
  httpd_fleet.mod_session.session_store_files:
    store: "{{ session_store }}"
"""

RETURN = r"""
changes:
  description: Paths that were changed.
  returned: success
  type: list
  elements: str
  sample: [/etc/mod-session-store/client.conf]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.node import Node
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import ARGUMENT, StoreOptionError, parse_store
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store_keeping import DIRECTORY, put_in_place


def main():
    """Read the arguments, write, report."""
    module = AnsibleModule(argument_spec={"store": ARGUMENT}, supports_check_mode=True)
    try:
        store = parse_store(module.params["store"])
    except StoreOptionError as error:
        module.fail_json(msg=str(error))
    try:
        changes = put_in_place(Node(""), store, module.check_mode)
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename or DIRECTORY, error.strerror or error))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
