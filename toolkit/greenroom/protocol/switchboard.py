"""Every call of one server, without any I/O: who rings whom, and what they missed.

Its owner serialises, says who is where and what time it is, and does what follows from each `Change`: tell, keep, and
end rooms. Nothing here outlives a restart; a client is told after each welcome which rings are still there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from greenroom.protocol.deciding import Actor, not_found, refuse
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.placing import Placing, place, safe_reason, video_refusal
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import AcceptRing, CancelRing, RejectRing, StartRing
from greenroom.protocol.ring_steps import (
    Accepted,
    Action,
    Callee,
    Cancelled,
    Elapsed,
    More,
    Present,
    Reached,
    Rejected,
    RoomOver,
    begin,
    due,
    step,
)
from greenroom.protocol.ringing import (
    EndReason,
    MissedCall,
    Ring,
    RingAnswer,
    RingId,
    RingPhase,
    missed_by,
    missed_call,
)
from greenroom.protocol.room import Room

MAX_RINGING_FOR_ONE = 20
REMEMBERED_OVER = 1_000
MISSED_FOR_ONE = 50
MISSED_PEOPLE = 10_000


class Change(msgspec.Struct, frozen=True):
    """A ring before (None: it is new) and after."""

    before: Ring | None
    after: Ring

    @property
    def ended(self) -> bool:
        """Whether the call is over by this."""
        return self.after.over and (self.before is None or not self.before.over)

    @property
    def newly_rung(self) -> tuple[UserId, ...]:
        """Who is rung by this."""
        was = {} if self.before is None else {one.user: one.rung_at for one in self.before.rung}
        return tuple(
            one.user
            for one in self.after.rung
            if one.answer is RingAnswer.RINGING and was.get(one.user) != one.rung_at
        )

    @property
    def missed(self) -> tuple[UserId, ...]:
        """Who will not get to answer, by this."""
        return missed_by(self.before, self.after)


class Switchboard:
    """Rings by room; a room has one at a time. Not thread safe."""

    def __init__(self) -> None:
        self._rings: dict[Cid, Ring] = {}
        self._over: OrderedDict[Cid, Ring] = OrderedDict()
        self._missed: OrderedDict[UserId, tuple[MissedCall, ...]] = OrderedDict()

    def ring(self, cid: Cid) -> Ring | None:
        """Return the ring going on in a room."""
        return self._rings.get(cid)

    def concerning(self, user: UserId) -> tuple[Ring, ...]:
        """Return the rings going on that concern somebody, oldest first."""
        return tuple(ring for ring in self._rings.values() if user in ring.people)

    def by_caller(self, user: UserId) -> tuple[Ring, ...]:
        """Return the rings going on that somebody placed."""
        return tuple(ring for ring in self._rings.values() if ring.by == user)

    # ---- what people ask

    def check(
        self, room: Room | None, cid: Cid, who: Actor, request: StartRing, now: float
    ) -> Placing | Ring | Refusal:
        """Return how the call may be placed, the ring it would only answer (both ring each other), or why not."""
        placing = place(room, cid, who, request, self._rings.get(cid), now)
        if isinstance(placing, Refusal):
            return placing
        ringing = Counter(
            rung.user
            for ring in self._rings.values()
            for rung in ring.rung
            if rung.answer is RingAnswer.RINGING
        )
        for user in placing.people:
            if ringing[user] >= MAX_RINGING_FOR_ONE:
                return refuse(Reason.FULL, f"too many calls ring for {user} just now; try again later")
        return self._glare(who.user, placing) or placing

    def start(
        self,
        room: Room,
        cid: Cid,
        who: Actor,
        request: StartRing,
        now: float,
        *,
        ring_id: RingId,
        made_room: bool,
        callee: Callable[[UserId], Callee],
    ) -> tuple[Change, ...] | Refusal:
        """Ring people into `room`, which is there now. `made_room`: it was made for this call.

        `callee` names somebody and tells whether they are connected. Where both ring each other the later ring is an
        answer to the earlier one.
        """
        placing = self.check(room, cid, who, request, now)
        if isinstance(placing, Refusal):
            return placing
        if isinstance(placing, Ring):
            return self.merge(placing, cid, who, now, ring_id)
        people = tuple(callee(user) for user in placing.people)
        if (going_on := self._rings.get(cid)) is not None:
            change = self._step(going_on, More(who.user, who.name, people), now)
            return change if isinstance(change, Refusal) else _some(change)
        settings = room.settings.ring
        drop = settings.drop_when_alone if request.drop_when_alone is None else request.drop_when_alone
        ring = begin(
            ring_id,
            cid,
            who.user,
            who.name,
            people,
            now,
            incoming_seconds=settings.incoming_seconds,
            waiting_seconds=settings.auto_cancel_seconds,
            kind=request.kind,
            p2p=request.p2p,
            group=request.group,
            title=placing.title,
            metadata=placing.metadata,
            placed=placing.placed,
            own_room=made_room and not request.keep_room,
            drop_when_alone=placing.placed and drop,
            present=frozenset(room.participants),
        )
        return (self._keep(None, ring),)

    def merge(self, ring: Ring, cid: Cid, who: Actor, now: float, ring_id: RingId) -> tuple[Change, ...]:
        """Let the call that `who` wanted to place in `cid` be their answer to `ring`.

        The first of the changes is told to them alone: the call they wanted is over, and became the other one.
        """
        over = Ring(
            ring_id,
            cid,
            who.user,
            who.name,
            now,
            (),
            phase=RingPhase.ENDED,
            outcome=EndReason.MERGED,
            ended_at=now,
            merged_into=ring.cid,
        )
        change = self._step(ring, Accepted(who.user), now)
        return (Change(None, over), *(() if isinstance(change, Refusal) else _some(change)))

    def answer(
        self, cid: Cid, who: Actor, request: AcceptRing | RejectRing | CancelRing, now: float
    ) -> tuple[Change, ...] | Refusal:
        """Let somebody accept, reject or cancel the ring in a room. A stranger is told that there is none."""
        ring = self._rings.get(cid) or self._over.get(cid)
        if ring is None or who.user not in ring.people:
            return not_found(cid)
        action: Action
        match request:
            case AcceptRing(kind):
                if (refusal := video_refusal(kind)) is not None:
                    return refusal
                action = Accepted(who.user)
            case RejectRing(reason, busy):
                action = Rejected(who.user, busy, safe_reason(reason))
            case CancelRing(reason):
                action = Cancelled(who.user, safe_reason(reason))
        change = self._step(ring, action, now)
        return change if isinstance(change, Refusal) else _some(change)

    # ---- what the server notices

    def notice(self, cid: Cid, action: Action, now: float) -> tuple[Change, ...]:
        """Let something happen to the ring in a room; without one it is quiet."""
        ring = self._rings.get(cid)
        change = None if ring is None else self._step(ring, action, now)
        return () if isinstance(change, Refusal) else _some(change)

    def present(self, cid: Cid, users: Iterable[UserId], now: float) -> tuple[Change, ...]:
        """Say who is in a room."""
        return self.notice(cid, Present(frozenset(users)), now) if cid in self._rings else ()

    def reached(self, user: UserId, now: float) -> tuple[Change, ...]:
        """Say that somebody who was not connected is: what rings for them reaches them."""
        return tuple(
            change for ring in self.concerning(user) for change in self.notice(ring.cid, Reached(user), now)
        )

    def elapse(self, now: float) -> tuple[Change, ...]:
        """Say that it is `now`."""
        return tuple(change for cid in tuple(self._rings) for change in self.notice(cid, Elapsed(), now))

    def over(self, now: float) -> tuple[Change, ...]:
        """Say that the server ends."""
        return tuple(change for cid in tuple(self._rings) for change in self.notice(cid, RoomOver(), now))

    def due(self, now: float) -> float | None:
        """Return when time alone changes something next."""
        times = (due(ring, now) for ring in self._rings.values())
        return min((time for time in times if time is not None), default=None)

    # ---- what people missed

    def keep_missed(self, user: UserId, call: MissedCall) -> None:
        """Keep what to tell somebody when they are back."""
        self._missed[user] = (*self._missed.pop(user, ()), call)[-MISSED_FOR_ONE:]
        while len(self._missed) > MISSED_PEOPLE:
            self._missed.popitem(last=False)

    def take_missed(self, user: UserId) -> tuple[MissedCall, ...]:
        """Return what somebody missed, once."""
        return self._missed.pop(user, ())

    # ---- inside

    def _glare(self, user: UserId, placing: Placing) -> Ring | None:
        """Return the ring of the one person called, which rings for `user` already."""
        if len(placing.people) != 1 or not placing.placed:
            return None
        for ring in self._rings.values():
            rung = ring.of(user)
            if ring.by == placing.people[0] and rung is not None and rung.answer is RingAnswer.RINGING:
                return ring
        return None

    def _step(self, ring: Ring, action: Action, now: float) -> Change | Refusal | None:
        after = step(ring, action, now)
        if isinstance(after, Refusal):
            return after
        return None if after is ring else self._keep(ring, after)

    def _keep(self, before: Ring | None, after: Ring) -> Change:
        if after.over:
            self._rings.pop(after.cid, None)
            self._over[after.cid] = replace(after, metadata={})
            self._over.move_to_end(after.cid)
            while len(self._over) > REMEMBERED_OVER:
                self._over.popitem(last=False)
        else:
            self._rings[after.cid] = after
        return Change(before, after)


def told(change: Change) -> frozenset[UserId]:
    """Return who is told of `change`."""
    return change.after.people


def missed_calls(change: Change) -> tuple[tuple[UserId, MissedCall], ...]:
    """Return what whom missed by `change`."""
    calls = ((user, missed_call(change.after, user)) for user in change.missed)
    return tuple((user, call) for user, call in calls if call is not None)


def let_go(ring: Ring, room: Room | None) -> tuple[bool, tuple[UserId, ...]]:
    """Return whether the room of a call that is over ends with it, and who is sent home from it otherwise.

    A call that was hung up is over for everybody in it. One that came to its end by itself lets go of whoever stayed
    behind alone, if it is of that kind.
    """
    if room is None or room.ended_at is not None or not ring.placed:
        return False, ()
    hung_up = ring.ended_by == ring.by
    alone = ring.drop_when_alone and len(room.participants) <= 1
    if ring.own_room and (hung_up or alone or not room.participants):
        return True, ()
    if hung_up or alone:
        return False, tuple(user for user in room.participants if user in ring.people)
    return False, ()


def _some(change: Change | None) -> tuple[Change, ...]:
    return () if change is None else (change,)
