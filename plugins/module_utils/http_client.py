# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request over a connection of its own, as nodes send it: nothing that answers can make it long, large or loud.

From resolving the name to the end of the headers there is one deadline. Whatever goes wrong is a :class:`NoAnswer` with one of
the kinds of evidence.FAULTS. The client on the controller (plugin_utils/wire.py) asks many servers at once, and shares what
bytes and errors mean.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import tempfile
import threading
import time
from typing import Any, Callable, List, Optional, Tuple

from .probe import IDENTITY_HEADER, Answer
from .reach import bare_address, proxy_header

MAX_HEADERS = 65536
"""Bytes of status line and headers read of one answer; and bytes of a body, above which an answer is called large."""

CHUNK = 16384
KEPT = ("set-cookie", "date", "cache-control", "location", IDENTITY_HEADER.lower())
"""Headers that a check looks at."""

UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENETDOWN, errno.EACCES)

Headers = List[Tuple[str, str]]
Address = Tuple[int, Any]
"""A socket's family and address."""


class NoAnswer(OSError):
    """There is no answer.

    :ivar kind: one of evidence.FAULTS.
    :ivar detail: a few words on what was seen; may be empty.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind.replace("_", " "))
        self.kind = kind
        self.detail = detail


# What both clients share

def parse_head(data: bytes) -> Tuple[int, Headers]:
    """Status and headers of an answer, from all that stands before the empty line."""
    first, *lines = data.split(b"\r\n")
    if not first.startswith(b"HTTP/1.") or len(first) < 12 or not first[9:12].isdigit():
        raise NoAnswer("garbage", "it begins with %s" % start_of(first))
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return int(first[9:12]), [(name, value.strip()) for name, colon, value in pairs if colon]


def start_of(data: bytes) -> str:
    """The beginning of what is no answer, to be shown."""
    return repr(bytes(data[:20]))[1:]


def numeric(address: str, port: int) -> List[Address]:
    """Where an address in digits leads to, with or without brackets and zone; empty where it is a name. Asks no resolver.

    :raises NoAnswer: there is no such port.
    """
    if not 0 < port < 65536:
        raise NoAnswer("unresolved", "%s: there is no port %d" % (address, port))
    try:
        return _addresses(bare_address(address), port, socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return []


def resolve(address: str, port: int) -> List[Address]:
    """Where a name leads to, by this machine's resolver, which may take its time.

    :raises NoAnswer: nowhere.
    """
    try:
        return _addresses(address, port, 0)
    except (OSError, ValueError) as error:
        raise NoAnswer("unresolved", "%s: %s" % (address, getattr(error, "strerror", None) or error)) from None


def _addresses(address: str, port: int, flags: int) -> List[Address]:
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)
    return [(int(entry[0]), entry[4]) for entry in found]


def connect_problem(code: int, where: str) -> NoAnswer:
    """What an error number of connecting means."""
    if code == errno.ECONNREFUSED:
        return NoAnswer("refused", where)
    kind = "connect_timeout" if code == errno.ETIMEDOUT else "unreachable" if code in UNREACHABLE else "reset"
    return NoAnswer(kind, "%s: %s" % (where, os.strerror(code)))


def tls_problem(error: Exception) -> NoAnswer:
    """What an error of the handshake means. With TLS 1.3 a server's refusal may come later, when the first answer is read."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return NoAnswer("tls_certificate", error.verify_message or "not verified")
    return NoAnswer("tls_handshake", words_of(error))


def talk_problem(error: Exception) -> NoAnswer:
    """What an error of sending or receiving means."""
    if isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason):
        return tls_problem(error)
    return NoAnswer("reset", words_of(error))


def words_of(error: Exception) -> str:
    """What an exception says, without numbers and source lines of libraries."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).lower().replace("_", " ")
    return str(getattr(error, "strerror", None) or error)


def load_identity(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have a context show this client certificate; both are texts (PEM), and neither gets a file with a name.

    :raises OSError: they do not fit together, or are no PEM.
    """
    handles = [_unnamed(text) for text in (certificate, key)]
    try:
        # Without a function OpenSSL would ask the terminal for the passphrase of a key that has one.
        context.load_cert_chain("/dev/fd/%d" % handles[0], "/dev/fd/%d" % handles[1], password=lambda: "")
    finally:
        for handle in handles:
            os.close(handle)
    # A server may ask for it only at a certain path, after the handshake.
    context.post_handshake_auth = True


def _unnamed(text: str) -> int:
    """A file in memory; where the system has none (macOS, on a controller), one that has no name any more."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("identity", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    data = text.encode("utf-8")
    while data:
        data = data[os.write(handle, data):]
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


# The client

class _Deadline:
    """One moment by which all must be over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; raises TimeoutError where none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise socket.timeout("time is up")
        return left


