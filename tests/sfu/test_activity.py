"""Loudness falls with time, and speech is told in segments."""

from __future__ import annotations

import pytest

from greenroom.sfu.activity import LONGEST_SEGMENT_SECONDS, Activity, Segment, assumed_level

NOW = 50.0


def speak(activity: Activity, start: float, seconds: float, level: int = -20) -> float:
    frames = round(seconds * 50)
    for frame in range(frames):
        activity.heard(level, start + frame * 0.02)
    return start + frames * 0.02


def test_loudness_rises_in_a_few_frames_and_falls_sixty_decibels_a_second() -> None:
    activity = Activity()
    end = speak(activity, NOW, 0.2) - 0.02
    assert activity.loudness(end) == pytest.approx(-20, abs=3)
    assert activity.loudness(end + 0.5) == pytest.approx(activity.loudness(end) - 30, abs=0.1)
    assert activity.loudness(end + 60) == -127


def test_one_loud_click_does_not_look_like_speech() -> None:
    activity = Activity()
    activity.heard(-10, NOW)
    assert activity.loudness(NOW) < -60


def test_a_sentence_is_one_segment_through_its_pauses() -> None:
    activity = Activity()
    end = speak(activity, NOW, 1.0)
    assert activity.take_segment(end) is None
    end = speak(activity, end + 0.3, 1.0)
    assert activity.take_segment(end + 0.3) is None
    segment = activity.take_segment(end + 2.0)
    assert segment is not None
    assert segment.started == pytest.approx(NOW, abs=0.2)
    assert segment.ended == pytest.approx(end, abs=0.2)
    assert activity.take_segment(end + 3.0) is None


def test_a_cough_is_no_segment() -> None:
    activity = Activity()
    end = speak(activity, NOW, 0.16)
    assert activity.take_segment(end + 2) is None


def test_a_long_speech_is_told_in_parts_that_join() -> None:
    activity = Activity()
    parts: list[Segment] = []
    for frame in range(round(50 * (2.5 * LONGEST_SEGMENT_SECONDS))):
        now = NOW + frame * 0.02
        activity.heard(-20, now)
        part = activity.take_segment(now)
        if part is not None:
            parts.append(part)
    assert len(parts) == 2
    assert parts[0].ended == parts[1].started


def test_a_line_that_closes_ends_the_segment() -> None:
    activity = Activity()
    end = speak(activity, NOW, 1.0)
    assert activity.take_segment(end, ending=True) is not None
    assert activity.started is None


def test_the_level_told_is_the_loudest_since_the_last_time() -> None:
    activity = Activity()
    activity.heard(-40, NOW)
    activity.heard(-25, NOW)
    activity.heard(-60, NOW)
    assert activity.take_level() == -25
    assert activity.take_level() == -127


def test_frames_without_a_level_are_voice_unless_they_say_nothing() -> None:
    assert assumed_level(2) == -127
    assert assumed_level(80) > -50
