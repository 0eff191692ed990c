# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What journeys with a database share: its settings, SQL as its owner runs it, and browsers whose sessions are in it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from . import journey

FLEET = ("n1", "n2", "n3")
SERVICES = {"postgresql": "postgresql@15-main", "mysql": "mariadb"}
PORTS = {"postgresql": 25432, "mysql": 23306}
PAGE = """Alias /app/page /usr/local/lib/session.lua
<Location /app/page>
    Require all granted
    SetHandler lua-script
</Location>
"""
GIVE_PAGE = """
if [ -d /etc/httpd ]; then
    echo 'LoadModule lua_module modules/mod_lua.so' > /etc/httpd/conf.modules.d/90-lua.conf
    cat > /etc/httpd/conf.d/zz-page.conf
    systemctl restart httpd
else
    a2enmod -q lua
    cat > /etc/apache2/conf-enabled/zz-page.conf
    systemctl restart apache2
fi
"""


def passwords() -> dict[str, str]:
    """The passwords of the database's administrator and of httpd, remembered for the search for leaks."""
    found = json.loads((journey.STATE / "database.json").read_text())
    journey.remember(*found.values())
    return found


def settings(driver: str, **differences: object) -> dict:
    """The inventory's ``session_store``."""
    return {"driver": driver, "host": "db", "database": "sessions", "user": "httpd", "password": passwords()["httpd"],
            "ca": "/etc/ssl/certs/session-database.crt", **differences}


def administrator(driver: str) -> dict:
    """The inventory's ``session_store_admin``: how this machine reaches the database."""
    return {"host": journey.addresses()["db"], "port": PORTS[driver], "user": "administrator",
            "password": passwords()["admin"], "ca": str(journey.STATE / "database-ca.crt")}


def sql(driver: str, statements: str) -> str:
    """What the database's own client prints for statements, run as its superuser."""
    client = {"postgresql": "runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 sessions", "mysql": "mariadb -NB sessions"}
    return journey.on("db", client[driver], stdin=statements)


def service(driver: str, verb: str) -> None:
    """Start, stop or restart the database."""
    journey.on("db", "systemctl %s %s" % (verb, SERVICES[driver]))


def give_pages(nodes: Sequence[str] = FLEET) -> None:
    """Nodes get a page that reads and writes its session."""
    program = (journey.ROOT / "tests" / "node" / "session.lua").read_text()
    for node in nodes:
        journey.on(node, "cat > /usr/local/lib/session.lua", stdin=program)
        journey.on(node, GIVE_PAGE, stdin=PAGE)


class User:
    """A browser with a session of some size."""

    def __init__(self, node: str = "n1", size: int = 200, path: str = "/app/page") -> None:
        self.path = path
        self.cookie = ""
        self.login(node, size)

    def login(self, node: str, size: int) -> None:
        """Put something new of this size into the session."""
        seed = secrets.token_hex(8)
        text = "data=" + (seed * (size // len(seed) + 1))[:size]
        self.wanted = "%d %s" % (len(text), hashlib.md5(text.encode()).hexdigest())
        status, _said = self.visit(node, "?%s,%d" % (seed, size))
        assert status == 200 and self.cookie, (node, status)

    def visit(self, node: str, query: str = "") -> tuple[int, str]:
        """Status and text of an answer; the cookie is kept as a browser does."""
        answer, body = journey.get(node, self.path + query, self.cookie)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                self.cookie = value.split(";")[0]
        return answer.status, body.decode(errors="replace")

    def alive(self, *nodes: str) -> bool:
        """Whether all these nodes see the session as it was saved."""
        return [self.visit(node) for node in nodes or FLEET] == [(200, self.wanted)] * len(nodes or FLEET)


@contextlib.contextmanager
def busy(users: Sequence[User], nodes: Sequence[str] = FLEET, pause: float = 0.2) -> Iterator[list[str]]:
    """Meanwhile these users go from node to node; what is given has what went wrong, and when."""
    ended, wrong = threading.Event(), []

    def go(number: int, user: User) -> None:
        for node in itertools.islice(itertools.cycle(nodes), number, None):
            try:
                seen = user.visit(node)
            except OSError as error:
                seen = (0, repr(error))
            if seen != (200, user.wanted):
                wrong.append("%.1f %s user %d: %s" % (time.time(), node, number, seen))
            if ended.wait(pause):
                return

    with ThreadPoolExecutor(len(users)) as pool:
        visits = [pool.submit(go, number, user) for number, user in enumerate(users)]
        try:
            yield wrong
        finally:
            ended.set()
            for one in visits:
                one.result()
