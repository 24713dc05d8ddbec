"""Our own voice: from a source, through the microphone's gate, to Opus packets, step by step, without a clock."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import FRAME, RATE_HZ, Block, checked, silence, with_channels
from greenroom.media.dsp import SILENCE_DBFS, Fader, crossfade, level_dbfs
from greenroom.media.opus import Encoder
from greenroom.media.sources import AudioSource, Silence
from greenroom.media.voice_activity import VoiceActivity
from greenroom.state.audio import FrameLength, LiveAudio

_NOT_SENT_BYTES = 2  # what libopus returns while DTX has nothing to say
_PAUSE_AFTER_SECONDS = 0.4
_PAUSE_DBFS = -45.0  # libopus takes a steady tone for background too: only soft sound may fall silent


class OutgoingPacket(msgspec.Struct, frozen=True):
    """One packet of `frames` at 48 kHz. `level` is RFC 6464's 0 (loudest) to 127 (silence), `voice` its V bit.

    `starts` marks the first packet after a pause (RFC 3551, 4.1).
    """

    payload: bytes
    level: int
    voice: bool
    starts: bool
    frames: int = FRAME


class Microphone:
    """One permanent outgoing line: its source can be replaced and its gate closed, both within a fade of 20 ms.

    While the gate is closed nothing is encoded or sent; the source is still read, so that it does not pile
    up, its level can be shown, and who speaks in vain can be told. A packet carries `frame_length_ms`; it is gathered in
    steps of 20 ms (10 for the shortest), so that calls with long packets do not hold up others on the same source.
    """

    def __init__(self, source: AudioSource, encoder: Encoder, frame_length_ms: FrameLength = 20) -> None:
        self.level_dbfs = SILENCE_DBFS
        self.source_error: str | None = None
        self._source = source
        self._leaving: AudioSource | None = None
        self._encoder = encoder
        self.step_frames: Literal[480, 960] = 480 if frame_length_ms == 10 else 960
        self._packet_frames = frame_length_ms * RATE_HZ // 1000
        self._gathered: list[Block] = []
        self._gate = Fader(0.0)
        self._flush_packets = 0
        self._sent_last = False
        self._loudest_dbfs = SILENCE_DBFS
        self._dtx = True
        self._may_pause = True
        self._background = Fader(1.0)
        self._activity = VoiceActivity()

    @property
    def open(self) -> bool:
        """Whether the gate is open, or opening."""
        return self._gate.target > 0.0

    def set_open(self, open_: bool) -> None:
        """Open or close the gate, heard within 40 ms."""
        self._gate.set(1.0 if open_ else 0.0)

    def set_live(self, live: LiveAudio) -> None:
        """Use another bitrate, DTX, FEC or expected loss from the next packet on."""
        self._encoder.set_bitrate(live.bitrate)
        self._encoder.set_fec(live.fec)
        self._encoder.set_expected_loss(live.expected_loss_percent)
        self._dtx = live.dtx

    def replace_source(self, source: AudioSource) -> None:
        """Fade over to `source`; the one before is read once more and then let go of, not closed."""
        self._leaving = self._source
        self._source = source
        self.source_error = None

    def next_packet(self) -> OutgoingPacket | None:
        """Take the next `step_frames` and return the packet that is whole with them.

        There is none before it is whole, while the gate is closed, and in pauses (DTX).
        """
        block = self._next_block()
        self.level_dbfs = level_dbfs(block)
        self._activity.update(block)
        was_audible = self._gate.gain > 0.0 or self.open
        gated = self._gate.apply(block)
        if was_audible:
            self._flush_packets = 1  # the encoder still holds 6.5 ms
        elif not self._gathered:
            if not self._flush_packets:
                self._sent_last = False
                return None
            self._flush_packets -= 1
        self._gathered.append(self._without_background(gated))
        if len(self._gathered) * self.step_frames < self._packet_frames:
            return None
        sound = np.concatenate(self._gathered) if len(self._gathered) > 1 else self._gathered[0]
        self._gathered.clear()
        return self._packet(sound)

    @property
    def voice(self) -> bool:
        """Whether somebody speaks into the source, whatever the gate does."""
        return self._activity.speaking

    def _packet(self, sound: Block) -> OutgoingPacket | None:
        payload = self._encoder.encode(sound)
        level, self._loudest_dbfs = self._loudest_dbfs, SILENCE_DBFS
        if len(payload) <= _NOT_SENT_BYTES:
            self._sent_last = False
            return None
        starts = not self._sent_last
        self._sent_last = True
        return OutgoingPacket(
            payload,
            min(127, round(-level)) if level > SILENCE_DBFS else 127,
            self._activity.speaking,
            starts,
            len(sound),
        )

    def _without_background(self, block: Block) -> Block:
        """Return `block`, faded to digital silence while nobody speaks: only then does libopus surely pause."""
        level = level_dbfs(block)
        self._loudest_dbfs = max(self._loudest_dbfs, level)
        may_pause = self._dtx and level < _PAUSE_DBFS
        if self._may_pause != may_pause:
            self._may_pause = may_pause
            self._encoder.set_dtx(may_pause)
        silent = may_pause and self._activity.silent_seconds >= _PAUSE_AFTER_SECONDS
        self._background.set(0.0 if silent else 1.0)
        return self._background.apply(block)

    def _next_block(self) -> Block:
        channels = self._encoder.channels
        block = with_channels(self._read(), channels)
        if self._leaving is not None:
            try:
                block = crossfade(with_channels(self._leaving.read(self.step_frames), channels), block)
            except Exception:
                pass  # it is leaving: what it has to say no longer matters
            self._leaving = None
        return block

    def _read(self) -> Block:
        try:
            return checked(self._source.read(self.step_frames), self.step_frames, self._source.channels)
        except AudioUnavailable as error:
            self.source_error = str(error)
        except Exception as error:  # a source somebody wrote must not end the line
            self.source_error = f"the source failed: {type(error).__name__}"
        self._source = Silence()
        return silence(self.step_frames)
