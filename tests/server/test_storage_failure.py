from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import (
    GetOrCreate,
    GoLive,
    Grant,
    GrantHand,
    Join,
    Leave,
    PostMessage,
    RaiseHand,
    Revoke,
    SetMicrophone,
)
from greenroom.protocol.wire import Done, Failed, Snapshot
from greenroom.server.serve import Server
from greenroom.storage.sql import SqlRepository
from tests.server.guest import CID, open_room, serving, token_for, visiting

pytestmark = pytest.mark.live
SPEAK = frozenset({Capability.SEND_AUDIO})


@contextmanager
def without_space(server: Server) -> Iterator[None]:
    """Let the database of `server` grow no more."""
    assert server._house is not None
    repository = server._house.repository
    assert isinstance(repository, SqlRepository)
    assert repository._engine is not None
    engine = repository._engine.sync_engine

    def full(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA max_page_count=1")

    def roomy(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA max_page_count=1000000")

    sa.event.listen(engine, "checkout", full)
    yield
    sa.event.remove(engine, "checkout", full)
    sa.event.listen(engine, "checkout", roomy)


async def test_a_full_disk_refuses_in_words_and_the_room_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join(), PostMessage("kept"))
        epoch = ann.replicas[CID].epoch
        with without_space(server):
            answers = [await ann.do(PostMessage("x" * 1_900)) for _ in range(10)]
            refused = [answer for answer in answers if isinstance(answer, Failed)]
            assert refused
            assert {answer.refusal.reason for answer in refused} == {Reason.UNAVAILABLE}
            await ann.hears(Snapshot, lambda snapshot: snapshot.epoch > epoch)
            assert {"ann", "bo"} <= set(ann.room().participants)  # nobody was thrown out
            await ann.done(SetMicrophone(True))  # what needs no disk works
            await bo.until(lambda: bo.room().participants[UserId("ann")].microphone)
            await bo.done(Leave(), Join())
        await ann.done(PostMessage("again"))
        await bo.until(lambda: bo.room().chat[-1].text == "again")
        kept = 10 - len(refused)
        assert len(ann.room().chat) == len(bo.room().chat) == 2 + kept
        assert lasting_texts(tmp_path) == [message.text for message in bo.room().chat]


def lasting_texts(data: Path) -> list[str]:
    with closing(sqlite3.connect(data / "greenroom.db")) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM messages ORDER BY position")]


async def test_a_room_that_could_not_be_kept_does_not_exist(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        with without_space(server):
            answers = [await ann.do(GetOrCreate(title="x" * 200)) for _ in range(2)]
            if all(isinstance(answer, Failed) for answer in answers):
                joined = await ann.do(Join())
                assert isinstance(joined, Failed)
                assert joined.refusal.reason is Reason.NOT_FOUND
        await ann.done(GetOrCreate(), Join(), GoLive())


async def test_a_locked_database_holds_up_what_must_be_kept_and_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join())
        with closing(sqlite3.connect(tmp_path / "greenroom.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await ann.done(SetMicrophone(True))
            posting = asyncio.create_task(ann.do(PostMessage("patience")))
            await bo.until(lambda: bo.room().participants[UserId("ann")].microphone)
            assert not posting.done()
            assert "patience" not in str(bo.room().chat)  # nothing is shown before it is kept
            other.execute("ROLLBACK")
        assert isinstance(await posting, Done)
        await bo.until(lambda: len(bo.room().chat) == 1)


async def test_a_database_that_stays_locked_refuses_within_six_seconds_and_undoes_the_decision(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join(), RaiseHand())
        with closing(sqlite3.connect(tmp_path / "greenroom.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            answer = await ann.do(GrantHand(UserId("bo")))
            assert time.monotonic() - started < 6.0
            assert isinstance(answer, Failed)
            assert answer.refusal.reason is Reason.UNAVAILABLE
            denied = await bo.do(SetMicrophone(True))
            assert isinstance(denied, Failed)
            assert denied.refusal.reason is Reason.MISSING_CAPABILITY
            other.execute("ROLLBACK")
        assert [hand.user for hand in ann.room().hands] == ["bo"]
        await ann.done(GrantHand(UserId("bo")), Revoke(UserId("bo"), SPEAK), Grant(UserId("bo"), SPEAK))
        await bo.done(SetMicrophone(True))
        assert ann.gaps == bo.gaps == 0
