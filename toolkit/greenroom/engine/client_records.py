"""What a client asks the server about calls, beside being in them: addresses, ICE servers."""

from __future__ import annotations

from typing import TypeVar

from greenroom.engine.client_core import ClientCore
from greenroom.engine.thread import Blocking, EngineThread, on_engine, twin
from greenroom.errors import GreenroomError
from greenroom.protocol.call_urls import MakeUrl, QueryUrls, RevokeUrl, SignedUrl, UrlInfo, UrlKind, UrlsPage
from greenroom.protocol.ice import IceServers, QueryIceServers
from greenroom.protocol.ids import ANONYMOUS, Role, parse_cid, parse_user
from greenroom.protocol.ringing import RingKind
from greenroom.protocol.wire import AnswerBody

DAY_SECONDS = 24 * 3600.0
A = TypeVar("A", SignedUrl, UrlsPage, IceServers)


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

    def _address(self, signed: SignedUrl) -> str:
        return signed.address(self._core.state.value.server)


class BlockingRecords(Blocking):
    """`ClientRecords` without `await`."""

    room_url = twin(ClientRecords.room_url)
    call_url = twin(ClientRecords.call_url)
    urls = twin(ClientRecords.urls)
    revoke_url = twin(ClientRecords.revoke_url)
    ice_servers = twin(ClientRecords.ice_servers)


def _expect(answer: AnswerBody, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise GreenroomError("the server answered something else than was asked")
    return answer
