# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says about its own server, live or on trial, with a server made of a few lines in place of httpd."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

import pytest

from plugins.module_utils import trial
from plugins.module_utils.cookie import CIPHERS, CookieError, format_payload, parse_payload, seal, unseal
from plugins.module_utils.layout import DEBIAN, REDHAT
from plugins.module_utils.live import ScopeProbe, Way, as_before, ask, problems, snapshot
from plugins.module_utils.probe import Answer, identity, seal_probe
from plugins.module_utils.scopes import Scope, parse_scopes
from plugins.module_utils.store import parse_store
from plugins.module_utils.transaction import Entry

NEW = "TEST-ONLY-B-0123456789abcdefghijklmnopqrstu"
OLD = "TEST-ONLY-A-0123456789abcdefghijklmnopqrstu"
STRANGER = "TEST-ONLY-X-0123456789abcdefghijklmnopqrstu"
KEYS = [NEW, OLD]
WORD = "live-marker1"
ME = identity("n1")
NOT_OURS = (
    "not as this node's probe location: its configuration is not in force here, or an application, another virtual host or a "
    "proxy answers in its place")
NO_COOKIE = (
    " answered without a session cookie; expected one. Does a section behind it turn sessions off, or a Header directive take "
    "Set-Cookie away?")
GOOD = "Max-Age=3600;Path=/app;HttpOnly;Secure;SameSite=Lax"
LIVE = Way()
ROW = "9254bae6-4b53-43fd-aafa-41207e8e9f2e"
OTHER_ROW = "27dfabd0-4a63-47ac-8bdf-f3fa45ff6fd7"


def scope(**options: Any) -> Scope:
    return parse_scopes([{"name": "app", "path": "/app", "cipher": "aes128", **options}])[0]


def sealed(payload: str, key: str, cipher: str) -> str:
    return seal(payload, key, cipher, bytes(16), bytes(CIPHERS[cipher].iv_bytes))


def probe_of(wanted: Scope, *keys: str) -> ScopeProbe:
    cookies = (seal_probe(key, wanted.cipher, WORD, bytes(16), bytes(CIPHERS[wanted.cipher].iv_bytes)) for key in keys)
    return ScopeProbe(wanted, WORD, tuple(cookies), ME)


@dataclass
class Server:
    """A server with sessions as httpd has them, and the ways in which it can be wrong."""

    keys: list[str] = field(default_factory=lambda: list(KEYS))
    cipher: str = "aes128"
    attributes: str = GOOD
    name: str = "httpd-session"
    status: int = 403
    identity: str = ME
    plain: bool = False
    value: Optional[str] = None
    silent: Optional[OSError] = None
    listening: dict[int, list[str]] = field(default_factory=lambda: {80: ["0.0.0.0"], 443: ["::"]})
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    rows: tuple[str, ...] = (ROW, ROW)
    """The cookies with which the database answers, one after the other; empty for none."""

    @property
    def own(self) -> tuple[tuple[str, str], ...]:
        return (("Mod-Session-Probe", self.identity),) if self.identity else ()

    def listeners(self) -> dict[int, list[str]]:
        return self.listening

    def get(self, address: str, port: int, tls: bool, host: str, path: str, cookie: str, _reach: object) -> Answer:
        self.pages.append(path)
        path = re.sub(r"/[0-9]+(?=\?|\Z)", "", path)
        self.asked.append((address, port, tls, host, path, cookie.split("=")[0]))
        if self.silent:
            raise self.silent
        if path.endswith("?store"):
            seen = sum(one[4] == path for one in self.asked)
            row = self.rows[(seen - 1) % len(self.rows)]
            cookies = (("Set-Cookie", "httpd-session=%s;%s" % (row, self.attributes)),) * 2
            return Answer(403, cookies + self.own if row else self.own, 1, 2)
        pairs = {}
        try:
            pairs = dict(parse_payload(unseal(cookie.split("=", 1)[1], self.keys, self.cipher).payload).pairs)
        except CookieError:
            pass  # httpd begins a new session
        payload = format_payload(pairs, 1795398085466647)
        value = payload if self.plain else sealed(payload, self.keys[0], self.cipher)
        value = value if self.value is None else self.value
        headers = (("Set-Cookie", "%s=%s;%s" % (self.name, value, self.attributes)),) if self.name else ()
        return Answer(self.status, headers + self.own, 1, 2)


