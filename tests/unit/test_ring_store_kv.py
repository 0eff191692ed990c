# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring in a KV version 2 engine of a real OpenBao server: one writer wins, and every refusal says what to do."""

from __future__ import annotations

import http.server
import json
import os
import re
import socket
import sys
import threading
import traceback
from pathlib import Path

import hvac
import pytest
import requests

from plugins.module_utils import ring_verbs as verbs
from plugins.module_utils.ring import saved
from plugins.module_utils.ring_json import to_json
from plugins.plugin_utils import ring_store_kv
from plugins.plugin_utils.ring_store import Conflict, StoreError, open_store
from plugins.plugin_utils.ring_store_kv import place
from tests import openbao
from tests.together import in_children

from .ring_stories import at, first, secret, staged

OLD, NEW = first(), staged()
NEWER = saved(NEW, verbs.revoke(NEW, at(30, "bob"), secret(9)))
DOCS = Path(__file__).parents[2] / "docs" / "ring-stores.md"


@pytest.fixture(scope="module")
def server():
    with openbao.running() as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Nothing of what the person who runs the tests has set."""
    for name in list(os.environ):
        if name.startswith(("BAO_", "VAULT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def kv(server):
    """The server's engine, without a ring."""
    kv = server.client().secrets.kv.v2
    kv.delete_metadata_and_all_versions("fleet/ring")
    return kv


def store_at(server, **options):
    spec = {"address": server.address, "path": "fleet/ring", "token": openbao.ROOT_TOKEN, "ca": server.ca, **options}
    return open_store({"kv": spec}, None)


@pytest.fixture
def store(server, kv):
    """A store that holds OLD."""
    store = store_at(server)
    store.save(OLD, 0)
    return store


def told(refused, *tokens):
    """The sentence of a refusal, after a proof that the token is nowhere in what may be printed."""
    printed = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert not any(token in printed for token in (openbao.ROOT_TOKEN, *tokens))
    assert not any(key.passphrase in printed for key in (*OLD.keys, *NEWER.keys))
    return str(refused.value)


# What is read and written


def test_read_back_and_replaced(server, kv):
    store = store_at(server)
    assert store.load() == (None, 0)
    store.save(OLD, 0)
    assert store.load() == (OLD, 1)
    store.save(NEW, 1)
    assert store.load() == (NEW, 2)
    versions = [
        kv.read_secret("fleet/ring", raise_on_deleted_version=True),
        kv.read_secret_version("fleet/ring", 1, "secret", True),
    ]
    assert [one["data"]["data"] for one in versions] == [{"ring": to_json(NEW)}, {"ring": to_json(OLD)}]
    assert store.where == f"{server.address}, secret/fleet/ring"


def test_a_server_that_keeps_one_version(store, kv):
    kv.update_metadata("fleet/ring", max_versions=1, cas_required=True)
    store.save(NEW, 1)
    store.save(NEWER, 2)
    assert store.load() == (NEWER, 3)


def test_with_tls():
    with openbao.running(tls=True) as server:
        store = store_at(server)
        store.save(OLD, store.load()[1])
        assert store.load() == (OLD, 1)
        with pytest.raises(StoreError) as refused:
            store_at(server, ca="").load()
        assert "certificate is not trusted: name the file" in told(refused)


def policies():
    """The policies that the documentation gives, for who rotates and for who only reads."""
    return re.findall(r"```hcl\n(.*?)```", DOCS.read_text(), re.DOTALL)


def test_the_documented_policies_are_enough_and_no_more(server, kv):
    writing, reading = (policy.replace("httpd/session_ring", "fleet/ring") for policy in policies())
    token = server.token(writing)
    store = store_at(server, token=token)
    store.save(OLD, store.load()[1])
    store.save(NEW, store.load()[1])
    assert store.load() == (NEW, 2)
    with pytest.raises(hvac.exceptions.Forbidden):
        server.client(token).secrets.kv.v2.delete_metadata_and_all_versions("fleet/ring")
    reader = store_at(server, token=server.token(reading))
    assert reader.load() == (NEW, 2)
    with pytest.raises(StoreError) as refused:
        reader.save(NEWER, 2)
    assert "no policy of it allows this on secret/data/fleet/ring" in told(refused, token) and store.load() == (NEW, 2)


