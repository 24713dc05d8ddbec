"""What is not said about entering a call is left as it is."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from greenroom.state.call_settings import CallSettings
from greenroom.state.connect_options import (
    DISABLED,
    ENABLED,
    ConnectOptions,
    merged,
    options_of,
    provided,
    toggled,
)


def test_options_that_say_one_thing_leave_the_others_alone() -> None:
    known = ConnectOptions(microphone=ENABLED, input_device="USB")
    both = merged(known, ConnectOptions(camera=DISABLED))
    assert (both.microphone, both.camera, both.input_device) == (ENABLED, DISABLED, "USB")


def test_the_systems_default_is_said_and_is_not_the_same_as_nothing() -> None:
    known = ConnectOptions(output_device="Headphones")
    assert merged(known, ConnectOptions()).output_device == "Headphones"
    assert merged(known, ConnectOptions(output_device=None)).output_device is None
    assert ConnectOptions().output_device is UNSET


def test_a_switch_is_toggled_and_a_provided_track_stays() -> None:
    track = provided(object())
    assert (toggled(ENABLED), toggled(DISABLED), toggled(track)) == (DISABLED, ENABLED, track)


def test_nothing_cannot_be_provided() -> None:
    with pytest.raises(ValueError, match="not None"):
        provided(None)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        pytest.param(CallSettings(), ConnectOptions(), id="nothing said"),
        pytest.param(CallSettings(start_muted=True), ConnectOptions(microphone=DISABLED), id="muted"),
        pytest.param(CallSettings(start_muted=False), ConnectOptions(microphone=ENABLED), id="open"),
        pytest.param(CallSettings(start_video_off=True), ConnectOptions(camera=DISABLED), id="no video"),
        pytest.param(
            CallSettings(start_video_off=False, audio_only=True),
            ConnectOptions(camera=DISABLED),
            id="audio only has no video, whatever else is said",
        ),
    ],
)
def test_settings_say_how_a_session_begins(settings: CallSettings, options: ConnectOptions) -> None:
    assert options_of(settings) == options
