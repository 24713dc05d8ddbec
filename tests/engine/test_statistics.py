"""What is measured becomes rates, shares and W3C's reports."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.engine.statistics import REMEMBERED_SECONDS, Sampler
from greenroom.media.statistics import MediaStatistics, ReceivedStatistics, SentStatistics
from greenroom.protocol.ids import UserId
from greenroom.state.statistics import CallStatistics, Coding, PersonStatistics

BO, CY = UserId("bo"), UserId("cy")
PEOPLE = {2: BO, 3: CY}
OPUS = Coding(red_payload_type=63, fmtp="useinbandfec=1", bitrate=64_000)


def received(packets: int, lost: int = 0, concealed: int = 0, **more: int | float) -> ReceivedStatistics:
    frames = packets + lost
    return ReceivedStatistics(
        packets=packets,
        bytes=packets * 80,
        lost=lost,
        frames=frames,
        concealed=concealed,
        played_samples=frames * 960,
        concealed_samples=concealed * 960,
        concealment_events=concealed,
        **more,  # type: ignore[arg-type]  # numbers of both kinds
    )


def measured(
    person: ReceivedStatistics | None = None, sent: SentStatistics | None = None, number: int = 2
) -> MediaStatistics:
    heard = person or ReceivedStatistics()
    people = {} if person is None else {number: person}
    return MediaStatistics(sent or SentStatistics(), heard, people)


def of_bo(sample: CallStatistics) -> PersonStatistics:
    return sample.by_person[BO]


def test_rates_and_shares_are_of_the_time_since_the_last_sample() -> None:
    sampler = Sampler()
    sampler.sample(measured(received(100, 100, 100), SentStatistics(bytes=1_000)), PEOPLE, 10.0)
    later = measured(
        received(190, 110, 104, recovered_red=5, recovered_fec=1), SentStatistics(packets=100, bytes=9_000)
    )
    second = sampler.sample(later, PEOPLE, 12.0)
    assert second.sent_kbps == 32.0
    assert second.received_kbps == pytest.approx(90 * 80 * 8 / 2000)
    assert second.lost_fraction == pytest.approx(0.1)
    assert second.recovered_fraction == pytest.approx(0.06)
    assert second.concealed_fraction == pytest.approx(0.04)
    assert second.packets_lost == 110, "counts are totals"
    bo = of_bo(second)
    assert bo.lost_fraction == pytest.approx(0.1)
    assert bo.concealed_fraction == pytest.approx(0.04)
    assert bo.packets_per_second == 45.0
    assert (bo.packets, bo.lost, bo.concealed) == (190, 110, 104)


def test_another_connection_counts_from_nothing_and_is_no_loss() -> None:
    sampler = Sampler()
    sampler.sample(measured(received(5_000, 10)), PEOPLE, 10.0, connection="first")
    sample = sampler.sample(measured(received(100, 0)), PEOPLE, 12.0, connection="second")
    assert (sample.lost_fraction, of_bo(sample).lost_fraction) == (0.0, 0.0)
    assert of_bo(sample).packets_per_second == 50.0


def test_whoever_was_not_heard_for_a_minute_is_left_out_until_they_speak_again() -> None:
    sampler = Sampler()
    sampler.sample(measured(received(100)), PEOPLE, 10.0)
    assert BO in sampler.sample(measured(received(100)), PEOPLE, 9.0 + REMEMBERED_SECONDS).by_person
    assert BO not in sampler.sample(measured(received(100)), PEOPLE, 11.0 + REMEMBERED_SECONDS).by_person
    back = sampler.sample(measured(received(150)), PEOPLE, 13.0 + REMEMBERED_SECONDS)
    assert of_bo(back).packets_per_second == 25.0


def test_a_number_the_room_has_not_named_is_nobody() -> None:
    sample = Sampler().sample(measured(received(10), number=7), PEOPLE, 1.0)
    assert sample.by_person == {}
    assert sample.packets_received == 10


def test_runs_of_lost_frames_are_worse_than_single_ones() -> None:
    single = measured(received(180, 20, 20))
    runs = measured(replace(received(180, 20, 20), concealment_events=4))
    alone = Sampler().sample(single, PEOPLE, 1.0).mean_opinion
    together = Sampler().sample(runs, PEOPLE, 1.0).mean_opinion
    assert alone is not None
    assert together is not None
    assert together < alone - 0.1


def test_what_is_lost_of_our_voice_is_of_the_sample_where_the_reports_have_totals() -> None:
    sampler = Sampler()
    first = SentStatistics(packets=100, lost=5, lost_percent=30.0, reports=1)
    assert sampler.sample(measured(sent=first), PEOPLE, 1.0).sent_lost_fraction == pytest.approx(0.05)
    second = replace(first, packets=200, lost=25, reports=3)
    assert sampler.sample(measured(sent=second), PEOPLE, 3.0).sent_lost_fraction == pytest.approx(0.2)
    unheard = replace(second, packets=300)
    assert sampler.sample(measured(sent=unheard), PEOPLE, 5.0).sent_lost_fraction == pytest.approx(0.3)


def test_the_round_trip_is_the_reports_else_that_of_the_path() -> None:
    path = SentStatistics(path_rtt_ms=30.0, path_checks=3)
    assert Sampler().sample(measured(sent=path), PEOPLE, 1.0).rtt_ms == 30.0
    both = replace(path, rtt_ms=12.0, reports=1)
    assert Sampler().sample(measured(sent=both), PEOPLE, 1.0).rtt_ms == 12.0


def test_reports_have_the_names_and_units_of_w3c() -> None:
    sent = SentStatistics(
        packets=50, bytes=4_000, lost=3, lost_percent=6.0, jitter_ms=4.0, reports=2, rtt_ms=20.0,
        path_rtt_ms=18.0, path_checks=5, level_dbfs=-20.0, open=True, ssrc=77, coding=OPUS,
    )  # fmt: skip
    person = received(
        90, 10, 2, late=1, with_copies=80, recovered_red=7, recovered_fec=1, jitter_ms=5.0, target_ms=60.0,
        emitted_samples=96_000, waited_seconds=5_760.0, level_dbfs=-40.0,
    )  # fmt: skip
    sampler = Sampler()
    reports = {
        report["id"]: report for report in sampler.sample(measured(person, sent), PEOPLE, 1.0).to_w3c()
    }
    assert {report["type"] for report in reports.values()} == {
        "codec", "media-source", "outbound-rtp", "remote-inbound-rtp", "candidate-pair", "inbound-rtp",
    }  # fmt: skip
    assert reports["codec:111"]["clockRate"] == 48_000
    assert reports["codec:111"]["channels"] == 2
    assert reports["codec:111"]["sdpFmtpLine"] == "useinbandfec=1"
    assert reports["codec:63"]["sdpFmtpLine"] == "111/111"
    out = reports["outbound-rtp"]
    assert (out["packetsSent"], out["bytesSent"], out["ssrc"], out["active"]) == (50, 4_000, 77, True)
    assert reports[out["remoteId"]]["localId"] == "outbound-rtp"
    remote = reports["remote-inbound-rtp"]
    assert remote["fractionLost"] == pytest.approx(0.06)
    assert (remote["jitter"], remote["roundTripTime"]) == (pytest.approx(0.004), pytest.approx(0.02))
    assert reports["candidate-pair"]["currentRoundTripTime"] == pytest.approx(0.018)
    assert reports["media-source"]["audioLevel"] == pytest.approx(0.1)
    bo = reports["inbound-rtp:bo"]
    assert (bo["packetsReceived"], bo["packetsLost"], bo["packetsDiscarded"]) == (90, 9, 1)
    assert (bo["fecPacketsReceived"], bo["fecPacketsDiscarded"]) == (80, 72)
    assert bo["concealedSamples"] == 2 * 960
    assert bo["jitterBufferDelay"] / bo["jitterBufferEmittedCount"] == pytest.approx(0.06)
    assert bo["jitterBufferTargetDelay"] / bo["jitterBufferEmittedCount"] == pytest.approx(0.06)
    assert bo["totalSamplesDuration"] == pytest.approx(2.0)
    assert bo["lastPacketReceivedTimestamp"] == 1000.0
    assert bo["trackIdentifier"] == "bo"
    assert "mid" not in bo, "what is not known is left out"


def test_without_reports_of_the_other_side_nothing_is_said_about_it() -> None:
    types = {report["type"] for report in Sampler().sample(measured(), PEOPLE, 1.0).to_w3c()}
    assert types == {"media-source", "outbound-rtp"}
