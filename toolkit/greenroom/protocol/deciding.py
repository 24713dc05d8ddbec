"""What every decision is made of: who asks, what only a shell knows, the answer, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

import msgspec

from greenroom.protocol.events import Event, HandLowered, InvitationEnded, ParticipantLeft, ParticipantListed
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import ADMIN, HOST, MODERATOR, USER, Cid, MessageId, Role, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.room import (
    HandOutcome,
    InvitationOutcome,
    LeaveReason,
    Message,
    Room,
    capabilities,
    may,
    role_of,
)

_RANK: Mapping[Role, int] = {MODERATOR: 1, HOST: 2, ADMIN: 3}


class Actor(msgspec.Struct, frozen=True):
    """Who asks. `role` is what their token says: user, guest, anonymous or admin."""

    user: UserId
    name: str
    role: Role = USER


class Facts(msgspec.Struct, frozen=True):
    """What only a shell knows. `older_message`: the message a request names, when it left the room's chat tail."""

    talked_seconds: Mapping[UserId, float] = {}
    message_id: MessageId = MessageId("")
    older_message: Message | None = None


class Accepted(msgspec.Struct, frozen=True):
    """Yes: this happened. No events: it was so already."""

    events: tuple[Event, ...]


Decision = Accepted | Refusal


def refuse(reason: Reason, message: str) -> Refusal:
    """Return a refusal in words."""
    return Refusal(reason, message)


def not_found(cid: Cid) -> Refusal:
    """Return the one answer for rooms that are missing and rooms that are none of the asker's business."""
    return Refusal(Reason.NOT_FOUND, f"there is no room '{cid}' that you can enter; it may not be live yet")


def missing(room: Room, capability: Capability, what: str) -> Refusal:
    """Return the refusal that names the capability needed to do `what`, and whether a hand can be raised for it."""
    requestable = capability is Capability.SEND_AUDIO and room.settings.audio.access_request
    advice = "raise your hand to ask for it" if requestable else "ask a host of this room"
    return Refusal(
        Reason.MISSING_CAPABILITY, f"to {what} you need '{capability}'; {advice}", capability, requestable
    )


def may_see(room: Room, who: Actor, now: float) -> bool:
    """Tell whether `who` may know of `room` at `now`: a backstage or private room is invisible to the audience."""
    if who.role == ADMIN:
        return True
    allowed = capabilities(room, who.user, who.role)
    if who.user in room.blocked or Capability.JOIN not in allowed:
        return False
    if room.settings.private and who.user not in room.members and who.user not in room.participants:
        return False
    if room.live or room.ended_at is not None or Capability.JOIN_BACKSTAGE in allowed:
        return True
    ahead = room.settings.join_ahead_seconds
    return ahead > 0 and room.starts_at is not None and now >= room.starts_at - ahead


def outranks(room: Room, who: Actor, user: UserId) -> bool:
    """Tell whether `who` may act against `user`: never against somebody of a higher role."""
    mine = ADMIN if who.role == ADMIN else role_of(room, who.user, who.role)
    return _RANK.get(mine, 0) >= _RANK.get(role_of(room, user), 0)


def leaving(room: Room, user: UserId, reason: LeaveReason, by: UserId | None = None) -> tuple[Event, ...]:
    """Return the events of `user` going: hand and invitation go with them."""
    events: list[Event] = []
    if any(hand.user == user for hand in room.hands):
        events.append(HandLowered(user, HandOutcome.LEFT))
    if user in room.invitations:
        events.append(InvitationEnded(user, InvitationOutcome.WITHDRAWN))
    if user in room.participants:
        events.append(ParticipantLeft(user, reason, by))
    return tuple(events)


def settle(room: Room, events: Iterable[Event]) -> tuple[Event, ...]:
    """Return `events` and what follows from them by itself.

    A raised hand or an invitation of somebody who may speak anyway goes down, and the earliest listeners move up
    into the places of named listeners who went.
    """
    decided = tuple(events)
    after = fold(room, decided)
    if after is None or not decided:
        return decided
    follow: list[Event] = [
        HandLowered(hand.user, HandOutcome.PROMOTED)
        for hand in after.hands
        if may(after, hand.user, Capability.SEND_AUDIO)
    ]
    follow += [
        InvitationEnded(user, InvitationOutcome.WITHDRAWN)
        for user in after.invitations
        if may(after, user, Capability.SEND_AUDIO)
    ]
    if (free := after.settings.limits.named_listeners - after.listed) > 0 and len(
        after.participants
    ) > after.listed:
        waiting = (
            user
            for user, participant in after.participants.items()
            if not participant.listed and not may(after, user, Capability.SEND_AUDIO)
        )
        follow += [ParticipantListed(user) for user in islice(waiting, free)]
    return (*decided, *follow)
