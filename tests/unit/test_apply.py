# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the node transaction needs no node; the rest is told on real ones, in molecule/failures."""

from __future__ import annotations

import pytest

from plugins.module_utils import apply
from plugins.module_utils.layout import DEBIAN, REDHAT


class FakeNode:
    """Stands for a node whose httpd runs and answers nothing that matters here; notes what is done to the service."""

    def __init__(self):
        self.done = []

    def service_active(self):
        return True

    def service_reload(self):
        self.done.append("reload")
        return 0, ""

    def now(self):
        return 0.0


class FakeWork:
    """Stands for a transaction whose journal says this."""

    def __init__(self, state):
        self.state = state

    def put_back(self, keep=()):
        return self.state

    def undo(self, keep=()):
        return self.state


def roll_back(state, node):
    wish = apply.Wish(DEBIAN, ("key",), ())
    apply._roll_back(node, FakeWork(state), wish, ["key"], (), OSError("the disk"))


def test_a_failure_after_the_commit_was_written_keeps_the_new_state_with_a_fake_node():
    node = FakeNode()
    roll_back("committed", node)
    assert node.done == [], "nothing was put back, nothing is to be loaded"


def test_a_failure_before_it_puts_the_old_state_back_with_a_fake_node():
    node = FakeNode()
    with pytest.raises(apply.ApplyError, match=r"the disk.*the old state serves again") as caught:
        roll_back("swapping", node)
    assert caught.value.state == "restored"
    assert node.done == ["reload"]


@pytest.mark.parametrize(("text", "shown"), [
    ("  SessionCryptoPassphrase secret1\n", "  SessionCryptoPassphrase (hidden)\n"),
    ('AuthLDAPBindPassword "a b"\nListen 80\n', "AuthLDAPBindPassword (hidden)\nListen 80\n"),
    ('SessionCryptoPassphraseFile "/etc/x"\n', 'SessionCryptoPassphraseFile "/etc/x"\n'),
])
def test_a_diff_shows_no_secret_of_the_operators_own_files(text, shown):
    assert apply._redacted(text) == shown


class Files:
    """Says of a path whether it is there."""

    def __init__(self, *there):
        self.there = there

    def is_file(self, path):
        return path in self.there


def test_modules_are_loaded_by_links_where_the_system_does_so_with_a_fake_node():
    node = Files("/etc/apache2/mods-available/session.load", "/etc/apache2/mods-available/headers.load",
                 "/etc/apache2/mods-enabled/headers.load")
    assert [(target.path, target.link) for target in apply._modules(node, DEBIAN, ["session", "headers"])] == [
        ("/etc/apache2/mods-enabled/session.load", "../mods-available/session.load")]


def test_modules_are_loaded_by_one_file_where_there_are_no_links_with_a_fake_node():
    node = Files("/usr/lib64/httpd/modules/mod_session.so")
    (target,) = apply._modules(node, REDHAT, ["session", "headers"])
    assert target.path == "/etc/httpd/conf.modules.d/99-mod-session-fleet.conf"
    assert target.content.decode().splitlines()[1:] == [
        "<IfModule !mod_session.c>", '    LoadModule session_module "/usr/lib64/httpd/modules/mod_session.so"', "</IfModule>"]
