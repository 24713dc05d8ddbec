"""The media engine's verbs: what the control plane needs from whatever carries the sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from greenroom.errors import MediaFailed
from greenroom.sfu.control import MediaEvent, WorkerStatistics


class MediaRefused(MediaFailed):
    """An offer cannot be answered; `reason` says why in words for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the media offer was refused: {reason}")
        self.reason = reason


MediaEventHandler = Callable[[MediaEvent], None]


class MediaEngine(Protocol):
    """A dozen verbs. One implementation is `greenroom.sfu.pool.MediaPool`."""

    on_event: MediaEventHandler
    """Called on the engine's event loop for everything that happens; set by the owner, must not raise."""

    async def start(self) -> None:
        """Begin to listen."""

    async def close(self) -> None:
        """End all media; twice is quiet."""

    async def connect(self, peer: str, room: str, number: int, offer: str, may_speak: bool) -> str:
        """Return the answer to `offer` (SDP both); raises `MediaRefused`.

        `number` (1..2**32-1) stands for the person in this room and is the CSRC of what they say. A peer
        of the same name is replaced.
        """

    async def set_forwarding(self, peer: str, allowed: bool) -> None:
        """Open or close the peer's line; returns when it has been applied. An unknown peer is quiet."""

    async def disconnect(self, peer: str) -> None:
        """Forget the peer; an unknown one is quiet."""

    async def close_room(self, room: str) -> None:
        """Forget everyone in `room`; an unknown one is quiet."""

    async def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Return what each worker used and did."""
