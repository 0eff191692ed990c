# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the node transaction needs no node; the rest is told on real ones, in molecule/failures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils import apply, trial
from plugins.module_utils.config import HEADER
from plugins.module_utils.layout import DEBIAN, REDHAT
from plugins.module_utils.store import parse_store
from plugins.module_utils.transaction import Entry, Transaction

from .memory_node import A, B, Killed, MemoryNode, serving, wish


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

    def changed_by_others(self):
        return []

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
    (row,) = apply._diff(Transaction(node, "/journal"), wanted, [target])
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


# What a killed run left.

def killed(node, wanted, at):
    """A run that is killed before its step of that number; whether it was."""
    node.steps.clear()
    node.dies_at = at
    try:
        apply.apply(node, wanted)
        return False
    except Killed:
        return True
    finally:
        node.dies_at = 0


def killed_in_its_trial():
    for at in range(1, 99):
        node = serving([A])
        assert killed(node, wish([A, B]), at)
        if node.trials:
            return node
    raise AssertionError("no trial was seen")


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("wanted", [wish([A]), wish([A, B])], ids=["the old keys", "the new keys"])
def test_the_throw_away_server_of_a_killed_run_is_ended_in_check_mode_too(check_mode, wanted):
    node = killed_in_its_trial()
    assert any(path.startswith(trial.DIRECTORY) for path in node.files)
    result = apply.apply(node, wanted, check_mode)
    assert not node.trials and not any(path.startswith(trial.DIRECTORY) for path in node.files)
    assert result.undone.startswith("the throw-away server of an interrupted run was ended, its files removed")
    assert result.changes[0] == result.undone
    assert "throw-away" not in apply.apply(node, wanted, check_mode).undone


def test_check_mode_tells_what_will_change_once_a_killed_run_is_undone():
    at = 0
    while True:
        at += 1
        node = serving([A])
        if not killed(node, wish([A, B], max_age=1800), at):
            break
        if not node.entry(DEBIAN.key_dir + "/.transaction.json"):
            continue
        before = {path: entry for path, entry in node.files.items() if not path.startswith("/run/")}
        told = apply.apply(node, wish([A, B], max_age=1800), check_mode=True)
        assert {path: entry for path, entry in node.files.items() if not path.startswith("/run/")} == before
        done = apply.apply(node, wish([A, B], max_age=1800))
        assert [path for path in told.changes if path[0] == "/"] == [path for path in done.changes if path[0] == "/"], at
        assert told.diff == done.diff
    assert at > 20


SITE = "/etc/apache2/sites-available/www.conf"
SITE_TEXT = b"<VirtualHost *:80>\n    ServerName www.example.test\n    SetEnv DB_PASSWORD s3cret\n</VirtualHost>\n"


def with_host(keys, **more):
    """The scope /app, and the same path of a virtual host."""
    made = wish(keys, **more)
    (probe,) = made.probes
    hosts = replace(probe.scope, name="www", virtual_host="www.example.test", virtual_host_file=SITE)
    return replace(made, probes=(probe, replace(probe, scope=hosts)))


def site_node():
    node = serving([A])
    node.files[SITE] = Entry("file", 0o640, (0, 33), SITE_TEXT)
    return node


def test_a_diff_of_a_virtual_host_s_file_shows_our_line_and_nothing_else():
    result = apply.apply(site_node(), with_host([A]), check_mode=True)
    (row,) = [row for row in result.diff if row["before_header"] == SITE]
    assert row["after"] == 'line 1: <VirtualHost *:80>\nline 4:     Include "%s"\n' % DEBIAN.include_file("www.example.test")
    assert "s3cret" not in str(result)


@pytest.mark.parametrize("keeps_our_line", [True, False])
def test_a_line_that_an_administrator_wrote_after_a_kill_is_never_lost(keeps_our_line):
    """Killed at every step; then the file of the virtual host is written anew, by certbot or by hand."""
    seen, at = set(), 0
    while True:
        at += 1
        node = site_node()
        if not killed(node, with_host([A, B]), at):
            break
        ours = node.files[SITE].content
        seen.add(ours == SITE_TEXT)
        base = ours if keeps_our_line else SITE_TEXT
        node.files[SITE] = replace(node.files[SITE], content=base.replace(b"*:80", b"*:80 *:8080"))
        apply.apply(node, with_host([A, B]))
        assert b"*:80 *:8080" in node.files[SITE].content and node.files[SITE].content.count(b"Include ") == 1, at
        assert node.running == ((A, B), 3600)
        assert apply.apply(node, with_host([A, B])).changes == []
    assert seen == {True, False}


def test_it_is_said_that_a_file_was_left_as_an_administrator_wrote_it():
    node, at = site_node(), 0
    while SITE_TEXT == node.files[SITE].content:
        at, node = at + 1, site_node()
        assert killed(node, with_host([A, B]), at + 1)
    node.files[SITE] = replace(node.files[SITE], content=b"# new\n" + node.files[SITE].content)
    undone = apply.apply(node, with_host([A, B])).undone
    assert "%s was changed meanwhile by somebody else, and left alone" % SITE in undone


# What is taken out of the inventory.

