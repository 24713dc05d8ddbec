"""The client's one peer connection per call: our voice out, up to a few slots in."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpSender
from aiortc import RTCSessionDescription as Description
from aiortc.rtp import RtpPacket

from greenroom.errors import MediaFailed, Misuse
from greenroom.media import aiortc_private
from greenroom.media.blocks import FRAME, RATE_HZ, Block
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs
from greenroom.media.jitter import JitterBuffer
from greenroom.media.opus import OPUS_PAYLOAD_TYPE, Encoder, new_encoder
from greenroom.media.outgoing import Microphone
from greenroom.media.red import RED_PAYLOAD_TYPE, RedWriter
from greenroom.media.slot import Slot
from greenroom.media.sources import AudioSource
from greenroom.media.statistics import IceServer, MediaStatistics, ReceivedStatistics, SentStatistics
from greenroom.policies.audio_config import live_audio, resolve
from greenroom.policies.redundancy import Redundancy
from greenroom.rtp.red import RedBlock, unpack_red
from greenroom.state.audio import EffectiveAudio, LiveAudio

_OPUS_FORMAT = "minptime=10;useinbandfec=1;usedtx=1"
_RELEASE_DB_PER_FRAME = 1.0
_CLOSE_SECONDS = 3.0


class MediaConnection:
    """Sends one microphone line and receives `slots` lines; offered once, never renegotiated.

    Belongs to the event loop on which `offer` was called; only `set_microphone`, `set_live`, `replace_source`, `pull`,
    `levels` and `statistics` are synchronous, and belong to that loop's thread as well. `source` stays the
    caller's to close; `audio` says what is sent and how what comes is played. `on_dead` is told once, in words for a
    person, when media ended without `close`.
    """

    def __init__(
        self,
        *,
        source: AudioSource,
        slots: int = 3,
        ice_servers: Sequence[IceServer] = (),
        on_dead: Callable[[str], None] | None = None,
        audio: EffectiveAudio | None = None,
    ) -> None:
        audio = audio or resolve()
        self._audio = audio
        self._microphone = Microphone(source, _encoder(audio))
        self._slots = [
            Slot(
                audio.playout_channels, JitterBuffer(shortest_delay=audio.playout_target_ms * RATE_HZ // 1000)
            )
            for _ in range(slots)
        ]
        self._ice_servers = ice_servers
        self._on_dead = on_dead
        self._red = RedWriter()
        self.set_live(live_audio(audio, Redundancy()))
        self._peer: RTCPeerConnection | None = None
        self._sent: aiortc_private.SenderCounts | None = None
        self._changed = asyncio.Event()
        self._connected = False
        self._dead: str | None = None
        self._closed = False
        self._levels: dict[int, float] = {}

    async def offer(self, video_lines: int = 0) -> str:
        """Return the offer (SDP), with candidates gathered. `video_lines` inactive video lines go last."""
        if self._peer is not None:
            raise Misuse("a media connection makes one offer; make another connection for another")
        peer = self._peer = RTCPeerConnection(configuration(self._ice_servers))
        opus = [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.name == "opus"]
        microphone = peer.addTransceiver("audio", direction="sendonly")
        microphone.setCodecPreferences(opus)
        self._sent = aiortc_private.take_over_sender(
            microphone.sender, self._microphone.next_packet, self._red
        )
        for slot in self._slots:
            line = peer.addTransceiver("audio", direction="recvonly")
            line.setCodecPreferences(opus)
            aiortc_private.take_over_receiver(line.receiver, _arrivals(slot), lambda: self._red.payload_type)
        for _ in range(video_lines):
            peer.addTransceiver("video", direction="inactive")
        aiortc_private.correct_ice(aiortc_private.ice_connection(peer), on_silent=self._die)
        peer.on("connectionstatechange", self._peer_changed)
        created = await peer.createOffer()
        await peer.setLocalDescription(
            Description(with_red(with_opus_at_111(created.sdp, self._audio)), "offer")
        )
        return str(peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        """Take the server's answer (SDP) and begin to connect. Raises `MediaFailed` if it does not fit the offer."""
        if self._peer is None or self._peer.signalingState != "have-local-offer":
            raise Misuse("an answer is accepted once, after the offer was made")
        self._red.payload_type = RED_PAYLOAD_TYPE if _takes_red(answer) else None
        try:
            await self._peer.setRemoteDescription(Description(answer, "answer"))
        except Exception as error:  # aiortc raises whatever its parser stumbled on
            raise MediaFailed(
                f"the server's media answer does not fit ({type(error).__name__}); join again"
            ) from error

    async def wait_connected(self, timeout_seconds: float = 10.0) -> None:
        """Return once sound can flow. Raises `MediaFailed` when it cannot, or not in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not self._connected:
                    if self._closed or self._dead is not None:
                        raise MediaFailed(f"media did not connect: {self._dead or 'it was closed'}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise MediaFailed(
                f"media did not connect within {timeout_seconds:g} s; a firewall may block UDP"
            ) from error

    async def close(self) -> None:
        """End media; twice is quiet, and `on_dead` is not told."""
        self._closed = True
        self._changed.set()
        if self._peer is not None:
            with contextlib.suppress(TimeoutError):  # aiortc waits for its tasks, whatever became of them
                await asyncio.wait_for(self._peer.close(), _CLOSE_SECONDS)

    @property
    def connected(self) -> bool:
        """Whether sound can flow now."""
        return self._connected and self._dead is None and not self._closed

    @property
    def slots(self) -> int:
        """How many people can be heard at once."""
        return len(self._slots)

    @property
    def microphone_open(self) -> bool:
        """Whether our voice is sent."""
        return self._microphone.open

    def set_microphone(self, open_: bool) -> None:
        """Open or close the gate with a fade of 20 ms. It begins closed; closed, no packets are sent."""
        self._microphone.set_open(open_)

    def set_live(self, live: LiveAudio) -> None:
        """Send with other bitrate, DTX, FEC, expected loss or repeated packets from the next packet on."""
        self._microphone.set_live(live)
        self._red.depth = live.red_depth

    def replace_source(self, source: AudioSource) -> None:
        """Fade over to `source` within 20 ms; the one before is the caller's to close, after 40 ms at the latest."""
        self._microphone.replace_source(source)

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        """Return what each person sounds like for the next `frames`, by speaker number.

        Every block has exactly `frames` and the channels of this connection. Whoever owns the sink calls
        this and is thereby the clock. People who have not been heard for a second are left out.
        """
        heard: dict[int, Block] = {}
        for slot in self._slots:
            for speaker, block in slot.pull(frames):
                before = heard.get(speaker)
                heard[speaker] = block if before is None else before + block
        self._measure(heard)
        return heard

    def levels(self) -> Mapping[int, float]:
        """Return the level of everyone being pulled, in dBFS by speaker number, falling by 50 dB a second at most."""
        return dict(self._levels)

    @property
    def own_level_dbfs(self) -> float:
        """The level of our own source, also while the microphone is closed."""
        return self._microphone.level_dbfs

    @property
    def source_error(self) -> str | None:
        """Why our source was replaced by silence, or None."""
        return self._microphone.source_error

    def statistics(self) -> MediaStatistics:
        """Return what was measured since the connection was made."""
        people: dict[int, ReceivedStatistics] = {}
        for slot in self._slots:
            for speaker, measured in slot.statistics().items():
                people[speaker] = _sum(people.get(speaker), measured)
        people = {
            speaker: _with_level(measured, self._levels.get(speaker, SILENCE_DBFS))
            for speaker, measured in people.items()
        }
        received = ReceivedStatistics()
        for measured in people.values():
            received = _sum(received, measured)
        sent = SentStatistics(level_dbfs=self._microphone.level_dbfs)
        if self._sent is not None:
            sent = SentStatistics(
                packets=self._sent.packets,
                bytes=self._sent.bytes,
                lost_percent=self._sent.lost_percent,
                rtt_ms=self._sent.rtt_ms,
                level_dbfs=self._microphone.level_dbfs,
            )
        people.pop(0, None)
        return MediaStatistics(sent, received, people)

    def _measure(self, heard: Mapping[int, Block]) -> None:
        now: dict[int, float] = {}
        for speaker, block in heard.items():
            falling = self._levels.get(speaker, SILENCE_DBFS) - _RELEASE_DB_PER_FRAME * len(block) / FRAME
            now[speaker] = max(level_dbfs(block), falling, SILENCE_DBFS)
        self._levels = now

    def _peer_changed(self) -> None:
        assert self._peer is not None
        match self._peer.connectionState:
            case "connected":
                self._connected = True
                self._changed.set()
            case "failed":
                self._die("the server could not be reached by UDP")
            case "closed":
                self._die("the server ended the media connection")

    def _die(self, reason: str) -> None:
        if self._closed or self._dead is not None:
            return
        self._dead = reason
        self._changed.set()
        if self._on_dead is not None:
            self._on_dead(reason)


