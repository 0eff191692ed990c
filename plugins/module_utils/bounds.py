# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers that the ring and the check are given: unit, bounds and default of each, and how one is read.

What a variable of an inventory holds may be a number, or a text of one: ``-e name=5`` gives a text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Optional, Union

Number = Union[int, float]
DAY = 86400
LONGEST_AGE = 10 * 365 * DAY
"""Seconds of the longest max age."""

_TEXT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?\Z")


class BoundError(ValueError):
    """A number that is refused. Prints as a sentence that names the variable, what was found and what is expected."""


@dataclass(frozen=True)
class Bound:
    """What one number may be.

    :ivar variable: the inventory's name for it.
    :ivar unit: what it counts.
    :ivar low: and ``high``: the least and the most, both allowed.
    :ivar default: where nothing is given; None: there is none.
    :ivar whole: whether it must be a whole number.
    """

    variable: str
    unit: str
    low: Number
    high: Number
    default: Optional[Number] = None
    whole: bool = True

    def read(self, value: object) -> Optional[Number]:
        """The number that a value stands for; the default for None and an empty text.

        :raises BoundError: for anything that is no number, or out of bounds.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            return self.default
        number = _number(value)
        if number is None or not self.low <= number <= self.high or (self.whole and number != int(number)):
            raise BoundError("%s: found %.100r, expected %s" % (self.variable, value, self.expected))
        return int(number) if self.whole else float(number)

    @property
    def expected(self) -> str:
        """What is expected, as the end of a sentence."""
        return "a %snumber of %s from %s to %s" % ("whole " if self.whole else "", self.unit, self.low, self.high)


def _number(value: object) -> Optional[Number]:
    """A number, or the number that a text holds; None for anything else, true and false among it."""
    if isinstance(value, str) and _TEXT.match(value.strip()):
        return float(value) if "." in value else int(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


RING: Dict[str, Bound] = {
    "interval": Bound("session_ring_interval", "seconds", 60, LONGEST_AGE, 90 * DAY),
    "drift": Bound("session_ring_drift", "seconds", 1, 7 * DAY, 60),
    "drain": Bound("session_ring_drain", "seconds", 1, 7 * DAY, 300),
    "endless": Bound("session_ring_endless", "seconds", 1, LONGEST_AGE),
    "earlier_max_age": Bound("session_ring_earlier_max_age", "seconds", 0, LONGEST_AGE),
    "fail_drift": Bound("session_check_fail_drift", "seconds", 0.001, 3600, None, False),
}
"""The numbers that session_ring takes, by option."""

CHECK: Dict[str, Bound] = {
    "warn_drift": Bound("session_check_warn_drift", "seconds", 0.001, 3600, None, False),
    "fail_drift": RING["fail_drift"],
    "timeout": Bound("session_check_timeout", "seconds", 0.01, 600, 10.0, False),
    "concurrency": Bound("session_check_concurrency", "nodes", 1, 10000, 64),
}
"""The numbers that session_check takes, by option."""


def read_all(table: Dict[str, Bound], options: Dict[str, Any]) -> Dict[str, Any]:
    """The options of a task with each number of a table read, and the defaults filled in.

    :raises BoundError: for the first that is refused.
    """
    return {**options, **{name: bound.read(options.get(name)) for name, bound in table.items()}}
