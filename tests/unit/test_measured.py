# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's table, picture and page. How fast anything is, no test says."""

from __future__ import annotations

import importlib.util
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("measured", ROOT / "tests" / "bench" / "measured.py")
assert _spec and _spec.loader
measured = importlib.util.module_from_spec(_spec)
sys.modules["measured"] = measured  # a dataclass looks its module up
_spec.loader.exec_module(measured)

AB = """Concurrency Level:      16
Failed requests:        0
Requests per second:    566.31 [#/sec] (mean)
"""
SERVED = "Percentage served,Time in ms\n0,0.5\n50,21.8\n99,119.0\n"


@pytest.mark.parametrize(("ours", "theirs", "more", "target", "met"), [
    ([1, 9, 2], [4, 4, 4], False, 0.5, True),
    ([3], [4], False, 0.5, False),
    ([180], [100], True, 1.8, True),
    ([170], [100], True, 1.8, False),
])
def test_target(ours, theirs, more, target, met):
    assert measured.Row("a", "b", ours, theirs, "s", target, more).met == met


def test_table():
    row = measured.Row("deploy", "ping", [2.5, 1.25, 900], [1, 1, 1], "s", 4)
    assert measured.ratios([row]).splitlines()[2] == (
        "| deploy | ping | 2.5 s (1.25 to 900) | 1 s (1 to 1) | **2.50 x** | <= 4 x | yes | 3 |")


def test_ab():
    assert measured.answers(AB, SERVED) == (566.31, 21.8, 119.0)


@pytest.mark.parametrize("output", ["", AB.replace("requests:        0", "requests:        3"), AB + "Non-2xx responses: 5\n"])
def test_ab_that_failed(output):
    with pytest.raises(ValueError):
        measured.answers(output, SERVED)


def test_page():
    page = "before\n<!-- ratios: begin -->\nold\n<!-- ratios: end -->\nafter\n"
    new = measured.put(page, "ratios", "| table |\n")
    assert new == "before\n<!-- ratios: begin -->\n\n| table |\n\n<!-- ratios: end -->\nafter\n"
    assert measured.put(new, "ratios", "| table |") == new
    with pytest.raises(ValueError):
        measured.put(page, "costs", "")


@pytest.mark.parametrize("name", ["ratios", "costs"])
def test_the_page_has_a_place_for_each(name):
    measured.put((ROOT / "docs" / "performance.md").read_text(), name, "")


def test_picture():
    drawn = ElementTree.fromstring(measured.plot("t", "hosts", "seconds", {"ping": [(24, 4.0), (6, 2.0)], "deploy": [(6, 9.0)]}))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    across = [float(point.split(",")[0]) for point in lines[0].get("points").split()]
    assert across == sorted(across) and 0 < across[0] and across[-1] <= measured.WIDTH
