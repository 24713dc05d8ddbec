"""The repository on SQLAlchemy Core: SQLite (WAL) in a file, or PostgreSQL by URL, with the same statements."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from greenroom.errors import StorageFailed
from greenroom.protocol.call_types import CallType, Settings
from greenroom.protocol.ids import Cid, MessageId, OpId, Role, UserId
from greenroom.protocol.permissions import Capability, Grants, Override
from greenroom.protocol.room import CHAT_TAIL, Block, Hand, Invitation, Member, Message, Room
from greenroom.protocol.wire import RoomFilter
from greenroom.storage import schema
from greenroom.storage.base import Add, Change, Drop, Put, RowChange, StoredSession
from greenroom.storage.call_urls import StoredUrls
from greenroom.storage.migrate import migrate
from greenroom.storage.records import StoredRecords, resolve_open
from greenroom.storage.untold import UntoldCalls

BUSY_SECONDS = 5.0
logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # at DEBUG it writes down what people said
T = TypeVar("T")
_ORDERS: Mapping[str, tuple[sa.ColumnElement[Any], ...]] = {
    "activity": (schema.rooms.c.active_at.desc(),),
    "created": (schema.rooms.c.created_at.desc(),),
    "title": (sa.func.lower(schema.rooms.c.title),),
    "starts_at": (schema.rooms.c.starts_at.is_(None), schema.rooms.c.starts_at),
}


def sqlite_url(file: Path) -> str:
    """Return the URL of the SQLite database in `file`."""
    return sa.URL.create("sqlite+aiosqlite", database=str(file)).render_as_string(hide_password=False)


def async_url(url: str) -> sa.URL:
    """Return `url` with the asynchronous driver we use. Raises `StorageFailed` for other databases.

    `sqlite:///file`, `postgresql://user@host/name` and their explicit async forms are known.
    """
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise StorageFailed("the database URL cannot be read; write e.g. sqlite:///greenroom.db") from None
    drivers = {
        "sqlite": "sqlite+aiosqlite",
        "postgresql": "postgresql+asyncpg",
        "postgres": "postgresql+asyncpg",
    }
    name = drivers.get(parsed.drivername, parsed.drivername)
    if name not in drivers.values():
        raise StorageFailed(
            f"databases of kind '{parsed.drivername}' are not supported; use sqlite or postgresql"
        )
    return parsed.set(drivername=name)


class SqlRepository:
    """One database. `open` before use."""

    def __init__(self, url: str) -> None:
        self._url = async_url(url)
        self._engine: AsyncEngine | None = None
        self.call_urls = StoredUrls(self._connected)
        self.records = StoredRecords(self._connected)
        self.untold_calls = UntoldCalls(self._connected)

    @property
    def _is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    async def open(self) -> None:
        """Connect and migrate. A new SQLite file is readable by its owner only."""
        if self._is_sqlite and self._url.database not in (None, "", ":memory:"):
            await asyncio.to_thread(_make_private, Path(str(self._url.database)))
        try:
            engine = create_async_engine(self._url, pool_pre_ping=not self._is_sqlite)
        except (NoSuchModuleError, ModuleNotFoundError):
            raise StorageFailed("PostgreSQL needs the package asyncpg: pip install asyncpg") from None
        if self._is_sqlite:
            sa.event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        self._engine = engine
        try:
            async with self._connected("open the database") as connection:
                await connection.run_sync(migrate)
                await connection.commit()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect."""
        engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(SQLAlchemyError, OSError, sqlite3.Error):
                await engine.dispose()

    async def begin(self, now: float, grace_seconds: float) -> int:
        """Count this start; whoever was connected may resume within `grace_seconds`."""
        server, sessions, participations = schema.server, schema.sessions, schema.participations
        async with self._connected("begin") as connection:
            found = await connection.execute(sa.select(server.c.value).where(server.c.name == "begun"))
            begun = int(found.scalar() or 0) + 1
            await connection.execute(
                self._put(server, ("name", "value")), [{"name": "begun", "value": begun}]
            )
            await connection.execute(
                sa.update(sessions)
                .where(sessions.c.expires_at.is_(None))
                .values(expires_at=now + grace_seconds)
            )
            await connection.execute(sa.delete(sessions).where(sessions.c.expires_at < now))
            alive_at = await resolve_open(connection, now)
            until = now if alive_at is None else alive_at
            here = participations.c.joined_at
            await connection.execute(
                sa.update(participations)
                .where(participations.c.left_at.is_(None))
                .values(left_at=sa.case((here > until, here), else_=until), reason="restart")
            )
            await connection.commit()
        return begun

    async def commit(self, changes: Sequence[RowChange]) -> None:
        """Keep all of `changes` in one transaction; neighbours of one kind are sent together."""
        async with self._connected("keep a change") as connection:
            for (kind, table, columns), run in groupby(changes, _kind):
                statement, rows = (
                    self._statement(kind, table, columns),
                    [_parameters(change) for change in run],
                )
                await connection.execute(statement, rows)
            await connection.commit()

    async def room(self, cid: Cid) -> Room | None:
        """Return a room, or None."""
        async with self._connected("read a room") as connection:
            found = await connection.execute(sa.select(schema.rooms).where(schema.rooms.c.cid == cid))
            assembled = await _assemble(connection, found.mappings().all())
            if not assembled:
                return None
            tail, _ = await _messages(connection, cid, None, CHAT_TAIL)
            return msgspec.structs.replace(assembled[0], chat=tail)

    async def rooms(self, wanted: RoomFilter, sort: str, offset: int, limit: int) -> tuple[Room, ...]:
        """Return rooms that match, without chat."""
        rooms = schema.rooms
        query = sa.select(rooms).order_by(*_ORDERS.get(sort, _ORDERS["activity"]), rooms.c.cid)
        if not wanted.include_ended:
            query = query.where(rooms.c.ended_at.is_(None))
        if wanted.live is not None:
            query = query.where(rooms.c.live.is_(wanted.live))
        if wanted.call_type is not None:
            query = query.where(rooms.c.cid.startswith(f"{wanted.call_type}:", autoescape=True))
        if wanted.text:
            named = rooms.c.title.icontains(wanted.text, autoescape=True)
            query = query.where(named | rooms.c.cid.icontains(wanted.text, autoescape=True))
        if wanted.member is not None:
            theirs = sa.select(schema.members.c.cid).where(schema.members.c.user == wanted.member)
            query = query.where(rooms.c.cid.in_(theirs))
        async with self._connected("list rooms") as connection:
            found = await connection.execute(query.offset(offset).limit(limit))
            return await _assemble(connection, found.mappings().all())

    async def messages(
        self, cid: Cid, before: MessageId | None, limit: int
    ) -> tuple[tuple[Message, ...], bool]:
        """Return a page of chat."""
        async with self._connected("read messages") as connection:
            return await _messages(connection, cid, before, limit)

    async def message(self, cid: Cid, id: MessageId) -> Message | None:
        """Return one message."""
        messages = schema.messages
        query = sa.select(messages).where(messages.c.cid == cid, messages.c.id == id)
        async with self._connected("read a message") as connection:
            row = (await connection.execute(query)).mappings().first()
            return None if row is None else _message(row)

    async def talked_seconds(self, cid: Cid) -> Mapping[UserId, float]:
        """Return how long each person has spoken in the room."""
        spoken = schema.spoken
        query = (
            sa.select(spoken.c.user, sa.func.sum(spoken.c.ended_at - spoken.c.started_at))
            .where(spoken.c.cid == cid)
            .group_by(spoken.c.user)
        )
        async with self._connected("read who spoke") as connection:
            return {UserId(user): float(seconds) for user, seconds in (await connection.execute(query)).all()}

    async def call_types(self) -> tuple[CallType, ...]:
        """Return the call types that were put."""
        async with self._connected("read call types") as connection:
            rows = (await connection.execute(sa.select(schema.call_types))).mappings().all()
        return tuple(
            CallType(row["name"], _decode(row["settings"], Settings), _decode_grants(row["grants"]))
            for row in rows
        )

    async def session(self, token_hash: str) -> StoredSession | None:
        """Return the session of a token."""
        sessions = schema.sessions
        matches = (sessions.c.token_hash == token_hash) | (sessions.c.previous_hash == token_hash)
        async with self._connected("read a session") as connection:
            row = (await connection.execute(sa.select(sessions).where(matches))).mappings().first()
        if row is None:
            return None
        return StoredSession(
            user=UserId(row["user"]),
            token_hash=row["token_hash"],
            name=row["name"],
            role=Role(row["role"]),
            previous_hash=row["previous_hash"],
            bound_to=None if row["bound_to"] is None else Cid(row["bound_to"]),
            rooms=_decode(row["rooms"], tuple[Cid, ...]),
            expires_at=row["expires_at"],
        )

    async def operations(self, since: float) -> tuple[tuple[UserId, OpId, float], ...]:
        """Return what was done since `since`, and forget what is older."""
        operations = schema.operations
        async with self._connected("read operations") as connection:
            await connection.execute(sa.delete(operations).where(operations.c.at < since))
            found = await connection.execute(sa.select(operations).order_by(operations.c.at))
            done = tuple((UserId(row.user), OpId(row.op), float(row.at)) for row in found)
            await connection.commit()
        return done

    @asynccontextmanager
    async def _connected(self, what: str) -> AsyncIterator[AsyncConnection]:
        if self._engine is None:
            raise StorageFailed(f"could not {what}: the database is closed")
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError, sqlite3.Error, msgspec.MsgspecError) as error:
            raise StorageFailed(f"could not {what}: {_words(error)}") from None

    def _statement(self, kind: type[RowChange], table: str, columns: tuple[str, ...]) -> sa.Executable:
        target = schema.metadata.tables[table]
        if kind is Put:
            return self._put(target, columns)
        return _other_statement(kind, table, columns)

    def _put(self, table: sa.Table, columns: tuple[str, ...]) -> sa.Executable:
        return _put_statement(table.name, columns, self._is_sqlite)


