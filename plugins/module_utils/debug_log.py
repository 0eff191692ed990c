# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The session modules' debug lines for a limited time: turned on, and turned back even if nobody does.

A timer of systemd turns it back; it is there before the level goes up. So does a service at every boot, before httpd starts.
"""

from __future__ import annotations

import re
from typing import List, Optional, Protocol, Sequence, Tuple

from .config import HEADER, modules_for
from .errorlog import MOST, redact
from .layout import Layout
from .log_time import stamp
from .scopes import Scope
from .shown import Files, reader, said_of_lines
from .text import printable

UNIT = "mod-session-debug-off"
UNITS = "/etc/systemd/system"
MOST_LINES = 5000
"""Lines that are collected at most: the newest ones."""

# Before= has a reload that is waited for wait for this service in turn.
_SERVICE = """{header}[Unit]
Description=Turn the debug level of httpd's session modules back
Before={service}.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'rm -f {conf}; if systemctl -q is-active {service}; then systemctl --no-block reload {service}; fi; \
systemctl -q disable {unit}.service; rm -f {units}/{unit}.timer {units}/{unit}.service; systemctl daemon-reload'

[Install]
WantedBy=multi-user.target
"""

_TIMER = """{header}[Unit]
Description=Turn the debug level of httpd's session modules back after {seconds} s

[Timer]
OnActiveSec={seconds}
AccuracySec=1s
"""


class DebugNode(Files, Protocol):
    """What is needed of a node."""

    def write(self, path: str, content: bytes, mode: int, owner: Tuple[int, int]) -> None:
        """Write a file."""

    def rename(self, source: str, path: str) -> None:
        """Move a file to its place."""

    def remove(self, path: str) -> None:
        """Remove a file."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Tuple[int, str]:
        """Run a command."""

    def service_active(self) -> bool:
        """Whether httpd is running."""

    def service_reload(self) -> Tuple[int, str]:
        """Reload it."""


class DebugError(Exception):
    """It could not be turned on or back; says what is true now."""


def conf_file(layout: Layout) -> str:
    """The file that raises the level: live by being there."""
    return "%s/zz-mod-session-debug.conf" % (layout.conf_enabled or layout.conf_dir)


def render(scopes: Sequence[Scope]) -> str:
    """A LogLevel in a Location is in force whatever LogLevel a virtual host has (measured, 2.4.71)."""
    levels = " ".join("%s:debug" % name for name in modules_for(scopes) if name.startswith("session"))
    paths = sorted({scope.path for scope in scopes})
    return HEADER + "".join('<Location "%s">\n    LogLevel %s\n</Location>\n' % (path, levels) for path in paths)


def is_on(node: DebugNode, layout: Layout) -> bool:
    """Whether the level is up, or something is left that belongs to it."""
    paths = (conf_file(layout), "%s/%s.service" % (UNITS, UNIT), "%s/%s.timer" % (UNITS, UNIT))
    return any(node.entry(path) for path in paths)


def turn_on(node: DebugNode, layout: Layout, scopes: Sequence[Scope], seconds: int) -> None:
    """Raise the level; where it is up already, the time begins anew.

    :raises DebugError: nothing is left of it.
    """
    _configtest(node, layout, "the configuration was broken before; nothing was changed. Repair it and run again")
    if not node.service_active():
        raise DebugError("%s.service is not running; nothing was changed. Start it and run again" % layout.service)
    words = {"header": HEADER, "service": layout.service, "conf": conf_file(layout), "unit": UNIT, "units": UNITS,
             "seconds": seconds}
    _put(node, "%s/%s.service" % (UNITS, UNIT), _SERVICE.format(**words))
    _put(node, "%s/%s.timer" % (UNITS, UNIT), _TIMER.format(**words))
    for argv in (["daemon-reload"], ["-q", "enable", UNIT + ".service"], ["restart", UNIT + ".timer"]):
        status, said = node.run(["systemctl", *argv])
        if status:
            turn_off(node, layout)
            raise DebugError("what turns it back could not be set up, so nothing was turned on: systemctl %s: %s" % (
                " ".join(argv), said))
    _put(node, conf_file(layout), render(scopes))
    try:
        _configtest(node, layout, "httpd does not take the debug level; all is as it was")
        status, said = node.service_reload()
        if status:
            raise DebugError("the reload failed: %s; all is as it was" % said)
    except DebugError:
        turn_off(node, layout)
        raise


def turn_off(node: DebugNode, layout: Layout) -> None:
    """Lower the level again and remove what would have done so."""
    raised = node.entry(conf_file(layout)) is not None
    node.remove(conf_file(layout))
    if raised and node.service_active():
        node.service_reload()
    node.run(["systemctl", "-q", "stop", UNIT + ".timer"])
    node.run(["systemctl", "-q", "disable", UNIT + ".service"])
    node.remove("%s/%s.timer" % (UNITS, UNIT))
    node.remove("%s/%s.service" % (UNITS, UNIT))
    node.run(["systemctl", "daemon-reload"])


def _put(node: DebugNode, path: str, text: str) -> None:
    node.write(path + ".new", text.encode("utf-8"), 0o644, (0, 0))
    node.rename(path + ".new", path)


def _configtest(node: DebugNode, layout: Layout, sentence: str) -> None:
    status, said = node.run([layout.control, "-t"])
    if status:
        raise DebugError("%s: %s" % (sentence, printable(redact(said_of_lines(said[:MOST], reader(node))))))


class Collector:
    """Takes the lines of the session modules within a window of time, without what is secret.

    :param since: beginning, seconds since the epoch.
    :param until: end.
    """

    def __init__(self, since: int, until: int) -> None:
        self.since, self.until = since, until
        self.lines: List[str] = []

    def feed(self, line: str, moment: Optional[int] = None) -> None:
        """Take a line, if it is one of theirs."""
        if not re.search(r"\[session\w*:\w+\]|\bAH018\d\d\b|\bAH1000[56]\b", line):
            return
        at = moment if moment is not None else stamp(line, self.until)
        if at is None or self.since <= at:
            self.lines.append(printable(redact(line[:MOST]), MOST))
            if len(self.lines) > 2 * MOST_LINES:
                del self.lines[:-MOST_LINES]
