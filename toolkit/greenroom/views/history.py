"""The history of calls: a row for each record, and the same as CSV. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.protocol.records import (
    GOING_ON,
    TALKED,
    CallRecord,
    Direction,
    RecordKind,
    RecordStatus,
    direction_of,
)
from greenroom.views.words import duration, enumerate_names

_STATUS: dict[RecordStatus, tuple[str, str]] = {
    RecordStatus.INITIATED: ("…", "placed"),
    RecordStatus.CALLING: ("…", "ringing"),
    RecordStatus.ANSWERED: ("●", "going on"),
    RecordStatus.DECLINED: ("✗", "declined"),
    RecordStatus.CANCELLED: ("✗", "cancelled"),
    RecordStatus.MISSED: ("!", "missed"),
    RecordStatus.ENDED: ("✓", "ended"),
    RecordStatus.FAILED: ("!", "failed"),
}
_KINDS = {RecordKind.P2P: "direct"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CSV_COLUMNS = (
    *("id", "initiated_at", "answered_at", "ended_at", "duration_seconds", "kind", "status", "direction"),
    *("room", "title", "by", "by_name", "people", "participants", "reason", "by_hand", "metadata"),
)


class HistoryRow(msgspec.Struct, frozen=True):
    """One call. `arrow` and `direction` say which way it went for us; `mark` and `status` what became of it."""

    id: str
    when: str
    arrow: str
    direction: str
    who: str
    kind: str
    mark: str
    status: str
    long: str
    room: str
    reason: str
    is_missed: bool = False


def history_rows(
    records: Iterable[CallRecord], me: UserId, now: float, clock: Callable[[float], str]
) -> tuple[HistoryRow, ...]:
    """Return a row for each record as `me` lived it. `now` is wall-clock seconds, `clock` writes such a time down."""
    return tuple(_row(record, me, now, clock) for record in records)


def history_csv(records: Iterable[CallRecord], me: UserId | None) -> Iterator[str]:
    """Yield the lines of a CSV file (RFC 4180): a heading, then a line for each record, times in UTC (ISO 8601).

    Text that a spreadsheet would take for a formula begins with an apostrophe. `me` None: no direction.
    """
    yield _line(CSV_COLUMNS)
    for record in records:
        people = "; ".join(_person(person.user, person.name, person.answer) for person in record.people)
        yield _line(
            (
                record.id,
                _iso(record.initiated_at),
                _iso(record.answered_at),
                _iso(record.ended_at),
                f"{record.duration_seconds:.3f}",
                record.kind.value,
                record.status.value,
                "" if me is None else direction_of(record, me).value,
                record.cid,
                record.title,
                record.by,
                record.by_name,
                people,
                str(record.participants),
                record.reason,
                "yes" if record.by_hand else "no",
                json.dumps(dict(record.metadata), ensure_ascii=False, sort_keys=True)
                if record.metadata
                else "",
            )
        )


def to_call_back(record: CallRecord, me: UserId) -> tuple[UserId, ...]:
    """Return whom to call to answer or repeat a call: who placed it, or those it was placed to. Nobody for a room."""
    if record.kind is RecordKind.ROOM:
        return ()
    if record.by != me:
        return (record.by,)
    return tuple(person.user for person in record.people if person.user != me)


def csv_cell(text: str) -> str:
    """Return `text` so that no spreadsheet takes it for a formula (OWASP: CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(record: CallRecord, me: UserId, now: float, clock: Callable[[float], str]) -> HistoryRow:
    out = direction_of(record, me) is Direction.OUTGOING
    room = record.kind is RecordKind.ROOM
    mark, status = _STATUS[record.status]
    if record.by_hand:
        status = f"{status} (by hand)"
    return HistoryRow(
        id=record.id,
        when=clock(record.initiated_at),
        arrow="◆" if room else "↗" if out else "↘",
        direction="room" if room else direction_of(record, me).value,
        who=_who(record, me, out),
        kind=_KINDS.get(record.kind, record.kind.value),
        mark=mark,
        status=status,
        long=_long(record, now),
        room=record.cid,
        reason=record.reason,
        is_missed=record.status is RecordStatus.MISSED and not out,
    )


def _who(record: CallRecord, me: UserId, out: bool) -> str:
    if record.kind is RecordKind.ROOM:
        return record.title or record.cid
    if not out:
        return record.by_name or record.by
    others = [person.name or person.user for person in record.people if person.user not in (me, record.by)]
    hidden = max(0, record.participants - len(record.people))
    words = enumerate_names(others)
    return f"{words} and {hidden} more" if hidden else words or "nobody"


def _long(record: CallRecord, now: float) -> str:
    if record.status in GOING_ON:
        return "" if record.answered_at is None else duration(now - record.answered_at)
    return (
        duration(record.duration_seconds) if record.status in TALKED and record.duration_seconds >= 1 else ""
    )


def _person(user: UserId, name: str, answer: str) -> str:
    called = user if not name or name == user else f"{name} <{user}>"
    return f"{called} ({answer})" if answer else called


def _iso(at: float | None) -> str:
    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([csv_cell(cell) for cell in cells])
    return text.getvalue()
