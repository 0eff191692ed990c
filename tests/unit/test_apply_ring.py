# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node remembers of its ring, what it refuses, and that it never goes back from keys that went live."""

from __future__ import annotations

import copy

import pytest

from plugins.module_utils import trial
from plugins.module_utils.apply import ApplyError, apply
from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.passphrases import parse_file, parse_ring, render_file
from plugins.module_utils.transaction import Entry

from .memory_node import A, B, C, Killed, MemoryNode, serving, wish

OLDER = "this node has the keys of generation 5 of the ring r and was given those of generation 4: going back loses sessions"
COPIES = "this node has other keys of generation 5 of the ring r than it was given: two copies of the ring were changed"
OTHER = "this node has the ring r and was given the ring s: "
PLAIN = "this node has a list that is from no ring and was given the ring r: "
NEW_FIRST = "the new first passphrase was not in this node's list before"
NO_OLD = "the passphrase that encrypted so far is no longer in the list"

REFUSED = [
    # what the node has, from which ring; what it is given, from which ring; why not
    (([A, B], ("r", 5)), ([A], ("r", 4)), OLDER),
    (([A, B], ("r", 5)), ([A, B], ("r", 4)), OLDER),
    (([A, B], ("r", 5)), ([A, C], ("r", 5)), COPIES),
    (([A, B], ("r", 5)), ([B], ("r", 5)), COPIES),
    (([A], ("r", 5)), ([C, A], ("r", 5)), COPIES),
    (([A, B], ("r", 5)), ([C, A], ("s", 9)), OTHER + NEW_FIRST),
    (([A, B], ("r", 5)), ([B, C], ("s", 1)), OTHER + NO_OLD),
    (([A, B], None), ([C, A, B], ("r", 1)), PLAIN + NEW_FIRST),
    (([A, B], None), ([B], ("r", 1)), PLAIN + NO_OLD),
]
EDITED = "the passphrase file of this node was edited"
TAKEN = [
    (([B, A], ("r", 5)), ([A, B], ("r", 5)), EDITED),
    (([A], ("r", 5)), ([A, B], ("r", 5)), EDITED),
    (([B, B, A], ("r", 5)), ([A, B], ("r", 5)), EDITED),
    (([B, A], None), ([A, B], ("r", 5)), ""),
    (([A], ("r", 5)), ([A, B], ("r", 6)), ""),
    (([A], ("r", 5)), ([B, A], ("r", 7)), ""),
    (([A, B], ("r", 5)), ([C], ("r", 6)), ""),
    (([A], ("r", 5)), ([A], ("r", 6)), ""),
    (([A, B], ("r", 5)), ([A, C], ("s", 1)), ""),
    (([A, B], None), ([A, B], ("r", 1)), ""),
    (([A], None), ([A, B], None), ""),
    (([A, B], ("r", 5)), ([A, B], None), "this node has generation 5 of the ring r; a plain list replaces it"),
    (([A, B], None), ([C, A], None), NEW_FIRST),
    (([A, B], None), ([B], None), NO_OLD),
]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(("has", "given", "why"), REFUSED)
def test_a_list_that_loses_sessions_is_refused_before_anything_is_changed(has, given, why, check_mode):
    node = serving(*has)
    before = dict(node.files)
    with pytest.raises(ApplyError) as caught:
        apply(node, wish(*given), check_mode)
    said = str(caught.value)
    assert said.startswith(why), said
    assert "Nothing was changed" in said and "session_keys_allow_loss: true" in said
    assert (caught.value.state, node.steps, node.files) == ("untouched", [], before)
    assert not any(key in said for key in (A, B, C))


@pytest.mark.parametrize(("has", "given", "why"), REFUSED)
def test_it_is_taken_where_the_operator_allows_the_loss_and_says_so(has, given, why):
    node = serving(*has)
    result = apply(node, wish(*given, allow_loss=True))
    assert len(result.warnings) == 1 and result.warnings[0].startswith("taken because of session_keys_allow_loss: " + why)
    assert node.running[0] == tuple(given[0])
    assert node.files[DEBIAN.key_file].content.decode() == render_file(*given)


