"""Decisions of moderators and hosts about other people: permissions, mutes, kicks, blocks, roles."""

from __future__ import annotations

from greenroom.protocol.deciding import Accepted, Actor, Decision, leaving, missing, outranks, refuse
from greenroom.protocol.events import (
    MemberRemoved,
    MemberSet,
    MicrophoneChanged,
    PermissionsChanged,
    UserBlocked,
    UserUnblocked,
)
from greenroom.protocol.ids import ADMIN, USER, UserId, is_role, is_user
from greenroom.protocol.permissions import NO_OVERRIDE, Capability
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import (
    BlockUser,
    Grant,
    Kick,
    Mute,
    MuteAll,
    RemoveMember,
    Request,
    Revoke,
    SetRole,
    UnblockUser,
)
from greenroom.protocol.room import (
    Block,
    LeaveReason,
    Member,
    Room,
    may,
)
from greenroom.protocol.text import safe_text

_NEEDS: dict[type, tuple[Capability, str]] = {
    Grant: (Capability.UPDATE_PERMISSIONS, "give permissions"),
    Revoke: (Capability.UPDATE_PERMISSIONS, "take permissions away"),
    Mute: (Capability.MUTE, "mute somebody"),
    MuteAll: (Capability.MUTE, "mute everybody"),
    Kick: (Capability.KICK, "send somebody out"),
    BlockUser: (Capability.BLOCK, "block somebody"),
    UnblockUser: (Capability.BLOCK, "unblock somebody"),
    SetRole: (Capability.UPDATE_MEMBER, "set a role"),
    RemoveMember: (Capability.REMOVE_MEMBER, "take a role away"),
}


def decide_moderation(room: Room, who: Actor, request: Request, now: float) -> Decision | None:
    """Return the answer to a moderator's request, or None when `request` is about something else."""
    if type(request) not in _NEEDS:
        return None
    oneself = isinstance(request, Mute) and request.user == who.user
    capability, what = _NEEDS[type(request)]
    if not oneself and who.role != ADMIN and not may(room, who.user, capability, who.role):
        return missing(room, capability, what)
    match request:
        case Grant(user, capabilities):
            return _permit(room, who, user, granted=capabilities)
        case Revoke(user, capabilities):
            return _permit(room, who, user, revoked=capabilities)
        case Mute(user):
            return _mute(room, who, user)
        case MuteAll():
            return Accepted(
                tuple(
                    MicrophoneChanged(user, on=False, by=who.user)
                    for user, participant in room.participants.items()
                    if participant.microphone and user != who.user
                )
            )
        case Kick(user):
            if user not in room.participants:
                return refuse(Reason.NOT_FOUND, "that person is not in the room")
            return _against(room, who, user) or Accepted(leaving(room, user, LeaveReason.KICKED, who.user))
        case BlockUser(user):
            return _block(room, who, user, now)
        case UnblockUser(user):
            return Accepted((UserUnblocked(user, who.user),) if user in room.blocked else ())
        case SetRole():
            return _set_role(room, who, request)
        case RemoveMember(user):
            if user not in room.members:
                return Accepted(())
            return _against(room, who, user) or Accepted((MemberRemoved(user, USER, who.user),))
        case _:
            return None


def _permit(
    room: Room,
    who: Actor,
    user: UserId,
    granted: frozenset[Capability] = frozenset(),
    revoked: frozenset[Capability] = frozenset(),
) -> Decision:
    if not is_user(user):
        return refuse(Reason.INVALID, "that is not a user id")
    if revoked and (refusal := _against(room, who, user)) is not None:
        return refusal
    beyond = {capability for capability in granted if not may(room, who.user, capability, who.role)}
    if beyond and who.role != ADMIN:
        return refuse(
            Reason.INVALID, f"you cannot give away what you do not have: {', '.join(sorted(beyond))}"
        )
    override = room.overrides.get(user, NO_OVERRIDE)
    if override.grant(granted).revoke(revoked) == override:
        return Accepted(())
    return Accepted((PermissionsChanged(user, granted, revoked, who.user),))


def _mute(room: Room, who: Actor, user: UserId) -> Decision:
    participant = room.participants.get(user)
    if participant is None:
        return refuse(Reason.NOT_FOUND, "that person is not in the room")
    if not participant.microphone:
        return Accepted(())
    return Accepted((MicrophoneChanged(user, on=False, by=None if user == who.user else who.user),))


def _block(room: Room, who: Actor, user: UserId, now: float) -> Decision:
    if not is_user(user):
        return refuse(Reason.INVALID, "that is not a user id")
    if user == who.user:
        return refuse(Reason.INVALID, "you cannot block yourself")
    if user in room.blocked:
        return Accepted(())
    refusal = _against(room, who, user)
    return refusal or Accepted(
        (UserBlocked(Block(user, who.user, now)), *leaving(room, user, LeaveReason.BLOCKED, who.user))
    )


def _set_role(room: Room, who: Actor, request: SetRole) -> Decision:
    if not is_user(request.user) or not is_role(request.role):
        return refuse(Reason.INVALID, "a member needs a valid user id and role")
    if request.role not in room.grants and request.role != ADMIN:
        return refuse(
            Reason.INVALID, f"this room has no role '{request.role}'; it has {', '.join(sorted(room.grants))}"
        )
    if request.role == ADMIN and who.role != ADMIN:
        return refuse(Reason.INVALID, "only an admin can name another admin")
    if (refusal := _against(room, who, request.user)) is not None:
        return refusal
    known = room.participants.get(request.user) or room.members.get(request.user)
    name = safe_text(request.name) or (known.name if known is not None else request.user)
    member = Member(request.user, name, request.role)
    return Accepted(() if room.members.get(request.user) == member else (MemberSet(member, who.user),))


def _against(room: Room, who: Actor, user: UserId) -> Refusal | None:
    if outranks(room, who, user):
        return None
    return refuse(Reason.INVALID, "that person has a higher role than you in this room")
