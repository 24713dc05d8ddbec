"""Adds blocks of several voices to one; whatever begins, ends or changes does so within a fade."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import numpy as np

from greenroom.media.blocks import FRAME, Block, silence, with_channels
from greenroom.media.dsp import Fader, Limiter, ending, placed, rising

Key = TypeVar("Key", bound=Hashable)


class Mixer(Generic[Key]):
    """Mixes blocks by key, each at its gain and place, limited to -1 dBFS if `limited`.

    A key that appears fades in over 20 ms. One that is missing from a mix leads to zero within 20 ms,
    keeps its gain and place, and fades in again when it comes back. Where `channels` is 2, what is mono and
    in the middle is added up as mono and spread to both sides once.
    """

    def __init__(self, channels: int = 2, *, limited: bool = True) -> None:
        self.channels = channels
        self._gains: dict[Key, Fader] = {}
        self._pans: dict[Key, Fader] = {}
        self._last: dict[Key, Block] = {}
        self._limiter = Limiter() if limited else None

    def gain(self, key: Key) -> float:
        """Return the gain `key` has or is moving to; 1.0 unless set."""
        fader = self._gains.get(key)
        return 1.0 if fader is None else fader.target

    def pan(self, key: Key) -> float:
        """Return the place `key` has or is moving to, from -1.0 (left) to 1.0 (right); 0.0 unless set."""
        fader = self._pans.get(key)
        return 0.0 if fader is None else fader.target

    def set_gain(self, key: Key, gain: float, seconds: float = 0.02) -> None:
        """Move `key` to `gain` (linear, 0.0 is silent) within `seconds`; at once if it is not being heard."""
        self._move(self._gains, key, gain, seconds, 1.0)

    def set_pan(self, key: Key, pan: float, seconds: float = 0.02) -> None:
        """Move `key` to a place from -1.0 (left) to 1.0 (right) within `seconds`; at once if it is not being heard.

        The power stays the same everywhere (`dsp.placed`). In a mono mix it has no effect.
        """
        self._move(self._pans, key, max(-1.0, min(1.0, pan)), seconds, 0.0)

    def forget(self, key: Key) -> None:
        """Give `key` the gain 1.0 and the middle again for when it comes back."""
        self._gains.pop(key, None)
        self._pans.pop(key, None)

    def mix(
        self, blocks: Mapping[Key, Block], frames: int = FRAME, *, leaving: Mapping[Key, Block] | None = None
    ) -> Block:
        """Return the mix of `blocks`, each with `frames`, shape (frames, channels).

        `leaving` has what follows of voices which end here, to be faded out; another of the same key fades in.
        """
        mono, sides = silence(frames), silence(frames, self.channels)
        ramp_frames = min(frames, FRAME)
        last: dict[Key, Block] = {}
        for key, block in (leaving or {}).items():
            if self._last.pop(key, None) is not None:
                voice = with_channels(self._as_it_is(key, block[:ramp_frames]), self.channels)
                sides[:ramp_frames] += voice * (1.0 - rising(ramp_frames))
        for key, block in blocks.items():
            voice = self._placed(key, self._faded(key, block))
            if key not in self._last:
                voice = voice.copy()
                voice[:ramp_frames] *= rising(ramp_frames)
            if voice.shape[1] == 1:
                mono += voice
            else:
                sides += voice
            last[key] = voice[-ramp_frames:]
        for key, before in self._last.items():
            if key not in last:
                tail = with_channels(ending(before)[:frames], self.channels)
                sides[: len(tail)] += tail
        self._last = last
        mixed = sides + mono
        return mixed if self._limiter is None else self._limiter.apply(mixed)

    def _move(self, faders: dict[Key, Fader], key: Key, target: float, seconds: float, usual: float) -> None:
        if key in self._last:
            faders.setdefault(key, Fader(usual)).set(target, seconds)
        else:
            faders[key] = Fader(target)

    def _faded(self, key: Key, block: Block) -> Block:
        fader = self._gains.get(key)
        return block if fader is None else fader.apply(block)

    def _as_it_is(self, key: Key, block: Block) -> Block:
        """Return `block` at the gain and place that `key` has at this moment, without moving on."""
        gain, pan = self._gains.get(key), self._pans.get(key)
        voice = block if gain is None else (block * np.float32(gain.gain)).astype(np.float32)
        if pan is None or self.channels != 2:
            return voice
        return placed(voice, np.full((1, 1), pan.gain, np.float32))

    def _placed(self, key: Key, block: Block) -> Block:
        """Return `block` with one channel if it may be spread to all of them alike, else with ours."""
        if self.channels != 2:
            return with_channels(block, self.channels)
        fader = self._pans.get(key)
        if fader is None or (fader.still and fader.target == 0.0):
            return block if block.shape[1] <= 2 else with_channels(block, 2)
        return placed(block, fader.next(len(block)))
