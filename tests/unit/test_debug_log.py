# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The debug level goes up only with what turns it back in place, and whatever fails, nothing is left of it."""

from __future__ import annotations

import pytest

from plugins.module_utils import debug_log
from plugins.module_utils.debug_log import DebugError, turn_off, turn_on
from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.transaction import Entry

SCOPES = parse_scopes([{"name": "app", "path": "/app"}, {"name": "shop", "path": "/shop"}])
CONF = debug_log.conf_file(DEBIAN)
TIMER, SERVICE = (f"/etc/systemd/system/mod-session-debug-off.{kind}" for kind in ("timer", "service"))


class Node:
    """Files, and commands that succeed but for those that begin as one of ``fails``."""

    def __init__(self, *fails, active=True):
        self.files, self.commands, self.fails, self.active = {}, [], fails, active

    def entry(self, path):
        return self.files.get(path)

    def write(self, path, content, mode, owner):
        self.files[path] = Entry("file", mode, owner, content)

    def rename(self, source, path):
        self.files[path] = self.files.pop(source)

    def remove(self, path):
        self.files.pop(path, None)

    def run(self, argv, timeout=60.0):
        command = " ".join(argv)
        self.commands.append((command, CONF in self.files))
        return (1, "SessionMaxAge secret=hunter2") if command.startswith(self.fails) and self.fails else (0, "")

    def service_active(self):
        return self.active

    def service_reload(self):
        return self.run(["reload"])


def test_the_timer_runs_before_the_level_goes_up():
    node = Node()
    turn_on(node, DEBIAN, SCOPES, 600)
    assert ("systemctl restart mod-session-debug-off.timer", False) in node.commands
    assert node.commands[-1] == ("reload", True)
    assert b"OnActiveSec=600\n" in node.files[TIMER].content
    assert node.files[CONF].content.decode().count("LogLevel session:debug session_cookie:debug session_crypto:debug") == 2
    assert debug_log.is_on(node, DEBIAN)


def test_on_again_begins_anew_and_off_leaves_nothing():
    node = Node()
    turn_on(node, DEBIAN, SCOPES, 600)
    turn_on(node, DEBIAN, SCOPES, 60)
    assert b"OnActiveSec=60\n" in node.files[TIMER].content
    turn_off(node, DEBIAN)
    assert node.files == {} and not debug_log.is_on(node, DEBIAN)
    assert ("reload", False) in node.commands


def test_off_where_it_is_off_reloads_nothing():
    node = Node()
    turn_off(node, DEBIAN)
    assert "reload" not in [command for command, _up in node.commands]


@pytest.mark.parametrize(("fails", "said"), [
    ("systemctl daemon-reload", "so nothing was turned on"),
    ("systemctl -q enable", "so nothing was turned on"),
    ("systemctl restart mod-session-debug-off.timer", "so nothing was turned on"),
    ("reload", "the reload failed"),
])
def test_whatever_fails_nothing_is_left(fails, said):
    node = Node(fails)
    with pytest.raises(DebugError, match=said):
        turn_on(node, DEBIAN, SCOPES, 600)
    assert node.files == {}


def test_a_configuration_that_was_broken_before_is_left_alone():
    node = Node(DEBIAN.control)
    with pytest.raises(DebugError, match="broken before") as error:
        turn_on(node, DEBIAN, SCOPES, 600)
    assert "hunter2" not in str(error.value)
    assert node.files == {} and len(node.commands) == 1


def test_a_server_that_is_down_stays_down():
    node = Node(active=False)
    with pytest.raises(DebugError, match="is not running"):
        turn_on(node, DEBIAN, SCOPES, 600)
    assert node.files == {}


NOW = 1795443060


def test_the_collector_keeps_what_sessions_say_within_its_time():
    found = debug_log.Collector(NOW - 30, NOW)
    found.feed("[session:debug] [client 10.0.0.1:4] AH01842: too early", NOW - 31)
    found.feed("[session_crypto:error] [client 10.0.0.1:4] AH01842: decrypt session failed, wrong passphrase?", NOW - 20)
    found.feed("[core:notice] AH00094: not theirs", NOW - 19)
    found.feed("[session:debug] cookie: session=aAbBcC0123456789aAbBcC0123456789, referer: https://x/y?token=1", NOW - 18)
    assert len(found.lines) == 2 and "AH01842: decrypt session failed" in found.lines[0]
    assert "aAbB" not in found.lines[1] and "token=1" not in found.lines[1]


def test_the_collector_keeps_the_newest_lines():
    found = debug_log.Collector(0, NOW)
    for number in range(3 * debug_log.MOST_LINES):
        found.feed(f"[session:debug] {number}", NOW)
    assert found.lines[-1].endswith(str(3 * debug_log.MOST_LINES - 1))
    assert debug_log.MOST_LINES <= len(found.lines) <= 2 * debug_log.MOST_LINES
