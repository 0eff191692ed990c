# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lines of an ErrorLog go: a file, a syslog, the journal, or one of these through one of the usual programs."""

from __future__ import annotations

import glob
import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

MOST = 4096
"""Characters of an ErrorLog that is understood."""

FILE, SYSLOG, UNIT, UNKNOWN = "file", "syslog", "unit", "unknown"


@dataclass(frozen=True)
class Place:
    """Where lines are to be found.

    :ivar kind: FILE, SYSLOG (``targets``: the tag, empty for httpd's own name), UNIT (the journal of httpd's unit) or UNKNOWN
        (``targets``: why they cannot be found, the end of a sentence).
    :ivar targets: of files, patterns as :mod:`glob` takes them: what is in any of them is read. A relative path of a program
        may begin at the ServerRoot or at the root, as httpd was started.
    :ivar late: the file is made with the first line, so that there may be none yet.
    """

    kind: str
    targets: Tuple[str, ...] = ()
    late: bool = False


_STDERR = re.compile(r"/dev/std(?:err|out)|/(?:dev|proc/self)/fd/[12]")
_STRFTIME = re.compile(r"(%%|%[-_0^#]?[EO]?[A-Za-z+])")
_STAGES = frozenset(("|", "|&", ";", "&&", "||", "&"))
# Options that take a value, of each program, so that the value is not taken for the log.
_OPTIONS: Dict[str, Tuple[str, Tuple[str, ...]]] = {
    "rotatelogs": ("Lpn", ()),
    "cronolog": ("HSPlpdxsz", (
        "hardlink", "symlink", "prev-symlink", "link", "period", "delay", "debug", "start-time", "time-zone")),
    "logger": ("tpfnPuS", ("tag", "priority", "file", "server", "port", "socket", "size", "msgid", "sd-id", "sd-param")),
    "systemd-cat": ("tp", ("identifier", "priority", "stderr-priority", "level-prefix", "namespace")),
    "svlogd": ("rRlb", ()),
    "tee": ("", ("output-error",)),
}


def place_of(value: str, server_root: str) -> Place:
    """Where the lines of an ErrorLog go.

    :param value: the directive's argument, without its quotes.
    :param server_root: where relative paths begin.
    """
    value = value.strip()
    if len(value) > MOST:
        return Place(UNKNOWN, ("it is longer than %d characters" % MOST,))
    if value.startswith("|"):
        return _program(value, server_root)
    if value == "syslog" or value.startswith("syslog:"):
        return Place(SYSLOG, (value.split(":")[2] if value.count(":") > 1 else "",))
    if value == "journald" or value.startswith("journald:"):
        return Place(UNIT)
    return _file(value, server_root)


def _file(path: str, server_root: str) -> Place:
    if _STDERR.fullmatch(path):
        return Place(UNIT)
    if path == "/dev/null":
        return Place(UNKNOWN, ("its lines are thrown away",))
    return Place(FILE, (glob.escape(posixpath.join(server_root, path)),))


# -- programs -----------------------------------------------------------------------------------------------------------

def _program(value: str, root: str) -> Place:
    """A piped log: ``|program`` and ``||program`` start it, ``|$command`` has a shell start it."""
    shell = value.startswith("|$")
    command = value.lstrip("|")[1:] if shell else value.lstrip("|")
    return _command(command, root, shell) or Place(UNKNOWN, ("what that program does with the lines is not known here",))


def _command(command: str, root: str, shell: bool) -> Optional[Place]:
    """The first place of the stages of a command: all of them get the same lines."""
    found = [place for words in _stages(command, shell) for place in [_stage(words, root)] if place]
    return min(found, key=lambda place: (FILE, SYSLOG, UNIT, UNKNOWN).index(place.kind)) if found else None


def _stages(command: str, shell: bool) -> List[List[str]]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>" if shell else False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return []
    stages: List[List[str]] = [[]]
    for word in words:
        if shell and word in _STAGES:
            stages.append([])
        else:
            stages[-1].append(word)
    return stages


