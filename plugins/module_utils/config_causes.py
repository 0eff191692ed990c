# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a node's configuration ends sessions, seen as httpd sees it: which section has the last word on a scope.

httpd merges Directory, .htaccess, Files, Location and If, in this order; sections of one kind in the order of the files, those
of a virtual host after those of the server. The collection's scopes are Locations: what stands before them in that order changes
nothing there (measured), what stands behind them does. Two directives are not replaced but added up, wherever they stand:
SessionInclude and SessionExclude; their values are compared as text, so that ``/ap`` excludes ``/app`` (measured).
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from .causes import Symptom
from .cookie import CIPHERS
from .httpd_config import Node, VirtualHost, names_of, walk
from .hygiene import cookie_deviations
from .layout import Layout
from .probe import parse_set_cookie
from .scopes import Scope

NEEDED = ("session", "session_cookie", "session_crypto")

_DIRECTIVES = re.compile(r"Session[A-Za-z0-9]*\Z", re.I)
_COOKIE_NAMES = ("sessioncookiename", "sessioncookiename2", "sessiondbdcookiename", "sessiondbdcookiename2")
_OVERRIDES = ("all", "authconfig")


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
        found += _judge_scope(tree, hosts, scope, layout)
        found += _plain_http(tree, hosts, scope)
        if scope.framework:
            found.append(Symptom("cookie_of_framework", "cookie_name %s is the default of %s" % (
                scope.cookie_name, scope.framework), scope.name))
    return found + _anywhere(tree, layout)


def _store_modules(scopes: Sequence[Scope]) -> Tuple[str, ...]:
    return ("dbd", "session_dbd") if any(scope.store == "dbd" for scope in scopes) else ()


# -- one scope --------------------------------------------------------------------------------------------------------

def serving(tree: Node, hosts: Sequence[VirtualHost], scope: Scope) -> List[Optional[Node]]:
    """The sections of the virtual hosts that answer for a scope; None stands for the server outside of all virtual hosts.

    A scope of the whole server is served by every one. A scope of a virtual host is served, on its port, by the first one on
    each address that has its name; where none has, by the first of each address.
    """
    blocks = {node.place: node for node in tree.named("VirtualHost")}
    if not scope.virtual_host:
        return [None, *blocks.values()]
    by_name: Dict[int, Node] = {}
    defaults: Dict[int, Node] = {}
    taken = set()
    for host in hosts:
        block = blocks.get(host.place)
        if block is None or host.port not in (0, scope.port):
            continue
        names = [host.name.lower(), *map(str.lower, host.aliases), *names_of(block)]
        if host.default:
            defaults[id(block)] = block
        if (host.address, host.port) not in taken and any(fnmatch.fnmatchcase(scope.virtual_host, name) for name in names):
            taken.add((host.address, host.port))
            by_name[id(block)] = block
    return list((by_name or defaults).values()) or [None]


def _of_host(tree: Node, block: Optional[Node]) -> Iterator[Tuple[Node, Tuple[Node, ...]]]:
    """What httpd merges for one virtual host: all that stands in it, and all that stands in none."""
    for node, inside in walk(tree):
        if not inside or inside[0].name.lower() != "virtualhost" or inside[0] is block:
            yield node, inside


def _judge_scope(tree: Node, hosts: Sequence[VirtualHost], scope: Scope, layout: Layout) -> List[Symptom]:
    """Each virtual host by itself; what stands in none is told once."""
    found: Dict[Tuple[str, str], Symptom] = {}
    for block in serving(tree, hosts, scope):
        for symptom in _judge_in(tree, block, scope, layout):
            found.setdefault((symptom.code, symptom.evidence), symptom)
    return list(found.values())


def _judge_in(tree: Node, block: Optional[Node], scope: Scope, layout: Layout) -> List[Symptom]:
    found: List[Symptom] = []
    included: List[Tuple[Node, Tuple[Node, ...]]] = []
    own = _own_section(tree, block, scope, layout)
    places = url_places(tree, block)
    for node, inside in _of_host(tree, block):
        if node.section or not _DIRECTIVES.match(node.name) or _is_own(node, layout):
            continue
        if own is None or not _in_force(inside, scope, places):
            continue
        if node.name.lower() == "sessioninclude":
            included.append((node, inside))
        elif node.name.lower() == "sessionexclude" or _has_last_word(node, inside, own):
            found += _override(node, inside, scope, layout)
    if included and not any(scope.path.startswith("".join(node.words[:1])) for node, _inside in included):
        found.append(Symptom("scope_shadowed", "%s %s leaves %s out" % (
            _where(*included[0]), " ".join(included[0][0].words), scope.path), scope.name))
    return found


