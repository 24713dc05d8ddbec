"""What lies between a device's callback and the engine: two clocks, one ring, no click."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, RATE_HZ, Block
from greenroom.media.device_lines import DeviceMicrophone, DeviceSpeaker
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs, tone_dbfs
from greenroom.media.playout import Playout
from greenroom.media.sources import Tone
from tests.media.sound import assert_no_click

CALLBACK = FRAME // 2
TONE_HZ = 440.0
STEADY_STEP = 0.1 * math.sqrt(2.0) * 2 * math.pi * TONE_HZ / RATE_HZ
"""The largest step between two samples of the tone at −20 dBFS."""


def largest_step(sound: Block) -> float:
    return float(np.abs(np.diff(sound[:, 0])).max())


def test_a_microphone_without_a_device_gives_silence_of_any_length() -> None:
    microphone = DeviceMicrophone()
    assert microphone.read(FRAME).shape == (FRAME, 1)
    assert not microphone.read(77).any()
    assert microphone.level_dbfs == SILENCE_DBFS


@pytest.mark.parametrize(
    ("minutes", "device_ppm"),
    [
        (5, -400),
        (5, 400),
        pytest.param(30, -200, marks=pytest.mark.long),
        pytest.param(30, 200, marks=pytest.mark.long),
    ],
)
def test_minutes_with_another_clock_cost_no_gap_no_jump_and_no_click(minutes: int, device_ppm: int) -> None:
    microphone, tone = DeviceMicrophone(), Tone(TONE_HZ)
    callback_seconds = 0.01 / (1.0 + device_ppm * 1e-6)
    fed = 0
    heard = []
    for number in range(minutes * 3000):
        while fed * callback_seconds <= number * 0.02 + 0.035:
            microphone.feed(tone.read(CALLBACK))
            fed += 1
        block = microphone.read(FRAME)
        if number % 500 < 50 and number > 50:
            heard.append(block)
        elif heard:
            assert_no_click(np.concatenate(heard))
            heard.clear()
    assert microphone.underruns == 0
    assert microphone.jumps == 0


def test_a_device_that_stops_fades_out_and_one_that_comes_back_fades_in() -> None:
    microphone, tone = DeviceMicrophone(), Tone(TONE_HZ)
    heard = []
    for number in range(60):
        if not 20 <= number < 40:
            microphone.feed(tone.read(FRAME if number != 20 else 333))
        heard.append(microphone.read(FRAME))
    sound = np.concatenate(heard)
    assert largest_step(sound) < 1.5 * STEADY_STEP
    assert level_dbfs(heard[30]) == SILENCE_DBFS
    assert tone_dbfs(np.concatenate(heard[-10:]), TONE_HZ) == pytest.approx(-20.0, abs=0.5)
    assert microphone.underruns == 1


def test_a_microphone_that_ran_dry_is_as_quick_as_before_after_calm_minutes() -> None:
    microphone, tone, heard = DeviceMicrophone(), Tone(TONE_HZ), []
    before = microphone.spare_seconds
    for number in range(5_000):
        if number not in (20, 21, 60, 61):
            microphone.feed(tone.read(FRAME))
        block = microphone.read(FRAME)
        if number == 100:
            assert microphone.spare_seconds == pytest.approx(before + 0.01 * microphone.underruns)
        if number > 100:
            heard.append(block)
    assert microphone.underruns == 2
    assert microphone.spare_seconds == before
    assert microphone.jumps == 0
    assert_no_click(np.concatenate(heard))


def test_what_piled_up_while_nobody_read_is_left_out_without_a_click() -> None:
    microphone, tone = DeviceMicrophone(), Tone(TONE_HZ)
    heard = []
    for number in range(30):
        microphone.feed(tone.read(9 * FRAME if number == 10 else FRAME))
        heard.append(microphone.read(FRAME))
    assert microphone.jumps == 1
    assert largest_step(np.concatenate(heard)) < 1.5 * STEADY_STEP


def test_a_closed_line_is_told_once() -> None:
    told: list[object] = []
    microphone, speaker = DeviceMicrophone(told.append), DeviceSpeaker(told.append)
    for line in (microphone, speaker, microphone, speaker):
        line.close()
    assert told == [microphone, speaker]


def test_a_speaker_without_a_device_forgets_and_leaves_the_clock_to_others() -> None:
    speaker = DeviceSpeaker()
    speaker.write(np.ones((FRAME, 2), np.float32))
    assert speaker.wanted_frames() is None
    assert speaker.take(CALLBACK) is None


def test_a_speaker_that_ran_dry_fades_and_keeps_more_ahead_from_then_on() -> None:
    speaker, tone = DeviceSpeaker(), Tone(TONE_HZ, channels=2)
    speaker.set_running(True)
    before = speaker.ahead_seconds
    played = []
    for number in range(60):
        wanted = speaker.wanted_frames()
        assert wanted is not None
        if not 20 <= number < 40:
            for _ in range(wanted // FRAME):
                speaker.write(tone.read(FRAME))
        block = speaker.take(CALLBACK)
        played.append(np.zeros((CALLBACK, 2), np.float32) if block is None else block)
    assert speaker.underruns == 1
    assert speaker.ahead_seconds == pytest.approx(before + 0.01)
    assert level_dbfs(played[35]) == SILENCE_DBFS
    assert tone_dbfs(np.concatenate(played[-10:])[:, :1], TONE_HZ) == pytest.approx(-20.0, abs=1.0)
    calm = []
    for _ in range(3_100):
        for _ in range((speaker.wanted_frames() or 0) // FRAME):
            speaker.write(tone.read(FRAME))
        block = speaker.take(CALLBACK)
        assert block is not None
        calm.append(block)
    assert speaker.ahead_seconds == pytest.approx(before), "after half a minute it is as quick as before"
    assert_no_click(np.concatenate(calm))


class Voice:
    """A call that counts how often it was pulled."""

    def __init__(self) -> None:
        self.pulls = 0
        self._tone = Tone(TONE_HZ)

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        self.pulls += 1
        return {1: self._tone.read(frames)}


async def test_a_playout_follows_its_devices_clock_and_a_timer_while_there_is_none() -> None:
    speaker, voice = DeviceSpeaker(), Voice()
    playout = Playout(speaker)
    playout.add("call", voice)
    running = asyncio.create_task(playout.run())

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(3.0):
            while not true():  # noqa: ASYNC110  a device's thread would not wait for events either
                await asyncio.sleep(0.001)

    def filled() -> bool:
        wanted = speaker.wanted_frames()
        return wanted is not None and wanted < FRAME

    try:
        await until(lambda: voice.pulls >= 5)  # by the timer
        speaker.set_running(True)
        played = []
        for _ in range(40):
            await until(filled)
            block = speaker.take(CALLBACK)
            assert block is not None
            played.append(block)
        await until(filled)
        pulled = voice.pulls
        await asyncio.sleep(0.15)
        assert voice.pulls == pulled, "nobody took anything, so nothing more is wanted"
        speaker.set_running(False)
        await until(lambda: voice.pulls >= pulled + 5)
    finally:
        running.cancel()
    sound = np.concatenate(played)
    assert speaker.underruns == 0
    assert largest_step(sound) < 1.2 * STEADY_STEP