@pytest.mark.parametrize("allow_loss", [False, True])
@pytest.mark.parametrize(("has", "given", "warning"), TAKEN)
def test_what_is_taken_and_what_is_warned_of(has, given, warning, allow_loss):
    node = serving(*has)
    result = apply(node, wish(*given, allow_loss=allow_loss))
    assert [text[:len(warning)] for text in result.warnings] == ([warning] if warning else [])
    assert node.running[0] == tuple(given[0])
    assert node.files[DEBIAN.key_file].content.decode() == render_file(*given)
    assert apply(node, wish(*given)).changes == []


HEAD, KEYS_AND_HEAD = render_file([], ("r", 5)), render_file([A, B], ("r", 5))


@pytest.mark.parametrize("text", [
    KEYS_AND_HEAD.replace(A, "# by hand\n" + A), KEYS_AND_HEAD + "\n\n", KEYS_AND_HEAD.replace("\n", "\r\n"),
    KEYS_AND_HEAD.replace(A + "\n" + B, A + " " + B), KEYS_AND_HEAD.replace(A, A + "\n" + A), HEAD + B + "\n" + A + "\n",
    HEAD + '"%s"\n' % A, HEAD, A + "\n" + B + "\n", "",
], ids=["comment", "blank lines", "CRLF", "one line", "twice", "other order", "one missing", "none left", "no header", "empty"])
def test_a_file_that_was_edited_so_that_nothing_can_be_lost_is_put_right(text):
    node = serving([A, B], ("r", 5))
    node.files[DEBIAN.key_file] = Entry("file", 0o600, (0, 0), text.encode())
    node.logrotate()
    result = apply(node, wish([A, B], ("r", 5)))
    assert node.files[DEBIAN.key_file].content.decode() == KEYS_AND_HEAD
    assert node.running == ((A, B), 3600)
    assert [warning for warning in result.warnings if not warning.startswith(EDITED)] == []
    assert apply(node, wish([A, B], ("r", 5))).changes == []


def test_any_ring_is_taken_by_a_new_node_and_a_second_run_changes_nothing():
    node = serving([B, A], ("r", 9))
    result = apply(node, wish([B, A], ("r", 9)))
    assert (result.changes, result.warnings, result.diff, node.steps) == ([], [], [], [("remove", journal() + ".new"), (
        "remove_directory", DEBIAN.key_dir)])


def journal():
    return DEBIAN.key_dir + "/.transaction.json"


def test_a_diff_names_the_ring_and_no_key():
    node = serving([A], ("r", 5))
    rows = apply(node, wish([A], ("r", 6)), check_mode=True).diff
    assert [row["before_header"] for row in rows] == [DEBIAN.key_file]
    assert rows[0]["before"].startswith("ring r, generation 5\nkey 1: ")
    assert rows[0]["after"] == rows[0]["before"].replace("generation 5", "generation 6")
    assert A not in str(rows)


# What a killed run left.

def killed(node, wanted, at):
    """Whether a run was killed before its step of that number; what it noted is cleared."""
    node.steps.clear()
    node.dies_at = at
    try:
        apply(node, wanted)
        return False
    except Killed:
        return True
    finally:
        node.dies_at = 0


def killed_runs(make, wanted):
    """The node after each way to be killed."""
    at = 0
    while True:
        at += 1
        node = make()
        if not killed(node, wanted, at):
            assert at > 15, "so many steps were tried"
            return
        yield at, node


def keeps(accepted):
    """A watch: whoever reloads the server at any moment, it opens all that it once opened."""
    def watch(node):
        for where in (node.on_disk(), node.running):
            if where:
                assert accepted <= set(where[0]), (where, node.steps[-1:])
        accepted.update(node.running[0] if node.running else ())
    return watch


