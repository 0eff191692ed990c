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
import stat
import subprocess
import threading
import time
import zlib
from contextlib import contextmanager
from typing import BinaryIO, Callable, Dict, Iterator, List, Optional, Protocol, Sequence, Set, Tuple

from .causes import Symptom
from .log_places import FILE, SYSLOG, UNIT, UNKNOWN, place_of
from .log_time import stamp
from .text import printable

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
              max_seconds: float) -> List[Symptom]:
    """Feed all error logs to a tally, the newest files first.

    :param error_logs: values of ErrorLog, as the configuration has them.
    :param service: httpd's systemd unit, whose journal has what is written before a log is open.
    :param since: seconds since the epoch; older lines are skipped without reading them, where a file is in order.
    :returns: what was not read, ``log_unread`` or ``log_not_begun``; each names the log.
    """
    budget = Budget(max_bytes, max_seconds)
    unread: List[str] = []
    begun: List[Symptom] = []
    tags: Dict[str, None] = {}
    seen: Set[Tuple[int, int]] = set()
    of_unit = False
    for value in error_logs:
        place = place_of(value, server_root)
        if place.kind == UNKNOWN:
            unread.append("ErrorLog %s: %s" % (_named(value), place.targets[0]))
        elif place.kind == FILE:
            names = _files(place.targets)
            if not names:
                wanted = "%s (ErrorLog %s)" % (place.targets[0], _named(value)) if value.startswith("|") else place.targets[0]
                if place.late and glob.glob(posixpath.dirname(place.targets[0])):
                    begun.append(Symptom("log_not_begun", "there is no %s" % wanted))
                else:
                    unread.append("%s is not there" % wanted)
            unread += _read_files(names, seen, tally, since, budget)
        else:
            of_unit = of_unit or place.kind == UNIT or not place.targets[0]
            tags[(place.targets[0] if place.kind == SYSLOG else "") or posixpath.basename(service)] = None
    if tags:
        unread += _read_syslog(list(tags), service if of_unit else "", seen, tally, since, budget)
    return [*(Symptom("log_unread", text) for text in unread), *begun]


def _named(value: str) -> str:
    """An ErrorLog without the options of its program, which may hold a secret."""
    first, blank, _more = value.strip().partition(" ")
    return printable(first + (" ..." if blank else ""), 200)


@contextmanager
def local_time(zone: str) -> Iterator[None]:
    """Have times without a zone read as a program with this value of TZ writes them; empty for the machine's own."""
    before = os.environ.get("TZ")
    _set_zone(zone or None)
    try:
        yield
    finally:
        _set_zone(before)


def _set_zone(zone: Optional[str]) -> None:
    os.environ.pop("TZ", None)
    if zone is not None:
        os.environ["TZ"] = zone
    time.tzset()


def environment(process: int) -> Dict[str, str]:
    """The variables that a process was started with; none where it is gone."""
    try:
        with open("/proc/%d/environ" % process, "rb") as handle:
            words = handle.read(1 << 20).decode("utf-8", "replace").split("\0")
    except OSError:
        return {}
    return {name: value for name, equals, value in (word.partition("=") for word in words) if equals}


def _files(patterns: Sequence[str]) -> List[str]:
    """All files of a log with their rotations, the newest first."""
    names = {name for pattern in patterns for one in (pattern, pattern + "[-.]*") for name in glob.glob(one)}
    found = [(-os.stat(name).st_mtime, name) for name in names if os.path.exists(name) and not os.path.isdir(name)]
    return [name for _age, name in sorted(found)]


def _read_files(names: Sequence[str], seen: Set[Tuple[int, int]], tally: Feed, since: int, budget: Budget) -> List[str]:
    """Feed files, each once, whatever names it has; sentences about what was not read."""
    unread = []
    for name in names:
        spent = budget.spent()
        try:
            state = os.stat(name)
            if not stat.S_ISREG(state.st_mode):
                unread.append("%s is no regular file, and what reads it is not known here" % name)
                continue
            if state.st_mtime < since or (state.st_dev, state.st_ino) in seen:
                continue
            if spent:
                unread.append("%s and what is older was not read: %s" % (name, spent))
                break
            seen.add((state.st_dev, state.st_ino))
            said = _read_file(name, tally, since, budget)
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
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
        if not line or handle.tell() > offset + CHUNK + LONGEST:
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


def _read_syslog(tags: Sequence[str], unit: str, seen: Set[Tuple[int, int]], tally: Feed, since: int,
                 budget: Budget) -> List[str]:
    """Feed what a syslog has; where there is a journal, it has all of that."""
    if os.path.isdir("/run/systemd/journal"):
        return _read_journal(tags, unit, tally, since, budget)
    unread = []
    names = [name for path in SYSLOGS for name in _files([glob.escape(path)])]
    if not names:
        unread.append("syslog: there is neither a journal nor %s" % " nor ".join(SYSLOGS))
    return unread + _read_files(names, seen, tally, since, budget)


def _read_journal(tags: Sequence[str], unit: str, tally: Feed, since: int, budget: Budget) -> List[str]:
    """Feed entries with one of the tags, and those of a unit, where it is named."""
    command = ["journalctl", "--no-pager", "-q", "-r", "-o", "json", "--output-fields=MESSAGE", "--since=@%d" % since,
               *("SYSLOG_IDENTIFIER=%s" % tag for tag in tags)]
    if unit:
        command += ["+", "_SYSTEMD_UNIT=%s.service" % posixpath.basename(unit)]
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
            if b"AH" in line or b'"MESSAGE":[' in line:
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
        if isinstance(message, list):  # bytes that are not UTF-8
            message = bytes(message).decode("utf-8", "replace")
    except (ValueError, KeyError, TypeError):
        return
    if isinstance(message, str):
        tally.feed(message, moment)
