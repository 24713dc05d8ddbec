"""Answers to questions: they change nothing about a room."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from greenroom.errors import Malformed, StorageFailed
from greenroom.protocol.call_urls import MakeUrl, QueryUrls, RevokeUrl
from greenroom.protocol.deciding import may_see, not_found
from greenroom.protocol.ice import QueryIceServers
from greenroom.protocol.ids import ADMIN, ANONYMOUS, GUEST, Cid, MessageId, Role, UserId, is_cid
from greenroom.protocol.permissions import Capability
from greenroom.protocol.publish import project, view_for
from greenroom.protocol.records import QueryHistory, RecordCall
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.room import Room, capabilities
from greenroom.protocol.text import safe_text
from greenroom.protocol.wire import (
    AnswerBody,
    CallTypes,
    MessagesPage,
    MintCallToken,
    MintToken,
    PeoplePage,
    PutCallType,
    QueryCallTypes,
    QueryMessages,
    QueryPeople,
    QueryRoom,
    QueryRooms,
    Question,
    RoomsPage,
    RoomView,
    Token,
)
from greenroom.server.lobby import preview, visible
from greenroom.server.people import Person
from greenroom.server.tokens import mint
from greenroom.storage.base import Put
from greenroom.storage.changes import json_text

if TYPE_CHECKING:
    from greenroom.server.house import House

MAX_PAGE = 100
LOOKED_AT_ONCE = 100
MAX_LOOKED_AT = 2_000
SORTS = ("activity", "created", "title", "starts_at", "participants")


async def answer(house: House, person: Person, question: Question) -> AnswerBody | Refusal:
    """Return the answer to `question`, or why there is none."""
    try:
        match question:
            case QueryRooms():
                return await _rooms(house, person, question)
            case QueryRoom(cid):
                room = await _readable(house, person, cid)
                return (
                    room
                    if isinstance(room, Refusal)
                    else RoomView(project(room, view_for(room, person.actor)))
                )
            case QueryPeople():
                return await _people(house, person, question)
            case QueryMessages():
                return await _messages(house, person, question)
            case QueryCallTypes():
                return CallTypes(tuple(house.call_types[name] for name in sorted(house.call_types)))
            case PutCallType():
                return await _put_call_type(house, person, question)
            case MintToken():
                return _mint(house, person, question)
            case MintCallToken():
                return _mint_call_token(house, person, question)
            case MakeUrl() | QueryUrls() | RevokeUrl():
                return await house.call_urls.answer(person, question)
            case QueryHistory() | RecordCall():
                return await house.records.answer(person, question)
            case QueryIceServers():
                return house.ice.answer(person)
    except StorageFailed:
        return Refusal(Reason.UNAVAILABLE, "the server cannot read that just now; try again in a moment")


async def _rooms(house: House, person: Person, question: QueryRooms) -> RoomsPage | Refusal:
    if question.sort not in SORTS:
        return Refusal(Reason.INVALID, f"rooms can be sorted by {', '.join(SORTS)}")
    limit = max(1, min(question.limit, MAX_PAGE))
    rooms = _visible_rooms(house, person, question)
    if question.sort == "participants":  # known to rooms in memory only, so it takes them all
        everything = [room async for room in rooms]
        everything.sort(key=lambda room: len(room.participants), reverse=True)
        start = 0
        if question.after is not None:
            cids = [room.cid for room in everything]
            start = cids.index(Cid(question.after)) + 1 if question.after in cids else len(cids)
        found = everything[start : start + limit + 1]
    else:
        found = []
        started = question.after is None
        async for room in rooms:
            if started:
                found.append(room)
            started = started or room.cid == question.after
            if len(found) > limit:
                break
    shown = tuple(preview(room, person) for room in found[:limit])
    return RoomsPage(shown, shown[-1].cid if len(found) > limit else None)


async def _visible_rooms(house: House, person: Person, question: QueryRooms) -> AsyncIterator[Room]:
    now = time.time()
    for offset in range(0, MAX_LOOKED_AT, LOOKED_AT_ONCE):
        stored = await house.repository.rooms(question.filter, question.sort, offset, LOOKED_AT_ONCE)
        for room in stored:
            current = _current(house, room)
            if visible(current, person, now):
                yield current
        if len(stored) < LOOKED_AT_ONCE:
            return


def _current(house: House, stored: Room) -> Room:
    hosted = house.hosted(stored.cid)
    return stored if hosted is None or hosted.committed is None else hosted.committed


async def _people(house: House, person: Person, question: QueryPeople) -> PeoplePage | Refusal:
    room = await _readable(house, person, question.cid)
    if isinstance(room, Refusal):
        return room
    wanted = safe_text(question.text).casefold()
    everybody = [p for p in room.participants.values() if wanted in p.name.casefold()]
    start, limit = max(0, question.after), max(1, min(question.limit, MAX_PAGE))
    page = tuple(everybody[start : start + limit])
    more = start + limit < len(everybody)
    return PeoplePage(page, len(everybody), start + limit if more else None)


async def _messages(house: House, person: Person, question: QueryMessages) -> MessagesPage | Refusal:
    room = await _readable(house, person, question.cid)
    if isinstance(room, Refusal):
        return room
    before = None if question.before is None else MessageId(question.before)
    limit = max(1, min(question.limit, MAX_PAGE))
    return MessagesPage(*await house.repository.messages(room.cid, before, limit))


async def _readable(house: House, person: Person, cid: Cid) -> Room | Refusal:
    """Return a room whose inside `person` may read; a missing and a forbidden one are refused alike."""
    if not is_cid(cid) or person.bound_to not in (None, cid):
        return not_found(cid)
    room = (await house.room(cid)).committed
    if room is None or not may_see(room, person.actor, time.time()):
        return not_found(cid)
    allowed = capabilities(room, person.user, person.actor.role)
    if person.actor.role != ADMIN and Capability.READ not in allowed:
        return not_found(cid)
    return room


async def _put_call_type(house: House, person: Person, question: PutCallType) -> CallTypes | Refusal:
    kind = question.call_type
    if person.actor.role != ADMIN:
        return Refusal(Reason.UNAUTHORIZED, "only an admin of this server can change call types")
    if not is_cid(f"{kind.name}:x"):
        return Refusal(Reason.INVALID, "a call type is named by lower-case letters, digits, '-' and '_'")
    settings, grants = json_text(kind.settings), json_text(kind.grants)
    try:
        await house.writer.commit(
            (Put("call_types", {"name": kind.name, "settings": settings, "grants": grants}),)
        )
    except StorageFailed:
        return Refusal(
            Reason.UNAVAILABLE, "the server could not keep that just now; nothing has changed, try again"
        )
    house.call_types[kind.name] = kind
    return CallTypes(tuple(house.call_types[name] for name in sorted(house.call_types)))


def _mint(house: House, person: Person, question: MintToken) -> AnswerBody | Refusal:
    hosted = house.hosted(question.cid)
    room = None if hosted is None else hosted.committed
    if room is None or person.user not in room.participants:
        return Refusal(Reason.NOT_JOINED, "join the room before inviting others to it")
    if question.role not in (GUEST, ANONYMOUS) or person.actor.role in (GUEST, ANONYMOUS):
        return Refusal(
            Reason.INVALID, "a member can make links for guests and anonymous listeners, a guest none"
        )
    try:
        return guest_token(house, question.cid, "", question.role, question.seconds)
    except Malformed as error:
        return Refusal(Reason.INVALID, str(error))


def _mint_call_token(house: House, person: Person, question: MintCallToken) -> AnswerBody | Refusal:
    """Only who came with a whole token gets one for a room: a narrow one cannot prolong itself."""
    actor = person.actor
    if person.bound_to is not None or actor.role in (GUEST, ANONYMOUS):
        return Refusal(Reason.UNAUTHORIZED, "a token for one room is made for people with one of their own")
    if not is_cid(question.cid):
        return Refusal(Reason.INVALID, "a token is for a room named type:id")
    try:
        return mint(
            house.keys,
            person.user,
            time.time(),
            name=actor.name,
            role=actor.role,
            seconds=question.seconds,
            bound_to=question.cid,
        )
    except Malformed as error:
        return Refusal(Reason.INVALID, str(error))


def guest_token(house: House, cid: Cid, name: str, role: Role, seconds: float) -> Token:
    """Return a token for somebody new who may come into `cid` only. Raises `Malformed` when it would live too long."""
    user = UserId(f"{'listener' if role == ANONYMOUS else 'guest'}-{secrets.token_hex(8)}")
    return mint(house.keys, user, time.time(), name=safe_text(name), role=role, seconds=seconds, bound_to=cid)
