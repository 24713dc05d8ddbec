"""Who counts as speaking; who talks with a closed microphone is told, in time and not too often."""

from __future__ import annotations

import pytest

from greenroom.policies.speaking import MutedSpeech, VoiceTrack, next_muted_speech, next_voice


def speaking_ms(heard: str, step_ms: int = 20) -> list[int]:
    """Return at which times somebody speaks, for what a detector says (v: voice) of each step."""
    track, times = VoiceTrack(), []
    for step, word in enumerate(heard):
        track = next_voice(track, word == "v", step_ms / 1000)
        if track.speaking:
            times.append(step * step_ms)
    return times


def test_a_voice_speaks_after_60_ms_and_until_400_ms_after_its_last_sound() -> None:
    times = speaking_ms("." * 10 + "v" * 10 + "." * 40)
    assert (times[0], times[-1]) == (240, 380 + 380)
    assert times == list(range(240, 780, 20)), "without a gap"


def test_a_cough_is_no_voice_and_a_pause_between_words_is_no_end() -> None:
    assert speaking_ms("." * 5 + "vv" + "." * 50) == []
    words = speaking_ms(("v" * 10 + "." * 15) * 4)
    assert words == list(range(words[0], words[-1] + 20, 20))


@pytest.mark.parametrize("step_ms", [10, 20])
def test_steps_of_any_length_come_to_the_same(step_ms: int) -> None:
    steps = 20 // step_ms
    times = speaking_ms(("v" * 5 + "." * 30).replace("v", "v" * steps).replace(".", "." * steps), step_ms)
    assert times[0] == 60 - step_ms


def told_at(levels: list[float], closed: bool = True) -> list[float]:
    """Return when somebody is told, for a level every 100 ms."""
    track, times = MutedSpeech(), []
    for step, level in enumerate(levels):
        track, tell = next_muted_speech(track, level, closed, step / 10)
        if tell:
            times.append(step / 10)
    return times


def test_a_second_of_speech_with_short_pauses_is_told() -> None:
    words = [-20.0, -20.0, -20.0, -70.0, -70.0]
    (first,) = told_at(words * 4)
    assert 1.0 <= first <= 2.0


def test_it_is_told_again_only_after_half_a_minute() -> None:
    first, second = told_at([-20.0] * 500)
    assert second - first >= 30.0


def test_a_cough_a_fan_and_an_open_microphone_are_not_told() -> None:
    assert told_at([-20.0] * 5 + [-70.0] * 50) == []
    assert told_at([-55.0] * 500) == []
    assert told_at([-20.0] * 500, closed=False) == []


def test_loud_keys_are_no_speech() -> None:
    track = MutedSpeech()
    for step in range(200):
        track, tell = next_muted_speech(track, -15.0, True, step / 10, voice=False)
        assert not tell


def test_coughs_far_apart_do_not_add_up_to_speech() -> None:
    assert told_at(([-20.0] * 5 + [-70.0] * 10) * 20) == []
