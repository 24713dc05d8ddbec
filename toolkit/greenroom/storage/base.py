"""What the server asks of a store, and the values that go in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from greenroom.protocol.call_types import CallType
from greenroom.protocol.ids import Cid, MessageId, OpId, Role, UserId
from greenroom.protocol.room import Message, Room
from greenroom.protocol.wire import RoomFilter

if TYPE_CHECKING:
    from greenroom.storage.call_urls import StoredUrls
    from greenroom.storage.records import StoredRecords
    from greenroom.storage.untold import UntoldCalls

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]


class Put(msgspec.Struct, frozen=True):
    """Insert `row`, or replace the row of the same key."""

    table: str
    row: Row


class Add(msgspec.Struct, frozen=True):
    """Append `row`; the store gives it its position."""

    table: str
    row: Row


class Change(msgspec.Struct, frozen=True):
    """Set `values` where the columns of `key` match; no such row is quiet. None in a key matches nothing, as in SQL."""

    table: str
    key: Row
    values: Row


class Drop(msgspec.Struct, frozen=True):
    """Remove every row where the columns of `key` match."""

    table: str
    key: Row


RowChange = Put | Add | Change | Drop


class StoredSession(msgspec.Struct, frozen=True):
    """Somebody who may come back. Tokens are kept as SHA-256 only; `previous_hash` until the new one is confirmed.

    `bound_to`: the one room a guest's token was for. `expires_at` is None while they are connected.
    """

    user: UserId
    token_hash: str
    name: str
    role: Role
    previous_hash: str = ""
    bound_to: Cid | None = None
    rooms: tuple[Cid, ...] = ()
    expires_at: float | None = None


class Repository(Protocol):
    """Where a server keeps what must survive it. Every method raises `StorageFailed` when the store cannot answer."""

    call_urls: StoredUrls
    records: StoredRecords
    untold_calls: UntoldCalls

    async def open(self) -> None:
        """Connect, and bring the tables to this version. Raises `StorageFailed` when they are of a newer one."""

    async def close(self) -> None:
        """Disconnect; twice is quiet."""

    async def begin(self, now: float, grace_seconds: float) -> int:
        """Return how often a server began here, this time included; who was connected may return until the grace ends."""

    async def commit(self, changes: Sequence[RowChange]) -> None:
        """Keep all of `changes`, or nothing."""

    async def room(self, cid: Cid) -> Room | None:
        """Return a room with nobody in it, its chat tail included, or None."""

    async def rooms(self, wanted: RoomFilter, sort: str, offset: int, limit: int) -> tuple[Room, ...]:
        """Return rooms that match, without chat, in the order of `sort` (activity, created, title, starts_at)."""

    async def messages(
        self, cid: Cid, before: MessageId | None, limit: int
    ) -> tuple[tuple[Message, ...], bool]:
        """Return up to `limit` messages before `before` (the newest without), oldest first; whether there are earlier."""

    async def message(self, cid: Cid, id: MessageId) -> Message | None:
        """Return one message."""

    async def talked_seconds(self, cid: Cid) -> Mapping[UserId, float]:
        """Return how long each person has spoken in the room so far."""

    async def call_types(self) -> tuple[CallType, ...]:
        """Return the call types that were put."""

    async def session(self, token_hash: str) -> StoredSession | None:
        """Return the session whose present or previous token hashes to `token_hash`."""

    async def operations(self, since: float) -> tuple[tuple[UserId, OpId, float], ...]:
        """Return what was done since `since`, oldest first: who, which operation, when."""
