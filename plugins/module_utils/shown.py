# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a configuration may be shown, in a diff or in a sentence: any of an operator's own lines may hold a secret."""

from __future__ import annotations

import difflib
import re
from typing import Callable, List, Optional, Protocol, Sequence, Tuple

from .config import DIRECTIVES_BEGIN, DIRECTIVES_END
from .transaction import Entry

HIDDEN = "(hidden)"
DIFFERS = "# what is hidden here differs\n"
LEAST = 4
"""Shorter words of a line are shown where httpd quotes them: they are no secrets, and all over its sentences."""

HARMLESS = ("loadmodule", "loadfile", "include", "includeoptional", "listen", "servername", "serveralias", "serverroot",
            "documentroot", "user", "group", "sslcertificatefile", "sslcertificatekeyfile", "sslcacertificatefile",
            "dbdriver", "sessioncryptopassphrasefile", "sessioncryptocipher", "sessionmaxage", "sessionexpiryupdateinterval")
"""Directives, in lower case, whose arguments are shown."""

_SECRET = re.compile(r"(?im)^([ \t]*\S*(?:passphrase|password|secret|passwd|DBDParams)\s+).*$")
_OPERATORS = re.compile(r"(?ms)^[ \t]*%s\n(.*?)^[ \t]*%s$" % (re.escape(DIRECTIVES_BEGIN), re.escape(DIRECTIVES_END)))
_QUOTED_FROM = re.compile(r"line (\d+) of ([^\n:]+):")


def own_file(before: str, after: str) -> Tuple[str, str]:
    """Both states of a file of ours, without what stands behind the name of an operator's directive."""
    shown = _own(before), _own(after)
    return (shown[0], DIFFERS + shown[1]) if shown[0] == shown[1] and before != after else shown


def _own(text: str) -> str:
    def names_only(found: "re.Match[str]") -> str:
        return re.sub(r"(?m)^([ \t]*\S+)[ \t].*$", r"\1 " + HIDDEN, found.group(0).replace(DIRECTIVES_BEGIN, "\0").replace(
            DIRECTIVES_END, "\1")).replace("\0", DIRECTIVES_BEGIN).replace("\1", DIRECTIVES_END)

    return _SECRET.sub(r"\1" + HIDDEN, _OPERATORS.sub(names_only, text))


def operators_file(before: str, after: str, ours: Callable[[str], bool]) -> Tuple[str, str]:
    """Both states of an operator's file, but of its lines only those that change, with the virtual host that they are in.

    :param ours: whether a line is one that we write; others are hidden.
    """
    old, new = before.splitlines(), after.splitlines()
    shown: Tuple[List[str], List[str]] = ([], [])
    for kind, begin, end, new_begin, new_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        place = _place(old, begin)
        for rows, lines, first, last in ((shown[0], old, begin, end), (shown[1], new, new_begin, new_end)):
            if place not in rows:
                rows.append(place)
            rows += ["line %d:     %s" % (number + 1, lines[number].strip() if ours(lines[number]) else HIDDEN)
                     for number in range(first, last)]
    texts = ["".join(row + "\n" for row in rows) for rows in shown]
    return texts[0], texts[1]


def _place(lines: Sequence[str], index: int) -> str:
    for number in range(index - 1, -1, -1):
        if re.match(r"(?i)\s*</?(virtualhost|macro)\b", lines[number]):
            if lines[number].lstrip().startswith("</"):
                break
            name = re.match(r"\s*(<\w+)", lines[number])
            addresses = re.match(r"(?i)\s*<virtualhost[\w\s.:*\[\]\"-]*>\s*\Z", lines[number])
            return "line %d: %s" % (number + 1, lines[number].strip() if addresses or not name else name.group(1) + " ...>")
    return "outside of any virtual host"


def said_of_lines(said: str, read: Callable[[str], str]) -> str:
    """What httpd says of a configuration, without what it quotes from its lines but the directives' names.

    :param read: the text of a file by its name; empty where it is not there.
    """
    for number, path in _QUOTED_FROM.findall(said):
        words = re.findall(r"[^\s'\"=<>()]+", _logical_line(read(path).splitlines(), int(number)))
        if words and words[0].lower() not in HARMLESS:
            for word in sorted({word for word in words[1:] if len(word) >= LEAST}, key=len, reverse=True):
                parts = re.split(r"(line \d+ of [^\n:]+:)", said)
                whole = r"(?<!\w)%s(?!\w)" % re.escape(word)
                said = "".join(part if at % 2 else re.sub(whole, HIDDEN, part) for at, part in enumerate(parts))
    return said


class Files(Protocol):
    """What is needed of a node to read what httpd quotes from."""

    def entry(self, path: str) -> Optional[Entry]:
        """What stands at a path."""

    def real_path(self, path: str) -> str:
        """The path with all symbolic links followed."""


def reader(node: Files) -> Callable[[str], str]:
    """Reads the files of a node, for :func:`said_of_lines`."""
    def read(path: str) -> str:
        entry = node.entry(node.real_path(path))
        return entry.content.decode("utf-8", "replace") if entry else ""

    return read


def _logical_line(lines: Sequence[str], number: int) -> str:
    """A line with those that it continues, and that continue it."""
    first = last = number - 1
    if not 0 <= first < len(lines):
        return ""
    while first > 0 and lines[first - 1].endswith("\\"):
        first -= 1
    while last < len(lines) - 1 and lines[last].endswith("\\"):
        last += 1
    return " ".join(line.rstrip("\\") for line in lines[first:last + 1])
