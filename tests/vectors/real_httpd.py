# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real httpd for a moment: a minimal configuration of its own in a temporary folder, on a free loopback port."""
from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Optional

BINARIES = ("apache2", "httpd")
BINARY_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/apache2/bin", "/opt/homebrew/bin")
MODULE_FOLDERS = (
    "/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules",
    "/usr/local/apache2/modules", "/usr/lib64/apache2", "/opt/homebrew/lib/httpd/modules",
)
MODULES = ("unixd", "authz_core", "asis", "headers", "session", "session_cookie", "session_crypto")
WORKERS = ("mpm_event", "mpm_prefork", "mpm_worker")
START_SECONDS = 20


class NoHttpd(Exception):
    """There is no httpd with session modules here; the message says what was looked for."""


def find() -> tuple[str, Path]:
    """The httpd binary and the folder of its modules. Raises NoHttpd."""
    path = os.pathsep.join((os.environ.get("PATH", ""),) + BINARY_FOLDERS)
    binary = next((found for found in (shutil.which(name, path=path) for name in BINARIES) if found), None)
    if binary is None:
        raise NoHttpd("no %s on PATH or in %s" % (" or ".join(BINARIES), ", ".join(BINARY_FOLDERS)))
    for folder in map(Path, MODULE_FOLDERS):
        if (folder / "mod_session_crypto.so").exists():
            return binary, folder
    raise NoHttpd("%s is here, but mod_session_crypto.so is in none of %s" % (binary, ", ".join(MODULE_FOLDERS)))


def versions() -> dict[str, str]:
    """Versions of httpd and apr-util, as the binary tells them."""
    binary, _modules = find()
    text = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False).stdout
    server = re.search(r"Server version: (.+)", text)
    util = re.search(r"APR-UTIL ([0-9.]+)", text)
    return {"httpd": server.group(1) if server else "unknown", "apr_util": util.group(1) if util else "unknown"}


class RealHttpd:
    """Context manager: httpd with ``configuration`` and the ``pages`` (file name -> content) of its document root.

    ``{root}`` in the configuration is the temporary folder; ``secrets`` (file name -> content) are put there.
    """

    def __init__(self, configuration: str, pages: dict[str, str], secrets: Optional[dict[str, str]] = None) -> None:
        self.binary, self.modules = find()
        self.configuration = configuration
        self.pages = pages
        self.secrets = secrets or {}
        self.port = 0
        self._root = Path()
        self._process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> RealHttpd:
        self._root = Path(tempfile.mkdtemp(prefix="mod-session-"))
        try:
            (self._root / "pages").mkdir()
            for folder in (self._root, self._root / "pages"):
                folder.chmod(0o755)  # the workers of a root server are somebody else
            for name, text in self.pages.items():
                (self._root / "pages" / name).write_text(text, encoding="utf-8")
            for name, text in self.secrets.items():
                (self._root / name).write_text(text, encoding="utf-8")
            # The port was free a moment ago; another process can take it before httpd does.
            for _attempt in range(5):
                if self._start():
                    return self
            raise RuntimeError("httpd does not start:\n" + self.error_log())
        except BaseException:
            self._stop()
            raise

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._stop()

    def get(
        self, path: str, cookie: Optional[str] = None, headers: Optional[dict[str, str]] = None
    ) -> http.client.HTTPResponse:
        """The answer to GET ``path``, its body read, with ``cookie`` (``name=value``) and more ``headers`` in the request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={**({"Cookie": cookie} if cookie else {}), **(headers or {})})
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()

    def error_log(self) -> str:
        """What httpd logged so far."""
        log = self._root / "error.log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def _start(self) -> bool:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = self._root / "httpd.conf"
        config.write_text(self._whole_configuration(), encoding="utf-8")
        with open(self._root / "console.log", "wb") as console:
            self._process = subprocess.Popen(
                [self.binary, "-d", str(self._root), "-f", str(config), "-DFOREGROUND"], stdout=console, stderr=console)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.02)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        with open(self._root / "error.log", "a", encoding="utf-8") as log:
            log.write((self._root / "console.log").read_text(encoding="utf-8", errors="replace"))
        return False

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._root, ignore_errors=True)

    def _whole_configuration(self) -> str:
        static = subprocess.run([self.binary, "-l"], capture_output=True, text=True, check=False).stdout
        worker = [] if re.search(r"mod_mpm_|^\s+(event|prefork|worker)\.c", static, re.M) else [
            next(name for name in WORKERS if (self.modules / ("mod_%s.so" % name)).exists())]
        load = [name for name in worker + list(MODULES) if "mod_%s.c" % name not in static]
        lines = ["LoadModule %s_module %s/mod_%s.so" % (name, self.modules, name) for name in load]
        lines += [
            "ServerName localhost", "Listen 127.0.0.1:%d" % self.port, "ServerRoot {root}", "DefaultRuntimeDir {root}",
            "PidFile {root}/httpd.pid", "ErrorLog {root}/error.log", "LogLevel info", "DocumentRoot {root}/pages",
            "<Directory {root}/pages>", "Require all granted", "</Directory>",
            '<FilesMatch "\\.asis$">', "SetHandler send-as-is", "</FilesMatch>",
            "SessionCryptoDriver openssl", "StartServers 1",
        ]
        if os.geteuid() == 0:
            lines += ["User #65534", "Group #65534"]  # nobody, whatever it is called
        return ("\n".join(lines) + "\n" + self.configuration + "\n").replace("{root}", str(self._root))