@pytest.mark.parametrize("status", [200, 204, 301, 403, 404, 410, 503])
def test_whatever_the_site_answers_to_all_requests_is_no_fault_where_no_application_did(status: int) -> None:
    assert problems(Server(status=status), [probe_of(scope(), *KEYS)], KEYS, LIVE) == []


def test_the_row_of_another_node_proves_nothing() -> None:
    server = Server()
    get, probes = server.get, [probe_of(scope(store="dbd"), *KEYS)]

    def other(*asked: Any) -> Answer:
        server.identity = identity("n2") if asked[4].endswith("?store") else ME
        return get(*asked)

    server.get = other  # type: ignore[method-assign]
    (found,) = problems(server, probes, KEYS, LIVE, store=True)
    assert found.startswith("scope app: the probe location of another node answered /app/.mod-session-probe?store")


def test_all_is_well() -> None:
    assert problems(Server(), [probe_of(scope(), *KEYS)], KEYS, LIVE) == []
    assert problems(Server(), [], KEYS, LIVE) == []


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ({"plain": True}, "the session cookie is not encrypted"),
        ({"keys": ["", NEW]}, "the session cookie is encrypted with an empty passphrase"),
        ({"keys": [STRANGER, NEW, OLD]}, "the session cookie is encrypted with a passphrase that is not in the list"),
        ({"value": "nonsense"}, "the session cookie is no sealed cookie"),
        ({"keys": [OLD, NEW]}, "it encrypts with passphrase 2; expected the first"),
        ({"keys": [NEW]}, "it does not open sessions of passphrase 2 with aes128"),
        ({"cipher": "aes192"}, "it does not open sessions of passphrase 1 with aes128"),
        ({"identity": "", "status": 200}, "/app/.mod-session-probe answered 200, but " + NOT_OURS),
        ({"identity": "", "name": "", "status": 404}, "/app/.mod-session-probe answered 404, but " + NOT_OURS),
        ({"identity": "x" * 16}, "/app/.mod-session-probe answered 403, but " + NOT_OURS),
        ({"identity": identity("n2")}, "the probe location of another node answered /app/.mod-session-probe: this server has the "
                                       "configuration of another name of the inventory, or a proxy that listens here leads to "
                                       "another server"),
        ({"name": ""}, "/app/.mod-session-probe" + NO_COOKIE),
        ({"name": "other"}, "/app/.mod-session-probe" + NO_COOKIE),
        ({"attributes": GOOD.replace("3600", "60")}, "the cookie's max_age is '60'; expected '3600'"),
        ({"attributes": GOOD.replace(";Secure", "")}, "the cookie's secure is 'false'; expected 'true'"),
        ({"silent": ConnectionRefusedError("Connection refused")}, "no answer from 127.0.0.1 port 80: Connection refused"),
    ],
)
def test_what_is_wrong_is_one_sentence(server: dict[str, Any], sentence: str) -> None:
    assert problems(Server(**server), [probe_of(scope(), *KEYS)], KEYS, LIVE) == ["scope app: " + sentence]


def test_a_row_is_written_and_found_again() -> None:
    server = Server()
    assert problems(server, [probe_of(scope(store="dbd"), *KEYS)], KEYS, LIVE, store=True) == []
    assert [asked[4:] for asked in server.asked[2:]] == [
        ("/app/.mod-session-probe?store", ""), ("/app/.mod-session-probe?store", "httpd-session")]


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ({"rows": ("",)}, "httpd could not write a session to the database (/app/.mod-session-probe?store answered 403 without a "
                          "session cookie; expected one)"),
        ({"rows": (ROW, "")}, "httpd could not find the session again that it wrote to the database "
                              "(/app/.mod-session-probe?store answered 403 without a session cookie; expected one)"),
        ({"rows": (ROW, OTHER_ROW)}, "httpd could not find the session again that it wrote to the database; may its user SELECT "
                                     "from the table?"),
        ({"rows": (sealed("expiry=1", NEW, "aes128"),)},
         "/app/.mod-session-probe?store answered with a session cookie that is no name of a row: httpd keeps these sessions in "
         "cookies"),
        ({"keys": [NEW], "rows": ("",)}, "it does not open sessions of passphrase 2 with aes128"),
    ],
)
def test_what_is_wrong_with_a_database_is_one_sentence(server: dict[str, Any], sentence: str) -> None:
    probes = [probe_of(scope(store="dbd"), *KEYS)]
    assert problems(Server(**server), probes, KEYS, LIVE, store=True) == ["scope app: " + sentence]


