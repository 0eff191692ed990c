# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""session_ring: loads the ring, does one verb, saves it. Options and results are documented in the module of that name."""

from __future__ import annotations

import getpass
import secrets
import socket
import time
from functools import partial

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils import bounds, clock, ring_rotate, ring_verbs
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.passphrases import GENERATED_BYTES
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.ring import Margins, Refusal, Ring, Stamp, saved
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.ring_evidence import EvidenceError, from_report
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.ring_options import ARGUMENT_SPEC
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.ring_status import lines, public, warnings
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils import ring_text
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.ring_store import Conflict, StoreError, open_store

TRIES = 20
"""Times that V(tell) is tried where others save meanwhile: slices of a deploy end at the same time."""

WITH_EVIDENCE = ("promote", "retire", "advance", "present")
NEEDS_NODE = ("absent", "present", "forget")
TAKES = {"node": NEEDS_NODE, "reason": ("absent",), "key": ("revoke",), "deployed": ("tell",)}
"""The verbs that take an option which others would ignore; V(status) shows the ring whatever is given."""

DONE_BEFORE = {
    "init": "the ring is there already",
    "stage": "a key is staged already",
    "promote": "the key that was staged encrypts already",
    "retire": "there is no old key",
    "absent": "the node is declared absent already",
    "present": "the node has the whole ring, and no gate does without it",
    "forget": "the node was forgotten before",
}
"""Why a verb that was asked for had nothing to do."""


