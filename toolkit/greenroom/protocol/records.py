"""What became of a call: the record the server keeps of it, how to ask for records, and what a ring is on record. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ringing import YES, EndReason, Ring, RingAnswer, RingPhase, Scalar

MAX_RECORD_METADATA_BYTES = 4 * 1024
MAX_PAGE = 100
MAX_NAMED = 50
"""How many people of one record are named; all are counted."""
CALLER = "caller"


class RecordKind(StrEnum):
    """What kind of call. `ROOM` is a time during which a room was live with people in it."""

    AUDIO = "audio"
    VIDEO = "video"
    P2P = "p2p"
    GROUP = "group"
    ROOM = "room"


class RecordStatus(StrEnum):
    """Initiated: nobody was reached yet. Calling: it rang. Answered: it goes on. The others are how it ended."""

    INITIATED = "initiated"
    CALLING = "calling"
    ANSWERED = "answered"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    MISSED = "missed"
    ENDED = "ended"
    FAILED = "failed"


class Direction(StrEnum):
    """Whether somebody placed the call (or opened the room), or others did."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


GOING_ON = frozenset({RecordStatus.INITIATED, RecordStatus.CALLING, RecordStatus.ANSWERED})
TALKED = frozenset({RecordStatus.ANSWERED, RecordStatus.ENDED})
_OUTCOMES: Mapping[EndReason, RecordStatus] = {
    EndReason.ENDED: RecordStatus.ENDED,
    EndReason.DECLINED: RecordStatus.DECLINED,
    EndReason.BUSY: RecordStatus.DECLINED,
    EndReason.MISSED: RecordStatus.MISSED,
    EndReason.CANCELLED: RecordStatus.CANCELLED,
    EndReason.FAILED: RecordStatus.FAILED,
    EndReason.MERGED: RecordStatus.CANCELLED,
}
OWN_OUTCOMES: Mapping[str, RecordStatus] = {
    RingAnswer.DECLINED.value: RecordStatus.DECLINED,
    RingAnswer.BUSY.value: RecordStatus.DECLINED,
    RingAnswer.MISSED.value: RecordStatus.MISSED,
    RingAnswer.CANCELLED.value: RecordStatus.CANCELLED,
}
"""What a call was for somebody who was rung and did not come, whatever became of it for the others."""


class RecordedPerson(msgspec.Struct, frozen=True):
    """Somebody in a record. `answer`: `caller`, a `RingAnswer`, or empty for who just came in.

    `joined_at` is when they first came into the room, `left_at` when they last left it (None: never, or not yet);
    `seconds` is how long they were there altogether.
    """

    user: UserId
    name: str
    answer: str = ""
    joined_at: float | None = None
    left_at: float | None = None
    seconds: float = 0.0


class CallRecord(msgspec.Struct, frozen=True):
    """One call on record. Times are wall-clock seconds; `duration_seconds` counts from when two were together.

    `ended_at` is None while it goes on. `people` names at most 50, `participants` counts them all. `by_hand`: somebody
    reported it, the server did not see it.
    """

    id: str
    cid: Cid
    kind: RecordKind
    status: RecordStatus
    by: UserId
    by_name: str
    initiated_at: float
    title: str = ""
    answered_at: float | None = None
    ended_at: float | None = None
    duration_seconds: float = 0.0
    reason: str = ""
    metadata: Mapping[str, Scalar] = {}
    by_hand: bool = False
    people: tuple[RecordedPerson, ...] = ()
    participants: int = 0

    def of(self, user: UserId) -> RecordedPerson | None:
        """Return what is known of `user`, None for somebody who is not named."""
        return next((person for person in self.people if person.user == user), None)


class QueryHistory(msgspec.Struct, frozen=True, tag_field="ask", tag="history", forbid_unknown_fields=True):
    """Calls the asker took part in, newest first; what is None or empty does not filter.

    `since` and `until` are about when it was initiated. `of`: an admin may ask for somebody else's; `everyone`: for all.
    `after` and `before` are cursors of a page: what is older, or newer. A page stays right while calls are added.
    """

    since: float | None = None
    until: float | None = None
    kinds: tuple[RecordKind, ...] = ()
    statuses: tuple[RecordStatus, ...] = ()
    participant: UserId | None = None
    direction: Direction | None = None
    cid: Cid | None = None
    of: UserId | None = None
    everyone: bool = False
    limit: int = 30
    after: str | None = None
    before: str | None = None


