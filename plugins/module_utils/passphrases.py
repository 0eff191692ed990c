# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passphrases: what is accepted as one, what the passphrase file looks like, and how a key is named in public.

A list of passphrases is always in httpd's order: the first one encrypts, all of them decrypt.
"""

from __future__ import annotations

import hashlib
import re
from typing import List, Optional, Sequence, Tuple

MIN_LENGTH = 32
"""Characters a passphrase needs at least. 32 random ones of the allowed alphabet hold 192 bits; the mac of a cookie
is keyed with a plain MD5 of the passphrase, so that nothing but its own strength slows down guessing."""

MAX_LENGTH = 256
"""Characters a passphrase has at most; httpd reads the file in lines of 8,192 bytes."""

MAX_KEYS = 6
"""Passphrases in a list at most: a primary, a staged one and a few old ones. More means that nothing is ever retired."""

GENERATED_BYTES = 32
"""Random bytes in a passphrase that we make ourselves: 256 bits."""

HIDDEN = "hidden"
"""Stands for the name of a key that gets none."""

_SAFE = re.compile(r"[A-Za-z0-9_-]+\Z")
_RING = re.compile(r"# ring ([A-Za-z0-9_-]+) ([0-9]{1,18})\n")
_BLANKS = " \t\n\r\v\f"  # httpd's; str.isspace() knows more
_COMMON_PAIRS = frozenset(
    "th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se le sa si ar ve ra ld "
    "ur me my ro ch ll ss pa wo rd ke ey co".split())
"""Pairs of letters that words are full of: about every second pair of a text, one in twenty of random letters."""


class PassphraseError(ValueError):
    """A list of passphrases that is refused.

    :ivar position: 1-based position of the offending passphrase, 0 when the list itself is at fault. The passphrase
        itself is never part of the message.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


def validate(passphrases: Sequence[object], allow_weak: bool = False) -> Tuple[List[str], List[str]]:
    """Check a list of passphrases as an operator gave it.

    :param passphrases: in httpd's order, the first encrypts.
    :param allow_weak: take a passphrase that is short or outside ``[A-Za-z0-9_-]``, for a fleet that already uses it.
        What httpd would misread (see below) is refused all the same.
    :returns: the passphrases as strings, and one warning per weak one.
    :raises PassphraseError: for an empty list, too many, a duplicate, a weak one without ``allow_weak``, and always for
        what httpd takes for something else: an empty word, a leading ``#`` (a comment: cookies would go out in plain
        text), a leading ``exec:`` (a program to run), control characters (a carriage return becomes part of the key).
    """
    if isinstance(passphrases, (str, bytes)) or not isinstance(passphrases, (list, tuple)):
        raise PassphraseError(
            "session_keys_passphrases must be a list of strings, the first of which encrypts; found %s"
            % type(passphrases).__name__
        )
    if not passphrases:
        raise PassphraseError(
            "session_keys_passphrases is empty: httpd would then send sessions in plain text. Give at least one "
            "passphrase, for example from: openssl rand -base64 32 | tr +/ -_ | tr -d ="
        )
    if len(passphrases) > MAX_KEYS:
        raise PassphraseError(
            "session_keys_passphrases has %d entries, at most %d are accepted: retire the oldest ones first"
            % (len(passphrases), MAX_KEYS)
        )
    accepted: List[str] = []
    warnings: List[str] = []
    for position, item in enumerate(passphrases, 1):
        key = _readable_by_httpd(item, position)
        weakness = _weakness(key)
        if weakness and not allow_weak:
            raise PassphraseError(
                "passphrase %d %s. Make one with: openssl rand -base64 32 | tr +/ -_ | tr -d =  (a fleet that already "
                "uses this one may keep it with session_keys_allow_weak: true, until it is rotated out)"
                % (position, weakness),
                position,
            )
        if weakness:
            warnings.append(
                "passphrase %d %s: one captured cookie is enough to guess at it offline. Rotate it out." % (position, weakness)
            )
        if key in accepted:
            raise PassphraseError(
                "passphrase %d is the same as passphrase %d: each may stand in the list once"
                % (position, accepted.index(key) + 1),
                position,
            )
        accepted.append(key)
    return accepted, warnings


def _readable_by_httpd(item: object, position: int) -> str:
    """The passphrase as a string, refused where httpd would read something else than what was meant."""
    if not isinstance(item, str):
        raise PassphraseError(
            "passphrase %d must be a string, found %s: put it in quotes" % (position, type(item).__name__), position
        )
    problem = ""
    if not item.strip():
        problem = "is empty: anyone could forge a session"
    elif item.startswith("#"):
        problem = "starts with '#': httpd reads a comment and would send sessions in plain text"
    elif item.startswith("exec:"):
        problem = "starts with 'exec:': httpd would run it as a program"
    elif any(ord(char) < 32 or ord(char) == 127 for char in item):
        problem = "holds a control character, such as a line break or a carriage return (a file with Windows line ends?)"
    elif any(0xD800 <= ord(char) <= 0xDFFF for char in item):
        problem = "is no valid UTF-8 text"
    elif len(item) > MAX_LENGTH:
        problem = "has more than %d characters" % MAX_LENGTH
    if problem:
        raise PassphraseError("passphrase %d %s" % (position, problem), position)
    return str(item)


