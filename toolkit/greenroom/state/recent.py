"""What happened lately around who may speak and who does, with its time: what questions about silence are answered from."""

from __future__ import annotations

import msgspec

from greenroom.protocol.events import (
    ConnectionChanged,
    Event,
    GrantsChanged,
    HandLowered,
    LiveStopped,
    MemberRemoved,
    MemberSet,
    MicrophoneChanged,
    ParticipantJoined,
    ParticipantLeft,
    PermissionsChanged,
    RoomEnded,
    SuspensionChanged,
    UserBlocked,
    WentLive,
)
from greenroom.protocol.ids import UserId
from greenroom.protocol.room import Room, on_stage

KEPT = 300


class Happening(msgspec.Struct, frozen=True):
    """`event` reached us at `at`, wall-clock seconds. `name` is who it was about, as they were called then."""

    at: float
    event: Event
    user: UserId | None = None
    name: str = ""


def happening(event: Event, before: Room | None, after: Room | None, at: float) -> Happening | None:
    """Return `event` as worth remembering, or None; it turned `before` into `after`.

    The comings and goings of an audience are not: they would push out what matters.
    """
    if not _matters(event, before, after):
        return None
    user = about(event)
    return Happening(at, event, user, _name(before, after, user))


def about(event: Event) -> UserId | None:
    """Return whom `event` is about, or None for one about the room."""
    match event:
        case ParticipantJoined(person):
            return person.user
        case MemberSet(member):
            return member.user
        case UserBlocked(block):
            return block.user
        case (
            MicrophoneChanged(user)
            | SuspensionChanged(user)
            | ConnectionChanged(user)
            | PermissionsChanged(user)
            | ParticipantLeft(user)
            | HandLowered(user)
            | MemberRemoved(user)
        ):
            return user
        case _:
            return None


def _matters(event: Event, before: Room | None, after: Room | None) -> bool:
    match event:
        case MicrophoneChanged() | SuspensionChanged() | PermissionsChanged() | HandLowered():
            return True
        case MemberSet() | MemberRemoved() | GrantsChanged() | UserBlocked():
            return True
        case WentLive() | LiveStopped() | RoomEnded():
            return True
        case ConnectionChanged(user) | ParticipantLeft(user):
            return before is not None and on_stage(before, user)
        case ParticipantJoined(person):
            return after is not None and on_stage(after, person.user)
        case _:
            return False


def _name(before: Room | None, after: Room | None, user: UserId | None) -> str:
    for room in (after, before):
        if room is not None and user is not None and user in room.participants:
            return room.participants[user].name
    return user or ""