def _own_section(tree: Node, block: Optional[Node], scope: Scope, layout: Layout) -> Optional[Tuple[int, bool]]:
    """Order of the scope's own section, and whether it stands in a virtual host; None where it is not there."""
    for node, inside in _of_host(tree, block):
        if node.section and node.name.lower() == "location" and _is_own(node, layout) and node.words[:1] == (scope.path,):
            in_host = any(section.name.lower() == "virtualhost" for section in inside)
            if in_host is bool(scope.virtual_host):
                return node.order, in_host
    return None


def _is_own(node: Node, layout: Layout) -> bool:
    """Whether the collection wrote this line."""
    names = {posixpath.basename(layout.conf_file)}
    return posixpath.basename(node.file) in names or node.file.startswith((layout.include_dir + "/", layout.key_dir + "/"))


def _in_force(inside: Sequence[Node], scope: Scope, places: Sequence[Tuple[str, str]]) -> bool:
    """Whether sections let a directive in them act on a part of a scope."""
    for section in inside:
        kind = section.name.lower()
        if kind in ("location", "locationmatch") and not _touches(section, scope.path):
            return False
        if kind == "directory" and not _directory_touches(section, scope.path, places):
            return False
    return True


def _has_last_word(node: Node, inside: Sequence[Node], own: Tuple[int, bool]) -> bool:
    """Whether a directive that is in force for a scope is merged after the scope's own."""
    kinds = [section.name.lower() for section in inside]
    if {"if", "elseif", "else"} & set(kinds):
        return True  # merged last; whether its condition holds is not known here
    if not {"location", "locationmatch"} & set(kinds):
        return False
    order, in_host = own
    return ("virtualhost" in kinds, node.order) > (in_host, order)


def _touches(section: Node, path: str) -> bool:
    """Whether a Location is in force for a part of a path, or for all of it."""
    words = section.words
    if not words:
        return False
    if section.name.lower() == "locationmatch" or words[0] == "~":
        return _pattern_touches(words[-1], path)
    if any(letter in words[0] for letter in "*?["):
        return _wildcard_touches(words[0], path)
    return _overlap(words[0], path)


def _wildcard_touches(pattern: str, path: str) -> bool:
    """A wildcard has to fit the whole URL, and a ``*`` ends at a slash."""
    wanted, have = pattern.strip("/").split("/"), [part for part in path.split("/") if part]
    return len(wanted) >= len(have) and all(map(fnmatch.fnmatchcase, have, wanted))


def _pattern_touches(pattern: str, path: str) -> bool:
    """Whether a regular expression fits a path or something below it: tried, or told by the text that it begins with."""
    flags = re.match(r"\(\?[a-z]+\)", pattern)
    bare = pattern[flags.end():] if flags else pattern
    if flags and "i" in flags.group(0):
        bare, path = bare.lower(), path.lower()
    try:
        if any(re.search(bare, one) for one in (path, path.rstrip("/") + "/", path.rstrip("/") + "/x")):
            return True
    except re.error:
        pass  # PCRE knows more than Python does
    if not bare.startswith("^"):
        return True  # it fits something below each path
    found = re.match(r"\^((?:[^\\.\[\](){}*+?|^$]|\\[^A-Za-z0-9])*)([*?{]?)", bare)
    begins = re.sub(r"\\(.)", r"\1", found.group(1)) if found else ""
    begins = begins[:-1] if found and found.group(2) else begins
    return "|" not in re.sub(r"\([^()]*\)", "", bare) and begins.startswith(path.rstrip("/") + "/")


