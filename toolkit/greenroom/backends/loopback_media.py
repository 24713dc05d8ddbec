"""Sound between people in memory: 20 ms blocks from everyone's source to everyone else, as the room allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from greenroom.errors import MediaFailed, Misuse
from greenroom.media.blocks import FRAME, RATE_HZ, Block, silence, with_channels
from greenroom.media.dsp import SILENCE_DBFS, Fader, crossfade, level_dbfs, rising
from greenroom.media.ring import SampleRing
from greenroom.media.sources import AudioSource
from greenroom.media.statistics import MediaStatistics, ReceivedStatistics, SentStatistics
from greenroom.media.voice_activity import VoiceActivity
from greenroom.state.audio import LiveAudio

ANSWER = "loopback"
_RING_FRAMES = 10 * FRAME
_FORGET_AFTER_FRAMES = RATE_HZ


class _Voice:
    """One person as one listener hears them."""

    def __init__(self, lead_frames: int) -> None:
        self.ring = SampleRing(_RING_FRAMES)
        if lead_frames:
            self.ring.write(silence(lead_frames))
        self.silent_frames = 0
        self.packets = 0
        self.level_dbfs = SILENCE_DBFS


class LoopbackMedia:
    """What `MediaConnection` is with a network: a gated microphone out, and each other person in."""

    def __init__(self, source: AudioSource, on_dead: Callable[[str], None], lead_frames: int) -> None:
        self._source = source
        self._leaving: AudioSource | None = None
        self._on_dead = on_dead
        self._lead_frames = lead_frames
        self._gate = Fader(0.0)
        self._open_frames = 0
        self._voices: dict[int, _Voice] = {}
        self._changed = asyncio.Event()
        self._connected = False
        self._closed = False
        self._offered = False
        self._sent_frames = 0
        self.own_level_dbfs = SILENCE_DBFS
        self._activity = VoiceActivity()
        self.source_error: str | None = None

    async def offer(self, video_lines: int = 0) -> str:
        if self._offered:
            raise Misuse("a media connection makes one offer; make another connection for another")
        self._offered = True
        return f"loopback with {video_lines} video lines"

    async def accept(self, answer: str) -> None:
        if answer != ANSWER:
            raise MediaFailed("that is not the answer of a loopback room")
        self._connected = True
        self._changed.set()

    async def wait_connected(self, timeout_seconds: float = 10.0) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        except TimeoutError as error:
            raise MediaFailed(f"media did not connect within {timeout_seconds:g} s") from error
        if not self.connected:
            raise MediaFailed("media did not connect: it was closed")

    async def close(self) -> None:
        self._closed = True
        self._changed.set()

    @property
    def connected(self) -> bool:
        return self._connected and not self._closed

    @property
    def microphone_open(self) -> bool:
        return self._gate.target > 0.0

    @property
    def own_voice(self) -> bool:
        return self._activity.speaking

    def set_microphone(self, open_: bool) -> None:
        self._gate.set(1.0 if open_ else 0.0)

    def set_live(self, live: LiveAudio) -> None:
        """Memory has no packets: nothing of this is heard here."""

    def replace_source(self, source: AudioSource) -> None:
        self._leaving, self._source = self._source, source

    def die(self, reason: str) -> None:
        """End as if the other side was gone."""
        if self.connected:
            self._closed = True
            self._on_dead(reason)

    def capture(self) -> Block | None:
        """Return the next 20 ms that leave, or None while the gate is closed."""
        block = with_channels(self._source.read(FRAME), 1)
        if self._leaving is not None:
            block = crossfade(with_channels(self._leaving.read(FRAME), 1), block)
            self._leaving = None
        self.own_level_dbfs = level_dbfs(block)
        self._activity.update(block)
        if self._gate.gain == 0.0 and self._gate.target == 0.0:
            return None
        self._sent_frames += 1
        return self._gate.apply(block)

    def hear(self, number: int, block: Block) -> None:
        """Take 20 ms of the person with `number`."""
        voice = self._voices.get(number)
        if voice is None:
            voice = self._voices[number] = _Voice(self._lead_frames)
            block = block * rising(len(block))
        voice.ring.write(block)
        voice.packets += 1

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        heard: dict[int, Block] = {}
        for number, voice in tuple(self._voices.items()):
            voice.silent_frames = 0 if len(voice.ring) else voice.silent_frames + frames
            if voice.silent_frames > _FORGET_AFTER_FRAMES:
                del self._voices[number]
                continue
            heard[number] = voice.ring.read(frames)
            voice.level_dbfs = level_dbfs(heard[number])
        return heard

    def levels(self) -> Mapping[int, float]:
        return {number: voice.level_dbfs for number, voice in self._voices.items()}

    def statistics(self) -> MediaStatistics:
        people = {
            number: ReceivedStatistics(
                packets=voice.packets,
                frames=voice.packets,
                played_samples=voice.packets * FRAME,
                level_dbfs=voice.level_dbfs,
            )
            for number, voice in self._voices.items()
        }
        received = ReceivedStatistics()
        for person in people.values():
            received = received.plus(person)
        sent = SentStatistics(
            packets=self._sent_frames, level_dbfs=self.own_level_dbfs, open=self.microphone_open
        )
        return MediaStatistics(sent, received, people)
