# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node transaction: trial, swap, configtest, reload, live proof; on any failure the old state serves again."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Protocol, Sequence, Tuple

from . import config, endings, shown, trial
from .httpd_config import parse_defines, parse_vhosts
from .layout import Layout
from .live import ScopeProbe, Seen, Way, as_before, problems, snapshot
from .passphrases import fingerprint, parse_file, parse_ring, render_file
from .scopes import Scope
from .store import Store, render_client_options, render_store
from .transaction import Directory, Door, Entry, Target, Transaction
from .vhost_file import include_files, is_include_of, rivals, with_includes

LOCK = "/run/mod-session-fleet.lock"
LOCK_SECONDS = 120.0
"""How long a run waits for another run on the same node."""

RELOAD_SECONDS = 20.0
"""How long the live server may take to show its new state after a reload."""


class ApplyNode(trial.TrialNode, Door, Protocol):
    """What the transaction needs of a node."""

    def service_active(self) -> bool:
        """Whether httpd is running."""

    def service_reload(self) -> Tuple[int, str]:
        """Reload without dropping a request."""

    def service_restart(self) -> Tuple[int, str]:
        """Stop and start."""

    def find(self, pattern: str) -> List[str]:
        """Files that fit a pattern of the shell."""

    def version_of(self, binary: str) -> Tuple[int, ...]:
        """httpd's version."""


class ApplyError(Exception):
    """The transaction failed.

    :ivar state: what is true now: ``untouched`` (nothing was changed), ``restored`` (the old state was put back and
        serves as before; a ring's list of keys may have stayed, see :func:`_roll_back`) or ``broken`` (it was put back,
        but the server does not serve as before).
    """

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True)
class Wish:
    """How a node should be.

    :ivar probes: every scope with one sealed probe for each passphrase.
    :ivar passphrases: validated, in httpd's order.
    :ivar only_keys: put the passphrase file live and leave the configuration as it is.
    :ivar ring: id of the ring that the passphrases are from and the generation in which its keys changed last; None for a
        plain list. The node remembers it.
    :ivar allow_loss: take a list that the node would refuse because sessions are lost with it.
    :ivar store: the database; needed where a scope keeps its sessions in one, but for ``only_keys``: a key must not wait for
        a database.
    """

    layout: Layout
    passphrases: Tuple[str, ...]
    probes: Tuple[ScopeProbe, ...]
    only_keys: bool = False
    ring: Optional[Tuple[str, int]] = None
    allow_loss: bool = False
    store: Optional[Store] = None

    @property
    def scopes(self) -> Tuple[Scope, ...]:
        """The scopes of the probes."""
        return tuple(probe.scope for probe in self.probes)

    @property
    def identity(self) -> str:
        """What the probe locations of this node answer with."""
        return self.probes[0].identity if self.probes else ""


@dataclass
class Result:
    """What was done, or would be done in check mode.

    ``changes`` are paths and the words ``reload`` or ``restart``; ``diff`` has one ``before``/``after`` pair for each
    file, with fingerprints for keys; ``undone`` says what an interrupted run had left; ``warnings`` are sentences.
    """

    changes: List[str] = field(default_factory=list)
    diff: List[Dict[str, str]] = field(default_factory=list)
    undone: str = ""
    warnings: List[str] = field(default_factory=list)


