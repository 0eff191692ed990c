# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: kills the node transaction with SIGKILL before its first step, its second, ... until one run ends by itself.

After each kill httpd is reloaded, as logrotate might: no session of the old state is lost, none goes out in plain text.
Then the transaction is run again and must end in the new state, with nothing left over. Every second time nobody reloads, and
the next run is killed too, at another step: the one after it ends in the new state all the same, without a key that is not in its
list. Where the keys are from a ring, every second time the next run already has the ring's next list, and at no moment, on the
disk or live, is a key lost that was accepted before.
Standard input: {"old": wish, "new": wish, "next": wish, "reset": script}, "old" and "next" may be null; standard output: one
line of JSON.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from plugins.module_utils.apply import LOCK, Wish, apply
from plugins.module_utils.layout import layout_for, parse_os_release
from plugins.module_utils.live import ScopeProbe, Way, ask, problems
from plugins.module_utils.node import Node
from plugins.module_utils.passphrases import parse_file
from plugins.module_utils.scopes import parse_scopes

STEPS = ("make_directory", "remove_directory", "write", "symlink", "hard_link", "rename", "remove", "remove_tree", "start",
         "stop", "stop_stale", "service_reload", "service_restart")
COPY = "/run/kill-apply-copy"
with open("/etc/os-release", encoding="utf-8") as handle:
    LAYOUT = layout_for(parse_os_release(handle.read()))
ROOT = LAYOUT.server_root


class DyingNode(Node):
    """A node that kills this process with SIGKILL before its n-th step."""

    left = 0

    def __getattribute__(self, name):
        found = object.__getattribute__(self, name)
        if name in STEPS:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return found


class WatchingNode(Node):
    """A node that looks, after each step that matters, whether a key is lost that was accepted before."""

    def __init__(self, probe, keys, accepted, troubles):
        super().__init__(LAYOUT.service)
        self.probe, self.keys, self.accepted, self.troubles = probe, keys, accepted, troubles

    def look(self, where, found):
        lost = self.accepted - set(found)
        if lost:
            self.troubles.append("%s: refuses %d keys that it accepted" % (where, len(lost)))

    def rename(self, source, path):
        super().rename(source, path)
        self.look_at_disk("rename to " + path)

    def remove(self, path):
        super().remove(path)
        self.look_at_disk("removal of " + path)

    def look_at_disk(self, where):
        entry = self.entry(LAYOUT.key_file)
        self.look(where, parse_file(entry.content.decode()) if entry else ())

    def service_reload(self):
        status = super().service_reload()
        self.look("reload", accepted_by(self, self.probe, self.keys))
        return status


def accepted_by(node, probe, keys):
    """The keys whose sessions the live server opens."""
    return {key for key, seen in zip(keys, ask(node, probe, keys, Way())) if seen.accepted}


def wish(row):
    """A wish from its JSON form."""
    scopes = parse_scopes(row["scopes"])
    probes = tuple(ScopeProbe(scope, one["marker"], tuple(one["cookies"]), one["identity"])
                   for scope, one in zip(scopes, row["probes"]))
    return Wish(LAYOUT, tuple(row["passphrases"]), probes, ring=tuple(row["ring"]) if row.get("ring") else None)


def run(node, wanted):
    """One run of the transaction, as the module does it."""
    with node.lock(LOCK, 10):
        return apply(node, wanted)


def killed_at(step, wanted):
    """Run the transaction in a process of its own that dies at this step; whether it died."""
    pid = os.fork()
    if pid == 0:
        node = DyingNode(LAYOUT.service)
        node.left = step
        run(node, wanted)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def leftovers():
    """What no finished run may leave."""
    patterns = (ROOT + "/**/.*mod-session-*", ROOT + "/mod_session/.*", "/run/mod-session-fleet-trial*")
    found = [path for pattern in patterns for path in glob.glob(pattern, recursive=True)]
    trial = subprocess.run(["pgrep", "-f", "mod-session-fleet-tria[l]"], stdout=subprocess.PIPE, check=False).stdout.decode()
    return found + trial.split()


def restored(node, old):
    """httpd's configuration as it was at the beginning, and live."""
    subprocess.run("find {0} -mindepth 1 -delete && cp -a {1}/. {0}/".format(ROOT, COPY), shell=True, check=True)
    status, text = node.service_reload() if node.service_active() else node.service_restart()
    assert status == 0, text
    end = time.monotonic() + 10
    while old and problems(node, old.probes, old.passphrases, Way()) and time.monotonic() < end:
        time.sleep(0.05)


def one_step(node, step, old, new, then):
    """Kill a run before this step, look, run again, look; whether it died, and sentences about what is wrong."""
    restored(node, old)
    died = killed_at(step, new)
    if step % 4 < 2:
        killed_at(1 + step * 7 % 31, then)
    else:
        status, text = node.service_reload()
        if status:
            return died, ["the reload after the kill failed: %s" % text]
    troubles = []
    known = dict.fromkeys([*(old or new).passphrases, *new.passphrases, *then.passphrases])
    for probe in (old or new).probes:
        for key, seen in zip((old or new).passphrases, ask(node, probe, list(known), Way())):
            kept = seen.accepted and seen.sealed == "key" if old else seen.sealed in ("key", "none")
            if not kept and key in new.passphrases:
                troubles.append("after the kill a session is lost or bare: %s" % seen.sealed)
    if new.ring:
        time.sleep(0.1)  # the workers of before have gone
        accepted = accepted_by(node, new.probes[0], new.passphrases)
        run(WatchingNode(new.probes[0], new.passphrases, accepted, troubles), then)
    else:
        run(node, then)
    again = problems(node, then.probes, then.passphrases, Way())
    gone = set(old.passphrases) - set(then.passphrases) if old else set()
    if gone and gone & accepted_by(node, old.probes[0], old.passphrases):
        troubles.append("after the next run: the server accepts a key that was taken out")
    if again or leftovers():
        troubles.append("after the next run: %s %s" % (again, leftovers()))
    return died, troubles


def main():
    """One step after the other, until a run is not killed any more."""
    request = json.load(sys.stdin)
    old, new, after = (wish(request[name]) if request.get(name) else None for name in ("old", "new", "next"))
    node = Node(LAYOUT.service)
    subprocess.run(["bash", "-c", request["reset"]], check=True)
    if old:
        run(node, old)
    shutil.rmtree(COPY, ignore_errors=True)
    subprocess.run(["cp", "-a", ROOT, COPY], check=True)
    step, died, troubles = 0, True, []
    while died:
        step += 1
        died, found = one_step(node, step, old, new, after if after and step % 2 else new)
        troubles += ["step %d: %s" % (step, text) for text in found]
    shutil.rmtree(COPY)
    print(json.dumps({"steps": step, "troubles": troubles}))


if __name__ == "__main__":
    main()
