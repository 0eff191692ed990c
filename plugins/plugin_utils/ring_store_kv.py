# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ring as a secret of HashiCorp Vault or OpenBao: a KV version 2 engine, one field ``ring`` with the ring's JSON.

The server counts the versions of a secret; a save names the one that it replaces, and the server refuses any other.
The library hvac is imported only where such a store is used. Neither the token nor an exception of a library, which may
print it, gets into a sentence.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from ..module_utils.ring import Ring
from .ring_store_base import StoreError, changed_meanwhile, read_ring, write_ring

TIMEOUT = 10
"""Seconds for connecting, and again for each answer."""

FIELD = "ring"
_CONFLICT = "check-and-set parameter did not match"


@dataclass(frozen=True)
class Place:
    """Which secret of which server, and how it is reached. ``ca``: a file of certificates; empty: the system's."""

    address: str
    mount: str
    path: str
    token: str = field(repr=False)
    namespace: str = ""
    ca: str = ""


def place(values: Mapping[str, str], environment: Mapping[str, str]) -> Place:
    """The place that an operator names; what is left out is taken from where the server's own command takes it.

    :param values: the options under ``kv``, without empty ones.
    :raises StoreError: something is missing or cannot be meant.
    """
    name = "session_ring_store: kv"
    address = (values.get("address") or _from(environment, "ADDR")).rstrip("/")
    token = values.get("token") or _from(environment, "TOKEN") or _token_file(environment)
    mount, path = values.get("mount", "secret").strip("/"), values.get("path", "").strip("/")
    ca = values.get("ca") or _from(environment, "CACERT")
    if not address:
        raise StoreError(f"{name} has no address: give one such as https://vault.example.com:8200, or set BAO_ADDR or VAULT_ADDR")
    _check_address(address, name)
    if not path:
        raise StoreError(f"{name} has no path: give the secret's, such as session/ring")
    if any(part in ("", ".", "..") for part in f"{mount}/{path}".split("/")):
        raise StoreError(f"{name}: {mount}/{path} is no path of a secret")
    if not token:
        raise StoreError(f"{name} has no token: give one, set BAO_TOKEN or VAULT_TOKEN, or log in with bao login or vault login")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise StoreError(f"{name}: the token has characters that no token has (it is not shown here)")
    if ca and not os.path.isfile(ca):
        raise StoreError(f"{name}: there is no file {ca}, which ca names")
    return Place(address, mount, path, token, values.get("namespace") or _from(environment, "NAMESPACE"), ca)


def _from(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(f"BAO_{name}") or environment.get(f"VAULT_{name}") or "").strip()


