# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a node's configuration ends sessions, seen as httpd sees it: which section has the last word on a scope.

httpd merges Directory, .htaccess, Files, Location and If, in this order; sections of one kind in the order of the files, those
of a virtual host after those of the server. The collection's scopes are Locations: what stands before them in that order changes
nothing there (measured), what stands behind them does.
"""

from __future__ import annotations

import posixpath
import re
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from .causes import Symptom
from .cookie import CIPHERS
from .httpd_config import Node, VirtualHost, names_of, walk
from .layout import Layout
from .scopes import Scope

NEEDED = ("session", "session_cookie", "session_crypto")

_DIRECTIVES = re.compile(r"Session[A-Za-z0-9]*\Z", re.I)
_COOKIE_NAMES = ("sessioncookiename", "sessioncookiename2", "sessiondbdcookiename", "sessiondbdcookiename2")
_OVERRIDES = ("all", "authconfig")


def from_configtest(status: int, text: str) -> List[Symptom]:
    """Why a configuration does not pass; empty where it does."""
    if not status:
        return []
    lines = [line.strip() for line in text.splitlines() if line.strip() and not re.search(
        r"AH00558|^Action '|error log may have more", line)]
    said = _hide(" ".join(lines))
    place = re.search(r"on line \d+ of (\S+?):?(?=\s|\Z)", said)
    if re.search(r"Cannot load .*mod_(?:session|dbd)\w*\.so|Cannot load .*No such file", said):
        return [Symptom("module_file_missing", said)]
    if re.search(r"Invalid command '(?:Session|DBD)", said) and _real(said):
        return [Symptom("module_missing", said)]
    if re.search(r"SessionCryptoPassphraseFile: Could not open", said):
        return [Symptom("key_file_missing", said)]
    return [Symptom("config_invalid", said or "httpd -t ended with status %d%s" % (status, place.group(0) if place else ""))]


_KNOWN = frozenset("""session sessionmaxage sessionheader sessioninclude sessionexclude sessionenv sessionexpiryupdateinterval
sessioncookiename sessioncookiename2 sessioncookieremove sessioncryptodriver sessioncryptopassphrase
sessioncryptopassphrasefile sessioncryptocipher sessiondbdcookiename sessiondbdcookiename2 sessiondbdcookieremove
sessiondbdperuser sessiondbdselectlabel sessiondbdinsertlabel sessiondbdupdatelabel sessiondbddeletelabel dbdriver dbdparams
dbdpersist dbdpreparesql dbdmin dbdkeep dbdmax dbdexptime dbdinitsql""".split())


def _real(said: str) -> bool:
    """Whether the command that httpd does not know is one that a session module would know; else it is misspelt."""
    found = re.search(r"Invalid command '(\w+)'", said)
    return found is not None and found.group(1).lower() in _KNOWN


def _hide(text: str) -> str:
    """A line of configuration without a passphrase that stands in it."""
    return re.sub(r"(?i)((?:passphrase|password|DBDParams)['\"]?\s+)\S.*", r"\1(hidden)", text)


def judge(tree: Node, modules: Sequence[str], hosts: Sequence[VirtualHost], scopes: Sequence[Scope],
          layout: Layout) -> List[Symptom]:
    """What the configuration on the disk says of sessions.

    :param tree: of a dump that passed configtest.
    :param modules: that httpd loads.
    """
    found = []
    missing = [name for name in (*NEEDED, *_store_modules(scopes)) if name not in modules]
    if missing:
        found.append(Symptom("module_missing", "httpd -M does not list %s" % ", ".join("mod_%s" % name for name in missing)))
    for scope in scopes:
        found += _judge_scope(tree, scope, layout)
        found += _plain_http(tree, hosts, scope)
    return found + _anywhere(tree, layout)


def _store_modules(scopes: Sequence[Scope]) -> Tuple[str, ...]:
    return ("dbd", "session_dbd") if any(scope.store == "dbd" for scope in scopes) else ()


# -- one scope --------------------------------------------------------------------------------------------------------

def _judge_scope(tree: Node, scope: Scope, layout: Layout) -> List[Symptom]:
    found: List[Symptom] = []
    own = _own_section(tree, scope, layout)
    for node, inside in walk(tree):
        if node.section or not _DIRECTIVES.match(node.name) or _is_own(node, layout):
            continue
        if own is not None and _has_last_word(node, inside, own, scope):
            found += _override(node, inside, scope, layout)
    return found


def _own_section(tree: Node, scope: Scope, layout: Layout) -> Optional[Tuple[int, bool]]:
    """Order of the scope's own section, and whether it stands in a virtual host; None where it is not there."""
    for node, inside in walk(tree):
        if node.section and node.name.lower() == "location" and _is_own(node, layout) and node.words[:1] == (scope.path,):
            return node.order, any(section.name.lower() == "virtualhost" for section in inside)
    return None


