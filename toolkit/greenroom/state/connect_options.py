"""With what a call is entered: microphone, camera, screen, devices. What is not said is left as it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from greenroom.state.call_settings import CallSettings


class Choice(StrEnum):
    """`PROVIDED`: the application brings the track itself."""

    DISABLED = "disabled"
    ENABLED = "enabled"
    PROVIDED = "provided"


class TrackOption(msgspec.Struct, frozen=True, eq=False):
    """Whether something is sent from the start. `track` is what `provided` was given, else None."""

    choice: Choice
    track: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrackOption) and (self.choice, self.track) == (other.choice, other.track)

    def __hash__(self) -> int:
        return hash((self.choice, id(self.track)))

    @property
    def on(self) -> bool:
        """Whether something is sent."""
        return self.choice is not Choice.DISABLED


DISABLED = TrackOption(Choice.DISABLED)
ENABLED = TrackOption(Choice.ENABLED)


def provided(track: object) -> TrackOption:
    """Return the option to send `track`; for a microphone that is an `AudioSource`, which stays yours to close."""
    if track is None:
        raise ValueError("a provided track is something to send, not None")
    return TrackOption(Choice.PROVIDED, track)


def enabled(on: bool) -> TrackOption:
    """Return the option of a switch."""
    return ENABLED if on else DISABLED


def toggled(option: TrackOption) -> TrackOption:
    """Return the other of enabled and disabled; a provided track stays."""
    return option if option.choice is Choice.PROVIDED else enabled(not option.on)


class CameraFacing(StrEnum):
    """Which camera of a phone."""

    USER = "user"
    ENVIRONMENT = "environment"


class Resolution(msgspec.Struct, frozen=True):
    """Pixels."""

    width: int
    height: int


class ConnectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """UNSET leaves a thing as it is: as it was when this room was left, else as the room's type says.

    `input_device` and `output_device` are an index, a name or a part of one; None is the system's default, which is not
    the same as UNSET. `camera` and `screen_share` are known, and refused as not available while there is no video.
    """

    microphone: TrackOption | UnsetType = UNSET
    camera: TrackOption | UnsetType = UNSET
    screen_share: TrackOption | UnsetType = UNSET
    input_device: str | UnsetType | None = UNSET
    output_device: str | UnsetType | None = UNSET
    camera_device: str | UnsetType | None = UNSET
    camera_facing: CameraFacing | UnsetType = UNSET
    camera_resolution: Resolution | UnsetType | None = UNSET
    screen_resolution: Resolution | UnsetType | None = UNSET


def merged(options: ConnectOptions, over: ConnectOptions) -> ConnectOptions:
    """Return `options` with every field that `over` sets; what `over` leaves unset stays."""
    said = {name: value for name in FIELDS if (value := getattr(over, name)) is not UNSET}
    return replace(options, **said) if said else options


FIELDS = ConnectOptions.__struct_fields__


def options_of(settings: CallSettings) -> ConnectOptions:
    """Return what a session's settings say about how it begins."""
    options = ConnectOptions()
    if settings.start_muted is not None:
        options = replace(options, microphone=enabled(not settings.start_muted))
    if settings.start_video_off is not None:
        options = replace(options, camera=enabled(not settings.start_video_off and not settings.audio_only))
    return options
