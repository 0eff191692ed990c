# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away httpd that proves candidate files before anything live is touched.

``httpd -t`` stops before the crypto driver is loaded, so "Syntax OK" says nothing about the driver, the cipher or the
keys. The trial runs through start-up and is asked with real cookies, on a loopback port of its own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, List, Optional, Protocol, Sequence, Tuple

from .config import modules_for, render
from .layout import Layout
from .live import Http, ScopeProbe, Way, problems
from .passphrases import render_file
from .scopes import Scope
from .shown import reader, said_of_lines
from .store import Store, render_client_options, render_store
from .text import printable
from .transaction import Entry

DIRECTORY = "/run/mod-session-fleet-trial"
SECONDS = 10.0
"""How long a trial may take to answer."""

MOST_LINE = 1000
"""Characters of a line of the trial's error log that are looked at."""

MOST_LINES = 500
"""Lines of it."""

NO_STORE_DRIVER = "httpd lacks the driver for the database"
"""How the sentence begins where a package is not installed yet."""

_REMEDIES = (
    (r"AH0184[3-8]", "the crypto driver cannot be loaded: install the package that has apr_crypto_openssl "
                     "(Debian: libaprutil1 or libaprutil1t64, Red Hat: apr-util-openssl)"),
    (r"AH0182[34]", "the cipher is not available in this httpd's crypto driver"),
    (r"AH00629.*sqlite|AH00632.*readonly", "httpd cannot write to SQLite's file: its directory must be there, and both must "
                                           "belong to httpd's user (Debian: www-data, Red Hat: apache)"),
    (r"AH00629.*(?:database \".*\"|Unknown database|to database)", "the database is not there, or httpd's user may not use it: "
                                                                   "make it with the playbook httpd_fleet.mod_session.store"),
    (r"AH00629.*(?:password|Access denied)", "the database refuses httpd's user: see user and password of "
                                             "session_store, and from where the database lets that user in"),
    (r"AH00629.*(?:SSL|TLS|certificate)", "the connection to the database cannot be encrypted as session_store says: see host "
                                          "(it must be the name in the certificate), tls and ca"),
    (r"AH00629", "httpd's user cannot reach the database: see host and port of session_store, that the database listens there, "
                 "and the firewall between"),
    (r"AH00632.*(?:relation|no such table|doesn't exist)", "the table is not in the database: make it with the playbook "
                                                           "httpd_fleet.mod_session.store"),
    (r"AH00632.*denied", "the table is not there, or httpd's user may not use it: make it with the playbook "
                         "httpd_fleet.mod_session.store"),
    (r"AH00632", "the table is not as httpd needs it: compare it with what the playbook httpd_fleet.mod_session.store prints "
                 "with -e session_store_print=true"),
    (r"AH018(?:54|55|57|59).*(?:denied|readonly|read-only)", "httpd's user may not do all that it must with the table: it needs "
                                                             "SELECT, INSERT, UPDATE and DELETE on one that can be written"),
)


class TrialNode(Http, Protocol):
    """What a trial needs of a node."""

    def entry(self, path: str) -> Optional[Entry]:
        """What stands at a path."""

    def is_file(self, path: str) -> bool:
        """Whether a path leads to a regular file."""

    def make_directory(self, path: str, mode: int) -> None:
        """Create a directory."""

    def write(self, path: str, content: bytes, mode: int, owner: Tuple[int, int]) -> None:
        """Write a file."""

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it."""

    def free_port(self) -> int:
        """A free loopback port."""

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> Tuple[int, str]:
        """Run a command to its end."""

    def start(self, argv: Sequence[str]) -> object:
        """Start a program."""

    def stop(self, process: Any) -> None:
        """End it."""

    def stop_stale(self, argument: str) -> int:
        """End the programs of earlier runs that were started with this argument; how many there were."""

    def directory_mode(self, path: str) -> Optional[int]:
        """Permission bits of a directory; None where there is none."""

    def real_path(self, path: str) -> str:
        """The path with all symbolic links followed."""

    def now(self) -> float:
        """Seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


def clean(node: TrialNode) -> bool:
    """End the throw-away server that a killed run left, and remove its files; whether there was anything.

    Both hold keys, and nothing that is live needs them: it is done in check mode too. The caller holds the node's lock.
    """
    found = node.stop_stale(DIRECTORY + "/httpd.conf") > 0 or node.directory_mode(DIRECTORY) is not None
    node.remove_tree(DIRECTORY)
    return found


