from __future__ import annotations

import pytest

from greenroom.policies.quality import (
    LineTrack,
    QualityTrack,
    grade,
    line_quality,
    next_line,
    next_quality,
    own_jitter_ms,
    own_loss,
)
from greenroom.protocol.wire import Quality
from greenroom.state.statistics import Cause

E, G, P, L = Quality.EXCELLENT, Quality.GOOD, Quality.POOR, Quality.LOST


@pytest.mark.parametrize(
    ("fraction_lost", "jitter_ms", "rtt_ms", "quality"),
    [
        (0.0, 5.0, 20.0, E),
        (0.0, 5.0, None, E),
        (0.03, 5.0, 20.0, G),
        (0.0, 50.0, 20.0, G),
        (0.0, 5.0, 400.0, G),
        (0.2, 5.0, 20.0, P),
        (0.0, 150.0, 20.0, P),
        (0.6, 5.0, 20.0, L),
    ],
)
def test_a_report_is_graded_by_its_worst(
    fraction_lost: float, jitter_ms: float, rtt_ms: float | None, quality: Quality
) -> None:
    assert grade(fraction_lost, jitter_ms, rtt_ms) is quality


@pytest.mark.parametrize(
    ("reports", "shown"),
    [
        pytest.param([P, E, P, E, P], [E, E, E, E, E], id="single bad reports do not flicker"),
        pytest.param([P, P], [E, P], id="the second bad report shows"),
        pytest.param([L], [L], id="lost shows at once"),
        pytest.param([P, P, E, E, E], [E, P, P, P, E], id="better after three"),
        pytest.param(
            [P, P, E, E, P, E, E, E], [E, P, P, P, P, P, P, E], id="a bad one starts the count anew"
        ),
    ],
)
def test_what_is_shown_changes_when_reports_agree(reports: list[Quality], shown: list[Quality]) -> None:
    track = QualityTrack()
    seen = []
    for report in reports:
        track = next_quality(track, report)
        seen.append(track.shown)
    assert seen == shown


@pytest.mark.parametrize(
    ("numbers", "quality", "cause"),
    [
        pytest.param({}, E, Cause.NONE, id="nothing is wrong"),
        pytest.param({"sent_lost": 0.05, "received_lost": 0.03}, G, Cause.SENT_LOSS, id="the larger loss"),
        pytest.param(
            {"received_lost": 0.2, "jitter_ms": 150.0}, P, Cause.RECEIVED_LOSS, id="loss before jitter"
        ),
        pytest.param({"received_lost": 0.03, "jitter_ms": 150.0}, P, Cause.JITTER, id="the worst decides"),
        pytest.param({"rtt_ms": 400.0}, G, Cause.ROUND_TRIP, id="a long way"),
        pytest.param({"sent_lost": 0.7, "rtt_ms": 900.0}, L, Cause.SENT_LOSS, id="most of it is lost"),
    ],
)
def test_a_line_has_the_worst_of_its_numbers_as_its_cause(
    numbers: dict[str, float], quality: Quality, cause: Cause
) -> None:
    line = line_quality(**numbers)
    assert (line.quality, line.cause) == (quality, cause)
    assert line.quality is grade(max(line.sent_lost, line.received_lost), line.jitter_ms, line.rtt_ms), (
        "with or without its cause"
    )


def test_a_word_keeps_the_numbers_that_said_it_until_it_changes() -> None:
    track = LineTrack()
    for lost in (0.2, 0.15, 0.0, 0.12):
        track = next_line(track, line_quality(sent_lost=lost))
    assert (track.shown.quality, track.shown.sent_lost) == (P, 0.12)
    track = next_line(track, line_quality())
    assert (track.shown.quality, track.shown.cause, track.shown.sent_lost) == (P, Cause.SENT_LOSS, 0.12)
    for _ in range(2):
        track = next_line(track, line_quality())
    assert (track.shown.quality, track.shown.cause) == (E, Cause.NONE)


@pytest.mark.parametrize(
    ("measured", "before", "rest"),
    [
        pytest.param(0.2, 0.0, 0.2, id="nothing was lost before"),
        pytest.param(0.16, 0.15, 0.0, id="all was lost before"),
        pytest.param(0.28, 0.1, 0.2, id="lost on both parts"),
        pytest.param(0.12, 0.1, 0.0, id="what may be chance"),
        pytest.param(1.0, 1.0, 0.0, id="nothing came so far"),
    ],
)
def test_loss_is_told_apart_by_the_part_of_the_way(measured: float, before: float, rest: float) -> None:
    assert own_loss(measured, before) == pytest.approx(rest)


def test_jitter_of_two_parts_adds_as_what_varies_by_itself() -> None:
    assert own_jitter_ms(50.0, 30.0) == pytest.approx(40.0)
    assert own_jitter_ms(10.0, 30.0) == 0.0
