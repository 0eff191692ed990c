# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs wherever they are, however large: what lies in the window is found, and what was not read is said."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import time

import pytest

from plugins.module_utils import log_reader
from plugins.module_utils.errorlog import Tally
from plugins.module_utils.log_reader import local_time, read_logs

NOW = int(time.time())
LINE = "[%s] [session_crypto:error] [pid 1:tid 2] [client 10.0.0.1:%d] AH01842: decrypt session failed, wrong passphrase?\n"
OTHER = "[%s] [core:notice] [pid 1:tid 2] AH00094: Command line: '/usr/sbin/apache2' %06d\n"


def line(ago, number, text=LINE):
    return text % (time.strftime("%a %b %d %H:%M:%S.000001 %Y", time.localtime(NOW - ago)), number)


def lost(logs, root="/nowhere", hours=24, most=1 << 28, seconds=30.0):
    tally = Tally(NOW - hours * 3600, NOW)
    unread = read_logs(logs, str(root), "apache2", tally, NOW - hours * 3600, most, seconds)
    return sum(row.count for row in tally.rows()), [one.evidence for one in unread]


def test_relative_names_begin_at_the_server_root(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/error_log").write_text(line(60, 1))
    assert lost(["logs/error_log"], tmp_path) == (1, [])


def test_rotated_and_compressed_ones(tmp_path):
    path = tmp_path / "error.log"
    path.write_text(line(60, 1))
    (tmp_path / "error.log.1").write_text(line(3600, 2))
    for number, (ending, module) in enumerate((("gz", gzip), ("xz", lzma), ("bz2", bz2)), 3):
        (tmp_path / f"error.log.{number}.{ending}").write_bytes(module.compress(line(7200, number).encode()))
    (tmp_path / "error.log-20261122").write_text(line(9000, 7))
    (tmp_path / "error.log.9").write_text(line(90000, 8) * 2)
    os.utime(tmp_path / "error.log.9", (NOW - 90000, NOW - 90000))
    (tmp_path / "error.logs-of-another").write_text(line(60, 9))
    assert lost([str(path)]) == (6, [])


def test_what_cannot_be_read_is_said(tmp_path):
    path = tmp_path / "error.log"
    path.write_text(line(60, 1))
    (tmp_path / "error.log.1.zst").write_bytes(b"x")
    (tmp_path / "error.log.2.gz").write_bytes(b"no gzip at all")
    count, unread = lost([str(path), str(tmp_path / "gone.log"), "|/usr/local/bin/my-logger --fast"])
    assert count == 1
    assert sorted(text.split(": ")[0].rsplit("/", 1)[-1] for text in unread) == [
        "error.log.1.zst", "error.log.2.gz", "gone.log is not there", "my-logger ..."]


def big(path, before, within):
    """A log of many lines before the window and some in it."""
    with open(path, "w") as handle:
        for number in range(before):
            handle.write(line(40 * 86400 - number, number, OTHER))
        handle.write("a line without time\n")
        handle.writelines(line(3600 - number, number) for number in range(within))


@pytest.mark.parametrize("chunk", [64, 1000, 1 << 20])
def test_a_log_is_entered_where_the_window_begins(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(log_reader, "CHUNK", chunk)
    path = tmp_path / "error.log"
    big(path, 30000, 50)
    # What is read at most is hardly more than the window.
    assert lost([str(path)], most=50 * 120 + max(chunk, 4000) * 2) == (50, [])


def test_of_a_window_that_is_too_large_the_newest_part_is_read(tmp_path):
    path = tmp_path / "error.log"
    big(path, 10, 3000)
    (tmp_path / "error.log.1").write_text(line(7200, 1))
    os.utime(tmp_path / "error.log.1", (NOW - 7200, NOW - 7200))
    count, unread = lost([str(path)], most=100000)
    assert 500 < count < 3000
    assert len(unread) == 2 and "the last 0 MiB were read" in unread[0] and "error.log.1" in unread[1]
    newest, _unread = lost([str(path)], hours=1, most=100000)
    assert newest == count


def test_time_is_bounded(tmp_path):
    path = tmp_path / "error.log"
    big(path, 10, 10)
    count, unread = lost([str(path)], seconds=-1.0)
    assert count == 0 and "took too long" in unread[0]


def test_a_line_without_end_needs_no_memory_without_end(tmp_path):
    path = tmp_path / "error.log"
    with open(path, "wb") as handle:
        handle.write(b"AH01842 " * (4 << 20))
        handle.write(b"\n" + line(60, 1).encode())
    assert lost([str(path)])[0] >= 1


def test_no_end_of_line_at_the_end(tmp_path):
    path = tmp_path / "error.log"
    path.write_text(line(60, 1).rstrip("\n"))
    assert lost([str(path)]) == (1, [])


def test_files_of_rotatelogs(tmp_path):
    for name in ("e.2026-11-22.log", "e.2026-11-23.log"):
        (tmp_path / name).write_text(line(60, int(name[10:12])))
    assert lost([f"|/usr/bin/rotatelogs {tmp_path}/e.%Y-%m-%d.log 86400"]) == (2, [])
    (tmp_path / "f.1763856000").write_text(line(60, 5))
    assert lost([f"|/usr/bin/rotatelogs {tmp_path}/f 86400"]) == (1, [])


def test_each_option_of_rotatelogs_is_known(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/purge_logs").write_text("#!/bin/sh\n")
    (tmp_path / "error_log.2026-11-23").write_text(line(60, 1) + line(50, 2))
    value = f"|rotatelogs -l -p {tmp_path}/bin/purge_logs {tmp_path}/error_log.%Y-%m-%d 15M"
    assert lost([value]) == (2, [])


def test_a_file_with_several_names_is_read_once(tmp_path):
    (tmp_path / "e.2026-11-23").write_text(line(60, 1))
    os.link(tmp_path / "e.2026-11-23", tmp_path / "current")
    os.symlink(tmp_path / "e.2026-11-23", tmp_path / "latest")
    logs = [f"|rotatelogs -L {tmp_path}/current {tmp_path}/e.%F 86400", f"{tmp_path}/current", f"{tmp_path}/latest"]
    assert lost(logs) == (1, [])


@pytest.mark.parametrize(("value", "code", "said"), [
    ("{root}/gone.log", "log_unread", "{root}/gone.log is not there"),
    ("|rotatelogs {root}/gone/e.%F 86400", "log_unread",
     "{root}/gone/e.* (ErrorLog |rotatelogs ...) is not there"),
    ("|rotatelogs {root}/e.%F 86400", "log_not_begun",
     "there is no {root}/e.* (ErrorLog |rotatelogs ...)"),
    ("|rotatelogs -f {root}/e.%F 86400", "log_unread",
     "{root}/e.* (ErrorLog |rotatelogs ...) is not there"),
    ("|/opt/ship --token hunter2", "log_unread",
     "ErrorLog |/opt/ship ...: what that program does with the lines is not known here"),
    ("|logger -n loghost -P 514 -t site", "log_unread", "ErrorLog |logger ...: they are sent to loghost"),
    ("/dev/null", "log_unread", "ErrorLog /dev/null: its lines are thrown away"),
    ("{root}/fifo", "log_unread", "{root}/fifo is no regular file, and what reads it is not known here"),
])
def test_a_log_that_is_not_found_is_named(tmp_path, value, code, said):
    os.mkfifo(tmp_path / "fifo")
    tally = Tally(NOW - 3600, NOW)
    found = read_logs([value.format(root=tmp_path)], "/nowhere", "apache2", tally, NOW - 3600, 1 << 20, 10.0)
    assert [(one.code, one.evidence) for one in found] == [(code, said.format(root=tmp_path))]


def test_a_syslog_without_journal_or_file_is_named(monkeypatch):
    monkeypatch.setattr(log_reader.os.path, "isdir", lambda _path: False)
    monkeypatch.setattr(log_reader, "SYSLOGS", ("/nowhere/syslog", "/nowhere/messages"))
    assert lost(["syslog:local1"]) == (0, ["syslog: there is neither a journal nor /nowhere/syslog nor /nowhere/messages"])


def test_the_journal_is_asked_for_tags_and_for_the_unit(monkeypatch, tmp_path):
    asked = tmp_path / "asked"
    (tmp_path / "journalctl").write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$*\" >>{asked}\n"
        "printf '%s\\n' '{\"MESSAGE\":[65,72,48,49,56,52,50,255],\"__REALTIME_TIMESTAMP\":\"'" + str(NOW) + "000000'\"}'\n")
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(log_reader.os.path, "isdir", lambda _path: True)
    assert lost(["|logger -t site", "syslog:local1:shop"]) == (1, [])
    assert lost(["|logger -t site", "/dev/stderr"]) == (1, [])
    first, second = asked.read_text().splitlines()
    assert first.endswith("SYSLOG_IDENTIFIER=site SYSLOG_IDENTIFIER=shop")
    assert second.endswith("SYSLOG_IDENTIFIER=site SYSLOG_IDENTIFIER=apache2 + _SYSTEMD_UNIT=apache2.service")


def test_times_are_read_in_the_zone_of_httpd(tmp_path):
    path = tmp_path / "error.log"
    with local_time("Pacific/Kiritimati"):  # UTC+14
        path.write_text(line(60, 1))
    with local_time("Pacific/Kiritimati"):
        assert lost([str(path)], hours=1) == (1, [])
    with local_time("UTC"):
        assert lost([str(path)], hours=1)[0] == 0
    assert "TZ" not in os.environ or os.environ["TZ"] != "UTC"
