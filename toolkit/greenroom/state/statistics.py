"""What a call's sound was measured to be: totals under the names of W3C, and what the last two seconds made of them.

`InboundRtp` and the others have the fields of their dictionaries in https://www.w3.org/TR/webrtc-stats/ in snake case,
with that standard's units (seconds, levels from 0.0 to 1.0, milliseconds since 1970 for timestamps). `to_w3c()` returns
them in its own spelling. `CallStatistics` and `PersonStatistics` are what faces show.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.protocol.wire import Quality

SILENCE_DBFS = -96.0
FRAME_SAMPLES = 960
RATE_HZ = 48_000


class _Report(msgspec.Struct, frozen=True, rename="camel", kw_only=True, tag_field="type"):
    """One dictionary of the standard; what is None is not known, and left out of `to_w3c()`."""

    id: str = ""
    timestamp: float = 0.0

    def to_w3c(self) -> dict[str, Any]:
        """Return the dictionary as `RTCPeerConnection.getStats()` would have it, camel case."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value is not None}


class Codec(_Report, frozen=True, kw_only=True, tag="codec"):
    """RTCCodecStats: payloadType, mimeType, clockRate, channels, sdpFmtpLine, as they were negotiated."""

    payload_type: int = 111
    mime_type: str = "audio/opus"
    clock_rate: int = RATE_HZ
    channels: int = 2
    sdp_fmtp_line: str | None = None


class OutboundRtp(_Report, frozen=True, kw_only=True, tag="outbound-rtp"):
    """RTCOutboundRtpStreamStats of our voice: ssrc, kind, mid, codecId, packetsSent, bytesSent, targetBitrate, active.

    `bytes_sent` is payload, repeated packets included; `target_bitrate` in bits a second, without them.
    """

    kind: str = "audio"
    ssrc: int | None = None
    mid: str | None = None
    codec_id: str | None = None
    media_source_id: str | None = None
    remote_id: str | None = None
    packets_sent: int = 0
    bytes_sent: int = 0
    target_bitrate: float | None = None
    active: bool = False


class RemoteInboundRtp(_Report, frozen=True, kw_only=True, tag="remote-inbound-rtp"):
    """RTCRemoteInboundRtpStreamStats, what the other side reported of our voice: packetsLost, jitter, roundTripTime,
    fractionLost, roundTripTimeMeasurements. Times in seconds."""

    kind: str = "audio"
    ssrc: int | None = None
    local_id: str | None = None
    codec_id: str | None = None
    packets_lost: int = 0
    jitter: float = 0.0
    fraction_lost: float = 0.0
    round_trip_time: float | None = None
    round_trip_time_measurements: int = 0


class AudioSource(_Report, frozen=True, kw_only=True, tag="media-source"):
    """RTCAudioSourceStats, our microphone before it is encoded: audioLevel, linear, 1.0 is 0 dBov."""

    kind: str = "audio"
    track_identifier: str = "microphone"
    audio_level: float = 0.0


class CandidatePair(_Report, frozen=True, kw_only=True, tag="candidate-pair"):
    """RTCIceCandidatePairStats: currentRoundTripTime in seconds and responsesReceived, of the consent checks."""

    state: str = "succeeded"
    nominated: bool = True
    current_round_trip_time: float | None = None
    responses_received: int = 0


class InboundRtp(_Report, frozen=True, kw_only=True, tag="inbound-rtp"):
    """RTCInboundRtpStreamStats of one person's voice, or of all together.

    `track_identifier` names the person: a person keeps their numbers wherever their voice comes. `packets_lost` did not
    come at all, `packets_discarded` too late to be played. `fec_packets_received` carried a copy of an earlier packet,
    by RED or inside Opus; `fec_packets_discarded` of these were not needed. Samples are of 48 kHz and one channel;
    `jitter_buffer_delay` is in seconds, summed over `jitter_buffer_emitted_count` samples.
    """

    kind: str = "audio"
    ssrc: int | None = None
    mid: str | None = None
    codec_id: str | None = None
    track_identifier: str | None = None
    packets_received: int = 0
    packets_lost: int = 0
    packets_discarded: int = 0
    bytes_received: int = 0
    jitter: float = 0.0
    last_packet_received_timestamp: float | None = None
    fec_packets_received: int = 0
    fec_packets_discarded: int = 0
    jitter_buffer_delay: float = 0.0
    jitter_buffer_target_delay: float = 0.0
    jitter_buffer_emitted_count: int = 0
    total_samples_received: int = 0
    total_samples_duration: float = 0.0
    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    concealment_events: int = 0
    inserted_samples_for_deceleration: int = 0
    removed_samples_for_acceleration: int = 0
    audio_level: float = 0.0
    total_audio_energy: float = 0.0


