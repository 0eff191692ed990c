# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: a table for people, JSON for programs, and whether it proves what it should."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from controller import CACHE
from load import Load

COLUMNS = {
    "way": "title", "sessions": "sessions", "rotations": "rotations", "requests": "requests", "requests/s": "rate",
    "errors": "errors", "sessions lost": "lost", "AH01842": "messages", "p50 ms": "p50", "p99 ms": "p99", "seconds": "seconds",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One way, measured. ``lost``: clients who lost their session at least once; ``alive``: sessions alive at the end."""

    way: str
    title: str
    sessions: int
    rotations: int
    requests: int
    rate: float
    errors: int
    lost: int
    alive: int
    messages: int
    p50: float
    p99: float
    seconds: float
    more: dict[str, object]

    @classmethod
    def of(
        cls, way: str, title: str, rotations: int, load: Load, alive: int, messages: Mapping[str, int], details: object
    ) -> Result:
        """The result of a load that has ended."""
        tally = load.tally
        by_phase = Counter(loss.phase for loss in tally.losses)
        more: dict[str, object] = {
            "resets": len(tally.losses),
            "resets_by_phase": dict(by_phase),
            "first_losses": [asdict(loss) for loss in tally.losses[:50]],
            "errors_by_phase": {f"{phase}: {why}": count for (phase, why), count in sorted(tally.errors.items())},
            "connections_opened_again": tally.reopened,
            "cookies_expired_before_use": tally.expired,
            "answers_by_node": dict(sorted(tally.nodes.items())),
            "messages_by_node": dict(messages),
            "happened": asdict(details) if details is not None else {},  # type: ignore[call-overload]
        }
        return cls(
            way, title, len(load.clients), rotations, tally.requests, round(tally.requests / load.seconds, 1),
            sum(tally.errors.values()), tally.sessions_lost, alive, sum(messages.values()),
            round(tally.percentile(0.5) * 1000, 1), round(tally.percentile(0.99) * 1000, 1), round(load.seconds, 1), more,
        )  # fmt: skip

    def sentence(self) -> str:
        """The result in short."""
        return (f"{self.lost} of {self.sessions} sessions lost; {self.requests} requests, "
                f"{self.errors} errors, {self.messages} messages AH01842, {self.seconds:.0f} s")

    def wrong(self, ours: bool) -> list[str]:
        """Why this does not prove what it should, as sentences."""
        found = []
        if self.more["cookies_expired_before_use"]:
            late = self.more["cookies_expired_before_use"]
            found.append(f"{self.title}: {late} cookies expired before their clients used them: the machine is too slow for this "
                         "load, try a lower --rate or a higher --max-age")
        if not ours:
            if self.way == "replace" and self.lost == 0:
                found.append(f"{self.title}: no session lost, where all must be: the clients are blind")
            return found
        if self.lost:
            found.append(f"{self.lost} sessions were LOST; the first of them: {self.more['first_losses'][0]}")  # type: ignore[index]
        if self.alive != self.sessions:
            found.append(f"only {self.alive} of {self.sessions} sessions are alive at the end")
        if self.messages:
            found.append(f"nodes could not decrypt {self.messages} cookies of users (AH01842): {self.more['messages_by_node']}")
        happened = self.more["happened"]
        missed = happened["not_killed"]  # type: ignore[index]
        if missed:
            found.append(f"the controller was never killed in: {'; '.join(missed)}; run it again")
        return found


def write(results: Sequence[Result], options: Mapping[str, object]) -> str:
    """Keep the results in .cache/proof; the table."""
    rows = [list(COLUMNS)] + [[_cell(getattr(result, name)) for name in COLUMNS.values()] for result in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    table = "\n".join(lines)
    (CACHE / "result.md").write_text(table + "\n")
    found = {"options": dict(options), "results": [asdict(result) for result in results]}
    (CACHE / "result.json").write_text(json.dumps(found, indent=1) + "\n")
    return f"\n{table}\n\nMore of it: .cache/proof/result.json; what each run of ansible-playbook printed: .cache/proof/outputs/"


def _cell(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)
