"""The two ends of a sound device: a source fed by its callback, a sink emptied by it. Neither side ever waits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from greenroom.media.blocks import FRAME, RATE_HZ, Block, silence, with_channels
from greenroom.media.dsp import SILENCE_DBFS, crossfade, ending, level_dbfs, rising, stretched
from greenroom.media.ring import SampleRing

DEVICE_LATENCY_SECONDS = 0.02
_HELD_FRAMES = 10 * FRAME
_TOLERATED_FRAMES = FRAME // 8
_SPARE_FRAMES = FRAME // 2 + _TOLERATED_FRAMES  # callbacks bring 10 ms, and may come just after a read
_SPARE_STEP_FRAMES = FRAME // 2
_SPARE_AT_MOST_FRAMES = 2 * FRAME
_WINDOW_READS = 50
_JUMP_FRAMES = 3 * FRAME
_AHEAD_FRAMES = FRAME + FRAME // 2
_AHEAD_AT_MOST_FRAMES = 4 * FRAME
_AHEAD_STEP_FRAMES = FRAME // 2
_CALM_FRAMES = 30 * RATE_HZ


class DeviceMicrophone:
    """What a microphone hears, for one reader. Silence, after a fade, while no device feeds it.

    The device and the reader have clocks of their own. The ring between them is kept near 12 ms beyond what a read
    takes (10 more after each time that was too little, 40 at most, 10 less after half a minute in which it was enough):
    by one sample in 960 while that is enough, by a cross-fade where 60 ms too much have piled up.
    """

    channels = 1

    def __init__(self, on_close: Callable[[DeviceMicrophone], None] | None = None) -> None:
        self.level_dbfs = SILENCE_DBFS
        self.jumps = 0
        self.underruns = 0
        self._ring = SampleRing(_HELD_FRAMES)
        self._played = SampleRing(_HELD_FRAMES)
        self._on_close = on_close
        self._spare_frames = _SPARE_FRAMES
        self._filling = True
        self._last = silence(FRAME)
        self._lowest = _HELD_FRAMES
        self._reads = 0
        self._correct_frames = 0
        self._calm_frames = 0

    @property
    def spare_seconds(self) -> float:
        """How much sound is kept beyond what a read takes."""
        return self._spare_frames / RATE_HZ

    def feed(self, block: Block) -> None:
        """Take what was captured, shape (frames, 1); called by the device's thread. The oldest goes when 200 ms wait."""
        self._ring.write(block)

    def clear(self) -> None:
        """Forget what waits, of a device that is gone."""
        self._ring.clear()
        self._spare_frames = _SPARE_FRAMES

    def hear_played(self, block: Block) -> None:
        """Take what the loudspeaker of the same session is given, shape (frames, 2); called by its thread."""
        self._played.write(with_channels(block, 1))

    def take_played(self) -> Block:
        """Return what the loudspeaker was given since the last time, mono: the microphone hears it as echo."""
        return self._played.read(len(self._played))

    @property
    def echo_delay_seconds(self) -> float:
        """From the loudspeaker's callback to a read: what both devices hold, and what waits in the ring."""
        return 2.0 * DEVICE_LATENCY_SECONDS + len(self._ring) / RATE_HZ

    def read(self, frames: int) -> Block:
        block = self._next(frames)
        self.level_dbfs = level_dbfs(block)
        self._last = block
        return block

    def close(self) -> None:
        """Be fed no more; twice is quiet."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(self)

    def _next(self, frames: int) -> Block:
        if self._filling:
            if len(self._ring) < frames + self._spare_frames:
                return silence(frames)
            self._begin(frames)
            return self._ring.read(frames) * rising(frames)
        held = len(self._ring)
        if held < frames:
            return self._run_dry(frames, held)
        if held - frames > self._spare_frames + _JUMP_FRAMES:
            before = self._ring.read(frames)
            self._ring.read(len(self._ring) - frames - self._spare_frames)
            self.jumps += 1
            self._reset_window()
            return crossfade(before, self._ring.read(frames))
        block = self._ring.read(min(held, frames + self._correct_frames))
        self._watch(held - frames)
        self._calm_frames += frames
        if self._calm_frames >= _CALM_FRAMES:
            self._calm_frames = 0
            self._spare_frames = max(_SPARE_FRAMES, self._spare_frames - _SPARE_STEP_FRAMES)
        return block if len(block) == frames else stretched(block, frames)

    def _begin(self, frames: int) -> None:
        self._filling = False
        late = len(self._ring) - frames - self._spare_frames
        if late > 0:
            self._ring.read(late)
        self._reset_window()

    def _run_dry(self, frames: int, held: int) -> Block:
        self._filling = True
        self._calm_frames = 0
        self.underruns += 1
        self._spare_frames = min(self._spare_frames + _SPARE_STEP_FRAMES, _SPARE_AT_MOST_FRAMES)
        if held >= 2:
            block = self._ring.read(frames)
            block[:held] *= 1.0 - rising(held)
            return block
        self._ring.clear()
        tail = ending(self._last)[:frames]
        return np.concatenate([tail, silence(frames - len(tail))])

    def _watch(self, left: int) -> None:
        """Compare the least that was left over in a second with what should be, and correct the next second."""
        self._lowest = min(self._lowest, left)
        self._reads += 1
        if self._reads >= _WINDOW_READS:
            error = self._lowest - self._spare_frames
            self._reset_window()
            self._correct_frames = 1 if error > _TOLERATED_FRAMES else -1 if error < -_TOLERATED_FRAMES else 0

    def _reset_window(self) -> None:
        self._lowest = _HELD_FRAMES
        self._reads = 0
        self._correct_frames = 0


class DeviceSpeaker:
    """What a loudspeaker is to play, from one playout, whose clock is the device's: it says when it wants more.

    20 to 40 ms wait ahead of the callback; 10 ms more after each time that was too little, 80 ms at most, and 10 less
    after half a minute in which it was enough.
    """

    channels = 2

    def __init__(self, on_close: Callable[[DeviceSpeaker], None] | None = None) -> None:
        self.underruns = 0
        self._ring = SampleRing(_HELD_FRAMES, self.channels)
        self._ahead_frames = _AHEAD_FRAMES
        self._on_close = on_close
        self._wake: Callable[[], None] | None = None
        self._running = False
        self._playing = False
        self._calm_frames = 0

    @property
    def ahead_seconds(self) -> float:
        """How much sound is kept waiting for the device."""
        return self._ahead_frames / FRAME * 0.02

    def write(self, block: Block) -> None:
        """Queue `block` for the device; it is forgotten while there is none."""
        if self._running:
            self._ring.write(block)

    def wanted_frames(self) -> int | None:
        """Return how much is missing now; None while no device runs, when somebody else's clock must do."""
        return max(0, self._ahead_frames + FRAME // 2 - len(self._ring)) if self._running else None

    def on_wanted(self, wake: Callable[[], None] | None) -> None:
        """Call `wake`, on the device's thread, whenever a block or more is wanted; None ends that."""
        self._wake = wake

    def set_running(self, running: bool) -> None:
        """Say whether a device takes sound now; what waited for the one before is forgotten."""
        if running != self._running:
            self._ring.clear()
            self._playing = False
            self._ahead_frames = _AHEAD_FRAMES
        self._running = running
        self._tell()

    def take(self, frames: int) -> Block | None:
        """Return the next `frames`, shape (frames, 2), or None when there is nothing; called by the device's thread."""
        held = len(self._ring)
        if held == 0 or (not self._playing and held < frames):
            if self._playing:
                self._playing = False
                self._late()
            self._tell()
            return None
        block = self._ring.read(frames)
        if not self._playing:
            self._playing = True
            block *= rising(frames)
        elif held < frames:
            self._playing = False
            block[:held] *= 1.0 - rising(held)
            self._late()
        self._calm_frames += frames
        if self._calm_frames >= _CALM_FRAMES:
            self._calm_frames = 0
            self._ahead_frames = max(_AHEAD_FRAMES, self._ahead_frames - _AHEAD_STEP_FRAMES)
        self._tell()
        return block

    def close(self) -> None:
        """Play no more; twice is quiet."""
        on_close, self._on_close = self._on_close, None
        self._running = False
        if on_close is not None:
            on_close(self)

    def _late(self) -> None:
        self.underruns += 1
        self._calm_frames = 0
        self._ahead_frames = min(self._ahead_frames + _AHEAD_STEP_FRAMES, _AHEAD_AT_MOST_FRAMES)

    def _tell(self) -> None:
        wake = self._wake
        if wake is not None and len(self._ring) + FRAME // 2 <= self._ahead_frames:
            wake()
