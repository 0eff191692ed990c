# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why httpd does not take its configuration: what ``httpd -t`` says, told as what it is (texts measured with 2.4.71)."""

from __future__ import annotations

import re
from typing import Callable, Dict, List, Sequence, Tuple

from .causes import Symptom
from .layout import DEBIAN, Layout
from .store import HTTPD_DRIVERS
from .text import printable

MOST = 4000
"""Characters of a text that are looked at."""

_NOISE = re.compile(r"AH00558|AH00014|^Action '|error log may have more")

# What mod_session and its like gained later than the first version of httpd 2.4.
_SINCE: Dict[str, Tuple[int, ...]] = {"sessionexpiryupdateinterval": (2, 4, 41)}

_KNOWN = frozenset("""session sessionmaxage sessionheader sessioninclude sessionexclude sessionenv sessionexpiryupdateinterval
sessioncookiename sessioncookiename2 sessioncookieremove sessioncryptodriver sessioncryptopassphrase
sessioncryptopassphrasefile sessioncryptocipher sessiondbdcookiename sessiondbdcookiename2 sessiondbdcookieremove
sessiondbdperuser sessiondbdselectlabel sessiondbdinsertlabel sessiondbdupdatelabel sessiondbddeletelabel dbdriver dbdparams
dbdpersist dbdpreparesql dbdmin dbdkeep dbdmax dbdexptime dbdinitsql""".split())

# Packages that have a shared library, as its name begins: Debian, Red Hat.
_LIBRARIES = (
    ("libpq.so", "libpq5", "libpq"), ("libmariadb.so", "libmariadb3", "mariadb-connector-c"),
    ("libmysqlclient.so", "libmysqlclient21", "mysql-libs"), ("libsqlite3.so", "libsqlite3-0", "sqlite-libs"),
    ("libcrypto.so", "libssl3 or libssl3t64", "openssl-libs"), ("libssl.so", "libssl3 or libssl3t64", "openssl-libs"),
    ("libaprutil-1.so", "libaprutil1 or libaprutil1t64", "apr-util"), ("libapr-1.so", "libapr1 or libapr1t64", "apr"),
    ("libpcre2-8.so", "libpcre2-8-0", "pcre2"), ("libpcre.so", "libpcre3", "pcre"), ("libexpat.so", "libexpat1", "expat"),
    ("libnghttp2.so", "libnghttp2-14", "libnghttp2"), ("liblua", "liblua5.3-0 or liblua5.4-0", "lua-libs"),
    ("libjansson.so", "libjansson4", "jansson"), ("libcjose.so", "libcjose0", "cjose"),
    ("libsystemd.so", "libsystemd0", "systemd-libs"), ("libldap", "libldap-2.5-0 or libldap2", "openldap"),
)

_MISMATCH = re.compile(
    r"undefined symbol|is garbled|is not compatible with this version|wrong ELF class|Can't locate API module structure|"
    r"invalid ELF header|file too short|cannot read file data|position-independent executable|Exec format error|"
    r"version `[^']{1,60}' not found|cannot allocate memory in static TLS")
_DENIED = re.compile(r"Permission denied|failed to map segment from shared object|Operation not permitted")


def from_configtest(status: int, text: str, layout: Layout = DEBIAN, version: Sequence[int] = (),
                    is_file: Callable[[str], bool] = lambda _path: False) -> List[Symptom]:
    """Why a configuration does not pass; empty where it does.

    :param text: what ``httpd -t`` wrote.
    :param layout: whose packages are named.
    :param version: httpd's; empty where it is not known.
    :param is_file: whether a file is there: the loader says "No such file" of one that is for another kind of machine.
    """
    if not status:
        return []
    lines = [line.strip() for line in text[:MOST].splitlines() if line.strip() and not _NOISE.search(line)]
    said = printable(_hide(" ".join(lines)), MOST)
    return [_symptom(said, layout, tuple(version), is_file) if said else Symptom(
        "config_invalid", "httpd -t ended with status %d and said nothing" % status)]


def _symptom(said: str, layout: Layout, version: Tuple[int, ...], is_file: Callable[[str], bool]) -> Symptom:
    loading = re.search(r"Cannot load (\S{1,500}) into server: ([^ :]{1,500})", said)
    if re.search(r"undefined symbol: ap_(?:hook_)?session_", said):
        return Symptom("module_missing", "%s; mod_session is not loaded before it" % said)
    if _MISMATCH.search(said):
        return Symptom("module_mismatch", said)
    if _DENIED.search(said):
        return Symptom("file_denied", said)
    if loading and "cannot open shared object file" in said:
        if loading.group(2) != loading.group(1):
            return Symptom("library_missing", "%s%s" % (said, _library(loading.group(2), layout)))
        if is_file(loading.group(1)):
            return Symptom("module_mismatch", "%s, although that file is there: it is for another kind of machine" % said)
        return Symptom("module_file_missing", said)
    driver = re.search(r"Can't load driver file apr_dbd_(\w{1,40})", said)
    if driver:
        return Symptom("store_driver_missing", "%s%s" % (said, _driver(driver.group(1), layout)))
    return _of_a_directive(said, version)


def _of_a_directive(said: str, version: Tuple[int, ...]) -> Symptom:
    command = re.search(r"Invalid command '(\w{1,80})'", said)
    name = command.group(1).lower() if command else ""
    since = _SINCE.get(name)
    if since and version and version < since:
        return Symptom("httpd_too_old", "%s: httpd here is %s, and the directive came with %s" % (
            said, ".".join(map(str, version)), ".".join(map(str, since))))
    if name in _KNOWN:
        return Symptom("module_missing", said)
    if "SessionCryptoPassphraseFile: Could not open" in said:
        return Symptom("key_file_missing", said)
    return Symptom("config_invalid", said)


def _library(name: str, layout: Layout) -> str:
    found = next((row[1 if layout.family == "debian" else 2] for row in _LIBRARIES if name.startswith(row[0])), "")
    return "; the package that has it is %s" % found if found else ""


def _driver(name: str, layout: Layout) -> str:
    kind = next((kind for kind, driver in HTTPD_DRIVERS.items() if driver == name), "")
    return "; the package that has it is %s" % layout.store_packages[kind] if kind else "; no database is called %s there" % name


def _hide(text: str) -> str:
    """A line of configuration without a passphrase that stands in it; a command that looks like none may be a key."""
    text = re.sub(r"Invalid command '(?![A-Za-z]{1,40}\d?')[^']*'", "Invalid command '(hidden)'", text)
    return re.sub(r"(?i)((?:passphrase|password|DBDParams)['\"]?\s+)\S.*", r"\1(hidden)", text)
