"""One person's engine: a connection to a server, the calls they are in, one microphone and one speaker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from greenroom.backends.base import Backend, Link, LinkChanged, Session
from greenroom.engine.call import Call
from greenroom.engine.call_audio import CallAudio
from greenroom.engine.folding import log_line, with_log
from greenroom.engine.membership import AboutRoom, Membership
from greenroom.engine.shared_source import SharedSource
from greenroom.engine.thread import SHARED, Blocking, EngineThread, on_engine, twin
from greenroom.errors import GreenroomError, Misuse, Refused
from greenroom.media.audio_session import AudioSession
from greenroom.media.blocks import FRAME, Block
from greenroom.media.playout import Playout
from greenroom.media.sinks import AudioSink, Null
from greenroom.media.sources import AudioSource, Silence
from greenroom.observable import Observable, Subscription
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.protocol.call_types import CallType
from greenroom.protocol.ids import ANONYMOUS, GUEST, Cid, Role, UserId, parse_cid
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import GetOrCreate, Join, Leave, NewMember, Request
from greenroom.protocol.room import Room, may
from greenroom.protocol.wire import (
    AnswerBody,
    CallTypes,
    Emitted,
    FromServer,
    Happened,
    LossReport,
    MediaLost,
    MessagesPage,
    MintToken,
    PeoplePage,
    PersonQuality,
    Pulse,
    PutCallType,
    QueryCallTypes,
    QueryMessages,
    QueryPeople,
    QueryRoom,
    QueryRooms,
    Question,
    Removed,
    RoomFilter,
    RoomPreview,
    RoomsChanged,
    RoomsPage,
    RoomView,
    Snapshot,
    Token,
    Welcome,
)
from greenroom.state.call import CallPhase, CallState
from greenroom.state.devices import DevicesState, microphone_reason
from greenroom.state.engine import ClientState, ConnectionPhase, LogLine
from greenroom.views.devices import device_words

LEAVE_SECONDS = 3.0

log = logging.getLogger(__name__)
_LEVELS_EVERY_SECONDS = 0.1
_STATISTICS_EVERY_SAMPLES = 20


class Client:
    """Everything one person does with Greenroom from Python.

        async with Client("http://127.0.0.1:7700", token=token) as client:
            call = await client.join("audio_room:standup", create=True, title="Standup")
            await call.set_microphone(True)

    Every `async` method may be awaited on any event loop; `client.blocking` and `call.blocking` have the same methods
    without `await`, for code that has no loop. All clients of a process share one engine thread unless given an `engine`.

    Without a `token` the client is a guest named `name`, where the server lets guests in by a room's link; it then
    connects with its first `join`. `source` is the microphone (silence without), `sink` the speaker; both stay yours
    to close. `devices` lends what of the two is not given: real devices, which come and go while calls go on, told in
    `state.devices`; it stays yours to close too. `audio_configuration` is what calls use for what they do not say
    themselves. `paced=False` leaves the clock to you: call `step` for every 20 ms.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        name: str = "",
        backend: Backend | None = None,
        source: AudioSource | None = None,
        sink: AudioSink | None = None,
        devices: AudioSession | None = None,
        audio_configuration: AudioConfiguration | None = None,
        allow_multiple_active_calls: bool = False,
        engine: EngineThread | None = None,
        paced: bool = True,
    ) -> None:
        if backend is None:
            if server is None:
                raise Misuse("a client needs the address of a server, e.g. http://127.0.0.1:7700")
            from greenroom.backends.sfu import SfuBackend

            backend = SfuBackend(server, token=token, name=name)
        self._thread = engine or SHARED
        self.state: Observable[ClientState] = Observable(ClientState(name=name, server=backend.server))
        self.blocking = BlockingClient(self)
        self.allow_multiple_active_calls = allow_multiple_active_calls
        self._backend = backend
        self._audio_configuration = audio_configuration
        self._devices = devices
        self._microphone = devices.microphone() if devices is not None and source is None else None
        self._speaker = devices.speaker() if devices is not None and sink is None else None
        self._source = SharedSource(source or self._microphone or Silence())
        self._playout = Playout(sink or self._speaker or Null())
        self._playout.tap(self._hear)
        self._paced = paced
        self._ear = _Ear(self)
        self._session: Session | None = None
        self._lock: asyncio.Lock | None = None
        self._memberships: dict[Cid, Membership] = {}
        self._calls: dict[Cid, Call] = {}
        self._taps: dict[Cid, list[Callable[[UserId, Block], None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._asking_rooms: asyncio.Task[None] | None = None
        self._watching_devices: Subscription | None = None
        self._rooms_asked = False
        self._started = False
        self._closed = False

    def __repr__(self) -> str:
        state = self.state.value
        return f"<Client {state.name or state.user or 'guest'} {state.connection}, {len(state.calls)} calls>"

    @property
    def engine(self) -> EngineThread:
        """The thread this client lives on; asking for it starts it, until the client is closed."""
        if not self._started and not self._closed:
            self._started = True
            self._thread.acquire()
        return self._thread

    async def __aenter__(self) -> Self:
        if not self._backend.needs_room:
            await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        if not self._backend.needs_room:
            self.blocking.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.blocking.close()

    # ---- the connection

    @on_engine
    async def connect(self) -> None:
        """Connect to the server; connected already is quiet. Raises `Unreachable` or `Unauthorized`."""
        await self._connect(None)

    async def close(self) -> None:
        """Leave every call and go; twice is quiet. The engine thread ends with its last client."""
        if self._begin_to_close():
            try:
                await self._thread.run(self._close())
            finally:
                self._thread.release()

    # ---- rooms

    @on_engine
    async def create(
        self,
        cid: str,
        *,
        title: str = "",
        members: Mapping[str, str] | Sequence[NewMember] = (),
        backstage: bool | None = None,
        private: bool | None = None,
        starts_at: float | None = None,
    ) -> Cid:
        """Make the room unless it is there, and return its cid. Who makes it becomes its host.

        `members` maps user ids to roles. What is None is as the call type says; `starts_at` is wall-clock seconds.
        """
        room = parse_cid(cid)
        people = (
            tuple(NewMember(UserId(user), Role(role)) for user, role in members.items())
            if isinstance(members, Mapping)
            else tuple(members)
        )
        await self._connect(room)
        await self._session_open().do(room, GetOrCreate(title, people, backstage, private, starts_at))
        return room

    @on_engine
    async def join(
        self,
        cid: str,
        *,
        create: bool = False,
        title: str = "",
        microphone: bool | None = None,
        audio_configuration: AudioConfiguration | None = None,
    ) -> Call:
        """Come into a room, make it before with `create`, and connect sound. Joined already: the same call.

        `microphone` is whether it should be open from the start; None is what the room's type says. Unless several
        active calls are allowed, the call before is left first. `audio_configuration` is this call's own; what it leaves
        open is the client's, then the broadcaster's. Raises `Refused` where the room does not allow such sound.
        """
        room = parse_cid(cid)
        await self._connect(room)
        if create:
            await self._session_open().do(room, GetOrCreate(title))
        return await self._join(room, microphone, audio_configuration)

    def call(self, cid: str) -> Call:
        """Return the call in room `cid`. Raises `Misuse` when there is none."""
        found = self._calls.get(parse_cid(cid))
        if found is None:
            raise Misuse(f"this client is not in '{cid[:80]}'; join it first")
        return found

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls we are in, in order of joining."""
        return tuple(
            call for call in tuple(self._calls.values()) if call.state.value.phase is not CallPhase.LEFT
        )

    def forget(self, cid: str) -> None:
        """Take a call that was left out of `state.calls`."""
        self.engine.call_soon(lambda: self._forget(parse_cid(cid)))

    @on_engine
    async def rooms(
        self,
        *,
        live: bool | None = None,
        call_type: str | None = None,
        text: str | None = None,
        member: str | None = None,
        include_ended: bool = False,
    ) -> tuple[RoomPreview, ...]:
        """Return the first page of rooms we may know of, the most active first; what is None does not filter."""
        person = None if member is None else UserId(member)
        asked = QueryRooms(RoomFilter(live, call_type, text, person, include_ended))
        return _expect(await self._ask(asked), RoomsPage).rooms

    @on_engine
    async def rooms_page(self, query: QueryRooms) -> RoomsPage:
        """Return one page; its `next` is the `after` of the following one."""
        return _expect(await self._ask(query), RoomsPage)

    @on_engine
    async def watch_rooms(self, on: bool = True) -> None:
        """Keep `state.rooms` up to date from now on."""
        await self._connect(None)
        self._session_open().watch_rooms(on)
        if on:
            self._refresh_rooms()

    @on_engine
    async def room(self, cid: str) -> Room:
        """Return a room as we may see it, without joining. Raises `Refused` when there is none that we may enter."""
        return _expect(await self._ask(QueryRoom(parse_cid(cid))), RoomView).room

    @on_engine
    async def perform(self, cid: str, request: Request) -> None:
        """Ask a room for something without being in it, e.g. as a host who answers hands."""
        room = parse_cid(cid)
        await self._connect(room)
        await self._session_open().do(room, request)

    @on_engine
    async def people(self, cid: str, text: str = "", *, limit: int = 50, after: int = 0) -> PeoplePage:
        """Return a page of everybody in a room, the unlisted included; `text` looks in names."""
        return _expect(await self._ask(QueryPeople(parse_cid(cid), text, limit, after)), PeoplePage)

    @on_engine
    async def messages(self, cid: str, before: str | None = None, *, limit: int = 50) -> MessagesPage:
        """Return chat before message id `before` (the newest without), oldest first."""
        return _expect(await self._ask(QueryMessages(parse_cid(cid), before, limit)), MessagesPage)

    @on_engine
    async def call_types(self) -> tuple[CallType, ...]:
        """Return every call type the server knows."""
        return _expect(await self._ask(QueryCallTypes()), CallTypes).call_types

    @on_engine
    async def put_call_type(self, call_type: CallType) -> None:
        """Add or replace a call type; admins only."""
        await self._ask(PutCallType(call_type))

    @on_engine
    async def mint_token(self, cid: str, *, listener: bool = False, seconds: float = 3600.0) -> Token:
        """Return a join token for a guest, or for a listener who stays anonymous."""
        role = ANONYMOUS if listener else GUEST
        return _expect(await self._ask(MintToken(parse_cid(cid), role, seconds)), Token)

    def link(self, cid: str) -> str:
        """Return the address of the room's page. It holds no token."""
        return f"{self.state.value.server.rstrip('/')}/r/{parse_cid(cid)}"

    # ---- sound

    def set_source(self, source: AudioSource) -> None:
        """Use another microphone; the one before stays yours to close."""
        self.engine.call_soon(lambda: self._replace_source(source))

    def set_sink(self, sink: AudioSink) -> None:
        """Use another speaker; the one before stays yours to close."""
        self.engine.call_soon(lambda: self._playout.replace_sink(sink))

    @on_engine
    async def step(self, frames: int = FRAME) -> Block:
        """Play the next `frames` and return them; for a client made with `paced=False`."""
        return self._playout.step(frames)

    def choose_devices(self, *, input: str | None = None, output: str | None = None) -> None:
        """Use another microphone or loudspeaker: an index, a name or a part of one, "" for the system's default.

        What becomes of it is told in `state.devices`. Raises `Misuse` for a client made without `devices`.
        """
        if self._devices is None:
            raise Misuse(
                "this client was made without devices; give it some: Client(…, devices=AudioSession())"
            )
        self._devices.choose(input=input, output=output)

    # ---- inside: on the engine's loop

    def _begin_to_close(self) -> bool:
        """Allow no further use; tell whether there is something to close."""
        running = self._started and not self._closed
        self._closed = True
        return running

    def _session_open(self) -> Session:
        if self._session is None:
            raise Misuse(
                "this client is closed; make another one" if self._closed else "this client is not connected"
            )
        return self._session

    async def _ask(self, question: Question) -> AnswerBody:
        await self._connect(None)
        return await self._session_open().ask(question)

    async def _connect(self, cid: Cid | None) -> None:
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._session is not None:
                return
            session = self._backend.session(cid)
            self._change(connection=ConnectionPhase.CONNECTING, error=None)
            try:
                welcome = await session.open(self._ear)
            except BaseException as error:
                words = str(error) if isinstance(error, GreenroomError) else None
                self._change(connection=ConnectionPhase.OFFLINE, error=words)
                await session.close()
                raise
            self._session = session
            self._welcomed(welcome)
            self._watch_devices()
            self._tasks.append(asyncio.create_task(_kept_going(self._sample)))
            if self._paced:
                self._tasks.append(asyncio.create_task(_kept_going(self._playout.run)))

    async def _join(
        self, cid: Cid, microphone: bool | None = None, audio: AudioConfiguration | None = None
    ) -> Call:
        before = self._memberships.get(cid)
        if before is not None and before.state.value.phase is not CallPhase.LEFT:
            return self._calls[cid]
        if not self.allow_multiple_active_calls:
            for other in tuple(self._memberships.values()):
                if other.state.value.phase is not CallPhase.LEFT:
                    await self._leave(other, "replaced")
        session = self._session_open()
        membership = Membership(
            cid,
            self.state.value.user,
            session,
            self._source,
            self._playout,
            self._ear,
            CallAudio(audio, self._audio_configuration),
        )
        self._memberships.pop(cid, None)
        self._memberships[cid] = membership
        call = self._calls[cid] = Call(self, membership)
        membership.joining()
        try:
            await session.do(cid, Join())
        except BaseException as error:
            await membership.end(str(error))
            self._forget(cid)
            raise
        try:
            membership.enter()
        except Refused as error:
            await self._leave(membership, str(error))
            raise
        room = membership.state.value.room
        if microphone is None and room is not None:
            microphone = room.settings.audio.microphone_default_on and may(
                room, membership.state.value.me, Capability.SEND_AUDIO
            )
        membership.joined(bool(microphone))
        return call

    async def _leave(self, membership: Membership, reason: str | None) -> None:
        if membership.state.value.phase is CallPhase.LEFT:
            self._forget(membership.cid)
            return
        await membership.end(reason)
        with contextlib.suppress(Refused):  # gone already is what was wanted
            await self._session_open().do(membership.cid, Leave())
        if self._memberships.get(membership.cid) is membership:
            self._forget(membership.cid)

    def _forget(self, cid: Cid) -> None:
        membership = self._memberships.get(cid)
        if membership is not None and membership.state.value.phase is CallPhase.LEFT:
            del self._memberships[cid]
            self._calls.pop(cid, None)
            self._taps.pop(cid, None)
            calls = {kept: state for kept, state in self.state.value.calls.items() if kept != cid}
            self._change(calls=calls)

    async def _close(self) -> None:
        reachable = self.state.value.connection is ConnectionPhase.ONLINE
        for membership in tuple(self._memberships.values()) if reachable else ():
            with contextlib.suppress(GreenroomError, TimeoutError):
                await asyncio.wait_for(self._leave(membership, None), LEAVE_SECONDS)
        for membership in tuple(self._memberships.values()):
            await membership.end(None)
        tasks = [*self._tasks, *([self._asking_rooms] if self._asking_rooms else [])]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self._give_devices_back()
        self._change(connection=ConnectionPhase.OFFLINE)

    def _welcomed(self, welcome: Welcome) -> None:
        self._change(
            user=welcome.user,
            name=welcome.name,
            role=welcome.role,
            connection=ConnectionPhase.ONLINE,
            reconnect_attempt=0,
            retry_at=None,
            error=None,
        )
        for cid in welcome.resumed:
            if (membership := self._memberships.get(cid)) is not None:
                membership.back()

    def _received(self, message: FromServer) -> None:
        match message:
            case Welcome():
                self._welcomed(message)
            case RoomsChanged():
                self._refresh_rooms()
            case (
                Snapshot()
                | Happened()
                | Pulse()
                | PersonQuality()
                | LossReport()
                | Emitted()
                | MediaLost()
                | Removed()
            ):
                self._receive_about_room(message)
            case _:
                pass

    def _receive_about_room(self, message: AboutRoom) -> None:
        membership = self._memberships.get(message.cid)
        if membership is not None:
            membership.receive(message)

    def _link_changed(self, change: LinkChanged) -> None:
        phases = {
            Link.ONLINE: ConnectionPhase.ONLINE,
            Link.RECONNECTING: ConnectionPhase.RECONNECTING,
            Link.OFFLINE: ConnectionPhase.OFFLINE,
        }
        self._change(
            connection=phases[change.link],
            reconnect_attempt=change.attempt,
            retry_at=change.retry_at,
            error=change.reason or None,
        )
        if change.reason:
            self._log((log_line(change.reason, time.time()),))
        for membership in tuple(self._memberships.values()):
            if change.link is Link.RECONNECTING:
                membership.reconnecting(change.attempt)
            elif change.link is Link.OFFLINE:
                membership.spawn(membership.end(change.reason or "the connection ended"))

    def _refresh_rooms(self) -> None:
        """Ask for the rooms once; what changes while an answer is on its way is asked for after it."""
        self._rooms_asked = True
        if self._asking_rooms is None or self._asking_rooms.done():
            self._asking_rooms = asyncio.get_running_loop().create_task(self._ask_rooms())

    async def _ask_rooms(self) -> None:
        while self._rooms_asked:
            self._rooms_asked = False
            with contextlib.suppress(GreenroomError):
                page = _expect(await self._session_open().ask(QueryRooms()), RoomsPage)
                self._change(rooms=page.rooms)

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        samples = 0
        while True:
            samples += 1
            statistics = samples % _STATISTICS_EVERY_SAMPLES == 0
            for membership in tuple(self._memberships.values()):
                membership.sample(time.time(), statistics)
            deadline = max(deadline + _LEVELS_EVERY_SECONDS, loop.time())
            await asyncio.sleep(deadline - loop.time())

    def _hear(self, call_id: str, number: int, block: Block) -> None:
        cid = Cid(call_id)
        membership = self._memberships.get(cid)
        if membership is None:
            return
        user = membership.user_of(number)
        if user is None:
            return  # the room has not told us yet who that is
        membership.ears.hear(user, block)
        for heard in tuple(self._taps.get(cid, ())):
            try:
                heard(user, block)
            except Exception:  # somebody else's function must not end everybody's sound
                log.exception("a tap raised and is not called again")
                self._taps[cid].remove(heard)

    def _tap(self, membership: Membership, heard: Callable[[UserId, Block], None]) -> Callable[[], None]:
        taps = self._taps.setdefault(membership.cid, [])
        taps.append(heard)
        return lambda: taps.remove(heard) if heard in taps else None

    def _watch_devices(self) -> None:
        if self._devices is not None and self._watching_devices is None:
            self._watching_devices = self._devices.state.subscribe(
                lambda devices: self._thread.call_soon(lambda: self._devices_changed(devices))
            )

    def _devices_changed(self, devices: DevicesState) -> None:
        before = self.state.value.devices
        self._change(devices=devices)
        lines = [log_line(words, time.time()) for words in device_words(before, devices)]
        if lines:
            self._log(tuple(lines))
        for membership in tuple(self._memberships.values()):
            membership.microphone_changed()

    def _microphone_missing(self) -> str:
        devices = self.state.value.devices
        if devices is None or self._microphone is None or self._source.source is not self._microphone:
            return ""
        return microphone_reason(devices.microphone)

    def _give_devices_back(self) -> None:
        if self._watching_devices is not None:
            self._watching_devices.close()
        if self._microphone is not None:
            self._microphone.close()
        if self._speaker is not None:
            self._speaker.close()

    def _replace_source(self, source: AudioSource) -> None:
        self._source.replace(source)

    def _change(self, **fields: Any) -> None:
        self.state.set(replace(self.state.value, **fields))

    def _log(self, lines: tuple[LogLine, ...]) -> None:
        state = with_log(self.state.value, lines)
        self.state.set(state)


class _Ear:
    """Hands what a session and the memberships tell to their client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def received(self, message: FromServer) -> None:
        self._client._received(message)

    def link_changed(self, change: LinkChanged) -> None:
        self._client._link_changed(change)

    def seen(self) -> Mapping[Cid, tuple[int, int]]:
        return {
            cid: (membership.replica.epoch, membership.replica.seq)
            for cid, membership in self._client._memberships.items()
            if membership.replica.room is not None and membership.state.value.phase is not CallPhase.LEFT
        }

    def call_changed(self, cid: Cid, state: CallState) -> None:
        client = self._client
        membership = client._memberships.get(cid)
        if membership is not None and membership.state.value is state:
            client._change(calls={**client.state.value.calls, cid: state})

    def log(self, lines: tuple[LogLine, ...]) -> None:
        self._client._log(lines)

    def microphone_missing(self) -> str:
        return self._client._microphone_missing()


class BlockingClient(Blocking):
    """`Client` without `await`: the same methods, which return when it is done."""

    connect = twin(Client.connect)

    def close(self) -> None:
        """Leave every call and go; twice is quiet."""
        client: Client = self.twin_of
        if client._begin_to_close():
            try:
                client._thread.wait(client._close())
            finally:
                client._thread.release()

    join = twin(Client.join)
    create = twin(Client.create)
    rooms = twin(Client.rooms)
    rooms_page = twin(Client.rooms_page)
    watch_rooms = twin(Client.watch_rooms)
    room = twin(Client.room)
    perform = twin(Client.perform)
    people = twin(Client.people)
    messages = twin(Client.messages)
    call_types = twin(Client.call_types)
    put_call_type = twin(Client.put_call_type)
    mint_token = twin(Client.mint_token)
    step = twin(Client.step)


async def _kept_going(work: Callable[[], Awaitable[None]]) -> None:
    """Run what never ends by itself; after a fault of ours it is logged and begins again."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("sound or its measurement stopped; it begins again")
            await asyncio.sleep(0.1)


A = TypeVar("A", RoomsPage, RoomView, PeoplePage, MessagesPage, CallTypes, Token)


def _expect(answer: AnswerBody, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise GreenroomError("the server answered something else than was asked")
    return answer
