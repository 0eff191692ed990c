# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of docs/troubleshooting.md that any site can have, made on a node of that site, whatever its layout is.

``tests/troubles.py`` has all of them, on a node as the distribution ships it. Which of these here are made on the sites of
``tests/field`` says FIELD_FAULTS: ``all``, or codes with commas between.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.troubles import CONF, DRIVER, KEYS, LATER, MODULES, OTHER, RELOAD, faketime

BACKUP = "/run/field-faults"
KEEP = f"rm -rf {BACKUP}; cp -a /etc/apache2 {BACKUP}"
RESTORE = (
    f"find /etc/apache2 -mindepth 1 -delete; cp -a {BACKUP}/. /etc/apache2/; rm -rf /etc/systemd/system/apache2.service.d;"
    f"systemctl daemon-reload; systemctl reset-failed; systemctl restart apache2; rm -rf {BACKUP}"
)


@dataclass(frozen=True)
class Fault:
    """``code``: what the diagnosis must name; ``make``: commands on the node; ``undo``: beyond httpd's configuration."""

    code: str
    make: str
    undo: str = "true"


def _served(path: str, virtual_host: str, *lines: str) -> str:
    """Directives in a Location behind the scope's own section, in the virtual host that serves the scope if it is of one."""
    text = "\\n".join([f"<Location {path}>", *lines, "</Location>"])
    if virtual_host:
        include = f"Include .*mod_session.d/{virtual_host}"
        return f"f=$(grep -rl '{include}' /etc/apache2/sites-available); sed -i '\\#{include}#a {text}' $f; {RELOAD}"
    return f"printf '%b\\n' '{text}' >{LATER}; {RELOAD}"


def faults(path: str, virtual_host: str) -> list[Fault]:
    """Those that were asked for, for a site whose scope has this path and virtual host."""
    files = f"/etc/apache2/mod_session.d/{virtual_host}*.conf" if virtual_host else CONF
    section = f"$(grep -l '^<Location \"{path}\">' {files})"

    def edited(script: str) -> str:
        return f"sed -i '{script}' {section}; {RELOAD}"

    def later(*lines: str, below: str = "") -> str:
        return _served((path.rstrip("/") + below) or "/", virtual_host, *lines)

    every = [
        Fault("key_file_differs", f"printf '%s\\n' {OTHER} >{KEYS}; {RELOAD}"),
        Fault("key_not_loaded", f"cp -p {KEYS} /run/k; echo {OTHER} >{KEYS}; {RELOAD}; sleep 1; cat /run/k >{KEYS}; rm /run/k"),
        Fault("key_file_empty", f": >{KEYS}; {RELOAD}"),
        Fault("key_file_exec", f"echo exec:/bin/false >{KEYS}; {RELOAD}"),
        Fault("key_file_open", f"chmod 0644 {KEYS}"),
        Fault("key_file_missing", f"rm {KEYS}"),
        Fault("file_differs", edited("s/;Secure//")),
        Fault("max_age_differs", later("SessionMaxAge 60")),
        Fault("max_age_negative", later("SessionMaxAge -1")),
        Fault("max_age_off", later("SessionMaxAge 0")),
        Fault("cipher_unknown", later("SessionCryptoCipher aes512")),
        Fault("scope_shadowed", later("Session Off")),
        Fault("cookie_removed", later("SessionCookieRemove On")),
        Fault("passphrase_override", later(f"SessionCryptoPassphrase {OTHER}", below="/admin")),
        Fault("config_invalid", f"echo 'SesionMaxAge 60' >{LATER}"),
        Fault("module_missing", "rm /etc/apache2/mods-enabled/session_crypto.load"),
        Fault("module_file_missing", f"mv {MODULES}/mod_session_crypto.so {MODULES}/away",
              f"mv {MODULES}/away {MODULES}/mod_session_crypto.so"),
        Fault("driver_missing", f"{DRIVER}; for f in $d/apr_crypto_openssl*.so; do mv $f $f.away; done;"
              "systemctl restart apache2; sleep 0.5",
              f"{DRIVER}; for f in $d/*.away; do mv $f ${{f%.away}}; done"),
        Fault("server_down", "systemctl stop apache2"),
        Fault("clock_drift", faketime("+2h")),
        Fault("deploy_interrupted",
              "printf '{\"version\": 2, \"state\": \"staging\", \"paths\": [], \"created\": [], \"modes\": {}}'"
              " >/etc/apache2/mod_session/.transaction.json"),
    ]  # fmt: skip
    wanted = os.environ.get("FIELD_FAULTS", "")
    return [fault for fault in every if wanted == "all" or fault.code in wanted.split(",")]
