# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a real httpd does not take a configuration: modules that are broken, foreign or absent, told as what they are."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from plugins.module_utils.configtest import from_configtest
from plugins.module_utils.layout import DEBIAN, REDHAT

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))
import real_httpd

SECRET = "k3JxQ0v9mZr8sT1uWb5yE2aHcLdNfPgR4iKoVtXwY6A"
try:
    BINARY, MODULES = real_httpd.find()
    MISSING = ""
except real_httpd.NoHttpd as missing:
    BINARY, MODULES, MISSING = "", Path(), f"no real httpd: {missing}"
live = pytest.mark.skipif(bool(MISSING), reason=MISSING)

LOADED = ("session", "session_crypto")
CRYPTO = "LoadModule session_crypto_module {root}/mod_session_crypto.so"


def patched(*changes: tuple[bytes, bytes]) -> bytes:
    """mod_session_crypto with some bytes changed."""
    data = (MODULES / "mod_session_crypto.so").read_bytes()
    for before, after in changes:
        assert before in data and len(before) == len(after)
        data = data.replace(before, after)
    return data


def with_byte(place: int, value: int) -> bytes:
    data = bytearray(patched())
    data[place] = value
    return bytes(data)


# Loaded before, the file that is loaded, the text, the code, what the evidence names.
CASES = [
    (LOADED, None, "SessionCryptoPassphraseFile {root}/none", "key_file_missing", "{root}/none"),
    (LOADED, None, "SessionCryptoPassfrase %s" % SECRET, "config_invalid", "SessionCryptoPassfrase"),
    (LOADED, None, SECRET, "config_invalid", "(hidden)"),
    (LOADED, None, "Session Maybe", "config_invalid", "On or Off"),
    (LOADED, None, "<Location /x>\nSession On", "config_invalid", "<Location> was not closed"),
    (LOADED, None, "Include {root}/none", "config_invalid", "{root}/none"),
    ((), None, "SessionMaxAge 7", "module_missing", "SessionMaxAge"),
    ((), None, "DBDParams password=%s" % SECRET, "module_missing", "DBDParams"),
    ((), None, "LoadModule session_crypto_module %s/mod_session_crypto.so" % MODULES, "module_missing",
     "mod_session is not loaded before it"),
    (("session",), None, CRYPTO, "module_file_missing", "{root}/mod_session_crypto.so"),
    (("session",), lambda: patched((b"ap_hook_post_config", b"xp_hook_post_config")), CRYPTO, "module_mismatch",
     "undefined symbol"),
    (("session",), lambda: patched((b"42PA", b"22PA")), CRYPTO, "module_mismatch", "is garbled"),
    (("session",), lambda: patched((struct.pack("<i", 20120211), struct.pack("<i", 20051115))), CRYPTO,
     "module_mismatch", "not compatible"),
    (("session",), lambda: with_byte(4, 1), CRYPTO, "module_mismatch", "wrong ELF class"),
    (("session",), lambda: with_byte(18, 0xb7), CRYPTO, "module_mismatch", "another kind of machine"),
    (("session",), lambda: patched()[:100], CRYPTO, "module_mismatch", "cannot read file data"),
    (("session",), lambda: b"hello\n", CRYPTO, "module_mismatch", "file too short"),
    (("session",), lambda: b"x" * 9999, CRYPTO, "module_mismatch", "invalid ELF header"),
    (("session",), lambda: Path("/bin/true").read_bytes(), CRYPTO, "module_mismatch", "executable"),
    (("session",), patched, CRYPTO.replace("crypto_module", "cripto_module"), "module_mismatch", "session_cripto_module"),
    (("session",), lambda: patched((b"libc.so.6", b"libq.so.6")), CRYPTO, "library_missing", "libq.so.6"),
    (("dbd",), None, "DBDriver oracle", "store_driver_missing", "no database is called oracle there"),
    (LOADED, None, "SessionMaxAge 7", "", ""),
]


