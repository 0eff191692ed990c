# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports a node's firewall closes to everybody: ufw, firewalld, nftables, iptables, whichever is in charge.

Only what is certain is said. A rule that looks at who asks may be the one that lets the load balancer in, so that nothing is
claimed where one could open the port. Of firewalld all zones in force are looked at.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

VERDICTS = ("accept", "drop", "reject", "jump", "goto", "return", "queue", "vmap")
"""What an nftables rule may end with; a map of verdicts is one of them."""

PLAIN_SERVICES = ("dhcpv6-client", "mdns", "samba-client", "ipp-client")
"""Services of firewalld that zones have as they are installed, and that open no TCP port."""

MOST_SERVICES = 20
"""Services that firewalld is asked about; where a zone has more, nothing is claimed."""


class FirewallNode(Protocol):
    """What is needed of a node."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Tuple[int, str]:
        """Run a command to its end; what it printed, in English. A status of 127 where there is none."""


def closed_ports(node: FirewallNode, ports: Sequence[int]) -> Dict[int, str]:
    """Ports that the firewall closes to all, with what closes them.

    :param ports: TCP ports to ask about.
    """
    status, said = node.run(["ufw", "status", "verbose"])
    if status == 0 and re.search(r"(?m)^Status: active", said):
        return _each(ports, lambda port: ufw_closes(said, port))
    if node.run(["firewall-cmd", "--state"])[0] == 0:
        return _firewalld(node, ports)
    # What iptables keeps in nftables is written there in a way that says less than iptables itself does.
    status, ruleset = node.run(["nft", "-j", "list", "ruleset"])
    try:
        tables = json.loads(ruleset) if status == 0 and ruleset.startswith("{") else {}
    except ValueError:
        tables = {}
    status, rules = node.run(["iptables", "-S", "INPUT"])
    rules = "" if status else rules
    return _each(ports, lambda port: nft_closes(tables, port) or iptables_closes(rules, port))


def _each(ports: Sequence[int], closes: Callable[[int], str]) -> Dict[int, str]:
    return {port: rule for port, rule in ((port, closes(port)) for port in ports) if rule}


# -- ufw --------------------------------------------------------------------------------------------------------------

_UFW_RULE = re.compile(r"(.+?)\s{2,}(ALLOW|LIMIT|DENY|REJECT)(?: IN)?\s+(.+?)\s*(?:#.*)?\Z")


def ufw_closes(status: str, port: int) -> str:
    """What of ``ufw status verbose`` closes a port; empty where nothing surely does. Of its rules the first that fits counts."""
    for line in status.splitlines():
        rule = _UFW_RULE.match(line)
        if rule is None or "(v6)" in line:
            continue
        to, verb, source = rule.groups()
        fits = _ufw_fits(to, port)
        if verb in ("ALLOW", "LIMIT") and fits is not False:
            return ""
        if verb in ("DENY", "REJECT") and fits and source == "Anywhere":
            return "ufw: %s %s" % (to, verb)
    default = re.search(r"(?m)^Default: (deny|reject) \(incoming\)", status)
    return "ufw: Default: %s (incoming)" % default.group(1) if default else ""


def _ufw_fits(to: str, port: int) -> Optional[bool]:
    """Whether a rule's first column has a port: True for all who come, False, or None where that cannot be told."""
    to = re.sub(r"\s*\(.*\)\Z", "", to)
    found = re.match(r"([\d,:]+)(?:/(tcp|udp))?\Z", to)
    if found is None:
        return True if to == "Anywhere" else None
    return found.group(2) != "udp" and _in_ranges(port, found.group(1).split(","), ":")


def _in_ranges(port: int, ranges: Sequence[str], between: str) -> bool:
    for one in ranges:
        first, _between, last = one.partition(between)
        if first.isdigit() and int(first) <= port <= int(last or first):
            return True
    return False


# -- firewalld --------------------------------------------------------------------------------------------------------

