"""Level, gain, limiting, resampling and tone measurement of float32 blocks; functions of samples only."""

from __future__ import annotations

import math
from collections import deque
from functools import lru_cache
from typing import cast

import numpy as np
import soxr
from numpy.typing import NDArray

from greenroom.media.blocks import RATE_HZ, Block, harmless

SILENCE_DBFS = -96.0
CEILING = 0.89  # -1 dBFS: room for what a later resampler overshoots
_LIMITED_AT_ONCE = RATE_HZ // 1000
_LIMITER_FALLS = 0.1  # a millisecond
_LIMITER_RISES = 0.005
_LIMITER_REMEMBERS = 5


def level_dbfs(samples: Block) -> float:
    """Return the RMS level of `samples` in dBFS, from -96.0 (silence) to 0.0.

    `samples` has shape (frames, channels) and full scale is 1.0. The level is
    the loudest channel's; a full-scale sine reads -3.0. An empty block is silence.
    """
    if samples.size == 0:
        return SILENCE_DBFS
    power = float(np.einsum("fc,fc->c", samples, samples).max()) / len(samples)
    return _decibels(math.sqrt(power)) if power > 0.0 else SILENCE_DBFS


def peak_dbfs(samples: Block) -> float:
    """Return the highest absolute sample in dBFS, from -96.0 to 0.0 (more when beyond full scale is clipped)."""
    return _decibels(float(np.abs(samples).max())) if samples.size else SILENCE_DBFS


def gain_of(decibels: float) -> float:
    """Return the linear gain of `decibels`; -96 dB and below is exactly 0."""
    return 0.0 if decibels <= SILENCE_DBFS else 10.0 ** (decibels / 20.0)


@lru_cache(maxsize=64)
def rising(frames: int) -> NDArray[np.float32]:
    """Return a raised-cosine ramp from just above 0 to exactly 1, shape (frames, 1), not to be written to.

    A ramp and its complement (1 - ramp) add to 1, so a cross-fade of equal signals keeps their level.
    """
    phase = np.arange(1, frames + 1, dtype=np.float64) / frames
    ramp: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * phase)).astype(np.float32)[:, np.newaxis]
    ramp.flags.writeable = False
    return ramp


def crossfade(before: Block, after: Block) -> Block:
    """Return one block that starts as `before` and ends as `after`; the shapes are equal."""
    return cast(Block, before + (after - before) * rising(len(before)))


def ending(before: Block) -> Block:
    """Return a block that leads on from `before`, which was cut off, to zero, without a click.

    It has as many frames as `before`: its point reflection, which keeps level and slope, faded out.
    """
    reflected = 2.0 * before[-1] - before[-2::-1] if len(before) > 1 else before[:0]
    return cast(Block, (1.0 - rising(len(before)))[: len(reflected)] * reflected)


def stretched(block: Block, frames: int) -> Block:
    """Return `block` as `frames` samples, each between its neighbours; both ends stay where they are."""
    at = np.linspace(0.0, len(block) - 1.0, frames)
    before = np.arange(len(block))
    return np.stack([np.interp(at, before, channel) for channel in block.T], axis=1).astype(np.float32)


class Fader:
    """A gain that moves to its target along a raised cosine, block by block."""

    def __init__(self, gain: float = 1.0) -> None:
        self.target = gain
        self._from = gain
        self._done_frames = 0
        self._ramp_frames = 0

    @property
    def gain(self) -> float:
        """The gain that the next sample is given, between where the fade began and the target."""
        if self._done_frames >= self._ramp_frames:
            return self.target
        share = 0.5 - 0.5 * math.cos(math.pi * self._done_frames / self._ramp_frames)
        return self._from + (self.target - self._from) * share

    @property
    def still(self) -> bool:
        """Whether the target is reached."""
        return self._done_frames >= self._ramp_frames

    def set(self, gain: float, seconds: float = 0.02) -> None:
        """Start to move to `gain`, to be reached after `seconds` of samples, or sooner if that is under way."""
        if gain == self.target and self._ramp_frames - self._done_frames <= round(seconds * RATE_HZ):
            return
        self._from = self.gain
        self.target = gain
        self._ramp_frames = max(1, round(seconds * RATE_HZ))
        self._done_frames = 0

    def next(self, frames: int) -> NDArray[np.float32]:
        """Return the gain of the next `frames` and move on, shape (frames, 1), or (1, 1) if it is the same for all."""
        if self.still:
            return np.full((1, 1), self.target, np.float32)
        ramp = rising(self._ramp_frames)[self._done_frames : self._done_frames + frames]
        self._done_frames += frames
        curve = np.float32(self._from) + np.float32(self.target - self._from) * ramp
        if len(curve) < frames:
            rest = np.full((frames - len(curve), 1), self.target, np.float32)
            curve = np.concatenate([curve, rest])
        return cast("NDArray[np.float32]", curve)

    def apply(self, block: Block) -> Block:
        """Return `block` at the gain of this moment, and move on by its length."""
        if self.still and self.target == 1.0:
            return block
        return cast(Block, block * self.next(len(block)))


