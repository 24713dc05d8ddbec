"""Finds clicks: a cut, a jump or a kink in a voice or a tone is a burst of high frequencies, a millisecond long."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from greenroom.media.blocks import FRAME, RATE_HZ, Block

ABOVE_HZ = 6_000
_TAPS = 193
_WINDOW = RATE_HZ // 1000
_APART = FRAME // 2


class Click(msgspec.Struct, frozen=True):
    """`db` is how loud the burst is against the loudest 20 ms of the same sound."""

    at_seconds: float
    db: float


def clicks(sound: Block, louder_than_db: float = -60.0) -> list[Click]:
    """Return what clicks in `sound`, shape (frames, channels), in order, at least 10 ms apart.

    The first and the last 2 ms are not judged. Of a tone, a bare cut has about -28 dB, one faded within a millisecond
    -70, one faded within 20 ms has no more than the tone itself, below -90. What has high frequencies of its own (a
    hiss, an s) clicks all the time.
    """
    bursts = _bursts_db(sound)
    found: list[Click] = []
    for at in np.flatnonzero(bursts > louder_than_db):
        seconds = (int(at) + _TAPS // 2 + _WINDOW // 2) / RATE_HZ
        if found and seconds - found[-1].at_seconds < _APART / RATE_HZ:
            if bursts[at] > found[-1].db:
                found[-1] = Click(found[-1].at_seconds, float(bursts[at]))
        else:
            found.append(Click(seconds, float(bursts[at])))
    return found


def loudest_click_db(sound: Block) -> float:
    """Return how loud the worst click in `sound` is against its loudest 20 ms; -120.0 for silence."""
    bursts = _bursts_db(sound)
    return float(bursts.max()) if len(bursts) else -120.0


def _bursts_db(sound: Block) -> NDArray[np.float64]:
    """Return, for each sample, how loud the millisecond from there on is above `ABOVE_HZ`, against the loudest 20 ms."""
    if len(sound) < _TAPS + _WINDOW:
        return np.empty(0)
    loudest = max(_power(sound[:, channel], FRAME).max() for channel in range(sound.shape[1]))
    if loudest <= 1e-12:
        return np.empty(0)
    taps = _high_pass()
    bursts = [
        _power(np.convolve(sound[:, channel].astype(np.float64), taps, "valid"), _WINDOW)
        for channel in range(sound.shape[1])
    ]
    worst: NDArray[np.float64] = 10.0 * np.log10(np.max(bursts, axis=0) / loudest + 1e-12)
    return worst


def _power(samples: NDArray[np.floating], frames: int) -> NDArray[np.float64]:
    """Return the mean power of each run of `frames` samples."""
    frames = min(frames, len(samples))
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    powers: NDArray[np.float64] = np.maximum(sums[frames:] - sums[:-frames], 0.0) / frames
    return powers


def _high_pass() -> NDArray[np.float64]:
    at = np.arange(_TAPS) - _TAPS // 2
    turn = 2.0 * ABOVE_HZ / RATE_HZ
    taps: NDArray[np.float64] = -turn * np.sinc(turn * at) * np.blackman(_TAPS)
    taps[_TAPS // 2] += 1.0
    return taps