def _is_own(node: Node, layout: Layout) -> bool:
    """Whether the collection wrote this line."""
    names = {posixpath.basename(layout.conf_file)}
    return posixpath.basename(node.file) in names or node.file.startswith((layout.include_dir + "/", layout.key_dir + "/"))


def _has_last_word(node: Node, inside: Sequence[Node], own: Tuple[int, bool], scope: Scope) -> bool:
    """Whether a directive elsewhere is in force for all or a part of a scope."""
    host = next((section for section in inside if section.name.lower() == "virtualhost"), None)
    if host is not None and scope.virtual_host and scope.virtual_host.lower() not in names_of(host):
        return False
    kinds = [section.name.lower() for section in inside]
    places = [section for section in inside if section.name.lower() in ("location", "locationmatch")]
    if places and not all(_touches(section, scope.path) for section in places):
        return False
    if "if" in kinds or "elseif" in kinds or "else" in kinds:
        return True  # merged last; whether its condition holds is not known here
    if node.name.lower() in ("sessionexclude", "sessioninclude"):
        return bool(node.words) and _overlap(node.words[0], scope.path) and node.name.lower() == "sessionexclude"
    if not places:
        return False
    order, in_host = own
    return (host is not None, node.order) > (in_host, order)


def _touches(section: Node, path: str) -> bool:
    """Whether a Location is in force for a part of a path, or for all of it."""
    words = section.words
    pattern = section.name.lower() == "locationmatch" or words[:1] == ("~",)
    if pattern:
        try:
            return bool(re.search(words[-1], path) or re.search(words[-1], path.rstrip("/") + "/x"))
        except (re.error, IndexError):
            return False
    return bool(words) and _overlap(words[0], path)


def _overlap(one: str, other: str) -> bool:
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return one.startswith(other) or other.startswith(one)


def _override(node: Node, inside: Sequence[Node], scope: Scope, layout: Layout) -> List[Symptom]:
    name, words = node.name.lower(), node.words
    value = words[0] if words else ""
    where = "%s: %s%s" % (node.place, "".join("<%s %s> " % (one.name, " ".join(one.words)) for one in inside), node.name)
    if name == "sessioncryptopassphrase":
        return [Symptom("passphrase_override", where, scope.name)]
    if name == "sessioncryptopassphrasefile":
        return [] if value == layout.key_file else [Symptom("passphrase_override", "%s %s" % (where, value), scope.name)]
    said = "%s %s" % (where, " ".join(words))
    if name == "sessionmaxage" and re.match(r"-?\d+\Z", value):
        age = int(value)
        code = "max_age_negative" if age < 0 else "max_age_off" if age == 0 else "max_age_differs"
        return [Symptom(code, "%s; expected %d" % (said, scope.max_age), scope.name)] if age != scope.max_age else []
    if name == "sessioncryptocipher" and value.lower() not in CIPHERS:
        return [Symptom("cipher_unknown", said, scope.name)]
    if name in ("sessioncookieremove", "sessiondbdcookieremove"):
        return [Symptom("cookie_removed", said, scope.name)] if value.lower() == "on" else []
    harmless = {"session": "on", "sessioncryptocipher": scope.cipher}.get(name)
    if name in ("sessionexpiryupdateinterval", "sessionenv") or (harmless is not None and value.lower() == harmless):
        return []
    return [Symptom("scope_shadowed", said, scope.name)]


# -- all of the configuration -----------------------------------------------------------------------------------------

