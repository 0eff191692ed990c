# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits an operator's file of virtual hosts: one ``Include`` in each block that serves a scope, and no other change.

A block serves a scope if it names the scope's virtual host and is for the scope's port. Variables are replaced as far as the file
or httpd itself tells them; a block that a macro makes is not there to be edited.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from dataclasses import dataclass, field
from typing import Collection, Dict, List, Mapping, Optional, Sequence, Tuple

from .layout import Layout
from .scopes import Scope

_LINE = re.compile(r"(?:[^\n]*\\\r?\n)*[^\n]*(?:\n|\Z)")
"""A line with its end, together with those that continue it."""


def include_files(scopes: Sequence[Scope], layout: Layout) -> Dict[str, List[Scope]]:
    """The files that virtual hosts include, each with its scopes: one for each host, and port where a host has several."""
    found: Dict[str, List[Scope]] = {}
    for scope in sorted((scope for scope in scopes if scope.virtual_host), key=lambda scope: (scope.virtual_host, scope.port)):
        several = len({other.port for other in scopes if other.virtual_host == scope.virtual_host}) > 1
        found.setdefault(layout.include_file(scope.virtual_host, scope.port if several else 0), []).append(scope)
    return found


def include_line(include_file: str) -> str:
    """The line that an operator's virtual host needs to have its scopes."""
    return 'Include "%s"' % include_file


def is_include_of(row: str, folder: str) -> bool:
    """Whether a line does nothing but include one file of a folder."""
    words = _words(row)
    return len(words) == 2 and words[0].lower() in ("include", "includeoptional") and posixpath.dirname(words[1]) == folder


@dataclass
class _Block:
    """A ``<VirtualHost>`` of a file.

    :ivar line: number of its first line in the file, from 1.
    :ivar rows: positions of its first and last row in the list of rows.
    :ivar ports: that it is for; 0 for each port, None for one that is not known.
    :ivar macro: the macro that it is a part of, empty for none.
    """

    line: int
    rows: Tuple[int, int]
    ports: List[Optional[int]]
    names: List[str] = field(default_factory=list)
    macro: str = ""

    def names_host(self, host: str) -> bool:
        return host in self.names

    def is_for(self, port: int) -> bool:
        return bool({0, port} & set(self.ports))

    def wildcard(self, host: str) -> str:
        return next((name for name in self.names if re.search("[*?]", name) and fnmatch.fnmatchcase(host, name)), "")


@dataclass
class _File:
    rows: List[str]
    blocks: List[_Block] = field(default_factory=list)
    macros: Dict[str, List[str]] = field(default_factory=dict)
    uses: List[Tuple[int, List[str]]] = field(default_factory=list)


def rivals(scope: Scope, scopes: Sequence[Scope]) -> List[str]:
    """Other virtual hosts with a scope on the same port that reaches the same paths: they cannot be one block with this one."""
    mine = scope.path.rstrip("/") + "/"
    return [other.virtual_host for other in scopes
            if other.virtual_host not in ("", scope.virtual_host) and other.port == scope.port
            and (mine.startswith(other.path.rstrip("/") + "/") or (other.path.rstrip("/") + "/").startswith(mine))]


