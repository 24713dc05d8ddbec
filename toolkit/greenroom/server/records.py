"""History: what became of every call and of every time a room was live, recorded from what happened."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from greenroom.errors import StorageFailed
from greenroom.protocol.deciding import not_found
from greenroom.protocol.events import ParticipantJoined, WentLive
from greenroom.protocol.hub import Proposal
from greenroom.protocol.ids import ADMIN, ANONYMOUS, Cid, UserId, is_cid, is_user
from greenroom.protocol.records import (
    MAX_PAGE,
    MAX_RECORD_METADATA_BYTES,
    TALKED,
    CallRecord,
    HistoryPage,
    QueryHistory,
    RecordCall,
    RecordedPerson,
    RecordKind,
    RecordStatus,
    parse_cursor,
    record_of,
)
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.ringing import Ring
from greenroom.protocol.room import Room
from greenroom.protocol.text import TITLE_COLUMNS, safe_text
from greenroom.server.limits import Buckets
from greenroom.server.people import Person
from greenroom.storage.base import Change, Put, RowChange
from greenroom.storage.records import alive_change, person_change, record_change

if TYPE_CHECKING:
    from greenroom.server.house import House

log = logging.getLogger(__name__)
ALIVE_EVERY_SECONDS = 5.0
"""How far off the end of a call may be at most when the server is killed in it and nobody spoke."""
RESUME_SECONDS = 60.0
"""Somebody who comes back into an empty room within this continues what was on record."""
REMEMBERED_ENDED = 1_000
MAX_BY_HAND_SECONDS = 30 * 24 * 3600.0
MAX_BY_HAND_PEOPLE = 100
REASON_COLUMNS = 80
_KEY = re.compile(r"[A-Za-z0-9_.~-]{1,64}")


@dataclass(slots=True)
class _Presence:
    joined_at: float
    since: float | None
    seconds: float = 0.0


@dataclass(slots=True)
class _Going:
    """A record of something that goes on. `rows`: who has a row of theirs; `inside`: who was or is in the room."""

    record: CallRecord
    rows: set[UserId] = field(default_factory=set)
    inside: dict[UserId, _Presence] = field(default_factory=dict)


class Records:
    """The history of one server. Everything belongs to its loop."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._calls: dict[Cid, _Going] = {}
        self._sessions: dict[Cid, _Going] = {}
        self._ended: OrderedDict[Cid, tuple[_Going, float]] = OrderedDict()
        self._alive_at = 0.0
        self._by_person = Buckets(1.0, 30.0)
        house.ringing.on_change(self.ring_changed)

    async def open(self, now: float) -> None:
        """Take up what was going on when the server stopped a moment ago, should people come back to it."""
        resume_seconds = self._house.options.resume_seconds
        for record in await self._house.repository.records.stopped_after(now - resume_seconds):
            going = _Going(record, {person.user for person in record.people})
            for person in record.people:
                if person.joined_at is not None:
                    going.inside[person.user] = _Presence(person.joined_at, None, person.seconds)
            self._remember(record.cid, going, now + resume_seconds)

    def close(self) -> None:
        """Note that the server ran until now. What goes on stays open: people may be back in a moment."""
        self._house.writer.journal(alive_change(time.time()))

    def tick(self, now: float, occupied: bool) -> None:
        """Note now and then that the server runs, for what a crash would leave open. `now` is wall-clock time.

        `occupied`: somebody is in a room.
        """
        if (occupied or self._calls) and now - self._alive_at >= ALIVE_EVERY_SECONDS:
            self._alive_at = now
            self._house.writer.journal(alive_change(now))

    # ---- what happens

    def ring_changed(self, before: Ring | None, after: Ring) -> Awaitable[None]:
        """Keep what a ring is now; awaited before a new call is acknowledged. Raises `StorageFailed` for a new one."""
        record, was = record_of(after), None if before is None else record_of(before)
        changes = [record_change(record)]
        known = {} if was is None else {person.user: person.answer for person in was.people}
        changes += [
            person_change(record.id, person)
            for person in record.people
            if known.get(person.user) != person.answer
        ]
        going = self._calls.get(after.cid)
        if going is None or going.record.id != record.id:
            going = _Going(record)
            if not after.over:
                self._calls[after.cid] = going
        going.record = record
        going.rows |= {person.user for person in record.people}
        if before is None:
            hosted = self._house.hosted(after.cid)
            room = None if hosted is None else hosted.committed
            for here in () if room is None else room.participants.values():
                changes += _came(going, here.user, here.name, after.started_at)
        if after.over:
            self._calls.pop(after.cid, None)
            changes += _all_went(going, after.ended_at or time.time())
        return self._keep(changes, new=before is None)

    def room_changed(self, cid: Cid, room: Room | None, proposals: Sequence[Proposal]) -> None:
        """Follow who comes and goes, and when a room is live with people in it. `room` is what is kept now."""
        try:
            changes = self._follow(cid, room, proposals, time.time())
        except Exception:  # whoever keeps records must not keep people from talking
            log.exception("what happened in a room could not be put on record")
            return
        if changes:
            self._house.writer.journal(*changes)

    def _follow(
        self, cid: Cid, room: Room | None, proposals: Sequence[Proposal], now: float
    ) -> list[RowChange]:
        by: UserId | None = None
        changes: list[RowChange] = []
        follows = [going for going in (self._calls.get(cid), self._sessions.get(cid)) if going is not None]
        for proposal in proposals:
            for event in proposal.events:
                match event:
                    case ParticipantJoined(here):
                        for going in follows:
                            changes += _came(going, here.user, here.name, here.joined_at)
                    case WentLive(_, by):
                        pass
                    case _:
                        pass
            for user in proposal.removed:
                for going in follows:
                    changes += _went(going, user, now)
        session = self._sessions.get(cid)
        if room is not None and room.ended_at is None and room.live and room.participants:
            if session is None and not self._is_placed(cid):
                changes += self._begin(room, by, now)
        elif session is not None:
            reason = "" if room is None or (room.live and room.ended_at is None) else "the room was closed"
            changes += self._end(session, reason, now)
        return changes

    def _is_placed(self, cid: Cid) -> bool:
        ring = self._house.ringing.board.ring(cid)
        return ring is not None and ring.placed

    def _begin(self, room: Room, by: UserId | None, now: float) -> list[RowChange]:
        before = self._ended.pop(room.cid, None)
        if before is not None and now <= before[1]:
            going = before[0]
            going.record = replace(going.record, status=RecordStatus.ANSWERED, ended_at=None, reason="")
        else:
            begun_by = by or next(iter(room.participants))
            known = room.participants.get(begun_by) or room.members.get(begun_by)
            going = _Going(
                CallRecord(
                    id=f"s{time.time_ns():x}-{hashlib.sha256(room.cid.encode()).hexdigest()[:12]}",
                    cid=room.cid,
                    kind=RecordKind.ROOM,
                    status=RecordStatus.ANSWERED,
                    by=begun_by,
                    by_name=begun_by if known is None else known.name,
                    initiated_at=now,
                    title=room.title,
                    answered_at=now,
                )
            )
        self._sessions[room.cid] = going
        changes = [record_change(going.record)]
        for here in room.participants.values():
            changes += _came(going, here.user, here.name, now)
        return changes

    def _end(self, going: _Going, reason: str, now: float) -> list[RowChange]:
        cid = going.record.cid
        del self._sessions[cid]
        going.record = replace(going.record, status=RecordStatus.ENDED, ended_at=now, reason=reason)
        if not reason:
            self._remember(cid, going, now + RESUME_SECONDS)
        return [*_all_went(going, now), record_change(going.record)]

    def _remember(self, cid: Cid, going: _Going, until: float) -> None:
        self._ended[cid] = (going, until)
        self._ended.move_to_end(cid)
        if len(self._ended) > REMEMBERED_ENDED:
            self._ended.popitem(last=False)

    async def _keep(self, changes: Sequence[RowChange], *, new: bool) -> None:
        try:
            await self._house.writer.commit(changes)
        except StorageFailed:
            if new:
                raise
            self._house.writer.journal(*changes)

    # ---- what people ask

    async def answer(self, person: Person, question: QueryHistory | RecordCall) -> HistoryPage | Refusal:
        """Return the answer to `question`. Raises `StorageFailed`."""
        if person.actor.role == ANONYMOUS:
            return Refusal(Reason.UNAUTHORIZED, "who listens without a name has no history of calls")
        if isinstance(question, RecordCall):
            return await self._record(person, question)
        viewer = question.of or person.user
        if (question.everyone or viewer != person.user) and person.actor.role != ADMIN:
            return Refusal(
                Reason.UNAUTHORIZED, "you can look at your own calls; at those of others, an admin"
            )
        for place in (question.after, question.before):
            if place is not None and parse_cursor(place) is None:
                return Refusal(
                    Reason.INVALID, "that is no place in a history; use a page's `older` or `newer`"
                )
        if question.after is not None and question.before is not None:
            return Refusal(Reason.INVALID, "a page is after one place or before another; name one")
        asked = replace(question, limit=max(1, min(question.limit, MAX_PAGE)))
        return await self._house.repository.records.page(asked, None if question.everyone else viewer)

    async def _record(self, person: Person, wanted: RecordCall) -> HistoryPage | Refusal:
        now = time.time()
        if (refusal := _unfit(person, wanted, now)) is not None:
            return refusal
        if not self._by_person.take(person.user, time.monotonic()):
            return Refusal(Reason.RATE_LIMITED, "that is too many calls to record; wait a moment")
        record = _by_hand(person, wanted, now)
        admin = person.actor.role == ADMIN
        people = [
            person_change(record.id, one, theirs=admin or one.user == person.user) for one in record.people
        ]
        await self._house.writer.commit((record_change(record), *people))
        return HistoryPage((record,))


