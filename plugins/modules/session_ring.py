#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action session_ring, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_ring
short_description: Change the ring of a fleet's keys, where a check of all nodes allows it
version_added: 0.1.0
description:
  - Loads the ring from its store, does one verb, and saves it, unless somebody else saved it meanwhile. Runs on the controller,
    whatever the host; use C(run_once). No node is touched. A deploy brings the ring to the nodes, and a check proves it.
  - A verb that needs evidence takes the report of a check that was made after the keys changed last. It is refused unless every
    node of the fleet agrees. The fleet is the inventory group and every node that the ring ever knew, whatever C(--limit) says;
    only a node declared absent is not waited for.
  - Every verb but V(revoke) can be repeated; RV(msg) says where nothing was to be done. An option that the verb does not take is
    refused. What the check saw is kept even where the verb is refused.
  - The playbooks C(httpd_fleet.mod_session.rotate), C(revoke) and C(ring) do all of this in the right order.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.group
  - httpd_fleet.mod_session.ring_store
options:
  ring_store:
    required: true
  verb:
    description:
      - V(status) shows the ring and what comes next, and changes nothing.
      - V(init) makes the ring, with O(passphrases) if given, else with a new key of 256 random bits.
      - V(stage) adds a key that decrypts only and will encrypt next.
      - V(promote) has the staged key encrypt. Every node must accept every key of the ring.
      - V(retire) takes out the keys whose last session has ended. Every node must encrypt with the primary.
      - V(advance) does the one of these that is due; see O(begin).
      - V(revoke) drops every key for a new one, each time. All sessions end.
      - V(absent) records that O(node) is not there and gets no traffic. While it is silent nothing waits for it.
      - V(present) lets a new node or one that was absent have traffic. It must have the whole ring.
      - V(forget) takes O(node), which has left the inventory, out of the fleet.
      - V(tell) records the max ages of O(scopes), which a deploy is about to bring to the nodes; with O(deployed), that it has.
    type: str
    choices: [status, init, stage, promote, retire, advance, revoke, absent, present, forget, tell]
    default: status
  group:
    description: The inventory group that is the fleet.
    type: str
    default: session_fleet
  scopes:
    description:
      - The scopes, as described for the role P(httpd_fleet.mod_session.session_config#role). Their max ages, and all that
        checks saw before, decide how long an old key must be accepted.
    type: list
    elements: dict
    default: []
  passphrases:
    description: For O(verb=init), the passphrases that the fleet already uses, so that nobody is logged out.
    type: list
    elements: str
  report:
    description: RV(httpd_fleet.mod_session.session_check#module:report) of a check with the same O(ring_store).
    type: dict
  begin:
    description:
      - For O(verb=advance), whether a rotation may begin. Never with V(no), at once with V(now), and with V(due) if the
        primary is weak or older than O(interval).
      - None begins while another is under way.
    type: str
    choices: ["no", due, now]
    default: "no"
  interval:
    description: Seconds after which a primary is due to be replaced, from 60 to 315360000 (ten years). 90 days by default.
    type: int
    default: 7776000
  drift:
    description:
      - Seconds that are added to the longest max age before a key is retired, for clocks that are set or drift between two
        checks. From 1 to 604800, and at least four times the difference that a check lets pass, see O(fail_drift).
    type: int
    default: 60
  drain:
    description:
      - Seconds that are added for workers of httpd that still answer a request after a reload replaced them, from 1 to 604800.
    type: int
    default: 300
  endless:
    description:
      - Where sessions without end (max age 0) once were, how many seconds one may be idle before its loss is accepted.
        Without it a key under which such sessions were made is never retired. From 1 to 315360000.
    type: int
  earlier_max_age:
    description:
      - For a ring that adopts passphrases, the longest max age that scopes had while these were in use, in seconds; V(0) for
        sessions without end. No check can see what was in force before. From 0 to 315360000.
      - Without it every run warns, as long as an adopted key is in the ring.
    type: int
  fail_drift:
    description: C(fail_drift) of the checks, to compare O(drift) with. Seconds from 0.001 to 3600. That of the check by default.
    type: float
  deployed:
    description:
      - For O(verb=tell), the nodes that serve O(scopes) and nothing else, because a deploy has ended there; V(all) for all of
        them. The max age of a scope that was taken out of the list counts until all nodes were told of.
      - The playbook C(deploy) does this. Do it by hand where the roles are used without it, or where it only reads the ring.
    type: list
    elements: str
    default: []
  key:
    description:
      - For O(verb=revoke), the id of the key that leaked. The one that encrypts by default. One that is revoked already is
        refused.
    type: str
    default: ''
  node:
    description: For V(absent), V(present) and V(forget), the name of the node.
    type: str
    default: ''
  reason:
    description: For V(absent), why; it is kept and shown. Said again with another reason, that one replaces it.
    type: str
    default: ''
  quiet:
    description: Do not print the ring to the terminal.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details: The verb is done and shown, and not saved.
  diff_mode:
    support: full
    details: Keys are shown by their ids, which say nothing about them.
requirements:
  - hvac (on the controller, for O(ring_store.kv))
author:
  - httpd_fleet maintainers (@httpd-fleet)
seealso:
  - module: httpd_fleet.mod_session.session_check
  - module: httpd_fleet.mod_session.session_apply
"""

EXAMPLES = r"""
- name: Ring is shown
  httpd_fleet.mod_session.session_ring:
    ring_store: "{{ session_ring_store }}"
  run_once: true

- name: Fleet is asked
  httpd_fleet.mod_session.session_check:
    ring_store: "{{ session_ring_store }}"
    scopes: "{{ session_config_scopes }}"
    fail: false
    return_report: true
  run_once: true
  register: fleet

- name: Staged key encrypts, if every node accepts it
  httpd_fleet.mod_session.session_ring:
    ring_store: "{{ session_ring_store }}"
    verb: promote
    report: "{{ fleet.report }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: What comes next, or why the verb was refused or had nothing to do, as a sentence.
  returned: always
  type: str
  sample: "Nothing was to be done: a key is staged already. Next: promote, now: key 0b8d2c44 is staged: ..."
did:
  description: What was done, as lines with ids of keys and the evidence.
  returned: always
  type: list
  elements: str
  sample: ["promote 5f0c9a7e1b2d 0b8d2c44aa10: 3/3 nodes accept it, checked at 2026-01-31T12:00:00Z"]
ring:
  description:
    - The ring without passphrases. C(id), C(generation), C(keys) with their states and times, C(nodes), C(absent), C(max_ages),
      C(steps) (what comes next and not before when), C(next) (the first of them as a sentence) and C(warnings).
  returned: when there is one
  type: dict
work:
  description: Whether something is due now.
  returned: always
  type: bool
unproven:
  description: Whether the nodes still have to be brought to the ring as it is, or a check has to prove that they are.
  returned: always
  type: bool
reason:
  description:
    - Why the verb was refused, as one word. V(no_ring), V(bad_key), V(other_ring), V(old_evidence), V(nodes), V(clock),
      V(not_yet), V(max_age_zero), V(nothing_staged), V(full), V(unknown_node), V(in_inventory), V(margins) or V(other_fleet).
  returned: when refused
  type: str
refused_by:
  description: The nodes in the way, each with what is wrong with it.
  returned: when refused
  type: dict
  sample: {"web2": "gave no answer"}
not_before:
  description: From when on the verb will be allowed, where only time is missing.
  returned: when refused
  type: str
  sample: "2026-01-31T13:06:00Z"
"""
