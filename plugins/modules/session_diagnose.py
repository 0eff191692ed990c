#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node side of session_diagnose, and its documentation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_diagnose
short_description: Find out why sessions will not stay
version_added: 0.1.0
description:
  - Looks at a node and changes nothing. The error logs, the configuration as httpd sees it, the key file and the other files
    that a deploy makes, what the running server does with them, and the machine (disks, clock, packages).
  - Each finding has a code, how grave it is, what was seen and where, what to do, and where the documentation speaks of it. They
    are ranked, so that the first one is likeliest the root of the others. The node says the code and what was seen; all other
    words, the rank and the node's name come from the controller.
  - With O(step=judge), the findings of all nodes and the report of a check are joined on the controller, see the playbook
    C(httpd_fleet.mod_session.diagnose).
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.reads
  - httpd_fleet.mod_session.attributes.group
  - httpd_fleet.mod_session.ring_store
  - httpd_fleet.mod_session.store
options:
  step:
    description: V(look) examines this node. V(judge) runs on the controller and needs O(report); it joins what was registered
      as C(session_diagnose_looked) on each node.
    type: str
    choices: [look, judge]
    default: look
  passphrases:
    description: The passphrases that the node should have; see M(httpd_fleet.mod_session.session_apply). Or give O(ring_store).
    type: list
    elements: str
  ring:
    description: The ring that O(passphrases) are from. O(ring_store) fills it in.
    type: dict
    suboptions:
      id: {description: The ring's id., type: str, required: true}
      generation: {description: The generation of the ring in which its keys changed last., type: int, required: true}
  allow_weak:
    description: Accept weak passphrases; see M(httpd_fleet.mod_session.session_apply).
    type: bool
    default: false
  scopes:
    description: The scopes, as described for the role P(httpd_fleet.mod_session.session_config#role).
    type: list
    elements: dict
    required: true
  hours:
    description: How far back the error logs are read, hours, from 1 to 8760.
    type: int
    default: 24
  group:
    description: The inventory group that is the fleet, for O(step=judge).
    type: str
    default: session_fleet
  report:
    description: The report of M(httpd_fleet.mod_session.session_check), for O(step=judge).
    type: dict
  report_dir:
    description: Directory on the controller for C(diagnosis.json) and C(diagnosis.html), for O(step=judge).
    type: path
  apart:
    description:
      - What the scopes have that may be secret, their C(directives) and C(reach), and so is kept out of the node's log. The
        controller fills this in; do not set it.
    type: str
    default: ""
  probes:
    description: Cookies sealed under each passphrase, one entry for each scope. The controller fills this in; do not set it.
    type: list
    elements: dict
    default: []
    suboptions:
      scope: {description: Name of the scope., type: str, required: true}
      marker: {description: What a server that opens one of the cookies gives back., type: str, required: true}
      identity: {description: What this node's probe locations answer with., type: str, required: true}
      cookies: {description: One cookie for each passphrase., type: list, elements: str, required: true}
author:
  - httpd_fleet maintainers (@httpd-fleet)
"""

EXAMPLES = r"""
- name: This node is examined
  httpd_fleet.mod_session.session_diagnose:
    passphrases: "{{ session_keys_passphrases }}"
    scopes: "{{ session_config_scopes }}"
    hours: 6
  register: session_diagnose_looked
"""

RETURN = r"""
findings:
  description: What was found here, with O(step=look), ranked.
  returned: O(step=look)
  type: list
  elements: dict
  contains:
    code: {description: Names the finding; it does not change from version to version., type: str, sample: key_not_loaded}
    severity: {description: "V(fail), V(unknown), V(warn) or V(info).", type: str}
    node: {description: The node., type: str}
    scope: {description: The scope; empty for the node as a whole., type: str}
    title: {description: What it is called., type: str}
    evidence: {description: "What was seen, and where.", type: str}
    remedy: {description: What to do., type: str}
    doc: {description: Where the documentation speaks of it., type: str}
log:
  description: What the error logs had in the time asked for, one entry for each code.
  returned: O(step=look)
  type: list
  elements: dict
  contains:
    code: {description: httpd's code., type: str, sample: AH01842}
    count: {description: How many lines., type: int}
    first: {description: "The first one's time, seconds since the epoch.", type: int}
    last: {description: "The last one's time, seconds since the epoch.", type: int}
    per_hour: {description: "How many in each hour, by the hour's start in seconds since the epoch.", type: dict}
    example: {description: "One line, without what is secret.", type: str}
status:
  description: V(healthy), V(warned), V(failed) or V(unknown).
  returned: O(step=judge)
  type: str
causes:
  description: What ends sessions, the likeliest root first, each once with all its nodes.
  returned: O(step=judge)
  type: list
  elements: dict
reports:
  description: Files that were written.
  returned: O(step=judge)
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.apply import Wish
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.diagnosis import rank
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.examine import examine
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.layout import layout_for, parse_os_release
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.live import ScopeProbe
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.node import Node
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.passphrases import PassphraseError, validate
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes, with_secrets
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.store import ARGUMENT, StoreOptionError, store_for


def main():
    """Read the arguments, look, report."""
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["look", "judge"], "default": "look"},
            "passphrases": {"type": "list", "elements": "str", "no_log": True},
            "ring_store": {"type": "dict"},  # read on the controller
            "ring": {"type": "dict", "options": {"id": {"type": "str", "required": True},
                                                 "generation": {"type": "int", "required": True}}},
            "allow_weak": {"type": "bool", "default": False},
            "scopes": {"type": "list", "elements": "dict", "required": True},
            "apart": {"type": "str", "default": "", "no_log": True},
            "store": ARGUMENT,
            "hours": {"type": "int", "default": 24},
            "group": {"type": "str", "default": "session_fleet"},
            "report": {"type": "dict"},
            "report_dir": {"type": "path"},
            "probes": {"type": "list", "elements": "dict", "default": [], "options": {
                "scope": {"type": "str", "required": True},
                "marker": {"type": "str", "required": True},
                "identity": {"type": "str", "required": True},
                "cookies": {"type": "list", "elements": "str", "required": True, "no_log": True}}},
        },
        supports_check_mode=True,
    )
    try:
        passphrases = tuple(validate(module.params["passphrases"], module.params["allow_weak"])[0])
        ring = (module.params["ring"]["id"], module.params["ring"]["generation"]) if module.params["ring"] else None
        scopes = parse_scopes(with_secrets(module.params["scopes"], module.params["apart"]))
        sealed = {row["scope"]: row for row in module.params["probes"]}
        probes = tuple(ScopeProbe(scope, sealed[scope.name]["marker"], tuple(sealed[scope.name]["cookies"]),
                                  sealed[scope.name]["identity"])
                       for scope in scopes)
        store = store_for(module.params["store"], scopes)
    except (PassphraseError, ScopeError, StoreOptionError) as error:
        module.fail_json(msg=str(error))
    except KeyError as error:
        module.fail_json(msg="no sealed probes for scope %s: run this through its action plugin" % error)
    with open("/etc/os-release", encoding="utf-8") as handle:
        layout = layout_for(parse_os_release(handle.read()))
    if layout is None:
        module.fail_json(msg="this distribution is not supported; run session_preflight for details")
    wish = Wish(layout, passphrases, probes, ring=ring, store=store)
    symptoms, log = examine(Node(layout.service), wish, int(time.time()), module.params["hours"] * 3600)
    module.exit_json(changed=False, log=log, findings=[
        {"code": one.code, "scope": one.scope, "evidence": one.evidence} for one in rank(symptoms)])


if __name__ == "__main__":
    main()
