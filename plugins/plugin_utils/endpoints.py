# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each node is asked, from the few variables of a host that say so; and which nodes cannot be told apart."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..module_utils.scopes import Scope
from .fleet import some

VARIABLES = ("session_check_address", "session_check_node_address", "session_check_port", "ansible_host")
"""Variables of a host that are read here."""

CONNECTION = ("ansible_connection", "ansible_host", "ansible_port", "ansible_ssh_common_args", "ansible_ssh_extra_args")
"""Variables that say which machine a connection of Ansible leads to."""

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


class EndpointError(ValueError):
    """A variable of a host is no address or port. The message names it, what was found and what is expected."""


@dataclass(frozen=True)
class Endpoint:
    """Where a node is asked.

    ``address``: an IP address without brackets, or a host name in ASCII. ``ports``: by name of each scope.
    """

    address: str
    ports: dict[str, int]


def read(name: str, variables: Mapping[str, Any], scopes: Sequence[Scope], local: bool = False) -> Endpoint:
    """The endpoint of a node. ``variables``: those of :data:`VARIABLES` that it has, templated. ``local``: asked by itself.

    :raises EndpointError: an address or a port that is none, or a port for a scope that is not there.
    """
    wanted = ("session_check_node_address",) if local else ("session_check_address", "ansible_host")
    found = [(variable, variables[variable]) for variable in wanted if variables.get(variable) not in (None, "")]
    variable, value = found[0] if found else ("", "127.0.0.1" if local else name)
    return Endpoint(_address(variable, value), _ports(variables.get("session_check_port"), scopes))


def _address(variable: str, value: object) -> str:
    text = str(value).strip()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        ascii_name = bare if bare.isascii() else bare.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = ""
    labels = ascii_name.removesuffix(".").split(".")
    # Digits and dots alone are a wrong address, or one of the old short forms, which resolvers read in different ways.
    if len(ascii_name) <= 253 and all(map(_LABEL.fullmatch, labels)) and not re.fullmatch(r"[0-9.]+", ascii_name):
        return ascii_name
    said = f"{variable}: {value!r}" if variable else f"the name {value!r}, which counts without session_check_address,"
    hint = ". The port belongs in session_check_port" if re.fullmatch(r".+[^:]:[0-9]+|\[.*\]:[0-9]+", text) else ""
    raise EndpointError(f"{said} is neither a host name nor an IP address{hint}")


def _ports(value: object, scopes: Sequence[Scope]) -> dict[str, int]:
    if value is None or value == "":
        value = {}
    if not isinstance(value, Mapping):
        value = dict.fromkeys((scope.name for scope in scopes), value)
    unknown = sorted({str(name) for name in value} - {scope.name for scope in scopes})
    if unknown:
        raise EndpointError(
            f"session_check_port: there is no scope {unknown[0]!r}; expected a port, or a dictionary of ports by name of a "
            f"scope, which are {', '.join(scope.name for scope in scopes)}"
        )
    given = {str(name): _port(port) for name, port in value.items()}
    return {scope.name: given.get(scope.name, scope.port) for scope in scopes}


def _port(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise EndpointError(f"session_check_port: {value!r} is no port; expected a number from 1 to 65535")
    return int(text)


def machine(name: str, variables: Mapping[str, Any]) -> Hashable:
    """What is the same for two names of one machine whose nodes ask themselves. ``variables``: those of :data:`CONNECTION`.

    Connections other than to this machine and by SSH are known by the name alone.
    """
    kind = str(variables.get("ansible_connection") or "ssh").rpartition(".")[2]
    if kind == "local":
        return (kind,)
    if kind not in ("ssh", "smart", "paramiko", "paramiko_ssh", "mitogen_ssh"):
        return (kind, name)
    way = tuple(str(variables.get(one) or "") for one in ("ansible_ssh_common_args", "ansible_ssh_extra_args"))
    return ("ssh", str(variables.get("ansible_host") or name).lower(), str(variables.get("ansible_port") or 22), way)


def places(endpoint: Endpoint, way: Hashable = None) -> set[Hashable]:
    """The places where a node is asked. ``way``: the machine that asks, where it is not this one."""
    address = endpoint.address.lower().rstrip(".")
    return {(way, address, port) for port in endpoint.ports.values()}


def shared(places: Mapping[str, Collection[Hashable]], absent: Collection[str]) -> dict[str, list[str]]:
    """Nodes that cannot be told apart, each with the others at the same place.

    A node that is declared absent takes no place from one that is not.

    :param places: by node, wherever it is asked.
    """
    users: dict[Hashable, list[str]] = {}
    for node, where in places.items():
        for place in set(where):
            users.setdefault(place, []).append(node)
    found: dict[str, list[str]] = {}
    for nodes in users.values():
        present = [node for node in nodes if node not in absent]
        for node in nodes:
            others = [other for other in (present if node not in absent else nodes) if other != node]
            found.setdefault(node, []).extend(other for other in others if other not in found[node])
    return {node: others for node, others in found.items() if others}


def sentence(others: Sequence[str], local: bool) -> str:
    """What is seen at a node that shares its place."""
    how = "the same machine, by ansible_host and ansible_port," if local else "the same address and port"
    return f"{how} as of {some(others)}: one server cannot answer for two nodes"
