# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports a firewall closes; what the tools say is as Debian 13's print it."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils import firewall

UFW = """\
Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), deny (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
"""
UFW_V6 = """\
22/tcp (v6)                ALLOW IN    Anywhere (v6)
80,443/tcp (WWW Full (v6)) ALLOW IN    Anywhere (v6)
"""


def row(to, verb, source, comment=""):
    return f"{to:<26} {verb:<11} {source:<25} {comment}\n"


@pytest.mark.parametrize(("rows", "closed"), [
    ([], "ufw: Default: deny (incoming)"),
    ([("22/tcp", "ALLOW IN", "Anywhere")], "ufw: Default: deny (incoming)"),
    ([("80/udp", "ALLOW IN", "Anywhere")], "ufw: Default: deny (incoming)"),
    ([("80", "ALLOW IN", "Anywhere")], ""),
    ([("80,443/tcp (WWW Full)", "ALLOW IN", "Anywhere")], ""),
    ([("1:1024/tcp", "LIMIT IN", "Anywhere")], ""),
    ([("8000:8100/tcp", "ALLOW IN", "Anywhere")], "ufw: Default: deny (incoming)"),
    # Who asks is looked at: it may be the load balancer.
    ([("80/tcp", "ALLOW IN", "10.0.0.0/8")], ""),
    ([("Anywhere", "ALLOW IN", "192.168.7.0/24")], ""),
    ([("80/tcp on eth0", "ALLOW IN", "Anywhere")], ""),
    ([("10.89.0.5 80/tcp", "ALLOW IN", "Anywhere")], ""),
    ([("Anywhere", "DENY IN", "1.2.3.4")], "ufw: Default: deny (incoming)"),
    # The first that fits counts.
    ([("80/tcp", "REJECT IN", "Anywhere", "# no more"), ("80/tcp", "ALLOW IN", "Anywhere")], "ufw: 80/tcp REJECT"),
    ([("80/tcp", "ALLOW IN", "Anywhere"), ("80/tcp", "DENY IN", "Anywhere")], ""),
])
def test_ufw(rows, closed):
    assert firewall.ufw_closes(UFW + "".join(row(*one) for one in rows) + UFW_V6, 80) == closed


def test_ufw_that_allows_by_default_closes_what_a_rule_denies():
    status = UFW.replace("deny (incoming)", "allow (incoming)")
    assert firewall.ufw_closes(status, 80) == ""
    assert firewall.ufw_closes(status + row("80,443/tcp", "DENY IN", "Anywhere"), 443) == "ufw: 80,443/tcp DENY"


ZONES = """\
block
  target: %%REJECT%%
  ingress-priority: 0
  interfaces:{space}
  sources:{space}
  services:{space}
  ports:{space}
  rich rules:{space}

dmz (active)
  target: {target}
  ingress-priority: 0
  egress-priority: 0
  icmp-block-inversion: no
  interfaces: eth0
  sources:{space}
  services: ssh {services}
  ports: {ports}
  protocols: {protocols}
  forward: yes
  masquerade: no
  forward-ports:{space}
  source-ports:{space}
  icmp-blocks:{space}
  rich rules:{rules}

public{default}
  target: default
  interfaces:{space}
  sources:{space}
  services: dhcpv6-client ssh
  ports: 444/tcp 8000-8100/tcp
  protocols:{space}
  forward-ports:{space}
  source-ports:{space}
  rich rules:{space}
"""
HTTP = "http\n  ports: 80/tcp\n  protocols: \n  source-ports: \n  modules: \n  destination: \n  includes: \n  helpers: "
SSH_SERVICE, COCKPIT = HTTP.replace("http", "ssh").replace("80", "22"), HTTP.replace("http", "cockpit").replace("80", "9090")
POLICIES = "allow-host-ipv6\n  ingress-zones: ANY\n  egress-zones: HOST"


