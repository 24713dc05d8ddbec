"""Noise and level of a microphone with numpy alone, for where the extra `processing` is not installed.

Steady noise is taken out of the spectrum, 10 ms at a time, by what was the least in each band within the last second and a
half; below 80 Hz nothing passes. Gain control brings speech slowly to −20 dBFS. Echo is not cancelled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from greenroom.media.blocks import RATE_HZ, Block
from greenroom.media.dsp import Limiter
from greenroom.state.audio import NoiseSuppression, Processing

_STEP = 480
_WINDOW = 2 * _STEP
_BINS = _WINDOW // 2 + 1
_BIN_HZ = RATE_HZ / _WINDOW
_HIGH_PASS_HZ = 80.0
_FLOOR = {NoiseSuppression.NORMAL: 10.0 ** (-16.0 / 20.0), NoiseSuppression.STRONG: 10.0 ** (-28.0 / 20.0)}
_OVER = {NoiseSuppression.NORMAL: 1.6, NoiseSuppression.STRONG: 2.5}
_SMOOTH = np.float32(0.8)
_PIECES, _STEPS_A_PIECE = 10, 15
_LEAST_BIAS = np.float32(2.2)  # the least of smoothed noise power lies this far below its mean
_REMEMBER = np.float32(0.96)

_SPEECH_DBFS = -20.0
_SOFTEST_DBFS = -55.0
_LOUDER_AT_MOST_DB = 24.0
_UP_DB, _DOWN_DB = 0.06, 0.3  # a step of 10 ms
_ABOVE_BACKGROUND_DB = 8.0


class LightProcessor:
    """High-pass, spectral noise suppression and slow gain control with a limiter; 0.05 ms of CPU for 10 ms of sound.

    What it returns lags by 10 ms.
    """

    def __init__(self, done: Processing, channels: int = 1) -> None:
        self._spectrum = _Spectrum(done.noise_suppression, channels)
        self._gain = _Gain() if done.gain_control else None

    def process(self, block: Block) -> Block:
        done = np.empty_like(block)
        for at in range(0, len(block), _STEP):
            step = self._spectrum.process(block[at : at + _STEP])
            done[at : at + _STEP] = step if self._gain is None else self._gain.process(step)
        return done

    def played(self, block: Block) -> None:
        """Echo is not cancelled here."""

    def set_delay(self, seconds: float) -> None:
        """Echo is not cancelled here."""


class _Spectrum:
    """Windows of 20 ms that overlap; each band is turned down by how little it stands out of its noise."""

    def __init__(self, strength: NoiseSuppression, channels: int) -> None:
        self._window = np.sqrt(np.hanning(_WINDOW + 1)[:-1]).astype(np.float32)[:, np.newaxis]
        self._high_pass = _high_pass()[:, np.newaxis]
        self._before = np.zeros((_STEP, channels), np.float32)
        self._tail = np.zeros((_STEP, channels), np.float32)
        self._strength = strength
        self._noise = _Noise(channels)
        self._clean_power: NDArray[np.float32] = np.zeros((_BINS, channels), np.float32)

    def process(self, step: Block) -> Block:
        windowed = np.concatenate([self._before, step]) * self._window
        self._before = step.copy()
        spectrum = np.fft.rfft(windowed, axis=0)
        gain = self._high_pass
        if self._strength is not NoiseSuppression.OFF:
            gain = gain * self._suppression(spectrum)
        treated = np.fft.irfft(spectrum * gain, _WINDOW, axis=0).astype(np.float32) * self._window
        block: Block = self._tail + treated[:_STEP]
        self._tail = treated[_STEP:]
        return block

    def _suppression(self, spectrum: NDArray[np.complexfloating]) -> NDArray[np.float32]:
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        noise = self._noise.update(power) * np.float32(_OVER[self._strength]) + np.float32(1e-9)
        stands_out = np.maximum(power / noise - 1.0, 0.0)
        prior = _REMEMBER * self._clean_power / noise + (1.0 - _REMEMBER) * stands_out
        gain = np.maximum(prior / (1.0 + prior), np.float32(_FLOOR[self._strength]))
        self._clean_power = np.square(gain) * power
        return gain.astype(np.float32)


class _Noise:
    """The least smoothed power of each band within the last 1.5 s, made up for how far the least lies below the mean."""

    def __init__(self, channels: int) -> None:
        self._smoothed: NDArray[np.float32] | None = None
        self._pieces = np.full((_PIECES, _BINS, channels), np.inf, np.float32)
        self._steps = 0

    def update(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the noise's power in each band, given the newest power."""
        before = power if self._smoothed is None else self._smoothed
        self._smoothed = _SMOOTH * before + (1 - _SMOOTH) * power
        piece = self._steps // _STEPS_A_PIECE % _PIECES
        if self._steps % _STEPS_A_PIECE == 0:
            self._pieces[piece] = self._smoothed
        else:
            np.minimum(self._pieces[piece], self._smoothed, out=self._pieces[piece])
        self._steps += 1
        least: NDArray[np.float32] = self._pieces.min(axis=0) * _LEAST_BIAS
        return least


class _Gain:
    """Moves the gain by 6 dB a second towards what brings speech to −20 dBFS; never below 1, at most 24 dB."""

    def __init__(self) -> None:
        self._gain_db = 0.0
        self._background_dbfs = _SOFTEST_DBFS
        self._speech_power = 0.0
        self._limiter = Limiter()

    def process(self, step: Block) -> Block:
        power = float(np.square(step).mean(axis=0).max())
        level = 10.0 * np.log10(power + 1e-10)
        self._background_dbfs = min(level, self._background_dbfs + 0.015)
        if level > max(_SOFTEST_DBFS, self._background_dbfs + _ABOVE_BACKGROUND_DB):
            share = 0.02 if self._speech_power else 1.0
            self._speech_power += share * (power - self._speech_power)
        before = self._gain_db
        if self._speech_power:
            missing = _SPEECH_DBFS - 10.0 * float(np.log10(self._speech_power))
            wanted = min(max(missing, 0.0), _LOUDER_AT_MOST_DB)
            self._gain_db = min(max(wanted, before - _DOWN_DB), before + _UP_DB)
        if before == self._gain_db == 0.0:
            return self._limiter.apply(step)
        curve = np.power(10.0, np.linspace(before, self._gain_db, len(step)) / 20.0)
        return self._limiter.apply(step * curve.astype(np.float32)[:, np.newaxis])


def _high_pass() -> NDArray[np.float32]:
    """Return the gain of each band: nothing at 0 Hz, half at 40, all from 80 Hz on."""
    share = np.clip(np.arange(_BINS) * _BIN_HZ / _HIGH_PASS_HZ, 0.0, 1.0)
    gain: NDArray[np.float32] = np.square(np.sin(0.5 * np.pi * share)).astype(np.float32)
    return gain
