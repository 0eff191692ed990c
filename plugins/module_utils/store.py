# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of a fleet's sessions: its options, what httpd's mod_dbd is told of it, its table, and who may do what there.

What the drivers of apr-util make of their parameters was read in their source (dbd/apr_dbd_pgsql.c, _mysql.c, _sqlite3.c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .scopes import Scope

HEADER = "# Managed by the Ansible collection httpd_fleet.mod_session; changes by hand are overwritten.\n"
GROUP = "mod-session-fleet"
"""Name of the group of options that httpd's driver for MySQL reads in the client library's own files."""

HTTPD_DRIVERS = {"postgresql": "pgsql", "mysql": "mysql", "sqlite": "sqlite3"}
"""What mod_dbd calls each driver."""

TLS = ("verify", "encrypt", "off")
ARGUMENT: Dict[str, Any] = {"type": "dict", "options": {
    "driver": {"type": "str"}, "host": {"type": "str"}, "port": {"type": "int"}, "database": {"type": "str"},
    "user": {"type": "str"}, "password": {"type": "str", "no_log": True}, "tls": {"type": "raw"}, "ca": {"type": "path"},
    "table": {"type": "str"}, "file": {"type": "path"}, "connect_timeout": {"type": "int"},
}}
"""How a module takes the options. Only the password is secret: what is marked so is hidden wherever it occurs in an output."""

_PORTS = {"postgresql": 5432, "mysql": 3306, "sqlite": 0}
_SERVER_OPTIONS = ("host", "port", "database", "user", "password", "tls", "ca", "connect_timeout")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}\Z")
_TABLE = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_FILE = re.compile(r"/[A-Za-z0-9/_.@+-]{1,255}\Z")
_PASSWORD = re.compile(r"[!-~]([ -~]{0,253}[!-~])?\Z")


class StoreOptionError(ValueError):
    """Options of the store that are refused. The sentence never has the password.

    :ivar option: the option at fault, empty when it is ``session_store`` as a whole.
    """

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__("session_store%s: %s" % (" " + option if option else "", message))
        self.option = option


@dataclass(frozen=True)
class Store:
    """Where sessions are kept. All values are checked and defaults filled in.

    ``driver``: ``postgresql``, ``mysql`` (MariaDB too) or ``sqlite``. ``tls``: ``verify`` (encrypted, and the certificate is
    that of ``host``, signed by an authority in the file ``ca``), ``encrypt`` or ``off``. ``connect_timeout``: seconds.
    ``file`` is for SQLite only, the rest but ``table`` only for the others; what is not used is empty or 0.
    """

    driver: str
    host: str
    port: int
    database: str
    user: str
    password: str
    tls: str
    ca: str
    table: str
    file: str
    connect_timeout: int

    def __repr__(self) -> str:
        """Without the password, so that no traceback shows it."""
        return "Store(driver=%r, host=%r, database=%r)" % (self.driver, self.host, self.database)


def parse_store(raw: object, nodes: int = 1) -> Store:
    """Check the options as an operator gave them and fill in defaults.

    :param raw: dictionary with the attributes of :class:`Store`.
    :param nodes: how many nodes the fleet has.
    :raises StoreOptionError: names the option, what was found (never a password) and what is expected.
    """
    if not isinstance(raw, Mapping):
        raise StoreOptionError("expected a dictionary with driver, host, database, user and password, found %s" % (
            "nothing" if raw is None else type(raw).__name__))
    known = [field.name for field in fields(Store)]
    unknown = sorted(set(map(str, raw)) - set(known))
    if unknown:
        raise StoreOptionError("unknown option %s; known are %s" % (", ".join(unknown), ", ".join(known)))
    driver = raw.get("driver")
    if driver not in HTTPD_DRIVERS:
        raise StoreOptionError("expected one of %s, found %r" % (", ".join(HTTPD_DRIVERS), driver), "driver")
    table = _text(raw, "table", "session", _TABLE, "1 to 63 characters of a-z 0-9 _, no digit first")
    if driver == "sqlite":
        return _sqlite(raw, table, nodes)
    if raw.get("file"):
        raise StoreOptionError("is for SQLite only; leave it out, or set driver: sqlite", "file")
    tls = raw.get("tls")
    # YAML reads off as false; a module gets None for what was not given.
    tls = "off" if tls is False else "verify" if tls is None else tls
    if tls not in TLS:
        raise StoreOptionError("expected one of %s, found %r" % (", ".join(TLS), tls), "tls")
    host = _text(raw, "host", None, _HOST, "a host name or an address")
    if (driver, host.lower()) == ("mysql", "localhost"):
        raise StoreOptionError("means a socket and not the network to MySQL's client library; say 127.0.0.1", "host")
    ca = _text(raw, "ca", "", _FILE, "an absolute file name")
    if tls == "verify" and not ca:
        raise StoreOptionError("is needed with tls: verify: the file on the nodes with the certificate of the authority that "
                               "signed the database's, such as /etc/ssl/certs/ca-certificates.crt", "ca")
    if tls != "verify" and ca:
        raise StoreOptionError("is read with tls: verify only, found tls: %s; leave one of them out" % tls, "ca")
    name = "1 to 63 characters of A-Z a-z 0-9 _ -, a letter or _ first"
    return Store(
        driver=str(driver), host=host, port=_number(raw, "port", _PORTS[str(driver)], 1, 65535),
        database=_text(raw, "database", None, _NAME, name), user=_text(raw, "user", None, _NAME, name),
        password=_password(raw, str(driver)), tls=str(tls), ca=ca, table=table, file="",
        connect_timeout=_number(raw, "connect_timeout", 3, 2, 60),
    )