def ask(address: str, port: int, text: bytes, seconds: float, now: Callable[[], int], tls: Optional[ssl.SSLContext] = None,
        server_name: str = "", proxy_protocol: int = 0) -> Tuple[Answer, bool]:
    """Send one request and read its answer as far as the end of the headers.

    :param seconds: all may take, from resolving the name on.
    :param now: microseconds since the epoch.
    :returns: the answer, and whether its body is larger than :data:`MAX_HEADERS`.
    :raises NoAnswer: always a kind, nothing else.
    """
    deadline = _Deadline(seconds)
    connection = _connect(address, port, deadline)
    try:
        connection = _open(connection, tls, server_name, proxy_protocol, deadline)
        return _exchange(connection, text, now, deadline)
    finally:
        connection.close()


def connect(address: str, port: int, seconds: float) -> socket.socket:
    """A connection, after at most ``seconds`` with the resolver's time in them.

    :raises NoAnswer: there is none.
    """
    return _connect(address, port, _Deadline(seconds))


def _connect(address: str, port: int, deadline: _Deadline) -> socket.socket:
    where = "%s port %d" % (address, port)
    problem = NoAnswer("unresolved", "%s has no address" % address)
    for family, place in numeric(address, port) or _resolve_in_time(address, port, deadline):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.left())
            connection.connect(place)
            return connection
        except socket.timeout:
            connection.close()
            raise NoAnswer("connect_timeout", "%s: no connection in %g s" % (where, deadline.seconds)) from None
        except OSError as error:
            connection.close()
            problem = connect_problem(error.errno or 0, where)
    raise problem


def _resolve_in_time(address: str, port: int, deadline: _Deadline) -> List[Address]:
    found: List[List[Address]] = []
    failed: List[NoAnswer] = []

    def look_up() -> None:
        try:
            found.append(resolve(address, port))
        except NoAnswer as error:
            failed.append(error)

    # Nothing can end a call of the resolver; a thread that is a daemon does not outlive the program.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(deadline.left())
    if failed:
        raise failed[0]
    if not found:
        raise NoAnswer("unresolved", "%s: no answer of the resolver in %g s" % (address, deadline.seconds))
    return found[0]


def _open(connection: socket.socket, tls: Optional[ssl.SSLContext], server_name: str, proxy_protocol: int,
          deadline: _Deadline) -> socket.socket:
    """The connection, after what comes before the first request."""
    try:
        _send(connection, proxy_header(proxy_protocol, connection.getsockname(), connection.getpeername()), deadline)
        if tls is None:
            return connection
        wrapped = tls.wrap_socket(connection, server_hostname=server_name or None, do_handshake_on_connect=False)
    except socket.timeout:
        raise NoAnswer("timeout", "no answer in %g s" % deadline.seconds) from None
    except (OSError, ValueError) as error:
        raise tls_problem(error) if tls else talk_problem(error) from None
    try:
        wrapped.settimeout(deadline.left())
        wrapped.do_handshake()
        return wrapped
    except socket.timeout:
        wrapped.close()
        raise NoAnswer("tls_handshake", "no end of the handshake in %g s" % deadline.seconds) from None
    except (OSError, ValueError) as error:
        wrapped.close()
        raise tls_problem(error) from None


def _exchange(connection: socket.socket, text: bytes, now: Callable[[], int], deadline: _Deadline) -> Tuple[Answer, bool]:
    data, received, broken = b"", 0, None
    try:
        sent = now()
        try:
            _send(connection, text, deadline)
        except ConnectionError as error:  # what the server said before it closed may still be there
            broken = error
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            if end:
                status, headers = parse_head(head)
                if status >= 200:
                    break
                # An interim answer: the real one, whose moment counts, is still to come or is here by now.
                data, received = rest, now() if rest else 0
                continue
            if len(data) > MAX_HEADERS:
                raise NoAnswer("too_large", "more than %d KiB of headers" % (MAX_HEADERS // 1024))
            connection.settimeout(deadline.left())
            piece = connection.recv(CHUNK)
            received = received or now()
            data += piece
            if not b"HTTP/1.".startswith(data[:7]):
                raise NoAnswer("garbage", "it begins with %s" % start_of(data))
            if not piece:
                if broken and not data:
                    raise broken
                raise NoAnswer("garbage" if data else "closed", "the connection ended" if data else "")
    except NoAnswer:
        raise
    except socket.timeout:
        raise NoAnswer("timeout", "no answer in %g s" % deadline.seconds) from None
    except OSError as error:
        raise talk_problem(error) from None
    length = next((value for name, value in headers if name.lower() == "content-length"), "")
    large = length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > MAX_HEADERS)
    return Answer(status, tuple(headers), sent, received), large


def _send(connection: socket.socket, data: bytes, deadline: _Deadline) -> None:
    while data:
        connection.settimeout(deadline.left())
        data = data[connection.send(data):]
