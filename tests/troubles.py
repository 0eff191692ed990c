# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of docs/troubleshooting.md: how the fault is made on a real node, and what a diagnosis must name first.

A fault whose id begins with ``mocked`` cannot be made in a container; there a part of the node is replaced by one that answers as
the real one would.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CONF = "/etc/apache2/conf-available/mod-session-fleet.conf"
KEYS = "/etc/apache2/mod_session/passphrases"
SITE = "www.example.test"
OTHER = "q7Vn3ZkT0xLr5JcW8bYd2GhM9sPf4RuA6eXo1KtBzNi"
LATER = "/etc/apache2/conf-enabled/zz-site.conf"
RELOAD = "systemctl reload apache2"
MODULES = "/usr/lib/apache2/modules"
MOCKS = "/usr/local/bin"


@dataclass(frozen=True)
class Trouble:
    """One row.

    :ivar id: names the case.
    :ivar symptom: the row's first column, in the words of those who have it.
    :ivar code: what the diagnosis names first.
    :ivar fault: commands on the nodes.
    :ivar repair: what must be undone beyond httpd's configuration, its service and its error log.
    :ivar nodes: that have the fault.
    :ivar extra: variables of the run.
    :ivar shows: whether a browser shows the first of the nodes a cookie under another key, so that the log tells of it.
    :ivar scenario: the Molecule scenario whose nodes are needed.
    """

    id: str
    symptom: str
    code: str
    fault: str
    repair: str = ""
    nodes: tuple[str, ...] = ("n2",)
    extra: dict = field(default_factory=dict)
    shows: bool = False
    scenario: str = "diagnose"


def later(*lines: str, path: str = "/app") -> str:
    """Directives in a Location that stands behind the collection's file."""
    text = "\\n".join([f"<Location {path}>", *lines, "</Location>"])
    return f"printf '%b\\n' '{text}' >{LATER}; {RELOAD}"


def edit(script: str) -> str:
    """A change of the collection's own file by hand."""
    return f"sed -i '{script}' {CONF}; {RELOAD}"


def mock(program: str, *lines: str) -> str:
    """A program that answers like this."""
    text = "\\n".join(["#!/bin/sh", *lines])
    return f"printf '%b\\n' '{text}' >{MOCKS}/{program}; chmod +x {MOCKS}/{program}"


def faketime(shift: str) -> str:
    """Another clock for httpd alone."""
    unit = ("[Service]\\nEnvironment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
            f" FAKETIME={shift} FAKETIME_DONT_FAKE_MONOTONIC=1\\n")
    place = "/etc/systemd/system/apache2.service.d"
    return f"mkdir -p {place}; printf '{unit}' >{place}/clock.conf; systemctl daemon-reload; systemctl restart apache2"


DRIVER = "d=$(ls -d /usr/lib/*/apr-util-1)"
SSH_BACK = "systemctl start ssh"

