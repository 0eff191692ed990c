#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node side of session_preflight."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_preflight
short_description: Say whether a node is fit for sessions, before anything is changed
version_added: 0.1.0
description:
  - Reads only, and is given nothing that is secret. Each refusal is a sentence with what was found and what is needed.
  - Checks the distribution, root, the Linux kernel, entropy, systemd, and where httpd is installed its version, the security
    fixes of its session modules (by the package's changelog where the distribution backports), and that the scopes' ports are
    listening.
  - Where httpd is not installed yet, another program that holds port 80 or a scope's port is refused by its name; where httpd is
    installed, another httpd that holds a scope's port (Bitnami's, cPanel's, one built by hand).
  - From the controller it then connects to those ports, unless O(reachable=false).
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.reads
  - httpd_fleet.mod_session.attributes.group
  - httpd_fleet.mod_session.ring_store
  - httpd_fleet.mod_session.store
options:
  passphrases:
    description:
      - The passphrases, checked on the controller only; see M(httpd_fleet.mod_session.session_apply). Or give O(ring_store).
    type: list
    elements: str
  allow_weak:
    description: Accept weak passphrases; see M(httpd_fleet.mod_session.session_apply).
    type: bool
    default: false
  scopes:
    description: The scopes, as described for the role P(httpd_fleet.mod_session.session_config#role).
    type: list
    elements: dict
    required: true
  nodes:
    description: How many nodes the fleet has. SQLite is refused for more than one.
    type: int
    default: 1
  reachable:
    description: Connect from the controller to the node's ports too. Set it to V(false) where only SSH reaches the nodes.
    type: bool
    default: true
  address:
    description: Address to connect to; the inventory's address of the node by default.
    type: str
    default: ""
  port:
    description:
      - Port to connect to instead of each scope's own, where the controller reaches it by another one; or a dictionary of ports
        by name of a scope.
    type: raw
author:
  - httpd_fleet maintainers (@httpd-fleet)
"""

EXAMPLES = r"""
- name: Node is fit for sessions
  httpd_fleet.mod_session.session_preflight:
    passphrases: "{{ session_keys_passphrases }}"
    scopes: "{{ session_config_scopes }}"
"""

RETURN = r"""
httpd:
  description: Version of the installed httpd; empty where there is none.
  returned: always
  type: str
  sample: 2.4.62
missing:
  description: Names of packages for sessions that the node lacks, as M(httpd_fleet.mod_session.session_packages_info) says.
  returned: success
  type: list
  elements: str
  sample: [apache2]
refusals:
  description: Why the node is not fit.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.layout import DEBIAN, layout_for, parse_os_release
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.node import Node, read_text
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.packages import missing
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.preflight import CVES, Facts, judge
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import ARGUMENT


def main():
    """Gather, judge, report."""
    module = AnsibleModule(
        argument_spec={
            "passphrases": {"type": "list", "elements": "str", "no_log": True},
            "ring_store": {"type": "dict"},
            "allow_weak": {"type": "bool", "default": False},
            "scopes": {"type": "list", "elements": "dict", "required": True},
            "store": ARGUMENT,
            "nodes": {"type": "int", "default": 1},
            "reachable": {"type": "bool", "default": True},
            "address": {"type": "str", "default": ""},
            "port": {"type": "raw"},
        },
        supports_check_mode=True,
    )
    try:
        scopes = parse_scopes(module.params["scopes"])
    except ScopeError as error:
        module.fail_json(msg=str(error))
    store = module.params["store"] or {}  # checked on the controller, and here without its password
    os_release = parse_os_release(read_text("/etc/os-release", 1 << 16))
    layout = layout_for(os_release) or DEBIAN
    node = Node(layout.service)
    version = node.version_of(layout.binary)
    old = any(version < since for _name, since, _meaning in CVES) if version else False
    text = node.changelog(layout) if old else ""
    facts = Facts(
        os_release=os_release,
        kernel=os.uname().release,
        uid=os.geteuid(),
        httpd=version,
        fixed=tuple(name for name, _since, _meaning in CVES if name in text),
        listening=tuple(node.listeners()),
        entropy=node.entropy_ready(),
        systemd=os.path.isdir("/run/systemd/system"),
        holders=node.holders(),
        binary=node.service_program(layout.binary),
    )
    refusals, warnings = judge(facts, scopes)
    if store.get("ca") and not node.is_file(store["ca"]):
        refusals.append("session_store ca: there is no file %s here; needed is one with the certificate of the authority that "
                        "signed the database's" % store["ca"])
    for text in warnings:
        module.warn(text)
    result = {"httpd": ".".join(map(str, version)), "refusals": refusals}
    if refusals:
        module.fail_json(msg="this node is not fit for sessions, nothing was changed: %s" % "; ".join(refusals), **result)
    module.exit_json(changed=False, missing=missing(node, layout, store.get("driver") or ""), **result)


if __name__ == "__main__":
    main()
