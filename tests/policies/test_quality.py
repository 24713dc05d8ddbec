from __future__ import annotations

import pytest

from greenroom.policies.quality import QualityTrack, grade, next_quality
from greenroom.protocol.wire import Quality

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
