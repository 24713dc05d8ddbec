"""What happened in a room. Past tense, numbered by the server, folded by everyone with `evolve`."""

from __future__ import annotations

import msgspec

from greenroom.protocol.call_types import Settings
from greenroom.protocol.ids import MessageId, Role, UserId
from greenroom.protocol.permissions import Capability, Grants
from greenroom.protocol.room import (
    Block,
    Counts,
    Hand,
    HandOutcome,
    Invitation,
    InvitationOutcome,
    LeaveReason,
    Member,
    Message,
    Participant,
    Room,
)


class _Event(msgspec.Struct, frozen=True, tag_field="event"):
    pass


class RoomCreated(_Event, frozen=True, tag="room_created"):
    room: Room


class RoomUpdated(_Event, frozen=True, tag="room_updated"):
    title: str
    starts_at: float | None
    settings: Settings
    by: UserId


class GrantsChanged(_Event, frozen=True, tag="grants_changed"):
    grants: Grants
    by: UserId


class WentLive(_Event, frozen=True, tag="went_live"):
    at: float
    by: UserId


class LiveStopped(_Event, frozen=True, tag="live_stopped"):
    at: float
    by: UserId


class RoomEnded(_Event, frozen=True, tag="room_ended"):
    at: float
    by: UserId | None


class MemberSet(_Event, frozen=True, tag="member_set"):
    """Somebody became a member, or got another role or name."""

    member: Member
    by: UserId


class MemberRemoved(_Event, frozen=True, tag="member_removed"):
    """`role` is what the person has without the membership."""

    user: UserId
    role: Role
    by: UserId


class ParticipantJoined(_Event, frozen=True, tag="participant_joined"):
    participant: Participant


class ParticipantLeft(_Event, frozen=True, tag="participant_left"):
    user: UserId
    reason: LeaveReason
    by: UserId | None = None


class ParticipantListed(_Event, frozen=True, tag="participant_listed"):
    """A listener moved up among those whom every replica names."""

    user: UserId


class ParticipantShown(_Event, frozen=True, tag="participant_shown"):
    """Public only: somebody who was just counted is named from now on."""

    participant: Participant


class ParticipantHidden(_Event, frozen=True, tag="participant_hidden"):
    """Public only: somebody is counted and no longer named."""

    user: UserId


class ConnectionChanged(_Event, frozen=True, tag="connection_changed"):
    """`connected` false: the person's connection is lost and may come back."""

    user: UserId
    connected: bool


class MicrophoneChanged(_Event, frozen=True, tag="microphone_changed"):
    """`by` is set when a moderator closed it."""

    user: UserId
    on: bool
    by: UserId | None = None


class CameraChanged(_Event, frozen=True, tag="camera_changed"):
    """`by` is set when a moderator closed it."""

    user: UserId
    on: bool
    by: UserId | None = None


class ScreenShareChanged(_Event, frozen=True, tag="screen_share_changed"):
    """`by` is set when a moderator ended it."""

    user: UserId
    on: bool
    by: UserId | None = None


class RecordingChanged(_Event, frozen=True, tag="recording_changed"):
    on: bool
    by: UserId | None = None


class SuspensionChanged(_Event, frozen=True, tag="suspension_changed"):
    user: UserId
    suspended: bool


class PermissionsChanged(_Event, frozen=True, tag="permissions_changed"):
    user: UserId
    granted: frozenset[Capability] = frozenset()
    revoked: frozenset[Capability] = frozenset()
    by: UserId | None = None


class HandRaised(_Event, frozen=True, tag="hand_raised"):
    hand: Hand


class HandLowered(_Event, frozen=True, tag="hand_lowered"):
    user: UserId
    outcome: HandOutcome
    by: UserId | None = None


class InvitedToStage(_Event, frozen=True, tag="invited_to_stage"):
    invitation: Invitation


class InvitationEnded(_Event, frozen=True, tag="invitation_ended"):
    user: UserId
    outcome: InvitationOutcome


class UserBlocked(_Event, frozen=True, tag="user_blocked"):
    block: Block


class UserUnblocked(_Event, frozen=True, tag="user_unblocked"):
    user: UserId
    by: UserId


class MessagePosted(_Event, frozen=True, tag="message_posted"):
    message: Message


class MessageEdited(_Event, frozen=True, tag="message_edited"):
    id: MessageId
    text: str
    at: float


class MessageDeleted(_Event, frozen=True, tag="message_deleted"):
    id: MessageId
    by: UserId
    at: float


class CountsChanged(_Event, frozen=True, tag="counts_changed"):
    counts: Counts


Event = (
    RoomCreated
    | RoomUpdated
    | GrantsChanged
    | WentLive
    | LiveStopped
    | RoomEnded
    | MemberSet
    | MemberRemoved
    | ParticipantJoined
    | ParticipantLeft
    | ParticipantListed
    | ParticipantShown
    | ParticipantHidden
    | ConnectionChanged
    | MicrophoneChanged
    | CameraChanged
    | ScreenShareChanged
    | RecordingChanged
    | SuspensionChanged
    | PermissionsChanged
    | HandRaised
    | HandLowered
    | InvitedToStage
    | InvitationEnded
    | UserBlocked
    | UserUnblocked
    | MessagePosted
    | MessageEdited
    | MessageDeleted
    | CountsChanged
)