def _weakness(key: str) -> str:
    """What is weak about a passphrase, as the end of a sentence; empty when nothing is."""
    if len(key) < MIN_LENGTH:
        return "has %d characters, at least %d are needed" % (len(key), MIN_LENGTH)
    if not _SAFE.match(key):
        return "has characters outside A-Z a-z 0-9 _ -"
    if len(set(key)) < 8:
        return "repeats a handful of characters"
    return ""


def is_weak(key: str) -> bool:
    """Whether a passphrase is accepted only where the operator allows weak ones."""
    return bool(_weakness(key))


def render_file(passphrases: Sequence[str], ring: Optional[Tuple[str, int]] = None) -> str:
    """The passphrase file (SessionCryptoPassphraseFile) for validated passphrases: one to a line, in httpd's order.

    Words outside the safe alphabet are quoted the way httpd's configuration reader (``ap_getword_conf``) undoes it.

    :param ring: id and generation of the ring that the list is from. They stand in the same file, in a comment that httpd
        skips, so that keys and generation change together. An id has characters of ``A-Z a-z 0-9 _ -``: one that ended
        with a backslash would make the first key part of the comment.
    :raises PassphraseError: another id, or a generation below 0.
    """
    marker = "# ring %s %d\n" % ring if ring else ""
    if marker and not _RING.fullmatch(marker):
        raise PassphraseError("the ring's id must have characters of A-Z a-z 0-9 _ - only, and its generation must be a "
                              "number from 0 on; found %r" % (ring,))
    return marker + "".join("%s\n" % _word(key) for key in passphrases)


def parse_ring(text: str) -> Optional[Tuple[str, int]]:
    """Id and generation of the ring that a passphrase file is from; None for a plain list, or a file of somebody else."""
    found = _RING.match(text)
    return (found.group(1), int(found.group(2))) if found else None


def _word(key: str) -> str:
    if _SAFE.match(key):
        return key
    return '"%s"' % key.replace("\\", "\\\\").replace('"', '\\"')


def parse_file(text: str) -> List[str]:
    """The passphrases that httpd reads from a passphrase file, in order.

    Follows ``set_crypto_passphrase_file`` of mod_session_crypto: words are split at blanks, quotes group, a word that
    starts with ``#`` or is empty ends the line, a backslash at the end of a line joins the next one to it. ``exec:``
    words are returned as they stand, not run.
    """
    found: List[str] = []
    for line in _joined(text).split("\n"):
        for word in _words(line.strip(_BLANKS)):
            if not word or word.startswith("#"):
                break
            found.append(word)
    return found


def _joined(text: str) -> str:
    """A text without the ends of lines that a backslash escapes; what is joined may end with another backslash."""
    if "\\\n" not in text and "\\\r\n" not in text:
        return text
    kept: List[str] = []
    for letter in text:
        if letter == "\n" and kept[-1:] == ["\\"]:
            kept.pop()
        elif letter == "\n" and kept[-2:] == ["\\", "\r"]:
            del kept[-2:]
        else:
            kept.append(letter)
    return "".join(kept)


def _words(line: str) -> List[str]:
    words: List[str] = []
    index = 0
    while index < len(line):
        if line[index] in _BLANKS:
            index += 1
            continue
        quote = line[index] if line[index] in "\"'" else ""
        index += 1 if quote else 0
        word = ""
        while index < len(line) and (line[index] != quote if quote else line[index] not in _BLANKS):
            if line[index] == "\\" and index + 1 < len(line) and line[index + 1] in ("\\", quote):
                index += 1
            word += line[index]
            index += 1
        index += 1 if quote else 0
        words.append(word)
    return words


def fingerprint(key: str) -> str:
    """A short public name for a key: 8 hex digits of a hash, or ``hidden`` for a key that a person may have chosen.

    The hash of a guessable key would let a reader of a log confirm a guess, so only a key that looks random gets one.
    When in doubt the key is hidden: so are one in a thousand of 32 random bytes in base64, and one in thirty in hex.
    """
    if is_weak(key) or not _looks_random(key):
        return HIDDEN
    return hashlib.sha256(b"httpd_fleet.mod_session key name\0" + key.encode("utf-8")).hexdigest()[:8]


def _looks_random(key: str) -> bool:
    """Whether the key has no marks of a person: few changes between kinds of characters, words (also with digits for
    letters), sequences (also interleaved), repetitions."""
    lowered = key.lower()
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "s" for c in key]
    changes = sum(left != right for left, right in zip(kinds, kinds[1:]))
    letters = lowered.translate(str.maketrans("013457", "oieast"))
    in_words = sum(left + right in _COMMON_PAIRS for left, right in zip(letters, letters[1:]))
    in_sequence = max(sum(abs(ord(left) - ord(right)) <= 1 for left, right in zip(lowered, lowered[step:]))
                      for step in (1, 2))
    pieces = [lowered[start:start + 5] for start in range(len(lowered) - 4)]
    return (changes * 3 >= len(key) and in_words * 4 < len(key) and in_sequence * 2 < len(key)
            and len(set(pieces)) == len(pieces))
