"""What one client knows of calls: what rings for us, whom we ring, what became of them, what we missed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ringing import (
    YES,
    EndReason,
    MissedCall,
    Ring,
    RingAnswer,
    RingId,
    RingPhase,
    missed_call,
)
from greenroom.protocol.wire import MissedCalls, RingChanged, Rings

OVER_KEPT = 20
MISSED_KEPT = 50
FORGOTTEN = "the server has forgotten this call"


class RingsState(msgspec.Struct, frozen=True):
    """`rings` are going on, by room and in order of their beginning; `over` are the last 20 that ended, oldest first.

    `accepted_here`: which of them this client said yes to; another yes of ours came from another device.
    `missed` is what we did not get to answer and have not looked at yet, oldest first.
    """

    rings: Mapping[Cid, Ring] = {}
    over: tuple[Ring, ...] = ()
    accepted_here: frozenset[RingId] = frozenset()
    missed: tuple[MissedCall, ...] = ()

    def find(self, id_: RingId) -> Ring | None:
        """Return a ring, going on or over."""
        return next((ring for ring in (*self.rings.values(), *self.over) if ring.id == id_), None)


def incoming(state: RingsState, me: UserId) -> tuple[Ring, ...]:
    """Return the calls that ring for us now, oldest first."""
    return tuple(ring for ring in state.rings.values() if answer_of(ring, me) is RingAnswer.RINGING)


def outgoing(state: RingsState, me: UserId) -> tuple[Ring, ...]:
    """Return the calls in which somebody we rang has not answered yet, and those we placed that nobody has come to."""
    return tuple(
        ring
        for ring in state.rings.values()
        if (ring.by == me and ring.phase is RingPhase.RINGING)
        or any(rung.by == me and rung.answer is RingAnswer.RINGING for rung in ring.rung)
    )


def answer_of(ring: Ring, me: UserId) -> RingAnswer | None:
    """Return what we answered, None where we are not rung."""
    rung = ring.of(me)
    return None if rung is None else rung.answer


def answered_elsewhere(state: RingsState, ring: Ring, me: UserId) -> bool:
    """Tell whether another device of ours said yes to this call."""
    return answer_of(ring, me) in YES and ring.id not in state.accepted_here


def received(
    state: RingsState, message: RingChanged | Rings | MissedCalls, me: UserId, now: float
) -> RingsState:
    """Return `state` after what the server told; the same object where that is nothing new. `now` is the server's."""
    match message:
        case RingChanged(ring):
            return _with(state, ring, me)
        case Rings(rings):
            here = {ring.cid: ring for ring in rings}
            for cid, ring in state.rings.items():
                if cid not in here or here[cid].id != ring.id:
                    state = _with(state, forgotten(ring, now), me)
            going_on = {ring.id for ring in rings}
            over = tuple(ring for ring in state.over if ring.id not in going_on)
            return state if state.rings == here else replace(state, rings=here, over=over)
        case MissedCalls(calls):
            return _with_missed(state, *calls)


def forgotten(ring: Ring, now: float) -> Ring:
    """Return `ring` as over because the server knows it no longer, e.g. after a restart. People may talk on."""
    connected = ring.phase is RingPhase.CONNECTED
    rung = tuple(
        replace(one, answer=RingAnswer.CANCELLED, at=now) if one.answer is RingAnswer.RINGING else one
        for one in ring.rung
    )
    return replace(
        ring,
        rung=rung,
        version=ring.version + 1,
        phase=RingPhase.ENDED,
        ended_at=now,
        outcome=EndReason.ENDED if connected else EndReason.FAILED,
        reason=FORGOTTEN,
    )


def seen(state: RingsState) -> RingsState:
    """Return `state` with every missed call looked at."""
    return replace(state, missed=()) if state.missed else state


def _with(state: RingsState, ring: Ring, me: UserId) -> RingsState:
    known = state.find(ring.id)
    if known is not None and known.version >= ring.version:
        return state
    rings = {cid: one for cid, one in state.rings.items() if one.id != ring.id}
    over = tuple(one for one in state.over if one.id != ring.id)
    if ring.over:
        over = (*over, ring)[-OVER_KEPT:]
    elif known is not None and not known.over:
        rings = {cid: ring if one.id == ring.id else one for cid, one in state.rings.items()}
    else:
        rings[ring.cid] = ring
    accepted_here = state.accepted_here & {one.id for one in (*rings.values(), *over)}
    if ring.merged_into is not None and (other := rings.get(ring.merged_into)) is not None:
        accepted_here |= {other.id}  # we called them while they called us, from here
    state = replace(state, rings=rings, over=over, accepted_here=accepted_here)
    rang = known is None or answer_of(known, me) is RingAnswer.RINGING
    if rang and answer_of(ring, me) in (RingAnswer.MISSED, RingAnswer.CANCELLED):
        call = missed_call(ring, me)
        return state if call is None else _with_missed(state, call)
    return state


def _with_missed(state: RingsState, *calls: MissedCall) -> RingsState:
    known = {(call.ring, call.at) for call in state.missed}
    new = tuple(call for call in calls if (call.ring, call.at) not in known)
    return replace(state, missed=(*state.missed, *new)[-MISSED_KEPT:]) if new else state