def with_includes(text: str, host: str, files: Mapping[int, str], defines: Optional[Mapping[str, str]] = None,
                  served: Optional[Mapping[int, Collection[int]]] = None, others: Collection[str] = ()) -> str:
    """The file's text with each ``Include`` at the end of the blocks that serve its scopes, and nowhere else.

    A block is the host's if its ServerName or one of its ServerAlias names it (with or without a port); a wildcard that
    fits it does not: such a block serves other hosts as well. Includes that stand in the host's other blocks are removed.

    :param host: the virtual host, in lower case.
    :param files: by port, the file to include.
    :param defines: variables of httpd, as ``-S`` tells them.
    :param served: by port, the lines of this file where a block begins that httpd itself says to serve the host.
    :param others: hosts that must not be served by the same block, as :func:`rivals` tells them.
    :raises LookupError: no block that can be edited serves the host on one of the ports, or a block is not closed. The text is
        the end of a sentence, with what to do.
    """
    served = served or {}
    parsed = _parse(text, dict(defines or {}))
    rows = list(parsed.rows)
    missing = set(files)
    for block in parsed.blocks:
        first, last = block.rows
        told = [port for port, lines in served.items() if block.line in lines]
        inside = range(first + 1, last)
        if block.macro or not (block.names_host(host) or told):
            missing -= {port for port, path in files.items() if (block.is_for(port) or None in block.ports) and any(
                _includes(rows[row], path) for row in inside)}
            continue
        wanted = {port: path for port, path in files.items() if port in told or (block.names_host(host) and block.is_for(port))}
        missing -= set(wanted)
        both = [other for other in others if block.names_host(other)]
        if wanted and both:
            raise LookupError("the block in line %d serves %s and %s, which have scopes for the same paths: httpd would have the "
                              "last one for both names. Keep the scopes of one of these names: it holds for the others too" % (
                                  block.line, host, " and ".join(both)))
        for row in inside:
            if _is_of_host(rows[row], host, files):
                rows[row] = ""
        end = "\r\n" if rows[first].endswith("\r\n") else "\n"
        indent = rows[last][: len(rows[last]) - len(rows[last].lstrip())]
        lines = "".join("%s    %s%s" % (indent, include_line(path), end) for path in sorted(set(wanted.values())))
        rows[last] = lines + rows[last]
    for port in sorted(missing):
        raise LookupError(_why_not(parsed, host, port, files[port]))
    return "".join(rows)


def _parse(text: str, defines: Dict[str, str]) -> _File:
    found = _File(list(filter(None, _LINE.findall(text))))
    block: Optional[_Block] = None
    macro, number = "", 1
    for position, row in enumerate(found.rows):
        line, number = number, number + row.count("\n")
        words = _words(row)
        name = words[0].lower() if words else ""
        if name == "<macro":
            macro = words[1].lower() if len(words) > 1 else ""
            found.macros[macro] = words[2:]
        elif name == "</macro":
            macro = ""
        elif name == "use" and not macro:
            found.uses.append((line, words[1:]))
        elif name in ("define", "undefine") and len(words) > 1 and not macro:
            defines.pop(words[1], None)
            if name == "define":
                defines[words[1]] = _filled(" ".join(words[2:3]), defines)
        elif name == "<virtualhost" and block is None:
            block = _Block(line, (position, position), [_port(_filled(word, defines)) for word in words[1:]], macro=macro)
        elif name == "</virtualhost" and block is not None:
            block.rows = (block.rows[0], position)
            found.blocks.append(block)
            block = None
        elif name == "servername" and block is not None:
            block.names += [_bare(_filled(word, defines)) for word in words[1:2]]
        elif name == "serveralias" and block is not None:
            block.names += [_filled(word, defines).lower() for word in words[1:]]
    if block is not None:
        raise LookupError("a <VirtualHost> block is not closed (line %d)" % block.line)
    return found


def _joined(row: str) -> str:
    """A line as httpd sees it: what a backslash at the end continues is one."""
    return re.sub(r"\\\r?\n", "", row).strip()


def _words(row: str) -> List[str]:
    """Name and arguments; of a section without its last ``>``, and none for a comment."""
    line = _joined(row)
    if line.startswith("#"):
        return []
    if line.startswith("<") and ">" in line:
        line = line[:line.rindex(">")]
    return re.sub("[\"']", " ", line).split()


def _filled(word: str, defines: Mapping[str, str]) -> str:
    return re.sub(r"\$\{([^${}]+)\}", lambda found: defines.get(found.group(1), found.group(0)), word)


def _port(address: str) -> Optional[int]:
    if re.search(r"[$%@]", address):
        return None
    found = re.search(r":(\d+|\*)\Z", address)
    return int(found.group(1)) if found and found.group(1) != "*" else 0


def _bare(name: str) -> str:
    """A ServerName without scheme and port."""
    return re.sub(r":(\d+|\$\{?\w+\}?)?\Z", "", name.lower().split("://")[-1])


def _includes(row: str, path: str) -> bool:
    """Whether a line includes a file; a macro's parameters may stand for parts of its name."""
    words = _words(row)
    if len(words) != 2 or words[0].lower() not in ("include", "includeoptional"):
        return False
    return bool(re.match("%s\\Z" % re.sub(r"(?:\\[$%@]|[%@])(?:\\\{)?\w+(?:\\\})?", ".+", re.escape(words[1])), path))