def _firewalld(node: FirewallNode, ports: Sequence[int]) -> Dict[int, str]:
    # Versions before 2 do not say in the list which zone is the default one, that of interfaces without a zone.
    default = node.run(["firewall-cmd", "--get-default-zone"])[1]
    zones = [zone for zone in firewalld_zones(node.run(["firewall-cmd", "--list-all-zones"])[1])
             if zone["in force"] or zone["name"] == default]
    names = sorted({name for zone in zones for name in zone["services"].split()} - set(PLAIN_SERVICES))
    policies = node.run(["firewall-cmd", "--get-active-policies"])[1]
    direct = node.run(["firewall-cmd", "--direct", "--get-all-rules"])[1]
    if len(names) > MOST_SERVICES or direct.strip() or re.search(r"egress-zones:.*\b(?:HOST|ANY)\b", _without_own(policies)):
        return {}
    services = {name: node.run(["firewall-cmd", "--info-service=" + name])[1] for name in names}
    return _each(ports, lambda port: firewalld_closes(zones, services, port))


def _without_own(policies: str) -> str:
    """``--get-active-policies`` without the one that firewalld brings, which is for IPv6's neighbours alone."""
    return re.sub(r"(?m)^allow-host-ipv6\b.*\n(?:[ \t]+.*\n?)*", "", policies)


def firewalld_zones(text: str) -> List[Dict[str, str]]:
    """The zones of ``firewall-cmd --list-all-zones``: name, whether in force, and each of their lines by its word."""
    zones: List[Dict[str, str]] = []
    word = ""
    for line in text.splitlines():
        head = re.match(r"(\S+)(?: \((.*)\))?\Z", line)
        entry = re.match(r"\s+([a-z-]+(?: [a-z]+)?):\s*(.*)\Z", line)
        if head:
            zones.append({"name": head.group(1), "in force": head.group(2) or "", "services": "", "ports": "", "target": ""})
        elif entry and zones:
            word = entry.group(1)
            zones[-1][word] = entry.group(2).strip()
        elif line.strip() and zones:
            zones[-1][word] = (zones[-1].get(word, "") + " " + line.strip()).strip()
    return zones


def firewalld_closes(zones: Sequence[Mapping[str, str]], services: Mapping[str, str], port: int) -> str:
    """What of firewalld closes a port; empty where a zone in force opens it, or may.

    :param zones: those that are in force: active ones, and the default zone.
    :param services: by name, what ``--info-service`` said.
    """
    for zone in zones:
        names = [name for name in zone["services"].split() if name not in PLAIN_SERVICES]
        texts = [services.get(name, "") for name in names]
        opened = " ".join([zone["ports"], *(one for text in texts for one in re.findall(r"(?m)^\s*ports: (.*)$", text))]).split()
        if (zone["target"] not in ("default", "DROP", "REJECT", "%%REJECT%%")
                or any(zone.get(word) for word in ("rich rules", "forward-ports", "protocols", "source-ports"))
                or any("ports:" not in text or re.search(r"(?m)^\s*includes: *\S", text) for text in texts)
                or _in_ranges(port, [one.split("/")[0] for one in opened if one.endswith("/tcp")], "-")):
            return ""
    return "firewalld: %s" % ", ".join("zone %s (target %s)" % (zone["name"], zone["target"]) for zone in zones) if zones else ""


# -- nftables, iptables -----------------------------------------------------------------------------------------------

def nft_closes(ruleset: Mapping[str, Any], port: int) -> str:
    """What of an nftables ruleset (``nft -j``) drops all new connections to a port; empty where nothing surely does.

    Followed are rules of the input hook that look at nothing but the port, the loopback interface and the connection's state; at
    any other that may accept, nothing is claimed of its chain. One chain that drops is enough: another's accept is not the end.
    """
    items = ruleset.get("nftables", [])
    for chain in (item["chain"] for item in items if "chain" in item):
        if chain.get("hook") != "input" or chain["family"] not in ("ip", "inet"):
            continue
        here = {"family": chain["family"], "table": chain["table"], "chain": chain["name"]}
        rules = [item["rule"] for item in items if "rule" in item and here.items() <= item["rule"].items()]
        closed = _chain_closes(rules, chain.get("policy", "accept"), port)
        if closed:
            return "nftables, table %(family)s %(table)s, chain %(chain)s: " % here + closed
    return ""


