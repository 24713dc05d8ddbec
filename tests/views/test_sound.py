"""Devices to choose from, and what turning a knob does."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.policies.audio_config import AudioConfiguration, resolve
from greenroom.protocol.ids import Cid, UserId
from greenroom.state.call import CallState
from greenroom.state.devices import NO_DEVICE, Device, DevicePhase, DevicesState, Direction, Line
from greenroom.state.own_requests import ConfigureAudio, SetPersonMuted, SetVolume
from greenroom.state.volumes import Volume
from greenroom.views.devices import choice_rows
from greenroom.views.knobs import knob_label, mute_turned, next_value, turned, volume_turned, volume_words

YETI = Device("pulse:yeti", 0, "Blue Yeti", inputs=1, default_input=True)
TWINS = (Device("usb:1", 1, "USB Audio", outputs=2), Device("usb:2", 2, "USB Audio", outputs=2))
ME, BO = UserId("me"), UserId("bo")
CALL = CallState(Cid("audio_room:a"), ME, audio=resolve(AudioConfiguration(bitrate=50_000)))


def devices(microphone: Line, *available: Device) -> DevicesState:
    return DevicesState(available=available, microphone=microphone)


def test_there_is_the_default_each_device_and_none_to_choose() -> None:
    state = devices(Line(Direction.INPUT, "", DevicePhase.RUNNING, "Blue Yeti"), YETI)
    default, yeti, none = choice_rows(state)
    assert (default.chosen, default.running, default.note) == (True, False, "Blue Yeti")
    assert (yeti.chosen, yeti.running, yeti.wish, yeti.note) == (False, True, "Blue Yeti", "default")
    assert (none.wish, none.chosen) == (NO_DEVICE, False)


def test_the_device_that_was_asked_for_is_marked_also_by_a_part_of_its_name() -> None:
    rows = {row.name: row for row in choice_rows(devices(Line(Direction.INPUT, "yeti"), YETI))}
    assert rows["Blue Yeti"].chosen
    assert not rows["system default"].chosen


def test_a_device_that_is_gone_stays_in_the_list_as_what_was_asked_for() -> None:
    rows = choice_rows(devices(Line(Direction.INPUT, "Old Mic", DevicePhase.LOST), YETI))
    gone = next(row for row in rows if row.name == "Old Mic")
    assert (gone.chosen, gone.note) == (True, "not there now")


def test_two_of_the_same_name_are_asked_for_by_what_the_system_calls_them() -> None:
    rows = [row for row in choice_rows(DevicesState(available=TWINS)) if row.name == "USB Audio"]
    assert [row.wish for row in rows] == ["usb:1", "usb:2"]
    assert len({row.key for row in rows}) == 2


def test_without_devices_there_is_nothing_to_choose() -> None:
    assert choice_rows(DevicesState()) == ()


@pytest.mark.parametrize(
    ("name", "steps", "values"),
    [
        pytest.param("bitrate", 1, [64_000, 96_000, 128_000, 192_000, 256_000, 256_000], id="up to the end"),
        pytest.param("bitrate", -1, [48_000, 32_000, 24_000, 16_000, 12_000, 12_000], id="down to the end"),
        pytest.param("red_depth", 1, [0, 1, 2, "adaptive", 0], id="RED goes round"),
        pytest.param(
            "expected_loss_percent", 1, [0, 5, 10, 20, 30, "adaptive"], id="expected loss goes round"
        ),
        pytest.param("noise_suppression", 1, ["strong", "off", "normal"], id="noise goes round"),
        pytest.param("fec", 1, [False, True], id="a switch"),
    ],
)
def test_a_knob_goes_from_value_to_value(name: str, steps: int, values: list[object]) -> None:
    audio, seen = CALL.audio, []
    assert audio is not None
    for _ in values:
        audio = replace(audio, **{name: next_value(audio, name, steps)})
        seen.append(getattr(audio, name))
    assert seen == values


def test_a_label_says_what_turning_would_do() -> None:
    assert knob_label(CALL, "bitrate", "Bitrate") == "Bitrate 64 kb/s"
    assert knob_label(CALL, "fec", "FEC") == "FEC off"
    assert knob_label(CALL, "red_depth", "RED") == "RED: none"
    assert turned(CALL, "fec") == ConfigureAudio({"fec": False})
    assert turned(replace(CALL, audio=None), "fec") is None


def test_volume_and_mute_are_of_the_person_who_is_meant() -> None:
    louder = volume_turned(CALL, BO, 1)
    assert isinstance(louder, SetVolume)
    assert louder.gain == pytest.approx(1.41, abs=0.01)
    assert mute_turned(CALL, BO) == SetPersonMuted(BO, True)
    assert mute_turned(replace(CALL, muted_for_me=frozenset({BO})), BO) == SetPersonMuted(BO, False)
    assert volume_turned(CALL, None, 1) is None
    assert mute_turned(CALL, None) is None


@pytest.mark.parametrize(
    ("volume", "words"),
    [(Volume(), ""), (Volume(2.0), "+6 dB"), (Volume(0.5), "−6 dB"), (Volume(0.0), "silent for me"),
     (Volume(0.5, muted=True), "muted for me")],
)  # fmt: skip
def test_a_volume_is_told_in_decibels(volume: Volume, words: str) -> None:
    assert volume_words(volume) == words
