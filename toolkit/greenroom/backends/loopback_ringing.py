"""Calls between people in memory: the same switchboard as a server's, with its time told by the world."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from greenroom.protocol.deciding import Facts, not_found, settle
from greenroom.protocol.events import Event, MemberSet, RoomEnded
from greenroom.protocol.hub import RoomHub
from greenroom.protocol.ids import CALL_MEMBER, Cid, UserId
from greenroom.protocol.placing import Placing
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import RingRequest, StartRing
from greenroom.protocol.ring_steps import Callee, CallerLost, RoomOver
from greenroom.protocol.ringing import EndReason, Ring, RingId
from greenroom.protocol.room import LeaveReason, Member
from greenroom.protocol.switchboard import Change, Switchboard, let_go, missed_calls, told
from greenroom.protocol.wire import MissedCalls, RingChanged, Rings

if TYPE_CHECKING:
    from greenroom.backends.loopback import LoopbackSession, LoopbackWorld


class LoopbackRinging:
    """The calls of one world."""

    def __init__(self, world: LoopbackWorld) -> None:
        self.board = Switchboard()
        self._world = world
        self._placed = 0

    def do(self, session: LoopbackSession, cid: Cid, request: RingRequest) -> Refusal | None:
        """Do `request`, or return why not."""
        now = self._world.clock()
        if isinstance(request, StartRing):
            return self._start(session, cid, request, now)
        return self._answered(self.board.answer(cid, session.who, request, now))

    def entered(self, session: LoopbackSession) -> None:
        """Somebody came in: tell them which calls there are, and what they missed."""
        user = session.who.user
        self.follow(self.board.reached(user, self._world.clock()))
        session.deliver(Rings(self.board.concerning(user)))
        if missed := self.board.take_missed(user):
            session.deliver(MissedCalls(missed))

    def went(self, user: UserId) -> None:
        """Somebody is gone: in memory nobody comes back by themselves."""
        for ring in self.board.by_caller(user):
            self.follow(self.board.notice(ring.cid, CallerLost(), self._world.clock()))

    def room_changed(self, hub: RoomHub, ended_by: UserId | None) -> None:
        """Who is in a room may have changed, or it ended."""
        room, now = hub.room, self._world.clock()
        if room is not None and self.board.ring(hub.cid) is not None:
            over = room.ended_at is not None
            changes = (
                self.board.notice(hub.cid, RoomOver(ended_by), now)
                if over
                else self.board.present(hub.cid, room.participants, now)
            )
            self.follow(changes)

    def elapse(self) -> None:
        """Let happen what time alone brings."""
        self.follow(self.board.elapse(self._world.clock()))

    def follow(self, changes: Iterable[Change]) -> None:
        """Do what follows from `changes`."""
        for change in changes:
            ring = change.after
            for user in told(change):
                if (session := self._world.sessions.get(user)) is not None:
                    session.deliver(RingChanged(ring))
            for user, call in missed_calls(change):
                if user not in self._world.sessions and ring.outcome is not EndReason.MERGED:
                    self.board.keep_missed(user, call)
            if change.ended and ring.outcome is not EndReason.MERGED:
                self._let_go(ring)

    def _start(self, session: LoopbackSession, cid: Cid, request: StartRing, now: float) -> Refusal | None:
        who, hub = session.who, self._world.hub(cid)
        self._placed += 1
        ring_id = RingId(f"ring{self._placed}")
        checked = self.board.check(hub.room, cid, who, request, now)
        if isinstance(checked, Refusal):
            return checked
        if isinstance(checked, Ring):
            return self._answered(self.board.merge(checked, cid, who, now, ring_id))
        made = hub.room is None
        if (refusal := self._prepare(session, hub, request, checked, now)) is not None:
            return refusal
        room = hub.room
        if room is None:
            return not_found(cid)
        changes = self.board.start(
            room,
            cid,
            who,
            request,
            now,
            ring_id=ring_id,
            made_room=made,
            callee=lambda user: Callee(user, self._name(user), user in self._world.sessions),
        )
        return self._answered(changes)

    def _prepare(
        self, session: LoopbackSession, hub: RoomHub, request: StartRing, placing: Placing, now: float
    ) -> Refusal | None:
        room = hub.room
        if room is None:
            proposal = hub.propose(session.who, placing.room(request), now, Facts())
            if isinstance(proposal, Refusal):
                return proposal
            self._world.publish(hub, proposal)
        elif placing.strangers:
            members: list[Event] = [
                MemberSet(Member(user, self._name(user), CALL_MEMBER), session.who.user)
                for user in placing.strangers
            ]
            self._world.publish(hub, hub.apply(settle(room, members)))
        return None

    def _answered(self, changes: tuple[Change, ...] | Refusal) -> Refusal | None:
        if isinstance(changes, Refusal):
            return changes
        self.follow(changes)
        return None

    def _name(self, user: UserId) -> str:
        session = self._world.sessions.get(user)
        return user if session is None else session.who.name

    def _let_go(self, ring: Ring) -> None:
        hub = self._world.hub(ring.cid)
        ends, sent_home = let_go(ring, hub.room)
        if ends:
            self._world.publish(hub, hub.apply((RoomEnded(self._world.clock(), ring.ended_by),)))
        for user in sent_home:
            self._world.publish(hub, hub.remove(user, LeaveReason.ENDED))
