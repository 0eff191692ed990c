# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's backend: a counter and notes, kept nowhere but in the visitor's session.

It holds no state and knows no key: httpd hands it the decrypted session in the request header
X-Session, and takes what it answers in X-Replace-Session into the session.
"""

from __future__ import annotations

import html
import json
import socket
import string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

NODE = socket.gethostname()
MOST_NOTES = 5
LONGEST_NOTE = 80

PAGE = string.Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>A session on every node</title>
<style>
  :root { color-scheme: light dark; --ink: #1d2433; --soft: #5c6680; --card: #fff; --back: #eef1f7; --line: #dde2ee;
          --mark: #2b5fd9; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e8ecf6; --soft: #9aa5bf; --card: #1b2130; --back: #10141e; --line: #2c3548; --mark: #8fb0ff; } }
  * { box-sizing: border-box; }
  body { margin: 0; padding: 3rem 1rem; background: var(--back); color: var(--ink);
         font: 1rem/1.5 system-ui, "Segoe UI", sans-serif; }
  main { max-width: 42rem; margin: auto; display: grid; gap: 1rem; }
  section, header { background: var(--card); border: 1px solid var(--line); border-radius: 14px;
                    padding: 1.25rem 1.5rem; }
  h1 { font-size: 1.1rem; margin: 0; color: var(--soft); font-weight: 600; }
  h2 { font-size: 1rem; margin: 0 0 .5rem; }
  #count { font-size: 4.5rem; line-height: 1.1; font-weight: 700; letter-spacing: -.03em; }
  .node { display: inline-block; padding: .1rem .7rem; border-radius: 99px; border: 1.5px solid var(--mark);
          color: var(--mark); font-weight: 600; }
  p { margin: .3rem 0; } .soft { color: var(--soft); }
  ul { margin: .3rem 0 .8rem; padding-left: 1.2rem; overflow-wrap: anywhere; }
  form { display: flex; gap: .5rem; flex-wrap: wrap; margin: 0; }
  input { flex: 1 1 8rem; min-width: 0; } input, button { font: inherit; color: inherit; padding: .45rem .8rem;
          border-radius: 8px; border: 1px solid var(--line); background: var(--back); }
  button { background: var(--mark); color: var(--card); border-color: var(--mark); font-weight: 600; cursor: pointer; }
  a { color: var(--mark); } code { overflow-wrap: anywhere; font-size: .85rem; }
</style>
<main>
  <header>
    <h1>Visits in your session</h1>
    <div id="count">$count</div>
    <p>This page came from <span class="node" id="node">$node</span></p>
    <p class="soft">Reload: each time another node answers, and each can read your session.</p>
  </header>
  <section>
    <h2>Notes</h2>
    $notes
    <form method="post" action="/app/notes">
      <input name="note" maxlength="$longest" placeholder="A note to remember" aria-label="A note to remember" required>
      <button>Keep it</button>
    </form>
  </section>
  <section>
    <h2>Login</h2>
    $login
  </section>
  <section>
    <h2>What the backend was given</h2>
    <p class="soft">Your browser holds only one encrypted cookie. httpd opened it and handed this on:</p>
    <ul>$given</ul>
  </section>
</main>
</html>
""")

LOGIN = """<form method="post" action="/app/login">
  <input name="httpd_username" placeholder="Name: alice" aria-label="Name" autocomplete="username" required>
  <input name="httpd_password" type="password" placeholder="Password: wonderland" aria-label="Password"
         autocomplete="current-password" required>
  <button>Log in</button>
</form>"""


class Shop(BaseHTTPRequestHandler):
    """Answers one visitor; the session comes with the request and goes with the answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Show the page, or the same as JSON."""
        url = urlsplit(self.path)
        given = dict(parse_qsl(self.headers.get("X-Session", "")))
        session = dict(given)
        if url.path == "/health":
            self._answer("text/plain", "ok\n")
        elif url.path in ("/app/", "/app/count"):
            count = int(session.get("count", "0")) + 1
            session["count"] = str(count)
            if url.path == "/app/":
                self._answer("text/html; charset=utf-8", page(session, given, url.query), {"count": str(count)})
            else:
                self._answer_json({"count": count, "node": NODE}, {"count": str(count)})
        elif url.path == "/app/notes":
            self._answer_json({"notes": notes_of(session), "node": NODE})
        elif url.path == "/app/private":
            user, count = session.get("shop-user", ""), int(session.get("count", "0"))
            self._answer_json({"user": user, "count": count, "node": NODE})
        else:
            self._answer("text/plain", "There is no such page.\n", status=404)

    def do_POST(self) -> None:
        """Take a new note."""
        length = self.headers.get("Content-Length", "0")
        form = parse_qs(self.rfile.read(min(int(length), 4096)).decode(errors="replace") if length.isdigit() else "")
        if self.path != "/app/notes":
            self.close_connection = True
            self._answer("text/plain", "There is no such page.\n", status=404)
            return
        session = dict(parse_qsl(self.headers.get("X-Session", "")))
        notes = [*notes_of(session), " ".join(form.get("note", [""])[0].split())[:LONGEST_NOTE]]
        kept = "\n".join(note for note in notes if note)
        self._answer("text/plain", "", {"notes": "\n".join(kept.split("\n")[-MOST_NOTES:])}, 303, location="/app/")

    def _answer_json(self, value: dict[str, object], changes: dict[str, str] | None = None) -> None:
        self._answer("application/json", json.dumps(value) + "\n", changes)

    def _answer(
        self, kind: str, text: str, changes: dict[str, str] | None = None, status: int = 200, location: str = ""
    ) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if location:
            self.send_header("Location", location)
        if changes:
            self.send_header("X-Replace-Session", urlencode(changes))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """httpd writes the access log."""


def notes_of(session: dict[str, str]) -> list[str]:
    """The notes in a session."""
    return [note for note in session.get("notes", "").split("\n") if note]


def page(session: dict[str, str], given: dict[str, str], query: str) -> str:
    """The page as a visitor sees it, with the session as it is now and as httpd gave it."""
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in notes_of(session))
    user = session.get("shop-user", "")
    if user:
        login = f'<p>Logged in as <strong id="user">{html.escape(user)}</strong>. <a href="/app/logout">Log out</a></p>'
    else:
        failed = '<p role="alert">That was not right, try again.</p>' if query == "login=failed" else ""
        login = failed + LOGIN
    # mod_auth_form keeps the password in the (encrypted) session; nobody needs to see it here.
    listed = "".join(
        f"<li><code>{html.escape(name)} = {'(not shown)' if name.endswith('-pw') else html.escape(value)}</code></li>"
        for name, value in sorted(given.items())
    )
    return PAGE.substitute(
        count=session["count"], node=html.escape(NODE), longest=LONGEST_NOTE, login=login, given=listed,
        notes=f"<ul id=notes>{notes}</ul>" if notes else '<p class="soft">None yet.</p>',
    )  # fmt: skip


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 9000), Shop).serve_forever()
