"""From events to rows: what of a room's change is kept. Pure.

Presence, open microphones and counts are not kept: after a restart people come back by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from greenroom.protocol.events import (
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
    PermissionsChanged,
    RoomCreated,
    RoomEnded,
    RoomUpdated,
    UserBlocked,
    UserUnblocked,
    WentLive,
)
from greenroom.protocol.evolve import evolve
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.room import Room
from greenroom.storage.base import Add, Cell, Change, Drop, Put, Row, RowChange, StoredSession


def room_changes(before: Room | None, events: Iterable[Event]) -> tuple[RowChange, ...]:
    """Return the row changes that keep `events`, which happened in order to `before`; empty when nothing is kept."""
    changes: list[RowChange] = []
    for event in events:
        after = evolve(before, event)
        if after is not None:
            changes += _changes(before, event, after)
        before = after
    return tuple(changes)


def session_change(session: StoredSession) -> RowChange:
    """Return the row change that keeps `session` in place of the person's earlier one."""
    return Put(
        "sessions",
        {
            "user": session.user,
            "token_hash": session.token_hash,
            "previous_hash": session.previous_hash,
            "name": session.name,
            "role": session.role,
            "bound_to": session.bound_to,
            "rooms": json_text(session.rooms),
            "expires_at": session.expires_at,
        },
    )


def json_text(value: object) -> str:
    """Return `value` as JSON, sets in order so that equal values are equal text."""
    return msgspec.json.encode(value, order="deterministic").decode()


def _changes(before: Room | None, event: Event, after: Room) -> tuple[RowChange, ...]:
    cid = after.cid
    match event:
        case RoomCreated(room):
            return _created(room)
        case RoomUpdated(title, starts_at, settings):
            return (_room(cid, title=title, starts_at=starts_at, settings=json_text(settings)),)
        case GrantsChanged(grants):
            return (_room(cid, grants=json_text(grants)),)
        case WentLive(at):
            return (_room(cid, live=True, live_since=at, active_at=at),)
        case LiveStopped(at):
            return (_room(cid, live=False, live_since=None, active_at=at),)
        case RoomEnded(at):
            return (
                _room(cid, ended_at=at, live=False, live_since=None, active_at=at),
                Drop("hands", {"cid": cid}),
                Drop("invitations", {"cid": cid}),
            )
        case MemberSet(member):
            position = list(after.members).index(member.user)
            return (_member(cid, member.user, member.name, member.role, position),)
        case MemberRemoved(user):
            return (Drop("members", _person(cid, user)),)
        case PermissionsChanged(user):
            override = after.overrides.get(user)
            if override is None:
                return (Drop("overrides", _person(cid, user)),)
            kept = {"granted": json_text(override.granted), "revoked": json_text(override.revoked)}
            return (Put("overrides", {**_person(cid, user), **kept}),)
        case HandRaised(hand):
            row: Row = {**_person(cid, hand.user), "name": hand.name, "raised_at": hand.raised_at}
            return (Drop("hands", _person(cid, hand.user)), Add("hands", row))
        case HandLowered(user):
            lowered = Drop("hands", _person(cid, user))
            if before is not None and after.turns.get(user) != before.turns.get(user):
                return (lowered, Put("turns", {**_person(cid, user), "count": after.turns[user]}))
            return (lowered,)
        case InvitedToStage(invitation):
            made: Row = {"by": invitation.by, "at": invitation.at}
            return (Put("invitations", {**_person(cid, invitation.user), **made}),)
        case InvitationEnded(user):
            return (Drop("invitations", _person(cid, user)),)
        case UserBlocked(block):
            return (Put("blocks", {**_person(cid, block.user), "by": block.by, "at": block.at}),)
        case UserUnblocked(user):
            return (Drop("blocks", _person(cid, user)),)
        case MessagePosted(message):
            written: Mapping[str, Cell] = msgspec.structs.asdict(message)
            return (Add("messages", {"cid": cid, **written}),)
        case MessageEdited(id_, text, at):
            return (Change("messages", {"cid": cid, "id": id_}, {"text": text, "edited_at": at}),)
        case MessageDeleted(id_, by):
            return (Change("messages", {"cid": cid, "id": id_}, {"text": "", "deleted_by": by}),)
        case _:
            return ()


def _created(room: Room) -> tuple[RowChange, ...]:
    row: dict[str, Cell] = {
        "cid": room.cid,
        "title": room.title,
        "created_by": room.created_by,
        "created_at": room.created_at,
        "settings": json_text(room.settings),
        "grants": json_text(room.grants),
        "live": room.live,
        "live_since": room.live_since,
        "starts_at": room.starts_at,
        "ended_at": room.ended_at,
        "active_at": room.created_at,
    }
    members = (
        _member(room.cid, member.user, member.name, member.role, place)
        for place, member in enumerate(room.members.values())
    )
    return (Put("rooms", row), *members)


def _room(cid: Cid, **values: Cell) -> Change:
    return Change("rooms", {"cid": cid}, values)


def _member(cid: Cid, user: UserId, name: str, role: str, position: int) -> Put:
    return Put("members", {**_person(cid, user), "name": name, "role": role, "position": position})


def _person(cid: Cid, user: UserId) -> Mapping[str, Cell]:
    return {"cid": cid, "user": user}
