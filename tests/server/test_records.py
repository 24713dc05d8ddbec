"""History over the real server: what happened is on record, and found again by who may see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.protocol.ids import ADMIN, ANONYMOUS, GUEST, Cid, UserId
from greenroom.protocol.records import (
    CallRecord,
    Direction,
    HistoryPage,
    QueryHistory,
    RecordCall,
    RecordKind,
    RecordStatus,
)
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import (
    AcceptRing,
    CancelRing,
    GetOrCreate,
    GoLive,
    Join,
    Leave,
    RejectRing,
    StartRing,
    StopLive,
)
from greenroom.protocol.wire import Answer, Failed, RingChanged
from tests.server.guest import CID, Guest, serving, token_for, visiting

ROOM = Cid("default:talk")
BO = UserId("bo")


async def history(guest: Guest, **wanted: Any) -> HistoryPage:
    answer = await guest.ask(QueryHistory(**wanted))
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.body, HistoryPage)
    return answer.body


async def eventually(guest: Guest, fits: Callable[[CallRecord], bool], **wanted: Any) -> CallRecord:
    """Return the newest record once it fits: what is no answer to a request is written within a quarter of a second."""
    async with asyncio.timeout(5.0):
        while True:
            page = await history(guest, **wanted)
            if page.records and fits(page.records[0]):
                return page.records[0]
            await asyncio.sleep(0.05)


def is_(status: RecordStatus) -> Callable[[CallRecord], bool]:
    return lambda record: record.status is status


async def refused(guest: Guest, question: QueryHistory | RecordCall) -> Reason:
    answer = await guest.ask(question)
    assert isinstance(answer, Failed), answer
    return answer.refusal.reason


async def test_a_call_is_on_record_from_its_first_ring_to_its_end_with_how_long_they_talked(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = [await visit.enter(token_for(tmp_path, user)) for user in ("ann", "bo")]
        await ann.done(StartRing((BO,), title="Hello", metadata={"ticket": 7}), cid=ROOM)
        (begun,) = (await history(ann)).records  # kept before it was acknowledged
        assert begun.status in (RecordStatus.INITIATED, RecordStatus.CALLING)
        assert (begun.title, begun.metadata, begun.kind) == ("Hello", {"ticket": 7}, RecordKind.AUDIO)
        await bo.done(AcceptRing(), Join(), cid=ROOM)
        await ann.done(Join(), cid=ROOM)
        talking = await eventually(ann, lambda record: record.answered_at is not None)
        assert (talking.status, talking.ended_at) == (RecordStatus.ANSWERED, None)
        await asyncio.sleep(0.3)
        await ann.done(CancelRing("bye"), cid=ROOM)
        over = await eventually(ann, is_(RecordStatus.ENDED))
        assert over.ended_at is not None
        assert over.answered_at is not None
        assert over.duration_seconds == pytest.approx(over.ended_at - over.answered_at, abs=0.002)
        assert 0.25 < over.duration_seconds < 3.0
        caller, called = over.of(UserId("ann")), over.of(BO)
        assert caller is not None
        assert called is not None
        assert (caller.answer, called.answer) == ("caller", "accepted")
        assert called.seconds >= 0.3
        assert [record.id for record in (await history(bo)).records] == [begun.id]  # one call, one record


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(RejectRing("later"), RecordStatus.DECLINED, id="declined"),
        pytest.param(RejectRing(busy=True), RecordStatus.DECLINED, id="busy"),
        pytest.param(CancelRing(), RecordStatus.CANCELLED, id="the caller hung up"),
    ],
)
async def test_a_call_nobody_took_is_on_record_as_what_it_was(
    tmp_path: Path, answer: RejectRing | CancelRing, status: RecordStatus
) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = [await visit.enter(token_for(tmp_path, user)) for user in ("ann", "bo")]
        await ann.done(StartRing((BO,)), cid=ROOM)
        await bo.hears(RingChanged)
        await (ann if isinstance(answer, CancelRing) else bo).done(answer, cid=ROOM)
        record = await eventually(ann, is_(status))
        assert (record.duration_seconds, record.answered_at) == (0.0, None)
        assert (await history(bo)).records[0].status is status


async def test_a_room_is_on_record_from_when_it_was_live_until_it_was_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo, cy = [await visit.enter(token_for(tmp_path, user)) for user in ("ann", "bo", "cy")]
        await ann.done(GetOrCreate(title="Stand-up"), Join())
        assert (await history(ann)).records == ()  # backstage
        await ann.done(GoLive())
        await bo.done(Join())
        await bo.done(Leave())
        record = await eventually(ann, lambda record: record.participants == 2)
        assert (record.kind, record.status, record.title) == (
            RecordKind.ROOM,
            RecordStatus.ANSWERED,
            "Stand-up",
        )
        assert (record.by, record.ended_at) == ("ann", None)
        await ann.done(StopLive())
        over = await eventually(bo, is_(RecordStatus.ENDED))
        assert over.id == record.id
        left = over.of(BO)
        assert left is not None
        assert left.left_at is not None
        assert over.ended_at is not None
        assert left.left_at <= over.ended_at
        assert (await history(cy)).records == ()
        await ann.done(GoLive())
        again = await eventually(ann, is_(RecordStatus.ANSWERED))
        assert again.id != over.id


async def test_an_empty_room_that_fills_again_at_once_goes_on_in_one_record(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await ann.done(GetOrCreate(), Join(), Leave(), cid=ROOM)
        first = await eventually(ann, is_(RecordStatus.ENDED))
        await ann.done(Join(), cid=ROOM)
        again = await eventually(ann, is_(RecordStatus.ANSWERED))
        assert (again.id, again.initiated_at) == (first.id, first.initiated_at)
        assert len((await history(ann)).records) == 1


async def put(guest: Guest, key: str, **wanted: Any) -> CallRecord:
    values: dict[str, Any] = {"cid": ROOM, "kind": RecordKind.AUDIO, "status": RecordStatus.ENDED, **wanted}
    answer = await guest.ask(RecordCall(key, **values))
    assert isinstance(answer, Answer), answer
    assert isinstance(answer.body, HistoryPage)
    return answer.body.records[0]


async def test_a_record_made_by_hand_is_ones_own_and_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = [await visit.enter(token_for(tmp_path, user)) for user in ("ann", "bo")]
        admin = await visit.enter(token_for(tmp_path, "root", role=ADMIN))
        made = await put(
            ann, "k", duration_seconds=90.0, people=(BO,), metadata={"crm": "a\x1b[1mb"}, title="Sale"
        )
        assert (made.by_hand, made.by, made.duration_seconds) == (True, "ann", 90.0)
        assert (await history(ann)).records == (made,)
        assert (await history(bo)).records == ()  # nobody can plant calls in somebody else's history
        assert made.metadata == {"crm": "a[1mb"}
        same = await put(ann, "k", duration_seconds=91.0)
        assert same.id == made.id
        assert [record.duration_seconds for record in (await history(ann)).records] == [91.0]
        assert (await put(bo, "k")).id != made.id
        await put(admin, "k", people=(BO,))
        assert {record.by for record in (await history(bo)).records} == {"bo", "root"}
        assert len((await history(admin, everyone=True)).records) == 3
        assert [record.by for record in (await history(admin, of=UserId("ann"))).records] == ["ann"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"key": "no key"},
        {"duration_seconds": -1.0},
        {"duration_seconds": 1e9},
        {"initiated_at": 1e12},
        {"people": (UserId("a b"),)},
        {"cid": Cid("rubbish")},
        {"metadata": {"x": "y" * 5000}},
    ],
)
async def test_a_record_that_makes_no_sense_is_refused(tmp_path: Path, wanted: dict[str, Any]) -> None:
    values = {"key": "k", "cid": ROOM, "kind": RecordKind.AUDIO, "status": RecordStatus.ENDED, **wanted}
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        assert await refused(ann, RecordCall(**values)) in (
            Reason.INVALID,
            Reason.NOT_FOUND,
            Reason.TOO_LARGE,
        )
        assert (await history(ann)).records == ()


async def test_people_see_their_own_calls_and_admins_all(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        guest = await visit.enter(token_for(tmp_path, "g", role=GUEST, bound_to=CID))
        listener = await visit.enter(token_for(tmp_path, "l", role=ANONYMOUS, bound_to=CID))
        assert await refused(ann, QueryHistory(everyone=True)) is Reason.UNAUTHORIZED
        assert await refused(ann, QueryHistory(of=BO)) is Reason.UNAUTHORIZED
        assert await refused(listener, QueryHistory()) is Reason.UNAUTHORIZED
        assert (
            await refused(guest, RecordCall("k", ROOM, RecordKind.AUDIO, RecordStatus.ENDED))
            is Reason.NOT_FOUND
        )
        assert await refused(ann, QueryHistory(after="rubbish")) is Reason.INVALID
        assert await refused(ann, QueryHistory(after="1.0~a", before="1.0~a")) is Reason.INVALID
        assert (await history(guest)).records == ()


async def test_pages_stay_right_in_both_directions_while_calls_are_added(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        start = time.time() - 1000.0
        ids = [
            (await put(ann, f"k{number}", initiated_at=start + number // 2)).id for number in range(9)
        ]  # two at each moment
        everything = [record.id for record in (await history(ann)).records]
        assert sorted(everything) == sorted(ids)
        seen: list[str] = []
        pages: list[HistoryPage] = [await history(ann, limit=4)]
        await put(ann, "newer", initiated_at=start + 100)
        while pages[-1].older is not None:
            pages.append(await history(ann, limit=4, after=pages[-1].older))
        for page in pages:
            seen += [record.id for record in page.records]
        assert seen == everything
        back = await history(ann, limit=4, before=pages[-1].newer)
        assert [record.id for record in back.records] == [record.id for record in pages[1].records]
        assert pages[0].newer is None
        top = await history(ann, limit=4, before=pages[1].newer)
        assert [record.id for record in top.records] == everything[:4]
        assert top.newer is not None  # the call that was added meanwhile


async def test_filters_find_what_they_say(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo, admin = [
            await visit.enter(token_for(tmp_path, "ann")),
            await visit.enter(token_for(tmp_path, "bo")),
            await visit.enter(token_for(tmp_path, "root", role=ADMIN)),
        ]
        await ann.done(StartRing((BO,)), cid=ROOM)
        await bo.done(RejectRing(), cid=ROOM)
        await eventually(ann, is_(RecordStatus.DECLINED))
        await put(ann, "old", initiated_at=1000.0, status=RecordStatus.FAILED, kind=RecordKind.P2P)

        async def found(guest: Guest = ann, **wanted: Any) -> list[RecordStatus]:
            return [record.status for record in (await history(guest, **wanted)).records]

        declined, failed = RecordStatus.DECLINED, RecordStatus.FAILED
        assert await found() == [declined, failed]
        assert await found(since=2000.0) == [declined]
        assert await found(until=2000.0) == [failed]
        assert await found(kinds=(RecordKind.P2P,)) == [failed]
        assert await found(statuses=(declined, RecordStatus.MISSED)) == [declined]
        assert await found(participant=BO) == [declined]
        assert await found(participant=UserId("nobody")) == []
        assert await found(cid=CID) == []
        assert await found(direction=Direction.OUTGOING) == [declined, failed]
        assert await found(direction=Direction.INCOMING) == []
        assert await found(bo, direction=Direction.INCOMING) == [declined]
        assert await found(admin, of=BO, direction=Direction.INCOMING) == [declined]
        assert await found(admin, everyone=True, participant=BO) == [declined]
