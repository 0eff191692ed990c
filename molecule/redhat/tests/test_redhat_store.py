# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in a database on a node in Red Hat's layout: SQLite, which needs no server. Others are told of in molecule/store."""

from __future__ import annotations

import pytest

from plugins.module_utils.store import parse_store, schema
from tests import journey

NODE = "rh1"
FILE = "/var/lib/httpd/sessions.db"
STORE = {"driver": "sqlite", "file": FILE}
SCOPE = {**journey.APP, "store": "dbd"}
EXTRA = {"session_fleet_group": "redhat_alone", "session_config_scopes": [SCOPE], "session_store": STORE}
DRIVERS = "/usr/lib/*/apr-util-1"


def deploy(*words, **extra):
    return journey.playbook("deploy", *words, extra={**EXTRA, **extra})


def flat(done):
    return " ".join(done.output.replace("\\n", " ").split())


def stored(cookie=""):
    """The cookie that a session in the database has after a visit."""
    answer, _body = journey.get(NODE, journey.scope(**SCOPE).store_path, cookie)
    found = [value.split(";")[0] for name, value in answer.headers if name.lower() == "set-cookie"]
    return found[-1] if found else ""


@pytest.fixture(scope="module", autouse=True)
def _database():
    journey.on(NODE, "bash -s", stdin=(journey.ROOT / "molecule" / "default" / "reset.sh").read_text())
    journey.on(NODE, "install -d -o apache -g apache -m 0700 /var/lib/httpd && runuser -u apache -- sqlite3 " + FILE,
               stdin="".join(statement + ";\n" for statement in schema(parse_store(STORE))))
    yield
    journey.on(NODE, "systemctl disable -q --now mod-session-store.timer; rm -rf /etc/systemd/system/mod-session-store.* "
                     "/etc/mod-session-store")
    # The scope goes back to cookies, and the database's settings are not left.
    assert journey.playbook("deploy", "--limit", NODE, extra={"session_fleet_group": "mixed_fleet"}).status == 0
    assert journey.serves(NODE, journey.fleet_keys())
    journey.on(NODE, "rm -rf /var/lib/httpd")


def test_session_is_kept_in_the_database_and_the_second_run_changes_nothing():
    predicted = deploy("--check")
    assert predicted.status == 0 and not stored(), predicted.output
    done = deploy()
    assert done.status == 0, done.output
    changes = [run.results("Sessions are live")[NODE]["changes"] for run in (predicted, done)]
    assert changes[0] == changes[1]
    cookie = stored()
    assert len(cookie) == len("httpd-session=") + 36, "a UUID"
    assert stored(cookie) == cookie
    assert int(journey.on(NODE, "sqlite3 %s 'SELECT count(*) FROM session'" % FILE)) > 0
    again = deploy()
    assert (again.status, again.changed) == (0, 0), again.output


def test_settings_of_the_database_are_for_root_only():
    assert journey.on(NODE, "stat -c '%U:%G %a' /etc/httpd/mod_session/store.conf") == "root:root 600"


def test_keys_are_proven_with_the_database_too():
    assert journey.serves(NODE, journey.fleet_keys(), journey.scope(**SCOPE))
    done = journey.playbook("check", extra=EXTRA)
    assert done.status == 0, done.output


def test_expired_rows_are_deleted_by_a_timer():
    assert journey.on(NODE, "systemctl is-active mod-session-store.timer") == "active"
    journey.on(NODE, "sqlite3 %s \"INSERT INTO session VALUES ('old', 'x', 1)\"" % FILE)
    journey.on(NODE, "systemctl start mod-session-store.service")
    assert "1 expired rows deleted" in journey.on(NODE, "journalctl -u mod-session-store -o cat --no-pager")
    assert stored(stored())


def test_driver_of_the_database_is_missing():
    assert deploy(session_config_scopes=[journey.APP]).status == 0
    journey.on(NODE, "cd %s && mkdir away && mv apr_dbd_sqlite3* away/" % DRIVERS)
    try:
        done = deploy()
        assert done.status != 0 and done.changed == 0
        assert "nothing was changed" in flat(done) and "apr-util-sqlite" in flat(done), done.output
        assert journey.serves(NODE, journey.fleet_keys())
    finally:
        journey.on(NODE, "cd %s && mv away/* . && rmdir away" % DRIVERS)
    assert deploy().status == 0
    assert stored(stored())