def test_the_file_of_a_virtual_host_that_no_scope_wants_is_emptied_and_a_second_run_changes_nothing():
    node = site_node()
    apply.apply(node, with_host([A]))
    path = DEBIAN.include_file("www.example.test")
    assert b"<Location" in node.files[path].content
    for check_mode in (True, False):
        result = apply.apply(node, wish([A]), check_mode)
        assert path in result.changes and "reload" in result.changes
        assert any(row["before_header"] == path and "<Location" in row["before"] for row in result.diff)
        assert any("scope www (www.example.test/app) is no longer in session_config_scopes" in text for text in result.warnings)
    assert node.files[path].content == HEADER.encode()
    assert apply.apply(node, wish([A])).changes == []
    apply.apply(node, with_host([A]))
    assert b"<Location" in node.files[path].content


def test_a_file_is_emptied_only_after_the_virtual_host_includes_another_in_its_place():
    """A host that gets scopes on a second port has a file for each: whoever reloads in between finds its sessions."""
    node = site_node()
    node.files[SITE] = replace(node.files[SITE], content=SITE_TEXT + SITE_TEXT.replace(b":80", b":443"))
    apply.apply(node, with_host([A]))
    made = with_host([A])
    _app, www = made.probes
    both = replace(made, probes=(*made.probes, replace(www, scope=replace(www.scope, name="tls", port=443))))
    order = [target.path for target in apply.wanted(node, both, (2, 4, 62))[1]]
    old, new = DEBIAN.include_file("www.example.test"), DEBIAN.include_file("www.example.test", 443)
    assert order.index(new) < order.index(SITE) < order.index(old)


def test_a_file_that_is_not_ours_stays_and_keys_alone_empty_none():
    node = site_node()
    apply.apply(node, with_host([A]))
    theirs = DEBIAN.include_dir + "/theirs.conf"
    node.files[theirs] = Entry("file", 0o644, (0, 0), b"<Location /x>\n</Location>\n")
    apply.apply(node, wish([A, B], only_keys=True))
    assert b"<Location" in node.files[DEBIAN.include_file("www.example.test")].content
    result = apply.apply(node, wish([A, B]))
    assert theirs not in result.changes and b"<Location" in node.files[theirs].content


# A scope that changes.

@pytest.mark.parametrize("check_mode", [False, True])
def test_sessions_that_a_changed_scope_ends_are_warned_of_before_and_once(check_mode):
    node, wanted = serving([A]), wish([A])
    node.files[DEBIAN.conf_file] = replace(
        node.files[DEBIAN.conf_file], content=node.files[DEBIAN.conf_file].content.replace(b"aes128", b"aes256"))
    result = apply.apply(node, wanted, check_mode)
    assert any("scope app: cipher changes from aes256 to aes128" in text for text in result.warnings)
    if not check_mode:
        assert apply.apply(node, wanted).warnings == []


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_error_that_quotes_an_operators_line_tells_no_secret(check_mode):
    node = site_node()
    node.run = lambda argv, timeout=60.0: (
        1, "AH00526: Syntax error on line 3 of %s:\nSetEnv takes one or two arguments: s3cret" % SITE)
    with pytest.raises(apply.ApplyError) as caught:
        apply.apply(node, with_host([A, B]), check_mode)
    assert "line 3 of %s: SetEnv takes one or two arguments: (hidden)" % SITE in str(caught.value)


VHOSTS = """VirtualHost configuration:
*:80                   is a NameVirtualHost
         default server x (/etc/apache2/sites-enabled/x.conf:1)
         port 80 namevhost x (/etc/apache2/sites-enabled/x.conf:1)
                 alias www.example.test
*:81                   www.example.test (macro 'site' (defined on line 1 of "/m") used on line 9 of "/etc/apache2/m.conf":1)
Define: PORT=80
"""


@pytest.mark.parametrize(("text", "expected"), [
    # httpd knows a name that stands in another file, and a variable.
    ("<VirtualHost *:80>\nInclude names\n</VirtualHost>\n", "x.conf"),
    ("<VirtualHost *:${PORT}>\nServerName www.example.test\n</VirtualHost>\n", "www.conf"),
    # The operator named the wrong file.
    ("<VirtualHost *:80>\nServerName other\n</VirtualHost>\n",
     "no <VirtualHost> block has ServerName or ServerAlias www.example.test. httpd has it from "
     "/etc/apache2/sites-enabled/x.conf"),
])
def test_httpd_itself_is_asked_for_what_the_file_does_not_tell(text, expected, monkeypatch):
    node = site_node()
    path = SITE.replace("sites-available/www.conf", "sites-enabled/x.conf") if expected == "x.conf" else SITE
    node.files[path] = Entry("file", 0o644, (0, 0), text.encode())
    monkeypatch.setattr(node, "run", lambda argv, timeout=60.0: (0, VHOSTS if argv[1:] == ["-S"] else "Syntax OK"))
    wanted = with_host([A])
    wanted = replace(wanted, probes=tuple(
        replace(probe, scope=replace(probe.scope, virtual_host_file=path if probe.scope.virtual_host else ""))
        for probe in wanted.probes))
    if expected.startswith("no "):
        with pytest.raises(apply.ApplyError) as caught:
            apply.apply(node, wanted)
        assert str(caught.value).endswith(expected) and caught.value.state == "untouched"
    else:
        apply.apply(node, wanted)
        assert b'Include "%s"' % DEBIAN.include_file("www.example.test").encode() in node.files[path].content
