# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A canary on its way through a rotation, on real servers: intact where the keys go the right way, lost where they do not."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import small_fleet as fleet
from small_fleet import KEYS, OTHER_KEY, Member

from plugins.module_utils import canary, clock, store
from plugins.module_utils.cookie import format_payload, parse_payload, seal, unseal
from plugins.module_utils.question import Key, Question
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.verdict import judge
from plugins.plugin_utils.canary_walk import Walk
from plugins.plugin_utils.prober import Plan, Prober

pytestmark = pytest.mark.skipif(bool(fleet.NO_HTTPD), reason=fleet.NO_HTTPD or "httpd is here")

A, B = KEYS
ADDRESSES = ("127.0.3.1", "127.0.3.2", "127.0.3.3")
MAKE = {"make": True}
HOUR = 3600 * clock.SECOND


def check(option, keys, lists=None, revoked=frozenset(), down=(), more="", **scope):
    """One check of servers that have these keys, each its own if it is in ``lists``, by number.

    Returns the phase, the findings, the option for the next check, and the canary.
    """
    of_each = [(lists or {}).get(number, keys) for number in range(len(ADDRESSES))]
    members = [Member(address, scope, "\n".join(mine) + "\n", more=more) for address, mine in zip(ADDRESSES, of_each)]
    port = fleet.free_port()
    scopes = parse_scopes([{**fleet.SCOPE, **scope, "port": port}])
    with fleet.running([member for number, member in enumerate(members) if number not in down], port):
        walk = Walk(canary.read(option), scopes, keys, ADDRESSES, revoked)
        plan = Plan(scopes, tuple(keys), timeout=5, concurrency=1 if more else 64)
        views = Prober(plan).run([member.node for member in members], walk)
    after = walk.end(views, int(time.time()), None)
    states = ["revoked" if index in revoked else "secondary" if index else "primary" for index in range(len(keys))]
    known = tuple(Key("", state) for state in states)
    found = judge(Question(ADDRESSES, scopes, known, clock.limits(3600), canary=tuple(after.values())), views).findings
    phase = after["app"].phases[-1] if "app" in after else None
    codes = {(item.code, item.node) for item in found}
    return phase, codes, json.loads(json.dumps(canary.write(after))), after.get("app")


def shares(phase):
    return tuple((phase.tallies[user].intact, phase.tallies[user].lost, phase.tallies[user].ended) for user in canary.USERS)


ALL, NONE = (3, 0, 0), (0, 3, 0)


def old(option, key=A, expiry=None):
    """The same canary, as it would be after an hour."""
    expiry = expiry or clock.SECOND
    secret = option["scopes"]["app"]["secret"]
    value = seal(format_payload({canary.NAME: secret}, expiry), key, "aes256", os.urandom(16), os.urandom(16))
    return value, expiry


def test_a_rotation_by_the_book():
    option, carriers, seals = MAKE, [], []
    for step, keys in enumerate([(A,), (A, B), (B, A), (B, A)]):
        phase, found, option, one = check(option, keys)
        assert found == set() and shares(phase) == (ALL, ALL) and phase.nodes == 3
        assert phase.maker == ("" if step else ADDRESSES[0])
        carriers.append(phase.tallies[canary.BUSY].node)
        assert phase.tallies[canary.IDLE].node == ADDRESSES[0]
        seals.append([unseal(one.held[user].value, (A, B), "aes256").index for user in canary.USERS])
        assert all(parse_payload(unseal(held.value, (A, B), "aes256").payload).pairs == {canary.NAME: one.secret}
                   for held in one.held.values())  # fmt: skip
    assert carriers == [ADDRESSES[0], ADDRESSES[1], ADDRESSES[2], ADDRESSES[0]]
    # Who was away still has the cookie under the old key, who was there has one under the new.
    assert seals == [[0, 0], [0, 0], [0, 1], [0, 1]]
    # A max age later whoever was away is logged out, which is no loss, and the old key can go.
    value, expiry = old(option)
    option["scopes"]["app"]["held"]["idle"][0::3] = [value, expiry]
    phase, found, option, one = check(option, (B, A))
    assert found == {("canary_expired", "")} and shares(phase) == ((0, 0, 3), ALL)
    assert one.held[canary.IDLE] == one.held[canary.BUSY]
    phase, found, option, one = check(option, (B,))
    assert found == set() and shares(phase) == (ALL, ALL) and len(one.phases) == 6


