# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scopes: the typed list that says where sessions are on and how their cookie looks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .probe import probe_path, store_path
from .reach import PLAIN, Reach, ReachError, parse_reach

STORES = ("cookie", "dbd")
CIPHERS = ("aes256", "aes192", "aes128", "3des192")
SAME_SITE = ("", "Lax", "Strict", "None")
LOG_LEVELS = ("", "error", "warn", "notice", "info", "debug", "trace1", "trace2", "trace3", "trace4")
DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # httpd serves names with an underscore too
_HOST = re.compile(r"(?=.{1,253}\Z)%s(\.%s)*\Z" % (_LABEL, _LABEL))
# httpd compares decoded paths: "%20" would stand for itself there. Browsers compare a cookie's path as it is sent.
_PATH = re.compile(r"/[A-Za-z0-9/_.~@:+-]*\Z")
_COOKIE_PATH = re.compile(r"/[A-Za-z0-9/_.~@:+%-]*\Z")
_FILE = re.compile(r"/[A-Za-z0-9/_.@+-]+\Z")


FRAMEWORK_COOKIES = {
    "session": "Flask and Starlette",
    "SESSION": "Spring Session",
    "JSESSIONID": "Java servlets",
    "PHPSESSID": "PHP",
    "connect.sid": "Express",
    "koa.sess": "Koa",
    "sessionid": "Django",
    "session_id": "Odoo and Bottle",
    "_session_id": "Rails",
    "rack.session": "Rack and Sinatra",
    "laravel_session": "Laravel",
    "ci_session": "CodeIgniter",
    "CAKEPHP": "CakePHP",
    "ASP.NET_SessionId": "ASP.NET",
    ".AspNetCore.Session": "ASP.NET Core",
    "PLAY_SESSION": "Play",
    "beaker.session.id": "Beaker and Pylons",
    "plack_session": "Plack",
    "dancer.session": "Dancer",
    "mojolicious": "Mojolicious",
    "CGISESSID": "Perl's CGI::Session",
}
"""Names of session cookies that web frameworks set unless an application chooses another one."""


class ScopeError(ValueError):
    """A scope list that is refused.

    :ivar scope: name or position of the scope, empty when the list itself is at fault.
    :ivar option: the option at fault, empty when it is the scope as a whole.
    """

    def __init__(self, message: str, scope: str = "", option: str = "") -> None:
        where = "session_config_scopes"
        if scope:
            where += " [%s]" % scope
        if option:
            where += " %s" % option
        super().__init__("%s: %s" % (where, message))
        self.scope = scope
        self.option = option


@dataclass(frozen=True)
class Scope:
    """One URL path, of one virtual host or of all, with sessions on. All values are checked and defaults filled in.

    ``max_age`` and ``update_interval`` are seconds. ``virtual_host``, ``virtual_host_file``, ``cookie_domain``,
    ``same_site``, ``request_header``, ``response_header`` and ``log_level`` are empty strings where not wanted.
    ``store``: sessions are kept in the ``cookie``, or in a database (``dbd``) and the cookie holds the name of a row.
    ``reach``: how the scope is asked, as its load balancer asks it.
    """

    name: str
    path: str
    store: str
    virtual_host: str
    virtual_host_file: str
    scheme: str
    port: int
    cookie_name: str
    cookie_path: str
    cookie_domain: str
    same_site: str
    http_only: bool
    secure: bool
    allow_insecure: bool
    max_age: int
    update_interval: int
    cipher: str
    exclude: Tuple[str, ...]
    hide_cookie: bool
    request_header: str
    response_header: str
    log_level: str
    directives: Tuple[str, ...]
    reach: Reach = PLAIN

    @property
    def asked_as(self) -> str:
        """The site's name that requests are sent with; empty where neither a name nor a virtual host is given."""
        return self.reach.server_name or self.virtual_host

    @property
    def probe_path(self) -> str:
        """URL path of the probe location: below the scope's own path."""
        return probe_path(self.path)

    @property
    def store_path(self) -> str:
        """Where the probe location answers from the database; only for scopes that keep their sessions there."""
        return store_path(self.path)

    @property
    def framework(self) -> str:
        """Frameworks whose own session cookie the scope would hide from their applications; empty for none."""
        return FRAMEWORK_COOKIES.get(self.cookie_name, "") if self.hide_cookie else ""

    @property
    def warnings(self) -> List[str]:
        """What the operator allowed and should know of on every run."""
        found = []
        if self.framework:
            found.append("scope %s: cookie_name %s is also the default of %s; an application of that kind behind this scope "
                         "never sees its own cookie, and its logins do not last. Choose another cookie_name (which ends "
                         "the sessions of this scope once)" % (self.name, self.cookie_name, self.framework))
        if not self.secure:
            found.append("scope %s: the cookie goes over plain HTTP too (secure: false)" % self.name)
        if not self.http_only:
            found.append("scope %s: scripts in the page can read the cookie (http_only: false)" % self.name)
        if self.cipher == "3des192":
            found.append("scope %s: 3des192 has a block of 64 bits only; aes256 is as fast or faster" % self.name)
        return found


