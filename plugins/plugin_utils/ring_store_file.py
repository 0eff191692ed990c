# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring in a file encrypted with Ansible Vault.

At any moment the file is the whole old or the whole new ring. It is replaced by one ``rename``, under a lock, only if it
is still what was read. The generation before stays beside it, as ``<file>.previous``. Plain text never touches the disk.

Beside ``<file>`` are ``.<file>.lock``, which stays, and, while a ring is saved, ``.<file>.new`` and ``.<file>.kept``. Their
names begin with a dot since Ansible reads every other file of a folder that is an inventory.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.parsing.vault import AnsibleVaultFormatError, VaultLib, match_encrypt_secret, parse_vaulttext_envelope

from ..module_utils.ring import Ring
from .ring_store_base import StoreError, changed_meanwhile, read_ring, write_ring

PATIENCE = 10
"""Seconds to wait for somebody else who is saving, which takes a fraction of one."""

_HEADER = b"$ANSIBLE_VAULT;"
_HOW_TO_GIVE = "--vault-id, --vault-password-file or --ask-vault-pass, or vault_password_file in ansible.cfg"


class FileStore:
    """An encrypted file.

    :param path: absolute. A symbolic link stays one: what it points to is replaced.
    :param vault_id: whose secret encrypts a file that is made new. One that is there keeps its secret and its label.
    :param secrets: pairs of vault id and secret, as Ansible was given them.
    """

    def __init__(self, path: str, vault_id: str, secrets: Sequence[tuple[str, Any]]) -> None:
        self.where = path
        self._vault_id = vault_id
        self._secrets = list(secrets)

    def load(self) -> tuple[Ring | None, str | None]:
        """The ring, and the hash of the file's bytes; None and None where there is no file."""
        data = self._read(os.path.realpath(self.where))
        return (None, None) if data is None else (self._ring(data), _hash(data))

    def save(self, ring: Ring, token: str | None) -> None:
        """Replace the file that ``token`` came with."""
        text = write_ring(ring, self.where)
        file = os.path.realpath(self.where)
        with self._lock(file):
            old = self._read(file)
            if token != (None if old is None else _hash(old)):
                raise changed_meanwhile(self.where, self._ring_or_none(old))
            vault_id, secret = self._new_secret() if old is None else self._decrypt(old)[1:]
            self._replace(file, old, VaultLib().encrypt(text, secret, vault_id))

    # What the file holds

    def _read(self, file: str) -> bytes | None:
        try:
            # A pipe must not make us wait.
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.where} cannot be read: {error.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise StoreError(f"{self.where} is no file: name the file that the ring is in, or will be")
            with os.fdopen(handle, "rb", closefd=False) as opened:
                return opened.read()
        except OSError as error:
            raise StoreError(f"{self.where} cannot be read: {error.strerror}") from None
        finally:
            os.close(handle)

    def _ring(self, data: bytes) -> Ring:
        try:
            text = self._decrypt(data)[0].decode("utf-8")
        except UnicodeDecodeError:
            raise StoreError(f"{self.where} is damaged: it is not UTF-8. {self._before()}") from None
        return read_ring(text, self.where, self._before())

    def _ring_or_none(self, data: bytes | None) -> Ring | None:
        try:
            return None if data is None else self._ring(data)
        except StoreError:
            return None

    def _decrypt(self, data: bytes) -> tuple[bytes, str | None, Any]:
        """What the file holds, its label (None: it has none), and the secret that opened it."""
        if not data.startswith(_HEADER):
            what = "is not encrypted: encrypt it with ansible-vault encrypt" if data.strip() else "is empty"
            raise StoreError(f"{self.where} {what}. {self._before()}")
        if not self._secrets:
            raise StoreError(f"{self.where} is encrypted, and Ansible was given no vault secret: give one by {_HOW_TO_GIVE}")
        try:
            _body, version, _cipher, label = parse_vaulttext_envelope(data)
            plain, _vault_id, secret = VaultLib(self._secrets).decrypt_and_get_vault_id(data)
        except AnsibleVaultFormatError:
            raise StoreError(f"{self.where} is damaged: Ansible Vault cannot read its form. {self._before()}") from None
        except AnsibleError:
            raise StoreError(
                f"{self.where}: none of the vault secrets that Ansible was given opens it ({self._vault_ids()}): give the one "
                f"that it is encrypted with, by {_HOW_TO_GIVE}. If it is the right one, the file is damaged. {self._before()}"
            ) from None
        # A file without a label is said to have Ansible's default one.
        return plain, label if version == b"1.2" else None, secret

    def _new_secret(self) -> tuple[str, Any]:
        """Label and secret for a file that is made new, by the rules of ansible-vault."""
        if not self._secrets:
            raise StoreError(f"{self.where} must be encrypted, and Ansible was given no vault secret: give one by {_HOW_TO_GIVE}")
        wanted = self._vault_id or C.DEFAULT_VAULT_ENCRYPT_IDENTITY
        if not wanted and len(self._secrets) > 1:
            raise StoreError(
                f"{self.where}: Ansible was given several vault secrets ({self._vault_ids()}): say which one "
                "encrypts the ring, as vault_id of session_ring_store"
            )
        try:
            vault_id, secret = match_encrypt_secret(self._secrets, wanted)
        except AnsibleError:
            raise StoreError(
                f"{self.where}: Ansible was given no vault secret for the vault id {wanted}, it has {self._vault_ids()}"
            ) from None
        return vault_id, secret

    def _vault_ids(self) -> str:
        return ", ".join(str(vault_id) for vault_id, _secret in self._secrets)

    def _before(self) -> str:
        previous = os.path.realpath(self.where) + ".previous"
        return f"The generation before is at {previous}" if os.path.exists(previous) else "No generation before is kept beside it"

    # Replacing it

    @contextmanager
    def _lock(self, file: str) -> Iterator[None]:
        """A file of its own is locked, since the ring's is another one after each save, and a folder cannot be on NFS."""
        try:
            handle = os.open(_beside(file, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            raise StoreError(f"{self.where} cannot be made: there is no folder {os.path.dirname(file)}") from None
        except OSError as error:
            raise StoreError(
                f"{self.where} cannot be locked: {_beside(file, 'lock')}: {error.strerror}. "
                "It needs to be saved by the one whose it is, in a folder of theirs"
            ) from None
        try:
            with suppress(OSError):
                _give_to_owner(handle, os.stat(file))
            self._wait_for(handle)
            yield
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise StoreError(
                        f"{self.where}: somebody else has been saving it for {PATIENCE} s. Nothing was saved: "
                        "look for another ansible-playbook that hangs, end it, and run the same command again"
                    ) from None
            except OSError as error:
                why = f"{self.where} is on a file system without locks ({error.strerror})"
                raise StoreError(f"{why}: keep it on another") from None
            time.sleep(0.02)

    def _replace(self, file: str, old: bytes | None, new: bytes) -> None:
        fresh, kept = _beside(file, "new"), _beside(file, "kept")
        try:
            _remove(fresh, kept)
            owner = None if old is None else os.stat(file)
            _write(fresh, new, owner)
            if old is not None:
                _write(kept, old, owner)
                os.replace(kept, file + ".previous")
            os.replace(fresh, file)
        except OSError as error:
            raise StoreError(f"{self.where} was not saved and is as it was: {error.filename or file}: {error.strerror}") from None
        finally:
            with suppress(OSError):
                _remove(fresh, kept)
        try:
            _sync_folder(os.path.dirname(file))
        except OSError as error:
            raise StoreError(
                f"{self.where} was saved, but the disk does not confirm it ({error.strerror}): look after the disk"
            ) from None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _beside(file: str, what: str) -> str:
    folder, name = os.path.split(file)
    return os.path.join(folder, f".{name}.{what}")


def _remove(*files: str) -> None:
    for file in files:
        with suppress(FileNotFoundError):
            os.unlink(file)


def _write(file: str, data: bytes, owner: os.stat_result | None) -> None:
    """A new file, on the disk when this returns. ``owner``: the file whose owner it shall have."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as opened:
        os.fchmod(handle, 0o600)
        if owner is not None:
            _give_to_owner(handle, owner)
        opened.write(data)
        opened.flush()
        os.fsync(handle)


def _give_to_owner(handle: int, owner: os.stat_result) -> None:
    """Root may save for others. Anybody else who takes a file over would lock its owner out, and is refused."""
    if os.fstat(handle).st_uid != owner.st_uid:
        try:
            os.fchown(handle, owner.st_uid, owner.st_gid)
        except OSError:
            raise OSError(errno.EPERM, f"it belongs to the user with id {owner.st_uid}, who has to save it") from None


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot; they order their writes themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)
