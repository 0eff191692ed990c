# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a host that is not there: it answers at once what a node would, so that only the controller is measured."""

from __future__ import annotations

import json

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: answered
short_description: Answers for hosts that are not there
description: For a benchmark of the controller's memory.
author: The httpd_fleet.mod_session authors (@httpd-fleet)
options: {}
"""

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
APPLIED = {
    "changed": False, "changes": [], "undone": [], "diff": [],
    "invocation": {"module_args": {
        "passphrases": HIDDEN, "ring_store": None, "allow_weak": False, "store": None, "only_keys": True, "ring": None,
        "allow_loss": False, "scopes": [{"name": "app", "path": "/app", "max_age": 3600}],
        "probes": [{"scope": "app", "marker": "m" * 32, "cookies": HIDDEN}],
    }},
}  # fmt: skip
PONG = {"ping": "pong", "invocation": {"module_args": {"data": "pong"}}}


class Connection(ConnectionBase):
    """Modules come through pipelining; the text that starts one names it."""

    transport = "answered"
    has_pipelining = True

    def _connect(self):
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """The answer to a module."""
        answer = APPLIED if b"session_apply" in (in_data or b"") else PONG
        return 0, json.dumps(answer).encode(), b""

    def put_file(self, in_path, out_path):
        """Nowhere."""

    def fetch_file(self, in_path, out_path):
        """From nowhere."""

    def close(self):
        """Nothing is open."""
