"""Lines and numbers in words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.policies.audio_config import AudioConfiguration, hi_fi, resolve
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.wire import Quality
from greenroom.state.call import CallState
from greenroom.state.statistics import (
    CallStatistics,
    Cause,
    Coding,
    InboundRtp,
    LineQuality,
    PersonStatistics,
)
from greenroom.views.quality import (
    advice,
    coding_words,
    level_words,
    number_rows,
    percent,
    person_rows,
    quality_row,
    quality_words,
    reason_words,
)

ME, BO = UserId("me"), UserId("bo")
POOR, GOOD = Quality.POOR, Quality.GOOD
CALL = CallState(Cid("audio_room:a"), ME, audio=resolve())


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        pytest.param(
            LineQuality(POOR, Cause.SENT_LOSS, sent_lost=0.12, recovered=0.11, here=True),
            "Bo",
            "12 % of what Bo sends is lost on the way here; RED and FEC recover most of it",
            id="another's loss, heard here",
        ),
        pytest.param(
            LineQuality(POOR, Cause.SENT_LOSS, sent_lost=0.12),
            "Bo",
            "12 % of what Bo sends is lost on the way to the server",
            id="another's loss, told by the server",
        ),
        pytest.param(
            LineQuality(GOOD, Cause.SENT_LOSS, sent_lost=0.032),
            "",
            "3.2 % of what you send is lost on the way to the server",
            id="my own loss",
        ),
        pytest.param(
            LineQuality(POOR, Cause.RECEIVED_LOSS, received_lost=0.2),
            "",
            "20 % of what is sent to you is lost; none of it is recovered",
            id="what I do not get",
        ),
        pytest.param(
            LineQuality(POOR, Cause.RECEIVED_LOSS, received_lost=0.2, recovered=0.2),
            "Bo",
            "20 % of what is sent to Bo is lost",
            id="what another does not get, whose recovery we do not see",
        ),
        pytest.param(
            LineQuality(POOR, Cause.LATE, late=0.15),
            "",
            "15 % of the sound is made up: packets come too late, or this machine is too busy",
            id="made up though nothing was lost",
        ),
        pytest.param(
            LineQuality(GOOD, Cause.JITTER, jitter_ms=51.6),
            "Bo",
            "Bo's packets come up to 52 ms unevenly, so the buffer waits longer",
            id="jitter",
        ),
        pytest.param(
            LineQuality(POOR, Cause.ROUND_TRIP, rtt_ms=900.0),
            "",
            "the way between you and the server takes 900 ms there and back",
            id="a long way",
        ),
        pytest.param(LineQuality(), "Bo", "", id="nothing to say"),
    ],
)
def test_a_line_that_is_not_excellent_says_why(line: LineQuality, name: str, words: str) -> None:
    assert reason_words(line, name) == words


def test_a_row_has_word_bars_and_reason() -> None:
    call = replace(CALL, lines={BO: LineQuality(POOR, Cause.SENT_LOSS, sent_lost=0.3)})
    row = quality_row(call, BO)
    assert (row.word, row.bars, row.mine) == ("poor", "▂  ", False)
    assert quality_words(call, BO).startswith("poor: 30 % of what bo sends")
    assert quality_words(call, ME) == "excellent"
    assert quality_row(call, ME).mine


@pytest.mark.parametrize(
    ("line", "configuration", "knob", "word"),
    [
        pytest.param(LineQuality(), None, None, "", id="nothing is wrong"),
        pytest.param(
            LineQuality(POOR, Cause.SENT_LOSS, sent_lost=0.2),
            AudioConfiguration(red_depth=0),
            "red_depth",
            "RED",
            id="loss without RED",
        ),
        pytest.param(
            LineQuality(POOR, Cause.SENT_LOSS, sent_lost=0.2),
            AudioConfiguration(red_depth=2, fec=False),
            "fec",
            "FEC",
            id="loss without FEC",
        ),
        pytest.param(
            LineQuality(POOR, Cause.SENT_LOSS, sent_lost=0.2),
            None,
            "bitrate",
            "from 64 to 32",
            id="loss though all is repeated",
        ),
        pytest.param(
            LineQuality(POOR, Cause.SENT_LOSS, sent_lost=0.2),
            AudioConfiguration(bitrate=24_000),
            "",
            "cable",
            id="nothing of ours helps",
        ),
        pytest.param(
            LineQuality(POOR, Cause.RECEIVED_LOSS, received_lost=0.2, recovered=0.19),
            None,
            "",
            "nothing to do",
            id="recovered",
        ),
        pytest.param(
            LineQuality(GOOD, Cause.JITTER, jitter_ms=60.0), None, "playout_target_ms", "100 ms", id="jitter"
        ),
        pytest.param(
            LineQuality(GOOD, Cause.JITTER, jitter_ms=60.0), hi_fi(), "", "cable", id="jitter, long buffer"
        ),
        pytest.param(LineQuality(POOR, Cause.LATE, late=0.2), None, "", "machine", id="too late"),
        pytest.param(LineQuality(POOR, Cause.ROUND_TRIP, rtt_ms=900.0), None, "", "nearer", id="distance"),
    ],
)
def test_advice_names_the_knob_that_helps(
    line: LineQuality, configuration: AudioConfiguration | None, knob: str | None, word: str
) -> None:
    told = advice(replace(CALL, lines={ME: line}, audio=resolve(configuration)))
    assert (None if told is None else told.knob) == knob
    assert told is None or word in told.words


def test_numbers_have_their_units() -> None:
    bo = PersonStatistics(
        InboundRtp(packets_received=90, packets_lost=9, packets_discarded=1),
        recovered_red=7,
        recovered_fec=2,
        kbps=31.4,
        lost_fraction=0.1,
        concealed_fraction=0.004,
        coding=Coding(frame_ms=20.0, red_depth=1),
    )
    sample = CallStatistics(
        1.0, packets_sent=100, sent_kbps=63.6, sent_lost_fraction=0.02, level_dbfs=-21.4, by_person={BO: bo}
    )
    numbers = {row.name: row for row in number_rows(sample)}
    assert numbers["sent"].value == "64 kb/s"
    assert numbers["lost of what you send"].value == "2.0 %"
    assert numbers["round trip"].value == "not known yet"
    assert numbers["level of your microphone"].value == "−21 dBFS"
    assert numbers["opinion score"].value == "nothing was heard"
    his = {row.name: row for row in person_rows(sample, BO)}
    assert his["lost"].value == "10 %"
    assert his["lost so far"].value == "10 packets"
    assert "7 came back by RED, 2 by FEC" in his["lost so far"].note
    assert his["coded as"].value == "Opus, mono, 20 ms, type 111, 1 repeated (RED)"
    assert number_rows(None) == person_rows(sample, UserId("nobody")) == ()


def test_coding_levels_and_shares_read_well() -> None:
    sent = Coding(bitrate=64_000, channels=2, fec=True, dtx=True, red_payload_type=63, red_depth=2)
    assert coding_words(sent) == "Opus 64 kb/s, stereo, 20 ms, type 111/63, 2 repeated (RED), FEC, DTX"
    assert "this machine" in coding_words(None)
    assert (level_words(-96.0), level_words(-7.2)) == ("silent", "−7 dBFS")
    assert [percent(share) for share in (0.0, 0.0004, 0.004, 0.0994, 0.0996, 0.12, 1.0)] == [
        "0 %", "0 %", "0.4 %", "9.9 %", "10 %", "12 %", "100 %",
    ]  # fmt: skip
