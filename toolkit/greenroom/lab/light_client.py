"""Clients that are only a socket, ICE, DTLS and SRTP: hundreds in one process, honest or hostile.

They count what they receive by the clear header, decrypt it when asked, and publish frames they are given;
they know no codec. A `Crowd` keeps many of them going from one loop.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

import msgspec
from OpenSSL import SSL

from greenroom.rtp.packets import (
    HEADER_BYTES,
    AudioLevel,
    RtpPacket,
    build_audio_level,
    build_rtp,
    is_rtcp,
    parse_rtp,
)
from greenroom.rtp.rtcp import ReceiverReport, ReportBlock, RtcpPacket, build_compound, parse_compound
from greenroom.rtp.sdp import AUDIO_LEVEL_URI
from greenroom.rtp.sequence import unwrap_sequence
from greenroom.rtp.stun import BINDING_SUCCESS, build_request, integrity_holds, parse_stun
from greenroom.sfu.dtls import DtlsConnection, DtlsState, Identity, make_context, make_identity
from greenroom.sfu.srtp import PREFERRED, Inbound, Outbound, SrtpError, SrtpProfile

OPUS_TYPE = 111
RED_TYPE = 63
LEVEL_EXTENSION = 1
FIRST_CHECK_SECONDS = 0.05
REPORT_SECONDS = 5.0
MAX_KEPT = 5000


class Credentials:
    """A certificate and a DTLS context, shared by a whole crowd: making one costs more than a handshake."""

    def __init__(self, profiles: Sequence[SrtpProfile] = PREFERRED) -> None:
        self.identity: Identity = make_identity()
        self.context: SSL.Context = make_context(self.identity, profiles)


class SlotCount(msgspec.Struct):
    """What came on one slot: RTP packets, and how many are missing between the first and the newest."""

    packets: int = 0
    first: int = -1
    newest: int = -1

    @property
    def lost(self) -> int:
        """How many sequence numbers never came."""
        return self.newest - self.first + 1 - self.packets if self.packets else 0


class Heard(msgspec.Struct, frozen=True):
    """A decrypted packet, the slot it came on and when (monotonic seconds)."""

    slot: int
    at: float
    packet: RtpPacket


class LightClient:
    """One client. Call `offer`, `accept` its answer, then `turn` often. `now` is monotonic seconds.

    `check_seconds` is its consent interval. With `decrypts` the packets are kept in `heard` (the last
    5000). `fingerprint` overrides what the offer claims.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        speaks: bool = False,
        red: bool = False,
        decrypts: bool = False,
        declares_source: bool = True,
        credentials: Credentials | None = None,
        fingerprint: str | None = None,
        host: str = "127.0.0.1",
        check_seconds: float = 2.0,
        opus_type: int = OPUS_TYPE,
    ) -> None:
        self.slots = [SlotCount() for _ in range(slots)]
        self.heard: deque[Heard] = deque(maxlen=MAX_KEPT)
        self.reports: deque[RtcpPacket] = deque(maxlen=MAX_KEPT)
        self.source = secrets.randbits(32) or 1
        self.sequence = secrets.randbelow(1 << 14)
        self.connected = False
        self.closed = False
        self.server: tuple[str, int] | None = None
        self.check_seconds = check_seconds
        self._speaks = speaks
        self._red = red
        self._decrypts = decrypts
        self._declares_source = declares_source
        self._opus_type = opus_type
        self._credentials = credentials if credentials is not None else Credentials()
        self._fingerprint = fingerprint if fingerprint is not None else self._credentials.identity.fingerprint
        self._host = host
        self.udp = self._open()
        self._ufrag = secrets.token_hex(4)
        self._pwd = secrets.token_hex(12)
        self._remote_ufrag = ""
        self._remote_pwd = b""
        self._remote_fingerprint = ""
        self._transaction = b""
        self._admitted = False
        self._check_due = 0.0
        self._report_due = 0.0
        self._retransmit_at: float | None = None
        self._dtls: DtlsConnection | None = None
        self._by_source: dict[bytes, int] = {}
        self.inbound: Inbound | None = None
        self.outbound: Outbound | None = None

    def offer(self) -> str:
        """Return the offer (SDP): a microphone line when it speaks, then one line per slot."""
        directions = ["sendonly"] * self._speaks + ["recvonly"] * len(self.slots)
        types = f"{self._opus_type} {RED_TYPE}" if self._red else str(self._opus_type)
        rows = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        rows.append("a=group:BUNDLE " + " ".join(str(mid) for mid in range(len(directions))))
        for mid, direction in enumerate(directions):
            rows += [
                f"m=audio 9 UDP/TLS/RTP/SAVPF {types}",
                "c=IN IP4 0.0.0.0",
                f"a=mid:{mid}",
                f"a={direction}",
                f"a=ice-ufrag:{self._ufrag}",
                f"a=ice-pwd:{self._pwd}",
                f"a=fingerprint:sha-256 {self._fingerprint}",
                "a=setup:actpass",
                "a=rtcp-mux",
                f"a=rtpmap:{self._opus_type} opus/48000/2",
                f"a=extmap:{LEVEL_EXTENSION} {AUDIO_LEVEL_URI}",
            ]
            if self._red:
                rows.append(f"a=rtpmap:{RED_TYPE} red/48000/2")
                rows.append(f"a=fmtp:{RED_TYPE} {self._opus_type}/{self._opus_type}")
            if direction == "sendonly" and self._declares_source:
                rows.append(f"a=ssrc:{self.source} cname:light")
        return "\r\n".join(rows) + "\r\n"

    def accept(self, answer: str) -> None:
        """Take the server's answer; the next `turn` begins to connect."""
        self._remote_ufrag = _found(r"a=ice-ufrag:(\S+)", answer)
        self._remote_pwd = _found(r"a=ice-pwd:(\S+)", answer).encode()
        self._remote_fingerprint = _found(r"a=fingerprint:sha-256 (\S+)", answer)
        host, port = _found(r"a=candidate:1 1 udp \d+ (\S+ \d+) typ host", answer).split()
        self.server = (host, int(port))
        for slot, source in enumerate(re.findall(r"a=ssrc:(\d+) cname", answer)):
            self._by_source[int(source).to_bytes(4, "big")] = slot

    def turn(self, now: float) -> None:
        """Take what has arrived and send what is due."""
        self._read(now)
        if self.server is None or self.closed:
            return
        if now >= self._check_due:
            self.check(now)
        if self._dtls is not None and self._retransmit_at is not None and now >= self._retransmit_at:
            self._send_all(self._dtls.retransmit())
            self._plan_retransmission(now)
        if self.connected and now >= self._report_due:
            self._report_due = now + REPORT_SECONDS
            self.report(0.0)

    def check(self, now: float) -> None:
        """Send an ICE check, nominating until one has been answered."""
        self._transaction = secrets.token_bytes(12)
        self._check_due = now + (self.check_seconds if self._admitted else FIRST_CHECK_SECONDS)
        username = f"{self._remote_ufrag}:{self._ufrag}"
        self.send_datagram(
            build_request(self._transaction, username, self._remote_pwd, use_candidate=not self._admitted)
        )

    def say(self, payload: bytes, timestamp: int, *, level_dbov: int = -30, marker: bool = False) -> bytes:
        """Publish one Opus frame; return the datagram sent. Raises `SrtpError` before `connected`."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        level = build_audio_level(AudioLevel(level_dbov, level_dbov > -50))
        return self.send_packet(
            RtpPacket(
                self._opus_type,
                self.sequence,
                timestamp & 0xFFFFFFFF,
                self.source,
                payload,
                marker,
                extensions=((LEVEL_EXTENSION, level),),
            )
        )

    def send_packet(self, packet: RtpPacket) -> bytes:
        """Protect and send any RTP packet, also one nobody allowed; return the datagram."""
        if self.outbound is None:
            raise SrtpError("the client is not connected")
        datagram = self.outbound.protect(build_rtp(packet))
        self.send_datagram(datagram)
        return datagram

    def report(self, fraction_lost: float) -> None:
        """Send a receiver report that claims this loss (0..1) on every slot."""
        blocks = tuple(
            ReportBlock(int.from_bytes(source, "big"), fraction_lost, 0, max(0, self.slots[slot].newest), 0)
            for source, slot in self._by_source.items()
            if self.slots[slot].packets
        )
        if self.outbound is not None:
            self.send_datagram(
                self.outbound.protect_rtcp(build_compound([ReceiverReport(self.source, blocks)]))
            )

    def send_datagram(self, datagram: bytes) -> None:
        """Send bytes to the server as they are; a full socket loses them."""
        if self.server is not None:
            try:
                self.udp.sendto(datagram, self.server)
            except OSError:
                pass

    def move(self) -> None:
        """Go on from another port, as behind a NAT that forgot us."""
        self.udp.close()
        self.udp = self._open()

    def close(self, *, goodbye: bool = True) -> None:
        """End; with `goodbye` the server is told by DTLS. Twice is quiet."""
        if self.closed:
            return
        self.closed = True
        self.connected = False
        if goodbye and self._dtls is not None:
            self._send_all(self._dtls.close())
        self.udp.close()

    def _open(self) -> socket.socket:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setblocking(False)
        udp.bind((self._host, 0))
        return udp

    def _read(self, now: float) -> None:
        receive = self.udp.recv
        while not self.closed:
            try:
                datagram = receive(2048)
            except OSError:
                return
            if not datagram:
                continue
            first = datagram[0]
            if first > 127:
                self._take_media(datagram, now)
            elif first < 4:
                self._take_check(datagram, now)
            else:
                self._take_dtls(datagram, now)

    def _take_media(self, datagram: bytes, now: float) -> None:
        if len(datagram) < HEADER_BYTES:
            return
        if is_rtcp(datagram):
            if self._decrypts and self.inbound is not None:
                try:
                    self.reports.extend(parse_compound(self.inbound.open_rtcp(datagram)) or ())
                except SrtpError:
                    pass
            return
        slot = self._by_source.get(datagram[8:12])
        if slot is None:
            return
        count = self.slots[slot]
        sequence = datagram[2] << 8 | datagram[3]
        if count.newest < 0:
            count.first = count.newest = sequence
        else:
            count.newest = max(count.newest, unwrap_sequence(count.newest, sequence))
        count.packets += 1
        if self._decrypts and self.inbound is not None:
            try:
                packet = parse_rtp(self.inbound.open(datagram))
            except SrtpError:
                return
            if packet is not None:
                self.heard.append(Heard(slot, now, packet))

    def _take_check(self, datagram: bytes, now: float) -> None:
        message = parse_stun(datagram)
        if message is None or message.kind != BINDING_SUCCESS or message.transaction != self._transaction:
            return
        if not integrity_holds(datagram, message, self._remote_pwd):
            return
        if not self._admitted:
            self._admitted = True
            self._check_due = now + self.check_seconds
            self._dtls = DtlsConnection(self._credentials.context, passive=False)
            self._send_all(self._dtls.begin())
            self._plan_retransmission(now)

    def _take_dtls(self, datagram: bytes, now: float) -> None:
        dtls = self._dtls
        if dtls is None:
            return
        self._send_all(dtls.receive(datagram))
        if dtls.state is DtlsState.CONNECTED and not self.connected:
            self._retransmit_at = None
            keys = dtls.srtp_keys()
            if keys is None or not dtls.certificate_matches((("sha-256", self._remote_fingerprint),)):
                self.close()
                return
            self.inbound = Inbound(keys.profile, keys.server)
            self.outbound = Outbound(keys.profile, keys.client)
            self.connected = True
            self._report_due = now + REPORT_SECONDS * secrets.randbelow(1000) / 1000
        elif dtls.state in (DtlsState.CLOSED, DtlsState.FAILED):
            self.close(goodbye=False)
        else:
            self._plan_retransmission(now)

    def _plan_retransmission(self, now: float) -> None:
        seconds = self._dtls.timeout_seconds() if self._dtls is not None else None
        self._retransmit_at = None if seconds is None else now + seconds

    def _send_all(self, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            self.send_datagram(datagram)


class Crowd:
    """Keeps clients going on the running loop, one pass over all every `interval_seconds`.

    An async context manager; clients may be added at any time. Leaving it closes them.
    """

    def __init__(self, clients: Iterable[LightClient] = (), *, interval_seconds: float = 0.02) -> None:
        self.clients = list(clients)
        self._interval = interval_seconds
        self._task: asyncio.Task[None] | None = None
        self._passed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="light clients")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for client in self.clients:
            client.close()

    def turn(self) -> None:
        """Give every client its turn now."""
        for client in self.clients:
            client.turn(time.monotonic())

    async def connected(self, timeout_seconds: float = 10.0) -> None:
        """Return when every client is connected; raises `TimeoutError`."""
        await self.until(lambda: all(client.connected for client in self.clients), timeout_seconds)

    async def until(self, condition: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
        """Return after the first pass that leaves `condition` true; raises `TimeoutError`."""
        async with asyncio.timeout(timeout_seconds), self._passed:
            await self._passed.wait_for(condition)

    async def _run(self) -> None:
        while True:
            self.turn()
            async with self._passed:
                self._passed.notify_all()
            await asyncio.sleep(self._interval)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError("the answer lacks a line every answer has")
    return match[1]