def test_the_database_is_asked_only_where_there_is_one_and_it_is_wanted() -> None:
    for wanted, store in ((scope(store="dbd"), False), (scope(), True)):
        assert problems(Server(rows=("",)), [probe_of(wanted, *KEYS)], KEYS, LIVE, store=store) == []


@pytest.mark.parametrize(
    ("server", "wrong"),
    [({"status": 301}, False), ({"attributes": GOOD.replace("3600", "60")}, False), ({"keys": [OLD, NEW]}, True),
     ({"keys": [NEW]}, True), ({"plain": True}, True), ({"name": ""}, True), ({"identity": ""}, True),
     ({"identity": identity("n2")}, True)],
)
def test_a_change_of_keys_does_not_wait_for_a_configuration_to_be_deployed(server: dict[str, Any], wrong: bool) -> None:
    assert bool(problems(Server(**server), [probe_of(scope(), *KEYS)], KEYS, LIVE, only_keys=True)) is wrong


def test_a_virtual_host_without_its_include_gets_a_hint() -> None:
    named = scope(virtual_host="www.example.com")
    found = problems(Server(identity="", status=404), [probe_of(named, NEW)], KEYS, LIVE)
    assert found == ["scope app: /app/.mod-session-probe answered 404, but %s. Does the virtual host www.example.com include its "
                     "file of sessions?" % NOT_OURS]
    ours = replace(named, virtual_host_file="/etc/apache2/sites-available/www.conf")
    assert "include" not in problems(Server(identity=""), [probe_of(ours, NEW)], KEYS, LIVE)[0]


def test_each_scope_has_its_sentence_and_the_good_ones_none() -> None:
    server = Server()
    scopes = [scope(name="a"), scope(name="b", max_age=60), scope(name="c"), scope(name="d", cookie_name="id")]
    found = problems(server, [probe_of(one, *KEYS) for one in scopes], KEYS, LIVE)
    assert [sentence.split(":")[0] for sentence in found] == ["scope b", "scope d"]
    assert len(server.asked) == 8


@pytest.mark.parametrize(
    ("options", "way", "listening", "asked"),
    [
        ({}, LIVE, {80: ["0.0.0.0"]}, ("127.0.0.1", 80, False, "localhost")),
        ({}, LIVE, {80: ["::"]}, ("127.0.0.1", 80, False, "localhost")),
        ({}, LIVE, {80: ["10.1.2.3"]}, ("10.1.2.3", 80, False, "localhost")),
        ({}, LIVE, {80: ["127.0.0.1", "10.1.2.3"]}, ("10.1.2.3", 80, False, "localhost")),
        ({}, LIVE, {80: ["::ffff:0.0.0.0"]}, ("127.0.0.1", 80, False, "localhost")),
        ({}, LIVE, {80: ["fd00::1"]}, ("fd00::1", 80, False, "localhost")),
        ({}, LIVE, {}, ("127.0.0.1", 80, False, "localhost")),
        ({"port": 8080}, LIVE, {80: ["10.1.2.3"], 8080: ["10.1.2.4"]}, ("10.1.2.4", 8080, False, "localhost")),
        ({"scheme": "https", "virtual_host": "www.example.com"}, LIVE, {443: ["::"]},
         ("127.0.0.1", 443, True, "www.example.com")),
        # A trial server speaks plain HTTP on a port of its own, whatever the live one does.
        ({"scheme": "https", "virtual_host": "www.example.com"}, Way("127.0.0.1", 5000), {443: ["10.1.2.3"]},
         ("127.0.0.1", 5000, False, "www.example.com")),
    ],
)
def test_where_is_asked(
    options: dict[str, Any], way: Way, listening: dict[int, list[str]], asked: tuple[Any, ...]
) -> None:
    server = Server(listening=listening)
    assert len(ask(server, probe_of(scope(**options), *KEYS), KEYS, way)) == 2
    assert server.asked == [(*asked, "/app/.mod-session-probe", "httpd-session")] * 2
    assert len(set(server.pages)) == 2, "an address that asks for one page twice within a second may be shut out"


