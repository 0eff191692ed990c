#!/usr/bin/env python3
# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the demo's secrets, once: the password of Ansible Vault, and a certificate authority.

.cache/demo/vault-password      opens the ring of keys, session_ring.vault beside it, which the playbook ring makes
.cache/demo/ca.pem, shop.pem    the authority, and the load balancer's certificate with its key
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "demo"
VAULT_PASSWORD = CACHE / "vault-password"
AUTHORITY, SITE = CACHE / "ca.pem", CACHE / "shop.pem"
NAME, ADDRESS = "shop.example.test", "127.0.31.10"


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        output.write(content)
    draft.replace(path)


def make_certificates(authority_file: Path, site_file: Path, name: str, address: str) -> None:
    """An authority for one year, and a certificate of it for the load balancer. The authority's key is thrown away."""
    now = datetime.datetime.now(datetime.timezone.utc)
    authority_key, site_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The demo's certificate authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())

    def builder(owner: x509.Name, key: ec.EllipticCurvePublicKey, authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(issuer, owner, key, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer_id, critical=False)
        )

    signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority = builder(issuer, authority_key.public_key(), True).add_extension(signs, critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))])
    serves = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    site = builder(subject, site_key.public_key(), False).add_extension(names, False).add_extension(serves, False)
    pem = serialization.Encoding.PEM
    authority_file.write_bytes(authority.sign(authority_key, hashes.SHA256()).public_bytes(pem))
    key = site_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(site_file, site.sign(authority_key, hashes.SHA256()).public_bytes(pem) + key)


def main() -> None:
    """Make what is missing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not VAULT_PASSWORD.exists():
        write_private(VAULT_PASSWORD, secrets.token_urlsafe(32).encode() + b"\n")
    if not (AUTHORITY.exists() and SITE.exists()):
        make_certificates(AUTHORITY, SITE, NAME, ADDRESS)


if __name__ == "__main__":
    main()
