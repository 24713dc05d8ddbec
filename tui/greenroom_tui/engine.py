"""What the dashboard needs of an engine. `greenroom.engine.Client` has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from greenroom.protocol.ids import Cid
from greenroom.protocol.records import Direction, HistoryPage, RecordKind, RecordStatus
from greenroom.protocol.requests import RingRequest
from greenroom.protocol.ringing import Ring
from greenroom.state.engine import ClientState
from greenroom.state.focus import MultiCallPolicy
from greenroom.state.meters import Meters
from greenroom.state.statistics import CallStatistics
from greenroom.views.actions import Asked


class Mirrored(Protocol):
    """The newest state of the engine, readable from any thread at any time without waiting."""

    @property
    def value(self) -> ClientState: ...


class MirroredMeters(Protocol):
    """The newest levels of microphone and loudspeaker."""

    @property
    def value(self) -> Meters: ...


class CallHandle(Protocol):
    """Our side of one room. Its methods raise `greenroom.errors.GreenroomError` when the answer is no."""

    @property
    def statistics(self) -> tuple[CallStatistics, ...]: ...

    async def perform(self, request: Asked) -> None: ...

    async def leave(self) -> None: ...


class Engine(Protocol):
    """Runs somewhere else (its own thread); its methods may be awaited on the dashboard's loop."""

    @property
    def state(self) -> Mirrored: ...

    @property
    def meters(self) -> MirroredMeters: ...

    def choose_devices(self, *, input: str | None = ..., output: str | None = ...) -> None: ...

    async def try_microphone(self, on: bool = ..., /) -> None: ...

    async def play_chime(self) -> None: ...

    def call(self, cid: Cid, /) -> CallHandle: ...

    async def join(self, cid: Cid, /, *, create: bool = ..., title: str = ...) -> CallHandle: ...

    async def watch_rooms(self) -> None: ...

    def link(self, cid: Cid, /) -> str: ...

    def explain(self, question: str = ..., cid: str | None = ...) -> str: ...

    async def set_multi_call_policy(self, policy: MultiCallPolicy, /) -> None: ...

    async def ring(self, members: Sequence[str], /) -> Ring: ...

    async def perform(self, cid: Cid, request: RingRequest, /) -> None: ...

    def look_at_missed_calls(self) -> None: ...

    async def call_history(
        self,
        *,
        kinds: Iterable[RecordKind] = ...,
        statuses: Iterable[RecordStatus] = ...,
        participant: str | None = ...,
        direction: Direction | None = ...,
        limit: int = ...,
        after: str | None = ...,
        before: str | None = ...,
    ) -> HistoryPage: ...

    def forget(self, cid: Cid, /) -> None: ...
