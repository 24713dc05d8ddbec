"""What we received from one publisher, for the reports they are sent (RFC 3550, appendix A)."""

from __future__ import annotations

from collections import deque

from greenroom.rtp.rtcp import ReportBlock, SenderReport, middle_bits
from greenroom.rtp.sequence import timestamp_distance, unwrap_sequence

CLOCK_RATE = 48000
_BLOCKS_KEPT = 3
_ENOUGH_PACKETS = 10


class Reception:
    """Counts one source; a new SSRC begins anew. Times are monotonic seconds."""

    __slots__ = (
        "_expected_before",
        "_first",
        "_highest",
        "_jitter",
        "_received",
        "_received_before",
        "_report_at",
        "_transit",
        "last_arrival",
        "losses",
        "report",
        "ssrc",
    )

    def __init__(self) -> None:
        self.ssrc: int | None = None
        self.last_arrival = float("-inf")
        self.report: SenderReport | None = None
        self.losses: deque[float] = deque(maxlen=_BLOCKS_KEPT)
        """The lost fractions of the newest blocks, 0..1."""
        self._begin(None, 0)

    def _begin(self, ssrc: int | None, sequence: int) -> None:
        self.ssrc = ssrc
        self._first = self._highest = sequence
        self._received = self._received_before = self._expected_before = 0
        self._jitter = 0.0
        self._transit: int | None = None
        self._report_at = 0.0
        self.report = None

    def packet(self, ssrc: int, sequence: int, timestamp: int, now: float) -> None:
        """Count one authentic packet."""
        if ssrc != self.ssrc:
            self._begin(ssrc, sequence)
        self._received += 1
        self._highest = max(self._highest, unwrap_sequence(self._highest, sequence))
        self.last_arrival = now
        transit = int(now * CLOCK_RATE) - timestamp & 0xFFFFFFFF
        if self._transit is not None:
            self._jitter += (abs(timestamp_distance(self._transit, transit)) - self._jitter) / 16
        self._transit = transit

    @property
    def jitter(self) -> float:
        """How unevenly packets come, in units of the media clock."""
        return self._jitter

    def sender_report(self, report: SenderReport, now: float) -> None:
        """Remember the publisher's latest report."""
        if report.ssrc == self.ssrc:
            self.report = report
            self._report_at = now

    def timestamp_at(self, now: float) -> int | None:
        """Return the source's timestamp at `now` by its own report, None without one."""
        if self.report is None:
            return None
        return self.report.rtp_timestamp + round((now - self._report_at) * CLOCK_RATE) & 0xFFFFFFFF

    @property
    def lost(self) -> float:
        """The fraction lost in the newest blocks, 0..1."""
        return sum(self.losses) / len(self.losses) if self.losses else 0.0

    @property
    def worst_lost(self) -> float:
        """The most that was lost in one of the newest blocks, or since then."""
        interval = self._highest - self._first + 1 - self._expected_before
        lost = interval - (self._received - self._received_before)
        since = min(1.0, max(0.0, lost / interval)) if interval >= _ENOUGH_PACKETS else 0.0
        return max([since, *self.losses])

    def block(self, now: float) -> ReportBlock | None:
        """Return the report block for the time since the last call, None when nothing ever came."""
        if self.ssrc is None:
            return None
        expected = self._highest - self._first + 1
        interval = expected - self._expected_before
        lost = interval - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        fraction = min(1.0, max(0.0, lost / interval)) if interval > 0 else 0.0
        last = 0 if self.report is None else middle_bits(self.report.ntp_time)
        delay = 0 if self.report is None else min(0xFFFFFFFF, int((now - self._report_at) * 65536))
        self.losses.append(fraction)
        return ReportBlock(
            self.ssrc,
            fraction,
            expected - self._received,
            self._highest & 0xFFFFFFFF,
            min(0xFFFFFFFF, int(self._jitter)),
            last,
            delay,
        )
