"""A bad network on purpose: a UDP relay that loses, delays, reorders and repeats datagrams, the same way for the same seed.

Needs no root and no kernel module. A `RelayedBackend` puts one person's sound behind it.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from greenroom.backends.sfu import SfuBackend, SfuSession
from greenroom.lab.weather import CLEAR, Way, Weather
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.peers import PeerAnswer, PeerCandidate, PeerOffer, PeerSignal
from greenroom.protocol.wire import FromPeer, FromServer

_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ \S+ \d+ )(\S+) (\d+)( typ host.*)$", re.MULTILINE)


_MOST_CLIENTS = 256
Tap = Callable[[bytes], None]


class UdpRelay:
    """Stands between clients and one UDP address. Enter it, and send to `port` instead.

    `listen` is the port to take, 0 any free one. `taps_up` and `taps_down` are called with every datagram that comes,
    before anything happens to it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        up: Weather = CLEAR,
        down: Weather = CLEAR,
        seed: int = 1,
        listen: int = 0,
    ) -> None:
        self.taps_up: list[Tap] = []
        self.taps_down: list[Tap] = []
        self.up = Way(up, f"up/{seed}")
        self.down = Way(down, f"down/{seed}")
        self.port = listen
        self._target = (host, port)
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._opening: dict[tuple[str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self._from_client), local_addr=("127.0.0.1", self.port)
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

    async def change_address(self) -> None:
        """Let the server see every client at another address from now on, as when a phone leaves the wireless network."""
        for address, before in tuple(self._backs.items()):
            self._backs[address] = await self._back(address)
            before.close()

    def _from_client(self, data: bytes, address: tuple[str, int]) -> None:
        if address in self._backs:
            self._send(self.up, self.taps_up, data, lambda: self._backs.get(address), None)
        elif address in self._opening:
            self._opening[address].append(data)
        elif len(self._backs) + len(self._opening) < _MOST_CLIENTS:
            self._opening[address] = [data]
            task = asyncio.get_running_loop().create_task(self._open(address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, address: tuple[str, int]) -> None:
        self._backs[address] = await self._back(address)
        for data in self._opening.pop(address):
            self._from_client(data, address)

    async def _back(self, address: tuple[str, int]) -> asyncio.DatagramTransport:
        def from_server(data: bytes, _: tuple[str, int]) -> None:
            self._send(self.down, self.taps_down, data, lambda: self._front, address)

        back, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Receiver(from_server), remote_addr=self._target
        )
        return back

    def _send(
        self,
        way: Way,
        taps: list[Tap],
        data: bytes,
        where: Callable[[], asyncio.DatagramTransport | None],
        to: tuple[str, int] | None,
    ) -> None:
        for tap in tuple(taps):
            tap(data)

        def deliver() -> None:
            transport = where()
            if transport is not None and not transport.is_closing():
                transport.sendto(data, to)

        loop = asyncio.get_running_loop()
        for delay in way.plan(len(data), loop.time()):
            if delay > 0.0:
                loop.call_later(delay, deliver)
            else:
                deliver()


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._received(data, address)


def relay_before(
    answer: str, *, up: Weather = CLEAR, down: Weather = CLEAR, seed: int = 1
) -> UdpRelay | None:
    """Return a relay, to be entered, before the address in a media answer (SDP); None where it has none."""
    found = _CANDIDATE.search(answer)
    return None if found is None else UdpRelay(found[2], int(found[3]), up=up, down=down, seed=seed)


def answer_through(answer: str, relay: UdpRelay) -> str:
    """Return a media answer (SDP) that leads to `relay` instead."""
    return _CANDIDATE.sub(lambda match: f"{match[1]}127.0.0.1 {relay.port}{match[4]}", answer)


class RelayedBackend(SfuBackend):
    """A server whose sound passes a relay; its control does not. `relay` is the one of the newest connection,
    `relays` has those of all rooms.

    Sound that goes straight to another person passes relays too, in the weather `between` the two: None is as with the
    server. Both ways pass them, whatever the other person has.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str,
        up: Weather = CLEAR,
        down: Weather = CLEAR,
        seed: int = 1,
        between: Weather | None = None,
    ) -> None:
        super().__init__(server, token=token)
        self.up = up
        self.down = down
        self.seed = seed
        self.between = between
        self.relay: UdpRelay | None = None
        self.relays: dict[Cid, UdpRelay] = {}
        self.relays_between: list[UdpRelay] = []

    def change_between(self, weather: Weather) -> None:
        """Let it be other weather between us and another person from now on, both ways."""
        self.between = weather
        for relay in self.relays_between:
            relay.change(up=weather, down=weather)

    def before_person(self, sdp: str) -> UdpRelay | None:
        """Return a relay, to be entered, before whom `sdp` describes; None where it names no address."""
        up, down = (self.up, self.down) if self.between is None else (self.between, self.between)
        addresses = [found for found in _CANDIDATE.finditer(sdp) if _is_address(found[2])]
        if not addresses:
            return None
        return UdpRelay(addresses[0][2], int(addresses[0][3]), up=up, down=down, seed=self.seed)

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
        self._tasks: set[asyncio.Task[None]] = set()

    async def attach(self, cid: Cid, offer: str) -> str:
        answer = await super().attach(cid, offer)
        backend = self._backend
        relay = relay_before(answer, up=backend.up, down=backend.down, seed=backend.seed)
        if relay is None:
            return answer
        await self._end_relay(cid)
        backend.relay = backend.relays[cid] = await relay.__aenter__()
        return answer_through(answer, relay)

    def tell_peer(self, cid: Cid, to: UserId, signal: PeerSignal) -> None:
        match signal:
            case PeerOffer(_, sdp) | PeerAnswer(_, sdp):
                self._later(self._tell_through(cid, to, signal, sdp))
            case PeerCandidate():
                pass  # it would lead around the relay
            case _:
                super().tell_peer(cid, to, signal)

    def _take(self, message: FromServer) -> None:
        match message:
            case FromPeer(_, _, PeerOffer(_, sdp) | PeerAnswer(_, sdp)):
                self._later(self._take_through(message, sdp))
            case FromPeer(_, _, PeerCandidate()):
                pass
            case _:
                super()._take(message)

    async def _tell_through(self, cid: Cid, to: UserId, signal: PeerOffer | PeerAnswer, sdp: str) -> None:
        super().tell_peer(cid, to, replace(signal, sdp=await self._through(sdp)))

    async def _take_through(self, message: FromPeer, sdp: str) -> None:
        super()._take(replace(message, body=replace(message.body, sdp=await self._through(sdp))))

    async def _through(self, sdp: str) -> str:
        relay = self._backend.before_person(sdp)
        if relay is None:
            return _CANDIDATE.sub("", sdp)
        self._backend.relays_between.append(await relay.__aenter__())
        return answer_through(sdp, relay)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        await super().close()
        for cid in tuple(self._backend.relays):
            await self._end_relay(cid)
        relays, self._backend.relays_between = self._backend.relays_between, []
        for relay in relays:
            await relay.__aexit__(None, None, None)

    async def _end_relay(self, cid: Cid) -> None:
        relay = self._backend.relays.pop(cid, None)
        if relay is not None:
            await relay.__aexit__(None, None, None)
        if self._backend.relay is relay:
            self._backend.relay = next(reversed(self._backend.relays.values()), None)


def _is_address(host: str) -> bool:
    try:
        return ip_address(host).version == 4
    except ValueError:
        return False  # a name, as browsers hide their address behind
