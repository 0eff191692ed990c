# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real OpenBao server of our own: in memory, on a free loopback port, gone at the end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import hvac

ROOT_TOKEN = "the-root-token-of-a-test"


@dataclass(frozen=True)
class Server:
    """``ca``: the file with the certificate of its authority, empty without TLS; ``unseal_key``: opens it when sealed."""

    address: str
    unseal_key: str
    ca: str

    def client(self, token=ROOT_TOKEN):
        return hvac.Client(self.address, token, verify=self.ca or True)

    def token(self, policy):
        """A token that may do what this policy says and nothing else."""
        root = self.client()
        root.sys.create_or_update_policy("of-a-test", policy)
        made = root.auth.token.create(policies=["of-a-test"], no_default_policy=True)
        return made["auth"]["client_token"]


def program():
    """The server's program, which `make deps-openbao` installs."""
    beside_python = os.path.join(os.path.dirname(sys.executable), "bao")
    found = beside_python if os.path.exists(beside_python) else shutil.which("bao")
    if not found:
        raise AssertionError("OpenBao is not installed: run `make deps-openbao`")
    return found


def _free_port():
    """A port that is free, as is the next, which the server takes too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


@contextlib.contextmanager
def running(tls=False):
    """A server with a KV version 2 engine at ``secret``."""
    with tempfile.TemporaryDirectory(prefix="openbao-") as folder:
        port = _free_port()
        command = [program(), "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}"]
        command += [f"-dev-listen-address=127.0.0.1:{port}", *(["-dev-tls", f"-dev-tls-cert-dir={folder}"] if tls else [])]
        log_file = os.path.join(folder, "log")
        with open(log_file, "w", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": folder, "PATH": os.environ["PATH"]})
        try:
            ca = os.path.join(folder, "vault-ca.pem") if tls else ""
            server = Server(f"http{'s' if tls else ''}://127.0.0.1:{port}", _wait(process, log_file), ca)
            wait_for_engine(server)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(process, log_file):
    """Until it is ready; its unseal key."""
    end = time.monotonic() + 60
    while True:
        with open(log_file, encoding="utf-8") as log:
            text = log.read()
        key = re.search(r"^Unseal Key: (\S+)$", text, re.MULTILINE)
        if key and "Development mode should NOT be used" in text:
            return key.group(1)
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"OpenBao did not start:\n{text}")
        time.sleep(0.05)


def wait_for_engine(server):
    """A new engine is not ready at once."""
    kv = server.client().secrets.kv.v2
    for _attempt in range(100):
        try:
            kv.read_configuration()
            return
        except hvac.exceptions.VaultError:
            time.sleep(0.05)
    raise AssertionError("OpenBao's KV engine did not become ready")
