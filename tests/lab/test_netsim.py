"""The bad network is as bad as asked, and bad in the same way for the same seed."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from greenroom.lab.netsim import UdpRelay
from greenroom.lab.weather import Weather

pytestmark = pytest.mark.live


class Ends(asyncio.DatagramProtocol):
    """One end: keeps what it receives, and answers when told to."""

    def __init__(self, answers: bool = False) -> None:
        self.received: list[int] = []
        self.answers = answers
        self.transport: asyncio.DatagramTransport | None = None
        self.changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own is no subclass of it

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.received.append(int(data))
        self.changed.set()
        if self.answers and self.transport is not None:
            self.transport.sendto(data, address)


async def echoed(weather: Weather, seed: int, datagrams: int = 200) -> list[int]:
    """Return which numbers come back, in order, from a server behind a relay with this weather on the way down."""
    loop = asyncio.get_running_loop()
    back, _ = await loop.create_datagram_endpoint(lambda: Ends(answers=True), local_addr=("127.0.0.1", 0))
    host, port = back.get_extra_info("sockname")
    async with UdpRelay(host, port, down=weather, seed=seed) as relay:
        front, end = await loop.create_datagram_endpoint(Ends, remote_addr=("127.0.0.1", relay.port))
        for number in range(datagrams):
            front.sendto(str(number).encode())
            await asyncio.sleep(0)
        async with asyncio.timeout(10.0):
            while relay.down.passed < datagrams:  # noqa: ASYNC110  what is lost announces nothing to wait for
                await asyncio.sleep(0.01)
        before = -1
        while before != len(end.received):
            before = len(end.received)
            await asyncio.sleep(weather.delay_seconds + weather.jitter_seconds + 0.02)
        front.close()
    back.close()
    return end.received


async def test_fair_weather_loses_and_reorders_nothing() -> None:
    assert await echoed(Weather(), seed=1) == list(range(200))


async def test_the_same_seed_loses_the_same_datagrams_and_another_seed_others() -> None:
    first = await echoed(Weather(loss=0.3), seed=7)
    assert first == await echoed(Weather(loss=0.3), seed=7)
    assert first != await echoed(Weather(loss=0.3), seed=8)
    assert len(first) / 200 == pytest.approx(0.7, abs=0.1)


async def test_loss_can_begin_after_a_handshake() -> None:
    assert (await echoed(Weather(loss=1.0, after=20), seed=1)) == list(range(20))


async def test_jitter_reorders_and_repeats_repeat() -> None:
    arrived = await echoed(Weather(jitter_seconds=0.03, repeat=0.2), seed=1)
    assert set(arrived) == set(range(200))
    assert arrived != sorted(arrived)
    assert len(arrived) > 215


async def test_after_a_change_of_address_the_server_answers_to_the_new_one() -> None:
    loop = asyncio.get_running_loop()
    seen: list[tuple[str, int]] = []

    class Server(Ends):
        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            seen.append(address)
            super().datagram_received(data, address)

    back, _ = await loop.create_datagram_endpoint(lambda: Server(answers=True), local_addr=("127.0.0.1", 0))
    tapped: list[bytes] = []
    async with UdpRelay(*back.get_extra_info("sockname")) as relay:
        relay.taps_up.append(tapped.append)
        front, end = await loop.create_datagram_endpoint(Ends, remote_addr=("127.0.0.1", relay.port))
        for number in (1, 2):
            end.changed.clear()
            front.sendto(str(number).encode())
            await asyncio.wait_for(end.changed.wait(), 5.0)
            await relay.change_address()
        front.close()
    back.close()
    assert end.received == [1, 2]
    assert len(set(seen)) == 2
    assert tapped == [b"1", b"2"]
