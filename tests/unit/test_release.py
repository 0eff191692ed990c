# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/releasing.md: the archive is small and has what users need, and a signature tells whether it is the one released."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOR_USERS = {"CHANGELOG.md", "FILES.json", "LICENSES", "MANIFEST.json", "README.md", "SECURITY.md", "changelogs", "docs", "meta",
             "playbooks", "plugins", "roles"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    place = tmp_path_factory.mktemp("built")
    subprocess.run(["ansible-galaxy", "collection", "build", ROOT, "--output-path", place], check=True, capture_output=True)
    (found,) = place.iterdir()
    return found


def test_archive_is_small_and_has_what_users_need_and_nothing_else(archive):
    with tarfile.open(archive) as handle:
        names = {name.split("/")[0] for name in handle.getnames()}
    assert names == FOR_USERS
    assert archive.stat().st_size < 1_000_000


@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")
def test_signature_tells_whether_it_is_the_one_released(archive, tmp_path):
    home = tmp_path / "g"
    home.mkdir(mode=0o700)
    words = {**os.environ, "GNUPGHOME": str(home), "ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "ANSIBLE_NOCOLOR": "1"}

    def run(*command):
        return subprocess.run(command, cwd=tmp_path, env=words, capture_output=True, text=True, check=False)

    with tarfile.open(archive) as handle:
        (tmp_path / "MANIFEST.json").write_bytes(handle.extractfile("MANIFEST.json").read())
    for command in (["--passphrase", "", "--quick-generate-key", "release@example.com", "ed25519", "sign", "never"],
                    ["--armor", "--detach-sign", "MANIFEST.json"], ["--output", "keyring.gpg", "--export"]):
        done = run("gpg", "--batch", "--quiet", *command)
        assert done.returncode == 0, done.stderr
    assert run("ansible-galaxy", "collection", "install", archive, "-p", tmp_path).returncode == 0
    verify = ["ansible-galaxy", "collection", "verify", "--offline", "httpd_fleet.mod_session",
              "--keyring", tmp_path / "keyring.gpg", "--signature", f"file://{tmp_path}/MANIFEST.json.asc"]
    done = run(*verify)
    assert done.returncode == 0, done.stdout + done.stderr
    installed = tmp_path / "ansible_collections/httpd_fleet/mod_session"
    good = (installed / "README.md").read_text()
    (installed / "README.md").write_text(good + "x")
    done = run(*verify)
    assert done.returncode != 0 and "README.md" in done.stdout + done.stderr
    (installed / "README.md").write_text(good)
    with (installed / "MANIFEST.json").open("a") as handle:
        handle.write(" ")
    done = run(*verify)
    assert done.returncode != 0 and "Signature verification failed" in done.stdout + done.stderr
