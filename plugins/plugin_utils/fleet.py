# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are the fleet, and whether its settings are settings of the whole fleet.

Settings come from an inventory, where each host may say something else. What is the fleet's must be the same on every node;
two values are refused, for whichever one wins, the other is ignored without a word.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_GROUP = "session_fleet"
"""The group that is the fleet, where session_fleet_group is not set."""

FLEET, NODE, SCOPES = "fleet", "node", "scopes"
"""Where a variable may differ: nowhere in the fleet; from node to node; from node to node, but not in what browsers see."""

VARIABLES: dict[str, str] = {
    "session_check_absent": FLEET,
    "session_check_address": NODE,
    "session_check_ca": FLEET,
    "session_check_concurrency": FLEET,
    "session_check_fail_drift": FLEET,
    "session_check_fallback": FLEET,
    "session_check_matrix": FLEET,
    "session_check_node_address": NODE,
    "session_check_paths": FLEET,
    "session_check_payload": FLEET,
    "session_check_port": NODE,
    "session_check_report_dir": FLEET,
    "session_check_revoked": FLEET,
    "session_check_timeout": FLEET,
    "session_check_via": FLEET,
    "session_check_warn_drift": FLEET,
    "session_clock_servers": NODE,
    "session_config_scopes": SCOPES,
    "session_debug_dir": FLEET,
    "session_debug_nodes": FLEET,
    "session_debug_off": FLEET,
    "session_debug_seconds": FLEET,
    "session_debug_wait": FLEET,
    "session_deploy_after_batch": NODE,
    "session_deploy_before_batch": NODE,
    "session_diagnose_hours": FLEET,
    "session_diagnose_report_dir": FLEET,
    "session_explain_cipher": FLEET,
    "session_explain_cookie": FLEET,
    "session_explain_max_age": FLEET,
    "session_explain_show_values": FLEET,
    "session_fleet_group": FLEET,
    "session_keys_allow_loss": NODE,
    "session_keys_allow_weak": FLEET,
    "session_keys_passphrases": FLEET,
    "session_modules_install": NODE,
    "session_modules_store": NODE,
    "session_revoke_confirmed": FLEET,
    "session_ring_deployed": FLEET,
    "session_ring_drain": FLEET,
    "session_ring_drift": FLEET,
    "session_ring_earlier_max_age": FLEET,
    "session_ring_endless": FLEET,
    "session_ring_interval": FLEET,
    "session_ring_key": FLEET,
    "session_ring_node": FLEET,
    "session_ring_reason": FLEET,
    "session_ring_serial": FLEET,
    "session_ring_store": FLEET,
    "session_ring_verb": FLEET,
    "session_rotate_now": FLEET,
    "session_serial": FLEET,
    "session_store": NODE,
    "session_store_admin": FLEET,
    "session_store_housekeeping": FLEET,
    "session_store_print": FLEET,
    "session_store_schedule": FLEET,
}
"""Every public variable, and where it may differ."""

CHOICES: dict[str, tuple[str, ...]] = {"session_check_via": ("controller", "node")}
"""Settings that playbooks compare with words."""

SWITCHES = (
    "session_check_matrix", "session_debug_off", "session_keys_allow_loss", "session_keys_allow_weak", "session_modules_install",
    "session_revoke_confirmed", "session_rotate_now", "session_store_housekeeping", "session_store_print",
)  # fmt: skip
"""Settings that are on or off; a template takes any other word for off."""

REGISTERED = frozenset({"session_check_asked", "session_check_carried", "session_diagnose_looked"})
"""Results that playbooks register, which are no settings."""

SERIALS: dict[str, list[int | str]] = {"session_serial": [1, "25%", "100%"], "session_ring_serial": [1, "100%"]}
"""Settings that are batches, with their defaults."""

SEEN = (
    "name", "path", "store", "virtual_host", "cookie_name", "cookie_path", "cookie_domain", "same_site", "http_only", "secure",
    "max_age", "cipher",
)  # fmt: skip
"""Options of a scope that must be the same on all nodes: what browsers see, and how long an old key is needed."""

MOST_NAMES = 5


class FleetError(ValueError):
    """The inventory does not say what the fleet is. The message says what was found, what is expected and what to do."""


@dataclass(frozen=True)
class Inventory:
    """What is known of the hosts of a run.

    :ivar groups: names of hosts by group.
    :ivar chosen: hosts of this run, in which ``--limit`` and slices have left out others.
    :ivar said: by host, its variables that begin with ``session_``, not templated.
    :ivar everywhere: variables that hold for all hosts whatever these say, from the command line or a play, templated.
    :ivar template: the value of a variable of a host, templated.
    """

    groups: Mapping[str, Sequence[str]]
    chosen: Sequence[str]
    said: Mapping[str, Mapping[str, Any]]
    everywhere: Mapping[str, Any]
    template: Callable[[str, str], Any]

    def values(self, name: str, hosts: Iterable[str]) -> dict[str, Any]:
        """A variable by host, of those hosts that have it. Templated only where the hosts' texts differ, or are templates."""
        if name in self.everywhere:
            return dict.fromkeys(hosts, self.everywhere[name])
        return {host: self.template(host, name) for host in hosts if name in self.said[host]}


