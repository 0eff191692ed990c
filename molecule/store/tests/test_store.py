# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of sessions in a database, once with PostgreSQL and once with MariaDB, both over TLS."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import journey
from tests import store_journey as store
from tests.ring_journey import Operator
from tests.store_journey import FLEET, User, busy
from tests.troubles import TROUBLES

MAX_AGE = 15
SCOPES = [{**journey.APP, "store": "dbd"}]
SHORT = [{**journey.APP, "store": "dbd", "max_age": MAX_AGE, "update_interval": 1}]


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def driver(request):
    """A database that is empty; the fleet is set up with it by the first tests."""
    for node in FLEET:
        journey.on(node, "bash -s", stdin=(journey.ROOT / "molecule" / "default" / "reset.sh").read_text())
    return request.param


def extra(driver, **differences):
    given = {"session_store": store.settings(driver), "session_store_admin": store.administrator(driver),
             "session_config_scopes": SCOPES}
    return {**given, **differences}


def run(name, driver, *words, **differences):
    return journey.playbook(name, *words, extra=extra(driver, **differences))


def did(name, driver, *words, **differences):
    done = run(name, driver, *words, **differences)
    assert done.status == 0, done.output
    return done


def flat(run):
    return " ".join(run.output.replace("\\n", " ").split())


