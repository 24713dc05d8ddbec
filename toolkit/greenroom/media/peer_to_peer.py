"""Sound straight to one other person, without a server between: one line both ways, offered or answered once."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import replace

from aiortc import RTCPeerConnection
from aiortc import RTCSessionDescription as Description
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.rtp import RtpPacket
from aiortc.sdp import candidate_from_sdp

from greenroom.errors import MediaFailed, Misuse
from greenroom.media import aiortc_private
from greenroom.media.blocks import FRAME, Block
from greenroom.media.connection import MediaConnection, configuration, with_opus_at_111, with_red
from greenroom.media.dsp import Fader
from greenroom.media.opus import OPUS_PAYLOAD_TYPE
from greenroom.media.red import RED_PAYLOAD_TYPE
from greenroom.media.sources import AudioSource
from greenroom.protocol.ice import IceServer
from greenroom.rtp.sdp import Offer, parse_offer
from greenroom.state.audio import EffectiveAudio

CHECK_INTERVAL_SECONDS = 1.0
DEAD_AFTER_SECONDS = 3.0
MOST_CANDIDATES = 24
MOST_LINES = 4
_END = "a=end-of-candidates"


class DirectConnection(MediaConnection):
    """Sends our microphone to one person, who is heard as `partner` (their number in the room).

    Gathers on `hosts` only, None is on every interface; `relayed_only` uses nothing but the relays (TURN) of
    `ice_servers`. Addresses that turn up after the description was made are told to `on_candidate` (`candidate:…`).
    What the other side sends is a stranger's: it is bounded, and ends in `MediaFailed` at worst. Everything else is as
    with the server; see `MediaConnection`.
    """

    def __init__(
        self,
        *,
        source: AudioSource,
        partner: int,
        hosts: Sequence[str] | None = None,
        ice_servers: Sequence[IceServer] = (),
        relayed_only: bool = False,
        on_candidate: Callable[[str], None] | None = None,
        on_dead: Callable[[str], None] | None = None,
        audio: EffectiveAudio | None = None,
    ) -> None:
        super().__init__(source=source, slots=1, ice_servers=ice_servers, on_dead=on_dead, audio=audio)
        self.partner = partner
        self._hosts = hosts
        self._relayed_only = relayed_only
        self._on_candidate = on_candidate
        self._gate = Fader(1.0)
        self._candidates = 0
        self._early: list[str] = []

    async def offer(self, video_lines: int = 0) -> str:
        """Return the offer (SDP), with the addresses known at once. `video_lines` inactive video lines go last."""
        peer = self._open()
        for _ in range(video_lines):
            peer.addTransceiver("video", direction="inactive")
        created = await peer.createOffer()
        await peer.setLocalDescription(
            Description(with_red(with_opus_at_111(created.sdp, self._audio)), "offer")
        )
        return self._described(peer)

    async def answer(self, offer: str) -> str:
        """Return our answer (SDP) to the other person's offer, and begin to connect. Raises `MediaFailed`."""
        read = parse_offer(offer)
        if not isinstance(read, Offer) or read.microphone is None or len(read.lines) > MOST_LINES:
            raise MediaFailed("the other person's offer cannot be read")
        if any(line.kind not in ("audio", "video") for line in read.lines):
            raise MediaFailed("the other person's offer holds more than sound and pictures")
        peer = self._open()
        takes_red = read.opus_type == OPUS_PAYLOAD_TYPE and read.red_type == RED_PAYLOAD_TYPE
        self._red.payload_type = RED_PAYLOAD_TYPE if takes_red else None
        try:
            await peer.setRemoteDescription(Description(self._usable(offer), "offer"))
            created = await peer.createAnswer()
            ours = with_red(created.sdp) if takes_red else created.sdp
            await peer.setLocalDescription(Description(ours, "answer"))
        except Exception as error:  # aiortc raises whatever its parser stumbled on
            raise MediaFailed(f"the other person's offer does not fit ({type(error).__name__})") from error
        await self._add_early()
        return self._described(peer)

    async def accept(self, answer: str) -> None:
        """Take the other person's answer (SDP) and begin to connect. Raises `MediaFailed` if it does not fit."""
        try:
            await super().accept(self._usable(answer))
        except MediaFailed as error:
            raise MediaFailed("the other person's answer does not fit") from error
        await self._add_early()

    async def add_candidate(self, candidate: str) -> None:
        """Try one more address of the other person; one that cannot be used, or is one too many, is quiet."""
        peer = self._peer
        if self._closed or not self._may_be_tried(candidate):
            return
        if peer is None or peer.remoteDescription is None:
            self._early.append(candidate)
            return
        with contextlib.suppress(Exception):  # a stranger's text: aiortc raises whatever it stumbled on
            parsed = candidate_from_sdp(candidate.removeprefix("candidate:"))
            parsed.sdpMLineIndex = 0
            await peer.addIceCandidate(parsed)

    def set_audible(self, audible: bool) -> None:
        """Play what the other person sends, or, as the room does not let them be heard, ignore it within 20 ms."""
        self._gate.set(1.0 if audible else 0.0)

    def give_up(self, reason: str) -> None:
        """End as if the path were lost; `on_dead` is told `reason`."""
        self._die(reason)

    @property
    def relayed(self) -> bool:
        """Whether a relay (TURN) carries the sound, on either side."""
        types = (
            None
            if self._peer is None
            else aiortc_private.path_types(aiortc_private.ice_connection(self._peer))
        )
        return types is not None and "relay" in types

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        """Return what the other person sounds like for the next `frames`; empty while they are not heard."""
        blocks = [block for slot in self._slots for _, block in slot.pull(frames)]
        if not blocks or (self._gate.still and self._gate.target == 0.0):
            self._measure({})
            return {}
        heard = {self.partner: self._gate.apply(sum(blocks[1:], start=blocks[0]))}
        self._measure(heard)
        return heard

    def _open(self) -> RTCPeerConnection:
        if self._peer is not None:
            raise Misuse("a direct connection is made once; make another one for another try")
        chosen = configuration(self._ice_servers)
        if self._relayed_only:
            chosen = replace(chosen, iceTransportPolicy=RTCIceTransportPolicy.RELAY)
        peer = self._peer = RTCPeerConnection(chosen)
        aiortc_private.correct_connecting(peer)
        line = peer.addTransceiver("audio", direction="sendrecv")
        self._take_microphone(line)
        self._take_slot(line, self._slots[0], self._speaker)
        ice = aiortc_private.ice_connection(peer)
        aiortc_private.correct_ice(
            ice,
            loopback=False,
            on_silent=lambda _: self._die("the other person could not be reached directly any more"),
            check_interval_seconds=CHECK_INTERVAL_SECONDS,
            dead_after_seconds=DEAD_AFTER_SECONDS,
            path=self._path,
        )
        aiortc_private.choose_candidates(ice, self._hosts, self._found)
        peer.on("connectionstatechange", self._peer_changed)
        return peer

    def _speaker(self, _: RtpPacket) -> int | None:
        return self.partner if self._gate.target > 0.0 else None

    def _found(self, candidate: str) -> None:
        if self._on_candidate is not None and not self._closed:
            self._on_candidate(candidate)

    async def _add_early(self) -> None:
        early, self._early = self._early, []
        self._candidates -= len(early)
        await asyncio.gather(*(self.add_candidate(candidate) for candidate in early))

    def _described(self, peer: RTCPeerConnection) -> str:
        """Return our description, which does not claim that no other addresses will follow. Raises `MediaFailed`."""
        lines = str(peer.localDescription.sdp).splitlines()
        if self._relayed_only and not any(line.startswith("a=candidate:") for line in lines):
            raise MediaFailed("no relay (TURN) can be reached, and nothing else was to be used")
        return "\r\n".join(line for line in lines if line != _END) + "\r\n"

    def _usable(self, sdp: str) -> str:
        """Return the other side's description without addresses we do not try, open to others that follow."""
        kept = [
            line
            for line in sdp.splitlines()
            if line != _END and (not line.startswith("a=candidate:") or self._may_be_tried(line[2:]))
        ]
        return "\r\n".join(kept) + "\r\n"

    def _may_be_tried(self, candidate: str) -> bool:
        """Tell whether an address is of use, and count it: UDP, no name to look up, and within reach of ours."""
        words = candidate.split()
        if len(words) < 8 or words[2].lower() != "udp" or self._candidates >= MOST_CANDIDATES:
            return False
        try:
            address = ipaddress.ip_address(words[4])
        except ValueError:
            return False  # a name, as browsers hide their address behind: they find us by themselves
        local = self._hosts is not None and all(
            ipaddress.ip_address(host).is_loopback for host in self._hosts
        )
        if (
            address.is_multicast
            or address.is_unspecified
            or (local and not address.is_loopback and words[7] == "host")
        ):
            return False
        self._candidates += 1
        return True

    def _peer_changed(self) -> None:
        assert self._peer is not None
        match self._peer.connectionState:
            case "connected":
                self._connected = True
                self._changed.set()
            case "failed":
                self._die("no direct way to the other person was found")
            case "closed":
                self._die("the other person ended the direct connection")