class Node:
    """Answers as a node's tools do, by how a command begins; those that it has not are status 127."""

    def __init__(self, answers):
        self.answers = answers

    def run(self, argv, timeout=60.0):
        command = " ".join(argv)
        return next(((0, said.strip()) for begin, said in self.answers.items() if command.startswith(begin)),
                    (127, f"{argv[0]}: no such command"))


def firewalld(port=80, policies=POLICIES, direct="", **zone):
    given = {"space": "", "default": "", "target": "default", "services": "", "ports": "", "protocols": "", "rules": "", **zone}
    node = Node({"ufw": "Status: inactive", "firewall-cmd --state": "running", "firewall-cmd --info-service=http": HTTP,
                 "firewall-cmd --info-service=ssh": SSH_SERVICE, "firewall-cmd --info-service=cockpit": COCKPIT,
                 "firewall-cmd --list-all-zones": ZONES.format(**given), "firewall-cmd --get-active-policies": policies,
                 "firewall-cmd --direct": direct, "firewall-cmd --get-default-zone": "public"})
    return firewall.closed_ports(node, [port]).get(port, "")


CLOSED = "firewalld: zone dmz (target default), zone public (target default)"


@pytest.mark.parametrize(("zone", "closed"), [
    ({}, CLOSED),
    ({"ports": "443/tcp 8000-8100/tcp 80/udp"}, CLOSED),
    ({"target": "DROP"}, CLOSED.replace("dmz (target default)", "dmz (target DROP)")),
    ({"services": "http"}, ""),
    ({"services": "https"}, ""),  # of which nothing is known here
    ({"ports": "80/tcp"}, ""),
    ({"ports": "1-1024/tcp"}, ""),
    ({"target": "ACCEPT"}, ""),
    ({"protocols": "tcp"}, ""),
    ({"rules": '\n\trule family="ipv4" source address="10.0.0.0/8" port port="80" protocol="tcp" accept'}, ""),
    ({"policies": POLICIES + "\nmine\n  ingress-zones: dmz\n  egress-zones: HOST"}, ""),
    ({"direct": "ipv4 filter INPUT 0 -p tcp --dport 80 -j ACCEPT"}, ""),
    ({"port": 9090, "services": "cockpit"}, ""),
    ({"services": "cockpit"}, CLOSED),
    ({"port": 444}, ""),  # another zone in force opens it
    ({"default": " (default)"}, CLOSED),  # as version 2 says it
])
def test_firewalld(zone, closed):
    assert firewalld(**zone) == closed


NFT_HEAD = [{"metainfo": {"version": "1.1.3"}}, {"table": {"family": "inet", "name": "filter"}},
            {"set": {"family": "inet", "name": "web", "table": "filter", "type": "inet_service", "elem": [80, 443]}}]
STATES = {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [
    ["invalid", {"drop": None}], ["established", {"accept": None}], ["related", {"accept": None}]]}}}


