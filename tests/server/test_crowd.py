from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from greenroom.hosting import start_server_async
from greenroom.protocol.ids import OpId
from greenroom.protocol.requests import Join, PostMessage
from greenroom.protocol.wire import Do, Ping, Pong, encode
from tests.server.guest import CID, Guest, open_room, serving, token_for, visiting

pytestmark = pytest.mark.live
CROWD = 1_000


class Member:
    """One of many: counts what it is sent, without reading it all."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def until_sent(self, kind: bytes, text: bytes = b"") -> None:
        while True:
            message = await self.socket.receive(30.0)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            data = message.data.encode()
            if data.startswith(b'{"type":"' + kind) and text in data:
                return


@pytest.mark.quiet
async def test_a_thousand_who_join_at_once_are_in_within_three_seconds(tmp_path: Path) -> None:
    server = await start_server_async(data_dir=str(tmp_path), media_workers=0)
    try:
        tokens = [token_for(tmp_path, f"u{n}") for n in range(CROWD)]
        async with visiting(server.url) as visit:
            ann = await visit.enter(await asyncio.to_thread(server.mint, "ann", "Ann"))
            await open_room(ann)
            started = time.monotonic()
            crowd = await _come_in(visit.http, server.url, tokens)
            print(f"connected in {time.monotonic() - started:.2f} s")
            assert time.monotonic() - started < 20.0  # 10 s on a machine that does nothing else
            join = encode(Do(OpId("join"), CID, Join())).decode()
            started = time.monotonic()
            await asyncio.gather(*(member.socket.send_str(join) for member in crowd))
            await asyncio.gather(*(member.until_sent(b"done") for member in crowd))
            joined_seconds = time.monotonic() - started
            print(f"joined in {joined_seconds:.2f} s")
            assert joined_seconds < 3.0
            await ann.until(lambda: ann.room().counts.participants == CROWD + 1)
            assert len(ann.room().participants) == 251  # counted, not listed
            started = time.monotonic()
            await ann.done(PostMessage("hello everybody"))
            await asyncio.gather(*(member.until_sent(b"happened", b"hello everybody") for member in crowd))
            print(f"heard in {time.monotonic() - started:.2f} s")
            assert time.monotonic() - started < 2.0
            assert _rss_bytes(server.pid) < 250_000_000
            await asyncio.gather(*(member.socket.close() for member in crowd))
    finally:
        await asyncio.to_thread(server.close)


async def _come_in(http: aiohttp.ClientSession, url: str, tokens: Sequence[str]) -> list[Member]:
    async def one(token: str) -> Member:
        async with doors:
            socket = await http.ws_connect(f"{url}/ws", max_msg_size=0)
            await socket.send_str(f'{{"type":"authenticate","version":1,"token":"{token}"}}')
            member = Member(socket)
            await member.until_sent(b"welcome")
            return member

    doors = asyncio.Semaphore(100)
    return list(await asyncio.gather(*(one(token) for token in tokens)))


def _rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def test_one_who_does_not_read_is_cut_and_costs_the_others_nothing(tmp_path: Path) -> None:
    text = "🎈" * 1_900  # nearly 8 kB
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        assert server._house is not None
        people = server._house.people
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        others = [await visit.enter(token_for(tmp_path, f"u{n}")) for n in range(7)]
        for other in others:
            await other.done(Join())
        slow = others.pop()
        _stop_reading(slow)
        started = time.monotonic()
        delays: list[float] = []

        async def write(writer: Guest) -> None:
            while (person := people.get(slow.welcome.user)) is not None and person.line is not None:
                asked = time.monotonic()
                await writer.done(PostMessage(text))
                delays.append(time.monotonic() - asked)
                await asyncio.sleep(max(0.0, 0.06 - delays[-1]))  # within the pace everybody has

        async with asyncio.timeout(30.0):
            await asyncio.gather(*(write(other) for other in others))
        assert time.monotonic() - started < 10.0  # long before the heartbeat would have noticed
        assert sorted(delays)[int(0.99 * len(delays))] < 0.5
        for other in others:
            await other.say(Ping(1.0))
            await other.hears(Pong)
            assert other.gaps == 0
        slow.vanish()
        again = await visit.back(slow)
        await again.until(lambda: CID in again.replicas and again.room().chat == others[0].room().chat)


def _stop_reading(guest: Guest) -> None:
    """Leave what is sent to `guest` in the kernel, as a frozen program would."""
    connection = guest.socket._response.connection
    assert connection is not None
    assert isinstance(connection.transport, asyncio.Transport)
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
    connection.transport.pause_reading()


@pytest.mark.long
async def test_one_whose_network_is_gone_without_a_word_is_noticed_within_twenty_seconds(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join())
        _stop_reading(bo)
        await ann.until(lambda: not ann.room().participants[bo.welcome.user].connected, 20.0)
        bo.vanish()
