#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raises the log level of the session modules for a limited time, and collects their lines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_debug_log
short_description: Have httpd log its sessions at debug level for a limited time
version_added: 0.1.0
description:
  - Raises the level for the paths of the scopes, by one file beside the configuration, after a configtest, with a reload.
  - A timer of systemd turns it back after O(seconds), and a service at the next boot, even if nobody does.
  - The lines that are collected have no keys, cookie values, query strings or long words; they have addresses of clients.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: There is nothing to show.
options:
  state:
    description:
      - V(on) raises the level; where it is up already, the time begins anew.
      - V(collected) gives back the lines of the last O(seconds) and changes nothing.
      - V(off) turns it back.
    type: str
    choices: ["on", collected, "off"]
    required: true
  scopes:
    description: The scopes, as described for the role P(httpd_fleet.mod_session.session_config#role).
    type: list
    elements: dict
    required: true
  seconds:
    description: How long, seconds, from 10 to 86400.
    type: int
    default: 300
author:
  - httpd_fleet maintainers (@httpd-fleet)
"""

EXAMPLES = r"""
- name: Sessions are logged at debug level for ten minutes
  httpd_fleet.mod_session.session_debug_log:
    state: "on"
    scopes: "{{ session_config_scopes }}"
    seconds: 600
"""

RETURN = r"""
lines:
  description: The newest lines of the session modules, at most 5000.
  returned: O(state=collected)
  type: list
  elements: str
unread:
  description: Sentences about logs that could not be read.
  returned: O(state=collected)
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.apply import LOCK, LOCK_SECONDS
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.debug_log import (
    MOST_LINES,
    Collector,
    DebugError,
    is_on,
    turn_off,
    turn_on,
)
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.examine import (
    LOG_BYTES,
    LOG_SECONDS,
    where_logs_are,
    zone_of,
)
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.layout import layout_for, parse_os_release
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.log_reader import local_time, read_logs
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.node import LockTimeout, Node
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes


def main():
    """Read the arguments, do one thing, report."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["on", "collected", "off"], "required": True},
            "scopes": {"type": "list", "elements": "dict", "required": True},
            "seconds": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    state, seconds = module.params["state"], module.params["seconds"]
    if not 10 <= seconds <= 86400:
        module.fail_json(msg="seconds is %d; expected 10 to 86400. Nothing was changed" % seconds)
    try:
        scopes = parse_scopes(module.params["scopes"])
    except ScopeError as error:
        module.fail_json(msg=str(error))
    with open("/etc/os-release", encoding="utf-8") as handle:
        layout = layout_for(parse_os_release(handle.read()))
    if layout is None:
        module.fail_json(msg="this distribution is not supported; run session_preflight for details")
    node = Node(layout.service)
    if state == "collected":
        now = int(time.time())
        found = Collector(now - seconds, now)
        places, root = where_logs_are(node, layout)
        with local_time(zone_of(node, layout)):
            unread = read_logs(places, root, layout.service, found, now - seconds, LOG_BYTES, LOG_SECONDS)
        module.exit_json(changed=False, lines=found.lines[-MOST_LINES:], unread=[one.evidence for one in unread])
    changed = state == "on" or is_on(node, layout)
    if changed and not module.check_mode:
        try:
            with node.lock(LOCK, LOCK_SECONDS):
                turn_on(node, layout, scopes, seconds) if state == "on" else turn_off(node, layout)
        except DebugError as error:
            module.fail_json(msg=str(error))
        except LockTimeout:
            module.fail_json(msg="another run has been at work on this node for %d s; nothing was changed" % LOCK_SECONDS)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