# Several at once


def test_an_older_version_does_not_win(server, store):
    store_at(server).save(NEWER, 1)
    for ring, token in ((NEW, 1), (OLD, 0)):
        with pytest.raises(Conflict) as refused:
            store.save(ring, token)
        assert "generation 3 now, the last event is revoke by bob at 2027-" in told(refused)
    assert store.load() == (NEWER, 2)


def test_of_two_at_once_one_wins(server, kv):
    rings = [saved(OLD, verbs.stage(OLD, at(10, who), secret(number))) for number, who in enumerate(("ann", "bob"), 20)]
    for number in range(20):
        kv.delete_metadata_and_all_versions("fleet/ring")
        if number % 2:
            store_at(server).save(OLD, 0)

        def work(index, token=number % 2):
            try:
                store_at(server).save(rings[index], token)
            except Conflict:
                return 1
            return 0

        results = in_children(2, work)
        assert sorted(results) == [0, 1]
        assert store_at(server).load()[0] == rings[results.index(0)]


def test_nothing_is_lost_where_many_try_again(server, store):
    def work(index):
        mine, done = store_at(server), 0
        while done < 8:
            ring, token = mine.load()
            try:
                mine.save(saved(ring, verbs.tell(ring, [index * 100 + done + 1])), token)
            except Conflict:
                continue
            done += 1
        return 0

    assert in_children(4, work) == [0] * 4
    ring, version = store.load()
    assert ring.generation == version == 1 + 32
    assert {age.seconds for age in ring.max_ages} == {index * 100 + number for index in range(4) for number in range(1, 9)}


@pytest.mark.parametrize("arrives", [True, False])
def test_an_answer_is_lost(store, monkeypatch, arrives):
    """Where the ring came to the server before the connection broke it is saved; where it did not that is told."""
    real = requests.Session.request

    def broken(self, method, url, **options):
        if method == "post" and arrives:
            real(self, method, url, **options)
        if method == "post":
            raise requests.exceptions.ConnectionError("reset")
        return real(self, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", broken)
    if arrives:
        store.save(NEW, 1)
        assert store.load() == (NEW, 2)
        return
    with pytest.raises(StoreError, match="cannot be reached") as refused:
        store.save(NEW, 1)
    assert not isinstance(refused.value, Conflict) and store.load() == (OLD, 1)


def test_a_proxy_that_asks_twice_makes_no_conflict(store, monkeypatch):
    real = requests.Session.request

    def twice(self, method, url, **options):
        if method == "post":
            real(self, method, url, **options)
        return real(self, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", twice)
    store.save(NEW, 1)
    assert store.load() == (NEW, 2)


# Refusals by the server


@pytest.mark.parametrize("ways", ["deleted", "destroyed", "deleted destroyed"])
def test_a_deleted_ring_is_not_begun_anew(store, kv, ways):
    store.save(NEW, 1)
    if "deleted" in ways:
        kv.delete_latest_version_of_secret("fleet/ring")
    if "destroyed" in ways:
        kv.destroy_secret_versions("fleet/ring", [2])
    with pytest.raises(StoreError) as refused:
        store.load()
    assert "version 2, the latest, was deleted. Restore it (bao kv undelete) or one before it" in told(refused)
    assert "bao kv metadata get -mount=secret fleet/ring" in told(refused)
    with pytest.raises(Conflict):
        store.save(OLD, 0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"password": "x"}, "holds something else than a ring"),
        ({"ring": to_json(OLD), "password": "x"}, "holds something else than a ring"),
        ({"ring": {"a": 1}}, "holds something else than a ring"),
        ({"ring": to_json(OLD)[:-9]}, "the ring is damaged: it is no JSON.*bao kv metadata get"),
    ],
)
def test_what_is_no_ring_is_refused(store, kv, fields, expected):
    kv.create_or_update_secret("fleet/ring", fields)
    with pytest.raises(StoreError, match=expected) as refused:
        store.load()
    assert told(refused)
    with pytest.raises(Conflict, match=r"somebody else changed the ring meanwhile. Nothing was saved"):
        store.save(NEW, 1)


