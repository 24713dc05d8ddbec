from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.records import (
    CallRecord,
    Direction,
    RecordKind,
    RecordStatus,
    cursor,
    direction_of,
    parse_cursor,
    record_of,
    resolved,
    seen_by,
)
from greenroom.protocol.ringing import EndReason, Ring, RingAnswer, RingId, RingKind, RingPhase, Rung

ANN, BO, CY = UserId("ann"), UserId("bo"), UserId("cy")
BO_RUNG = Rung(BO, "Bo", ANN, "Ann", 1.0)
RING = Ring(
    RingId("r1"), Cid("default:x"), ANN, "Ann", 1.0, (BO_RUNG,), title="Hello", metadata={"ticket": 7}
)
OVER: dict[str, Any] = {"phase": RingPhase.ENDED, "ended_at": 9.0}


@pytest.mark.parametrize(
    ("ring", "status", "seconds"),
    [
        pytest.param(RING, RecordStatus.INITIATED, 0.0, id="nobody was reached yet"),
        pytest.param(
            replace(RING, rung=(replace(BO_RUNG, reached=True),)), RecordStatus.CALLING, 0.0, id="it rings"
        ),
        pytest.param(
            replace(RING, rung=(replace(BO_RUNG, answer=RingAnswer.ACCEPTED),)),
            RecordStatus.ANSWERED,
            0.0,
            id="yes",
        ),
        pytest.param(
            replace(RING, phase=RingPhase.CONNECTED, connected_at=3.0),
            RecordStatus.ANSWERED,
            0.0,
            id="they talk",
        ),
        pytest.param(
            replace(RING, **OVER, connected_at=3.0, outcome=EndReason.ENDED),
            RecordStatus.ENDED,
            6.0,
            id="talked",
        ),
        pytest.param(
            replace(RING, **OVER, outcome=EndReason.DECLINED), RecordStatus.DECLINED, 0.0, id="declined"
        ),
        pytest.param(replace(RING, **OVER, outcome=EndReason.BUSY), RecordStatus.DECLINED, 0.0, id="busy"),
        pytest.param(replace(RING, **OVER, outcome=EndReason.MISSED), RecordStatus.MISSED, 0.0, id="missed"),
        pytest.param(
            replace(RING, **OVER, outcome=EndReason.CANCELLED), RecordStatus.CANCELLED, 0.0, id="cancelled"
        ),
        pytest.param(replace(RING, **OVER, outcome=EndReason.FAILED), RecordStatus.FAILED, 0.0, id="failed"),
        pytest.param(replace(RING, **OVER), RecordStatus.FAILED, 0.0, id="over, and nobody said how"),
    ],
)
def test_a_ring_goes_on_record_by_what_became_of_it(ring: Ring, status: RecordStatus, seconds: float) -> None:
    record = record_of(ring)
    assert (record.status, record.duration_seconds) == (status, seconds)
    assert (record.id, record.cid, record.title, record.metadata) == (
        "r1",
        "default:x",
        "Hello",
        {"ticket": 7},
    )
    assert [person.user for person in record.people] == [ANN, BO]


def test_every_outcome_of_a_ring_has_a_status() -> None:
    for outcome in EndReason:
        assert record_of(replace(RING, **OVER, outcome=outcome)).status not in (
            RecordStatus.INITIATED,
            RecordStatus.CALLING,
            RecordStatus.ANSWERED,
        )


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, RecordKind.AUDIO),
        ({"kind": RingKind.VIDEO}, RecordKind.VIDEO),
        ({"p2p": True}, RecordKind.P2P),
        ({"group": True, "p2p": True}, RecordKind.GROUP),
    ],
)
def test_the_kind_says_how_it_was_placed(changed: dict[str, Any], kind: RecordKind) -> None:
    assert record_of(replace(RING, **changed)).kind is kind


def test_a_call_others_took_is_missed_for_who_did_not() -> None:
    rung = (
        replace(BO_RUNG, answer=RingAnswer.ACCEPTED),
        Rung(CY, "Cy", ANN, "Ann", 1.0, answer=RingAnswer.MISSED),
    )
    record = record_of(replace(RING, **OVER, rung=rung, connected_at=3.0, outcome=EndReason.ENDED))
    assert (seen_by(record, CY).status, seen_by(record, CY).duration_seconds) == (RecordStatus.MISSED, 0.0)
    for other in (ANN, BO, None):
        assert seen_by(record, other) == record
    assert [direction_of(record, user) for user in (ANN, BO)] == [Direction.OUTGOING, Direction.INCOMING]


@pytest.mark.parametrize(
    ("status", "answered", "ended"),
    [
        (RecordStatus.INITIATED, False, RecordStatus.FAILED),
        (RecordStatus.CALLING, False, RecordStatus.FAILED),
        (RecordStatus.ANSWERED, False, RecordStatus.FAILED),
        (RecordStatus.ANSWERED, True, RecordStatus.ENDED),
    ],
)
def test_what_a_crash_left_open_ended_if_people_talked_and_failed_if_not(
    status: RecordStatus, answered: bool, ended: RecordStatus
) -> None:
    assert resolved(status, answered) is ended


def test_a_place_in_the_history_is_read_back_exactly_and_rubbish_is_none() -> None:
    assert parse_cursor(cursor(1763712345.1234567, "r-1")) == (1763712345.1234567, "r-1")
    for rubbish in ("", "1.0", "~x", "nan~x", "inf~x", "x~1", "1e999~x", "\x00" * 200):
        assert parse_cursor(rubbish) is None


def test_a_record_reads_as_plain_data() -> None:
    record = CallRecord("a", Cid("default:x"), RecordKind.AUDIO, RecordStatus.MISSED, ANN, "Ann", 1.0)
    assert record.of(BO) is None