@pytest.mark.parametrize("reloads", [False, True])
@pytest.mark.parametrize("then", [([A, B], ("r", 6)), ([B, A], ("r", 7))])
def test_killed_at_every_step_it_never_refuses_a_key_that_it_accepted(then, reloads):
    """The next run has the same list, or the one after a promote; it is killed at a step of its own too."""
    for at, node in killed_runs(lambda: serving([A], ("r", 5)), wish([A, B], ("r", 6), 1800)):
        if reloads:
            node.logrotate()
        node.watch = keeps(set(node.running[0]))
        killed(node, wish(*then, max_age=1800), at)
        node.logrotate()
        apply(node, wish(*then, max_age=1800))
        assert node.running == (tuple(then[0]), 1800)
        assert not [path for path in node.files if "mod-session-" in path.rpartition("/")[2].lstrip("m") or ".tr" in path]


def test_after_a_kill_a_list_of_a_ring_stays_and_the_configuration_goes_back():
    seen = set()
    for at, node in killed_runs(lambda: serving([A], ("r", 5)), wish([A, B], ("r", 6), 1800)):
        swapped = parse_ring(node.files[DEBIAN.key_file].content.decode()) == ("r", 6)
        with pytest.raises(ApplyError) as caught:
            node.version_of = lambda binary: ()
            apply(node, wish([A, B], ("r", 6), 1800))
        assert "does not tell its version" in str(caught.value)
        keys, max_age = node.on_disk()
        committed = swapped and max_age == 1800
        seen.add((swapped, committed))
        assert keys == ((A, B) if swapped else (A,)), at
        assert node.running == ((keys, max_age) if swapped else ((A,), 3600))
    assert seen == {(False, False), (True, False), (True, True)}


def test_after_a_kill_a_plain_list_goes_back_as_a_whole():
    for at, node in killed_runs(lambda: serving([A], ("r", 5)), wish([A, B], None, 1800)):
        node.version_of = lambda binary: ()
        node.logrotate()
        with pytest.raises(ApplyError):
            apply(node, wish([A, B], None, 1800))
        assert node.on_disk() == node.running
        assert node.running in (((A,), 3600), ((A, B), 1800)), at


@pytest.mark.parametrize(("begun", "given"), [
    (([A, B], ("r", 6)), ([A], ("r", 4))),
    (([A, B], None), ([A], ("r", 4))),
    (([C], None), ([C], ("s", 1))),
])
def test_what_a_killed_run_left_is_not_touched_by_a_run_that_is_refused(begun, given):
    """It is compared with the list that would be there once the killed run was undone. Only its throw-away server is ended."""
    refused = 0
    for _at, node in killed_runs(lambda: serving([A], ("r", 5)), wish(*begun, max_age=1800)):
        if node.on_disk()[1] == 1800:
            continue  # committed, or its configuration is live
        before = {path: entry for path, entry in node.files.items() if not path.startswith(trial.DIRECTORY)}
        node.steps.clear()
        with pytest.raises(ApplyError, match="Nothing was changed"):
            apply(node, wish(*given))
        assert (node.steps, node.files) == ([], before)
        refused += 1
    assert refused > 10


def test_killed_before_a_reload_and_again_the_server_loads_in_the_end_what_is_on_the_disk():
    """A key that was taken out is seen by no probe: only the journal knows that a reload is owed."""
    tried = 0
    for at, node in killed_runs(lambda: serving([A, B], ("r", 5)), wish([A], ("r", 6))):
        again = 0
        while True:
            again += 1
            second = copy.deepcopy(node)
            if not killed(second, wish([A], ("r", 6)), again):
                break
            tried += 1
            apply(second, wish([A], ("r", 6)))
            assert second.running == second.on_disk() == ((A,), 3600), (at, again)
    assert tried > 300


def test_a_reload_that_fails_after_a_kill_is_said_and_still_owed():
    for _at, node in killed_runs(lambda: serving([A, B], ("r", 5)), wish([A], ("r", 6))):
        if node.on_disk()[0] == (A,) and node.running[0] == (A, B):
            break
    works, node.service_reload = node.service_reload, lambda: (1, "Job failed")
    with pytest.raises(ApplyError, match="the files of an interrupted run are back, but httpd does not load them: Job failed"):
        apply(node, wish([A], ("r", 6)))
    node.service_reload = works
    apply(node, wish([A], ("r", 6)))
    assert node.running == ((A,), 3600)


