"""The forwarding unit: datagrams in, datagrams out, no loop and no process of its own."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable

import msgspec

from greenroom.rtp.packets import HEADER_BYTES, is_rtcp, parse_rtp
from greenroom.rtp.rtcp import ntp_time, parse_compound
from greenroom.rtp.sdp import Answerer, OfferUnreadable, build_answer, parse_offer
from greenroom.sfu.control import PeerDown, PeerUp, WorkerEvent
from greenroom.sfu.dtls import DtlsConnection, DtlsState, make_context, make_identity
from greenroom.sfu.fanout import Address, Outlet, system_sendmmsg
from greenroom.sfu.ice import Admission
from greenroom.sfu.peer import MAX_REPORTING_SOURCES, UNCONNECTED_SECONDS, Peer
from greenroom.sfu.relay import ListenerLoss, Relay, RelayMessage, SpeakerGone, SpeakerPacket
from greenroom.sfu.reports import reception_report, take_reports
from greenroom.sfu.room import Room
from greenroom.sfu.srtp import Inbound, Outbound, SrtpError
from greenroom.sfu.telling import Telling

REBUILD_AFTER_SECONDS = 0.04
HANDSHAKE_BUDGET_SECONDS = 0.004
MAX_DATAGRAMS_PER_TURN = 256
MAX_DATAGRAM_BYTES = 2048
REPORT_SECONDS = 1.0
CONSENT_SCAN_SECONDS = 0.5
COMPLAINT_SECONDS = 10.0

log = logging.getLogger(__name__)


class Counters(msgspec.Struct):
    """What happened to RTP datagrams that came in."""

    received: int = 0
    refused: int = 0
    denied: int = 0
    failures: int = 0


class Refusal(msgspec.Struct, frozen=True):
    """An offer that is not answered, and why."""

    reason: str


class ForwardingUnit:
    """All peers and rooms behind one UDP socket. Every method returns at once; `now` is monotonic seconds."""

    def __init__(
        self,
        udp: socket.socket,
        announce: str,
        emit: Callable[[WorkerEvent], None],
        relay: Relay | None = None,
        consent_seconds: float = 6.0,
    ) -> None:
        self.counters = Counters()
        self.peers: dict[str, Peer] = {}
        self.outlet = Outlet(udp, system_sendmmsg())
        self._udp = udp
        self._announce = announce
        self._port: int = udp.getsockname()[1]
        self._emit = emit
        self._relay = relay
        self._consent_seconds = consent_seconds
        self._identity = make_identity()
        self._context = make_context(self._identity)
        self._admission = Admission()
        self._rooms: dict[str, Room] = {}
        self._relays: dict[str, tuple[int, ...]] = {}
        self._dirty: dict[str, float] = {}
        self._handshakes: deque[Peer] = deque()
        self._unfinished: set[Peer] = set()
        self._telling = Telling(emit, self._tell_workers)
        self._source = secrets.randbits(32) or 1
        self._reports_due = 0.0
        self._scan_due = 0.0
        self._complaints_due = 0.0

    # --- what the control process asks ---

    def connect(
        self, name: str, room_name: str, number: int, offer_text: str, may_speak: bool, now: float
    ) -> str | Refusal:
        """Return the answer, or why there is none. A peer of the same name is replaced."""
        offer = parse_offer(offer_text)
        if isinstance(offer, OfferUnreadable):
            return Refusal(offer.reason)
        if not 0 < number <= 0xFFFFFFFF:
            return Refusal("the speaker's number is out of range")
        self.disconnect(name, now)
        room = self._rooms.get(room_name)
        if room is None:
            room = self._rooms[room_name] = Room(room_name, self.outlet)
            room.relays = self._relays.get(room_name, ())
        ufrag, password = secrets.token_hex(6), secrets.token_hex(16)
        peer = Peer(name, room, number, offer, ufrag, password, may_speak, now)
        self.peers[name] = room.peers[name] = peer
        self._admission.add(peer)
        sources = room.group_for(peer.slots).sources if peer.slots else ()
        return build_answer(
            offer,
            Answerer(
                address=self._announce,
                port=self._port,
                ice_ufrag=ufrag,
                ice_pwd=password,
                fingerprint=self._identity.fingerprint,
                slot_sources=sources,
                session=secrets.randbits(62),
            ),
        )

    def set_forwarding(self, name: str, allowed: bool, now: float) -> None:
        """Open or close a line; when this returns nothing of a closed line is forwarded any more."""
        peer = self.peers.get(name)
        if peer is None or peer.line is None or peer.line.allowed == allowed:
            return
        peer.line.allowed = allowed
        if not allowed:
            self._silence(peer.room, peer.number, now)

    def disconnect(self, name: str, now: float) -> None:
        """Forget a peer: say goodbye, close its line, free its keys and addresses."""
        peer = self.peers.pop(name, None)
        if peer is None:
            return
        if peer.dtls is not None:
            self._send(peer, peer.dtls.close())
        room = peer.room
        self._admission.remove(peer)
        self._unfinished.discard(peer)
        peer.inbound = peer.outbound = peer.dtls = None
        room.peers.pop(name, None)
        if peer.line is not None:
            self._silence(room, peer.number, now)
        if room.peers:
            self._mark_dirty(room, now)
        else:
            self._telling.close(room, now)
            self._rooms.pop(room.name, None)
            self._dirty.pop(room.name, None)

    def close_room(self, room_name: str, now: float) -> None:
        """Forget everyone in a room."""
        room = self._rooms.get(room_name)
        for name in list(room.peers) if room is not None else ():
            self.disconnect(name, now)
        self._relays.pop(room_name, None)

    def set_relay(self, room_name: str, workers: tuple[int, ...]) -> None:
        """Send this room's speakers to these workers as well."""
        if workers:
            self._relays[room_name] = workers
        else:
            self._relays.pop(room_name, None)
        room = self._rooms.get(room_name)
        if room is not None:
            room.relays = workers

    @property
    def busy(self) -> bool:
        """Whether handshakes are waiting for their share of time."""
        return bool(self._handshakes)

    @property
    def idle(self) -> bool:
        """Whether there is nobody to keep time for."""
        return not self.peers

    # --- what the network brings ---

    def read(self) -> None:
        """Take the datagrams that wait, a bounded number at a time."""
        receive = self._udp.recvfrom
        for _ in range(MAX_DATAGRAMS_PER_TURN):
            try:
                datagram, source = receive(MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # told of a datagram that could not be delivered
                continue
            self.take(datagram, (source[0], source[1]), time.monotonic())

    def take(self, datagram: bytes, address: Address, now: float) -> None:
        """Take one datagram. Whatever it is, nothing raises."""
        try:
            if not datagram:
                return
            first = datagram[0]
            if first > 127:
                self._take_media(datagram, address, now)
            elif first < 4:
                self._take_check(datagram, address, now)
            elif 20 <= first < 64:
                self._take_dtls(datagram, address, now)
        except Exception:  # the edge: a parser met something its author did not think of
            self._complain(now)

    def take_relayed(self) -> None:
        """Take what other workers sent about speakers of our rooms."""
        if self._relay is None:
            return
        now = time.monotonic()
        for message in self._relay.receive():
            try:
                self._take_relayed(message, now)
            except Exception:
                self._complain(now)

    def _take_relayed(self, message: RelayMessage, now: float) -> None:
        room = self._rooms.get(message.room)
        if room is None:
            return
        match message:
            case SpeakerPacket(number=number):
                room.forward(room.speaker(number, remote=True), message, now)
            case SpeakerGone(number=number):
                room.silence(number, now)
            case ListenerLoss(worker=worker, p90_fraction=loss):
                room.losses_elsewhere[worker] = (loss, now)

    def _tell_workers(self, room: Room, p90_fraction: float) -> None:
        if room.relays and self._relay is not None:
            self._relay.send(room.relays, ListenerLoss(room.name, self._relay.index, p90_fraction))

    def _take_check(self, datagram: bytes, address: Address, now: float) -> None:
        admitted = self._admission.check(datagram, address, now)
        if admitted is None:
            return
        self._sendto(admitted.response, address)
        if admitted.moved and admitted.peer.connected:
            self._mark_dirty(admitted.peer.room, now)

    def _take_dtls(self, datagram: bytes, address: Address, now: float) -> None:
        peer = self._admission.peer_at(address)
        if peer is None or not peer.may_decrypt(now):
            return
        if not peer.waiting:
            self._handshakes.append(peer)
        peer.waiting.append(datagram)

    def _take_media(self, datagram: bytes, address: Address, now: float) -> None:
        peer = self._admission.peer_at(address)
        if peer is None or peer.inbound is None or len(datagram) < HEADER_BYTES:
            return
        if is_rtcp(datagram):
            self._take_rtcp(peer, peer.inbound, datagram, address, now)
            return
        self.counters.received += 1
        line = peer.line
        ssrc = int.from_bytes(datagram[8:12], "big")
        if line is None or not line.owns(ssrc, now):
            self.counters.refused += 1
            return
        if not peer.may_decrypt(now):
            line.capped()
            self.counters.refused += 1
            return
        try:
            # Closed lines are decrypted too: SRTP must see the sequence numbers wrap.
            packet = parse_rtp(peer.inbound.open(datagram))
        except SrtpError:
            self.counters.refused += 1
            return
        line.claim(ssrc)
        if packet is None or not line.within_limits(len(datagram), now):
            self.counters.refused += 1
            return
        if peer.heard_from(address, now):
            self._mark_dirty(peer.room, now)
        line.reception.packet(ssrc, packet.sequence, packet.timestamp, now)
        if not line.allowed:
            self.counters.denied += 1
            return
        redundant = packet.payload_type == line.red_type
        if not packet.payload or not (redundant or packet.payload_type == line.opus_type):
            self.counters.refused += 1
            return
        room = peer.room
        said = SpeakerPacket(
            room.name,
            peer.number,
            ssrc,
            line.renumbered(packet.sequence),
            packet.timestamp,
            packet.marker,
            packet.payload_type,
            redundant,
            line.level_of(packet.extensions, len(packet.payload)),
            packet.payload,
            line.reception.timestamp_at(now),
        )
        room.forward(room.speaker(peer.number, remote=False), said, now)
        if room.relays and self._relay is not None:
            self._relay.send(room.relays, said)

    def _take_rtcp(self, peer: Peer, inbound: Inbound, datagram: bytes, address: Address, now: float) -> None:
        source = int.from_bytes(datagram[4:8], "big")
        known = source in peer.reporting_sources
        if not known and len(peer.reporting_sources) >= MAX_REPORTING_SOURCES:
            return  # each source costs memory in libsrtp
        if not peer.may_report(now):
            return
        try:
            packets = parse_compound(inbound.open_rtcp(datagram))
        except SrtpError:
            return
        peer.reporting_sources.add(source)
        if peer.heard_from(address, now):
            self._mark_dirty(peer.room, now)
        take_reports(peer, packets or (), now, ntp_time(time.time()))

    # --- time ---

    def work_handshakes(self) -> None:
        """Spend at most a few milliseconds on DTLS: a storm of joins must not delay what is said."""
        deadline = time.monotonic() + HANDSHAKE_BUDGET_SECONDS
        while self._handshakes:
            now = time.monotonic()
            if now > deadline:
                return
            peer = self._handshakes.popleft()
            datagram = peer.waiting.popleft() if peer.waiting else b""
            if peer.waiting:
                self._handshakes.append(peer)
            if datagram and self.peers.get(peer.name) is peer:
                try:
                    self._handshake(peer, datagram, now)
                except Exception:
                    self._complain(now)
                    self._lose(peer, "handshake failed", now)

    def tick(self, now: float) -> None:
        """Do what is due: batches, retransmissions, levels, reports, consent. Call every 20 ms or so."""
        for name, due in list(self._dirty.items()):
            if now >= due:
                del self._dirty[name]
                self._safely(self._rooms[name].rebuild, now)
        for peer in list(self._unfinished):
            if peer.dtls is not None and peer.retransmit_at is not None and now >= peer.retransmit_at:
                self._send(peer, peer.dtls.retransmit())
                self._plan_retransmission(peer, now)
        for room in self._telling.tick(self._rooms, now):
            self._mark_dirty(room, now)
        if now >= self._reports_due:
            self._reports_due = now + REPORT_SECONDS
            self._send_reports(now)
        if now >= self._scan_due:
            self._scan_due = now + CONSENT_SCAN_SECONDS
            self._scan(now)

    def _handshake(self, peer: Peer, datagram: bytes, now: float) -> None:
        dtls = peer.dtls
        if dtls is None:
            dtls = peer.dtls = DtlsConnection(self._context, passive=True)
            self._unfinished.add(peer)
        self._send(peer, dtls.receive(datagram))
        if dtls.state is DtlsState.FAILED:
            self._lose(peer, "handshake failed" if not peer.connected else "closed", now)
        elif dtls.state is DtlsState.CLOSED:
            self._lose(peer, "closed", now)
        elif dtls.state is DtlsState.CONNECTED and not peer.connected:
            self._unfinished.discard(peer)
            self._establish(peer, dtls, now)
        elif not peer.connected:
            self._plan_retransmission(peer, now)

    def _establish(self, peer: Peer, dtls: DtlsConnection, now: float) -> None:
        if not dtls.certificate_matches(peer.fingerprints):
            self._lose(peer, "fingerprint mismatch", now)
            return
        keys = dtls.srtp_keys()
        if keys is None:
            self._lose(peer, "handshake failed", now)
            return
        peer.inbound = Inbound(keys.profile, keys.client)
        peer.outbound = Outbound(keys.profile, keys.server)
        peer.connected = True
        self._mark_dirty(peer.room, now)
        self._emit(PeerUp(peer.name))

    def _plan_retransmission(self, peer: Peer, now: float) -> None:
        seconds = peer.dtls.timeout_seconds() if peer.dtls is not None else None
        peer.retransmit_at = None if seconds is None else now + seconds

    def _send_reports(self, now: float) -> None:
        for room in self._rooms.values():
            self._safely(lambda room=room: self._report_in(room, now), now)  # type: ignore[misc]  # bound now

    def _report_in(self, room: Room, now: float) -> None:
        room.send_reports(now, time.time())
        for peer in room.peers.values():
            if peer.line is not None and peer.outbound is not None:
                report = reception_report(self._source, peer.line, now)
                if report is not None:
                    self._send(peer, [peer.outbound.protect_rtcp(report)])

    def _scan(self, now: float) -> None:
        for peer in list(self.peers.values()):
            if not peer.connected:
                if now - peer.created_at > UNCONNECTED_SECONDS:
                    self._lose(peer, "never connected", now)
            elif now > peer.consent_expires(self._consent_seconds):
                self._lose(peer, "consent expired", now)

    # --- the rest ---

    def _lose(self, peer: Peer, reason: str, now: float) -> None:
        self.disconnect(peer.name, now)
        self._emit(PeerDown(peer.name, reason))

    def _silence(self, room: Room, number: int, now: float) -> None:
        speaker = room.silence(number, now)
        if speaker is not None:
            self._telling.ended(room, speaker, now)
        if room.relays and self._relay is not None:
            self._relay.send(room.relays, SpeakerGone(room.name, number))

    def _mark_dirty(self, room: Room, now: float) -> None:
        self._dirty.setdefault(room.name, now + REBUILD_AFTER_SECONDS)

    def _send(self, peer: Peer, datagrams: list[bytes]) -> None:
        if peer.address is not None:
            for datagram in datagrams:
                self._sendto(datagram, peer.address)

    def _sendto(self, datagram: bytes, address: Address) -> None:
        try:
            self._udp.sendto(datagram, address)
        except OSError:
            pass  # UDP: who needs it asks again

    def _safely(self, work: Callable[[], None], now: float) -> None:
        """Do one room's work; what goes wrong in it is not the other rooms'."""
        try:
            work()
        except Exception:
            self._complain(now)

    def _complain(self, now: float) -> None:
        self.counters.failures += 1
        if now >= self._complaints_due:
            self._complaints_due = now + COMPLAINT_SECONDS
            log.warning("%d datagrams or turns failed inside so far", self.counters.failures)
