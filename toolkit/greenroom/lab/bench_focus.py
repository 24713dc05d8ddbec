"""How soon a switch from one call to another is heard, that one microphone at most is ever open, and that nothing leaks.

A real server, a person in two calls, and one other person in each; everybody says a tone of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable

import msgspec
import numpy as np

from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import MediaFailed
from greenroom.hosting import ServerProcess, start_server_async
from greenroom.lab.hear_matrix import PILOT_DBFS, measure, pilot_dbfs, pilot_hz
from greenroom.media.blocks import FRAME_SECONDS, RATE_HZ, Block
from greenroom.media.sources import Tone
from greenroom.state.engine import ClientState

SOUND_SECONDS = 15.0
LEAK_WINDOW_SECONDS = 2.0
SETTLE_SECONDS = 0.5
FADE_SECONDS = 0.02
_WINDOW_FRAMES = RATE_HZ // 100  # whole turns of every pilot: 400 Hz, 650 Hz and 900 Hz are apart by 250 Hz
_HOP_FRAMES = RATE_HZ // 2000


class SwitchTimes(msgspec.Struct, frozen=True):
    """Milliseconds from the request to half of the fade in what comes out of the loudspeaker."""

    median: float
    p95: float


class FocusReport(msgspec.Struct, frozen=True):
    """`holders_max` is how many microphones were open at once, at most, over every state of the client.

    `leak_db`: the loudest pair that should not hear each other, against the loudest that should; -96.0 is nothing.
    """

    switch_ms: SwitchTimes
    holders_max: int
    leak_db: float
    switches: int


class Recorder:
    """A sink that keeps the last blocks, each with the time at which it was written."""

    channels = 1

    def __init__(self, keep_seconds: float = 4.0, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._kept: deque[tuple[float, Block]] = deque(maxlen=round(keep_seconds / FRAME_SECONDS))

    def write(self, block: Block) -> None:
        self._kept.append((self._clock(), block))

    def close(self) -> None:
        """What was heard stays readable."""

    def recent(self, seconds: float) -> Block:
        """Return the last `seconds`, oldest first."""
        blocks = [block for _, block in list(self._kept)[-round(seconds / FRAME_SECONDS) :]]
        return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)

    def half_at(self, frequency_hz: float, since: float) -> float | None:
        """Return when a tone that is faded in after `since` reaches half of its final level, or None if it never does."""
        kept = list(self._kept)
        first = next((place for place, (at, _) in enumerate(kept) if at >= since), None)
        if first is None:
            return None
        kept = kept[max(0, first - 1) :]
        sound = np.concatenate([block for _, block in kept])
        levels = envelope(sound, frequency_hz)
        if not len(levels):
            return None
        final = float(np.median(levels[-(RATE_HZ // 5 // _HOP_FRAMES) :]))
        reached = np.flatnonzero(levels >= final / 2)
        if final <= 0.0 or not len(reached):
            return None
        frame = int(reached[0]) * _HOP_FRAMES + _WINDOW_FRAMES // 2
        done = 0
        for at, block in kept:
            if frame < done + len(block):
                return at + (frame - done) / RATE_HZ
            done += len(block)
        return None


def envelope(sound: Block, frequency_hz: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the amplitude of a tone in windows of 10 ms, one every half millisecond, of mono `sound`."""
    mono = sound[:, 0].astype(np.float64)
    if len(mono) < _WINDOW_FRAMES:
        return np.zeros(0)
    turned = mono * np.exp(-2j * np.pi * frequency_hz / RATE_HZ * np.arange(len(mono)))
    sums = np.concatenate([[0.0], np.cumsum(turned)])
    starts = np.arange(0, len(mono) - _WINDOW_FRAMES + 1, _HOP_FRAMES)
    return np.asarray(2.0 * np.abs(sums[starts + _WINDOW_FRAMES] - sums[starts]) / _WINDOW_FRAMES)


def run(switches: int = 30, leak_windows: int = 4) -> FocusReport:
    """Measure for about half a minute with the defaults."""
    return asyncio.run(_run(switches, leak_windows))


async def _run(switches: int, leak_windows: int) -> FocusReport:
    cids = ("default:left", "default:right")
    names = ("you", "left", "right")
    pilots = {name: pilot_hz(place) for place, name in enumerate(names)}
    ears = {name: Recorder() for name in names}
    holders: list[int] = [0]
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="greenroom-bench-"))
        server = await start_server_async(data_dir=folder)
        stack.callback(server.close)
        people = {
            name: await stack.enter_async_context(_person(server, name, pilots[name], ears[name]))
            for name in names
        }
        for cid, name in zip(cids, names[1:], strict=True):
            await people[name].join(cid, create=True, microphone=True)
        you = people["you"]
        you.state.subscribe(lambda state: holders.append(max(holders.pop(), _open(state))))
        calls = [await you.join(cid, microphone=True) for cid in cids]
        for client in people.values():
            for call in client.calls:
                await call.sound_connected(SOUND_SECONDS)
        await _until_heard(ears, pilots, "right")
        took_ms: list[float] = []
        leaks: list[float] = []
        for count in range(switches):
            to = count % 2
            took_ms.append(await _switch(you, calls[to], ears["you"], pilots[names[1 + to]]))
            if len(leaks) < leak_windows:
                leaks.append(await _leak(ears, pilots, names[1 + to]))
    return FocusReport(
        SwitchTimes(round(statistics.median(took_ms), 1), round(float(np.percentile(took_ms, 95)), 1)),
        holders[0],
        max(leaks, default=-96.0),
        len(took_ms),
    )


def _person(server: ServerProcess, name: str, hertz: float, sink: Recorder) -> Client:
    return Client(
        server.url,
        token=server.mint(name, name.title()),
        source=Tone(hertz, PILOT_DBFS),
        sink=sink,
        allow_multiple_active_calls=True,
    )


def _open(state: ClientState) -> int:
    return sum(call.microphone.open for call in state.calls.values())


async def _switch(you: Client, call: Call, ear: Recorder, hertz: float) -> float:
    """Switch to a call, and return after how many ms its tone had reached half of its level."""
    asked = time.perf_counter()
    await you.switch_focus(call)
    await asyncio.sleep(SETTLE_SECONDS - (time.perf_counter() - asked))
    half = ear.half_at(hertz, asked)
    if half is None:
        raise MediaFailed("a call was not heard within half a second of a switch")
    return 1000.0 * (half - asked)


async def _leak(ears: dict[str, Recorder], pilots: dict[str, float], focused: str) -> float:
    """Return how loud the loudest pair is that should not hear each other, in a window of 2 s."""
    await asyncio.sleep(LEAK_WINDOW_SECONDS)
    heard = measure({name: ear.recent(LEAK_WINDOW_SECONDS) for name, ear in ears.items()}, pilots)
    return round(heard.leak_db({("you", focused), (focused, "you")}), 1)


async def _until_heard(ears: dict[str, Recorder], pilots: dict[str, float], focused: str) -> None:
    try:
        async with asyncio.timeout(SOUND_SECONDS):
            while not all(  # noqa: ASYNC110  it is heard on another thread
                pilot_dbfs(ears[listener].recent(0.2), pilots[speaker]) > PILOT_DBFS - 3.0
                for listener, speaker in (("you", focused), (focused, "you"))
            ):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise MediaFailed("sound did not come through, so there is nothing to measure") from None
