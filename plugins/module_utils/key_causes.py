# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the key file and the other files that a deploy makes: on the disk, and beside the running server."""

from __future__ import annotations

import re
import time
from typing import List, Optional, Protocol, Sequence, Tuple

from .apply import ApplyError, ApplyNode, Wish, wanted
from .causes import Symptom
from .live import Way, problems
from .passphrases import fingerprint, parse_file, parse_ring
from .transaction import Entry, Target, Transaction


class FilesNode(ApplyNode, Protocol):
    """What is needed of a node."""

    def modified(self, path: str) -> Optional[float]:
        """When a file was written last, seconds since the epoch."""


def judge_files(node: FilesNode, wish: Wish) -> List[Symptom]:
    """Compare what stands on the disk with what a deploy would write; changes nothing."""
    layout = wish.layout
    work = Transaction(node, layout.key_dir + "/.transaction.json")
    entry = node.entry(layout.key_file)
    if entry is None and node.entry(layout.conf_file) is None:
        return [Symptom("not_deployed", "neither %s nor %s is there" % (layout.conf_file, layout.key_file))]
    found = []
    if work.pending():
        found.append(Symptom("deploy_interrupted", "%s/.transaction.json is there" % layout.key_dir))
    found += _key_file(node, wish, entry)
    try:
        directories, targets = wanted(node, wish, node.version_of(layout.binary))
    except ApplyError as error:
        return [*found, Symptom("file_differs", str(error))]
    for item in work.wrong_directories(directories):
        if item.path == layout.key_dir:
            found.append(Symptom("key_file_open", "directory %s is not root's alone (mode 0700)" % item.path))
    others = [target for target in work.missing(targets) if target.path != layout.key_file]
    # Modules are judged by what httpd says that it loads.
    changed = [target for target in others if not layout.modules_enabled or not target.path.startswith(layout.modules_enabled)]
    return found + [Symptom("file_differs", _difference(node, target)) for target in changed]


def _key_file(node: FilesNode, wish: Wish, entry: Optional[Entry]) -> List[Symptom]:
    path = wish.layout.key_file
    if entry is None or entry.kind != "file":
        return [Symptom("key_file_missing", "%s %s" % (path, "is not there" if entry is None else "is no file"))]
    found = []
    if entry.mode & 0o077 or entry.owner != (0, 0):
        found.append(Symptom("key_file_open", "%s has mode %04o and owner %d:%d; expected 0600 and 0:0" % (
            path, entry.mode, *entry.owner)))
    text = entry.content.decode("utf-8", "replace")
    keys = parse_file(text)
    if re.search(r"(?im)^[^#\n]*\bexec:", text):
        return [*found, Symptom("key_file_exec", "%s has a word that begins with exec:" % path)]
    if not keys:
        return [*found, Symptom("key_file_empty", "%s holds no key" % path)]
    if tuple(keys) != wish.passphrases:
        found.append(Symptom("key_file_differs", "%s has %s; expected %s" % (
            path, _named(keys, parse_ring(text)), _named(wish.passphrases, wish.ring))))
    return found


def _named(keys: Sequence[str], ring: Optional[Tuple[str, int]]) -> str:
    """A list of keys as it may be shown."""
    shown = [fingerprint(key) for key in keys]
    names = ", ".join("a key without a public name" if name == "hidden" else name for name in shown)
    return names + (" of generation %d of the ring %s" % (ring[1], ring[0]) if ring else "")


def _difference(node: FilesNode, target: Target) -> str:
    entry = node.entry(target.path)
    if entry is None:
        return "%s is not there" % target.path
    if target.content is not None and entry.content != target.content:
        if target.secret:
            return "%s has another content (hidden: it holds a password)" % target.path
        have = entry.content.decode("utf-8", "replace").splitlines()
        want = target.content.decode("utf-8", "replace").splitlines()
        more, less = [line for line in have if line not in want], [line for line in want if line not in have]
        lines = "%d lines more, %d lines less than expected" % (len(more), len(less))
        differ = (number for number, line in enumerate(have, 1) if number > len(want) or line != want[number - 1])
        at = next(differ, len(have) + 1)
        return "%s differs from line %d on (%s)" % (target.path, at, lines)
    return "%s has another mode, owner or target" % target.path


def judge_loaded(node: FilesNode, wish: Wish) -> List[Symptom]:
    """Whether the running server has the key file that stands on the disk; asks that server, changes nothing."""
    path = wish.layout.key_file
    entry = node.entry(path)
    if entry is None or tuple(parse_file(entry.content.decode("utf-8", "replace"))) != wish.passphrases:
        return []
    written, loaded = node.modified(path), _loaded_at(node, wish)
    if written is None or loaded is None or written <= loaded:
        return []
    if not problems(node, wish.probes, wish.passphrases, Way(), only_keys=True):
        return []
    return [Symptom("key_not_loaded", "%s was written at %s, and httpd loaded its configuration last at %s" % (
        path, _moment(written), _moment(loaded)))]


def _loaded_at(node: FilesNode, wish: Wish) -> Optional[float]:
    """When httpd began or was reloaded last: it writes its PID file anew each time (measured, 2.4.71)."""
    _status, said = node.run([wish.layout.control, "-t", "-D", "DUMP_RUN_CFG"])
    match = re.search(r'(?m)^PidFile: "(.+)"$', said)
    return node.modified(match.group(1)) if match else None


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
