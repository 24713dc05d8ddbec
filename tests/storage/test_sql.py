from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from greenroom.errors import StorageFailed
from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.ids import GUEST, Cid, MessageId, OpId, UserId
from greenroom.protocol.wire import RoomFilter
from greenroom.storage import migrate, schema
from greenroom.storage.base import Add, Change, Drop, Put, Row, RowChange, StoredSession
from greenroom.storage.changes import json_text, session_change
from greenroom.storage.sql import SqlRepository, async_url, sqlite_url

CID = Cid("audio_room:standup")


@asynccontextmanager
async def opened(file: Path) -> AsyncIterator[SqlRepository]:
    repository = SqlRepository(sqlite_url(file))
    await repository.open()
    try:
        yield repository
    finally:
        await repository.close()


def a_room(
    cid: Cid = CID, title: str = "Stand-up", live: bool = True, ended_at: float | None = None, at: float = 1.0
) -> RowChange:
    return Put(
        "rooms",
        {
            "cid": cid,
            "title": title,
            "created_by": "ann",
            "created_at": at,
            "settings": json_text(AUDIO_ROOM.settings),
            "grants": json_text(AUDIO_ROOM.grants),
            "live": live,
            "live_since": None,
            "starts_at": None,
            "ended_at": ended_at,
            "active_at": at,
        },
    )


def a_message(id: str, text: str = "hello") -> RowChange:
    row: Row = {"cid": CID, "id": id, "user": "ann", "name": "Ann", "text": text, "at": 1.0}
    return Add("messages", {**row, "edited_at": None, "deleted_by": None})


async def test_the_database_is_private_and_safe_against_power_cuts(tmp_path: Path) -> None:
    async with opened(tmp_path / "deep" / "a.db") as repository:
        await repository.commit([a_room()])
        assert (tmp_path / "deep" / "a.db").stat().st_mode & 0o777 == 0o600
        assert repository._engine is not None
        async with repository._engine.connect() as connection:
            found = [
                (await connection.execute(sa.text(f"PRAGMA {name}"))).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        assert found == ["wal", 2, 1, 5000]


def test_migrating_makes_the_tables_a_new_database_has(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE something_else (a INTEGER)"))  # so it is not a new database
        migrate.migrate(connection)
        connection.execute(sa.text("DROP TABLE something_else"))
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        assert migrate._version(connection) == migrate.HEAD
    engine.dispose()


def test_the_newest_script_is_the_version_this_program_knows() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert scripts.get_current_head() == migrate.HEAD
    assert [script.revision for script in reversed(list(scripts.walk_revisions()))] == list(migrate.KNOWN)


async def test_a_database_of_a_newer_greenroom_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db"):
        pass
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StorageFailed, match="newer"):
        await SqlRepository(sqlite_url(tmp_path / "a.db")).open()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x/y", "not supported"),
        ("what is this", "cannot be read"),
        ("sqlite:////proc/nowhere/a.db", "cannot use"),
    ],
)
async def test_a_database_that_cannot_be_used_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(StorageFailed, match=words):
        await SqlRepository(url).open()


def test_urls_need_not_name_a_driver() -> None:
    assert async_url("postgresql://a@b/c").drivername == "postgresql+asyncpg"
    assert async_url("sqlite:///a.db").drivername == "sqlite+aiosqlite"


async def test_a_transaction_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as repository:
        with pytest.raises(StorageFailed):
            await repository.commit([a_room(), Add("messages", {"cid": "audio_room:nowhere", "id": "1"})])
        assert await repository.room(CID) is None


