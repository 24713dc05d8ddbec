"""Everything private of aiortc 1.16 and aioice 0.13 that Greenroom touches, per connection, nowhere else.

What is corrected here, each found by measurement and each with a test that fails when a new version
changes it (tests/media/test_aiortc_private.py):

- datagrams that are not STUN count only from an address that passed an authenticated check;
- malformed STUN ends in nothing, not in an exception, and unauthenticated STUN gets no answer;
- what waits to be read is bounded;
- a check without PRIORITY is accepted (ffmpeg's WHIP sends such);
- a peer whose address changed is followed (when it is the one who nominates);
- 127.0.0.1 is a candidate like any other;
- a connection that is closed while it connects ends in nothing, not in a traceback of a task nobody awaits;
- the other side must answer an authenticated check every 2 s, and is dead after 6 s;
- our packets are sent as they are, with audio level and voice bit, and keep the sender's own counts;
- received packets come to us as they arrive, without a decoder thread, and keep the receiver's own counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from aioice import stun
from aioice.candidate import Candidate, candidate_priority
from aioice.ice import (
    Connection,
    StunProtocol,
    TransportPolicy,
    relayed_candidate,
    server_reflexive_candidate,
)
from aiortc import InvalidStateError, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, clock
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpReceiveParameters,
)
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtcpSrPacket, RtpPacket

from greenroom.media.blocks import FRAME, RATE_HZ
from greenroom.media.outgoing import OutgoingPacket
from greenroom.media.red import RedWriter

CHECK_INTERVAL_SECONDS = 2.0
DEAD_AFTER_SECONDS = 6.0
LOOPBACK_ADDRESS = "127.0.0.1"
_CHECK_ANSWER_SECONDS = 1.5
_RELAY_ANSWER_SECONDS = 2
_MOST_WAITING_DATAGRAMS = 1024
_QUIET_ADDRESS_SECONDS = 1.0
_FALLEN_BEHIND_SECONDS = 0.2
_CORRECTED = "_greenroom_corrected"


def ice_connection(peer: RTCPeerConnection) -> Connection:
    """Return the one ICE connection of `peer`, which has a transceiver and bundles everything."""
    return peer.getTransceivers()[0].receiver.transport.transport._connection


def correct_connecting(peer: RTCPeerConnection) -> None:
    """Let `peer` be closed, by us or by the other side, at any moment while it connects."""
    private: Any = peer
    connect = private._RTCPeerConnection__connect

    async def connect_unless_closed() -> None:
        with contextlib.suppress(InvalidStateError):  # "RTCIceTransport is closed", raised where nobody looks
            await connect()

    private._RTCPeerConnection__connect = connect_unless_closed


def correct_ice(
    ice: Connection,
    *,
    loopback: bool = True,
    on_silent: Callable[[str], None] | None = None,
    check_interval_seconds: float = CHECK_INTERVAL_SECONDS,
    dead_after_seconds: float = DEAD_AFTER_SECONDS,
    path: PathCounts | None = None,
) -> None:
    """Apply the corrections to `ice`, before it gathers; applying them twice changes nothing.

    `on_silent` is told once, in words, when the other side stopped answering; the connection then closes. `path` is kept
    up to date.
    """
    if getattr(ice, _CORRECTED, None) is not None:
        return
    guard = _Guard(ice)
    setattr(ice, _CORRECTED, guard)
    gather, check_incoming, refuse = ice.get_component_candidates, ice.check_incoming, ice.respond_error

    async def get_component_candidates(
        component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        hosts = [LOOPBACK_ADDRESS, *addresses] if loopback else addresses
        candidates: list[Candidate] = await gather(component=component, addresses=hosts, timeout=timeout)
        for protocol in ice._protocols:
            guard.install(protocol)
        return candidates

    def check_accepted(message: stun.Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
        guard.authenticated(protocol, addr)
        message.attributes.setdefault(
            "PRIORITY", candidate_priority(protocol.local_candidate.component, "prflx")
        )
        check_incoming(message, addr, protocol)
        if not ice.ice_controlling:
            guard.follow(protocol, addr)

    def respond_error(
        request: stun.Message, addr: tuple[str, int], protocol: StunProtocol, error_code: tuple[int, str]
    ) -> None:
        if error_code[0] not in (400, 401):
            refuse(request, addr, protocol, error_code)

    async def query_consent() -> None:
        reason = await _until_silent(ice, check_interval_seconds, dead_after_seconds, path or PathCounts())
        ice._query_consent_task = None
        if on_silent is not None:
            on_silent(reason)
        await ice.close()

    private: Any = ice
    private.get_component_candidates = get_component_candidates
    private.check_incoming = check_accepted
    private.query_consent = query_consent
    private.respond_error = respond_error


def choose_candidates(ice: Connection, hosts: Sequence[str] | None, on_later: Callable[[str], None]) -> None:
    """Let `ice` gather on `hosts` only (None: on every interface), after `correct_ice` and before it gathers.

    What a STUN or TURN server adds is told to `on_later` (`candidate:…`, RFC 8839, 5.1) when it comes, so that nothing
    waits for a server that is dead. With the relay policy there is nothing else to tell, and it is waited for.
    """
    gather, close = ice.get_component_candidates, ice.close
    guard: _Guard = getattr(ice, _CORRECTED)
    asking: set[asyncio.Task[None]] = set()

    async def get_component_candidates(
        component: int, addresses: list[str], timeout: int = 5
    ) -> list[Candidate]:
        if ice._transport_policy is TransportPolicy.RELAY:
            candidates: list[Candidate] = await gather(
                component=component, addresses=[], timeout=min(timeout, _RELAY_ANSWER_SECONDS)
            )
            return candidates
        servers = ice.stun_server, ice.turn_server
        ice.stun_server = ice.turn_server = None
        try:
            candidates = await gather(
                component=component, addresses=addresses if hosts is None else list(hosts), timeout=timeout
            )
        finally:
            ice.stun_server, ice.turn_server = servers
        for work in _from_servers(ice, component):
            task = asyncio.get_running_loop().create_task(add(work))
            asking.add(task)
            task.add_done_callback(asking.discard)
        return candidates

    async def add(work: Coroutine[Any, Any, tuple[Candidate, StunProtocol | None]]) -> None:
        try:
            candidate, relay = await work
        except (TimeoutError, OSError, stun.TransactionError):
            return
        if relay is not None:
            ice._protocols.append(relay)
            guard.install(relay)
            for remote in ice._remote_candidates:
                ice._pair_remote_candidate(remote)
            ice.sort_check_list()
        ice._local_candidates.append(candidate)
        on_later(f"candidate:{candidate.to_sdp()}")

    async def closing() -> None:
        for task in tuple(asking):
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await close()

    private: Any = ice
    private.get_component_candidates = get_component_candidates
    private.close = closing


def _from_servers(
    ice: Connection, component: int
) -> Iterator[Coroutine[Any, Any, tuple[Candidate, StunProtocol | None]]]:
    """Yield what asks each of the servers of `ice` for a candidate."""
    if ice.stun_server is not None:
        for protocol in ice._protocols:
            if ":" not in protocol.local_candidate.host:
                yield server_reflexive_candidate(protocol, ice.stun_server)
    if ice.turn_server is not None:
        yield relayed_candidate(
            component=component,
            hide_related_address=False,
            protocol_factory=lambda: StunProtocol(ice),
            turn_server=ice.turn_server,
            turn_username=ice.turn_username,
            turn_password=ice.turn_password,
            turn_ssl=ice.turn_ssl,
            turn_transport=ice.turn_transport,
        )


def path_types(ice: Connection) -> tuple[str, str] | None:
    """Return what kinds of address the path has here and there (host, srflx, prflx, relay); None without a path."""
    pair = ice._nominated.get(1)
    return None if pair is None else (pair.local_candidate.type, pair.remote_candidate.type)


class PathCounts:
    """What the checks of the path showed: how many were answered, and the last one's round trip (None before it)."""

    def __init__(self) -> None:
        self.answered = 0
        self.rtt_ms: float | None = None


