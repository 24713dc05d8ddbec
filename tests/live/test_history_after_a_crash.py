"""After `kill -9` in the middle of calls: none is lost from the history, and none goes on for ever."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import pytest

from greenroom.hosting import start_server_async
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.records import CallRecord, HistoryPage, QueryHistory, RecordKind, RecordStatus
from greenroom.protocol.requests import AcceptRing, GetOrCreate, GoLive, Join, StartRing
from greenroom.protocol.wire import Answer, RingChanged
from tests.server.guest import Guest, token_for, visiting

pytestmark = pytest.mark.live

TALKS, RINGS = Cid("default:talks"), Cid("default:rings")
ROOM = Cid("audio_room:standup")
ANN, BO, CY, DI = UserId("ann"), UserId("bo"), UserId("cy"), UserId("di")


async def history(guest: Guest) -> dict[str, CallRecord]:
    answer = await guest.ask(QueryHistory())
    assert isinstance(answer, Answer)
    assert isinstance(answer.body, HistoryPage)
    return {record.cid: record for record in answer.body.records}


async def test_no_call_is_lost_by_a_crash_and_none_goes_on_for_ever(tmp_path: Path) -> None:
    process = await start_server_async(data_dir=str(tmp_path), media_workers=0)
    try:
        async with visiting(process.url) as visit:
            ann, bo, cy = [await visit.enter(token_for(tmp_path, user)) for user in (ANN, BO, CY)]
            await ann.done(StartRing((BO,)), cid=TALKS)
            await bo.done(AcceptRing(), Join(), cid=TALKS)
            await ann.done(Join(), cid=TALKS)
            await ann.hears(RingChanged, lambda changed: changed.ring.connected_at is not None)
            await cy.done(GetOrCreate(), Join(), GoLive(), cid=ROOM)
            async with asyncio.timeout(5.0):
                while True:  # what is no answer to a request is kept within a quarter of a second
                    kept = {**await history(ann), **await history(cy)}
                    if ROOM in kept and kept[TALKS].answered_at is not None:
                        break
                    await asyncio.sleep(0.05)
            await cy.done(StartRing((DI,)), cid=RINGS)  # acknowledged: on record from now on
            killed_at = time.time()
            process.kill()
    finally:
        process.kill()
    process = await start_server_async(data_dir=str(tmp_path), media_workers=0)
    try:
        async with visiting(process.url) as visit:
            ann, bo, cy, di = [await visit.enter(token_for(tmp_path, user)) for user in (ANN, BO, CY, DI)]
            talked, rang, live = (
                (await history(ann))[TALKS],
                (await history(cy))[RINGS],
                (await history(cy))[ROOM],
            )
            assert (talked.status, rang.status, live.status) == (
                RecordStatus.ENDED,
                RecordStatus.FAILED,
                RecordStatus.ENDED,
            )
            for record in (talked, rang, live):
                assert record.reason == "the server stopped"
                assert record.ended_at is not None
                assert record.initiated_at <= record.ended_at <= killed_at + 1.0
            assert talked.answered_at is not None
            assert talked.duration_seconds == pytest.approx(
                (talked.ended_at or 0) - talked.answered_at, abs=0.01
            )
            assert (await history(di))[RINGS].status is RecordStatus.MISSED  # for who was rung
            assert live.kind is RecordKind.ROOM

            # Whoever comes back in a moment goes on where the record was.
            await cy.done(Join(), cid=ROOM)
            async with asyncio.timeout(5.0):
                while (await history(cy))[ROOM].status is not RecordStatus.ANSWERED:  # noqa: ASYNC110  asked of a server
                    await asyncio.sleep(0.05)
            assert (await history(cy))[ROOM].id == live.id
            assert len(await history(cy)) == 2
    finally:
        process.close()


async def test_a_server_that_was_ended_in_order_leaves_nothing_open(tmp_path: Path) -> None:
    process = await start_server_async(data_dir=str(tmp_path), media_workers=0)
    room = Cid(f"default:{secrets.token_hex(4)}")
    async with visiting(process.url) as visit:
        ann = await visit.enter(token_for(tmp_path, ANN))
        await ann.done(StartRing((BO,)), cid=room)
        await asyncio.to_thread(process.close)
    process = await start_server_async(data_dir=str(tmp_path), media_workers=0)
    try:
        async with visiting(process.url) as visit:
            ann = await visit.enter(token_for(tmp_path, ANN))
            record = (await history(ann))[room]
            assert record.ended_at is not None
            assert record.status in (RecordStatus.FAILED, RecordStatus.CANCELLED, RecordStatus.MISSED)
    finally:
        process.close()
