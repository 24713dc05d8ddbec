"""What a media connection measured, made into what a call shows: rates, shares and W3C's reports, every two seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from greenroom.media.statistics import MediaStatistics, ReceivedStatistics, SentStatistics
from greenroom.policies.e_model import burst_ratio, mean_opinion
from greenroom.protocol.ids import UserId
from greenroom.state.statistics import (
    FRAME_SAMPLES,
    RATE_HZ,
    SILENCE_DBFS,
    AudioSource,
    CallStatistics,
    CandidatePair,
    Codec,
    Coding,
    InboundRtp,
    OutboundRtp,
    PersonStatistics,
    RemoteInboundRtp,
)

REMEMBERED_SECONDS = 60.0
_LOOK_AHEAD_MS = 6.5


class _Last(NamedTuple):
    """When a person's last packet was seen, and what their buffer aimed at, summed over what was played."""

    packet_at: float | None = None
    target_seconds: float = 0.0


class Sampler:
    """Remembers the sample before, because rates are of the time between two."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._before = MediaStatistics()
        self._last: dict[int, _Last] = {}
        self._connection: object = None

    def sample(
        self, measured: MediaStatistics, people: Mapping[int, UserId], at: float, connection: object = None
    ) -> CallStatistics:
        """Return `measured` as a call shows it; `people` by speaker number, `at` in wall-clock seconds.

        `connection` is what was measured: another one counts from nothing again.
        """
        if connection is not self._connection:
            self._connection, self._before, self._last = connection, MediaStatistics(), {}
        seconds = 0.0 if self._at is None else max(0.0, at - self._at)
        before = self._before
        self._last = {
            number: _followed(self._last.get(number, _Last()), before.people.get(number), person, at)
            for number, person in measured.people.items()
        }
        self._at, self._before = at, measured
        sent, received = measured.sent, measured.received
        rtt_ms = sent.rtt_ms if sent.rtt_ms is not None else sent.path_rtt_ms
        whole = _share(received, before.received)
        return CallStatistics(
            at=at,
            packets_sent=sent.packets,
            packets_received=received.packets,
            packets_lost=received.lost,
            packets_late=received.late,
            frames_played=received.frames,
            frames_concealed=received.concealed,
            recovered_fec=received.recovered_fec,
            recovered_red=received.recovered_red,
            sent_kbps=_kbps(sent.bytes, before.sent.bytes, seconds),
            received_kbps=_kbps(received.bytes, before.received.bytes, seconds),
            sent_lost_fraction=_sent_lost(sent, before.sent),
            sent_jitter_ms=sent.jitter_ms,
            lost_fraction=whole.lost,
            recovered_fraction=whole.recovered,
            concealed_fraction=whole.concealed,
            jitter_ms=received.jitter_ms,
            rtt_ms=rtt_ms,
            buffer_ms=received.buffer_ms,
            level_dbfs=sent.level_dbfs,
            mean_opinion=_opinion(whole, received, rtt_ms),
            by_person={
                people[number]: self._person(people[number], number, person, before, seconds, at, rtt_ms)
                for number, person in measured.people.items()
                if number in people and self._recent(number, at)
            },
            coding=sent.coding,
            reports=_reports(sent, at),
        )

    def _recent(self, number: int, at: float) -> bool:
        packet_at = self._last[number].packet_at
        return packet_at is not None and at - packet_at <= REMEMBERED_SECONDS

    def _person(
        self,
        user: UserId,
        number: int,
        measured: ReceivedStatistics,
        whole_before: MediaStatistics,
        seconds: float,
        at: float,
        rtt_ms: float | None,
    ) -> PersonStatistics:
        before = whole_before.people.get(number, ReceivedStatistics())
        share = _share(measured, before)
        return PersonStatistics(
            inbound=_inbound(user, measured, self._last[number], at),
            recovered_fec=measured.recovered_fec,
            recovered_red=measured.recovered_red,
            kbps=_kbps(measured.bytes, before.bytes, seconds),
            packets_per_second=_grown(measured.packets, before.packets) / seconds if seconds > 0 else 0.0,
            lost_fraction=share.lost,
            recovered_fraction=share.recovered,
            concealed_fraction=share.concealed,
            jitter_ms=measured.jitter_ms,
            buffer_ms=measured.buffer_ms,
            level_dbfs=measured.level_dbfs,
            mean_opinion=_opinion(share, measured, rtt_ms),
            coding=measured.coding,
        )


class _Share(NamedTuple):
    """What became of the packets of one sample, 0.0 to 1.0, of frames how many were made up, in runs how long."""

    lost: float
    recovered: float
    concealed: float
    run_frames: float
    played: bool


def _share(now: ReceivedStatistics, before: ReceivedStatistics) -> _Share:
    lost = _grown(now.lost, before.lost)
    recovered = _grown(now.recovered_red, before.recovered_red) + _grown(
        now.recovered_fec, before.recovered_fec
    )
    in_time = max(0, _grown(now.packets, before.packets) - _grown(now.late, before.late))
    expected = in_time + lost
    played = _grown(now.played_samples, before.played_samples)
    concealed = _grown(now.concealed_samples, before.concealed_samples)
    runs = _grown(now.concealment_events, before.concealment_events)
    return _Share(
        lost=lost / expected if expected else 0.0,
        recovered=min(recovered, lost) / expected if expected else 0.0,
        concealed=concealed / played if played else 0.0,
        run_frames=concealed / FRAME_SAMPLES / runs if runs else 1.0,
        played=played > 0,
    )


def _sent_lost(now: SentStatistics, before: SentStatistics) -> float:
    """Return the share of what we sent since `before` that was reported lost; without a new total, the last report's."""
    sent, lost = now.packets - before.packets, now.lost - before.lost
    if now.reports <= before.reports or sent <= 0 or lost < 0:
        return now.lost_percent / 100.0
    return min(1.0, lost / sent)


