# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in a database on a real httpd of this machine, with SQLite; skipped where there is none."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

from plugins.module_utils.config import modules_for, render
from plugins.module_utils.cookie import CIPHERS, parse_payload, seal, unseal
from plugins.module_utils.live import ScopeProbe, Way, problems, store_problem
from plugins.module_utils.node import Node
from plugins.module_utils.passphrases import render_file
from plugins.module_utils.probe import identity, parse_set_cookie, seal_probe
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.store import parse_store, render_store, schema

reason = "" if next(Path("/usr/lib").glob("*/apr-util-1/apr_dbd_sqlite3*.so"), None) else "no driver of apr-util's for SQLite"
try:
    real_httpd.find()
except real_httpd.NoHttpd as missing:
    reason = "no real httpd: %s" % missing
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)

NEW = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
OLD = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
STRANGER = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
# A scope of cookies inside one with a database, and one beside it.
SCOPES = parse_scopes([
    {"name": "all", "path": "/", "cookie_name": "all", "store": "dbd", "update_interval": 0, "request_header": "X-S",
     "response_header": "X-Replace", "directives": ['Header always set X-Seen "%{HTTP_SESSION}e"']},
    {"name": "deep", "path": "/deep", "cookie_name": "deep", "store": "dbd", "cipher": "aes128", "update_interval": 0},
    {"name": "plain", "path": "/plain", "cookie_name": "plain", "update_interval": 0},
])
SCOPE = SCOPES[0]
WORD = "live-marker1"
ME = identity("n1")
NODE = Node("no-such-service")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


@pytest.fixture(scope="module")
def httpd(folder: Path) -> Iterator[real_httpd.RealHttpd]:
    store = parse_store({"driver": "sqlite", "file": str(folder / "sessions.db")})
    with contextlib.closing(sqlite3.connect(store.file)) as rows, rows:
        for statement in schema(store):
            rows.execute(statement)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)  # the workers of a root server are somebody else
    for path in folder.parents:
        if path.owner() != "root" or path.stat().st_mode & 0o11 != 0o11:
            path.chmod(path.stat().st_mode | 0o11)
    (folder / "store.conf").write_text(render_store(store))
    modules = real_httpd.find()[1]
    loads = ["LoadModule %s_module %s/mod_%s.so" % (name, modules, name)
             for name in modules_for(SCOPES) if name not in real_httpd.MODULES]
    text = "\n".join(loads) + "\n" + render(SCOPES, "{root}/keys", (2, 4, 62), str(folder / "store.conf"), ME)
    pages = {"index.html": "hello\n", "set.asis": "Status: 200\nContent-Type: text/plain\nX-Replace: user=bob\n\nok\n"}
    with real_httpd.RealHttpd(text, pages, {"keys": render_file([NEW, OLD])}) as server:
        yield server


def probes(*keys: str) -> list[ScopeProbe]:
    return [ScopeProbe(scope, WORD, tuple(
        seal_probe(key, scope.cipher, WORD, bytes(16), bytes(CIPHERS[scope.cipher].iv_bytes)) for key in keys), ME)
        for scope in SCOPES]


def way(httpd: real_httpd.RealHttpd) -> Way:
    return Way("127.0.0.1", httpd.port)


def cookie_of(answer: object) -> str:
    cookies = [parse_set_cookie(text) for name, text in answer.getheaders() if name == "Set-Cookie"]  # type: ignore[attr-defined]
    return "%s=%s" % (cookies[-1].name, cookies[-1].value) if cookies else ""


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(folder / "sessions.db", timeout=10)) as rows, rows:
        yield rows


def test_keys_and_database_are_proven(httpd: real_httpd.RealHttpd) -> None:
    assert problems(NODE, probes(NEW, OLD), [NEW, OLD], way(httpd), store=True) == []


def test_a_scope_with_a_database_shows_its_keys_like_any_other(httpd: real_httpd.RealHttpd) -> None:
    assert problems(NODE, probes(NEW, STRANGER), [NEW, STRANGER], way(httpd)) == [
        "scope %s: it does not open sessions of passphrase 2 with %s" % (scope.name, scope.cipher) for scope in SCOPES]
    assert problems(NODE, probes(OLD, NEW), [OLD, NEW], way(httpd)) == [
        "scope %s: it encrypts with passphrase 2; expected the first" % scope.name for scope in SCOPES]


