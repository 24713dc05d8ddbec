"""Two calls on a real server: a switch is heard at once, one microphone is open, nothing leaks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from greenroom.lab import bench_focus
from greenroom.lab.bench_focus import Recorder
from greenroom.lab.hear_matrix import HearMatrix, measure, pilot_hz
from greenroom.media.blocks import FRAME, RATE_HZ
from greenroom.media.dsp import rising
from greenroom.media.sources import Tone


@pytest.mark.live
@pytest.mark.quiet
def test_a_switch_on_a_server_is_heard_within_60_ms_and_nothing_leaks() -> None:
    report = bench_focus.run(switches=6, leak_windows=1)
    assert report.switch_ms.median <= 60.0
    assert report.holders_max == 1
    assert report.leak_db < -60.0


def test_half_of_a_fade_is_found_to_the_millisecond() -> None:
    times = itertools.count()
    tone, ear = Tone(650.0, -23.0), Recorder(clock=lambda: 100.0 + 0.02 * next(times))
    for place in range(30):
        block = tone.read(FRAME)
        faded = block * (0.0 if place < 5 else 1.0) if place != 5 else block * rising(FRAME)
        ear.write(faded.astype(np.float32))
    half = ear.half_at(650.0, since=100.0)
    assert half == pytest.approx(100.0 + 5 * 0.02 + 0.01, abs=0.001)
    assert ear.half_at(650.0, since=200.0) is None, "nothing was heard since"


def test_who_hears_whom_is_told_in_db_and_what_was_not_promised_is_a_leak() -> None:
    pilots = {name: pilot_hz(place) for place, name in enumerate(("you", "ann", "bo"))}
    loud, soft = (Tone(pilots[name], level).read(RATE_HZ) for name, level in (("ann", -20.0), ("bo", -70.0)))
    heard = measure({"you": loud + soft}, pilots)
    assert heard.level("you", "ann") == pytest.approx(-20.0, abs=0.2)
    assert heard.level("you", "bo") == pytest.approx(-70.0, abs=0.2)
    assert heard.heard() == {("you", "ann")}
    assert heard.leak_db({("you", "ann")}) == pytest.approx(-50.0, abs=0.3)
    assert heard.leak_db({("you", "ann"), ("you", "bo")}) < -60.0
    assert HearMatrix({"you": {"ann": -20.0}}).table() == "         ann   you\nyou      -20"
