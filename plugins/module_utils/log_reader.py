# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads error logs wherever httpd writes them, within bounded memory and time: files, their rotations, syslog, the journal."""

from __future__ import annotations

import bz2
import glob
import gzip
import json
import lzma
import os
import posixpath
import re
import shlex
import subprocess
import threading
import time
from typing import BinaryIO, Callable, Dict, List, Optional, Protocol, Sequence, Tuple

from .errorlog import stamp

CHUNK = 1 << 20
"""Bytes that are held at once."""

LONGEST = 1 << 16
"""Bytes of a line that are looked at; httpd's own have at most 8,192."""

SYSLOGS = ("/var/log/syslog", "/var/log/messages")


_OPENERS: Dict[str, Callable[[str], BinaryIO]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}  # type: ignore[dict-item]


class Feed(Protocol):
    """What takes the lines."""

    until: int

    def feed(self, line: str, moment: Optional[int] = None) -> None:
        """Take a line; ``moment`` is its time where the line does not tell it."""


class Budget:
    """How much may still be read, and until when."""

    def __init__(self, size: int, seconds: float) -> None:
        self.size = size
        self.end = time.monotonic() + seconds

    def spent(self) -> str:
        """Why no more may be read, as the end of a sentence; empty where more may."""
        if self.size <= 0:
            return "only the newest part was read: there is more than is read in one run"
        return "it took too long" if time.monotonic() > self.end else ""


def read_logs(error_logs: Sequence[str], server_root: str, service: str, tally: Feed, since: int, max_bytes: int,
              max_seconds: float) -> List[str]:
    """Feed all error logs to a tally, the newest files first.

    :param error_logs: values of ErrorLog, as the configuration has them.
    :param service: httpd's systemd unit, whose journal has what is written before a log is open.
    :param since: seconds since the epoch; older lines are skipped without reading them, where a file is in order.
    :returns: sentences about what was not read.
    """
    budget = Budget(max_bytes, max_seconds)
    unread: List[str] = []
    files: Dict[str, None] = {}
    tags: Dict[str, None] = {}
    for value in error_logs:
        kind, target = source(value, server_root)
        if kind == "file":
            files[target] = None
        elif kind == "syslog":
            tags[target or posixpath.basename(service)] = None
        else:
            unread.append("ErrorLog %s: what that program does with the lines is not known here" % target)
    for path in files:
        unread += _read_file_and_rotations(path, tally, since, budget)
    if tags:
        unread += _read_syslog(list(tags), tally, since, budget)
    return unread


def source(value: str, server_root: str) -> Tuple[str, str]:
    """Where the lines of an ErrorLog go: ``("file", path)``, ``("syslog", tag)`` or ``("program", command)``."""
    value = value.strip().strip("\"'")
    if value.startswith("syslog"):
        return "syslog", value.split(":")[2] if value.count(":") > 1 else ""
    if value.startswith("|"):
        try:
            words = shlex.split(value.lstrip("|$"))
        except ValueError:
            words = value.lstrip("|$").split()
        program = posixpath.basename(words[0]) if words else ""
        if program == "rotatelogs":
            paths = [word for word in words[1:] if word.startswith("/")]
            if paths:
                return "file", re.sub(r"%[-_0^#]?[A-Za-z]", "*", paths[0])
        if program in ("logger", "systemd-cat"):
            for at, word in enumerate(words[:-1]):
                if word in ("-t", "--tag", "--identifier"):
                    return "syslog", words[at + 1]
            return "syslog", "root" if program == "logger" else ""
        return "program", value
    return "file", value if value.startswith("/") else posixpath.join(server_root, value)


