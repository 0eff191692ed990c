# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The session cookie of Apache httpd's mod_session_crypto: which key sealed it, seal it, open it, read its payload.

A sealed cookie of httpd 2.4.25 or later is ``base64(mac[8] | salt[16] | iv | ciphertext)``:

* key = PBKDF2-HMAC-SHA1(passphrase, salt, 4096 rounds), as long as the cipher wants it (apr_crypto_passphrase);
* ciphertext = CBC mode with PKCS#7 padding;
* mac = SipHash-2-4 of everything behind the mac, little-endian, keyed with MD5(passphrase).

So the mac alone names the key, with the standard library and no decryption. Only :func:`seal` and :func:`unseal` need
the package ``cryptography``, imported when they are called. Source of all formulas: httpd's mod_session_crypto.c
(encrypt_string, decrypt_string, compute_auth), mod_session.c (session_identity_encode, session_identity_decode) and
server/util.c (ap_escape_urlencoded_buffer, ap_unescape_urlencoded).

A list of passphrases is ordered as httpd orders it: the first encrypts, all may decrypt.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

MAC_BYTES = 8
SALT_BYTES = 16
ROUNDS = 4096
"""Rounds of PBKDF2 per key derivation; a constant in httpd."""

MAX_LENGTH = 16384
"""Longest cookie value looked at, in characters: twice the request header field that httpd takes by default
(LimitRequestFieldSize 8190). It bounds the work that a hostile answer can cause."""

REASONS = (
    "plain_text", "bad_base64", "too_short", "too_long", "unknown_key", "wrong_cipher", "before_2_4_25",
)
"""Every value of :attr:`CookieError.reason`."""

_MASK = 0xFFFFFFFFFFFFFFFF
_INT64_MAX = 0x7FFFFFFFFFFFFFFF
_EXPIRY = "expiry"

# What ap_escape_urlencoded_buffer() leaves alone; a blank becomes "+", the rest %xx.
_UNESCAPED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-*_")
_ESCAPE = ["+" if byte == 0x20 else chr(byte) if byte in _UNESCAPED else "%%%02x" % byte for byte in range(256)]

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
# A form-encoded payload with at least one value. The beginning of a longer one matches too.
_FORM = re.compile(r"[A-Za-z0-9.*_+%-]+=(?:[A-Za-z0-9.*_+%-]+(?:&[A-Za-z0-9.*_+%&=-]*)?|&[A-Za-z0-9.*_+%&=-]+)")
_PRINTABLE = re.compile(rb"[ -~]+")
_BAD_ESCAPE = re.compile(rb"%(?:00|(?![0-9A-Fa-f]{2}))")
_HEX_PAIR = re.compile(rb"%([0-9A-Fa-f]{2})")
_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)")


class CookieError(ValueError):
    """A cookie value that cannot be opened.

    ``reason`` is one of :data:`REASONS`, ``str(error)`` a sentence for people which never holds a passphrase.
    ``index`` is the place of the passphrase whose mac fits (-1: none), ``cipher`` the name of the cipher that does open
    the cookie where the reason is ``wrong_cipher`` and one was found.
    """

    def __init__(self, reason: str, sentence: str, index: int = -1, cipher: Optional[str] = None) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.index = index
        self.cipher = cipher


@dataclass(frozen=True)
class CipherSpec:
    """A cipher by its name in ``SessionCryptoCipher``; all sizes in bytes."""

    name: str
    key_bytes: int
    iv_bytes: int
    block_bytes: int


CIPHERS = {
    "aes256": CipherSpec("aes256", 32, 16, 16),
    "aes192": CipherSpec("aes192", 24, 16, 16),
    "aes128": CipherSpec("aes128", 16, 16, 16),
    "3des192": CipherSpec("3des192", 24, 8, 8),
}
"""Every cipher that apr-util knows, by name. ``aes256`` is httpd's default."""


@dataclass(frozen=True)
class Opened:
    """An opened cookie: ``index`` of the passphrase that opened it, and the form-encoded ``payload``."""

    index: int
    payload: str


@dataclass(frozen=True)
class Payload:
    """A session: its ``pairs`` in order, without the expiry, and ``expiry`` in microseconds since the epoch or None."""

    pairs: dict[str, str]
    expiry: Optional[int]