def url_places(tree: Node, block: Optional[Node]) -> List[Tuple[str, str]]:
    """Which URL is which directory in one virtual host: DocumentRoot and Alias, its own and the server's."""
    found = []
    own_root = block is not None and bool(block.named("DocumentRoot"))
    for node, inside in _of_host(tree, block):
        name = node.name.lower()
        if name == "documentroot" and node.words:
            if inside or not own_root:
                found.append(("/", node.words[0]))
        elif name in ("alias", "scriptalias") and len(node.words) == 2:
            found.append((node.words[0], node.words[1]))
    return found


def _directory_touches(section: Node, path: str, places: Sequence[Tuple[str, str]]) -> bool:
    """Whether a Directory may hold a part of a path; yes where that cannot be told."""
    words = section.words
    if not places or len(words) != 1 or any(letter in words[0] for letter in "*?["):
        return True
    return _folder_touches(words[0], path, places)


def _folder_touches(folder: str, path: str, places: Sequence[Tuple[str, str]]) -> bool:
    folder = folder.rstrip("/") + "/"
    for url, base in places:
        base = base.rstrip("/") + "/"
        if base.startswith(folder):
            below = url
        elif folder.startswith(base):
            below = url.rstrip("/") + "/" + folder[len(base):]
        else:
            continue
        if _overlap(below, path):
            return True
    return False


def _overlap(one: str, other: str) -> bool:
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return one.startswith(other) or other.startswith(one)


def _where(node: Node, inside: Sequence[Node]) -> str:
    """File, line and sections of a directive. A condition is left out: it may compare with a secret."""
    return "%s: %s%s" % (node.place, "".join("<%s> " % " ".join(
        [one.name, *(() if one.name.lower() in ("if", "elseif", "else") else one.words)]) for one in inside), node.name)


def _excludes(value: str, path: str) -> bool:
    """Whether SessionExclude turns sessions off for a path or below it; httpd compares text."""
    return bool(value) and (path.startswith(value) or value.startswith(path.rstrip("/") + "/"))


def _override(node: Node, inside: Sequence[Node], scope: Scope, layout: Layout) -> List[Symptom]:
    name, words = node.name.lower(), node.words
    value = words[0] if words else ""
    where = _where(node, inside)
    location = next((one for one in reversed(inside) if one.name.lower() in ("location", "locationmatch")), None)
    part = location is not None and not _if(inside) and _only_a_part(location, scope.path)
    if location is not None and part and _own_session(location, scope):
        return [Symptom("scope_narrowed", "%s: <%s> has a session of its own" % (
            location.place, " ".join((location.name, *location.words))), scope.name)]
    if name == "sessionmaxage" and location is not None and _logs_out(location):
        return []
    if name == "sessioncryptopassphrase":
        return [Symptom("passphrase_override", where, scope.name)]
    if name == "sessioncryptopassphrasefile":
        return [] if value == layout.key_file else [Symptom("passphrase_override", "%s %s" % (where, value), scope.name)]
    said = "%s %s" % (where, " ".join(words))
    if name == "sessionexclude" and not _excludes(value, scope.path):
        return []
    if name == "sessionexclude" and not scope.path.startswith(value):
        return [Symptom("scope_narrowed", said, scope.name)]
    if name == "session" and value.lower() == "off" and part:
        return [Symptom("scope_narrowed", said, scope.name)]
    if name == "sessionmaxage":
        number = re.match(r"[+-]?\d+", value)  # httpd takes 60s for 60, and a word for 0
        age = int(number.group(0)) if number else 0
        if part and 0 < age < scope.max_age:
            return [Symptom("scope_narrowed", "%s; %d in the rest of the scope" % (said, scope.max_age), scope.name)]
        code = "max_age_negative" if age < 0 else "max_age_off" if age == 0 else "max_age_differs"
        return [Symptom(code, "%s; expected %d" % (said, scope.max_age), scope.name)] if age != scope.max_age else []
    if name == "sessioncryptocipher" and value.lower() not in CIPHERS:
        return [Symptom("cipher_unknown", said, scope.name)]
    if name in ("sessioncookieremove", "sessiondbdcookieremove"):
        return [Symptom("cookie_removed", said, scope.name)] if value.lower() == "on" else []
    harmless = {"session": "on", "sessioncryptocipher": scope.cipher, "sessionheader": scope.response_header.lower()}.get(name)
    if name == ("sessiondbdcookiename" if scope.store == "dbd" else "sessioncookiename") and _same_cookie(words, scope):
        return []
    if name == "sessionexpiryupdateinterval" and re.match(r"\d+\Z", value) and int(value) >= scope.max_age:
        return [Symptom("scope_shadowed", said + ": no session is ever sent anew", scope.name)]
    # SessionCookieName2 adds a Set-Cookie2, which no browser reads.
    if name in ("sessionexpiryupdateinterval", "sessionenv", "sessioncookiename2", "sessiondbdcookiename2"):
        return []
    if harmless is not None and value.lower() == harmless:
        return []
    return [Symptom("scope_shadowed", said, scope.name)]


