# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason for a session that will not stay that a node can tell of itself: how grave it is, what to do, what it explains.

Their order is their rank: of several on one node, the one that stands first here is likelier to be the root of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from .findings import FAIL, INFO, WARN


@dataclass(frozen=True)
class Cause:
    """What is said of every symptom of one code.

    :ivar explains: codes of other causes and of a check's findings that follow from this one on the same node, so that they
        are not told again. ``*`` stands for all that a check finds there (but of clocks), :data:`FOLLOWS` and :data:`LOGGED`.
    :ivar fleet: it explains lost sessions (:data:`LOST`) on all other nodes as well: what one node destroys, every node misses.
    """

    severity: str
    title: str
    remedy: str
    explains: Tuple[str, ...] = ()
    fleet: bool = False


@dataclass(frozen=True)
class Symptom:
    """One thing that a node tells of itself.

    ``scope`` is empty for what concerns the node as a whole. ``evidence`` is the end of a sentence: what was seen, and where
    (a file and its line, a command). It never holds a key or a cookie's value.
    """

    code: str
    evidence: str
    scope: str = ""

    def __post_init__(self) -> None:
        """Refuse a code that is not in the table."""
        if self.code not in CAUSES:
            raise ValueError("no cause has the code %s" % self.code)


LOST = ("sessions_lost", "carry_lost", "canary_lost")
"""Sessions that are gone, wherever the reason is."""

LOGGED = ("header_too_large", "store_failed", "cipher_failed", "driver_failed", "no_store_logged", "expired_at_save",
          "sessions_lost")
"""What only an error log tells."""

FOLLOWS = ("server_down", "not_listening")
"""What a server that cannot start is like."""

OURS = ("not_examined", "node_result_invalid")
"""What the controller says of a node, and never the node."""

_ALL = ("*",)
_DEPLOY = "run the deploy playbook for this node"
# What replaces keys that somebody put there by hand.
_REPLACE = _DEPLOY + ". With a ring it refuses to replace keys that are not from that ring, until " \
    "-e session_keys_allow_loss=true says that sessions under them may end."