@pytest.mark.parametrize(
    "change",
    [{"keys": [OLD, NEW]}, {"keys": [NEW]}, {"keys": [STRANGER, NEW, OLD]}, {"plain": True}, {"status": 404}, {"name": ""},
     {"identity": ""}, {"identity": identity("n2")},
     {"attributes": GOOD + ";Priority=High"}, {"silent": OSError("gone")}, {"value": "x"}],
)
def test_a_snapshot_is_equal_as_long_as_the_server_does_the_same(change: dict[str, Any]) -> None:
    probes = [probe_of(scope(), *KEYS)]
    before = snapshot(Server(), probes, KEYS)
    assert snapshot(Server(), probes, KEYS) == before
    changed = snapshot(Server(**change), probes, KEYS)
    assert changed != before
    assert snapshot(Server(**change), probes, KEYS) == changed


def test_a_snapshot_of_a_silent_server_does_not_depend_on_the_error() -> None:
    probes = [probe_of(scope(), NEW)]
    assert snapshot(Server(silent=OSError("a")), probes, KEYS) == snapshot(Server(silent=TimeoutError()), probes, KEYS)


@pytest.mark.parametrize(
    ("before", "now", "works"),
    [
        ([OLD], [NEW, OLD], True),
        ([OLD], [OLD, NEW], True),
        ([OLD, NEW], [NEW, OLD], True),
        ([OLD], [OLD], True),
        ([STRANGER], [NEW], True),
        ([OLD], [NEW], False),
        ([NEW, OLD], [OLD], False),
        ([NEW, OLD], [NEW], False),
        ([OLD], [STRANGER, OLD], False),
        ([NEW], [OLD, NEW], False),
        ([OLD], [], False),
        ([], [OLD], False),
    ],
)
def test_what_a_server_may_do_once_it_has_the_new_keys(before: list[str], now: list[str], works: bool) -> None:
    """With no keys it is silent."""
    probes = [probe_of(scope(), *KEYS)]
    seen = [snapshot(Server(keys=keys, silent=None if keys else OSError()), probes, KEYS) for keys in (now, before)]
    assert as_before(*seen, new_keys=True) is works
    assert as_before(*seen, new_keys=False) is (now == before)


@pytest.mark.parametrize("change", [{"status": 404}, {"name": ""}, {"plain": True}, {"attributes": "Path=/app"}, {"value": "x"}])
def test_new_keys_excuse_nothing_else(change: dict[str, Any]) -> None:
    probes = [probe_of(scope(), *KEYS)]
    assert not as_before(snapshot(Server(**change), probes, KEYS), snapshot(Server(keys=[OLD]), probes, KEYS), True)


