"""Records of calls in the database: what keeps them, pages of them, and what a crash left open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.records import (
    GOING_ON,
    MAX_NAMED,
    OWN_OUTCOMES,
    TALKED,
    CallRecord,
    Direction,
    HistoryPage,
    QueryHistory,
    RecordedPerson,
    RecordKind,
    RecordStatus,
    cursor,
    parse_cursor,
    resolved,
    seen_by,
)
from greenroom.protocol.ringing import RingAnswer, Scalar
from greenroom.storage import schema
from greenroom.storage.base import Cell, Put, Row, RowChange
from greenroom.storage.changes import json_text

Connect = Callable[[str], AbstractAsyncContextManager[AsyncConnection]]
STOPPED = "the server stopped"
ALIVE_AT = "alive_at"
_records, _people = schema.records, schema.record_people


def record_change(record: CallRecord) -> RowChange:
    """Return the row change that keeps a record, without its people."""
    row: dict[str, Cell] = {
        "id": record.id,
        "cid": record.cid,
        "kind": record.kind.value,
        "status": record.status.value,
        "by": record.by,
        "by_name": record.by_name,
        "title": record.title,
        "initiated_at": record.initiated_at,
        "answered_at": record.answered_at,
        "ended_at": record.ended_at,
        "reason": record.reason,
        "metadata": json_text(record.metadata),
        "by_hand": record.by_hand,
    }
    return Put("records", row)


def person_change(record: str, person: RecordedPerson, *, theirs: bool = True) -> RowChange:
    """Return the row change that keeps who somebody is in a record; when they were there is left as it is.

    `theirs`: whether it is a call of their own history.
    """
    row: Row = {"record": record, "user": person.user, "name": person.name, "answer": person.answer}
    return Put("record_people", {**row, "theirs": theirs})


def alive_change(now: float) -> RowChange:
    """Return the row change that says that the server still ran at `now`."""
    return Put("server", {"name": ALIVE_AT, "value": int(now)})


class StoredRecords:
    """The tables `records` and `record_people`. Every method raises `StorageFailed` when they cannot be read."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def page(self, query: QueryHistory, viewer: UserId | None) -> HistoryPage:
        """Return a page of the records that are `viewer`'s, or of all for None; without a cursor the newest."""
        limit = query.limit
        older, newer = parse_cursor(query.after or ""), parse_cursor(query.before or "")
        order = sa.tuple_(_records.c.initiated_at, _records.c.id)
        wanted = _matching(query, viewer)
        async with self._connect("read the history of calls") as connection:
            if newer is not None:
                up = wanted.where(order > _place(newer)).order_by(_records.c.initiated_at, _records.c.id)
                rows = (await connection.execute(up.limit(limit + 1))).mappings().all()
                more_newer, more_older = len(rows) > limit, True
                rows = rows[:limit][::-1]
            else:
                down = wanted if older is None else wanted.where(order < _place(older))
                down = down.order_by(_records.c.initiated_at.desc(), _records.c.id.desc())
                rows = (await connection.execute(down.limit(limit + 1))).mappings().all()
                more_newer, more_older = older is not None, len(rows) > limit
                rows = rows[:limit]
            found = await _assemble(connection, rows, viewer)
        shown = tuple(seen_by(record, viewer) for record in found)
        if not shown:
            return HistoryPage(())
        return HistoryPage(
            shown,
            cursor(shown[-1].initiated_at, shown[-1].id) if more_older else None,
            cursor(shown[0].initiated_at, shown[0].id) if more_newer else None,
        )

    async def stopped_after(self, since: float) -> tuple[CallRecord, ...]:
        """Return the calls in which people were together when the server stopped, if that was after `since`."""
        query = (
            sa.select(_records)
            .where(_records.c.reason == STOPPED, _records.c.status == RecordStatus.ENDED.value)
            .where(_records.c.ended_at >= since, _records.c.by_hand.is_(False))
            .order_by(_records.c.initiated_at)
        )
        async with self._connect("read what a restart ended") as connection:
            return await _assemble(
                connection, (await connection.execute(query)).mappings().all(), None, named=None
            )


async def resolve_open(connection: AsyncConnection, now: float) -> float | None:
    """End on record what was going on when the server stopped; return when it was last known to run.

    A call's last known time is the latest of what was written of it: that the server ran, that somebody came, left or
    spoke.
    """
    server = schema.server
    alive = (await connection.execute(sa.select(server.c.value).where(server.c.name == ALIVE_AT))).scalar()
    is_open = _records.c.status.in_([status.value for status in GOING_ON]) & _records.c.ended_at.is_(None)
    rows = (await connection.execute(sa.select(_records).where(is_open))).mappings().all()
    for row in rows:
        last = await _last_known(connection, row, float(alive or 0.0), now)
        status = resolved(RecordStatus(row["status"]), row["answered_at"] is not None)
        values = {"status": status.value, "ended_at": last, "reason": STOPPED}
        await connection.execute(sa.update(_records).where(_records.c.id == row["id"]).values(values))
        inside = (_people.c.record == row["id"]) & _people.c.present_since.is_not(None)
        stayed = sa.case((_people.c.present_since < last, last - _people.c.present_since), else_=0.0)
        await connection.execute(
            sa.update(_people)
            .where(inside)
            .values(seconds=_people.c.seconds + stayed, left_at=last, present_since=None)
        )
        ringing = (_people.c.record == row["id"]) & (_people.c.answer == RingAnswer.RINGING.value)
        missed = RingAnswer.MISSED.value
        await connection.execute(sa.update(_people).where(ringing).values(answer=missed))
    return None if alive is None else min(float(alive), now)


