from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.records import CallRecord, RecordedPerson, RecordKind, RecordStatus
from greenroom.views.history import CSV_COLUMNS, csv_cell, history_csv, history_rows

ANN, BO = UserId("ann"), UserId("bo")
CALL = CallRecord(
    id="r1",
    cid=Cid("default:x"),
    kind=RecordKind.AUDIO,
    status=RecordStatus.ENDED,
    by=ANN,
    by_name="Ann",
    initiated_at=0.0,
    answered_at=2.0,
    ended_at=67.0,
    duration_seconds=65.0,
    people=(RecordedPerson(ANN, "Ann", "caller"), RecordedPerson(BO, "Bo", "accepted")),
    participants=2,
)


@pytest.mark.parametrize(
    ("changed", "me", "words"),
    [
        pytest.param({}, ANN, ("↗", "Bo", "✓", "ended", "1 min"), id="we called"),
        pytest.param({}, BO, ("↘", "Ann", "✓", "ended", "1 min"), id="we were called"),
        pytest.param(
            {"status": RecordStatus.MISSED, "duration_seconds": 0.0},
            BO,
            ("↘", "Ann", "!", "missed", ""),
            id="missed",
        ),
        pytest.param(
            {"status": RecordStatus.ANSWERED, "ended_at": None},
            ANN,
            ("↗", "Bo", "●", "going on", "1 min"),
            id="now",
        ),
        pytest.param({"by_hand": True}, ANN, ("↗", "Bo", "✓", "ended (by hand)", "1 min"), id="reported"),
        pytest.param(
            {"kind": RecordKind.ROOM, "title": "Stand-up"},
            BO,
            ("◆", "Stand-up", "✓", "ended", "1 min"),
            id="a room",
        ),
        pytest.param({"participants": 9}, ANN, ("↗", "Bo and 7 more", "✓", "ended", "1 min"), id="many"),
    ],
)
def test_a_row_says_who_called_whom_and_what_became_of_it(
    changed: dict[str, Any], me: UserId, words: tuple[str, ...]
) -> None:
    (row,) = history_rows([replace(CALL, **changed)], me, 100.0, lambda at: f"at {at:g}")
    assert (row.arrow, row.who, row.mark, row.status, row.long) == words
    assert row.when == "at 0"
    assert row.is_missed == (changed.get("status") is RecordStatus.MISSED)


def test_a_csv_has_a_heading_and_a_line_for_each_record_with_times_in_utc() -> None:
    record = replace(CALL, title='A "quoted", title', metadata={"b": 2, "a": "ü"})
    heading, line = csv.reader(io.StringIO("".join(history_csv([record], BO))))
    assert tuple(heading) == CSV_COLUMNS
    found = dict(zip(heading, line, strict=True))
    assert found["initiated_at"] == "1970-01-01T00:00:00.000Z"
    assert (found["duration_seconds"], found["direction"], found["title"]) == (
        "65.000",
        "incoming",
        record.title,
    )
    assert found["people"] == "Ann <ann> (caller); Bo <bo> (accepted)"
    assert found["metadata"] == '{"a": "ü", "b": 2}'
    assert '"title"' not in heading


@given(st.sampled_from(list("=+-@\t\r\n＝＋－＠")), st.text(max_size=20))
def test_no_text_of_a_csv_is_a_formula(first: str, rest: str) -> None:
    hostile = first + rest
    people = (RecordedPerson(BO, hostile),)
    record = replace(CALL, title=hostile, by_name=hostile, reason=hostile, people=people)
    _, line = csv.reader(io.StringIO("".join(history_csv([record], None)), newline=""))
    assert not any(cell.startswith(tuple("=+-@\t\r\n＝＋－＠")) for cell in line)
    assert csv_cell(hostile) == f"'{hostile}"