class TrialNode(Server):
    """A node whose trial server is the one above; files and processes are kept in memory."""

    def __init__(self, missing: tuple[str, ...] = (), configtest: str = "", log: str = "", late: int = 0,
                 full: bool = False, **server: Any) -> None:
        super().__init__(**server)
        self.missing, self.configtest, self.log, self.late, self.full = missing, configtest, log, late, full
        self.files: dict[str, tuple[bytes, int]] = {}
        self.written: dict[str, str] = {}
        self.modes: dict[str, int] = {}
        self.running: list[object] = []
        self.started: list[list[str]] = []
        self.stale: list[str] = []
        self.time = 0.0

    def get(self, *given: Any) -> Answer:
        assert self.running, "asked before it was started"
        if self.late > 0:
            self.late -= 1
            raise ConnectionRefusedError("Connection refused")
        return super().get(*given)

    def entry(self, path: str) -> Optional[Entry]:
        return Entry("file", content=self.log.encode()) if path.endswith("/error.log") and self.log else None

    def is_file(self, path: str) -> bool:
        return not any(name in path for name in self.missing)

    def make_directory(self, path: str, mode: int) -> None:
        self.modes[path] = mode

    def write(self, path: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        assert owner == (0, 0)
        self.files[path] = (content, mode)
        self.written[path.rsplit("/", 1)[1]] = content.decode()
        self.modes[path] = mode

    def remove_tree(self, path: str) -> None:
        self.files = {name: file for name, file in self.files.items() if not name.startswith(path + "/")}
        self.modes.pop(path, None)

    def free_port(self) -> int:
        return 54321

    def run(self, argv: Sequence[str], timeout: float = 60.0) -> tuple[int, str]:
        self.started.append(list(argv))
        return (1, self.configtest) if self.configtest else (0, "Syntax OK")

    def start(self, argv: Sequence[str]) -> object:
        self.started.append(list(argv))
        self.running.append(argv)
        return argv

    def stop(self, process: object) -> None:
        self.running.remove(process)

    def stop_stale(self, argument: str) -> int:
        self.stale.append(argument)
        return 1

    def directory_mode(self, path: str) -> Optional[int]:
        return self.modes.get(path)

    def real_path(self, path: str) -> str:
        return path

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def run_trial(node: TrialNode, *scopes: Scope) -> list[str]:
    found = trial.run_trial(node, DEBIAN, (2, 4, 62), [probe_of(one, *KEYS) for one in scopes or [scope()]], KEYS)
    assert not node.files and not node.running and trial.DIRECTORY not in node.modes, "something is left over"
    return found


def test_a_trial_that_goes_well() -> None:
    node = TrialNode(late=3)
    assert run_trial(node, scope(directives=["SessionFoo On"], request_header="X-S"),
                     scope(name="www", virtual_host="www.example.com")) == []
    assert node.started == [
        ["/usr/sbin/apache2ctl", "-t", "-c", "Include %s/sections.conf" % trial.DIRECTORY],
        ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", trial.DIRECTORY + "/httpd.conf"],
    ]
    assert {asked[:3] for asked in node.asked} == {("127.0.0.1", 54321, False)}
    assert {asked[3] for asked in node.asked} == {"localhost", "www.example.com"}
    assert node.written["passphrases"] == "%s\n%s\n" % (NEW, OLD)
    own, candidate = node.written["httpd.conf"], node.written["sections.conf"]
    # The operator's directives are judged by configtest, inside the whole configuration, and left out of the trial's own.
    assert ("SessionFoo On" in candidate, "SessionFoo On" in own) == (True, False)
    for text in (own, candidate):
        assert text.count('SessionCryptoPassphraseFile "%s/passphrases"' % trial.DIRECTORY) == 2
        places = [text.index(word) for word in ("# app\n", "ServerName www.example.com\n", "# www\n")]
        assert places == sorted(places)
        assert "LoadModule headers_module" in text
        assert NEW not in text and OLD not in text
    assert "Listen 127.0.0.1:54321\n" in own
    assert own.count("LoadModule mpm_") == 1
    assert "User www-data\nGroup www-data\n" in own


def test_files_of_a_trial_are_only_roots() -> None:
    node = TrialNode()
    modes = node.modes

    class Watching(dict):  # type: ignore[type-arg]
        def pop(self, *given: Any) -> Any:
            seen.update(self)
            return super().pop(*given)

    seen: dict[str, int] = {}
    node.modes = Watching(modes)
    assert run_trial(node) == []
    assert seen.pop(trial.DIRECTORY) == 0o700
    assert set(seen.values()) == {0o600} and len(seen) == 3


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({"missing": ("mod_session_crypto",)},
         "httpd has no module file mod_session_crypto.so in /usr/lib/apache2/modules: install the package that has it (apache2)"),
        ({"configtest": "AH00526: Syntax error on line 3 of %s/sections.conf:\nInvalid command 'SessionFoo'\n"
                        "Action '-t' failed.\nAH00558: could not determine the server's name" % trial.DIRECTORY},
         "httpd's configtest refuses the new sections: AH00526: Syntax error on line 3 of sections.conf: Invalid command "
         "'SessionFoo'"),
        ({"late": 10 ** 9, "log": "[x] [session_crypto:error] [pid 1] AH01845: the crypto driver 'openssl' could not be loaded\n"
                                  "[x] [:emerg] [pid 1] AH00020: Configuration Failed, exiting\n"},
         "the crypto driver cannot be loaded: install the package that has apr_crypto_openssl (Debian: libaprutil1 or "
         "libaprutil1t64, Red Hat: apr-util-openssl). httpd says: AH01845: the crypto driver 'openssl' could not be loaded"),
        ({"name": "", "log": "[x] [session_crypto:error] [pid 1] AH01824: cipher 'aes512' is not supported\n"},
         "the cipher is not available in this httpd's crypto driver. httpd says: AH01824: cipher 'aes512' is not supported"),
        ({"keys": [NEW]}, "scope app: it does not open sessions of passphrase 2 with aes128"),
        ({"late": 10 ** 9}, "scope app: no answer from 127.0.0.1 port 54321: Connection refused"),
    ],
)
def test_a_trial_that_fails_says_why(node: dict[str, Any], sentence: str) -> None:
    assert run_trial(TrialNode(**node)) == [sentence]