def _anywhere(tree: Node, layout: Layout) -> List[Symptom]:
    """What is unsafe or without effect wherever it stands."""
    found: List[Symptom] = []
    named = _session_sections(tree)
    for node, inside in walk(tree):
        name = node.name.lower()
        if node.section or not _DIRECTIVES.match(node.name) or _is_own(node, layout):
            continue
        value = node.words[0].lower() if node.words else ""
        if name == "sessioncryptopassphrase" and not value.startswith("exec:"):
            found.append(Symptom("passphrase_inline", "%s has SessionCryptoPassphrase with its value" % node.place))
        if name == "session" and value == "on" and not _has_store(inside, named):
            found.append(Symptom("no_store", "%s: Session On, and no SessionCookieName for it" % node.place))
        if name == "sessionenv" and value == "on":
            found.append(Symptom("session_env", "%s: SessionEnv On" % node.place))
        if name in _COOKIE_NAMES and "secure" not in _attributes(node):
            found.append(Symptom("cookie_not_secure", "%s: %s %s without Secure" % (node.place, node.name, node.words[0])))
    return found


def _session_sections(tree: Node) -> Dict[int, bool]:
    """By identity of each section (and of the root): whether a cookie's name stands directly in it."""
    found = {id(tree): bool(tree.named(*_COOKIE_NAMES))}
    for node, _inside in walk(tree):
        if node.section:
            found[id(node)] = bool(node.named(*_COOKIE_NAMES))
    found[0] = found[id(tree)]
    return found


def _has_store(inside: Sequence[Node], named: Dict[int, bool]) -> bool:
    return named[0] or any(named[id(section)] for section in inside)


def _attributes(node: Node) -> List[str]:
    return [word.strip().lower() for word in " ".join(node.words[1:]).split(";")]


def _plain_http(tree: Node, hosts: Sequence[VirtualHost], scope: Scope) -> List[Symptom]:
    """Virtual hosts that serve a scope of HTTPS without TLS, and send nobody to HTTPS."""
    if scope.scheme != "https" or not scope.secure:
        return []
    found = []
    blocks = {node.place: node for node, _inside in walk(tree) if node.section and node.name.lower() == "virtualhost"}
    for host in hosts:
        block = blocks.get(host.place)
        if block is None or host.port == scope.port or _directive(block, "SSLEngine") == "on":
            continue
        if scope.virtual_host and scope.virtual_host.lower() not in [host.name.lower(), *names_of(block)]:
            continue
        if not any(_redirects(node) for node, _inside in walk(block)):
            found.append(Symptom("plain_http", "%s: the virtual host on port %d serves it without TLS and redirects nobody" % (
                host.place, host.port), scope.name))
    return found


def _directive(block: Node, name: str) -> str:
    return next((node.words[0].lower() for node in block.named(name) if node.words), "")


def _redirects(node: Node) -> bool:
    name = node.name.lower()
    return name in ("redirect", "redirectmatch", "redirectpermanent", "rewriterule") and any(
        "https://" in word.lower() for word in node.words)


# -- .htaccess --------------------------------------------------------------------------------------------------------

def htaccess(tree: Node, files: Callable[[str], Iterable[Tuple[str, str]]]) -> List[Symptom]:
    """What .htaccess files may do, and do, to sessions.

    :param files: gives the .htaccess files below a directory, each with its text.
    """
    found: List[Symptom] = []
    seen = set()
    for node, inside in walk(tree):
        if node.name.lower() != "allowoverride" or not _OVERRIDES_RE.search(" ".join(node.words)):
            continue
        directory = next((section.words[-1] for section in reversed(inside)
                          if section.name.lower() == "directory" and section.words), "")
        if not directory or directory in seen or any(letter in directory for letter in "*?["):
            continue
        seen.add(directory)
        hits = [] if directory == "/" else [hit for name, text in files(directory) for hit in _lines(name, text)]
        found += [Symptom("htaccess_session", hit) for hit in hits[:5]]
        if not hits:
            found.append(Symptom("htaccess_allowed", "%s: AllowOverride %s for %s" % (
                node.place, " ".join(node.words), directory)))
    return found


_OVERRIDES_RE = re.compile(r"(?i)\b(?:%s)\b" % "|".join(_OVERRIDES))


def _lines(name: str, text: str) -> List[str]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words and _DIRECTIVES.match(words[0]):
            found.append("%s:%d has %s" % (name, number, words[0]))
    return found