CAUSES: Dict[str, Cause] = {
    "not_examined": Cause(
        FAIL, "the node could not be examined",
        "Bring it up, or mend the way to it (SSH, sudo, Python 3.9 or later), then diagnose again.",
        ("not_asked", "unreachable", "connect_timeout", "refused", "reset", "unresolved")),
    "node_result_invalid": Cause(
        FAIL, "the node's answer is not what a look gives back",
        "Something else answered in the module's place, or changed what it said: a broken Python, a wrapper, an intruder. "
        "What could be read is shown; do not rely on it, and look at the node by hand."),
    "not_deployed": Cause(
        FAIL, "sessions were never deployed here", "If this is a node of the fleet, " + _DEPLOY + ".", _ALL, fleet=True),
    # What keeps a server from starting, or from taking a configuration.
    "disk_full": Cause(
        FAIL, "a disk is full",
        "Free space there: httpd, its logs, a deploy and sessions in SQLite all need to write.", _ALL),
    "entropy": Cause(
        FAIL, "the kernel has no entropy",
        "httpd hangs at its start until the kernel's random source is ready: install rng-tools or haveged, or give the virtual "
        "machine a virtio-rng device.", _ALL),
    "module_file_missing": Cause(
        FAIL, "a module's file is not there",
        "Install the package that has it (Debian: apache2-bin, Red Hat: mod_session), then start httpd.", _ALL),
    "module_mismatch": Cause(
        FAIL, "a module does not fit this httpd",
        "It was built for another httpd or another kind of machine, is damaged, or is not the module that LoadModule names. "
        "Install httpd and its modules from one source, again if need be (Debian: apt-get install --reinstall apache2-bin; Red "
        "Hat: dnf reinstall httpd-core mod_session), and correct a LoadModule that was written by hand.", _ALL),
    "library_missing": Cause(
        FAIL, "a shared library that a module needs is not there",
        "Install the package that has it; ldd of the module's file names all that are missing. Then start httpd.", _ALL),
    "store_driver_missing": Cause(
        FAIL, "apr-util's driver for the database is not there",
        "Install the package that has it, or correct DBDriver (pgsql, mysql, sqlite3). Or " + _DEPLOY + ".", _ALL),
    "httpd_too_old": Cause(
        FAIL, "httpd is too old for a directive",
        "Upgrade httpd, or remove the directive that is named.", _ALL),
    "file_denied": Cause(
        FAIL, "httpd may not read or load a file",
        "See its mode and those of its directories (namei -l), its SELinux context (ls -Z; restorecon puts it right), and "
        "whether its file system is mounted noexec (findmnt -T).", _ALL),
    "driver_missing": Cause(
        FAIL, "the crypto driver is not there",
        "httpd ends with AH01845 at its next start, although configtest says Syntax OK. Install the package that has "
        "apr_crypto_openssl (Debian: libaprutil1 or libaprutil1t64, Red Hat: apr-util-openssl), then start httpd.", _ALL),
    "module_missing": Cause(
        FAIL, "a session module is not loaded",
        "Debian: a2enmod session session_cookie session_crypto; Red Hat: see conf.modules.d. Or " + _DEPLOY + ".", _ALL),
    "key_file_missing": Cause(
        FAIL, "the key file is not there",
        "httpd does not survive its next reload. Bring it back: " + _DEPLOY + ".", _ALL),
    "config_invalid": Cause(
        FAIL, "the configuration does not pass configtest",
        "Repair the line that is named; httpd does not survive its next reload, and no deploy begins before.", _ALL),
    "port_taken": Cause(
        FAIL, "another program holds httpd's port",
        "End that program or give it another port, then start httpd.", _ALL),
    "server_down": Cause(
        FAIL, "httpd is not running",
        "Start it (systemctl start). If it ends again, the lines of its error log that are shown say why.", _ALL),
    "not_listening": Cause(
        FAIL, "httpd does not listen on the scope's port",
        "Add a Listen for it, or correct port in session_config_scopes.", _ALL),
    "deploy_interrupted": Cause(
        FAIL, "a deploy was interrupted here",
        "The next one undoes what it left: " + _DEPLOY + ".", _ALL),
    # Keys.
    "key_file_empty": Cause(
        FAIL, "the key file has no key",
        "httpd sends sessions in plain text, and anybody can forge one. At once: " + _DEPLOY + ".", _ALL, fleet=True),
    "key_file_exec": Cause(
        FAIL, "the key file runs a program",
        "Where that program fails the key is empty and anybody can forge a session. Keys come from the vault: " + _REPLACE,
        _ALL, fleet=True),
    "cipher_unknown": Cause(
        FAIL, "the cipher is not known",
        "No session cookie is ever set. Use aes256, aes192, aes128 or 3des192: " + _DEPLOY + ".",
        (*LOST, "cipher_failed", "max_age_zero", "sessions_off", "wrong_cipher")),
    "key_file_differs": Cause(
        FAIL, "the key file is not the fleet's",
        "The node destroys the sessions of all others, and they its. It has been changed by hand, restored from a backup, or "
        "missed a rotation: " + _REPLACE,
        (*LOST, "wrong_key", "key_missing", "stale_ring", "wrong_order", "key_not_loaded"), fleet=True),
    "key_not_loaded": Cause(
        FAIL, "the key file was written, but never loaded",
        "The running server still has the keys before: reload httpd.",
        (*LOST, "wrong_key", "key_missing", "stale_ring", "wrong_order"), fleet=True),
    "passphrase_override": Cause(
        FAIL, "a narrower section has a passphrase of its own",
        "It replaces the fleet's keys there, so that no other node opens these sessions. Remove the directive.",
        (*LOST, "path_cut_off", "wrong_key", "key_missing", "key_unknown", "passphrase_inline"), fleet=True),
    "htaccess_session": Cause(
        FAIL, "an .htaccess file changes sessions",
        "It replaces the fleet's settings below its directory. Remove its lines, and AllowOverride AuthConfig with them.",
        (*LOST, "path_cut_off", "passphrase_inline", "htaccess_allowed"), fleet=True),
    # Sessions.
    "no_store": Cause(
        FAIL, "sessions are on, but kept nowhere",
        "Session On needs SessionCookieName (or SessionDBDCookieName): there is no session at all without (AH01815).",
        ("no_store_logged", "sessions_off", "path_cut_off")),
    "scope_shadowed": Cause(
        FAIL, "another section overrides the scope",
        "Remove the directive that is named, or make the scope's path as narrow as that section's.",
        (*LOST, "sessions_off", "path_cut_off", "cookie_name", "cookie_path", "cookie_domain", "cookie_secure",
         "cookie_http_only",
         "cookie_same_site", "wrong_cipher", "probe_missing", "file_differs")),
    "max_age_negative": Cause(
        FAIL, "SessionMaxAge is negative",
        "Every session has ended before it is saved (AH01819). Remove the directive.",
        ("expired_at_save", "max_age_zero", "cookie_max_age", "sessions_off", *LOST)),
    "max_age_off": Cause(
        FAIL, "SessionMaxAge is 0",
        "Sessions never end, unchanged ones are never sent anew, and an old key can never be retired. Remove the directive.",
        ("max_age_zero", "cookie_max_age", "sessions_off")),
    "max_age_differs": Cause(
        FAIL, "sessions end after another time here",
        "They end earlier or later than on other nodes. Remove the directive, or change max_age in session_config_scopes.",
        ("cookie_max_age",)),
    "cookie_removed": Cause(
        FAIL, "SessionCookieRemove is on",
        "httpd 2.4.71 loads a session once more to save it; the cookie is gone by then, and the session is lost. Turn it off; "
        "hide_cookie of the scope keeps the cookie from backends.", (*LOST, "loaded_twice", "path_cut_off"), fleet=True),
    "file_differs": Cause(
        FAIL, "a file of the collection was changed",
        "Somebody edited it, or a deploy is due. See the difference with --check --diff; then " + _DEPLOY + ".",
        ("sessions_off", "probe_missing", "another_node", "cookie_name", "cookie_path", "cookie_domain", "cookie_secure",
         "cookie_http_only", "cookie_same_site", "cookie_max_age", "wrong_cipher", "redirected")),
    "clock_undisciplined": Cause(
        WARN, "nothing keeps the clock right",
        "It will drift, and sessions end early on a node that is ahead: ansible-playbook httpd_fleet.mod_session.clock.",
        ("clock_drift", "clock_warn", "clock_unsynchronised", *LOST), fleet=True),
    "clock_unsynchronised": Cause(
        WARN, "the clock is not synchronised",
        "What should keep it right has reached no time server: see chronyc sources or timedatectl timesync-status.",
        ("clock_drift", "clock_warn", *LOST), fleet=True),
    "selinux_denied": Cause(
        FAIL, "SELinux denies httpd something",
        "Run the deploy playbook, which sets file contexts and booleans; for anything else see the line that is named.",
        ("store_down", "store_unreachable", "store_failed")),
    # What is unsafe, or will be.
    "key_file_open": Cause(
        FAIL, "others may read or change the key file",
        "Whoever reads it can forge any session. Set it right (" + _DEPLOY + "), then rotate the keys: a look cannot be taken "
        "back."),
    "passphrase_inline": Cause(
        FAIL, "a passphrase stands in the configuration",
        "Everybody who may read that file, or a support bundle, has it. Remove it; the fleet's keys are in the key file."),
    "cookie_not_secure": Cause(
        WARN, "the cookie travels over plain HTTP too",
        "Serve the site over HTTPS and set secure: true; allow_insecure says that it is meant so."),
    "plain_http": Cause(
        WARN, "the scope is reached over plain HTTP",
        "Browsers neither keep nor send a Secure cookie there, so that visitors are logged out with every click. Redirect to "
        "HTTPS, at the load balancer or in the virtual host of that port."),
    "session_env": Cause(
        WARN, "SessionEnv is on without need",
        "It hands the session's content to every program that httpd starts. Turn it off where no request_header needs it."),
    "htaccess_allowed": Cause(
        INFO, ".htaccess files may change sessions",
        "AllowOverride AuthConfig lets one replace the fleet's keys. Where it is not needed: AllowOverride None."),
    "scope_narrowed": Cause(
        INFO, "a part of the scope has settings of its own",
        "Sessions are off there, end sooner, or are others than the scope's, as the line that is named says. If that is not "
        "meant, remove it.", ("path_cut_off",)),
    "cookie_of_framework": Cause(
        INFO, "the session cookie is called like that of a web framework",
        "hide_cookie takes it from the backend: an application of that framework never gets its own cookie back, and its "
        "logins do not last. Choose another cookie_name in session_config_scopes; if no such application is behind the scope, "
        "all is well."),
    "package_cve": Cause(
        WARN, "the package lacks a security fix",
        "Upgrade httpd: the fix is neither in its version nor in its package's changelog."),
    # What the error log has. Last: mostly it follows from something above.
    "header_too_large": Cause(
        FAIL, "requests are refused because their cookies are too large",
        "LimitRequestFieldSize refuses the header (AH00561). Keep less in the session, or keep sessions in a database: store: "
        "dbd.",
        ("cookie_size",)),
    "store_failed": Cause(
        FAIL, "the database of sessions failed", "See the example: AH01851 no connection, AH01852 to AH01864 a statement.",
        ()),
    "cipher_failed": Cause(
        FAIL, "httpd could not encrypt sessions", "Is the cipher right, is the crypto driver there? (AH01820 to AH01831)", ()),
    "driver_failed": Cause(
        FAIL, "the crypto driver failed", "See the example: AH01843 to AH01848; with AH00020 the server was down.", ()),
    "no_store_logged": Cause(
        WARN, "requests had sessions on, but no store", "Somewhere Session On stands without a cookie's name (AH01815).", ()),
    "expired_at_save": Cause(
        WARN, "sessions had ended before they were saved",
        "SessionMaxAge was negative, or the clock was set back and forth (AH01819).", ()),
    "sessions_lost": Cause(
        WARN, "sessions were lost here",
        "Each AH01842 is a session that this node could not open and replaced by an empty one. Where nothing above explains "
        "it, it "
        "was a key that is mended by now, a rotation by hand, or forged cookies: compare the hours with your changes.", ()),
    "log_undated": Cause(
        WARN, "lines of an error log have no time that can be read",
        "They may be of any year, so that they count for nothing. Give ErrorLogFormat a time: %t, %{u}t or %{cu}t.", ()),
    "log_unread": Cause(
        WARN, "an error log could not be read", "What is in it is not known; see the reason.", ()),
    "log_not_begun": Cause(
        INFO, "an error log has no file yet", "Its program makes the file with the first line: none was written.", ()),
}