def store_for(raw: object, scopes: Sequence[Scope], nodes: int = 1) -> Optional[Store]:
    """The database that these scopes need; None where they need none.

    :raises StoreOptionError: as :func:`parse_store` does, and where scopes need one and there is none.
    """
    names = [scope.name for scope in scopes if scope.store == "dbd"]
    if names and raw is None:
        raise StoreOptionError("is not set, but scope %s has store: dbd. Say which database: driver, host, database, user, "
                               "password" % ", ".join(names))
    return parse_store(raw, nodes) if names else None


def _sqlite(raw: Mapping[Any, Any], table: str, nodes: int) -> Store:
    given = [option for option in _SERVER_OPTIONS if raw.get(option) not in (None, "")]
    if given:
        raise StoreOptionError("has no use with SQLite, which is a file; leave it out", given[0])
    if nodes > 1:
        raise StoreOptionError("sqlite keeps sessions in a file of one node, and this fleet has %d nodes: each would have its "
                               "own sessions. Use postgresql or mysql" % nodes, "driver")
    path = _text(raw, "file", None, _FILE, "an absolute file name, in a directory that httpd's user may write to")
    return Store("sqlite", "", 0, "", "", "", "off", "", table, path, 0)


def _text(raw: Mapping[Any, Any], option: str, default: Any, pattern: "re.Pattern[str]", expected: str) -> str:
    value = raw.get(option)
    if value in (None, ""):
        if default is None:
            raise StoreOptionError("is required: %s" % expected, option)
        return str(default)
    if not isinstance(value, str) or not pattern.match(value):
        raise StoreOptionError("expected %s, found %r" % (expected, value), option)
    return str(value)


