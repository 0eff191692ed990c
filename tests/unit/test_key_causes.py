# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis says of the files that a deploy made, on a node in memory; on real ones: molecule/diagnose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils import key_causes
from plugins.module_utils.apply import apply
from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.transaction import Entry

from .memory_node import A, B, C, MemoryNode, wish

PID_FILE = "/run/apache2/apache2.pid"
NEW, OLD = 1_800_000_100.0, 1_800_000_000.0


class Told(MemoryNode):
    """A node in memory that knows when its files were written, and tells where its PID file is."""

    def __init__(self):
        super().__init__()
        self.times = {DEBIAN.key_file: OLD, PID_FILE: NEW}

    def modified(self, path):
        return self.times.get(path)

    def run(self, argv, timeout=60.0):
        if "DUMP_RUN_CFG" in argv:
            return 0, 'ServerRoot: "/etc/apache2"\nPidFile: "%s"\nUser: name="www-data"' % PID_FILE
        return super().run(argv, timeout)


@pytest.fixture
def node():
    """A node on which keys A and B were deployed."""
    here = Told()
    apply(here, wish([A, B]))
    here.steps.clear()
    return here


def codes(node, keys=(A, B)):
    return [(one.code, one.evidence) for one in key_causes.judge_files(node, wish(list(keys)))]


def put(node, text, mode=0o600, owner=(0, 0)):
    node.files[DEBIAN.key_file] = Entry("file", mode, owner, text.encode())


def test_nothing_where_all_is_as_it_was_deployed(node):
    assert codes(node) == []
    assert key_causes.judge_loaded(node, wish([A, B])) == []
    assert node.steps == [], "a diagnosis changes nothing"


def test_where_nothing_was_ever_deployed():
    assert [code for code, _evidence in codes(Told())] == ["not_deployed"]


def test_the_key_file_is_gone(node):
    del node.files[DEBIAN.key_file]
    assert codes(node) == [("key_file_missing", "/etc/apache2/mod_session/passphrases is not there")]


@pytest.mark.parametrize(("text", "code"), [
    ("", "key_file_empty"),
    ("# a comment only\n", "key_file_empty"),
    ("exec:/bin/false\n", "key_file_exec"),
    (A + "\nEXEC:/usr/local/bin/key\n", "key_file_exec"),
    (render_file([C, B]), "key_file_differs"),
    (render_file([B, A]), "key_file_differs"),
    (render_file([A]), "key_file_differs"),
])
def test_the_key_file_is_another(node, text, code):
    put(node, text)
    (found,) = codes(node)
    assert found[0] == code
    assert not any(key in found[1] for key in (A, B, C))


def test_a_comment_that_speaks_of_programs_runs_none(node):
    put(node, "# once exec:/bin/x\n" + render_file([A, B]))
    assert codes(node) == []


@pytest.mark.parametrize(("mode", "owner"), [(0o640, (0, 0)), (0o604, (0, 0)), (0o600, (33, 0))])
def test_others_may_read_the_keys(node, mode, owner):
    put(node, render_file([A, B]), mode, owner)
    (found,) = codes(node)
    seen = "%s has mode %04o and owner %d:%d; expected 0600 and 0:0" % (DEBIAN.key_file, mode, *owner)
    assert found == ("key_file_open", seen)


def test_others_may_look_into_the_directory(node):
    node.directories[DEBIAN.key_dir] = 0o755
    assert [code for code, _evidence in codes(node)] == ["key_file_open"]


def test_a_file_was_edited_or_is_gone(node):
    entry = node.files[DEBIAN.conf_file]
    node.files[DEBIAN.conf_file] = replace(entry, content=entry.content.replace(b"SessionMaxAge 3600", b"SessionMaxAge 60"))
    ((code, evidence),) = codes(node)
    assert code == "file_differs"
    assert evidence.startswith(DEBIAN.conf_file + " differs from line ")
    assert evidence.endswith("(1 lines more, 1 lines less than expected)")
    del node.files[DEBIAN.conf_file]
    assert codes(node) == [("file_differs", DEBIAN.conf_file + " is not there")]


def test_a_deploy_was_killed():
    node = Told()
    apply(node, wish([A, B]))
    node.steps.clear()
    at = 0
    while True:  # at each step in turn
        at += 1
        node.dies_at, node.steps = at, []
        try:
            apply(node, wish([A, B], max_age=60))
        except BaseException:
            node.dies_at = 0
        else:
            break
        if node.files.get(DEBIAN.key_dir + "/.transaction.json"):
            found = [one.code for one in key_causes.judge_files(node, wish([A, B], max_age=60))]
            assert "deploy_interrupted" in found
            return
    pytest.fail("no step leaves a journal: this test tests nothing")


def test_keys_that_were_written_and_never_loaded(node):
    put(node, render_file([B, A]))
    node.times[DEBIAN.key_file] = NEW + 60
    (found,) = key_causes.judge_loaded(node, wish([B, A]))
    assert found.code == "key_not_loaded"
    assert found.evidence == ("%s was written at 2027-01-15 08:02:40 UTC, and httpd loaded its configuration last at "
                              "2027-01-15 08:01:40 UTC" % DEBIAN.key_file)


def test_keys_that_were_written_anew_and_are_the_same(node):
    node.times[DEBIAN.key_file] = NEW + 60
    assert key_causes.judge_loaded(node, wish([A, B])) == [], "the server has these keys all the same"


def test_a_server_that_was_reloaded_since_is_not_said_to_wait_for_it(node):
    put(node, render_file([B, A]))
    assert key_causes.judge_loaded(node, wish([B, A])) == [], "what else may be wrong is not said here"
