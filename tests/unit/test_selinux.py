# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No machine here has SELinux: its commands are stood in for, with what they print on one that has."""

from __future__ import annotations

from typing import Optional, Sequence

import pytest

from plugins.module_utils.layout import REDHAT
from plugins.module_utils.selinux import DATABASE, NETWORK, SelinuxError, adjust
from plugins.module_utils.transaction import Entry

RELABEL = "%s %s from unconfined_u:object_r:user_tmp_t:s0 to unconfined_u:object_r:httpd_config_t:s0"


class Node:
    """Has SELinux with these booleans on, and files of which these have a wrong context."""

    def __init__(self, enabled: bool = True, on: Sequence[str] = (), wrong: Sequence[str] = (), there: bool = True,
                 fails: str = "") -> None:
        self.enabled, self.on, self.wrong, self.there, self.fails = enabled, list(on), list(wrong), there, fails
        self.changes: list[Sequence[str]] = []

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> tuple[int, str]:
        if argv[0] == "selinuxenabled":
            return (0, "") if self.enabled else (127, "selinuxenabled: no such command")
        assert self.enabled, argv
        if argv[0] == self.fails:
            return 1, "Permission denied"
        if argv[0] == "getsebool":
            return 0, "%s --> %s" % (argv[1], "on" if argv[1] in self.on else "off")
        if argv[0] == "restorecon" and "-n" in argv:
            return 0, "\n".join(RELABEL % ("Would relabel", path) for path in self.wrong)
        self.changes.append(argv)
        if argv[0] == "setsebool":
            assert list(argv[1:]) == ["-P", DATABASE, "on"]
            self.on.append(DATABASE)
            return 0, ""
        assert list(argv[:3]) == ["restorecon", "-R", "-v"]
        said = "\n".join(RELABEL % ("Relabeled", path) for path in self.wrong)
        self.wrong.clear()
        return 0, said

    def entry(self, path: str) -> Optional[Entry]:
        return Entry("file") if self.there else None

    def directory_mode(self, path: str) -> Optional[int]:
        return 0o700 if self.there else None


def test_nothing_is_asked_or_done_without_selinux() -> None:
    node = Node(enabled=False, wrong=[REDHAT.key_file])
    assert adjust(node, REDHAT, True) == []


def test_httpd_may_reach_a_database_after_the_first_run_with_commands_that_stand_in_for_selinux() -> None:
    node = Node()
    assert adjust(node, REDHAT, True, check_mode=True) == ["SELinux boolean %s: on" % DATABASE]
    assert not node.changes
    assert adjust(node, REDHAT, True) == ["SELinux boolean %s: on" % DATABASE]
    assert node.on == [DATABASE]
    assert adjust(node, REDHAT, True) == []


@pytest.mark.parametrize(("on", "database"), [([], False), ([NETWORK], True), ([DATABASE], True)])
def test_the_boolean_stays_where_it_is_not_needed_with_commands_that_stand_in_for_selinux(on: list[str], database: bool) -> None:
    node = Node(on=on)
    assert adjust(node, REDHAT, database) == [] and not node.changes


def test_a_file_that_was_moved_here_gets_its_context_with_commands_that_stand_in_for_selinux() -> None:
    node = Node(wrong=[REDHAT.key_file])
    predicted = adjust(node, REDHAT, False, check_mode=True)
    assert not node.changes
    done = adjust(node, REDHAT, False)
    assert predicted == done == ["SELinux context: " + RELABEL % ("Would relabel", REDHAT.key_file)]
    assert [list(argv) for argv in node.changes] == [[
        "restorecon", "-R", "-v", REDHAT.key_dir, REDHAT.include_dir, REDHAT.modules_file, REDHAT.conf_file]]
    assert adjust(node, REDHAT, False) == []


def test_a_node_without_our_files_is_not_relabelled_with_commands_that_stand_in_for_selinux() -> None:
    assert adjust(Node(there=False, fails="restorecon"), REDHAT, False) == []


@pytest.mark.parametrize(("fails", "sentence"), [
    ("setsebool", "SELinux keeps httpd from the database, and the boolean httpd_can_network_connect_db could not be set: "
                  "`setsebool -P httpd_can_network_connect_db on` says: Permission denied. Run it by hand"),
    ("restorecon", "the SELinux context of the files of sessions could not be restored: `restorecon -R -v -n /etc/httpd/mod_ses"),
])
def test_a_command_that_fails_is_named_with_commands_that_stand_in_for_selinux(fails: str, sentence: str) -> None:
    with pytest.raises(SelinuxError) as caught:
        adjust(Node(fails=fails), REDHAT, True)
    assert str(caught.value).startswith(sentence)
