# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What httpd needs of SELinux, where SELinux is on: our files' context, and leave to reach a database.

New files have the right context by being made in directories of httpd; only what somebody copied or moved there has not.
"""

from __future__ import annotations

from typing import List, Optional, Protocol, Sequence, Tuple

from .layout import Layout
from .transaction import Entry

DATABASE = "httpd_can_network_connect_db"
"""The boolean that lets httpd connect to the ports that SELinux knows as databases'."""

NETWORK = "httpd_can_network_connect"
"""The boolean that lets it connect to any port; where it is on, the other one is not needed."""

POLICY_SECONDS = 300.0
"""``setsebool -P`` compiles the policy anew, which takes long on a small machine."""


class SelinuxError(Exception):
    """SELinux could not be told; a sentence with what to do."""


class SelinuxNode(Protocol):
    """What is needed of a node."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Tuple[int, str]:
        """Run a command to its end."""

    def entry(self, path: str) -> Optional[Entry]:
        """What stands at a path."""

    def directory_mode(self, path: str) -> Optional[int]:
        """Permission bits of a directory; None where there is none."""


def adjust(node: SelinuxNode, layout: Layout, database: bool, check_mode: bool = False) -> List[str]:
    """Give httpd what it needs; what was done, or would be done in check mode, as sentences. Nothing where SELinux is off.

    :param database: httpd must reach a database over the network.
    :raises SelinuxError: a command failed.
    """
    if node.run(["selinuxenabled"])[0] != 0:
        return []
    return (_boolean(node, check_mode) if database else []) + _contexts(node, layout, check_mode)


def _boolean(node: SelinuxNode, check_mode: bool) -> List[str]:
    if any(node.run(["getsebool", name])[1].endswith(" on") for name in (DATABASE, NETWORK)):
        return []
    if not check_mode:
        _must(node, ["setsebool", "-P", DATABASE, "on"], "SELinux keeps httpd from the database, and the boolean %s could not "
              "be set" % DATABASE)
    return ["SELinux boolean %s: on" % DATABASE]


def _contexts(node: SelinuxNode, layout: Layout, check_mode: bool) -> List[str]:
    paths = [path for path in (layout.key_dir, layout.include_dir) if node.directory_mode(path) is not None]
    paths += [path for path in (layout.modules_file, layout.conf_file) if path and node.entry(path)]
    if not paths:
        return []
    sentence = "the SELinux context of the files of sessions could not be restored"
    said = _must(node, ["restorecon", "-R", "-v", "-n", *paths], sentence)
    if said and not check_mode:
        _must(node, ["restorecon", "-R", "-v", *paths], sentence)
    return ["SELinux context: %s" % line for line in said.splitlines()]


def _must(node: SelinuxNode, argv: Sequence[str], sentence: str) -> str:
    status, said = node.run(argv, POLICY_SECONDS)
    if status:
        raise SelinuxError("%s: `%s` says: %s. Run it by hand, or give the node the package policycoreutils" % (
            sentence, " ".join(argv), said or "exit status %d" % status))
    return said
