"""Rooms in memory: the same decisions, events and numbering as on a server, without a network.

For tests that step the sound, for scenes, and for trying the toolkit out. A world and everybody in it belong to one
engine thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from greenroom.backends.base import Link, LinkChanged, Listener, refused
from greenroom.backends.loopback_media import ANSWER, LoopbackMedia
from greenroom.backends.loopback_ringing import LoopbackRinging
from greenroom.errors import Misuse, Refused, Unreachable
from greenroom.media.blocks import FRAME, FRAME_SECONDS, Block, silence
from greenroom.media.dsp import SILENCE_DBFS, ending, level_dbfs, rising
from greenroom.media.sources import AudioSource
from greenroom.protocol.call_types import BUILT_IN, CallType
from greenroom.protocol.deciding import Actor, Facts, may_see, not_found
from greenroom.protocol.events import RoomEnded
from greenroom.protocol.hub import Proposal, RoomHub
from greenroom.protocol.ice import IceServer
from greenroom.protocol.ids import ADMIN, USER, Cid, MessageId, Role, UserId
from greenroom.protocol.peers import PeerSignal, may_signal
from greenroom.protocol.permissions import Capability
from greenroom.protocol.publish import View, project, view_for, view_of
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import Join, Request, RingRequest
from greenroom.protocol.room import LeaveReason, Room, audible, may
from greenroom.protocol.text import safe_text
from greenroom.protocol.wire import (
    AnswerBody,
    CallTypes,
    Emitted,
    FromPeer,
    FromServer,
    Goodbye,
    Happened,
    MediaLost,
    MessagesPage,
    PeoplePage,
    PersonLevel,
    Pulse,
    PutCallType,
    QueryCallTypes,
    QueryMessages,
    QueryPeople,
    QueryRoom,
    QueryRooms,
    Question,
    Removed,
    RoomPreview,
    RoomsChanged,
    RoomsPage,
    RoomView,
    Signal,
    Typing,
    Welcome,
    decode_from_server,
    encode,
)
from greenroom.state.audio import EffectiveAudio

PULSE_EVERY_STEPS = 5
SPEAKING_DBFS = -50.0
_FALLING = 1.0 - rising(FRAME)


class LoopbackWorld:
    """A server's worth of rooms in memory. With `paced` sound moves by the clock; without, by `step`."""

    def __init__(self, *, paced: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.paced = paced
        self.clock = clock
        self.call_types: dict[str, CallType] = dict(BUILT_IN)
        self.hubs: dict[Cid, RoomHub] = {}
        self.sessions: dict[UserId, LoopbackSession] = {}
        self.ringing = LoopbackRinging(self)
        self._messages = 0
        self._steps = 0
        self._flowing: dict[Cid, dict[UserId, tuple[int, LoopbackMedia]]] = {}
        self._passed: dict[Cid, dict[UserId, Block]] = {}
        self._pump: asyncio.Task[None] | None = None

    def backend(self, user: str, name: str = "", role: Role = USER) -> LoopbackBackend:
        """Return the way into this world for one person."""
        return LoopbackBackend(self, Actor(UserId(user), safe_text(name) or user, role))

    def hub(self, cid: Cid) -> RoomHub:
        """Return the hub of `cid`, with no room in it yet unless it was made."""
        hub = self.hubs.get(cid)
        if hub is None:
            hub = self.hubs[cid] = RoomHub(None, cid, 1, self.call_types)
        return hub

    def facts(self) -> Facts:
        """Return the facts of the next request."""
        self._messages += 1
        return Facts(message_id=MessageId(f"m{self._messages}"))

    def publish(self, hub: RoomHub, proposal: Proposal) -> None:
        """Tell everybody in the room what they may know of `proposal`."""
        batches = hub.published(proposal)
        room = hub.room
        for user in proposal.removed:
            if (session := self.sessions.get(user)) is not None and hub.cid in session.views:
                left = proposal.removed[user]
                session.forget(hub.cid)
                if left.reason is not LeaveReason.LEFT:
                    session.deliver(Removed(hub.cid, left.reason.value, left.by))
        for session in tuple(self.sessions.values()):
            view = session.views.get(hub.cid)
            if view is None or room is None:
                continue
            entitled = view_of(room, session.who.user)
            if entitled is not view:
                session.show(hub.cid, entitled)
                continue
            batch = batches[view]
            if batch.events:
                session.deliver(Happened(hub.cid, batch.epoch, batch.seq, batch.events))
        for session in tuple(self.sessions.values()):
            if session.watching:
                session.deliver(RoomsChanged())
        ended_by = (event.by for event in proposal.events if isinstance(event, RoomEnded))
        self.ringing.room_changed(hub, next(ended_by, None))

    def step(self) -> None:
        """Move 20 ms of sound between everybody, and time by as much."""
        self._steps += 1
        for cid, hub in tuple(self.hubs.items()):
            room = hub.room
            if room is None:
                continue
            self._move_sound(cid, room)
            if self._steps % PULSE_EVERY_STEPS == 0 and (proposal := hub.tick(self.clock())) is not None:
                self.publish(hub, proposal)
        if self._steps % PULSE_EVERY_STEPS == 0:
            self.ringing.elapse()

    def _move_sound(self, cid: Cid, room: Room) -> None:
        media = {
            session.who.user: session.sounds[cid]
            for session in self.sessions.values()
            if cid in session.sounds and session.sounds[cid].connected and cid in session.views
        }
        flowing = {
            user: (room.participants[user].number, one)
            for user, one in media.items()
            if user in room.participants
        }
        before, passed = self._flowing.get(cid, {}), self._passed.get(cid, {})
        cut = {user: one for user, one in before.items() if flowing.get(user) != one}
        captured: dict[UserId, Block] = {}
        said: dict[int, Block] = {}
        for user, (number, _) in cut.items():
            if user in passed:  # who is cut off ends softly
                said[number] = np.concatenate([tail := ending(passed[user]), silence(FRAME - len(tail))])
        for user, (number, one) in flowing.items():
            block = one.capture()
            if block is None:
                continue
            if audible(room, user):
                captured[user] = block
                if user not in passed:  # the room may have opened the line long after the gate
                    block = block * rising(len(block))
                said[number] = block + said[number] if number in said else block
            elif user in passed and number not in said:
                said[number] = block * _FALLING
        self._flowing[cid], self._passed[cid] = flowing, captured
        for own, one in flowing.values():
            for number, block in said.items():
                if number != own:
                    one.hear(number, block)
        for own, one in cut.values():
            for number, block in said.items():
                if number != own:
                    one.hear(number, block * _FALLING)
        if self._steps % PULSE_EVERY_STEPS == 0 and media:
            self._pulse(cid, room, captured)

    def _pulse(self, cid: Cid, room: Room, captured: dict[UserId, Block]) -> None:
        levels = tuple(
            PersonLevel(room.participants[user].number, round(level, 1), level > SPEAKING_DBFS)
            for user, level in ((user, level_dbfs(block)) for user, block in captured.items())
        )
        loudest = max(levels, key=lambda level: level.level_dbfs, default=None)
        dominant = None if loudest is None or loudest.level_dbfs <= SILENCE_DBFS else loudest.number
        for session in tuple(self.sessions.values()):
            if cid in session.views:
                session.deliver(Pulse(cid, levels, dominant))

    def entered(self, session: LoopbackSession) -> None:
        """Take a session in; an earlier one of the same person ends."""
        before = self.sessions.get(session.who.user)
        if before is not None:
            before.replaced()
        self.sessions[session.who.user] = session
        if self.paced and self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run())

    def went(self, session: LoopbackSession) -> None:
        """Let a session go: whoever did not leave is lost."""
        if self.sessions.get(session.who.user) is not session:
            return
        del self.sessions[session.who.user]
        for cid in tuple(session.views):
            session.forget(cid)
            hub = self.hubs[cid]
            self.publish(hub, hub.remove(session.who.user, LeaveReason.LOST))
        self.ringing.went(session.who.user)
        if not self.sessions and self._pump is not None:
            self._pump.cancel()
            self._pump = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        while True:
            self.step()
            deadline = max(deadline + FRAME_SECONDS, loop.time() - 0.2)
            await asyncio.sleep(max(0.0, deadline - loop.time()))


