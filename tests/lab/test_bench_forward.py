"""The forwarding benchmark connects for real and answers with numbers that can be true."""

from __future__ import annotations

import os

import msgspec
import pytest

from greenroom.lab.bench_forward import cpu_seconds, run

pytestmark = pytest.mark.live


@pytest.mark.quiet
def test_the_benchmark_reports_what_it_promises_and_forwarding_stays_near_a_bare_send() -> None:
    report = run(listeners=60, seconds=1.4)
    assert list(msgspec.to_builtins(report)) == [
        "cpu_us_per_packet",
        "bare_send_us",
        "ratio",
        "packets",
        "lost",
        "listeners",
        "setup_cpu_ms_per_peer",
        "rss_kib_per_peer",
    ]
    assert report.listeners == 60
    assert report.packets > 60 * 50  # a second at least, before and within the windows
    assert 0 < report.bare_send_us < report.cpu_us_per_packet
    assert report.ratio < 10  # sixty listeners amortize little; the published figure is of five hundred
    assert 0 < report.setup_cpu_ms_per_peer < 10
    assert 0 < report.rss_kib_per_peer < 400


def test_the_cpu_of_a_process_is_read_from_outside() -> None:
    before = cpu_seconds(os.getpid())
    sum(range(10**6))
    assert before < cpu_seconds(os.getpid()) < before + 5


def test_a_benchmark_without_listeners_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="listener"):
        run(listeners=0, seconds=1)
