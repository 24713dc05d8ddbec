"""What to watch of a client's calls, each with what is there now told at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from greenroom.observable import Observable, Subscription
from greenroom.protocol.ringing import Ring
from greenroom.protocol.wire import RoomPreview
from greenroom.state.engine import ClientState

if TYPE_CHECKING:
    from greenroom.engine.call import Call

T = TypeVar("T")


class Part(Generic[T]):
    """One part of the client's state as something to watch by itself. Read, subscribed to and awaited on any thread."""

    def __init__(self, state: Observable[ClientState], select: Callable[[ClientState], T]) -> None:
        self._state = state
        self._select = select

    @property
    def value(self) -> T:
        """What it is now."""
        return self._select(self._state.value)

    def subscribe(self, callback: Callable[[T], None], *, replay: bool = True) -> Subscription:
        """Call `callback` with what it is now, and whenever that changes; without `replay` not with what is now."""
        return self._state.subscribe(callback, self._select, replay=replay)

    async def until(self, predicate: Callable[[T], bool], timeout_seconds: float | None = None) -> T:
        """Return the first value, now or later, of which `predicate` is true. Raises `TimeoutError`."""
        state = await self._state.until(lambda state: predicate(self._select(state)), timeout_seconds)
        return self._select(state)


class Observed(Protocol):
    """What is needed of a client."""

    @property
    def state(self) -> Observable[ClientState]: ...

    @property
    def active_calls(self) -> Observable[tuple[Call, ...]]: ...

    @property
    def focused_call(self) -> Observable[Call | None]: ...

    @property
    def incoming_calls(self) -> Observable[tuple[Ring, ...]]: ...

    @property
    def outgoing_calls(self) -> Observable[tuple[Ring, ...]]: ...


class Observe:
    """The calls of a client from every side: `client.observe.active.subscribe(…)`.

    `watched`: the rooms of the lobby, kept up to date while `client.watch_rooms()` is on.
    """

    def __init__(self, client: Observed) -> None:
        self._client = client
        self.watched: Part[tuple[RoomPreview, ...]] = Part(client.state, lambda state: state.rooms)

    @property
    def active(self) -> Observable[tuple[Call, ...]]:
        """The calls that are active, in order of joining."""
        return self._client.active_calls

    @property
    def focused(self) -> Observable[Call | None]:
        """The call with the microphone, or None."""
        return self._client.focused_call

    @property
    def incoming(self) -> Observable[tuple[Ring, ...]]:
        """What rings for us, oldest first."""
        return self._client.incoming_calls

    @property
    def outgoing(self) -> Observable[tuple[Ring, ...]]:
        """The calls we placed that somebody still has to answer."""
        return self._client.outgoing_calls
