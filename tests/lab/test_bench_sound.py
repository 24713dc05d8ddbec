"""What the measurements of sound claim, on known sound; and the goals themselves."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.lab import bench_latency, bench_quality
from greenroom.lab.bench_quality import score, speech
from greenroom.media.blocks import silence


def test_delayed_speech_scores_as_itself_and_chopped_speech_worse() -> None:
    reference = speech(0, 6.0)
    delayed = np.concatenate([silence(4_321), reference, silence(4_800)])
    pesq, stoi = score(reference, delayed)
    assert pesq > 4.5
    assert stoi > 0.99
    chopped = delayed.copy()
    for start in range(0, len(chopped), 4_800):
        chopped[start : start + 960] = 0.0
    worse, less = score(reference, chopped)
    assert worse < 2.0
    assert less < 0.9


def test_clicks_are_matched_with_what_came_out_next_and_lost_ones_left_out() -> None:
    assert bench_latency.latencies([0.0, 0.25, 0.5], [0.04, 0.54]) == pytest.approx([0.04, 0.04])


@pytest.mark.live
@pytest.mark.quiet
def test_speech_survives_the_loss_of_a_fifth() -> None:
    report = bench_quality.run(0.2)
    assert report.pesq >= 3.5, report


@pytest.mark.long
@pytest.mark.parametrize(("loss", "least"), [(0.0, 4.3), (0.3, 2.8)])
def test_speech_is_clear_without_loss_and_intelligible_at_three_tenths(loss: float, least: float) -> None:
    report = bench_quality.run(loss)
    assert report.pesq >= least, report


@pytest.mark.long
def test_sound_takes_at_most_70_ms_also_after_a_lost_packet() -> None:
    report = bench_latency.run()
    assert report.click_to_click_ms.median <= 70.0, report
    assert report.after_one_loss_ms <= max(70.0, report.click_to_click_ms.median + 5.0), report
