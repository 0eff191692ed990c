# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import sqlite3
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.store import (
    Store,
    StoreOptionError,
    grants,
    parse_store,
    render_client_options,
    render_store,
    schema,
)

SERVER = {"host": "db.example.com", "database": "sessions", "user": "httpd", "password": "s3cret"}
POSTGRESQL = {"driver": "postgresql", "ca": "/etc/ssl/ca.pem", **SERVER}
MYSQL = {**POSTGRESQL, "driver": "mysql"}
SQLITE = {"driver": "sqlite", "file": "/var/lib/sessions/sessions.db"}


def refusal(raw: object, nodes: int = 3) -> StoreOptionError:
    with pytest.raises(StoreOptionError) as caught:
        parse_store(raw, nodes)
    return caught.value


def test_defaults() -> None:
    assert parse_store(POSTGRESQL, 100) == Store(
        driver="postgresql", host="db.example.com", port=5432, database="sessions", user="httpd", password="s3cret",
        tls="verify", ca="/etc/ssl/ca.pem", table="session", file="", connect_timeout=3)
    assert parse_store(MYSQL).port == 3306
    assert parse_store(SQLITE) == Store(
        driver="sqlite", host="", port=0, database="", user="", password="", tls="off", ca="", table="session",
        file="/var/lib/sessions/sessions.db", connect_timeout=0)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("port", "6432", 6432),
        ("host", "10.0.0.5", "10.0.0.5"),
        ("host", "localhost", "localhost"),
        ("host", "2001:db8::5", "2001:db8::5"),
        ("database", "my-sessions_2", "my-sessions_2"),
        ("table", "app_sessions", "app_sessions"),
        ("connect_timeout", 60, 60),
        ("password", "x", "x"),
        ("tls", None, "verify"),
        ("file", "", ""),
    ],
)
def test_accepted(option: str, value: object, expected: object) -> None:
    assert getattr(parse_store({**POSTGRESQL, option: value}), option) == expected


def test_yaml_reads_off_as_false() -> None:
    assert parse_store({"driver": "mysql", "tls": False, **SERVER}).tls == "off"


@pytest.mark.parametrize(
    ("change", "option", "sentence"),
    [
        ({"driver": None}, "driver", "expected one of postgresql, mysql, sqlite, found None"),
        ({"driver": "mariadb"}, "driver", "expected one of postgresql, mysql, sqlite, found 'mariadb'"),
        ({"host": None}, "host", "is required: a host name or an address"),
        ({"driver": "mysql", "host": "localhost"}, "host", "means a socket and not the network"),
        ({"host": "a b"}, "host", "expected a host name or an address, found 'a b'"),
        ({"host": "/run/postgresql"}, "host", "expected a host name or an address"),
        ({"port": 0}, "port", "expected a whole number from 1 to 65535, found 0"),
        ({"port": True}, "port", "expected a whole number"),
        ({"database": "a;b"}, "database", "expected 1 to 63 characters"),
        ({"user": "o'hara"}, "user", "expected 1 to 63 characters"),
        ({"user": ""}, "user", "is required: 1 to 63 characters"),
        ({"table": "Session"}, "table", "expected 1 to 63 characters of a-z"),
        ({"table": "a.b"}, "table", "expected 1 to 63 characters of a-z"),
        ({"tls": "yes"}, "tls", "expected one of verify, encrypt, off, found 'yes'"),
        ({"tls": True}, "tls", "expected one of verify, encrypt, off, found True"),
        ({"ca": None}, "ca", "is needed with tls: verify"),
        ({"tls": "encrypt"}, "ca", "is read with tls: verify only, found tls: encrypt"),
        ({"ca": "ca.pem"}, "ca", "expected an absolute file name, found 'ca.pem'"),
        ({"file": "/x"}, "file", "is for SQLite only"),
        ({"connect_timeout": 1}, "connect_timeout", "expected a whole number from 2 to 60"),
        ({"pass": "x"}, "", "unknown option pass; known are driver, host, port"),
        ({"password": None}, "password", "is required: a text, from Ansible Vault"),
        ({"password": 12345}, "password", "is required: a text"),
    ],
)
def test_refused(change: dict[str, Any], option: str, sentence: str) -> None:
    error = refusal({**POSTGRESQL, **change})
    assert error.option == option
    assert str(error).startswith(("session_store %s: " % option if option else "session_store: ") + sentence)


@pytest.mark.parametrize("raw", [None, "postgresql", ["postgresql"]])
def test_refused_as_a_whole(raw: object) -> None:
    assert str(refusal(raw)).startswith("session_store: expected a dictionary with driver, host")


@pytest.mark.parametrize("nodes", [2, 100])
def test_a_file_is_refused_for_a_fleet(nodes: int) -> None:
    assert "this fleet has %d nodes" % nodes in str(refusal(SQLITE, nodes))
    parse_store(SQLITE, 1)


