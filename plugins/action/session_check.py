# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of session_check: reads the inventory, asks or has the nodes ask, judges and reports."""

from __future__ import annotations

import asyncio
import json
import ssl

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils import bounds, canary, clock, report
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.check_options import (
    ARGUMENT_SPEC,
    OptionError,
    drift_limits,
    is_path,
    paths_by_scope,
    payload_bytes,
)
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.evidence import Fault, View
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.http_client import load_identity
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.passphrases import (
    PassphraseError,
    fingerprint,
    is_weak,
    validate,
)
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.question import STATES, Key, Question
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.ring import REVOKED
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.scopes import ScopeError, parse_scopes
from ansible_collections.httpd_fleet.mod_session.plugins.module_utils.verdict import judge
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils import (
    endpoints,
    node_side,
    node_steps,
    report_files,
    report_html,
    report_prometheus,
    report_text,
)
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.arguments import plain
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.canary_walk import Walk
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.identities import read_identities
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.keys import read_keys
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.piped import Piped
from ansible_collections.httpd_fleet.mod_session.plugins.plugin_utils.prober import Node, Plan, Prober

MODULE = "httpd_fleet.mod_session.session_check"
ASKED, CARRIED = "session_check_asked", "session_check_carried"
"""Names that the results of the steps ask and carry are registered under."""

CLOCK_CODES = ("clock_drift", "clock_unknown")
CLOCK_SAMPLES = 5
MOST_FINDINGS = 100
MOST_NAMES = 100


