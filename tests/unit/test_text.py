# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a server says is shown on one line, bounded, and without a character that a terminal acts on."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from plugins.module_utils.text import CUT, MOST, printable


@pytest.mark.parametrize(("said", "shown"), [
    ("", ""),
    ("httpd ended with status 1", "httpd ended with status 1"),
    ("Größe: 3 €, 漢字, שלום, 🙂", "Größe: 3 €, 漢字, שלום, 🙂"),
    ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
    ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
    ("\x9b31m", "\\x9b31m"),
    ("a\r\nb\tc\vd\fe", "a  b c d e"),
    ("a\u2028b\u2029c\u00a0d\u0085e", "a b c d e"),
    ("\u202egnp.exe\u2066\u2069\u200f", "\\u202egnp.exe\\u2066\\u2069\\u200f"),
    ("zero\u200bwidth\ufeff\u00ad", "zero\\u200bwidth\\ufeff\\xad"),
    ("\ud800 and \udcff", "\\ud800 and \\udcff"),
    ("\U000e0041", "\\U000e0041"),
    ("\x00\x7f", "\\x00\\x7f"),
    ("C:\\x1b", "C:\\x1b"),
    (None, "None"),
    (float("nan"), "nan"),
    pytest.param(1 << 40000, "int", id="a number of thousands of digits"),
    ({"a": "\x1b"}, "{'a': '\\x1b'}"),
])
def test_what_is_shown(said, shown):
    assert printable(said) == shown


def test_no_character_at_all_reaches_a_terminal_as_a_command():
    for code in range(sys.maxunicode + 1):
        shown = printable(chr(code))
        assert shown.isprintable()
        shown.encode("utf-8")
        assert not any(unicodedata.category(letter).startswith("C") for letter in shown)


@pytest.mark.parametrize("letter", ["x", "\x1b", "\U000e0041", "\n"])
@pytest.mark.parametrize("most", [3, 10, 300, MOST])
def test_a_long_text_is_cut_and_says_so(letter, most):
    shown = printable(letter * 100_000, most)
    assert len(shown) == most
    assert shown.endswith(CUT)
    assert printable("x" * most, most) == "x" * most