def test_a_key_that_is_removed_too_early():
    _phase, _found, option, _one = check(MAKE, (A,))
    phase, found, option, _one = check(option, (B,))
    assert found == {("canary_lost", address) for address in ADDRESSES} and shares(phase) == (NONE, NONE)
    # It was no fault of the check: with the key back the session lives.
    assert shares(check(option, (B, A))[0]) == (ALL, ALL)


def test_a_node_with_another_key_is_named():
    _phase, _found, option, _one = check(MAKE, (A, B))
    phase, found, _option, one = check(option, (A, B), {1: (OTHER_KEY,)})
    assert found == {("canary_lost", ADDRESSES[1]), ("wrong_key", ADDRESSES[1])}
    assert shares(phase) == ((2, 1, 0), (2, 1, 0)) and phase.tallies[canary.IDLE].names == (ADDRESSES[1],)
    assert one.held[canary.BUSY].node == ADDRESSES[2]


def test_a_node_that_promotes_too_early_takes_sessions_away():
    """One node encrypts with a key that another has not yet: the visitor who goes from one to the other loses."""
    _phase, _found, option, _one = check(MAKE, (A, B), {0: (A,), 1: (B, A), 2: (A,)})
    assert option["scopes"]["app"]["held"]["busy"][1] == ADDRESSES[1]
    phase, found, _option, _one = check(option, (A, B), {0: (A,), 1: (B, A), 2: (A,)})
    assert shares(phase) == (ALL, (1, 2, 0))
    assert {node for code, node in found if code == "canary_lost"} == {ADDRESSES[0], ADDRESSES[2]}


def test_a_silent_node_kept_nothing():
    _phase, _found, option, _one = check(MAKE, (A,))
    phase, found, _option, _one = check(option, (A,), down={2})
    assert shares(phase) == ((2, 0, 0), (2, 0, 0)) and phase.nodes == 3
    assert found == {("refused", ADDRESSES[2])}


def test_another_node_makes_it_where_the_first_cannot():
    phase, found, _option, _one = check(MAKE, (A,), {1: (OTHER_KEY,)}, down={0})
    assert phase.maker == ADDRESSES[2] and shares(phase) == ((1, 1, 0), (1, 1, 0))
    assert {code for code, _node in found} == {"refused", "wrong_key", "canary_lost"}


def test_a_fleet_that_is_down_makes_none():
    phase, found, option, _one = check(MAKE, (A,), down={0, 1, 2})
    assert phase.tallies == {} and ("canary_unknown", "") in found
    phase, found, _option, _one = check(option, (A,))
    assert phase.maker == ADDRESSES[0] and shares(phase) == (ALL, ALL) and found == set()


def test_it_expires_and_another_is_made():
    _phase, _found, option, before = check(MAKE, (A,))
    value, expiry = old(option)
    for user in canary.USERS:
        option["scopes"]["app"]["held"][user][0::3] = [value, expiry]
    phase, found, option, one = check(option, (A,))
    assert found == {("canary_expired", "")} and shares(phase) == ((0, 0, 3), (0, 0, 3)) and not one.held
    phase, found, option, one = check(option, (A,))
    assert found == set() and phase.maker == ADDRESSES[0] and shares(phase) == (ALL, ALL)
    assert one.secret != before.secret and len(one.phases) == 3


def test_a_revoked_key_ends_it_by_design():
    _phase, _found, option, _one = check(MAKE, (A,))
    phase, found, option, one = check(option, (B, A), dict.fromkeys(range(3), (B,)), revoked=frozenset({1}))
    assert found == {("canary_revoked", "")} and shares(phase) == ((0, 0, 3), (0, 0, 3)) and not one.held
    _phase, found, option, _one = check(option, (B, A), {0: (B, A), 1: (B,), 2: (B,)}, revoked=frozenset({1}))
    assert found == {("revoked_key", ADDRESSES[0])}


