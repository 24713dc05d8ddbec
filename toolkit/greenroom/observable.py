"""A value that can be watched: read it, or be told whenever it changes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")
S = TypeVar("S")

log = logging.getLogger(__name__)


class Subscription:
    """One subscriber. `close`, or leaving a `with`, ends it; it may be closed from inside its own callback."""

    def __init__(
        self, owner: Observable[Any], callback: Callable[[Any], None], select: Callable[[Any], Any]
    ) -> None:
        self._owner = owner
        self._callback = callback
        self._select = select
        self._lock = threading.RLock()
        self._seen_version = -1
        self._told: Any = _NOTHING

    def close(self) -> None:
        """Be told nothing more; twice is quiet."""
        self._owner._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _skip(self, version: int, value: Any) -> None:
        """Count `value` as known already."""
        with self._lock:
            self._seen_version = version
            self._told = self._select(value)

    def _tell(self, version: int, value: Any) -> None:
        with self._lock:  # a replay and a change may race: what is older than what was told is dropped
            if version <= self._seen_version:
                return
            self._seen_version = version
            try:
                chosen = self._select(value)
                if self._told is not _NOTHING and (chosen is self._told or chosen == self._told):
                    return
                self._told = chosen
                self._callback(chosen)
            except Exception:  # a subscriber's fault is its own: the others and the writer go on
                log.exception("a subscriber raised")


class Observable(Generic[T]):
    """Holds one value, has one writer and any number of subscribers.

    Reading, setting and subscribing are safe from any thread. Callbacks run on the thread that sets (or, for the
    replay, subscribes), one after another for each subscriber, and never see an older value after a newer one.
    """

    def __init__(self, value: T) -> None:
        self._lock = threading.Lock()
        self._value = value
        self._version = 0
        self._subscriptions: tuple[Subscription, ...] = ()

    @property
    def value(self) -> T:
        """The newest value."""
        return self._value

    def set(self, value: T) -> None:
        """Replace the value and tell those for whom it changed. For the one writer only."""
        with self._lock:
            if value is self._value:
                return
            self._value = value
            self._version += 1
            version, subscriptions = self._version, self._subscriptions
        for subscription in subscriptions:
            subscription._tell(version, value)

    @overload
    def subscribe(self, callback: Callable[[T], None], *, replay: bool = True) -> Subscription: ...

    @overload
    def subscribe(
        self, callback: Callable[[S], None], select: Callable[[T], S], *, replay: bool = True
    ) -> Subscription: ...

    def subscribe(
        self,
        callback: Callable[[Any], None],
        select: Callable[[T], Any] | None = None,
        *,
        replay: bool = True,
    ) -> Subscription:
        """Call `callback` with the value, or what `select` makes of it, whenever that is another one than before.

        With `replay` it is called at once with what is there now. A callback that raises is logged and harms nobody.
        """
        subscription = Subscription(self, callback, select or _itself)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            version, value = self._version, self._value
        if replay:
            subscription._tell(version, value)
        else:
            subscription._skip(version, value)
        return subscription

    async def until(self, predicate: Callable[[T], bool], timeout_seconds: float | None = None) -> T:
        """Return the first value, now or later, of which `predicate` is true. Raises `TimeoutError`.

        May be awaited on any event loop.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Future[T] = loop.create_future()

        def settle(value: T) -> None:
            if not found.done():
                found.set_result(value)

        def fail(error: Exception) -> None:
            if not found.done():
                found.set_exception(error)

        def look(value: T) -> None:
            try:
                if predicate(value):
                    loop.call_soon_threadsafe(settle, value)
            except RuntimeError:
                pass  # whoever waited is gone, and its loop too
            except Exception as error:
                loop.call_soon_threadsafe(fail, error)

        with self.subscribe(look):
            async with asyncio.timeout(timeout_seconds):
                return await found

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)


def _itself(value: Any) -> Any:
    return value


_NOTHING = object()