def parse_scopes(raw: object) -> Tuple[Scope, ...]:
    """Check the scope list as an operator gave it and fill in defaults.

    :param raw: list of dictionaries with the attributes of :class:`Scope`; only ``name`` and ``path`` are required.
    :raises ScopeError: names scope and option, what was found and what is expected.
    """
    if not isinstance(raw, (list, tuple)):
        raise ScopeError("expected a list of scopes, found %s" % type(raw).__name__)
    scopes = tuple(_parse(item, position) for position, item in enumerate(raw, 1))
    _no_conflicts(scopes)
    return scopes


SECRET_OPTIONS = ("directives", "reach")
"""Options of a scope that may hold a secret."""


def without_secrets(raw: Sequence[Mapping[str, Any]]) -> Tuple[List[Dict[str, Any]], str]:
    """A scope list that was checked, without its :data:`SECRET_OPTIONS`, and those as one text for :func:`with_secrets`.

    A module's arguments are logged on the node. As one argument that is not logged they travel apart from what may be read.
    """
    apart = {str(item["name"]): {option: item[option] for option in SECRET_OPTIONS if item.get(option)} for item in raw}
    apart = {name: options for name, options in apart.items() if options}
    return [{key: item[key] for key in item if key not in SECRET_OPTIONS} for item in raw], json.dumps(apart) if apart else ""


def with_secrets(raw: Sequence[Mapping[str, Any]], apart: str) -> List[Dict[str, Any]]:
    """The scope list as it was before :func:`without_secrets`."""
    options = json.loads(apart) if apart else {}
    return [{**item, **options.get(item.get("name"), {})} for item in raw]


