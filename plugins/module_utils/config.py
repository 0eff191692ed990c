# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders httpd's configuration from scopes.

Narrower sections of httpd replace the passphrases of wider ones, so every section names the fleet's one file.
"""

from __future__ import annotations

import itertools
import re
from typing import List, Sequence, Tuple

from .probe import IDENTITY_HEADER, REACHED_HEADER
from .scopes import Scope
from .vhost_file import include_line

HEADER = "# Managed by the Ansible collection httpd_fleet.mod_session; changes by hand are overwritten.\n"
DIRECTIVES_BEGIN = "# Directives of this scope's own:"
DIRECTIVES_END = "# End of them."
"""Between these lines stand directives of the operator: any may hold a secret."""

UPDATE_INTERVAL_SINCE = (2, 4, 41)
"""First httpd with SessionExpiryUpdateInterval."""


def modules_for(scopes: Sequence[Scope]) -> Tuple[str, ...]:
    """Names of the httpd modules that these scopes need, in the order they are loaded.

    ``session_dbd`` comes after ``session_cookie``: where both stores are on, as at the probe location of a scope that keeps
    its sessions in a database, httpd asks the one that was loaded first.
    """
    names = ["session", "session_cookie", "session_crypto", "headers"]
    if any(scope.store == "dbd" for scope in scopes):
        names += ["dbd", "session_dbd"]
    return tuple(names)


def render(
    scopes: Sequence[Scope], key_file: str, version: Tuple[int, ...], store_file: str = "", identity: str = "", quiet: bool = True
) -> str:
    """One configuration file with these scopes, wide paths before narrow ones: the last section that fits a URL wins.

    :param scopes: scopes of the whole server, or of one virtual host.
    :param key_file: absolute name of the passphrase file.
    :param version: httpd's version, such as ``(2, 4, 62)``: what it does not know is left out.
    :param store_file: absolute name of the file with the database's settings; empty where this file need not include it.
    :param identity: the node's, see :func:`probe.identity`; its probe locations answer with it. Empty: with none.
    :param quiet: nothing that a probe does is logged; a trial wants its reasons logged.
    """
    included = "\n%s\n" % include_line(store_file) if store_file else ""
    included += "".join("\n" + "".join("%s\n" % line for line in _only_whole_cookies(name)) for name in sorted(
        {scope.cookie_name for scope in scopes if scope.cookie_name.startswith("__Host-")}))
    ordered = sorted(scopes, key=lambda scope: len(scope.path))
    sections = ["\n" + _section(scope, key_file, version, identity, quiet) for scope in ordered]
    return HEADER + included + "".join(sections)


def _section(scope: Scope, key_file: str, version: Tuple[int, ...], identity: str, quiet: bool) -> str:
    interval = version >= UPDATE_INTERVAL_SINCE
    in_cookies = _cookie(scope, "")
    lines = [
        "Session On",
        *(in_cookies if scope.store == "cookie" else _cookie(scope, "DBD")),
        "SessionCryptoCipher %s" % scope.cipher,
        'SessionCryptoPassphraseFile "%s"' % key_file,
        "SessionMaxAge %d" % scope.max_age,
    ]
    if interval:
        lines.append("SessionExpiryUpdateInterval %d" % scope.update_interval)
    lines += ['SessionExclude "%s"' % prefix for prefix in scope.exclude]
    # Off as well: a section around this one may have it on, and would hand this scope's sessions on too.
    lines.append("SessionEnv %s" % ("On" if scope.request_header else "Off"))
    if scope.request_header:
        lines += ['RequestHeader unset "%s"' % name for name in _spellings(scope.request_header)]
        lines.append('RequestHeader set "%s" "%%{HTTP_SESSION}e" env=HTTP_SESSION' % scope.request_header)
    if scope.hide_cookie:
        lines += _without_cookie(scope.cookie_name)
    if scope.response_header:
        lines.append("SessionHeader %s" % scope.response_header)
    if scope.log_level:
        lines.append("LogLevel %s" % " ".join(
            "%s:%s" % (name, scope.log_level) for name in modules_for([scope]) if name.startswith("session")))
    if scope.directives:
        lines += [DIRECTIVES_BEGIN, *scope.directives, DIRECTIVES_END]
    lines += _probe_location(scope, interval, in_cookies, identity, quiet)
    return '# %s\n<Location "%s">\n%s</Location>\n' % (
        scope.name, scope.path, "".join("    %s\n" % line for line in lines))


def _probe_location(scope: Scope, interval: bool, in_cookies: Sequence[str], identity: str, quiet: bool) -> List[str]:
    """What answers probes: httpd itself, before it asks who the visitor is and before any application is reached.

    <If> is merged after every <Location>, so that no "Require all granted" of the site opens it. It goes by the request as it
    was sent: a rewriting of the virtual host may have changed the path by then. Whoever asks adds a number, see
    :func:`probe.spread`.
    """
    path = re.sub(r"[.+]", r"\\\g<0>", scope.probe_path)
    silent = "authz_core session session_cookie session_crypto".split()
    lines = [
        "<If \"%%{THE_REQUEST} =~ m#^[A-Z]+ %s(/[0-9]+)?[? ]#\">" % path,
        "    Require all denied",
        "    <IfModule mod_access_compat.c>",
        "        Satisfy All",
        *(["        LogLevel access_compat:crit"] if quiet else []),
        "    </IfModule>",
        # A page of the site in place of the short answer would have neither our header nor our cookie.
        *("    ErrorDocument %d default" % status for status in (403, 404, 410)),
    ]
    if quiet:
        # Nothing that a probe does is an attack, or a session lost.
        lines.append("    LogLevel %s" % " ".join("%s:crit" % name for name in silent))
        # It denies what comes often, in the words that fail2ban's stock jail bans for.
        lines += ["    <IfModule mod_evasive20.c>", "        LogLevel evasive20:crit", "    </IfModule>"]
    if identity:
        # RequestHeader acts right before a handler is called: where an application answers, this header is missing.
        lines += [
            '    RequestHeader set "%s" "1"' % REACHED_HEADER,
            '    Header always set "%s" "%s" "expr=-z %%{req_novary:%s}"' % (IDENTITY_HEADER, identity, REACHED_HEADER),
        ]
    if interval:
        lines.append("    SessionExpiryUpdateInterval 0")
    lines.append("</If>")
    if scope.store == "dbd":
        # The probe location keeps its sessions in cookies, with the same keys, so that a probe needs no database and whoever
        # holds the keys can seal one. Asked with ?store, it uses the database.
        lines.append("<If \"%%{THE_REQUEST} =~ m#^[A-Z]+ %s(/[0-9]+)? #\">" % path)
        lines += ["    " + line for line in in_cookies]
        lines.append("</If>")
    return lines


def _cookie(scope: Scope, store: str) -> List[str]:
    """The directives of a store's cookie; ``store`` is ``""`` for that of cookies, ``DBD`` for that of a database."""
    return [
        "Session%sCookieName %s %s" % (store, scope.cookie_name, ";".join(_attributes(scope))),
        # With On, httpd 2.4.71 loads the session again when it saves it, finds the cookie gone, and loses the session.
        "Session%sCookieRemove Off" % store,
    ]


