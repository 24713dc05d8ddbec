"""Claims about what somebody hears, made on the decoded sound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from greenroom.engine.call import Call
from greenroom.media.blocks import FRAME, Block
from greenroom.media.dsp import level_dbfs, strongest_hz
from greenroom.protocol.ids import UserId

AUDIBLE_DBFS = -50.0


class Heard:
    """When each person was last audible to one listener, by the clock that reads `now`."""

    def __init__(self, call: Call) -> None:
        self.now = time.monotonic
        self.at: dict[UserId, float] = {}
        self.blocks = 0
        self._stop = call.tap(self._hear)

    def _hear(self, user: UserId, block: Block) -> None:
        self.blocks += 1
        if level_dbfs(block) > AUDIBLE_DBFS:
            self.at[user] = self.now()

    def close(self) -> None:
        self._stop()


async def until(true: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
    """Return once `true()` is; look every 10 ms. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_seconds):
        while not true():  # noqa: ASYNC110  sound and other processes announce nothing to wait for
            await asyncio.sleep(0.01)


async def hears(listener: Call, user: UserId, timeout_seconds: float = 10.0) -> None:
    """Return once `listener` hears `user`, loud, for 200 ms without a gap. Raises `TimeoutError`."""

    def loud() -> bool:
        sound = listener.last(user, 0.2)
        frames = [sound[start : start + FRAME] for start in range(0, len(sound), FRAME)]
        return len(frames) >= 10 and all(level_dbfs(frame) > AUDIBLE_DBFS for frame in frames)

    await until(loud, timeout_seconds)


def is_tone(sound: Block, frequency_hz: float, dbfs: float) -> bool:
    """Whether `sound` is a sine of this frequency (within 2 Hz) and level (within 1.5 dB)."""
    return abs(strongest_hz(sound[:, 0]) - frequency_hz) < 2.0 and abs(level_dbfs(sound) - dbfs) < 1.5


def assert_tone(sound: Block, frequency_hz: float, dbfs: float) -> None:
    """Assert that `sound` is a sine of this frequency (within 2 Hz) and level (within 1.5 dB)."""
    assert abs(strongest_hz(sound[:, 0]) - frequency_hz) < 2.0
    assert abs(level_dbfs(sound) - dbfs) < 1.5
