# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark measured, as a table, as a picture, and in a page. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Two things that were measured side by side, in turns.

    ``target``: None where none was set. ``more``: more is better, as with requests per second.
    """

    what: str
    beside: str
    ours: Sequence[float]
    theirs: Sequence[float]
    unit: str
    target: float | None
    more: bool = False

    @property
    def ratio(self) -> float:
        """Ours divided by theirs, of the medians."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def met(self) -> bool:
        """Is the target reached?"""
        if self.target is None:
            return True
        return self.ratio >= self.target if self.more else self.ratio <= self.target

    def cells(self) -> list[str]:
        """The row of the table."""
        sign = ">=" if self.more else "<="
        return [
            self.what, self.beside, _middle(self.ours, self.unit), _middle(self.theirs, self.unit),
            f"**{self.ratio:.2f} x**",
            *(("", "") if self.target is None else (f"{sign} {self.target:g} x", "yes" if self.met else "no")),
            str(len(self.ours)),
        ]  # fmt: skip


HEAD = ("what", "compared with", "ours", "theirs", "ratio", "target", "reached", "runs")


def _middle(values: Sequence[float], unit: str) -> str:
    """The median, and where there are several the lowest and the highest."""
    text = f"{number(statistics.median(values))} {unit}"
    return text if len(values) == 1 else f"{text} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def ratios(rows: Sequence[Row]) -> str:
    """The one table."""
    return markdown(HEAD, [row.cells() for row in rows])


def put(page: str, name: str, content: str) -> str:
    """The page with this content between its two markers of that name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page has no one place for {name}")
    before, rest = page.split(begin)
    return before + begin + "\n" + content.strip("\n") + "\n\n" + end + rest.split(end)[1]


def answers(output: str, percentages: str) -> tuple[float, float, float]:
    """Requests per second, and the 50th and 99th percentile in ms, of what ab printed and wrote with ``-e``."""
    if re.search(r"Non-2xx|Failed requests: +[1-9]", output):
        raise ValueError(f"not all requests were answered:\n{output}")
    rate = re.search(r"Requests per second: +([0-9.]+)", output)
    if not rate:
        raise ValueError(f"this is not of ab:\n{output}")
    served = dict(line.split(",") for line in percentages.splitlines()[1:])
    return float(rate.group(1)), float(served["50"]), float(served["99"])


COLOURS = ("#0b6e99", "#d9730d", "#6940a5", "#0f7b6c")
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 380, 60, 30, 20, 50


def plot(title: str, across: str, up: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """An SVG: lines of points, their names beside them."""
    points = [point for line in lines.values() for point in line]
    far, high = max(x for x, _y in points), max(y for _x, y in points) * 1.1

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / far * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / high * (HEIGHT - TOP - BOTTOM)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{WIDTH / 2}" y="18" text-anchor="middle" font-weight="bold">{title}</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{across}</text>',
        f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})">{up}</text>',
    ]
    for step in range(5):
        y = place(0, high * step / 4)[1]
        drawn.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(high * step / 4) if step else 0}</text>')
    for x in sorted({x for x, _y in points}):
        drawn.append(f'<text x="{place(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    for (name, line), colour in zip(lines.items(), COLOURS):
        placed = [place(*point) for point in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        x, y = placed[-1]
        drawn.append(f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join([*drawn, "</svg>"]) + "\n"
