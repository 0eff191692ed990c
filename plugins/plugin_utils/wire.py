# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to one node: a small HTTP/1.1 client that nothing can make large, slow or loud.

Non-blocking sockets on asyncio's loop, without its streams: the moments of sending and of the first byte are taken
right at the system calls, and what is kept of an answer is its status and a few headers. Whatever goes wrong is a
:class:`WireError` with one of the kinds of evidence.FAULTS.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from ..module_utils.probe import Answer

MAX_HEADERS = 65536
"""Bytes of status line and headers read of one answer."""

MAX_BODY = 65536
"""Bytes of a body read past, to use the connection again; with a larger one it is closed instead."""

_CHUNK = 16384
_KEPT = (b"set-cookie", b"date", b"cache-control", b"location")
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL, errno.ENETDOWN, errno.EACCES)


class WireError(Exception):
    """No answer: ``kind`` is one of evidence.FAULTS, ``str(error)`` a few words on what was seen."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True)
class Target:
    """Where a node is asked: ``address`` and ``port``, with TLS or not, and the site's name for Host and SNI."""

    address: str
    port: int
    tls: bool
    host: str


@dataclass(frozen=True)
class Reply:
    """An answer, and whether its body is larger than :data:`MAX_BODY`."""

    answer: Answer
    large: bool


