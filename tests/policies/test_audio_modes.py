"""Where one can listen, from the names of the devices."""

from __future__ import annotations

import pytest

from greenroom.policies.audio_modes import audio_modes, device_for, mode_of, selected_mode
from greenroom.state.call_settings import AudioMode
from greenroom.state.devices import Device, DevicePhase, DevicesState, Direction, Line

SPEAKER = Device("hda", 0, "Built-in Audio Analog Stereo", outputs=2, default_output=True)
MICROPHONE = Device("mic", 1, "Headset Microphone", inputs=1)
HEADSET = Device("usb", 2, "Jabra USB Headset", outputs=2)
BUDS = Device("bluez_output.00", 3, "Ann's Galaxy", outputs=2)
OTHER = Device("hdmi", 4, "HDMI monitor", outputs=2)
ALL = (OTHER, SPEAKER, MICROPHONE, HEADSET, BUDS)


@pytest.mark.parametrize(
    ("device", "mode"),
    [
        (SPEAKER, AudioMode.SPEAKER),
        (HEADSET, AudioMode.HEADPHONES),
        (BUDS, AudioMode.BLUETOOTH),
        (Device("x", 9, "Phone Earpiece", outputs=1), AudioMode.EARPIECE),
    ],
)
def test_a_devices_name_says_what_it_is(device: Device, mode: AudioMode) -> None:
    assert mode_of(device) is mode


def test_only_what_plays_is_somewhere_to_listen() -> None:
    assert audio_modes(DevicesState(available=(MICROPHONE, BUDS))) == (AudioMode.BLUETOOTH,)
    assert audio_modes(None) == ()


def test_the_systems_default_is_taken_before_another_of_its_kind() -> None:
    state = DevicesState(available=ALL)
    assert device_for(state, AudioMode.SPEAKER) is SPEAKER
    assert device_for(state, AudioMode.HEADPHONES) is HEADSET
    assert device_for(state, AudioMode.EARPIECE) is None


def test_where_one_listens_is_known_while_something_plays() -> None:
    line = Line(Direction.OUTPUT, phase=DevicePhase.RUNNING, device="Jabra USB Headset")
    assert selected_mode(DevicesState(available=ALL, speaker=line)) is AudioMode.HEADPHONES
    assert selected_mode(DevicesState(available=ALL)) is None