class Coding(msgspec.Struct, frozen=True):
    """How a voice is coded now, beyond what was negotiated. `channels` are those really coded; `red_depth` earlier
    packets are repeated in each. `bitrate` (bits a second), `dtx`, `fec` and `expected_loss_percent` only the sender knows.
    """

    codec: str = "Opus"
    payload_type: int = 111
    red_payload_type: int | None = None
    clock_rate_hz: int = RATE_HZ
    frame_ms: float = 20.0
    channels: int = 1
    red_depth: int = 0
    bitrate: int | None = None
    dtx: bool | None = None
    fec: bool | None = None
    expected_loss_percent: int | None = None
    fmtp: str = ""


class PersonStatistics(msgspec.Struct, frozen=True):
    """One person as heard here. Totals, since the media connection began, are in `inbound`; what follows them is of the
    last sample: shares are of the packets (frames, for `concealed_fraction`) of that time, 0.0 to 1.0.

    `recovered_fraction` of the packets sent were lost and played all the same, from a copy. `mean_opinion`: see
    `CallStatistics`.
    """

    inbound: InboundRtp = InboundRtp()
    recovered_fec: int = 0
    recovered_red: int = 0
    kbps: float = 0.0
    packets_per_second: float = 0.0
    lost_fraction: float = 0.0
    recovered_fraction: float = 0.0
    concealed_fraction: float = 0.0
    jitter_ms: float = 0.0
    buffer_ms: float = 0.0
    level_dbfs: float = SILENCE_DBFS
    mean_opinion: float | None = None
    coding: Coding | None = None

    @property
    def packets(self) -> int:
        """Packets that came."""
        return self.inbound.packets_received

    @property
    def lost(self) -> int:
        """Packets that did not come in time to be played, and were replaced in some way."""
        return self.inbound.packets_lost + self.inbound.packets_discarded

    @property
    def concealed(self) -> int:
        """Frames of 20 ms that had to be made up."""
        return round(self.inbound.concealed_samples / FRAME_SAMPLES)


class Cause(StrEnum):
    """What makes a line worse than excellent. Sent and received are meant from whoever the line belongs to."""

    NONE = "none"
    SENT_LOSS = "sent loss"
    RECEIVED_LOSS = "received loss"
    LATE = "late"
    JITTER = "jitter"
    ROUND_TRIP = "round trip"


class LineQuality(msgspec.Struct, frozen=True):
    """How good somebody's line is, and the numbers behind it.

    `sent_lost` is the share of what they send that does not arrive, `received_lost` of what is sent to them, both 0.0 to
    1.0; `recovered` the share of all packets that was lost and played all the same; `late` the share of the sound that had
    to be made up though its packets came, or were not even sent. `rtt_ms` None is not known. `here`:
    `sent_lost`, `recovered` and `jitter_ms` were measured on what we hear of them, not by the server.
    """

    quality: Quality = Quality.EXCELLENT
    cause: Cause = Cause.NONE
    sent_lost: float = 0.0
    received_lost: float = 0.0
    recovered: float = 0.0
    late: float = 0.0
    jitter_ms: float = 0.0
    rtt_ms: float | None = None
    here: bool = False


class CallStatistics(msgspec.Struct, frozen=True):
    """Sampled every 2 s, `at` wall-clock seconds. Counts are totals since the media connection began; rates (kb/s), and the
    fractions (0.0 to 1.0), are of the last sample.

    `packets_lost` did not come in time to be played. `sent_…`: what the other side reported of our voice. `rtt_ms` is
    None until it is known. `mean_opinion` is what the E-model says of what was heard in the last sample, 1.0 (bad) to
    4.4; None while nothing was played. `by_person` has those heard in the last minute.
    """

    at: float
    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    frames_played: int = 0
    frames_concealed: int = 0
    recovered_fec: int = 0
    recovered_red: int = 0
    sent_kbps: float = 0.0
    received_kbps: float = 0.0
    sent_lost_fraction: float = 0.0
    sent_jitter_ms: float = 0.0
    lost_fraction: float = 0.0
    recovered_fraction: float = 0.0
    concealed_fraction: float = 0.0
    jitter_ms: float = 0.0
    rtt_ms: float | None = None
    buffer_ms: float = 0.0
    level_dbfs: float = SILENCE_DBFS
    mean_opinion: float | None = None
    by_person: Mapping[UserId, PersonStatistics] = {}
    coding: Coding | None = None
    reports: tuple[Codec | AudioSource | OutboundRtp | RemoteInboundRtp | CandidatePair, ...] = ()

    @property
    def concealed_ratio(self) -> float:
        """Concealed share of all frames played, 0.0 to 1.0."""
        return self.frames_concealed / self.frames_played if self.frames_played else 0.0

    def to_w3c(self) -> list[dict[str, Any]]:
        """Return every dictionary there is, ours and one "inbound-rtp" a person, as `getStats()` would list them."""
        heard = [person.inbound.to_w3c() for person in self.by_person.values()]
        return [*(report.to_w3c() for report in self.reports), *heard]
