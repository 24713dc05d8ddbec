"""Calls on the server: requests to ring, who is told, when time is up, and what ends with a call."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from greenroom.errors import StorageFailed
from greenroom.protocol.deciding import Facts, settle
from greenroom.protocol.events import Event, MemberSet, RoomEnded
from greenroom.protocol.ids import ADMIN, CALL_MEMBER, Cid, UserId
from greenroom.protocol.placing import Placing
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import RingRequest, StartRing
from greenroom.protocol.ring_steps import Callee, CallerLost, RoomOver
from greenroom.protocol.ringing import EndReason, Ring, RingAnswer, RingId, missed_call
from greenroom.protocol.room import LeaveReason, Member, Room
from greenroom.protocol.switchboard import Change, Switchboard, let_go, missed_calls, told
from greenroom.protocol.wire import MissedCalls, RingChanged, Rings, encode
from greenroom.server.limits import RINGS_BURST, RINGS_PER_SECOND, Buckets
from greenroom.server.people import Line, Person
from greenroom.server.room import UNAVAILABLE, HostedRoom
from greenroom.storage.untold import told_change, untold_change

if TYPE_CHECKING:
    from greenroom.server.house import House

log = logging.getLogger(__name__)
Changed = Callable[[Ring | None, Ring], Awaitable[None] | None]
"""Called with a ring before (None: new) and after. What is returned is awaited before a new call is acknowledged."""
NotConnected = Callable[[Ring, UserId], None]
"""Called with a ring and somebody it rings for who is not connected."""


class Ringing:
    """The calls of one server. Everything belongs to its loop."""

    def __init__(self, house: House) -> None:
        self.board = Switchboard()
        self._house = house
        self._changed: list[Changed] = []
        self._not_connected: list[NotConnected] = []
        self._pace = Buckets(RINGS_PER_SECOND, RINGS_BURST)
        self._timer: asyncio.TimerHandle | None = None
        self._lost: dict[UserId, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        self._untold: set[UserId] = set()

    async def open(self, now: float) -> None:
        """Take up what people were not told of before the server stopped. Raises `StorageFailed`."""
        for user, call in await self._house.repository.untold_calls.take_up(now):
            self._untold.add(user)
            self.board.keep_missed(user, call)

    def on_change(self, changed: Changed) -> None:
        """Call `changed` for every change of every ring, in order. If what it returns for a new ring raises
        `StorageFailed`, the call is not placed."""
        self._changed.append(changed)

    def on_unreachable(self, not_connected: NotConnected) -> None:
        """Call `not_connected` whenever somebody is rung who is not connected."""
        self._not_connected.append(not_connected)

    async def do(self, person: Person, cid: Cid, request: RingRequest) -> Refusal | None:
        """Return when `request` is done, or why not."""
        if isinstance(request, StartRing):
            return await self._start(person, cid, request)
        changes = self.board.answer(cid, person.actor, request, time.time())
        if isinstance(changes, Refusal):
            return changes
        self._follow(changes)
        return None

    # ---- what the server notices

    def entered(self, person: Person, line: Line) -> None:
        """Somebody is connected: tell them which calls there are, and what they missed. Call after the welcome."""
        if (timer := self._lost.pop(person.user, None)) is not None:
            timer.cancel()
        self._follow(self.board.reached(person.user, time.time()))
        rings = self.board.concerning(person.user)
        line.send(encode(Rings(tuple(ring for ring in rings if _may_know(person, ring.cid)))))
        if missed := self.board.take_missed(person.user):
            line.send(encode(MissedCalls(missed)))
        if person.user in self._untold:
            self._untold.discard(person.user)
            self._house.writer.journal(told_change(person.user))

    def gone_away(self, person: Person) -> None:
        """Somebody's connection ended: what they placed rings until they could be back."""
        user = person.user
        if self._connected(user) or user in self._lost or not self.board.by_caller(user):
            return
        self._lost[user] = asyncio.get_running_loop().call_later(
            self._house.options.grace_seconds, self._caller_lost, user
        )

    def present(self, cid: Cid, room: Room | None) -> None:
        """Who is in a room may have changed."""
        if room is not None and self.board.ring(cid) is not None:
            self._follow(self.board.present(cid, room.participants, time.time()))

    def room_over(self, cid: Cid, by: UserId | None) -> None:
        """A room ended for everybody."""
        self._follow(self.board.notice(cid, RoomOver(by), time.time()))

    async def close(self) -> None:
        """Let every call come to its end on record; rooms go on after a restart."""
        for timer in (*self._lost.values(), *([self._timer] if self._timer else [])):
            timer.cancel()
        self._lost.clear()
        for change in self.board.over(time.time()):
            self._record(change)
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- placing a call

    async def _start(self, person: Person, cid: Cid, request: StartRing) -> Refusal | None:
        if person.actor.role != ADMIN and not self._pace.take(person.user, time.monotonic()):
            return Refusal(Reason.RATE_LIMITED, "you call too often; wait a few seconds")
        try:
            room = await self._house.room(cid)
        except StorageFailed:
            return UNAVAILABLE
        ring_id = RingId(secrets.token_urlsafe(9))
        checked = self.board.check(room.room, cid, person.actor, request, time.time())
        if isinstance(checked, Refusal):
            return checked
        if isinstance(checked, Ring):
            self._follow(self.board.merge(checked, cid, person.actor, time.time(), ring_id))
            return None
        made = room.room is None
        if (refusal := await self._prepare(room, person, request, checked)) is not None:
            return refusal
        if room.room is None:
            return UNAVAILABLE
        changes = self.board.start(
            room.room,
            cid,
            person.actor,
            request,
            time.time(),
            ring_id=ring_id,
            made_room=made,
            callee=lambda user: self._callee(user, cid, room.room),
        )
        if made and (isinstance(changes, Refusal) or self.board.ring(cid) is None):
            room.apply(lambda _: (RoomEnded(time.time(), None),))
        if isinstance(changes, Refusal):
            return changes
        return await self._recorded(cid, self._follow(changes))

    async def _prepare(
        self, room: HostedRoom, person: Person, request: StartRing, placing: Placing
    ) -> Refusal | None:
        """Make the room, or let those into it who could not enter."""
        if room.room is None:
            return await room.request(person.actor, placing.room(request), time.time(), Facts())
        if placing.strangers:
            members = {user: self._name(user, None) for user in placing.strangers}
            room.apply(lambda value: _with_members(value, members, person.user))
            await room.settled()
            if room.committed is None or any(user not in room.committed.members for user in members):
                return UNAVAILABLE
        return None

    async def _recorded(self, cid: Cid, records: list[asyncio.Future[None]]) -> Refusal | None:
        """Return when a new call is kept. One that cannot be is taken back: a call nobody could look up is none."""
        kept = await asyncio.gather(*(asyncio.shield(record) for record in records), return_exceptions=True)
        if any(isinstance(error, BaseException) for error in kept):
            self._follow(self.board.notice(cid, RoomOver(None), time.time()))
            return UNAVAILABLE
        return None

    def _callee(self, user: UserId, cid: Cid, room: Room | None) -> Callee:
        return Callee(user, self._name(user, room), self._line(user, cid) is not None)

    def _name(self, user: UserId, room: Room | None) -> str:
        member = None if room is None else room.members.get(user)
        person = self._house.people.get(user)
        if person is not None:
            return person.actor.name
        return member.name if member is not None else user

    def _line(self, user: UserId, cid: Cid) -> Line | None:
        person = self._house.people.get(user)
        return person.line if person is not None and _may_know(person, cid) else None

    def _connected(self, user: UserId) -> bool:
        person = self._house.people.get(user)
        return person is not None and person.line is not None

    # ---- what follows

    def _follow(self, changes: Iterable[Change]) -> list[asyncio.Future[None]]:
        """Do what follows from `changes`; return what is being kept of them."""
        records: list[asyncio.Future[None]] = []
        for change in changes:
            ring = change.after
            frame = encode(RingChanged(ring))
            for user in told(change):
                if (line := self._line(user, ring.cid)) is not None:
                    line.send(frame)
            if ring.outcome is EndReason.MERGED:
                continue  # it never was a call of its own
            records += self._record(change)
            for user in change.newly_rung:
                if self._line(user, ring.cid) is None:
                    self._tell_not_connected(ring, user)
                    records += self._keep_untold(ring, user)
            for user, call in missed_calls(change):
                if self._line(user, ring.cid) is None:
                    self.board.keep_missed(user, call)
                    self._keep_untold(ring, user)
            if change.ended:
                self._let_go(ring)
        self._schedule()
        return records

    def _record(self, change: Change) -> list[asyncio.Future[None]]:
        records: list[asyncio.Future[None]] = []
        for changed in self._changed:
            try:
                record = changed(change.before, change.after)
            except Exception:  # whoever keeps records must not keep people from talking
                log.exception("a record of a call could not be made")
                continue
            if record is not None:
                records.append(self._run(record))
        return records

    def _keep_untold(self, ring: Ring, user: UserId) -> list[asyncio.Future[None]]:
        """Keep for somebody who is not connected that they were called: a server that stops must not forget it."""
        call = missed_call(ring, user)
        if call is None:
            return []
        if call.outcome is RingAnswer.RINGING:
            call = replace(call, outcome=RingAnswer.MISSED)
        self._untold.add(user)
        return [self._run(self._house.writer.commit((untold_change(user, call),)))]

    def _run(self, work: Awaitable[None]) -> asyncio.Future[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a change of a call could not be kept: %s", type(error).__name__)

    def _tell_not_connected(self, ring: Ring, user: UserId) -> None:
        for not_connected in self._not_connected:
            try:
                not_connected(ring, user)
            except Exception:
                log.exception("somebody who is not connected could not be told of a call")

    def _let_go(self, ring: Ring) -> None:
        room = self._house.hosted(ring.cid)
        if room is not None:
            _end_call(room, ring)
        elif ring.own_room:
            self._run(self._end_call_later(ring))

    async def _end_call_later(self, ring: Ring) -> None:
        _end_call(await self._house.room(ring.cid), ring)

    def _caller_lost(self, user: UserId) -> None:
        self._lost.pop(user, None)
        if self._connected(user):
            return
        for ring in self.board.by_caller(user):
            self._follow(self.board.notice(ring.cid, CallerLost(), time.time()))

    def _elapse(self) -> None:
        self._timer = None
        self._follow(self.board.elapse(time.time()))

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.time()
        if (due := self.board.due(now)) is not None:
            self._timer = asyncio.get_running_loop().call_later(due - now, self._elapse)


def _may_know(person: Person, cid: Cid) -> bool:
    return person.bound_to in (None, cid)


def _with_members(room: Room, names: dict[UserId, str], by: UserId) -> tuple[Event, ...]:
    return settle(
        room,
        [
            MemberSet(Member(user, name, CALL_MEMBER), by)
            for user, name in names.items()
            if user not in room.members
        ],
    )


def _end_call(room: HostedRoom, ring: Ring) -> None:
    ends, sent_home = let_go(ring, room.room)
    if ends:
        room.apply(
            lambda value: () if value.ended_at is not None else (RoomEnded(time.time(), ring.ended_by),)
        )
    for user in sent_home:
        room.remove(user, LeaveReason.ENDED)
