# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session costs in a cookie, in PostgreSQL, in MariaDB and in SQLite, by its size.

One node and one database server in containers, TLS between them, the configuration that a deploy gives. ``ab`` shows one
session again and again to a page that reads it; to change it, as many users log in again and again. Node, database and
clients share this machine's cores. What is printed are medians of ``--rounds`` runs.
"""

from __future__ import annotations

import argparse
import re
import secrets
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "demo")]

import fleet as containers  # noqa: E402

from plugins.module_utils.config import modules_for, render  # noqa: E402
from plugins.module_utils.layout import DEBIAN  # noqa: E402
from plugins.module_utils.scopes import parse_scopes  # noqa: E402
from plugins.module_utils.store import parse_store, render_client_options, render_store, schema  # noqa: E402
from tests import journey, store_journey  # noqa: E402

STORES = ("cookie", "postgresql", "mysql", "sqlite")
SIZES = (200, 2000, 20000, 65536)
# A cookie has 4,096 characters at most.
LARGEST = {"cookie": 2000}
PACKAGES = "libaprutil1-dbd-pgsql libaprutil1-dbd-mysql libaprutil1-dbd-sqlite3 sqlite3"
TOGETHER = 16
PLACE = "/etc/apache2/bench"
FILE = "/var/lib/sessions/sessions.db"


def use(spec: str) -> containers.Fleet:
    """The fleet of a specification, up, for the helpers of the journeys."""
    fleet = containers.load(spec)
    containers.up(fleet)
    journey.STATE = fleet.directory
    journey.addresses = lambda: {one.name: one.address for one in fleet.containers}
    return fleet


def prepare() -> None:
    """Packages, database servers with TLS, the page."""
    install = "dpkg -s {0} >/dev/null 2>&1 || {{ apt-get -qq update && apt-get -qq install -y {0}; }}"
    journey.on("n1", install.format(PACKAGES))
    path = journey.STATE / "database.json"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text('{"admin": "%s", "httpd": "%s"}' % (secrets.token_hex(16), secrets.token_hex(16)))
    journey.on("db", "cat >/root/administrator", stdin=store_journey.passwords()["admin"])
    program = (ROOT / "molecule" / "store" / "database.sh").read_text()
    journey.on("db", "bash -s %s" % journey.addresses()["db"], stdin=program)
    certificate = journey.on("db", "cat /etc/session-db/ca.crt")
    journey.on("n1", "cat >/etc/ssl/certs/session-database.crt", stdin=certificate)
    store_journey.give_pages(["n1"])
    for driver in ("postgresql", "mysql"):
        password = store_journey.passwords()["httpd"]
        store = parse_store(store_journey.settings(driver))
        begin = {
            "postgresql": ("runuser -u postgres -- psql -q", "CREATE ROLE httpd LOGIN PASSWORD '%s'; CREATE DATABASE sessions "
                           "OWNER httpd;" % password),
            "mysql": ("mariadb", "CREATE DATABASE sessions; GRANT ALL ON sessions.* TO httpd@'%%' IDENTIFIED BY "
                      "'%s';" % password),
        }[driver]
        # One statement at a time: PostgreSQL makes no database inside of a transaction.
        for statement in begin[1].split("; "):
            journey.on("db", begin[0], stdin=statement + ";")
        store_journey.sql(driver, ("SET ROLE httpd;" if driver == "postgresql" else "") + ";".join(schema(store)) + ";")


def settings(kind: str) -> dict:
    """The inventory's ``session_store``."""
    return {"driver": kind, "file": FILE} if kind == "sqlite" else store_journey.settings(kind)


def configure(kind: str) -> None:
    """The node keeps its sessions there."""
    scopes = parse_scopes([{**journey.APP, "store": "cookie" if kind == "cookie" else "dbd"}])
    text = render(scopes, PLACE + "/keys", (2, 4, 62))
    journey.on("n1", "mkdir -p -m 0700 %s && cat >%s/keys" % (PLACE, PLACE), stdin=secrets.token_urlsafe(32))
    journey.on("n1", "a2dismod -q -f session_dbd dbd")
    if kind != "cookie":
        store = parse_store(settings(kind))
        text = render_store(store) + text
        if kind == "mysql":
            journey.on("n1", "cat >" + DEBIAN.client_options_file, stdin=render_client_options(store))
        if kind == "sqlite":
            journey.on("n1", "rm -rf {0}; install -d -o www-data {0}; runuser -u www-data -- sqlite3 {1}".format(
                "/var/lib/sessions", FILE), stdin=";".join(schema(store)) + ";")
    journey.on("n1", "a2enmod -q %s && umask 077 && cat >/etc/apache2/conf-enabled/zz-bench.conf && systemctl restart apache2" % (
        " ".join(modules_for(scopes))), stdin=text)


def ask(url: str, cookie: str, requests: int, concurrency: int) -> float:
    """Requests per second that read a session, as ``ab`` sees it."""
    done = subprocess.run(["ab", "-q", "-n", str(requests), "-c", str(concurrency), "-H", "Cookie: " + cookie, url],
                          capture_output=True, text=True, check=True)
    assert not re.search(r"Non-2xx", done.stdout), done.stdout
    return float(re.search(r"Requests per second: +([0-9.]+)", done.stdout).group(1))


def change(users: list[store_journey.User], size: int, requests: int) -> float:
    """Requests per second that change a session, by these users together; each goes on with the cookie that it got."""
    begin = time.monotonic()
    with ThreadPoolExecutor(len(users)) as pool:
        for one in [pool.submit(user.login, "n1", size) for _each in range(requests // len(users)) for user in users]:
            one.result()
    return requests // len(users) * len(users) / (time.monotonic() - begin)


def main() -> None:
    """Print a table in Markdown."""
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--requests", type=int, default=1000)
    parse.add_argument("--fleet", default=str(Path(__file__).with_name("store_fleet.json")))
    parse.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parse.add_argument("--keep", action="store_true", help="leave the containers there")
    given = parse.parse_args()
    fleet = use(given.fleet)
    try:
        prepare()
        print("| store | characters | reads/s | one read, ms | changes/s | one change, ms |\n| --- " + "| ---: " * 5 + "|")
        for kind in given.stores:
            configure(kind)
            for size in SIZES:
                if size <= LARGEST.get(kind, size):
                    row(kind, size, given.rounds, given.requests)
    finally:
        if not given.keep:
            containers.down(fleet)


def row(kind: str, size: int, rounds: int, requests: int) -> None:
    """Measure and print one line: reading and changing, by many users together and by one alone."""
    url = "http://%s:%d/app/page" % (journey.addresses()["n1"], journey.PORT)
    users = [store_journey.User("n1", size) for _each in range(TOGETHER)]
    measured: list[tuple[float, ...]] = []
    for _round in range(rounds):
        measured.append((
            ask(url, users[0].cookie, requests, TOGETHER), 1000 / ask(url, users[0].cookie, requests // 5, 1),
            change(users, size, requests), 1000 / change(users[:1], size, requests // 5),
        ))  # fmt: skip
    middle = [statistics.median(values) for values in zip(*measured)]
    print("| %s | %d | %.0f | %.1f | %.0f | %.1f |" % (kind, size, *middle), flush=True)


if __name__ == "__main__":
    main()
