"""How loud someone is and when they speak, from the levels on their packets (RFC 6464)."""

from __future__ import annotations

import msgspec

SILENT_DBOV = -127.0
DTX_BYTES = 8  # Opus frames up to this size say "still nothing"
ASSUMED_VOICE_DBOV = -40  # of a frame from someone who sends no level
FALL_DB_PER_SECOND = 60.0
ATTACK = 0.4
VOICE_STARTS_DBOV = -45.0
VOICE_ENDS_DBOV = -55.0
VOICE_STARTS_AFTER_SECONDS = 0.06
VOICE_ENDS_AFTER_SECONDS = 0.5
SHORTEST_SEGMENT_SECONDS = 0.2
LONGEST_SEGMENT_SECONDS = 10.0  # a long speech is told in parts, so that talk time keeps up
SENDING_SECONDS = 1.0


class Segment(msgspec.Struct, frozen=True):
    """Someone spoke from `started` to `ended`, monotonic seconds."""

    started: float
    ended: float


def assumed_level(payload_bytes: int) -> int:
    """Return the level of a frame that came without one, dBov."""
    return ASSUMED_VOICE_DBOV if payload_bytes > DTX_BYTES else int(SILENT_DBOV)


class Activity:
    """One speaker's loudness, which rises in two frames and falls by 60 dB a second, and their segments."""

    __slots__ = ("_above_since", "_loudest", "_loudness", "_voice_at", "last_packet", "started")

    def __init__(self) -> None:
        self._loudness = SILENT_DBOV
        self._loudest = int(SILENT_DBOV)
        self._above_since: float | None = None
        self._voice_at = 0.0
        self.last_packet = float("-inf")
        self.started: float | None = None
        """When the present segment began; None while silent."""

    def heard(self, level_dbov: int, now: float) -> None:
        """Take the level of one frame."""
        loudness = self.loudness(now)
        if level_dbov > loudness:
            loudness += ATTACK * (level_dbov - loudness)
        self._loudness = loudness
        self.last_packet = now
        self._loudest = max(self._loudest, level_dbov)
        if loudness >= VOICE_STARTS_DBOV:
            if self._above_since is None:
                self._above_since = now
            if self.started is None and now - self._above_since >= VOICE_STARTS_AFTER_SECONDS:
                self.started = self._above_since
        else:
            self._above_since = None
        if loudness >= VOICE_ENDS_DBOV:
            self._voice_at = now

    def loudness(self, now: float) -> float:
        """Return the smoothed level at `now`, dBov."""
        fallen = self._loudness - FALL_DB_PER_SECOND * max(0.0, now - self.last_packet)
        return max(SILENT_DBOV, fallen)

    def sending(self, now: float) -> bool:
        """Return whether packets came within the last second."""
        return now - self.last_packet < SENDING_SECONDS

    def take_level(self) -> int:
        """Return the loudest frame since the last call, dBov."""
        loudest, self._loudest = self._loudest, int(SILENT_DBOV)
        return loudest

    def take_segment(self, now: float, *, ending: bool = False) -> Segment | None:
        """Return the segment, or the part of a long one, that is complete at `now`.

        `ending` closes it: the line was closed or its owner left.
        """
        if self.started is None:
            return None
        silent = now - self._voice_at >= VOICE_ENDS_AFTER_SECONDS
        if ending or silent:
            started, ended = self.started, max(self.started, self._voice_at)
            self.started = self._above_since = None
            return Segment(started, ended) if ended - started >= SHORTEST_SEGMENT_SECONDS else None
        if now - self.started >= LONGEST_SEGMENT_SECONDS:
            part = Segment(self.started, now)
            self.started = now
            return part
        return None
