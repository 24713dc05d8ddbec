"""What a call's sound is made of, who said so, and what may still change while it is used. Pure.

Every value is the call's own, else the client's, else the broadcaster's. The result is fixed when the call first uses
sound, except for what Opus and RED can change from one packet to the next (`LIVE`), and what never leaves this machine
(`LOCAL`: the processing of the microphone, the route of the output).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec
from msgspec.structs import force_setattr, replace

from greenroom.errors import Malformed
from greenroom.policies.redundancy import Redundancy
from greenroom.protocol.call_types import AudioSettings
from greenroom.state.audio import (
    UNTOUCHED,
    Application,
    EffectiveAudio,
    ExpectedLoss,
    FrameLength,
    LiveAudio,
    NoiseSuppression,
    Origin,
    RedDepth,
    Route,
)


class BitrateProfile(StrEnum):
    """Named bitrates: a voice, a better voice, music in stereo."""

    VOICE_64K = "64k"
    VOICE_128K = "128k"
    MUSIC_128K_STEREO = "128k-stereo"


class AudioConfiguration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish about a call's sound. None leaves a value to whoever is asked next: call, client, broadcaster.

    `bitrate` in bits a second, 6,000 to 510,000; `complexity` 0 to 10; `red_depth` how many earlier packets each
    repeats, or "adaptive": as many as the listeners' loss asks for; `expected_loss_percent` 0 to 100, or "adaptive": what
    Opus is told of that loss; `frame_length_ms` how much sound a packet carries: 10, 20, 40 or 60;
    `playout_target_ms` 40 to 200.
    """

    channels: Literal[1, 2] | None = None
    sample_rate_hz: Literal[8_000, 12_000, 16_000, 24_000, 48_000] | None = None
    bitrate: int | None = None
    application: Application | None = None
    complexity: int | None = None
    dtx: bool | None = None
    fec: bool | None = None
    expected_loss_percent: ExpectedLoss | None = None
    red_depth: RedDepth | None = None
    frame_length_ms: FrameLength | None = None
    echo_cancellation: bool | None = None
    noise_suppression: NoiseSuppression | None = None
    gain_control: bool | None = None
    playout_target_ms: int | None = None
    stereo_playout: bool | None = None
    output_route: Route | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is None or (name in _ADAPTIVE and value == "adaptive"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} is {least} to {most}, not {value}")
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or value not in allowed):
                raise ValueError(f"{name} is one of {', '.join(map(str, allowed))}, not {value}")
        for name in _SWITCHES:
            value = getattr(self, name)
            if value is not None and not isinstance(value, bool):
                raise ValueError(f"{name} is True or False, not {value}")
        if self.noise_suppression is not None:  # "strong" is as good as NoiseSuppression.STRONG
            force_setattr(self, "noise_suppression", NoiseSuppression(self.noise_suppression))


_RANGES: Mapping[str, tuple[int, int]] = {
    "bitrate": (6_000, 510_000),
    "complexity": (0, 10),
    "expected_loss_percent": (0, 100),
    "playout_target_ms": (40, 200),
}
_ADAPTIVE = frozenset({"expected_loss_percent"})
_SWITCHES = ("dtx", "fec", "echo_cancellation", "gain_control", "stereo_playout")
_CHOICES: Mapping[str, tuple[object, ...]] = {
    "channels": (1, 2),
    "sample_rate_hz": (8_000, 12_000, 16_000, 24_000, 48_000),
    "application": ("voip", "audio", "lowdelay"),
    "red_depth": ("adaptive", 0, 1, 2),
    "frame_length_ms": (10, 20, 40, 60),
    "noise_suppression": tuple(NoiseSuppression),
    "output_route": ("speaker", "headphones", "bluetooth", "earpiece"),
}
FIELDS = AudioConfiguration.__struct_fields__
LIVE = frozenset({"bitrate", "dtx", "fec", "expected_loss_percent", "red_depth"})
"""What may change while a call uses sound; it acts on the next packet."""
LOCAL = frozenset({"echo_cancellation", "noise_suppression", "gain_control", "output_route"})
"""What may change as well, because nobody else notices: it acts on the next block, by a cross-fade."""


def broadcaster() -> AudioConfiguration:
    """Return the values for somebody who speaks to many: also what everything falls back to."""
    return AudioConfiguration(
        channels=1,
        sample_rate_hz=48_000,
        bitrate=64_000,
        application="voip",
        complexity=9,
        dtx=True,
        fec=True,
        expected_loss_percent="adaptive",
        red_depth="adaptive",
        frame_length_ms=20,
        echo_cancellation=True,
        noise_suppression=NoiseSuppression.NORMAL,
        gain_control=True,
        playout_target_ms=40,
        stereo_playout=False,
        output_route="speaker",
    )


def conversation() -> AudioConfiguration:
    """Return the values for people who talk with each other: half the bits, as little delay."""
    return replace(broadcaster(), bitrate=32_000, complexity=5)


def viewer() -> AudioConfiguration:
    """Return the values for somebody who mostly listens: a longer buffer, stereo, no processing of a microphone."""
    return replace(
        conversation(),
        echo_cancellation=False,
        noise_suppression=NoiseSuppression.OFF,
        gain_control=False,
        playout_target_ms=80,
        stereo_playout=True,
    )


