# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of this machine for a moment: what a look-up takes in them, and a table of sessions for httpd."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from small_fleet import free_port

from plugins.module_utils.store import Store, parse_store, schema

NOBODY = 65534
"""Who the benchmark's httpd is."""


def has_driver(name: str) -> bool:
    """Whether httpd here can use such a database: ``pgsql`` or ``sqlite3``."""
    return any(Path("/usr").glob(f"lib*/**/apr-util-1/apr_dbd_{name}*.so"))


class PostgreSQL:
    """A server of its own; to be used in a ``with``."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.port = 0

    @staticmethod
    def here() -> bool:
        """Whether it can be had."""
        return PostgreSQL._programs() is not None and os.geteuid() == 0 and shutil.which("runuser") is not None

    @staticmethod
    def _programs() -> Path | None:
        found = max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), default=None)
        return found.parent if found else None

    def __enter__(self) -> PostgreSQL:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            shutil.chown(self.folder, "nobody")
            self.port = free_port()
            self._act("initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", "bench")
            options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
            self._act("pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/log", "-o", options, "start")
            stack.callback(self._act, "pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "stop")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def look_up(self, seconds: int) -> float:
        """Milliseconds of a SELECT by primary key, by one client over a socket."""
        at = ["-h", str(self.folder), "-p", str(self.port), "-U", "bench", "postgres"]
        self._act("pgbench", "-i", "-q", *at)
        printed = self._act("pgbench", "-n", "-S", "-M", "prepared", "-c", "1", "-T", str(seconds), *at)
        return float(re.findall(r"latency average = ([0-9.]+) ms", printed)[0])

    def store(self) -> Store:
        """A table for sessions, over TCP without TLS."""
        store = parse_store({"driver": "postgresql", "host": "127.0.0.1", "port": self.port, "database": "postgres",
                             "user": "bench", "password": secrets.token_hex(16), "tls": "off"})  # fmt: skip
        words = [word for statement in schema(store) for word in ("-c", statement)]
        self._act("psql", "-q", "-h", str(self.folder), "-p", str(self.port), "-U", "bench", "-d", "postgres", *words)
        return store

    def _act(self, program: str, *words: str) -> str:
        done = subprocess.run(["runuser", "-u", "nobody", "--", f"{self._programs()}/{program}", *words],
                              capture_output=True, text=True, check=False, cwd=self.folder)  # fmt: skip
        if done.returncode:
            raise ValueError(f"{program}: {done.stderr or done.stdout}")
        return done.stdout


def sqlite(folder: Path) -> Store:
    """A file with a table for sessions, httpd's own."""
    store = parse_store({"driver": "sqlite", "file": str(folder / "sessions.db")})
    connection = sqlite3.connect(store.file)
    for statement in schema(store):
        connection.execute(statement)
    connection.close()
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    return store


def redis() -> float | None:
    """Milliseconds of a GET in a Redis, by one client over a socket; None where there is none."""
    if not (shutil.which("redis-server") and shutil.which("redis-benchmark")):
        return None
    with tempfile.TemporaryDirectory() as folder:
        at = f"{folder}/redis"
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", at, "--save", "", "--dir", folder],
                                  stdout=subprocess.DEVNULL)  # fmt: skip
        try:
            deadline = time.monotonic() + 10
            while not Path(at).exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            done = subprocess.run(["redis-benchmark", "-s", at, "-c", "1", "-n", "20000", "-t", "get", "--csv"],
                                  capture_output=True, text=True, check=True)  # fmt: skip
        finally:
            server.terminate()
            server.wait()
    return 1000 / float(re.findall(r'"([0-9.]+)"', done.stdout.splitlines()[-1])[0])