def _number(raw: Mapping[Any, Any], option: str, default: int, low: int, high: int) -> int:
    value = raw.get(option)
    value = default if value is None else value
    if isinstance(value, str) and re.match(r"[0-9]{1,5}\Z", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise StoreOptionError("expected a whole number from %d to %d, found %r" % (low, high, raw.get(option)), option)
    return int(value)


def _password(raw: Mapping[Any, Any], driver: str) -> str:
    value = raw.get("password")
    if not isinstance(value, str) or not value:
        raise StoreOptionError("is required: a text, from Ansible Vault", "password")
    if not _PASSWORD.match(value):
        raise StoreOptionError("expected at most 255 printable ASCII characters, no blank at either end", "password")
    if driver == "mysql" and re.search(r"[ ;|,]|\$\{", value):
        raise StoreOptionError("has a blank, a comma, a semicolon, a | or ${ in it. httpd's driver for MySQL has no way to quote "
                               "them: give the database's user another password", "password")
    return value


def render_store(store: Store) -> str:
    """httpd's configuration of the database; it holds the password.

    The first label of each statement is what mod_session_dbd looks for by default; it gives the values in the order in which
    the placeholders stand here. ``expiry`` is microseconds since the epoch, 0 for never.
    """
    statements = (
        ("SELECT value FROM {0} WHERE id = %s AND (expiry = 0 OR expiry > %lld)", "selectsession"),
        ("UPDATE {0} SET value = %s, expiry = %lld, id = %s WHERE id = %s", "updatesession"),
        ("INSERT INTO {0} (value, expiry, id) VALUES (%s, %lld, %s)", "insertsession"),
        ("DELETE FROM {0} WHERE id = %s", "deletesession"),
    )
    lines = ["DBDriver %s" % HTTPD_DRIVERS[store.driver], "DBDParams %s" % _quoted(_params(store)), *_connections(store)]
    lines += ['DBDPrepareSQL "%s" %s' % (text.format(store.table), label) for text, label in statements]
    return HEADER + "".join(line + "\n" for line in lines)


def _connections(store: Store) -> Tuple[str, ...]:
    """A connection for each request: mod_dbd goes on with those that a restart of the server ended, and they never work again.

    A file does not go away, but opening it for each request locks it (measured: "database is locked" with 16 at once).
    """
    return () if store.driver == "sqlite" else ("DBDPersist Off",)


def _params(store: Store) -> str:
    if store.driver == "sqlite":
        return store.file
    if store.driver == "mysql":
        # Without reconnect=0 a connection that was lost comes back without its prepared statements, and never works again.
        return "host=%s,port=%d,dbname=%s,user=%s,pass=%s,group=%s,reconnect=0" % (
            store.host, store.port, store.database, store.user, store.password, GROUP)
    mode = {"verify": "verify-full", "encrypt": "require", "off": "disable"}[store.tls]
    found = {"host": store.host, "port": str(store.port), "dbname": store.database, "user": store.user,
             "password": store.password, "connect_timeout": str(store.connect_timeout),
             "tcp_user_timeout": str(store.connect_timeout * 1000), "sslmode": mode}
    if store.tls != "off":
        # Else libpq looks for one in the home of whoever started httpd, and refuses to go on where it may not look.
        found["sslcert"] = "/nonexistent"
    if store.ca:
        found["sslrootcert"] = store.ca
    return " ".join("%s='%s'" % (name, _escaped(value)) for name, value in found.items())


def _escaped(value: str) -> str:
    """A value between single quotes of a connection string of libpq.

    Of ``${`` the brace is escaped as well: httpd would put a variable of its environment there, whatever the quotes.
    """
    return re.sub(r"(['\\])", r"\\\1", value).replace("${", "$\\{")


def _quoted(value: str) -> str:
    """A word of httpd's configuration."""
    return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')


def render_client_options(store: Store) -> str:
    """The options that httpd's driver for MySQL cannot be given as parameters; empty for other drivers. Nothing secret.

    A group of its own in a file of the client library, which every program may read and only this driver asks for.
    """
    if store.driver != "mysql":
        return ""
    lines = ["[%s]" % GROUP, "connect-timeout=%d" % store.connect_timeout]
    if store.tls == "verify":
        lines += ["ssl-ca=%s" % store.ca, "ssl-verify-server-cert=1"]
    else:
        lines += ["ssl-enforce=%d" % (store.tls == "encrypt"), "ssl-verify-server-cert=0"]
    return HEADER + "".join(line + "\n" for line in lines)


def schema(store: Store) -> List[str]:
    """SQL that makes the table and its index where they are not there; to be run in the database by its owner."""
    index = "CREATE INDEX IF NOT EXISTS %s_expiry ON %s (expiry)" % (store.table, store.table)
    create = "CREATE TABLE IF NOT EXISTS %s (%%s)" % store.table
    if store.driver == "postgresql":
        return [create % "id varchar(36) PRIMARY KEY, value text NOT NULL, expiry bigint NOT NULL", index]
    if store.driver == "mysql":
        # A cookie's case counts. A session of 64 KB is 90 KB when it is sealed, more than TEXT holds.
        columns = "id varchar(36) PRIMARY KEY, value mediumtext NOT NULL, expiry bigint NOT NULL"
        create = create % ("%s, INDEX %s_expiry (expiry)" % (columns, store.table))
        return [create + " ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin"]
    # With a write-ahead log readers do not wait for writers.
    return ["PRAGMA journal_mode=WAL",
            create % "id TEXT PRIMARY KEY, value TEXT NOT NULL, expiry INTEGER NOT NULL", index]


def grants(store: Store) -> List[str]:
    """SQL that lets httpd's user work with the rows of the one table and do nothing else; empty for SQLite."""
    rights = "GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s"
    if store.driver == "postgresql":
        return ['GRANT CONNECT ON DATABASE "%s" TO "%s"' % (store.database, store.user),
                rights % (store.table, '"%s"' % store.user)]
    if store.driver == "mysql":
        return [rights % ("`%s`.%s" % (store.database, store.table), "`%s`@'%%'" % store.user)]
    return []
