"""What it costs to mix several calls of several people: CPU for 20 ms of sound, without decoding."""

from __future__ import annotations

import statistics
import time

import msgspec
import numpy as np

from greenroom.media.blocks import FRAME, Block
from greenroom.media.playout import Playout
from greenroom.media.sinks import Null

STEPS = 500
_WARM_UP_STEPS = 25
_DIFFERENT_BLOCKS = 8


class MixCost(msgspec.Struct, frozen=True):
    """Milliseconds of CPU to mix 20 ms of sound."""

    median: float
    p95: float


class MixReport(msgspec.Struct, frozen=True):
    """`mix_ms` is at settled gains; `fading_ms` while a quarter of the people and every call change gain and place."""

    mix_ms: MixCost
    fading_ms: MixCost
    calls: int
    speakers: int


class _Crowd:
    """A call in which `speakers` talk at once: noise that was made before."""

    def __init__(self, speakers: int, seed: int) -> None:
        chance = np.random.default_rng(seed)
        self._blocks: list[dict[int, Block]] = [
            {
                number: (chance.standard_normal((FRAME, 1)) * 0.02).astype(np.float32)
                for number in range(1, speakers + 1)
            }
            for _ in range(_DIFFERENT_BLOCKS)
        ]
        self._turn = 0

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        self._turn += 1
        return self._blocks[self._turn % _DIFFERENT_BLOCKS]


def run(calls: int = 10, speakers: int = 10) -> MixReport:
    """Return what `Playout.step` costs with `calls` of `speakers` people each, to a stereo sink. Takes a second."""
    playout = Playout(Null(channels=2))
    names = [f"call {number}" for number in range(calls)]
    for number, name in enumerate(names):
        playout.add(name, _Crowd(speakers, number), gain=0.9)
        for person in range(1, speakers + 1, 2):
            playout.set_person_gain(name, person, 0.5)
    for _ in range(_WARM_UP_STEPS):
        playout.step()
    settled = [_cpu_ms(playout) for _ in range(STEPS)]
    fading = []
    for step in range(STEPS):
        up, person_up = step % 2 == 0, step // 4 % 2 == 0
        for number, name in enumerate(names):
            playout.set_gain(name, 1.0 if up else 0.25)
            playout.set_pan(name, (number / max(1, calls - 1) * 2.0 - 1.0) * (1.0 if up else 0.5))
            for person in range(1 + step % 4, speakers + 1, 4):
                playout.set_person_gain(name, person, 1.0 if person_up else 0.5)
        fading.append(_cpu_ms(playout))
    return MixReport(_cost(settled), _cost(fading), calls, speakers)


def _cpu_ms(playout: Playout) -> float:
    before = time.thread_time_ns()
    playout.step()
    return (time.thread_time_ns() - before) / 1e6


def _cost(milliseconds: list[float]) -> MixCost:
    ordered = sorted(milliseconds)
    return MixCost(round(statistics.median(ordered), 3), round(ordered[int(0.95 * len(ordered))], 3))