def wanted(node: ApplyNode, wish: Wish, version: Tuple[int, ...]) -> Tuple[List[Directory], List[Target]]:
    """Directories and files as they should be, in the order in which they may go live.

    :raises ApplyError: a virtual host file that is missing or has no block for the host; nothing was changed.
    """
    layout = wish.layout
    directories = [Directory(layout.key_dir, 0o700)]
    keys = Target(layout.key_file, render_file(wish.passphrases, wish.ring).encode("utf-8"), mode=0o600, secret=True)
    if wish.only_keys:
        return directories, [keys]
    targets = _modules(node, layout, config.modules_for(wish.scopes)) + [keys]
    if wish.store:
        options = render_client_options(wish.store)
        if options:
            targets.append(Target(layout.client_options_file, options.encode("utf-8")))
        targets.append(Target(layout.store_file, render_store(wish.store).encode("utf-8"), mode=0o600, secret=True))
    included = include_files(wish.scopes, layout)
    if included:
        directories.append(Directory(layout.include_dir, 0o755))
    for path, own in included.items():
        text = config.render(own, layout.key_file, version, identity=wish.identity)
        targets.append(Target(path, text.encode("utf-8")))
    everywhere = [scope for scope in wish.scopes if not scope.virtual_host]
    targets.append(Target(layout.conf_file, config.render(
        everywhere, layout.key_file, version, layout.store_file if wish.store else "", wish.identity).encode("utf-8")))
    if layout.conf_enabled:
        name = posixpath.basename(layout.conf_file)
        targets.append(Target("%s/%s" % (layout.conf_enabled, name), link="../%s/%s" % (
            posixpath.basename(layout.conf_dir), name)))
    if not wish.store and node.entry(layout.store_file):
        # Last: nothing includes it any more. Its password must not stay.
        targets.append(Target(layout.store_file, config.HEADER.encode("utf-8"), mode=0o600, secret=True))
    targets += _virtual_host_files(node, layout, wish.scopes)
    # The last ones: until now virtual hosts may have included them, and may do so still. So they are emptied, not removed.
    targets += [Target(path, config.HEADER.encode("utf-8")) for path in _own_includes(node, layout) if path not in included]
    return directories, targets


def _own_includes(node: ApplyNode, layout: Layout) -> List[str]:
    """The files of ours that virtual hosts include, whatever scopes are wanted."""
    return [path for path in node.find(layout.include_dir + "/*.conf") if _text(node.entry(path)).startswith(config.HEADER)]


def _modules(node: ApplyNode, layout: Layout, names: Sequence[str]) -> List[Target]:
    """What loads the modules, links or one file; a module that something else loads stays as it is."""
    if layout.modules_file:
        text = config.HEADER + "".join("%s\n" % section for section in trial.load_modules(node, layout, names))
        return [Target(layout.modules_file, text.encode("utf-8"))]
    targets = []
    for name in names:
        for ending in ("load", "conf"):
            available = "%s/%s.%s" % (layout.modules_available, name, ending)
            enabled = "%s/%s.%s" % (layout.modules_enabled, name, ending)
            if node.is_file(available) and not node.is_file(enabled):
                targets.append(Target(enabled, link="../%s/%s.%s" % (
                    posixpath.basename(layout.modules_available), name, ending)))
    return targets


def _virtual_host_files(node: ApplyNode, layout: Layout, scopes: Sequence[Scope]) -> List[Target]:
    """The operator's files with one Include in each block that serves a scope."""
    texts: Dict[str, str] = {}
    files: Dict[Tuple[str, str], Dict[int, str]] = {}
    first: Dict[Tuple[str, str], Scope] = {}
    for include_file, own in include_files(scopes, layout).items():
        for scope in own:
            if not scope.virtual_host_file:
                continue
            path = node.real_path(scope.virtual_host_file)
            if path not in texts:
                entry = node.entry(path)
                if entry is None or entry.kind != "file":
                    raise ApplyError("scope %s: virtual_host_file %s is not there; expected the file that has "
                                     "<VirtualHost> for %s" % (scope.name, scope.virtual_host_file, scope.virtual_host),
                                     "untouched")
                texts[path] = entry.content.decode("utf-8", "surrogateescape")
            files.setdefault((path, scope.virtual_host), {})[scope.port] = include_file
            first.setdefault((path, scope.virtual_host), scope)
    settings = node.run([layout.control, "-S"])[1] if texts else ""
    hosts = [(host, *_place(node, host.place)) for host in parse_vhosts(settings)]
    for (path, name), ports in files.items():
        named = [(host.port, file, line) for host, file, line in hosts
                 if name in (host.name.lower(), *map(str.lower, host.aliases))]
        served = {port: [line for own, file, line in named if file == path and own in (0, port)] for port in ports}
        try:
            texts[path] = with_includes(texts[path], name, ports, parse_defines(settings), served,
                                        sorted({other for scope in scopes if scope.virtual_host == name
                                                for other in rivals(scope, scopes)}))
        except LookupError as error:
            scope = first[path, name]
            others = sorted({file for own, file, _line in named if own in (0, *ports) and file not in ("", path)})
            raise ApplyError("scope %s: %s: %s%s" % (
                scope.name, scope.virtual_host_file, error,
                ". httpd has it from %s" % " and ".join(others) if others else ""), "untouched") from error
    return [Target(path, text.encode("utf-8", "surrogateescape"), mode=None) for path, text in texts.items()]


