# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a set of files live together, or leaves them as they were, whatever happens on the way.

The door to the system is an argument (``node``, see :class:`Door`); nothing here touches files by itself. What makes it
safe to be killed between any two steps:

* New contents are staged beside their targets and old ones kept there by a hard link, so that neither going live nor
  going back needs disk space: each is one ``rename``.
* A journal says what is under way. It is written before the first file is staged and marked ``swapping`` before the
  first one goes live. Until it is marked ``committed`` the old state can be restored; it is removed last of all.
* Targets go live in the order given: what is referred to comes before what refers to it, so that a reload at any
  moment, by anybody, finds a configuration that is whole.
* The journal has a hash of each file before and after. What somebody else has changed meanwhile, by its content, mode or
  owner, is neither put back nor removed; where it names a file that is new, nothing is, for it would be incomplete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import Dict, List, Optional, Protocol, Sequence, Tuple


@dataclass(frozen=True)
class Entry:
    """What stands at a path: ``kind`` is ``file``, ``link`` or ``other``; ``content`` the bytes of a file, ``link`` the
    target of a symbolic link; ``mode`` the permission bits; ``owner`` user and group id."""

    kind: str
    mode: int = 0
    owner: Tuple[int, int] = (0, 0)
    content: bytes = b""
    link: str = ""


@dataclass(frozen=True)
class Target:
    """One file or symbolic link as it should be.

    :ivar content: bytes of the file; None for a symbolic link.
    :ivar link: target of the symbolic link, empty for a file.
    :ivar mode: permission bits; None keeps those of the file that is there, and its owner.
    :ivar secret: the content must not be shown.
    """

    path: str
    content: Optional[bytes] = None
    link: str = ""
    mode: Optional[int] = 0o644
    secret: bool = False

    def matches(self, entry: Optional[Entry]) -> bool:
        """Whether what stands at the path is what is wanted."""
        if entry is None:
            return False
        if self.link:
            return entry.kind == "link" and entry.link == self.link
        same = entry.kind == "file" and entry.content == self.content
        return same and (self.mode is None or (entry.mode == self.mode and entry.owner == (0, 0)))


@dataclass(frozen=True)
class Directory:
    """A directory that must exist, root's, with these permission bits."""

    path: str
    mode: int


class Door(Protocol):
    """What a transaction needs of a node. Every method is one system call in effect; all may raise OSError."""

    def entry(self, path: str) -> Optional[Entry]:
        """What stands at a path, not following links; None for nothing."""

    def directory_mode(self, path: str) -> Optional[int]:
        """Permission bits of a directory; None where there is none."""

    def make_directory(self, path: str, mode: int) -> None:
        """Create a directory, or set the mode and owner of the one that is there."""

    def remove_directory(self, path: str) -> None:
        """Remove a directory if it is there and empty."""

    def write(self, path: str, content: bytes, mode: int, owner: Tuple[int, int]) -> None:
        """Write a file anew and flush it to the disk; never visible with a wider mode than given."""

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""

    def hard_link(self, source: str, path: str) -> None:
        """Make a hard link, not following symbolic links."""

    def rename(self, source: str, path: str) -> None:
        """Move ``source`` to ``path``, replacing what is there, and flush the directory to the disk."""

    def remove(self, path: str) -> None:
        """Remove a file or link if it is there, and flush the directory to the disk."""


def _beside(path: str, suffix: str) -> str:
    directory, _slash, name = path.rpartition("/")
    return "%s/.%s.mod-session-%s" % (directory, name, suffix)


class JournalError(OSError):
    """The journal of a run that was killed cannot be read; prints as a sentence that says what to do."""


