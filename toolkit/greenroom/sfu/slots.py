"""Which speaker has which slot, and how several speakers become one continuous stream."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from greenroom.rtp.sequence import sequence_distance, timestamp_add, timestamp_distance, unwrap_sequence

CLOCK_RATE = 48000
FRAME_UNITS = 960
AUDIBLE_DBOV = -60.0
MARGIN_DB = 6.0
HOLD_SECONDS = 0.4
LATE_PACKETS = 64
JUMP_PACKETS = 500
CLOCK_SLIP_SECONDS = 0.5


class Occupant(msgspec.Struct, frozen=True):
    """Who has a slot: their smoothed level in dBov and since when (monotonic seconds)."""

    number: int
    loudness: float
    since: float


def choose_slot(occupants: Sequence[Occupant | None], loudness: float, now: float) -> int | None:
    """Return the slot for someone who has none, or None when they must wait.

    A free slot is taken by anyone. Otherwise the quietest gives way to who is audible and 6 dB louder,
    once it has had its slot for 0.4 s; whoever is inaudible gives way at once.
    """
    for index, occupant in enumerate(occupants):
        if occupant is None:
            return index
    if loudness < AUDIBLE_DBOV or not occupants:
        return None
    index, quietest = min(
        ((i, o) for i, o in enumerate(occupants) if o is not None), key=lambda pair: pair[1].loudness
    )
    if loudness < quietest.loudness + MARGIN_DB:
        return None
    if quietest.loudness >= AUDIBLE_DBOV and now - quietest.since < HOLD_SECONDS:
        return None
    return index


class Rewritten(msgspec.Struct, frozen=True):
    """Where a packet lies in the slot's stream. Redundancy older than `max_offset` is another speaker's time."""

    sequence: int
    timestamp: int
    marker: bool
    max_offset: int


class SlotStream:
    """One constant SSRC whose sequence numbers and timestamps go on across speakers and silences.

    Gaps and order within a speaker's turn are kept, so that listeners see the loss and can repair it.
    `highest` is the extended sequence number of the newest packet sent.
    """

    __slots__ = (
        "_epoch_timestamp",
        "_first",
        "_sequence_shift",
        "_source",
        "_source_highest",
        "_timestamp_shift",
        "highest",
        "last_sent",
        "number",
        "octets",
        "packets",
        "since",
        "ssrc",
        "timestamp",
    )

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.number: int | None = None
        self.since = 0.0
        self.highest = sequence
        self.timestamp = timestamp
        self.last_sent: float | None = None
        self.packets = 0
        self.octets = 0
        self._source: int | None = None
        self._source_highest = 0
        self._sequence_shift = 0
        self._timestamp_shift = 0
        self._first = sequence
        self._epoch_timestamp = timestamp

    def give_to(self, number: int | None, now: float) -> None:
        """Begin the turn of another speaker, or of nobody; the next packet continues the stream."""
        self.number = number
        self.since = now
        self._source = None

    def rewrite(
        self, source: int, sequence: int, timestamp: int, marker: bool, size: int, now: float
    ) -> Rewritten | None:
        """Return where the speaker's packet goes, None when it is older than their turn.

        `source` is the speaker's own SSRC: a change of it, or a jump, begins anew where the stream is.
        """
        begins = self._source != source
        if not begins:
            step = sequence_distance(self._source_highest & 0xFFFF, sequence)
            begins = step > JUMP_PACKETS or step < -JUMP_PACKETS
            if not begins and step < -LATE_PACKETS:
                return None
            begins = begins or self._clock_slipped(step, timestamp, now)
        if begins:
            self._begin(source, sequence, timestamp, now)
        extended = unwrap_sequence(self._source_highest, sequence)
        ours = extended + self._sequence_shift
        if ours < self._first:
            return None
        time = timestamp_add(timestamp, self._timestamp_shift)
        if ours > self.highest or begins:
            self._source_highest = extended
            self.highest = ours
            self.timestamp = time
            self.last_sent = now
        self.packets += 1
        self.octets += size
        max_offset = max(0, timestamp_distance(self._epoch_timestamp, time))
        return Rewritten(ours & 0xFFFF, time, marker or begins, max_offset)

    def translate(self, timestamp: int) -> int | None:
        """Return the slot's timestamp of the present speaker's, None before their first packet."""
        return None if self._source is None else timestamp_add(timestamp, self._timestamp_shift)

    def _begin(self, source: int, sequence: int, timestamp: int, now: float) -> None:
        elapsed = 0.0 if self.last_sent is None else now - self.last_sent
        start = timestamp_add(self.timestamp, max(FRAME_UNITS, round(elapsed * CLOCK_RATE)))
        self._source = source
        self._source_highest = sequence
        self._first = self.highest + 1
        self._sequence_shift = self._first - sequence
        self._timestamp_shift = timestamp_distance(timestamp, start)
        self._epoch_timestamp = start

    def _clock_slipped(self, step: int, timestamp: int, now: float) -> bool:
        """Whether the source's timestamps did not follow real time over a pause."""
        if step <= 0 or self.last_sent is None:
            return False
        claimed = (
            timestamp_distance(self.timestamp, timestamp_add(timestamp, self._timestamp_shift)) / CLOCK_RATE
        )
        return abs(claimed - (now - self.last_sent)) > CLOCK_SLIP_SECONDS


class Dominant:
    """Who is speaking: the loudest, kept until someone is 6 dB louder for 0.3 s or 3 s of silence pass."""

    __slots__ = ("_challenger", "_challenger_since", "_heard", "number")

    def __init__(self) -> None:
        self.number: int | None = None
        self._heard = 0.0
        self._challenger: int | None = None
        self._challenger_since = 0.0

    def judge(self, speakers: Sequence[tuple[int, float]], now: float) -> bool:
        """Take (number, loudness) of everyone who may be heard; return whether `number` changed."""
        before = self.number
        levels = dict(speakers)
        if self.number not in levels:
            self.number = None
        ours = levels.get(self.number, -127.0) if self.number is not None else -127.0
        if ours >= AUDIBLE_DBOV:
            self._heard = now
        loudest = max(levels, key=lambda n: levels[n], default=None)
        if loudest is None or levels[loudest] < AUDIBLE_DBOV:
            if self.number is not None and now - self._heard > 3.0:
                self.number = None
            self._challenger = None
        elif self.number is None:
            self.number, self._heard = loudest, now
        elif loudest != self.number and levels[loudest] >= ours + MARGIN_DB:
            if self._challenger != loudest:
                self._challenger, self._challenger_since = loudest, now
            elif now - self._challenger_since >= 0.3:
                self.number, self._heard, self._challenger = loudest, now, None
        else:
            self._challenger = None
        return self.number != before
