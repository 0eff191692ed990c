# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a check can find, by code: how grave it is, what it is called, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

FAIL, UNKNOWN, WARN, INFO = "fail", "unknown", "warn", "info"
SEVERITIES = (FAIL, UNKNOWN, WARN, INFO)
"""From the gravest on. ``fail`` and ``unknown`` make a check fail: what is not known to be right is not right."""


@dataclass(frozen=True)
class Kind:
    """What is said of every finding of one code."""

    severity: str
    title: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    ``node`` is empty for what concerns the fleet as a whole, ``scope`` for what concerns a node as a whole. ``seen``
    and ``expected`` are ends of sentences, ``remedy`` is one or more sentences.
    """

    code: str
    severity: str
    node: str
    scope: str
    seen: str
    expected: str
    remedy: str

    @property
    def title(self) -> str:
        """What a finding of this code is called."""
        return KINDS[self.code].title


_DEPLOY = "Run the deploy playbook for this node"

KINDS: dict[str, Kind] = {
    # No answer at all.
    "not_asked": Kind(
        FAIL,
        "node was not asked",
        "The node is in the inventory group, but this run could not reach it or left it out (--limit, an unreachable "
        "host). Run the check for the whole group.",
    ),
    "result_invalid": Kind(
        FAIL,
        "node's result cannot be read",
        "What came back from the module on the node is not what that module gives. Look at the node before you trust it: is its "
        "Python, or what Ansible runs there, another one?",
    ),
    "bad_address": Kind(
        FAIL,
        "address or port is none",
        "Correct session_check_address, session_check_port or ansible_host of this host in the inventory.",
    ),
    "shared_address": Kind(
        UNKNOWN,
        "two nodes have one address",
        "Set session_check_address and session_check_port of each node to where it alone is reached. Where forwarded SSH ports "
        "lead to the nodes, set session_check_via: node. Two names of one server are one node: take one out of the group.",
    ),
    "unresolved": Kind(FAIL, "address does not resolve", "Correct session_check_address (or ansible_host), or DNS."),
    "refused": Kind(
        FAIL,
        "connection refused",
        "Start httpd on the node, or correct session_check_address and session_check_port. Where the node itself sees httpd "
        "listen, a packet filter rejects the connection.",
    ),
    "unreachable": Kind(FAIL, "no route to the node", "Is the node up? Is the network between here and it?"),
    "connect_timeout": Kind(
        FAIL,
        "no connection in time",
        "The node is down, or a packet filter drops the connection. Where only SSH reaches the nodes, set "
        "session_check_via: node.",
    ),
    "tls_certificate": Kind(
        FAIL,
        "certificate is not trusted",
        "Renew or correct the node's certificate for the site's name; where the fleet has a certificate authority of "
        "its own, name its file in session_check_ca.",
    ),
    "tls_handshake": Kind(
        FAIL,
        "TLS handshake failed",
        "Is this port served with TLS (scheme of the scope, session_check_port)? Does the node know the site's name?",
    ),
    "timeout": Kind(
        FAIL,
        "node hangs",
        "httpd takes the connection but gives no answer in time: look for exhausted workers (server-status) or a stuck "
        "process, and restart it.",
    ),
    "reset": Kind(FAIL, "connection reset", "httpd or something before it cuts connections off: see its error log."),
    "closed": Kind(
        FAIL,
        "connection closed without an answer",
        "A worker died or something before httpd closed the connection: see the error log.",
    ),
    "garbage": Kind(FAIL, "answer is not HTTP", "Something else than httpd listens at this address and port."),
    "too_large": Kind(
        FAIL,
        "answer is too large",
        "The headers of an answer are bounded at 64 KiB: what answers here is not the probe location of a scope.",
    ),
    "large_answer": Kind(
        WARN,
        "answer is large",
        "The probe location answers a few hundred bytes: something else answers here.",
    ),
    "server_error": Kind(
        FAIL,
        "server error",
        "The node answers with an error of its own: see its error log (a backend that is down, AH01845 for a crypto "
        "driver, AH01816 for a session store).",
    ),
    "absent": Kind(INFO, "node is declared absent", "Deploy to it before it gets traffic again, then check."),
    "absent_answers": Kind(
        INFO,
        "node is declared absent, but answers",
        "It is judged like any other. Without further findings it has the whole ring and is ready: declare it present "
        "(ansible-playbook httpd_fleet.mod_session.ring -e session_ring_verb=present -e session_ring_node=...).",
    ),
    "no_node": Kind(
        UNKNOWN,
        "no node answers that is needed",
        "An empty fleet proves nothing: every node of the group is declared absent, and none answers. Is session_fleet_group the "
        "right group? Start the nodes, or declare those present that serve.",
    ),
    # No session.
    "another_node": Kind(
        FAIL,
        "another node answers at this address",
        "What it shows says nothing of this node. Two names of the group lead to one server, or a proxy or load balancer "
        "answers at this address: set session_check_address and session_check_port to the node's own httpd, or take one of the "
        "names out of the group. If the node was renamed: deploy to it.",
    ),
    "sessions_off": Kind(
        FAIL,
        "sessions are off",
        "The probe location is there, but no session: a section behind the collection's has Session Off, or a Header directive "
        f"takes Set-Cookie away. Remove it; otherwise: {_DEPLOY.lower()}.",
    ),
    "max_age_zero": Kind(
        FAIL,
        "sessions are on, but no cookie is sent",
        "SessionMaxAge is 0 there, httpd does not know the cipher (AH01824 in the error log), or a Header directive takes "
        f"Set-Cookie away. {_DEPLOY}.",
    ),
    "probe_missing": Kind(
        UNKNOWN,
        "no answer of the probe location",
        "Nothing is known of this node's keys: what answers is not its probe location. Its configuration is not deployed, not "
        "loaded, or older than this version (run the deploy playbook for this node), or an application, another virtual host, a "
        "proxy or a packet inspection answers in its place: see virtual_host, port and reach of the scope, and "
        "session_check_address.",
    ),
    "redirected": Kind(
        UNKNOWN,
        "probe location redirects",
        "The site redirects what is asked for here. Where the cookie came along, all is proven and nothing need be done. Else "
        "ask where the site is served: set scheme, port and virtual_host of the scope to where the redirect leads, or say in "
        "its option reach what the load balancer sends.",
    ),
    "cookie_name": Kind(FAIL, "cookie has another name", f"{_DEPLOY}: browsers would hold two sessions."),
    # Keys.
    "plain_text": Kind(
        FAIL,
        "sessions are not encrypted",
        f"Anybody can read and forge these sessions: the key file is empty, or mod_session_crypto is not in force. "
        f"{_DEPLOY} at once.",
    ),
    "empty_key": Kind(
        FAIL,
        "sessions are sealed with the empty key",
        f"Anybody can forge these sessions: an exec: entry in the key file fails. {_DEPLOY} at once.",
    ),
    "wrong_key": Kind(FAIL, "encrypts with a key that is not in the list", f"{_DEPLOY}; it destroys other nodes' sessions."),
    "stale_ring": Kind(
        FAIL,
        "node has an old list of keys",
        f"{_DEPLOY}; if its key file is right already, reload httpd: the running server still has the old list.",
    ),
    "wrong_order": Kind(FAIL, "keys are in another order", f"{_DEPLOY}: the first key of the file encrypts."),
    "key_missing": Kind(
        FAIL,
        "node does not accept a key",
        f"{_DEPLOY}; if its key file is right already, reload httpd. Until then sessions under this key die there.",
    ),
    "key_unknown": Kind(UNKNOWN, "cannot tell which keys the node accepts", "Run the check again; then see its error log."),
    "revoked_key": Kind(FAIL, "node still accepts a revoked key", f"{_DEPLOY}, then reload httpd."),
    "weak_key": Kind(
        WARN,
        "key is weak",
        "It can be guessed from a single cookie. Rotate it out: ansible-playbook httpd_fleet.mod_session.rotate",
    ),
    "wrong_cipher": Kind(FAIL, "another cipher", f"{_DEPLOY}: nodes with different ciphers destroy each other's sessions."),
    "changing": Kind(
        UNKNOWN,
        "answers of one address disagree",
        "A load balancer behind this address, or a reload under way: ask each node at its own address, then again.",
    ),
    "bad_cookie": Kind(FAIL, "cookie is no session", f"Something else sets a cookie of this name. {_DEPLOY}."),
    # Cookie hygiene.
    "cookie_secure": Kind(FAIL, "cookie without Secure", f"It travels over plain HTTP too. {_DEPLOY}."),
    "cookie_http_only": Kind(FAIL, "cookie without HttpOnly", f"Scripts in the page can read it. {_DEPLOY}."),
    "cookie_same_site": Kind(FAIL, "cookie with another SameSite", f"{_DEPLOY}."),
    "cookie_path": Kind(FAIL, "cookie with another path", f"Browsers would hold two sessions. {_DEPLOY}."),
    "cookie_domain": Kind(FAIL, "cookie with another domain", f"Browsers would hold two sessions. {_DEPLOY}."),
    "cookie_max_age": Kind(FAIL, "another max age", f"{_DEPLOY}: sessions end earlier or later there."),
    "cookie_size": Kind(
        FAIL,
        "session does not fit into a cookie",
        "Browsers drop a cookie whose name and value exceed 4096 bytes, without a word. Keep less in the session, use "
        "a shorter cookie name, or keep sessions in a database (mod_session_dbd).",
    ),
    # Between nodes and paths.
    "path_cut_off": Kind(
        FAIL,
        "path is cut off from the fleet's key",
        "A narrower section or an .htaccess file there sets SessionCryptoPassphrase, a cookie name or Session by "
        "itself: it replaces the fleet's. Remove it.",
    ),
    "loaded_twice": Kind(
        FAIL,
        "httpd loses the session it has read",
        "httpd 2.4.71 loads a session once more to save it, and with SessionCookieRemove On the cookie is gone by then: the "
        "session is not prolonged, or is overwritten. Turn SessionCookieRemove off there.",
    ),
    "carry_lost": Kind(
        FAIL,
        "session of another node does not live here",
        "Both nodes look alike, but the session did not survive: see the error log for AH01842, and the clocks.",
    ),
    "carry_unknown": Kind(UNKNOWN, "cannot tell whether a session lives here", "Run the check again."),
    "canary_lost": Kind(
        FAIL,
        "node lost the canary session",
        "A session that lived on the nodes before does not live here: visitors lose theirs. Do not go on with a rotation. Do "
        f"what the other findings on this node say; without any, see its error log for AH01842. {_DEPLOY}.",
    ),
    "canary_unknown": Kind(UNKNOWN, "cannot tell whether the canary session lives", "Run the check again."),
    "canary_revoked": Kind(INFO, "canary session ended with its revoked key", "By design. The next check makes a new canary."),
    "canary_expired": Kind(
        INFO,
        "canary expired",
        "By design: a session that nobody uses ends after its max age. The next check goes on with the newest one, or another.",
    ),
    "store_down": Kind(
        FAIL,
        "database of sessions is out",
        "No node gets a row written or read: visitors have no sessions until that is mended. Is the database up, and has it "
        "the table and the rights (playbook store)? The nodes' error logs say what fails: AH01851 no connection, AH01854 to "
        "AH01860 a statement. Nodes recover by themselves.",
    ),
    "store_unreachable": Kind(
        FAIL,
        "database of sessions is out on this node",
        "Visitors of this node have no sessions. Its error log says what fails. No connection (AH01851): is the way from here "
        "to the database open, are user, password and TLS in session_store right there? A statement (AH01854 to AH01860): has "
        f"the table its name, and the user its rights (playbook store)? Otherwise: {_DEPLOY.lower()}.",
    ),
    "store_not_shared": Kind(
        FAIL,
        "node has not the rows of other nodes",
        "It uses another database or table: visitors lose their session on the way from one to the other. "
        f"{_DEPLOY}, and look for a DBDParams of the site that replaces the fleet's, or a replica that lags behind.",
    ),
    "store_in_cookies": Kind(
        FAIL,
        "sessions are kept in cookies here",
        f"{_DEPLOY}: a session of another node is lost here, and the other way round. Until then it has an old configuration.",
    ),
    "store_in_database": Kind(
        FAIL,
        "sessions are kept in a database here",
        f"{_DEPLOY}: a session of another node is lost here, and the other way round. Until then it has an old configuration.",
    ),
    # Clocks.
    "clock_drift": Kind(
        FAIL,
        "clocks have drifted",
        "Synchronise time on the node (chrony or systemd-timesyncd): a node that is ahead ends sessions early.",
    ),
    "clock_warn": Kind(WARN, "clocks differ", "Look after the time synchronisation of the node."),
    "clock_unknown": Kind(
        UNKNOWN,
        "clock cannot be read closely enough",
        "The way to the node is slow, or its answers tell no time or contradict each other: check from nearer by, or with "
        "session_check_via: node.",
    ),
    "controller_clock": Kind(
        WARN,
        "the clock of this machine was set during the check",
        "Nodes are still compared rightly, their offsets against this machine are not exact. Look after its time.",
    ),
}


def finding(code: str, node: str, scope: str, seen: str, expected: str = "", severity: str = "") -> Finding:
    """A finding of a known code; its severity may be given where it depends on more than the code."""
    kind = KINDS[code]
    return Finding(code, severity or kind.severity, node, scope, seen, expected, kind.remedy)
