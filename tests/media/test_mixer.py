"""Mixing: levels add up, and nothing begins, ends or changes with a click."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.media.dsp import level_dbfs, tone_dbfs
from greenroom.media.mixer import Mixer
from greenroom.media.sources import Tone
from tests.media.sound import assert_no_click, assert_tone


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
    tone, pieces = Tone(311.0, -12.0), []
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
    assert_no_click(mixed, -50.0 if change == "vanishes" else -80.0)  # what vanishes can only be guessed on


@pytest.mark.parametrize("hertz", [300.0, 311.0, 457.0])
def test_a_fade_that_is_turned_back_or_cut_short_half_way_has_no_click(hertz: float) -> None:
    mixer: Mixer[str] = Mixer(channels=1)
    tone, pieces = Tone(hertz, -12.0), []
    for turn in range(60):
        if turn == 10:
            mixer.set_gain("voice", 0.25, seconds=0.08)
        if turn == 12:
            mixer.set_gain("voice", 1.0, seconds=0.4)
        if turn == 40:
            mixer.set_gain("voice", 0.0, seconds=0.4)
        if turn == 42:
            mixer.set_gain("voice", 0.0)
        pieces.append(mixer.mix({"voice": tone.read(960)}))
    mixed = np.concatenate(pieces)
    assert_no_click(mixed)
    assert level_dbfs(mixed[43 * 960 :]) == -96.0, "the shorter fade counts"


def test_one_who_leaves_is_faded_over_to_another_of_the_same_name() -> None:
    mixer: Mixer[str] = Mixer(channels=1)
    mixer.set_gain("voice", 0.5)
    before, after = Tone(311.0, -12.0), Tone(311.0, -12.0)
    after.read(77)
    pieces = [mixer.mix({"voice": before.read(960)}) for _ in range(10)]
    pieces.append(mixer.mix({"voice": after.read(960)}, leaving={"voice": before.read(960)}))
    pieces += [mixer.mix({"voice": after.read(960)}) for _ in range(10)]
    assert_no_click(np.concatenate(pieces))
    assert level_dbfs(pieces[-1]) == pytest.approx(-18.0, abs=0.2)


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
    assert_no_click(mixed, -35.0)  # bare clipping has -15


def test_a_voice_that_is_turned_up_beyond_full_scale_is_turned_down_smoothly() -> None:
    mixer: Mixer[str] = Mixer(channels=1)
    tone, pieces = Tone(311.0, -6.0), []
    for turn in range(60):
        if turn in (10, 30):
            mixer.set_gain("voice", 3.0 if turn == 10 else 1.0)
        pieces.append(mixer.mix({"voice": tone.read(960)}))
    mixed = np.concatenate(pieces)
    assert np.abs(mixed).max() <= 0.8901
    assert_no_click(mixed, -65.0)
    assert level_dbfs(mixed[-960:]) == pytest.approx(-6.0, abs=0.5), "what was turned down comes back"