TROUBLES = (
    # Users are logged out.
    Trouble("wrong_key", "logged out after a failover, or with every other click", "key_file_differs",
            f"printf '%s\\n' {OTHER} >{KEYS}; {RELOAD}"),
    Trouble("one_node_only", "the session works on one node only", "key_file_differs",
            f"head -c 32 /dev/urandom | base64 | tr -d '+/=' >{KEYS}; {RELOAD}", nodes=("n1", "n2")),
    Trouble("not_loaded", "logged out since somebody changed the keys, but the key file is right", "key_not_loaded",
            f"cp {KEYS} /run/k; printf '%s\\n' {OTHER} >{KEYS}; {RELOAD}; sleep 1; cat /run/k >{KEYS}; rm /run/k"),
    Trouble("missed_deploy", "one node, new or set up again, logs everybody out", "not_deployed",
            f"rm -rf {KEYS} {CONF} /etc/apache2/conf-enabled/mod-session-fleet.conf; {RELOAD}"),
    Trouble("narrower_passphrase", "logged out in one part of the site", "passphrase_override",
            later(f"SessionCryptoPassphrase {OTHER}", path="/app/admin")),
    Trouble("htaccess", "logged out in one folder", "htaccess_session",
            "mkdir -p /var/www/html/app/admin; echo 'SessionExclude /app/admin' >/var/www/html/app/admin/.htaccess;"
            f"printf '<Directory /var/www/html/app>\\nAllowOverride AuthConfig\\n</Directory>\\n' >{LATER}; {RELOAD}",
            repair="rm -rf /var/www/html/app"),
    Trouble("max_age_differs", "sessions end too early, or too late, on some nodes", "max_age_differs",
            later("SessionMaxAge 60")),
    Trouble("max_age_negative", "every session is over at once", "max_age_negative", later("SessionMaxAge -1")),
    Trouble("clock_ahead", "sessions end too early, at times that differ", "clock_drift", faketime("+2h")),
    Trouble("mocked_clock_alone", "clocks drift apart", "clock_undisciplined",
            f"{mock('systemd-detect-virt', 'exit 1')}; {mock('timedatectl', 'echo no')}",
            repair=f"rm -f {MOCKS}/systemd-detect-virt {MOCKS}/timedatectl"),
    Trouble("mocked_clock_unsynchronised", "chrony runs, clocks drift apart all the same", "clock_unsynchronised",
            f"{mock('systemd-detect-virt', 'exit 1')}; {mock('timedatectl', 'echo no')};"
            "systemd-run -q --unit=chrony sleep 600",
            repair=f"systemctl stop chrony; rm -f {MOCKS}/systemd-detect-virt {MOCKS}/timedatectl"),
    Trouble("cookie_removed", "sessions are lost since SessionCookieRemove hides the cookie", "cookie_removed",
            later("SessionCookieRemove On")),
    Trouble("old_losses", "users were logged out, and now all is well", "sessions_lost", "true",
            shows=True),
    # There is no session.
    Trouble("no_store", "no cookie at all: AH01815", "no_store", later("Session On", path="/other")),
    Trouble("no_store_once", "AH01815 in the log of yesterday", "no_store_logged",
            f"{later('Session On', path='/other')}; sleep 0.3; python3 -c 'import urllib.request as u;"
            f"u.urlopen(\"http://127.0.0.1/other\")' 2>/dev/null; rm {LATER}; {RELOAD}"),
    Trouble("shadowed", "no session, or another cookie, in the whole scope", "scope_shadowed", later("Session Off")),
    Trouble("edited", "one node sets the cookie otherwise", "file_differs", edit("s/;Secure//")),
    Trouble("not_in_browser", "the cookie is set, but not in the browser", "scope_shadowed",
            later("SessionCookieName httpd-session path=/elsewhere;Secure")),
    Trouble("max_age_off", "the cookie is never sent again", "max_age_off", later("SessionMaxAge 0")),
    Trouble("cipher", "no cookie at all: AH01824", "cipher_unknown", later("SessionCryptoCipher aes512")),
    Trouble("plain_http", "the Secure cookie is not sent: the page came over plain HTTP", "plain_http", "true",
            nodes=("n1", "n2", "n3"), extra={"tls": True}),
    Trouble("too_big", "large sessions vanish in the browser", "cookie_size", "true", nodes=(),
            extra={"session_check_payload": 3500}),
    Trouble("header_too_large", "400 Bad Request for users with large cookies", "header_too_large",
            f"echo 'LogLevel info' >{LATER}; {RELOAD}; sleep 0.3; python3 -c 'import http.client as h;"
            "c=h.HTTPConnection(\"127.0.0.1\");c.request(\"GET\",\"/app\",headers={\"Cookie\":\"x\"*9000});c.getresponse()'"),
    # httpd will not start, or will not take its configuration.
    Trouble("module_not_found", "Cannot load modules/mod_session_crypto.so: module not found", "module_file_missing",
            f"mv {MODULES}/mod_session_crypto.so {MODULES}/mod_session_crypto.so.away",
            repair=f"mv {MODULES}/mod_session_crypto.so.away {MODULES}/mod_session_crypto.so"),
    Trouble("module_of_another_httpd", "Cannot load mod_session_crypto.so: undefined symbol", "module_mismatch",
            f"cp {MODULES}/mod_session_crypto.so /run/m; LC_ALL=C sed -i s/ap_hook_post_config/xp_hook_post_config/"
            f" {MODULES}/mod_session_crypto.so", repair=f"mv /run/m {MODULES}/mod_session_crypto.so"),
    Trouble("library_gone", "Cannot load mod_session_crypto.so: libX.so: cannot open shared object file", "library_missing",
            f"cp {MODULES}/mod_session_crypto.so /run/m; LC_ALL=C sed -i 's/libc\\.so\\.6/libq.so.6/'"
            f" {MODULES}/mod_session_crypto.so", repair=f"mv /run/m {MODULES}/mod_session_crypto.so"),
    Trouble("not_executable", "Cannot load mod_session_crypto.so: failed to map segment", "file_denied",
            f"mkdir /run/m; mount -t tmpfs -o noexec tmpfs /run/m; cp {MODULES}/mod_session_crypto.so /run/m;"
            f"mv {MODULES}/mod_session_crypto.so {MODULES}/away; ln -s /run/m/mod_session_crypto.so {MODULES}/",
            repair=f"mv {MODULES}/away {MODULES}/mod_session_crypto.so; umount /run/m; rmdir /run/m"),
    Trouble("store_driver_gone", "Can't load driver file apr_dbd_pgsql.so", "store_driver_missing",
            f"printf 'LoadModule dbd_module {MODULES}/mod_dbd.so\\nDBDriver pgsql\\n' >{LATER}"),
    Trouble("mocked_too_old", "Invalid command 'SessionExpiryUpdateInterval'", "httpd_too_old",
            "mv /usr/sbin/apache2 /usr/sbin/apache2.real; printf '%s\\n' '#!/bin/sh'"
            " 'case \"$*\" in -v) echo Server version: Apache/2.4.37;; *-t*) echo \"Invalid command"
            " SQSessionExpiryUpdateIntervalSQ, perhaps misspelled\" >&2; exit 1;; *) exec /usr/sbin/apache2.real \"$@\";; esac'"
            " | sed \"s/SQ/'/g\" >/usr/sbin/apache2; chmod +x /usr/sbin/apache2",
            repair="mv /usr/sbin/apache2.real /usr/sbin/apache2"),
    Trouble("module_off", "Invalid command 'SessionCryptoPassphraseFile': invalid directive", "module_missing",
            "rm /etc/apache2/mods-enabled/session_crypto.load"),
    Trouble("misspelt", "Invalid command 'SesionMaxAge': invalid directive", "config_invalid",
            f"echo 'SesionMaxAge 60' >{LATER}"),
    Trouble("key_file_gone", "SessionCryptoPassphraseFile: Could not open file", "key_file_missing", f"rm {KEYS}"),
    Trouble("driver_gone", "Syntax OK, and httpd dies: AH01845, AH00020", "driver_missing",
            f"{DRIVER}; for f in $d/apr_crypto_openssl*.so; do mv $f $f.away; done; systemctl restart apache2; sleep 0.5",
            repair=f"{DRIVER}; for f in $d/*.away; do mv $f ${{f%.away}}; done"),
    Trouble("mocked_no_entropy", "httpd hangs at its start", "entropy",
            "echo 'import os; os.getrandom = lambda size, flags=0: (_ for _ in ()).throw(BlockingIOError())'"
            " >/usr/lib/python3/dist-packages/mocked.pth",
            repair="rm /usr/lib/python3/dist-packages/mocked.pth"),
    Trouble("port_taken", "Address already in use: AH00072", "port_taken",
            "systemctl stop apache2; systemd-run -q --unit=other-program python3 -m http.server 80; sleep 0.5",
            repair="systemctl stop other-program"),
    Trouble("down", "connection refused", "server_down", "systemctl stop apache2"),
    Trouble("other_port", "connection refused, and httpd runs", "not_listening",
            "sed -i 's/^Listen 80$/Listen 81/' /etc/apache2/ports.conf; systemctl restart apache2"),
    Trouble("disk_full", "No space left on device", "disk_full",
            "mount -t tmpfs -o size=100k tmpfs /var/log/apache2; head -c 200k /dev/zero >/var/log/apache2/full; true",
            repair="umount /var/log/apache2"),
    Trouble("firewall", "connection times out, and httpd runs", "connect_timeout",
            "nft add table inet site; nft add chain inet site input '{ type filter hook input priority 0; policy accept; }';"
            "nft add rule inet site input ct state established accept; nft add rule inet site input iifname lo accept;"
            "nft add rule inet site input tcp dport '{ 80, 443 }' drop",
            repair="nft delete table inet site", extra={"session_check_timeout": 2}),
    Trouble("no_ssh", "the node cannot be reached at all", "not_examined", "true", extra={"unreachable": "n2"}),
    Trouble("interrupted", "a deploy was interrupted", "deploy_interrupted",
            "printf '{\"version\": 2, \"state\": \"staging\", \"paths\": [], \"created\": [], \"modes\": {}}'"
            " >/etc/apache2/mod_session/.transaction.json"),
    Trouble("mocked_selinux", "Permission denied, though file modes are right", "selinux_denied",
            "mkdir -p /var/log/audit; echo 'type=AVC msg=audit(1763892733.123:456): avc:  denied  { read } for  pid=81"
            " comm=\"httpd\" name=\"passphrases\" scontext=system_u:system_r:httpd_t:s0"
            " tcontext=unconfined_u:object_r:user_home_t:s0 tclass=file permissive=0' >/var/log/audit/audit.log",
            repair="rm -r /var/log/audit"),
    # Sessions are not safe.
    Trouble("plain_text", "the cookie can be read: sessions are not encrypted", "key_file_empty", f": >{KEYS}; {RELOAD}"),
    Trouble("exec", "the key comes from a program", "key_file_exec", f"echo exec:/bin/false >{KEYS}; {RELOAD}"),
    Trouble("key_file_open", "other users of the machine can read the keys", "key_file_open", f"chmod 0644 {KEYS}"),
    Trouble("inline", "a passphrase in the configuration", "passphrase_inline",
            later("Session On", "SessionCookieName other path=/other;Secure", f"SessionCryptoPassphrase {OTHER}", path="/other")),
    Trouble("not_secure", "a session cookie without Secure", "cookie_not_secure",
            later("Session On", "SessionCookieName other path=/other", f'SessionCryptoPassphraseFile "{KEYS}"', path="/other")),
    Trouble("session_env", "programs see the session in HTTP_SESSION", "session_env", later("SessionEnv On", path="/other")),
    Trouble("htaccess_allowed", ".htaccess files may change sessions", "htaccess_allowed",
            f"printf '<Directory /var/www/html>\\nAllowOverride AuthConfig\\n</Directory>\\n' >{LATER}; {RELOAD}"),
    Trouble("narrowed", "no session in one part of the site, or one that ends sooner", "scope_narrowed",
            later("Session Off", path="/app/public")),
    Trouble("framework", "logins of the application itself never last, while all is well here", "cookie_of_framework",
            edit(r"s/httpd\\\{0,1\}-session/session/"), nodes=("n1", "n2", "n3"), extra={"session_config_scopes": [
                {"name": "app", "path": "/app", "max_age": 3600, "request_header": "X-Session",
                 "response_header": "X-Replace-Session", "cookie_name": "session"}]}),
    Trouble("mocked_cve", "a scanner names a CVE of mod_session", "package_cve",
            "mv /usr/sbin/apache2 /usr/sbin/apache2.real; printf '%s\\n' '#!/bin/sh'"
            " 'if [ \"$*\" = -v ]; then echo Server version: Apache/2.4.60; else exec /usr/sbin/apache2.real \"$@\"; fi'"
            " >/usr/sbin/apache2; chmod +x /usr/sbin/apache2; for f in /usr/share/doc/apache2*/changelog*; do"
            " if [ -f $f ]; then mv $f $f.away; fi; done",
            repair="mv /usr/sbin/apache2.real /usr/sbin/apache2; for f in /usr/share/doc/apache2*/*.away; do"
                   " if [ -f $f ]; then mv $f ${f%.away}; fi; done"),
    # Sessions in a database.
    Trouble("database_out", "all visitors lost their session at once; AH01851", "store_down", "stop the database", nodes=(),
            scenario="store"),
)