class _Guard:
    """Knows which addresses have proved who they are, and lets nothing else than STUN in from others."""

    def __init__(self, ice: Connection) -> None:
        self._ice = ice
        self._heard: dict[tuple[int, tuple[str, int]], float] = {}

    def install(self, protocol: StunProtocol) -> None:
        if getattr(protocol, _CORRECTED, False):
            return
        setattr(protocol, _CORRECTED, True)
        receive = protocol.datagram_received

        def datagram_received(data: bytes, addr: tuple[Any, ...]) -> None:
            if not data:
                return
            address = (addr[0], addr[1])
            if data[0] > 3:  # not STUN (RFC 7983)
                if self._is_known(protocol, address):
                    self._heard[protocol.id, address] = time.monotonic()
                    if self._ice._queue.qsize() < _MOST_WAITING_DATAGRAMS:
                        receive(data, addr)
                return
            transaction = protocol.transactions.get(data[8:20])
            try:
                stun.parse_message(data)  # what fails here, aioice would take for media
                receive(data, addr)
            except Exception:  # whatever a stranger sends: ValueError, struct.error, KeyError…
                return
            if transaction is not None and _is_answered(transaction):
                self.authenticated(protocol, address)

        private: Any = protocol
        private.datagram_received = datagram_received

    def authenticated(self, protocol: StunProtocol, address: tuple[str, int]) -> None:
        if len(self._heard) >= 256 and (protocol.id, address) not in self._heard:
            del self._heard[min(self._heard, key=self._heard.__getitem__)]
        self._heard[protocol.id, (address[0], address[1])] = time.monotonic()

    def follow(self, protocol: StunProtocol, address: tuple[str, int]) -> None:
        """Send to `address` from now on, if the address before has been quiet for a second."""
        nominated = self._ice._nominated.get(1)
        if nominated is None or nominated.remote_addr == (address[0], address[1]):
            return
        last_heard = self._heard.get((nominated.protocol.id, nominated.remote_addr), 0.0)
        if time.monotonic() - last_heard <= _QUIET_ADDRESS_SECONDS:
            return
        for pair in self._ice._check_list:
            if pair.protocol is protocol and pair.remote_addr == (address[0], address[1]):
                self._ice._nominated[1] = pair

    def _is_known(self, protocol: StunProtocol, address: tuple[str, int]) -> bool:
        return (protocol.id, address) in self._heard


