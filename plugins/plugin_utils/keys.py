# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that a task was given: a plain list of passphrases, or a ring, read whole from its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils.passphrases import PassphraseError, validate
from ..module_utils.ring import Ring
from ..module_utils.ring_status import warnings as ring_warnings

BOTH = (
    "session_keys_passphrases and session_ring_store are both set: the ring is used, the list is not. "
    "Take the list out of the inventory"
)


@dataclass(frozen=True)
class Keys:
    """Passphrases in httpd's order, sentences to warn with, and the ring that they are from, if any."""

    passphrases: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    ring: Ring | None = None


def read_keys(arguments: Mapping[str, Any], loader: Any) -> Keys:
    """The keys that a task's arguments ``passphrases``, ``allow_weak`` and ``ring_store`` give.

    A ring is read in one go, so that keys and generation belong together.

    :param loader: Ansible's DataLoader, which knows the secrets of Ansible Vault.
    :raises AnsibleActionFail: a sentence without any passphrase.
    """
    listed, spec = arguments.get("passphrases"), arguments.get("ring_store")
    if spec:
        return _from_ring(spec, loader, bool(listed))
    if listed is None:
        raise AnsibleActionFail(
            "there are no keys: set session_keys_passphrases (a list, from Ansible Vault), or session_ring_store"
        )
    try:
        passphrases, warnings = validate(listed, boolean(arguments.get("allow_weak") or False, strict=False))
    except PassphraseError as error:
        raise AnsibleActionFail(str(error)) from error
    return Keys(tuple(passphrases), tuple(warnings))


def _from_ring(spec: Mapping[str, Any], loader: Any, both: bool) -> Keys:
    from .ring_store import StoreError, open_store  # needed only where there is a ring

    try:
        store = open_store(spec, loader)
        ring, _version = store.load()
    except StoreError as error:
        raise AnsibleActionFail(str(error)) from error
    if ring is None:
        raise AnsibleActionFail(
            f"there is no ring yet at {store.where}: make one with ansible-playbook httpd_fleet.mod_session.ring "
            "-e session_ring_verb=init"
        )
    return Keys(ring.passphrases(), (*ring_warnings(ring), *((BOTH,) if both else ())), ring)
