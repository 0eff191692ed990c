# Copyright: (c) 2026, the httpd_fleet.mod_session authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection against servers that do all that servers should not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time

import pytest

from plugins.module_utils import http_client
from plugins.module_utils.http_client import NoAnswer
from plugins.plugin_utils.prober import SteadyClock
from plugins.plugin_utils.wire import MAX_HEADERS, Resolver, Target, Wire, WireError

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


def ask_as_a_node(handler, tls=None):
    """What one request of a node's own client to a server with this handler gives: its answer, or the kind of error."""

    async def main():
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        arguments = ("127.0.0.1", port, REQUEST, TIMEOUT, SteadyClock().now, tls, "www.example.com")
        try:
            return await asyncio.to_thread(http_client.ask, *arguments)
        except NoAnswer as error:
            return error.kind
        finally:
            server.close()

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
        (sends(*[bytes([byte]) for byte in GOOD], pause=TIMEOUT / 10), "timeout"),
        (sends(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 30, pause=TIMEOUT / 10), "timeout"),
        (endless_headers, "too_large"),
    ],
)
def test_no_answer(handler, kind):
    """Both clients say the same, and neither waits for longer because something comes."""
    started = time.monotonic()
    assert ask(handler) == [kind]
    assert ask_as_a_node(handler) == kind
    assert time.monotonic() - started < 10


async def silent_tls(reader, writer):
    """Takes the first message of a handshake, then sends a byte at a time that never becomes one."""
    with contextlib.suppress(ConnectionError):
        for byte in b"\x16\x03\x03\x40\x00" + bytes(100):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(TIMEOUT / 10)
    writer.close()


def test_a_handshake_has_the_same_deadline():
    assert ask(silent_tls, tls=ssl.create_default_context()) == ["tls_handshake"]
    assert ask_as_a_node(silent_tls, tls=ssl.create_default_context()) == "tls_handshake"


def test_a_body_that_never_ends_costs_one_deadline_for_all_requests():
    started = time.monotonic()
    stuck = sends(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nabc", close=False)
    assert [reply.answer.status for reply in ask(stuck, times=20)] == [403] * 20
    assert time.monotonic() - started < 10 * TIMEOUT


def test_a_resolver_that_says_nothing(monkeypatch):
    """Each name waits by itself: as many dead ones as there are, one that is answered is found."""
    end = threading.Event()

    def look_up(name, port):
        if name.startswith("dead"):
            end.wait()
        return [(socket.AF_INET, ("127.0.0.1", port))]

    async def main():
        resolver = Resolver()
        wires = [Wire(Target(name, 9, False, "x"), None, SteadyClock().now, 0.2, resolver)
                 for name in [*(f"dead{number}.example.com" for number in range(40)), "live.example.com"]]
        return await asyncio.gather(*(wire.ask(REQUEST) for wire in wires), return_exceptions=True)

    monkeypatch.setattr(http_client, "resolve", look_up)
    try:
        found = asyncio.run(main())
        assert [error.kind for error in found] == ["unresolved"] * 40 + ["refused"]
        assert str(found[0]) == "dead0.example.com: no answer of the resolver in 0.2 s"
        with pytest.raises(NoAnswer, match=r"dead\.example\.com: no answer of the resolver in 0\.1 s"):
            http_client.ask("dead.example.com", 9, REQUEST, 0.1, SteadyClock().now)
    finally:
        end.set()


@pytest.mark.parametrize(
    ("address", "port", "words"),
    [
        ("127.0.0.1", 80800, "there is no port 80800"),
        ("127.0.0.1", 0, "there is no port 0"),
        ("127.0.0.1", -1, "there is no port -1"),
        ("w\u0119b\u2028.example.com", 80, "w"),
        ("a" * 70 + ".example.com", 80, "aaa"),
        ("web1\0.example.com", 80, "web1"),
        ("web1..example.com", 80, "web1"),
        ("", 80, ""),
        ("fe80::1%no-such-card", 80, "fe80::1%no-such-card"),
    ],
)
def test_an_address_that_is_none_is_that_nodes_fault(address, port, words):
    async def main():
        wire = Wire(Target(address, port, False, "x"), None, SteadyClock().now, TIMEOUT)
        with pytest.raises(WireError) as caught:
            await wire.ask(REQUEST)
        return caught.value

    error = asyncio.run(main())
    assert error.kind in ("unresolved", "refused") and words in str(error)
    with pytest.raises(NoAnswer) as caught:
        http_client.ask(address, port, REQUEST, TIMEOUT, SteadyClock().now)
    assert caught.value.kind == error.kind


@pytest.mark.parametrize("address", ["::1", "[::1]"])
def test_an_address_of_ipv6_has_brackets_or_none(address):
    async def main():
        server = await asyncio.start_server(sends(GOOD), "::1", 0)
        port = server.sockets[0].getsockname()[1]
        reply = await Wire(Target(address, port, False, "x"), None, SteadyClock().now, TIMEOUT).ask(REQUEST)
        asking = asyncio.to_thread(http_client.ask, address, port, REQUEST, TIMEOUT, SteadyClock().now)
        other, _large = await asking
        server.close()
        return reply.answer.status, other.status

    assert asyncio.run(main()) == (403, 403)


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
    assert ask_as_a_node(handler, tls=ssl.create_default_context()) == "tls_handshake"
