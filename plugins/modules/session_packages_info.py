#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages for sessions a node lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_packages_info
short_description: Say which packages for sessions a node lacks
version_added: 0.1.0
description:
  - Reads only. Looks for httpd, its session modules, and the OpenSSL driver of apr-util by its file. A package of the driver
    is named only where the file is missing and the release has such a package. With O(store_driver) also for apr-util's driver
    of that database.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.reads
options:
  store_driver:
    description: The kind of database that sessions are kept in; empty for none.
    type: str
    choices: ["", postgresql, mysql, sqlite]
    default: ""
author:
  - httpd_fleet maintainers (@httpd-fleet)
"""

EXAMPLES = r"""
- name: What is missing is known
  httpd_fleet.mod_session.session_packages_info:
  register: packages
"""

RETURN = r"""
missing:
  description: Names of packages to install, in this order.
  returned: success
  type: list
  elements: str
  sample: [apache2]
family:
  description: V(debian) or V(redhat).
  returned: success
  type: str
service:
  description: Name of httpd's service.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.layout import layout_for, parse_os_release
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.node import Node
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.packages import missing
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import HTTPD_DRIVERS


def main():
    """Look, report."""
    drivers = ["", *HTTPD_DRIVERS]
    module = AnsibleModule(argument_spec={"store_driver": {"type": "str", "choices": drivers, "default": ""}},
                           supports_check_mode=True)
    with open("/etc/os-release", encoding="utf-8") as handle:
        layout = layout_for(parse_os_release(handle.read()))
    if layout is None:
        module.fail_json(msg="this distribution is not supported; run session_preflight for details")
    lacking = missing(Node(layout.service), layout, module.params["store_driver"])
    module.exit_json(changed=False, missing=lacking, family=layout.family, service=layout.service)


if __name__ == "__main__":
    main()
