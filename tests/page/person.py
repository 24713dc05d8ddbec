"""Somebody in a room from Python, beside the browser: the wire protocol by hand, and real media."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from secrets import token_hex

import aiohttp
import numpy as np

from greenroom.media.blocks import FRAME, RATE_HZ
from greenroom.media.connection import MediaConnection
from greenroom.media.dsp import level_dbfs, strongest_hz
from greenroom.media.sources import AudioSource, Silence
from greenroom.protocol import wire
from greenroom.protocol.ids import Cid, OpId, UserId
from greenroom.protocol.requests import GetOrCreate, GoLive, Join, Leave, Request
from greenroom.protocol.room import Room
from greenroom.state.replica import Outcome, Replica, receive

PATIENCE_SECONDS = 10.0
KEPT_FRAMES = 50


class Person:
    """One signed-in client in one room. `room` follows the server; `heard` keeps the last second of each number."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, cid: Cid, source: AudioSource) -> None:
        prefix = token_hex(6)  # a server takes an operation it knows for one that is sent again
        self.user = UserId("")
        self.cid = cid
        self.signals: list[wire.Emitted] = []
        self.heard: dict[int, list[np.ndarray]] = {}
        self._socket = socket
        self._replica = Replica(cid)
        self._ops = (OpId(f"{prefix}-{number}") for number in count())
        self._answers: dict[OpId, asyncio.Future[wire.FromServer]] = {}
        self._changed = asyncio.Condition()
        self._source = source
        self._media = MediaConnection(source=source)

    @property
    def room(self) -> Room:
        assert self._replica.room is not None, "no snapshot came yet"
        return self._replica.room

    async def do(self, request: Request) -> None:
        """Ask the room for something; a refusal fails the test."""
        op = next(self._ops)
        await self._answered(op, wire.Do(op, self.cid, request))

    async def emit(self, signal: wire.Signal) -> None:
        """Send a signal; there is no answer to one."""
        await self._socket.send_str(wire.encode(wire.Emit(self.cid, signal)).decode())

    async def attach(self) -> None:
        """Connect sound, and let it flow."""
        op = next(self._ops)
        answer = await self._answered(op, wire.Attach(op, self.cid, await self._media.offer()))
        assert isinstance(answer, wire.Attached)
        await self._media.accept(answer.answer)
        await self._media.wait_connected()
        self._media.set_microphone(True)

    async def reattach(self) -> None:
        """Connect sound anew, as after a media worker was lost."""
        await self._media.close()
        self._media = MediaConnection(source=self._source)
        await self.attach()

    async def until(self, condition: Callable[[Room], bool]) -> Room:
        """Return the room once it fulfils `condition`."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self._replica.room is not None and condition(self.room))
        return self.room

    async def told(self, condition: Callable[[wire.Emitted], bool]) -> wire.Emitted:
        """Return the first signal that fulfils `condition`, once it came."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: any(map(condition, self.signals)))
        return next(filter(condition, self.signals))

    async def hears(self, number: int, above_dbfs: float = -50.0) -> tuple[float, float]:
        """Return the strongest frequency (Hz) and level (dBFS) of `number`, once a whole second of them was heard."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                recent = self.heard.get(number, [])[-KEPT_FRAMES:]
                if len(recent) == KEPT_FRAMES:
                    samples = np.concatenate(recent)[:, 0]
                    if level_dbfs(samples[:, None]) > above_dbfs:
                        return strongest_hz(samples), level_dbfs(samples[:, None])
                await asyncio.sleep(0.05)

    async def _answered(self, op: OpId, message: wire.FromClient) -> wire.FromServer:
        answer: asyncio.Future[wire.FromServer] = asyncio.get_running_loop().create_future()
        self._answers[op] = answer
        await self._socket.send_str(wire.encode(message).decode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            given = await answer
        assert not isinstance(given, wire.Failed), given
        return given

    async def _read(self) -> None:
        async for frame in self._socket:
            message = wire.decode_from_server(frame.data)
            match message:
                case wire.Welcome(user):
                    self.user = user
                case wire.Snapshot() | wire.Happened():
                    self._replica, outcome = receive(self._replica, message)
                    if outcome is Outcome.GAP:
                        sync = wire.Sync(self.cid, self._replica.epoch, self._replica.seq)
                        await self._socket.send_str(wire.encode(sync).decode())
                    async with self._changed:
                        self._changed.notify_all()
                case wire.Done(op) | wire.Failed(op) | wire.Attached(op):
                    self._answers.pop(op).set_result(message)
                case wire.Emitted():
                    self.signals.append(message)
                    async with self._changed:
                        self._changed.notify_all()
                case _:
                    pass

    async def _listen(self) -> None:
        """Pull what arrives, a block each 20 ms by absolute deadlines, and keep the last second of everybody."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for frame in count(1):
            await asyncio.sleep(max(0.0, started + frame * FRAME / RATE_HZ - loop.time()))
            for number, block in self._media.pull().items():
                self.heard[number] = [*self.heard.get(number, [])[1 - KEPT_FRAMES :], block]


@asynccontextmanager
async def joined(
    address: str,
    token: str,
    cid: str,
    *,
    source: AudioSource | None = None,
    requests: tuple[Request, ...] = (GetOrCreate(), Join(), GoLive()),
    media: bool = True,
    leaves: bool = True,
) -> AsyncIterator[Person]:
    """Yield somebody who came into `cid` at the server at `address` (http://…) by `requests`, with sound connected."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{address}/ws") as socket:
        hello = wire.Authenticate(wire.PROTOCOL_VERSION, token, client="test")
        await socket.send_str(wire.encode(hello).decode())
        person = Person(socket, Cid(cid), source or Silence())
        tasks = [asyncio.create_task(person._read()), asyncio.create_task(person._listen())]
        try:
            for request in requests:
                await person.do(request)
            await person.until(lambda room: person.user in room.participants)
            if media:
                await person.attach()
            yield person
            if leaves:
                await person.do(Leave())
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await person._media.close()
