# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transaction on real files, killed before, in the middle of and after each of its system calls, and undone."""
from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils.node import Node
from plugins.module_utils.transaction import Directory, Entry, JournalError, Target, Transaction

reason = "" if os.geteuid() == 0 else "not root: the transaction gives files away (chown)"
if reason:
    print(reason, file=sys.__stderr__)
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

CHANGING = ("make_directory", "remove_directory", "write", "symlink", "hard_link", "rename", "remove")
NEEDS_SPACE = ("make_directory", "write", "symlink", "hard_link")
WHEN = ("before", "torn", "after")
# Thousands of small files: in memory, where the machine has a place for that.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
Tree = dict[str, Optional[tuple[object, ...]]]


class Killed(BaseException):
    """What SIGKILL is to a process: no ``except Exception`` sees it."""


class MortalNode(Node):
    """A node whose ``at``-th change (1-based) is its last: ``before`` it, half way (``torn``), or ``after`` it.

    ``error`` is what is raised instead of dying. With ``full`` the disk has no room from that call on.
    """

    def __init__(self, at: int = 0, when: str = "before", error: Optional[OSError] = None, full: bool = False) -> None:
        super().__init__("no-such-service")
        self.at, self.when, self.error, self.full = at, when, error, full
        self.changes: list[tuple[str, tuple[Any, ...]]] = []

    def _change(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.changes.append((name, arguments))
        count = len(self.changes)
        needs_space = name in NEEDS_SPACE and not (name == "make_directory" and os.path.isdir(arguments[0]))
        if self.full and count > self.at and needs_space:
            raise OSError(errno.ENOSPC, "No space left on device", arguments[0])
        if count == self.at and self.when == "torn":
            self._half(name, arguments)
        if count != self.at or self.when == "after":
            getattr(Node, name)(self, *arguments)
        if count == self.at:
            raise self.error or Killed()

    @staticmethod
    def _half(name: str, arguments: tuple[Any, ...]) -> None:
        """What a call that was killed between its own system calls has done; the others are one system call."""
        if name == "write":
            path, content = arguments[:2]
            Path(path).unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
                handle.write(content[: len(content) // 2])
        elif name == "make_directory":
            if not os.path.lexists(arguments[0]):
                os.mkdir(arguments[0], 0o700)
        elif name in ("symlink", "hard_link"):
            Path(arguments[1]).unlink(missing_ok=True)


def _changing(name: str) -> Callable[..., None]:
    return lambda self, *arguments: self._change(name, arguments)


for _name in CHANGING:
    setattr(MortalNode, _name, _changing(_name))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is killed here, no power is cut: the page cache lives on, and flushing it only costs time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def look(path: str) -> Optional[tuple[object, ...]]:
    """All of what stands at a path that has to be as it was."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    owner = (found.st_uid, found.st_gid)
    if stat.S_ISLNK(found.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISDIR(found.st_mode):
        return ("directory", stat.S_IMODE(found.st_mode), owner)
    return ("file", stat.S_IMODE(found.st_mode), owner, Path(path).read_bytes())


def tree(root: str) -> Tree:
    """Every path below a directory, with all of what stands there."""
    names = (os.path.join(folder, name) for folder, folders, files in os.walk(root) for name in folders + files)
    return {name: look(name) for name in names}


class Scene:
    """A small /etc before and after: files, links and directories that are new, changed, or of another kind now."""

    def __init__(self, root: str, first_time: bool) -> None:
        self.root = root
        self.journal = self.at("mod_session/.transaction.json")
        self._build(first_time)
        self.directories = [Directory(self.at("mod_session"), 0o700), Directory(self.at("new"), 0o755),
                            Directory(self.at("new/deep"), 0o750), Directory(self.at("new/deep/er"), 0o711),
                            Directory(self.at("new/empty"), 0o755), Directory(self.at("elsewhere"), 0o711)]
        include = self.at("new/deep/er/www.conf")
        self.targets = [
            Target(self.at("mods-enabled/session.load"), link="../mods-available/session.load"),
            Target(self.at("mod_session/passphrases"), b"new key\n", mode=0o600, secret=True),
            Target(include, b"Include %s\n" % self.at("mod_session/passphrases").encode()),
            Target(self.at("conf-available/fleet.conf"), b"Include %s\nnew\n" % include.encode()),
            Target(self.at("conf-enabled/fleet.conf"), link="../conf-available/fleet.conf"),
            Target(self.at("was-file"), link="conf-available/fleet.conf"),
            Target(self.at("was-link"), b"Include %s\n" % self.at("was-file").encode(), mode=0o604),
            Target(self.at("sites/absent.conf"), b"no mode given, nothing there\n", mode=None),
            Target(self.at("sites/www.conf"), b"<VirtualHost>\n" + b"\xff" * 2000, mode=None),
        ]
        self.old = tree(root)

    def at(self, name: str) -> str:
        return self.root + "/" + name

    def _build(self, first_time: bool) -> None:
        node = Node("no-such-service")
        for name in ("mods-available", "mods-enabled", "conf-available", "conf-enabled", "sites", "elsewhere"):
            node.make_directory(self.at(name), 0o755)
        for name in ("mods-available/session.load", "elsewhere/fleet.conf", "bystander"):
            node.write(self.at(name), name.encode(), 0o644, (0, 0))
        node.write(self.at("conf-available/fleet.conf"), b"old\n", 0o640, (0, 33))
        node.symlink("../elsewhere/fleet.conf", self.at("conf-enabled/fleet.conf"))
        node.write(self.at("was-file"), b"a file\n", 0o4755, (7, 8))
        node.symlink("bystander", self.at("was-link"))
        node.write(self.at("sites/www.conf"), b"<VirtualHost>\n", 0o460, (1234, 2345))
        if not first_time:
            node.make_directory(self.at("mod_session"), 0o750)
            node.write(self.at("mod_session/passphrases"), b"old key\n", 0o600, (0, 0))
            node.make_directory(self.at("new"), 0o755)

    @property
    def new(self) -> Tree:
        """What the whole must look like once it is committed."""
        found: Tree = dict(self.old)
        found.update({item.path: ("directory", item.mode, (0, 0)) for item in self.directories})
        for target in self.targets:
            found[target.path] = ("link", target.link) if target.link else (
                "file", target.mode or 0o644, (0, 0), target.content)
        found[self.at("sites/www.conf")] = ("file", 0o460, (1234, 2345), self.targets[-1].content)
        return found

    def work(self, node: Optional[Node] = None) -> Transaction:
        return Transaction(node or Node("no-such-service"), self.journal)

    def run(self, node: Node) -> None:
        """All of a transaction that goes well."""
        work = self.work(node)
        work.stage(self.directories, self.targets)
        work.swap(self.targets)
        work.commit()

    def die(self, at: int, when: str) -> None:
        """A transaction that is killed; everything live is whole at that moment."""
        with pytest.raises(Killed):
            self.run(MortalNode(at, when))
        self.is_whole("killed %s change %d" % (when, at))

    def is_whole(self, where: str) -> None:
        """Each target is the old or the new one, those that went live are the first of the list, nothing dangles."""
        new = self.new
        states = []
        for target in self.targets:
            seen = look(target.path)
            assert seen in (self.old.get(target.path), new[target.path]), "%s: %s" % (where, target.path)
            states.append(seen == new[target.path])
        assert states == sorted(states, reverse=True), "%s: went live in another order: %s" % (where, states)
        for target in self.targets:
            for needed in self._needs(target.path):
                assert os.path.exists(needed), "%s: %s refers to %s" % (where, target.path, needed)

    @staticmethod
    def _needs(path: str) -> list[str]:
        seen = look(path)
        if seen is None:
            return []
        if seen[0] == "link":
            return [os.path.join(os.path.dirname(path), str(seen[1]))]
        content = seen[-1]
        assert isinstance(content, bytes)
        return [name.decode() for name in re.findall(rb"(?m)^Include (.*)$", content)]


@pytest.fixture(params=[True, False], ids=["first time", "again"])
def make_scene(request: pytest.FixtureRequest) -> Iterator[Callable[[], Scene]]:
    """Makes the scene anew each time it is called; the one before is gone then."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as root:

        def make() -> Scene:
            shutil.rmtree(root + "/etc", ignore_errors=True)
            os.mkdir(root + "/etc", 0o755)
            return Scene(root + "/etc", request.param)

        yield make


def plan(scene: Scene) -> tuple[int, dict[str, int]]:
    """How many changes a whole run makes, and at which one the journal takes each of its states."""
    node = MortalNode()
    scene.run(node)
    moves = [count for count, (name, given) in enumerate(node.changes, 1)
             if name == "rename" and given[1] == scene.journal]
    return len(node.changes), dict(zip(("staging", "swapping", "committed"), moves))


def states(changes: int, journal: dict[str, int]) -> Iterator[tuple[int, str, str]]:
    """Every way to be killed, with the state that the journal is in then."""
    for at in range(1, changes + 1):
        for when in WHEN:
            done = at if when == "after" else at - 1
            name = max((count, state) for state, count in [*journal.items(), ("", 0)] if count <= done)[1]
            yield at, when, "" if (at, when) == (changes, "after") else name


def test_a_run_that_goes_well(make_scene: Callable[[], Scene]) -> None:
    scene = make_scene()
    assert scene.work().missing(scene.targets) == scene.targets
    scene.run(Node("no-such-service"))
    assert tree(scene.root) == scene.new
    assert scene.work().missing(scene.targets) == []
    assert scene.work().wrong_directories(scene.directories) == []
    assert not scene.work().pending()
    assert scene.work().undo() == ""
    assert tree(scene.root) == scene.new


def test_staging_changes_nothing_live(make_scene: Callable[[], Scene]) -> None:
    scene = make_scene()
    scene.work().stage(scene.directories, scene.targets)
    files = {path: seen for path, seen in scene.old.items() if seen and seen[0] != "directory"}
    assert {path: look(path) for path in files} == files
    assert scene.work().pending()


def test_killed_anywhere_then_undone(make_scene: Callable[[], Scene]) -> None:
    changes, journal = plan(make_scene())
    assert (changes > 40, len(journal)) == (True, 3)
    for at, when, found in states(changes, journal):
        where = "killed %s change %d" % (when, at)
        scene = make_scene()
        scene.die(at, when)
        assert scene.work().pending() is bool(found), where
        assert scene.work().undo() == found, where
        done = found == "committed" or (at, when) == (changes, "after")
        assert tree(scene.root) == (scene.new if done else scene.old), where
        assert not scene.work().pending(), where


def test_killed_anywhere_and_killed_again_while_it_is_undone(make_scene: Callable[[], Scene]) -> None:
    changes, journal = plan(make_scene())
    for at, when, found in states(changes, journal):
        if when == "after":
            continue  # what the disk holds then is what it holds before the next change
        expected = "new" if found == "committed" else "old"
        again = 0
        while True:
            again += 1
            where = "killed %s change %d, then in change %d of undo" % (when, at, again)
            scene = make_scene()
            scene.die(at, when)
            try:
                scene.work(MortalNode(again, "before")).undo()
            except Killed:
                scene.is_whole(where)
                scene.work().undo()
                assert tree(scene.root) == getattr(scene, expected), where
                scene.work().undo()
                assert tree(scene.root) == getattr(scene, expected), where
            else:
                break
        assert again > 1


def test_undo_may_leave_a_file_as_it_is(make_scene: Callable[[], Scene]) -> None:
    """Killed anywhere, and killed again while the rest is undone: that file stays, and it is known what would go back."""
    changes, journal = plan(make_scene())
    for at, when, found in states(changes, journal):
        scene = make_scene()
        keys = scene.at("mod_session/passphrases")
        scene.die(at, when)
        stays = scene.work().before(keys)
        kept = look(keys)
        with contextlib.suppress(Killed):
            scene.work(MortalNode(1 + at % 7, "after")).undo([keys])
        assert scene.work().undo([keys]) in (found, ""), at
        assert look(keys) == kept
        done = found == "committed" or (at, when) == (changes, "after")
        expected = dict(scene.new if done else scene.old)
        if kept and not done:
            expected[os.path.dirname(keys)] = look(os.path.dirname(keys))
            expected[keys] = kept
        assert tree(scene.root) == expected, "killed %s change %d" % (when, at)
        old = scene.old.get(keys) if not done else kept
        assert (stays.content if stays else None) == (old[-1] if old else None)


@pytest.mark.parametrize("moment", ["staging", "swapping", "committed"])
def test_put_back_changes_nothing_that_undo_does_not(make_scene: Callable[[], Scene], moment: str) -> None:
    _changes, journal = plan(make_scene())
    scene = make_scene()
    scene.die(journal[moment] if moment == "committed" else journal[moment] + 5, "after")
    assert scene.work().put_back() == moment
    assert scene.work().pending()
    done = scene.new if moment == "committed" else scene.old
    live = {target.path for target in scene.targets}
    assert {path: look(path) for path in live} == {path: done.get(path) for path in live}
    assert scene.work().undo() == moment
    assert tree(scene.root) == done


def rewritten(path: str) -> None:
    """As certbot and editors do it: another file takes the place."""
    Path(path + ".theirs").write_bytes(b"theirs\n" + (Path(path).read_bytes() if os.path.exists(path) else b""))
    os.rename(path + ".theirs", path)


BY_OTHERS: dict[str, Callable[[str], object]] = {
    "rewritten": rewritten,
    "appended": lambda path: Path(path).open("ab").write(b"theirs\n"),
    "removed": os.unlink,
    "given another mode": lambda path: os.chmod(path, 0o612),
    "given away": lambda path: os.chown(path, 77, 77),
    "made a link": lambda path: (os.unlink(path), os.symlink("/their/file", path)),
}


@pytest.mark.parametrize("what", BY_OTHERS)
def test_what_others_changed_after_the_kill_is_left_alone(make_scene: Callable[[], Scene], what: str) -> None:
    """Each file, at each moment: it stays as they left it, also where undoing is killed and begun again; the rest goes back."""
    _changes, journal = plan(make_scene())
    tried = 0
    for at in range(journal["swapping"], journal["committed"]):
        for number in range(len(make_scene().targets)):
            scene = make_scene()
            scene.die(at, "after")
            path = scene.targets[number].path
            if (os.path.islink(path) and what not in ("removed", "made a link")) or not os.path.lexists(path):
                continue
            old_names = (look(path), scene.old.get(path))
            BY_OTHERS[what](path)
            theirs = look(path)
            if theirs in old_names:
                continue
            tried += 1
            where = "%s %s, killed after change %d" % (path, what, at)
            assert scene.work().changed_by_others() == [path], where
            with contextlib.suppress(Killed):
                scene.work(MortalNode(1 + at % 5, "after")).undo()
            scene.work().undo()
            assert look(path) == theirs, where
            for target in scene.targets:
                for needed in scene._needs(target.path):
                    assert os.path.exists(needed) or what in ("removed", "made a link"), "%s: %s is missing" % (where, needed)
            named = theirs and theirs[0] == "file" and b"Include" in bytes(theirs[-1])  # type: ignore[call-overload]
            if not named:
                rest = {target.path for target in scene.targets} - {path}
                assert {one: look(one) for one in rest} == {one: scene.old.get(one) for one in rest}, where
            assert not scene.work().pending() and not [one for one in tree(scene.root) if "mod-session-" in one], where
    assert tried > 5


def test_where_a_file_of_others_names_a_new_one_all_of_the_new_state_stays(make_scene: Callable[[], Scene]) -> None:
    _changes, journal = plan(make_scene())
    scene = make_scene()
    scene.die(journal["committed"] - 1, "after")
    rewritten(scene.at("conf-available/fleet.conf"))  # it includes one that is new
    expected = {target.path: look(target.path) for target in scene.targets}
    assert scene.work().undo() == "swapping"
    assert {path: look(path) for path in expected} == expected


def test_a_directory_whose_mode_others_changed_keeps_it(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o755)
    (keys / "mine").touch()
    work = Transaction(Node("no-such-service"), str(keys / "journal"))
    work.stage([Directory(str(keys), 0o700)], [Target(str(keys / "new"), b"x")])
    keys.chmod(0o750)
    work.undo()
    assert stat.S_IMODE(keys.stat().st_mode) == 0o750


@pytest.mark.parametrize("moment", ["staging", "swapping", "committed"])
def test_undo_killed_again_and_again(make_scene: Callable[[], Scene], moment: str) -> None:
    changes, journal = plan(make_scene())
    scene = make_scene()
    at = {"staging": journal["swapping"] - 1, "swapping": journal["committed"] - 1, "committed": journal["committed"]}
    scene.die(at[moment], "after")
    for again in range(1, changes):
        try:
            scene.work(MortalNode(again, "after")).undo()
        except Killed:
            scene.is_whole("undo killed after change %d" % again)
    assert tree(scene.root) == (scene.new if moment == "committed" else scene.old)


def test_run_again_after_being_killed(make_scene: Callable[[], Scene]) -> None:
    changes, journal = plan(make_scene())
    for at, when, _found in states(changes, journal):
        scene = make_scene()
        scene.die(at, when)
        work = scene.work()
        work.undo()
        missing = work.missing(scene.targets)
        if missing:
            work.stage(scene.directories, missing)
            work.swap(missing)
            work.commit()
        assert tree(scene.root) == scene.new, "killed %s change %d" % (when, at)


def test_full_disk(make_scene: Callable[[], Scene]) -> None:
    """Wherever the room runs out: the error says so, and going back needs none."""
    _changes, journal = plan(make_scene())
    for at in range(1, journal["committed"]):
        for when in ("before", "torn"):
            where = "no room %s change %d" % (when, at)
            scene = make_scene()
            node = MortalNode(at, when, OSError(errno.ENOSPC, "No space left on device"), full=True)
            with pytest.raises(OSError, match="No space left"):
                scene.run(node)
            scene.is_whole(where)
            scene.work(node).undo()
            assert tree(scene.root) == scene.old, where


def test_an_error_after_the_commit_leaves_cleaning_to_the_next_run(make_scene: Callable[[], Scene]) -> None:
    changes, journal = plan(make_scene())
    for at in range(journal["committed"] + 1, changes + 1):
        scene = make_scene()
        scene.run(MortalNode(at, "before", OSError(errno.EIO, "Input/output error")))
        assert {path: look(path) for path in scene.new} == scene.new
        assert scene.work().undo() == "committed"
        assert tree(scene.root) == scene.new, at


def test_a_target_that_is_a_directory_is_refused_and_nothing_changes(make_scene: Callable[[], Scene]) -> None:
    scene = make_scene()
    work = scene.work()
    with pytest.raises(OSError):
        work.stage(scene.directories, [*scene.targets, Target(scene.at("elsewhere"), b"a file")])
    assert work.undo() == "staging"
    assert tree(scene.root) == scene.old


def test_nothing_of_a_key_is_readable_by_others_at_any_moment(make_scene: Callable[[], Scene]) -> None:
    changes, journal = plan(make_scene())
    for at, when, _found in states(changes, journal):
        scene = make_scene()
        scene.die(at, when)
        for path, seen in tree(scene.root).items():
            if seen and seen[0] == "file" and b" key" in bytes(seen[-1]):  # type: ignore[call-overload]
                assert int(str(seen[1])) & 0o077 == 0, "%s, killed %s change %d" % (path, when, at)


def test_the_journal_holds_paths_and_no_contents(make_scene: Callable[[], Scene]) -> None:
    scene = make_scene()
    scene.work().stage(scene.directories, scene.targets)
    text = Path(scene.journal).read_text(encoding="utf-8")
    assert json.loads(text)["state"] == "swapping"
    assert "new key" not in text and "old key" not in text
    assert stat.S_IMODE(os.lstat(scene.journal).st_mode) == 0o600


def test_wrong_directories(tmp_path: Path) -> None:
    for name, mode in (("right", 0o700), ("wide", 0o755), ("foreign", 0o700)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    os.chown(tmp_path / "foreign", 1234, 0)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("right")
    work = Transaction(Node("no-such-service"), str(tmp_path / "right" / "journal"))
    wanted = [Directory(str(tmp_path / name), 0o700) for name in ("right", "wide", "foreign", "file", "link", "absent")]
    wrong = [Path(item.path).name for item in work.wrong_directories(wanted)]
    assert wrong == ["wide", "foreign", "file", "link", "absent"]


def test_an_existing_directory_gets_its_mode_and_stays_when_undone(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o755)
    (keys / "mine").touch()
    work = Transaction(Node("no-such-service"), str(keys / "journal"))
    work.stage([Directory(str(keys), 0o700)], [Target(str(keys / "new"), b"x")])
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    work.undo()
    assert os.listdir(keys) == ["mine"]
    assert stat.S_IMODE(keys.stat().st_mode) == 0o755


FILE = Entry("file", 0o644, (0, 0), b"x")


@pytest.mark.parametrize(
    ("target", "entry", "same"),
    [
        (Target("/p", b"x"), FILE, True),
        (Target("/p", b"x"), None, False),
        (Target("/p", b"y"), FILE, False),
        (Target("/p", b"x", mode=0o600), FILE, False),
        (Target("/p", b"x"), Entry("file", 0o644, (0, 33), b"x"), False),
        (Target("/p", b"x", mode=None), Entry("file", 0o460, (9, 9), b"x"), True),
        (Target("/p", b"y", mode=None), Entry("file", 0o460, (9, 9), b"x"), False),
        (Target("/p", b"", mode=None), Entry("link", link="x"), False),
        (Target("/p", b"", mode=None), Entry("other"), False),
        (Target("/p", link="x"), Entry("link", link="x"), True),
        (Target("/p", link="x"), Entry("link", link="y"), False),
        (Target("/p", link="x"), FILE, False),
    ],
)
def test_what_matches_a_target(target: Target, entry: Optional[Entry], same: bool) -> None:
    assert target.matches(entry) is same


def test_a_file_that_keeps_the_mode_of_a_link_can_be_read(tmp_path: Path) -> None:
    """A link has no mode of its own."""
    (tmp_path / "file").symlink_to("nowhere")
    work = Transaction(Node("no-such-service"), str(tmp_path / "journal"))
    target = Target(str(tmp_path / "file"), b"x", mode=None)
    work.stage([], [target])
    work.swap([target])
    work.commit()
    assert look(target.path) == ("file", 0o644, (0, 0), b"x")


# What may stand at a path: nothing, a file with this content, mode and owner, or a link.
things = st.one_of(
    st.none(),
    st.tuples(st.binary(max_size=3), st.sampled_from([0o600, 0o644, 0o4711, 0o444]), st.sampled_from([0, 7])),
    st.sampled_from(["a", "b", "nowhere"]),
)
wishes = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=3), st.sampled_from([None, 0o600, 0o644])),
    st.tuples(st.just("link"), st.sampled_from(["a", "b", "nowhere"]), st.none()),
)
Thing = Union[None, str, tuple[bytes, int, int]]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(things, wishes), min_size=1, max_size=4), st.data())
def test_any_files_killed_twice(pairs: list[tuple[Thing, tuple[str, Any, Any]]], data: st.DataObject) -> None:
    def build(root: str) -> tuple[Transaction, list[Target]]:
        targets = []
        for (thing, (kind, value, mode)), name in zip(pairs, "abcd"):
            path = "%s/%s" % (root, name)
            if isinstance(thing, str):
                os.symlink(thing, path)
            elif thing is not None:
                Node("no-such-service").write(path, thing[0], thing[1], (thing[2], thing[2]))
            targets.append(Target(path, link=value) if kind == "link" else Target(path, value, mode=mode))
        return Transaction(Node("no-such-service"), root + "/journal"), targets

    def run(work: Transaction, targets: list[Target]) -> None:
        work.stage([], targets)
        work.swap(targets)
        work.commit()

    def relative(root: str) -> dict[str, Optional[tuple[object, ...]]]:
        return {os.path.relpath(path, root): seen for path, seen in tree(root).items()}

    with tempfile.TemporaryDirectory(dir=MEMORY) as one, tempfile.TemporaryDirectory(dir=MEMORY) as other:
        node = MortalNode()
        work, targets = build(one)
        old = relative(one)
        work.door = node
        run(work, targets)
        new = relative(one)
        assert all(target.matches(node.entry(target.path)) for target in targets)
        assert new.keys() == {os.path.basename(target.path) for target in targets}

        work, targets = build(other)
        work.door = MortalNode(data.draw(st.integers(1, len(node.changes))), data.draw(st.sampled_from(WHEN)))
        with pytest.raises(Killed):
            run(work, targets)
        for name in new:
            assert look("%s/%s" % (other, name)) in (old.get(name), new[name])
        work.door = MortalNode(data.draw(st.integers(1, 30)), data.draw(st.sampled_from(WHEN)))
        try:
            work.undo()
        except Killed:
            work.door = Node("no-such-service")
            work.undo()
        assert relative(other) in (old, new)


@pytest.mark.parametrize("text", [
    "", "nonsense", "[]", "{}", "null", '{"state": "swapping", "paths": [["/etc/x"]], "created": [], "modes": {}}',
    '{"version": 1, "state": "staging", "paths": [["/etc/x", true]], "created": []}',
])
def test_a_journal_that_cannot_be_read_is_said_and_nothing_is_touched(make_scene: Callable[[], Scene], text: str) -> None:
    scene = make_scene()
    node = Node("no-such-service")
    node.make_directory(scene.at("mod_session"), 0o700)
    node.write(scene.journal, text.encode(), 0o600, (0, 0))
    before, work = tree(scene.root), scene.work()
    assert work.pending()
    for act in (work.undo, lambda: work.missing(scene.targets)):
        with pytest.raises(JournalError, match=r"transaction\.json.* cannot be read"):
            act()
    assert tree(scene.root) == before
