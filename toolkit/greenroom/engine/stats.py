"""`call.stats`: what a call's sound is measured to be, every two seconds: the newest, ten minutes of it, and as a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenroom.engine.history import as_arrays, person_arrays
from greenroom.errors import Misuse
from greenroom.observable import Observable, Subscription
from greenroom.protocol.ids import UserId
from greenroom.state.call import CallPhase, CallState
from greenroom.state.statistics import CallStatistics

KEPT = 300
"""Ten minutes, one sample every two seconds."""
_WAITING = 16


class Measurements:
    """The samples of one call, and whether any are taken. Written on the engine's loop, read from anywhere."""

    def __init__(self) -> None:
        self.latest: Observable[CallStatistics | None] = Observable(None)
        self.kept: deque[CallStatistics] = deque(maxlen=KEPT)
        self.running = True

    def take(self, sample: CallStatistics) -> None:
        """Keep `sample` and tell those who follow."""
        self.kept.append(sample)
        self.latest.set(sample)


class Stats:
    """Statistics of one call. Everything here may be used from any thread and on any event loop.

    They are taken from the start; `stop()` ends that until `start()`. What was kept stays, also when the call is over.
    """

    def __init__(self, measurements: Measurements, state: Observable[CallState]) -> None:
        self._measurements = measurements
        self._state = state

    def __repr__(self) -> str:
        return f"<Stats {'running' if self.running else 'stopped'}, {len(self.history)} samples>"

    @property
    def running(self) -> bool:
        """Whether samples are taken."""
        return self._measurements.running and self._state.value.phase is not CallPhase.LEFT

    @property
    def latest(self) -> CallStatistics | None:
        """The newest sample; None before the first, 2 s after sound connected."""
        return self._measurements.latest.value

    @property
    def history(self) -> tuple[CallStatistics, ...]:
        """The samples of the last ten minutes, oldest first."""
        return tuple(self._measurements.kept)

    def arrays(self) -> Mapping[str, NDArray[np.float64]]:
        """Return the last ten minutes as one float64 array of shape (samples,) for each number, e.g. `["jitter_ms"]`.

        Oldest first; units are in the names (see `CallStatistics`), `at` is wall-clock seconds, NaN is not known.
        """
        return as_arrays(self.history)

    def person_arrays(self, user: str) -> Mapping[str, NDArray[np.float64]]:
        """Return the same of what is heard of one person, e.g. `["lost_fraction"]`; NaN while they were silent."""
        return person_arrays(self.history, UserId(user))

    def to_w3c(self) -> list[dict[str, Any]]:
        """Return the newest sample as `RTCPeerConnection.getStats()` would: one dictionary for each report, camel case.

        Times are in the units of https://www.w3.org/TR/webrtc-stats/. Empty before the first sample.
        """
        latest = self.latest
        return [] if latest is None else latest.to_w3c()

    def subscribe(self, callback: Callable[[CallStatistics], None], *, replay: bool = True) -> Subscription:
        """Call `callback` with every sample, on the engine's thread; with `replay` at once with the newest there is."""
        return self._measurements.latest.subscribe(
            lambda sample: callback(sample) if sample is not None else None, replay=replay
        )

    async def stream(self) -> AsyncIterator[CallStatistics]:
        """Yield every sample from now on, the newest there is first, until the call is over.

        Somebody who does not keep up loses the oldest of 16.
        """
        loop = asyncio.get_running_loop()
        waiting: deque[CallStatistics] = deque(maxlen=_WAITING)
        news = asyncio.Event()

        def tell(sample: CallStatistics | None) -> None:
            if sample is not None:
                waiting.append(sample)
                _wake(loop, news)

        with (
            self.subscribe(tell),
            self._state.subscribe(lambda _over: _wake(loop, news), lambda call: call.phase is CallPhase.LEFT),
        ):
            while True:
                while waiting:
                    yield waiting.popleft()
                if self._state.value.phase is CallPhase.LEFT:
                    return
                await news.wait()
                news.clear()

    def start(self) -> None:
        """Take samples again. Raises `Misuse` once the call is over."""
        self._switch(True)

    def stop(self) -> None:
        """Take no more samples. Raises `Misuse` once the call is over."""
        self._switch(False)

    def _switch(self, on: bool) -> None:
        if self._state.value.phase is CallPhase.LEFT:
            raise Misuse("this call is over: there is nothing to measure; join again")
        self._measurements.running = on


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(news.set)
    except RuntimeError:
        pass  # whoever listened is gone, and its loop too
