"""What a person can ask of a room. Imperative; may be refused."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from greenroom.protocol.call_types import HandPolicy, Settings
from greenroom.protocol.ids import MessageId, Role, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.ringing import RingKind, Scalar


class _Request(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    pass


class NewMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to be a member from the start."""

    user: UserId
    role: Role
    name: str = ""


class GetOrCreate(_Request, frozen=True, tag="get_or_create"):
    """Make the room unless it is there; who makes it becomes its host. `None` keeps what the call type says."""

    title: str = ""
    members: tuple[NewMember, ...] = ()
    backstage: bool | None = None
    private: bool | None = None
    starts_at: float | None = None


class Join(_Request, frozen=True, tag="join"):
    """Come in."""


class Leave(_Request, frozen=True, tag="leave"):
    """Go; the room goes on."""


class End(_Request, frozen=True, tag="end"):
    """End the room for everybody."""


class GoLive(_Request, frozen=True, tag="go_live"):
    """Let the audience in."""


class StopLive(_Request, frozen=True, tag="stop_live"):
    """Send the audience out and stay backstage."""


class SetMicrophone(_Request, frozen=True, tag="set_microphone"):
    """Open or close one's own microphone."""

    on: bool


class SetSuspended(_Request, frozen=True, tag="set_suspended"):
    """Say that one's audio is held by another call."""

    suspended: bool


class SetCamera(_Request, frozen=True, tag="set_camera"):
    """Known, and refused as not available."""

    on: bool


class SetScreenShare(_Request, frozen=True, tag="set_screen_share"):
    """Known, and refused as not available."""

    on: bool


class PauseVideo(_Request, frozen=True, tag="pause_video"):
    """Close somebody's camera. Known, and refused as not available."""

    user: UserId


class SetRecording(_Request, frozen=True, tag="set_recording"):
    """Begin or end a recording. Known, and refused as not available."""

    on: bool


class RaiseHand(_Request, frozen=True, tag="raise_hand"):
    """Ask to speak."""


class WithdrawHand(_Request, frozen=True, tag="withdraw_hand"):
    """Take one's own hand down."""


class GrantHand(_Request, frozen=True, tag="grant_hand"):
    """Let the owner of a raised hand onto the stage."""

    user: UserId


class DenyHand(_Request, frozen=True, tag="deny_hand"):
    """Turn a raised hand down; its owner is told."""

    user: UserId


class NextHand(_Request, frozen=True, tag="next_hand"):
    """Grant the hand whose turn it is."""


class LowerAllHands(_Request, frozen=True, tag="lower_all_hands"):
    """Empty the queue."""


class InviteToStage(_Request, frozen=True, tag="invite_to_stage"):
    """Offer the stage to somebody without a raised hand."""

    user: UserId


class AcceptInvitation(_Request, frozen=True, tag="accept_invitation"):
    """Come onto the stage."""


class DeclineInvitation(_Request, frozen=True, tag="decline_invitation"):
    """Stay in the audience."""


class Grant(_Request, frozen=True, tag="grant"):
    """Give one person capabilities beyond their role."""

    user: UserId
    capabilities: frozenset[Capability]


class Revoke(_Request, frozen=True, tag="revoke"):
    """Take capabilities from one person; a microphone that depended on it closes at once."""

    user: UserId
    capabilities: frozenset[Capability]


class Mute(_Request, frozen=True, tag="mute"):
    """Close somebody's microphone; they may open it again."""

    user: UserId


class MuteAll(_Request, frozen=True, tag="mute_all"):
    """Close every microphone but one's own."""


class Kick(_Request, frozen=True, tag="kick"):
    """Send somebody out; they may come back."""

    user: UserId


class BlockUser(_Request, frozen=True, tag="block"):
    """Send somebody out and keep them out."""

    user: UserId


class UnblockUser(_Request, frozen=True, tag="unblock"):
    """Let somebody who was blocked come back."""

    user: UserId


class SetRole(_Request, frozen=True, tag="set_role"):
    """Make somebody a member with a role, or change it."""

    user: UserId
    role: Role
    name: str = ""


class RemoveMember(_Request, frozen=True, tag="remove_member"):
    """Take somebody's role away. Not a kick."""

    user: UserId


class PostMessage(_Request, frozen=True, tag="post_message"):
    """Say something in the chat."""

    text: str


class EditMessage(_Request, frozen=True, tag="edit_message"):
    """Change one's own message."""

    id: MessageId
    text: str


class DeleteMessage(_Request, frozen=True, tag="delete_message"):
    """Remove one's own message, or as a moderator anybody's."""

    id: MessageId


class UpdateRoom(_Request, frozen=True, tag="update_room"):
    """Change title, start time, queue policy or settings; `None` leaves a thing as it is."""

    title: str | None = None
    starts_at: float | None = None
    hand_policy: HandPolicy | None = None
    settings: Settings | None = None


class SetGrants(_Request, frozen=True, tag="set_grants"):
    """Replace what these roles may do in this room."""

    grants: Mapping[Role, frozenset[Capability]]


class StartRing(_Request, frozen=True, tag="start_ring"):
    """Call `members` into the room, which is made for it unless it is there; with a call going on, call more people.

    No members: everybody who is a member and not here. `keep_room`: a room made for the call outlives it.
    `drop_when_alone`: whoever is left alone is let go; None is as the room's type says. `metadata` is flat, at most 1 kB.
    """

    members: tuple[UserId, ...] = ()
    kind: RingKind = RingKind.AUDIO
    p2p: bool = False
    group: bool = False
    title: str = ""
    metadata: Mapping[str, Scalar] = {}
    keep_room: bool = False
    drop_when_alone: bool | None = None


class AcceptRing(_Request, frozen=True, tag="accept_ring"):
    """Say yes to a call; come into the room after it. `kind`: what one wants to send."""

    kind: RingKind = RingKind.AUDIO


class RejectRing(_Request, frozen=True, tag="reject_ring"):
    """Say no to a call, because one is busy or for a `reason` in words."""

    reason: str = ""
    busy: bool = False


class CancelRing(_Request, frozen=True, tag="cancel_ring"):
    """Hang up: the caller ends the call for everybody, somebody who called more people in takes that back."""

    reason: str = ""


RingRequest = StartRing | AcceptRing | RejectRing | CancelRing

Request = (
    GetOrCreate
    | Join
    | Leave
    | End
    | GoLive
    | StopLive
    | SetMicrophone
    | SetSuspended
    | SetCamera
    | SetScreenShare
    | PauseVideo
    | SetRecording
    | RaiseHand
    | WithdrawHand
    | GrantHand
    | DenyHand
    | NextHand
    | LowerAllHands
    | InviteToStage
    | AcceptInvitation
    | DeclineInvitation
    | Grant
    | Revoke
    | Mute
    | MuteAll
    | Kick
    | BlockUser
    | UnblockUser
    | SetRole
    | RemoveMember
    | PostMessage
    | EditMessage
    | DeleteMessage
    | UpdateRoom
    | SetGrants
    | StartRing
    | AcceptRing
    | RejectRing
    | CancelRing
)
