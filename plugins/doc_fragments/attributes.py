# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules say of themselves: check mode, diff mode, platform, action group."""

from __future__ import annotations


class ModuleDocFragment:
    """A module that extends C(attributes) adds C(support), and C(details) where they are its own."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Runs in check mode, changes nothing and says what it would change.
  diff_mode:
    description: Shows in diff mode what it changes, or would change.
  platform:
    description: Where it runs.
    support: full
    platforms: posix
"""

    # A module that only reads.
    READS = r"""
attributes:
  check_mode:
    support: full
    details: It changes nothing in any mode.
  diff_mode:
    support: none
    details: There is nothing to show.
"""

    # A member of the action group of those that need the keys.
    GROUP = r"""
attributes:
  action_group:
    description: >-
      Takes defaults, such as O(ring_store), from C(group/httpd_fleet.mod_session.session) in C(module_defaults).
    support: full
    membership:
      - httpd_fleet.mod_session.session
"""
