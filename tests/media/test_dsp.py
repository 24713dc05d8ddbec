"""Levels, fades, the limiter and tone measurement."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, Block, silence, with_channels
from greenroom.media.dsp import (
    SILENCE_DBFS,
    Fader,
    Limiter,
    crossfade,
    ending,
    gain_of,
    level_dbfs,
    peak_dbfs,
    resample,
    rising,
    strongest_hz,
    tone_dbfs,
)
from greenroom.media.sources import Tone
from tests.media.sound import click_ratio


@pytest.mark.parametrize("level", [-3.1, -20.0, -60.0])
def test_a_tone_has_the_level_it_was_asked_for(level: float) -> None:
    sound = Tone(1000.0, level).read(48_000)
    assert level_dbfs(sound) == pytest.approx(level, abs=0.01)
    assert tone_dbfs(sound, 1000.0) == pytest.approx(level, abs=0.01)
    assert peak_dbfs(sound) == pytest.approx(level + 3.01, abs=0.02)


def test_the_level_is_the_loudest_channels() -> None:
    loud, soft = Tone(440.0, -10.0).read(4800), Tone(440.0, -40.0).read(4800)
    assert level_dbfs(np.concatenate([soft, loud], axis=1)) == pytest.approx(-10.0, abs=0.05)


@pytest.mark.parametrize("sound", [silence(0), silence(960), silence(0, 2)])
def test_nothing_and_silence_have_the_lowest_level(sound: Block) -> None:
    assert level_dbfs(sound) == peak_dbfs(sound) == SILENCE_DBFS


def test_a_tone_is_measured_apart_from_others() -> None:
    sound = Tone(440.0, -20.0).read(24_000) + Tone(620.0, -40.0).read(24_000)
    assert tone_dbfs(sound, 620.0) == pytest.approx(-40.0, abs=0.1)
    assert tone_dbfs(sound, 520.0) < -80.0
    assert strongest_hz(sound) == pytest.approx(440.0, abs=0.1)


def test_silence_has_no_strongest_frequency() -> None:
    assert strongest_hz(silence(9600)) == 0.0
    assert gain_of(-96.0) == 0.0
    assert gain_of(-20.0) == pytest.approx(0.1)


def test_a_fade_of_20_ms_has_no_click_and_a_cut_has_one() -> None:
    tone = Tone(300.0, -10.0).read(9600)
    faded = tone.copy()
    faded[4800 : 4800 + FRAME] *= 1.0 - rising(FRAME)
    faded[4800 + FRAME :] = 0.0
    cut = tone.copy()
    cut[4830:] = 0.0
    assert click_ratio(faded, tone) < 1.2
    assert click_ratio(cut, tone) > 10.0


def test_a_fader_crosses_blocks_of_any_length_without_a_step() -> None:
    tone = Tone(300.0, -10.0).read(48_000)
    fader, pieces, at = Fader(1.0), [], 0
    for turn, frames in enumerate([960, 313, 960, 77, 960, 960, 500, 960, 960, 960]):
        if turn in (1, 3, 6):
            fader.set({1: 0.0, 3: 1.0, 6: 0.25}[turn], seconds=0.02)
        pieces.append(fader.apply(tone[at : at + frames]))
        at += frames
    assert click_ratio(np.concatenate(pieces), tone) < 1.5
    assert fader.gain == 0.25


def test_a_fader_at_rest_changes_nothing() -> None:
    block = Tone(300.0, -10.0).read(960)
    assert Fader(1.0).apply(block) is block
    assert not Fader(0.0).apply(block).any()


def test_a_crossfade_of_equal_sounds_is_that_sound() -> None:
    block = Tone(300.0, -10.0).read(960)
    assert np.allclose(crossfade(block, block), block)


def test_what_was_cut_off_leads_to_zero_without_a_click() -> None:
    tone = Tone(300.0, -10.0).read(4 * FRAME + 313)
    ended = np.concatenate([tone, ending(tone[-FRAME:]), silence(FRAME)])
    assert click_ratio(ended, tone) < 30.0
    cut = np.concatenate([tone, silence(2 * FRAME)])
    assert click_ratio(cut, tone) > 100 * click_ratio(ended, tone)


def test_the_limiter_leaves_soft_sound_alone_and_holds_loud_sound() -> None:
    limiter, soft, loud = Limiter(), Tone(440.0, -20.0), Tone(440.0, -6.0)
    block = soft.read(960)
    assert limiter.apply(block) is block
    peaks = [float(np.abs(limiter.apply(loud.read(960) * 4.0)).max()) for _ in range(20)]
    assert max(peaks) <= 0.8901
    settled = np.concatenate([limiter.apply(soft.read(960)) for _ in range(150)])
    assert level_dbfs(settled[-9600:]) == pytest.approx(-20.0, abs=0.1)


def test_resampling_keeps_pitch_level_and_length() -> None:
    sound = resample(Tone(440.0, -20.0).read(48_000), 48_000, 16_000)
    assert len(sound) == 16_000
    assert tone_dbfs(sound[1000:-1000], 440.0, 16_000) == pytest.approx(-20.0, abs=0.1)


def test_mono_and_stereo_become_each_other_at_the_same_level() -> None:
    mono = Tone(440.0, -20.0).read(960)
    stereo = with_channels(mono, 2)
    assert stereo.shape == (960, 2)
    assert np.allclose(with_channels(stereo, 1), mono)
