"""The names are those of W3C: these lists are what `getStats()` of Chromium 156 has."""

from __future__ import annotations

import msgspec
import pytest

from greenroom.state.statistics import (
    AudioSource,
    CallStatistics,
    CandidatePair,
    Codec,
    InboundRtp,
    OutboundRtp,
    PersonStatistics,
    RemoteInboundRtp,
)

COMMON = {"id", "timestamp", "type"}
NAMES = {
    InboundRtp: "audioLevel bytesReceived codecId concealedSamples concealmentEvents fecPacketsDiscarded "
    "fecPacketsReceived insertedSamplesForDeceleration jitter jitterBufferDelay jitterBufferEmittedCount "
    "jitterBufferTargetDelay kind lastPacketReceivedTimestamp mid packetsDiscarded packetsLost packetsReceived "
    "removedSamplesForAcceleration silentConcealedSamples ssrc totalAudioEnergy totalSamplesDuration "
    "totalSamplesReceived trackIdentifier",
    OutboundRtp: "active bytesSent codecId kind mediaSourceId mid packetsSent remoteId ssrc targetBitrate",
    RemoteInboundRtp: "codecId fractionLost jitter kind localId packetsLost roundTripTime "
    "roundTripTimeMeasurements ssrc",
    Codec: "channels clockRate mimeType payloadType sdpFmtpLine",
    AudioSource: "audioLevel kind trackIdentifier",
    CandidatePair: "currentRoundTripTime nominated responsesReceived state",
}


@pytest.mark.parametrize("report", NAMES, ids=lambda report: report.__name__)
def test_a_report_has_the_names_of_w3c_and_no_other(report: type[msgspec.Struct]) -> None:
    assert set(report.__struct_encode_fields__) == {*NAMES[report].split(), "id", "timestamp"}
    assert set(report().to_w3c()) >= COMMON  # type: ignore[attr-defined]  # every report has it


def test_a_sample_survives_its_way_through_json() -> None:
    sample = CallStatistics(
        1.0,
        by_person={"bo": PersonStatistics(InboundRtp(id="inbound-rtp:bo", packets_received=3))},  # type: ignore[dict-item]  # an id
        reports=(Codec(id="codec:111"), OutboundRtp(id="outbound-rtp", packets_sent=2)),
    )
    assert msgspec.json.decode(msgspec.json.encode(sample), type=CallStatistics) == sample
