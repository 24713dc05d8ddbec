"""Writes a WAV file on a thread of its own, so that a slow disk costs no sound anywhere else."""

from __future__ import annotations

import queue
import struct
import threading
from pathlib import Path
from typing import BinaryIO

import numpy as np

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import FRAME, RATE_HZ, Block

_WAITING_SECONDS = 10
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


class WavWriter:
    """Takes blocks without waiting; the oldest 10 s wait for the disk, newer ones are dropped and counted."""

    def __init__(self, path: Path, channels: int) -> None:
        self.dropped_frames = 0
        self.error: str | None = None
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._channels = channels
        self._blocks: queue.Queue[Block | None] = queue.Queue(_WAITING_SECONDS * RATE_HZ // FRAME)
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise AudioUnavailable(f"'{path}' cannot be written: {error.strerror}") from error
        self._thread = threading.Thread(target=self._run, name="wav-writer", daemon=True)
        self._closed = False
        self._thread.start()

    def put(self, block: Block) -> None:
        """Queue `block`, or drop and count it when 10 s are waiting already."""
        if self._closed or self.error is not None:
            return
        try:
            self._blocks.put_nowait(block)
        except queue.Full:
            self.dropped_frames += len(block)

    def close(self) -> None:
        """Write what is waiting (10 s at most), complete the header and give the file its name."""
        if self._closed:
            return
        self._closed = True
        try:
            self._blocks.put(None, timeout=1.0)
        except queue.Full:
            self.error = "the disk did not keep up"
            return
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        written = 0
        headed = 0
        try:
            with self._file as file:
                self._write_header(file, 0)
                while (block := self._blocks.get()) is not None:
                    samples = np.clip(np.rint(block * 32767.0), -32768, 32767).astype("<i2")
                    file.write(samples.tobytes())
                    written += len(samples)
                    if written - headed >= RATE_HZ:
                        self._write_header(file, written)
                        headed = written
                self._write_header(file, written)
            self._part.replace(self._path)
        except OSError as error:
            self.error = f"'{self._path}' cannot be written: {error.strerror}"

    def _write_header(self, file: BinaryIO, frames: int) -> None:
        """Put a header for `frames` at the beginning; sizes beyond 4 GiB read as "to the end"."""
        size = min(frames * self._channels * 2, 0xFFFFFFFF - 36)
        row = self._channels * 2
        at = file.tell()
        file.seek(0)
        file.write(
            _HEADER.pack(
                b"RIFF", size + 36, b"WAVE",
                b"fmt ", 16, 1, self._channels, RATE_HZ, RATE_HZ * row, row, 16,
                b"data", size,
            )
        )  # fmt: skip
        file.flush()
        file.seek(max(at, _HEADER.size))
