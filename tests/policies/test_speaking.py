"""Who talks with a closed microphone is told, in time and not too often."""

from __future__ import annotations

from greenroom.policies.speaking import MutedSpeech, next_muted_speech


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


def test_coughs_far_apart_do_not_add_up_to_speech() -> None:
    assert told_at(([-20.0] * 5 + [-70.0] * 10) * 20) == []
