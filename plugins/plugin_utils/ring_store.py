# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store that ``session_ring_store`` names: a file encrypted with Ansible Vault. docs/ring-stores.md is for its users."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .ring_store_base import Conflict, Store, StoreError
from .ring_store_file import FileStore

__all__ = ["Conflict", "Store", "StoreError", "open_store"]


def open_store(spec: Any, loader: Any) -> Store:
    """The store that the variable ``session_ring_store`` names. Nothing is read yet.

    :param spec: ``{file: path, vault_id: label for a new file}``.
    :param loader: Ansible's DataLoader, which knows the secrets of Ansible Vault.
    :raises StoreError: a specification that is wrong.
    """
    if not isinstance(spec, Mapping):
        raise StoreError("session_ring_store must be a mapping: file: {{ playbook_dir }}/session_ring.vault")
    values = _texts(spec, "session_ring_store", ("file", "vault_id"))
    path = values.get("file", "")
    if not path:
        raise StoreError("session_ring_store names no store: give it a file")
    if not os.path.isabs(path):
        raise StoreError(
            f"session_ring_store: file {path} is no absolute path, so that it would be another file in another folder: "
            "begin it with {{ inventory_dir }}/ or {{ playbook_dir }}/"
        )
    # Ansible has no other way to its secrets in all the versions that this collection runs on.
    return FileStore(path, values.get("vault_id", ""), loader._vault.secrets or [])


def _texts(spec: Mapping[str, Any], name: str, known: tuple[str, ...]) -> dict[str, str]:
    """The options of a mapping as texts, without those that are empty."""
    for option in spec:
        if option not in known:
            raise StoreError(f"{name} has no option {option}; it has {', '.join(known)}")
    values = {}
    for option, value in spec.items():
        if isinstance(value, (Mapping, list, tuple, bool, int, float)):
            raise StoreError(f"{name}: {option} must be a text")
        if value is not None and str(value).strip():
            values[str(option)] = str(value).strip()
    return values