def _is_of_host(row: str, host: str, files: Mapping[int, str]) -> bool:
    """Whether a line includes a file that this collection has, or had, for the host."""
    words = _words(row)
    if len(words) != 2 or words[0].lower() not in ("include", "includeoptional"):
        return False
    folders = {posixpath.dirname(path) for path in files.values()}
    folder, name = posixpath.split(words[1])
    return folder in folders and bool(re.match(r"%s(:\d+)?\.conf\Z" % re.escape(host), name))


# -- why a file cannot be edited --------------------------------------------------------------------------------------

def _why_not(parsed: _File, host: str, port: int, path: str) -> str:
    made = _made_by_macro(parsed, host, port, path)
    if made:
        return made
    named = [block for block in parsed.blocks if block.names_host(host) and not block.macro]
    unknown = [block for block in named if None in block.ports]
    if unknown:
        return ("the port of the block of %s in line %d is a variable that httpd does not tell; write the number. Or add %s" % (
            host, unknown[0].line, _by_hand(path)))
    if named:
        return "%s has a <VirtualHost> block for %s, none for port %d: correct port of the scope, or name the file that has " \
               "that block" % (host, " and ".join("port %s (line %d)" % (
                   ", ".join(str(one) for one in block.ports), block.line) for block in named), port)
    text = "no <VirtualHost> block has ServerName or ServerAlias %s" % host
    for block in parsed.blocks:
        if block.is_for(port) and block.wildcard(host):
            return "%s; the one in line %d serves it as %s, together with other hosts. Give its ServerName as virtual_host" % (
                text, block.line, block.wildcard(host))
    for block in parsed.blocks:
        words = [_words(row)[:1] for row in parsed.rows[block.rows[0]:block.rows[1]]]
        if block.is_for(port) and any(word[0].lower() in ("include", "includeoptional", "use") for word in words if word):
            return "%s. If the one in line %d has it from a file or macro, add %s" % (text, block.line, _by_hand(path))
    for block in parsed.blocks:
        if block.is_for(port) and not block.names and not block.macro:
            return "%s; the one in line %d has no name: add ServerName %s to it" % (text, block.line, host)
    return text


def _by_hand(path: str) -> str:
    return "by hand, before its </VirtualHost>, %s, and leave virtual_host_file out" % include_line(path)


def _made_by_macro(parsed: _File, host: str, port: int, path: str) -> str:
    """What to add to the macro that makes the host, as a sentence; empty where none does."""
    for line, words in parsed.uses:
        macro = words[0].lower() if words else ""
        if macro not in parsed.macros:
            if host in [word.lower() for word in words[1:]]:
                return ("line %d makes %s with the macro %s, which is defined elsewhere and cannot be edited. Add to that macro "
                        "by hand, before its </VirtualHost>, %s, with the macro's parameter in place of the name, and leave "
                        "virtual_host_file out" % (line, host, words[0], _optional(path)))
            continue
        values = dict(zip(parsed.macros[macro], words[1:]))
        for block in parsed.blocks:
            if block.macro != macro:
                continue
            names = [_bare(_with_values(name, values)) for name in block.names]
            if host not in names:
                continue
            given = _with_values(_joined(parsed.rows[block.rows[0]]).rstrip(">"), values)
            ports = [_port(word) for word in given.replace('"', " ").split()[1:]]
            if not {0, port} & set(ports):
                continue
            parameter = next((name for name, value in values.items() if value.lower() == host), "")
            last = sum(row.count("\n") for row in parsed.rows[:block.rows[1]]) + 1
            return "line %d makes %s with the macro %s, which cannot be edited. Add by hand in line %d, before </VirtualHost>, " \
                   "%s" % (line, host, words[0], last, _optional(path.replace(host, parameter) if parameter else path))
    return ""


def _optional(path: str) -> str:
    return 'IncludeOptional "%s"' % path


def _with_values(text: str, values: Mapping[str, str]) -> str:
    for name in sorted(values, key=len, reverse=True):
        text = re.sub(re.escape(name), values[name].replace("\\", r"\\"), text, flags=re.I)
    return text
