"""How much anyone may send: token buckets, and a bounded count per source."""

from __future__ import annotations

from collections.abc import Hashable

LINE_PACKETS_PER_SECOND = 110.0
LINE_BYTES_PER_SECOND = 80_000.0  # 640 kbit/s: stereo at its best, with redundancy, needs 384
PEER_DATAGRAMS_PER_SECOND = 500.0  # what is worth decrypting, before anything is believed
PEER_REPORTS_PER_SECOND = 50.0
SOURCE_CHECKS_PER_SECOND = 50
MAX_COUNTED_SOURCES = 8192


class TokenBucket:
    """Allows `rate` units a second, and `burst` at once. `now` is monotonic seconds."""

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._then = now

    def take(self, amount: float, now: float) -> bool:
        """Return whether `amount` may pass now, and count it when it may."""
        level = min(self._burst, self._level + (now - self._then) * self._rate)
        self._then = now
        if level < amount:
            self._level = level
            return False
        self._level = level - amount
        return True


class SourceCounter:
    """Counts events per source in windows of a second.

    Beyond `MAX_COUNTED_SOURCES` new sources are not counted, so an attacker with many addresses cannot
    keep newcomers out; what they can reach without a known name is one dictionary look-up.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._window = 0
        self._counts: dict[Hashable, int] = {}

    def allows(self, source: Hashable, now: float) -> bool:
        """Return whether `source` is within its share of this second."""
        window = int(now)
        if window != self._window:
            self._window = window
            self._counts.clear()
        count = self._counts.get(source, 0)
        if count >= self._per_second:
            return False
        if count or len(self._counts) < MAX_COUNTED_SOURCES:
            self._counts[source] = count + 1
        return True