def _place(node: ApplyNode, place: str) -> Tuple[str, int]:
    """File, links followed, and line of what ``-S`` names; one that a macro makes has no line that is its own."""
    path, _colon, line = place.rpartition(":")
    return ("", 0) if path.startswith("macro ") else (node.real_path(path), int(line))


def apply(node: ApplyNode, wish: Wish, check_mode: bool = False) -> Result:
    """Bring a node to its wanted state, or leave it as it was. Call it with the node's lock held.

    A new list of a ring that went live stays, also where the rest goes back: see :func:`_roll_back`.

    :param check_mode: find out what would be done, trial included, and change nothing.
    :raises ApplyError: says what was seen, what was expected, what to do, and what state the node is in.
    """
    layout = wish.layout
    work = Transaction(node, layout.key_dir + "/.transaction.json")
    result = Result()
    ended = "the throw-away server of an interrupted run was ended, its files removed" if trial.clean(node) else ""
    old_keys = _old_keys(node, work, layout)
    refused = _refusal(wish, old_keys)
    if refused and not wish.allow_loss:
        raise ApplyError("%s. Nothing was changed. To take these keys all the same, and lose sessions, set "
                         "session_keys_allow_loss: true" % refused, "untouched")
    if check_mode and work.pending():
        result.undone = "an interrupted run would be undone first"
    elif not check_mode:
        result.undone = _recover(node, work, layout)
    result.undone = "; ".join(filter(None, [ended, result.undone]))
    if result.undone:
        result.changes.append(result.undone)
    version = node.version_of(layout.binary)
    if not version:
        if check_mode:
            result.changes.append("%s is not installed yet; sessions would be set up after it is" % layout.service)
            return result
        raise ApplyError("%s does not tell its version: is httpd installed?" % layout.binary, "untouched")
    if not node.service_active():
        raise ApplyError(
            "%s.service is not running, so that nothing can be proven; nothing was changed. Start it (systemctl start "
            "%s) and run again" % (layout.service, layout.service), "untouched")
    directories, targets = wanted(node, wish, version)
    wrong_directories = work.wrong_directories(directories)
    missing = work.missing(targets)
    live_problems = [] if missing else _live_problems(node, wish)
    if not (missing or wrong_directories or live_problems):
        return result
    result.diff = _diff(work, wish, missing)
    result.warnings = _warnings(wish, old_keys, refused)
    if not wish.only_keys:
        result.warnings += endings.endings(_live_sections(node, work, layout), wish.scopes)
    result.changes += [item.path for item in wrong_directories] + [target.path for target in missing]
    if missing or live_problems:
        result.changes.append("reload")
    _configtest(node, layout, "untouched", "the configuration was broken before this run; nothing was changed. Repair "
                                           "it and run again")
    if wish.store:
        _only_database(node, layout)
    not_working = trial.run_trial(node, layout, version, wish.probes, wish.passphrases, wish.store)
    if check_mode and not_working and not_working[0].startswith(trial.NO_STORE_DRIVER):
        result.warnings.append("the database could not be tried: %s" % not_working[0])
        return result
    if not_working:
        raise ApplyError("a trial server with the new files does not work, nothing was changed: %s" % (
            "; ".join(not_working)), "untouched")
    if not check_mode:
        _go_live(node, work, wish, directories, missing, result)
    return result


def _live_sections(node: ApplyNode, work: Transaction, layout: Layout) -> List[endings.Section]:
    """The scopes of our own files, as they are before anything is changed."""
    found = endings.sections(_text(work.before(layout.conf_file)), "")
    for path in _own_includes(node, layout):
        found += endings.sections(_text(work.before(path)), posixpath.basename(path)[: -len(".conf")].partition(":")[0])
    return found


