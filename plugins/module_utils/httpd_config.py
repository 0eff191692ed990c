# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what httpd says of its own configuration: ``-t -D DUMP_CONFIG`` (mod_info), ``-M``, ``-S``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Dict, Iterator, List, Sequence, Tuple


@dataclass
class Node:
    """A directive, or a section with what is in it.

    :ivar name: as written, such as ``SessionMaxAge`` or ``Location``.
    :ivar words: its arguments, quotes removed.
    :ivar place: file and line, ``/etc/apache2/x.conf:12``.
    :ivar order: counts up in the order in which httpd read them.
    """

    name: str
    words: Tuple[str, ...]
    file: str
    line: int
    order: int
    section: bool = False
    children: List["Node"] = field(default_factory=list)

    @property
    def place(self) -> str:
        """File and line."""
        return "%s:%d" % (self.file, self.line)

    def named(self, *names: str) -> List["Node"]:
        """Children with one of these names; case does not matter, as in httpd."""
        wanted = {name.lower() for name in names}
        return [child for child in self.children if child.name.lower() in wanted]


DEEPEST = 100
"""Sections within sections; what is deeper stands as if it were not."""

_FILE = re.compile(r"# In file: (.+)\Z")
_LINE = re.compile(r"\s*# +(\d+):\Z")
_CLOSE = re.compile(r"\s*</(\S+?)>\Z")
_OPEN = re.compile(r"\s*<([^\s>]+)(?:>|\s(.*)>)\Z")


def parse_dump(text: str) -> Node:
    """The tree of a dump; its root is a section without a name. What stands in no file of a dump (errors) is left out."""
    root = Node("", (), "", 0, 0, section=True)
    stack = [root]
    file, line, order = "", 0, 0
    for row in text.splitlines():
        found = _FILE.match(row)
        if found:
            file = found.group(1)
            continue
        found = _LINE.match(row)
        if found:
            line = int(found.group(1))
            continue
        if not row.strip() or not file:
            continue
        if _CLOSE.match(row):
            if len(stack) > 1:
                stack.pop()
            continue
        order += 1
        found = _OPEN.match(row)
        if found:
            here = Node(found.group(1), _words(found.group(2) or ""), file, line, order, section=True)
            stack[-1].children.append(here)
            stack.append(here if len(stack) < DEEPEST else stack[-1])
        else:
            name, _blank, rest = row.strip().partition(" ")
            stack[-1].children.append(Node(name, _words(rest), file, line, order))
    return root


def _words(text: str) -> Tuple[str, ...]:
    """Arguments as httpd splits them: blanks outside of quotes; a backslash escapes a quote within these, and itself."""
    words, at = [], 0
    text = text.strip()
    while at < len(text):
        quote = text[at] if text[at] in "\"'" else ""
        at += len(quote)
        word = []
        while at < len(text) and not (text[at] == quote if quote else text[at].isspace()):
            if text[at] == "\\" and text[at + 1:at + 2] in (("\\", quote) if quote else ("\\",)):
                at += 1
            word.append(text[at])
            at += 1
        words.append("".join(word))
        at += len(quote)
        while at < len(text) and text[at].isspace():
            at += 1
    return tuple(words)


def walk(node: Node, inside: Tuple[Node, ...] = ()) -> Iterator[Tuple[Node, Tuple[Node, ...]]]:
    """All directives and sections, each with the sections that it stands in, the outermost first."""
    for child in node.children:
        yield child, inside
        if child.section:
            yield from walk(child, (*inside, child))


def error_logs(tree: Node) -> List[str]:
    """All values of ErrorLog, of the server and of virtual hosts, each once."""
    found = {"".join(node.words[:1]): None for node, _inside in walk(tree) if node.name.lower() == "errorlog" and node.words}
    return list(found)


def server_root(settings: str) -> str:
    """The ServerRoot, as ``-S`` tells it (a dump never has it: httpd acts on it while it reads); empty where it does not."""
    found = re.search(r'(?m)^ServerRoot: "(.+)"$', settings)
    return found.group(1) if found else ""


def parse_modules(text: str) -> Tuple[str, ...]:
    """Names of the loaded modules, without ``_module``."""
    return tuple(re.findall(r"(?m)^[ \t]+(\S+)_module \((?:static|shared)\)", text))


@dataclass(frozen=True)
class VirtualHost:
    """A virtual host as ``-S`` lists it.

    :ivar port: 0 for each port.
    :ivar place: file and line of its section.
    :ivar aliases: its ServerAlias names without wildcards; not told of one alone on its address.
    :ivar default: serves its address and port for all names that no other one has.
    """

    address: str
    port: int
    name: str
    place: str
    aliases: Tuple[str, ...] = ()
    default: bool = False


def parse_vhosts(text: str) -> List[VirtualHost]:
    """All virtual hosts. One alone on its address stands in that address's own line."""
    found = []
    address, port, default = "*", 0, True
    for line in text.splitlines():
        alone = re.match(r"(\S+):(\d+|\*)\s+(\S+) \((.+:\d+)\)\Z", line)
        group = re.match(r"(\S+):(\d+|\*)\s+is a NameVirtualHost\Z", line)
        named = re.match(r"\s+port (\d+|\*) namevhost (\S+) \((.+:\d+)\)\Z", line)
        alias = re.match(r"\s+alias (\S+)\Z", line)
        first = alone or group
        if first:
            address, port, default = first.group(1), _port(first.group(2)), True
        if alone:
            found.append(VirtualHost(address, port, alone.group(3), alone.group(4), default=True))
        elif named:
            found.append(VirtualHost(address, _port(named.group(1)), named.group(2), named.group(3), default=default))
            default = False
        elif alias and found:
            found[-1] = replace(found[-1], aliases=(*found[-1].aliases, alias.group(1)))
    return found


def parse_defines(text: str) -> Dict[str, str]:
    """Variables of ``Define`` and ``-D``, as ``-S`` tells them."""
    return dict(re.findall(r"(?m)^Define: ([^=\n]+)=(.*)$", text))


def _port(text: str) -> int:
    return int(text) if text.isdigit() else 0


def names_of(host: Node) -> Sequence[str]:
    """ServerName and ServerAlias of a <VirtualHost> section, in lower case, without ports."""
    words = [word for node in host.named("ServerName", "ServerAlias") for word in node.words]
    return [word.lower().split("://")[-1].rsplit(":", 1)[0] for word in words]
