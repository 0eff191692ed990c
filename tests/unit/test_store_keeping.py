# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL that deletes expired rows, in a real SQLite, and the files of the node that runs it."""

from __future__ import annotations

import configparser
import re
import sqlite3
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import store_keeping as keeping
from plugins.module_utils.store import StoreOptionError, parse_store, schema
from plugins.module_utils.transaction import Entry

from .memory_node import MemoryNode

SERVER = {"host": "db.example.com", "database": "sessions", "user": "httpd", "password": "s3cret", "ca": "/etc/ssl/ca.pem"}
STORES = {
    "postgresql": parse_store({**SERVER, "driver": "postgresql"}),
    "mysql": parse_store({**SERVER, "driver": "mysql"}),
    "sqlite": parse_store({"driver": "sqlite", "file": "/var/lib/sessions/sessions.db"}),
}


def without_commands(sql):
    """SQL without the commands of the client."""
    return "\n".join(line for line in sql.splitlines() if not line.startswith("."))


def test_only_expired_rows_go_in_batches(monkeypatch):
    monkeypatch.setattr(keeping, "BATCH", 3)
    database = sqlite3.connect(":memory:")
    for statement in schema(STORES["sqlite"]):
        database.execute(statement)
    now, hour = int(time.time()), 3600
    expiries = {"endless": 0, "live": now + hour, "now": now, "clocks differ": now - hour + 60}
    old = {"old %d" % number: now - hour - 60 - number for number in range(7)}
    for name, expiry in {**expiries, **old}.items():
        database.execute("INSERT INTO session (id, value, expiry) VALUES (?, 'x', ?)", (name, expiry * 1000000))
    delete, count = (one + ";" for one in without_commands(keeping.expired(STORES["sqlite"])).split(";")[:2])
    gone = []
    for _round in range(4):
        database.execute(delete)
        gone.append(database.execute(count).fetchone()[0])
    assert gone == [3, 3, 1, 0]
    assert {name for (name,) in database.execute("SELECT id FROM session")} == set(expiries)


@pytest.mark.parametrize("driver", ["postgresql", "mysql"])
def test_two_at_once_do_not_disturb_each_other(driver):
    sql = keeping.expired(STORES[driver])
    assert {"postgresql": "FOR UPDATE SKIP LOCKED", "mysql": "GET_LOCK"}[driver] in sql
    assert "expiry > 0" in sql and "LIMIT 5000" in sql


@pytest.mark.parametrize("driver", STORES)
def test_no_file_that_all_may_read_has_the_password(driver):
    for one in keeping.files(STORES[driver]):
        assert one.mode == "0600" or "s3cret" not in one.content, one.path
        assert one.path.startswith(keeping.DIRECTORY + "/")


@pytest.mark.parametrize("driver", STORES)
def test_the_files_are_put_in_place_once_and_check_mode_only_says_so(driver):
    node, expected = MemoryNode(), [keeping.DIRECTORY, *(one.path for one in keeping.files(STORES[driver]))]
    assert keeping.put_in_place(node, STORES[driver], check_mode=True) == expected and not node.files
    assert keeping.put_in_place(node, STORES[driver]) == expected
    assert {path: (oct(entry.mode), entry.content.decode()) for path, entry in node.files.items()} == {
        one.path: (oct(int(one.mode, 8)), one.content) for one in keeping.files(STORES[driver])}
    assert keeping.put_in_place(node, STORES[driver]) == []
    path = expected[-1]
    node.files[path] = Entry("file", 0o666, (0, 0), node.files[path].content)
    assert keeping.put_in_place(node, STORES[driver]) == [path] and node.files[path].mode != 0o666


def fake_client(tmp_path, driver, answers):
    """The script with a client that gives these answers, one a call, and then fails; its status and output."""
    calls = tmp_path / "calls"
    calls.write_text("".join("%s\n" % one for one in answers))
    for name in ("psql", "mariadb", "sqlite3"):
        client = tmp_path / name
        client.write_text("#!/bin/sh\n[ -s {0} ] || {{ echo 'no connection' >&2; exit 2; }}\n"
                          "head -n 1 {0}; sed -i 1d {0}\n".format(calls))
        client.chmod(0o755)
    (tmp_path / "expired.sql").write_text("")
    program = keeping.script(STORES[driver]).replace(keeping.DIRECTORY, str(tmp_path))
    return subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=False,
                          env={"PATH": "%s:/usr/bin:/bin" % tmp_path})


@pytest.mark.parametrize("driver", STORES)
def test_script_counts_over_all_batches(tmp_path, driver):
    done = fake_client(tmp_path, driver, [5000, 5000, 17])
    assert (done.returncode, done.stdout) == (0, "10017 expired rows deleted from the table session\n")


@pytest.mark.parametrize("driver", STORES)
def test_script_fails_where_the_database_does(tmp_path, driver):
    done = fake_client(tmp_path, driver, [5000])
    assert done.returncode != 0 and "deleted" not in done.stdout and "no connection" in done.stderr


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80))
def test_password_in_a_service_file_is_the_password(password):
    store = parse_store({**SERVER, "driver": "postgresql", "password": password})
    found = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    found.read_string(keeping.client_file(store))
    assert found["mod-session"]["password"] == password


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80))
def test_password_in_an_option_file_is_the_password(password):
    try:
        store = parse_store({**SERVER, "driver": "mysql", "password": password})
    except StoreOptionError:
        return  # one that httpd's driver cannot be given
    (line,) = [line for line in keeping.client_file(store).splitlines() if line.startswith("password=")]
    inner = re.fullmatch(r'password="((?:[^"\\]|\\["\\])*)"', line).group(1)
    assert re.sub(r"\\(.)", r"\1", inner) == password


@pytest.mark.parametrize(("tls", "postgresql", "mysql"), [
    ("verify", "sslmode=verify-full", "ssl=1\nssl-verify-server-cert=1\nssl-ca="),
    ("encrypt", "sslmode=require", "ssl=1\nssl-verify-server-cert=0"),
    ("off", "sslmode=disable", "ssl=0\nssl-verify-server-cert=0"),
])
def test_tls_of_the_clients(tls, postgresql, mysql):
    for driver, words in (("postgresql", postgresql), ("mysql", mysql)):
        given = {**SERVER, "driver": driver, "tls": tls, "ca": SERVER["ca"] if tls == "verify" else ""}
        assert words in keeping.client_file(parse_store(given))


@pytest.mark.parametrize("driver", STORES)
def test_sql_by_hand_has_a_placeholder_for_the_password(driver):
    text = "\n".join(keeping.by_hand(STORES[driver]))
    assert "s3cret" not in text and ("'<password>'" in text) == (driver != "sqlite")
    assert text.count("CREATE TABLE") == 1