@pytest.mark.parametrize("option", ["host", "user", "password", "ca", "tls"])
def test_a_file_has_no_server(option: str) -> None:
    assert refusal({**SQLITE, option: "x"}, 1).option == option


BAD_ANYWHERE = [" x", "x ", "x\ny", "x\ty", "pass\u00e9", "x" * 256, "\0"]
BAD_FOR_MYSQL = ["two words", "a,b", "a;b", "a|b", "a${PATH}"]


@pytest.mark.parametrize(("driver", "password"), [
    *((driver, password) for driver in ("postgresql", "mysql") for password in BAD_ANYWHERE),
    *(("mysql", password) for password in BAD_FOR_MYSQL),
])
def test_a_password_that_cannot_be_handed_on_is_refused_and_not_shown(driver: str, password: str) -> None:
    error = refusal({**POSTGRESQL, "driver": driver, "password": password})
    assert error.option == "password"
    assert password not in str(error)


@pytest.mark.parametrize("password", BAD_FOR_MYSQL)
def test_postgresql_takes_any_printable_password(password: str) -> None:
    assert parse_store({**POSTGRESQL, "password": password}).password == password


def test_a_traceback_shows_no_password() -> None:
    assert "s3cret" not in repr(parse_store(POSTGRESQL))


STATEMENTS = '''\
DBDPrepareSQL "SELECT value FROM session WHERE id = %s AND (expiry = 0 OR expiry > %lld)" selectsession
DBDPrepareSQL "UPDATE session SET value = %s, expiry = %lld, id = %s WHERE id = %s" updatesession
DBDPrepareSQL "INSERT INTO session (value, expiry, id) VALUES (%s, %lld, %s)" insertsession
DBDPrepareSQL "DELETE FROM session WHERE id = %s" deletesession
'''


def body(text: str) -> str:
    return "".join(line for line in text.splitlines(True) if not line.startswith("#"))


def test_postgresql() -> None:
    assert body(render_store(parse_store(POSTGRESQL))) == '''\
DBDriver pgsql
DBDParams "host='db.example.com' port='5432' dbname='sessions' user='httpd' password='s3cret' connect_timeout='3' \
tcp_user_timeout='3000' sslmode='verify-full' sslcert='/nonexistent' sslrootcert='/etc/ssl/ca.pem'"
DBDPersist Off
''' + STATEMENTS


@pytest.mark.parametrize(("tls", "end"), [("encrypt", "sslmode='require' sslcert='/nonexistent'"), ("off", "sslmode='disable'")])
def test_postgresql_without_verification(tls: str, end: str) -> None:
    assert " %s\"" % end in render_store(parse_store({"driver": "postgresql", "tls": tls, **SERVER}))


def test_mysql() -> None:
    assert body(render_store(parse_store(MYSQL))) == '''\
DBDriver mysql
DBDParams "host=db.example.com,port=3306,dbname=sessions,user=httpd,pass=s3cret,group=mod-session-fleet,reconnect=0"
DBDPersist Off
''' + STATEMENTS


def test_sqlite() -> None:
    assert body(render_store(parse_store(SQLITE))) == '''\
DBDriver sqlite3
DBDParams "/var/lib/sessions/sessions.db"
''' + STATEMENTS


@pytest.mark.parametrize(
    ("raw", "options"),
    [
        (MYSQL, "connect-timeout=3\nssl-ca=/etc/ssl/ca.pem\nssl-verify-server-cert=1\n"),
        ({"driver": "mysql", "tls": "encrypt", **SERVER}, "connect-timeout=3\nssl-enforce=1\nssl-verify-server-cert=0\n"),
        ({"driver": "mysql", "tls": "off", **SERVER}, "connect-timeout=3\nssl-enforce=0\nssl-verify-server-cert=0\n"),
    ],
)
def test_options_of_the_client_library(raw: dict[str, Any], options: str) -> None:
    assert body(render_client_options(parse_store(raw))) == "[mod-session-fleet]\n" + options


@pytest.mark.parametrize("raw", [POSTGRESQL, SQLITE])
def test_others_need_no_options_file(raw: dict[str, Any]) -> None:
    assert render_client_options(parse_store(raw)) == ""


# How each reader takes the text apart, written from its documentation and source, so that quoting is held by the way back.

def httpd_word(line: str) -> str:
    """The word in double quotes, as httpd reads it (ap_getword_conf); a variable of the environment must not be there."""
    assert "${" not in line
    start = line.index('"') + 1
    found, position = "", start
    while line[position] != '"':
        if line[position] == "\\" and line[position + 1] in ("\\", '"'):
            position += 1
        found += line[position]
        position += 1
    assert position == len(line) - 1
    return found