def _live_problems(node: ApplyNode, wish: Wish) -> List[str]:
    return problems(node, wish.probes, wish.passphrases, Way(), wish.only_keys, wish.store is not None)


def _text(entry: Optional[Entry]) -> str:
    return entry.content.decode("utf-8", "replace") if entry else ""


def _old_keys(node: ApplyNode, work: Transaction, layout: Layout) -> str:
    """The passphrase file that this run begins with, after it has undone what a killed one left; changes nothing."""
    text = _text(node.entry(layout.key_file))
    return text if parse_ring(text) else _text(work.before(layout.key_file))


def _refusal(wish: Wish, old_text: str) -> str:
    """Why the list of a ring must not replace a node's passphrase file, as a sentence; empty where it may.

    A later generation of the node's own ring is always taken: the ring's verbs have seen to it that no session is lost
    with it, or ended all of them on purpose. So is the same generation where the file was edited and nothing can be lost: it
    has keys of this list only, in any order, the one that encrypts among them.
    """
    if wish.ring is None:
        return ""
    (ring, generation), old, has = wish.ring, parse_file(old_text), parse_ring(old_text)
    if has and has[0] == ring and generation < has[1]:
        return ("this node has the keys of generation %d of the ring %s and was given those of generation %d: going back loses "
                "sessions. Expected generation %d or later: use the ring as it was saved last, not an older copy of it or "
                "the rest of a playbook that began before" % (has[1], ring, generation, has[1]))
    same = set(old) <= set(wish.passphrases) and (not old or wish.passphrases[0] in old)
    if has == wish.ring and not same:
        return ("this node has other keys of generation %d of the ring %s than it was given: two copies of the ring were "
                "changed and saved, or the file was edited here. Find out which copy the other nodes follow (session_check "
                "shows what they accept), use that one and put the other away" % (generation, ring))
    loss = _loss(old, wish.passphrases)
    if loss and not (has and has[0] == ring):
        return "this node has %s and was given the ring %s: %s. Expected the ring that the fleet has, or one that has adopted " \
               "its passphrases" % ("the ring %s" % has[0] if has else "a list that is from no ring", ring, loss)
    return ""


def _loss(old: Sequence[str], new: Sequence[str]) -> str:
    """How a new list of keys, gone live node by node, takes sessions away; empty where it does not."""
    if old and new[0] not in old:
        return "the new first passphrase was not in this node's list before, so that while other nodes do not have it yet " \
               "sessions are lost"
    if old and old[0] not in new:
        return "the passphrase that encrypted so far is no longer in the list, so that sessions are lost"
    return ""


def _warnings(wish: Wish, old_text: str, refused: str) -> List[str]:
    """Sentences about sessions that are lost by what is wanted."""
    if wish.ring:
        if refused:
            return ["taken because of session_keys_allow_loss: %s" % refused]
        edited = parse_ring(old_text) == wish.ring and tuple(parse_file(old_text)) != wish.passphrases
        return ["the passphrase file of this node was edited: it had the ring's keys in another order, twice, or not all of "
                "them. It is put right, and no session is lost by it"] if edited else []
    found = []
    has = parse_ring(old_text)
    if has:
        found.append("this node has generation %d of the ring %s; a plain list replaces it, and the node no longer knows which "
                     "lists are older. Where the ring is still in use, set session_ring_store" % (has[1], has[0]))
    loss = _loss(parse_file(old_text), wish.passphrases)
    if loss:
        found.append("%s. Without loss: add the new key at the end, deploy; move it to the front, deploy; wait for the longest "
                     "max age; remove the old one, deploy" % loss)
    return found