def find_group(inventory: Inventory, optional: bool = False) -> str:
    """The name of the fleet's group. Empty where there is none, ``optional`` is set, and no variable names one.

    :raises FleetError: hosts name several, none of its hosts is there, or none is in this run.
    """
    found = inventory.values("session_fleet_group", inventory.said)
    names: dict[str, list[str]] = {}
    for host, value in found.items():
        names.setdefault(_name(value), []).append(host)
    if len(names) > 1:
        here = [text for text, hosts in names.items() if set(hosts) & set(inventory.chosen)]
        if len(here) != 1:
            told = "; ".join(f"{text} ({some(hosts)})" for text, hosts in names.items())
            raise FleetError(
                f"hosts of the inventory name several groups in session_fleet_group: {told}. A run is for one fleet: choose with "
                f"-e session_fleet_group=NAME, or with --limit"
            )
        names = {here[0]: names[here[0]]}
    group = next(iter(names), DEFAULT_GROUP)
    if not inventory.groups.get(group):
        if optional and not names:
            return ""
        raise FleetError(
            f"the inventory has no host in the group {group}. Put the nodes into it, or name their group in session_fleet_group, "
            "beside the inventory (group_vars) or with -e"
        )
    if not set(inventory.groups[group]) & set(inventory.chosen):
        raise FleetError(f"the --limit of this run has no host of the group {group}, so there is nothing to do")
    return group


def _name(value: object) -> str:
    if not isinstance(value, str) or not value or value != value.strip() or re.search(r"[:,&!*?\[\]{}~\s]", value):
        raise FleetError(f"session_fleet_group: expected the name of one group, found {value!r}")
    return value


def judge(inventory: Inventory, group: str) -> dict[str, Any]:
    """The settings that order and pace depend on, by name, with their defaults.

    :raises FleetError: a setting of the whole fleet differs between its nodes, or is out of bounds.
    """
    nodes = list(inventory.groups[group])
    for name, level in VARIABLES.items():
        if level != NODE and name != "session_fleet_group" and name not in inventory.everywhere:
            _is_one(inventory, name, nodes, level)
    for name in (*CHOICES, *SWITCHES):
        for value in list(inventory.values(name, nodes if VARIABLES[name] == NODE else nodes[:1]).values()):
            read_word(name, value)
    found: dict[str, Any] = {}
    for name, default in SERIALS.items():
        found[name] = read_serial(name, _value(inventory, name, nodes, default))
    found["session_debug_nodes"] = read_names(_value(inventory, "session_debug_nodes", nodes, []))
    return found


def _value(inventory: Inventory, name: str, nodes: Sequence[str], default: Any) -> Any:
    return next(iter(inventory.values(name, nodes[:1]).values()), default)


_ABSENT = object()


def _is_one(inventory: Inventory, name: str, nodes: Sequence[str], level: str) -> None:
    texts = [inventory.said[node].get(name, _ABSENT) for node in nodes]
    if all(text is texts[0] or text == texts[0] for text in texts):
        return
    having = {node: inventory.template(node, name) for node, text in zip(nodes, texts) if text is not _ABSENT}
    if level == SCOPES:
        having = {node: _seen(value) for node, value in having.items()}
    first = next(iter(having.values()))
    others = [node for node, value in having.items() if value != first]
    lacking = [node for node in nodes if node not in having]
    if others:
        what = f"{some([node for node in having if node not in others])} and {some(others)} have different values"
    elif lacking:
        what = f"{some(list(having))} {'have' if len(having) > 1 else 'has'} it, {some(lacking)} not"
    else:
        return
    more = f"; nodes may differ in options other than {', '.join(SEEN)}" if level == SCOPES else ""
    raise FleetError(f"{name} is a setting of the whole fleet, but {what}. Set it once, for the group{more}")


def _seen(scopes: Any) -> Any:
    if not isinstance(scopes, list) or not all(isinstance(scope, Mapping) for scope in scopes):
        return scopes
    return [{option: scope[option] for option in SEEN if option in scope} for scope in scopes]


def read_word(name: str, value: Any) -> None:
    """Refuse a value that is none of the setting's.

    :raises FleetError: neither a choice of it, nor on or off.
    """
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise FleetError(f"{name}: expected {' or '.join(CHOICES[name])}, found {value!r}")
    elif str(value).strip().lower() not in ("true", "false", "yes", "no", "on", "off", "1", "0", "y", "n", "t", "f"):
        raise FleetError(f"{name}: expected true or false, found {value!r}")


def read_serial(name: str, value: Any) -> list[int | str]:
    """Batches as a play takes them: numbers of hosts, or percentages of the fleet.

    :raises FleetError: not a number from 1 on, a percentage from 1 to 100, or a list of those.
    """
    items = value if isinstance(value, (list, tuple)) else [part.strip() for part in str(value).strip("[] ").split(",")]
    found: list[int | str] = []
    for item in items:
        match = re.fullmatch(r"[\"']?([0-9]{1,6})(%?)[\"']?", str(item), re.ASCII)
        number, percent = (int(match.group(1)), match.group(2)) if match and not isinstance(item, bool) else (0, "")
        if number < 1 or (percent and number > 100):
            raise FleetError(
                f"{name}: {item!r} is no size of a batch; expected a number of nodes from 1 on, a percentage such as '25%', or a "
                "list of those"
            )
        found.append(f"{number}%" if percent else number)
    if not found:
        raise FleetError(f"{name}: the list is empty; expected sizes of batches, such as [1, '25%', '100%']")
    return found


def read_names(value: Any) -> list[str]:
    """Names of nodes from a list, or from text with commas between."""
    items = value if isinstance(value, (list, tuple)) else str(value or "").split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def unknown(names: Iterable[str]) -> list[str]:
    """Names that begin like a variable of this collection and are none, each with the one that is probably meant."""
    found = []
    for name in sorted(set(names)):
        if name.startswith("session_") and name not in VARIABLES and name not in REGISTERED:
            close = difflib.get_close_matches(name, VARIABLES, 1, 0.85)
            found.append(f"{name} (do you mean {close[0]}?)" if close else name)
    return found


def some(names: Sequence[str]) -> str:
    """Names for a sentence, the first few of many."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