def _stage(words: Sequence[str], root: str) -> Optional[Place]:
    """Where one program puts its lines. What starts it (nice, sudo, env, chpst, setuidgid, exec ...) may stand before it."""
    sent = None
    for at, word in enumerate(words):
        if word.lstrip(">") == "" and word and at + 1 < len(words) and (at == 0 or words[at - 1] != "2"):
            sent = _of_program(words[at + 1], root)
    if sent and sent.kind == FILE:
        return sent
    for at, word in enumerate(words):
        name = posixpath.basename(word)
        if name in _PROGRAMS:
            return sent if sent and name == "cat" else _PROGRAMS[name](name, words[at + 1:], root)
    return sent


def _of_program(path: str, root: str, late: bool = False, times: bool = False) -> Place:
    """A file that a program writes."""
    if _STDERR.fullmatch(path) or path == "/dev/null":
        return _file(path, root)
    bases = [path] if path.startswith("/") else [posixpath.join(root, path), "/" + path]
    return Place(FILE, tuple(_pattern(base) if times else glob.escape(base) for base in bases), late)


def _pattern(path: str) -> str:
    """A name with conversions of strftime as a pattern."""
    parts = _STRFTIME.split(path)
    return "".join(glob.escape(part) if at % 2 == 0 else "%" if part == "%%" else "*" for at, part in enumerate(parts))


def _read_options(program: str, words: Sequence[str]) -> Tuple[Dict[str, str], List[str]]:
    """Options of a program, and what stands behind them."""
    short, long = _OPTIONS.get(program, ("", ()))
    given: Dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals and name in long and at < len(words):
                value, at = words[at], at + 1
            given[name] = value
        elif word.startswith("-") and len(word) > 1:
            for place, letter in enumerate(word[1:], 2):
                if letter not in short:
                    given[letter] = ""
                    continue
                given[letter] = word[place:]
                if not given[letter] and at < len(words):
                    given[letter], at = words[at], at + 1
                break
        else:
            at -= 1
            break
    return given, list(words[at:])


def _rotating(program: str, words: Sequence[str], root: str) -> Optional[Place]:
    """rotatelogs and cronolog: the log is what stands behind the options; both make it with its first line."""
    given, rest = _read_options(program, words)
    return _of_program(rest[0], root, late="f" not in given and "c" not in given, times=True) if rest else None


def _tagged(program: str, words: Sequence[str], root: str) -> Optional[Place]:
    """logger and systemd-cat."""
    given, _rest = _read_options(program, words)
    if program == "logger" and {"n", "server"} & set(given):
        return Place(UNKNOWN, ("they are sent to %s" % (given.get("n") or given.get("server") or "another machine"),))
    tag = next((given[name] for name in ("t", "tag", "identifier") if given.get(name)), "")
    if not tag and program == "systemd-cat":
        return Place(UNIT)
    return Place(SYSLOG, (tag or "root",))


def _folders(program: str, words: Sequence[str], root: str) -> Optional[Place]:
    """multilog, s6-log, svlogd: a folder with the file ``current`` and older ones."""
    _given, rest = _read_options(program, words)
    folders = [word for word in rest if program == "svlogd" or word[:1] in ("/", ".")]
    if not folders:
        return None
    base = _of_program(posixpath.normpath(folders[0]), root, late=True)
    return Place(FILE, tuple(folder + name for folder in base.targets for name in ("/current", "/@*")), late=True)


def _copies(program: str, words: Sequence[str], root: str) -> Optional[Place]:
    """tee: the same lines in each of its files."""
    files = [word for word in words if not word.startswith("-")]
    return _of_program(files[0], root) if files else Place(UNIT)


def _passes(_program: str, _words: Sequence[str], _root: str) -> Optional[Place]:
    """cat: what it writes is what httpd writes, into the journal of its unit."""
    return Place(UNIT)


def _shell(_program: str, words: Sequence[str], root: str) -> Optional[Place]:
    for at, word in enumerate(words[:-1]):
        if re.fullmatch(r"-[a-z]*c", word):
            return _command(words[at + 1], root, shell=True)
    return None


_PROGRAMS: Dict[str, Callable[[str, Sequence[str], str], Optional[Place]]] = {
    "rotatelogs": _rotating, "rotatelogs2": _rotating, "cronolog": _rotating,
    "logger": _tagged, "systemd-cat": _tagged,
    "multilog": _folders, "s6-log": _folders, "svlogd": _folders,
    "tee": _copies, "cat": _passes,
    "sh": _shell, "bash": _shell, "dash": _shell, "ksh": _shell, "zsh": _shell,
}
