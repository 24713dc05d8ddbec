"""What replicas are told of a room: a projection, and the public events that keep it so.

`fold(public events) == project(room)` at every step (the invariant the tests hold). A big audience is counted, not
listed: a projection names the stage, raised hands, invited people and the 250 earliest listeners.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec.structs import replace

from greenroom.protocol.deciding import Actor
from greenroom.protocol.events import (
    CameraChanged,
    ConnectionChanged,
    Event,
    GrantsChanged,
    HandLowered,
    HandRaised,
    InvitationEnded,
    InvitedToStage,
    MemberRemoved,
    MemberSet,
    MicrophoneChanged,
    ParticipantHidden,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantListed,
    ParticipantShown,
    PermissionsChanged,
    RoomCreated,
    ScreenShareChanged,
    SuspensionChanged,
    UserBlocked,
    UserUnblocked,
)
from greenroom.protocol.ids import ADMIN, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Room, may


class View(StrEnum):
    """Which projection somebody sees: what only moderators may know is in the second alone."""

    AUDIENCE = "audience"
    MODERATORS = "moderators"


def view_of(room: Room, user: UserId) -> View:
    """Return the projection `user` is entitled to."""
    return View.MODERATORS if may(room, user, Capability.BLOCK) else View.AUDIENCE


def view_for(room: Room, who: Actor) -> View:
    """Return the projection for somebody who need not be here: `who.role` counts for those the room does not know."""
    moderates = who.role == ADMIN or may(room, who.user, Capability.BLOCK, who.role)
    return View.MODERATORS if moderates else View.AUDIENCE


def named(room: Room, user: UserId) -> bool:
    """Tell whether replicas know `user` by name, rather than by count."""
    participant = room.participants.get(user)
    return participant is not None and (
        participant.listed
        or may(room, user, Capability.SEND_AUDIO)
        or user in room.invitations
        or any(hand.user == user for hand in room.hands)
    )


def project(room: Room, view: View) -> Room:
    """Return what `view` shows of `room`. Numbers of unnamed people are not given away by `next_number`."""
    hands = {hand.user for hand in room.hands}
    participants = {
        user: participant
        for user, participant in room.participants.items()
        if participant.listed
        or user in hands
        or user in room.invitations
        or may(room, user, Capability.SEND_AUDIO)
    }
    return replace(
        room,
        participants=participants,
        blocked=room.blocked if view is View.MODERATORS else {},
        next_number=0,
    )


def publish(before: Room | None, event: Event, after: Room | None, view: View) -> tuple[Event, ...]:
    """Return the public events that take `project(before)` to `project(after)`, where `after = evolve(before, event)`."""
    if isinstance(event, RoomCreated):
        return (RoomCreated(project(event.room, view)),)
    if before is None or after is None:
        return ()
    match event:
        case UserBlocked() | UserUnblocked():
            return (event,) if view is View.MODERATORS else ()
        case GrantsChanged():
            return (event, *_renamed(before, after))
        case ParticipantJoined(participant):
            return (event,) if named(after, participant.user) else ()
        case ParticipantLeft(user):
            return (event,) if named(before, user) else ()
        case ParticipantListed(user):
            if named(before, user):
                return (event,)
            return (ParticipantShown(after.participants[user]),) if user in after.participants else ()
        case HandRaised(hand):
            return _about(before, event, after, hand.user)
        case InvitedToStage(invitation):
            return _about(before, event, after, invitation.user)
        case MemberSet(member):
            return _about(before, event, after, member.user)
        case HandLowered(user) | InvitationEnded(user) | MemberRemoved(user) | PermissionsChanged(user):
            return _about(before, event, after, user)
        case (
            ConnectionChanged(user)
            | MicrophoneChanged(user)
            | CameraChanged(user)
            | ScreenShareChanged(user)
            | SuspensionChanged(user)
        ):
            return (event,) if named(before, user) else ()
        case _:
            return (event,)


def _about(before: Room, event: Event, after: Room, user: UserId) -> tuple[Event, ...]:
    """An event that changes the room beyond the person goes out in any case; around it, the person appears or fades."""
    was, is_ = named(before, user), named(after, user)
    if is_ and not was:
        return (event, ParticipantShown(after.participants[user]))
    if was and not is_ and user in after.participants:
        return (event, ParticipantHidden(user))
    return (event,)


def _renamed(before: Room, after: Room) -> tuple[Event, ...]:
    """Other grants for a role can put many people on the stage, or off it, at once."""
    changes: list[Event] = []
    for user, participant in after.participants.items():
        was, is_ = named(before, user), named(after, user)
        if is_ and not was:
            changes.append(ParticipantShown(participant))
        elif was and not is_:
            changes.append(ParticipantHidden(user))
    return tuple(changes)