def test_an_engine_of_version_1_is_refused(server):
    root = server.client()
    root.sys.enable_secrets_engine("kv", path="plain/kv", options={"version": "1"})
    try:
        with pytest.raises(StoreError) as refused:
            store_at(server, mount="plain/kv").load()
        assert "the engine at plain/kv is not KV version 2" in told(refused)
    finally:
        root.sys.disable_secrets_engine("plain/kv")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"token": "a-token-that-is-wrong"}, "the server refuses the token: it has ended, or no policy"),
        ({"mount": "none"}, "the server has no engine at none: make a KV version 2 engine"),
        ({"mount": "cubbyhole"}, "the engine at cubbyhole is not KV version 2"),
        ({"namespace": "nobody"}, "in the namespace nobody: the server refused: namespace not found"),
    ],
)
def test_what_the_server_refuses(server, kv, options, expected):
    with pytest.raises(StoreError, match=re.escape(expected)) as refused:
        store_at(server, **options).load()
    assert told(refused, "a-token-that-is-wrong")


def test_a_mount_that_is_too_long(server, kv):
    with pytest.raises(StoreError, match=r"the engine's mount is secret; what follows it is part of path"):
        store_at(server, mount="secret/fleet").load()


def test_a_sealed_server(server, store):
    root = server.client()
    root.sys.seal()
    try:
        for work in (store.load, lambda: store.save(NEW, 1)):
            with pytest.raises(StoreError) as refused:
                work()
            assert "the server is sealed: have it unsealed" in told(refused)
    finally:
        root.sys.submit_unseal_key(server.unseal_key)
        openbao.wait_for_engine(server)
    assert store.load() == (OLD, 1)


# Without a server


@pytest.fixture
def silent():
    """An address where nobody answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield "http://127.0.0.1:%d" % listening.getsockname()[1]


@pytest.fixture
def page():
    """An address of a web server that has a page for everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            talks = self.path.endswith("talkative")
            self.send_response(500 if talks else 200)
            self.send_header("Content-Type", "application/json" if talks else "text/html")
            self.end_headers()
            token = self.headers["X-Vault-Token"]
            self.wfile.write(json.dumps({"errors": [f"no\n {token}"]}).encode() if talks else b"<html>welcome</html>")

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever).start()
        yield "http://127.0.0.1:%d" % serving.server_address[1]
        serving.shutdown()


def without_server(address, path="ring"):
    return open_store({"kv": {"address": address, "path": path, "token": openbao.ROOT_TOKEN}}, None)


def test_nobody_answers(silent, monkeypatch):
    monkeypatch.setattr(ring_store_kv, "TIMEOUT", 0.1)
    with pytest.raises(StoreError) as refused:
        without_server(silent).load()
    assert told(refused) == f"{silent}, secret/ring: no answer in 0.1 s"


def test_somebody_else_answers(page):
    with pytest.raises(StoreError) as refused:
        without_server(page).load()
    assert "no server of Vault or OpenBao: look at the address" in told(refused)


def test_what_a_server_says_is_told_without_the_token(page):
    with pytest.raises(StoreError) as refused:
        without_server(page, "talkative").load()
    assert told(refused) == f"{page}, secret/talkative: the server refused: no ***"


def test_no_tls_there(page):
    with pytest.raises(StoreError) as refused:
        without_server(page.replace("http", "https")).load()
    assert "speaks no TLS that we understand" in told(refused)