@pytest.mark.parametrize("scope", [{"update_interval": 600}, {"cipher": "aes128"}, {"cipher": "3des192", "allow_insecure": True}])
def test_in_scopes_of_all_kinds(scope):
    option = MAKE
    for keys in [(A,), (A, B), (B, A)]:
        phase, found, option, _one = check(option, keys, **scope)
        assert found == set() and shares(phase) == (ALL, ALL)


# A row in a database


@contextlib.contextmanager
def journey():
    """Checks of servers that have one database in common; ``keys`` as in :func:`check`."""
    with tempfile.TemporaryDirectory() as folder:
        made = store.parse_store({"driver": "sqlite", "file": f"{folder}/sessions.db"})
        with contextlib.closing(sqlite3.connect(made.file)) as rows, rows:
            for statement in store.schema(made):
                rows.execute(statement)
        Path(folder).chmod(0o777)
        Path(made.file).chmod(0o666)

        def checked(option, keys, lists=None, **more):
            phase, found, option, one = check(option, keys, lists, more=store.render_store(made), store="dbd", **more)
            row = phase.tallies.get(canary.ROW)
            return row and (row.intact, row.lost, row.ended), found, option, one

        yield checked, made.file


needs_sqlite = pytest.mark.skipif(fleet.SQLITE is None, reason="apr-util's driver for SQLite is not installed")


@needs_sqlite
def test_a_row_goes_through_a_rotation():
    with journey() as (checked, _file):
        row, found, option, one = checked(MAKE, (A,))
        assert row is None and found == set()
        names = {one.held[canary.ROW].value}
        for keys in [(A, B), (B, A), (B, A), (B,)]:
            row, found, option, one = checked(option, keys)
            # In the end the old key goes too early for the visitor who was away, but not for the row.
            assert row == ALL and bool(found) is (keys == (B,))
            names.add(one.held[canary.ROW].value)
        assert len(names) == 1
        assert [list(phase.tallies) for phase in one.phases] == [["idle", "busy"], *[["idle", "busy", "row"]] * 4]


@needs_sqlite
def test_a_row_is_lost_with_its_key_and_with_the_table():
    with journey() as (checked, file):
        _row, _found, option, _one = checked(MAKE, (A,))
        row, found, option, _one = checked(option, (B,))
        assert row == NONE and found == {("canary_lost", address) for address in ADDRESSES}
        row, found, option, _one = checked(option, (B, A))
        assert row == ALL and found == set()
        with contextlib.closing(sqlite3.connect(file)) as rows, rows:
            rows.execute("delete from session")
        row, found, option, _one = checked(option, (B, A))
        assert row == NONE and found == {("canary_lost", address) for address in ADDRESSES}
        with contextlib.closing(sqlite3.connect(file)) as rows, rows:
            rows.execute("alter table session rename to elsewhere")
        row, found, option, _one = checked(option, (B, A))
        assert row == (0, 0, 0) and found == {("store_down", "")}
        with contextlib.closing(sqlite3.connect(file)) as rows, rows:
            rows.execute("alter table elsewhere rename to session")
        # One that has ended by itself is no loss; the next check goes on with another.
        option["scopes"]["app"]["held"]["row"][3] = clock.SECOND
        row, found, option, _one = checked(option, (B, A))
        assert row == (0, 0, 3) and found == {("canary_expired", "")}
        assert checked(option, (B, A))[:2] == (ALL, set())


@needs_sqlite
def test_a_row_under_a_revoked_key_ends_by_design():
    with journey() as (checked, _file):
        _row, _found, option, _one = checked(MAKE, (A,))
        lists = dict.fromkeys(range(3), (B,))
        row, found, _option, one = checked(option, (B, A), lists, revoked=frozenset({1}))
        assert row == (0, 0, 3) and found == {("canary_revoked", "")} and list(one.held) == ["row"]
