"""What happens to a ring, one step after another. Pure: `now` comes in, in wall-clock seconds.

`begin` makes a ring, `step` changes it, `due` says when time alone will. A ring ends by itself whatever is missing: an
answer, the caller, whoever said yes and never came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.ringing import (
    JOIN_SECONDS,
    LONGEST_SECONDS,
    NEXT_ANSWERS,
    NEXT_PHASES,
    YES,
    EndReason,
    Ring,
    RingAnswer,
    RingId,
    RingKind,
    RingPhase,
    Rung,
    Scalar,
)


class Callee(msgspec.Struct, frozen=True):
    """Somebody to be rung. `reached`: their client is told at once, because they are connected."""

    user: UserId
    name: str
    reached: bool = False


class More(msgspec.Struct, frozen=True):
    """Somebody in the call rings more people into it."""

    by: UserId
    by_name: str
    people: tuple[Callee, ...]


class Accepted(msgspec.Struct, frozen=True):
    user: UserId


class Rejected(msgspec.Struct, frozen=True):
    user: UserId
    busy: bool = False
    reason: str = ""


class Cancelled(msgspec.Struct, frozen=True):
    """Whoever rang hangs up: the caller for everybody, somebody else for those they added."""

    user: UserId
    reason: str = ""


class Reached(msgspec.Struct, frozen=True):
    """Somebody's client was told that they are rung."""

    user: UserId


class Present(msgspec.Struct, frozen=True):
    """Who is in the room now."""

    users: frozenset[UserId]


class RoomOver(msgspec.Struct, frozen=True):
    """The room ended for everybody."""

    by: UserId | None = None


class CallerLost(msgspec.Struct, frozen=True):
    """The caller's connection was lost for good."""


class Elapsed(msgspec.Struct, frozen=True):
    """Time went by."""


Action = More | Accepted | Rejected | Cancelled | Reached | Present | RoomOver | CallerLost | Elapsed


def begin(
    id_: RingId,
    cid: Cid,
    by: UserId,
    by_name: str,
    people: Iterable[Callee],
    now: float,
    *,
    incoming_seconds: float,
    waiting_seconds: float,
    kind: RingKind = RingKind.AUDIO,
    p2p: bool = False,
    group: bool = False,
    title: str = "",
    metadata: Mapping[str, Scalar] | None = None,
    placed: bool = True,
    own_room: bool = False,
    drop_when_alone: bool = True,
    present: frozenset[UserId] = frozenset(),
) -> Ring:
    """Return a new ring. `present` is who is in the room already."""
    ring = Ring(
        id=id_,
        cid=cid,
        by=by,
        by_name=by_name,
        started_at=now,
        rung=(),
        kind=kind,
        p2p=p2p,
        group=group,
        title=title,
        metadata=metadata or {},
        expires_at=now + waiting_seconds if waiting_seconds > 0 else None,
        incoming_seconds=incoming_seconds,
        waiting_seconds=waiting_seconds,
        placed=placed,
        own_room=own_room,
        drop_when_alone=drop_when_alone,
    )
    ring = _with_more(ring, More(by, by_name, tuple(people)), now)
    return replace(ring, caller_here=by in present, company=bool(present - ring.people))


def step(ring: Ring, action: Action, now: float) -> Ring | Refusal:
    """Return `ring` after `action`, the same object where it changes nothing, or why not.

    What the server itself notices (`Reached`, `Present`, `RoomOver`, `CallerLost`, `Elapsed`) is never refused.
    """
    if ring.over:
        asked = isinstance(action, More | Accepted | Rejected | Cancelled)
        return Refusal(Reason.ENDED, f"that call is over: {_how_it_ended(ring)}") if asked else ring
    after = _apply(ring, action, now)
    if isinstance(after, Refusal):
        return after
    after = _settled(after, now)
    return ring if after == ring else replace(after, version=ring.version + 1)


def due(ring: Ring, now: float) -> float | None:
    """Return when time alone changes `ring` next, `now` if it is late already, or None."""
    if ring.over:
        return None
    if step(ring, Elapsed(), now) is not ring:
        return now
    times: list[float | None] = [_missed_at(rung) for rung in ring.rung if rung.answer is RingAnswer.RINGING]
    times += [_joins_by(rung) for rung in ring.rung if rung.answer in YES]
    return min((time for time in times if time is not None and time > now), default=None)