def test_nobody_is_there():
    with pytest.raises(StoreError) as refused:
        without_server("http://127.0.0.1:1").load()
    assert "the server cannot be reached: look at the address, and whether it runs" in told(refused)


def test_without_hvac(monkeypatch):
    monkeypatch.setitem(sys.modules, "hvac", None)
    with pytest.raises(StoreError, match=r"needs the Python library hvac.*-m pip install hvac"):
        without_server("http://127.0.0.1:1").load()


# What is named, and what is taken from elsewhere

FULL = {"address": "https://bao:8200/", "path": "/a/b/", "token": "s.1"}


@pytest.mark.parametrize(
    ("values", "environment", "found"),
    [
        ({}, {}, ("https://bao:8200", "secret", "a/b", "s.1", "", "")),
        ({"mount": "/team/kv/", "namespace": "n"}, {}, ("https://bao:8200", "team/kv", "a/b", "s.1", "n", "")),
        ({"address": ""}, {"VAULT_ADDR": "https://v", "BAO_ADDR": "https://b"}, ("https://b", "secret", "a/b", "s.1", "", "")),
        ({"token": ""}, {"VAULT_TOKEN": "v", "BAO_NAMESPACE": "n"}, ("https://bao:8200", "secret", "a/b", "v", "n", "")),
        ({}, {"VAULT_TOKEN": "v", "VAULT_ADDR": "https://v"}, ("https://bao:8200", "secret", "a/b", "s.1", "", "")),
        ({"address": "http://127.0.0.9:8200"}, {}, ("http://127.0.0.9:8200", "secret", "a/b", "s.1", "", "")),
        ({"address": "http://localhost"}, {"VAULT_CACERT": __file__}, ("http://localhost", "secret", "a/b", "s.1", "", __file__)),
    ],
)
def test_a_place(values, environment, found):
    here = place({**FULL, **values}, environment)
    assert (here.address, here.mount, here.path, here.token, here.namespace, here.ca) == found
    assert "s.1" not in repr(here)


def test_a_token_that_was_logged_in_with(tmp_path):
    (tmp_path / ".vault-token").write_text("s.2\n")
    values = {**FULL, "token": ""}
    assert place(values, {"HOME": str(tmp_path)}).token == "s.2"
    assert place(values, {"HOME": str(tmp_path), "BAO_TOKEN": "s.3"}).token == "s.3"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"address": None}, "has no address"),
        ({"path": "/"}, "has no path"),
        ({"path": "../ring"}, "secret/../ring is no path of a secret"),
        ({"mount": "a//b"}, "a//b/a/b is no path of a secret"),
        ({"token": ""}, "has no token: give one, set BAO_TOKEN"),
        ({"token": "two\nlines"}, "the token has characters that no token has"),
        ({"token": "tökn"}, "the token has characters that no token has"),
        ({"ca": "/none.pem"}, "there is no file /none.pem"),
        ({"address": "bao:8200"}, "the address is no URL"),
        ({"address": "https://bao:port"}, "the address is no URL"),
        ({"address": "https://me:word@bao"}, "the address is no URL"),
        ({"address": "http://bao:8200"}, "would send the keys unencrypted"),
        ({"addres": "x"}, "kv has no option addres; it has address, mount"),
        ({"token": {"a": 1}}, "token must be a text"),
    ],
)
def test_a_place_that_cannot_be_meant(options, expected):
    with pytest.raises(StoreError, match=expected) as refused:
        open_store({"kv": {**FULL, **options}}, None)
    assert "word" not in str(refused.value) and "two" not in str(refused.value)


def test_the_field_is_json(store, kv):
    """So that jq and other programs can look into it."""
    text = kv.read_secret_version("fleet/ring", None, "secret", True)["data"]["data"]["ring"]
    assert json.loads(text)["id"] == OLD.id
