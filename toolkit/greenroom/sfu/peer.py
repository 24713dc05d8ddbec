"""One connected client as a media worker sees it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from greenroom.rtp.rtcp import ReportBlock
from greenroom.rtp.sdp import Offer, OfferedLine
from greenroom.rtp.sequence import sequence_distance
from greenroom.sfu.activity import assumed_level
from greenroom.sfu.dtls import DtlsConnection
from greenroom.sfu.fanout import Address
from greenroom.sfu.limits import (
    LINE_BYTES_PER_SECOND,
    LINE_PACKETS_PER_SECOND,
    PEER_DATAGRAMS_PER_SECOND,
    PEER_REPORTS_PER_SECOND,
    TokenBucket,
)
from greenroom.sfu.reception import Reception
from greenroom.sfu.srtp import Inbound, Outbound

if TYPE_CHECKING:
    from greenroom.sfu.room import Room

MAX_ADDRESSES = 8
MAX_WAITING_DATAGRAMS = 16
MAX_REPORTING_SOURCES = 24
QUIET_SECONDS = 1.0
NOMINATED_SECONDS = 6.0
FIRST_INTERVAL_SECONDS = 5.0
LONGEST_CONSENT_SECONDS = 30.0  # RFC 7675, 5.1
UNCONNECTED_SECONDS = 30.0
LOSSY_FRACTION = 0.02
LOSSY_SECONDS = 10.0
LINE_REBIND_SECONDS = 5.0


class Line:
    """What a peer sends: its permission, its sources and its limits."""

    __slots__ = (
        "_bytes",
        "_capping",
        "_left_out",
        "_newest",
        "_packets",
        "_sources",
        "_sticky",
        "allowed",
        "level_extension",
        "opus_type",
        "reception",
        "red_type",
    )

    def __init__(self, offered: OfferedLine, allowed: bool, now: float) -> None:
        self.allowed = allowed
        self.opus_type = offered.opus_type
        self.red_type = offered.red_type
        self.level_extension = offered.level_extension
        self.reception = Reception()
        self._capping = False
        self._left_out = 0
        self._newest: int | None = None
        self._sources = frozenset(offered.sources)
        self._sticky: int | None = None
        self._packets = TokenBucket(LINE_PACKETS_PER_SECOND, LINE_PACKETS_PER_SECOND / 2, now)
        self._bytes = TokenBucket(LINE_BYTES_PER_SECOND, LINE_BYTES_PER_SECOND / 2, now)

    def owns(self, ssrc: int, now: float) -> bool:
        """Return whether `ssrc` is one the offer declared.

        A client that declared none gets the first source it sends, and another only after 5 s of silence.
        """
        if self._sources:
            return ssrc in self._sources
        return self._sticky in (None, ssrc) or now - self.reception.last_arrival > LINE_REBIND_SECONDS

    def claim(self, ssrc: int) -> None:
        """Remember that an authentic packet came from `ssrc`."""
        self._sticky = ssrc

    def within_limits(self, size: int, now: float) -> bool:
        """Return whether a datagram of `size` bytes is within the line's share, and count it."""
        within = self._packets.take(1, now) and self._bytes.take(size, now)
        self._capping = self._capping or not within
        return within

    def renumbered(self, sequence: int) -> int:
        """Return the packet's number without a gap for those we capped: it is not the listeners' loss."""
        ahead = 1 if self._newest is None else sequence_distance(self._newest, sequence)
        if self._capping and ahead > 1:
            self._left_out += ahead - 1
        if ahead > 0:
            self._newest = sequence
            self._capping = False
        return sequence - self._left_out & 0xFFFF

    def capped(self) -> None:
        """A datagram of this line was not even decrypted: there were too many."""
        self._capping = True

    def level_of(self, extensions: tuple[tuple[int, bytes], ...], payload_bytes: int) -> int:
        """Return the level of a frame in dBov, assumed from its size when it carries none."""
        for identifier, value in extensions:
            if identifier == self.level_extension and value:
                return -(value[0] & 0x7F)
        return assumed_level(payload_bytes)