class Transaction:
    """Puts targets live together.

    :param door: the way to the node.
    :param journal: absolute name of the journal, in a directory only root can enter.
    """

    def __init__(self, door: Door, journal: str) -> None:
        self.door = door
        self.journal = journal

    def missing(self, targets: Sequence[Target]) -> List[Target]:
        """The targets that are not as they should be, once what a killed run left is undone."""
        state = self._read()
        stays = self._stays(state)
        return [target for target in targets if not target.matches(self._before(state, stays, target.path))]

    def wrong_directories(self, directories: Sequence[Directory]) -> List[Directory]:
        """The directories that are not there or not as they should be."""
        return [item for item in directories if self.door.directory_mode(item.path) != item.mode]

    def stage(self, directories: Sequence[Directory], targets: Sequence[Target]) -> None:
        """Write everything beside its place. Nothing live is changed; all the disk space that is needed is now taken.

        :raises OSError: for example a full disk; :meth:`undo` removes what was staged.
        """
        before = [(item, self.door.directory_mode(item.path)) for item in directories]
        created = [item.path for item, mode in before if mode is None]
        modes = {item.path: (mode, item.mode) for item, mode in before if mode not in (None, -1, item.mode)}
        for item, mode in before:
            if item.path == self.journal.rpartition("/")[0] and mode in (None, -1):
                self.door.make_directory(item.path, item.mode)
        self._write(_State("staging", [_Row(target.path, "", "") for target in targets], created, modes))
        for item in directories:
            self.door.make_directory(item.path, item.mode)
        rows = []
        for target in targets:
            old = self.door.entry(target.path)
            new = _beside(target.path, "new")
            if target.link:
                self.door.symlink(target.link, new)
            else:
                kept = old if target.mode is None and old is not None and old.kind == "file" else None
                mode, owner = (kept.mode, kept.owner) if kept else (target.mode or 0o644, (0, 0))
                self.door.write(new, target.content or b"", mode, owner)
            if old is not None:
                self.door.hard_link(target.path, _beside(target.path, "old"))
            rows.append(_Row(target.path, _digest(old), _digest(self.door.entry(new))))
        self._write(_State("swapping", rows, created, modes))

    def swap(self, targets: Sequence[Target]) -> None:
        """Make the staged files live, one atomic rename each, in order."""
        for target in targets:
            self.door.rename(_beside(target.path, "new"), target.path)

    def commit(self) -> None:
        """The new state is proven: forget the old one.

        :raises OSError: only where the old state is still what :meth:`undo` goes back to.
        """
        state = self._read()
        self._write(_State("committed", state.rows, state.created, state.modes))
        # What cannot be removed now is removed by the next run: it finds "committed".
        with contextlib.suppress(OSError):
            self._clean(self._read())

    def put_back(self, keep: Sequence[str] = ()) -> str:
        """Put the old files back where the new ones may be live, and still know that this is under way.

        What somebody else has changed stays, see :meth:`changed_by_others`.

        :param keep: paths that stay as they are.
        :returns: what was found, as :meth:`undo` says.
        """
        state = self._read()
        if state.name == "swapping":
            stays = {*keep, *self._stays(state)}
            for row in reversed(state.rows):
                if row.path not in stays:
                    self._put_back(row)
        return state.name

    def changed_by_others(self) -> List[str]:
        """Paths of this transaction where neither its old file stands nor its new one."""
        state = self._read()
        if state.name != "swapping":
            return []
        return [row.path for row in state.rows if _digest(self.door.entry(row.path)) not in (row.old, row.new)]

    def _stays(self, state: "_State") -> List[str]:
        """What is not put back: all that others changed, or everything where that names a file which is new."""
        changed = self.changed_by_others() if state.name == "swapping" else []
        new = [row.path.encode("utf-8", "surrogateescape") for row in state.rows if not row.old]
        entries = [self.door.entry(path) for path in changed]
        if any(path in entry.content for entry in entries if entry for path in new):
            return [row.path for row in state.rows]
        return changed

    def undo(self, keep: Sequence[str] = ()) -> str:
        """Go back to the state before :meth:`stage`, from wherever this or an earlier run stopped.

        :param keep: paths that stay as they are.
        :returns: what was found: ``""`` (no journal), ``"staging"`` (nothing had gone live), ``"swapping"`` (files
            were put back, the server may have loaded them) or ``"committed"`` (only cleaning was left to do).

        Needs no disk space. May be killed and called again. A directory for the journal with nothing in it counts as
        left over: a run may have been killed between making it and writing the journal.
        """
        state = self._read()
        self.door.remove(self.journal + ".new")
        self.put_back(keep)
        if state.name:
            self._clean(state)
        if state.name != "committed":
            self.door.remove_directory(self.journal.rpartition("/")[0])
        return state.name

    def pending(self) -> bool:
        """Whether a run that was killed has left something to undo; so where its journal cannot be read."""
        try:
            return bool(self._read().name)
        except JournalError:
            return True

    def before(self, path: str) -> Optional[Entry]:
        """What :meth:`undo` would leave at a path."""
        state = self._read()
        return self._before(state, self._stays(state), path)

    def _before(self, state: "_State", stays: Sequence[str], path: str) -> Optional[Entry]:
        row = next((row for row in state.rows if row.path == path), None)
        if state.name != "swapping" or row is None or path in stays:
            return self.door.entry(path)
        if not row.old:
            return None
        return self.door.entry(_beside(path, "old")) or self.door.entry(path)

    def _put_back(self, row: "_Row") -> None:
        old = _beside(row.path, "old")
        if not row.old:
            self.door.remove(row.path)
        elif self.door.entry(old) is not None:
            self.door.rename(old, row.path)  # changes nothing where both are still one file

    def _clean(self, state: "_State") -> None:
        for row in state.rows:
            self.door.remove(_beside(row.path, "new"))
            self.door.remove(_beside(row.path, "old"))
        # The journal goes last: as long as anything is left, it is known.
        if state.name != "committed":
            for path in reversed(state.created):
                self.door.remove_directory(path)
            for path, (mode, set_to) in state.modes.items():
                if self.door.directory_mode(path) == set_to:
                    self.door.make_directory(path, mode)
        self.door.remove(self.journal)

    def _write(self, state: "_State") -> None:
        rows = [[row.path, row.old, row.new] for row in state.rows]
        text = json.dumps({"version": 2, "state": state.name, "paths": rows, "created": state.created, "modes": state.modes})
        self.door.write(self.journal + ".new", text.encode("utf-8"), 0o600, (0, 0))
        self.door.rename(self.journal + ".new", self.journal)

    def _read(self) -> "_State":
        entry = self.door.entry(self.journal)
        if entry is None:
            return _State("", [], [], {})
        try:
            data = json.loads(entry.content.decode("utf-8"))
            modes = {path: (before, after) for path, (before, after) in data["modes"].items()}
            return _State(data["state"], [_Row(*row) for row in data["paths"]], data["created"], modes)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise JournalError(
                "%s, which says what a deploy that was cut off had begun, cannot be read (%s). Nothing was changed. Look beside "
                "the files of the deploy for some that end in .mod-session-old, put back what you need, then remove it" % (
                    self.journal, type(error).__name__)) from error


def _digest(entry: Optional[Entry]) -> str:
    """Names all of what stands at a path; empty for nothing."""
    return hashlib.sha256(repr(entry).encode("utf-8", "surrogateescape")).hexdigest() if entry else ""


@dataclass(frozen=True)
class _Row:
    """A path of the journal: what stood there, empty for nothing, and what is to stand there, each by its :func:`_digest`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class _State:
    """What the journal says: its rows, directories that were not there, and those whose mode was another one: that, and the one
    that it was given."""

    name: str
    rows: List[_Row]
    created: List[str]
    modes: Dict[str, Tuple[int, int]]
