# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection against servers that do all that servers should not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time

import pytest

from plugins.plugin_utils.prober import SteadyClock
from plugins.plugin_utils.wire import MAX_HEADERS, Target, Wire, WireError

GOOD = b"HTTP/1.1 403 Forbidden\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
TIMEOUT = 0.5


def ask(handler, times=1, host="127.0.0.1", tls=None, timeout=TIMEOUT):
    """What ``times`` requests over one wire to a server with this handler give: replies or kinds of errors."""

    async def main():
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire = Wire(Target(host, port, tls is not None, "www.example.com"), tls, SteadyClock().now, timeout)
        found = []
        try:
            for _ in range(times):
                try:
                    found.append(await wire.ask(REQUEST))
                except WireError as error:
                    found.append(error.kind)
        finally:
            wire.close()
            server.close()
        return found

    return asyncio.run(main())


def sends(*pieces, close=True, pause=0.0):
    """A server that sends these pieces for each request of a connection."""

    async def handler(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
                if close:
                    break
        writer.close()

    return handler


async def resets(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def hangs(reader, writer):
    await asyncio.sleep(3 * TIMEOUT)
    writer.close()


async def endless_headers(reader, writer):
    with contextlib.suppress(ConnectionError):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(10**6):
            writer.write(b"X-%d: %s\r\n" % (number, b"y" * 1000))
            await writer.drain()
    writer.close()


async def endless_body(reader, writer):
    with contextlib.suppress(ConnectionError):
        writer.write(b"HTTP/1.1 403 No\r\nSet-Cookie: a=b\r\n\r\n")
        while True:
            writer.write(b"y" * 65536)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (sends(b""), "closed"),
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "garbage"),
        (sends(b"HTTP/1.1 abc\r\n\r\n"), "garbage"),
        (sends(b"HTTP/1.1 200 OK\r\nX: y\r\n"), "garbage"),  # ends within the headers
        (sends(b"HTTP/1.1 20\r\n\r\n"), "garbage"),
        (resets, "reset"),
        (hangs, "timeout"),
        (sends(*[b"H"] + [b""] * 3, pause=TIMEOUT), "timeout"),  # one byte, then nothing
        (endless_headers, "too_large"),
    ],
)
def test_no_answer(handler, kind):
    started = time.monotonic()
    assert ask(handler) == [kind]
    assert time.monotonic() - started < 10


def test_a_slow_drip_is_bounded_too():
    drip = sends(*[bytes([byte]) for byte in GOOD], pause=TIMEOUT / 10)
    assert ask(drip) == ["timeout"]


def test_a_resolver_that_says_nothing(monkeypatch):
    async def never(*_args, **_options):
        await asyncio.sleep(60)

    async def main():
        await Wire(Target("web1.example.com", 80, False, "x"), None, SteadyClock().now, 0.01).ask(REQUEST)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", never)
    with pytest.raises(WireError, match=r"web1\.example\.com: no answer of the resolver in 0\.01 s") as caught:
        asyncio.run(main())
    assert caught.value.kind == "unresolved"


def test_nobody_listens():
    async def main(address, port):
        with pytest.raises(WireError) as error:
            await Wire(Target(address, port, False, "x"), None, SteadyClock().now, TIMEOUT).ask(REQUEST)
        return error.value.kind

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert asyncio.run(main("127.0.0.1", free.getsockname()[1])) == "refused"
    assert asyncio.run(main("no-such-host.invalid", 80)) == "unresolved"


def test_a_listener_that_takes_nobody_in():
    """A full queue of connections: a packet filter that drops them looks the same."""

    async def main(port):
        with pytest.raises(WireError) as error:
            await Wire(Target("127.0.0.1", port, False, "x"), None, SteadyClock().now, TIMEOUT).ask(REQUEST)
        return error.value.kind

    with socket.socket() as full, contextlib.ExitStack() as others:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        assert asyncio.run(main(full.getsockname()[1])) in ("connect_timeout", "timeout")


@pytest.mark.parametrize(
    "pieces",
    [
        (GOOD,),
        (b"HTTP/1.1 100 Continue\r\n\r\n", GOOD),
        tuple(bytes([byte]) for byte in GOOD),
        (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
        (b"HTTP/1.1 304 No\r\n\r\n",),
    ],
)
def test_a_connection_is_used_again(pieces):
    connections = []
    inner = sends(*pieces, close=False)

    async def counting(reader, writer):
        connections.append(1)
        await inner(reader, writer)

    replies = ask(counting, times=3)
    assert [type(reply) for reply in replies] == [type(replies[0])] * 3 and not isinstance(replies[0], str)
    assert len(connections) == 1


@pytest.mark.parametrize(
    "handler",
    [
        sends(GOOD),  # closes without a word
        sends(GOOD.replace(b"Server: x", b"Connection: close")),
        sends(b"HTTP/1.0 403 No\r\n\r\nabc"),
    ],
)
def test_a_connection_that_ends_is_opened_again(handler):
    assert [reply.answer.status for reply in ask(handler, times=3)] == [403, 403, 403]


def test_a_large_body_is_not_read():
    (reply,) = ask(endless_body)
    assert reply.large and reply.answer.headers == (("Set-Cookie", "a=b"),)
    (reply,) = ask(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"y" * 1000, close=False))
    assert reply.large


def test_only_headers_that_matter_are_kept():
    (reply,) = ask(sends(GOOD))
    assert dict(reply.answer.headers) == {"Date": "Mon, 23 Nov 2026 00:00:00 GMT"}
    assert not reply.large


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_times_bracket_the_answer(interim):
    moments = []

    async def noting(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(interim)
        await asyncio.sleep(0.05)
        moments.append(time.time_ns() // 1000)
        writer.write(GOOD)
        await writer.drain()
        writer.close()

    (reply,) = ask(noting)
    assert reply.answer.sent + 50000 <= moments[0] <= reply.answer.received


def test_headers_of_the_largest_size_are_read():
    filler = b"X: " + b"y" * (MAX_HEADERS - 200) + b"\r\n"
    (reply,) = ask(sends(b"HTTP/1.1 200 OK\r\n" + filler + b"Content-Length: 0\r\n\r\n"))
    assert reply.answer.status == 200


@pytest.mark.parametrize("handler", [sends(GOOD), resets, hangs, sends(b"HTTP/1.1 400 Bad\r\n\r\n")])
def test_a_server_without_tls(handler):
    assert ask(handler, tls=ssl.create_default_context()) == ["tls_handshake"]
