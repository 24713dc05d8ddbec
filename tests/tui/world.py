"""A whole room in memory: the real deciding, publishing and folding, seen by one person's engine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from greenroom.errors import Misuse, Refused
from greenroom.protocol.deciding import Actor, Facts
from greenroom.protocol.hub import RoomHub
from greenroom.protocol.ids import Cid, MessageId, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.publish import View
from greenroom.protocol.records import (
    CallRecord,
    Direction,
    HistoryPage,
    RecordKind,
    RecordStatus,
    direction_of,
)
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import (
    GetOrCreate,
    GoLive,
    Grant,
    Join,
    Leave,
    PostMessage,
    RaiseHand,
    Request,
    RingRequest,
    SetMicrophone,
)
from greenroom.protocol.ringing import Ring
from greenroom.protocol.room import LeaveReason, Room
from greenroom.protocol.wire import Reaction, RoomPreview
from greenroom.state.call import (
    CallPhase,
    CallState,
    MediaPhase,
    Notice,
)
from greenroom.state.engine import ClientState, ConnectionPhase, LogLine
from greenroom.state.focus import MultiCallPolicy
from greenroom.state.meters import Meters
from greenroom.state.microphone import effective_microphone
from greenroom.state.rings import seen
from greenroom.state.statistics import CallStatistics
from greenroom.views.actions import Asked
from greenroom.views.explain import explain
from greenroom.views.log import event_words, notice_words

CID = Cid("audio_room:standup")
SPEAK = frozenset({Capability.SEND_AUDIO})


def actor(name: str, shown: str | None = None) -> Actor:
    return Actor(UserId(name), shown or name.title())


HANA, ANN, BO, CY, DEE = (actor(name) for name in ("hana", "ann", "bo", "cy", "dee"))


class Mirror:
    """The engine's state as the dashboard reads it."""

    def __init__(self, state: ClientState) -> None:
        self.value = state


class Levels:
    """The engine's meters as the dashboard reads them."""

    def __init__(self) -> None:
        self.value = Meters()


class World:
    """Rooms on a server and `me`, whose engine the dashboard follows."""

    def __init__(self, me: Actor = HANA) -> None:
        self.me = me
        self.state = Mirror(
            ClientState(me.user, me.name, server="127.0.0.1:8440", connection=ConnectionPhase.ONLINE)
        )
        self.hubs: dict[Cid, RoomHub] = {}
        self.asked: list[Asked] = []
        self.left: list[Cid] = []
        self.meters = Levels()
        self.sound: list[tuple[str, str]] = []
        self.history: dict[Cid, tuple[CallStatistics, ...]] = {}
        self.records: tuple[CallRecord, ...] = ()
        self.called: list[tuple[str, ...]] = []
        self._numbers = itertools.count(1)

    # ---- what others do

    def act(self, who: Actor, *requests: Request, cid: Cid = CID) -> None:
        """Let `who` ask for `requests`; a refusal is an error of the test."""
        for request in requests:
            refusal = self._do(cid, who, request)
            assert refusal is None, refusal

    def change(self, cid: Cid = CID, **changes: object) -> None:
        """Change what the engine itself knows of a call: levels, statistics, phase."""
        call = replace(self.state.value.calls[cid], **changes)
        self._set(cid, call)

    def room(self, cid: Cid = CID) -> Room:
        room = self.hubs[cid].room
        assert room is not None
        return room

    # ---- what the dashboard asks

    def call(self, cid: Cid, /) -> Handle:
        if cid not in self.state.value.calls:
            raise Misuse("this client is not in the room; join it first")
        return Handle(self, cid)

    async def join(self, cid: Cid, /, *, create: bool = False, title: str = "") -> Handle:
        requests: Iterable[Request] = (GetOrCreate(title=title), Join()) if create else (Join(),)
        for request in requests:
            refusal = self._do(cid, self.me, request)
            if refusal is not None:
                raise Refused(refusal.message, reason=refusal.reason)
        return Handle(self, cid)

    def choose_devices(self, *, input: str | None = None, output: str | None = None) -> None:
        if self.state.value.devices is None:
            raise Misuse("this client was made without devices")
        self.sound += [
            (kind, wish) for kind, wish in (("input", input), ("output", output)) if wish is not None
        ]

    async def try_microphone(self, on: bool = True, /) -> None:
        self.sound.append(("try", str(on)))
        self.meters.value = replace(self.meters.value, trying=on)

    async def play_chime(self) -> None:
        self.sound.append(("chime", ""))

    async def watch_rooms(self) -> None:
        self._set_rooms()

    def explain(self, question: str = "", cid: str | None = None) -> str:
        return explain(self.state.value, None if cid is None else Cid(cid), question, lambda at: f"{at:.0f}")

    async def set_multi_call_policy(self, policy: MultiCallPolicy, /) -> None:
        self.state.value = replace(self.state.value, focus=replace(self.state.value.focus, policy=policy))

    async def ring(self, members: Sequence[str], /) -> Ring:
        self.called.append(tuple(members))
        raise Refused("nobody is connected")

    async def perform(self, cid: Cid, request: RingRequest, /) -> None:
        raise Refused("no such call")

    def look_at_missed_calls(self) -> None:
        self.state.value = replace(self.state.value, rings=seen(self.state.value.rings))

    async def call_history(
        self,
        *,
        kinds: Iterable[RecordKind] = (),
        statuses: Iterable[RecordStatus] = (),
        participant: str | None = None,
        direction: Direction | None = None,
        limit: int = 30,
        after: str | None = None,
        before: str | None = None,
    ) -> HistoryPage:
        """Give pages as a server does, but cursors are places in a list that does not grow."""
        found = [
            record
            for record in self.records
            if (not kinds or record.kind in kinds)
            and (not statuses or record.status in statuses)
            and (participant is None or record.of(UserId(participant)) is not None)
            and direction in (None, direction_of(record, self.me.user))
        ]
        first = int(after) if after is not None else int(before or 0) - limit if before is not None else 0
        first = max(0, first)
        older = str(first + limit) if first + limit < len(found) else None
        return HistoryPage(tuple(found[first : first + limit]), older, str(first) if first else None)

    def link(self, cid: Cid, /) -> str:
        return f"http://127.0.0.1:8440/r/{cid}"

    def forget(self, cid: Cid, /) -> None:
        calls = {kept: call for kept, call in self.state.value.calls.items() if kept != cid}
        self.state.value = replace(self.state.value, calls=calls)

    # ---- how it is done

    def _do(self, cid: Cid, who: Actor, request: Request) -> Refusal | None:
        hub = self.hubs.setdefault(cid, RoomHub(None, cid, 1))
        facts = Facts(message_id=MessageId(f"m{next(self._numbers)}"))
        proposal = hub.propose(who, request, time.time(), facts)
        if isinstance(proposal, Refusal):
            return proposal
        room = proposal.before
        batches = hub.published(proposal)
        tick = hub.tick(time.time())
        if tick is not None:
            hub.published(tick)
        if self.me.user in (hub.room.participants if hub.room else ()):
            self._fold(cid, hub, batches[View.MODERATORS].events, room)
        elif self.me.user in proposal.removed:
            call = self.state.value.calls[cid]
            reason = proposal.removed[self.me.user].reason
            mine = reason is LeaveReason.LEFT
            self._set(cid, replace(call, phase=CallPhase.LEFT, left_reason=None if mine else reason.value))
        self._set_rooms()
        return None

    def _fold(self, cid: Cid, hub: RoomHub, events: Iterable[object], before: Room | None) -> None:
        old = self.state.value.calls.get(cid)
        call = old if old is not None and old.phase is not CallPhase.LEFT else CallState(cid, self.me.user)
        room = hub.public(View.MODERATORS)
        assert room is not None
        mine = room.participants[self.me.user].microphone
        call = replace(call, room=room, phase=CallPhase.JOINED, media=MediaPhase.CONNECTED)
        call = replace(
            call,
            microphone=effective_microphone(mine, room, call.me, phase=call.phase, media=call.media),
        )
        log = self.state.value.log
        for event in events:
            words = event_words(event, before)  # type: ignore[arg-type]  # events of a batch
            if words is not None:
                log = (*log, LogLine(time.time(), words, cid))
            told = notice_words(event, before, call.me)  # type: ignore[arg-type]  # events of a batch
            if told is not None:
                notice = Notice(len(call.notices), time.time(), *told)
                call = replace(call, notices=(*call.notices, notice))
        self.state.value = replace(self.state.value, log=log)
        self._set(cid, call)

    def _set(self, cid: Cid, call: CallState) -> None:
        calls: Mapping[Cid, CallState] = {**self.state.value.calls, cid: call}
        self.state.value = replace(self.state.value, calls=calls)

    def _set_rooms(self) -> None:
        rooms = tuple(
            RoomPreview(
                cid,
                room.title,
                room.live,
                room.live_since,
                room.created_at,
                room.starts_at,
                room.ended_at,
                room.created_by,
                len(room.participants),
                len(room.hands),
                tuple(person.name for person in room.participants.values() if person.microphone)[:10],
            )
            for cid, hub in self.hubs.items()
            if (room := hub.room) is not None
        )
        self.state.value = replace(self.state.value, rooms=rooms)