def _apply(ring: Ring, action: Action, now: float) -> Ring | Refusal:
    match action:
        case More():
            return _with_more(ring, action, now)
        case Accepted(user):
            return _answered(ring, user, RingAnswer.ACCEPTED, now)
        case Rejected(user, busy, reason):
            return _answered(ring, user, RingAnswer.BUSY if busy else RingAnswer.DECLINED, now, reason)
        case Cancelled(user, reason):
            return _cancelled(ring, user, reason, now)
        case Reached(user):
            return _changed(ring, user, lambda rung: _reached(ring, rung, now))
        case Present(users):
            return _present(ring, users, now)
        case RoomOver(by):
            connected = ring.phase is RingPhase.CONNECTED
            outcome = EndReason.ENDED if connected else EndReason.CANCELLED if by else EndReason.FAILED
            return _ended(ring, outcome, now, by)
        case CallerLost():
            if ring.phase is RingPhase.CONNECTED:
                return ring  # who is in the room decides that
            return _ended(ring, EndReason.FAILED, now, reason="the caller's connection was lost")
        case Elapsed():
            return _with_rung(ring, (_elapsed(rung, now) for rung in ring.rung))


def _with_more(ring: Ring, action: More, now: float) -> Ring:
    rung = {one.user: one for one in ring.rung}
    for callee in action.people:
        before = rung.get(callee.user)
        if before is not None and (before.here or RingAnswer.RINGING not in NEXT_ANSWERS[before.answer]):
            continue
        fresh = Rung(callee.user, callee.name, action.by, action.by_name, now)
        reached = replace(fresh, reached=callee.reached)
        rung[callee.user] = replace(reached, answer_by=_answer_by(ring, reached, now))
    return replace(_with_rung(ring, rung.values()), group=ring.group or len(rung) > 1)


def _answered(ring: Ring, user: UserId, answer: RingAnswer, now: float, reason: str = "") -> Ring | Refusal:
    rung = ring.of(user)
    if rung is None:
        return Refusal(Reason.INVALID, "you are not rung by this call; hang up to end a call of your own")
    if rung.here:
        return Refusal(Reason.ALREADY, "you are in this call already; leave it to go")
    if rung.answer in (RingAnswer.MISSED, RingAnswer.CANCELLED):
        return Refusal(Reason.ENDED, "this call does not ring for you any more; join its room instead")
    if answer not in NEXT_ANSWERS[rung.answer]:
        return Refusal(Reason.ALREADY, f"you answered this call already: {_ANSWER_WORDS[rung.answer]}")
    return _changed(ring, user, lambda one: replace(one, answer=answer, at=now, reason=reason))


def _cancelled(ring: Ring, user: UserId, reason: str, now: float) -> Ring | Refusal:
    if user == ring.by and (ring.placed or ring.phase is RingPhase.RINGING):
        connected = ring.phase is RingPhase.CONNECTED
        return _ended(ring, EndReason.ENDED if connected else EndReason.CANCELLED, now, user, reason)
    if all(rung.by != user for rung in ring.rung):
        return Refusal(Reason.INVALID, "only who rang can hang up for everybody; decline or leave instead")
    mine = [rung for rung in ring.rung if rung.by == user and rung.answer is RingAnswer.RINGING]
    if not mine:
        return Refusal(Reason.ALREADY, "nobody you rang still has to answer")
    for rung in mine:
        cancelled = replace(rung, answer=RingAnswer.CANCELLED, at=now, reason=reason)
        ring = _with_rung(ring, (cancelled if one is rung else one for one in ring.rung))
    return ring


def _present(ring: Ring, users: frozenset[UserId], now: float) -> Ring:
    rung = tuple(_seen(one, one.user in users, now) for one in ring.rung)
    callees = {one.user for one in ring.rung}
    after = replace(
        _with_rung(ring, rung),
        caller_here=ring.by in users,
        company=bool(users - callees - {ring.by}),
    )
    left = _anybody(ring) and not _anybody(after)
    if left and ring.phase is RingPhase.RINGING and (ring.caller_here or not ring.placed):
        # Whoever waited for an answer has gone home.
        return _ended(after, EndReason.CANCELLED, now, ring.by if ring.caller_here else None)
    return after


def _anybody(ring: Ring) -> bool:
    return ring.caller_here or ring.company or any(rung.here for rung in ring.rung)


def _seen(rung: Rung, here: bool, now: float) -> Rung:
    if not here or rung.here:
        return rung if here == rung.here else replace(rung, here=False)
    answer, at = rung.answer, rung.at
    if answer not in YES:
        answer, at = RingAnswer.ELSEWHERE, now
    return replace(rung, here=True, joined_at=now, answer=answer, at=at)


def _elapsed(rung: Rung, now: float) -> Rung:
    late = rung.answer is RingAnswer.RINGING and now >= _missed_at(rung)
    return replace(rung, answer=RingAnswer.MISSED, at=now) if late else rung


