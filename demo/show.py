#!/usr/bin/env python3
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows that one session lives on every node: logs in through the load balancer, stops a node, starts it again."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from collections.abc import Sequence
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import fleet
from engine import FleetError

DEMO = Path(__file__).resolve().parent
AUTHORITY = DEMO.parent / ".cache" / "demo" / "ca.pem"
ADDRESS, PORT = "127.0.31.10", 20443
USER, PASSWORD = "alice", "wonderland"


class Lost(Exception):
    """The session was lost, or a node did not answer: the sentence says which."""


class Visitor:
    """A browser with one session: it verifies the load balancer's certificate and keeps its cookies."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}
        self.count = 0
        self._tls = ssl.create_default_context(cafile=str(AUTHORITY))

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """One request over a new connection; status and text of the answer."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPSConnection(ADDRESS, PORT, context=self._tls, timeout=15)
        try:
            body = None if form is None else urlencode(form)
            connection.request("GET" if form is None else "POST", path, body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except OSError as error:
            raise Lost(f"https://{ADDRESS}:{PORT}{path} does not answer: {error}.") from error
        finally:
            connection.close()
        for value in answer.headers.get_all("Set-Cookie", []):
            self.cookies.update({name: one.coded_value for name, one in SimpleCookie(value).items()})
        return answer.status, text

    def log_in(self) -> None:
        """Log in by the form of mod_auth_form."""
        self.ask("/app/login", {"httpd_username": USER, "httpd_password": PASSWORD})

    def visit(self) -> list[tuple[str, str]]:
        """Count one up, then read the private page; which node did it and what. Lost when count or login was forgotten."""
        self.count += 1
        done = []
        for path, what in (("/app/count", "counts"), ("/app/private", "reads")):
            status, text = self.ask(path)
            if status != 200:
                raise Lost(f"{path} answered with status {status}" + (": the login was lost." if status == 302 else "."))
            answer = json.loads(text)
            if answer["count"] != self.count:
                raise Lost(f"{answer['node']} counts {answer['count']}, not {self.count}: the session was lost.")
            done.append((answer["node"], what))
        return done


def visit_all(visitor: Visitor, nodes: Sequence[str], seconds: float = 30) -> None:
    """Visit until each of the nodes has answered, and print each first answer."""
    missing = set(nodes)
    deadline = time.monotonic() + seconds
    while missing:
        for node, what in visitor.visit():
            if node in missing:
                missing.remove(node)
                print(f"  {node} {what} visit {visitor.count}, still logged in as {USER}", flush=True)
        if time.monotonic() > deadline:
            raise Lost(f"{', '.join(sorted(missing))} answered no request within {seconds:.0f} seconds.")
        if missing:
            time.sleep(0.1)


def main() -> int:
    """The whole show; 0 when no session was lost."""
    try:
        described = fleet.load(str(DEMO / "fleet.json"))
        nodes = [one.name for one in described.containers if one.kind == "node"]
        visitor = Visitor()
        print(f"\nLogging in at https://{ADDRESS}:{PORT}/app/ and visiting every node with one session:")
        visitor.log_in()
        visit_all(visitor, nodes)
        stopped, *others = nodes
        print(f"Stopping {stopped}:")
        fleet.stop(described.select([stopped]))
        try:
            visit_all(visitor, others)
        finally:
            print(f"Starting {stopped} again:")
            fleet.start(described.select([stopped]))
        visit_all(visitor, nodes)
    except (Lost, FleetError) as error:
        print(f"show: {error}", file=sys.stderr)
        return 1
    print(f"""
One session, {visitor.count} visits, {len(nodes)} nodes, one of them away for a while: nothing lost.

  The page        https://{ADDRESS}:{PORT}/app/     (log in as {USER}, password {PASSWORD})
                  Its certificate is from the demo's own authority, .cache/demo/ca.pem.
  The report      .cache/demo/report/report.html: what the check saw of every node and key
  Try next        . demo/env
                  ansible-playbook -i demo/inventory httpd_fleet.mod_session.check
                  ansible-playbook -i demo/inventory httpd_fleet.mod_session.deploy --check --diff
                  ansible-playbook -i demo/inventory httpd_fleet.mod_session.diagnose
                  ansible-playbook -i demo/inventory httpd_fleet.mod_session.rotate -e session_rotate_now=true
                  demo/fleet.py stop demo/fleet.json node2      # and start, and status
  Remove it       make demo-down
""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
