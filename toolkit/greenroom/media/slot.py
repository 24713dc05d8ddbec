"""One receive slot: its jitter buffer, its decoder, and blocks that belong to a person."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import FRAME, RATE_HZ, Block, silence
from greenroom.media.dsp import crossfade, level_dbfs, rising, stretched
from greenroom.media.jitter import Fill, JitterBuffer, Play, Recover
from greenroom.media.opus import new_decoder
from greenroom.media.slot_counts import SlotCounts
from greenroom.media.statistics import ReceivedStatistics

_QUIET_DBFS = -50.0
_CONCEALED_AT_MOST = 25  # half a second: by then Opus has faded to next to nothing
_JOIN_FRAMES = FRAME // 4


class Slot:
    """Turns one stream of packets into blocks of any length, attributed to who spoke.

    When the speaker changes the decoder starts anew, the old voice fades out and the new one in.
    """

    def __init__(self, channels: int = 1, jitter: JitterBuffer | None = None) -> None:
        self.channels = channels
        self.jitter_ms = 0.0
        self._jitter = jitter or JitterBuffer()
        self._decoder = new_decoder(channels)
        self._speaker: int | None = None
        self._pieces: deque[tuple[int, Block]] = deque()
        self._fading: list[tuple[int, Block]] = []
        self._level_dbfs = -96.0
        self._fills = _CONCEALED_AT_MOST
        self._noticed = SlotCounts()

    def push(
        self,
        sequence: int,
        timestamp: int,
        payload: bytes,
        speaker: int = 0,
        redundant: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        """Take a packet as it arrives; see `JitterBuffer.push`."""
        self._noticed.arrived(speaker, payload, redundant)
        self._jitter.push(sequence, timestamp, payload, speaker, redundant)

    def pull(self, frames: int = FRAME) -> list[tuple[int, Block]]:
        """Return (speaker, block) of exactly `frames` for everyone heard in them; nobody when the slot is idle."""
        if self._jitter.idle and not self._pieces:
            self._jitter.pull()
            return []
        heard: dict[int, Block] = {}
        done = 0
        while done < frames:
            if not self._pieces:
                self._decode_next()
            for speaker, tail in self._fading:
                self._put(heard, speaker, tail, done, frames)
            self._fading.clear()
            speaker, piece = self._pieces.popleft()
            used = min(len(piece), frames - done)
            if used < len(piece):
                self._pieces.appendleft((speaker, piece[used:]))
            self._put(heard, speaker, piece[:used], done, frames)
            done += used
        return list(heard.items())

    @property
    def speaker(self) -> int | None:
        """Whose voice the slot carries, or None while it is idle."""
        return None if self._jitter.idle else self._speaker

    def statistics(self) -> dict[int, ReceivedStatistics]:
        """Return what was measured so far, by speaker number."""
        buffer_ms = self._jitter.depth_ms
        return {
            speaker: ReceivedStatistics(
                packets=counts.packets,
                bytes=counts.bytes,
                frames=counts.frames,
                lost=counts.lost,
                concealed=counts.concealed,
                late=counts.late,
                recovered_fec=counts.recovered_fec,
                recovered_red=counts.recovered_red,
                with_copies=counts.with_copies,
                played_samples=counts.played_samples,
                concealed_samples=counts.concealed_samples,
                silent_concealed_samples=self._noticed.silent_concealed_samples(speaker),
                concealment_events=counts.concealment_events,
                inserted_samples=counts.inserted_samples,
                removed_samples=counts.removed_samples,
                emitted_samples=counts.emitted_samples,
                waited_seconds=counts.waited_seconds,
                energy=self._noticed.energy(speaker),
                jitter_ms=self.jitter_ms if speaker == self._speaker else 0.0,
                buffer_ms=buffer_ms if speaker == self._speaker else 0.0,
                target_ms=self._jitter.target_delay * 1000 / RATE_HZ if speaker == self._speaker else 0.0,
                coding=self._noticed.coding(speaker),
            )
            for speaker, counts in self._jitter.counts.items()
        }

    def _put(self, heard: dict[int, Block], speaker: int, piece: Block, at: int, frames: int) -> None:
        block = heard.get(speaker)
        if block is None:
            block = heard[speaker] = silence(frames, self.channels)
        used = min(len(piece), frames - at)
        block[at : at + used] += piece[:used]

    def _decode_next(self) -> None:
        decision = self._jitter.pull(self._level_dbfs < _QUIET_DBFS)
        match decision:
            case Play():
                block = self._play(decision)
            case Recover():
                block = self._recover(decision)
            case Fill():
                block = self._conceal(decision.samples)
        self._level_dbfs = level_dbfs(block)
        made_up = isinstance(decision, Fill) and decision.missing
        self._noticed.played(self._speaker or 0, len(block), self._level_dbfs, concealed=made_up)
        self._pieces.append((self._speaker or 0, block))

    def _play(self, decision: Play) -> Block:
        if decision.speaker != self._speaker:
            return self._begin(decision)
        guessed = self._guess(_JOIN_FRAMES) if self._fills or decision.cut else None
        silent = self._fills >= _CONCEALED_AT_MOST
        try:
            block = self._decoder.decode(decision.payload)
            if decision.blend is not None:
                following = self._decoder.decode(decision.blend)
                shorter = min(len(block), len(following))
                block = crossfade(block[:shorter], following[-shorter:])
        except AudioUnavailable:  # the bytes of a stranger: as good as lost
            return self._conceal(decision.samples)
        self._fills = 0
        if silent:
            return block * rising(len(block))
        if guessed is not None:
            block = _joined(guessed, block)
        return stretched(block, len(block) + decision.stretch) if decision.stretch else block

    def _begin(self, decision: Play) -> Block:
        """Return the first block of another speaker, and let the one before fade out."""
        if self._speaker is not None:
            tail = self._conceal(FRAME)
            self._fading.append((self._speaker, tail * (1.0 - rising(len(tail)))))
        self._decoder.reset()
        self._speaker = decision.speaker
        self._fills = _CONCEALED_AT_MOST
        try:
            block = self._decoder.decode(decision.payload)
        except AudioUnavailable:
            return silence(decision.samples, self.channels)
        self._fills = 0
        return block * rising(len(block))

    def _recover(self, decision: Recover) -> Block:
        if decision.speaker != self._speaker:
            return self._conceal(decision.samples)
        guessed = self._guess(_JOIN_FRAMES) if self._fills else None
        try:
            block = self._decoder.decode_fec(decision.next_payload, decision.samples)
        except AudioUnavailable:
            return self._conceal(decision.samples)
        self._fills = 0
        return block if guessed is None else _joined(guessed, block)

    def _conceal(self, samples: int) -> Block:
        if self._fills >= _CONCEALED_AT_MOST:
            return silence(samples, self.channels)
        self._fills += 1
        block = self._decoder.conceal(samples)
        return block * (1.0 - rising(samples)) if self._fills == _CONCEALED_AT_MOST else block

    def _guess(self, samples: int) -> Block:
        """Return how what was heard would go on, without going on."""
        silent = self._fills >= _CONCEALED_AT_MOST
        return silence(samples, self.channels) if silent else self._decoder.foresee(samples)


def _joined(guessed: Block, block: Block) -> Block:
    """Return `block`, led into from `guessed`: a decoder's own joint after made-up sound can be heard."""
    frames = min(len(guessed), len(block))
    block[:frames] = crossfade(guessed[:frames], block[:frames])
    return block
