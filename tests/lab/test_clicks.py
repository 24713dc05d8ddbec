"""The click detector: what a listener would call a click it finds, and a fade it lets pass."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.lab.clicks import clicks, loudest_click_db
from greenroom.media.blocks import RATE_HZ, Block, silence
from greenroom.media.dsp import rising
from greenroom.media.sources import Tone


def cut(hertz: float, fade_ms: int) -> Block:
    """A tone that ends, from one of its peaks on, within `fade_ms`, and silence."""
    tone, frames = Tone(hertz, -20.0).read(RATE_HZ), fade_ms * RATE_HZ // 1000
    at = 24_000 + int(np.argmax(tone[24_000:25_000]))
    tone[at + frames :] = 0.0
    tone[at : at + frames] *= 1.0 - rising(frames)
    return tone


@pytest.mark.parametrize("hertz", [207.0, 440.3, 1000.7])
def test_a_cut_is_a_click_and_the_longer_the_fade_the_less_of_one(hertz: float) -> None:
    bare, short, long = (loudest_click_db(cut(hertz, fade_ms)) for fade_ms in (0, 1, 20))
    assert bare > -35.0 > -65.0 > short > -90.0 > long


def test_a_click_is_found_where_it_is() -> None:
    sound = Tone(300.0, -20.0).read(RATE_HZ)
    sound[12_040:] *= -1.0
    sound[36_000] += 0.02
    found = clicks(sound)
    assert [click.at_seconds for click in found] == pytest.approx([0.25, 0.75], abs=0.002)
    assert found[0].db > -35.0


def test_a_click_in_one_channel_is_one() -> None:
    tone = Tone(300.0, -20.0).read(RATE_HZ)
    broken = tone.copy()
    broken[24_000:] = 0.0
    assert clicks(np.concatenate([tone, tone], axis=1)) == []
    assert len(clicks(np.concatenate([tone, broken], axis=1))) == 1


def test_silence_and_next_to_nothing_have_no_click() -> None:
    assert clicks(silence(RATE_HZ)) == []
    assert clicks(silence(10)) == []
    assert loudest_click_db(silence(RATE_HZ)) == -120.0