class RecordCall(msgspec.Struct, frozen=True, tag_field="ask", tag="record_call", forbid_unknown_fields=True):
    """Put a call on record that the server did not see. `key` is the asker's own: the same again replaces the record.

    `initiated_at` None: as long ago as the call was long. `metadata` is flat, at most 4 kB.
    """

    key: str
    cid: Cid
    kind: RecordKind
    status: RecordStatus
    duration_seconds: float = 0.0
    initiated_at: float | None = None
    people: tuple[UserId, ...] = ()
    title: str = ""
    reason: str = ""
    metadata: Mapping[str, Scalar] = {}


class HistoryPage(msgspec.Struct, frozen=True, tag_field="answer", tag="history"):
    """Records, newest first. `older` is the `after` of the next page, `newer` the `before` of the last; None: no more."""

    records: tuple[CallRecord, ...]
    older: str | None = None
    newer: str | None = None


def record_of(ring: Ring) -> CallRecord:
    """Return a ring as it goes on record; how long each person was there is not in it."""
    caller = RecordedPerson(ring.by, ring.by_name, CALLER)
    rung = tuple(
        RecordedPerson(one.user, one.name, one.answer.value, one.joined_at)
        for one in ring.rung
        if one.user != ring.by
    )
    kind = RecordKind.GROUP if ring.group else RecordKind.P2P if ring.p2p else RecordKind(ring.kind.value)
    return CallRecord(
        id=ring.id,
        cid=ring.cid,
        kind=kind,
        status=_status(ring),
        by=ring.by,
        by_name=ring.by_name,
        initiated_at=ring.started_at,
        title=ring.title,
        answered_at=ring.connected_at,
        ended_at=ring.ended_at,
        duration_seconds=ring.duration_seconds,
        reason=ring.reason or ("busy" if ring.outcome is EndReason.BUSY else ""),
        metadata=ring.metadata,
        people=(caller, *rung),
        participants=1 + len(rung),
    )


def seen_by(record: CallRecord, user: UserId | None) -> CallRecord:
    """Return `record` as `user` lived it: somebody who was rung and did not come missed or declined the call.

    None is somebody who looks at it from outside.
    """
    own = None if user is None else record.of(user)
    status = None if own is None else OWN_OUTCOMES.get(own.answer)
    if status is None or status is record.status:
        return record
    return replace(record, status=status, duration_seconds=0.0)


def direction_of(record: CallRecord, user: UserId) -> Direction:
    """Return which way a call went for `user`."""
    return Direction.OUTGOING if record.by == user else Direction.INCOMING


def resolved(status: RecordStatus, answered: bool) -> RecordStatus:
    """Return how a call ended that was going on when the server was killed. `answered`: two had been together."""
    return RecordStatus.ENDED if status is RecordStatus.ANSWERED and answered else RecordStatus.FAILED


def cursor(initiated_at: float, id: str) -> str:
    """Return the place of a record in the order of records."""
    return f"{initiated_at!r}~{id}"


def parse_cursor(text: str) -> tuple[float, str] | None:
    """Return when and which record, or None for what is no cursor."""
    at, _, id = text[:100].partition("~")
    try:
        initiated_at = float(at)
    except ValueError:
        return None
    return (initiated_at, id) if id and math.isfinite(initiated_at) else None


def _status(ring: Ring) -> RecordStatus:
    if ring.phase is RingPhase.ENDED:
        return _OUTCOMES[ring.outcome or EndReason.FAILED]
    if ring.phase is RingPhase.CONNECTED or any(one.answer in YES for one in ring.rung):
        return RecordStatus.ANSWERED
    return RecordStatus.CALLING if any(one.reached for one in ring.rung) else RecordStatus.INITIATED