def placed(block: Block, pan: NDArray[np.float32]) -> Block:
    """Return `block` in stereo at the place `pan`, shape (frames, 1) or (1, 1), from -1.0 (left) to 1.0 (right).

    The power of a mono voice is the same at every place (equal-power law, unchanged in the middle); what is
    stereo grows narrower towards a side, so that neither of its channels is lost.
    """
    angle = (pan + np.float32(1.0)) * np.float32(math.pi / 4.0)
    left, right = np.float32(math.sqrt(2.0)) * np.cos(angle), np.float32(math.sqrt(2.0)) * np.sin(angle)
    if block.shape[1] == 1:
        return cast(Block, block * np.concatenate([left, right], axis=1))
    middle = (block[:, :1] + block[:, 1:2]) * np.float32(0.5)
    apart = (block[:, :1] - middle) * (np.float32(1.0) - np.abs(pan))
    return np.concatenate([(middle + apart) * left, (middle - apart) * right], axis=1)


class Limiter:
    """Keeps a mix below -1 dBFS. Within a block it sees a loud moment come, and is down by then.

    The gain is chosen for each millisecond and moves between them along a raised cosine. It lets go by a
    tenth of the way in 20 ms, towards what the last five blocks needed: a beat does not pump.
    """

    def __init__(self, ceiling: float = CEILING) -> None:
        self._ceiling = ceiling
        self._gain = 1.0
        self._needed: deque[float] = deque(maxlen=_LIMITER_REMEMBERS)

    def apply(self, block: Block) -> Block:
        """Return `block` with no sample beyond the ceiling; unchanged while it stays below."""
        peak = float(np.abs(block).max()) if block.size else 0.0
        if not math.isfinite(peak):  # it would stay with us for ever
            block = harmless(block)
        if peak <= self._ceiling and self._gain == 1.0:
            return block
        gains = self._gains(block)
        self._gain = gains[-1] if gains[-1] < 0.9999 else 1.0
        steps = np.diff(np.array(gains, np.float32))[:, np.newaxis]
        curve = np.array(gains[:-1], np.float32)[:, np.newaxis] + steps * rising(_LIMITED_AT_ONCE)[:, 0]
        return np.clip(block * curve.reshape(-1, 1)[: len(block)], -self._ceiling, self._ceiling)

    def _gains(self, block: Block) -> list[float]:
        """Return the gain before the first millisecond of `block` and after each."""
        peaks = np.abs(block).max(axis=1)
        padded = np.pad(peaks, (0, -len(peaks) % _LIMITED_AT_ONCE))
        loudest = padded.reshape(-1, _LIMITED_AT_ONCE).max(axis=1)
        allowed = np.minimum(1.0, self._ceiling / np.maximum(loudest, 1e-9)).tolist()
        wanted = [min(before, after) for before, after in zip(allowed, [*allowed[1:], 1.0], strict=True)]
        for at in range(len(wanted) - 2, -1, -1):
            wanted[at] = min(wanted[at], wanted[at + 1] + _LIMITER_FALLS)
        self._needed.append(min(allowed))
        up_to = min(self._needed)
        gains = [self._gain]
        for gain in wanted:
            gains.append(min(gain, gains[-1] + _LIMITER_RISES * max(0.0, up_to - gains[-1])))
        return gains


def resample(samples: Block, from_rate_hz: int, to_rate_hz: int = RATE_HZ) -> Block:
    """Return `samples` at another rate, whole clips at a time; shape (frames, channels) stays."""
    if from_rate_hz == to_rate_hz or len(samples) == 0:
        return samples
    resampled: Block = soxr.resample(samples, from_rate_hz, to_rate_hz, quality="HQ")
    return np.ascontiguousarray(resampled, np.float32)


def tone_dbfs(samples: NDArray[np.float32], frequency_hz: float, rate_hz: int = RATE_HZ) -> float:
    """Return the RMS level of the sine at `frequency_hz` inside `samples`, in dBFS (one Goertzel bin).

    `samples` is mono, shape (frames,) or (frames, 1). A Hann window keeps neighbours out: what is more
    than 4 / duration away does not count. A full-scale sine reads -3.0.
    """
    mono = samples.reshape(len(samples), -1)[:, 0].astype(np.float64)
    if len(mono) < 16:
        return SILENCE_DBFS
    window = np.hanning(len(mono))
    turn = np.exp(-2j * np.pi * frequency_hz / rate_hz * np.arange(len(mono)))
    amplitude = 2.0 * abs(complex(np.dot(mono * window, turn))) / float(window.sum())
    return _decibels(amplitude / math.sqrt(2.0)) if amplitude > 0 else SILENCE_DBFS


def strongest_hz(samples: NDArray[np.float32], rate_hz: int = RATE_HZ) -> float:
    """Return the frequency in Hz of the strongest sine in `samples` (mono), to a fraction of an FFT bin; 0 for silence."""
    mono = samples.reshape(len(samples), -1)[:, 0].astype(np.float64)
    if len(mono) < 16 or not mono.any():
        return 0.0
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    spectrum[0] = 0.0
    peak = int(spectrum.argmax())
    offset = 0.0
    if 0 < peak < len(spectrum) - 1:
        below, at, above = np.log(spectrum[peak - 1 : peak + 2] + 1e-12)
        curvature = below - 2 * at + above
        offset = 0.5 * float(below - above) / float(curvature) if curvature else 0.0
    return (peak + offset) * rate_hz / len(mono)


def _decibels(amplitude: float) -> float:
    return max(SILENCE_DBFS, min(0.0, 20.0 * math.log10(amplitude))) if amplitude > 0 else SILENCE_DBFS