def test_a_scope_of_cookies_has_no_row(httpd: real_httpd.RealHttpd) -> None:
    assert "is no name of a row" in store_problem(NODE, probes(NEW)[2], way(httpd))


def test_a_session_is_a_sealed_row(httpd: real_httpd.RealHttpd, folder: Path) -> None:
    cookie = cookie_of(httpd.get("/set.asis"))
    answer = httpd.get("/index.html", cookie)
    assert str(answer.getheader("X-Seen")).startswith("user=bob&expiry=")
    assert cookie_of(answer) == cookie, "the same row"
    with database(folder) as rows:
        found = rows.execute("select value, expiry from session where id = ?", (cookie.partition("=")[2],)).fetchall()
    ((value, expiry),) = found
    payload = parse_payload(unseal(value, [NEW], SCOPE.cipher).payload)
    assert (payload.pairs, payload.expiry) == ({"user": "bob"}, expiry)


def test_a_row_that_is_deleted_ends_its_session_for_certain(httpd: real_httpd.RealHttpd, folder: Path) -> None:
    cookie = cookie_of(httpd.get("/set.asis"))
    with database(folder) as rows:
        assert rows.execute("delete from session where id = ?", (cookie.partition("=")[2],)).rowcount == 1
    answer = httpd.get("/index.html", cookie)
    assert "user=bob" not in str(answer.getheader("X-Seen"))


def test_a_session_of_64_kilobytes_that_an_old_key_sealed(
    httpd: real_httpd.RealHttpd, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.module_utils.cookie.MAX_LENGTH", 1 << 20)  # it is no cookie
    text = "big=" + "x" * 65536
    name = "11111111-2222-3333-4444-555555555555"
    with database(folder) as rows:
        rows.execute("insert into session (id, value, expiry) values (?, ?, 0)",
                     (name, seal(text, OLD, SCOPE.cipher, bytes(16), bytes(16))))
    assert cookie_of(httpd.get(SCOPE.store_path, "all=" + name)) == "all=" + name
    with database(folder) as rows:
        ((value,),) = rows.execute("select value from session where id = ?", (name,)).fetchall()
    opened = unseal(value, [NEW], SCOPE.cipher)
    assert opened.payload.startswith(text), "written again, under the first key"


def test_what_nobody_has_a_key_for_becomes_another_session(httpd: real_httpd.RealHttpd, folder: Path) -> None:
    name = "11111111-2222-3333-4444-666666666666"
    with database(folder) as rows:
        rows.execute("insert into session (id, value, expiry) values (?, ?, 0)",
                     (name, seal("a=b", STRANGER, SCOPE.cipher, bytes(16), bytes(16))))
    assert cookie_of(httpd.get(SCOPE.store_path, "all=" + name)) not in ("", "all=" + name)


def test_without_its_table_the_session_is_out_of_reach_and_the_page_is_not(httpd: real_httpd.RealHttpd, folder: Path) -> None:
    cookie = cookie_of(httpd.get("/set.asis"))
    with database(folder) as rows:
        rows.execute("alter table session rename to away")
    try:
        assert problems(NODE, probes(NEW), [NEW], way(httpd), store=True) == [
            "scope %s: httpd could not write a session to the database (%s answered 403 without a session cookie; "
            "expected one)" % (scope.name, scope.store_path) for scope in SCOPES[:2]]
        assert problems(NODE, probes(NEW), [NEW], way(httpd)) == [], "keys are seen without the database"
        answer = httpd.get("/index.html", cookie)
        assert (answer.status, cookie_of(answer), answer.getheader("X-Seen")) == (200, "", "(null)")
    finally:
        with database(folder) as rows:
            # apr-util's driver for SQLite does not get over a change of the tables; httpd must be reloaded then.
            rows.execute("alter table away rename to session")
            found = rows.execute("select count(*) from session where id = ?", (cookie.partition("=")[2],)).fetchone()
    assert found == (1,), "and it was not thrown away"
