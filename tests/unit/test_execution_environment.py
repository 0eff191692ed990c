# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-builder makes of the collection and of the example; no image is built, since that needs one to begin with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME = "httpd_fleet.mod_session"
ARCHIVE = "httpd_fleet-mod_session-%s.tar.gz" % yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]


def builder(*words, at=ROOT):
    """What ansible-builder prints."""
    done = subprocess.run(["ansible-builder", *map(str, words)], cwd=at, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_collection_says_what_its_controller_needs(tmp_path):
    # As it is installed: without what the archive leaves out, such as the project's own requirements.txt.
    place = tmp_path / "ansible_collections" / "httpd_fleet" / "mod_session"
    place.mkdir(parents=True)
    shutil.copy(ROOT / "galaxy.yml", place)
    shutil.copytree(ROOT / "meta", place / "meta")
    (place / "requirements.txt").write_text("not-this\n")
    found = yaml.safe_load(builder("introspect", tmp_path))
    of = "  # from collection " + NAME
    assert found == {
        "python": ["cryptography" + of, "hvac>=2.0" + of],
        "system": ["openssh-client [platform:dpkg]" + of, "openssh-clients [platform:rpm]" + of],
    }


def test_the_example_makes_a_whole_context(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / ARCHIVE).write_text("the archive")
    said = builder("create", "-f", "examples/execution-environment.yml", "-c", "context", at=tmp_path)
    assert "Complete!" in said and "No matches" not in said
    context = tmp_path / "context"
    assert (context / "_build" / ARCHIVE).read_text() == "the archive"
    assert yaml.safe_load((context / "_build" / "requirements.yml").read_text()) == {
        "collections": [{"name": ARCHIVE, "type": "file"}]
    }
    assert "collection install" in (context / "Containerfile").read_text()
