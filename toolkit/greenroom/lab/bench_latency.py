"""How long sound takes from source to sink, engine to engine through the server, and whether a lost packet adds to it."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time

import msgspec
import numpy as np

from greenroom.errors import MediaFailed
from greenroom.lab.bench_room import Ear, listening
from greenroom.media.blocks import RATE_HZ, Block
from greenroom.policies.audio_config import AudioConfiguration

CLICK_EVERY_FRAMES = RATE_HZ // 4
MEASURED_SECONDS = 6.0
SETTLE_SECONDS = 3.0
_CLICK_FRAMES = 240
_THRESHOLD = 0.2
_TOO_LONG_SECONDS = 0.24
_RTP_OF_AUDIO = (111, 63)


class ClickToClick(msgspec.Struct, frozen=True):
    """Milliseconds from a sample that goes into the source to the same sample that comes out of the sink."""

    median: float
    p95: float


class LatencyReport(msgspec.Struct, frozen=True):
    """`after_one_loss_ms` is the median of what follows a single lost packet."""

    click_to_click_ms: ClickToClick
    after_one_loss_ms: float
    clicks: int


class _Clicks:
    """A soft tone with a click four times a second; remembers when each went in."""

    channels = 1

    def __init__(self, times: list[float]) -> None:
        self._times = times
        self._at = 0

    def read(self, frames: int) -> Block:
        now = time.perf_counter()
        position = self._at + np.arange(frames)
        tone = 0.02 * np.sin(2 * np.pi * 300 * position / RATE_HZ)
        into_click = position % CLICK_EVERY_FRAMES
        click = np.where(
            into_click < _CLICK_FRAMES, 0.7 * np.sin(2 * np.pi * 1000 * into_click / RATE_HZ), 0.0
        )
        starts = np.flatnonzero(into_click == 0)
        if len(starts):
            self._times.append(now + float(starts[0]) / RATE_HZ)
        self._at += frames
        return (tone + click).astype(np.float32)[:, np.newaxis]

    def close(self) -> None: ...


class _Ticks:
    """A sink that remembers when each click came out."""

    channels = 1

    def __init__(self, times: list[float]) -> None:
        self._times = times
        self._deaf_until = 0.0

    def write(self, block: Block) -> None:
        now = time.perf_counter()
        loud = np.flatnonzero(np.abs(block[:, 0]) > _THRESHOLD)
        if len(loud) and now >= self._deaf_until:
            self._times.append(now + float(loud[0]) / RATE_HZ)
            self._deaf_until = now + 0.1

    def close(self) -> None: ...


def run(audio: AudioConfiguration | None = None) -> LatencyReport:
    """Measure for about 20 s."""
    return asyncio.run(_run(audio))


def latencies(went_in: list[float], came_out: list[float]) -> list[float]:
    """Return seconds from each click that went in to the first that came out after it; those not heard are left out."""
    found = []
    for start in went_in:
        after = [end - start for end in came_out if 0.0 <= end - start < _TOO_LONG_SECONDS]
        if after:
            found.append(min(after))
    return found


async def _run(audio: AudioConfiguration | None) -> LatencyReport:
    went_in: list[float] = []
    came_out: list[float] = []
    async with listening(_Clicks(went_in), [_Ticks(came_out)], audio=audio) as (speaking, ears):
        await speaking.set_microphone(True)
        await asyncio.sleep(SETTLE_SECONDS)
        before = await _measure(went_in, came_out)
        await _lose_one(ears[0])
        await asyncio.sleep(0.5)
        after = await _measure(went_in, came_out)
    if len(before) < 5 or len(after) < 5:
        raise MediaFailed("too few clicks arrived to measure by")
    return LatencyReport(
        ClickToClick(round(statistics.median(before), 1), round(float(np.percentile(before, 95)), 1)),
        round(statistics.median(after), 1),
        len(before) + len(after),
    )


async def _measure(went_in: list[float], came_out: list[float]) -> list[float]:
    """Return what clicks of the next seconds take, in ms."""
    first = len(went_in)
    await asyncio.sleep(MEASURED_SECONDS)
    last = len(went_in)
    await asyncio.sleep(_TOO_LONG_SECONDS)
    return [1000.0 * seconds for seconds in latencies(went_in[first:last], list(came_out))]


async def _lose_one(ear: Ear) -> None:
    """Lose the next packet of sound to this listener."""
    relay = ear.network.relay
    if relay is None:
        raise MediaFailed("there is no connection to lose a packet of")
    lost = threading.Event()

    def tap(datagram: bytes) -> None:
        is_sound = datagram[0] >> 6 == 2 and datagram[1] & 0x7F in _RTP_OF_AUDIO
        if is_sound and not lost.is_set():
            relay.down.lose_next = 1
            lost.set()

    relay.taps_down.append(tap)
    async with asyncio.timeout(2.0):
        while not lost.is_set():  # noqa: ASYNC110  it is set on another thread
            await asyncio.sleep(0.01)
    relay.taps_down.remove(tap)
