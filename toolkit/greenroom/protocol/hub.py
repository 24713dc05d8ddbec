"""One room on the server, without any I/O: decide, fold, number, and say who gets what.

A request goes through three steps, so that acknowledgement and publication can follow a commit:
`propose` decides and advances `room` at once; the shell keeps the events; `published` numbers what the public may know
and folds it into the public rooms. Steps of one room happen in order; several proposals may wait for one commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from greenroom.protocol.call_types import BUILT_IN, CallType
from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Actor, Facts, leaving, settle
from greenroom.protocol.events import (
    CountsChanged,
    Event,
    GrantsChanged,
    MemberRemoved,
    MemberSet,
    MicrophoneChanged,
    ParticipantJoined,
    ParticipantLeft,
    PermissionsChanged,
    RoomEnded,
    SuspensionChanged,
)
from greenroom.protocol.evolve import evolve
from greenroom.protocol.ids import ANONYMOUS, Cid, UserId
from greenroom.protocol.publish import View, project, publish
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import Request
from greenroom.protocol.room import Counts, LeaveReason, Room, audible
from greenroom.protocol.wire import Happened, Snapshot

LOG_EVENTS = 1_000
COUNTS_EVERY_SECONDS = 1.0


class Proposal(msgspec.Struct, frozen=True):
    """What was decided. `closes` must be silent before the commit, `opens` may be heard after it.

    `removed` are the people whose connection to the room ends, with the reason they are told.
    """

    before: Room | None
    events: tuple[Event, ...]
    after: Room | None
    closes: frozenset[UserId] = frozenset()
    opens: frozenset[UserId] = frozenset()
    removed: Mapping[UserId, ParticipantLeft] = {}


class Batch(msgspec.Struct, frozen=True):
    """Public events for one view; the first has number `seq`. Empty when the view learns nothing."""

    epoch: int
    seq: int
    events: tuple[Event, ...]


class RoomHub:
    """The one place where a room changes. Not thread safe: whoever owns it serialises."""

    def __init__(
        self, room: Room | None, cid: Cid, epoch: int, call_types: Mapping[str, CallType] = BUILT_IN
    ) -> None:
        self.room = room
        self.cid = cid
        self.epoch = epoch
        self.call_types = call_types
        # Each view is numbered by itself, so it has an epoch of its own: whoever changes view starts from a snapshot.
        self._epochs = {view: epoch * len(View) + place for place, view in enumerate(View)}
        self._public: dict[View, Room | None] = {view: room and project(room, view) for view in View}
        self._seq = dict.fromkeys(View, 0)
        self._log: dict[View, deque[Event]] = {view: deque(maxlen=LOG_EVENTS) for view in View}
        self._counted_at = float("-inf")

    def propose(
        self, who: Actor, request: Request, now: float, facts: Facts | None = None
    ) -> Proposal | Refusal:
        """Return what `request` leads to and advance `room`, or the refusal."""
        decision = decide(self.room, self.cid, who, request, now, facts or Facts(), self.call_types)
        return decision if isinstance(decision, Refusal) else self.apply(decision.events)

    def apply(self, events: Iterable[Event]) -> Proposal:
        """Advance `room` by `events` that the server itself decided."""
        before = room = self.room
        decided = tuple(events)
        for event in decided:
            room = evolve(room, event)
        self.room = room
        touched = _touched(before, room, decided)
        closes = frozenset(user for user in touched if _audible(before, user) and not _audible(room, user))
        opens = frozenset(user for user in touched if not _audible(before, user) and _audible(room, user))
        return Proposal(before, decided, room, closes, opens, _removed(before, decided))

    def remove(self, user: UserId, reason: LeaveReason) -> Proposal:
        """Advance `room` by `user` going, e.g. because their connection stayed lost."""
        return self.apply(() if self.room is None else settle(self.room, leaving(self.room, user, reason)))

    def tick(self, now: float) -> Proposal | None:
        """Return what time alone brings: new counts (at most once a second), the end of a room with a time limit."""
        room = self.room
        if room is None or room.ended_at is not None:
            return None
        limit = room.settings.limits.max_duration_seconds
        if limit and room.live_since is not None and now - room.live_since >= limit:
            return self.apply((RoomEnded(now, None),))
        counts = Counts(
            len(room.participants),
            sum(participant.role == ANONYMOUS for participant in room.participants.values()),
        )
        if (
            counts == room.counts or abs(now - self._counted_at) < COUNTS_EVERY_SECONDS
        ):  # a clock may be set back
            return None
        self._counted_at = now
        return self.apply((CountsChanged(counts),))

    def published(self, proposal: Proposal) -> Mapping[View, Batch]:
        """Number what each view may know of `proposal` and fold it. Call once for each, in order, after the commit."""
        batches: dict[View, Batch] = {}
        for view in View:
            public: list[Event] = []
            before = proposal.before
            for event in proposal.events:
                after = evolve(before, event)
                public += publish(before, event, after, view)
                before = after
            room = self._public[view]
            for event in public:
                room = evolve(room, event)
            self._public[view] = room
            batches[view] = Batch(self._epochs[view], self._seq[view] + 1, tuple(public))
            self._seq[view] += len(public)
            self._log[view].extend(public)
        return batches

    def public(self, view: View) -> Room | None:
        """Return the room as published to `view`."""
        return self._public[view]

    def seq(self, view: View) -> int:
        """Return the number of the last event published to `view`."""
        return self._seq[view]

    def snapshot(self, view: View) -> Snapshot | None:
        """Return the whole published room, or None while there is none."""
        room = self._public[view]
        return None if room is None else Snapshot(self.cid, self._epochs[view], self._seq[view], room)

    def since(self, view: View, epoch: int, seq: int) -> Happened | Snapshot | None:
        """Return what somebody at (`epoch`, `seq`) has missed: events, a snapshot when they are too far behind, or None."""
        last = self._seq[view]
        if epoch == self._epochs[view] and seq == last:
            return None
        missed = last - seq
        log = self._log[view]
        if epoch != self._epochs[view] or missed < 0 or missed > len(log):
            return self.snapshot(view)
        return Happened(self.cid, epoch, seq + 1, tuple(list(log)[-missed:]))


def _audible(room: Room | None, user: UserId) -> bool:
    return room is not None and audible(room, user)


def _touched(before: Room | None, after: Room | None, events: Iterable[Event]) -> set[UserId]:
    """Return the people whose being heard `events` may have changed."""
    touched: set[UserId] = set()
    for event in events:
        match event:
            case ParticipantJoined(participant):
                touched.add(participant.user)
            case MemberSet(member):
                touched.add(member.user)
            case (
                ParticipantLeft(user)
                | MemberRemoved(user)
                | MicrophoneChanged(user)
                | SuspensionChanged(user)
                | PermissionsChanged(user)
            ):
                touched.add(user)
            case GrantsChanged() | RoomEnded():
                for room in (before, after):
                    touched.update(() if room is None else room.participants)
            case _:
                pass
    return touched


def _removed(before: Room | None, events: Iterable[Event]) -> Mapping[UserId, ParticipantLeft]:
    removed: dict[UserId, ParticipantLeft] = {}
    for event in events:
        match event:
            case ParticipantLeft(user):
                removed[user] = event
            case RoomEnded(_, by):
                people = () if before is None else before.participants
                removed.update({user: ParticipantLeft(user, LeaveReason.ENDED, by) for user in people})
            case _:
                pass
    return removed
