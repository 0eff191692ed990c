# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every number of the ring and the check: its edges are taken, what is beyond them is refused by name, and documented."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from plugins.module_utils.bounds import CHECK, RING, BoundError, read_all
from plugins.module_utils.check_options import ARGUMENT_SPEC as CHECK_SPEC
from plugins.module_utils.ring import Margins
from plugins.module_utils.ring_options import ARGUMENT_SPEC as RING_SPEC

ROOT = Path(__file__).parents[2]
ALL = [(of, option, bound) for of, table in (("ring", RING), ("check", CHECK)) for option, bound in table.items()]
NAMES = [f"{of} {option}" for of, option, _bound in ALL]
each = pytest.mark.parametrize("bound", [bound for _of, _option, bound in ALL], ids=NAMES)


@each
def test_both_edges_are_taken_as_numbers_and_as_texts(bound):
    for value in (bound.low, bound.high):
        for given in (value, str(value), f" {value} ", float(value)):
            found = bound.read(given)
            assert found == value and isinstance(found, int if bound.whole else float)


@each
@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_nothing_is_the_default(bound, nothing):
    assert bound.read(nothing) == bound.default


@each
@pytest.mark.parametrize(
    "bad",
    ["1h", "60s", "-", "+5", "1e3", "0x10", "nan", "inf", "1,5", "1 0", "\u0661", "true", "yes", "{{ x }}", "9" * 400,
     math.nan, math.inf, -math.inf, True, False, -1, -0.5, -3600, "-3600", 10**12, 10**400, [60], {}, b"60"],
    ids=lambda bad: repr(bad)[:20],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_expected(bound, bad):
    with pytest.raises(BoundError) as refused:
        bound.read(bad)
    assert str(refused.value).startswith(f"{bound.variable}: found ")
    assert str(refused.value).endswith(f"number of {bound.unit} from {bound.low} to {bound.high}")


@each
def test_just_beyond_the_edges_is_refused(bound):
    beyond = (bound.low - 1, bound.high + 1, bound.low + 0.5) if bound.whole else (bound.low - 0.0005, bound.high + 0.5)
    for value in beyond:
        for given in (value, str(value)):
            with pytest.raises(BoundError):
                bound.read(given)


def test_a_task_gets_its_numbers_read_and_its_defaults_and_keeps_the_rest():
    found = read_all(RING, {"verb": "status", "drift": "90", "endless": ""})
    assert found["verb"] == "status" and found["drift"] == 90 and found["endless"] is None
    assert (found["drain"], found["interval"]) == (Margins.drain, 7776000) and RING["drift"].default == Margins.drift


@pytest.mark.parametrize(("of", "option", "bound"), ALL, ids=NAMES)
def test_the_module_and_the_docs_say_the_bounds(of, option, bound):
    text = (ROOT / f"plugins/modules/session_{of}.py").read_text().split('DOCUMENTATION = r"""')[1].split('"""')[0]
    documented = yaml.safe_load(text)["options"][option]
    said = documented["description"]
    words = said if isinstance(said, str) else " ".join(said)
    assert f"rom {bound.low} to {bound.high}" in words
    spec = (RING_SPEC if of == "ring" else CHECK_SPEC)[option]
    assert spec.get("default") == documented.get("default") == bound.default
    assert spec["type"] == documented["type"] == ("int" if bound.whole else "float")
    page = ROOT / "docs" / ("check.md" if bound.variable.startswith("session_check") else "rotation.md")
    cells = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    (row,) = [row for row in cells if row[1].strip() == f"`{bound.variable}`"]
    assert f"{bound.low} to {bound.high}" in row[2]


@pytest.mark.parametrize(
    ("margins", "tolerance", "words"),
    [
        (Margins(), 0, ""),
        (Margins(), 15, ""),
        (Margins(), 15.01, "session_ring_drift is 60 s: expected at least 60.04 s"),
        (Margins(drift=1), 0.25, ""),
        (Margins(drift=1), 5, "at least 20 s, four times the difference of clocks that the check lets pass, 5 s"),
        (Margins(drift=0), 0, "1 s at least"),
        (Margins(drift=-3600), 5, "1 s at least"),
        (Margins(drain=0), 5, "1 s at least"),
        (Margins(drain=-300), 0, "1 s at least"),
        (Margins(endless=0), 0, "1 s at least"),
    ],
)
def test_margins_that_are_not_safe_are_named(margins, tolerance, words):
    found = margins.problem(tolerance)
    assert (words in found) if words else not found