@lru_cache(maxsize=256)
def _put_statement(table: str, columns: tuple[str, ...], for_sqlite: bool) -> sa.Executable:
    target = schema.metadata.tables[table]
    insert = sqlite.insert(target) if for_sqlite else postgresql.insert(target)
    keys = [column.name for column in target.primary_key]
    others = {name: insert.excluded[name] for name in columns if name not in keys}
    return (
        insert.on_conflict_do_update(index_elements=keys, set_=others)
        if others
        else insert.on_conflict_do_nothing(index_elements=keys)
    )


@lru_cache(maxsize=256)
def _other_statement(kind: type[RowChange], table: str, columns: tuple[str, ...]) -> sa.Executable:
    target = schema.metadata.tables[table]
    if kind is Add:
        return sa.insert(target)
    keys = [name.removeprefix("key_") for name in columns if name.startswith("key_")]
    matches = [target.c[name] == sa.bindparam(f"key_{name}") for name in keys]
    if kind is Drop:
        return sa.delete(target).where(*matches)
    values: dict[str, Any] = {
        name: sa.bindparam(f"new_{name}") for name in (c.removeprefix("new_") for c in columns[len(keys) :])
    }
    return sa.update(target).where(*matches).values(values)


def _kind(change: RowChange) -> tuple[type[RowChange], str, tuple[str, ...]]:
    return type(change), change.table, tuple(_parameters(change))


