"""Calls that somebody was not told of yet, because they were not connected: kept until they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ringing import MissedCall, RingAnswer, RingId, RingKind
from greenroom.storage import schema
from greenroom.storage.base import Drop, Put, RowChange

Connect = Callable[[str], AbstractAsyncContextManager[AsyncConnection]]
KEPT_SECONDS = 30 * 24 * 3600.0
MOST_READ = 100_000


def untold_change(user: UserId, call: MissedCall) -> RowChange:
    """Return the row change that keeps a call for somebody; again with another outcome replaces it."""
    return Put(
        "untold_calls",
        {
            "user": user,
            "ring": call.ring,
            "cid": call.cid,
            "by": call.by,
            "by_name": call.by_name,
            "at": call.at,
            "kind": call.kind.value,
            "title": call.title,
            "outcome": call.outcome.value,
        },
    )


def told_change(user: UserId) -> RowChange:
    """Return the row change that forgets what somebody was told of."""
    return Drop("untold_calls", {"user": user})


class UntoldCalls:
    """The table `untold_calls`. Raises `StorageFailed` when it cannot be read."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def take_up(self, now: float) -> tuple[tuple[UserId, MissedCall], ...]:
        """Return whom to tell of what, oldest first, and forget what is older than 30 days."""
        untold = schema.untold_calls
        async with self._connect("read missed calls") as connection:
            await connection.execute(sa.delete(untold).where(untold.c.at < now - KEPT_SECONDS))
            await connection.commit()
            newest = sa.select(untold).order_by(untold.c.at.desc()).limit(MOST_READ)
            rows = (await connection.execute(newest)).mappings().all()
        return tuple(
            (
                UserId(row["user"]),
                MissedCall(
                    RingId(row["ring"]),
                    Cid(row["cid"]),
                    UserId(row["by"]),
                    row["by_name"],
                    row["at"],
                    RingKind(row["kind"]),
                    row["title"],
                    RingAnswer(row["outcome"]),
                ),
            )
            for row in reversed(rows)
        )
