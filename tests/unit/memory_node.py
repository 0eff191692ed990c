# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole node in memory: files, and an httpd that serves what it loaded last. For tests of the node transaction."""

from __future__ import annotations

import fnmatch
import re
import sys

from plugins.module_utils import trial
from plugins.module_utils.apply import Wish
from plugins.module_utils.cookie import CIPHERS, CookieError, format_payload, parse_payload, seal, unseal
from plugins.module_utils.layout import DEBIAN
from plugins.module_utils.live import ScopeProbe
from plugins.module_utils.passphrases import parse_file, render_file
from plugins.module_utils.probe import IDENTITY_HEADER, Answer, identity, seal_probe
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.transaction import Entry

A, B, C = ("TEST-ONLY-%s-0123456789abcdefghijklmnopqrstu" % name for name in "ABC")
WORD = "live-marker1"
TRIAL_PORT = 54321
ENABLED = DEBIAN.conf_enabled + "/mod-session-fleet.conf"


def wish(keys, ring=None, max_age=3600, **more):
    """One scope, /app, with these keys."""
    scope = parse_scopes([{"name": "app", "path": "/app", "cipher": "aes128", "max_age": max_age}])[0]
    cookies = (seal_probe(key, "aes128", WORD, bytes(16), bytes(CIPHERS["aes128"].iv_bytes)) for key in keys)
    return Wish(DEBIAN, tuple(keys), (ScopeProbe(scope, WORD, tuple(cookies), identity("n1")),), ring=ring, **more)


class Killed(BaseException):
    """What SIGKILL is to a process: no ``except Exception`` sees it."""


class MemoryNode:
    """Every step that changes something is noted in ``steps``; before number ``dies_at`` the run is killed.

    :ivar watch: called after each step, with the node.
    :ivar trials: throw-away servers that run.
    :ivar running: keys and max age that the live server has loaded; None: it has no sessions.
    :ivar broken: of keys and max age, whether the live server does not work with them.
    """

    def __init__(self):
        self.files, self.directories = {}, {}
        self.steps, self.dies_at, self.watch = [], 0, lambda node: None
        self.running, self.active, self.time = None, True, 0.0
        self.broken = lambda keys, max_age: False
        self.trials = 0

    def step(self, *what):
        if self.dies_at and len(self.steps) + 1 >= self.dies_at:
            raise Killed  # and again from what "finally" does, which no killed process gets to
        self.steps.append(what)

    def done(self):
        self.watch(self)

    # Files.

    def entry(self, path):
        return self.files.get(path)

    def directory_mode(self, path):
        return self.directories.get(path)

    def make_directory(self, path, mode):
        self.step("make_directory", path)
        self.directories[path] = mode

    def remove_directory(self, path):
        self.step("remove_directory", path)
        if not any(name.startswith(path + "/") for name in [*self.files, *self.directories]):
            self.directories.pop(path, None)

    def write(self, path, content, mode, owner):
        self.step("write", path)
        self.files[path] = Entry("file", mode, owner, content)

    def symlink(self, target, path):
        self.step("symlink", path)
        self.files[path] = Entry("link", link=target)

    def hard_link(self, source, path):
        self.step("hard_link", path)
        self.files[path] = self.files[source]

    def rename(self, source, path):
        self.step("rename", path)
        self.files[path] = self.files.pop(source)
        self.done()

    def remove(self, path):
        self.step("remove", path)
        self.files.pop(path, None)
        self.done()

    def remove_tree(self, path):
        if isinstance(sys.exc_info()[1], Killed):
            return
        self.files = {name: entry for name, entry in self.files.items() if not name.startswith(path + "/")}
        self.directories.pop(path, None)

    def is_file(self, path):
        return path in self.files or path.startswith(("/usr/lib/apache2/modules/", DEBIAN.modules_enabled))

    def real_path(self, path):
        return path

    # Servers.

    def on_disk(self, folder=""):
        """Keys and max age that a server would load now; of the trial server where a folder is given."""
        conf = DEBIAN.conf_file if not folder else folder + "/httpd.conf"
        keys = self.files.get(folder + "/passphrases" if folder else DEBIAN.key_file)
        if conf not in self.files or keys is None or (not folder and ENABLED not in self.files):
            return None
        found = re.search(rb"SessionMaxAge (\d+)", self.files[conf].content)
        return (tuple(parse_file(keys.content.decode())), int(found.group(1))) if found else None

    def logrotate(self):
        """The server loads what is on the disk."""
        self.running = self.on_disk()
        self.done()

    def service_active(self):
        return self.active

    def service_reload(self):
        self.step("reload")
        self.logrotate()
        return 0, ""

    def service_restart(self):
        self.step("restart")
        self.active = True
        self.logrotate()
        return 0, ""

    def get(self, address, port, tls, host, path, cookie, reach):
        loaded = self.on_disk(trial.DIRECTORY) if port == TRIAL_PORT else self.running
        if loaded is None:
            return Answer(404, (), 1, 2)
        keys, max_age = loaded
        if port != TRIAL_PORT and self.broken(keys, max_age):
            return Answer(500, (), 1, 2)
        attributes = "Max-Age=%d;Path=/app;HttpOnly;Secure;SameSite=Lax" % max_age
        own = (IDENTITY_HEADER, identity("n1"))
        if not keys:  # that is what httpd does
            return Answer(403, (own, ("Set-Cookie", "%s=expiry=1795398085466647;%s" % (cookie.split("=")[0], attributes))), 1, 2)
        pairs = {}
        try:
            pairs = dict(parse_payload(unseal(cookie.split("=", 1)[1], keys, "aes128").payload).pairs)
        except CookieError:
            pass  # httpd begins a new session
        value = seal(format_payload(pairs, 1795398085466647), keys[0], "aes128", bytes(16), bytes(16))
        return Answer(403, (own, ("Set-Cookie", "httpd-session=%s;%s" % (value, attributes))), 1, 2)

    def listeners(self):
        return {80: ["0.0.0.0"]}

    # The rest.

    def run(self, argv, timeout=60.0):
        return 0, "Syntax OK"

    def free_port(self):
        return TRIAL_PORT

    def start(self, argv):
        self.trials += 1
        self.step("start")
        return argv

    def stop(self, process):
        self.step("stop")
        self.trials -= 1

    def stop_stale(self, argument):
        ended, self.trials = self.trials, 0
        return ended

    def find(self, pattern):
        return sorted(fnmatch.filter(self.files, pattern))

    def version_of(self, binary):
        return (2, 4, 62)

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += max(seconds, 5)  # as if each look took its time


def serving(keys, ring=None, max_age=3600):
    """A node that serves one scope with these keys."""
    from plugins.module_utils.apply import apply

    node = MemoryNode()
    apply(node, wish(keys, ring, max_age))
    assert node.running == (tuple(keys), max_age)
    assert node.files[DEBIAN.key_file].content.decode() == render_file(keys, ring)
    node.steps.clear()
    return node