def _parameters(change: RowChange) -> dict[str, Any]:
    match change:
        case Put(_, row) | Add(_, row):
            return dict(row)
        case Change(_, key, values):
            return {**{f"key_{n}": v for n, v in key.items()}, **{f"new_{n}": v for n, v in values.items()}}
        case Drop(_, key):
            return {f"key_{name}": value for name, value in key.items()}


async def _assemble(connection: AsyncConnection, rows: Sequence[sa.RowMapping]) -> tuple[Room, ...]:
    """Return the rooms of `rows` with everything around them but chat, in their order."""
    cids = [row["cid"] for row in rows]
    if not cids:
        return ()

    async def around(table: sa.Table, *order: sa.ColumnElement[Any]) -> Mapping[str, list[sa.RowMapping]]:
        query = sa.select(table).where(table.c.cid.in_(cids)).order_by(*order)
        by_cid: dict[str, list[sa.RowMapping]] = defaultdict(list)
        for row in (await connection.execute(query)).mappings():
            by_cid[row["cid"]].append(row)
        return by_cid

    members = await around(schema.members, schema.members.c.position)
    overrides = await around(schema.overrides, schema.overrides.c.user)
    hands = await around(schema.hands, schema.hands.c.position)
    invitations = await around(schema.invitations, schema.invitations.c.at)
    blocks = await around(schema.blocks, schema.blocks.c.at)
    turns = await around(schema.turns, schema.turns.c.user)
    return tuple(
        Room(
            cid=Cid(row["cid"]),
            title=row["title"],
            created_by=UserId(row["created_by"]),
            created_at=row["created_at"],
            settings=_decode(row["settings"], Settings),
            grants=_decode_grants(row["grants"]),
            live=row["live"],
            live_since=row["live_since"],
            starts_at=row["starts_at"],
            ended_at=row["ended_at"],
            members={
                UserId(m["user"]): Member(UserId(m["user"]), m["name"], Role(m["role"]))
                for m in members[row["cid"]]
            },
            overrides={
                UserId(o["user"]): Override(
                    _decode(o["granted"], frozenset[Capability]), _decode(o["revoked"], frozenset[Capability])
                )
                for o in overrides[row["cid"]]
            },
            hands=tuple(Hand(UserId(h["user"]), h["name"], h["raised_at"]) for h in hands[row["cid"]]),
            invitations={
                UserId(i["user"]): Invitation(UserId(i["user"]), UserId(i["by"]), i["at"])
                for i in invitations[row["cid"]]
            },
            blocked={
                UserId(b["user"]): Block(UserId(b["user"]), UserId(b["by"]), b["at"])
                for b in blocks[row["cid"]]
            },
            turns={UserId(t["user"]): t["count"] for t in turns[row["cid"]]},
        )
        for row in rows
    )