def _read_file_and_rotations(path: str, tally: Feed, since: int, budget: Budget) -> List[str]:
    rotated = path + "*" if "*" in path else glob.escape(path) + "[-.]*"
    names = {name for name in (*glob.glob(path), *glob.glob(rotated)) if os.path.isfile(name)}
    found = sorted(names, key=lambda name: -os.stat(name).st_mtime)
    if not found:
        return ["%s is not there" % path]
    unread = []
    for name in found:
        if os.stat(name).st_mtime < since:
            break
        spent = budget.spent()
        if spent:
            unread.append("%s and what is older was not read: %s" % (name, spent))
            break
        try:
            said = _read_file(name, tally, since, budget)
        except (OSError, EOFError, lzma.LZMAError) as error:
            said = getattr(error, "strerror", None) or str(error)
        if said:
            unread.append("%s: %s" % (name, said))
    return unread


def _read_file(name: str, tally: Feed, since: int, budget: Budget) -> str:
    if name.endswith(".zst"):
        return "it is compressed with zstd, which Python cannot read here"
    opener = _OPENERS.get(posixpath.splitext(name)[1])
    if opener:
        with opener(name) as packed:
            return _feed(packed, tally, budget)
    with open(name, "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        start = _first_since(handle, size, since, tally.until)
        from_here = max(start, size - budget.size)
        handle.seek(from_here)
        if from_here == start:
            return _feed(handle, tally, budget)
        handle.readline(LONGEST)
        return _feed(handle, tally, budget) or "of its last %d MiB the last %d MiB were read" % (
            (size - start) >> 20, (size - from_here) >> 20)


def _first_since(handle: BinaryIO, size: int, since: int, now: int) -> int:
    """Where the lines of the window begin, by bisection: a log is in the order of time. A line may lie a chunk too early."""
    low, high = 0, size
    while high - low > CHUNK:
        middle = (low + high) // 2
        at = _stamp_after(handle, middle, now)
        if at is None or at >= since:
            high = middle
        else:
            low = middle
    return low


def _stamp_after(handle: BinaryIO, offset: int, now: int) -> Optional[int]:
    handle.seek(offset)
    handle.readline(LONGEST)
    for _line in range(200):
        line = handle.readline(LONGEST)
        if not line:
            return None
        at = stamp(line.decode("utf-8", "replace"), now)
        if at is not None:
            return at
    return None


def _feed(handle: BinaryIO, tally: Feed, budget: Budget) -> str:
    """Feed what is left of a file; why not all of it, empty where all was."""
    rest = b""
    while True:
        spent = budget.spent()
        if spent:
            return spent
        chunk = handle.read(CHUNK)
        budget.size -= len(chunk)
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[-LONGEST:]
        if not chunk and rest:
            lines.append(rest)
        for line in lines:
            if b"AH" in line:
                tally.feed(line[:LONGEST].decode("utf-8", "replace"))
        if not chunk:
            return ""


def _read_syslog(tags: Sequence[str], tally: Feed, since: int, budget: Budget) -> List[str]:
    if os.path.isdir("/run/systemd/journal"):
        return _read_journal(tags, tally, since, budget)
    unread = []
    for path in SYSLOGS:
        if os.path.isfile(path):
            unread += _read_file_and_rotations(path, tally, since, budget)
    return unread


def _read_journal(tags: Sequence[str], tally: Feed, since: int, budget: Budget) -> List[str]:
    command = ["journalctl", "--no-pager", "-q", "-r", "-o", "json", "--output-fields=MESSAGE", "--since=@%d" % since]
    for tag in tags:
        command += ["-t", tag]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    except OSError as error:
        return ["the journal: %s" % error]
    # A journal that gives nothing must not hold us for ever.
    timer = threading.Timer(max(0.1, budget.end - time.monotonic()), process.kill)
    timer.start()
    try:
        for line in process.stdout or ():
            budget.size -= len(line)
            if budget.spent():
                break
            if b"AH" in line:
                _feed_entry(line, tally)
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    said = budget.spent()
    return ["the journal: %s" % said] if said else []


def _feed_entry(line: bytes, tally: Feed) -> None:
    try:
        entry = json.loads(line)
        message, moment = entry["MESSAGE"], int(entry["__REALTIME_TIMESTAMP"]) // 1000000
    except (ValueError, KeyError, TypeError):
        return
    if isinstance(message, str):
        tally.feed(message, moment)
