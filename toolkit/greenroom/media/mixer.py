"""Adds blocks of several voices to one; whatever begins, ends or changes does so within a fade."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from greenroom.media.blocks import FRAME, Block, silence, with_channels
from greenroom.media.dsp import Fader, Limiter, ending, rising

Key = TypeVar("Key", bound=Hashable)


class Mixer(Generic[Key]):
    """Mixes blocks by key to `channels` channels, each at its gain, limited to -1 dBFS if `limited`.

    A key that appears fades in over 20 ms. One that is missing from a mix leads to zero within 20 ms,
    keeps its gain, and fades in again when it comes back.
    """

    def __init__(self, channels: int = 2, *, limited: bool = True) -> None:
        self.channels = channels
        self._faders: dict[Key, Fader] = {}
        self._last: dict[Key, Block] = {}
        self._limiter = Limiter() if limited else None

    def gain(self, key: Key) -> float:
        """Return the gain `key` has or is moving to; 1.0 unless set."""
        fader = self._faders.get(key)
        return 1.0 if fader is None else fader.target

    def set_gain(self, key: Key, gain: float, seconds: float = 0.02) -> None:
        """Move `key` to `gain` (linear, 0.0 is silent) within `seconds`; at once if it is not being heard."""
        if key in self._last:
            self._faders.setdefault(key, Fader()).set(gain, seconds)
        else:
            self._faders[key] = Fader(gain)

    def forget(self, key: Key) -> None:
        """Give `key` the gain 1.0 again for when it comes back."""
        self._faders.pop(key, None)

    def mix(self, blocks: Mapping[Key, Block], frames: int = FRAME) -> Block:
        """Return the mix of `blocks`, each with `frames`, shape (frames, channels)."""
        mixed = silence(frames, self.channels)
        ramp_frames = min(frames, FRAME)
        last: dict[Key, Block] = {}
        for key, block in blocks.items():
            voice = with_channels(block, self.channels)
            fader = self._faders.get(key)
            if fader is not None:
                voice = fader.apply(voice)
            if key not in self._last:
                voice = voice.copy()
                voice[:ramp_frames] *= rising(ramp_frames)
            mixed += voice
            last[key] = voice[-ramp_frames:]
        for key, before in self._last.items():
            if key not in last:
                tail = ending(before)[:frames]
                mixed[: len(tail)] += tail
        self._last = last
        return mixed if self._limiter is None else self._limiter.apply(mixed)
