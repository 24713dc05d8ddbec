"""Between two threads: a mirror that keeps the newest, and a mailbox that keeps everything up to its size."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mirror(Generic[T]):
    """Carries state to a slower reader: whatever was not taken yet is replaced by the newest; the last always arrives.

    `wake` is called on the writer's thread when something waits that was not announced yet, at most once until it
    is taken; it must be quick, e.g. `loop.call_soon_threadsafe(...)`.
    """

    def __init__(self, value: T, wake: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._value = value
        self._fresh = False
        self._wake = wake
        self.replaced = 0
        """How many values the reader never saw."""

    @property
    def value(self) -> T:
        """The newest value, taken or not."""
        return self._value

    def put(self, value: T) -> None:
        """Show `value` from now on."""
        with self._lock:
            self._value = value
            announced = self._fresh
            self.replaced += announced
            self._fresh = True
        if not announced and self._wake is not None:
            self._wake()

    def take(self) -> tuple[T, bool]:
        """Return the newest value, and whether it is newer than what was taken before."""
        with self._lock:
            fresh, self._fresh = self._fresh, False
            return self._value, fresh


class Mailbox(Generic[T]):
    """Carries things of which none may be lost: it holds at most `capacity`, and a full one makes the sender wait."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a mailbox needs room for at least one thing")
        self._capacity = capacity
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, thing: T, timeout_seconds: float | None = None) -> bool:
        """Append `thing` once there is room; false when there was none in time, or the mailbox is closed."""
        with self._changed:
            if not self._wait(lambda: len(self._waiting) < self._capacity or self._closed, timeout_seconds):
                return False
            if self._closed:
                return False
            self._waiting.append(thing)
            self._changed.notify_all()
            return True

    def take(self, timeout_seconds: float | None = None) -> T | None:
        """Return the oldest thing once there is one; None when there was none in time, or it is closed and empty."""
        with self._changed:
            self._wait(lambda: bool(self._waiting) or self._closed, timeout_seconds)
            if not self._waiting:
                return None
            self._changed.notify_all()
            return self._waiting.popleft()

    def close(self) -> None:
        """Take nothing more; what waits can still be taken. Twice is quiet."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool], timeout_seconds: float | None) -> bool:
        if timeout_seconds is None:
            return self._changed.wait_for(ready)
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            left = deadline - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return ready()
        return True
