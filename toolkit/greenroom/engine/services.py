"""Background services: what says, for as long as a call or a screen share runs, that it runs, and can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from greenroom.errors import Ambiguous, Misuse
from greenroom.observable import Observable
from greenroom.protocol.ids import Cid, parse_cid
from greenroom.state.services import Service, ServiceKind


class ServiceHandle:
    """One running service. `stop`, or leaving a `with`, ends it; twice is quiet."""

    def __init__(self, services: Services, service: Service) -> None:
        self._services = services
        self.service = service

    def __repr__(self) -> str:
        return f"<ServiceHandle {self.service.kind} {self.service.cid}>"

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return any(one is self.service for one in self._services.state.value)

    def stop(self) -> None:
        """End this service, and no later one of the same call."""
        self._services._end(self.service)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Services:
    """The services of one client, at most one of each kind for a call; `state` has them in order of starting.

    A service of kind `CALL` begins with each call and ends with it. A service of either kind ends with its call at the
    latest. Stopping a service shows nothing any more; the call itself goes on. Safe from any thread.
    """

    def __init__(self, here: Callable[[Cid], bool]) -> None:
        self.state: Observable[tuple[Service, ...]] = Observable(())
        self._here = here
        self._lock = threading.RLock()

    def start(self, kind: ServiceKind | str, cid: str) -> ServiceHandle:
        """Start a service for the call in `cid`; one that runs already is returned. Raises `Misuse` without that call."""
        asked, room = _kind(kind), parse_cid(cid)
        with self._lock:
            if not self._here(room):
                raise Misuse(f"this client is not in '{room}'; a service runs for a call one is in")
            return self._begin(asked, room)

    def stop(self, kind: ServiceKind | str, cid: str | None = None) -> bool:
        """Stop the service of `kind` for a call, or without `cid` the only one; tell whether there was one.

        Raises `Ambiguous` where several run and none is named.
        """
        asked, room = _kind(kind), None if cid is None else parse_cid(cid)
        with self._lock:
            running = [one for one in self.running(asked) if room in (None, one.cid)]
            if len(running) > 1:
                names = ", ".join(one.cid for one in running)
                raise Ambiguous(f"several services of kind '{asked}' run: {names}; say which, by its room")
            for one in running:
                self._end(one)
            return bool(running)

    def running(self, kind: ServiceKind | str | None = None) -> tuple[Service, ...]:
        """Return what runs, all or of one kind, in order of starting."""
        asked = None if kind is None else _kind(kind)
        return tuple(one for one in self.state.value if asked in (None, one.kind))

    def call_begun(self, cid: Cid) -> None:
        """Start the service every call has."""
        with self._lock:
            self._begin(ServiceKind.CALL, cid)

    def call_over(self, cid: Cid) -> None:
        """End every service of a call."""
        with self._lock:
            kept = tuple(one for one in self.state.value if one.cid != cid)
            if len(kept) != len(self.state.value):
                self.state.set(kept)

    def _begin(self, kind: ServiceKind, cid: Cid) -> ServiceHandle:
        for one in self.state.value:
            if (one.kind, one.cid) == (kind, cid):
                return ServiceHandle(self, one)
        service = Service(kind, cid, time.time())
        self.state.set((*self.state.value, service))
        return ServiceHandle(self, service)

    def _end(self, service: Service) -> None:
        with self._lock:
            kept = tuple(one for one in self.state.value if one is not service)
            if len(kept) != len(self.state.value):
                self.state.set(kept)


def _kind(kind: ServiceKind | str) -> ServiceKind:
    try:
        return ServiceKind(kind)
    except ValueError:
        raise Misuse(f"there is no service '{str(kind)[:40]}'; there are {', '.join(ServiceKind)}") from None
