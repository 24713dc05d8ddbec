"""A bad network on purpose: a UDP relay that loses, delays, reorders and repeats datagrams, the same way for the same seed.

Needs no root and no kernel module. A `RelayedBackend` puts one person's sound behind it.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from greenroom.backends.sfu import SfuBackend, SfuSession
from greenroom.protocol.ids import Cid

_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ \S+ \d+ )(\S+) (\d+)( typ host.*)$", re.MULTILINE)


class Weather(msgspec.Struct, frozen=True):
    """What happens to datagrams on their way: shares of 0.0 to 1.0, delays in seconds.

    `jitter_seconds` is the most that is added to the delay of each, which reorders them. Loss begins `after` so many
    datagrams of that direction, so that a handshake can be kept out of it.
    """

    loss: float = 0.0
    repeat: float = 0.0
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    after: int = 0


CLEAR = Weather()


class _Way:
    """One direction: decides, by its own seeded chance, when each datagram arrives."""

    def __init__(self, weather: Weather, seed: str) -> None:
        self.weather = weather
        self.passed = 0
        self.lost = 0
        self._chance = random.Random(seed)

    def send(self, deliver: Callable[[], None]) -> None:
        self.passed += 1
        weather, chance = self.weather, self._chance
        lose, again, late = chance.random(), chance.random(), chance.random()
        if self.passed > weather.after and lose < weather.loss:
            self.lost += 1
            return
        for _ in range(2 if again < weather.repeat else 1):
            delay = weather.delay_seconds + late * weather.jitter_seconds
            if delay > 0.0:
                asyncio.get_running_loop().call_later(delay, deliver)
            else:
                deliver()


class UdpRelay:
    """Stands between clients and one UDP address. Enter it, and send to `port` instead."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        up: Weather = CLEAR,
        down: Weather = CLEAR,
        seed: int = 1,
    ) -> None:
        self.up = _Way(up, f"up/{seed}")
        self.down = _Way(down, f"down/{seed}")
        self.port = 0
        self._target = (host, port)
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._opening: dict[tuple[str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self._from_client), local_addr=("127.0.0.1", 0)
        )
        self.port = self._front.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        for transport in (*self._backs.values(), *([self._front] if self._front else [])):
            transport.close()

    def change(self, *, up: Weather | None = None, down: Weather | None = None) -> None:
        """Let it be other weather from now on, e.g. a blackout (`Weather(loss=1.0)`) and its end."""
        self.up.weather = up or self.up.weather
        self.down.weather = down or self.down.weather

    def _from_client(self, data: bytes, address: tuple[str, int]) -> None:
        back = self._backs.get(address)
        if back is not None:
            self.up.send(lambda: back.sendto(data))
        elif address in self._opening:
            self._opening[address].append(data)
        else:
            self._opening[address] = [data]
            task = asyncio.get_running_loop().create_task(self._open(address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, address: tuple[str, int]) -> None:
        def from_server(data: bytes, _: tuple[str, int]) -> None:
            front = self._front
            if front is not None:
                self.down.send(lambda: front.sendto(data, address))

        back, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Receiver(from_server), remote_addr=self._target
        )
        self._backs[address] = back
        for data in self._opening.pop(address):
            self._from_client(data, address)


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._received(data, address)


class RelayedBackend(SfuBackend):
    """A server whose sound passes a relay; its control does not. `relay` is the one of the newest connection."""

    def __init__(
        self,
        server: str,
        *,
        token: str,
        up: Weather = CLEAR,
        down: Weather = CLEAR,
        seed: int = 1,
    ) -> None:
        super().__init__(server, token=token)
        self.up = up
        self.down = down
        self.seed = seed
        self.relay: UdpRelay | None = None

    def session(self, cid: Cid | None = None) -> SfuSession:
        return _RelayedSession(self, self.server, self._token, self._name, cid, self._tls)


class _RelayedSession(SfuSession):
    def __init__(
        self,
        backend: RelayedBackend,
        server: str,
        token: str | None,
        name: str,
        cid: Cid | None,
        tls: ssl.SSLContext | bool,
    ) -> None:
        super().__init__(server, token, name, cid, tls)
        self._backend = backend

    async def attach(self, cid: Cid, offer: str) -> str:
        answer = await super().attach(cid, offer)
        found = _CANDIDATE.search(answer)
        if found is None:
            return answer
        await self._end_relay()
        relay = UdpRelay(
            found[2],
            int(found[3]),
            up=self._backend.up,
            down=self._backend.down,
            seed=self._backend.seed,
        )
        self._backend.relay = await relay.__aenter__()
        return _CANDIDATE.sub(lambda match: f"{match[1]}127.0.0.1 {relay.port}{match[4]}", answer)

    async def close(self) -> None:
        await super().close()
        await self._end_relay()

    async def _end_relay(self) -> None:
        relay, self._backend.relay = self._backend.relay, None
        if relay is not None:
            await relay.__aexit__(None, None, None)