@live
@pytest.mark.parametrize(("loaded", "content", "text", "code", "named"), CASES, ids=lambda value: str(value)[:40])
def test_why_a_configuration_does_not_pass(tmp_path: Path, loaded, content, text, code, named) -> None:
    worker = next(name for name in real_httpd.WORKERS if (MODULES / ("mod_%s.so" % name)).exists())
    if content:
        (tmp_path / "mod_session_crypto.so").write_bytes(content())
    lines = ["ServerName localhost", "Listen 127.0.0.1:1", f"ErrorLog {tmp_path}/log",
             *(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in (worker, *loaded)),
             text.replace("{root}", str(tmp_path)), ""]
    (tmp_path / "httpd.conf").write_text("\n".join(lines), encoding="utf-8")
    command = [BINARY, "-d", str(tmp_path), "-f", str(tmp_path / "httpd.conf"), "-t"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = from_configtest(done.returncode, done.stdout + done.stderr, DEBIAN, (2, 4, 71), lambda path: Path(path).is_file())
    assert [one.code for one in found] == ([code] if code else []), done.stderr
    assert not code or named.replace("{root}", str(tmp_path)) in found[0].evidence
    assert not any(SECRET in one.evidence for one in found)


BEGIN = "httpd: Syntax error on line 58 of /etc/httpd/conf/httpd.conf: "
UNKNOWN = "AH00526: Syntax error on line 3 of /x:\nInvalid command 'SessionExpiryUpdateInterval', perhaps misspelled"


@pytest.mark.parametrize(("text", "layout", "version", "code", "named"), [
    (UNKNOWN, REDHAT, (2, 4, 37),
     "httpd_too_old", "httpd here is 2.4.37, and the directive came with 2.4.41"),
    (UNKNOWN, REDHAT, (2, 4, 62),
     "module_missing", "SessionExpiryUpdateInterval"),
    ("AH00526: Syntax error on line 3 of /x:\nDBD: Can't load driver file apr_dbd_pgsql.so", DEBIAN, (),
     "store_driver_missing", "the package that has it is libaprutil1-dbd-pgsql"),
    ("Can't load driver file apr_dbd_mysql.so", REDHAT, (), "store_driver_missing", "the package that has it is apr-util-mysql"),
    (BEGIN + "Cannot load modules/mod_x.so into server: libpq.so.5: cannot open shared object file: No such file or directory",
     REDHAT, (), "library_missing", "the package that has it is libpq"),
    (BEGIN + "Cannot load modules/mod_x.so into server: libpq.so.5: cannot open shared object file: No such file or directory",
     DEBIAN, (), "library_missing", "the package that has it is libpq5"),
    (BEGIN + "Cannot load modules/mod_session.so into server: /etc/httpd/modules/mod_session.so: cannot open shared object "
     "file: Permission denied", REDHAT, (), "file_denied", "Permission denied"),
    (BEGIN + "Cannot load modules/mod_session.so into server: /etc/httpd/modules/mod_session.so: failed to map segment from "
     "shared object", REDHAT, (), "file_denied", "failed to map segment"),
    ("SessionCryptoPassphraseFile: Could not open file /etc/httpd/mod_session/passphrases: Permission denied", REDHAT, (),
     "file_denied", "passphrases"),
    (BEGIN + "Cannot load modules/mod_x.so into server: /lib64/libc.so.6: version `GLIBC_2.38' not found (required by mod_x.so)",
     REDHAT, (), "module_mismatch", "GLIBC_2.38"),
    (BEGIN + "Cannot load modules/mod_session.so into server: modules/mod_session.so: cannot open shared object file: "
     "No such file",
     REDHAT, (), "module_file_missing", "mod_session.so"),
    ("\x1b[31mx\x07", DEBIAN, (), "config_invalid", "\\x1b[31mx\\x07"),
    ("", DEBIAN, (), "config_invalid", "ended with status 1 and said nothing"),
])
def test_what_other_servers_say(text, layout, version, code, named) -> None:
    (found,) = from_configtest(1, text, layout, version)
    assert found.code == code
    assert named in found.evidence
