"""What a client asks the server about calls, beside being in them: history, addresses, ICE servers."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from greenroom.engine.client_core import ClientCore
from greenroom.engine.thread import Blocking, EngineThread, on_engine, twin
from greenroom.errors import GreenroomError, Malformed
from greenroom.protocol.call_urls import MakeUrl, QueryUrls, RevokeUrl, SignedUrl, UrlInfo, UrlKind, UrlsPage
from greenroom.protocol.ice import IceServers, QueryIceServers
from greenroom.protocol.ids import ANONYMOUS, Role, parse_cid, parse_user
from greenroom.protocol.records import (
    CallRecord,
    Direction,
    HistoryPage,
    QueryHistory,
    RecordCall,
    RecordKind,
    RecordStatus,
)
from greenroom.protocol.ringing import RingKind, Scalar
from greenroom.protocol.wire import AnswerBody

DAY_SECONDS = 24 * 3600.0
W = TypeVar("W", bound=StrEnum)
A = TypeVar("A", SignedUrl, UrlsPage, IceServers, HistoryPage)


class ClientRecords:
    """The part of a `Client` that is about addresses and history."""

    _core: ClientCore

    @property
    def engine(self) -> EngineThread:
        """The thread this client lives on."""
        raise NotImplementedError

    @on_engine
    async def room_url(
        self, cid: str, *, role: str = ANONYMOUS, name: str = "", uses: int = 1, seconds: float = DAY_SECONDS
    ) -> str:
        """Return an address that lets `uses` people into a room within `seconds`, without an account of theirs.

        They come as `role`: anonymous (to listen), guest, or a role of the room that we may give. With a `name` that
        is what they are called. The address holds a secret in its fragment: whoever has it may use it.
        """
        wanted = MakeUrl(UrlKind.ROOM, parse_cid(cid), None, RingKind.AUDIO, Role(role), name, seconds, uses)
        return self._address(_expect(await self._core.ask(wanted), SignedUrl))

    @on_engine
    async def call_url(
        self,
        to: str,
        *,
        kind: RingKind = RingKind.AUDIO,
        room: str | None = None,
        name: str = "",
        uses: int = 1,
        seconds: float = DAY_SECONDS,
    ) -> str:
        """Return an address that places a call to `to`: ourselves, or as an admin anybody.

        Each call gets a private room of its own unless `room` names one. Whoever uses it is called `name`, or says.
        """
        cid = None if room is None else parse_cid(room, "default")
        wanted = MakeUrl(UrlKind.CALL, cid, parse_user(to), kind, ANONYMOUS, name, seconds, uses)
        return self._address(_expect(await self._core.ask(wanted), SignedUrl))

    @on_engine
    async def urls(self, *, limit: int = 50, after: str | None = None) -> UrlsPage:
        """Return a page of the addresses we made, newest first, without their secrets; an admin sees everybody's."""
        return _expect(await self._core.ask(QueryUrls(limit, after)), UrlsPage)

    @on_engine
    async def revoke_url(self, id: str) -> UrlInfo:
        """Let an address open nothing more; who came by it already stays. Raises `Refused` for one that is not ours."""
        return _expect(await self._core.ask(RevokeUrl(id)), UrlsPage).urls[0]

    @on_engine
    async def ice_servers(self) -> IceServers:
        """Return the STUN and TURN servers of the server, with credentials of our own; empty where it names none."""
        return _expect(await self._core.ask(QueryIceServers()), IceServers)

    @on_engine
    async def call_history(
        self,
        *,
        since: float | datetime | None = None,
        until: float | datetime | None = None,
        kinds: Iterable[RecordKind | str] = (),
        statuses: Iterable[RecordStatus | str] = (),
        participant: str | None = None,
        direction: Direction | str | None = None,
        room: str | None = None,
        of: str | None = None,
        everyone: bool = False,
        limit: int = 30,
        after: str | None = None,
        before: str | None = None,
    ) -> HistoryPage:
        """Return a page of the calls we took part in, newest first; what is None or empty does not filter.

        `since` and `until` (not included) are wall-clock seconds or a datetime, local where it names no zone. An admin
        may ask for the calls `of` somebody, or of `everyone`. The page's `older` is the `after` of the next one, its
        `newer` the `before` of the last; pages stay right while calls are added. Raises `Malformed` for words that name
        no kind, status or direction.
        """
        query = QueryHistory(
            since=_seconds(since),
            until=_seconds(until),
            kinds=tuple(_named(RecordKind, kind) for kind in kinds),
            statuses=tuple(_named(RecordStatus, status) for status in statuses),
            participant=None if participant is None else parse_user(participant),
            direction=None if direction is None else _named(Direction, direction),
            cid=None if room is None else parse_cid(room),
            of=None if of is None else parse_user(of),
            everyone=everyone,
            limit=limit,
            after=after,
            before=before,
        )
        return _expect(await self._core.ask(query), HistoryPage)

    @on_engine
    async def record_call(
        self,
        room: str,
        *,
        kind: RecordKind | str = RecordKind.AUDIO,
        status: RecordStatus | str = RecordStatus.ENDED,
        duration_seconds: float = 0.0,
        initiated_at: float | datetime | None = None,
        people: Iterable[str] = (),
        title: str = "",
        reason: str = "",
        metadata: Mapping[str, Scalar] | None = None,
        key: str | None = None,
    ) -> CallRecord:
        """Put a call on record that the server did not see, and return it. It is marked as made by hand.

        Without `initiated_at` it ended just now. `metadata` is flat, at most 4 kB. The same `key` again replaces our
        record of that key. Raises `Refused` for what makes no sense.
        """
        wanted = RecordCall(
            key=key or secrets.token_hex(12),
            cid=parse_cid(room, "default"),
            kind=_named(RecordKind, kind),
            status=_named(RecordStatus, status),
            duration_seconds=duration_seconds,
            initiated_at=_seconds(initiated_at),
            people=tuple(parse_user(user) for user in people),
            title=title,
            reason=reason,
            metadata=metadata or {},
        )
        return _expect(await self._core.ask(wanted), HistoryPage).records[0]

    def _address(self, signed: SignedUrl) -> str:
        return signed.address(self._core.state.value.server)


class BlockingRecords(Blocking):
    """`ClientRecords` without `await`."""

    room_url = twin(ClientRecords.room_url)
    call_url = twin(ClientRecords.call_url)
    urls = twin(ClientRecords.urls)
    revoke_url = twin(ClientRecords.revoke_url)
    ice_servers = twin(ClientRecords.ice_servers)
    call_history = twin(ClientRecords.call_history)
    record_call = twin(ClientRecords.record_call)


def _expect(answer: AnswerBody, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise GreenroomError("the server answered something else than was asked")
    return answer


def _named(kind: type[W], word: W | str) -> W:
    try:
        return kind(word)
    except ValueError:
        words = ", ".join(one.value for one in kind)
        raise Malformed(f"'{str(word)[:40]}' is none of {words}") from None


def _seconds(at: float | datetime | None) -> float | None:
    return at.timestamp() if isinstance(at, datetime) else at
