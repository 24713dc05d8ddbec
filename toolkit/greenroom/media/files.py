"""An audio file as a source: decoded off the loop, a few seconds ahead, into a bounded ring."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Literal

import av
import numpy as np

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import RATE_HZ, Block, silence, with_channels
from greenroom.media.ring import SampleRing

AHEAD_SECONDS = 2.0
_READABLE_SECONDS = 0.5


class File:
    """Any audio file that FFmpeg reads, at 48 kHz; opening raises `AudioUnavailable` if it is none.

    `loop` starts it again at the end. Without, `finished` becomes true once the last sample was read.
    The beginning is decoded before the constructor returns (a few milliseconds), the rest by a thread.
    """

    def __init__(self, path: str | PathLike[str], *, loop: bool = False, channels: Literal[1, 2] = 1) -> None:
        self.path = Path(path)
        self.channels = channels
        self._loop = loop
        self._ring = SampleRing(round(AHEAD_SECONDS * RATE_HZ), channels)
        self._wanted = threading.Condition()
        self._closed = False
        self._decoded_all = False
        self._blocks = decoded(self.path, channels)
        for block in self._blocks:
            self._ring.write(block)
            if len(self._ring) >= _READABLE_SECONDS * RATE_HZ:
                break
        if len(self._ring) == 0:
            raise AudioUnavailable(f"'{self.path}' has no sound in it; choose another file")
        self._thread = threading.Thread(target=self._decode, name="audio-file", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether everything was read; never true of a file that loops."""
        return self._decoded_all and len(self._ring) == 0

    def read(self, frames: int) -> Block:
        if self._closed:
            return silence(frames, self.channels)
        block = self._ring.read(frames)
        if self._wanted.acquire(blocking=False):
            self._wanted.notify()
            self._wanted.release()
        return block

    def close(self) -> None:
        with self._wanted:
            self._closed = True
            self._wanted.notify()
        self._thread.join(timeout=1.0)

    def _decode(self) -> None:
        try:
            while not self._closed:
                for block in self._blocks:
                    if not self._has_room_for(len(block)):
                        return
                    self._ring.write(block)
                if not self._loop:
                    return
                self._blocks = decoded(self.path, self.channels)
        except AudioUnavailable:
            return  # the file changed or broke while it played: what follows is silence
        finally:
            self._decoded_all = True

    def _has_room_for(self, frames: int) -> bool:
        """Wait until `frames` fit; false when the source was closed meanwhile."""
        with self._wanted:
            while not self._closed and self._ring.free_frames < frames:
                self._wanted.wait(0.5)
            return not self._closed


def decoded(path: Path, channels: int) -> Iterator[Block]:
    """Yield the sound of the first audio stream of `path`, 48 kHz, shape (frames, channels).

    Raises `AudioUnavailable` when there is no such file, or no sound in it.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioUnavailable(f"'{path}' has no sound in it; choose an audio file")
            resampler: av.AudioResampler | None = None
            for frame in container.decode(container.streams.audio[0]):
                if (
                    resampler is None
                ):  # FFmpeg would turn mono into stereo 3 dB softer: channels are ours to change
                    layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
                    resampler = av.AudioResampler("fltp", layout, RATE_HZ)
                for resampled in resampler.resample(frame):
                    yield with_channels(_block(resampled), channels)
            for resampled in resampler.resample(None) if resampler else ():
                yield with_channels(_block(resampled), channels)
    except FileNotFoundError as error:
        raise AudioUnavailable(f"there is no file '{path}'") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise AudioUnavailable(f"'{path}' cannot be read as audio; choose another file") from error


def load(path: Path, channels: int = 1) -> Block:
    """Return a whole short file, shape (frames, channels). Raises `AudioUnavailable` like `decoded`."""
    blocks = list(decoded(path, channels))
    return np.concatenate(blocks) if blocks else silence(0, channels)


def _block(frame: av.AudioFrame) -> Block:
    return np.ascontiguousarray(frame.to_ndarray().T, np.float32)
