"""What waits to be sent to one client: bounded, with newest-wins places beside the queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable

MAX_FRAMES = 256
MAX_BYTES = 1024 * 1024


class Outbox:
    """Frames for one client. Control frames keep their order and are never dropped: when there are too many,
    `overflowed` says that the client does not read. Signals give way when half is full; of each key the newest waits.
    """

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._latest: dict[Hashable, bytes] = {}
        self._bytes = 0
        self.overflowed = False
        self.ready = asyncio.Event()

    def put(self, frame: bytes) -> None:
        """Queue a control frame. One more has room, however large, while what waits is within the bounds."""
        if self.overflowed:
            return
        if len(self._frames) >= MAX_FRAMES or self._bytes > MAX_BYTES:
            self.overflowed = True
            self._frames.clear()
            self._latest.clear()
        else:
            self._frames.append(frame)
            self._bytes += len(frame)
        self.ready.set()

    def put_signal(self, frame: bytes) -> None:
        """Queue a frame that may be missed, unless half of the queue is taken."""
        if len(self._frames) < MAX_FRAMES // 2 and self._bytes + len(frame) <= MAX_BYTES // 2:
            self.put(frame)

    def put_latest(self, key: Hashable, frame: bytes) -> None:
        """Keep `frame` as the newest of `key`, in the place of an older one."""
        if not self.overflowed:
            self._latest[key] = frame
            self.ready.set()

    def take(self, limit: int = 64) -> list[bytes]:
        """Return up to `limit` frames to send now; empty when nothing waits. Control goes first."""
        taken = [self._frames.popleft() for _ in range(min(limit, len(self._frames)))]
        self._bytes -= sum(map(len, taken))
        while len(taken) < limit and self._latest:
            taken.append(self._latest.pop(next(iter(self._latest))))
        if not self._frames and not self._latest and not self.overflowed:
            self.ready.clear()
        return taken
