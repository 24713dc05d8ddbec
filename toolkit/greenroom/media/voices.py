"""The demo's voices: short sentences by three clearly different speakers, as Opus files beside this module."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import msgspec

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import RATE_HZ, Block, silence
from greenroom.media.files import load

FOLDER = Path(__file__).parent / "voice_files"


class Sentence(msgspec.Struct, frozen=True):
    """One sentence: its words, its file in the folder of voices, and how long it is."""

    text: str
    file: str
    seconds: float


class VoiceInfo(msgspec.Struct, frozen=True):
    """A speaker. `name` is what a demo calls the person, `flite_voice` what rendered the sentences."""

    name: str
    flite_voice: str
    sentences: tuple[Sentence, ...]


class VoiceIndex(msgspec.Struct, frozen=True):
    """What the folder of voices has."""

    voices: tuple[VoiceInfo, ...]


@functools.cache
def voices() -> tuple[VoiceInfo, ...]:
    """Return every demo voice. Raises `AudioUnavailable` if the installation is damaged."""
    try:
        return msgspec.json.decode((FOLDER / "index.json").read_bytes(), type=VoiceIndex).voices
    except (OSError, msgspec.DecodeError) as error:
        raise AudioUnavailable("the demo voices are missing; install greenroom again") from error


def voice_named(name: str) -> VoiceInfo:
    """Return the voice of this name. Raises `AudioUnavailable` and names those there are."""
    for voice in voices():
        if voice.name == name:
            return voice
    raise AudioUnavailable(f"there is no voice '{name}'; there are {', '.join(v.name for v in voices())}")


@functools.lru_cache(maxsize=64)
def sound_of(sentence: Sentence) -> Block:
    """Return a sentence as a mono block (some milliseconds of decoding the first time, then remembered)."""
    block = load(FOLDER / sentence.file)
    block.flags.writeable = False
    return block


class Voice:
    """A source that says sentences: on demand by `say`, or by itself with pauses between.

    `pause_seconds` is the shortest and the longest pause, None to speak only when told. What is said, and
    how long the pauses are, depends on `seed` alone. Making the first Voice of a speaker decodes their
    sentences (a tenth of a second): do it off the loop, by `asyncio.to_thread(Voice, …)`.
    """

    channels = 1

    def __init__(
        self, voice: VoiceInfo, *, seed: int = 0, pause_seconds: tuple[float, float] | None = None
    ) -> None:
        self.voice = voice
        self.saying: Sentence | None = None
        self._chance = random.Random(f"{voice.name}/{seed}")
        self._pause_seconds = pause_seconds
        self._order: list[Sentence] = []
        self._waiting: list[Sentence] = []
        self._sound = silence(0)
        self._at = 0
        self._pause_frames = self._next_pause()
        for sentence in voice.sentences:
            sound_of(sentence)  # here, because `read` must not wait

    @property
    def speaking(self) -> bool:
        """Whether a sentence is being said, or about to be with the next block."""
        return self.saying is not None or bool(self._waiting)

    def say(self, sentence: Sentence | None = None) -> Sentence:
        """Say `sentence`, or one not said for a while, after what is being said; return it."""
        chosen = sentence or self._choose()
        self._waiting.append(chosen)
        return chosen

    def hush(self) -> None:
        """Stop in the middle; the gate of the microphone takes care of the click."""
        self._waiting.clear()
        self.saying = None
        self._sound, self._at = silence(0), 0

    def read(self, frames: int) -> Block:
        block = silence(frames)
        filled = 0
        while filled < frames:
            if self.saying is None and not self._begin():
                filled += self._rest(frames - filled)
                continue
            used = min(frames - filled, len(self._sound) - self._at)
            block[filled : filled + used] = self._sound[self._at : self._at + used]
            self._at += used
            filled += used
            if self._at >= len(self._sound):
                self.saying = None
                self._pause_frames = self._next_pause()
        return block

    def close(self) -> None:
        self.hush()
        self._pause_seconds = None

    def _begin(self) -> bool:
        """Start the next sentence, if there is one to say now."""
        if not self._waiting and self._pause_seconds is not None and self._pause_frames <= 0:
            self.say()
        if not self._waiting:
            return False
        self.saying = self._waiting.pop(0)
        self._sound, self._at = sound_of(self.saying), 0
        return True

    def _rest(self, frames: int) -> int:
        """Let up to `frames` of the pause go by; return how many."""
        if self._pause_seconds is None:
            return frames
        rested = min(frames, self._pause_frames)
        self._pause_frames -= rested
        return rested

    def _next_pause(self) -> int:
        return (
            0 if self._pause_seconds is None else round(self._chance.uniform(*self._pause_seconds) * RATE_HZ)
        )

    def _choose(self) -> Sentence:
        if not self._order:
            self._order = list(self.voice.sentences)
            self._chance.shuffle(self._order)
        return self._order.pop()
