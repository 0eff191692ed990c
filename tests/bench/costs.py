# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sessions cost an httpd of this machine: requests per second, the time of one, the CPU of one."""

from __future__ import annotations

import json
import os
import re
import secrets
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import databases
import real_httpd
from measured import answers, markdown, number

from plugins.module_utils.config import render
from plugins.module_utils.scopes import parse_scopes
from plugins.module_utils.store import Store, render_store

MAX_AGE = 3600
TOGETHER = 16
TICK = os.sysconf("SC_CLK_TCK")
HEAD = ("sessions", "requests/s", "of none", "p50, ms", "p99, ms", "CPU of a request, ms")


@dataclass
class Variant:
    """One way to have sessions.

    ``cipher``: empty for a plain cookie, ``none`` for no session. ``rendered``: as a deploy gives it, with all that comes
    with a scope, and all its defaults. ``store``: where a deploy keeps them, if in a database.
    """

    title: str
    cipher: str = "aes256"
    interval: bool = True
    keys: int = 1
    payload: int = 200
    rendered: bool = False
    store: Store | None = None
    figures: list[tuple[float, float, float, float]] = field(default_factory=list)

    def configuration(self) -> str:
        """What httpd is told."""
        if self.rendered:
            scopes = parse_scopes([{"name": "app", "path": "/", "max_age": MAX_AGE, "response_header": "X-Replace-Session",
                                    "store": "dbd" if self.store else "cookie"}])  # fmt: skip
            text = render(scopes, "{root}/keys", (2, 4, 62)) + MORE
            return text if self.store is None else _modules("dbd", "session_dbd") + render_store(self.store) + text
        if self.cipher == "none":
            return MORE
        lines = ["Session On", "SessionCookieName session path=/", f"SessionMaxAge {MAX_AGE}", "SessionHeader X-Replace-Session"]
        if self.cipher:
            lines += [f"SessionCryptoCipher {self.cipher}", "SessionCryptoPassphraseFile {root}/keys"]
        if self.interval:
            lines.append(f"SessionExpiryUpdateInterval {MAX_AGE // 10}")
        return '<Location "/">\n' + "\n".join(lines) + "\n</Location>\n" + MORE


def _modules(*names: str) -> str:
    folder = real_httpd.find()[1]
    return "".join(f"LoadModule {name}_module {folder}/mod_{name}.so\n" for name in names)


MORE = "\nLogLevel warn\nKeepAlive On\nMaxKeepAliveRequests 0\nThreadsPerChild 64\nMaxRequestWorkers 128\n"

NONE, OURS, MANUAL = "none", "ours", "manual"


def variants(quick: bool, stores: dict[str, Store]) -> dict[str, Variant]:
    """All that is measured. Those that the table of ratios compares come first. ``stores``: by what they are called."""
    found = {
        NONE: Variant("none", cipher="none"),
        OURS: Variant("this collection's defaults", rendered=True),
        MANUAL: Variant("the manual's: aes256, max age", interval=False),
    }
    if quick:
        return found
    found.update({
        "plain": Variant("plain cookie, interval", cipher=""),
        "plain-each": Variant("plain cookie", cipher="", interval=False),
        "aes128": Variant("aes128, interval", cipher="aes128"),
        "aes256": Variant("aes256, interval"),
        "aes128-each": Variant("aes128, no interval", cipher="aes128", interval=False),
    })  # fmt: skip
    for keys in range(2, 6):
        found[f"keys{keys}"] = Variant(f"aes256, interval, under the last of {keys} keys", keys=keys)
    for payload in (100, 1000, 2000, 3000):
        found[f"payload{payload}"] = Variant(f"aes256, interval, {payload} B", payload=payload)
        found[f"payload{payload}-each"] = Variant(f"aes256, no interval, {payload} B", payload=payload, interval=False)
    found.update({name: Variant(f"aes256, interval, in {name}", rendered=True, store=store) for name, store in stores.items()})
    return found


