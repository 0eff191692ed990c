# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store that ``session_ring_store`` names. docs/ring-stores.md is for those who set one up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible import context
from ansible.module_utils.parsing.convert_bool import boolean

from .ring_store_base import Conflict, ReadOnly, Store, StoreError
from .ring_store_file import FileStore
from .ring_store_kv import KVStore, place

__all__ = ["Conflict", "Store", "StoreError", "open_store"]

_KV = ("address", "mount", "path", "token", "namespace", "ca")


def open_store(spec: Any, loader: Any) -> Store:
    """The store that the variable ``session_ring_store`` names. Nothing is read yet.

    :param spec: ``{file: path, vault_id: for a new file}`` or ``{kv: {address, mount, path, token, namespace, ca}}``; with
        ``read_only: true`` nothing is ever saved there.
    :param loader: Ansible's DataLoader, which knows the secrets of Ansible Vault.
    :raises StoreError: a specification that is wrong.
    """
    name = "session_ring_store"
    if not isinstance(spec, Mapping):
        raise StoreError(f"{name} must be a mapping, with file or kv: see docs/ring-stores.md")
    try:
        if boolean(spec.get("read_only") or False):
            return ReadOnly(open_store({**spec, "read_only": None}, loader))
    except TypeError:
        raise StoreError(f"{name}: read_only must be true or false") from None
    kv = spec.get("kv")
    values = _texts({**spec, "kv": None, "read_only": None}, name, ("file", "vault_id", "kv", "read_only"))
    if bool(kv) == ("file" in values):
        raise StoreError(f"{name} must name one store, file or kv: see docs/ring-stores.md")
    if kv:
        if not isinstance(kv, Mapping):
            raise StoreError(f"{name}: kv must be a mapping with {', '.join(_KV)}")
        return KVStore(place(_texts(kv, f"{name}: kv", _KV), os.environ))
    if not os.path.isabs(values["file"]):
        raise StoreError(
            f"{name}: file {values['file']} is no absolute path, so that it would be another file in another folder: "
            "begin it with {{ inventory_dir }}/group_vars/ or {{ playbook_dir }}/"
        )
    _refuse_inside_inventory(values["file"], name)
    # Ansible has no other way to its secrets in all the versions that this collection runs on.
    return FileStore(values["file"], values.get("vault_id", ""), loader._vault.secrets or [])


def _refuse_inside_inventory(path: str, name: str) -> None:
    """Of a folder that is an inventory Ansible takes every file for a list of hosts, a ring that it can decrypt as well."""
    for source in context.CLIARGS.get("inventory") or ():
        if not os.path.isdir(source):
            continue
        parts = os.path.relpath(path, source).split(os.sep)
        if not any(part.startswith(".") or part in ("group_vars", "host_vars") for part in parts):
            raise StoreError(
                f"{name}: file {path} is in the inventory {source}, where Ansible would take it for a list of hosts: "
                "keep it as {{ inventory_dir }}/group_vars/session_ring.vault, or outside"
            )


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
