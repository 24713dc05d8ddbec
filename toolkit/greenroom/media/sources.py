"""Where outgoing sound comes from, and the sources without a device or a file.

Whoever opens a source closes it: a `MediaConnection` reads it and lets go of it.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import numpy as np

from greenroom.media.blocks import RATE_HZ, Block, silence, with_channels
from greenroom.media.dsp import gain_of


@runtime_checkable
class AudioSource(Protocol):
    """Something that can be read at any time without waiting."""

    @property
    def channels(self) -> int:
        """1 or 2, the same for the whole life of the source."""

    def read(self, frames: int) -> Block:
        """Return exactly `frames` at 48 kHz, shape (frames, channels), silence where there is nothing.

        Never blocks, and may be called after `close`.
        """

    def close(self) -> None:
        """Let go of what the source holds; closing twice is quiet."""


@runtime_checkable
class RoomMicrophone(AudioSource, Protocol):
    """A source that picks up a room, and with it what our loudspeaker plays: it is treated as the call wishes.

    Any other source is sent as it is.
    """

    @property
    def echo_delay_seconds(self) -> float:
        """About how long it takes from what is played to its echo in what is read."""

    def take_played(self) -> Block:
        """Return what our loudspeaker played since the last time, mono, shape (frames, 1); empty where nobody tells."""


class Silence:
    """Nothing, for as long as wanted."""

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def read(self, frames: int) -> Block:
        return silence(frames, self.channels)

    def close(self) -> None:
        """Nothing is held."""


class Tone:
    """A sine of `frequency_hz` (1 to 20,000) whose RMS level is `level_dbfs` (at most -3)."""

    def __init__(self, frequency_hz: float = 440.0, level_dbfs: float = -20.0, channels: int = 1) -> None:
        if not 1.0 <= frequency_hz <= 20_000.0:
            raise ValueError(f"a tone of {frequency_hz} Hz cannot be heard; choose 1 to 20,000")
        self.channels = channels
        self.frequency_hz = frequency_hz
        self._amplitude = min(1.0, gain_of(level_dbfs) * math.sqrt(2.0))
        self._phase = 0.0

    def read(self, frames: int) -> Block:
        step = 2.0 * math.pi * self.frequency_hz / RATE_HZ
        sine = self._amplitude * np.sin(self._phase + step * np.arange(frames))
        self._phase = (self._phase + step * frames) % (2.0 * math.pi)
        return with_channels(sine.astype(np.float32)[:, np.newaxis], self.channels)

    def close(self) -> None:
        """Nothing is held."""