def libpq(text: str) -> dict[str, str]:
    """A connection string, as PQconnectdb reads it (values in single quotes)."""
    found, position = {}, 0
    while position < len(text):
        equals = text.index("=", position)
        name, position, value = text[position:equals], equals + 2, ""
        assert text[equals + 1] == "'"
        while text[position] != "'":
            position += text[position] == "\\"
            value += text[position]
            position += 1
        found[name.strip()] = value
        position += 1
    return found


def apr_mysql(text: str) -> dict[str, str]:
    """Parameters as apr_dbd_mysql reads them: whatever is before a =, and after it up to one of its separators."""
    found, position = {}, text.find("=")
    while position >= 0:
        start = position
        while start and text[start - 1].isalpha():
            start -= 1
        end = position + 1
        while end < len(text) and text[end] not in " \r\n\t;|,":
            end += 1
        found[text[start:position]] = text[position + 1:end]
        position = text.find("=", end)
    return found


def params(raw: dict[str, Any]) -> str:
    return httpd_word(render_store(parse_store(raw)).splitlines()[2])


PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7f))
ODD = st.lists(st.sampled_from(["'", '"', "\\", "${", "}", "=", " ", "a", "%", "#"]), max_size=12).map("".join)
passwords = st.one_of(st.text(PRINTABLE, min_size=1, max_size=40), ODD).map(str.strip).filter(bool)


@given(passwords)
def test_any_password_reaches_postgresql(password: str) -> None:
    assert libpq(params({**POSTGRESQL, "password": password}))["password"] == password


@given(st.text(sorted(set(PRINTABLE) - set(" ;|,")), min_size=1, max_size=40).filter(lambda text: "${" not in text))
def test_any_password_that_is_accepted_reaches_mysql(password: str) -> None:
    found = apr_mysql(params({**MYSQL, "password": password}))
    assert found["pass"] == password
    assert found == {"host": "db.example.com", "port": "3306", "dbname": "sessions", "user": "httpd", "pass": password,
                     "group": "mod-session-fleet", "reconnect": "0"}


def test_the_table_of_postgresql() -> None:
    assert schema(parse_store({**POSTGRESQL, "table": "t"})) == [
        "CREATE TABLE IF NOT EXISTS t (id varchar(36) PRIMARY KEY, value text NOT NULL, expiry bigint NOT NULL)",
        "CREATE INDEX IF NOT EXISTS t_expiry ON t (expiry)"]
    assert grants(parse_store({**POSTGRESQL, "user": "web-1"})) == [
        'GRANT CONNECT ON DATABASE "sessions" TO "web-1"', 'GRANT SELECT, INSERT, UPDATE, DELETE ON session TO "web-1"']


def test_the_table_of_mysql() -> None:
    (statement,) = schema(parse_store(MYSQL))
    assert "`key`" not in statement and " key " not in statement.replace("PRIMARY KEY", "").lower()
    assert "value mediumtext" in statement and statement.endswith("COLLATE ascii_bin")
    assert grants(parse_store(MYSQL)) == ["GRANT SELECT, INSERT, UPDATE, DELETE ON `sessions`.session TO `httpd`@'%'"]


def test_the_table_of_sqlite_and_the_statements_with_it() -> None:
    store = parse_store({**SQLITE, "table": "t"})
    now = 1795398085466647
    with contextlib.closing(sqlite3.connect(":memory:")) as rows:
        for statement in schema(store) * 2:
            rows.execute(statement)
        lines = [line for line in render_store(store).splitlines() if line.startswith("DBDPrepareSQL")]
        run = {}
        for line in lines:
            label = line.rpartition(" ")[2]
            text = httpd_word(line.rpartition(" ")[0]).replace("%s", "?").replace("%lld", "?")
            run[label] = lambda *values, text=text: rows.execute(text, values)
        # The order in which mod_session_dbd binds.
        run["insertsession"]("sealed", now + 1, "one")
        assert run["selectsession"]("one", now).fetchall() == [("sealed",)]
        assert run["selectsession"]("one", now + 1).fetchall() == []
        run["updatesession"]("again", 0, "two", "one")
        assert run["selectsession"]("two", now).fetchall() == [("again",)]
        assert run["selectsession"]("one", now).fetchall() == []
        assert run["deletesession"]("two").rowcount == 1
    assert grants(store) == []


@given(st.dictionaries(st.sampled_from(["driver", "host", "port", "user", "password", "tls", "file", "x"]),
                       st.one_of(st.none(), st.text(string.printable), st.integers(), st.lists(st.text()), st.booleans())))
def test_nothing_else_is_ever_raised(raw: dict[str, Any]) -> None:
    for driver in ("postgresql", "mysql", "sqlite"):
        with contextlib.suppress(StoreOptionError):
            render_store(parse_store({**POSTGRESQL, **raw, "driver": driver}))
