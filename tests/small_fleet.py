# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of loopback addresses, each a virtual host of its own on one real httpd, each with its own faults."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent / "vectors"))
import real_httpd

from plugins.module_utils import store
from plugins.module_utils.config import render
from plugins.module_utils.probe import identity
from plugins.module_utils.scopes import parse_scopes
from plugins.plugin_utils.prober import Node

KEYS = ("Zr1Qm7sVb0Kx9TnGf4Lw8PcHy2Ud6JaEo3RiXtMvBqS", "a8KfP2wLx7ZqN4vRt0YcJm5GhB9sDeU3iOoTz6XnVjW")
OLD_KEY = "m5XhC1rTq9WbL6yNz3KpVf8JgS0dEu4AoRi7ZtMxBvY"
OTHER_KEY = "Q3tYb8NzX5mWk1LrVc6PjHs0Gf9DuEa4OiTq7RxZvSm"
# SessionCookieRemove On makes httpd 2.4.71 load a session twice where a request is not denied, and lose it.
SCOPE = {"name": "app", "path": "/app", "hide_cookie": False}
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""The library that gives one process another clock, None where it is not installed."""

SQLITE = next(Path("/usr/lib").glob("*/apr-util-1/apr_dbd_sqlite3*.so"), None)
"""apr-util's driver for SQLite, None where it is not installed."""

NO_HTTPD = ""
try:
    real_httpd.find()
except real_httpd.NoHttpd as missing:
    NO_HTTPD = f"no real httpd: {missing}"


@dataclass
class Member:
    """One node. ``scope``: what differs from the common scope. ``keys``: its passphrase file as text.

    ``replace``: (text, text) changes to the rendered configuration. ``more``: directives of its virtual host.
    ``shift``: its clock, as libfaketime takes it. ``name``: of its virtual host, its address by default.
    """

    address: str
    scope: dict[str, object] = field(default_factory=dict)
    keys: str = "\n".join(KEYS) + "\n"
    replace: tuple[tuple[str, str], ...] = ()
    more: str = ""
    shift: str = ""
    certificate: str = ""
    name: str = ""

    @property
    def node(self) -> Node:
        """As the prober wants it."""
        return Node(self.address, self.address)


def database(name: str) -> str:
    """What a node is told of a database, a file of SQLite in the server's folder."""
    return store.render_store(store.parse_store({"driver": "sqlite", "file": f"/root/{name}.db"})).replace("/root", "{root}")


def stored(address: str, name: str = "shared", **more: object) -> Member:
    """A node that keeps its sessions in that database."""
    return Member(address, {"store": "dbd"}, more=database(name), **more)  # type: ignore[arg-type]


@contextmanager
def databases(members: list[Member], port: int, *names: str) -> Iterator[Path]:
    """The fleet, for a moment, with databases that have their table. Others that a member names can be opened and have none."""
    with running(members, port) as (server,):
        folder = Path(server._root)
        folder.chmod(0o777)  # SQLite keeps files beside its own
        for name in names:
            made = store.parse_store({"driver": "sqlite", "file": str(folder / f"{name}.db")})
            with closing(sqlite3.connect(made.file)) as rows, rows:
                for statement in store.schema(made):
                    rows.execute(statement)
            Path(made.file).chmod(0o666)
        yield folder


def free_port() -> int:
    """A port that nobody listens at, on any loopback address."""
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(members: list[Member], port: int, tls: bool = False) -> Iterator[list[real_httpd.RealHttpd]]:
    """The fleet, for a moment. ``{root}`` in what members give is the folder of the server."""
    by_clock: dict[str, list[Member]] = {}
    for member in members:
        by_clock.setdefault(member.shift, []).append(member)
    with ExitStack() as stack:
        servers = []
        for shift, group in by_clock.items():
            environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift} if shift else {}
            with mock.patch.dict(os.environ, {**environment, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}):
                servers.append(stack.enter_context(_server(group, port, tls)))
        yield servers


def _server(members: list[Member], port: int, tls: bool) -> real_httpd.RealHttpd:
    modules = real_httpd.find()[1]
    lines = [
        f"LoadModule dir_module {modules}/mod_dir.so",
        f"LoadModule alias_module {modules}/mod_alias.so",
        "KeepAlive On",
        "AccessFileName .htaccess",
    ]
    if tls:
        lines += [f"LoadModule ssl_module {modules}/mod_ssl.so"]
    for module, directive in (("remoteip", "RemoteIP"), ("rewrite", "Rewrite"), ("evasive20", "DOSPage")):
        if any(directive in member.more for member in members):
            lines += [f"LoadModule {module}_module {modules}/mod_{module}.so"]
    if any("DBD" in member.more for member in members):
        # After session_cookie, which the server loads first.
        lines += [f"LoadModule dbd_module {modules}/mod_dbd.so"]
        lines += [f"LoadModule session_dbd_module {modules}/mod_session_dbd.so"]
    secrets = {}
    for member in members:
        scopes = parse_scopes([{**SCOPE, **({"scheme": "https"} if tls else {}), **member.scope}])
        text = render(scopes, "{root}/%s.keys" % member.address, (2, 4, 62), identity=identity(member.address))
        for old, new in member.replace:
            assert old in text, old
            text = text.replace(old, new)
        secrets[f"{member.address}.keys"] = member.keys
        lines += [f"Listen {member.address}:{port}", f"<VirtualHost {member.address}:{port}>"]
        # Without a name httpd asks the resolver for one.
        lines += [f"ServerName {member.name or member.address}", text, member.more]
        if tls:
            lines += ["SSLEngine On", f"SSLCertificateFile {member.certificate}"]
        lines += ["</VirtualHost>"]
    return real_httpd.RealHttpd("\n".join(lines), {"index.html": "hello\n"}, secrets)


def make_authority(folder: Path) -> Path:
    """A certificate authority of our own: the file of its certificate."""
    _openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem",
    )  # fmt: skip
    return folder / "ca.pem"


def make_certificate(folder: Path, name: str, days: int = 30) -> Path:
    """A certificate for a name, signed by the authority, with its key in the same file."""
    (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}\n")
    _openssl(
        folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
        "-keyout", f"{name}.key", "-out", f"{name}.csr",
    )  # fmt: skip
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.crt",
    )  # fmt: skip
    both = folder / f"{name}.pem"
    both.write_bytes((folder / f"{name}.crt").read_bytes() + (folder / f"{name}.key").read_bytes())
    return both


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
