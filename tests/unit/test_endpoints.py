# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nodes are asked: what an inventory says of a host in, an address and ports out, or a sentence that names the variable."""

from __future__ import annotations

import pytest

from plugins.module_utils.scopes import parse_scopes
from plugins.plugin_utils import endpoints
from plugins.plugin_utils.endpoints import Endpoint, EndpointError, machine, places, read, shared

SCOPES = parse_scopes([{"name": "app", "path": "/app"}, {"name": "shop", "path": "/shop", "port": 8080}])
OWN = {"app": 80, "shop": 8080}


@pytest.mark.parametrize("said, address", [
    ({}, "web1"),
    ({"ansible_host": "10.0.0.1"}, "10.0.0.1"),
    ({"ansible_host": "10.0.0.1", "session_check_address": "10.0.0.2"}, "10.0.0.2"),
    ({"ansible_host": "10.0.0.1", "session_check_address": ""}, "10.0.0.1"),
    ({"ansible_host": "[::1]"}, "::1"),
    ({"ansible_host": "0:0:0::1"}, "::1"),
    ({"ansible_host": "fe80::1%eth0"}, "fe80::1%eth0"),
    ({"ansible_host": "my_site.example.com."}, "my_site.example.com."),
    ({"ansible_host": "bücher.example"}, "xn--bcher-kva.example"),
    ({"session_check_node_address": "10.9.9.9"}, "web1"),
])  # fmt: skip
def test_addresses(said, address):
    assert read("web1", said, SCOPES) == Endpoint(address, OWN)


def test_a_node_that_asks_itself_is_on_loopback_unless_it_is_said():
    said = {"ansible_host": "10.0.0.1", "session_check_address": "10.0.0.2"}
    assert read("web1", said, SCOPES, local=True).address == "127.0.0.1"
    assert read("web1", {**said, "session_check_node_address": "10.0.0.3"}, SCOPES, local=True).address == "10.0.0.3"


@pytest.mark.parametrize("name, said, words", [
    ("web1", {"ansible_host": "web 1"}, "^ansible_host: 'web 1' is neither"),
    ("web1", {"ansible_host": "10.0.0.300"}, "ansible_host"),
    ("web1", {"ansible_host": "10.1"}, "ansible_host"),
    ("web1", {"session_check_address": "https://web1/"}, "session_check_address"),
    ("web1", {"session_check_address": "web1:8080"}, "belongs in session_check_port"),
    ("web1", {"session_check_address": "[::1]:8080"}, "belongs in session_check_port"),
    ("web1", {"ansible_host": "a" * 64 + ".example"}, "ansible_host"),
    ("web1", {"ansible_host": "日" * 70 + ".example"}, "ansible_host"),
    ("web1", {"ansible_host": "a..b"}, "ansible_host"),
    ("web1", {"ansible_host": "a\nb"}, "ansible_host"),
    ("web1", {"ansible_host": "{{ nothing }}"}, "ansible_host"),
    ("web server 1", {}, "the name 'web server 1', which counts without session_check_address"),
])  # fmt: skip
def test_what_is_no_address_is_refused_by_variable(name, said, words):
    with pytest.raises(EndpointError, match=words):
        read(name, said, SCOPES)


@pytest.mark.parametrize("port, ports", [
    (None, OWN), ("", OWN), ({}, OWN), (81, {"app": 81, "shop": 81}), ("81", {"app": 81, "shop": 81}),
    ({"app": 81}, {"app": 81, "shop": 8080}), ({"app": "1", "shop": 65535}, {"app": 1, "shop": 65535}),
])  # fmt: skip
def test_ports(port, ports):
    assert read("web1", {"session_check_port": port}, SCOPES).ports == ports


@pytest.mark.parametrize("port", [
    80800, 0, -1, "80 ", "http", True, 80.5, [80], "٨٠", {"app": 70000}, {"app": None}, {"ap": 80},
])  # fmt: skip
def test_what_is_no_port_is_refused(port):
    with pytest.raises(EndpointError, match=r"^session_check_port: .*expected"):
        read("web1", {"session_check_port": port}, SCOPES)


def found(absent=(), local=False, **said):
    """Nodes that share a place."""
    there = {}
    for name, variables in said.items():
        endpoint = read(name, variables, SCOPES, local)
        there[name] = places(endpoint, machine(name, variables) if local else None)
    return shared(there, absent)


SSH = {"ansible_host": "127.0.0.1"}


def test_names_with_one_address_and_port_share_it():
    assert found(a={}, b={}, c={}) == {}
    assert found(a={**SSH, "ansible_port": 2201}, b={**SSH, "ansible_port": 2202}, c={}) == {"a": ["b"], "b": ["a"]}
    assert found(a=SSH, b={**SSH, "session_check_address": "127.0.0.2"}) == {}
    assert found(a=SSH, b={**SSH, "session_check_port": 81}) == {}
    assert found(a=SSH, b={**SSH, "session_check_port": {"app": 81}}) == {"a": ["b"], "b": ["a"]}, "one scope is enough"
    assert found(a={"ansible_host": "::1"}, b={"ansible_host": "[0::1]"}) == {"a": ["b"], "b": ["a"]}
    assert found(a={"ansible_host": "Web.example"}, b={"ansible_host": "web.EXAMPLE."}) == {"a": ["b"], "b": ["a"]}
    assert found(a={}, b={"ansible_host": "a"}) == {"a": ["b"], "b": ["a"]}
    assert found(a=SSH, b=SSH, c=SSH) == {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "b"]}


def test_an_absent_node_takes_no_place_from_its_successor():
    assert found(absent=["a"], a=SSH, b=SSH) == {"a": ["b"]}
    assert found(absent=["a"], a=SSH, b=SSH, c=SSH) == {"a": ["b", "c"], "b": ["c"], "c": ["b"]}
    assert found(absent=["a", "b"], a=SSH, b=SSH) == {"a": ["b"], "b": ["a"]}


def test_nodes_that_ask_themselves_share_what_ssh_leads_to():
    forwarded = [{**SSH, "ansible_port": port} for port in (2201, 2202, 2202)]
    assert found(local=True, a=forwarded[0], b=forwarded[1]) == {}
    assert found(local=True, a=forwarded[1], b=forwarded[2]) == {"a": ["b"], "b": ["a"]}
    assert found(local=True, a=forwarded[1], b={**forwarded[2], "session_check_node_address": "127.0.0.2"}) == {}
    jump = {"ansible_host": "10.0.0.5", "ansible_ssh_common_args": "-J one"}
    assert found(local=True, a=jump, b={**jump, "ansible_ssh_common_args": "-J two"}) == {}
    for kind in ("podman", "containers.podman.podman", "winrm"):
        assert found(local=True, a={"ansible_connection": kind}, b={"ansible_connection": kind}) == {}
    assert found(local=True, a={"ansible_connection": "local"}, b={"ansible_connection": "local"}) == {"a": ["b"], "b": ["a"]}


def test_the_sentence_names_the_others():
    assert "web2, web3" in endpoints.sentence(["web2", "web3"], False)
