"""May this person ring these people into this room, and what has to be done before they can come? Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from greenroom.protocol.deciding import Actor, may_see, missing, not_found, refuse
from greenroom.protocol.ids import ANONYMOUS, CALL_MEMBER, USER, Cid, UserId, is_user
from greenroom.protocol.permissions import Capability
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import GetOrCreate, NewMember, StartRing
from greenroom.protocol.ringing import YES, Ring, RingKind, Scalar
from greenroom.protocol.room import Member, Room, may
from greenroom.protocol.text import TITLE_COLUMNS, safe_text

MAX_RUNG = 100
MAX_METADATA_BYTES = 1024
REASON_COLUMNS = 80


class Placing(msgspec.Struct, frozen=True):
    """A call that may be placed. `strangers` have to become members first, as they could not enter otherwise.

    `placed`: nobody is in the room yet, so the call begins with this ring.
    """

    people: tuple[UserId, ...]
    strangers: tuple[UserId, ...]
    placed: bool
    title: str
    metadata: Mapping[str, Scalar]

    def room(self, request: StartRing) -> GetOrCreate:
        """Return the request that makes the room for the call: private, and open to those rung."""
        members = tuple(NewMember(user, CALL_MEMBER) for user in self.people)
        return GetOrCreate(self.title, members, backstage=False, private=True)


def place(
    room: Room | None, cid: Cid, who: Actor, request: StartRing, ring: Ring | None, now: float
) -> Placing | Refusal:
    """Return how `who` may ring people into `room` (None: it is made), or why not. `ring`: the one going on there."""
    if (refusal := _unfit(who, request)) is not None:
        return refusal
    title, metadata = safe_text(request.title, TITLE_COLUMNS), _safe(request.metadata)
    if room is None:
        if not request.members:
            return refuse(Reason.INVALID, "name somebody to call")
        return Placing(_once(request.members), (), placed=True, title=title, metadata=metadata)
    if not may_see(room, who, now):
        return not_found(cid)
    if room.ended_at is not None:
        return refuse(Reason.ENDED, "this room has ended; call without naming a room, or name another one")
    people = _once(request.members or tuple(user for user in room.members if user != who.user))
    people = tuple(user for user in people if user not in room.participants)
    if not people:
        named = "everybody you named" if request.members else "every member"
        return refuse(Reason.ALREADY, f"{named} is in the room already")
    if any(user in room.blocked for user in people):
        return refuse(Reason.BLOCKED, "somebody you call is blocked in this room")
    strangers = tuple(user for user in people if not may_see(room, Actor(user, user, USER), now))
    if (refusal := _not_allowed(room, who, strangers, ring)) is not None:
        return refusal
    let_in = replace(room, members={**room.members, **{u: Member(u, u, CALL_MEMBER) for u in strangers}})
    if any(not may_see(let_in, Actor(user, user, USER), now) for user in strangers):
        return refuse(Reason.INVALID, "who you call could not come in; let the audience in first")
    return Placing(people, strangers, not room.participants, title or room.title, metadata)


def safe_reason(text: str) -> str:
    """Return what somebody says when they do not take a call, safe to show."""
    return safe_text(text, REASON_COLUMNS)


def video_refusal(kind: RingKind) -> Refusal | None:
    """Return why a call of this kind cannot be, or None."""
    if kind is RingKind.VIDEO:
        return refuse(Reason.NOT_AVAILABLE, "video is not available on this server yet; call with audio")
    return None


def _unfit(who: Actor, request: StartRing) -> Refusal | None:
    if (refusal := video_refusal(request.kind)) is not None:
        return refusal
    if who.role == ANONYMOUS:
        return refuse(Reason.MISSING_CAPABILITY, "a listener without a name cannot call; come in with one")
    if len(request.members) > MAX_RUNG:
        return refuse(Reason.TOO_LARGE, f"a call can ring at most {MAX_RUNG} people")
    if who.user in request.members:
        return refuse(Reason.INVALID, "you cannot call yourself")
    if not all(is_user(user) for user in request.members):
        return refuse(Reason.INVALID, "who you call is named by up to 64 letters, digits and _ . @ ~ -")
    if len(msgspec.json.encode(request.metadata)) > MAX_METADATA_BYTES:
        return refuse(Reason.TOO_LARGE, f"a call's metadata may have {MAX_METADATA_BYTES} bytes")
    return None


def _not_allowed(room: Room, who: Actor, strangers: tuple[UserId, ...], ring: Ring | None) -> Refusal | None:
    """People in a call may ring others into it; in a room that is no call, that takes a host, or is for its members."""
    hosts = may(room, who.user, Capability.UPDATE_MEMBER, who.role)
    if hosts or (ring is not None and in_call(ring, who.user)):
        return None
    if strangers:
        return missing(room, Capability.UPDATE_MEMBER, "call somebody who is no member of this room")
    if who.user not in room.members and who.user not in room.participants:
        return refuse(Reason.NOT_JOINED, "join the room before you call others into it")
    if not may(room, who.user, Capability.SEND_AUDIO, who.role):
        return missing(room, Capability.SEND_AUDIO, "call others into this room")
    return None


def in_call(ring: Ring, user: UserId) -> bool:
    """Tell whether `user` placed this call or said yes to it."""
    rung = ring.of(user)
    return user == ring.by or (rung is not None and rung.answer in YES)


def _once(users: tuple[UserId, ...]) -> tuple[UserId, ...]:
    return tuple(dict.fromkeys(users))


def _safe(metadata: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    return {
        safe_text(key): safe_text(value, MAX_METADATA_BYTES) if isinstance(value, str) else value
        for key, value in metadata.items()
    }
