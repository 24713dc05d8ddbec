"""A plain client of the WebSocket: says and hears wire messages, folds rooms as every client does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

import aiohttp

from greenroom.protocol.ids import USER, Cid, OpId, Role, UserId
from greenroom.protocol.requests import GetOrCreate, GoLive, Join, Request
from greenroom.protocol.room import Room
from greenroom.protocol.wire import (
    PROTOCOL_VERSION,
    Answer,
    Ask,
    Attach,
    Attached,
    Authenticate,
    Do,
    Done,
    Failed,
    FromClient,
    FromServer,
    Happened,
    Question,
    Resume,
    Snapshot,
    Welcome,
    decode_from_server,
    encode,
)
from greenroom.server.options import ServeOptions
from greenroom.server.serve import Server
from greenroom.server.tokens import load_keys, mint
from greenroom.state.replica import Outcome, Replica, receive

CID = Cid("audio_room:standup")
PATIENCE_SECONDS = 10.0
M = TypeVar("M")
_ops = count(1)


@asynccontextmanager
async def serving(data: Path, **options: object) -> AsyncIterator[Server]:
    """Yield a server in this process that keeps what it knows in `data`; without sound unless told otherwise."""
    settings: dict[str, object] = {"port": 0, "data_dir": str(data), "media_workers": 0, **options}
    async with Server(ServeOptions(**settings)) as server:  # type: ignore[arg-type]  # the test names real fields
        yield server


def token_for(
    data: Path, user: str, *, role: Role = USER, bound_to: Cid | None = None, seconds: float = 600.0
) -> str:
    """Return a token as the server's operator would make one."""
    return mint(
        load_keys(data / "secret"),
        UserId(user),
        time.time(),
        name=user.title(),
        role=role,
        seconds=seconds,
        bound_to=bound_to,
    ).token


class Guest:
    """One connection. Everything heard is in `heard`; rooms are folded into `replicas`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[FromServer] = []
        self.replicas: dict[Cid, Replica] = {}
        self.gaps = 0
        self.close_code: int | None = None
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def welcome(self) -> Welcome:
        return next(message for message in self.heard if isinstance(message, Welcome))

    def room(self, cid: Cid = CID) -> Room:
        room = self.replicas[cid].room
        assert room is not None
        return room

    def all(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]

    async def say(self, message: FromClient) -> None:
        await self.socket.send_str(encode(message).decode())

    async def do(self, request: Request, cid: Cid = CID, op: str | None = None) -> Done | Failed:
        """Return the answer to `request`."""
        op = op or f"op{next(_ops)}"
        start = len(self.heard)
        await self.say(Do(OpId(op), cid, request))
        await self.until(lambda: self._answer(op, start) is not None)
        answer = self._answer(op, start)
        assert isinstance(answer, Done | Failed)
        return answer

    async def done(self, *requests: Request, cid: Cid = CID) -> None:
        """Do `requests`, which all succeed."""
        for request in requests:
            answer = await self.do(request, cid)
            assert isinstance(answer, Done), answer

    async def ask(self, question: Question) -> Answer | Failed:
        op = f"op{next(_ops)}"
        await self.say(Ask(OpId(op), question))
        await self.until(lambda: self._answer(op, 0) is not None)
        answer = self._answer(op, 0)
        assert isinstance(answer, Answer | Failed)
        return answer

    async def attach(self, offer: str, cid: Cid = CID) -> Attached | Failed:
        op = f"op{next(_ops)}"
        await self.say(Attach(OpId(op), cid, offer))
        await self.until(lambda: self._answer(op, 0) is not None)
        answer = self._answer(op, 0)
        assert isinstance(answer, Attached | Failed)
        return answer

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Return when `condition` holds; it is asked again whenever something was heard."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def hears(self, kind: type[M], where: Callable[[M], bool] = lambda _: True) -> M:
        """Return the first message of `kind` that fits."""

        def found() -> M | None:
            return next((m for m in self.heard if isinstance(m, kind) and where(m)), None)

        await self.until(lambda: found() is not None)
        message = found()
        assert message is not None
        return message

    async def hears_or_is_closed(self, kind: type[M]) -> bool:
        """Tell whether a message of `kind` came before the server closed."""
        await self.until(lambda: self.close_code is not None or bool(self.all(kind)))
        return bool(self.all(kind))

    async def closed(self) -> int | None:
        """Return the code with which the server closed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.shield(self._reading)
        return self.close_code

    def vanish(self) -> None:
        """Lose the connection without a word."""
        transport = self.socket._response.connection
        assert transport is not None
        assert transport.transport is not None
        transport.transport.abort()

    async def close(self) -> None:
        await self.socket.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def _answer(self, op: str, start: int) -> FromServer | None:
        answers = (Done, Failed, Answer, Attached)
        return next((m for m in self.heard[start:] if isinstance(m, answers) and m.op == op), None)

    async def _read(self) -> None:
        async for raw in self.socket:
            if raw.type is not aiohttp.WSMsgType.TEXT:
                break
            message = decode_from_server(raw.data)
            self.heard.append(message)
            if isinstance(message, Snapshot | Happened):
                known = self.replicas.get(message.cid, Replica(message.cid))
                self.replicas[message.cid], outcome = receive(known, message)
                self.gaps += outcome is Outcome.GAP
            self._news.set()
        self.close_code = self.socket.close_code
        self._news.set()


@asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Visit]:
    """Yield a way to come in, and end every connection made by it."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        visit = Visit(http, url)
        try:
            yield visit
        finally:
            await asyncio.gather(*(guest.close() for guest in visit.guests))


class Visit:
    """Connects guests to one server."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.guests: list[Guest] = []

    async def knock(self, first: FromClient | str | None = None, **headers: str) -> Guest:
        """Return a connection that has said `first`."""
        socket = await self.http.ws_connect(f"{self.url}/ws", headers=headers, max_msg_size=0)
        guest = Guest(socket)
        self.guests.append(guest)
        if isinstance(first, str):
            await socket.send_str(first)
        elif first is not None:
            await guest.say(first)
        return guest

    async def enter(self, token: str, name: str = "") -> Guest:
        """Return somebody who is in."""
        guest = await self.knock(Authenticate(PROTOCOL_VERSION, token, name=name))
        await guest.hears(Welcome)
        return guest

    async def back(self, before: Guest) -> Guest:
        """Return somebody who was here and knows what `before` heard last."""
        seen = {cid: (replica.epoch, replica.seq) for cid, replica in before.replicas.items()}
        guest = await self.knock(Resume(PROTOCOL_VERSION, before.welcome.resume_token, seen))
        guest.replicas = dict(before.replicas)
        return guest


async def open_room(host: Guest, cid: Cid = CID, title: str = "Stand-up") -> None:
    """Make a live room with its host in it."""
    await host.done(GetOrCreate(title=title), Join(), GoLive(), cid=cid)