def _reached(ring: Ring, rung: Rung, now: float) -> Rung:
    if rung.reached or rung.answer is not RingAnswer.RINGING:
        return rung
    reached = replace(rung, reached=True)
    return replace(reached, answer_by=_answer_by(ring, reached, now))


def _answer_by(ring: Ring, rung: Rung, now: float) -> float | None:
    """Return when `rung` counts as missed: a call is not missed by somebody before they could have heard it."""
    times = [rung.rung_at + ring.waiting_seconds] if ring.waiting_seconds > 0 else []
    if ring.incoming_seconds > 0 and (rung.reached or not times):
        times.append(now + ring.incoming_seconds)
    return min(times, default=None)


def _missed_at(rung: Rung) -> float:
    return rung.rung_at + LONGEST_SECONDS if rung.answer_by is None else rung.answer_by


def _joins_by(rung: Rung) -> float | None:
    return None if rung.at is None else rung.at + JOIN_SECONDS


def _settled(ring: Ring, now: float) -> Ring:
    """Return `ring` with what follows from the answers and from who is where."""
    if ring.over:
        return ring
    here = [rung for rung in ring.rung if rung.here]
    together = bool(here) and (ring.caller_here or ring.company or len(here) > 1)
    if together and ring.phase is RingPhase.RINGING:
        ring = _in_phase(ring, RingPhase.CONNECTED, connected_at=now)
    if together:
        return ring
    ringing = any(rung.answer is RingAnswer.RINGING for rung in ring.rung)
    in_time = [rung for rung in ring.rung if rung.answer in YES and now < (_joins_by(rung) or now)]
    coming = any(rung.joined_at is None for rung in in_time)
    if ring.phase is RingPhase.CONNECTED:
        waits = _anybody(ring) and (ringing or coming)
        return ring if waits else _ended(ring, EndReason.ENDED, now)
    awaited = coming or any(rung.here for rung in in_time)
    if ringing or awaited:
        return ring
    return _ended(ring, _outcome(ring), now, *_who_ended(ring))


def _outcome(ring: Ring) -> EndReason:
    """Return what became of a call that never connected and that nobody is left to answer."""
    answers = {rung.answer for rung in ring.rung}
    if answers & YES:
        return EndReason.FAILED  # somebody said yes, and nobody came
    for answer, outcome in _OUTCOMES:
        if answer in answers:
            return outcome
    return EndReason.CANCELLED


def _who_ended(ring: Ring) -> tuple[UserId | None, str]:
    if len(ring.rung) == 1 and ring.rung[0].answer in (RingAnswer.DECLINED, RingAnswer.BUSY):
        return ring.rung[0].user, ring.rung[0].reason
    return None, ""


def _ended(ring: Ring, outcome: EndReason, now: float, by: UserId | None = None, reason: str = "") -> Ring:
    unanswered = RingAnswer.MISSED if outcome is EndReason.MISSED else RingAnswer.CANCELLED
    rung = (
        replace(one, answer=unanswered, at=now) if one.answer is RingAnswer.RINGING else one
        for one in ring.rung
    )
    over = {"ended_at": now, "outcome": outcome, "ended_by": by, "reason": reason}
    return _in_phase(_with_rung(ring, rung), RingPhase.ENDED, **over)


def _in_phase(ring: Ring, phase: RingPhase, **fields: Any) -> Ring:
    return replace(ring, phase=phase, **fields) if phase in NEXT_PHASES[ring.phase] else ring


def _changed(ring: Ring, user: UserId, change: Callable[[Rung], Rung]) -> Ring:
    return _with_rung(ring, (change(one) if one.user == user else one for one in ring.rung))


def _with_rung(ring: Ring, rung: Iterable[Rung]) -> Ring:
    return replace(ring, rung=tuple(rung))


def _how_it_ended(ring: Ring) -> str:
    return _ENDED_WORDS.get(ring.outcome or EndReason.ENDED, "it ended")


_OUTCOMES = (
    (RingAnswer.MISSED, EndReason.MISSED),
    (RingAnswer.DECLINED, EndReason.DECLINED),
    (RingAnswer.BUSY, EndReason.BUSY),
)
_ENDED_WORDS = {
    EndReason.DECLINED: "it was declined",
    EndReason.BUSY: "who was called is busy",
    EndReason.MISSED: "nobody answered in time",
    EndReason.CANCELLED: "the caller hung up",
    EndReason.FAILED: "it could not be connected",
}
_ANSWER_WORDS = {
    RingAnswer.ACCEPTED: "you accepted",
    RingAnswer.ELSEWHERE: "you came into the room",
    RingAnswer.DECLINED: "you declined",
    RingAnswer.BUSY: "you said you are busy",
}
