# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of session_ring."""

from __future__ import annotations

from typing import Dict

from .bounds import RING
from .ring_rotate import BEGIN, NO

VERBS = ("status", "init", "stage", "promote", "retire", "advance", "revoke", "absent", "present", "forget", "tell")

ARGUMENT_SPEC: Dict[str, Dict[str, object]] = {
    "ring_store": {"type": "dict", "required": True},
    "verb": {"type": "str", "choices": list(VERBS), "default": "status"},
    "group": {"type": "str", "default": "session_fleet"},
    "scopes": {"type": "list", "elements": "dict", "default": []},
    "passphrases": {"type": "list", "elements": "str", "no_log": True},
    "report": {"type": "dict"},
    "begin": {"type": "str", "choices": list(BEGIN), "default": NO},
    "interval": {"type": "int", "default": RING["interval"].default},
    "drift": {"type": "int", "default": RING["drift"].default},
    "drain": {"type": "int", "default": RING["drain"].default},
    "endless": {"type": "int"},
    "earlier_max_age": {"type": "int"},
    "fail_drift": {"type": "float"},
    "deployed": {"type": "list", "elements": "str", "default": []},
    "key": {"type": "str", "default": "", "no_log": False},
    "node": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": ""},
    "quiet": {"type": "bool", "default": False},
}
