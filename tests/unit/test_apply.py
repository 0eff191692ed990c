# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the node transaction needs no node; the rest is told on real ones, in molecule/failures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils import apply
from plugins.module_utils.config import HEADER
from plugins.module_utils.layout import DEBIAN, REDHAT
from plugins.module_utils.store import parse_store
from plugins.module_utils.transaction import Entry

from .memory_node import A, MemoryNode, wish


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


SERVER = {"host": "db.example.com", "database": "d", "user": "u", "password": "s3cret", "tls": "off"}
POSTGRESQL, MYSQL = (parse_store({"driver": driver, **SERVER}) for driver in ("postgresql", "mysql"))


def in_database(store, **more):
    made = wish([A], **more)
    probes = tuple(replace(probe, scope=replace(probe.scope, store="dbd")) for probe in made.probes)
    return replace(made, probes=probes, store=store)


def test_the_database_is_there_before_what_uses_it():
    _directories, targets = apply.wanted(MemoryNode(), in_database(MYSQL), (2, 4, 62))
    order = [target.path for target in targets]
    assert [DEBIAN.client_options_file, DEBIAN.store_file, DEBIAN.conf_file] == [
        path for path in order if path in (DEBIAN.client_options_file, DEBIAN.store_file, DEBIAN.conf_file)]
    found = {target.path: target for target in targets}
    assert (found[DEBIAN.store_file].mode, found[DEBIAN.store_file].secret) == (0o600, True)
    assert [path for path, target in found.items() if b"s3cret" in (target.content or b"")] == [DEBIAN.store_file]
    assert b'Include "/etc/apache2/mod_session/store.conf"' in found[DEBIAN.conf_file].content


def test_others_need_no_options_of_the_client_library():
    _directories, targets = apply.wanted(MemoryNode(), in_database(POSTGRESQL), (2, 4, 62))
    assert DEBIAN.client_options_file not in [target.path for target in targets]


def test_a_key_does_not_wait_for_the_database():
    _directories, targets = apply.wanted(MemoryNode(), in_database(None, only_keys=True), (2, 4, 62))
    assert [target.path for target in targets] == [DEBIAN.key_file]


def test_a_password_that_is_not_needed_any_more_does_not_stay():
    node = MemoryNode()
    node.files[DEBIAN.store_file] = Entry("file", 0o600, (0, 0), b"DBDParams ...")
    _directories, targets = apply.wanted(node, wish([A]), (2, 4, 62))
    last = targets[-1]
    assert (last.path, last.content, last.mode) == (DEBIAN.store_file, HEADER.encode(), 0o600), "after what included it"
    node.files[DEBIAN.store_file] = Entry("file", 0o600, (0, 0), HEADER.encode())
    assert last.matches(node.files[DEBIAN.store_file])


@pytest.mark.parametrize("before", [None, "DBDDriver x\nDBDParams s3cret-too\n", "same"])
def test_a_diff_shows_no_password_of_the_database(before):
    node, wanted = MemoryNode(), in_database(POSTGRESQL)
    target = next(one for one in apply.wanted(node, wanted, (2, 4, 62))[1] if one.path == DEBIAN.store_file)
    if before:
        text = target.content.decode().replace("s3cret", "s3cret-too") if before == "same" else before
        node.files[target.path] = Entry("file", 0o600, (0, 0), text.encode())
    (row,) = apply._diff(node, wanted, [target])
    assert "s3cret" not in str(row) and "DBDParams (hidden)" in row["after"]
    assert row["before"] != row["after"], "that something changes is shown"


INCLUDES = """Included configuration files:
  (*) /etc/apache2/apache2.conf
    (146) /etc/apache2/mods-enabled/alias.load
    (225) %s
    (225) /etc/apache2/sites-enabled/own.conf
Syntax OK
""" % DEBIAN.store_file


@pytest.mark.parametrize(
    ("own", "refused"),
    [("DBDriver pgsql\n", True), ("<VirtualHost *:80>\n  dbdriver mysql\n</VirtualHost>\n", True), ("# DBDriver pgsql\n", False),
     ("DBDPersist Off\n", False)],
)
def test_another_database_of_the_same_server_is_refused(own, refused):
    node = MemoryNode()
    node.files[DEBIAN.store_file] = Entry("file", content=b"DBDriver pgsql\n")
    node.files["/etc/apache2/sites-available/own.conf"] = Entry("file", content=own.encode())
    node.real_path = lambda path: path.replace("sites-enabled", "sites-available")
    node.run = lambda argv, timeout=60.0: (0, INCLUDES)
    if not refused:
        apply._only_database(node, DEBIAN)
        return
    with pytest.raises(apply.ApplyError, match=r"^/etc/apache2/sites-enabled/own.conf has a DBDriver of its own") as caught:
        apply._only_database(node, DEBIAN)
    assert caught.value.state == "untouched"


def test_check_mode_before_the_driver_of_the_database_is_installed():
    class Bare(MemoryNode):
        def run(self, argv, timeout=60.0):
            return (1, "Can't load driver file apr_dbd_pgsql.so") if "-c" in argv else (0, "Syntax OK")

    result = apply.apply(Bare(), in_database(POSTGRESQL), check_mode=True)
    assert DEBIAN.store_file in result.changes
    assert "install libaprutil1-dbd-pgsql" in result.warnings[0]
    with pytest.raises(apply.ApplyError, match="install libaprutil1-dbd-pgsql") as caught:
        apply.apply(Bare(), in_database(POSTGRESQL))
    assert caught.value.state == "untouched"
