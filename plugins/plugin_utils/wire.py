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
import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from ..module_utils import http_client
from ..module_utils.http_client import CHUNK, MAX_HEADERS, Address, NoAnswer
from ..module_utils.probe import Answer
from ..module_utils.reach import proxy_header

MAX_BODY = 65536
"""Bytes of a body read past, to use the connection again; with a larger one it is closed instead."""

MOST_LOOKUPS = 256
"""Names that may wait for the resolver at once."""


class WireError(Exception):
    """No answer: ``kind`` is one of evidence.FAULTS, ``str(error)`` a few words on what was seen."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail)
        self.kind = kind

    @classmethod
    def of(cls, problem: NoAnswer) -> WireError:
        """The same, from what both clients share."""
        return cls(problem.kind, problem.detail)


@dataclass(frozen=True)
class Target:
    """Where a node is asked: ``address`` and ``port``, with TLS or not, the name for the TLS handshake, and the version of the
    PROXY protocol, 0 for none."""

    address: str
    port: int
    tls: bool
    host: str
    proxy_protocol: int = 0


@dataclass(frozen=True)
class Reply:
    """An answer, and whether its body is larger than :data:`MAX_BODY`."""

    answer: Answer
    large: bool


class Resolver:
    """Names to addresses, each name looked up once, in a thread of its own: one that is never answered delays no other.

    Nothing can end a call of the system's resolver. So the threads are daemons, which end with the program.
    """

    def __init__(self) -> None:
        self._lookups: dict[tuple[str, int], Future[list[Address]]] = {}

    async def find(self, name: str, port: int, seconds: float, timeout: float) -> list[Address]:
        """The addresses of a name, after at most ``seconds`` (of ``timeout`` in all)."""
        lookup = self._lookups.get((name, port))
        if lookup is None:
            if sum(not one.done() for one in self._lookups.values()) >= MOST_LOOKUPS:
                raise WireError("unresolved", f"{name}: the resolver has not answered for {MOST_LOOKUPS} other names yet")
            lookup = self._lookups[(name, port)] = Future()
            threading.Thread(target=_look_up, args=(lookup, name, port), daemon=True).start()
        if not lookup.done():
            loop = asyncio.get_running_loop()
            answered = asyncio.Event()

            def wake(_lookup: Future[list[Address]]) -> None:
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(answered.set)

            lookup.add_done_callback(wake)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(answered.wait(), seconds)
        if not lookup.done():
            raise WireError("unresolved", f"{name}: no answer of the resolver in {timeout:g} s")
        problem = lookup.exception()
        if isinstance(problem, NoAnswer):
            raise WireError.of(problem)
        return lookup.result()


def _look_up(lookup: Future[list[Address]], name: str, port: int) -> None:
    try:
        lookup.set_result(http_client.resolve(name, port))
    except BaseException as error:
        lookup.set_exception(error)


class Wire:
    """One keep-alive connection, opened when the first request is sent and again where the node closed it meanwhile.

    :param tls: context to verify the node with, for targets with TLS.
    :param now: microseconds since the epoch by a clock that only counts forward.
    :param timeout: seconds for all that belongs to one request: name, connection, handshake, sending, and the answer's headers.
    :param resolver: shared by all connections.
    """

    def __init__(
        self, target: Target, tls: ssl.SSLContext | None, now: Callable[[], int], timeout: float, resolver: Resolver | None = None
    ) -> None:
        self._target = target
        self._tls = tls
        self._now = now
        self._timeout = timeout
        self._resolver = resolver or Resolver()
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._expired = False
        self._until = 0.0
        self._used = False
        self._drains = True

    async def ask(self, request: bytes) -> Reply:
        """Send one request and read its answer.

        A connection that the node closed while it was idle is opened anew once.
        """
        self._expired = False
        self._until = self._loop.time() + self._timeout
        timer = self._loop.call_at(self._until, self._expire)
        try:
            if self._socket is not None and self._used:
                try:
                    return await self._exchange(request)
                except WireError as error:
                    if error.kind not in ("reset", "closed"):
                        raise
            await self._open()
            return await self._exchange(request)
        finally:
            timer.cancel()

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
        try:
            await self._connect()
            await self._announce()
            if self._target.tls:
                await self._handshake()
        except BaseException:
            self.close()
            raise

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
            problem = WireError.of(http_client.connect_problem(code, where))
        raise problem or WireError("unresolved", f"{self._target.address} has no address")

    async def _addresses(self) -> list[Address]:
        address, port = self._target.address, self._target.port
        try:
            found = http_client.numeric(address, port)
        except NoAnswer as error:
            raise WireError.of(error) from None
        left = self._until - self._loop.time()
        return found or await self._resolver.find(address, port, left, self._timeout)

    async def _announce(self) -> None:
        """Say by the PROXY protocol who asks, where the server expects that."""
        file, version = self._socket, self._target.proxy_protocol
        if file is None or not version:
            return
        try:
            await self._send(proxy_header(version, file.getsockname(), file.getpeername()))
        except TimeoutError:
            raise WireError("timeout", f"no answer in {self._timeout:g} s") from None
        except OSError as error:
            raise WireError.of(http_client.talk_problem(error)) from None

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
        except (OSError, ValueError) as error:
            raise WireError.of(http_client.tls_problem(error)) from None

    # Asking

    async def _exchange(self, request: bytes) -> Reply:
        try:
            return await self._talk(request)
        except TimeoutError:
            self.close()
            raise WireError("timeout", f"no answer in {self._timeout:g} s") from None
        except NoAnswer as error:
            self.close()
            raise WireError.of(error) from None
        except OSError as error:
            self.close()
            raise WireError.of(http_client.talk_problem(error)) from None
        except BaseException:
            self.close()
            raise

    async def _talk(self, request: bytes) -> Reply:
        sent = self._now()
        data = bytearray()
        received = 0
        broken: OSError | None = None
        try:
            await self._send(request)
        except ConnectionError as error:  # what the server said before it closed may still be there
            broken = error
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                status, headers = http_client.parse_head(bytes(data[:end]))
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
                raise WireError("garbage", f"it begins with {http_client.start_of(data)}")
            if not piece and broken is not None and not data:
                raise broken
            if not piece:
                raise WireError("garbage" if data else "closed", "the connection ended" if data else "")
        self._used = True
        large = await self._pass_body(status, headers, data)
        kept = tuple((name, value) for name, value in headers if name.lower() in http_client.KEPT)
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
                return file.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                await self._wait(file.fileno())
            except ssl.SSLWantWriteError:
                await self._wait(file.fileno(), writing=True)

    async def _pass_body(self, status: int, headers: list[tuple[str, str]], data: bytearray) -> bool:
        """Read past the body or close the connection; whether the body is large. The answer is known already, so that
        nothing here is an error any more."""
        fields = {name.lower(): value.lower() for name, value in headers}
        length = fields.get("content-length", "")
        length = length if length.isascii() and length.isdigit() else ""
        chunked = "chunked" in fields.get("transfer-encoding", "")
        if status in (204, 304):
            length, chunked = "0", False
        large = False
        try:
            if chunked:
                large = not await self._drain(data, lambda read: read.endswith(b"0\r\n\r\n"))
            elif length:
                large = len(length) > 15 or int(length) > MAX_BODY
                if not large:
                    await self._drain(data, lambda read: len(read) >= int(length))
            else:
                large = not await self._drain(data, lambda read: False)
        except TimeoutError:
            # A server that makes bodies slow costs one deadline, not one for each request.
            self._drains = False
            self.close()
        except OSError:
            self.close()
        if large or "close" in fields.get("connection", "") or not (chunked or length):
            self.close()
        return large

    async def _drain(self, data: bytearray, complete: Callable[[bytearray], bool]) -> bool:
        """Read until the body is complete (or the connection ends); False where it would take too much."""
        while not complete(data):
            if len(data) > MAX_BODY:
                return False
            if not self._drains:
                self.close()
                return True
            piece = await self._receive()
            if not piece:
                self.close()
                return True
            data += piece
        return True
