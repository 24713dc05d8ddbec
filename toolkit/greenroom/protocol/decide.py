"""The server's answer to a request: what happens, or why not. Pure: `now` and every other fact come in."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from greenroom.protocol.call_types import BUILT_IN, CallType
from greenroom.protocol.decide_moderation import decide_moderation
from greenroom.protocol.decide_stage import decide_stage
from greenroom.protocol.deciding import (
    Accepted,
    Actor,
    Decision,
    Facts,
    leaving,
    may_see,
    missing,
    not_found,
    refuse,
    settle,
)
from greenroom.protocol.events import (
    ConnectionChanged,
    Event,
    GrantsChanged,
    LiveStopped,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    ParticipantJoined,
    RoomCreated,
    RoomEnded,
    RoomUpdated,
    WentLive,
)
from greenroom.protocol.ids import ADMIN, HOST, Cid, MessageId, UserId, call_type_of, is_role, is_user
from greenroom.protocol.permissions import Capability, effective
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import (
    DeleteMessage,
    EditMessage,
    End,
    GetOrCreate,
    GoLive,
    Join,
    Leave,
    PauseVideo,
    PostMessage,
    Request,
    SetCamera,
    SetGrants,
    SetRecording,
    SetScreenShare,
    StopLive,
    UpdateRoom,
)
from greenroom.protocol.room import (
    LeaveReason,
    Member,
    Message,
    Participant,
    Room,
    capabilities,
    may,
    new_room,
    role_of,
)
from greenroom.protocol.text import MESSAGE_CHARACTERS, TITLE_COLUMNS, safe_message, safe_text

__all__ = ["Accepted", "Actor", "Decision", "Facts", "decide", "gone", "lost", "returned"]

MAX_MEMBERS_AT_ONCE = 500


def decide(
    room: Room | None,
    cid: Cid,
    who: Actor,
    request: Request,
    now: float,
    facts: Facts = Facts(),  # noqa: B008  an immutable value
    call_types: Mapping[str, CallType] = BUILT_IN,
) -> Decision:
    """Return the events that `request` by `who` leads to at `now` (wall-clock seconds), or a `Refusal`.

    A request that asks for what is already so is accepted with no events. A room that `who` may not know of is
    answered like one that does not exist.
    """
    if isinstance(request, GetOrCreate):
        return _get_or_create(room, cid, who, request, now, call_types)
    if room is None or not may_see(room, who, now):
        return not_found(cid)
    if room.ended_at is not None and not isinstance(request, Leave | Join):
        return refuse(Reason.ENDED, "this room has ended")
    decision = (
        _decide_room(room, who, request, now)
        or _decide_chat(room, who, request, now, facts)
        or decide_stage(room, who, request, now, facts)
        or decide_moderation(room, who, request, now)
        or refuse(Reason.INVALID, "this version does not know that request")
    )
    return decision if isinstance(decision, Refusal) else Accepted(settle(room, decision.events))


def lost(room: Room, user: UserId) -> tuple[Event, ...]:
    """Return what follows when the connection of `user` is lost and may come back."""
    participant = room.participants.get(user)
    return (
        ()
        if participant is None or not participant.connected
        else (ConnectionChanged(user, connected=False),)
    )


def returned(room: Room, user: UserId) -> tuple[Event, ...]:
    """Return what follows when `user` is back before they were removed."""
    participant = room.participants.get(user)
    return () if participant is None or participant.connected else (ConnectionChanged(user, connected=True),)


def gone(room: Room, user: UserId, reason: LeaveReason, by: UserId | None = None) -> tuple[Event, ...]:
    """Return what follows when `user` is no longer here: hand and invitation go with them."""
    return settle(room, leaving(room, user, reason, by))


def _get_or_create(
    room: Room | None,
    cid: Cid,
    who: Actor,
    request: GetOrCreate,
    now: float,
    call_types: Mapping[str, CallType],
) -> Decision:
    if room is not None:
        return Accepted(()) if may_see(room, who, now) else not_found(cid)
    kind = call_types.get(call_type_of(cid))
    if kind is None:
        known = ", ".join(sorted(call_types))
        return refuse(
            Reason.INVALID, f"there is no call type '{call_type_of(cid)}' here; this server has {known}"
        )
    if Capability.CREATE not in effective(kind.grants, who.role):
        return not_found(cid)
    if len(request.members) > MAX_MEMBERS_AT_ONCE:
        return refuse(Reason.TOO_LARGE, f"a room can start with at most {MAX_MEMBERS_AT_ONCE} members")
    members = {who.user: Member(who.user, who.name, HOST)}
    for new in request.members:
        if not is_user(new.user) or not is_role(new.role):
            return refuse(Reason.INVALID, "a member needs a valid user id and role")
        if new.role not in kind.grants and new.role != ADMIN:
            return refuse(Reason.INVALID, f"'{kind.name}' has no role '{new.role}'")
        if new.role == ADMIN and who.role != ADMIN:
            return refuse(Reason.INVALID, "only an admin can name another admin")
        if new.user != who.user:
            members[new.user] = Member(new.user, safe_text(new.name) or new.user, new.role)
    settings = kind.settings
    if request.backstage is not None:
        settings = replace(settings, backstage=request.backstage)
    if request.private is not None:
        settings = replace(settings, private=request.private)
    title = safe_text(request.title, TITLE_COLUMNS) or cid.partition(":")[2]
    made = new_room(cid, replace(kind, settings=settings), title, who.user, now)
    return Accepted((RoomCreated(replace(made, members=members, starts_at=request.starts_at)),))


def _decide_room(room: Room, who: Actor, request: Request, now: float) -> Decision | None:
    match request:
        case Join():
            return _join(room, who, now)
        case Leave():
            return Accepted(leaving(room, who.user, LeaveReason.LEFT))
        case End():
            if not _may(room, who, Capability.END):
                return missing(room, Capability.END, "end this room")
            return Accepted((RoomEnded(now, who.user),))
        case GoLive():
            if not _may(room, who, Capability.UPDATE):
                return missing(room, Capability.UPDATE, "go live")
            return Accepted(() if room.live else (WentLive(now, who.user),))
        case StopLive():
            return _stop_live(room, who, now)
        case UpdateRoom():
            return _update(room, who, request)
        case SetGrants(grants):
            if not _may(room, who, Capability.UPDATE_PERMISSIONS):
                return missing(room, Capability.UPDATE_PERMISSIONS, "change what roles may do")
            if not all(is_role(role) and role != ADMIN for role in grants):
                return refuse(Reason.INVALID, "a role is a lower-case word, and an admin's cannot be changed")
            return Accepted((GrantsChanged({**room.grants, **grants}, who.user),))
        case SetCamera() | SetScreenShare() | PauseVideo():
            return refuse(Reason.NOT_AVAILABLE, "video is not available on this server yet; audio is")
        case SetRecording():
            return refuse(Reason.NOT_AVAILABLE, "recording is not available on this server yet")
        case _:
            return None


def _join(room: Room, who: Actor, now: float) -> Decision:
    if room.ended_at is not None and not _may(room, who, Capability.JOIN_ENDED):
        return refuse(Reason.ENDED, "this room has ended")
    if room.ended_at is not None:
        return refuse(Reason.ENDED, "this room has ended; create another one to talk in")
    present = room.participants.get(who.user)
    if present is not None:
        return Accepted(returned(room, who.user))
    limit = room.settings.limits.max_participants
    if limit and len(room.participants) >= limit and not _may(room, who, Capability.UPDATE):
        return refuse(Reason.FULL, f"this room is full: it admits {limit} people")
    participant = Participant(
        user=who.user,
        name=_name(room, who),
        number=room.next_number,
        role=role_of(room, who.user, who.role) if who.role != ADMIN else ADMIN,
        joined_at=now,
        listed=room.listed < room.settings.limits.named_listeners
        and not _may(room, who, Capability.SEND_AUDIO),
    )
    return Accepted((ParticipantJoined(participant),))


def _name(room: Room, who: Actor) -> str:
    member = room.members.get(who.user)
    return safe_text(who.name) or (member.name if member is not None else "") or who.user


def _stop_live(room: Room, who: Actor, now: float) -> Decision:
    if not _may(room, who, Capability.UPDATE):
        return missing(room, Capability.UPDATE, "stop live")
    if not room.live:
        return Accepted(())
    events: list[Event] = [LiveStopped(now, who.user)]
    for user in room.participants:
        if not may(room, user, Capability.JOIN_BACKSTAGE):
            events.extend(leaving(room, user, LeaveReason.BACKSTAGE, who.user))
    return Accepted(tuple(events))


def _update(room: Room, who: Actor, request: UpdateRoom) -> Decision:
    if not _may(room, who, Capability.UPDATE):
        return missing(room, Capability.UPDATE, "change this room")
    settings = room.settings if request.settings is None else request.settings
    if request.hand_policy is not None:
        settings = replace(settings, hand_policy=request.hand_policy)
    if settings != room.settings and not _may(room, who, Capability.UPDATE_SETTINGS):
        return missing(room, Capability.UPDATE_SETTINGS, "change the settings of this room")
    title = room.title if request.title is None else safe_text(request.title, TITLE_COLUMNS)
    if not title:
        return refuse(Reason.INVALID, "a room needs a title that can be read")
    starts_at = room.starts_at if request.starts_at is None else request.starts_at
    if (title, starts_at, settings) == (room.title, room.starts_at, room.settings):
        return Accepted(())
    return Accepted((RoomUpdated(title, starts_at, settings, who.user),))


def _decide_chat(room: Room, who: Actor, request: Request, now: float, facts: Facts) -> Decision | None:
    match request:
        case PostMessage(text):
            if who.user not in room.participants:
                return refuse(Reason.NOT_JOINED, "join the room before writing in its chat")
            if not _may(room, who, Capability.CHAT):
                return missing(room, Capability.CHAT, "write in the chat")
            written = _message_text(text)
            if isinstance(written, Refusal):
                return written
            name = room.participants[who.user].name
            return Accepted((MessagePosted(Message(facts.message_id, who.user, name, written, now)),))
        case EditMessage(id_, text):
            message = _message(room, id_, facts)
            if message is None or message.deleted_by is not None:
                return refuse(Reason.NOT_FOUND, "that message is not there to be edited")
            if message.user != who.user:
                return refuse(Reason.INVALID, "only who wrote a message can edit it")
            written = _message_text(text)
            if isinstance(written, Refusal):
                return written
            return Accepted((MessageEdited(id_, written, now),))
        case DeleteMessage(id_):
            message = _message(room, id_, facts)
            if message is None:
                return refuse(Reason.NOT_FOUND, "that message is not there to be deleted")
            if message.user != who.user and not _may(room, who, Capability.MODERATE_CHAT):
                return missing(room, Capability.MODERATE_CHAT, "delete what somebody else wrote")
            return Accepted(() if message.deleted_by is not None else (MessageDeleted(id_, who.user, now),))
        case _:
            return None


def _message(room: Room, id_: MessageId, facts: Facts) -> Message | None:
    older = facts.older_message if facts.older_message is not None and facts.older_message.id == id_ else None
    return next((message for message in room.chat if message.id == id_), older)


def _message_text(text: str) -> str | Refusal:
    if len(text) > MESSAGE_CHARACTERS:
        return refuse(
            Reason.TOO_LARGE, f"a message may have {MESSAGE_CHARACTERS} characters, this one has {len(text)}"
        )
    return safe_message(text) or refuse(Reason.INVALID, "there is nothing to read in that message")


def _may(room: Room, who: Actor, capability: Capability) -> bool:
    return who.role == ADMIN or capability in capabilities(room, who.user, who.role)
