"""Who is told what happens in sessions: functions by a name of their own, so that none is ever there twice."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Iterable

from greenroom.errors import Misuse
from greenroom.protocol.ids import Cid
from greenroom.state.session_events import SessionEvent

SessionListener = Callable[[SessionEvent], None]
MOST = 1_000

log = logging.getLogger(__name__)


class _Registered:
    """One listener: what it wants to hear, and whether it was complained about."""

    def __init__(
        self, listener: SessionListener, kinds: tuple[type[SessionEvent], ...], cid: Cid | None
    ) -> None:
        self.listener = listener
        self.complained = False
        self._kinds = kinds
        self._cid = cid

    def wants(self, event: SessionEvent) -> bool:
        """Tell whether `event` is for it."""
        return self._cid in (None, event.cid) and (not self._kinds or isinstance(event, self._kinds))


class Listeners:
    """Registered and removed from any thread; told on the engine's, in order of registration.

    `complain(words, cid)` is told once about a listener that raises; it goes on being told, and so do the others.
    """

    def __init__(self, complain: Callable[[str, Cid], None]) -> None:
        self._complain = complain
        self._lock = threading.Lock()
        self._registered: dict[str, _Registered] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        """Who listens, in order of registration."""
        with self._lock:
            return tuple(self._registered)

    def add(
        self,
        listener_id: str,
        listener: SessionListener,
        kinds: Iterable[type[SessionEvent]] = (),
        cid: Cid | None = None,
    ) -> Callable[[], None]:
        """Register `listener`, in place of the one of that id, and return how to remove just this one.

        Raises `Misuse` for what is no id, or cannot be called at once.
        """
        if not isinstance(listener_id, str) or not listener_id:
            raise Misuse("a listener is registered under an id, a word of your own")
        if not callable(listener) or inspect.iscoroutinefunction(listener):
            raise Misuse(
                f"listener '{listener_id[:40]}' must be an ordinary function; start a task in it for what takes time"
            )
        kinds = tuple(kinds)
        if not all(isinstance(kind, type) for kind in kinds):
            raise Misuse(f"listener '{listener_id[:40]}' hears kinds of events, which are classes")
        registered = _Registered(listener, kinds, cid)
        with self._lock:
            if listener_id not in self._registered and len(self._registered) >= MOST:
                raise Misuse(f"{MOST} listeners are registered; remove those that are done, by their id")
            self._registered.pop(listener_id, None)
            self._registered[listener_id] = registered
        return lambda: self._remove(listener_id, registered)

    def remove(self, listener_id: str) -> bool:
        """Forget the listener of that id; tell whether there was one."""
        with self._lock:
            return self._registered.pop(listener_id, None) is not None

    def clear(self) -> None:
        """Forget everybody."""
        with self._lock:
            self._registered.clear()

    def tell(self, events: Iterable[SessionEvent]) -> None:
        """Tell everybody who wants to hear. A listener that was removed meanwhile, by another one, hears no more."""
        for event in events:
            with self._lock:
                registered = tuple(self._registered.items())
            for listener_id, one in registered:
                if one.wants(event) and self._registered.get(listener_id) is one:
                    self._tell_one(listener_id, one, event)

    def _tell_one(self, listener_id: str, one: _Registered, event: SessionEvent) -> None:
        try:
            one.listener(event)
        except Exception as error:  # an application's fault is its own: the others and the engine go on
            if not one.complained:
                one.complained = True
                log.exception("a session listener raised")
                self._complain(
                    f"listener '{listener_id[:40]}' raised {type(error).__name__}; this is said once",
                    event.cid,
                )

    def _remove(self, listener_id: str, registered: _Registered) -> None:
        with self._lock:
            if self._registered.get(listener_id) is registered:
                del self._registered[listener_id]