def _if(inside: Sequence[Node]) -> bool:
    return bool({"if", "elseif", "else"} & {section.name.lower() for section in inside})


def _only_a_part(section: Node, path: str) -> bool:
    """Whether a Location that is in force for a path leaves a part of it out."""
    words, below = section.words, path.rstrip("/") + "/"
    if section.name.lower() == "locationmatch" or words[0] == "~":
        try:
            return not any(re.search(words[-1], one) for one in (path, below))
        except re.error:
            return False
    if any(letter in words[0] for letter in "*?["):
        return len(words[0].strip("/").split("/")) > len([one for one in path.split("/") if one])
    return words[0].startswith(below) and words[0] != below


def _own_session(section: Node, scope: Scope) -> bool:
    """Whether a section names another cookie, so that its sessions are other ones than the scope's."""
    names = {node.words[0] for node in section.named("SessionCookieName", "SessionDBDCookieName") if node.words}
    return bool(names) and scope.cookie_name not in names


def _logs_out(section: Node) -> bool:
    """Whether a section is mod_auth_form's logout, which ends the session by a short max age."""
    return any(node.words[:1] == ("form-logout-handler",) for node in section.named("SetHandler"))


def _same_cookie(words: Sequence[str], scope: Scope) -> bool:
    """Whether a cookie's name and attributes are those of the scope."""
    if words[:1] != (scope.cookie_name,):
        return False
    text = "%s=;%s" % (words[0], ";".join(words[1:]))
    return not [found for found in cookie_deviations(scope, parse_set_cookie(text)) if found[0] != "max_age"]


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
        if name == "session" and value == "on" and not _has_store(inside, named) and not _inherits(tree, inside, named):
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


def _inherits(tree: Node, inside: Sequence[Node], named: Dict[int, bool]) -> bool:
    """Whether another section with a cookie's name is merged into this one, or may be."""
    if not inside or inside[-1].name.lower() == "virtualhost":
        return False
    here = inside[-1]
    for other, around in walk(tree):
        if not other.section or not named[id(other)] or other.name.lower() == "virtualhost":
            continue
        if around and around[0].name.lower() == "virtualhost" and around[0] is not inside[0]:
            continue
        if other.name.lower() != here.name.lower() or not (_plain(here) and _plain(other)):
            if other.name.lower() != "location" or here.name.lower() == "location":
                return True  # cannot be told
        elif (here.words[0].rstrip("/") + "/").startswith(other.words[0].rstrip("/") + "/"):
            return True
    return False


def _plain(section: Node) -> bool:
    return section.name.lower() in ("location", "directory") and len(section.words) == 1 and not re.search(
        r"[*?\[]", section.words[0])


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
        if block is None or host.port == scope.port or _directive(block, "SSLEngine") in ("on", "optional"):
            continue
        if host.address.startswith("127.") or host.address == "[::1]":
            continue
        if scope.virtual_host and scope.virtual_host.lower() not in [host.name.lower(), *names_of(block)]:
            continue
        if not any(_redirects(node, scope.path) for node, _inside in walk(block)):
            found.append(Symptom("plain_http", "%s: the virtual host on port %d serves it without TLS and redirects nobody" % (
                host.place, host.port), scope.name))
    return found


def _directive(block: Node, name: str) -> str:
    return next((node.words[0].lower() for node in block.named(name) if node.words), "")


def _redirects(node: Node, path: str) -> bool:
    name, words = node.name.lower(), node.words
    if name not in ("redirect", "redirectmatch", "redirectpermanent", "redirecttemp", "rewriterule"):
        return False
    begin = [word for word in words if word.startswith("/")] if name.startswith("redirect") and name != "redirectmatch" else []
    return any("https://" in word.lower() for word in words) and not any(
        not (path.rstrip("/") + "/").startswith(one.rstrip("/") + "/") for one in begin[:1])