def _go_live(node: ApplyNode, work: Transaction, wish: Wish, directories: Sequence[Directory],
             missing: Sequence[Target], result: Result) -> None:
    """Swap, test, reload, prove; on any failure put everything back."""
    old_keys = parse_file(_text(node.entry(wish.layout.key_file)))
    known = [*wish.passphrases, *(key for key in old_keys if key not in wish.passphrases)]
    before = snapshot(node, wish.probes, known)
    new_modules = any(posixpath.dirname(target.path) == wish.layout.modules_enabled or target.path == wish.layout.modules_file
                      for target in missing)
    try:
        work.stage(directories, missing)
    except OSError as error:
        work.undo()
        raise ApplyError("the new files could not be written, nothing was changed: %s" % error, "untouched") from error
    try:
        work.swap(missing)
        _configtest(node, wish.layout, "restored", "the new configuration does not pass httpd's configtest")
        if "reload" in result.changes and _load(node, wish, new_modules) == "restart":
            result.changes[result.changes.index("reload")] = "restart"
        work.commit()
    except (ApplyError, OSError) as error:
        _roll_back(node, work, wish, known, before, error)


def _load(node: ApplyNode, wish: Wish, new_modules: bool) -> str:
    """Have the live server load what is on the disk and prove it; a restart only where a reload cannot load a module."""
    status, text = node.service_reload()
    found = ["reload failed: %s" % text] if status else _until_proven(node, wish)
    if found and new_modules and not status and node.service_active():
        status, text = node.service_restart()
        found = ["restart failed: %s" % text] if status else _until_proven(node, wish)
        if not found:
            return "restart"
    if found:
        raise ApplyError("after the reload the live server does not show the new state: %s" % "; ".join(found), "restored")
    return "reload"


def _until_proven(node: ApplyNode, wish: Wish) -> List[str]:
    """Ask the live server until it shows the new state twice in succession: old workers answer for a moment."""
    end = node.now() + RELOAD_SECONDS
    good = 0
    while True:
        found = _live_problems(node, wish)
        good = 0 if found else good + 1
        if good == 2:
            return []
        if node.now() >= end or (found and not node.service_active()):
            return found or ["it changed its mind"]
        node.sleep(0.1)


def _roll_back(node: ApplyNode, work: Transaction, wish: Wish, known: Sequence[str],
               before: Sequence[Seen], error: Exception) -> None:
    """Put the old files back, have them loaded, and prove that the server does what it did before.

    **A list of keys from a ring does not go back** as long as the server can work with it; only the configuration does.
    Once swapped it may have gone live, by our reload or by anybody's (logrotate), and a check may have counted this node
    among those that accept a new key. Where a promote followed, other nodes encrypt with that key, and with the old list
    their sessions would be lost here. Nobody can see whether that happened, so it is not asked. Nothing is risked: a later
    list of a ring is always safe to have, and a trial server worked with it on this node before the swap. Should the live
    server do worse with it than before, then no check can have counted this node, and the old list goes back too.
    """
    reason = str(error)
    died = not node.service_active()
    theirs: List[str] = []
    try:
        theirs = work.changed_by_others()
        keep = _kept(node, work, wish.layout) if wish.ring else []
        if work.put_back(keep) == "committed":
            work.undo()
            return  # The new state was live and proven; only writing that down failed.
        worse = _load_old(node, wish, known, before, bool(keep))
        if worse and keep:
            keep = []
            work.put_back()
            worse = _load_old(node, wish, known, before, False)
        work.undo(keep)
    except OSError as failure:
        raise ApplyError("%s. Putting the old files back failed too: %s. Run again once that is repaired" % (
            reason, failure), "broken") from error
    if worse:
        raise ApplyError("%s. The old files are back, but %s%s" % (reason, worse, _left_alone(theirs)), "broken") from error
    raise ApplyError("%s. The old files are back and the old state serves again%s%s%s" % (
        reason, ", with the ring's new list of keys, which stays because a check may have seen it live" if keep else "",
        " (the server had died and was started)" if died else "", _left_alone(theirs)), "restored") from error


def _kept(node: ApplyNode, work: Transaction, layout: Layout) -> List[str]:
    """What must not be put back: a passphrase file of a ring that was swapped in."""
    entry = node.entry(layout.key_file)
    return [layout.key_file] if parse_ring(_text(entry)) and work.before(layout.key_file) != entry else []


