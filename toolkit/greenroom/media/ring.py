"""A bounded ring of samples between a thread that writes and one that reads."""

from __future__ import annotations

import threading

import numpy as np

from greenroom.media.blocks import Block, silence


class SampleRing:
    """Holds at most `capacity_frames`; when it is full the oldest are dropped and counted.

    Safe between threads; neither side ever waits for the other.
    """

    def __init__(self, capacity_frames: int, channels: int = 1) -> None:
        if capacity_frames < 1:
            raise ValueError("a ring needs room for at least one frame")
        self.channels = channels
        self.dropped_frames = 0
        self.missing_frames = 0
        self._samples = silence(capacity_frames, channels)
        self._read_at = 0
        self._held = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._held

    @property
    def free_frames(self) -> int:
        """How many frames can be written before old ones are dropped."""
        return len(self._samples) - self._held

    def write(self, block: Block) -> int:
        """Append `block`, shape (frames, channels); return how many old frames had to go for it."""
        capacity = len(self._samples)
        with self._lock:
            dropped = max(0, len(block) - capacity)
            kept = block[dropped:]
            overflow = max(0, self._held + len(kept) - capacity)
            self._read_at = (self._read_at + overflow) % capacity
            self._held -= overflow
            write_at = (self._read_at + self._held) % capacity
            first = min(len(kept), capacity - write_at)
            self._samples[write_at : write_at + first] = kept[:first]
            self._samples[: len(kept) - first] = kept[first:]
            self._held += len(kept)
            self.dropped_frames += dropped + overflow
            return dropped + overflow

    def read(self, frames: int) -> Block:
        """Return exactly `frames`, shape (frames, channels); what is missing is silence at the end, and counted."""
        block = np.empty((frames, self.channels), np.float32)
        capacity = len(self._samples)
        with self._lock:
            taken = min(frames, self._held)
            first = min(taken, capacity - self._read_at)
            block[:first] = self._samples[self._read_at : self._read_at + first]
            block[first:taken] = self._samples[: taken - first]
            block[taken:] = 0.0
            self._read_at = (self._read_at + taken) % capacity
            self._held -= taken
            self.missing_frames += frames - taken
        return block

    def clear(self) -> None:
        """Forget what is held; the counts stay."""
        with self._lock:
            self._held = 0
