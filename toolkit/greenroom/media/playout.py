"""Plays several calls through one sink: pulls, mixes and writes, 20 ms at a time.

Nothing here reads a clock but `run`, for sinks that have none; tests step instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Protocol

from greenroom.media.blocks import FRAME, FRAME_SECONDS, Block, with_channels
from greenroom.media.dsp import rising
from greenroom.media.mixer import Mixer
from greenroom.media.sinks import AudioSink, ClockedSink

Tap = Callable[[str, int, Block], None]
_FALLEN_BEHIND_SECONDS = 0.2
_CLOCK_STOPPED_SECONDS = 0.1


class Pullable(Protocol):
    """What a call gives to play: a `MediaConnection`, or a stand-in without a network."""

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        """Return each person's next `frames`, by speaker number."""


class Playout:
    """Everything that is heard on one sink. The sink, and the connections, stay the caller's to close.

    A call at gain 0 is still pulled, so that it is heard at once, and in time, when it is turned up again.
    """

    def __init__(self, sink: AudioSink) -> None:
        self._sink = sink
        self._calls: dict[str, Pullable] = {}
        self._leaving: set[str] = set()
        self._replaced: dict[str, Pullable] = {}
        self._people: dict[str, Mixer[int]] = {}
        self._master: Mixer[str] = Mixer(sink.channels)
        self._taps: list[Tap] = []
        self._mixed_taps: list[Callable[[Block], None]] = []
        self._fade_in_sink = False
        self._leaving_sink: AudioSink | None = None

    @property
    def sink(self) -> AudioSink:
        """What is being written to now."""
        return self._sink

    @property
    def calls(self) -> tuple[str, ...]:
        """The calls being played, in the order they were added."""
        return tuple(call_id for call_id in self._calls if call_id not in self._leaving)

    def add(self, call_id: str, connection: Pullable, gain: float = 1.0, pan: float = 0.0) -> None:
        """Play `connection` as `call_id`; one of the same name is replaced, and keeps its people's gains and places.

        The one before is pulled once more, to be faded out.
        """
        before = self._calls.get(call_id)
        if before is not None and before is not connection:
            self._replaced.setdefault(call_id, before)
        self._calls[call_id] = connection
        self._leaving.discard(call_id)
        self._people.setdefault(call_id, Mixer(self._master.channels, limited=False))
        self._master.set_gain(call_id, gain)
        self._master.set_pan(call_id, pan)

    def remove(self, call_id: str) -> None:
        """Fade `call_id` out within the next 20 ms and forget it; an unknown one is quiet."""
        if call_id in self._calls:
            self._master.set_gain(call_id, 0.0)
            self._leaving.add(call_id)

    def set_gain(self, call_id: str, gain: float, seconds: float = 0.02) -> None:
        """Move a whole call to `gain` (linear) within `seconds`; an unknown call is quiet."""
        if call_id in self.calls:
            self._master.set_gain(call_id, gain, seconds)

    def set_pan(self, call_id: str, pan: float, seconds: float = 0.02) -> None:
        """Move a whole call to a place from -1.0 (left) to 1.0 (right) within `seconds`; an unknown call is quiet."""
        if call_id in self.calls:
            self._master.set_pan(call_id, pan, seconds)

    def set_person_gain(self, call_id: str, number: int, gain: float, seconds: float = 0.02) -> None:
        """Move one person of a call to `gain` (linear), heard or not yet; an unknown call is quiet."""
        people = self._people.get(call_id)
        if people is not None:
            people.set_gain(number, gain, seconds)

    def set_person_pan(self, call_id: str, number: int, pan: float, seconds: float = 0.02) -> None:
        """Move one person of a call to a place in it, from -1.0 (left) to 1.0 (right); an unknown call is quiet."""
        people = self._people.get(call_id)
        if people is not None:
            people.set_pan(number, pan, seconds)

    def replace_sink(self, sink: AudioSink) -> None:
        """Fade out of the sink before and into `sink`, within 20 ms; both have the same channels or are converted."""
        if not self._fade_in_sink:  # else nothing was written since the last change
            self._leaving_sink = self._sink
        self._sink = sink
        self._fade_in_sink = self._leaving_sink is not sink
        if not self._fade_in_sink:
            self._leaving_sink = None

    def tap(self, heard: Tap) -> Callable[[], None]:
        """Call `heard(call_id, speaker number, block)` for everyone, before any gain; return how to stop that."""
        self._taps.append(heard)

        def stop() -> None:
            if heard in self._taps:
                self._taps.remove(heard)

        return stop

    def tap_mixed(self, heard: Callable[[Block], None]) -> Callable[[], None]:
        """Call `heard(block)` for everything that is written to the sink, as it is; return how to stop that."""
        self._mixed_taps.append(heard)

        def stop() -> None:
            if heard in self._mixed_taps:
                self._mixed_taps.remove(heard)

        return stop

    def step(self, frames: int = FRAME) -> Block:
        """Pull, mix and write the next `frames`; return what was written."""
        mixed_calls: dict[str, Block] = {}
        for call_id, connection in self._calls.items():
            people = connection.pull(frames)
            self._tell_taps(call_id, people)
            before = self._replaced.pop(call_id, None)
            leaving = before.pull(frames) if before is not None else None
            mixed_calls[call_id] = self._people[call_id].mix(people, frames, leaving=leaving)
        mixed = self._master.mix(mixed_calls, frames)
        for call_id in self._leaving:
            del self._calls[call_id]
            del self._people[call_id]
            self._master.forget(call_id)
        self._leaving.clear()
        self._write(mixed)
        for heard in tuple(self._mixed_taps):
            heard(mixed)
        return mixed

    async def run(self) -> None:
        """Step until cancelled, as the sink wants it, or every 20 ms by absolute deadlines where it has no clock.

        After a stall of 200 ms what was missed is skipped.
        """
        loop = asyncio.get_running_loop()
        wanted = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop closed in between
                loop.call_soon_threadsafe(wanted.set)

        deadline = loop.time()
        known: AudioSink | None = None
        clocked: ClockedSink | None = None
        try:
            while True:
                if known is not self._sink:
                    known = self._sink
                    clocked = _follow(clocked, self._sink, wake)
                frames = None if clocked is None else clocked.wanted_frames()
                if frames is not None:
                    for _ in range(frames // FRAME):
                        self.step()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_CLOCK_STOPPED_SECONDS):
                            await wanted.wait()
                    wanted.clear()
                    deadline = loop.time()
                    continue
                self.step()
                deadline += FRAME_SECONDS
                behind = loop.time() - deadline
                if behind > _FALLEN_BEHIND_SECONDS:
                    deadline += int(behind / FRAME_SECONDS) * FRAME_SECONDS
                await asyncio.sleep(max(0.0, deadline - loop.time()))
        finally:
            if clocked is not None:
                clocked.on_wanted(None)

    def _tell_taps(self, call_id: str, people: Mapping[int, Block]) -> None:
        for heard in tuple(self._taps):
            for number, block in people.items():
                heard(call_id, number, block)

    def _write(self, mixed: Block) -> None:
        ramp = rising(len(mixed)) if self._fade_in_sink else None
        if self._leaving_sink is not None and ramp is not None:
            fading = mixed * (1.0 - ramp)
            self._leaving_sink.write(with_channels(fading, self._leaving_sink.channels))
            self._leaving_sink = None
        self._fade_in_sink = False
        block = mixed if ramp is None else mixed * ramp
        self._sink.write(with_channels(block, self._sink.channels))


def _follow(before: ClockedSink | None, sink: AudioSink, wake: Callable[[], None]) -> ClockedSink | None:
    """Let `sink` wake us from now on, if it has a clock, and not the one before."""
    if before is not None:
        before.on_wanted(None)
    if not isinstance(sink, ClockedSink):
        return None
    sink.on_wanted(wake)
    return sink