def _load_old(node: ApplyNode, wish: Wish, known: Sequence[str], before: Sequence[Seen], new_keys: bool) -> str:
    """Load what was put back and wait until the server does what it did; what is wrong, empty when nothing is."""
    status, text = node.service_reload() if node.service_active() else node.service_restart()
    end = node.now() + RELOAD_SECONDS
    while not status:
        if as_before(snapshot(node, wish.probes, known), before, new_keys):
            return ""
        if node.now() >= end:
            break
        node.sleep(0.1)
    return "the server does not serve as before%s" % (": " + text if text else "")


def _recover(node: ApplyNode, work: Transaction, layout: Layout) -> str:
    """Undo what a killed run left; a sentence about it, empty when there was nothing.

    A list of keys from a ring stays where it was swapped in, for the reason that :func:`_roll_back` gives. The journal stays
    until the server has loaded what is on the disk: killed before that, the next run does it.

    :raises ApplyError: httpd does not load it.
    """
    keep = _kept(node, work, layout)
    theirs = work.changed_by_others()
    stopped_in = work.put_back(keep)
    if stopped_in == "swapping":
        status, text = node.service_reload() if node.service_active() else node.service_restart()
        if status:
            said = trial.configtest(node, layout)
            raise ApplyError("the files of an interrupted run are back, but httpd does not load them: %s. Repair it and run "
                             "again" % (said or text), "broken")
    work.undo(keep)
    if stopped_in == "swapping":
        return "an interrupted run was undone: the old files are back and loaded%s%s" % (
            ", but for the ring's list of keys, which stays" if keep else "", _left_alone(theirs))
    return "an interrupted run was cleaned up" if stopped_in else ""


def _left_alone(paths: Sequence[str]) -> str:
    """The end of a sentence about what was put back; empty where nothing was left as it is."""
    return "; %s changed meanwhile by somebody else, and left alone with what it needs: look whether it is as you want it" % (
        ", ".join(paths) + (" was" if len(paths) == 1 else " were")) if paths else ""


def _only_database(node: ApplyNode, layout: Layout) -> None:
    """Refuse where the server's own configuration uses mod_dbd: it has one database, and a virtual host that names another one
    inherits our statements, which would have to be prepared there.

    :raises ApplyError: names the file; nothing was changed.
    """
    _status, said = node.run([layout.control, "-t", "-D", "DUMP_INCLUDES"])
    for path in re.findall(r"(?m)^[ \t]*\([0-9*]+\) (/.+)$", said):
        if path != layout.store_file and re.search(r"(?im)^[ \t]*DBDriver\s", _text(node.entry(node.real_path(path)))):
            raise ApplyError("%s has a DBDriver of its own, and httpd's mod_dbd serves one database only: either would take the "
                             "other's place. Nothing was changed. Keep sessions in cookies on this server (store: cookie), or "
                             "have what uses that database served by another one" % path, "untouched")


def _configtest(node: ApplyNode, layout: Layout, state: str, sentence: str) -> None:
    said = trial.configtest(node, layout)
    if said:
        raise ApplyError("%s: %s" % (sentence, said), state)


def _diff(work: Transaction, wish: Wish, missing: Sequence[Target]) -> List[Dict[str, str]]:
    rows = []
    for target in missing:
        entry = work.before(target.path)
        old, new = _text(entry), (target.content or b"").decode("utf-8", "replace")
        if target.secret and target.path == wish.layout.key_file:
            before, after = _shown_keys(parse_file(old), parse_ring(old)), _shown_keys(wish.passphrases, wish.ring)
        elif target.link:
            before, after = "link to %s\n" % entry.link if entry else "", "link to %s\n" % target.link
        elif target.mode is None:
            before, after = shown.operators_file(old, new, lambda line: is_include_of(
                line, wish.layout.include_dir))
        else:
            before, after = shown.own_file(old, new)
        rows.append({"before_header": target.path, "after_header": target.path, "before": before, "after": after})
    return rows


def _shown_keys(passphrases: Sequence[str], ring: Optional[Tuple[str, int]]) -> str:
    keys = "".join("key %d: %s%s\n" % (position, fingerprint(key), " (encrypts)" if position == 1 else "")
                   for position, key in enumerate(passphrases, 1))
    return ("ring %s, generation %d\n" % ring if ring else "") + keys
