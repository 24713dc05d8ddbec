"""Mixing stays cheap."""

from __future__ import annotations

import pytest

from greenroom.lab import bench_mix


@pytest.mark.quiet
def test_ten_calls_of_ten_people_are_mixed_in_a_millisecond_for_each_20_ms() -> None:
    report = bench_mix.run(calls=10, speakers=10)
    assert report.mix_ms.median < 1.0, report
    assert report.fading_ms.median < 1.0, report
