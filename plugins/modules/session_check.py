#!/usr/bin/python
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of session_check, and its node side: it sends ready-made requests and gives the answers back raw."""

from __future__ import annotations

DOCUMENTATION = r"""
module: session_check
short_description: Prove from outside what the running servers of a fleet do with sessions
version_added: 0.1.0
description:
  - Sends real cookies to every node and judges the answers. Which keys each node accepts and encrypts with, whether a
    session made on one node lives on another, whether rows made on one node are found on the others where a scope keeps its
    sessions in a database, how far the clocks are apart and with what certainty, and whether the
    cookie is sealed and has the attributes that are configured. Nothing on a node's disk counts as evidence.
  - One task asks the whole fleet from the controller, whatever host it runs for; use C(run_once). The nodes are those
    of the inventory group O(group). They do not depend on C(--limit), C(serial) or on hosts that cannot be reached; a
    node that is not asked or does not answer is a failure.
  - Where only SSH reaches the nodes, three tasks do the same through Ansible's connection, see O(step).
  - The task fails when any node fails or cannot be judged. It changes nothing, and runs in check mode too.
extends_documentation_fragment:
  - httpd_fleet.mod_session.attributes
  - httpd_fleet.mod_session.attributes.reads
  - httpd_fleet.mod_session.attributes.group
  - httpd_fleet.mod_session.ring_store
