"""What is not live: health, version, rooms, tokens, guests. JSON both ways; a refusal is JSON too."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TypeVar

import msgspec
from aiohttp import web

from greenroom.errors import Malformed, Unauthorized
from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.deciding import Actor
from greenroom.protocol.ids import (
    ADMIN,
    ANONYMOUS,
    GUEST,
    USER,
    Cid,
    OpId,
    Role,
    is_cid,
    parse_cid,
    parse_user,
)
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import GetOrCreate, NewMember
from greenroom.protocol.text import safe_text
from greenroom.protocol.wire import PROTOCOL_VERSION, QueryRooms, RoomFilter, RoomsPage
from greenroom.server.house import House
from greenroom.server.limits import Buckets
from greenroom.server.openapi import document
from greenroom.server.people import Person
from greenroom.server.questions import answer, guest_token
from greenroom.server.tokens import JOIN_SECONDS, mint, verify

T = TypeVar("T")
MAX_BODY_BYTES = 64 * 1024
_STATUS = {
    Reason.NOT_FOUND: 404,
    Reason.UNAUTHORIZED: 401,
    Reason.MISSING_CAPABILITY: 403,
    Reason.BLOCKED: 403,
    Reason.RATE_LIMITED: 429,
    Reason.UNAVAILABLE: 503,
    Reason.TOO_LARGE: 413,
}


class NewRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A room to make, or to get. Without `cid` it is an audio room with a random id; `type:` alone chooses the type."""

    cid: str = ""
    title: str = ""
    members: tuple[NewMember, ...] = ()
    backstage: bool | None = None
    private: bool | None = None
    starts_at: float | None = None


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to make. `cid` binds it to one room."""

    user: str
    name: str = ""
    role: str = USER
    seconds: float = JOIN_SECONDS
    cid: str | None = None


class NewGuest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who comes by a room's link. `listen_only` asks for no more than to listen."""

    cid: str
    name: str = ""
    listen_only: bool = False


class UrlSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pre-signed address that is to be used. `cid`: the room whose page it opened, if any.

    `attempt`: a random word of the bearer's own; the same again, because an answer was lost, counts once.
    """

    secret: str
    cid: str | None = None
    name: str = ""
    attempt: str = ""

    def __repr__(self) -> str:
        return f"UrlSecret(secret=…, cid={self.cid!r}, name={self.name!r})"


class HttpApi:
    """The handlers of `/api/`."""

    def __init__(self, house: House, open_guests: bool) -> None:
        self._house = house
        self._open_guests = open_guests
        self._by_address = Buckets(2.0, 60.0)
        self._by_person = Buckets(5.0, 60.0)

    def routes(self) -> list[web.RouteDef]:
        """Return what to serve."""
        return [
            web.get("/api/health", self.health),
            web.get("/api/version", self.version),
            web.get("/api/openapi.json", self.openapi),
            web.get("/api/rooms", self.rooms),
            web.post("/api/rooms", self.new_room),
            web.post("/api/tokens", self.new_token),
            web.post("/api/guest", self.new_guest),
            web.post("/api/url", self.redeem_url),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """Tell whether this server takes newcomers."""
        if self._house.draining:
            return _json({"status": "draining"}, 503)
        return _json({"status": "ok", "media": self._house.sound.available})

    async def version(self, request: web.Request) -> web.Response:
        """Tell what speaks here."""
        return _json({"name": "greenroom", "version": version("greenroom"), "protocol": PROTOCOL_VERSION})

    async def openapi(self, request: web.Request) -> web.Response:
        """Return the description of this API."""
        return _json(document(version("greenroom")))

    async def rooms(self, request: web.Request) -> web.Response:
        """Return a page of the rooms the bearer may know of."""
        person = self._bearer(request)
        query = request.query
        live = {"true": True, "false": False}.get(query.get("live", ""))
        text, limit = query.get("text"), query.get("limit", "50")
        if not limit.isdecimal() or len(limit) > 4:
            return _refused(Refusal(Reason.INVALID, "limit must be a number"))
        wanted = RoomFilter(live=live, call_type=query.get("call_type"), text=text)
        question = QueryRooms(wanted, query.get("sort", "activity"), int(limit), query.get("after"))
        found = await answer(self._house, person, question)
        return _refused(found) if isinstance(found, Refusal) else _json(found)

    async def new_room(self, request: web.Request) -> web.Response:
        """Make a room, or return the one there is."""
        person = self._bearer(request)
        wanted = await self._body(request, NewRoom)
        kind, _, name = wanted.cid.partition(":")
        cid = (
            Cid(f"{kind or AUDIO_ROOM.name}:{name or secrets.token_hex(16)}")
            if not name
            else parse_cid(wanted.cid)
        )
        if not is_cid(cid):
            raise Malformed("that is not a call type; leave the id away, or write type:id")
        make = GetOrCreate(wanted.title, wanted.members, wanted.backstage, wanted.private, wanted.starts_at)
        before = (await self._house.room(cid)).committed
        refusal = await self._house.create(person, OpId(secrets.token_hex(8)), cid, make)
        if refusal is not None:
            return _refused(refusal)
        room = (await self._house.room(cid)).committed
        assert room is not None
        shown = {"cid": room.cid, "title": room.title, "live": room.live, "link": f"/r/{room.cid}"}
        return _json(shown, 201 if before is None else 200)

    async def new_token(self, request: web.Request) -> web.Response:
        """Make a token for somebody; for admins."""
        person = self._bearer(request)
        if person.actor.role != ADMIN:
            return _refused(Refusal(Reason.MISSING_CAPABILITY, "only a token of an admin can make tokens"))
        wanted = await self._body(request, NewToken)
        user = parse_user(wanted.user)
        cid = None if wanted.cid is None else parse_cid(wanted.cid)
        if cid is not None:
            room = (await self._house.room(cid)).committed
            if room is not None and user in room.blocked:
                return _refused(Refusal(Reason.BLOCKED, "that person is blocked in that room"))
        made = mint(
            self._house.keys,
            user,
            time.time(),
            name=safe_text(wanted.name),
            role=Role(wanted.role),
            seconds=wanted.seconds,
            bound_to=cid,
        )
        return _json(made, 201)

    async def new_guest(self, request: web.Request) -> web.Response:
        """Make a short-lived token for whoever has a room's link. Says nothing about whether there is such a room."""
        if not self._open_guests:
            return _refused(
                Refusal(Reason.UNAUTHORIZED, "this server lets people in by invitation; ask for a link")
            )
        if not self._by_address.take(request.remote or "", time.monotonic()):
            return _refused(Refusal(Reason.RATE_LIMITED, "too many guests at once; wait a moment"))
        wanted = await self._body(request, NewGuest)
        role = ANONYMOUS if wanted.listen_only else GUEST
        token = guest_token(self._house, parse_cid(wanted.cid), wanted.name, role, JOIN_SECONDS)
        return _json(token, 201)

    async def redeem_url(self, request: web.Request) -> web.Response:
        """Give whoever comes by a pre-signed address a short-lived token, and say what to do with it."""
        if not self._by_address.take(request.remote or "", time.monotonic()):
            return _refused(Refusal(Reason.RATE_LIMITED, "too many at once; wait a moment"))
        wanted = await self._body(request, UrlSecret)
        cid = None if wanted.cid is None else parse_cid(wanted.cid)
        given = await self._house.call_urls.redeem(wanted.secret, cid, wanted.name, wanted.attempt)
        return _refused(given) if isinstance(given, Refusal) else _json(given, 201)

    def _bearer(self, request: web.Request) -> Person:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("send a token: Authorization: Bearer …")
        claims = verify(self._house.keys, token.strip())
        if not self._by_person.take(claims.user, time.monotonic()):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "1"}, text="slower, please")
        actor = Actor(claims.user, claims.name or claims.user, claims.role)
        return Person(actor, claims.bound_to, "")

    async def _body(self, request: web.Request, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(await request.read(), type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"that is not what is expected here: {error}") from None


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _json(value: object, status: int = 200) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json")


def _refused(refusal: Refusal) -> web.Response:
    return refusal_response(refusal.reason, refusal.message, _STATUS.get(refusal.reason, 400))


def refusal_response(reason: str, message: str, status: int) -> web.Response:
    """Return a refusal as JSON: `reason` for programs, `message` for people."""
    response = _json({"reason": reason, "message": message}, status)
    if status in (429, 503):
        response.headers["Retry-After"] = "2"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


__all__ = ["HttpApi", "NewGuest", "NewRoom", "NewToken", "RoomsPage", "refusal_response"]