def connections_without_tls(driver):
    if driver == "postgresql":
        return store.sql(driver, "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                                 "WHERE usename = 'httpd' AND NOT ssl;")
    return store.sql(driver, "SELECT count(*) FROM mysql.user WHERE user = 'httpd' AND ssl_type != 'ANY';")


def rows(driver, where="1 = 1"):
    return int(store.sql(driver, "SELECT count(*) FROM session WHERE %s;" % where))


# Set up


def test_sql_for_the_owner_is_printed_and_nothing_is_changed(driver):
    done = did("store", driver, session_store_print=True, session_store_admin=None)
    assert "CREATE TABLE" in done.output and "GRANT" in done.output and done.changed == 0
    assert store.passwords()["httpd"] not in done.output


def test_database_is_set_up_once(driver):
    done = did("store", driver)
    assert done.changed > 0
    assert did("store", driver).changed == 0
    assert did("store", driver, "--check").changed == 0
    privileges = {
        "postgresql": "SELECT string_agg(privilege_type, ',' ORDER BY privilege_type) FROM information_schema.role_table_grants "
                      "WHERE grantee = 'httpd';",
        "mysql": "SELECT group_concat(privilege_type ORDER BY privilege_type) FROM (SELECT grantee, privilege_type FROM "
                 "information_schema.table_privileges UNION ALL SELECT grantee, privilege_type FROM "
                 "information_schema.schema_privileges) held WHERE grantee LIKE '%httpd%';",
    }
    assert store.sql(driver, privileges[driver]) == "DELETE,INSERT,SELECT,UPDATE"


def test_sqlite_is_refused_for_a_fleet(driver):
    done = run("deploy", driver, session_store={"driver": "sqlite", "file": "/var/lib/session/store.db"})
    assert done.status != 0 and done.changed == 0 and "sqlite" in flat(done).lower(), done.output


def test_fleet_is_deployed_and_the_second_run_changes_nothing(driver):
    done = did("deploy", driver)
    assert done.changed > 0
    again = did("deploy", driver)
    assert again.changed == 0, again.output
    store.give_pages()
    assert User().alive()
    assert connections_without_tls(driver) == "0"
    assert "All 3 nodes agree" in flat(did("check", driver))


# Sessions


@pytest.mark.parametrize("size", [200, 65536])
def test_session_survives_every_node(driver, size):
    user = User("n2", size)
    assert user.alive() and user.alive()
    assert len(user.cookie) < 100, "the session is not in the cookie"
    user.login("n3", size)
    assert user.alive()


def test_both_families_share_the_database(driver):
    """n1, and rh1: Debian's httpd in the layout of Red Hat's packages, without RPM and SELinux."""
    both = ("n1", "rh1")
    mixed = {"session_fleet_group": "mixed_fleet"}
    journey.on("rh1", "bash -s", stdin=(journey.ROOT / "molecule" / "default" / "reset.sh").read_text())
    did("deploy", driver, **mixed)
    again = did("deploy", driver, **mixed)
    assert again.changed == 0, again.output
    store.give_pages(both)
    for maker in both:
        user = User(maker, 65536)
        assert user.alive(*both)
    assert connections_without_tls(driver) == "0"
    assert "All 2 nodes agree" in flat(did("check", driver, **mixed))
    refused = run("deploy", driver, session_store=store.settings(driver, password="not-the-password-of-httpd"), **mixed)
    assert refused.status != 0 and "password" in flat(refused) and user.alive(*both), refused.output


def test_expired_rows_are_deleted_by_a_node_of_the_other_family(driver):
    alone = {"session_fleet_group": "redhat_alone"}
    fill(driver, 10, 0)
    did("deploy", driver, **alone)
    journey.on("rh1", "systemctl start mod-session-store.service")
    assert rows(driver, "id LIKE 'old-%'") == 0
    assert "10 expired rows deleted" in journey.on("rh1", "journalctl -o cat -u mod-session-store.service")
    did("deploy", driver, session_store_housekeeping=False, **alone)
    did("deploy", driver)


def test_payload_is_encrypted_in_the_row(driver):
    before = rows(driver, "value LIKE '%data=%'")
    User()
    assert rows(driver, "value LIKE '%data=%'") == before == 0


def test_two_requests_of_one_browser_at_once(driver):
    users = [User(node, 5000) for node in FLEET for _each in range(4)]
    with ThreadPoolExecutor(2) as pool:
        for _round in range(10):
            for user in users:
                together = list(pool.map(user.visit, ("n1", "n2")))
                assert together == [(200, user.wanted)] * 2
    assert all(user.alive() for user in users)


# The database goes


def test_restart_of_the_database(driver):
    users = [User(node) for node in FLEET]
    with busy(users) as wrong:
        time.sleep(1)
        store.service(driver, "restart")
        back = time.time()
        time.sleep(5)
    late = [one for one in wrong if float(one.split()[0]) > back + 3]
    assert not late, wrong
    assert all(user.alive() for user in users), "what was in the database is still there"


def diagnosed(driver, folder):
    """What a diagnosis names, the likeliest root first."""
    done = run("diagnose", driver, session_diagnose_report_dir=str(folder))
    text = (folder / "diagnosis.json").read_text()
    assert not any(password in text + done.output for password in store.passwords().values())
    return json.loads(text)["causes"]


def test_diagnosis_of_a_healthy_fleet_finds_nothing_but_what_was(driver, tmp_path):
    """The restart above stands in the error logs."""
    assert {cause["code"] for cause in diagnosed(driver, tmp_path)} <= {"store_failed", "sessions_lost"}


def test_outage_is_named_and_ends_by_itself(driver, tmp_path):
    user = User()
    store.service(driver, "stop")
    try:
        before = dict(vars(user))
        seen = [User.visit(user, node) for node in FLEET]
        assert [status for status, _text in seen] == [200] * 3 and user.cookie == before["cookie"], "the session alone is out"
        vars(user).update(before)
        done = run("check", driver)
        assert done.status != 0 and "database" in flat(done), done.output
        first = diagnosed(driver, tmp_path)[0]
        row = next(row for row in TROUBLES if row.id == "database_out")
        assert (first["code"], first["nodes"]) == (row.code, list(row.nodes)), first
    finally:
        store.service(driver, "start")
    deadline = time.time() + 10
    while not user.alive() and time.time() < deadline:
        vars(user).update(before)
        time.sleep(0.2)
    assert user.alive(), "no reload of httpd is needed"
    did("check", driver)


# Refused before anything is changed


@pytest.mark.parametrize(("differences", "said"), [
    ({"password": "not-the-password-of-httpd"}, "password"), ({"table": "elsewhere"}, "elsewhere"),
    ({"host": "n4"}, "n4"), ({"database": "nowhere"}, "nowhere"),
], ids=["wrong password", "table missing", "no database there", "database missing"])
def test_wrong_settings_are_refused_while_the_old_state_serves(driver, differences, said):
    users = [User(node) for node in FLEET]
    with busy(users) as wrong:
        done = run("deploy", driver, session_store=store.settings(driver, **differences))
    assert not wrong
    assert done.status != 0 and said in flat(done), done.output
    assert done.changed == 0, done.output
    assert did("deploy", driver).changed == 0
    assert all(user.alive() for user in users)


# Keys change


def test_rotation_loses_no_session_in_the_database(driver):
    for one in journey.STATE.glob("ring-store.vault*"):
        one.unlink()
    operator = Operator({"file": str(journey.STATE / "ring-store.vault")}, session_config_scopes=SHORT, session_ring_drift=1,
                        session_ring_drain=1, session_store=store.settings(driver))
    operator.did("ring", session_ring_verb="init", session_keys_passphrases=journey.fleet_keys())
    operator.did("deploy")
    old = operator.every_key()
    users = [User(node, size) for node in FLEET for size in (200, 20000)]
    with busy(users) as wrong:
        operator.did("rotate", session_rotate_now=True)
        assert operator.states == ["primary", "secondary"]
        for _hour in range(30):
            if operator.states == ["primary"]:
                break
            time.sleep(1)
            operator.did("rotate")
    assert not wrong
    assert operator.states == ["primary"] and not set(old) & set(operator.every_key())
    assert all(user.alive() for user in users)
    # Back to the list of the inventory, with sessions that last: for the tests below.
    did("deploy", driver, session_keys_allow_loss=True)


# Housekeeping


def fill(driver, expired, live):
    now = int(time.time())
    values = "repeat('x', 300), %d000000 + %s"
    made = {
        "postgresql": "INSERT INTO session (id, value, expiry) SELECT '%s-' || n, " + values + " FROM generate_series(1, %d) n;",
        "mysql": "INSERT INTO session (id, value, expiry) SELECT concat('%s-', seq), " + values + " FROM seq_1_to_%d;",
    }[driver]
    number = {"postgresql": "n", "mysql": "seq"}[driver]
    store.sql(driver, made % ("old", now - 300000, number, expired))
    store.sql(driver, made % ("live", now + 3600, number, live))


def test_timer_is_on_one_node(driver):
    timers = {node: journey.on(node, "systemctl is-active mod-session-store.timer", check=False) for node in FLEET}
    assert timers == {"n1": "active", "n2": "inactive", "n3": "inactive"}
    secret = store.passwords()["httpd"]
    found = journey.on("n1", "grep -rlF -f - /etc /run /var/log /usr/local 2>/dev/null", check=False, stdin=secret + "\n").split()
    assert len(found) >= 2, "httpd's file, and that of the database's client"
    for path in found:
        assert journey.on("n1", "stat -c %a " + path) == "600", path


def test_expired_rows_go_and_only_they(driver):
    """100,000 expired and 100,000 live rows, and two that delete at once."""
    store.sql(driver, "DELETE FROM session;")
    fill(driver, 100000, 100000)
    users = [User(node) for node in FLEET]
    begin = journey.on("n1", "date +%s")
    with busy(users, pause=0.05) as wrong:
        with ThreadPoolExecutor(2) as pool:
            said = pool.submit(journey.on, "n1", "/etc/mod-session-store/delete-expired")
            journey.on("n1", "systemctl start mod-session-store.service")
            by_hand = said.result()
    assert not wrong
    assert rows(driver, "id LIKE 'old-%'") == 0 and rows(driver, "id LIKE 'live-%'") == 100000
    journal = journey.on("n1", "journalctl -o cat -u mod-session-store.service --since @%s" % begin)
    counts = [int(line.split()[0]) for line in (journal + "\n" + by_hand).splitlines() if "expired rows deleted" in line]
    assert len(counts) == 2 and sum(counts) == 100000, counts
    assert all(user.alive() for user in users)
    journey.on("n1", "systemctl start mod-session-store.service")
    assert "\n0 expired rows deleted" in journey.on("n1", "journalctl -o cat -u mod-session-store.service --since @%s" % begin)


def test_housekeeping_says_when_the_database_is_out(driver):
    store.service(driver, "stop")
    try:
        journey.on("n1", "systemctl start mod-session-store.service", check=False)
        assert journey.on("n1", "systemctl is-failed mod-session-store.service", check=False) == "failed"
    finally:
        store.service(driver, "start")
    journey.on("n1", "systemctl start mod-session-store.service")


def test_housekeeping_is_removed_where_it_is_not_wanted(driver):
    assert did("deploy", driver, session_store_housekeeping=False).changed > 0
    left = journey.on("n1", "ls -d /etc/mod-session-store* /etc/systemd/system/mod-session-store*", check=False)
    assert left.count("No such file") == 2