def _is_answered(transaction: Any) -> bool:
    """Tell whether a STUN transaction that was protected by our key has its answer."""
    future: asyncio.Future[object] = transaction._Transaction__future
    has_key = transaction._Transaction__integrity_key is not None
    return has_key and future.done() and not future.cancelled() and future.exception() is None


async def _until_silent(
    ice: Connection, interval_seconds: float, dead_after_seconds: float, path: PathCounts
) -> str:
    """Send an authenticated check every interval (RFC 7675); return why, once none was answered for too long."""
    answered_at = asked_at = time.monotonic()
    while True:
        await asyncio.sleep(max(0.0, asked_at + interval_seconds - time.monotonic()))
        asked_at = time.monotonic()
        pair = ice._nominated.get(1)
        if pair is None:
            return "the media connection has no path any more"
        left_seconds = answered_at + dead_after_seconds - asked_at
        try:
            await asyncio.wait_for(
                pair.protocol.request(
                    ice.build_request(pair, nominate=False),
                    pair.remote_addr,
                    integrity_key=(ice.remote_password or "").encode(),
                    retransmissions=1,
                ),
                timeout=max(0.05, min(_CHECK_ANSWER_SECONDS, left_seconds)),
            )
            answered_at = time.monotonic()
            path.answered += 1
            path.rtt_ms = (answered_at - asked_at) * 1000.0
        except (stun.TransactionError, TimeoutError, OSError):
            if time.monotonic() - answered_at >= dead_after_seconds - 0.05:
                return f"the server has not answered for {dead_after_seconds:.0f} s"


class SenderCounts:
    """What a taken-over sender did, and what the other side reported of it."""

    def __init__(self, sender: RTCRtpSender) -> None:
        self.packets = 0
        self.bytes = 0
        self.lost = 0
        self.lost_percent = 0.0
        self.jitter_ms = 0.0
        self.reports = 0
        self._sender: Any = sender

    @property
    def ssrc(self) -> int:
        """The number of our stream."""
        return int(self._sender._ssrc)

    @property
    def rtt_ms(self) -> float | None:
        """The smoothed round trip from receiver reports, or None before the first."""
        seconds: float | None = self._sender._RTCRtpSender__rtt
        return None if seconds is None else max(0.0, seconds * 1000.0)