def test_what_else_httpd_says_comes_after_what_was_seen() -> None:
    log = "".join("[Mon] [mpm:notice] x\n[Mon] [session:error] [pid %d] AH0%d: no\n" % (n, n) for n in range(5))
    assert run_trial(TrialNode(name="", log=log)) == [
        "scope app: /app/.mod-session-probe" + NO_COOKIE,
        "httpd says: AH00: no", "httpd says: AH01: no", "httpd says: AH02: no"]


def test_a_trial_is_waited_for_but_not_for_ever() -> None:
    node = TrialNode(late=10 ** 9)
    run_trial(node)
    assert trial.SECONDS <= node.time <= trial.SECONDS + 1
    dead = TrialNode(late=10 ** 9, log="AH00016: Configuration Failed\n")
    run_trial(dead)
    assert dead.time == 0
    wrong = TrialNode(plain=True)
    run_trial(wrong)
    assert wrong.time == 0


def test_a_trial_on_a_full_disk_leaves_nothing() -> None:
    node = TrialNode(full=True)
    with pytest.raises(OSError, match="No space left"):
        run_trial(node)
    assert not node.modes and not node.running


def test_names_of_another_family() -> None:
    node = TrialNode()
    assert trial.run_trial(node, REDHAT, (2, 4, 62), [probe_of(scope(), *KEYS)], KEYS) == []
    assert 'LoadModule session_crypto_module "/usr/lib64/httpd/modules/mod_session_crypto.so"' in node.written["httpd.conf"]
    assert "User apache\n" in node.written["httpd.conf"]
    lacking = TrialNode(missing=("mod_session.so",))
    assert trial.run_trial(lacking, REDHAT, (2, 4, 62), [probe_of(scope(), *KEYS)], KEYS) == [
        "httpd has no module file mod_session.so in /usr/lib64/httpd/modules or /usr/lib/httpd/modules: install the package "
        "that has it (httpd, mod_session)"]


def test_what_a_killed_run_left_is_cleaned() -> None:
    node = TrialNode()
    node.write(trial.DIRECTORY + "/passphrases", b"x", 0o600, (0, 0))
    assert trial.clean(node) is True
    assert not node.files
    assert node.stale == [trial.DIRECTORY + "/httpd.conf"]


SERVER = {"host": "db.example.com", "database": "d", "user": "u", "password": "s3cret", "tls": "off"}
STORES = {"postgresql": parse_store({"driver": "postgresql", **SERVER}), "mysql": parse_store({"driver": "mysql", **SERVER}),
          "sqlite": parse_store({"driver": "sqlite", "file": "/var/lib/x/s.db"})}


def store_trial(node: TrialNode, driver: str) -> list[str]:
    wanted = [probe_of(scope(store="dbd"), *KEYS)]
    found = trial.run_trial(node, DEBIAN, (2, 4, 62), wanted, KEYS, STORES[driver])
    assert not node.files and not node.running and trial.DIRECTORY not in node.modes, "something is left over"
    return found


@pytest.mark.parametrize("driver", list(STORES))
def test_a_trial_with_a_database(driver: str) -> None:
    node = TrialNode()
    assert store_trial(node, driver) == []
    include = 'Include "%s/store.conf"' % trial.DIRECTORY
    for name in ("httpd.conf", "sections.conf"):
        assert include in node.written[name] and "s3cret" not in node.written[name]
        assert "LoadModule session_dbd_module" in node.written[name]
    assert ("s3cret" in node.written["store.conf"]) is (driver != "sqlite")
    assert ("my.cnf" in node.written, node.started[1][0] == "/usr/bin/env") == (driver == "mysql",) * 2


def test_what_a_worker_must_read_itself_has_no_secret() -> None:
    modes: dict[str, int] = {}

    class Watching(TrialNode):
        def remove_tree(self, path: str) -> None:
            modes.update(self.modes)
            super().remove_tree(path)

    node = Watching()
    assert store_trial(node, "mysql") == []
    assert modes.pop(trial.DIRECTORY) == 0o711
    assert modes.pop(trial.DIRECTORY + "/my.cnf") == 0o644
    assert set(modes.values()) == {0o600} and trial.DIRECTORY + "/store.conf" in modes
    assert "s3cret" not in node.written["my.cnf"]