class Peer:
    """Addresses, keys, line and slots of one client. All times are monotonic seconds."""

    __slots__ = (
        "_datagrams", "_nominated_at", "_reports", "address", "addresses", "check_interval", "checked_at",
        "connected", "created_at", "dtls", "fingerprints", "fraction_lost", "heard_at", "inbound", "line",
        "losses", "lossy_at", "name", "number", "offsets", "opus_type", "outbound", "password", "red_type",
        "reporting_sources", "retransmit_at", "room", "slots", "ufrag", "username", "waiting", "wants_red",
        "withheld",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        room: Room,
        number: int,
        offer: Offer,
        ufrag: str,
        password: str,
        may_speak: bool,
        now: float,
    ) -> None:
        self.name = name
        self.room = room
        self.number = number
        self.ufrag = ufrag
        self.username = f"{ufrag}:{offer.ice_ufrag}"
        self.password = password.encode()
        self.fingerprints = offer.fingerprints
        self.slots = len(offer.slots)
        self.opus_type = offer.opus_type
        self.red_type = offer.red_type
        self.line = None if offer.microphone is None else Line(offer.lines[offer.microphone], may_speak, now)
        self.address: Address | None = None
        self.addresses: dict[Address, float] = {}
        self.heard_at = now
        self.created_at = now
        self.checked_at = now
        self.check_interval = FIRST_INTERVAL_SECONDS
        self._nominated_at = float("-inf")
        self.dtls: DtlsConnection | None = None
        self.retransmit_at: float | None = None
        self.waiting: deque[bytes] = deque(maxlen=MAX_WAITING_DATAGRAMS)
        self.inbound: Inbound | None = None
        self.outbound: Outbound | None = None
        self.connected = False
        self.offsets: list[int | None] = [None] * self.slots
        self.withheld: dict[int, int] = {}
        """Slot index to the slot's `highest` when this peer's own voice took it."""
        self.wants_red = False
        self.lossy_at = float("-inf")
        self.fraction_lost = 0.0
        """Of the latest receiver reports, 0..1."""
        self.losses: dict[int, tuple[ReportBlock, float | None]] = {}
        """Slot index to its worst receiver report, and round trip seconds, since they were last passed on."""
        self.reporting_sources: set[int] = set()
        self._datagrams = TokenBucket(PEER_DATAGRAMS_PER_SECOND, PEER_DATAGRAMS_PER_SECOND / 2, now)
        self._reports = TokenBucket(PEER_REPORTS_PER_SECOND, PEER_REPORTS_PER_SECOND, now)

    def checked(self, address: Address, nominated: bool, now: float) -> Address | None:
        """An authenticated check came from `address`: return an address that is forgotten for it, if any."""
        interval = now - self.checked_at
        if interval > QUIET_SECONDS:  # checks while connecting come in bursts and say nothing
            self.check_interval = max(interval, 0.7 * self.check_interval)
        self.checked_at = now
        self.addresses[address] = now
        if nominated and address != self.address:
            self.address = address
        if nominated:
            self._nominated_at = now
        self.heard_from(address, now)
        if len(self.addresses) <= MAX_ADDRESSES:
            return None
        oldest = min((a for a in self.addresses if a != self.address), key=lambda a: self.addresses[a])
        del self.addresses[oldest]
        return oldest

    def heard_from(self, address: Address, now: float) -> bool:
        """Something authentic came from `address`; return whether we now send there instead.

        Browsers check several paths all the time: a path is left only when it has been quiet, and not
        within 6 s of having been nominated unless another is nominated.
        """
        self.addresses[address] = now
        if address == self.address:
            self.heard_at = now
            return False
        quiet = now - self.heard_at > QUIET_SECONDS and now - self._nominated_at > NOMINATED_SECONDS
        if self.address is not None and not quiet:
            return False
        self.address = address
        self.heard_at = now
        return True

    def consent_expires(self, least_seconds: float) -> float:
        """Return when the peer is dead if it does not check again.

        After three of its own intervals (ours are 2 s, stock aioice's 5 s), at least `least_seconds`, at most
        the 30 s of RFC 7675.
        """
        return self.checked_at + min(LONGEST_CONSENT_SECONDS, max(least_seconds, 3 * self.check_interval))

    def may_decrypt(self, now: float) -> bool:
        """Return whether one more datagram is worth decrypting."""
        return self._datagrams.take(1, now)

    def may_report(self, now: float) -> bool:
        """Return whether one more RTCP datagram is worth decrypting."""
        return self._reports.take(1, now)

    def judge_loss(self, fraction_lost: float, now: float) -> bool:
        """Take the latest loss, 0..1; return whether it changed what this listener should be sent.

        Redundancy begins at 2 % and ends after ten seconds below that.
        """
        before = self.wants_red
        if fraction_lost >= LOSSY_FRACTION:
            self.lossy_at = now
        self.wants_red = self.red_type is not None and now - self.lossy_at < LOSSY_SECONDS
        return self.wants_red != before