async def test_an_error_does_not_say_what_people_wrote(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as repository:
        await repository.commit([a_room(), a_message("1")])
        with pytest.raises(StorageFailed) as caught:
            await repository.commit([a_message("1", "my secret")])
        assert "secret" not in str(caught.value)


async def test_chat_is_read_in_pages_and_deleted_text_is_erased(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as repository:
        await repository.commit([a_room(), *(a_message(str(n), f"text {n}") for n in range(250))])
        newest, earlier = await repository.messages(CID, None, 100)
        assert [message.id for message in newest] == [str(n) for n in range(150, 250)]
        assert earlier
        oldest, earlier = await repository.messages(CID, MessageId("100"), 100)
        assert [message.id for message in oldest] == [str(n) for n in range(100)]
        assert not earlier
        room = await repository.room(CID)
        assert room is not None
        assert len(room.chat) == 100
        await repository.commit(
            [Change("messages", {"cid": CID, "id": "7"}, {"text": "", "deleted_by": "ann"})]
        )
        assert (await repository.message(CID, MessageId("7"))) is not None
    connection = sqlite3.connect(tmp_path / "a.db")
    assert connection.execute("SELECT text FROM messages WHERE id = '7'").fetchone() == ("",)
    connection.close()


async def test_rooms_are_found_by_what_is_asked(tmp_path: Path) -> None:
    rooms = [
        a_room(Cid("audio_room:a"), "100 % sound", at=3.0),
        a_room(Cid("audio_room:b"), "Quiet", live=False, at=1.0),
        a_room(Cid("default:c"), "Zoo", at=2.0),
        a_room(Cid("audio_room:d"), "Over", live=False, ended_at=9.0, at=9.0),
    ]
    member = Put(
        "members", {"cid": "audio_room:b", "user": "bo", "name": "Bo", "role": "host", "position": 0}
    )

    async def found(wanted: RoomFilter, sort: str = "activity") -> list[str]:
        return [room.cid.partition(":")[2] for room in await repository.rooms(wanted, sort, 0, 10)]

    async with opened(tmp_path / "a.db") as repository:
        await repository.commit([*rooms, member])
        assert await found(RoomFilter()) == ["a", "c", "b"]
        assert await found(RoomFilter(), "title") == ["a", "b", "c"]
        assert await found(RoomFilter(), "created") == ["a", "c", "b"]
        assert await found(RoomFilter(live=False)) == ["b"]
        assert await found(RoomFilter(call_type="default")) == ["c"]
        assert await found(RoomFilter(text="%")) == ["a"]
        assert await found(RoomFilter(text="ZOO")) == ["c"]
        assert await found(RoomFilter(member=UserId("bo"))) == ["b"]
        assert await found(RoomFilter(include_ended=True)) == ["d", "a", "c", "b"]
        assert [room.cid for room in await repository.rooms(RoomFilter(), "activity", 1, 1)] == ["default:c"]


async def test_who_was_connected_may_come_back_after_a_restart(tmp_path: Path) -> None:
    ann = StoredSession(UserId("ann"), "hash", "Ann", GUEST, "earlier", CID, (CID,))
    gone = StoredSession(UserId("bo"), "other", "Bo", GUEST, expires_at=50.0)
    async with opened(tmp_path / "a.db") as repository:
        assert await repository.begin(10.0, 120.0) == 1
        await repository.commit([session_change(ann), session_change(gone)])
    async with opened(tmp_path / "a.db") as repository:
        assert await repository.begin(100.0, 120.0) == 2
        back = await repository.session("hash")
        assert back == StoredSession(UserId("ann"), "hash", "Ann", GUEST, "earlier", CID, (CID,), 220.0)
        assert await repository.session("earlier") == back
        assert await repository.session("other") is None
        assert await repository.session("") is None


async def test_operations_are_forgotten_after_a_while(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as repository:
        await repository.commit(
            [Put("operations", {"user": "ann", "op": str(n), "at": float(n)}) for n in range(10)]
        )
        assert await repository.operations(8.0) == (
            (UserId("ann"), OpId("8"), 8.0),
            (UserId("ann"), OpId("9"), 9.0),
        )
        assert len(await repository.operations(0.0)) == 2


async def test_what_was_spoken_adds_up(tmp_path: Path) -> None:
    def spoke(user: str, started: float, ended: float) -> RowChange:
        return Add("spoken", {"cid": CID, "user": user, "started_at": started, "ended_at": ended})

    async with opened(tmp_path / "a.db") as repository:
        await repository.commit(
            [a_room(), spoke("ann", 1.0, 3.5), spoke("bo", 3.0, 4.0), spoke("ann", 5.0, 6.0)]
        )
        assert await repository.talked_seconds(CID) == {"ann": 3.5, "bo": 1.0}


async def test_a_locked_database_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as repository:
        await repository.commit([a_room()])
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(repository.commit([a_message("1")]))
        assert await repository.room(CID) is not None  # readers do not wait
        other.execute("ROLLBACK")
        await asyncio.wait_for(waiting, 5.0)
        other.close()
        assert await repository.message(CID, MessageId("1")) is not None


async def test_a_full_disk_is_refused_and_space_is_found_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as repository:
        await repository.commit([a_room(), a_message("1")])
        assert repository._engine is not None
        sync_engine = repository._engine.sync_engine

        def full(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute("PRAGMA max_page_count=1")

        sa.event.listen(sync_engine, "checkout", full)
        with pytest.raises(StorageFailed, match="full"):
            await repository.commit([a_message(str(n), "x" * 4000) for n in range(2, 30)])
        sa.event.remove(sync_engine, "checkout", full)
        sa.event.listen(sync_engine, "checkout", lambda c, *_: c.execute("PRAGMA max_page_count=1000000"))
        await repository.commit([a_message(str(n), "x" * 4000) for n in range(2, 30)])
        assert (await repository.message(CID, MessageId("29"))) is not None


async def test_dropping_what_is_not_there_is_quiet(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as repository:
        await repository.commit(
            [Drop("hands", {"cid": CID, "user": "ann"}), Change("rooms", {"cid": CID}, {"live": True})]
        )
        assert await repository.room(CID) is None