def _token_file(environment: Mapping[str, str]) -> str:
    """Where ``bao login`` and ``vault login`` leave a token."""
    try:
        with open(os.path.join(environment.get("HOME", ""), ".vault-token"), encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _check_address(address: str, name: str) -> None:
    try:
        url = urlsplit(address)
        host = url.hostname or ""
        good = url.scheme in ("http", "https") and host and not url.username and not url.query and (url.port or 1)
    except ValueError:
        good, host, url = False, "", urlsplit("")
    if not good:
        raise StoreError(f"{name}: the address is no URL such as https://vault.example.com:8200")
    if url.scheme == "http" and not _loopback(host):
        raise StoreError(f"{name}: {address} would send the keys unencrypted: use https, or an agent on this machine")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class KVStore:
    """A secret in a KV version 2 engine. The token of :meth:`load` is its version, 0 where there is none."""

    def __init__(self, where: Place) -> None:
        self._place = where
        namespace = f" in the namespace {where.namespace}" if where.namespace else ""
        self.where = f"{where.address}, {where.mount}/{where.path}{namespace}"
        self._client: Any = None

    def load(self) -> tuple[Ring | None, int]:
        """The ring and its version."""
        text, version = self._read()
        return (None, 0) if text is None else (read_ring(text, self.where, self._versions()), version)

    def save(self, ring: Ring, token: int) -> None:
        """Make the version after ``token``."""
        text = write_ring(ring, self.where)
        try:
            self._ask("post", self._secret(), json={"options": {"cas": token}, "data": {FIELD: text}})
        except _NotDone as error:
            # An answer may be lost, or a proxy may have asked twice: what is there now tells.
            there = self._read_or_none()
            if there == text:
                return
            if not error.conflict:
                raise
            raise changed_meanwhile(self.where, self._ring_or_none(there)) from None

    def _secret(self) -> str:
        return f"/v1/{quote(self._place.mount)}/data/{quote(self._place.path)}"

    def _read(self) -> tuple[str | None, int]:
        """Text and version; None and 0 where there is nothing."""
        try:
            answer = self._ask("get", self._secret())
        except _Nothing:
            self._require_version_2()
            return None, 0
        try:
            fields, version = answer["data"]["data"], int(answer["data"]["metadata"]["version"])
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"{self.where}: this is no secret of a KV version 2 engine") from None
        if fields is None:
            raise StoreError(
                f"{self.where}: version {version}, the latest, was deleted. Restore it (bao kv undelete) or one before it "
                f"(bao kv rollback); only where no node has keys of it, begin anew (bao kv metadata delete). {self._versions()}"
            )
        if set(fields) != {FIELD} or not isinstance(fields[FIELD], str):
            raise StoreError(f"{self.where} holds something else than a ring: give the ring a path of its own")
        return fields[FIELD], version

    def _read_or_none(self) -> str | None:
        try:
            return self._read()[0]
        except StoreError:
            return None

    def _ring_or_none(self, text: str | None) -> Ring | None:
        try:
            return None if text is None else read_ring(text, self.where, "")
        except StoreError:
            return None

    def _versions(self) -> str:
        place = self._place
        return f"The versions that the server keeps: bao kv metadata get -mount={place.mount} {place.path}"

    def _require_version_2(self) -> None:
        """Version 1 would take every save without looking at what it replaces."""
        place = self._place
        try:
            answer = self._ask("get", "/v1/sys/internal/ui/mounts/" + quote(place.mount))
            engine = answer["data"]
            good = engine["type"] == "kv" and (engine["options"] or {}).get("version") == "2"
            mount = engine["path"].strip("/")
        except _Nothing:
            raise StoreError(f"{self.where}: the server has no engine at {place.mount}") from None
        except (KeyError, TypeError):
            raise StoreError(f"{self.where}: the server does not tell what engine is at {place.mount}") from None
        if mount != place.mount:
            raise StoreError(f"{self.where}: the engine's mount is {mount}; what follows it is part of path")
        if not good:
            raise StoreError(f"{self.where}: the engine at {mount} is not KV version 2: name one that is, as mount")

    def _ask(self, method: str, url: str, **options: Any) -> Mapping[str, Any]:
        """The server's answer.

        What hvac has for secrets is not used: it takes a destroyed version for a secret that never was.

        :raises _Nothing: it has nothing there, and had nothing.
        :raises _NotDone: it refused, or did not answer.
        """
        try:
            import hvac
            from hvac import exceptions as refused
            from requests import exceptions as failed
        except ImportError:
            raise StoreError(
                f"{self.where}: this store needs the Python library hvac, for the Python that runs Ansible: "
                f"{sys.executable} -m pip install hvac"
            ) from None
        place = self._place
        if self._client is None:
            self._client = hvac.Client(
                place.address, place.token, verify=place.ca or True, timeout=TIMEOUT, namespace=place.namespace or None
            )
        conflict = False
        try:
            answer = self._client.adapter.request(method, url, **options)
            if isinstance(answer, Mapping):
                return answer
            told = "what answers is no server of Vault or OpenBao: look at the address"
        except refused.VaultError as error:
            said = "; ".join(" ".join(str(one).split()) for one in error.errors or ()).replace(place.token, "***")
            if isinstance(error, refused.InvalidPath) and not said:
                if isinstance(error.json, Mapping) and error.json.get("data"):
                    return error.json
                raise _Nothing(f"{self.where}: the server has nothing there") from None
            conflict = _CONFLICT in said
            told = _told(error, said, place)
        except failed.SSLError as error:
            if "certificate verify failed" in str(error):
                told = "the server's certificate is not trusted: name the file of its authority's certificate, as ca"
            else:
                told = "the server speaks no TLS that we understand: look at the address"
        except failed.Timeout:
            told = f"no answer in {TIMEOUT} s"
        except OSError:
            # Of requests all exceptions are.
            told = "the server cannot be reached: look at the address, and whether it runs"
        raise _NotDone(f"{self.where}: {told}", conflict) from None


def _told(error: Exception, said: str, place: Place) -> str:
    kind = type(error).__name__
    if "sealed" in said:
        return "the server is sealed: have it unsealed"
    if kind in ("Forbidden", "Unauthorized"):
        return (
            f"the server refuses the token: it has ended, or no policy of it allows this on {place.mount}/data/{place.path} "
            "(docs/ring-stores.md has a policy)"
        )
    if "no handler for route" in said:
        return f"the server has no engine at {place.mount}: make a KV version 2 engine, or name the one that it has as mount"
    return f"the server refused: {said or kind}"


class _Nothing(StoreError):
    """The server has nothing at that path, and had nothing."""


class _NotDone(StoreError):
    """The server refused, or did not answer. ``conflict``: the version to replace was another."""

    def __init__(self, sentence: str, conflict: bool) -> None:
        super().__init__(sentence)
        self.conflict = conflict
