"""The client's one peer connection per call: our voice out, up to a few slots in."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCRtpTransceiver,
)
from aiortc import RTCSessionDescription as Description
from aiortc.rtp import RtpPacket
from msgspec.structs import replace

from greenroom.errors import MediaFailed, Misuse
from greenroom.media import aiortc_private
from greenroom.media.blocks import FRAME, RATE_HZ, Block
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs
from greenroom.media.jitter import JitterBuffer
from greenroom.media.opus import OPUS_PAYLOAD_TYPE, new_encoder
from greenroom.media.outgoing import Microphone
from greenroom.media.red import RED_PAYLOAD_TYPE, RedWriter
from greenroom.media.slot import Slot
from greenroom.media.sources import AudioSource
from greenroom.media.statistics import MediaStatistics, ReceivedStatistics, SentStatistics
from greenroom.policies.audio_config import live_audio, resolve
from greenroom.policies.redundancy import Redundancy
from greenroom.protocol.ice import IceServer
from greenroom.rtp.red import RedBlock, unpack_red
from greenroom.state.audio import EffectiveAudio, LiveAudio
from greenroom.state.statistics import Coding

log = logging.getLogger(__name__)
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
        self._microphone = new_microphone(source, audio)
        self._slots = [new_slot(audio) for _ in range(slots)]
        self._ice_servers = ice_servers
        self._on_dead = on_dead
        self._red = RedWriter()
        self.set_live(live_audio(audio, Redundancy()))
        self._peer: RTCPeerConnection | None = None
        self._sent: aiortc_private.SenderCounts | None = None
        self._path = aiortc_private.PathCounts()
        self._changed = asyncio.Event()
        self._connected = False
        self._dead: str | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._levels: dict[int, float] = {}

    async def offer(self, video_lines: int = 0) -> str:
        """Return the offer (SDP), with candidates gathered. `video_lines` inactive video lines go last."""
        if self._peer is not None:
            raise Misuse("a media connection makes one offer; make another connection for another")
        peer = self._peer = RTCPeerConnection(configuration(self._ice_servers))
        aiortc_private.correct_connecting(peer)
        self._take_microphone(peer.addTransceiver("audio", direction="sendonly"))
        for slot in self._slots:
            self._take_slot(peer.addTransceiver("audio", direction="recvonly"), slot)
        for _ in range(video_lines):
            peer.addTransceiver("video", direction="inactive")
        aiortc_private.correct_ice(aiortc_private.ice_connection(peer), on_silent=self._die, path=self._path)
        peer.on("connectionstatechange", self._peer_changed)
        created = await peer.createOffer()
        await peer.setLocalDescription(
            Description(with_red(with_opus_at_111(created.sdp, self._audio)), "offer")
        )
        return with_packet_time(str(peer.localDescription.sdp), self._audio.frame_length_ms)

    def _take_microphone(self, line: RTCRtpTransceiver) -> None:
        """Let `line` send our microphone."""
        line.setCodecPreferences(_opus())
        self._sent = aiortc_private.take_over_sender(
            line.sender,
            self._microphone.next_packet,
            self._red,
            step_frames=self._microphone.step_frames,
        )

    def _take_slot(
        self, line: RTCRtpTransceiver, slot: Slot, speaker_of: Callable[[RtpPacket], int | None] | None = None
    ) -> None:
        """Let what comes on `line` fill `slot`, as from the person `speaker_of` says; None is not taken."""
        line.setCodecPreferences(_opus())
        arrived = _arrivals(slot, speaker_of or _contributor)
        aiortc_private.take_over_receiver(line.receiver, arrived, lambda: self._red.payload_type)

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
        if self._peer is None:
            return
        if self._closing is None:  # a task of its own: aiortc never ends what was cancelled half-way
            self._closing = asyncio.get_running_loop().create_task(self._peer.close())
        await asyncio.wait({self._closing}, timeout=_CLOSE_SECONDS)
        if not self._closing.done():
            self._closing.cancel()  # aiortc waits for its tasks, whatever became of them
        elif not self._closing.cancelled() and self._closing.exception() is not None:
            log.info("a media connection did not end cleanly (%s)", type(self._closing.exception()).__name__)

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
        self._live = live

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
    def own_voice(self) -> bool:
        """Whether somebody speaks into our own source, also while the microphone is closed."""
        return self._microphone.voice

    @property
    def source_error(self) -> str | None:
        """Why our source was replaced by silence, or None."""
        return self._microphone.source_error

    def statistics(self) -> MediaStatistics:
        """Return what was measured since the connection was made."""
        people: dict[int, ReceivedStatistics] = {}
        for slot in self._slots:
            for speaker, measured in slot.statistics().items():
                people[speaker] = people.get(speaker, ReceivedStatistics()).plus(measured)
        people = {
            speaker: replace(measured, level_dbfs=self._levels.get(speaker, SILENCE_DBFS))
            for speaker, measured in people.items()
        }
        received = ReceivedStatistics()
        for measured in people.values():
            received = received.plus(measured)
        people.pop(0, None)
        return MediaStatistics(self._sent_statistics(), received, people)

    def _sent_statistics(self) -> SentStatistics:
        sent, path = self._sent, self._path
        if sent is None:
            return SentStatistics(level_dbfs=self._microphone.level_dbfs)
        return SentStatistics(
            packets=sent.packets,
            bytes=sent.bytes,
            lost=sent.lost,
            lost_percent=sent.lost_percent,
            jitter_ms=sent.jitter_ms,
            reports=sent.reports,
            rtt_ms=sent.rtt_ms,
            path_rtt_ms=path.rtt_ms,
            path_checks=path.answered,
            level_dbfs=self._microphone.level_dbfs,
            open=self._microphone.open,
            ssrc=sent.ssrc,
            coding=self._coding(),
        )

    def _coding(self) -> Coding:
        audio, live = self._audio, self._live
        return Coding(
            payload_type=OPUS_PAYLOAD_TYPE,
            red_payload_type=self._red.payload_type,
            frame_ms=float(audio.frame_length_ms),
            channels=audio.channels,
            red_depth=live.red_depth if self._red.payload_type is not None else 0,
            bitrate=live.bitrate,
            dtx=live.dtx,
            fec=live.fec,
            expected_loss_percent=live.expected_loss_percent,
            fmtp=opus_parameters(audio),
        )

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
    parameters = opus_parameters(audio)
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


def opus_parameters(audio: EffectiveAudio | None) -> str:
    """Return what the offer says about Opus (RFC 7587, 6.1): with FEC and DTX, in stereo where `audio` is."""
    stereo = audio is not None and (audio.stereo_playout or audio.channels == 2)
    return f"{_OPUS_FORMAT};stereo=1;sprop-stereo=1" if stereo else _OPUS_FORMAT


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


def with_packet_time(offer: str, milliseconds: int) -> str:
    """Return `offer` saying how much sound each packet of its first line of sound carries (RFC 8866, 6.4)."""
    sections = offer.split("\r\nm=")
    microphone = next((at for at, section in enumerate(sections) if section.startswith("audio ")), None)
    if microphone is not None:
        last = microphone == len(sections) - 1
        sections[microphone] = sections[microphone].rstrip() + f"\r\na=ptime:{milliseconds}" + "\r\n" * last
    return "\r\nm=".join(sections)


def _takes_red(answer: str) -> bool:
    """Tell whether the first line of `answer`, our microphone, kept our RED."""
    first = answer.split("\nm=", 2)[1:2]
    return any(
        re.search(rf"^a=rtpmap:{RED_PAYLOAD_TYPE} red/48000/2\r?$", line, re.M | re.I) for line in first
    )


def new_microphone(source: AudioSource, audio: EffectiveAudio) -> Microphone:
    """Return what sends `source` as `audio` says."""
    encoder = new_encoder(
        audio.channels,
        bitrate=audio.bitrate,
        application=audio.application,
        complexity=audio.complexity,
        fec=audio.fec,
        dtx=audio.dtx,
        frame_length_ms=audio.frame_length_ms,
    )
    encoder.set_sample_rate(audio.sample_rate_hz)
    return Microphone(source, encoder, audio.frame_length_ms)


def new_slot(audio: EffectiveAudio) -> Slot:
    """Return what plays one voice as `audio` says."""
    delay = audio.playout_target_ms * RATE_HZ // 1000
    return Slot(audio.playout_channels, JitterBuffer(shortest_delay=delay))


def _opus() -> list[RTCRtpCodecCapability]:
    return [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.name == "opus"]


def _contributor(packet: RtpPacket) -> int:
    """Return whose voice the forwarding unit says this is; 0 is nobody it knows."""
    return packet.csrc[0] if packet.csrc else 0


def _arrivals(
    slot: Slot, speaker_of: Callable[[RtpPacket], int | None]
) -> Callable[[RtpPacket, bool, float], None]:
    def arrived(packet: RtpPacket, is_red: bool, jitter_ms: float) -> None:
        slot.jitter_ms = jitter_ms
        speaker = speaker_of(packet)
        if speaker is None:
            return
        blocks = unpack_red(packet.payload) if is_red else (RedBlock(OPUS_PAYLOAD_TYPE, 0, packet.payload),)
        if blocks:
            copies = [(block.offset, block.data) for block in blocks[:-1]]
            slot.push(packet.sequence_number, packet.timestamp, blocks[-1].data, speaker, copies)

    return arrived