def _came(going: _Going, user: UserId, name: str, at: float) -> Iterable[RowChange]:
    inside = going.inside.get(user)
    if inside is not None and inside.since is not None:
        return ()
    if inside is None:
        inside = going.inside[user] = _Presence(at, None)
    inside.since = at
    times = {"joined_at": inside.joined_at, "present_since": at, "left_at": None}
    key = {"record": going.record.id, "user": user}
    if user in going.rows:
        return (Change("record_people", key, times),)
    going.rows.add(user)
    return (Put("record_people", {**key, "name": name, "answer": "", **times}),)


def _went(going: _Going, user: UserId, at: float) -> Iterable[RowChange]:
    inside = going.inside.get(user)
    if inside is None or inside.since is None:
        return ()
    inside.seconds = round(inside.seconds + max(0.0, at - inside.since), 3)
    inside.since = None
    left = {"left_at": at, "present_since": None, "seconds": inside.seconds}
    return (Change("record_people", {"record": going.record.id, "user": user}, left),)


def _all_went(going: _Going, at: float) -> list[RowChange]:
    return [change for user in going.inside for change in _went(going, user, at)]


def _unfit(person: Person, wanted: RecordCall, now: float) -> Refusal | None:
    if not is_cid(wanted.cid) or person.bound_to not in (None, wanted.cid):
        return not_found(wanted.cid)
    if not _KEY.fullmatch(wanted.key):
        return Refusal(Reason.INVALID, "a record's key is 1 to 64 letters, digits, '_', '.', '~' or '-'")
    if not (math.isfinite(wanted.duration_seconds) and 0 <= wanted.duration_seconds <= MAX_BY_HAND_SECONDS):
        return Refusal(Reason.INVALID, "a call lasts from 0 seconds to 30 days")
    begun = wanted.initiated_at
    if begun is not None and not (math.isfinite(begun) and 0 <= begun <= now + 60.0):
        return Refusal(Reason.INVALID, "a call was initiated in the past, in seconds since 1970")
    if len(wanted.people) > MAX_BY_HAND_PEOPLE or not all(is_user(user) for user in wanted.people):
        return Refusal(Reason.INVALID, f"a record names up to {MAX_BY_HAND_PEOPLE} people by their ids")
    if len(msgspec.json.encode(wanted.metadata)) > MAX_RECORD_METADATA_BYTES:
        return Refusal(Reason.TOO_LARGE, f"a record's metadata may have {MAX_RECORD_METADATA_BYTES} bytes")
    return None