def siphash24(key: bytes, data: bytes) -> int:
    """SipHash-2-4 (Aumasson and Bernstein, 2012) of ``data`` under a ``key`` of 16 bytes, as an unsigned 64-bit number.

    Raises ValueError when the key has another length.
    """
    if len(key) != 16:
        raise ValueError("a SipHash key has 16 bytes, this one has %d" % len(key))
    k0 = int.from_bytes(key[:8], "little")
    k1 = int.from_bytes(key[8:], "little")
    v0 = k0 ^ 0x736F6D6570736575
    v1 = k1 ^ 0x646F72616E646F6D
    v2 = k0 ^ 0x6C7967656E657261
    v3 = k1 ^ 0x7465646279746573
    size = len(data)
    # The last word holds the bytes left over and, in its top byte, the length modulo 256.
    padded = data + bytes(7 - size % 8) + bytes([size & 0xFF])
    words: tuple[int, ...] = struct.unpack("<%dQ" % (len(padded) // 8), padded)
    mask = _MASK
    # Two rounds for each word, then four: two more words that change nothing by themselves.
    for number, word in enumerate(words + (0, 0)):
        if number == len(words):
            v2 ^= 0xFF
        v3 ^= word
        for _unused in (0, 1):
            v0 = (v0 + v1) & mask
            v2 = (v2 + v3) & mask
            v1 = ((v1 << 13 | v1 >> 51) & mask) ^ v0
            v3 = ((v3 << 16 | v3 >> 48) & mask) ^ v2
            v0 = (v0 << 32 | v0 >> 32) & mask
            v2 = (v2 + v1) & mask
            v0 = (v0 + v3) & mask
            v1 = ((v1 << 17 | v1 >> 47) & mask) ^ v2
            v3 = ((v3 << 21 | v3 >> 43) & mask) ^ v0
            v2 = (v2 << 32 | v2 >> 32) & mask
        v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


def mac(passphrase: str, body: bytes) -> bytes:
    """The 8 bytes in front of a sealed cookie whose salt, iv and ciphertext are ``body`` (compute_auth in httpd)."""
    # MD5 is httpd's choice, as a way to 16 bytes: not for its strength, so that FIPS builds of Python allow it.
    key = hashlib.md5(_passphrase_bytes(passphrase), usedforsecurity=False).digest()
    return struct.pack("<Q", siphash24(key, body))


def sealed_by(value: str, passphrases: Sequence[str]) -> int:
    """Index of the passphrase that sealed the cookie ``value``, judged by the mac alone; -1 when it is none of them.

    Raises CookieError (``plain_text``, ``bad_base64``, ``too_short``, ``too_long``) for what cannot be a sealed cookie
    under any key. A cookie of httpd before 2.4.25 has no mac and so gives -1.
    """
    return _sealed_by(_decode(value), passphrases)


def seal(payload: str, passphrase: str, cipher: str, salt: bytes, iv: bytes) -> str:
    """The cookie value that httpd itself would make of ``payload`` under ``passphrase``.

    ``salt``: 16 random bytes, ``iv``: as many random bytes as ``CIPHERS[cipher].iv_bytes``, never used twice.
    ``payload``: printable ASCII, not empty, as :func:`format_payload` gives it. Raises ValueError for anything else,
    ImportError without the package ``cryptography``.
    """
    spec = _spec(cipher)
    if len(salt) != SALT_BYTES or len(iv) != spec.iv_bytes:
        raise ValueError("%s needs a salt of %d bytes and an iv of %d" % (cipher, SALT_BYTES, spec.iv_bytes))
    plain = payload.encode("utf-8", "surrogatepass")
    if not _PRINTABLE.fullmatch(plain):
        raise ValueError("a payload is form-encoded text and is not empty")
    fill = spec.block_bytes - len(plain) % spec.block_bytes
    encryptor = _cipher(spec, _derive(passphrase, salt, spec), iv).encryptor()
    body = salt + iv + encryptor.update(plain + bytes([fill]) * fill) + encryptor.finalize()
    return base64.b64encode(mac(passphrase, body) + body).decode("ascii")


def unseal(value: str, passphrases: Sequence[str], cipher: str) -> Opened:
    """Open the cookie ``value`` with the one of ``passphrases`` that sealed it.

    Raises CookieError with every reason of :data:`REASONS`; ValueError for a cipher that is not in :data:`CIPHERS`,
    ImportError without the package ``cryptography``. Stricter than httpd in two ways: base64 must be written as httpd
    writes it (httpd stops reading at the first foreign character), and the payload must be printable ASCII, which that
    of httpd always is; so a wrong cipher is told from the right one even where its padding fits by chance.
    """
    spec = _spec(cipher)
    raw = _decode(value)
    index = _sealed_by(raw, passphrases)
    if index < 0:
        for number, passphrase in enumerate(passphrases):
            # Until 2.4.24 the same layout, but nothing in front of the salt.
            if _decrypt(raw, passphrase, spec) is not None:
                raise CookieError(
                    "before_2_4_25", "The cookie was sealed by httpd 2.4.24 or older: it carries no mac, "
                    "and httpd 2.4.25 and later refuse it.", number)
        raise CookieError("unknown_key", "No passphrase of the list sealed this cookie, or it was changed on its way.")
    payload = _decrypt(raw[MAC_BYTES:], passphrases[index], spec)
    if payload is not None:
        return Opened(index, payload)
    for other in CIPHERS.values():
        if other is not spec and _decrypt(raw[MAC_BYTES:], passphrases[index], other) is not None:
            raise CookieError("wrong_cipher", "The cookie was sealed with the cipher %s, not with %s."
                              % (other.name, spec.name), index, other.name)
    raise CookieError("wrong_cipher", "The passphrase is right, but %s does not open the cookie." % spec.name, index)


def sealed_length(payload_bytes: int, cipher: str) -> int:
    """Characters of the cookie value that seals a form-encoded payload of so many bytes."""
    spec = _spec(cipher)
    if payload_bytes < 0:
        raise ValueError("a payload cannot have %d bytes" % payload_bytes)
    # Padding always adds at least one byte.
    ciphertext = (payload_bytes // spec.block_bytes + 1) * spec.block_bytes
    return (MAC_BYTES + SALT_BYTES + spec.iv_bytes + ciphertext + 2) // 3 * 4


def format_payload(pairs: Mapping[str, str], expiry: Optional[int] = None) -> str:
    """The payload as httpd writes it: form-encoded pairs in their order, then ``expiry``.

    ``expiry``: microseconds since the epoch; None or 0 writes none. A name with an empty value is written, and httpd
    forgets it when it next reads the session. Raises ValueError where httpd could not hold the pair: an empty name, a
    NUL character, a pair called "expiry", or two names that differ only in the case of ASCII letters.
    """
    parts = []
    seen = {_EXPIRY}
    for name, text in pairs.items():
        folded = _fold(name.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        if not name or "\0" in name or "\0" in text:
            raise ValueError("a session has no empty names and no NUL characters")
        if folded in seen:
            raise ValueError("the name %r is taken: httpd ignores case" % name)
        seen.add(folded)
        parts.append("%s=%s" % (_escape(name), _escape(text)))
    if expiry:
        parts.append("%s=%d" % (_EXPIRY, expiry))
    return "&".join(parts)


def parse_payload(text: str) -> Payload:
    """Read a payload as httpd does, whatever it holds: what httpd ignores is ignored, nothing is raised.

    So: pairs with broken escapes or %00 are skipped, an empty value removes the name, a second "=" ends the value,
    names are matched without regard to ASCII case and the first spelling stays, an expiry of zero or without digits is
    none. Bytes that are not UTF-8 come back as surrogate escapes.
    """
    data = text.encode("utf-8", "replace" if _has_foreign_surrogate(text) else "surrogateescape").partition(b"\0")[0]
    found: dict[bytes, tuple[bytes, bytes]] = {}
    expiry = 0
    for pair in data.split(b"&"):
        words = [word for word in pair.split(b"=") if word]
        if not words:
            continue
        if len(words) == 1:
            found.pop(_fold(words[0]), None)
            continue
        name, value = _unescape(words[0]), _unescape(words[1])
        if name is None or value is None:
            continue
        if name == b"expiry":
            number = _NUMBER.match(value)
            # 20 digits hold every 64-bit number; more cannot change what they are clamped to.
            expiry = max(-_INT64_MAX - 1, min(_INT64_MAX, _bounded_int(number.group(1)))) if number else 0
            continue
        folded = _fold(name)
        found[folded] = (found[folded][0] if folded in found else name, value)
    pairs = {_text(name): _text(value) for name, value in found.values()}
    return Payload(pairs, expiry or None)


def _passphrase_bytes(passphrase: str) -> bytes:
    return passphrase.encode("utf-8", "surrogateescape")


def _spec(cipher: str) -> CipherSpec:
    if cipher not in CIPHERS:
        raise ValueError("unknown cipher %r; httpd knows %s" % (cipher, ", ".join(CIPHERS)))
    return CIPHERS[cipher]


def _decode(value: str) -> bytes:
    """The bytes of a cookie value that may be a sealed one; CookieError otherwise."""
    if len(value) > MAX_LENGTH:
        if _FORM.fullmatch(value, 0, MAX_LENGTH):
            raise CookieError("plain_text", "The cookie is not encrypted: anybody can read and forge it.")
        raise CookieError("too_long", "The cookie has %d characters; httpd would not accept it." % len(value))
    if not value:
        raise CookieError("too_short", "The cookie is empty.")
    if _FORM.fullmatch(value):
        raise CookieError("plain_text", "The cookie is not encrypted: anybody can read and forge it.")
    raw = base64.b64decode(value) if _BASE64.fullmatch(value) and len(value) % 4 == 0 else b""
    # Only one of several spellings of the same bytes is httpd's own.
    if not raw or base64.b64encode(raw).decode("ascii") != value:
        raise CookieError("bad_base64", "The cookie is not base64: it was changed, cut off, or is none of httpd's.")
    # The smallest: the blocks of 3des192, and one of them.
    if len(raw) < MAC_BYTES + SALT_BYTES + 16:
        raise CookieError("too_short", "The cookie has %d bytes, too few for a sealed one." % len(raw))
    if len(raw) % 8:
        raise CookieError("too_short", "The cookie was cut off: %d bytes are no whole number of blocks." % len(raw))
    return raw


def _sealed_by(raw: bytes, passphrases: Sequence[str]) -> int:
    for index, passphrase in enumerate(passphrases):
        if hmac.compare_digest(raw[:MAC_BYTES], mac(passphrase, raw[MAC_BYTES:])):
            return index
    return -1


def _derive(passphrase: str, salt: bytes, spec: CipherSpec) -> bytes:
    # The standard library's is right too, and takes nearly twice as long: what a check of many nodes costs is this.
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    return PBKDF2HMAC(SHA1(), spec.key_bytes, salt, ROUNDS).derive(_passphrase_bytes(passphrase))


def _cipher(spec: CipherSpec, key: bytes, iv: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if spec.name != "3des192":
        return Cipher(algorithms.AES(key), modes.CBC(iv))
    try:
        from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    except ImportError:  # releases before 43 have it among the others
        from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES  # type: ignore[attr-defined,no-redef,unused-ignore]
    return Cipher(TripleDES(key), modes.CBC(iv))


def _decrypt(body: bytes, passphrase: str, spec: CipherSpec) -> Optional[str]:
    """The payload of ``salt | iv | ciphertext``, or None when this passphrase and cipher do not open it."""
    start = SALT_BYTES + spec.iv_bytes
    if len(body) <= start or (len(body) - start) % spec.block_bytes:
        return None
    key = _derive(passphrase, body[:SALT_BYTES], spec)
    decryptor = _cipher(spec, key, body[SALT_BYTES:start]).decryptor()
    plain: bytes = decryptor.update(body[start:]) + decryptor.finalize()
    fill = plain[-1]
    if not 1 <= fill <= spec.block_bytes or plain[-fill:] != bytes([fill]) * fill:
        return None
    plain = plain[:-fill]
    return plain.decode("ascii") if _PRINTABLE.fullmatch(plain) else None


def _escape(text: str) -> str:
    return "".join(map(_ESCAPE.__getitem__, text.encode("utf-8", "surrogateescape")))


def _unescape(word: bytes) -> Optional[bytes]:
    if _BAD_ESCAPE.search(word):
        return None
    return _HEX_PAIR.sub(lambda found: bytes([int(found.group(1), 16)]), word.replace(b"+", b" "))


def _fold(name: bytes) -> bytes:
    return name.lower()  # bytes: ASCII letters only, as apr_table compares


def _bounded_int(digits: bytes) -> int:
    sign = -1 if digits[:1] == b"-" else 1
    digits = digits.lstrip(b"+-").lstrip(b"0")
    return sign * int(digits[:20] or b"0")


def _has_foreign_surrogate(text: str) -> bool:
    """Whether ``text`` holds half a character that does not stand for a byte."""
    return re.search("[\ud800-\udc7f\udd00-\udfff]", text) is not None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