# -- .htaccess --------------------------------------------------------------------------------------------------------

def htaccess(tree: Node, hosts: Sequence[VirtualHost], files: Callable[[str], Iterable[Tuple[str, str]]],
             scopes: Sequence[Scope]) -> List[Symptom]:
    """What .htaccess files may do, and do, to the scopes' sessions.

    They are merged before Location, so that of their lines only those in an <If> and SessionExclude, SessionInclude reach a
    scope (measured). A passphrase is told wherever it stands.

    :param files: gives the .htaccess files below a directory, each with its text.
    """
    found: List[Symptom] = []
    places = {scope.name: [place for block in serving(tree, hosts, scope) for place in url_places(tree, block)]
              for scope in scopes}
    bases = sorted({base for several in places.values() for _url, base in several})
    rules = [(section.words[0].rstrip("/") or "/", list(section.named("AllowOverride", "AllowOverrideList")))
             for section, _inside in walk(tree)
             if section.name.lower() == "directory" and len(section.words) == 1]
    seen = set()
    for folder, nodes in rules:
        for node in nodes:
            if not _allows(node):
                continue
            hits: List[Symptom] = []
            for start in bases if folder == "/" else [_fixed(folder)]:
                for name, text in files(start):
                    if name not in seen and _allowed_in(posixpath.dirname(name), rules):
                        seen.add(name)
                        hits += _lines(name, text, scopes, places)
            found += hits[:5] or [Symptom("htaccess_allowed", "%s: %s %s for %s" % (
                node.place, node.name, " ".join(node.words), folder))]
    return found


_OVERRIDES_RE = re.compile(r"(?i)\b(?:%s)\b" % "|".join(_OVERRIDES))


def _allows(node: Node) -> bool:
    if node.name.lower() == "allowoverridelist":
        return any(_DIRECTIVES.match(word) for word in node.words)
    return bool(_OVERRIDES_RE.search(" ".join(node.words)))


def _fixed(folder: str) -> str:
    """What of a directory stands before its first wildcard."""
    return folder if not re.search(r"[*?\[]", folder) else posixpath.dirname(re.split(r"[*?\[]", folder)[0]) or "/"


def _allowed_in(folder: str, rules: Sequence[Tuple[str, List[Node]]]) -> bool:
    """Whether the nearest section that says anything of it allows an .htaccess file there; of equal ones the last."""
    parts = [part for part in folder.split("/") if part]
    best, allowed = -1, False
    for pattern, nodes in rules:
        wanted = [part for part in pattern.split("/") if part]
        if nodes and best <= len(wanted) <= len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted)):
            best, allowed = len(wanted), any(map(_allows, nodes))
    return allowed


def _lines(name: str, text: str, scopes: Sequence[Scope], places: Mapping[str, Sequence[Tuple[str, str]]]) -> List[Symptom]:
    folder = posixpath.dirname(name)
    near = [scope for scope in scopes if not places[scope.name] or _folder_touches(folder, scope.path, places[scope.name])]
    found, depth = [], 0
    number = 1
    for line in re.sub(r"\\\r?\n", "\0", text).split("\n"):
        words = line.replace("\0", "").split()
        first = words[0].lower() if words else ""
        depth += (first in ("<if", "<elseif", "<else>")) - (first in ("</if>", "</elseif>", "</else>"))
        if words and _DIRECTIVES.match(words[0]):
            value = words[1].strip("\"'") if len(words) > 1 else ""
            if first == "sessioncryptopassphrase" and not value.startswith("exec:"):
                found.append(Symptom("passphrase_inline", "%s:%d has %s with its value" % (name, number, words[0])))
            if depth > 0 or first in ("sessionexclude", "sessioninclude"):
                found += [Symptom("htaccess_session", "%s:%d has %s" % (name, number, words[0]), scope.name) for scope in near
                          if depth > 0 or (_excludes(value, scope.path) if first == "sessionexclude"
                                           else not scope.path.startswith(value))]
        number += 1 + line.count("\0")
    return found
