# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The textbook ways to change the key: a playbook of stock modules (textbook/sessions.yml) that puts a list on all nodes."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable

from controller import CACHE
from disturb import Nodes
from load import Tally
from make_secrets import write_private

WAYS = {
    "replace": "a new passphrase everywhere",
    "manual": "the manual's way: append the new one, remove the first",
    "ungated": "the right order, a node away meanwhile, no gates",
}


class ProofError(Exception):
    """Why nothing could be proven, as a sentence."""


class Textbook:
    """An engineer who edits a list of passphrases and runs a playbook."""

    def __init__(self, playbook: Callable[..., Awaitable[None]], nodes: Nodes, max_age: int) -> None:
        self._playbook, self._nodes, self._max_age = playbook, nodes, max_age
        self._old, self._new = secrets.token_urlsafe(32), secrets.token_urlsafe(32)

    async def begin(self) -> None:
        """Configure sessions with the old passphrase."""
        await self._roll_out(self._old)

    async def change(self, way: str, tally: Tally) -> None:
        """Change the key, in one of the ways."""
        old, new = self._old, self._new
        if way == "replace":
            tally.phase = "replace"
            await self._roll_out(new)
        elif way == "manual":
            tally.phase = "append"
            await self._roll_out(old, new)
            # The manual does not ask for it; whoever waits loses as many.
            tally.phase = "wait"
            await asyncio.sleep(self._max_age)
            tally.phase = "remove"
            await self._roll_out(new)
        else:
            away = self._nodes.names[-1]
            tally.phase = "append"
            await self._nodes.stop(away)
            await self._roll_out(old, new, but=away)
            tally.phase = "swap"
            await self._roll_out(new, old, but=away)
            tally.phase = "node returns"
            await self._nodes.start(away)
            await asyncio.sleep(5)
            tally.phase = "heal"
            await self._roll_out(new, old)
            tally.phase = "wait"
            await asyncio.sleep(self._max_age)
            tally.phase = "remove"
            await self._roll_out(new)
        tally.phase = "after"
        await asyncio.sleep(5)

    async def _roll_out(self, *passphrases: str, but: str = "") -> None:
        path = CACHE / "textbook.json"
        write_private(path, json.dumps({"textbook_passphrases": passphrases}).encode())
        await self._playbook("tests/proof/textbook/sessions.yml", "-e", f"@{path}", *(["--limit", f"all:!{but}"] if but else []))
