# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which a node is looked at for a diagnosis; each look has a file of its own."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from . import config_causes, httpd_config, machine
from .apply import Wish
from .causes import Symptom
from .configtest import from_configtest
from .errorlog import Tally, judge, redact, undated
from .key_causes import judge_files, judge_loaded
from .layout import Layout
from .log_reader import environment, local_time, read_logs
from .node import Node
from .shown import reader, said_of_lines

LOG_BYTES = 1 << 28
"""How much of the error logs is read at most: 256 MiB."""

LOG_SECONDS = 30.0
"""How long reading them may take."""


def examine(node: Node, wish: Wish, now: int, window: int) -> Tuple[List[Symptom], List[Dict[str, Any]]]:
    """All that this node can tell, and a table of its error logs; changes nothing.

    :param now: seconds since the epoch.
    :param window: how far back logs are read, seconds.
    """
    layout = wish.layout
    facts = machine.gather(node, layout, wish.scopes)
    found = machine.judge(facts, layout, wish.scopes)
    if not facts.httpd:
        return [*found, Symptom("not_deployed", "httpd is not installed: %s does not tell its version" % layout.binary)], []
    status, said = node.run([layout.control, "-t"])
    broken = from_configtest(status, said_of_lines(said, reader(node)), layout, facts.httpd, node.is_file)
    found += broken
    if not broken:
        tree = _tree(node, layout)
        modules = httpd_config.parse_modules(node.run([layout.control, "-M"])[1])
        hosts = httpd_config.parse_vhosts(node.run([layout.control, "-S"])[1])
        found += config_causes.judge(tree, modules, hosts, wish.scopes, layout)
        found += config_causes.htaccess(tree, hosts, node.htaccess_files, wish.scopes)
    found += judge_files(node, wish)
    found += judge_loaded(node, wish) if facts.active else []
    tally = Tally(now - window, now)
    error_logs, root = where_logs_are(node, layout)
    with local_time(zone_of(node, layout)):
        found += read_logs(error_logs, root, layout.service, tally, now - window, LOG_BYTES, LOG_SECONDS)
    if not facts.active:
        found.append(Symptom("server_down", "%s.service: %s" % (layout.service, _why_down(node, layout.service))))
    rows = tally.rows()
    found += judge(rows)
    without = undated(tally)
    found += [Symptom("log_undated", without)] if without else []
    return found, [dict(vars(row)) for row in rows]


def where_logs_are(node: Node, layout: Layout) -> Tuple[List[str], str]:
    """All values of ErrorLog, and the ServerRoot that relative ones begin at; the package's where the configuration is broken."""
    tree = _tree(node, layout)
    root = httpd_config.server_root(node.run([layout.control, "-S"])[1]) or layout.server_root
    return httpd_config.error_logs(tree) or [layout.error_log], root


def zone_of(node: Node, layout: Layout) -> str:
    """The value of TZ that httpd runs with, in whose time it writes its logs; empty for the machine's."""
    status, said = node.run(["systemctl", "show", "-p", "MainPID", "--value", layout.service])
    return environment(int(said)).get("TZ", "") if status == 0 and said.strip().isdigit() else ""


def _tree(node: Node, layout: Layout) -> httpd_config.Node:
    return httpd_config.parse_dump(node.run([layout.control, "-t", "-D", "DUMP_CONFIG", *_with_info(node, layout)])[1])


def _with_info(node: Node, layout: Layout) -> List[str]:
    """Arguments that make httpd dump its configuration where mod_info, which does it, is not loaded."""
    paths = ("%s/mod_info.so" % directory for directory in layout.modules_dirs)
    return next((["-c", "LoadModule info_module %s" % path] for path in paths if node.is_file(path)), [])


def _why_down(node: Node, service: str) -> str:
    _status, state = node.run(["systemctl", "show", "-p", "ActiveState", "-p", "Result", "--value", service])
    _status, said = node.run(["journalctl", "-u", service, "-n", "20", "-o", "cat", "--no-pager"])
    lines = [line for line in said.splitlines() if "AH" in line and "AH00558" not in line]
    return " ".join([", ".join(state.split())] + ["(%s)" % redact(line) for line in lines[-1:]])