class Wire:
    """One keep-alive connection, opened when the first request is sent and again where the node closed it meanwhile.

    :param tls: context to verify the node with, for targets with TLS.
    :param now: microseconds since the epoch by a clock that only counts forward.
    :param timeout: seconds for connecting, and again for each answer.
    """

    def __init__(self, target: Target, tls: ssl.SSLContext | None, now: Callable[[], int], timeout: float) -> None:
        self._target = target
        self._tls = tls
        self._now = now
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._expired = False
        self._used = False

    async def ask(self, request: bytes) -> Reply:
        """Send one request and read its answer.

        A connection that the node closed while it was idle is opened anew once.
        """
        if self._socket is not None and self._used:
            try:
                return await self._exchange(request)
            except WireError as error:
                if error.kind not in ("reset", "closed"):
                    raise
        await self._open()
        return await self._exchange(request)

    def close(self) -> None:
        """Close the connection, at once and without a word."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._used = False

    # Waiting

    def _expire(self) -> None:
        self._expired = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, file: int, writing: bool = False) -> None:
        """Until the socket can be read (or written) or time is up."""
        if self._expired:
            raise TimeoutError
        self._waiter = self._loop.create_future()
        add, remove = (
            (self._loop.add_writer, self._loop.remove_writer) if writing else (self._loop.add_reader, self._loop.remove_reader)
        )
        add(file, self._wake)
        try:
            await self._waiter
        finally:
            remove(file)
            self._waiter = None
        if self._expired:
            raise TimeoutError

    # Connecting

    async def _open(self) -> None:
        self.close()
        self._expired = False
        timer = self._loop.call_later(self._timeout, self._expire)
        try:
            await self._connect()
            if self._target.tls:
                await self._handshake()
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()

    async def _connect(self) -> None:
        where = f"{self._target.address} port {self._target.port}"
        problem: WireError | None = None
        for family, address in await self._addresses():
            self.close()
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            try:
                code = self._socket.connect_ex(address)
                if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                    await self._wait(self._socket.fileno(), writing=True)
                    code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            except TimeoutError:
                raise WireError("connect_timeout", f"{where}: no connection in {self._timeout:g} s") from None
            if not code:
                return
            problem = _connect_problem(code, where)
        raise problem or WireError("unresolved", f"{self._target.address} has no address")

    async def _addresses(self) -> list[tuple[int, tuple[object, ...]]]:
        address, port = self._target.address, self._target.port
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, address)
            except OSError:
                continue
            return [(family, (address, port))]
        asked = self._loop.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.wait_for(asked, self._timeout)
        except asyncio.TimeoutError:  # first: since Python 3.11 it is an OSError too
            raise WireError("unresolved", f"{address}: no answer of the resolver in {self._timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise WireError("unresolved", f"{address}: {getattr(error, 'strerror', None) or error}") from None
        return [(entry[0], entry[4]) for entry in found]

    async def _handshake(self) -> None:
        if self._tls is None or self._socket is None:
            raise ValueError("a target with TLS needs a context")
        plain = self._socket
        try:
            wrapped = self._tls.wrap_socket(plain, server_hostname=self._target.host, do_handshake_on_connect=False)
            self._socket = wrapped
            while True:
                try:
                    wrapped.do_handshake()
                    return
                except ssl.SSLWantReadError:
                    await self._wait(wrapped.fileno())
                except ssl.SSLWantWriteError:
                    await self._wait(wrapped.fileno(), writing=True)
        except TimeoutError:
            raise WireError("tls_handshake", f"no end of the handshake in {self._timeout:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise WireError("tls_certificate", error.verify_message or "not verified") from None
        except (OSError, ValueError) as error:
            raise WireError("tls_handshake", _words(error)) from None

    # Asking

    async def _exchange(self, request: bytes) -> Reply:
        self._expired = False
        timer = self._loop.call_later(self._timeout, self._expire)
        try:
            return await self._talk(request)
        except TimeoutError:
            self.close()
            raise WireError("timeout", f"no answer in {self._timeout:g} s") from None
        except (ConnectionError, ssl.SSLError, OSError) as error:
            self.close()
            raise WireError("reset", _words(error)) from None
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()

    async def _talk(self, request: bytes) -> Reply:
        sent = self._now()
        await self._send(request)
        data = bytearray()
        received = 0
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                status, headers = _parse(data, end)
                del data[: end + 4]
                if status >= 200:
                    break
                # An interim answer: the real one, whose moment counts, is still to come or is here by now.
                received = self._now() if data else 0
                continue
            if len(data) > MAX_HEADERS:
                raise WireError("too_large", f"more than {MAX_HEADERS // 1024} KiB of headers")
            piece = await self._receive()
            received = received or self._now()
            data += piece
            if not b"HTTP/1.".startswith(bytes(data[:7])):
                raise WireError("garbage", f"it begins with {_printable(data)}")
            if not piece:
                raise WireError("garbage" if data else "closed", "the connection ended" if data else "")
        self._used = True
        large = await self._pass_body(status, headers, data)
        kept = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name.lower() in _KEPT)
        return Reply(Answer(status, kept, sent, received), large)

    async def _send(self, request: bytes) -> None:
        file = self._socket
        if file is None:
            raise ConnectionResetError("not connected")
        view = memoryview(request)
        while view:
            try:
                view = view[file.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await self._wait(file.fileno(), writing=True)
            except ssl.SSLWantReadError:
                await self._wait(file.fileno())

    async def _receive(self) -> bytes:
        """The next bytes, empty at the end of the connection."""
        file = self._socket
        if file is None:
            return b""
        if not isinstance(file, ssl.SSLSocket) or not file.pending():
            await self._wait(file.fileno())
        while True:
            try:
                return file.recv(_CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                await self._wait(file.fileno())
            except ssl.SSLWantWriteError:
                await self._wait(file.fileno(), writing=True)

    async def _pass_body(self, status: int, headers: list[tuple[bytes, bytes]], data: bytearray) -> bool:
        """Read past the body or close the connection; whether the body is large. The answer is known already, so that
        nothing here is an error any more."""
        fields = {name.lower(): value.lower() for name, value in headers}
        length = fields.get(b"content-length", b"")
        chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
        if status in (204, 304):
            length, chunked = b"0", False
        large = False
        try:
            if chunked:
                large = not await self._drain(data, lambda read: read.endswith(b"0\r\n\r\n"))
            elif length.isdigit() and len(length) < 16:
                size = int(length)
                large = size > MAX_BODY
                if not large:
                    await self._drain(data, lambda read: len(read) >= size)
            else:
                large = not await self._drain(data, lambda read: False)
        except (TimeoutError, OSError):
            self.close()
        if large or b"close" in fields.get(b"connection", b"") or not (chunked or length):
            self.close()
        return large

    async def _drain(self, data: bytearray, complete: Callable[[bytearray], bool]) -> bool:
        """Read until the body is complete (or the connection ends); False where it would take too much."""
        while not complete(data):
            if len(data) > MAX_BODY:
                return False
            piece = await self._receive()
            if not piece:
                self.close()
                return True
            data += piece
        return True


def _parse(data: bytearray, end: int) -> tuple[int, list[tuple[bytes, bytes]]]:
    first, *lines = bytes(data[:end]).split(b"\r\n")
    status = first[9:12]
    if not status.isdigit() or len(first) < 12:
        raise WireError("garbage", f"it begins with {_printable(first)}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name, value.strip()))
    return int(status), headers


def _connect_problem(code: int, where: str) -> WireError:
    if code == errno.ECONNREFUSED:
        return WireError("refused", where)
    if code == errno.ETIMEDOUT:
        return WireError("connect_timeout", f"{where}: {os.strerror(code)}")
    if code in _UNREACHABLE:
        return WireError("unreachable", f"{where}: {os.strerror(code)}")
    return WireError("reset", f"{where}: {os.strerror(code)}")


def _words(error: Exception) -> str:
    """What an exception says, without numbers and source lines of libraries."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).lower().replace("_", " ")
    return str(getattr(error, "strerror", None) or error)


def _printable(data: bytes | bytearray) -> str:
    return repr(bytes(data[:20]))[1:]
