# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers, nodes and log files say, made safe to show: in a terminal, a report, a metric or a log."""

from __future__ import annotations

from typing import Any

MOST = 2000
"""Characters of a text that are shown unless a caller wants fewer."""

CUT = "..."
"""Stands at the end of a text that was longer."""


def printable(text: object, most: int = MOST) -> str:
    r"""A text on one line, without anything that a terminal or a viewer would act on.

    Control characters (ESC among them), characters that turn the direction of writing, invisible ones and lone surrogates
    become backslash escapes such as ``\x1b`` and ``\u202e``; white space of any kind becomes a blank. All other letters stay.
    Markup is not touched: what writes HTML or Prometheus escapes for it. The work does not grow beyond ``most``.

    :param text: anything; what is no text is shown as ``str`` shows it.
    :param most: characters of the result at most, at least ``len(CUT)``.
    """
    try:
        whole = text if isinstance(text, str) else str(text)
    except ValueError:  # a number of thousands of digits
        whole = type(text).__name__
    if len(whole) <= most and whole.isprintable():
        return whole
    shown = "".join(map(_shown, whole[:most + 1]))
    return shown if len(shown) <= most else shown[:most - len(CUT)] + CUT


def clean(data: Any) -> Any:
    """The same plain data (dictionaries, lists, texts, numbers), with each text in it :func:`printable`."""
    if isinstance(data, str):
        return printable(data)
    if isinstance(data, dict):
        return {clean(name): clean(value) for name, value in data.items()}
    return [clean(value) for value in data] if isinstance(data, (list, tuple)) else data


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else letter.encode("unicode_escape").decode("ascii")
