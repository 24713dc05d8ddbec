"""What a person prefers for their calls: a call's own, else the client's, else ours. Pure."""

from __future__ import annotations

import math

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from greenroom.policies.audio_config import AudioConfiguration


class CallPreferences(msgspec.Struct, frozen=True, kw_only=True):
    """UNSET leaves a value to whoever is asked next: the call, the client, then what is said here.

    `audio_configuration`: what calls use for what they do not say themselves (none).
    `reject_when_busy`: an incoming call while in another is rejected as busy (no).
    `drop_if_alone`: a call that began by ringing ends once everybody else has left (yes).
    `connect_timeout_seconds`: how long a join may take (60). `reconnect_timeout_seconds`: after how long without the
    server a call is left; 0 is never (0). `reaction_seconds`: how long a reaction is shown (5).
    Raises `ValueError` for what is not a value.
    """

    audio_configuration: AudioConfiguration | UnsetType | None = UNSET
    reject_when_busy: bool | UnsetType = UNSET
    drop_if_alone: bool | UnsetType = UNSET
    connect_timeout_seconds: float | UnsetType = UNSET
    reconnect_timeout_seconds: float | UnsetType = UNSET
    reaction_seconds: float | UnsetType = UNSET

    def __post_init__(self) -> None:
        for name, least in _LEAST_SECONDS.items():
            seconds = getattr(self, name)
            if seconds is UNSET:
                continue
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not number or not math.isfinite(seconds) or not least <= seconds <= MOST_SECONDS:
                raise ValueError(f"{name} is {least:g} to {MOST_SECONDS:g} seconds, not {seconds!r}")
        for name in ("reject_when_busy", "drop_if_alone"):
            if not isinstance(getattr(self, name), bool | UnsetType):
                raise ValueError(f"{name} is True or False, not {getattr(self, name)!r}")
        audio = self.audio_configuration
        if audio is not None and not isinstance(audio, AudioConfiguration | UnsetType):
            raise ValueError(f"audio_configuration is an AudioConfiguration, not {audio!r}")


MOST_SECONDS = 24 * 3600.0
_LEAST_SECONDS = {
    "connect_timeout_seconds": 0.1,
    "reconnect_timeout_seconds": 0.0,
    "reaction_seconds": 0.0,
}


class Preferences(msgspec.Struct, frozen=True):
    """What holds for a call, each value decided."""

    audio_configuration: AudioConfiguration | None = None
    reject_when_busy: bool = False
    drop_if_alone: bool = True
    connect_timeout_seconds: float = 60.0
    reconnect_timeout_seconds: float = 0.0
    reaction_seconds: float = 5.0


def over(preferences: CallPreferences, under: CallPreferences) -> CallPreferences:
    """Return each value from `preferences` where it says one, else from `under`."""
    said = {name: value for name in FIELDS if (value := getattr(preferences, name)) is not UNSET}
    return replace(under, **said) if said else under


def resolve_preferences(
    call: CallPreferences | None = None, client: CallPreferences | None = None
) -> Preferences:
    """Return what holds for a call, each value from the first who says one: the call, the client, ours."""
    both = over(call or CallPreferences(), client or CallPreferences())
    return Preferences(**{name: value for name in FIELDS if (value := getattr(both, name)) is not UNSET})


def changed(now: Preferences, by: CallPreferences) -> Preferences:
    """Return what holds after `by`: each value it sets."""
    said = {name: value for name in FIELDS if (value := getattr(by, name)) is not UNSET}
    return replace(now, **said) if said else now


FIELDS = CallPreferences.__struct_fields__
