"""Fold events into the room. Total: any event on any room gives a room, and nothing is raised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from greenroom.protocol.events import (
    CameraChanged,
    ConnectionChanged,
    CountsChanged,
    Event,
    GrantsChanged,
    HandLowered,
    HandRaised,
    InvitationEnded,
    InvitedToStage,
    LiveStopped,
    MemberRemoved,
    MemberSet,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    MicrophoneChanged,
    ParticipantHidden,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantListed,
    ParticipantShown,
    PermissionsChanged,
    RecordingChanged,
    RoomCreated,
    RoomEnded,
    RoomUpdated,
    ScreenShareChanged,
    SuspensionChanged,
    UserBlocked,
    UserUnblocked,
    WentLive,
)
from greenroom.protocol.ids import MessageId, UserId
from greenroom.protocol.permissions import NO_OVERRIDE, Capability
from greenroom.protocol.room import CHAT_TAIL, HandOutcome, Message, Participant, Room, may

K = TypeVar("K")
V = TypeVar("V")


def fold(room: Room | None, events: Iterable[Event]) -> Room | None:
    """Return `room` after all `events`, in order."""
    for event in events:
        room = evolve(room, event)
    return room


def evolve(room: Room | None, event: Event) -> Room | None:
    """Return `room` after `event`. `None` is a room that does not exist; only `RoomCreated` changes that."""
    if isinstance(event, RoomCreated):
        return event.room
    return None if room is None else _evolve(room, event)


def _evolve(room: Room, event: Event) -> Room:
    match event:
        case RoomUpdated(title, starts_at, settings):
            return replace(room, title=title, starts_at=starts_at, settings=settings)
        case GrantsChanged(grants):
            return _close_unallowed(replace(room, grants=grants), room.participants)
        case WentLive(at):
            return replace(room, live=True, live_since=at)
        case LiveStopped():
            return replace(room, live=False, live_since=None)
        case RoomEnded(at):
            return replace(
                room,
                ended_at=at,
                live=False,
                live_since=None,
                participants={},
                hands=(),
                invitations={},
                listed=0,
            )
        case MemberSet(member):
            room = replace(room, members={**room.members, member.user: member})
            return _change(room, member.user, role=member.role)
        case MemberRemoved(user, role):
            return _change(replace(room, members=_without(room.members, user)), user, role=role)
        case ParticipantJoined(participant) | ParticipantShown(participant):
            return _add(room, participant)
        case ParticipantLeft(user) | ParticipantHidden(user):
            return _remove(room, user)
        case ParticipantListed(user):
            known = room.participants.get(user)
            if known is None or known.listed:
                return room
            return _change(replace(room, listed=room.listed + 1), user, listed=True)
        case ConnectionChanged(user, connected):
            return _change(room, user, connected=connected)
        case MicrophoneChanged(user, on, by):
            return _change(room, user, microphone=on, muted_by=None if on else by)
        case CameraChanged(user, on):
            return _change(room, user, camera=on)
        case ScreenShareChanged(user, on):
            return _change(room, user, screen=on)
        case RecordingChanged(on):
            return replace(room, recording=on)
        case SuspensionChanged(user, suspended):
            return _change(room, user, suspended=suspended)
        case PermissionsChanged(user, granted, revoked):
            override = room.overrides.get(user, NO_OVERRIDE).grant(granted).revoke(revoked)
            overrides = _without(room.overrides, user)
            if override != NO_OVERRIDE:
                overrides[user] = override
            return _close_unallowed(replace(room, overrides=overrides), (user,))
        case HandRaised(hand):
            return replace(room, hands=(*(up for up in room.hands if up.user != hand.user), hand))
        case HandLowered(user, outcome):
            if outcome is HandOutcome.GRANTED:
                room = replace(room, turns={**room.turns, user: room.turns.get(user, 0) + 1})
            return replace(room, hands=tuple(hand for hand in room.hands if hand.user != user))
        case InvitedToStage(invitation):
            return replace(room, invitations={**room.invitations, invitation.user: invitation})
        case InvitationEnded(user):
            return replace(room, invitations=_without(room.invitations, user))
        case UserBlocked(block):
            return replace(room, blocked={**room.blocked, block.user: block})
        case UserUnblocked(user):
            return replace(room, blocked=_without(room.blocked, user))
        case MessagePosted(message):
            return replace(room, chat=(*room.chat, message)[-CHAT_TAIL:])
        case MessageEdited(id_, text, at):
            return _change_message(room, id_, lambda message: replace(message, text=text, edited_at=at))
        case MessageDeleted(id_, by):
            return _change_message(room, id_, lambda message: replace(message, text="", deleted_by=by))
        case CountsChanged(counts):
            return replace(room, counts=counts)
        case _:
            return room  # from a newer peer: what we do not know changes nothing


def _add(room: Room, participant: Participant) -> Room:
    before = room.participants.get(participant.user)
    listed = room.listed + participant.listed - (before is not None and before.listed)
    return replace(
        room,
        participants={**room.participants, participant.user: participant},
        listed=listed,
        next_number=room.next_number and max(room.next_number, participant.number + 1),
    )


def _remove(room: Room, user: UserId) -> Room:
    participant = room.participants.get(user)
    if participant is None:
        return room
    return replace(
        room, participants=_without(room.participants, user), listed=max(0, room.listed - participant.listed)
    )


def _change(room: Room, user: UserId, **changes: object) -> Room:
    participant = room.participants.get(user)
    if participant is None:
        return room  # a late word about someone who left is ordinary
    room = replace(room, participants={**room.participants, user: replace(participant, **changes)})
    return _close_unallowed(room, (user,)) if "role" in changes else room


def _close_unallowed(room: Room, users: Iterable[UserId]) -> Room:
    """Whoever may no longer speak has a closed microphone: opening it again is a wish of its own."""
    closed = {
        user: replace(participant, microphone=False)
        for user in users
        if (participant := room.participants.get(user)) is not None
        and participant.microphone
        and not may(room, user, Capability.SEND_AUDIO)
    }
    return replace(room, participants={**room.participants, **closed}) if closed else room


def _change_message(room: Room, id_: MessageId, change: Callable[[Message], Message]) -> Room:
    if not any(message.id == id_ for message in room.chat):
        return room
    changed = tuple(change(message) if message.id == id_ else message for message in room.chat)
    return replace(room, chat=changed)


def _without(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    return {known: value for known, value in mapping.items() if known != key}
