# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a site is asked the way its load balancer asks it: the option ``reach`` of a scope, and what is sent because of it."""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Mapping, Sequence, Tuple

AGENT = "httpd_fleet.mod_session"
"""User-Agent of every request, unless the option ``headers`` has another."""

PROXY_VERSIONS = (0, 1, 2)
IDENTITY = ("client_certificate", "client_key")
"""The two options that name files on the controller."""

MOST_HEADERS = 32
LONGEST_VALUE = 4096

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}\Z")
_VALUE = re.compile(r"[\x21-\x7e\xa1-\xff]([\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa1-\xff])?\Z")
_NAME = re.compile(r"(?=.{1,253}(:|\Z))[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?(:[0-9]{1,5})?\Z")
_PEM = re.compile(r"(?=.{0,4096}-----BEGIN )[\x00-\x7f]{1,65536}\Z|[^\x00-\x1f\x7f]{1,4096}\Z", re.S)
# What would make another request of it, or another answer.
_NOT_ALLOWED = ("cookie", "connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer",
                "transfer-encoding", "upgrade")


class ReachError(ValueError):
    """The option is refused.

    :ivar option: which part of it, empty when it is the whole.
    """

    def __init__(self, message: str, option: str = "") -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True)
class Reach:
    """How a scope is asked.

    ``headers``: name and value of request headers. ``server_name``: sent as Host as it stands, perhaps with a port, and
    as the name in the TLS handshake; empty for the scope's virtual host. ``proxy_protocol``: version of the PROXY protocol,
    0 for none. ``client_certificate``, ``client_key``: names of files on the controller, or what they hold (PEM).
    """

    headers: Tuple[Tuple[str, str], ...] = field(default=(), repr=False)
    server_name: str = ""
    proxy_protocol: int = 0
    client_certificate: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The server name without a port."""
        return self.server_name.partition(":")[0]


PLAIN = Reach()
"""Nothing but what every request has."""


def parse_reach(raw: object) -> Reach:
    """Check the option as an operator gave it.

    :raises ReachError: names the part, what was found and what is expected; a header's value is never shown.
    """
    if raw is None:
        return PLAIN
    if not isinstance(raw, Mapping):
        raise ReachError("expected a dictionary, found %s" % type(raw).__name__)
    known = [one.name for one in fields(Reach)]
    unknown = sorted(set(map(str, raw)) - set(known))
    if unknown:
        raise ReachError("unknown option %s; known are %s" % (", ".join(unknown), ", ".join(known)))
    version = raw.get("proxy_protocol") or 0
    if isinstance(version, str) and version in ("0", "1", "2"):
        version = int(version)
    if isinstance(version, bool) or version not in PROXY_VERSIONS:
        raise ReachError("expected 0 (not spoken), 1 or 2, found %r" % (version,), "proxy_protocol")
    both = [_text(raw, option, _PEM, "the name of a PEM file on the controller, or its content", True) for option in IDENTITY]
    if bool(both[0]) != bool(both[1]):
        there, missing = IDENTITY if both[0] else IDENTITY[::-1]
        raise ReachError("is missing: %s needs it, also where both are in one file" % there, missing)
    name = _text(raw, "server_name", _NAME, "a host name, perhaps with :port").lower()
    if ":" in name and not 1 <= int(name.partition(":")[2]) <= 65535:
        raise ReachError("expected a port from 1 to 65535 after the colon, found %r" % name, "server_name")
    return Reach(_headers(raw.get("headers")), name, int(version), *both)


def _text(raw: Mapping[Any, Any], option: str, pattern: "re.Pattern[str]", expected: str, hidden: bool = False) -> str:
    value = raw.get(option)
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or not pattern.match(value):
        raise ReachError("expected %s%s" % (expected, "" if hidden else ", found %r" % (value,)), option)
    return str(value)


def _headers(raw: object) -> Tuple[Tuple[str, str], ...]:
    if raw in (None, ""):
        return ()
    if not isinstance(raw, Mapping):
        raise ReachError("expected a dictionary of names and values, found %s" % type(raw).__name__, "headers")
    if len(raw) > MOST_HEADERS:
        raise ReachError("expected at most %d of them, found %d" % (MOST_HEADERS, len(raw)), "headers")
    found: Dict[str, Tuple[str, str]] = {}
    for name, value in raw.items():
        if not isinstance(name, str) or not _TOKEN.match(name):
            raise ReachError("expected the name of a request header, found %r" % (name,), "headers")
        lower = name.lower()
        if lower == "host":
            raise ReachError("Host is sent by itself: set reach.server_name", "headers")
        if lower in _NOT_ALLOWED:
            raise ReachError("%s is the client's own, leave it out" % name, "headers")
        if lower in found:
            raise ReachError("%s is there twice" % name, "headers")
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value) > LONGEST_VALUE or not _VALUE.match(value):
            raise ReachError(
                "expected as value of %s up to %d printable Latin-1 characters, no blank at either end (put it in quotes); "
                "it is not shown, for it may be a secret" % (name, LONGEST_VALUE), "headers")
        found[lower] = (name, str(value))
    return tuple(found.values())


def is_pem(value: str) -> bool:
    """Whether this is what a file of certificates or keys holds, and not its name."""
    return "-----BEGIN " in value


def bare_address(address: str) -> str:
    """A node's address without the brackets that a URL would have around it."""
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def host_of(address: str) -> str:
    """An address as it can be sent as a name, in ASCII; what cannot be part of a name becomes a question mark."""
    host = bare_address(address).partition("%")[0]
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    return re.sub(r"[^A-Za-z0-9.:_-]", "?", host)