def match(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
LOOPBACK = [match({"meta": {"key": "iifname"}}, "lo"), {"accept": None}]
SSH = [match(DPORT, 22), {"counter": {"packets": 0, "bytes": 0}}, {"accept": None}]
PINGS = [match({"meta": {"key": "l4proto"}}, "icmp"), {"accept": None}]
USUAL = ([STATES], LOOPBACK, SSH, PINGS)


def ruleset(*rules, policy="drop", hook="input", family="inet"):
    where = {"family": family, "table": "filter", "chain": "input"}
    chain = {"family": family, "table": "filter", "name": "input", "hook": hook, "policy": policy}
    return {"nftables": [*NFT_HEAD, {"chain": chain},
                         *({"rule": {**where, "expr": list(rule)}} for rule in rules)]}


@pytest.mark.parametrize(("rules", "closed"), [
    ((), "policy drop"),
    (USUAL, "policy drop"),
    ((*USUAL, [match(DPORT, {"set": [80, 443]}), {"accept": None}]), ""),
    ((*USUAL, [match(DPORT, {"range": [1, 1024]}), {"accept": None}]), ""),
    ((*USUAL, [match(DPORT, {"set": [443, {"range": [8000, 8100]}]}), {"accept": None}]), "policy drop"),
    ((*USUAL, [match(DPORT, "@web"), {"accept": None}]), ""),  # a named set may have it
    ((*USUAL, [match(DPORT, 443, "!="), {"accept": None}]), ""),
    ((*USUAL, [{"jump": {"target": "site"}}]), ""),
    ((*USUAL, [{"limit": {"rate": 4, "per": "second"}}, {"accept": None}]), ""),
    ((*USUAL, [{"xt": {"type": "match", "name": "multiport"}}, {"accept": None}]), ""),
    (([match({"ct": {"key": "state"}}, {"set": ["established", "new"]}), {"accept": None}],), ""),
    (([match({"payload": {"protocol": "ip", "field": "saddr"}}, "10.0.0.1"), {"accept": None}],), ""),
    (([match(DPORT, 80), {"log": None}, {"reject": None}],), "reject"),
    # What may open it by another way than accept.
    (([{"vmap": {"key": DPORT, "data": {"set": [[22, {"accept": None}], [80, {"accept": None}]]}}}],), ""),
    (([{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["eth0", {"jump": {"target": "world"}}]]}}}],), ""),
    (([{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["new", {"jump": {"target": "world"}}]]}}}],), ""),
    (([match(DPORT, 80), {"return": None}], [{"drop": None}]), ""),
    (([match(DPORT, 80), {"queue": None}],), ""),
    (([match({"payload": {"protocol": "ip", "field": "saddr"}}, "10.0.0.1"), match(DPORT, 80), {"drop": None}],), "policy drop"),
])
def test_nftables(rules, closed):
    said = firewall.nft_closes(ruleset(*rules), 80)
    assert said == ("nftables, table inet filter, chain input: " + closed if closed else "")


def test_nftables_chains_that_no_connection_comes_through_close_nothing():
    assert firewall.nft_closes(ruleset(hook="forward"), 80) == ""
    assert firewall.nft_closes(ruleset(family="ip6"), 80) == ""
    assert firewall.nft_closes(ruleset(policy="accept"), 80) == ""


IPTABLES = """\
-P INPUT DROP
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -p tcp -m multiport --dports 22,2222 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 8000:8100 -j ACCEPT
"""


@pytest.mark.parametrize(("rule", "closed"), [
    ("", "iptables: -P INPUT DROP"),
    ("-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT", ""),
    ("-A INPUT -p tcp -m tcp --dport 1:1024 -j ACCEPT", ""),
    ("-A INPUT -s 10.0.0.0/8 -j ACCEPT", ""),
    ("-A INPUT -p tcp -m tcp ! --dport 22 -j ACCEPT", ""),
    ("-A INPUT -j ufw-before-input", ""),
    ("-A INPUT -p tcp -m tcp --dport 80 -g web", ""),
    ("-A INPUT -m state --state NEW -p tcp -j ACCEPT", ""),
    ("-A INPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable", None),
])
def test_iptables(rule, closed):
    expected = "iptables: " + rule if closed is None else closed
    assert firewall.iptables_closes(IPTABLES + rule, 80) == expected


def test_a_node_without_any_tool_is_open_as_far_as_is_known():
    assert firewall.closed_ports(Node({}), [80, 443]) == {}


def test_iptables_in_nftables_is_read_by_iptables():
    """What iptables-nft leaves in the ruleset has matches without a meaning (xt)."""
    old = [{"xt": {"type": "match", "name": "conntrack"}}, {"counter": {"packets": 0, "bytes": 0}}, {"accept": None}]
    node = Node({"nft": json.dumps(ruleset(old, family="ip")), "iptables": IPTABLES})
    assert firewall.closed_ports(node, [80, 22, 8000]) == {80: "iptables: -P INPUT DROP"}


def test_a_ruleset_that_cannot_be_read_says_nothing():
    assert firewall.closed_ports(Node({"nft": '{"nftables": []}\n# Warning: more than was asked'}), [80]) == {}