class ActionModule(ActionBase):
    """Runs on the controller, whatever the host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Load, one verb, save; a refusal changes no key, but what the check saw is kept."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        try:
            checked = ArgumentSpecValidator(ARGUMENT_SPEC).validate(bounds.read_all(bounds.RING, self._task.args))
        except bounds.BoundError as error:
            raise AnsibleActionFail(str(error)) from error
        if checked.error_messages:
            raise AnsibleActionFail("; ".join(checked.error_messages))
        self._options = options = checked.validated_parameters
        if options["verb"] in NEEDS_NODE and not options["node"]:
            raise AnsibleActionFail(f"{options['verb']}: say which node: -e session_ring_node=NAME")
        for option, verbs in TAKES.items():
            if options[option] and options["verb"] not in (*verbs, "status"):
                raise AnsibleActionFail(
                    f"{options['verb']} takes no {option}, but {options[option]!r} was given; only {', '.join(verbs)} does"
                )
        self._nodes = list((task_vars.get("groups") or {}).get(options["group"], ()))
        if not self._nodes and options["verb"] != "status":
            raise AnsibleActionFail(
                f"the inventory has no host in the group {options['group']!r}: a ring is that of a fleet. "
                "Name the group in session_fleet_group"
            )
        self._stamp = Stamp(int(time.time()), f"{getpass.getuser()}@{socket.gethostname()}")
        try:
            self._read_margins()
            store = open_store(options["ring_store"], self._loader)
            for left in reversed(range(TRIES if options["verb"] == "tell" else 1)):
                try:
                    return self._once(store)
                except Conflict:
                    if not left:
                        raise
        except (StoreError, ScopeError, EvidenceError, bounds.BoundError) as error:
            raise AnsibleActionFail(str(error)) from error
        raise AssertionError("unreachable")

    def _once(self, store):
        """Load, one verb, save."""
        old, version = store.load()
        new, refusal = old, None
        try:
            new = self._learn(old)
            new = self._verb(new, store.where)
        except Refusal as error:
            refusal = error
        changed = new is not None and new != old
        if changed:
            new = saved(old, new)
            if not self._task.check_mode:
                store.save(new, version)
        return self._result(old, new, changed, refusal)

    def _read_margins(self):
        """The margins are safe with the difference of clocks that a check of these scopes lets pass."""
        options = self._options
        self._margins = Margins(options["drift"], options["drain"], options["endless"])
        shortest = min((scope.max_age for scope in parse_scopes(options["scopes"])), default=bounds.DAY)
        limit = clock.limits(shortest, None, options["fail_drift"] and round(options["fail_drift"] * clock.SECOND)).fail
        wrong = self._margins.problem(limit / clock.SECOND)
        if wrong:
            raise bounds.BoundError(wrong)

    def _learn(self, ring):
        """What the check saw counts, also where the verb is refused; the max ages that are wished for count too."""
        options = self._options
        if options["verb"] == "status" or ring is None:
            return ring
        if options["earlier_max_age"] is not None:
            ring = ring_verbs.earlier(ring, options["earlier_max_age"])
        ages = [scope.max_age for scope in parse_scopes(options["scopes"])]
        if ages:
            deployed = self._deployed(ring)
            ring = ring_verbs.brought(ring, ages, deployed) if deployed else ring_verbs.bring(ring, ages)
        if options["verb"] in WITH_EVIDENCE:
            if not options["report"]:
                raise EvidenceError(f"{options['verb']} needs the report of a check; use the playbooks ring or rotate")
            self._evidence = from_report(options["report"])
            ring = ring_verbs.observe(ring, self._stamp, self._evidence)
            lost = _canary_lost_on(options["report"])
            if lost:
                sentence = f"the canary session was lost on {', '.join(lost)}: nothing is changed. See the check's findings"
                raise Refusal("nodes", sentence)
        return ring

    def _deployed(self, ring):
        """The nodes of which a deploy, or an operator, says that they serve the scopes as they are."""
        known = {*ring.nodes, *self._nodes}
        if self._options["deployed"] == ["all"]:
            return sorted(known)
        unknown = sorted(set(self._options["deployed"]) - known)
        if unknown:
            names = " ".join(sorted(known))
            raise Refusal("unknown_node", f"no node {unknown[0]} is known to the ring or the inventory, which know {names}")
        return self._options["deployed"]

    def _verb(self, ring, where):
        options, stamp = self._options, self._stamp
        verb = options["verb"]
        if verb == "init":
            return ring or self._init()
        if ring is None:
            raise Refusal(
                "no_ring",
                f"there is no ring yet at {where}: make one with ansible-playbook httpd_fleet.mod_session.ring "
                "-e session_ring_verb=init",
            )
        return {
            "status": lambda: ring,
            "tell": lambda: ring,
            "stage": lambda: ring_verbs.stage(ring, stamp, _draw),
            "promote": lambda: ring_verbs.promote(ring, stamp, self._evidence),
            "retire": lambda: ring_verbs.retire(ring, stamp, self._evidence, self._margins),
            "advance": lambda: ring_rotate.advance(
                ring, stamp, self._evidence, options["interval"], self._margins, options["begin"], _draw
            ),
            "revoke": lambda: ring_verbs.revoke(ring, stamp, _draw, options["key"] or None),
            "absent": lambda: ring_verbs.absent(ring, stamp, options["node"], options["reason"], self._nodes),
            "present": lambda: ring_verbs.present(ring, stamp, options["node"], self._evidence),
            "forget": lambda: ring_verbs.forget(ring, stamp, options["node"], self._nodes),
        }[verb]()

    def _init(self) -> Ring:
        """A new ring; the passphrases that the fleet already uses, where there are any."""
        options = self._options
        ages = [scope.max_age for scope in parse_scopes(options["scopes"])]
        name = secrets.token_hex(8)
        if options["passphrases"]:
            spare = partial(secrets.token_hex, 4)
            ring = ring_verbs.adopt(name, self._stamp, options["passphrases"], spare, self._nodes, ages)
        else:
            ring = ring_verbs.init(name, self._stamp, _draw, self._nodes, ages)
        return ring if options["earlier_max_age"] is None else ring_verbs.earlier(ring, options["earlier_max_age"])

    def _not_adopted(self, ring):
        """What V(init) says where there is a ring without passphrases that were to be adopted."""
        given = self._options["passphrases"] if self._options["verb"] == "init" and ring else ()
        missing = set(given or ()) - {key.passphrase for key in ring.keys} if given else ()
        if not missing:
            return []
        return [f"{len(missing)} of the passphrases in session_keys_passphrases are not in the ring that is there, and were not "
                "adopted. Take the list out of the inventory if they were rotated out"]

    def _result(self, old, new, changed, refusal):
        options = self._options
        result = {"changed": changed, "did": [], "work": False, "unproven": False}
        if new is not None:
            before = old.history if old else ()
            result["did"] = [ring_text.event(event) for event in new.history if event not in before]
            result["ring"] = public(new, self._stamp.time, options["interval"], self._margins)
            result["unproven"] = ring_rotate.under_way(new)
            result["work"] = (result["unproven"] and (changed or options["verb"] == "revoke")) or ring_rotate.is_due(
                new, self._stamp.time, options["interval"], self._margins, options["begin"]
            )
            result["warnings"] = warnings(new) + self._not_adopted(old)
            if self._task.diff and changed:
                result["diff"] = {"before": lines(old), "after": lines(new)}
            if not options["quiet"]:
                # In a rotation the whole ring is shown at its end.
                self._display.display(ring_text.render(result["ring"], result["did"], options["verb"] != "advance"))
        if refusal is None:
            idle = "" if changed else DONE_BEFORE.get(options["verb"], "")
            return dict(result, msg=(f"Nothing was to be done: {idle}. " if idle else "") + result["ring"]["next"])
        not_before = None if refusal.not_before is None else ring_text.moment(refusal.not_before)
        return dict(
            result, failed=True, msg=str(refusal), reason=refusal.reason, refused_by=refusal.nodes, not_before=not_before
        )


_draw = partial(secrets.token_bytes, GENERATED_BYTES)


def _canary_lost_on(report):
    """The nodes that lost the canary in the check itself, by a report that was found to be one."""
    phases = [canary["phases"][-1] for canary in report.get("canary") or () if canary["phases"]]
    shown = [phase[user] for phase in phases for user in ("idle", "busy", "row") if phase.get(user)]
    return sorted({name for one in shown for name in one["lost_on"]})