def host_header(name: str, address: str, port: int, tls: bool) -> str:
    """The Host header: the site's name as it stands, else the address and, where it is not the usual one, the port."""
    if name:
        return name
    host = host_of(address)
    host = "[%s]" % host if ":" in host else host
    return host if port == (443 if tls else 80) else "%s:%d" % (host, port)


def request(path: str, host: str, cookie: str, headers: Sequence[Tuple[str, str]] = (), close: bool = False) -> bytes:
    """A GET request as it is sent. ``cookie``: name and value, empty for none."""
    lines = ["GET %s HTTP/1.1" % path, "Host: %s" % host]
    own = {name.lower() for name, _value in headers}
    lines += ["%s: %s" % pair for pair in (("User-Agent", AGENT), ("Accept", "*/*")) if pair[0].lower() not in own]
    lines += ["%s: %s" % pair for pair in headers]
    if cookie:
        lines.append("Cookie: %s" % cookie)
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def proxy_header(version: int, source: Sequence[Any], destination: Sequence[Any]) -> bytes:
    """What is sent first of all on a connection between two addresses as sockets give them (address, port, ...)."""
    if version not in (1, 2):
        return b""
    ends: List[Any] = [ipaddress.ip_address(str(end[0]).partition("%")[0]) for end in (source, destination)]
    ends = [getattr(end, "ipv4_mapped", None) or end for end in ends]
    ports = int(source[1]), int(destination[1])
    four = all(end.version == 4 for end in ends)
    if version == 1:
        return ("PROXY TCP%d %s %s %d %d\r\n" % (4 if four else 6, *ends, *ports)).encode("ascii")
    body = b"".join(end.packed for end in ends) + struct.pack("!HH", *ports)
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11 if four else 0x21, len(body)) + body


def hint(reach: Reach, tls: bool, kind: str, detail: str) -> str:
    """Which part of the option may be missing where there was no answer, as a sentence; empty where none is likely.

    ``kind`` is one of evidence.FAULTS, ``detail`` what was seen.
    """
    words = detail.lower()
    if kind in ("tls_handshake", "reset") and "alert" in words and not reach.client_certificate:
        if "certificate required" in words:
            return "This server asks for a client certificate: set reach.client_certificate and reach.client_key of the scope."
        if "handshake failure" in words:
            return ("A server that asks for a client certificate answers so: if this one does, set reach.client_certificate and "
                    "reach.client_key of the scope.")
    if "alert" in words and reach.client_certificate and re.search("certificate|unknown ca|handshake failure", words):
        return ("The server does not take reach.client_certificate: is it signed by an authority that the server knows, and not "
                "expired?")
    early = kind in ("closed", "reset") or (kind == "tls_handshake" and not re.search("alert|no end|wrong version", words))
    if early and not reach.proxy_protocol:
        return ("A server that expects the PROXY protocol ends connections so: if this one does, set reach.proxy_protocol of the "
                "scope.")
    if reach.proxy_protocol and kind in ("tls_handshake", "closed", "reset", "garbage"):
        return ("reach.proxy_protocol is %d: a server that does not expect the PROXY protocol (or only another version) fails so."
                % reach.proxy_protocol)
    return ""


def status_hint(reach: Reach, tls: bool, status: int, location: str, asked_as: str) -> str:
    """The same where something else answered, such as a redirect to ``location``. ``asked_as``: the site's name."""
    if status == 400 and reach.proxy_protocol:
        return ("reach.proxy_protocol is %d: a server that does not expect the PROXY protocol (or only another version) answers "
                "400." % reach.proxy_protocol)
    found = re.match(r"(https?)://([a-z0-9._-]{1,253})", location, re.I) if 300 <= status < 400 else None
    if not found:
        return ""
    there, sentences = found.group(2).lower(), []
    if found.group(1).lower() == "https" and not tls:
        sentences.append("If a load balancer ends TLS before this server, send what it sends: reach.headers, such as "
                         "X-Forwarded-Proto: https. If this server does it, set scheme: https.")
    if there != asked_as.partition(":")[0] and re.search("[a-z]", there):
        sentences.append("If the site is called %s, ask for it by that name: reach.server_name of the scope." % there)
    return " ".join(sentences)
