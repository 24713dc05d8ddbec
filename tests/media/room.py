"""A room to speak in: a microphone that hears a voice, noise, and what the loudspeaker plays, with its echo."""

from __future__ import annotations

import numpy as np

from greenroom.media.blocks import RATE_HZ, Block, silence
from greenroom.media.voices import sound_of, voices

ROOM_SECONDS = 0.15


def speech(seconds: float, level_dbfs: float, *, first: int = 0) -> Block:
    """Return sentences of the demo's voices, with their pauses; the level is that of what is spoken."""
    sentences = [sound_of(sentence) for voice in voices() for sentence in voice.sentences[:3]]
    sound = np.concatenate(sentences[first:] + sentences[:first])
    sound = np.tile(sound, (-(-round(seconds * RATE_HZ) // len(sound)), 1))[: round(seconds * RATE_HZ)]
    at_level: Block = (sound * 10.0 ** ((level_dbfs - spoken_dbfs(sound)) / 20.0)).astype(np.float32)
    return at_level


def noise(seconds: float, level_dbfs: float, seed: int = 1) -> Block:
    """Return white noise, the same every time."""
    chance = np.random.default_rng(seed)
    amplitude = 10.0 ** (level_dbfs / 20.0)
    sound: Block = (chance.standard_normal((round(seconds * RATE_HZ), 1)) * amplitude).astype(np.float32)
    return sound


def echo_of(played: Block, *, delay_seconds: float = 0.06, loss_db: float = 6.0) -> Block:
    """Return what a microphone hears of `played` in a room that rings for 150 ms, softer by `loss_db`."""
    chance = np.random.default_rng(7)
    ringing = chance.standard_normal(round(ROOM_SECONDS * RATE_HZ))
    ringing *= np.exp(-6.9 * np.arange(len(ringing)) / (0.25 * RATE_HZ))
    ringing[0] = 3.0
    ringing *= 10.0 ** (-loss_db / 20.0) / np.sqrt(np.square(ringing).sum())
    size = 1 << (len(played) + len(ringing)).bit_length()
    heard = np.fft.irfft(np.fft.rfft(played[:, 0], size) * np.fft.rfft(ringing, size))[: len(played)]
    late = round(delay_seconds * RATE_HZ)
    return np.concatenate([np.zeros(late), heard])[: len(played), np.newaxis].astype(np.float32)


def spoken(sound: Block) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which samples are spoken rather than a pause: louder than a tenth of the loudest 10 ms."""
    steps = np.sqrt(np.square(sound[: len(sound) // 480 * 480]).reshape(-1, 480).mean(axis=1))
    return np.repeat(steps > 0.1 * steps.max(), 480)


def spoken_dbfs(sound: Block) -> float:
    """Return the level of what is spoken in `sound`, dBFS."""
    return power_dbfs(sound[: len(sound) // 480 * 480][spoken(sound)])


def power_dbfs(sound: Block) -> float:
    """Return the level of all of `sound`, dBFS, as low as it is."""
    return float(10.0 * np.log10(np.square(sound.astype(np.float64)).mean() + 1e-14))


class Room:
    """A microphone in a room, fed from a clip; what is played is given by hand, and its echo is in the clip."""

    channels = 1
    echo_delay_seconds = 0.06

    def __init__(self, heard: Block, played: Block | None = None) -> None:
        self.reads = 0
        self._heard = heard
        self._played = played
        self._at = self._taken = 0

    def read(self, frames: int) -> Block:
        block = self._heard[self._at : self._at + frames]
        self._at += frames
        self.reads += 1
        return np.concatenate([block, silence(frames - len(block))])

    def take_played(self) -> Block:
        if self._played is None:
            return silence(0)
        until, self._taken = self._taken, self._at
        return self._played[until : self._at]

    def close(self) -> None:
        """Nothing is held."""
