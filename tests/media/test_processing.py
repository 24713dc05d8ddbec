"""What processing does to a microphone's sound, measured: echo, noise, level; by WebRTC and by the built-in one."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from greenroom.engine.shared_source import SharedSource
from greenroom.media.blocks import FRAME, Block
from greenroom.media.processing import Processor, new_processor, webrtc_installed
from greenroom.media.processing_webrtc import load
from greenroom.policies.processing import plan_processing
from greenroom.state.audio import NoiseSuppression, Processing
from tests.media.room import Room, echo_of, noise, power_dbfs, speech, spoken, spoken_dbfs

ECHO = Processing(echo_cancellation=True)
EVERYTHING = Processing(True, NoiseSuppression.NORMAL, True)
GAIN = Processing(gain_control=True)
BOTH = pytest.mark.parametrize("webrtc", [pytest.param(True, id="webrtc"), pytest.param(False, id="light")])


def processor(wanted: Processing, webrtc: bool) -> Processor:
    made = new_processor(plan_processing(wanted, microphone=True, webrtc=webrtc), 1)
    assert made is not None
    return made


def treated(by: Processor, heard: Block, played: Block | None = None) -> Block:
    done = []
    for at in range(0, len(heard) // FRAME * FRAME, FRAME):
        if played is not None:
            by.played(played[at : at + FRAME])
        done.append(by.process(heard[at : at + FRAME]))
    return np.concatenate(done)


def test_the_extra_is_installed_where_the_project_is_tested() -> None:
    assert webrtc_installed()


@pytest.mark.parametrize("wanted", [ECHO, EVERYTHING], ids=["echo alone", "everything"])
def test_echo_is_20_db_softer_within_two_seconds_and_stays_so(wanted: Processing) -> None:
    played = speech(7.0, -22.0)
    heard = echo_of(played) + noise(7.0, -66.0)
    by = processor(wanted, webrtc=True)
    by.set_delay(0.06)
    left = treated(by, heard, played)
    late = slice(2 * 48_000, None)
    assert power_dbfs(heard[late]) - power_dbfs(left[late]) >= 20.0


def test_who_speaks_while_nothing_is_played_is_not_taken_for_echo() -> None:
    heard = speech(4.0, -20.0)
    left = treated(processor(ECHO, webrtc=True), heard, np.zeros_like(heard))
    assert spoken_dbfs(left) == pytest.approx(spoken_dbfs(heard), abs=3.0)


@BOTH
@pytest.mark.parametrize("strength", [NoiseSuppression.NORMAL, NoiseSuppression.STRONG])
def test_noise_is_10_db_softer_and_speech_as_loud(webrtc: bool, strength: NoiseSuppression) -> None:
    talk = np.concatenate([noise(2.0, -90.0), speech(6.0, -20.0)])
    heard = talk + noise(8.0, -40.0)
    left = treated(processor(Processing(noise_suppression=strength), webrtc), heard)
    pause = slice(48_000, 2 * 48_000 - 4800)
    assert power_dbfs(heard[pause]) == pytest.approx(-40.0, abs=0.2)
    assert power_dbfs(left[pause]) <= -50.0
    on = spoken(talk)
    assert power_dbfs(left[on]) == pytest.approx(power_dbfs(heard[on]), abs=3.0)


@BOTH
def test_strong_takes_more_noise_than_normal(webrtc: bool) -> None:
    heard = noise(4.0, -40.0)
    by = {
        strength: treated(processor(Processing(noise_suppression=strength), webrtc), heard)[3 * 48_000 :]
        for strength in (NoiseSuppression.NORMAL, NoiseSuppression.STRONG)
    }
    assert power_dbfs(by[NoiseSuppression.STRONG]) < power_dbfs(by[NoiseSuppression.NORMAL]) - 6.0


@BOTH
def test_soft_speech_comes_near_to_minus_20_dbfs(webrtc: bool) -> None:
    left = treated(processor(GAIN, webrtc), speech(16.0, -40.0))
    assert -25.0 <= spoken_dbfs(left[12 * 48_000 :]) <= -17.0
    assert np.abs(left).max() <= 1.0


@BOTH
def test_loud_speech_is_left_as_loud_and_never_beyond_full_scale(webrtc: bool) -> None:
    left = treated(processor(GAIN, webrtc), speech(4.0, -10.0))
    assert spoken_dbfs(left) == pytest.approx(-10.0, abs=3.0)
    assert np.abs(left).max() <= 1.0


@BOTH
def test_the_rumble_below_the_voice_is_taken_out(webrtc: bool) -> None:
    wanted = Processing(noise_suppression=NoiseSuppression.NORMAL)
    rumble = (0.1 * np.sin(2 * np.pi * 20.0 / 48_000 * np.arange(96_000)))[:, np.newaxis].astype(np.float32)
    left = treated(processor(wanted, webrtc), rumble)
    assert power_dbfs(left[48_000:]) < power_dbfs(rumble[48_000:]) - 15.0


@BOTH
def test_a_microphone_costs_a_small_part_of_a_core(webrtc: bool) -> None:
    heard = speech(3.0, -20.0)
    by = processor(EVERYTHING, webrtc)
    treated(by, heard[:FRAME], heard[:FRAME])
    began = time.process_time()
    treated(by, heard, heard)
    assert (time.process_time() - began) / 300 < 0.002, "10 ms of sound take less than 2 ms"


@BOTH
def test_two_channels_stay_two_and_apart(webrtc: bool) -> None:
    made = new_processor(
        plan_processing(
            Processing(noise_suppression=NoiseSuppression.NORMAL), microphone=True, webrtc=webrtc
        ),
        2,
    )
    assert made is not None
    left = treated(made, np.concatenate([speech(2.0, -20.0), np.zeros((96_000, 1), np.float32)], axis=1))
    assert left.shape == (96_000, 2)
    assert power_dbfs(left[:, :1]) > power_dbfs(left[:, 1:]) + 30.0


def test_an_extra_that_cannot_be_loaded_gives_way_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit.rtc", None)
    load.cache_clear()
    try:
        wanted = Processing(True, NoiseSuppression.NORMAL)
        shared, told = SharedSource(Room(noise(4.0, -40.0)), webrtc=True), []
        shared.on_acting = lambda: told.append(shared.acting(wanted))
        branch = shared.branch(wanted)
        left = np.concatenate([branch.read(FRAME) for _ in range(200)])
        assert power_dbfs(left[3 * 48_000 :]) <= -50.0
        assert [(acting.by, acting.done.echo_cancellation) for acting in told] == [("light", False)]
        assert "greenroom[processing]" in told[0].reason
    finally:
        load.cache_clear()