def _opinion(share: _Share, measured: ReceivedStatistics, rtt_ms: float | None) -> float | None:
    if not share.played:
        return None
    frame_ms = 20.0 if measured.coding is None else measured.coding.frame_ms
    delay_ms = (rtt_ms or 0.0) / 2 + measured.buffer_ms + frame_ms + _LOOK_AHEAD_MS
    return mean_opinion(share.concealed, delay_ms, burst_ratio(share.run_frames, share.concealed))


def _grown(now: int, before: int) -> int:
    """By how much a counter grew; one that is smaller has forgotten somebody, and says nothing."""
    return max(0, now - before)


def _kbps(now_bytes: int, before_bytes: int, seconds: float) -> float:
    return _grown(now_bytes, before_bytes) * 8 / 1000 / seconds if seconds > 0 else 0.0


def _followed(last: _Last, before: ReceivedStatistics | None, now: ReceivedStatistics, at: float) -> _Last:
    earlier = before or ReceivedStatistics()
    emitted = _grown(now.emitted_samples, earlier.emitted_samples)
    return _Last(
        at if now.packets != earlier.packets else last.packet_at,
        last.target_seconds + emitted * now.target_ms / 1000.0,
    )


def _inbound(user: UserId, measured: ReceivedStatistics, last: _Last, at: float) -> InboundRtp:
    recovered = measured.recovered_red + measured.recovered_fec
    return InboundRtp(
        id=f"inbound-rtp:{user}",
        timestamp=at * 1000.0,
        codec_id=_codec_id(measured.coding),
        track_identifier=user,
        packets_received=measured.packets,
        packets_lost=max(0, measured.lost - measured.late),
        packets_discarded=measured.late,
        bytes_received=measured.bytes,
        jitter=measured.jitter_ms / 1000.0,
        last_packet_received_timestamp=None if last.packet_at is None else last.packet_at * 1000.0,
        fec_packets_received=measured.with_copies,
        fec_packets_discarded=max(0, measured.with_copies - recovered),
        jitter_buffer_delay=measured.waited_seconds,
        jitter_buffer_target_delay=last.target_seconds,
        jitter_buffer_emitted_count=measured.emitted_samples,
        total_samples_received=measured.played_samples,
        total_samples_duration=measured.played_samples / RATE_HZ,
        concealed_samples=measured.concealed_samples,
        silent_concealed_samples=measured.silent_concealed_samples,
        concealment_events=measured.concealment_events,
        inserted_samples_for_deceleration=measured.inserted_samples,
        removed_samples_for_acceleration=measured.removed_samples,
        audio_level=_linear(measured.level_dbfs),
        total_audio_energy=measured.energy,
    )


def _reports(
    sent: SentStatistics, at: float
) -> tuple[Codec | AudioSource | OutboundRtp | RemoteInboundRtp | CandidatePair, ...]:
    when = at * 1000.0
    coding, codec_id = sent.coding, _codec_id(sent.coding)
    reports: list[Codec | AudioSource | OutboundRtp | RemoteInboundRtp | CandidatePair] = []
    if coding is not None:
        fmtp = coding.fmtp or None
        reports.append(
            Codec(
                id=f"codec:{coding.payload_type}",
                timestamp=when,
                payload_type=coding.payload_type,
                clock_rate=coding.clock_rate_hz,
                sdp_fmtp_line=fmtp,
            )
        )
        if coding.red_payload_type is not None:
            reports.append(
                Codec(
                    id=f"codec:{coding.red_payload_type}",
                    timestamp=when,
                    payload_type=coding.red_payload_type,
                    mime_type="audio/red",
                    clock_rate=coding.clock_rate_hz,
                    sdp_fmtp_line=f"{coding.payload_type}/{coding.payload_type}",
                )
            )
    heard = sent.reports > 0
    reports.append(AudioSource(id="media-source", timestamp=when, audio_level=_linear(sent.level_dbfs)))
    reports.append(
        OutboundRtp(
            id="outbound-rtp",
            timestamp=when,
            ssrc=sent.ssrc,
            codec_id=codec_id,
            media_source_id="media-source",
            remote_id="remote-inbound-rtp" if heard else None,
            packets_sent=sent.packets,
            bytes_sent=sent.bytes,
            target_bitrate=None if coding is None or coding.bitrate is None else float(coding.bitrate),
            active=sent.open,
        )
    )
    if heard:
        reports.append(
            RemoteInboundRtp(
                id="remote-inbound-rtp",
                timestamp=when,
                ssrc=sent.ssrc,
                local_id="outbound-rtp",
                codec_id=codec_id,
                packets_lost=sent.lost,
                jitter=sent.jitter_ms / 1000.0,
                fraction_lost=sent.lost_percent / 100.0,
                round_trip_time=None if sent.rtt_ms is None else sent.rtt_ms / 1000.0,
                round_trip_time_measurements=sent.reports if sent.rtt_ms is not None else 0,
            )
        )
    if sent.path_rtt_ms is not None:
        reports.append(
            CandidatePair(
                id="candidate-pair",
                timestamp=when,
                current_round_trip_time=sent.path_rtt_ms / 1000.0,
                responses_received=sent.path_checks,
            )
        )
    return tuple(reports)


def _codec_id(coding: Coding | None) -> str | None:
    return None if coding is None else f"codec:{coding.payload_type}"


def _linear(level_dbfs: float) -> float:
    return 0.0 if level_dbfs <= SILENCE_DBFS else min(1.0, 10.0 ** (level_dbfs / 20.0))