class ActionModule(Piped, ActionBase):
    """One task that asks the whole fleet, or one of the three that let the nodes ask."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Check the options, then take the step."""
        super().run(tmp, task_vars)
        self._task.args = plain(self._task.args)
        try:
            checked = ArgumentSpecValidator(ARGUMENT_SPEC).validate(bounds.read_all(bounds.CHECK, self._task.args))
        except bounds.BoundError as error:
            raise AnsibleActionFail(str(error)) from error
        if checked.error_messages:
            raise AnsibleActionFail("; ".join(checked.error_messages))
        self._options = checked.validated_parameters
        self._vars = task_vars
        try:
            self._read_options()
        except (PassphraseError, ScopeError, OptionError, canary.CanaryError) as error:
            raise AnsibleActionFail(str(error)) from error
        try:
            if self._options["step"] == "ask":
                return self._ask()
            if self._options["step"] == "carry":
                return self._carry()
            return self._whole()
        except ImportError as error:
            raise AnsibleActionFail("the controller needs the Python library cryptography: pip install cryptography") from error

    # Options

    def _read_options(self):
        options = self._options
        keys = read_keys(options, self._loader)
        passphrases = list(keys.passphrases)
        if keys.ring:
            options.update(_from_ring(keys.ring, options["absent"]))
        revoked = [key for key in options["revoked"] if key not in passphrases]
        for key in revoked:
            validate([key], True)
        self._scopes = parse_scopes(read_identities(options["scopes"]))
        if not self._scopes:
            raise OptionError("scopes: the list is empty, there is nothing to check")
        names = {scope.name for scope in self._scopes}
        unknown = sorted(set(options["fallback"]) - names)
        if unknown:
            raise OptionError(f"fallback: there is no scope {unknown[0]!r}; there are {', '.join(sorted(names))}")
        for path in options["fallback"].values():
            if not is_path(path):
                raise OptionError(f"fallback: {path!r} is not a URL path without blanks")
        self._payload = payload_bytes(options["payload"])
        shortest = min(scope.max_age for scope in self._scopes)
        self._limits = drift_limits(shortest, options["warn_drift"], options["fail_drift"])
        self._keys = self._read_keys(passphrases, revoked)
        self._ring = self._read_ring()
        self._canary = canary.read(options["canary"])
        # A key of a ring may have been removed because its last session had ended: then none of them ends by design.
        retired = {key.passphrase for key in keys.ring.removed if key.state != REVOKED} if keys.ring else set()
        ended = [index for index, key in enumerate(revoked, len(passphrases)) if key not in retired]
        self._ended = frozenset(ended)
        self._plan = Plan(
            scopes=self._scopes,
            passphrases=(*passphrases, *revoked),
            paths=paths_by_scope(options["paths"], self._scopes),
            fallback={name: str(path) for name, path in options["fallback"].items()},
            carry=options["carry"],
            timeout=options["timeout"],
            concurrency=options["concurrency"],
            tls=self._context(),
            identified={scope.name: self._context(scope.reach) for scope in self._scopes if scope.reach.client_certificate},
        )

    def _read_keys(self, passphrases, revoked):
        info = self._options["key_info"]
        every = [*passphrases, *revoked]
        if info and len(info) not in (len(passphrases), len(every)):
            raise OptionError(f"key_info has {len(info)} entries for {len(passphrases)} passphrases")
        keys = []
        for index, passphrase in enumerate(every):
            known = info[index] if index < len(info) else {}
            listed = index < len(passphrases)
            state = str(known.get("state") or ("secondary" if index else "primary")) if listed else "revoked"
            if state not in STATES or (listed and state == "revoked"):
                raise OptionError(f"key_info: a state is one of {', '.join(STATES[:-1])}, not {state!r}")
            created = known.get("created")
            name = str(known.get("id") or fingerprint(passphrase))
            keys.append(Key(name, state, None if created is None else int(float(created)), is_weak(passphrase)))
        return tuple(keys)

    def _read_ring(self):
        ring = self._options["ring"]
        if not ring:
            return None
        try:
            return str(ring["id"]), int(ring["generation"])
        except (KeyError, TypeError, ValueError):
            raise OptionError("ring: give its id and its generation") from None

    def _context(self, reach=None):
        """How nodes are verified, and what certificate they are shown."""
        if all(scope.scheme != "https" for scope in self._scopes):
            return None
        try:
            context = ssl.create_default_context(cafile=self._options["ca"] or None)
            # Python 3.13 began to refuse authorities without a key identifier. Browsers do not, and the answer shall not
            # depend on the controller's Python.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if reach:
                load_identity(context, reach.client_certificate, reach.client_key)
            return context
        except OSError as error:
            raise OptionError(f"ca: {self._options['ca']}: {error.strerror or error}") from error

    def _authority(self):
        if not self._options["ca"]:
            return ""
        with open(self._options["ca"], encoding="utf-8") as file:
            return file.read()

    # Inventory

    def _names(self):
        group = self._options["group"]
        names = list((self._vars.get("groups") or {}).get(group, ()))
        if not names:
            raise AnsibleActionFail(
                f"the inventory has no host in the group {group!r}: an empty fleet proves nothing. "
                "Name the group in session_fleet_group"
            )
        return names

    def _endpoint(self, name, local=False):
        return endpoints.read(name, self._host_variables(name, endpoints.VARIABLES), self._scopes, local)

    def _places(self, names):
        """The nodes, and why some of them cannot be asked, by name: no address or port, or those of another node."""
        local = self._options["step"] == "judge"
        nodes, faults, places = [], {}, {}
        for name in names:
            try:
                there = self._endpoint(name, local)
            except endpoints.EndpointError as error:
                faults[name] = Fault("bad_address", str(error))
                there = endpoints.Endpoint("", {})
            nodes.append(Node(name, there.address, there.ports))
            if name not in faults:
                way = None
                if local:
                    way = endpoints.machine(name, self._host_variables(name, endpoints.CONNECTION))
                places[name] = endpoints.places(there, way)
        for name, others in endpoints.shared(places, self._options["absent"]).items():
            faults[name] = Fault("shared_address", endpoints.sentence(others, local))
        return nodes, faults

    def _host_variables(self, name, wanted):
        """A few variables of a host, templated."""
        found = self._vars["hostvars"].raw_get(name)
        few = {key: found[key] for key in wanted if key in found}
        for key, value in few.items():
            if "{{" in str(value):
                try:
                    few[key] = self._vars["hostvars"][name][key]
                    str(few[key])
                except Exception as error:  # whatever a template of the operator's raises
                    raise endpoints.EndpointError(f"{key}: {value!r} cannot be resolved: {error}") from error
        return few

    # Steps

    def _ask(self):
        """Have this node ask itself, and compare its clock with ours."""
        prober = Prober(self._plan)
        shots = node_side.key_shots(prober, self._walk(self._names()))
        samples = [sample for sample in (self._clock_sample(prober) for _sample in range(CLOCK_SAMPLES)) if sample]
        return {**self._send(prober, shots), "samples": samples}

    def _carry(self):
        """Have this node show itself what others made."""
        prober, names = Prober(self._plan), self._names()
        made, rows = {}, {}
        for name in names:
            shots = self._registered(name, ASKED).shots
            for scope, session in node_side.sessions(prober, name, shots).items():
                made.setdefault(scope, {})[name] = session
            for scope, row in node_side.rows(prober, name, shots).items():
                rows.setdefault(scope, {})[name] = row
        here = self._vars["inventory_hostname"]
        shots = node_side.carry_shots(prober, here, names, made)
        walk = self._registered_walk(prober, names)
        if walk is not None:
            shots += node_side.canary_shots(prober, walk)
        shots += node_side.row_shots(prober, here, rows, walk)  # the last ones: a database that hangs ends this list
        return self._send(prober, shots)

    def _walk(self, names):
        """The canaries of this check, where any are wanted."""
        if self._canary is None:
            return None
        plan = self._plan
        return Walk(self._canary, plan.scopes, plan.passphrases, names, self._ended, plan.randomness)

    def _registered_walk(self, prober, names):
        """The same, with those that nodes made in the step ask."""
        walk = self._walk(names)
        if walk is not None:
            node_side.make_canaries(prober, walk, {name: self._registered(name, ASKED).shots for name in names})
        return walk

    def _send(self, prober, shots):
        if not shots:
            return {"changed": False, "shots": [], "ring": self._ring}
        name = self._vars["inventory_hostname"]
        try:
            there = self._endpoint(name, local=True)
        except endpoints.EndpointError as error:
            raise AnsibleActionFail(str(error)) from None
        node = Node(name, there.address, there.ports)
        arguments = {
            "passphrases": [],
            "scopes": [],
            "step": self._options["step"],
            "timeout": self._options["timeout"],
            "requests": json.dumps(node_side.requests(prober, node, shots, self._authority())),
        }
        result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=self._vars)
        answers = node_steps.answers(result, len(shots))
        if isinstance(answers, str):
            return {"failed": True, "changed": False, "msg": answers}
        answered = [{**shot, "answer": answer} for shot, answer in zip(shots, answers)]
        return {"changed": False, "shots": answered, "ring": self._ring}

    def _clock_sample(self, prober):
        sent = prober.clock.now()
        result = self._low_level_execute_command("date +%s%N", sudoable=False)
        received = prober.clock.now()
        text = str(result.get("stdout", "")).strip()
        return [sent, int(text) // 1000, received] if text.isascii() and text.isdigit() and 15 < len(text) < 21 else None

    def _registered(self, name, variable):
        """What a node left in one of the steps."""
        found = self._vars["hostvars"].raw_get(name).get(variable)
        return node_steps.read(found, {scope.name for scope in self._scopes}, len(self._plan.passphrases))

    def _whole(self):
        """Ask all nodes, or take what they registered, and judge."""
        names = self._names()
        prober = Prober(self._plan)
        started = prober.clock.now()
        nodes, faults = self._places(names)
        told = [View(name, scope.name, fault=fault) for name, fault in faults.items() for scope in self._scopes]
        if self._options["step"] == "judge":
            walk = self._registered_walk(prober, names)
            views = asyncio.run(self._registered_views(prober, nodes, walk, faults))
        else:
            walk = self._walk(names)
            views = prober.run([node for node in nodes if node.name not in faults], walk) + told
        if walk is not None:
            self._canary = walk.end(views, started // clock.SECOND, self._ring[1] if self._ring else None)
        verdict = judge(self._question(names, prober), views)
        unclear = {item.node for item in verdict.findings if item.code in CLOCK_CODES and item.severity == "unknown"}
        if unclear and self._options["step"] == "all":
            views = prober.closer_look([node for node in nodes if node.name in unclear]) + told
            verdict = judge(self._question(names, prober), views)
        via = "node" if self._options["step"] == "judge" else "controller"
        data = report.build(self._question(names, prober), views, verdict, started, prober.clock.now(), via)
        written = self._write(data)
        if not self._options["quiet"]:
            self._display.display(report_text.render(data), color=report_text.COLOURS[data["status"]])
        return self._result(data, written)

    async def _registered_views(self, prober, nodes, walk, faults):
        views = []
        for node in nodes:
            first, second = self._registered(node.name, ASKED), self._registered(node.name, CARRIED)
            silent = faults.get(node.name) or first.fault
            if second.fault is not None and second.fault.kind == "result_invalid":
                silent = silent or second.fault
            if silent is None and any(step.ring != self._ring for step in (first, second) if step.fault is None):
                # Shots name keys by their place in the ring.
                silent = Fault("not_asked", "the ring was changed by somebody else during the check: check again")
            if silent is not None:
                first = second = node_steps.Step()
            shots = [*first.shots, *second.shots]
            between = node_side.bracket(first.samples)
            views += await node_side.views(prober, node, shots, between, silent, walk)
        return views

    def _question(self, names, prober):
        return Question(
            nodes=tuple(names),
            scopes=self._scopes,
            keys=self._keys,
            limits=self._limits,
            absent=frozenset(self._options["absent"]),
            payload=self._payload,
            clock_set=prober.clock.was_set(),
            ring=self._ring,
            canary=None if self._canary is None else tuple(self._canary.values()),
        )

    # Results

    def _write(self, data):
        directory = self._options["report_dir"]
        if not directory:
            return []
        files = {
            "report.json": json.dumps(data, indent=1) + "\n",
            "report.html": report_html.render(data),
            "mod_session.prom": report_prometheus.render(data),
        }
        try:
            return report_files.write(directory, files)
        except OSError as error:
            raise AnsibleActionFail(f"report_dir: {directory}: {error.strerror or error}") from error

    def _result(self, data, written):
        failed = self._options["fail"] and not data["passed"]
        keys = [
            {**key, "missing": key["missing"][:MOST_NAMES], "not_encrypting": key["not_encrypting"][:MOST_NAMES]}
            for key in data["keys"]
        ]
        result = {
            "changed": False,
            "failed": failed,
            "msg": data["summary"],
            "status": data["status"],
            "passed": data["passed"],
            "time": data["time"],
            "nodes": data["nodes"],
            "keys": keys,
            "clock": data["clock"],
            "findings": data["findings"][:MOST_FINDINGS],
            "findings_total": len(data["findings"]),
            "reports": written,
            "canary": {} if self._canary is None else canary.write(self._canary),
        }
        if self._options["return_report"]:
            result["report"] = data
        return result


def _from_ring(ring, absent):
    """The options that a ring answers."""
    keys = [*ring.live, *ring.removed]
    return {
        "key_info": [{"id": key.id, "state": key.state, "created": key.created} for key in keys],
        "revoked": [key.passphrase for key in ring.removed],
        "ring": {"id": ring.id, "generation": ring.generation},
        "absent": sorted({*absent, *ring.absentees}),
    }
