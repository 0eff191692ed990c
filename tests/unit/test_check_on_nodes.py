# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check that the nodes send themselves gives the same verdict, and options are refused in clear words."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import sys
import threading
import time
import types
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_fleet as fleet
from small_fleet import KEYS, OLD_KEY, Member, databases, stored

from plugins.module_utils import canary, check_options, clock, http_client
from plugins.module_utils.clock import Interval
from plugins.module_utils.evidence import Fault
from plugins.module_utils.probe import identity
from plugins.module_utils.question import Key, Question
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils import node_side
from plugins.plugin_utils.canary_walk import Walk
from plugins.plugin_utils.node_steps import read
from plugins.plugin_utils.prober import Node, Plan, Prober

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def module():
    """The module as it runs on a node; the collection's name leads to this checkout."""
    names = ["ansible_collections.httpd_fleet.mod_session.plugins.module_utils".rsplit(".", left)[0] for left in range(6)]
    for name in names:
        sys.modules.setdefault(name, types.ModuleType(name)).__path__ = []
    sys.modules[names[0] + ".check_options"] = check_options
    sys.modules[names[0] + ".http_client"] = http_client
    spec = importlib.util.spec_from_file_location("session_check", ROOT / "plugins" / "modules" / "session_check.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded
    for name in [*names, names[0] + ".check_options", names[0] + ".http_client"]:
        sys.modules.pop(name, None)


def through_nodes(module, members, port, option=None, scope=None, **plan):
    """A whole check by steps, each through JSON as between controller and node; ``option``: its canary, ``scope``: what
    differs from the common one.

    Returns views, question and, where one is wanted, the canaries after it.
    """
    scopes = parse_scopes([{**fleet.SCOPE, "port": port, **(scope or {})}])
    names = [member.address for member in members]
    asked, carried = {}, {}
    given = canary.read(option)

    def walk(prober=None):
        """A new one in each step, as steps share no memory."""
        if given is None:
            return None
        found = Walk(given, scopes, KEYS, names)
        if prober is not None:
            node_side.make_canaries(prober, found, asked)
        return found

    def send(prober, name, shots):
        requests = json.loads(json.dumps(node_side.requests(prober, Node(name, name), shots, "")))
        assert not any(key in json.dumps(requests) for key in KEYS)
        pages = [row["text"].split()[1] for row in requests["requests"] if "/.mod-session-probe" in row["text"]]
        assert len(set(pages)) == len(pages), "an address that asks for one page twice within a second may be shut out"
        answers = module.ask_all(requests, 5, module.SteadyClock())
        registered = [{**shot, "answer": answer} for shot, answer in zip(shots, answers)]
        step = read(json.loads(json.dumps({"shots": registered})), [scope.name for scope in scopes], len(KEYS))
        assert step.fault is None
        return step.shots

    for name in names:
        prober = Prober(Plan(scopes, KEYS, **plan))
        asked[name] = send(prober, name, node_side.key_shots(prober, walk()))
    made, rows = {}, {}
    for name in names:
        prober = Prober(Plan(scopes, KEYS, **plan))
        for scope, session in node_side.sessions(prober, name, asked[name]).items():
            made.setdefault(scope, {})[name] = session
        for scope, row in node_side.rows(prober, name, asked[name]).items():
            rows.setdefault(scope, {})[name] = row
    for name in names:
        prober = Prober(Plan(scopes, KEYS, **plan))
        shots, here = node_side.carry_shots(prober, name, names, made), walk(prober)
        if here is not None:
            shots += node_side.canary_shots(prober, here)
        shots += node_side.row_shots(prober, name, rows, here)
        carried[name] = send(prober, name, shots)

    async def views():
        prober = Prober(Plan(scopes, KEYS, **plan))
        here, found = walk(prober), []
        for name in names:
            shots, near = [*asked[name], *carried[name]], Interval(-1000, 1000)
            found += await node_side.views(prober, Node(name, name), shots, near, None, here)
        return found, here and here.end(found, int(time.time()), None)

    keys = (Key("", "primary"), Key("", "secondary"))
    found, after = asyncio.run(views())
    return found, Question(tuple(names), scopes, keys, clock.limits(3600), canary=after and tuple(after.values())), after


@pytest.mark.skipif(bool(fleet.NO_HTTPD), reason=fleet.NO_HTTPD or "httpd is here")
def test_nodes_that_ask_themselves(module):
    elsewhere = (("mod-session-probe", "elsewhere"),)
    members = [
        Member("127.0.2.1"),
        Member("127.0.2.2"),
        Member("127.0.2.3", keys=f"{KEYS[1]}\n{OLD_KEY}\n"),
        Member("127.0.2.4", replace=elsewhere),
        Member("127.0.2.5", keys="# nothing\n"),
    ]
    port = fleet.free_port()
    with fleet.running(members, port):
        views, question, _none = through_nodes(module, [*members, Member("127.0.2.9")], port, paths={"app": ("/app/x",)})
        matrix, _question, _none = through_nodes(module, members[:3], port, carry="matrix")
    verdict = judge(question, views)
    assert {(item.node, item.code) for item in verdict.findings} == {
        ("127.0.2.3", "stale_ring"),
        ("127.0.2.4", "probe_missing"),
        ("127.0.2.5", "plain_text"),
        ("127.0.2.9", "refused"),
    }
    lived = {(carried.source, view.node): carried.lived for view in views for carried in view.carried}
    assert lived == {("127.0.2.2", "127.0.2.3"): False, ("127.0.2.1", "127.0.2.2"): True, ("127.0.2.3", "127.0.2.1"): True}
    pairs = {(carried.source, view.node): carried.lived for view in matrix for carried in view.carried}
    assert len(pairs) == 6 and {pair for pair, lives in pairs.items() if not lives} == {
        ("127.0.2.1", "127.0.2.3"), ("127.0.2.2", "127.0.2.3"),
    }  # fmt: skip
    # The way to the node adds its uncertainty to that of the answer.
    assert all(0 in offset and offset.width >= 2000 for offset in verdict.clocks.offsets.values())


@pytest.mark.skipif(bool(fleet.NO_HTTPD), reason=fleet.NO_HTTPD or "httpd is here")
def test_a_canary_that_the_nodes_show_themselves(module):
    members = [Member("127.0.2.1"), Member("127.0.2.2"), Member("127.0.2.3", keys=f"{OLD_KEY}\n")]
    absent, port = Member("127.0.2.9"), fleet.free_port()
    option, carriers = {"make": True}, []
    with fleet.running(members, port):
        for _check in range(3):
            views, question, after = through_nodes(module, [absent, *members], port, option)
            option = json.loads(json.dumps(canary.write(after)))
            (phase,) = after["app"].phases[-1:]
            carriers.append(phase.tallies["busy"].node)
            for user in canary.USERS:
                assert (phase.tallies[user].intact, phase.tallies[user].names, phase.nodes) == (2, ("127.0.2.3",), 4)
            assert {(item.node, item.code) for item in judge(question, views).findings} == {
                ("127.0.2.3", "wrong_key"), ("127.0.2.3", "canary_lost"), ("127.0.2.9", "refused"),
            }  # fmt: skip
    assert after["app"].maker == "127.0.2.1" and carriers == ["127.0.2.1", "127.0.2.2", "127.0.2.1"]


@pytest.mark.skipif(bool(fleet.NO_HTTPD) or fleet.SQLITE is None, reason=fleet.NO_HTTPD or "no driver for SQLite")
@pytest.mark.parametrize("carry", ["ring", "matrix"])
def test_rows_that_the_nodes_show_themselves(module, carry):
    members = [
        stored("127.0.2.1", "another"),
        *(stored(f"127.0.2.{last}") for last in (2, 3, 4)),
        stored("127.0.2.5", "no-table"),
        stored("127.0.2.6", keys=f"{OLD_KEY}\n"),
        Member("127.0.2.7"),
    ]
    port = fleet.free_port()
    with databases(members, port, "shared", "another"):
        views, question, first = through_nodes(module, members, port, {"make": True}, {"store": "dbd"}, carry=carry)
        option = json.loads(json.dumps(canary.write(first)))
        views, question, after = through_nodes(module, members, port, option, {"store": "dbd"}, carry=carry)
        down, asked, _after = through_nodes(module, members[4:5], port, None, {"store": "dbd"})
    verdict = judge(question, views)
    assert {(item.node, item.code) for item in verdict.findings} == {
        ("127.0.2.1", "store_not_shared"),
        ("127.0.2.5", "store_unreachable"),
        ("127.0.2.6", "wrong_key"),
        ("127.0.2.6", "canary_lost"),
        ("127.0.2.1", "canary_lost"),
        ("127.0.2.7", "store_in_cookies"),
    }
    pairs = {(row.source, view.node): row.lived for view in views for row in view.store.rows}
    alike = ("127.0.2.2", "127.0.2.3", "127.0.2.4")
    sources = ("127.0.2.1", *alike) if carry == "matrix" else ("127.0.2.1", "127.0.2.2")
    assert pairs == {(source, node): (source in alike) is (node in alike) for source in sources for node in ("127.0.2.1", *alike)}
    assert after["app"].phases[-1].tallies["busy"].intact == 6
    # The row that goes on is one that most nodes find.
    assert after["app"].held["row"].value == first["app"].held["row"].value and first["app"].held["row"].node == "127.0.2.2"
    assert "row" not in after["app"].phases[0].tallies
    assert (after["app"].phases[1].tallies["row"].intact, after["app"].phases[1].tallies["row"].names) == (3, ("127.0.2.1",))
    assert {item.code for item in judge(asked, down).findings} == {"store_unreachable"}


def test_a_node_whose_database_hangs_answers_all_the_rest():
    scopes = parse_scopes([{"name": "app", "path": "/app", "store": "dbd"}, {"name": "shop", "path": "/shop", "store": "dbd"}])
    prober = Prober(Plan(scopes, KEYS))
    shots = node_side.key_shots(prober, Walk({}, scopes, KEYS, ["a"]))
    purposes = [(shot["scope"], shot["purpose"]) for shot in shots]
    assert purposes == [*([(name, what) for name in ("app", "shop") for what in ("key", "key", "make")]),
                        ("app", "store"), ("shop", "store")]  # fmt: skip
    good = {"status": 403, "headers": [["mod-session-probe", identity("a")]], "sent": 1, "received": 2}
    hangs = {"fault": "timeout", "detail": "no answer in 5 s"}
    asked = node_side.asked(prober, "a", [{**shot, "answer": hangs if shot["purpose"] == "store" else good} for shot in shots])
    assert [(here.fault, here.store.fault) for here in asked.values()] == [(None, Fault("timeout", "no answer in 5 s"))] * 2
    asked = node_side.asked(prober, "a", [{**shot, "answer": hangs} for shot in shots])
    assert [(here.fault.kind, here.store) for here in asked.values()] == [("timeout", None)] * 2


def test_a_node_that_was_not_asked():
    scopes = parse_scopes([fleet.SCOPE])
    prober = Prober(Plan(scopes, KEYS))
    (view,) = asyncio.run(node_side.views(prober, Node("a", "a"), [], None, Fault("not_asked", "no ssh")))
    assert view.fault == Fault("not_asked", "no ssh") and not view.answered


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], None),
        ([[0, 1000, 200]], Interval(800, 1001)),
        ([[0, 1000, 200], [500, 1510, 520], [900, 1990, 1100]], Interval(990, 1001)),
        ([[0, 1000, 10], [500, 500, 510]], None),  # the clock was set in between
    ],
)
def test_bracket(samples, expected):
    assert node_side.bracket(samples) == expected


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "closed"),
        (b"SSH-2.0-x\r\n", "garbage"),
        (b"HTTP/1.1 abc\r\n\r\n", "garbage"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70000, "too_large"),
        (None, "timeout"),
    ],
)
def test_node_side_faults(module, answer, kind):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve():
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                if answer is None:
                    done.wait(10)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        request = {
            "scope": "app", "purpose": "key", "address": "127.0.0.1", "port": server.getsockname()[1], "tls": False,
            "host": "x", "proxy_protocol": 0, "text": "GET / HTTP/1.1\r\n\r\n",
        }  # fmt: skip
        answers = module.ask_all({"requests": [request, request], "authority": "", "identities": {}}, 0.5, module.SteadyClock())
        done.set()
        thread.join()
    assert [item["fault"] for item in answers] == [kind, kind]


