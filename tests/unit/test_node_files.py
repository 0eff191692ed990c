# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a file's place on a node may be anything: it is never waited for, and never read without end."""
from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugins.module_utils.node import LARGEST, Node, open_regular, read_text

NODE = Node("no-such-service")


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """A read that would wait for ever fails instead."""

    def hangs(*_given: object) -> None:
        raise AssertionError("it waits for the other end")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def bind(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may be short only
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def fifo_behind_a_link(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


OTHERS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "socket": bind,
    "directory": lambda path: path.mkdir(),
    "link to a FIFO": fifo_behind_a_link,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a terminal": lambda path: path.symlink_to("/dev/tty"),
    "link to nothing": lambda path: path.symlink_to("none"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_what_is_no_file_is_not_read(make: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / ".htaccess"
    make(path)
    assert list(NODE.htaccess_files(str(tmp_path))) == []
    assert NODE.tail(str(path), 100) == ""
    assert read_text(str(path), 100) == ""
    found = NODE.entry(str(path))
    assert (found.kind if found else "") == ("link" if path.is_symlink() else "other" if path.exists() else "")
    for follow in (True, False):
        with pytest.raises(OSError):
            open_regular(str(path), follow)


def test_a_device_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening one may rewind a tape, or start a watchdog."""
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda path, *_more: opened.append(path))
    assert read_text("/dev/zero", 100) == ""
    assert opened == []


def test_a_fifo_that_takes_a_files_place_at_the_last_moment_is_not_waited_for(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    before = os.lstat(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, lambda *_given: before)
    for follow in (True, False):
        with pytest.raises(OSError, match="no regular file"):
            open_regular(str(tmp_path / "fifo"), follow)


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("SessionMaxAge 7\n")
    (tmp_path / ".htaccess").symlink_to("real")
    assert list(NODE.htaccess_files(str(tmp_path))) == [(str(tmp_path / ".htaccess"), "SessionMaxAge 7\n")]
    assert NODE.tail(str(tmp_path / "real"), 2) == "7\n"
    entry = NODE.entry(str(tmp_path / "real"))
    assert entry is not None and (entry.kind, entry.content) == ("file", b"SessionMaxAge 7\n")


def test_a_huge_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / ".htaccess"
    with open(path, "wb") as handle:
        handle.write(b"Session Off\n")
        handle.truncate(1 << 40)
    ((_name, text),) = NODE.htaccess_files(str(tmp_path))
    assert len(text) == 1 << 16 and text.startswith("Session Off\n")
    assert len(NODE.tail(str(path), 100)) == 100
    entry = NODE.entry(str(path))
    assert entry is not None and entry.kind == "other"
    os.truncate(path, LARGEST)
    entry = NODE.entry(str(path))
    assert entry is not None and entry.kind == "file"


def test_loops_of_links_and_deep_trees_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to("../..")
    (tmp_path / "a" / ".htaccess").write_text("x")
    (tmp_path / "a" / "b" / ".htaccess").write_text("y")
    assert list(NODE.htaccess_files(str(tmp_path))) == [
        (str(tmp_path / "a" / ".htaccess"), "x"), (str(tmp_path / "a" / "b" / ".htaccess"), "y")]
    assert list(NODE.htaccess_files(str(tmp_path), most=2)) == [(str(tmp_path / "a" / ".htaccess"), "x")]
    assert list(NODE.htaccess_files(str(tmp_path), seconds=0)) == []
    assert list(NODE.htaccess_files(str(tmp_path / "none"))) == []
