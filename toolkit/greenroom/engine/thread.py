"""The engine's own thread with its own event loop: a slow screen or a sleeping notebook cell must not cost audio."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from greenroom.errors import Misuse

T = TypeVar("T")
P = ParamSpec("P")


class EngineThread:
    """One event loop in one thread. Starts with the first use, ends with `close` or with the process."""

    def __init__(self, name: str = "greenroom-engine") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._users = 0

    @property
    def running(self) -> bool:
        """Whether the thread runs now."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def acquire(self) -> None:
        """Count one more user; the first starts the thread."""
        with self._lock:
            self._users += 1
            self._start()

    def release(self) -> None:
        """Count one user less; the last ends the thread (from inside it: soon)."""
        with self._lock:
            self._users -= 1
            if self._users > 0 or self._loop is None:
                return
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5.0)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the engine's loop and return its result, wherever this is awaited.

        Cancelling whoever awaits cancels the work.
        """
        loop = self._loop
        if loop is None:
            work.close()
            raise Misuse("this client is closed; make another one")
        if asyncio.get_running_loop() is loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def wait(self, work: Coroutine[Any, Any, T], timeout_seconds: float | None = None) -> T:
        """Run `work` on the engine's loop and block until it is done. Raises `TimeoutError` and cancels it then."""
        loop = self._loop
        if loop is None:
            work.close()
            raise Misuse("this client is closed; make another one")
        if threading.current_thread() is self._thread:
            work.close()
            raise Misuse("a callback of the engine cannot wait for the engine; await the method instead")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result(timeout_seconds)
        except BaseException:
            future.cancel()
            raise

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Run `callback` on the engine's loop soon; a closed engine forgets it."""
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop closed in between

    def _start(self) -> None:
        if self._thread is not None:
            return
        loop = asyncio.new_event_loop()
        started = threading.Event()

        def main() -> None:
            asyncio.set_event_loop(loop)
            loop.call_soon(started.set)
            try:
                loop.run_forever()
                _finish(loop)
            finally:
                asyncio.set_event_loop(None)
                loop.close()

        self._loop = loop
        self._thread = threading.Thread(target=main, name=self._name, daemon=True)
        self._thread.start()
        started.wait()


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=3.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())


SHARED = EngineThread()
"""What all clients of this process run on unless they are given their own."""


class OnEngine(Protocol):
    """Whatever lives on an engine thread."""

    @property
    def engine(self) -> EngineThread: ...


Self_ = TypeVar("Self_", bound=OnEngine)


def on_engine(
    method: Callable[Concatenate[Self_, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Self_, P], Coroutine[Any, Any, T]]:
    """Make an `async` method run on the engine's loop, from whichever loop it is awaited."""

    @functools.wraps(method)
    async def anywhere(self: Self_, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.engine.run(method(self, *args, **kwargs))

    return anywhere


class Blocking:
    """The blocking twin of something on an engine thread: the same methods without `await`, for code without a loop."""

    def __init__(self, twin_of: Any) -> None:
        self.twin_of = twin_of


def twin(
    method: Callable[Concatenate[Self_, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """Return `method` as a blocking one, for a subclass of `Blocking`."""

    @functools.wraps(method)
    def blocking(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> T:
        owner: Self_ = self.twin_of
        return owner.engine.wait(method(owner, *args, **kwargs))

    return blocking