def test_keys_are_tried_without_the_database() -> None:
    node = TrialNode(rows=("",))
    assert run_trial(node, scope(store="dbd")) == []
    assert "store.conf" not in node.written


# What real servers said.
@pytest.mark.parametrize(
    ("driver", "said", "remedy"),
    [
        ("postgresql", 'AH00629: Can\'t connect to pgsql: connection to server at "db" (10.0.0.5), port 5432 failed: FATAL:  '
         'password authentication failed for user "u"\\n', "the database refuses httpd's user"),
        ("mysql", "AH00629: Can't connect to mysql: Access denied for user 'u'@'web1' (using password: YES)",
         "the database refuses httpd's user"),
        ("postgresql", 'AH00629: Can\'t connect to pgsql: connection to server at "db" (10.0.0.5), port 5432 failed: FATAL:  '
         'database "d" does not exist', "the database is not there, or httpd's user may not use it"),
        ("mysql", "AH00629: Can't connect to mysql: Access denied for user 'u'@'%' to database 'd'",
         "the database is not there, or httpd's user may not use it"),
        ("mysql", "AH00629: Can't connect to mysql: Unknown database 'd'", "the database is not there"),
        ("postgresql", "AH00629: Can't connect to pgsql: connection to server at \"db\" (10.0.0.5), port 5432 failed: SSL error: "
         "certificate verify failed", "the connection to the database cannot be encrypted"),
        ("mysql", "AH00629: Can't connect to mysql: TLS/SSL error: Validation of SSL server certificate failed",
         "the connection to the database cannot be encrypted"),
        ("postgresql", "AH00629: Can't connect to pgsql: connection to server at \"db\" (10.0.0.5), port 5432 failed: Connection "
         "refused\\n\\tIs the server running on that host and accepting TCP/IP connections?\\n",
         "httpd's user cannot reach the database"),
        ("mysql", "AH00629: Can't connect to mysql: Can't connect to server on '10.0.0.5' (115)",
         "httpd's user cannot reach the database"),
        ("postgresql", 'AH00632: failed to prepare SQL statements: ERROR:  relation "session" does not exist',
         "the table is not in the database"),
        ("mysql", "AH00632: failed to prepare SQL statements: Table 'd.session' doesn't exist",
         "the table is not in the database"),
        ("mysql", "AH00632: failed to prepare SQL statements: SELECT command denied to user 'u'@'web1' for table `d`.`session`",
         "the table is not there, or httpd's user may not use it"),
        ("postgresql", 'AH00632: failed to prepare SQL statements: ERROR:  column "id" does not exist',
         "the table is not as httpd needs it"),
        ("postgresql", "AH01859: query execution error inserting session 'x' in database with 'insertsession': ERROR:  "
         "permission denied for table session", "httpd's user may not do all that it must with the table"),
        ("sqlite", "AH00629: Can't connect to sqlite3: unable to open database file", "httpd cannot write to SQLite's file"),
        ("sqlite", "AH00632: failed to prepare SQL statements: attempt to write a readonly database",
         "httpd cannot write to SQLite's file"),
    ],
)
def test_a_database_that_does_not_work_is_said_with_what_to_do(driver: str, said: str, remedy: str) -> None:
    log = "[Mon Nov 23 07:40:50.1 2026] [dbd:error] [pid 1:tid 2] (20014)Internal error (x): [client 127.0.0.1:5] %s\n" % said
    (found,) = store_trial(TrialNode(rows=("",), log=log), driver)
    assert found.startswith(remedy)
    assert ". httpd says: AH0" in found and "\\n" not in found and "[client" not in found


def test_a_database_without_its_driver_is_said_with_the_package() -> None:
    said = "AH00526: Syntax error on line 2 of %s/store.conf:\nCan't load driver file apr_dbd_pgsql.so" % trial.DIRECTORY
    (found,) = store_trial(TrialNode(configtest=said), "postgresql")
    assert found.startswith("httpd lacks the driver for the database: install libaprutil1-dbd-pgsql. ")
    assert "Can't load driver file apr_dbd_pgsql.so" in found


def test_what_the_log_says_of_the_probe_location_is_no_error() -> None:
    log = "[x] [authz_core:error] [pid 1] [client 127.0.0.1:5] AH01630: client denied by server configuration: /app\n"
    (found,) = store_trial(TrialNode(rows=(ROW, OTHER_ROW), log=log), "postgresql")
    assert found.endswith("may its user SELECT from the table?")