# A run that fails.

def fails(node, wanted, state="restored"):
    with pytest.raises(ApplyError) as caught:
        apply(node, wanted)
    assert caught.value.state == state, caught.value
    assert journal() not in node.files
    return str(caught.value)


def test_where_the_configuration_does_not_work_the_list_of_a_ring_stays():
    node = serving([A], ("r", 5))
    node.broken = lambda keys, max_age: max_age == 1800
    node.watch = keeps({A})
    said = fails(node, wish([A, B], ("r", 6), 1800))
    assert "with the ring's new list of keys, which stays because a check may have seen it live" in said
    assert node.running == node.on_disk() == ((A, B), 3600)
    assert parse_ring(node.files[DEBIAN.key_file].content.decode()) == ("r", 6)
    assert node.steps.count(("reload",)) == 2
    # The next ring is taken from there; the one before is not.
    node.broken = lambda keys, max_age: False
    with pytest.raises(ApplyError, match="going back loses sessions"):
        apply(node, wish([A], ("r", 5)))
    apply(node, wish([B, A], ("r", 7)))
    assert node.running == ((B, A), 3600)


@pytest.mark.parametrize("given", [([B, A], ("r", 6)), ([B], ("r", 6))])
def test_so_does_a_promotion_and_a_revocation(given):
    node = serving([A], ("r", 5))
    node.broken = lambda keys, max_age: max_age == 1800
    fails(node, wish(*given, max_age=1800))
    assert node.running == node.on_disk() == (tuple(given[0]), 3600)


def test_where_the_keys_themselves_do_not_work_the_old_list_returns():
    node = serving([A], ("r", 5))
    node.broken = lambda keys, max_age: B in keys
    said = fails(node, wish([A, B], ("r", 6), 1800))
    assert "which stays" not in said
    assert node.running == node.on_disk() == ((A,), 3600)
    assert parse_ring(node.files[DEBIAN.key_file].content.decode()) == ("r", 5)


def test_where_nothing_works_any_more_it_is_said():
    node = serving([A], ("r", 5))
    node.broken = lambda keys, max_age: ("reload",) in node.steps
    said = fails(node, wish([A, B], ("r", 6), 1800), "broken")
    assert said.endswith("The old files are back, but the server does not serve as before")


@pytest.mark.parametrize("ring", [None, ("r", 5)])
def test_a_plain_list_goes_back_with_the_configuration(ring):
    node = serving([A], ring)
    node.broken = lambda keys, max_age: max_age == 1800
    assert "which stays" not in fails(node, wish([A, B], None, 1800))
    assert node.running == node.on_disk() == ((A,), 3600)
    assert node.files[DEBIAN.key_file].content.decode() == render_file([A], ring)


def test_a_ring_whose_list_did_not_change_is_not_spoken_of():
    node = serving([A], ("r", 5))
    node.broken = lambda keys, max_age: max_age == 1800
    assert "which stays" not in fails(node, wish([A], ("r", 5), 1800))
    assert node.running == node.on_disk() == ((A,), 3600)


def test_a_first_run_that_fails_leaves_the_list_of_its_ring_and_no_configuration():
    node = MemoryNode()
    node.broken = lambda keys, max_age: True
    fails(node, wish([A], ("r", 5)))
    assert node.running is None and node.on_disk() is None
    assert parse_file(node.files[DEBIAN.key_file].content.decode()) == [A]


def test_killed_while_it_goes_back_after_a_failure():
    """Killed at any step of that too, the list stays and the next run ends well."""
    at = 0
    while True:
        at += 1
        node = serving([A], ("r", 5))
        node.broken = lambda keys, max_age: max_age == 1800
        node.watch = keeps({A})
        try:
            if not killed(node, wish([A, B], ("r", 6), 1800), at):
                break
        except ApplyError:
            break
        node.logrotate()
        apply(node, wish([B, A], ("r", 7)))
        assert node.running == ((B, A), 3600)
    assert at > 25
