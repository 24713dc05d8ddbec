"""The room: one immutable value, folded from events."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.protocol.call_types import CallType, Settings
from greenroom.protocol.ids import USER, Cid, MessageId, Role, UserId
from greenroom.protocol.permissions import NO_OVERRIDE, Capability, Grants, Override, effective

CHAT_TAIL = 100


class Member(msgspec.Struct, frozen=True):
    """Someone with a role in the room, here or not."""

    user: UserId
    name: str
    role: Role


class Participant(msgspec.Struct, frozen=True):
    """Someone connected to the room right now.

    `number` names their sound in RTP (the CSRC of forwarded packets). `microphone` is their wish; whether it is
    heard also needs the capability. `listed`: among the listeners every replica names.
    `muted_by` is set while a moderator's mute stands; opening the microphone again clears it.
    """

    user: UserId
    name: str
    number: int
    role: Role
    joined_at: float
    microphone: bool = False
    muted_by: UserId | None = None
    suspended: bool = False
    connected: bool = True
    listed: bool = False
    camera: bool = False
    screen: bool = False


class Hand(msgspec.Struct, frozen=True):
    """A request to speak. Its place in the queue is its position in `Room.hands`."""

    user: UserId
    name: str
    raised_at: float


class HandOutcome(StrEnum):
    """How a raised hand came down."""

    WITHDRAWN = "withdrawn"
    GRANTED = "granted"
    DENIED = "denied"
    CLEARED = "cleared"
    LEFT = "left"
    PROMOTED = "promoted"


class Invitation(msgspec.Struct, frozen=True):
    """An invitation to the stage for somebody who has no hand up."""

    user: UserId
    by: UserId
    at: float


class InvitationOutcome(StrEnum):
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class LeaveReason(StrEnum):
    """Why someone is no longer here."""

    LEFT = "left"
    LOST = "lost"
    KICKED = "kicked"
    BLOCKED = "blocked"
    BACKSTAGE = "backstage"
    ENDED = "ended"
    REPLACED = "replaced"


class Message(msgspec.Struct, frozen=True):
    """One line of chat. A deleted message keeps its place and loses its text."""

    id: MessageId
    user: UserId
    name: str
    text: str
    at: float
    edited_at: float | None = None
    deleted_by: UserId | None = None


class Block(msgspec.Struct, frozen=True):
    user: UserId
    by: UserId
    at: float


class Counts(msgspec.Struct, frozen=True):
    """How many are here; published at most once a second, so it may trail `participants`."""

    participants: int = 0
    anonymous: int = 0


class Room(msgspec.Struct, frozen=True):
    """What the server has. Times are wall-clock seconds since 1970.

    `participants` is in order of joining. `turns` counts how often each person was given the stage.
    `next_number` is 0 in a replica, which hands out none.
    A replica's room is the public projection: see `greenroom.protocol.publish`.
    """

    cid: Cid
    title: str
    created_by: UserId
    created_at: float
    settings: Settings
    grants: Grants
    live: bool = False
    live_since: float | None = None
    starts_at: float | None = None
    ended_at: float | None = None
    members: Mapping[UserId, Member] = {}
    participants: Mapping[UserId, Participant] = {}
    overrides: Mapping[UserId, Override] = {}
    hands: tuple[Hand, ...] = ()
    invitations: Mapping[UserId, Invitation] = {}
    blocked: Mapping[UserId, Block] = {}
    chat: tuple[Message, ...] = ()
    turns: Mapping[UserId, int] = {}
    counts: Counts = Counts()
    next_number: int = 1
    listed: int = 0
    recording: bool = False


def new_room(cid: Cid, kind: CallType, title: str, created_by: UserId, created_at: float) -> Room:
    """Return an empty room of `kind`; it is live at once unless the kind has a backstage."""
    live = not kind.settings.backstage
    return Room(
        cid=cid,
        title=title,
        created_by=created_by,
        created_at=created_at,
        settings=kind.settings,
        grants=kind.grants,
        live=live,
        live_since=created_at if live else None,
    )


def role_of(room: Room, user: UserId, otherwise: Role = USER) -> Role:
    """Return the role of `user`: the member's, else the one they came with, else `otherwise`."""
    if (member := room.members.get(user)) is not None:
        return member.role
    if (participant := room.participants.get(user)) is not None:
        return participant.role
    return otherwise


def capabilities(room: Room, user: UserId, otherwise: Role = USER) -> frozenset[Capability]:
    """Return everything `user` may do in `room`; `otherwise` is the role of somebody the room does not know."""
    return effective(room.grants, role_of(room, user, otherwise), room.overrides.get(user, NO_OVERRIDE))


def may(room: Room, user: UserId, capability: Capability, otherwise: Role = USER) -> bool:
    """Tell whether `user` has `capability` in `room`."""
    return capability in capabilities(room, user, otherwise)


def on_stage(room: Room, user: UserId) -> bool:
    """Tell whether `user` is here and may speak."""
    return user in room.participants and may(room, user, Capability.SEND_AUDIO)


def audible(room: Room, user: UserId) -> bool:
    """Tell whether the forwarding unit may pass on what `user` sends: here, allowed, microphone open, not suspended."""
    participant = room.participants.get(user)
    return (
        participant is not None
        and participant.microphone
        and not participant.suspended
        and room.ended_at is None
        and may(room, user, Capability.SEND_AUDIO)
    )


def hand_position(room: Room, user: UserId) -> int | None:
    """Return the place of `user` in the queue, counted from 1, or None without a hand up."""
    return next((place for place, hand in enumerate(room.hands, 1) if hand.user == user), None)
