"""One of our switches as the room believes it: told until it does, the newest wish last, one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from greenroom.errors import GreenroomError, Refused


class Announced:
    """`wanted` is what the room should believe now, `send` tells it, no sooner than `after_seconds`.

    Belongs to the engine's loop.
    """

    def __init__(
        self,
        wanted: Callable[[], bool],
        send: Callable[[bool], Awaitable[None]],
        after_seconds: Callable[[bool], float] = lambda _wanted: 0.0,
    ) -> None:
        self._wanted = wanted
        self._send = send
        self._after_seconds = after_seconds
        self._lock = asyncio.Lock()
        self._told: bool | None = None
        self._refused: GreenroomError | None = None

    def forget(self) -> None:
        """Assume nothing about what was told: the room may have forgotten it."""
        self._told = self._refused = None

    def due(self, believed: bool) -> bool:
        """Tell whether the room believes something else and was not told otherwise yet."""
        wanted = self._wanted()
        return believed != wanted and self._told != wanted

    async def tell(self, believed: bool) -> None:
        """Return once the room was told what is wanted now. Raises what its answer was, `Refused` to all who ask."""
        async with self._lock:
            wanted = self._wanted()
            if self._told is None and believed == wanted:
                return
            if self._told == wanted:
                if self._refused is not None:
                    raise self._refused
                return
            self._told, self._refused = wanted, None
            try:
                await asyncio.sleep(self._after_seconds(wanted))
                await self._send(wanted)
            except Refused as error:
                if self._told == wanted:
                    self._refused = error
                raise
            except asyncio.CancelledError:
                self.forget()
                raise
