# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: kills the node transaction with SIGKILL before its first step, its second, ... until one run ends by itself.

After each kill httpd is reloaded, as logrotate might: no session of the old state is lost, none goes out in plain text.
Then the transaction is run again and must end in the new state, with nothing left over.
Standard input: {"old": wish, "new": wish, "reset": script}; standard output: one line of JSON.
"""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from plugins.module_utils.apply import LOCK, Wish, apply
from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.live import ScopeProbe, Way, ask, problems
from plugins.module_utils.node import Node
from plugins.module_utils.scopes import parse_scopes

STEPS = ("make_directory", "remove_directory", "write", "symlink", "hard_link", "rename", "remove", "remove_tree", "start",
         "stop", "service_reload", "service_restart")


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


def wish(row):
    """A wish from its JSON form."""
    scopes = parse_scopes(row["scopes"])
    probes = tuple(ScopeProbe(scope, one["marker"], tuple(one["cookies"])) for scope, one in zip(scopes, row["probes"]))
    return Wish(DEBIAN, tuple(row["passphrases"]), probes)


def run(node, wanted):
    """One run of the transaction, as the module does it."""
    with node.lock(LOCK, 10):
        return apply(node, wanted)


def killed_at(step, wanted):
    """Run the transaction in a process of its own that dies at this step; whether it died."""
    pid = os.fork()
    if pid == 0:
        node = DyingNode("apache2")
        node.left = step
        run(node, wanted)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def leftovers():
    """What no finished run may leave."""
    patterns = ("/etc/apache2/**/.*mod-session-*", "/etc/apache2/mod_session/.*", "/run/mod-session-fleet-trial*")
    found = [path for pattern in patterns for path in glob.glob(pattern, recursive=True)]
    trial = subprocess.run(["pgrep", "-f", "mod-session-fleet-tria[l]"], stdout=subprocess.PIPE, check=False).stdout.decode()
    return found + trial.split()


def main():
    """Kill, look, run again, look; for every step."""
    request = json.load(sys.stdin)
    new = wish(request["new"])
    old = wish(request["old"]) if request["old"] else None
    node = Node("apache2")
    step, troubles = 0, []
    while True:
        step += 1
        subprocess.run(["bash", "-c", request["reset"]], check=True)
        if old:
            run(node, old)
        died = killed_at(step, new)
        status, text = node.service_reload()
        if status:
            troubles.append("step %d: the reload after the kill failed: %s" % (step, text))
        for probe in (old or new).probes:
            for seen in ask(node, probe, (old or new).passphrases, Way()):
                kept = seen.accepted and seen.sealed == "key" if old else seen.sealed in ("key", "none")
                if not kept:
                    troubles.append("step %d: after the kill a session is lost or bare: %s" % (step, seen.sealed))
        run(node, new)
        again = problems(node, new.probes, new.passphrases, Way())
        if again or leftovers():
            troubles.append("step %d: after the next run: %s %s" % (step, again, leftovers()))
        if not died:
            break
    print(json.dumps({"steps": step, "troubles": troubles}))


if __name__ == "__main__":
    main()