def configuration(ice_servers: Sequence[IceServer]) -> RTCConfiguration:
    """Return what makes aiortc ask no server but these (by itself it asks one of Google's), on one path."""
    return RTCConfiguration(
        iceServers=[
            RTCIceServer(list(server.urls), server.username, server.credential) for server in ice_servers
        ],
        bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
    )


def with_opus_at_111(offer: str, audio: EffectiveAudio | None = None) -> str:
    """Return `offer` with Opus as payload type 111, as browsers have it, and with FEC and DTX asked for.

    `audio` adds stereo, where it is wanted.
    """
    stereo = audio is not None and (audio.stereo_playout or audio.channels == 2)
    parameters = f"{_OPUS_FORMAT};stereo=1;sprop-stereo=1" if stereo else _OPUS_FORMAT
    found = re.search(r"^a=rtpmap:(\d+) opus/48000/2\r?$", offer, re.MULTILINE)
    if found is None:
        return offer
    given = found.group(1)
    lines: list[str] = []
    for line in offer.splitlines():
        if line.startswith("m=audio "):
            head, formats = line.split(" ", 3)[:3], line.split(" ")[3:]
            renumbered = [str(OPUS_PAYLOAD_TYPE) if number == given else number for number in formats]
            lines.append(" ".join([*head, *renumbered]))
        elif line == f"a=rtpmap:{given} opus/48000/2":
            lines.append(f"a=rtpmap:{OPUS_PAYLOAD_TYPE} opus/48000/2")
            lines.append(f"a=fmtp:{OPUS_PAYLOAD_TYPE} {parameters}")
        elif not line.startswith(f"a=fmtp:{given} "):
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def with_red(offer: str) -> str:
    """Return `offer` with redundant audio (RFC 2198) of Opus 111 offered on every line of sound, after plain Opus."""
    lines: list[str] = []
    for line in offer.splitlines():
        if line.startswith("m=audio ") and str(OPUS_PAYLOAD_TYPE) in line.split(" ")[3:]:
            lines.append(f"{line} {RED_PAYLOAD_TYPE}")
        elif line == f"a=rtpmap:{OPUS_PAYLOAD_TYPE} opus/48000/2":
            lines += [line, f"a=rtpmap:{RED_PAYLOAD_TYPE} red/48000/2"]
            lines.append(f"a=fmtp:{RED_PAYLOAD_TYPE} {OPUS_PAYLOAD_TYPE}/{OPUS_PAYLOAD_TYPE}")
        else:
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _takes_red(answer: str) -> bool:
    """Tell whether the first line of `answer`, our microphone, kept our RED."""
    first = answer.split("\nm=", 2)[1:2]
    return any(
        re.search(rf"^a=rtpmap:{RED_PAYLOAD_TYPE} red/48000/2\r?$", line, re.M | re.I) for line in first
    )


