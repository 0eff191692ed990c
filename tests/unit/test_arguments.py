# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible hands to an action is plain text before anything looks at it."""

from __future__ import annotations

import pytest

from plugins.plugin_utils.arguments import plain

from .installed import ROOT


class Encrypted:
    """A string in a vault, as ansible-core 2.17 hands it on with jinja2_native."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "text"


@pytest.mark.parametrize("value, expected", [
    (Encrypted(), "text"), ([Encrypted(), "a"], ["text", "a"]), ({"token": Encrypted(), "n": [{"x": Encrypted()}]},
                                                                 {"token": "text", "n": [{"x": "text"}]}),
    ("a", "a"), (1, 1), (None, None), (True, True), ((1, 2), [1, 2]), ({}, {}),
])  # fmt: skip
def test_values_in_a_vault_are_text(value, expected):
    assert plain(value) == expected


@pytest.mark.parametrize("path", sorted(ROOT.glob("plugins/action/*.py")), ids=lambda path: path.name)
def test_every_action_does_it_first(path):
    lines = [line for line in path.read_text().splitlines() if "_task.args" in line or "super().run(" in line]
    assert len(lines) == 1 or lines[1].strip() == "self._task.args = plain(self._task.args)", lines
