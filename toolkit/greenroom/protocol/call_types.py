"""Call types as data: the settings of a room and what each role may do in it."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from greenroom.protocol.ids import ANONYMOUS, CALL_MEMBER, GUEST, HOST, MODERATOR, SPEAKER, USER, Role
from greenroom.protocol.permissions import EVERYTHING, Capability, Grants


class HandPolicy(StrEnum):
    """Whose turn it is when a host says "next"."""

    FIRST_COME = "first_come"
    LEAST_TALKED = "least_talked"
    ROUND_ROBIN = "round_robin"


class AudioSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`access_request`: whether someone without `send-audio` may raise a hand for it."""

    access_request: bool = True
    microphone_default_on: bool = False
    speaker_default_on: bool = True
    default_device: str = "speaker"
    opus_dtx: bool = True
    redundant_coding: bool = True
    hifi: bool = False


class VideoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kept as values; the lines are offered inactive and every use is refused as `not_available`."""

    enabled: bool = False
    access_request: bool = False
    camera_default_on: bool = False
    width: int = 1280
    height: int = 720
    bitrate_kbps: int = 1_000


class ScreenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = False
    access_request: bool = False


class RingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds; 0 is off. `incoming`: how long an unanswered ring lasts; `auto_cancel`: how long a caller waits.

    `drop_when_alone`: whoever is left alone in a call that was placed by ringing is let go.
    """

    incoming_seconds: float = 0.0
    auto_cancel_seconds: float = 0.0
    drop_when_alone: bool = True


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """0 is no limit. `named_listeners`: how many of the audience every client knows by name; the rest are counted."""

    max_participants: int = 0
    named_listeners: int = 250
    max_duration_seconds: float = 0.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a room behaves. `backstage`: the room starts hidden from the audience until somebody goes live.

    `peer_to_peer`: while exactly two are here and both may speak, sound goes straight from one to the other.
    """

    backstage: bool = False
    join_ahead_seconds: float = 0.0
    private: bool = False
    peer_to_peer: bool = False
    hand_policy: HandPolicy = HandPolicy.FIRST_COME
    max_hands: int = 200
    audio: AudioSettings = AudioSettings()
    video: VideoSettings = VideoSettings()
    screen: ScreenSettings = ScreenSettings()
    ring: RingSettings = RingSettings()
    limits: Limits = Limits()


class CallType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of room: what a new one of it starts with."""

    name: str
    settings: Settings
    grants: Grants


C = Capability
_READ = frozenset({C.JOIN, C.READ})
_LISTEN = _READ | {C.REACT, C.CHAT}
_SEND = frozenset({C.SEND_AUDIO, C.SEND_VIDEO, C.SCREENSHARE})
_MODERATE = frozenset({C.MUTE, C.BLOCK, C.KICK, C.JOIN_BACKSTAGE, C.MODERATE_CHAT, C.SEND_AUDIO})
_HOST = frozenset(
    {
        C.UPDATE,
        C.UPDATE_SETTINGS,
        C.UPDATE_PERMISSIONS,
        C.UPDATE_MEMBER,
        C.REMOVE_MEMBER,
        C.END,
        C.JOIN_ENDED,
        C.CREATE,
        C.PIN,
        C.MAX_DURATION,
        C.RECORD,
        C.STOP_RECORD,
        C.BROADCAST,
        C.STOP_BROADCAST,
        C.TRANSCRIBE,
        C.CAPTION,
        C.NOISE_CANCELLATION,
    }
)


def _grants(
    user: frozenset[Capability], member: frozenset[Capability], host: frozenset[Capability]
) -> Grants:
    return {
        ANONYMOUS: _READ,
        GUEST: user - {C.CREATE},
        USER: user,
        CALL_MEMBER: member,
        SPEAKER: member | {C.SEND_AUDIO, C.JOIN_BACKSTAGE},
        MODERATOR: member | _MODERATE,
        HOST: member | _MODERATE | _HOST | host,
    }


AUDIO_ROOM = CallType(
    "audio_room",
    Settings(backstage=True),
    _grants(user=_LISTEN | {C.CREATE}, member=_LISTEN | {C.CREATE}, host=frozenset({C.SEND_AUDIO})),
)
DEFAULT = CallType(
    "default",
    Settings(
        audio=AudioSettings(microphone_default_on=True, default_device="earpiece"),
        video=VideoSettings(
            enabled=True,
            access_request=True,
            camera_default_on=True,
            width=2560,
            height=1440,
            bitrate_kbps=5_000,
        ),
        screen=ScreenSettings(enabled=True, access_request=True),
        ring=RingSettings(incoming_seconds=30.0, auto_cancel_seconds=45.0),
    ),
    _grants(user=_LISTEN | _SEND | {C.CREATE}, member=_LISTEN | _SEND | {C.CREATE}, host=_SEND),
)
DIRECT = CallType(
    "direct",
    replace(DEFAULT.settings, peer_to_peer=True),
    DEFAULT.grants,
)
LIVESTREAM = CallType(
    "livestream",
    Settings(
        backstage=True,
        audio=AudioSettings(access_request=False),
        video=VideoSettings(
            enabled=True, camera_default_on=True, width=1920, height=1080, bitrate_kbps=3_000
        ),
        screen=ScreenSettings(enabled=True),
    ),
    _grants(user=_LISTEN | {C.CREATE}, member=_LISTEN | {C.CREATE}, host=_SEND),
)
_EVERYBODY: tuple[Role, ...] = (ANONYMOUS, GUEST, USER, CALL_MEMBER, SPEAKER, MODERATOR, HOST)
DEVELOPMENT = CallType(
    "development",
    Settings(
        audio=AudioSettings(microphone_default_on=True, default_device="earpiece", hifi=True),
        video=VideoSettings(
            enabled=True, access_request=True, camera_default_on=True, width=1920, height=1080
        ),
        screen=ScreenSettings(enabled=True, access_request=True),
        ring=RingSettings(incoming_seconds=30.0, auto_cancel_seconds=45.0),
    ),
    dict.fromkeys(_EVERYBODY, EVERYTHING),
)

BUILT_IN = {kind.name: kind for kind in (AUDIO_ROOM, DEFAULT, DIRECT, LIVESTREAM, DEVELOPMENT)}
