"""Pre-signed addresses in the database: what they were made for, and how often they were used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from greenroom.protocol.call_urls import UrlInfo, UrlKind
from greenroom.protocol.ids import Cid, Role, UserId
from greenroom.protocol.ringing import RingKind
from greenroom.storage import schema
from greenroom.storage.base import Put, RowChange

Connect = Callable[[str], AbstractAsyncContextManager[AsyncConnection]]
REMEMBER_SECONDS = 600.0


class StoredUrl(msgspec.Struct, frozen=True):
    """An address and the role its maker's token had."""

    info: UrlInfo
    by_role: Role


class UrlUse(msgspec.Struct, frozen=True):
    """Who came by an address, and into which room."""

    user: UserId
    cid: Cid


def url_change(url: StoredUrl) -> RowChange:
    """Return the row change that keeps a new address."""
    return Put("call_urls", {**msgspec.structs.asdict(url.info), "by_role": url.by_role})


class StoredUrls:
    """The tables `call_urls` and `call_url_uses`. Every method raises `StorageFailed` when they cannot be read."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def get(self, id: str) -> StoredUrl | None:
        """Return one address."""
        urls = schema.call_urls
        async with self._connect("read an address") as connection:
            row = (await connection.execute(sa.select(urls).where(urls.c.id == id))).mappings().first()
        return None if row is None else _stored(row)

    async def page(
        self, by: UserId | None, after: str | None, limit: int
    ) -> tuple[tuple[UrlInfo, ...], str | None]:
        """Return a page of addresses made by `by` (anybody's: None), newest first, and the `after` of the next."""
        urls = schema.call_urls
        query = sa.select(urls).order_by(urls.c.made_at.desc(), urls.c.id.desc()).limit(limit + 1)
        if by is not None:
            query = query.where(urls.c.by == by)
        if after is not None:
            made_at = sa.select(urls.c.made_at).where(urls.c.id == after).scalar_subquery()
            query = query.where(sa.tuple_(urls.c.made_at, urls.c.id) < sa.tuple_(made_at, sa.literal(after)))
        async with self._connect("list addresses") as connection:
            rows = (await connection.execute(query)).mappings().all()
        shown = tuple(_stored(row).info for row in rows[:limit])
        return shown, shown[-1].id if len(rows) > limit else None

    async def use(self, id: str, attempt_hash: str, use: UrlUse, now: float) -> UrlUse | None:
        """Count one use of an open address and return whom it lets in; None when it lets in nobody more.

        The same attempt again, within a while, is the same use. Counting is one conditional statement, so that two
        who come at once, or a server that is killed in between, cannot share the last use.
        """
        urls, uses = schema.call_urls, schema.call_url_uses
        is_open = (urls.c.id == id) & urls.c.revoked_at.is_(None) & (urls.c.expires_at > now)
        async with self._connect("read the use of an address") as connection:
            same = (uses.c.url == id) & (uses.c.attempt_hash == attempt_hash)
            before = await connection.execute(
                sa.select(uses.c.user, uses.c.cid).join(urls, urls.c.id == uses.c.url).where(same & is_open)
            )
            if (row := before.first()) is not None:
                return UrlUse(UserId(row.user), Cid(row.cid))
        async with self._connect("count the use of an address") as connection:
            counted = await connection.execute(
                sa.update(urls).where(is_open & (urls.c.used < urls.c.uses)).values(used=urls.c.used + 1)
            )
            if counted.rowcount != 1:
                await connection.rollback()
                return None
            await connection.execute(sa.delete(uses).where(uses.c.at < now - REMEMBER_SECONDS))
            made: dict[str, Any] = {"url": id, "attempt_hash": attempt_hash, "at": now}
            await connection.execute(sa.insert(uses).values(**made, user=use.user, cid=use.cid))
            await connection.commit()
        return use


def _stored(row: sa.RowMapping) -> StoredUrl:
    return StoredUrl(
        UrlInfo(
            id=row["id"],
            kind=UrlKind(row["kind"]),
            cid=None if row["cid"] is None else Cid(row["cid"]),
            to=None if row["to"] is None else UserId(row["to"]),
            media=RingKind(row["media"]),
            role=Role(row["role"]),
            name=row["name"],
            by=UserId(row["by"]),
            made_at=row["made_at"],
            expires_at=row["expires_at"],
            uses=row["uses"],
            used=row["used"],
            revoked_at=row["revoked_at"],
        ),
        Role(row["by_role"]),
    )