SCOPES = parse_scopes([{"name": "app", "path": "/app"}, {"name": "shop", "path": "/app/shop", "cookie_name": "s"}])


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], {}),
        (["/app/x", "/app/shop/y"], {"app": ("/app/x",), "shop": ("/app/shop/y",)}),
        (["/app"], {"app": ("/app",)}),
        ([{"scope": "app", "path": "/elsewhere"}], {"app": ("/elsewhere",)}),
    ],
)
def test_paths(paths, expected):
    assert check_options.paths_by_scope(paths, SCOPES) == expected


@pytest.mark.parametrize(
    "paths", [["/other"], ["/application"], [{"scope": "none", "path": "/app"}], [{"scope": "app"}], [7], ["/app/a b"],
              ["/app/\r\nX: y"], ["/app/\x7f"]],
)  # fmt: skip
def test_paths_refused(paths):
    with pytest.raises(check_options.OptionError, match="paths"):
        check_options.paths_by_scope(paths, SCOPES)


def test_paths_of_a_scope_in_a_database_are_refused():
    scopes = parse_scopes([{"name": "app", "path": "/app", "store": "dbd"}, {"name": "shop", "path": "/shop"}])
    assert check_options.paths_by_scope(["/shop/x"], scopes) == {"shop": ("/shop/x",)}
    with pytest.raises(check_options.OptionError, match="paths: '/app/x' is in the scope app, whose sessions are in a database"):
        check_options.paths_by_scope(["/app/x"], scopes)