async def _messages(
    connection: AsyncConnection, cid: Cid, before: MessageId | None, limit: int
) -> tuple[tuple[Message, ...], bool]:
    messages = schema.messages
    query = (
        sa.select(messages).where(messages.c.cid == cid).order_by(messages.c.position.desc()).limit(limit + 1)
    )
    if before is not None:
        place = (
            sa.select(messages.c.position)
            .where(messages.c.cid == cid, messages.c.id == before)
            .scalar_subquery()
        )
        query = query.where(messages.c.position < place)
    rows = (await connection.execute(query)).mappings().all()
    return tuple(_message(row) for row in reversed(rows[:limit])), len(rows) > limit


def _message(row: sa.RowMapping) -> Message:
    return Message(
        id=MessageId(row["id"]),
        user=UserId(row["user"]),
        name=row["name"],
        text=row["text"],
        at=row["at"],
        edited_at=row["edited_at"],
        deleted_by=None if row["deleted_by"] is None else UserId(row["deleted_by"]),
    )


def _decode(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)


def _decode_grants(text: str) -> Grants:
    grants: dict[Role, frozenset[Capability]] = msgspec.json.decode(
        text, type=dict[Role, frozenset[Capability]]
    )
    return grants


def _make_private(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except PermissionError:
        raise StorageFailed(f"cannot write the database {file}: no permission") from None
    except OSError as error:
        raise StorageFailed(f"cannot use the database {file}: {error.strerror}") from None


def _set_up_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    pragmas: Iterable[str] = (
        f"busy_timeout={int(BUSY_SECONDS * 1000)}",
        "journal_mode=WAL",
        "foreign_keys=ON",
        "synchronous=FULL",
    )
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _words(error: BaseException) -> str:
    """Say what went wrong without the statement or its values, which may hold what people wrote."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, msgspec.MsgspecError):
        return "the database holds something this version does not understand"
    driver = cause.__cause__ or cause
    if isinstance(driver, sqlite3.Error | OSError):
        return str(driver).splitlines()[0] if str(driver) else type(driver).__name__
    return type(driver).__name__