options:
  passphrases:
    description:
      - The passphrases that every node should have, in httpd's order; the first one encrypts. Or give O(ring_store), which
        answers O(key_info), O(revoked), O(ring) and O(absent) too.
    type: list
    elements: str
  key_info:
    description:
      - What is known of the keys, in the same order; only for the report. The revoked ones may follow.
      - Each entry may have C(id) (the key's name in reports, by default its fingerprint), C(state) (V(primary), V(staged)
        or V(secondary)) and C(created) (seconds since the epoch).
    type: list
    elements: dict
    default: []
  revoked:
    description: Passphrases that no node may accept any more.
    type: list
    elements: str
    default: []
  ring:
    description: C(id) and C(generation) of the ring that the keys are from; they are written into the report.
    type: dict
  allow_weak:
    description: Accept weak passphrases, for a fleet that already uses them. They are warned of.
    type: bool
    default: false
  scopes:
    description: The scopes, as described for the role P(httpd_fleet.mod_session.session_config#role).
    type: list
    elements: dict
    required: true
  group:
    description: The inventory group that is the fleet.
    type: str
    default: session_fleet
  absent:
    description: Nodes that may be silent. They are asked, and are judged when they answer.
    type: list
    elements: str
    default: []
  step:
    description:
      - V(all) asks from the controller and judges.
      - V(ask), for all hosts, sends the probes from each node to itself; register the result as C(session_check_asked).
      - V(carry), for all hosts, shows each node the sessions of others; register it as C(session_check_carried).
      - V(judge), once, judges what the two others registered.
    type: str
    choices: [all, ask, carry, judge]
    default: all
  ca:
    description:
      - File on the controller with the certificates to trust for scopes with C(scheme) V(https). The system's by
        default.
    type: path
  carry:
    description:
      - Which sessions are shown to which other nodes. V(ring), each node's to one other; V(matrix), each to all others;
        V(none). Of sessions in a database, with V(ring), those of two nodes to all.
    type: str
    choices: [ring, matrix, none]
    default: ring
  paths:
    description:
      - More paths that must share the session of their scope, so that no narrower section or C(.htaccess) cuts them
        off.
      - A path, which belongs to the scope with the longest path above it, or a dictionary of C(scope) and C(path).
      - Not in scopes whose sessions are in a database, where no answer would tell.
    type: list
    elements: raw
    default: []
  fallback:
    description:
      - By name of a scope, a path to ask at when no probe location answers. The place of the missing probe location by default.
      - What answers there is opened and may show a fault. It proves nothing, and no gate counts it.
    type: dict
    default: {}
  payload:
    description:
      - A session that must fit into the cookie. A number of bytes, or the form-encoded text itself. In scopes whose sessions
        are in a database it need not.
    type: raw
  canary:
    description:
      - A session that goes from check to check, to prove that none is lost by what is done between them; see docs/check.md.
      - For the first check C(make) with the value V(true), for each later one RV(canary) of the check before. None by default.
      - It holds cookies alive, so use C(no_log).
    type: dict
    default: {}
  warn_drift:
    description: Seconds between two clocks that are warned of, from 0.001 to 3600, and at most what fails. 1 by default.
    type: float
  fail_drift:
    description:
      - Seconds between two clocks that fail, from 0.001 to 3600. 5 by default, or 1 % of the shortest max age if that is less.
    type: float
  timeout:
    description:
      - Seconds that one request may take in all, from resolving the node's name to the end of the answer's headers; from 0.01 to
        600.
    type: float
    default: 10
  concurrency:
    description: Nodes asked at the same time, from 1 to 10000.
    type: int
    default: 64
  report_dir:
    description:
      - Directory on the controller for report.json, report.html and mod_session.prom; made if missing. None by default.
    type: path
  fail:
    description: Fail the task when a node fails or cannot be judged. Else only RV(status) and RV(passed) say so.
    type: bool
    default: true
  return_report:
    description: Return the whole report, as described in docs/report.md.
    type: bool
    default: false
  quiet:
    description: Do not print the report to the terminal.
    type: bool
    default: false
  requests:
    description:
      - What a node is to send, as JSON, with cookies that servers accept. The controller fills this in; do not set it.
    type: str
    default: "{}"
requirements:
  - cryptography (on the controller)
  - Python 3.9 or later on the nodes for the steps V(ask) and V(carry), nothing else
notes:
  - A node's address is its C(session_check_address), else C(ansible_host), else its name. C(session_check_port) is a
    port, or a dictionary of ports by name of a scope; the scope's own by default. With the steps for nodes, the address
    is C(session_check_node_address), else C(127.0.0.1).
author:
  - httpd_fleet maintainers (@httpd-fleet)
"""

EXAMPLES = r"""
- name: Fleet is proven
  httpd_fleet.mod_session.session_check:
    passphrases: "{{ session_keys_passphrases }}"
    scopes: "{{ session_config_scopes }}"
    report_dir: ./report
  run_once: true

- name: Fleet is looked at without failing the play
  httpd_fleet.mod_session.session_check:
    passphrases: "{{ session_keys_passphrases }}"
    scopes: "{{ session_config_scopes }}"
    carry: matrix
    fail: false
  run_once: true
  register: fleet
"""

RETURN = r"""
status:
  description: V(healthy), V(warned), V(failed) or V(unknown).
  returned: always
  type: str
passed:
  description: Whether nothing failed and nothing is unknown.
  returned: always
  type: bool
nodes:
  description: How many nodes the group has (C(total)), and how many of them are in which state.
  returned: always
  type: dict
keys:
  description:
    - For each passphrase C(number), C(fingerprint), C(state), how many nodes open it (C(opens)) and encrypt with it
      (C(encrypts)), whether all nodes do that are not declared absent (C(opened_by_all), C(encrypted_with_by_all)), and
      the names of those that do not (C(missing), C(not_encrypting)).
  returned: always
  type: list
  elements: dict
clock:
  description:
    - C(verdict) (V(ok), V(warn), V(drifted), V(unknown)), the limits, and the bounds of the spread in seconds.
  returned: always
  type: dict
findings:
  description: At most 100 of them, the gravest first, as described in docs/report.md.
  returned: always
  type: list
  elements: dict
findings_total:
  description: How many there are.
  returned: always
  type: int
report:
  description: The whole report.
  returned: when O(return_report=true)
  type: dict
canary:
  description: The canary for the next check; empty where none was asked for. It holds cookies alive, so use C(no_log).
  returned: always
  type: dict
reports:
  description: The files that were written.
  returned: always
  type: list
  elements: str
"""

import json
import ssl
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.check_options import ARGUMENT_SPEC
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.http_client import KEPT, NoAnswer, ask, load_identity


class SteadyClock:
    """Microseconds since the epoch that only count forward."""

    def __init__(self):
        self._base = time.time_ns() - time.monotonic_ns()

    def now(self):
        """The time."""
        return (self._base + time.monotonic_ns()) // 1000


def ask_all(sending, timeout, clock):
    """The answers to all requests, in their order; where one got none, nothing more is sent the same way.

    A fallback is only asked where no earlier answer of its scope came from a probe location or had a cookie.
    """
    answers, needless, broken, contexts = [], set(), {}, {}
    for request in sending["requests"]:
        scope = request["scope"]
        way = tuple(request[part] for part in ("address", "port", "tls", "host", "proxy_protocol"))
        if request["purpose"] == "fallback" and scope in needless:
            answers.append(None)
            continue
        if way not in broken:
            try:
                if request["tls"] and scope not in contexts:
                    contexts[scope] = context_for(sending["authority"], sending["identities"].get(scope))
                answer = ask_one(request, contexts.get(scope), timeout, clock)
            except NoAnswer as problem:
                broken[way] = {"fault": problem.kind, "detail": problem.detail}
        if way in broken:
            answers.append(broken[way])
            continue
        seen = any(name in ("set-cookie", "mod-session-probe") for name, _value in answer["headers"])
        if seen and request["purpose"] == "key":
            needless.add(scope)
        answers.append(answer)
    return answers


def context_for(authority, identity):
    """How servers are verified, and what certificate they are shown."""
    try:
        context = ssl.create_default_context(cadata=authority or None)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as on the controller, whatever the node's Python
        if identity:
            load_identity(context, *identity)
        return context
    except (OSError, ValueError) as error:
        raise NoAnswer("tls_handshake", "certificates cannot be loaded here: %s" % error) from None


def ask_one(request, tls, timeout, clock):
    """What is kept of the answer to one request."""
    text = request["text"].encode("latin-1")
    answer, large = ask(request["address"], request["port"], text, timeout, clock.now, tls, request["host"],
                        request["proxy_protocol"])
    headers = [[name.lower(), value] for name, value in answer.headers if name.lower() in KEPT]
    return {"status": answer.status, "headers": headers, "sent": answer.sent, "received": answer.received, "large": large}


def main():
    """Send, give back."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    if module.params["step"] not in ("ask", "carry"):
        module.fail_json(msg="this step runs on the controller: run it through its action plugin")
    answers = ask_all(json.loads(module.params["requests"]), module.params["timeout"], SteadyClock())
    module.exit_json(changed=False, answers=answers)


if __name__ == "__main__":
    main()