def configtest(node: TrialNode, layout: Layout, *words: str) -> str:
    """What httpd's configtest has against the live configuration; empty where it passes. Nothing secret is quoted.

    :param words: further arguments of httpd.
    """
    status, said = node.run([layout.control, "-t", *words])
    return printable(said_of_lines(_without_noise(said), reader(node))) if status else ""


def run_trial(node: TrialNode, layout: Layout, version: Tuple[int, ...], probes: Sequence[ScopeProbe],
              passphrases: Sequence[str], store: Optional[Store] = None) -> List[str]:
    """Start a throw-away httpd with these scopes and keys and ask it.

    An operator's own ``directives`` are left out: they may need modules that only the live server has. They are judged
    by a configtest of the whole live configuration with the new sections added to it.

    :param store: where scopes keep sessions in a database. Without it those scopes are tried with cookies only.
    :returns: sentences about what does not work; empty when driver, cipher, keys, cookies and database are proven.
    """
    scopes = [replace(probe.scope, directives=()) for probe in probes]
    identity = probes[0].identity if probes else ""
    missing = [name for name in modules_for(scopes) if not _module_file(node, layout, name)]
    if missing:
        return ["httpd has no module file mod_%s.so in %s: install the package that has it (%s)" % (
            missing[0], " or ".join(layout.modules_dirs), ", ".join(layout.packages))]
    try:
        node.make_directory(DIRECTORY, 0o700)
        port = node.free_port()
        node.write(DIRECTORY + "/passphrases", render_file(passphrases).encode("utf-8"), 0o600, (0, 0))
        store_file = _write_store(node, store) if store else ""
        refused = _whole_configuration(node, layout, version, probes, store_file)
        if store and re.search(r"No driver for|load driver|apr_dbd_", refused):
            refused = "%s: install %s. %s" % (NO_STORE_DRIVER, layout.store_packages[store.driver], refused)
        if refused:
            return [refused]
        node.write(DIRECTORY + "/httpd.conf",
                   _configuration(node, layout, version, scopes, port, store_file, identity).encode("utf-8"), 0o600, (0, 0))
        # The client library of the driver for MySQL looks for my.cnf in MYSQL_HOME as well.
        home = ["/usr/bin/env", "MYSQL_HOME=" + DIRECTORY] if store and store.driver == "mysql" else []
        process = node.start([*home, layout.binary, "-D", "FOREGROUND", "-f", DIRECTORY + "/httpd.conf"])
        try:
            found = _until_answered(node, probes, passphrases, port, store is not None)
        finally:
            node.stop(process)
        return _explain(found, _error_log(node)) if found else []
    finally:
        node.remove_tree(DIRECTORY)


def _write_store(node: TrialNode, store: Store) -> str:
    """The database's settings for the trial; the name of their file."""
    options = render_client_options(store)
    if options:
        # The workers read these themselves, as httpd's user: it may enter here, and see no names.
        node.make_directory(DIRECTORY, 0o711)
        node.write(DIRECTORY + "/my.cnf", options.encode("utf-8"), 0o644, (0, 0))
    node.write(DIRECTORY + "/store.conf", render_store(store).encode("utf-8"), 0o600, (0, 0))
    return DIRECTORY + "/store.conf"


def _whole_configuration(node: TrialNode, layout: Layout, version: Tuple[int, ...], probes: Sequence[ScopeProbe],
                         store_file: str) -> str:
    """What httpd's configtest has against the live configuration with the new sections; empty when nothing."""
    scopes = [probe.scope for probe in probes]
    loads = load_modules(node, layout, modules_for(scopes))
    text = "\n".join([*loads, _sections(scopes, version, 1, store_file, probes[0].identity if probes else "", quiet=True)])
    node.write(DIRECTORY + "/sections.conf", text.encode("utf-8"), 0o600, (0, 0))
    said = configtest(node, layout, "-c", "Include %s/sections.conf" % DIRECTORY)
    return "httpd's configtest refuses the new sections: %s" % said.replace(DIRECTORY + "/", "") if said else ""