@pytest.mark.parametrize(("payload", "size"), [(None, 0), ("", 0), (7, 7), ("7", 7), ("a=b&c=d", 7), ("a=ä", 4)])
def test_payload(payload, size):
    assert check_options.payload_bytes(payload) == size


@pytest.mark.parametrize("payload", [-1, True, 1.5, [], {}])
def test_payload_refused(payload):
    with pytest.raises(check_options.OptionError, match="payload"):
        check_options.payload_bytes(payload)


@pytest.mark.parametrize(
    ("max_age", "warn", "fail", "expected"),
    [
        (3600, None, None, (1000000, 5000000)),
        (10, None, None, (100000, 100000)),
        (3600, 0.5, None, (500000, 5000000)),
        (3600, 7, 7, (7000000, 7000000)),
        (10, 0.1, None, (100000, 100000)),
    ],
)
def test_limits_of_clocks(max_age, warn, fail, expected):
    limits = check_options.drift_limits(max_age, warn, fail)
    assert (limits.warn, limits.fail) == expected


@pytest.mark.parametrize(("max_age", "warn", "fail"), [(3600, 6, None), (3600, 3, 2), (10, 0.2, None)])
def test_a_warning_that_could_never_come_is_refused(max_age, warn, fail):
    with pytest.raises(check_options.OptionError, match=r"session_check_warn_drift.*at most what fails"):
        check_options.drift_limits(max_age, warn, fail)
