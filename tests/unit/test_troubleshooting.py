# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/troubleshooting.md says what the code says, and each of its rows is a case on real nodes: neither drifts."""

from __future__ import annotations

import re
from pathlib import Path

from plugins.module_utils.causes import CAUSES
from plugins.module_utils.findings import KINDS
from tests.troubles import TROUBLES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
WORDS = {"fail": "failure", "unknown": "unknown", "warn": "warning", "info": "note"}
# What an error log tells while its cause is still there; that one has the row. What no fault of a site brings about.
WITHOUT_A_ROW = {
    "expired_at_save", "cipher_failed", "driver_failed", "store_failed",
    "log_unread", "log_undated", "node_result_invalid", "log_not_begun",
}


def rows():
    return re.findall(r"(?m)^\| (.+?)( \*)? \| \[(\w+)\]\(#(\w+)\) \| .+ \|$", PAGE.read_text())


def sections():
    return {code: " ".join(text.split()) for code, text in re.findall(r"(?ms)^### (\w+)\n(.*?)(?=^##|\Z)", PAGE.read_text())}


def test_rows_are_the_cases_in_their_order():
    assert [(symptom, bool(star), code) for symptom, star, code, _anchor in rows()] == [
        (row.symptom, row.id.startswith("mocked"), row.code) for row in TROUBLES]
    assert all(code == anchor for _symptom, _star, code, anchor in rows())


def test_each_case_has_a_name_of_its_own_and_a_known_code():
    assert len({row.id for row in TROUBLES}) == len({row.symptom for row in TROUBLES}) == len(TROUBLES)
    assert {row.code for row in TROUBLES} <= {*CAUSES, *KINDS}
    assert all(row.fault for row in TROUBLES)


def test_each_cause_has_a_row():
    assert set(CAUSES) - {row.code for row in TROUBLES} == WITHOUT_A_ROW


def test_each_code_has_a_section_that_says_what_the_code_says():
    found = sections()
    assert list(found) == [*CAUSES, *KINDS]
    for code, what in {**CAUSES, **KINDS}.items():
        title = what.title[0].upper() + what.title[1:]
        assert found[code] == " ".join(f"{title} ({WORDS[what.severity]}). {what.remedy}".split()), code
