# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that are given secrets reach a node through a pipe, never as a file.

Without pipelining, Ansible's default, a module travels as a file with all its arguments in the clear, below
``~/.ansible/tmp``. It stays there when the run is killed, and whenever ``ANSIBLE_KEEP_REMOTE_FILES`` is set. Through a pipe
the interpreter reads it from its standard input; what it unpacks to a temporary file is code, without arguments.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ansible.errors import AnsibleActionFail

PIPED_BECOME = ("su",)
"""Ways to become root that are not marked as able to pipe and are: tried with util-linux's su and a password."""

_NO_TTY = "must have a tty"


class Piped:
    """Mix it in before ActionBase, in an action whose module is given secrets."""

    _connection: Any
    _secret_arguments: dict[str, Any] | None = None

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        """Always, whatever is configured; :meth:`_execute_module` has seen to it that it can be."""
        return True

    def _execute_module(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Run a module as ActionBase does, through a pipe.

        :raises AnsibleActionFail: connection or become method cannot pipe; nothing was sent.
        """
        reason = why_not_piped(self._connection)
        if reason:
            raise AnsibleActionFail(reason)
        # A copy, for it is emptied below, and an action may need its own afterwards.
        self._secret_arguments = named["module_args"] = dict(named["module_args"])
        with _pipelining(self._connection):
            result = super()._execute_module(*arguments, **named)  # type: ignore[misc]
        if result.get("failed") and _NO_TTY in f"{result.get('module_stderr', '')}{result.get('module_stdout', '')}":
            result["msg"] = (
                "sudo on this node asks for a terminal (requiretty in sudoers), and what is given keys is piped, so that no "
                "file with them is left there. Nothing was sent. Take requiretty away for the user of Ansible: "
                "Defaults:USER !requiretty"
            )
        return result

    def _parse_returned_data(self, *arguments: Any, **named: Any) -> Any:
        """The module's answer. Its arguments are forgotten first: ActionBase writes them to the output of ANSIBLE_DEBUG."""
        if self._secret_arguments is not None:
            self._secret_arguments.clear()
        return super()._parse_returned_data(*arguments, **named)  # type: ignore[misc]


def why_not_piped(connection: Any) -> str:
    """Why nothing can be piped through a connection of Ansible, as a sentence; empty where it can."""
    left = "keys would be left in a file on the node. Nothing was sent"
    if not getattr(connection, "has_pipelining", False):
        return (
            f"the connection {connection.transport} cannot pipe a module, so that {left}. "
            "Use another one, such as ansible_connection: ssh"
        )
    become = getattr(connection, "become", None)
    # Up to ansible-core 2.18 no become plugin says it, and every one but su can.
    if become and not getattr(become, "pipelining", become.name != "su") and become.name not in PIPED_BECOME:
        return (
            f"the become method {become.name} cannot pipe a module, so that {left}. "
            "Use another one, such as ansible_become_method: sudo, or log in as root"
        )
    return ""


@contextlib.contextmanager
def _pipelining(connection: Any) -> Any:
    """The connection's own option, switched on for a while: local gives what asks for a password a terminal without it."""
    try:
        before = connection.get_option("pipelining")
    except Exception:  # a connection without that option
        yield
        return
    connection.set_option("pipelining", True)
    try:
        yield
    finally:
        connection.set_option("pipelining", before)
