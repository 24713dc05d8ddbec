"""Mixing: levels add up, and nothing begins, ends or changes with a click."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.media.blocks import FRAME
from greenroom.media.dsp import level_dbfs, tone_dbfs
from greenroom.media.mixer import Mixer
from greenroom.media.sources import Tone
from tests.media.sound import assert_tone, click_ratio


def test_two_voices_are_both_in_the_mix_at_their_gains() -> None:
    mixer: Mixer[str] = Mixer(channels=1)
    low, high = Tone(300.0, -20.0), Tone(1000.0, -20.0)
    mixer.set_gain("high", 0.1)
    mixed = np.concatenate([mixer.mix({"low": low.read(960), "high": high.read(960)}) for _ in range(50)])
    assert_tone(mixed[4800:], 300.0, -20.0)
    assert tone_dbfs(mixed[4800:], 1000.0) == pytest.approx(-40.0, abs=0.5)


def test_mono_is_heard_on_both_sides_of_a_stereo_mix() -> None:
    mixed = Mixer[str](channels=2).mix({"mono": Tone(300.0, -20.0).read(960)})
    assert mixed.shape == (960, 2)
    assert np.array_equal(mixed[:, 0], mixed[:, 1])


@pytest.mark.parametrize(
    ("pan", "left", "right"), [(-1.0, 1.414, 0.0), (-0.5, 1.307, 0.541), (0.0, 1.0, 1.0), (0.5, 0.541, 1.307)]
)
def test_a_voice_has_its_place_and_the_same_power_everywhere(pan: float, left: float, right: float) -> None:
    mixer: Mixer[str] = Mixer()
    mixer.set_pan("voice", pan)
    tone = Tone(300.0, -20.0).read(4800)
    mixed = mixer.mix({"voice": tone}, 4800)[960:]
    loudness = np.sqrt(np.mean(mixed**2, axis=0)) / 0.1
    assert loudness == pytest.approx([left, right], abs=0.01)
    assert np.hypot(*loudness) == pytest.approx(np.sqrt(2.0), abs=0.01)


def test_neither_channel_of_a_stereo_voice_is_lost_at_a_side() -> None:
    mixer: Mixer[str] = Mixer()
    mixer.set_pan("music", -1.0)
    low, high = Tone(300.0, -20.0), Tone(1000.0, -20.0)
    mixed = np.concatenate(
        [mixer.mix({"music": np.concatenate([low.read(960), high.read(960)], axis=1)}) for _ in range(50)]
    )[4800:]
    for frequency in (300.0, 1000.0):
        assert tone_dbfs(mixed[:, :1], frequency) == pytest.approx(-23.0, abs=0.2)
    assert level_dbfs(mixed[:, 1:]) < -90.0


@pytest.mark.parametrize(
    "change", ["appears", "vanishes", "gets louder", "goes silent", "goes to a side", "comes from a side"]
)
def test_a_change_has_no_click(change: str) -> None:
    mixer: Mixer[str] = Mixer(channels=2 if "side" in change else 1)
    tone, pieces = Tone(300.0, -12.0), []
    for turn in range(20):
        block = tone.read(960)
        present = not (change == "appears" and turn < 10) and not (change == "vanishes" and turn >= 10)
        if turn == 10 and change in ("gets louder", "goes silent"):
            mixer.set_gain("voice", 2.0 if change == "gets louder" else 0.0)
        if "side" in change and turn == (10 if change == "goes to a side" else 0):
            mixer.set_pan("voice", 1.0)
        if change == "comes from a side" and turn == 10:
            mixer.set_pan("voice", 0.0)
        pieces.append(mixer.mix({"voice": block} if present else {}))
    mixed = np.concatenate(pieces)
    loudest = Tone(300.0, -12.0).read(9600) * (2.0 if change == "gets louder" else 1.0)
    mixed = mixed[3 * FRAME :] if change == "comes from a side" else mixed
    allowed = 30.0 if change == "vanishes" else 1.5  # a bare cut has thousands
    assert click_ratio(mixed, loudest) < allowed


def test_a_voice_that_comes_back_has_the_gain_it_had() -> None:
    mixer: Mixer[str] = Mixer(channels=1)
    tone = Tone(300.0, -20.0)
    mixer.set_gain("voice", 0.1)
    for _ in range(5):
        mixer.mix({"voice": tone.read(960)})
    mixer.mix({})
    mixer.mix({"voice": tone.read(960)})
    assert level_dbfs(mixer.mix({"voice": tone.read(960)})) == pytest.approx(-40.0, abs=0.2)
    mixer.mix({})
    mixer.forget("voice")
    assert mixer.gain("voice") == 1.0


def test_too_many_loud_voices_do_not_clip() -> None:
    mixer: Mixer[int] = Mixer(channels=1)
    tones = [Tone(200.0 + 50 * n, -6.0) for n in range(10)]
    mixed = np.concatenate(
        [mixer.mix({n: tone.read(960) for n, tone in enumerate(tones)}) for _ in range(20)]
    )
    assert np.abs(mixed).max() <= 0.8901
