"""Everything a server does for a person who is in: rooms in memory, requests, sound, signals."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from greenroom.errors import StorageFailed
from greenroom.protocol.call_types import BUILT_IN, CallType
from greenroom.protocol.deciding import Facts, leaving, not_found, settle
from greenroom.protocol.events import ConnectionChanged, Event, ParticipantJoined, RoomEnded
from greenroom.protocol.hub import Proposal
from greenroom.protocol.ids import ADMIN, Cid, MessageId, OpId, UserId, is_cid
from greenroom.protocol.permissions import Capability
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import (
    DeleteMessage,
    EditMessage,
    GetOrCreate,
    Join,
    NextHand,
    PostMessage,
    Request,
    RingRequest,
)
from greenroom.protocol.room import LeaveReason, Room, may
from greenroom.protocol.text import safe_text
from greenroom.protocol.wire import CustomSignal, Emitted, MediaLost, Reaction, Signal, Typing, encode
from greenroom.server.call_urls import CallUrls
from greenroom.server.ice_servers import ice_desk
from greenroom.server.limits import (
    ATTACHES_BURST,
    ATTACHES_PER_SECOND,
    JOINS_BURST,
    JOINS_PER_SECOND,
    ROOM_SIGNALS_PER_SECOND,
    ROOMS_PER_PERSON,
    SIGNALS_PER_SECOND,
    Buckets,
)
from greenroom.server.lobby import Lobby
from greenroom.server.media_events import MediaEvents
from greenroom.server.operations import MAX_OP_CHARACTERS, REMEMBERED_SECONDS, Operations
from greenroom.server.options import ServeOptions
from greenroom.server.peers import Peers
from greenroom.server.people import Line, People, Person
from greenroom.server.push import push_for
from greenroom.server.records import Records
from greenroom.server.ringing import Ringing
from greenroom.server.room import HostedRoom
from greenroom.server.sound import Sound
from greenroom.server.tokens import Claims, Keys
from greenroom.sfu.base import MediaEngine
from greenroom.storage.base import Change, Put, Repository, Row, RowChange
from greenroom.storage.writer import Writer

log = logging.getLogger(__name__)
TICK_SECONDS = 1.0
UNUSED_AFTER_SECONDS = 600.0
EPOCHS_PER_START = 1 << 20
MAX_SIGNAL_BYTES = 4 * 1024
MAX_EMOJI_COLUMNS = 8
UNREADABLE = Refusal(Reason.UNAVAILABLE, "the server cannot read that just now; try again in a moment")
DRAINING = Refusal(Reason.UNAVAILABLE, "the server is about to restart; try again in a moment")
T = TypeVar("T")


class House:
    """One server's state and its doings, without sockets. `open` before use, `close` after."""

    def __init__(
        self, options: ServeOptions, keys: Keys, repository: Repository, engine: MediaEngine | None = None
    ) -> None:
        self.options = options
        self.keys = keys
        self.repository = repository
        self.writer = Writer(repository)
        self.sound = Sound(engine)
        self.call_types: dict[str, CallType] = dict(BUILT_IN)
        self.people = People(
            repository,
            self.writer,
            self.hosted,
            grace_seconds=options.grace_seconds,
            resume_seconds=options.resume_seconds,
        )
        self.peers = Peers(self.hosted)
        self.lobby = Lobby()
        self.call_urls = CallUrls(self)
        self.ice = ice_desk(options.stun, options.turn, options.turn_secret_file, options.turn_seconds)
        self.media_events = MediaEvents(self)
        self.ringing = Ringing(self)
        self.records = Records(self)
        self.push = push_for(options)
        self.push.follow(self)
        self.draining = False
        self._engine = engine
        self._rooms: dict[Cid, HostedRoom] = {}
        self._used_at: dict[Cid, float] = {}
        self._loading: dict[Cid, asyncio.Task[HostedRoom]] = {}
        self._operations = Operations()
        self._running: dict[tuple[UserId, OpId], asyncio.Future[Refusal | None]] = {}
        self._joins = Buckets(JOINS_PER_SECOND, JOINS_BURST)
        self._attaches = Buckets(ATTACHES_PER_SECOND, ATTACHES_BURST)
        self._signals = Buckets(SIGNALS_PER_SECOND, SIGNALS_PER_SECOND)
        self._room_signals = Buckets(ROOM_SIGNALS_PER_SECOND, ROOM_SIGNALS_PER_SECOND)
        self._epoch = 0
        self._ticking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the store and begin. Raises `StorageFailed`."""
        await self.repository.open()
        now = time.time()
        begun = await self.repository.begin(now, self.options.resume_seconds)
        self._epoch = begun * EPOCHS_PER_START
        for kind in await self.repository.call_types():
            self.call_types[kind.name] = kind
        done = await self.repository.operations(now - REMEMBERED_SECONDS)
        self._operations = Operations(((user, op) for user, op, _ in done), time.monotonic())
        await self.records.open(now)
        await self.ringing.open(now)
        self.writer.start()
        if self._engine is not None:
            self._engine.on_event = self.media_events.happened
        self._ticking = asyncio.create_task(self._tick(), name="clock of the rooms")

    async def close(self) -> None:
        """Keep what was decided and end."""
        self.draining = True
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
            self._ticking = None
        self.people.close()
        await self.ringing.close()
        await asyncio.gather(*(room.settled() for room in self._rooms.values()), return_exceptions=True)
        await self.sound.close()
        self.records.close()
        await self.push.close()
        await self.writer.close()
        await self.repository.close()

    # --- rooms in memory

    def hosted(self, cid: Cid) -> HostedRoom | None:
        """Return a room that is in memory."""
        return self._rooms.get(cid)

    async def room(self, cid: Cid) -> HostedRoom:
        """Return a room, from the store if need be; `room` of it is None when there is none. Raises `StorageFailed`."""
        self._used_at[cid] = time.monotonic()
        if (known := self._rooms.get(cid)) is not None:
            return known
        loading = self._loading.get(cid)
        if loading is None:
            loading = self._loading[cid] = asyncio.create_task(self._load(cid))
            loading.add_done_callback(lambda _: self._loading.pop(cid, None))
        return await asyncio.shield(loading)

    async def _load(self, cid: Cid) -> HostedRoom:
        stored = await self.repository.room(cid)
        talked = {} if stored is None else await self.repository.talked_seconds(cid)
        room = self._rooms[cid] = HostedRoom(
            cid,
            stored,
            self.call_types,
            repository=self.repository,
            writer=self.writer,
            sound=self.sound,
            next_epoch=self._next_epoch,
            on_published=self._published,
            talked_seconds=talked,
        )
        if stored is not None and (stored.hands or stored.invitations):
            # Whoever waited when an earlier run of the server ended keeps their place until they could be back.
            asyncio.get_running_loop().call_later(self.options.resume_seconds, room.apply, _without_absent)
        return room

    def _next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch

    # --- what people ask

    async def enter(self, claims: Claims, name: str, line: Line) -> tuple[Person, str]:
        """Return who came with a valid token, and the token to come back with. Sound of an earlier connection ends."""
        person, resume_token = await self.people.enter(claims, safe_text(name), line)
        for cid in person.rooms:
            self.sound.drop(cid, person.user)
        return person, resume_token

    async def do(self, person: Person, line: Line, op: OpId, cid: Cid, request: Request) -> Refusal | None:
        """Return when `request` is kept, or why not. The same operation again has the outcome of the first time."""
        if not 0 < len(op) <= MAX_OP_CHARACTERS or not is_cid(cid):
            return Refusal(Reason.INVALID, "that is not the name of an operation and the id of a room")
        if isinstance(
            request, Join | GetOrCreate
        ):  # harmless to repeat, and whoever repeats it needs the snapshot
            return await self._do(person, line, op, cid, request)
        key = (person.user, op)
        if (known := self._operations.known(*key, time.monotonic())) is not None:
            return known[0]
        if (running := self._running.get(key)) is not None:
            return await asyncio.shield(running)
        running = self._running[key] = asyncio.ensure_future(self._do(person, line, op, cid, request))
        running.add_done_callback(lambda _: self._running.pop(key, None))
        refusal = await asyncio.shield(running)
        self._operations.remember(*key, refusal, time.monotonic())
        return refusal

    async def create(self, person: Person, op: OpId, cid: Cid, request: GetOrCreate) -> Refusal | None:
        """Make a room for somebody who is not connected; return when it is kept, or why not."""
        return await self._do(person, None, op, cid, request)

    async def _do(
        self, person: Person, line: Line | None, op: OpId, cid: Cid, request: Request
    ) -> Refusal | None:
        if person.bound_to not in (None, cid):
            return not_found(cid)
        if isinstance(request, RingRequest):
            return DRAINING if self.draining else await self.ringing.do(person, cid, request)
        entering = isinstance(request, Join | GetOrCreate)
        if entering and (refusal := self._may_enter(person, cid, request)) is not None:
            return refusal
        try:
            room = await self.room(cid)
            facts = await self._facts(room, request)
        except StorageFailed:
            return UNREADABLE
        now = time.time()
        also = Put("operations", {"user": person.user, "op": op, "at": now})
        return await room.request(person.actor, request, now, facts, line if entering else None, (also,))

    def _may_enter(self, person: Person, cid: Cid, request: Request) -> Refusal | None:
        if self.draining:
            return DRAINING
        if isinstance(request, Join) and cid not in person.rooms and len(person.rooms) >= ROOMS_PER_PERSON:
            return Refusal(Reason.FULL, f"you are in {ROOMS_PER_PERSON} rooms already; leave one first")
        pace = f"{type(request).__name__} {person.user}"
        if person.actor.role != ADMIN and not self._joins.take(pace, time.monotonic()):
            return Refusal(Reason.RATE_LIMITED, "you come and go too fast; wait a few seconds")
        return None

    async def _facts(self, room: HostedRoom, request: Request) -> Facts:
        match request:
            case PostMessage():
                return Facts(message_id=_new_message_id())
            case NextHand():
                return Facts(talked_seconds=room.talked_seconds)
            case EditMessage(id_) | DeleteMessage(id_) if room.room is not None:
                if all(message.id != id_ for message in room.room.chat):
                    return Facts(older_message=await self.repository.message(room.cid, id_))
        return Facts()

    async def attach(self, person: Person, cid: Cid, offer: str) -> str | Refusal:
        """Return the answer to an offer of sound, or why there is none."""
        hosted = self._rooms.get(cid)
        room = None if hosted is None else hosted.committed
        here = None if room is None else room.participants.get(person.user)
        if hosted is None or here is None:
            return Refusal(Reason.NOT_JOINED, "join the room before connecting sound")
        if not self._attaches.take(person.user, time.monotonic()):
            return Refusal(Reason.RATE_LIMITED, "sound was connected too often; wait a few seconds")
        return await self.sound.attach(
            cid, person.user, here.number, offer, lambda: hosted.may_be_heard(person.user)
        )

    def emit(self, person: Person, cid: Cid, signal: Signal) -> None:
        """Pass a signal on to the room. What is too much, too big or not allowed is quietly dropped."""
        hosted = self._rooms.get(cid)
        room = None if hosted is None else hosted.committed
        if hosted is None or room is None or person.user not in room.participants:
            return
        needed = Capability.CHAT if isinstance(signal, Typing) else Capability.REACT
        made_safe = _safe_signal(signal)
        now = time.monotonic()
        if (
            made_safe is None
            or not may(room, person.user, needed)
            or not self._signals.take(person.user, now)
        ):
            return
        frame = encode(Emitted(cid, person.user, room.participants[person.user].name, made_safe))
        if isinstance(signal, Typing):
            hosted.tell_latest(("typing", cid, person.user), frame)
        elif self._room_signals.take(cid, now):
            hosted.tell_signal(frame)

    async def rejoin(self, person: Person, seen: Iterable[Cid]) -> None:
        """Bring somebody of an earlier run of this server back into the rooms they were in.

        `seen`: the rooms they say they know; one they joined just before the end may not have been noted.
        """
        person.rooms |= {cid for cid in seen if is_cid(cid) and person.bound_to in (None, cid)}
        person.rooms = set(sorted(person.rooms)[:ROOMS_PER_PERSON])
        for cid in sorted(person.rooms):
            refusal: Refusal | None = DRAINING
            if not self.draining:
                try:
                    room = await self.room(cid)
                    refusal = await room.request(person.actor, Join(), time.time(), Facts())
                except StorageFailed:
                    refusal = UNREADABLE
            if refusal is not None:
                person.rooms.discard(cid)

    def tell_lost_sound(self, person: Person, cids: Sequence[Cid]) -> None:
        """Tell somebody who is back where they have no sound any more."""
        for cid in cids:
            room = self._rooms.get(cid)
            if room is not None and self.sound.available and not self.sound.connected(cid, person.user):
                room.tell(person.user, encode(MediaLost(cid, "the server started anew; connect sound again")))

    # --- what follows from what happened

    def _published(self, room: HostedRoom, before: Room | None, proposals: Sequence[Proposal]) -> None:
        cid = room.cid
        journal: list[RowChange] = []
        now = time.time()
        for proposal in proposals:
            for event in proposal.events:
                self._follow_up(cid, event)
                if isinstance(event, ParticipantJoined):
                    here = event.participant
                    journal.append(
                        Put(
                            "participations",
                            {
                                "cid": cid,
                                "user": here.user,
                                "joined_at": here.joined_at,
                                "name": here.name,
                                "role": here.role,
                            },
                        )
                    )
            for user, left in proposal.removed.items():
                self.people.left(user, cid)
                self.media_events.forget(cid, user)
                was = None if proposal.before is None else proposal.before.participants.get(user)
                if was is not None:
                    key: Row = {"cid": cid, "user": user, "joined_at": was.joined_at}
                    journal.append(Change("participations", key, {"left_at": now, "reason": left.reason}))
            if proposal.events and not all(isinstance(event, ConnectionChanged) for event in proposal.events):
                self._used_at[cid] = time.monotonic()
        if journal:
            journal.append(Change("rooms", {"cid": cid}, {"active_at": now}))
            self.writer.journal(*journal)
        self.lobby.changed(cid, before, room.committed)
        self.records.room_changed(cid, room.committed, proposals)
        self.ringing.present(cid, room.committed)

    def _follow_up(self, cid: Cid, event: Event) -> None:
        match event:
            case ParticipantJoined(participant):
                self.people.joined(participant.user, cid)
            case ConnectionChanged(user, connected=True):
                if (person := self.people.get(user)) is not None and person.line is not None:
                    self.people.back_in(person, cid)
            case RoomEnded(_, by):
                self.media_events.forget_room(cid)
                self.ringing.room_over(cid, by)
            case _:
                pass

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.time()
            for cid, room in list(self._rooms.items()):
                room.tick(now)
                if room.idle and time.monotonic() - self._used_at.get(cid, 0.0) > UNUSED_AFTER_SECONDS:
                    del self._rooms[cid]
                    self._used_at.pop(cid, None)
            self.lobby.flush(now)
            self.call_urls.tick(now)
            self.records.tick(now, any(not room.idle for room in self._rooms.values()))


def _without_absent(room: Room) -> tuple[Event, ...]:
    """Return what follows when those who were to come back after a restart did not."""
    absent = {hand.user for hand in room.hands} | set(room.invitations)
    events = [
        event
        for user in sorted(absent - set(room.participants))
        for event in leaving(room, user, LeaveReason.LOST)
    ]
    return settle(room, events)


def _new_message_id() -> MessageId:
    return MessageId(f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(5)}")


def _safe_signal(signal: Signal) -> Signal | None:
    """Return `signal` with its texts made safe, or None when it is empty or more than 4 kB."""
    match signal:
        case Reaction(emoji):
            emoji = safe_text(emoji, MAX_EMOJI_COLUMNS)
            return Reaction(emoji) if emoji else None
        case CustomSignal(name, values):
            if len(msgspec.json.encode(signal)) > MAX_SIGNAL_BYTES:
                return None
            name = safe_text(name)
            flat = {
                safe_text(key): safe_text(value, MAX_SIGNAL_BYTES) if isinstance(value, str) else value
                for key, value in values.items()
            }
            return CustomSignal(name, flat) if name else None
        case _:
            return signal
