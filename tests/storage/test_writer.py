from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from greenroom.errors import StorageFailed
from greenroom.protocol.ids import OpId, UserId
from greenroom.storage.base import Add, Put, RowChange
from greenroom.storage.sql import SqlRepository, sqlite_url
from greenroom.storage.writer import Writer


class Counted(SqlRepository):
    """The real thing, counting transactions."""

    transactions = 0

    async def commit(self, changes: Sequence[RowChange]) -> None:
        self.transactions += 1
        await super().commit(changes)


@asynccontextmanager
async def writing(file: Path) -> AsyncIterator[tuple[Counted, Writer]]:
    repository = Counted(sqlite_url(file))
    await repository.open()
    writer = Writer(repository)
    writer.start()
    try:
        yield repository, writer
    finally:
        await writer.close()
        await repository.close()


def done(op: int) -> RowChange:
    return Put("operations", {"user": "ann", "op": str(op), "at": float(op)})


async def test_what_is_decided_while_a_commit_runs_is_the_next_transaction(tmp_path: Path) -> None:
    async with writing(tmp_path / "a.db") as (repository, writer):
        await asyncio.gather(*(writer.commit([done(op)]) for op in range(500)))
        assert repository.transactions <= 3
        assert len(await repository.operations(0.0)) == 500


async def test_a_commit_returns_when_it_is_on_disk(tmp_path: Path) -> None:
    async with writing(tmp_path / "a.db") as (_, writer):
        await writer.commit([done(1)])
        other = sqlite3.connect(tmp_path / "a.db")
        assert other.execute("SELECT count(*) FROM operations").fetchone() == (1,)
        other.close()


async def test_a_commit_that_fails_says_so_and_the_next_one_succeeds(tmp_path: Path) -> None:
    async with writing(tmp_path / "a.db") as (repository, writer):
        with pytest.raises(StorageFailed):
            await writer.commit([Add("messages", {"cid": "audio_room:nowhere", "id": "1"})])
        await writer.commit([done(1)])
        assert await repository.operations(0.0) == ((UserId("ann"), OpId("1"), 1.0),)


async def test_the_journal_is_kept_without_anybody_waiting(tmp_path: Path) -> None:
    async with writing(tmp_path / "a.db") as (repository, writer):
        for op in range(50):
            writer.journal(done(op))
        assert repository.transactions == 0
        async with asyncio.timeout(5.0):
            while not await repository.operations(0.0):
                await writer.commit([done(0)])
    assert repository.transactions <= 60


async def test_closing_keeps_what_was_waiting_and_takes_no_more(tmp_path: Path) -> None:
    async with writing(tmp_path / "a.db") as (repository, writer):
        writer.journal(done(1))
        waiting = asyncio.create_task(writer.commit([done(2)]))
        await asyncio.sleep(0)
        await writer.close()
        await waiting
        assert len(await repository.operations(0.0)) == 2
        with pytest.raises(StorageFailed):
            await writer.commit([done(3)])
        await writer.close()