def _encoder(audio: EffectiveAudio) -> Encoder:
    encoder = new_encoder(
        audio.channels,
        bitrate=audio.bitrate,
        application=audio.application,
        complexity=audio.complexity,
        fec=audio.fec,
        dtx=audio.dtx,
    )
    encoder.set_sample_rate(audio.sample_rate_hz)
    return encoder


def _arrivals(slot: Slot) -> Callable[[RtpPacket, bool, float], None]:
    def arrived(packet: RtpPacket, is_red: bool, jitter_ms: float) -> None:
        slot.jitter_ms = jitter_ms
        speaker = packet.csrc[0] if packet.csrc else 0
        blocks = unpack_red(packet.payload) if is_red else (RedBlock(OPUS_PAYLOAD_TYPE, 0, packet.payload),)
        if blocks:
            copies = [(block.offset, block.data) for block in blocks[:-1]]
            slot.push(packet.sequence_number, packet.timestamp, blocks[-1].data, speaker, copies)

    return arrived


def _sum(one: ReceivedStatistics | None, other: ReceivedStatistics) -> ReceivedStatistics:
    if one is None:
        return other
    return ReceivedStatistics(
        packets=one.packets + other.packets,
        bytes=one.bytes + other.bytes,
        frames=one.frames + other.frames,
        lost=one.lost + other.lost,
        concealed=one.concealed + other.concealed,
        late=one.late + other.late,
        recovered_fec=one.recovered_fec + other.recovered_fec,
        recovered_red=one.recovered_red + other.recovered_red,
        jitter_ms=max(one.jitter_ms, other.jitter_ms),
        buffer_ms=max(one.buffer_ms, other.buffer_ms),
        level_dbfs=float(np.maximum(one.level_dbfs, other.level_dbfs)),
    )


def _with_level(measured: ReceivedStatistics, level: float) -> ReceivedStatistics:
    return _sum(ReceivedStatistics(level_dbfs=level), measured)
