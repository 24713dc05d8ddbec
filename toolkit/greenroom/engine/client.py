"""One person's engine: a connection to a server, the calls they are in, one microphone and one speaker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, get_args

from greenroom.backends.base import Backend, IceTransport
from greenroom.engine.active_calls import ActiveCalls
from greenroom.engine.call import Call
from greenroom.engine.client_core import ClientCore
from greenroom.engine.client_records import BlockingRecords, ClientRecords
from greenroom.engine.client_rings import BlockingRings, ClientRings
from greenroom.engine.client_sessions import BlockingSessions, ClientSessions
from greenroom.engine.client_sound import BlockingSound, ClientSound
from greenroom.engine.connecting import Entry, enter
from greenroom.engine.membership import Membership
from greenroom.engine.thread import SHARED, EngineThread, on_engine, twin
from greenroom.errors import GreenroomError, Misuse
from greenroom.media.audio_session import AudioSession
from greenroom.media.blocks import FRAME, Block
from greenroom.media.sinks import AudioSink
from greenroom.media.sources import AudioSource
from greenroom.observable import Observable
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.policies.multicall import policy_named
from greenroom.policies.preferences import CallPreferences
from greenroom.protocol.call_types import CallType
from greenroom.protocol.ids import ANONYMOUS, GUEST, Cid, Role, UserId, parse_cid
from greenroom.protocol.requests import GetOrCreate, NewMember, Request, RingRequest
from greenroom.protocol.room import Room
from greenroom.protocol.text import safe_text
from greenroom.protocol.wire import (
    AnswerBody,
    CallTypes,
    MessagesPage,
    MintToken,
    PeoplePage,
    PutCallType,
    QueryCallTypes,
    QueryMessages,
    QueryPeople,
    QueryRoom,
    QueryRooms,
    RoomFilter,
    RoomPreview,
    RoomsPage,
    RoomView,
    Token,
)
from greenroom.state.call import CallPhase
from greenroom.state.connect_options import ConnectOptions
from greenroom.state.engine import ClientState
from greenroom.state.focus import MultiCallPolicy
from greenroom.views.explain import explain

LEAVE_SECONDS = 3.0

log = logging.getLogger(__name__)
_LEVELS_EVERY_SECONDS = 0.1
_STATISTICS_EVERY_SAMPLES = 20


class Client(ClientSessions, ClientRecords, ClientRings, ClientSound):
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
    themselves; `preferences` is that and more, see `CallPreferences`. `paced=False` leaves the clock to you: call
    `step` for every 20 ms.

    With `allow_multiple_active_calls` a join leaves other calls be, and `multi_call_policy` says what becomes of their
    sound: "suspend_existing", "suspend_incoming", "manual", "duck" or "pan" (see `MultiCallPolicy`). One call at most
    has the microphone, whatever the policy.

    How loud single people are for you is the same in all your calls; with `volumes`, a file, it outlives the program.

    In rooms of the type `direct` two people's sound goes straight from one to the other, who thereby learn each other's
    address; with `ice_transport="relay"` it takes a relay (TURN) the server names, or else goes through the server.
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
        preferences: CallPreferences | None = None,
        allow_multiple_active_calls: bool = False,
        multi_call_policy: MultiCallPolicy | str = MultiCallPolicy.SUSPEND_EXISTING,
        ice_transport: IceTransport = "all",
        volumes: Path | None = None,
        engine: EngineThread | None = None,
        paced: bool = True,
    ) -> None:
        if ice_transport not in get_args(IceTransport):  # a slip must not tell anybody's address
            known = " or ".join(f'"{one}"' for one in get_args(IceTransport))
            raise Misuse(f"ice_transport is {known}, not '{str(ice_transport)[:40]}'")
        if backend is None:
            if server is None:
                raise Misuse("a client needs the address of a server, e.g. http://127.0.0.1:7700")
            from greenroom.backends.sfu import SfuBackend

            backend = SfuBackend(server, token=token, name=name, ice_transport=ice_transport)
        self._thread = engine or SHARED
        self._backend = backend
        self._core = ClientCore(
            backend,
            name,
            source=source,
            sink=sink,
            devices=devices,
            audio_configuration=audio_configuration,
            preferences=preferences,
            several=allow_multiple_active_calls,
            policy=policy_named(multi_call_policy),
            volumes=volumes,
            thread=self._thread,
            paced=paced,
        )
        self._calls: dict[Cid, Call] = {}
        self._calls_lock = threading.Lock()
        self.state: Observable[ClientState] = self._core.state
        self._active = ActiveCalls(self.state, self._core.several, self._call_in)
        self.blocking = BlockingClient(self)
        self._started = False

    def __repr__(self) -> str:
        state = self.state.value
        return f"<Client {state.name or state.user or 'guest'} {state.connection}, {len(state.calls)} calls>"

    @property
    def engine(self) -> EngineThread:
        """The thread this client lives on; asking for it starts it, until the client is closed."""
        if not self._started and not self._core.closed:
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
        await self._core.connect(None)

    async def close(self) -> None:
        """Leave every call and go; twice is quiet. The engine thread ends with its last client."""
        if self._begin_to_close():
            try:
                await self._thread.run(self._core.close())
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
        await self._core.connect(room)
        await self._core.session_open().do(room, GetOrCreate(title, people, backstage, private, starts_at))
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
        options: ConnectOptions | None = None,
        preferences: CallPreferences | None = None,
    ) -> Call:
        """Come into a room, make it before with `create`, and connect sound. Joined already: the same call.

        `microphone` is whether it should be open from the start; None is as it was when the room was left, else what
        the room's type says. Unless several active calls are allowed, the call before is left first.
        `audio_configuration` is this call's own; what it leaves open is the client's, then the broadcaster's. `options`
        say more about how the call begins, and are remembered for the next time; `preferences` are this call's own
        over the client's. Raises `Refused` where the room does not allow such sound, and `Unreachable` when it takes
        longer than the preferences allow.
        """
        entry = Entry(
            create=create,
            title=title,
            microphone=microphone,
            audio_configuration=audio_configuration,
            options=options or ConnectOptions(),
            preferences=preferences or CallPreferences(),
        )
        return self._call(await enter(self._core, parse_cid(cid), entry))

    def call(self, cid: str) -> Call:
        """Return the call in room `cid`. Raises `Misuse` when there is none."""
        membership = self._core.memberships.get(parse_cid(cid))
        if membership is None:
            raise Misuse(f"this client is not in '{cid[:80]}'; join it first")
        return self._call(membership)

    @property
    def allow_multiple_active_calls(self) -> bool:
        """Whether joining a call leaves the others be."""
        return self._core.several

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls we are in, in order of joining."""
        return tuple(
            self._call(membership)
            for membership in tuple(self._core.memberships.values())
            if membership.state.value.phase is not CallPhase.LEFT
        )

    @property
    def active_calls(self) -> Observable[tuple[Call, ...]]:
        """The calls that are active, in order of joining: from the beginning of a join until the call is over."""
        return self._active.calls

    @property
    def active_call(self) -> Observable[Call | None]:
        """The active call, or None. Raises `Misuse` where several are allowed: use `active_calls` or `focused_call`."""
        return self._active.call

    @property
    def focused_call(self) -> Observable[Call | None]:
        """The call that has the microphone, or None while no call has it."""
        return self._active.focused

    @on_engine
    async def switch_focus(self, call: Call | str) -> None:
        """Move microphone and loudspeaker to `call`, in one step: heard at once, before the room has answered.

        Under `suspend_existing` and `suspend_incoming` every other call is suspended, under `manual` the one that had the
        microphone, under `duck` and `pan` none. Raises `Refused`, with everything as it was, if the room does not take
        us back, and `Misuse` for a call we are not in.
        """
        await self._core.director.switch(call.cid if isinstance(call, Call) else parse_cid(call))

    @on_engine
    async def set_multi_call_policy(self, policy: MultiCallPolicy | str) -> None:
        """Hand sound off between calls by `policy` from now on. Raises `Malformed` for a name that is none."""
        self._core.director.set_policy(policy_named(policy))

    def explain(self, question: str = "", cid: str | None = None) -> str:
        """Answer, in words and with times, who has microphone and loudspeaker and why; or a question about one call."""
        about = None if cid is None else parse_cid(cid)
        return explain(self.state.value, about, question, clock_words)

    def note(self, text: str) -> None:
        """Show `text` to ourselves only: as a line of the log, and as a notice in the focused call."""
        words = safe_text(text, 400)
        self.engine.call_soon(lambda: self._core.note(words))

    def forget(self, cid: str) -> None:
        """Take a call that was left out of `state.calls`."""
        self.engine.call_soon(lambda: self._core.forget(parse_cid(cid)))

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
        return _expect(await self._core.ask(asked), RoomsPage).rooms

    @on_engine
    async def rooms_page(self, query: QueryRooms) -> RoomsPage:
        """Return one page; its `next` is the `after` of the following one."""
        return _expect(await self._core.ask(query), RoomsPage)

    @on_engine
    async def watch_rooms(self, on: bool = True) -> None:
        """Keep `state.rooms` up to date from now on."""
        await self._core.connect(None)
        self._core.session_open().watch_rooms(on)
        if on:
            self._core.refresh_rooms()

    @on_engine
    async def room(self, cid: str) -> Room:
        """Return a room as we may see it, without joining. Raises `Refused` when there is none that we may enter."""
        return _expect(await self._core.ask(QueryRoom(parse_cid(cid))), RoomView).room

    @on_engine
    async def perform(self, cid: str, request: Request) -> None:
        """Ask a room for something without being in it, e.g. as a host who answers hands.

        Accepting a call comes in too, and a call that is placed is joined once somebody accepts.
        """
        room = parse_cid(cid)
        if isinstance(request, RingRequest):
            await self._perform_ring(room, request)
            return
        await self._core.connect(room)
        await self._core.session_open().do(room, request)

    @on_engine
    async def people(self, cid: str, text: str = "", *, limit: int = 50, after: int = 0) -> PeoplePage:
        """Return a page of everybody in a room, the unlisted included; `text` looks in names."""
        return _expect(await self._core.ask(QueryPeople(parse_cid(cid), text, limit, after)), PeoplePage)

    @on_engine
    async def messages(self, cid: str, before: str | None = None, *, limit: int = 50) -> MessagesPage:
        """Return chat before message id `before` (the newest without), oldest first."""
        return _expect(await self._core.ask(QueryMessages(parse_cid(cid), before, limit)), MessagesPage)

    @on_engine
    async def call_types(self) -> tuple[CallType, ...]:
        """Return every call type the server knows."""
        return _expect(await self._core.ask(QueryCallTypes()), CallTypes).call_types

    @on_engine
    async def put_call_type(self, call_type: CallType) -> None:
        """Add or replace a call type; admins only."""
        await self._core.ask(PutCallType(call_type))

    @on_engine
    async def mint_token(self, cid: str, *, listener: bool = False, seconds: float = 3600.0) -> Token:
        """Return a join token for a guest, or for a listener who stays anonymous."""
        role = ANONYMOUS if listener else GUEST
        return _expect(await self._core.ask(MintToken(parse_cid(cid), role, seconds)), Token)

    def link(self, cid: str) -> str:
        """Return the address of the room's page. It holds no token."""
        return f"{self.state.value.server.rstrip('/')}/r/{parse_cid(cid)}"

    # ---- sound

    def set_source(self, source: AudioSource) -> None:
        """Use another microphone; the one before stays yours to close."""
        self.engine.call_soon(lambda: self._core.sound.source.replace(source))

    def set_sink(self, sink: AudioSink) -> None:
        """Use another speaker; the one before stays yours to close."""
        self.engine.call_soon(lambda: self._core.sound.playout.replace_sink(sink))

    @on_engine
    async def step(self, frames: int = FRAME) -> Block:
        """Play the next `frames` and return them; for a client made with `paced=False`."""
        return self._core.sound.playout.step(frames)

    def _call(self, membership: Membership) -> Call:
        """Return the one call that stands for a membership, on whichever thread it is asked for."""
        with self._calls_lock:
            call = self._calls.get(membership.cid)
            if call is None or call.state is not membership.state:
                call = self._calls[membership.cid] = Call(self, membership)
            return call

    def _call_in(self, cid: Cid) -> Call | None:
        membership = self._core.memberships.get(cid)
        return None if membership is None else self._call(membership)

    def _begin_to_close(self) -> bool:
        """Allow no further use; tell whether there is something to close."""
        running = self._started and not self._core.closed
        self._core.closed = True
        return running


class BlockingClient(BlockingSessions, BlockingRecords, BlockingRings, BlockingSound):
    """`Client` without `await`: the same methods, which return when it is done."""

    connect = twin(Client.connect)

    def close(self) -> None:
        """Leave every call and go; twice is quiet."""
        client: Client = self.twin_of
        if client._begin_to_close():
            try:
                client._thread.wait(client._core.close())
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
    switch_focus = twin(Client.switch_focus)
    set_multi_call_policy = twin(Client.set_multi_call_policy)


def clock_words(at: float) -> str:
    """Return a wall-clock time as people here read it, e.g. `12:03:10`."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "some time"


A = TypeVar("A", RoomsPage, RoomView, PeoplePage, MessagesPage, CallTypes, Token)


def _expect(answer: AnswerBody, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise GreenroomError("the server answered something else than was asked")
    return answer
