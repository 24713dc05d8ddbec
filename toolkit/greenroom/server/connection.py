"""One WebSocket: who is there, what they ask, and a bounded way out."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Coroutine, Hashable

import msgspec
from aiohttp import WSMsgType, web

from greenroom.errors import GreenroomError, Malformed, StorageFailed, Unauthorized
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.wire import (
    MAX_MESSAGE_BYTES,
    MAX_SDP_BYTES,
    PROTOCOL_VERSION,
    Answer,
    Ask,
    Attach,
    Attached,
    Authenticate,
    CloseCode,
    Do,
    Done,
    Emit,
    Failed,
    FromClient,
    FromServer,
    Goodbye,
    Ping,
    Pong,
    Resume,
    Sync,
    ToPeer,
    WatchRooms,
    Welcome,
    decode_from_client,
    encode,
)
from greenroom.server.house import House
from greenroom.server.limits import MESSAGES_BURST, MESSAGES_PER_SECOND, Doorway, TokenBucket
from greenroom.server.outbox import Outbox
from greenroom.server.people import Person
from greenroom.server.questions import answer
from greenroom.server.tokens import verify

log = logging.getLogger(__name__)
FIRST_MESSAGE_SECONDS = 10.0
SILENCE_BEFORE_PING_SECONDS = 10.0
"""aiohttp waits half as long again for the answer: whoever is silent for 15 s is gone."""
SEND_SECONDS = 5.0
LOOK_SECONDS = 0.5
CLOSE_SECONDS = 2.0
MAX_RUNNING = 64
KERNEL_QUEUE_BYTES = 256 * 1024
MAX_REFUSED_FOR_SPEED = 120


class _Version(msgspec.Struct):
    version: int


class _TurnedAway(Exception):
    def __init__(self, code: int, words: str, retry_seconds: float | None = None) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.retry_seconds = retry_seconds


class Connection:
    """A client's WebSocket from its first message to its end. It is the `Line` of a person and follows rooms."""

    def __init__(self, house: House, request: web.Request, doorway: Doorway, server: str) -> None:
        self._house = house
        self._request = request
        self._doorway = doorway
        self._server = server
        self._socket = web.WebSocketResponse(
            heartbeat=SILENCE_BEFORE_PING_SECONDS,
            timeout=CLOSE_SECONDS,
            compress=False,
            max_msg_size=MAX_MESSAGE_BYTES,
        )
        self._outbox = Outbox()
        self._bucket = TokenBucket(MESSAGES_PER_SECOND, MESSAGES_BURST, time.monotonic())
        self._refused_for_speed = 0
        self._running: set[asyncio.Task[None]] = set()
        self._cut: tuple[int, str] | None = None
        self._person: Person | None = None

    async def run(self) -> web.WebSocketResponse:
        """Serve the client until it goes or is cut."""
        address = self._request.remote or ""
        try:
            await self._socket.prepare(self._request)
        except BaseException:
            self._doorway.leave(address)
            raise
        self._bound_kernel_queue()
        writing = asyncio.create_task(self._write(), name="one client's way out")
        try:
            try:
                person = await self._first()
            finally:
                self._doorway.leave(address)
            if person is not None:
                await self._listen(person)
        except _TurnedAway as away:
            self._reply(Goodbye(away.words, away.retry_seconds))
            self.cut(away.code, away.words)
        finally:
            if self._person is not None:
                self._house.lobby.unwatch(self)
                self._house.people.gone_away(self._person, self)
                self._house.ringing.gone_away(self._person)
            if self._cut is None and not self._socket.closed:
                self.cut(CloseCode.GOING_AWAY, "")
            if self._socket.closed:
                writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        return self._socket

    # --- Line

    def send(self, frame: bytes) -> None:
        """Send a control frame."""
        self._outbox.put(frame)

    def send_signal(self, frame: bytes) -> None:
        """Send a frame that may be missed."""
        self._outbox.put_signal(frame)

    def send_latest(self, key: Hashable, frame: bytes) -> None:
        """Send a frame of which only the newest matters."""
        self._outbox.put_latest(key, frame)

    def cut(self, code: int, reason: str) -> None:
        """Close, after what is already on its way."""
        if self._cut is None:
            self._cut = (code, reason)
            self._outbox.ready.set()

    # --- in

    async def _first(self) -> Person | None:
        """Return who is there, or None when they are gone already. Raises `_TurnedAway`."""
        try:
            async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                raw = await self._receive()
        except TimeoutError:
            raise _TurnedAway(CloseCode.UNAUTHORIZED, "say who you are first") from None
        if raw is None:
            return None
        try:
            message = decode_from_client(raw)
        except Malformed as error:
            version = _version_of(raw)
            if version is not None and version != PROTOCOL_VERSION:
                raise _TurnedAway(CloseCode.UNSUPPORTED_VERSION, _other_version(version)) from None
            raise _TurnedAway(CloseCode.MALFORMED, str(error)) from None
        if not isinstance(message, Authenticate | Resume):
            raise _TurnedAway(CloseCode.UNAUTHORIZED, "say who you are first")
        if message.version != PROTOCOL_VERSION:
            raise _TurnedAway(CloseCode.UNSUPPORTED_VERSION, _other_version(message.version))
        try:
            return await (
                self._enter(message) if isinstance(message, Authenticate) else self._come_back(message)
            )
        except Unauthorized as error:
            raise _TurnedAway(CloseCode.UNAUTHORIZED, str(error)) from None
        except StorageFailed:
            words = "the server cannot read its store just now"
            raise _TurnedAway(CloseCode.GOING_AWAY, words, retry_seconds=2.0) from None

    async def _enter(self, message: Authenticate) -> Person:
        claims = verify(self._house.keys, message.token)
        person, token = await self._house.enter(claims, message.name, self)
        self._person = person
        self._reply(self._welcome(person, token))
        self._house.ringing.entered(person, self)
        return person

    async def _come_back(self, message: Resume) -> Person:
        back = await self._house.people.come_back(message.resume_token, self)
        if back is None:
            raise Unauthorized("you were away for too long; come in with a token again")
        person, token, remembered = back
        self._person = person
        if not remembered:
            await self._house.rejoin(person, message.seen)
        here = self._house.people.still_in(person)
        self._reply(msgspec.structs.replace(self._welcome(person, token), resumed=here))
        self._house.people.resume_rooms(person, self, message.seen)
        self._house.tell_lost_sound(person, here)
        self._house.ringing.entered(person, self)
        return person

    def _welcome(self, person: Person, token: str) -> Welcome:
        actor = person.actor
        return Welcome(actor.user, actor.name, actor.role, token, self._server, time.time())

    async def _listen(self, person: Person) -> None:
        while (raw := await self._receive()) is not None and self._cut is None:
            try:
                message = decode_from_client(raw)
            except Malformed as error:
                raise _TurnedAway(CloseCode.MALFORMED, str(error)) from None
            self._house.people.confirm(person)
            if not self._bucket.take(time.monotonic()):
                self._too_fast(message)
            else:
                self._take(person, message)
            if len(self._running) >= MAX_RUNNING:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    def _take(self, person: Person, message: FromClient) -> None:
        house = self._house
        match message:
            case Do():
                self._start(self._do(person, message))
            case Attach():
                self._start(self._attach(person, message))
            case Ask():
                self._start(self._ask(person, message))
            case Emit(cid, signal):
                house.emit(person, cid, signal)
            case ToPeer():
                house.peers.pass_on(person.user, message)
            case Sync(cid, epoch, seq):
                if (room := house.hosted(cid)) is not None:
                    room.sync(person.user, self, (epoch, seq))
            case WatchRooms(on):
                if on:
                    house.lobby.watch(self, person)
                else:
                    house.lobby.unwatch(self)
            case Ping(at):
                self._reply(Pong(at, time.time()))
            case _:
                raise _TurnedAway(CloseCode.MALFORMED, "you have said who you are already")

    async def _do(self, person: Person, message: Do) -> None:
        refusal = await self._house.do(person, self, message.op, message.cid, message.request)
        self._reply(Done(message.op) if refusal is None else Failed(message.op, refusal))

    async def _attach(self, person: Person, message: Attach) -> None:
        result: str | Refusal = Refusal(Reason.TOO_LARGE, f"an offer may have {MAX_SDP_BYTES} bytes")
        if len(message.offer) <= MAX_SDP_BYTES:
            result = await self._house.attach(person, message.cid, message.offer)
        if isinstance(result, Refusal):
            self._reply(Failed(message.op, result))
        else:
            self._reply(Attached(message.op, message.cid, result))

    async def _ask(self, person: Person, message: Ask) -> None:
        body = await answer(self._house, person, message.question)
        self._reply(Failed(message.op, body) if isinstance(body, Refusal) else Answer(message.op, body))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request failed unexpectedly", exc_info=error)
            self.cut(CloseCode.GOING_AWAY, "the server made a mistake; come back")

    def _too_fast(self, message: FromClient) -> None:
        self._refused_for_speed += 1
        if self._refused_for_speed > MAX_REFUSED_FOR_SPEED:
            raise _TurnedAway(CloseCode.TOO_FAST, "too many messages")
        if isinstance(message, Do | Attach | Ask):
            words = f"that is more than {MESSAGES_PER_SECOND:.0f} messages a second; wait a moment"
            self._reply(Failed(message.op, Refusal(Reason.RATE_LIMITED, words)))

    async def _receive(self) -> bytes | str | None:
        """Return the next message, or None when the connection is over."""
        message = await self._socket.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data: bytes | str = message.data
            return data
        return None

    # --- out

    def _reply(self, message: FromServer) -> None:
        self._outbox.put(encode(message))

    async def _write(self) -> None:
        """The one who writes. Ends when the connection is cut, its client does not read, or it is gone."""
        outbox = self._outbox
        while True:
            await outbox.ready.wait()
            frames = outbox.take()
            if outbox.overflowed:
                return await self._abandon()
            try:
                for frame in frames:
                    await self._send(frame)
            except TimeoutError:
                return await self._abandon()
            except (ConnectionError, RuntimeError):
                return None  # it is gone; whoever reads notices too
            if self._cut is not None and not frames:
                return await self._close(*self._cut)
            if self._cut is not None:
                outbox.ready.set()

    async def _send(self, frame: bytes) -> None:
        """Send one frame. Raises `TimeoutError` when nothing moved for five seconds; a slow network is no reason."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._socket.send_frame(frame, WSMsgType.TEXT)
            return
        except TimeoutError:
            transport = self._request.transport
            if transport is None:
                raise
        # The frame is with the transport whole; only the wait for it was given up.
        moved_at, left = time.monotonic(), transport.get_write_buffer_size()
        while left:
            await asyncio.sleep(LOOK_SECONDS)
            before, left = left, transport.get_write_buffer_size()
            if left < before:
                moved_at = time.monotonic()
            if self._outbox.overflowed or time.monotonic() - moved_at > SEND_SECONDS:
                raise TimeoutError

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(2 * CLOSE_SECONDS):
                await self._socket.close(code=code, message=reason.encode()[:120])
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        self._abort()

    async def _abandon(self) -> None:
        """Cut a client that does not read: it may come back and catch up."""
        self._cut = (CloseCode.NOT_READING, "you do not read what you are sent")
        log.info("a client did not read and was cut")
        try:
            async with asyncio.timeout(0.2):
                await self._socket.close(code=self._cut[0], message=self._cut[1].encode(), drain=False)
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        self._abort()

    def _bound_kernel_queue(self) -> None:
        """Let the kernel hold little for a client that does not read, rather than the megabytes it would grow to."""
        transport = self._request.transport
        held = None if transport is None else transport.get_extra_info("socket")
        if held is not None:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_QUEUE_BYTES)

    def _abort(self) -> None:
        transport = self._request.transport
        if transport is not None:
            transport.abort()


async def accept(house: House, doorway: Doorway, server: str, request: web.Request) -> web.StreamResponse:
    """Serve one upgrade request."""
    if house.draining:
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "2"}, text="the server is about to restart")
    if not doorway.enter(request.remote or ""):
        raise web.HTTPTooManyRequests(
            headers={"Retry-After": "1"}, text="too many connections wait to come in"
        )
    try:
        return await Connection(house, request, doorway, server).run()
    except GreenroomError:
        raise web.HTTPServiceUnavailable(headers={"Retry-After": "2"}, text="try again in a moment") from None


def _version_of(raw: bytes | str) -> int | None:
    try:
        return msgspec.json.decode(raw, type=_Version).version
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _other_version(version: int | None) -> str:
    return f"this server speaks version {PROTOCOL_VERSION} of the protocol, you speak {version}"
