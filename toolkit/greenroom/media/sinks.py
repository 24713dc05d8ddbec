"""Where heard sound goes, and the sinks without a device.

Whoever opens a sink closes it: a `Playout` writes to it and lets go of it.
"""

from __future__ import annotations

import wave
from collections import deque
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import FRAME, RATE_HZ, Block, silence, with_channels
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs
from greenroom.media.wav_writer import WavWriter


@runtime_checkable
class AudioSink(Protocol):
    """Something that can be written at any time without waiting."""

    @property
    def channels(self) -> int:
        """1 or 2: what blocks are expected to have."""

    def write(self, block: Block) -> None:
        """Take one block at 48 kHz, shape (frames, channels). Never blocks; what does not fit is dropped and counted."""

    def close(self) -> None:
        """Finish; closing twice is quiet."""


@runtime_checkable
class ClockedSink(AudioSink, Protocol):
    """A sink with a clock of its own, as a loudspeaker has: it says when it wants more."""

    def wanted_frames(self) -> int | None:
        """Return how much is missing now; None while its clock stands still and another one must do."""

    def on_wanted(self, wake: Callable[[], None] | None) -> None:
        """Call `wake`, on any thread, whenever a block or more is wanted; None ends that."""


class Null:
    """Hears nothing."""

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def write(self, block: Block) -> None:
        """Forget it."""

    def close(self) -> None:
        """Nothing is held."""


class Meter:
    """Remembers how loud it was, and the last `keep_seconds` of sound."""

    def __init__(self, channels: int = 1, keep_seconds: float = 2.0) -> None:
        self.channels = channels
        self.level_dbfs = SILENCE_DBFS
        self._blocks: deque[Block] = deque(maxlen=max(1, round(keep_seconds * RATE_HZ / FRAME)))

    def write(self, block: Block) -> None:
        self.level_dbfs = level_dbfs(block)
        self._blocks.append(block)

    def recent(self, seconds: float | None = None) -> Block:
        """Return what was heard in the last `seconds` (all that is kept, if None), oldest first."""
        blocks = list(self._blocks)
        heard = np.concatenate(blocks) if blocks else silence(0, self.channels)
        return heard if seconds is None else heard[max(0, len(heard) - round(seconds * RATE_HZ)) :]

    def close(self) -> None:
        """What was heard stays readable."""


class Callback:
    """Hands each block, shape (frames, channels), to a function of yours, which must be quick.

    A function that raises is not called again; `error` says what it raised.
    """

    def __init__(self, heard: Callable[[Block], None], channels: int = 1) -> None:
        self.channels = channels
        self.error: Exception | None = None
        self._heard: Callable[[Block], None] | None = heard

    def write(self, block: Block) -> None:
        if self._heard is None:
            return
        try:
            self._heard(with_channels(block, self.channels))
        except Exception as error:  # somebody else's function must not end everybody's sound
            self.error = error
            self._heard = None

    def close(self) -> None:
        self._heard = None


class WavFile:
    """A 16-bit WAV file, written by a thread; it has its own name only once it is complete.

    Until then it is `NAME.part`, with a header that is right to the last second, so a crash costs a second
    at most. Opening raises `AudioUnavailable` where nothing can be written.
    """

    def __init__(self, path: str | PathLike[str], channels: int = 2) -> None:
        self.path = Path(path)
        self.channels = channels
        self._writer = WavWriter(self.path, channels)

    @property
    def dropped_frames(self) -> int:
        """How much the disk was too slow for."""
        return self._writer.dropped_frames

    @property
    def error(self) -> str | None:
        """Why writing stopped (a full disk, for one), or None."""
        return self._writer.error

    def write(self, block: Block) -> None:
        self._writer.put(with_channels(block, self.channels))

    def close(self) -> None:
        self._writer.close()


def read_wav(path: str | PathLike[str]) -> Block:
    """Return a 16-bit WAV file as a block, shape (frames, channels). Raises `AudioUnavailable`."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise AudioUnavailable(f"'{path}' does not have 16-bit samples")
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            return samples.reshape(-1, file.getnchannels()).astype(np.float32) / np.float32(32768.0)
    except (OSError, EOFError, wave.Error) as error:
        raise AudioUnavailable(f"'{path}' cannot be read as a WAV file") from error