def _chain_closes(rules: Sequence[Mapping[str, Any]], policy: str, port: int) -> str:
    for rule in rules:
        expressions = rule.get("expr", [])
        verdict = next((name for item in expressions for name in VERDICTS if name in item), "")
        fits = _nft_fits(expressions, port)
        if verdict in ("drop", "reject") and fits is True:
            return verdict
        if verdict not in ("drop", "reject", "") and fits is not False:
            return ""
    return "policy drop" if policy == "drop" else ""


def _nft_fits(expressions: Sequence[Mapping[str, Any]], port: int) -> Optional[bool]:
    """Whether a new connection to a port from anywhere else fits: True certainly, False certainly not, None perhaps."""
    certain = True
    for item in expressions:
        if "vmap" in item:
            fits: Optional[bool] = None if _takes_new(item["vmap"]) else False
        elif "match" in item:
            fits = _match_fits(item["match"], port)
        else:
            fits = True if set(item) <= {"counter", "log", "comment", *VERDICTS} - {"vmap"} else None
        if fits is False:
            return False
        certain = certain and fits is True
    return True if certain else None


def _takes_new(vmap: Mapping[str, Any]) -> bool:
    """Whether a map of verdicts may have one for a new connection."""
    data = vmap.get("data")
    pairs = data.get("set") if isinstance(data, dict) else None
    return vmap.get("key") != {"ct": {"key": "state"}} or pairs is None or any("new" in pair for pair in pairs)


def _match_fits(match: Mapping[str, Any], port: int) -> Optional[bool]:
    left, right = match.get("left", {}), match.get("right")
    values = right.get("set", [right]) if isinstance(right, dict) else right if isinstance(right, list) else [right]
    if match.get("op") not in ("==", "in"):
        return None
    if left == {"payload": {"protocol": "tcp", "field": "dport"}}:
        found = [_has_port(value, port) for value in values]
        return True if True in found else None if None in found else False
    if left == {"meta": {"key": "iifname"}} and values == ["lo"]:
        return False
    if left == {"ct": {"key": "state"}}:
        return "new" in values
    if left in ({"meta": {"key": "l4proto"}}, {"payload": {"protocol": "ip", "field": "protocol"}}):
        return "tcp" in values
    return False if left.get("payload", {}).get("protocol") in ("udp", "icmp", "icmpv6") else None


def _has_port(value: Any, port: int) -> Optional[bool]:
    """Whether a number or a range of nftables has a port; None for a named set, which is not looked up."""
    if isinstance(value, int):
        return value == port
    between = value.get("range") if isinstance(value, dict) else None
    return between[0] <= port <= between[1] if between else None


def iptables_closes(listing: str, port: int) -> str:
    """The same for ``iptables -S INPUT``."""
    policy = "ACCEPT"
    for line in listing.splitlines():
        words = line.split()
        if words[:2] == ["-P", "INPUT"]:
            policy = words[2]
            continue
        at = next((words.index(word) for word in ("-j", "-g") if word in words[:-1]), len(words))
        target = "".join(words[at + 1:at + 2])
        fits = _iptables_fits(words[2:at], port)
        if target in ("DROP", "REJECT") and fits is True:
            return "iptables: %s" % line
        if target not in ("DROP", "REJECT", "LOG", "") and fits is not False:
            return ""
    return "iptables: -P INPUT DROP" if policy == "DROP" else ""


def _iptables_fits(words: Sequence[str], port: int) -> Optional[bool]:
    rest = " ".join(words)
    if "!" in words:
        return None
    if re.search(r"-i lo\b|-p (?:udp|icmp)", rest):
        return False
    states = re.search(r"--(?:ct)?state (\S+)", rest)
    if states and "NEW" not in states.group(1).split(","):
        return False
    found = re.search(r"--dports? (\S+)", rest)
    if found and not _in_ranges(port, found.group(1).split(","), ":"):
        return False
    left = re.sub(r"-p tcp|-m (?:tcp|multiport|state|conntrack|comment)|--dports? \S+|--(?:ct)?state \S+", "", rest).strip()
    return None if left else True
