"""Which device a person means, and what an open stream is doing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.state.devices import (
    RETRY_SECONDS,
    Device,
    DevicePhase,
    Direction,
    Line,
    Unknown,
    Verdict,
    Watched,
    choose,
    judge,
    microphone_reason,
    retry_after_seconds,
)

IN, OUT = Direction.INPUT, Direction.OUTPUT
YETI = Device("pulse:yeti", 0, "Blue Yeti", inputs=2)
HEADSET_IN = Device("pulse:headset.in", 1, "USB Headset", inputs=1, default_input=True)
HEADSET_OUT = Device("pulse:headset.out", 2, "USB Headset", outputs=2)
TELEVISION = Device("pulse:tv", 3, "HDMI Television", outputs=2, default_output=True)
LISTENING_IN = Device("pulse:tv.monitor", 4, "Monitor of HDMI Television", inputs=2, monitor=True)
DEVICES = (LISTENING_IN, YETI, HEADSET_IN, HEADSET_OUT, TELEVISION)


@pytest.mark.parametrize(
    ("wish", "direction", "meant"),
    [
        pytest.param("", IN, HEADSET_IN, id="nothing said: the system's microphone"),
        pytest.param("", OUT, TELEVISION, id="nothing said: the system's loudspeaker"),
        pytest.param("0", IN, YETI, id="an index"),
        pytest.param("Blue Yeti", IN, YETI, id="a name"),
        pytest.param("yet", IN, YETI, id="a part of a name, in any case"),
        pytest.param("usb headset", OUT, HEADSET_OUT, id="one name, two directions: the loudspeaker"),
        pytest.param("pulse:yeti", IN, YETI, id="a key"),
        pytest.param("television", IN, LISTENING_IN, id="a monitor where nothing else fits"),
    ],
)
def test_a_device_is_meant_by_index_name_or_part_of_a_name(
    wish: str, direction: Direction, meant: Device
) -> None:
    assert choose(DEVICES, wish, direction) == meant


def test_a_name_that_fits_several_devices_is_answered_with_their_names() -> None:
    other = Device("pulse:yeti2", 9, "Blue Yeti Nano", inputs=1)
    answer = choose((*DEVICES, other), "yeti", IN)
    assert isinstance(answer, Unknown)
    assert "Blue Yeti Nano" in answer.words
    assert choose((*DEVICES, other), "blue yeti", IN) == YETI


@pytest.mark.parametrize(
    ("devices", "wish", "direction", "says"),
    [
        pytest.param((), "", IN, "no microphone", id="no device at all"),
        pytest.param((YETI,), "", OUT, "no loudspeaker", id="none that plays"),
        pytest.param(DEVICES, "3", IN, "no microphone '3'", id="the index of a loudspeaker"),
        pytest.param(DEVICES, "banjo", OUT, "greenroom devices", id="no such name"),
    ],
)
def test_a_device_that_is_not_there_is_said_in_words(
    devices: tuple[Device, ...], wish: str, direction: Direction, says: str
) -> None:
    answer = choose(devices, wish, direction)
    assert isinstance(answer, Unknown)
    assert says in answer.words


def test_without_a_default_the_first_that_is_no_monitor_is_taken() -> None:
    assert choose((LISTENING_IN, YETI), "", IN) == YETI
    assert choose((LISTENING_IN,), "", IN) == LISTENING_IN


@given(st.text(max_size=20), st.sampled_from(Direction))
def test_whatever_is_wished_a_device_of_that_direction_or_words_come_back(
    wish: str, direction: Direction
) -> None:
    answer = choose(DEVICES, wish, direction)
    assert answer.words if isinstance(answer, Unknown) else answer.channels(direction) > 0


@pytest.mark.parametrize(
    ("watched", "now", "verdict"),
    [
        pytest.param(Watched(10.0), 12.9, Verdict.WAITING, id="a new stream may take its time"),
        pytest.param(Watched(10.0), 13.1, Verdict.STALLED, id="but not for ever"),
        pytest.param(Watched(10.0, 20.0), 20.2, Verdict.RUNNING, id="sound passes"),
        pytest.param(Watched(10.0, 20.0), 20.4, Verdict.STALLED, id="nothing for 300 ms"),
        pytest.param(Watched(10.0, 20.0, 20.4), 25.3, Verdict.STALLED, id="it may come back"),
        pytest.param(Watched(10.0, 20.0, 20.4), 25.5, Verdict.GIVEN_UP, id="for 5 s"),
        pytest.param(Watched(10.0, 25.4, 20.4), 25.5, Verdict.RUNNING, id="it came back"),
    ],
)
def test_a_stream_without_sound_is_noticed(watched: Watched, now: float, verdict: Verdict) -> None:
    assert judge(watched, now) is verdict


def test_attempts_become_rarer_and_never_end() -> None:
    assert [retry_after_seconds(attempt) for attempt in range(1, 7)] == [*RETRY_SECONDS, 5.0, 5.0]


def test_a_missing_microphone_says_why() -> None:
    assert microphone_reason(Line(IN, phase=DevicePhase.RUNNING)) == ""
    assert (
        microphone_reason(Line(IN, phase=DevicePhase.LOST, reason="'Yeti' was unplugged"))
        == "'Yeti' was unplugged"
    )
    assert microphone_reason(Line(IN, phase=DevicePhase.ABSENT)) == "no microphone device"
