"""What the dashboard needs of an engine. `greenroom.engine.Client` has it."""

from __future__ import annotations

from typing import Protocol

from greenroom.protocol.ids import Cid
from greenroom.state.engine import ClientState
from greenroom.views.actions import Asked


class Mirrored(Protocol):
    """The newest state of the engine, readable from any thread at any time without waiting."""

    @property
    def value(self) -> ClientState: ...


class CallHandle(Protocol):
    """Our side of one room. Both methods raise `greenroom.errors.GreenroomError` when the answer is no."""

    async def perform(self, request: Asked) -> None: ...

    async def leave(self) -> None: ...


class Engine(Protocol):
    """Runs somewhere else (its own thread); its methods may be awaited on the dashboard's loop."""

    @property
    def state(self) -> Mirrored: ...

    def call(self, cid: Cid, /) -> CallHandle: ...

    async def join(self, cid: Cid, /, *, create: bool = ..., title: str = ...) -> CallHandle: ...

    async def watch_rooms(self) -> None: ...

    def link(self, cid: Cid, /) -> str: ...

    def forget(self, cid: Cid, /) -> None: ...