def _without_noise(said: str) -> str:
    lines = [line for line in said.splitlines() if not re.search("AH00558|AH02653|Action '", line)]
    return " ".join(line.strip() for line in lines) or "it says nothing"


def _until_answered(node: TrialNode, probes: Sequence[ScopeProbe], passphrases: Sequence[str], port: int,
                    store: bool) -> List[str]:
    end = node.now() + SECONDS
    while True:
        found = problems(node, probes, passphrases, Way("127.0.0.1", port), store=store)
        silent = any("no answer from" in sentence for sentence in found)
        died = "AH00020" in _error_log(node) or "AH00016" in _error_log(node)
        if not silent or died or node.now() >= end:
            return found
        node.sleep(0.05)


def _explain(found: Sequence[str], log: str) -> List[str]:
    """Problems with the reason from the trial's error log, where it is a known one."""
    lines = [line[:MOST_LINE] for line in log.splitlines()[:MOST_LINES]]
    for pattern, remedy in _REMEDIES:
        line = next((line for line in lines if re.search(pattern, line)), "")
        if line:
            return ["%s. httpd says: %s" % (remedy, _message(line))]
    # AH01630: that is the probe location, as it should be.
    errors = [_message(line) for line in lines if re.search(r":(error|crit|emerg)\] (?!.*AH01630)", line)]
    return [*found, *("httpd says: %s" % line for line in errors[:3])]


def _message(line: str) -> str:
    line = re.sub(r"^(\[[^]]*\] )*((\(\d+\)[^:]*: )?(\[client [^]]*\] )?(?=AH))?", "", line)
    return re.sub(r"(\\[nt]| )+", " ", line).strip()


def _error_log(node: TrialNode) -> str:
    entry = node.entry(DIRECTORY + "/error.log")
    return entry.content.decode("utf-8", "replace") if entry else ""


def _module_file(node: TrialNode, layout: Layout, name: str) -> str:
    for directory in layout.modules_dirs:
        path = "%s/mod_%s.so" % (directory, name)
        if node.is_file(path):
            return path
    return ""


def load_modules(node: TrialNode, layout: Layout, names: Sequence[str]) -> List[str]:
    """Sections that load these modules where nothing else does; a module that has no file is left out."""
    found = ((name, _module_file(node, layout, name)) for name in names)
    return ['<IfModule !mod_%s.c>\n    LoadModule %s_module "%s"\n</IfModule>' % (name, name, path)
            for name, path in found if path]


def _configuration(node: TrialNode, layout: Layout, version: Tuple[int, ...], scopes: Sequence[Scope], port: int,
                   store_file: str, identity: str) -> str:
    workers = [name for name in ("mpm_event", "mpm_worker", "mpm_prefork") if _module_file(node, layout, name)]
    lines = [
        'ServerRoot "%s"' % DIRECTORY,
        "ServerName localhost",
        'DefaultRuntimeDir "%s"' % DIRECTORY,
        'PidFile "%s/httpd.pid"' % DIRECTORY,
        'ErrorLog "%s/error.log"' % DIRECTORY,
        "LogLevel info",
        "Listen 127.0.0.1:%d" % port,
        *load_modules(node, layout, [*workers[:1], "unixd", "authz_core", *modules_for(scopes)]),
        "User %s" % layout.user,
        "Group %s" % layout.user,
        "StartServers 1",
        "Timeout 10",
        "<VirtualHost *:%d>\n    ServerName localhost\n</VirtualHost>" % port,
        _sections(scopes, version, port, store_file, identity, quiet=False),
    ]
    return "\n".join(lines) + "\n"


def _sections(scopes: Sequence[Scope], version: Tuple[int, ...], port: int, store_file: str, identity: str,
              quiet: bool) -> str:
    """The scopes with the trial's passphrase file, those of a virtual host in one of their own."""
    key_file = DIRECTORY + "/passphrases"
    parts = [render([scope for scope in scopes if not scope.virtual_host], key_file, version, store_file,
                    identity, quiet)]
    for host in sorted({scope.virtual_host for scope in scopes if scope.virtual_host}):
        own = render([scope for scope in scopes if scope.virtual_host == host], key_file, version,
                     identity=identity, quiet=quiet)
        parts.append("<VirtualHost *:%d>\n    ServerName %s\n%s</VirtualHost>\n" % (port, host, own))
    return "\n".join(parts)
