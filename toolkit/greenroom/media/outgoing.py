"""Our own voice: from a source, through the microphone's gate, to Opus packets, 20 ms at a time, without a clock."""

from __future__ import annotations

import msgspec

from greenroom.media.blocks import FRAME, Block, silence, with_channels
from greenroom.media.dsp import SILENCE_DBFS, Fader, crossfade, level_dbfs
from greenroom.media.opus import Encoder
from greenroom.media.sources import AudioSource, Silence
from greenroom.state.audio import LiveAudio

_NOT_SENT_BYTES = 2  # what libopus returns while DTX has nothing to say
_PAUSE_AFTER_FRAMES = 20
_PAUSE_DBFS = -45.0  # libopus takes a steady tone for background too: only soft sound may fall silent


class OutgoingPacket(msgspec.Struct, frozen=True):
    """One 20 ms packet. `level` is RFC 6464's 0 (loudest) to 127 (silence), `voice` its V bit.

    `starts` marks the first packet after a pause (RFC 3551, 4.1).
    """

    payload: bytes
    level: int
    voice: bool
    starts: bool


class VoiceActivity:
    """Tells voice from a steady background by its level; holds on for 200 ms."""

    def __init__(self) -> None:
        self._floor_dbfs = -70.0
        self._held_frames = 0

    def update(self, level: float) -> bool:
        """Take the level of the next 20 ms in dBFS; return whether someone speaks."""
        rise = 0.03  # dB a frame: a fan is background after half a minute
        self._floor_dbfs = min(level, self._floor_dbfs + rise, -45.0)
        self._floor_dbfs = max(self._floor_dbfs, -80.0)
        if level > max(self._floor_dbfs + 9.0, -55.0):
            self._held_frames = 10
        elif self._held_frames:
            self._held_frames -= 1
        return self._held_frames > 0


class Microphone:
    """One permanent outgoing line: its source can be replaced and its gate closed, both within a fade of 20 ms.

    While the gate is closed nothing is encoded or sent; the source is still read, so that it does not pile
    up and its level can be shown.
    """

    def __init__(self, source: AudioSource, encoder: Encoder) -> None:
        self.level_dbfs = SILENCE_DBFS
        self.source_error: str | None = None
        self._source = source
        self._leaving: AudioSource | None = None
        self._encoder = encoder
        self._gate = Fader(0.0)
        self._flush_frames = 0
        self._sent_last = False
        self._dtx = True
        self._may_pause = True
        self._background = Fader(1.0)
        self._unvoiced_frames = 0
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
        """Return what to send for the next 20 ms: nothing while the gate is closed and in pauses (DTX)."""
        block = self._next_block()
        self.level_dbfs = level_dbfs(block)
        was_audible = self._gate.gain > 0.0 or self.open
        gated = self._gate.apply(block)
        if was_audible:
            self._flush_frames = 1  # the encoder still holds 6.5 ms
        elif self._flush_frames:
            self._flush_frames -= 1
        else:
            self._sent_last = False
            return None
        level = level_dbfs(gated)
        voice = self._activity.update(level)
        payload = self._encoder.encode(self._without_background(gated, level, voice))
        if len(payload) <= _NOT_SENT_BYTES:
            self._sent_last = False
            return None
        starts = not self._sent_last
        self._sent_last = True
        return OutgoingPacket(
            payload, min(127, round(-level)) if level > SILENCE_DBFS else 127, voice, starts
        )

    def _without_background(self, block: Block, level: float, voice: bool) -> Block:
        """Return `block`, faded to digital silence while nobody speaks: only then does libopus surely pause."""
        may_pause = self._dtx and level < _PAUSE_DBFS
        if self._may_pause != may_pause:
            self._may_pause = may_pause
            self._encoder.set_dtx(may_pause)
        self._unvoiced_frames = 0 if voice or not may_pause else self._unvoiced_frames + 1
        self._background.set(0.0 if self._unvoiced_frames >= _PAUSE_AFTER_FRAMES else 1.0)
        return self._background.apply(block)

    def _next_block(self) -> Block:
        channels = self._encoder.channels
        block = with_channels(self._read(), channels)
        if self._leaving is not None:
            try:
                block = crossfade(with_channels(self._leaving.read(FRAME), channels), block)
            except Exception:
                pass  # it is leaving: what it has to say no longer matters
            self._leaving = None
        return block

    def _read(self) -> Block:
        try:
            block = self._source.read(FRAME)
            if block.shape == (FRAME, self._source.channels):
                return block
            self.source_error = f"the source gave {block.shape} instead of {(FRAME, self._source.channels)}"
        except Exception as error:  # a source somebody wrote must not end the line
            self.source_error = f"the source failed: {type(error).__name__}"
        self._source = Silence()
        return silence(FRAME)