async def _last_known(connection: AsyncConnection, row: sa.RowMapping, alive: float, now: float) -> float:
    spoken, parts = schema.spoken, schema.participations
    begun, cid = row["initiated_at"], row["cid"]
    latest = (
        sa.select(sa.func.max(spoken.c.ended_at)).where(spoken.c.cid == cid, spoken.c.ended_at >= begun),
        sa.select(sa.func.max(parts.c.joined_at)).where(parts.c.cid == cid, parts.c.joined_at >= begun),
        sa.select(sa.func.max(parts.c.left_at)).where(parts.c.cid == cid, parts.c.left_at >= begun),
        sa.select(sa.func.max(_people.c.left_at)).where(_people.c.record == row["id"]),
    )
    times = [(await connection.execute(query)).scalar() for query in latest]
    known: list[float] = [row["answered_at"] or begun, alive, *(time for time in times if time is not None)]
    return max(float(begun), min(now, max(known)))


def _matching(query: QueryHistory, viewer: UserId | None) -> sa.Select[Any]:
    found = sa.select(_records)
    status: sa.ColumnElement[Any] = _records.c.status
    if viewer is not None:
        own = _people.alias("own")
        found = found.outerjoin(own, (own.c.record == _records.c.id) & (own.c.user == viewer))
        found = found.where((_records.c.by == viewer) | own.c.theirs)
        outcomes = [(own.c.answer == answer, outcome.value) for answer, outcome in OWN_OUTCOMES.items()]
        status = sa.case(*outcomes, else_=_records.c.status)
    if query.since is not None:
        found = found.where(_records.c.initiated_at >= query.since)
    if query.until is not None:
        found = found.where(_records.c.initiated_at < query.until)
    if query.kinds:
        found = found.where(_records.c.kind.in_([kind.value for kind in query.kinds]))
    if query.statuses:
        found = found.where(status.in_([one.value for one in query.statuses]))
    if query.cid is not None:
        found = found.where(_records.c.cid == query.cid)
    if query.participant is not None:
        there = sa.exists().where(_people.c.record == _records.c.id, _people.c.user == query.participant)
        found = found.where((_records.c.by == query.participant) | there)
    if query.direction is not None and viewer is not None:
        out = query.direction is Direction.OUTGOING
        found = found.where(_records.c.by == viewer if out else _records.c.by != viewer)
    return found


def _place(at: tuple[float, str]) -> sa.ColumnElement[Any]:
    return sa.tuple_(sa.literal(at[0]), sa.literal(at[1]))


async def _assemble(
    connection: AsyncConnection,
    rows: Sequence[sa.RowMapping],
    viewer: UserId | None,
    named: int | None = MAX_NAMED,
) -> tuple[CallRecord, ...]:
    """Return the records of `rows` with their people: caller first, then in order of coming; at most `named` each."""
    ids = [row["id"] for row in rows]
    if not ids:
        return ()
    counted = await connection.execute(
        sa.select(_people.c.record, sa.func.count())
        .where(_people.c.record.in_(ids))
        .group_by(_people.c.record)
    )
    counts = {record: int(number) for record, number in counted.all()}
    first = [] if viewer is None else [(_people.c.user == viewer).desc()]
    place = sa.func.row_number().over(
        partition_by=_people.c.record,
        order_by=[*first, _people.c.joined_at.is_(None), _people.c.joined_at, _people.c.user],
    )
    placed = sa.select(_people, place.label("place")).where(_people.c.record.in_(ids)).subquery()
    query = sa.select(placed).order_by(placed.c.record, placed.c.place)
    if named is not None:
        query = query.where(placed.c.place <= named)
    people: dict[str, list[RecordedPerson]] = defaultdict(list)
    for row in (await connection.execute(query)).mappings():
        people[row["record"]].append(
            RecordedPerson(
                UserId(row["user"]),
                row["name"],
                row["answer"],
                row["joined_at"],
                row["left_at"],
                row["seconds"],
            )
        )
    return tuple(_record(row, people[row["id"]], counts.get(row["id"], 0)) for row in rows)


def _record(row: sa.RowMapping, people: Iterable[RecordedPerson], participants: int) -> CallRecord:
    status, answered_at, ended_at = RecordStatus(row["status"]), row["answered_at"], row["ended_at"]
    talked = status in TALKED and answered_at is not None and ended_at is not None
    metadata: Mapping[str, Scalar] = msgspec.json.decode(row["metadata"], type=dict[str, Scalar])
    return CallRecord(
        id=row["id"],
        cid=Cid(row["cid"]),
        kind=RecordKind(row["kind"]),
        status=status,
        by=UserId(row["by"]),
        by_name=row["by_name"],
        initiated_at=row["initiated_at"],
        title=row["title"],
        answered_at=answered_at,
        ended_at=ended_at,
        duration_seconds=round(max(0.0, ended_at - answered_at), 3) if talked else 0.0,
        reason=row["reason"],
        metadata=metadata,
        by_hand=row["by_hand"],
        people=tuple(people),
        participants=participants,
    )