class Handle:
    """Our side of one room."""

    def __init__(self, world: World, cid: Cid) -> None:
        self._world = world
        self._cid = cid

    @property
    def statistics(self) -> tuple[CallStatistics, ...]:
        return self._world.history.get(self._cid, ())

    async def perform(self, request: Asked) -> None:
        self._world.asked.append(request)
        if isinstance(request, Request):
            refusal = self._world._do(self._cid, self._world.me, request)
            if refusal is not None:
                raise Refused(refusal.message, reason=refusal.reason)

    async def leave(self) -> None:
        self._world.left.append(self._cid)
        await self.perform(Leave())


def standup(me: Actor = HANA) -> World:
    """Hana's room: live, Ann speaks, Bo and Cy have their hands up, Dee listens, some chat."""
    world = World(me)
    world.act(HANA, GetOrCreate(title="Stand-up"), Join(), GoLive(), SetMicrophone(True))
    for who in (ANN, BO, CY, DEE):
        world.act(who, Join())
    world.act(HANA, Grant(ANN.user, SPEAK))
    world.act(ANN, SetMicrophone(True))
    world.act(BO, RaiseHand(), PostMessage("May I ask something about the release?"))
    world.act(CY, RaiseHand())
    world.act(HANA, PostMessage("Of course, you are next."))
    return world


def talking(world: World, cid: Cid = CID) -> None:
    """Let Ann be heard, and numbers be there."""
    world.change(
        cid,
        levels={ANN.user: -14.0, HANA.user: -38.0},
        speaking=frozenset({ANN.user}),
        dominant=ANN.user,
        statistics=CallStatistics(
            time.time(),
            packets_sent=900,
            packets_received=1800,
            packets_lost=12,
            frames_played=1800,
            frames_concealed=9,
            sent_kbps=31.0,
            received_kbps=62.0,
            jitter_ms=3.0,
            rtt_ms=11.0,
            buffer_ms=40.0,
        ),
    )


__all__ = [
    "ANN",
    "BO",
    "CID",
    "CY",
    "DEE",
    "HANA",
    "SPEAK",
    "Reaction",
    "World",
    "actor",
    "standup",
    "talking",
]