def hi_fi() -> AudioConfiguration:
    """Return the values for music: stereo, untouched, never silent; only where the room allows it."""
    return AudioConfiguration(
        channels=2,
        sample_rate_hz=48_000,
        bitrate=128_000,
        application="audio",
        complexity=10,
        dtx=False,
        fec=False,  # music is not coded in the way that has it
        expected_loss_percent="adaptive",
        red_depth=1,
        frame_length_ms=20,
        echo_cancellation=False,
        noise_suppression=NoiseSuppression.OFF,
        gain_control=False,
        playout_target_ms=100,
        stereo_playout=True,
        output_route="headphones",
    )


def custom(base: AudioConfiguration, **changes: Any) -> AudioConfiguration:
    """Return `base` with some values changed. Raises `ValueError` for a value, `TypeError` for a name, that is not one."""
    return replace(base, **changes)


PROFILES: Mapping[str, AudioConfiguration] = {
    "broadcaster": broadcaster(),
    "conversation": conversation(),
    "viewer": viewer(),
    "hi-fi": hi_fi(),
}


def profile_named(name: str) -> AudioConfiguration:
    """Return the profile of this name, e.g. "hi-fi", or what a named bitrate says. Raises `Malformed` for no such name."""
    return PROFILES[name] if name in PROFILES else AudioConfiguration(**values_of(name))


def with_bitrate_profile(before: AudioConfiguration, profile: BitrateProfile) -> AudioConfiguration:
    """Return `before` at a named bitrate. Music also switches the processing of the microphone off."""
    match profile:
        case BitrateProfile.VOICE_64K:
            return replace(before, bitrate=64_000, channels=1, application="voip")
        case BitrateProfile.VOICE_128K:
            return replace(before, bitrate=128_000, channels=1, application="voip")
        case BitrateProfile.MUSIC_128K_STEREO:
            music = {name: getattr(hi_fi(), name) for name in _OF_MUSIC}
            return replace(before, **music)


def values_of(name: str) -> Mapping[str, Any]:
    """Return what a profile, or a named bitrate ("64k", "128k", "128k-stereo"), says. Raises `Malformed` for others."""
    if name in PROFILES:
        return {field: getattr(PROFILES[name], field) for field in FIELDS}
    if name not in set(BitrateProfile):
        names = ", ".join([*PROFILES, *BitrateProfile])
        raise Malformed(f"there is no profile '{name[:40]}'; there are {names}")
    said = with_bitrate_profile(AudioConfiguration(), BitrateProfile(name))
    return {field: value for field in FIELDS if (value := getattr(said, field)) is not None}


_OF_MUSIC = (
    "bitrate", "channels", "application", "dtx", "fec", "red_depth",
    "echo_cancellation", "noise_suppression", "gain_control",
)  # fmt: skip


def resolve(
    call: AudioConfiguration | None = None,
    client: AudioConfiguration | None = None,
    room: AudioSettings | None = None,
    *,
    music: bool = False,
) -> EffectiveAudio:
    """Return each value from the first who says one: the call, the client, the broadcaster.

    A room that wants no DTX or no repeated packets has the last word about those. With `music` the microphone is left
    untouched and nothing soft is taken for a pause, whoever says otherwise; without it all is again what it was.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    asked = ((Origin.CALL, call), (Origin.CLIENT, client), (Origin.BROADCASTER, broadcaster()))
    for name in FIELDS:
        for origin, configuration in asked:
            value = None if configuration is None else getattr(configuration, name)
            if value is not None:
                values[name], origins[name] = value, origin
                break
    for name, value in _WHILE_MUSIC.items() if music else ():
        if values[name] != value:
            values[name], origins[name] = value, Origin.MUSIC
    if room is not None and not room.opus_dtx and values["dtx"]:
        values["dtx"], origins["dtx"] = False, Origin.ROOM
    if room is not None and not room.redundant_coding and values["red_depth"] != 0:
        values["red_depth"], origins["red_depth"] = 0, Origin.ROOM
    return EffectiveAudio(**values, origins=origins, music=music)


_WHILE_MUSIC: Mapping[str, Any] = {
    "dtx": False,
    "echo_cancellation": UNTOUCHED.echo_cancellation,
    "noise_suppression": UNTOUCHED.noise_suppression,
    "gain_control": UNTOUCHED.gain_control,
}


def why_refused(audio: EffectiveAudio, room: AudioSettings) -> str | None:
    """Return why a room does not allow this sound, in words, or None when it does.

    High fidelity is stereo, Opus' mode for music, or more than 128 kb/s.
    """
    if room.hifi or not (audio.channels == 2 or audio.application == "audio" or audio.bitrate > 128_000):
        return None
    return (
        "this room does not allow high-fidelity sound; ask a host to allow it, or join with another profile"
    )


def changed_though_frozen(before: EffectiveAudio, after: EffectiveAudio) -> tuple[str, ...]:
    """Return which values differ that cannot change any more, in the order of `FIELDS`."""
    if not before.frozen:
        return ()
    return tuple(
        name for name in FIELDS if name not in LIVE | LOCAL and getattr(before, name) != getattr(after, name)
    )


def live_audio(audio: EffectiveAudio, redundancy: Redundancy) -> LiveAudio:
    """Return what to send now, given what the configuration wants and the listeners lose."""
    depth = redundancy.red_depth if audio.red_depth == "adaptive" else audio.red_depth
    told = audio.expected_loss_percent
    expected = redundancy.expected_loss_percent if told == "adaptive" else told
    return LiveAudio(audio.bitrate, audio.dtx, audio.fec, depth, expected)
