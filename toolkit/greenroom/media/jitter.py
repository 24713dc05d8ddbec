"""Puts arriving packets in order and says, pull by pull, what to play; it knows neither clock nor codec.

Packets are kept by RTP timestamp and played a target delay (40 ms at first) after they arrive. Whoever
pulls is the clock: every pull moves the position on by what it returns, whatever arrives or does not, so a
lost packet costs as much made-up sound as it carried and no delay. The delay is chosen anew after every pause of
the speaker; within speech it grows by 20 ms when a packet comes too late, and shrinks by blending two frames into one.
Where the sender's clock is another one, what is played is stretched by a thousandth until the delay is right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from greenroom.media.blocks import FRAME
from greenroom.media.toc import has_fec, packet_samples
from greenroom.rtp.sequence import timestamp_distance, unwrap_sequence

_MS = 48
SHORTEST_DELAY = 40 * _MS
LONGEST_DELAY = 200 * _MS
MOST_PACKETS = 60
_FAR = 2000 * _MS  # a timestamp that jumps further is another stream
_FAR_PACKETS = 3000
_MUCH_TOO_LONG = 200 * _MS
_FORGET_AFTER_PULLS = 50
_CALM_PLAYS = 250  # 5 s without a late packet: try a shorter delay
_RECENT_SEQUENCES = 256
_SURE_PLAYS = 50


class Play(msgspec.Struct, frozen=True):
    """Decode `payload`. With `blend`, decode that as well and blend the two into one frame.

    `cut` says that older packets were skipped just before. What was decoded is to be made `stretch` samples longer.
    """

    payload: bytes
    samples: int
    speaker: int
    blend: bytes | None = None
    cut: bool = False
    stretch: int = 0


class Recover(msgspec.Struct, frozen=True):
    """A packet is missing, and `next_payload` has a copy of it (Opus FEC)."""

    next_payload: bytes
    samples: int
    speaker: int


class Fill(msgspec.Struct, frozen=True):
    """There is nothing: continue what was heard. `missing` when something should have been there."""

    samples: int
    speaker: int
    missing: bool = False


Decision = Play | Recover | Fill


class Counts:
    """What was made of the packets of one speaker; fields as in `ReceivedStatistics`.

    `waited_seconds` sums how long every sample of a packet had waited when it was played (`emitted_samples` of them).
    """

    __slots__ = (
        "bytes",
        "concealed_samples",
        "concealment_events",
        "emitted_samples",
        "inserted_samples",
        "late",
        "lost",
        "packets",
        "played_samples",
        "recovered_fec",
        "recovered_red",
        "removed_samples",
        "waited_seconds",
        "with_copies",
    )

    def __init__(self) -> None:
        self.packets = self.bytes = self.lost = self.late = self.with_copies = 0
        self.recovered_fec = self.recovered_red = 0
        self.played_samples = self.concealed_samples = self.concealment_events = 0
        self.inserted_samples = self.removed_samples = self.emitted_samples = 0
        self.waited_seconds = 0.0

    @property
    def frames(self) -> int:
        """What was played, in frames of 20 ms."""
        return round(self.played_samples / FRAME)

    @property
    def concealed(self) -> int:
        """What was made up, in frames of 20 ms."""
        return round(self.concealed_samples / FRAME)

    def made_up(self, samples: int, *, begins: bool) -> None:
        """Count `samples` that continued what was heard; `begins`: what came before was not made up."""
        self.played_samples += samples
        self.concealed_samples += samples
        self.concealment_events += begins


class _Held(msgspec.Struct, frozen=True):
    sequence: int
    timestamp: int
    samples: int
    payload: bytes
    speaker: int
    redundant: bool


class JitterBuffer:
    """One slot's packets between the network and the decoder.

    Numbers are extended beyond their 16 and 32 bits on arrival; positions and delays are samples at 48 kHz.
    """

    def __init__(self, *, shortest_delay: int = SHORTEST_DELAY, longest_delay: int = LONGEST_DELAY) -> None:
        self.counts: dict[int, Counts] = {}
        self.target_delay = shortest_delay
        self.speaker = 0
        self._shortest_delay = shortest_delay
        self._longest_delay = longest_delay
        self._held: dict[int, _Held] = {}
        self._next: int | None = None
        self._played_end = 0
        self._newest_end = 0
        self._last_sequence = 0
        self._newest_sequence = 0
        self._newest_timestamp = 0
        self._started = False
        self._seen: deque[int] = deque(maxlen=_RECENT_SEQUENCES)
        self._starved_samples = 0
        self._idle_pulls = 0
        self._hold_pulls = 0
        self._waited_samples = 0
        self._calm_plays = 0
        self._calm_least = 0
        self._plays = 0
        self._ahead: deque[int] = deque(maxlen=_SURE_PLAYS)
        self._pace = 0
        self._copies = 0
        self._packets_since_copies = 0
        self._packet_samples = FRAME
        self._making_up = False

    @property
    def depth_ms(self) -> float:
        """How much sound is waiting to be played, in ms."""
        return max(0, self._newest_end - self._next) / _MS if self._next is not None and self._held else 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing has been there to play for a second."""
        return self._next is None or (self._idle_pulls >= _FORGET_AFTER_PULLS and not self._held)

    def push(
        self,
        sequence: int,
        timestamp: int,
        payload: bytes,
        speaker: int = 0,
        redundant: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        """Take a packet as it arrives; `redundant` has (offset, payload) of older ones, oldest first (RFC 2198).

        `sequence` and `timestamp` are the 16 and 32 bits of the header. What cannot be Opus is ignored.
        """
        samples = packet_samples(payload)
        if samples == 0:
            return
        counts = self._counts_of(speaker)
        counts.packets += 1
        counts.bytes += len(payload)
        counts.with_copies += bool(redundant) or has_fec(payload)
        if self._next is None or self._is_another_stream(sequence, timestamp):
            self._restart(sequence, timestamp, samples)
        extended = unwrap_sequence(self._newest_sequence, sequence)
        at = self._newest_timestamp + timestamp_distance(self._newest_timestamp & 0xFFFFFFFF, timestamp)
        if extended in self._seen:
            return
        if not self._started and extended <= self._last_sequence:
            self._last_sequence = extended - 1  # the first packets came out of order
        if extended <= self._last_sequence:
            counts.late += 1
            self._grow()
            return
        self._seen.append(extended)
        if self._starved_samples:
            self._end_starvation(extended, at, samples, speaker)
        self._packet_samples = samples
        self._wait_for_copies(len(redundant))
        self._keep(_Held(extended, at, samples, payload, speaker, redundant=False))
        for steps_back, (offset, copy) in enumerate(reversed(redundant), start=1):
            self._keep_copy(extended - steps_back, at - offset, copy, speaker)
        if extended > self._newest_sequence:
            self._newest_sequence, self._newest_timestamp = extended, at
        while len(self._held) > MOST_PACKETS:
            self._drop_oldest()

    def pull(self, quiet: bool = True) -> Decision:
        """Return what to play next; `quiet` says that what was played last was too soft for a change to be heard."""
        if self._next is None:
            return Fill(FRAME, self.speaker)
        if self._hold_pulls and (quiet or self._waited_samples >= 10 * FRAME):
            self._hold_pulls -= 1
            self._waited_samples = 0
            return self._fill(FRAME, missing=not quiet, advance=False)
        self._waited_samples += self._packet_samples
        cut = self._skip_if_much_too_long()
        first = self._first()
        if first is None:
            self._idle_pulls += 1
            self._starved_samples += FRAME
            return self._fill(FRAME, missing=False)
        self._idle_pulls = 0
        gap = first.timestamp - self._next
        if gap > 0:
            return self._bridge(first, gap)
        return self._play(first, quiet, cut)

    def _play(self, first: _Held, quiet: bool, cut: bool) -> Play:
        assert self._next is not None
        self._ahead.append(self._newest_end - first.timestamp)
        self._take(first)
        self._plays += 1
        self._follow_clock()
        self._calm_down()
        second = self._held.get(self._next)
        if second is not None and second.speaker == first.speaker and self._is_too_long(quiet):
            self._take(second)
            self._ahead.clear()
            self._counts_of(first.speaker).removed_samples += second.samples
            return Play(first.payload, first.samples, first.speaker, blend=second.payload)
        stretch = self._pace * (first.samples // FRAME or self._plays % 2)  # shorter packets: each other one
        counts = self._counts_of(first.speaker)
        counts.inserted_samples += max(0, stretch)
        counts.removed_samples += max(0, -stretch)
        return Play(first.payload, first.samples, first.speaker, cut=cut, stretch=stretch)

    def _bridge(self, first: _Held, gap: int) -> Decision:
        """Cross a hole before the earliest packet: a pause of the speaker, or lost packets."""
        missing = first.sequence - self._last_sequence - 1
        if missing <= 0:
            return self._fill(min(gap, FRAME), missing=False)
        self._last_sequence += 1
        counts = self._counts_of(self.speaker)
        counts.lost += 1
        if gap <= first.samples and has_fec(first.payload):
            counts.recovered_fec += 1
            samples = _whole(gap)
            counts.played_samples += samples
            self._making_up = False
            self._advance(samples)
            return Recover(first.payload, samples, first.speaker)
        return self._fill(min(gap, self._packet_samples), missing=True)

    def _fill(self, samples: int, *, missing: bool, advance: bool = True) -> Fill:
        samples = _whole(samples)
        if missing:
            self._counts_of(self.speaker).made_up(samples, begins=not self._making_up)
            self._making_up = True
        if advance:
            self._advance(samples)
        else:
            self._counts_of(self.speaker).inserted_samples += samples
        return Fill(samples, self.speaker, missing)

    def _end_starvation(self, sequence: int, at: int, samples: int, speaker: int) -> None:
        """A packet arrives after there was nothing to play: find out why, and choose where to go on."""
        assert self._next is not None
        starved_samples, self._starved_samples = self._starved_samples, 0
        missing = sequence - self._last_sequence - 1
        paused = at - self._played_end > FRAME // 2
        counts = self._counts_of(self.speaker)
        if missing == 0 and paused:
            self._next = at + samples - self.target_delay
            self._ahead.clear()
            self._hold_pulls = 0
            return
        made_up = min(missing * self._packet_samples, starved_samples) if missing else starved_samples
        if made_up:
            counts.made_up(made_up, begins=True)
        if missing:
            over = min(missing, starved_samples // self._packet_samples)
            counts.lost += over
            self._last_sequence += over
        if at < self._next:
            self._next = at
            self.target_delay = min(self._longest_delay, self.target_delay + FRAME)
            self._calm_plays = 0

    def _keep(self, packet: _Held) -> None:
        there = self._held.get(packet.timestamp)
        if there is None or there.redundant:
            self._held[packet.timestamp] = packet
            self._newest_end = max(self._newest_end, packet.timestamp + packet.samples)

    def _keep_copy(self, sequence: int, at: int, payload: bytes, speaker: int) -> None:
        assert self._next is not None
        samples = packet_samples(payload)
        if samples and sequence > self._last_sequence and at >= self._next and at not in self._held:
            self._keep(_Held(sequence, at, samples, payload, speaker, redundant=True))

    def _take(self, packet: _Held) -> None:
        del self._held[packet.timestamp]
        self._started = True
        counts = self._counts_of(packet.speaker)
        counts.played_samples += packet.samples
        counts.emitted_samples += packet.samples
        counts.waited_seconds += packet.samples * (self._newest_end - packet.timestamp) / (1000 * _MS)
        self._making_up = False
        if packet.redundant:
            counts.lost += 1
            counts.recovered_red += 1
        self.speaker = packet.speaker
        self._last_sequence = max(self._last_sequence, packet.sequence)
        self._next = self._played_end = packet.timestamp + packet.samples

    def _first(self) -> _Held | None:
        """Return the earliest packet that is not over yet, dropping those that are."""
        assert self._next is not None
        while self._held:
            first = self._held[min(self._held)]
            if first.timestamp + first.samples > self._next:
                return first
            del self._held[first.timestamp]
        return None

    @property
    def _floor(self) -> int:
        """The shortest delay at which a packet, and the oldest copy of a lost one, still arrives in time."""
        whole = (self._copies + 1) * self._packet_samples + FRAME
        return min(max(self._shortest_delay, whole), self._longest_delay)

    def _wait_for_copies(self, copies: int) -> None:
        """Wait long enough for the copies that packets carry now, and no longer once they carry none."""
        if copies >= self._copies:
            self._copies = copies
            self._packets_since_copies = 0
        else:
            self._packets_since_copies += 1
            if self._packets_since_copies >= _CALM_PLAYS:
                self._copies = copies
                self._packets_since_copies = 0
        while self.target_delay + FRAME // 2 <= self._floor:
            longer = min(self.target_delay + FRAME, self._floor) - self.target_delay
            self.target_delay += longer
            if self._started:
                self._hold_pulls += 1
            elif self._next is not None:
                self._next -= longer
            self._ahead.clear()

    def _grow(self) -> None:
        """A packet came too late to be played: wait longer from now on."""
        self._calm_plays = 0
        if self._hold_pulls == 0 and self.target_delay + FRAME <= self._longest_delay:
            self.target_delay += FRAME
            self._hold_pulls = 1
            self._waited_samples = 0
            self._ahead.clear()

    def _follow_clock(self) -> None:
        """Play a thousandth slower while even the earliest packets come a packet too late, or faster.

        That is what a sender's clock does which differs from ours, over minutes. It ends once the delay is right.
        """
        if len(self._ahead) == 1:  # something else has just changed the delay
            self._pace = 0
        if len(self._ahead) < _SURE_PLAYS:
            return
        usual, most = self._usually_ahead() - self.target_delay, max(self._ahead) - self.target_delay
        much = max(FRAME, self._packet_samples)
        if self._pace == 0:
            self._pace = 1 if most <= -much else -1 if usual >= much else 0
        elif (self._pace > 0 and usual >= -much // 2) or (self._pace < 0 and usual < much):
            self._pace = 0

    def _usually_ahead(self) -> int:
        """Return how much was waiting at three in four of the recent pulls: the others may follow a lost packet."""
        return sorted(self._ahead)[len(self._ahead) // 4]

    def _calm_down(self) -> None:
        """After 5 s without a late packet, give up half of the delay that no packet of them needed, 10 ms at least."""
        self._calm_plays += 1
        self._calm_least = (
            self._ahead[-1] if self._calm_plays == 1 else min(self._calm_least, self._ahead[-1])
        )
        if self._calm_plays >= _CALM_PLAYS:
            self._calm_plays = 0
            unneeded = min(self._calm_least, self.target_delay) - 2 * self._packet_samples
            self.target_delay = max(self._floor, self.target_delay - max(FRAME // 2, unneeded // 2))

    def _is_too_long(self, quiet: bool) -> bool:
        """Tell whether a frame more than the target was usually waiting, for long enough to be sure."""
        if not self._ahead:
            return False
        excess, much = self._usually_ahead() - self.target_delay, max(FRAME, self._packet_samples)
        if excess < much:
            return False
        if quiet or self._plays < 50 or excess >= 4 * FRAME:
            return len(self._ahead) >= 10
        return excess >= 2 * much and len(self._ahead) >= _SURE_PLAYS  # less than that is left to the pace

    def _skip_if_much_too_long(self) -> bool:
        """After a time in which nobody pulled, go straight to the target."""
        assert self._next is not None
        if not self._held or self._newest_end - self._next <= self.target_delay + _MUCH_TOO_LONG:
            return False
        if self._started and min(self._held) > self._next + _MUCH_TOO_LONG:
            self._next = (
                min(self._held) + FRAME - self.target_delay
            )  # the timeline jumped: nothing is skipped
        while len(self._held) > 1 and self._newest_end - min(self._held) > self.target_delay:
            self._drop_oldest()
        self._ahead.clear()
        return True

    def _drop_oldest(self) -> None:
        oldest = self._held.pop(min(self._held))
        self._last_sequence = max(self._last_sequence, oldest.sequence)
        self._next = self._played_end = oldest.timestamp + oldest.samples

    def _advance(self, samples: int) -> None:
        assert self._next is not None
        self._next += samples

    def _is_another_stream(self, sequence: int, timestamp: int) -> bool:
        assert self._next is not None
        extended = unwrap_sequence(self._newest_sequence, sequence)
        at = self._newest_timestamp + timestamp_distance(self._newest_timestamp & 0xFFFFFFFF, timestamp)
        if abs(extended - self._newest_sequence) > _FAR_PACKETS:
            return True
        newer = extended > self._newest_sequence
        return newer and at < self._newest_timestamp - _FAR

    def _restart(self, sequence: int, timestamp: int, samples: int) -> None:
        self._held.clear()
        self._seen.clear()
        self._ahead.clear()
        self._started = False
        self._starved_samples = self._hold_pulls = self._idle_pulls = self._plays = 0
        self._newest_sequence = sequence
        self._last_sequence = sequence - 1
        self._newest_timestamp = self._played_end = timestamp
        self._newest_end = timestamp + samples
        self._packet_samples = samples
        self.target_delay = max(self.target_delay, self._floor)
        self._next = timestamp + samples - self.target_delay

    def _counts_of(self, speaker: int) -> Counts:
        counts = self.counts.get(speaker)
        if counts is None:
            if len(self.counts) >= 256:
                del self.counts[next(iter(self.counts))]
            counts = self.counts[speaker] = Counts()
        return counts


def _whole(samples: int) -> int:
    """Round up to 2.5 ms, the steps in which Opus conceals."""
    return -(-samples // 120) * 120
