# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Ansible finds this collection and those of others: ansible-test has them side by side, make has links in .cache."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SIDE_BY_SIDE = ROOT.parents[1].name == "ansible_collections"
# Folders with an ansible_collections in them.
OURS = ROOT.parents[2] if _SIDE_BY_SIDE else ROOT / ".cache" / "dev"
OTHERS = ROOT.parents[2] if _SIDE_BY_SIDE else ROOT / ".cache" / "vendor"