def _without_cookie(name: str) -> List[str]:
    """Takes the session cookie out of what the backend is sent, after mod_session has read it.

    mod_session reads Cookie and Cookie2, and takes what stands behind a comma for another cookie (measured).
    """
    return [
        'RequestHeader edit* Cookie "(^|[;,])[[:space:]]*%s=[^;,]*" ""' % re.escape(name),
        'RequestHeader edit Cookie "^[;,[:space:]]+" ""',
        "RequestHeader unset Cookie \"expr=%{req:Cookie} == ''\"",
        "RequestHeader unset Cookie2",
    ]


def _only_whole_cookies(name: str) -> List[str]:
    """Takes a ``__Host-`` cookie that stands inside another cookie's value out of the request before mod_session reads it.

    Browsers let no other host set a cookie of such a name, but ``evil=1,__Host-name=...`` they do.
    """
    return [
        "# Only a cookie that the browser holds under this name is a session.",
        'RequestHeader edit* Cookie ",[[:space:]]*%s=[^;,]*" "" early' % re.escape(name),
    ]


def _attributes(scope: Scope) -> List[str]:
    found = ["Path=%s" % scope.cookie_path]
    if scope.cookie_domain:
        found.append("Domain=%s" % scope.cookie_domain)
    if scope.http_only:
        found.append("HttpOnly")
    if scope.secure:
        found.append("Secure")
    if scope.same_site:
        found.append("SameSite=%s" % scope.same_site)
    return found


def _spellings(header: str) -> List[str]:
    """All names that a CGI-like backend takes for this header: each ``-`` may as well come in as ``_``."""
    parts = re.split("[-_]", header)
    if len(parts) > 5:
        return [header, header.replace("-", "_")]
    return ["".join(map("".join, itertools.zip_longest(parts, joints, fillvalue="")))
            for joints in itertools.product("-_", repeat=len(parts) - 1)]
