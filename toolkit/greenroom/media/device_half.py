"""One direction of the audio session: its stream while there is one, how it is doing, when to try again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from msgspec.structs import replace

from greenroom.errors import AudioUnavailable
from greenroom.media import devices
from greenroom.media.blocks import Block
from greenroom.state.devices import (
    Device,
    DevicePhase,
    Direction,
    Line,
    Verdict,
    Watched,
    judge,
    retry_after_seconds,
)

log = logging.getLogger(__name__)


class Half:
    """Belongs to the session's thread. `on_running` is told when sound begins to pass, and when it no longer does."""

    def __init__(self, direction: Direction, wish: str, on_running: Callable[[bool], None]) -> None:
        self.direction = direction
        self.line = Line(direction, wish)
        self.stream: devices.Stream | None = None
        self.device: Device | None = None
        self.retry_at: float | None = None
        self.number = 0
        self._watched = Watched(0.0)
        self._on_running = on_running

    @property
    def kind(self) -> str:
        """What people call it."""
        return "microphone" if self.direction is Direction.INPUT else "loudspeaker"

    @property
    def title(self) -> str:
        """What people call it, with the name of the device."""
        return f"the {self.kind} '{self.line.device}'"

    def open(
        self,
        device: Device,
        callback: Callable[[Block], None] | Callable[[int], Block],
        on_finished: Callable[[int], None],
    ) -> None:
        """Open `device`, or say why not and when to try again. `on_finished(number)` tells that stream `number` died."""
        self.number += 1
        number = self.number
        try:
            self.stream = devices.Stream(device, self.direction, callback, lambda: on_finished(number))
        except AudioUnavailable as error:
            self.again(str(error))
            return
        self.device = device
        self._watched = Watched(time.monotonic())
        self.retry_at = None
        self.line = replace(self.line, phase=DevicePhase.OPENING, device=device.name, reason="")
        log.info("the %s device opens", self.direction)

    def close(self) -> None:
        """Let go of the stream, if there is one; what is known stays."""
        stream, self.stream = self.stream, None
        self._on_running(False)
        if stream is not None:
            stream.close()

    def leave(self) -> None:
        """Close, to be opened anew as wished."""
        self.close()
        self.device = self.retry_at = None
        self.line = replace(self.line, phase=DevicePhase.OFF, reason="", attempt=0)

    def rest(self, reason: str = "") -> None:
        """Close, and want nothing until told otherwise."""
        self.close()
        self.device = self.retry_at = None
        self.line = Line(self.direction, self.line.wish, reason=reason)

    def look(self, now: float) -> None:
        """See how the open stream is doing, and say so."""
        if self.stream is None:
            return
        self._watched = replace(self._watched, last_sound_at=self.stream.last_sound_at)
        match judge(self._watched, now):
            case Verdict.RUNNING:
                self._watched = replace(self._watched, stalled_since=None)
                self._on_running(True)
                self.line = replace(self.line, phase=DevicePhase.RUNNING, reason="", attempt=0)
            case Verdict.STALLED:
                if self.line.phase is not DevicePhase.STALLED:
                    self._watched = replace(self._watched, stalled_since=now)
                    self._on_running(False)
                    self.line = replace(
                        self.line, phase=DevicePhase.STALLED, reason=f"{self.title} stands still"
                    )
                    log.info("the %s device stands still", self.direction)
            case Verdict.GIVEN_UP:
                self.lost(f"{self.title} stands still")
            case Verdict.WAITING:
                pass

    def lost(self, why: str) -> None:
        """Close what went away, to be taken again when it is back."""
        self.close()
        self.device = None
        self.line = replace(self.line, attempt=0)
        log.info("the %s device was lost", self.direction)
        self.again(f"{why}; it is taken again as soon as it is back")

    def again(self, reason: str) -> None:
        """Say why there is no device, and try again later, later each time."""
        attempt = self.line.attempt + 1
        self.line = replace(self.line, phase=DevicePhase.LOST, reason=reason, attempt=attempt)
        self.retry_at = time.monotonic() + retry_after_seconds(attempt)
