"""A ring: somebody calls somebody. An immutable value that the server changes and tells to those it concerns.

A ring is of a room (its `cid`) but no part of it: who was rung, what they answered, and what became of the call.
What may follow what are the two tables here; `greenroom.protocol.ring_steps.step` is the only thing that follows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

import msgspec

from greenroom.protocol.ids import Cid, UserId

RingId = NewType("RingId", str)
Scalar = str | int | float | bool | None
JOIN_SECONDS = 30.0
"""How long after an answer somebody who said yes has to come into the room."""

LONGEST_SECONDS = 3600.0
"""How long a phone rings that nothing else ends: where no time is set at all."""


class RingKind(StrEnum):
    """What the call is made of. Video is known, and refused as not available."""

    AUDIO = "audio"
    VIDEO = "video"


class RingPhase(StrEnum):
    """Where a call is: being answered, two people together, over."""

    RINGING = "ringing"
    CONNECTED = "connected"
    ENDED = "ended"


class RingAnswer(StrEnum):
    """What one person who was rung did. `ELSEWHERE`: came into the room without answering, e.g. by its link."""

    RINGING = "ringing"
    ACCEPTED = "accepted"
    ELSEWHERE = "elsewhere"
    DECLINED = "declined"
    BUSY = "busy"
    MISSED = "missed"
    CANCELLED = "cancelled"


class EndReason(StrEnum):
    """What became of a call. `MERGED`: both rang each other, and this ring became an answer to the other one."""

    ENDED = "ended"
    DECLINED = "declined"
    BUSY = "busy"
    MISSED = "missed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    MERGED = "merged"


NEXT_PHASES: Mapping[RingPhase, frozenset[RingPhase]] = {
    RingPhase.RINGING: frozenset({RingPhase.CONNECTED, RingPhase.ENDED}),
    RingPhase.CONNECTED: frozenset({RingPhase.ENDED}),
    RingPhase.ENDED: frozenset(),
}
_RUNG_AGAIN = frozenset({RingAnswer.RINGING, RingAnswer.ELSEWHERE})
NEXT_ANSWERS: Mapping[RingAnswer, frozenset[RingAnswer]] = {
    RingAnswer.RINGING: frozenset(RingAnswer) - {RingAnswer.RINGING},
    # Who said yes may think better of it until they are in the room, or be rung again after they left it.
    RingAnswer.ACCEPTED: frozenset({RingAnswer.RINGING, RingAnswer.DECLINED}),
    RingAnswer.ELSEWHERE: frozenset({RingAnswer.RINGING}),
    RingAnswer.DECLINED: _RUNG_AGAIN,
    RingAnswer.BUSY: _RUNG_AGAIN,
    RingAnswer.MISSED: _RUNG_AGAIN,
    RingAnswer.CANCELLED: _RUNG_AGAIN,
}
YES = frozenset({RingAnswer.ACCEPTED, RingAnswer.ELSEWHERE})


class Rung(msgspec.Struct, frozen=True):
    """One person who is rung. Times are wall-clock seconds.

    `by`: who rang them, the caller unless they were added to a call. `reached`: their client was told. `answer_by`:
    when it counts as missed; None: no time is set, an hour. `at` is when they answered, `reason` what they said to it.
    `here`: in the room now; `joined_at`: since when, or for the first time.
    """

    user: UserId
    name: str
    by: UserId
    by_name: str
    rung_at: float
    answer: RingAnswer = RingAnswer.RINGING
    reached: bool = False
    answer_by: float | None = None
    at: float | None = None
    reason: str = ""
    here: bool = False
    joined_at: float | None = None


class Ring(msgspec.Struct, frozen=True):
    """One call from its first ring to its end. `version` counts its changes: of two, the higher is the newer.

    `expires_at`: for how long the caller waits; None: until they have had enough. `incoming_seconds` and
    `waiting_seconds` are what the room's type says of both, 0 is off. `placed`: the call began with this ring, so it
    ends with it for everybody; otherwise people were rung into a room where others were. `own_room`: the room was made
    for it and ends too. `drop_when_alone`: whoever stays behind alone is let go. `caller_here` and `company` tell
    whether the caller, and others than the caller and those rung, are in the room.
    `connected_at` is when two were together first, one of them rung: what a call's duration is counted from.
    `ended_by` is None where time or the network ended it; `reason` is what they said. `merged_into`: see `EndReason`.
    """

    id: RingId
    cid: Cid
    by: UserId
    by_name: str
    started_at: float
    rung: tuple[Rung, ...]
    version: int = 1
    kind: RingKind = RingKind.AUDIO
    p2p: bool = False
    group: bool = False
    title: str = ""
    metadata: Mapping[str, Scalar] = {}
    expires_at: float | None = None
    incoming_seconds: float = 0.0
    waiting_seconds: float = 0.0
    placed: bool = True
    own_room: bool = False
    drop_when_alone: bool = True
    phase: RingPhase = RingPhase.RINGING
    caller_here: bool = False
    company: bool = False
    connected_at: float | None = None
    ended_at: float | None = None
    outcome: EndReason | None = None
    ended_by: UserId | None = None
    reason: str = ""
    merged_into: Cid | None = None

    def of(self, user: UserId) -> Rung | None:
        """Return what is known of `user` as somebody who is rung."""
        return next((rung for rung in self.rung if rung.user == user), None)

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self.phase is RingPhase.ENDED

    @property
    def people(self) -> frozenset[UserId]:
        """Everybody it concerns: the caller, those rung, and whoever rang them."""
        return frozenset({self.by, *(one for rung in self.rung for one in (rung.user, rung.by))})

    @property
    def duration_seconds(self) -> float:
        """For how long people talked; 0 while they do and where they never did."""
        if self.connected_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.connected_at)


def missed_by(before: Ring | None, after: Ring) -> tuple[UserId, ...]:
    """Return who was rung in `before` and will not get to answer in `after`."""
    was = {} if before is None else {rung.user: rung.answer for rung in before.rung}
    return tuple(
        rung.user
        for rung in after.rung
        if was.get(rung.user, RingAnswer.RINGING) is RingAnswer.RINGING
        and rung.answer in (RingAnswer.MISSED, RingAnswer.CANCELLED)
    )


class MissedCall(msgspec.Struct, frozen=True):
    """A call that somebody did not get to answer. `outcome` is how it ended for them: missed or cancelled."""

    ring: RingId
    cid: Cid
    by: UserId
    by_name: str
    at: float
    kind: RingKind = RingKind.AUDIO
    title: str = ""
    outcome: RingAnswer = RingAnswer.MISSED


def missed_call(ring: Ring, user: UserId) -> MissedCall | None:
    """Return what `user` missed by not answering `ring`, or None for somebody who was not rung."""
    rung = ring.of(user)
    if rung is None:
        return None
    return MissedCall(
        ring.id, ring.cid, rung.by, rung.by_name, rung.rung_at, ring.kind, ring.title, rung.answer
    )
