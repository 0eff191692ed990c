# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database's side of the store: the SQL that its owner runs once, and what deletes expired sessions, as httpd never does.

A timer starts a script, the script asks the database's own client, and the client's file has the password.
"""

from __future__ import annotations

from typing import List, NamedTuple

from .store import HEADER, Store, grants, schema
from .transaction import Door, Target

DIRECTORY = "/etc/mod-session-store"
SCRIPT = DIRECTORY + "/delete-expired"
BATCH = 5000
# Seconds by which the clocks of a node and of the database may differ before a live session would be deleted.
MARGIN = 3600
CLIENTS = {"postgresql": "/usr/bin/psql", "mysql": "/usr/bin/mariadb", "sqlite": "/usr/bin/sqlite3"}
CLIENT_PACKAGES = {
    "postgresql": {"debian": "postgresql-client", "redhat": "postgresql"},
    "mysql": {"debian": "mariadb-client", "redhat": "mariadb"},
    "sqlite": {"debian": "sqlite3", "redhat": "sqlite"},
}
_NOW = {
    "postgresql": "CAST(extract(epoch FROM now()) AS bigint)",
    "mysql": "UNIX_TIMESTAMP()",
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER)",
}


class File(NamedTuple):
    """A file of the node that does the housekeeping: absolute path, content, permissions as octal digits."""

    path: str
    content: str
    mode: str


def by_hand(store: Store) -> List[str]:
    """All SQL that sets an empty database server up, a statement each, with ``<password>`` in place of the password."""
    begin = {
        "postgresql": ["CREATE ROLE \"%s\" LOGIN PASSWORD '<password>'" % store.user, 'CREATE DATABASE "%s"' % store.database],
        "mysql": ["CREATE DATABASE `%s`" % store.database, "USE `%s`" % store.database,
                  "CREATE USER `%s`@'%%' IDENTIFIED BY '<password>'%s" % (
                      store.user, "" if store.tls == "off" else " REQUIRE SSL")],
        "sqlite": [],
    }[store.driver]
    enter = ['\\connect "%s"' % store.database] if store.driver == "postgresql" else []
    return [*(one + ";" for one in begin), *enter, *(one + ";" for one in [*schema(store), *grants(store)])]


def files(store: Store) -> List[File]:
    """All that the node needs besides the client's package and the units; the password is only in files of mode 0600."""
    found = [File(DIRECTORY + "/expired.sql", expired(store), "0644"), File(SCRIPT, script(store), "0755")]
    if store.driver != "sqlite":
        found.append(File(DIRECTORY + "/client.conf", client_file(store), "0600"))
    return found


def put_in_place(node: Door, store: Store, check_mode: bool = False) -> List[str]:
    """Have :func:`files` on a node, each swapped in whole; the paths of what was not as it should be.

    :raises OSError: for example a full disk; what was swapped in before stays.
    """
    wanted = [Target(one.path, one.content.encode("utf-8"), mode=int(one.mode, 8)) for one in files(store)]
    missing = [target for target in wanted if not target.matches(node.entry(target.path))]
    wrong = node.directory_mode(DIRECTORY) != 0o755
    if not check_mode:
        if wrong:
            node.make_directory(DIRECTORY, 0o755)
        for target in missing:
            node.write(target.path + ".new", target.content or b"", target.mode or 0o600, (0, 0))
            node.rename(target.path + ".new", target.path)
    return ([DIRECTORY] if wrong else []) + [target.path for target in missing]


def expired(store: Store) -> str:
    """SQL that deletes at most :data:`BATCH` expired rows and answers how many it deleted.

    Two that run at once share the work: in PostgreSQL each skips the rows that the other one has, in MariaDB they take turns.
    """
    # A row whose expiry is 0 never expires.
    found = "expiry > 0 AND expiry < (%s - %d) * 1000000 ORDER BY expiry LIMIT %d" % (_NOW[store.driver], MARGIN, BATCH)
    if store.driver == "mysql":
        return (
            "DO GET_LOCK('mod_session_store', 60);\n"
            "DELETE FROM %s WHERE %s;\n"
            "SELECT ROW_COUNT();\n" % (store.table, found)
        )
    rows = "DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE %s" % (store.table, store.table, found)
    if store.driver == "postgresql":
        return "WITH gone AS (%s FOR UPDATE SKIP LOCKED) RETURNING 1) SELECT count(*) FROM gone;\n" % rows
    return ".timeout 10000\n%s);\nSELECT changes();\n" % rows


def script(store: Store) -> str:
    """The shell script that deletes batch after batch and says how many rows went; it fails where the database does."""
    sql = DIRECTORY + "/expired.sql"
    ask = {
        "postgresql": "PGSERVICEFILE=%s/client.conf psql -XqAt -v ON_ERROR_STOP=1 service=mod-session -f %s" % (DIRECTORY, sql),
        "mysql": "mariadb --defaults-file=%s/client.conf -NB <%s" % (DIRECTORY, sql),
        "sqlite": "sqlite3 -batch -bail '%s' <%s" % (store.file.replace("'", "'\\''"), sql),
    }[store.driver]
    return """#!/bin/sh
%sset -eu
total=0
while :; do
    gone=$(%s)
    total=$((total + gone))
    if [ "$gone" -lt %d ]; then break; fi
done
echo "$total expired rows deleted from the table %s"
""" % (HEADER, ask, BATCH, store.table)


def client_file(store: Store) -> str:
    """How the database's client connects, password included: a service file of PostgreSQL, an option file of MariaDB."""
    if store.driver == "postgresql":
        mode = {"verify": "verify-full", "encrypt": "require", "off": "disable"}[store.tls]
        lines = ["[mod-session]", "host=" + store.host, "port=%d" % store.port, "dbname=" + store.database, "user=" + store.user,
                 "password=" + store.password, "connect_timeout=10", "sslmode=" + mode]
        return HEADER + "".join(line + "\n" for line in lines + (["sslrootcert=" + store.ca] if store.ca else []))
    lines = ["[mysql]", 'host="%s"' % store.host, "port=%d" % store.port, 'user="%s"' % store.user,
             'database="%s"' % store.database, 'password="%s"' % _quoted(store.password), "connect-timeout=10", "protocol=tcp",
             "ssl=%d" % (store.tls != "off"), "ssl-verify-server-cert=%d" % (store.tls == "verify")]
    if store.ca:
        lines.append('ssl-ca="%s"' % store.ca)
    return HEADER + "".join(line + "\n" for line in lines)


def _quoted(text: str) -> str:
    """Text as it stands between double quotes in an option file of MariaDB."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