class LoopbackBackend:
    """One person's way into a world."""

    server = "loopback"
    needs_room = False

    def __init__(self, world: LoopbackWorld, who: Actor) -> None:
        self._world = world
        self._who = who

    def session(self, cid: Cid | None = None) -> LoopbackSession:
        return LoopbackSession(self._world, self._who)


class LoopbackSession:
    """One person in a world."""

    def __init__(self, world: LoopbackWorld, who: Actor) -> None:
        self.who = who
        self.views: dict[Cid, View] = {}
        self.sounds: dict[Cid, LoopbackMedia] = {}
        self.watching = False
        self._world = world
        self._listener: Listener | None = None
        self._over = "this session is not open"

    async def open(self, listener: Listener) -> Welcome:
        self._listener = listener
        self._over = ""
        self._world.entered(self)
        asyncio.get_running_loop().call_soon(self._world.ringing.entered, self)
        return Welcome(
            self.who.user, self.who.name, self.who.role, "loopback", "loopback", self._world.clock()
        )

    async def do(self, cid: Cid, request: Request) -> None:
        self._check()
        await asyncio.sleep(0)
        if isinstance(request, RingRequest):
            if (refusal := self._world.ringing.do(self, cid, request)) is not None:
                raise refused(refusal)
            return
        hub = self._world.hub(cid)
        proposal = hub.propose(self.who, request, self._world.clock(), self._world.facts())
        if isinstance(proposal, Refusal):
            raise refused(proposal)
        if proposal.events:
            self._world.publish(hub, proposal)
        if isinstance(request, Join) and proposal.after is not None and cid not in self.views:
            self.show(cid, view_of(proposal.after, self.who.user))

    async def ask(self, question: Question) -> AnswerBody:
        self._check()
        await asyncio.sleep(0)
        match question:
            case QueryRooms():
                return self._rooms(question)
            case QueryRoom(cid):
                room = self._room(cid)
                return RoomView(project(room, view_for(room, self.who)))
            case QueryPeople(cid, text, limit, after):
                wanted = safe_text(text).casefold()
                people = [p for p in self._room(cid).participants.values() if wanted in p.name.casefold()]
                more = after + limit if after + limit < len(people) else None
                return PeoplePage(tuple(people[after : after + limit]), len(people), more)
            case QueryMessages(cid, before, limit):
                chat = self._room(cid).chat
                ids = [message.id for message in chat]
                end = ids.index(MessageId(before)) if before in ids else len(chat)
                return MessagesPage(chat[max(0, end - limit) : end], end > limit)
            case QueryCallTypes():
                return CallTypes(tuple(self._world.call_types.values()))
            case PutCallType(call_type) if self.who.role == ADMIN:
                self._world.call_types[call_type.name] = call_type
                return CallTypes((call_type,))
            case _:
                raise Refused("that needs a server", reason=Reason.NOT_AVAILABLE.value)

    async def attach(self, cid: Cid, offer: str) -> str:
        self._check()
        await asyncio.sleep(0)
        if cid not in self.views:
            raise Refused("join the room first", reason=Reason.NOT_JOINED.value)
        return ANSWER

    def emit(self, cid: Cid, signal: Signal) -> None:
        room = self._world.hub(cid).room
        needed = Capability.CHAT if isinstance(signal, Typing) else Capability.REACT
        if self._over or cid not in self.views or room is None or not may(room, self.who.user, needed):
            return
        for session in tuple(self._world.sessions.values()):
            if cid in session.views:
                session.deliver(Emitted(cid, self.who.user, room.participants[self.who.user].name, signal))

    def sync(self, cid: Cid, epoch: int, seq: int) -> None:
        view = self.views.get(cid)
        missed = None if view is None else self._world.hub(cid).since(view, epoch, seq)
        if missed is not None:
            self.deliver(missed)

    def tell_peer(self, cid: Cid, to: UserId, signal: PeerSignal) -> None:
        room, session = self._world.hub(cid).room, self._world.sessions.get(to)
        if room is not None and session is not None and may_signal(room, self.who.user, to, signal):
            session.deliver(FromPeer(cid, self.who.user, signal))

    def watch_rooms(self, on: bool) -> None:
        self.watching = on

    def media(
        self, cid: Cid, source: AudioSource, on_dead: Callable[[str], None], audio: EffectiveAudio
    ) -> LoopbackMedia:
        media = LoopbackMedia(source, on_dead, FRAME if self._world.paced else 0)
        self.sounds[cid] = media
        return media

    def direct(
        self,
        partner: int,
        source: AudioSource,
        audio: EffectiveAudio,
        ice_servers: Sequence[IceServer],
        on_candidate: Callable[[str], None],
        on_dead: Callable[[str], None],
    ) -> None:
        return None  # in memory every way is as short

    async def close(self) -> None:
        if not self._over:
            self._over = "this session is closed"
            self._world.went(self)

    # ---- what the world does to a session

    def show(self, cid: Cid, view: View) -> None:
        """Send the whole room as `view` shows it, and its events from now on."""
        self.views[cid] = view
        snapshot = self._world.hub(cid).snapshot(view)
        if snapshot is not None:
            self.deliver(snapshot)

    def forget(self, cid: Cid) -> None:
        """Send nothing more of a room."""
        self.views.pop(cid, None)
        self.sounds.pop(cid, None)

    def deliver(self, message: FromServer) -> None:
        """Hand the listener what a wire would have carried."""
        if self._listener is not None and not self._over:
            self._listener.received(decode_from_server(encode(message)))

    def lose_media(self, cid: Cid, reason: str) -> None:
        """End the sound of a room as if its worker had died; for tests and scenes."""
        media = self.sounds.get(cid)
        if media is not None:
            with contextlib.suppress(Misuse):
                media.die(reason)
            self.deliver(MediaLost(cid, reason))

    def replaced(self) -> None:
        """End because the same person came in again."""
        reason = "you came in from somewhere else"
        self.deliver(Goodbye(reason))
        self._over = reason
        self.views.clear()
        self.sounds.clear()
        if self._listener is not None:
            self._listener.link_changed(LinkChanged(Link.OFFLINE, reason=reason))

    def _check(self) -> None:
        if self._over:
            raise Unreachable(self._over)

    def _room(self, cid: Cid) -> Room:
        room = self._world.hub(cid).room
        if room is None or not may_see(room, self.who, self._world.clock()):
            raise refused(not_found(cid))
        return room

    def _rooms(self, question: QueryRooms) -> RoomsPage:
        now, wanted = self._world.clock(), question.filter
        rooms = [
            room
            for room in (hub.room for hub in self._world.hubs.values())
            if room is not None
            and may_see(room, self.who, now)
            and (wanted.include_ended or room.ended_at is None)
            and wanted.live in (None, room.live)
            and (wanted.text is None or wanted.text.casefold() in f"{room.title} {room.cid}".casefold())
        ]
        return RoomsPage(tuple(_preview(room) for room in rooms[: question.limit]))


def _preview(room: Room) -> RoomPreview:
    stage = (p.name for p in room.participants.values() if may(room, p.user, Capability.SEND_AUDIO))
    return RoomPreview(
        cid=room.cid,
        title=room.title,
        live=room.live,
        live_since=room.live_since,
        created_at=room.created_at,
        starts_at=room.starts_at,
        ended_at=room.ended_at,
        created_by=room.created_by,
        participants=len(room.participants),
        hands=len(room.hands),
        on_stage=tuple(stage)[:10],
    )