def _by_hand(person: Person, wanted: RecordCall, now: float) -> CallRecord:
    """Return what somebody reports. Its id is made of theirs and their key, so that it replaces nobody else's."""
    named = hashlib.sha256(f"{person.user} {wanted.key}".encode()).hexdigest()[:30]
    begun = now - wanted.duration_seconds if wanted.initiated_at is None else wanted.initiated_at
    others = tuple(dict.fromkeys(user for user in wanted.people if user != person.user))
    talked = wanted.status in TALKED
    metadata = {
        safe_text(key): safe_text(value, MAX_RECORD_METADATA_BYTES) if isinstance(value, str) else value
        for key, value in wanted.metadata.items()
    }
    return CallRecord(
        id=f"h-{named}",
        cid=wanted.cid,
        kind=wanted.kind,
        status=wanted.status,
        by=person.user,
        by_name=person.actor.name,
        initiated_at=begun,
        title=safe_text(wanted.title, TITLE_COLUMNS),
        answered_at=begun if talked else None,
        ended_at=begun + wanted.duration_seconds,
        duration_seconds=wanted.duration_seconds if talked else 0.0,
        reason=safe_text(wanted.reason, REASON_COLUMNS),
        metadata=metadata,
        by_hand=True,
        people=(
            RecordedPerson(person.user, person.actor.name),
            *(RecordedPerson(user, user) for user in others),
        ),
        participants=1 + len(others),
    )
