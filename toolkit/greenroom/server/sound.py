"""The media engine as rooms use it: who has which connection, and orders that reach it in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from itertools import count

from greenroom.errors import MediaFailed
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.sfu.base import MediaEngine, MediaRefused

log = logging.getLogger(__name__)
ORDER_SECONDS = 2.0
"""How long an order may take before the connection is given up: a worker that does not answer forwards nothing new."""


class Sound:
    """Peers of the media engine by room and person. Without an engine, everything is quiet and `attach` refuses."""

    def __init__(self, engine: MediaEngine | None) -> None:
        self._engine = engine
        self._peers: dict[tuple[Cid, UserId], str] = {}
        self._owners: dict[str, tuple[Cid, UserId]] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def available(self) -> bool:
        """Whether this server carries sound at all."""
        return self._engine is not None

    def connected(self, cid: Cid, user: UserId) -> bool:
        """Tell whether `user` has sound in the room."""
        return (cid, user) in self._peers

    def owner(self, peer: str) -> tuple[Cid, UserId] | None:
        """Return whose present connection `peer` is, or None for an earlier one."""
        return self._owners.get(peer)

    async def attach(
        self, cid: Cid, user: UserId, number: int, offer: str, allowed: Callable[[], bool]
    ) -> str | Refusal:
        """Return the answer to `offer`. `allowed` tells at any moment whether the person may be heard.

        The earlier connection goes first; one offer at a time is answered for each person.
        """
        if self._engine is None:
            return Refusal(Reason.NOT_AVAILABLE, "this server runs without sound")
        await self._disconnect(cid, user)
        peer = f"{cid}/{user}/{next(self._numbers)}"
        self._peers[cid, user] = peer
        self._owners[peer] = (cid, user)
        try:
            async with asyncio.timeout(3 * ORDER_SECONDS):
                answer = await self._engine.connect(peer, cid, number, offer, False)
                if self._owners.get(peer) != (cid, user):  # removed, or attached anew, meanwhile
                    await self._engine.disconnect(peer)
                    return Refusal(Reason.UNAVAILABLE, "the sound was connected anew meanwhile")
                await self._engine.set_forwarding(peer, allowed())
        except MediaRefused as error:
            self.forget(peer)
            return Refusal(Reason.MEDIA_REFUSED, error.reason)
        except (MediaFailed, TimeoutError):
            self.forget(peer)
            return Refusal(Reason.UNAVAILABLE, "sound cannot be connected right now; try again in a moment")
        return answer

    def silence(
        self, cid: Cid, closes: Iterable[UserId], removed: Iterable[UserId]
    ) -> asyncio.Task[None] | None:
        """Close the lines of `closes` and end the connections of `removed`, now.

        Return the task that ends when the media worker has done it, or None when there is nothing to do.
        """
        gone = [user for user in removed if (cid, user) in self._peers]
        closed = [user for user in closes if (cid, user) in self._peers and user not in gone]
        if not gone and not closed:
            return None
        return self._later(self._silence(cid, closed, gone))

    def allow(self, cid: Cid, user: UserId, allowed: bool) -> None:
        """Open or close the line of `user` some time soon."""
        peer = self._peers.get((cid, user))
        if peer is not None:
            self._later(self._forward(peer, allowed))

    def drop(self, cid: Cid, user: UserId) -> None:
        """End the connection of `user`, if there is one."""
        self._later(self._disconnect(cid, user))

    def forget(self, peer: str) -> tuple[Cid, UserId] | None:
        """Forget a connection that is gone; return whose it was if it was their present one."""
        owner = self._owners.pop(peer, None)
        if owner is not None and self._peers.get(owner) == peer:
            del self._peers[owner]
        return owner

    async def close(self) -> None:
        """Wait for what was ordered."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _silence(self, cid: Cid, closed: list[UserId], gone: list[UserId]) -> None:
        lines = [peer for user in closed if (peer := self._peers.get((cid, user))) is not None]
        await asyncio.gather(
            *(self._forward(peer, allowed=False) for peer in lines),
            *(self._disconnect(cid, user) for user in gone),
        )

    async def _forward(self, peer: str, allowed: bool) -> None:
        if self._engine is None:
            return
        try:
            async with asyncio.timeout(ORDER_SECONDS):
                await self._engine.set_forwarding(peer, allowed)
        except (MediaFailed, TimeoutError):
            log.warning("a media worker did not take an order in time")
            owner = self.owner(peer)
            if not allowed and owner is not None:
                await self._disconnect(*owner)

    async def _disconnect(self, cid: Cid, user: UserId) -> None:
        peer = self._peers.get((cid, user))
        if peer is None or self._engine is None:
            return
        self.forget(peer)
        try:
            async with asyncio.timeout(ORDER_SECONDS):
                await self._engine.disconnect(peer)
        except (MediaFailed, TimeoutError):
            log.warning("a media worker did not take an order in time")

    def _later(self, order: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(order)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
