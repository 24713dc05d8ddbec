"""Events as sentences: for the log everybody sees, and for what one person must be told."""

from __future__ import annotations

from greenroom.protocol.events import (
    ConnectionChanged,
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
    MicrophoneChanged,
    ParticipantJoined,
    ParticipantLeft,
    PermissionsChanged,
    RoomCreated,
    RoomEnded,
    RoomUpdated,
    SuspensionChanged,
    UserBlocked,
    UserUnblocked,
    WentLive,
)
from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import HandOutcome, InvitationOutcome, LeaveReason, Room
from greenroom.protocol.wire import capability_names
from greenroom.views.words import role_word

LEFT = {
    LeaveReason.LEFT: "left",
    LeaveReason.LOST: "was disconnected and did not come back",
    LeaveReason.KICKED: "was sent out",
    LeaveReason.BLOCKED: "was blocked",
    LeaveReason.BACKSTAGE: "left when the room went backstage",
    LeaveReason.ENDED: "left when the room ended",
    LeaveReason.REPLACED: "went to another connection",
}
_LOWERED = {
    HandOutcome.WITHDRAWN: "took the hand down",
    HandOutcome.GRANTED: "was given the stage",
    HandOutcome.DENIED: "was turned down",
    HandOutcome.CLEARED: "had the hand lowered",
}
_INVITATION = {
    InvitationOutcome.ACCEPTED: "came onto the stage",
    InvitationOutcome.DECLINED: "declined the stage",
    InvitationOutcome.WITHDRAWN: "is no longer invited to the stage",
}


def name_of(room: Room | None, user: UserId | None) -> str:
    """Return the name a room knows for `user`, else the id; `someone` for nobody in particular."""
    if user is None:
        return "someone"
    if room is None:
        return user
    known = room.participants.get(user) or room.members.get(user)
    if known is not None:
        return known.name
    return next((hand.name for hand in room.hands if hand.user == user), user)


def event_words(event: Event, room: Room | None) -> str | None:
    """Return `event` as a sentence, or None where the log would only be noise. `room` is the room before it."""

    def name(user: UserId | None) -> str:
        return name_of(room, user)

    match event:
        case RoomCreated(created):
            return f"{name_of(created, created.created_by)} opened the room"
        case RoomUpdated(title, _, _, by):
            return f"{name(by)} changed the room “{title}”"
        case GrantsChanged(_, by):
            return f"{name(by)} changed what roles may do"
        case WentLive(_, by):
            return f"{name(by)} went live"
        case LiveStopped(_, by):
            return f"{name(by)} went backstage"
        case RoomEnded(_, by):
            return "the time of the room is over" if by is None else f"{name(by)} ended the room"
        case MemberSet(member, _):
            return f"{member.name} is {role_word(member.role)} now"
        case MemberRemoved(user):
            return f"{name(user)} has no role any more"
        case ParticipantJoined(participant):
            return f"{participant.name} came in"
        case ParticipantLeft(user, reason):
            return f"{name(user)} {LEFT[reason]}"
        case ConnectionChanged(user, connected):
            return f"{name(user)} is {'back' if connected else 'not reachable'}"
        case MicrophoneChanged(user, on, by):
            return f"{name(by)} muted {name(user)}" if by is not None and not on else None
        case SuspensionChanged(user, suspended):
            return f"{name(user)} is {'in another call' if suspended else 'back from another call'}"
        case PermissionsChanged(user, granted, revoked, by):
            return _permissions(name(user), granted, revoked, name(by))
        case HandRaised(hand):
            return f"{hand.name} raised a hand"
        case HandLowered(user, outcome) if outcome in _LOWERED:
            return f"{name(user)} {_LOWERED[outcome]}"
        case InvitedToStage(invitation):
            return f"{name(invitation.by)} invited {name(invitation.user)} to the stage"
        case InvitationEnded(user, outcome):
            return f"{name(user)} {_INVITATION[outcome]}"
        case UserBlocked(block):
            return f"{name(block.by)} blocked {name(block.user)}"
        case UserUnblocked(user, by):
            return f"{name(by)} unblocked {name(user)}"
        case MessageDeleted(_, by):
            return f"{name(by)} deleted a message"
        case _:
            return None


def notice_words(event: Event, room: Room | None, me: UserId) -> tuple[str, str] | None:
    """Return what `event` must tell `me`, with its tone (info, good, warning, bad), or None. `room`: before it."""
    match event:
        case MicrophoneChanged(user, False, by) if user == me and by is not None:
            return f"{name_of(room, by)} muted you", "warning"
        case PermissionsChanged(user, granted, revoked, by) if user == me:
            if Capability.SEND_AUDIO in granted:
                return "you may speak: open your microphone", "good"
            if Capability.SEND_AUDIO in revoked:
                return f"{name_of(room, by)} took you off the stage", "warning"
            return None
        case HandLowered(user, HandOutcome.DENIED, by) if user == me:
            return f"{name_of(room, by)} turned your hand down for now", "warning"
        case HandLowered(user, HandOutcome.CLEARED, by) if user == me:
            return f"{name_of(room, by)} lowered all hands", "info"
        case InvitedToStage(invitation) if invitation.user == me:
            return f"{name_of(room, invitation.by)} invites you to the stage", "good"
        case MemberSet(member) if member.user == me:
            return f"you are {role_word(member.role)} now", "info"
        case ParticipantLeft(user, LeaveReason.KICKED, by) if user == me:
            return f"{name_of(room, by)} sent you out of the room", "bad"
        case ParticipantLeft(user, LeaveReason.BLOCKED, by) if user == me:
            return f"{name_of(room, by)} blocked you from the room", "bad"
        case ParticipantLeft(user, LeaveReason.BACKSTAGE, by) if user == me:
            return "the room went backstage", "info"
        case RoomEnded(_, by):
            return "the room has ended", "info"
        case _:
            return None


def _permissions(name: str, granted: frozenset[Capability], revoked: frozenset[Capability], by: str) -> str:
    parts = []
    if Capability.SEND_AUDIO in granted:
        parts.append(f"{name} may speak")
    if Capability.SEND_AUDIO in revoked:
        parts.append(f"{by} took {name} off the stage")
    if rest := granted - {Capability.SEND_AUDIO}:
        parts.append(f"{name} was given {capability_names(rest)}")
    if rest := revoked - {Capability.SEND_AUDIO}:
        parts.append(f"{name} lost {capability_names(rest)}")
    return "; ".join(parts)