def _parse(item: object, position: int) -> Scope:
    where = "number %d" % position
    if not isinstance(item, Mapping):
        raise ScopeError("expected a dictionary, found %s" % type(item).__name__, where)
    name = item.get("name")
    if not isinstance(name, str) or not _NAME.match(name):
        raise ScopeError("expected 1 to 64 characters of a-z 0-9 _ -, found %r" % (name,), where, "name")
    unknown = sorted(set(map(str, item)) - {field.name for field in fields(Scope)})
    if unknown:
        known = ", ".join(field.name for field in fields(Scope))
        raise ScopeError("unknown option %s; known are %s" % (", ".join(unknown), known), name)
    read = _Reader(name, item)
    path = read.text("path", None, _PATH, "a URL path that starts with / and has no blanks, wildcards or %")
    if "//" in path or re.search(r"/\.\.?(/|\Z)", path) or (len(path) > 1 and path.endswith("/")):
        raise ScopeError("expected a path without '//', '.', '..' or a slash at its end, found %r" % path, name, "path")
    scheme = read.choice("scheme", "http", tuple(DEFAULT_PORTS))
    max_age = read.number("max_age", 3600, 1, 10 * 365 * 86400)
    secure, http_only = read.flag("secure", True), read.flag("http_only", True)
    cipher = read.choice("cipher", "aes256", CIPHERS)
    same_site = read.choice("same_site", "Lax", SAME_SITE)
    allow_insecure = read.flag("allow_insecure", False)
    for option, safe in (("secure", secure), ("http_only", http_only), ("cipher", cipher != "3des192")):
        if not safe and not allow_insecure:
            raise ScopeError(
                "%r gives up protection of the session; set allow_insecure: true in this scope if that is meant"
                % (item.get(option),), name, option)
    if same_site == "None" and not secure:
        raise ScopeError("browsers drop a SameSite=None cookie that is not Secure", name, "same_site")
    scope = Scope(
        name=name,
        path=path,
        store=read.choice("store", "cookie", STORES),
        virtual_host=_host_name(read),
        virtual_host_file=read.text("virtual_host_file", "", _FILE, "an absolute file name"),
        scheme=scheme,
        port=read.number("port", DEFAULT_PORTS[scheme], 1, 65535),
        cookie_name=read.text("cookie_name", "httpd-session", _COOKIE_NAME, "1 to 64 characters of A-Z a-z 0-9 _ . -"),
        cookie_path=read.text("cookie_path", path, _COOKIE_PATH, "a URL path that starts with /"),
        cookie_domain=read.text("cookie_domain", "", _HOST, "a domain name, without a leading dot").lower(),
        same_site=same_site,
        http_only=http_only,
        secure=secure,
        allow_insecure=allow_insecure,
        max_age=max_age,
        update_interval=read.number("update_interval", min(300, max_age // 10), 0, max_age - 1),
        cipher=cipher,
        exclude=read.texts("exclude", _PATH, "a URL path that starts with /"),
        hide_cookie=read.flag("hide_cookie", True),
        request_header=read.text("request_header", "", _TOKEN, "a header name"),
        response_header=read.text("response_header", "", _TOKEN, "a header name"),
        log_level=read.choice("log_level", "", LOG_LEVELS),
        directives=read.texts("directives", re.compile(r"[^\x00-\x1f\x7f]+\Z"), "one httpd directive to an entry"),
        reach=_reach(name, item.get("reach")),
    )
    _fits_together(scope)
    return scope


def _host_name(read: "_Reader") -> str:
    """The virtual host's name in lower case, without the dot that may end it: httpd takes that off a request's Host."""
    value = read.item.get("virtual_host")
    if isinstance(value, str):
        if value.endswith(".") and len(value) > 1:
            read.item["virtual_host"] = value = value[:-1]
        reason = _no_host_name(value)
        if reason:
            raise ScopeError("expected a host name, found %r: %s" % (value, reason), read.scope, "virtual_host")
    return read.text("virtual_host", "", _HOST, "a host name").lower()


def _no_host_name(value: str) -> str:
    """Why what an operator takes for a host name is none, where there is more to say than that; else empty."""
    if "*" in value or "?" in value:
        return "a pattern names no single host to ask. Give the ServerName of that virtual host"
    if "://" in value or re.search(r"[^:]:\d+\Z", value):
        return "leave scheme and port out; they are the options scheme and port"
    if value.startswith("[") or value.count(":") > 1:
        return "an IPv6 address is not supported here. Give the virtual host a ServerName, or leave virtual_host out"
    if not value.isascii():
        try:
            return "browsers ask for its ASCII form, and so must ServerName: %s" % value.encode("idna").decode("ascii")
        except UnicodeError:
            return "it has no ASCII form"
    return ""


def _reach(name: str, raw: object) -> Reach:
    try:
        return parse_reach(raw)
    except ReachError as error:
        raise ScopeError(str(error), name, "reach" + ("." + error.option if error.option else "")) from None


def _fits_together(scope: Scope) -> None:
    """Options that are fine by themselves, but not with each other."""
    if scope.reach.client_certificate and scope.scheme != "https":
        raise ScopeError("is shown in a TLS handshake only: set scheme: https", scope.name, "reach.client_certificate")
    if scope.virtual_host_file and not scope.virtual_host:
        raise ScopeError("needs virtual_host too: the name of the host in that file", scope.name, "virtual_host_file")
    if not _below(scope.path, scope.cookie_path):
        raise ScopeError(
            "a browser would not send a cookie of path %s to %s" % (scope.cookie_path, scope.path),
            scope.name, "cookie_path")
    if scope.cookie_domain and scope.virtual_host and not _reaches(scope.cookie_domain, scope.virtual_host):
        raise ScopeError(
            "a browser drops a cookie for %s that comes from %s" % (scope.cookie_domain, scope.virtual_host),
            scope.name, "cookie_domain")
    if scope.cookie_name.startswith("__Host-") and (scope.cookie_domain or scope.cookie_path != "/" or not scope.secure):
        raise ScopeError("a __Host- cookie needs secure, cookie_path / and no cookie_domain", scope.name, "cookie_name")
    if scope.cookie_name.startswith("__Secure-") and not scope.secure:
        raise ScopeError("a __Secure- cookie needs secure: true", scope.name, "cookie_name")
    for prefix in scope.exclude:
        if scope.probe_path.startswith(prefix):
            raise ScopeError("%s excludes the whole scope" % prefix, scope.name, "exclude")


def _no_conflicts(scopes: Sequence[Scope]) -> None:
    """Scopes that would take each other's sessions away.

    httpd ignores a cookie name that a request carries twice, and a section with another cipher cannot open the cookie:
    two scopes that a browser sends the same cookie name to must share one cookie.
    """
    for index, one in enumerate(scopes):
        for other in scopes[:index]:
            if one.name == other.name:
                raise ScopeError("the name is used twice", one.name, "name")
            if (one.virtual_host, one.path) == (other.virtual_host, other.path):
                raise ScopeError("scope %s has the same path and virtual host" % other.name, one.name, "path")
            for wide, narrow in ((one, other), (other, one)):
                if wide.virtual_host and not narrow.virtual_host:
                    _not_taken(wide, narrow)
                if wide.virtual_host in ("", narrow.virtual_host) and _below(narrow.path, wide.path):
                    _no_inherited_exclusion(wide, narrow)
                    _no_inherited_cookie_store(wide, narrow)
            if not _meet(one, other) or one.cookie_name != other.cookie_name:
                continue
            for option in ("cookie_path", "cookie_domain", "cipher", "store"):
                if getattr(one, option) != getattr(other, option):
                    raise ScopeError(
                        "scope %s has the same cookie_name and reaches the same paths, but another %s: they would "
                        "destroy each other's sessions. Give one of them another cookie_name" % (other.name, option),
                        one.name, option)


def _not_taken(wide: Scope, narrow: Scope) -> None:
    """httpd merges the sections of a virtual host after those of the whole server, however narrow these are.

    With equal paths that is what is meant: the virtual host has a scope instead of the server's.
    """
    if narrow.path != wide.path and _below(narrow.path, wide.path):
        raise ScopeError(
            "scope %s takes %s on %s: httpd merges what a virtual host has after what the whole server has, so that the path %s "
            "there wins over the narrower %s here. Give scope %s that virtual_host too (and another scope for each further host "
            "that is to have it), or leave virtual_host out of scope %s" % (
                wide.name, narrow.path, wide.virtual_host, wide.path, narrow.path, narrow.name, wide.name),
            narrow.name, "virtual_host")


def _no_inherited_exclusion(wide: Scope, narrow: Scope) -> None:
    """Excluded prefixes of a wider section of httpd hold in the narrower ones inside it as well."""
    for prefix in wide.exclude:
        inside = prefix.startswith(narrow.path.rstrip("/") + "/") and not any(map(prefix.startswith, narrow.exclude))
        if inside and not narrow.probe_path.startswith(prefix):
            raise ScopeError("%s would turn sessions off in that part of scope %s too: httpd adds up what sections exclude. Add "
                             "it to exclude of scope %s if that is meant, or leave the prefix out" % (
                                 prefix, narrow.name, narrow.name), wide.name, "exclude")
        if narrow.probe_path.startswith(prefix):
            raise ScopeError("%s would turn sessions off in scope %s too. That scope has its own sessions anyway: leave "
                             "the prefix out" % (prefix, narrow.name), wide.name, "exclude")


def _no_inherited_cookie_store(wide: Scope, narrow: Scope) -> None:
    """A wider section's cookie store holds in the narrower ones as well, httpd has no directive that ends it, and it wins."""
    if (wide.store, narrow.store) == ("cookie", "dbd"):
        raise ScopeError("is inside scope %s, whose sessions are kept in cookies: httpd would keep those of both in cookies. "
                         "Give scope %s store: dbd too, or keep this one in cookies" % (wide.name, wide.name),
                         narrow.name, "store")


def _meet(one: Scope, other: Scope) -> bool:
    """Whether one browser may send cookies of both scopes in one request."""
    hosts = (not one.virtual_host or not other.virtual_host or one.virtual_host == other.virtual_host
             or _reaches(one.cookie_domain, other.virtual_host) or _reaches(other.cookie_domain, one.virtual_host))
    paths = _below(one.cookie_path, other.cookie_path) or _below(other.cookie_path, one.cookie_path)
    return hosts and paths


def _reaches(domain: str, host: str) -> bool:
    """Whether a browser sends a cookie of this domain to that host (RFC 6265, section 5.1.3)."""
    return bool(domain) and ("." + host).endswith("." + domain)


def _below(path: str, parent: str) -> bool:
    """Whether a browser sends a cookie of path ``parent`` to ``path`` (RFC 6265, section 5.1.4)."""
    return path == parent or path.startswith(parent.rstrip("/") + "/")


class _Reader:
    """Reads typed options of one scope, with one wording for all refusals."""

    def __init__(self, scope: str, item: Mapping[Any, Any]) -> None:
        self.scope = scope
        self.item: Dict[str, Any] = {str(key): value for key, value in item.items()}

    def _refuse(self, option: str, expected: str) -> ScopeError:
        if option not in self.item:
            return ScopeError("is required: %s" % expected, self.scope, option)
        return ScopeError("expected %s, found %r" % (expected, self.item[option]), self.scope, option)

    def text(self, option: str, default: Optional[str], pattern: "re.Pattern[str]", expected: str) -> str:
        value = self.item.get(option)
        if value is None:
            value = default
        if value == "" and default is not None:
            return default
        if not isinstance(value, str) or len(value) > 512 or not pattern.match(value):
            raise self._refuse(option, expected)
        return str(value)

    def texts(self, option: str, pattern: "re.Pattern[str]", expected: str) -> Tuple[str, ...]:
        value = self.item.get(option) or []
        if not isinstance(value, (list, tuple)):
            raise self._refuse(option, "a list, each entry " + expected)
        for entry in value:
            if not isinstance(entry, str) or not pattern.match(entry):
                raise self._refuse(option, "a list, each entry " + expected)
        return tuple(str(entry) for entry in value)

    def choice(self, option: str, default: str, choices: Sequence[str]) -> str:
        value = self.item.get(option)
        value = default if value is None else value
        if not isinstance(value, str) or value not in choices:
            raise self._refuse(option, "one of %s" % ", ".join(repr(choice) for choice in choices))
        return str(value)

    def number(self, option: str, default: int, low: int, high: int) -> int:
        value = self.item.get(option)
        value = default if value is None else value
        if isinstance(value, str) and re.match(r"[0-9]{1,12}\Z", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._refuse(option, "a whole number from %d to %d" % (low, high))
        return int(value)

    def flag(self, option: str, default: bool) -> bool:
        value = self.item.get(option)
        if value is None:
            return default
        if isinstance(value, str) and value.lower() in ("true", "yes", "on", "false", "no", "off"):
            return value.lower() in ("true", "yes", "on")
        if not isinstance(value, bool):
            raise self._refuse(option, "true or false")
        return bool(value)