class Server:
    """One httpd with one variant, and a session that is shown to it."""

    def __init__(self, variant: Variant, stack: ExitStack) -> None:
        self.variant = variant
        keys = [secrets.token_urlsafe(32) for _each in range(variant.keys)]
        payload = "user=" + "x" * (variant.payload - 5)
        pages = {
            "page.txt": "A page.\n" * 100,
            "login.asis": f"Status: 200 OK\nContent-Type: text/plain\nX-Replace-Session: {payload}\n\nhello\n",
        }
        text = variant.configuration()
        # The session is made by whoever knows but the last key.
        with real_httpd.RealHttpd(text, pages, {"keys": keys[-1] + "\n"}) as server:
            given = server.get("/login.asis").getheader("Set-Cookie")
        if variant.cipher != "none" and not given:
            raise ValueError(f"no session with {variant.title}")
        self.cookie = given.split(";")[0] if given else "other=1"
        self.httpd = stack.enter_context(real_httpd.RealHttpd(text, pages, {"keys": "\n".join(keys) + "\n"}))

    def measure(self, seconds: int) -> None:
        """Ask so long, and keep what it took."""
        with tempfile.NamedTemporaryFile("r") as served:
            before = self.cpu()
            done = subprocess.run(
                ["ab", "-q", "-k", "-e", served.name, "-t", str(seconds), "-n", "1000000", "-c", str(TOGETHER), "-H",
                 f"Cookie: {self.cookie}", f"http://127.0.0.1:{self.httpd.port}/page.txt"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            complete = re.search(r"Complete requests: +([0-9]+)", done.stdout)
            cpu = (self.cpu() - before) / int(complete.group(1) if complete else 0) * 1000
            self.variant.figures.append((*answers(done.stdout, Path(served.name).read_text()), cpu))

    def cpu(self) -> float:
        """CPU seconds of httpd's processes."""
        parent = self.httpd._process.pid  # type: ignore[union-attr]
        found = 0.0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if parent in (int(stat.parent.name), int(fields[1])):
                found += (int(fields[11]) + int(fields[12])) / TICK
        return found


def measure(quick: bool, rounds: int, seconds: int) -> dict[str, Variant]:
    """All variants, in turns."""
    with ExitStack() as stack:
        stores = {}
        if not quick and databases.has_driver("sqlite3"):
            stores["SQLite"] = databases.sqlite(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        if not quick and databases.has_driver("pgsql") and databases.PostgreSQL.here():
            stores["PostgreSQL"] = stack.enter_context(databases.PostgreSQL()).store()
        found = variants(quick, stores)
        servers = [Server(variant, stack) for variant in found.values()]
        for server in servers:
            server.measure(1)
            server.variant.figures.clear()
        for _round in range(rounds):
            for server in servers:
                server.measure(seconds)
    return found


def table(found: dict[str, Variant]) -> str:
    """The cost of sessions, medians."""
    middle = {name: [statistics.median(column) for column in zip(*one.figures)] for name, one in found.items()}
    none = middle[NONE][0]
    return markdown(HEAD, [
        [one.title, f"{middle[name][0]:.0f}", f"{middle[name][0] / none * 100:.0f} %", *map(number, middle[name][1:])]
        for name, one in found.items()
    ])  # fmt: skip


def look_ups(seconds: int) -> str:
    """What one look-up in a Redis and in a PostgreSQL takes here, by one client over a socket of its own."""
    rows = []
    found = databases.redis()
    if found is not None:
        rows.append(["Redis, GET", number(found)])
    if databases.PostgreSQL.here():
        with databases.PostgreSQL() as server:
            rows.append(["PostgreSQL, SELECT by primary key", number(server.look_up(seconds))])
    if not rows:
        return "No Redis and no PostgreSQL are installed here.\n"
    return markdown(("one look-up", "mean, ms"), rows)


def save(found: dict[str, Variant], path: Path) -> None:
    """Every figure, for whoever wants another mean."""
    path.write_text(json.dumps({name: one.figures for name, one in found.items()}, indent=1) + "\n")
