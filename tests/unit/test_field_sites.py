# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sites of tests/field are whole, and their README names each word and file that they may have."""

from __future__ import annotations

import re

import pytest
import yaml

from plugins.module_utils.scopes import parse_scopes
from tests import field_sites

README = (field_sites.SITES / "README.md").read_text()
IN_A_FOLDER = {"site.yml", "group_vars.yml", "files"} | {
    name + ".sh" for name in ("setup", "by_hand", "remove", "fault", "mend", "proof")
}


def first_words(text):
    """What stands in the first column of the tables."""
    return {word for row in re.findall(r"^\| (`.*?) \|", text, re.M) for word in re.findall(r"`([^`]+)`", row)}


def test_readme_names_each_word_and_file():
    assert first_words(README) == field_sites.KNOWN | {"files/"} | IN_A_FOLDER - {"files"}


def test_there_are_enough_sites():
    assert len(field_sites.sites()) >= 15


@pytest.mark.parametrize("site", field_sites.sites(), ids=lambda site: site.name)
def test_a_site_is_whole(site):
    playbooks = set(site.spec.get("playbooks", []))
    assert {path.name for path in site.folder.iterdir()} <= IN_A_FOLDER | playbooks
    variables = yaml.safe_load((site.folder / "group_vars.yml").read_text())
    assert parse_scopes(variables["session_config_scopes"])
    assert all(name.startswith("session_") for name in variables)
    assert "code" in site.spec["fault"]