def take_over_sender(
    sender: RTCRtpSender,
    next_packet: Callable[[], OutgoingPacket | None],
    red: RedWriter | None = None,
    *,
    step_frames: int = FRAME,
) -> SenderCounts:
    """Let `sender`, once started, send what `next_packet` returns every step, wrapped by `red`; None sends nothing.

    A packet may hold the sound of several steps, the last of which is the present one: it is stamped with its first. The
    media clock runs on through pauses, so sender reports stay right. After a stall of the loop of more
    than 200 ms the missed frames are skipped, not sent in a burst.
    """
    counts = SenderCounts(sender)
    private: Any = sender
    handle_rtcp_packet = private._handle_rtcp_packet

    async def run_rtp(codec: RTCRtpCodecParameters) -> None:
        private._RTCRtpSender__rtp_started.set()
        sequence_number = random.randrange(1 << 15)
        timestamp = random.randrange(1 << 32)
        step_seconds = step_frames / RATE_HZ
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        try:
            while True:
                private._RTCRtpSender__ntp_timestamp = clock.current_ntp_time()
                private._RTCRtpSender__rtp_timestamp = timestamp
                outgoing = next_packet()
                if outgoing is not None:
                    payload_type, payload = codec.payloadType or 0, outgoing.payload
                    first = (timestamp + step_frames - outgoing.frames) & 0xFFFFFFFF
                    if red is not None:
                        payload_type, payload = red.wrap(payload_type, first, payload)
                    packet = RtpPacket(payload_type, int(outgoing.starts), sequence_number, first)
                    packet.ssrc = private._ssrc
                    packet.payload = payload
                    packet.extensions.mid = private._RTCRtpSender__mid
                    packet.extensions.audio_level = (outgoing.voice, outgoing.level)
                    await sender.transport._send_rtp(
                        packet.serialize(private._RTCRtpSender__rtp_header_extensions_map)
                    )
                    counts.packets += 1
                    counts.bytes += len(payload)
                    private._RTCRtpSender__packet_count += 1
                    private._RTCRtpSender__octet_count += len(payload)
                    sequence_number = (sequence_number + 1) & 0xFFFF
                timestamp = (timestamp + step_frames) & 0xFFFFFFFF
                deadline += step_seconds
                behind = loop.time() - deadline
                if behind > _FALLEN_BEHIND_SECONDS:
                    skipped = int(behind / step_seconds)
                    timestamp = (timestamp + skipped * step_frames) & 0xFFFFFFFF
                    deadline += skipped * step_seconds
                await asyncio.sleep(max(0.0, deadline - loop.time()))
        except (asyncio.CancelledError, ConnectionError):
            pass  # as aiortc's own: stop() waits for the event below, not for this task
        finally:
            private._RTCRtpSender__rtp_exited.set()

    async def handle(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == private._ssrc:
                    counts.reports += 1
                    counts.lost = max(0, report.packets_lost)
                    counts.lost_percent = report.fraction_lost / 2.56
                    counts.jitter_ms = report.jitter * 1000.0 / RATE_HZ
        await handle_rtcp_packet(packet)

    private._run_rtp = run_rtp
    private._handle_rtcp_packet = handle
    return counts


def take_over_receiver(
    receiver: RTCRtpReceiver,
    arrived: Callable[[RtpPacket, bool, float], None],
    red_type: Callable[[], int | None] = lambda: None,
) -> None:
    """Hand every packet of `receiver` to `arrived(packet, is_red, jitter_ms)` as it comes, payload undecoded.

    `is_red` says that the payload is redundant audio (RFC 2198): its type is `red_type()`, asked when the line starts.
    Receiver reports go on as before; no decoder thread is started, and no BYE ends the line.
    """
    private: Any = receiver

    async def receive(parameters: RTCRtpReceiveParameters) -> None:
        if private._RTCRtpReceiver__started:
            return
        redundant = red_type()
        if redundant is not None:  # aiortc knows no RED, and hands over only what it knows
            red = RTCRtpCodecParameters("audio/red", clockRate=RATE_HZ, channels=2, payloadType=redundant)
            parameters = dataclasses.replace(parameters, codecs=[*parameters.codecs, red])
        for codec in parameters.codecs:
            private._RTCRtpReceiver__codecs[codec.payloadType] = codec
        private._RTCRtpReceiver__transport._register_rtp_receiver(receiver, parameters)
        private._RTCRtpReceiver__rtcp_task = asyncio.ensure_future(private._run_rtcp())
        private._RTCRtpReceiver__started = True

    async def handle(packet: RtpPacket, arrival_time_ms: int) -> None:
        codec = private._RTCRtpReceiver__codecs.get(packet.payload_type)
        if not private._enabled or codec is None:
            return
        streams: dict[int, StreamStatistics] = private._RTCRtpReceiver__remote_streams
        stream = streams.get(packet.ssrc)
        if stream is None:
            stream = streams[packet.ssrc] = StreamStatistics(codec.clockRate)
        stream.add(packet)
        arrived(packet, codec.name.lower() == "red", stream.jitter * 1000.0 / codec.clockRate)

    private.receive = receive
    private._handle_rtp_packet = handle


def dtls_state(peer: RTCPeerConnection) -> str:
    """Return "new", "connecting", "connected", "closed" or "failed"."""
    return str(peer.getTransceivers()[0].receiver.transport.state)


def local_addresses(ice: Connection) -> Sequence[tuple[str, int]]:
    """Return what `ice` is bound to; for tests and `doctor` only, never for a log."""
    return [(protocol.local_candidate.host, protocol.local_candidate.port) for protocol in ice._protocols]
