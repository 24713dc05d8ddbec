"""Pre-signed addresses: made for who asks, redeemed by who comes by one, counted in the store."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

import msgspec

from greenroom.errors import Unauthorized
from greenroom.protocol.call_urls import (
    MAX_SECRET_CHARACTERS,
    MAX_URL_SECONDS,
    MAX_URL_USES,
    MakeUrl,
    QueryUrls,
    Redeemed,
    RevokeUrl,
    SignedUrl,
    UrlInfo,
    UrlKind,
    UrlsPage,
    UrlState,
    url_path,
    url_state,
)
from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Actor, Facts, may_see, not_found
from greenroom.protocol.events import RoomEnded
from greenroom.protocol.ids import (
    ADMIN,
    ANONYMOUS,
    CALL_MEMBER,
    GUEST,
    HOST,
    USER,
    Cid,
    OpId,
    Role,
    UserId,
    is_cid,
    is_role,
    is_user,
)
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import GetOrCreate, NewMember, SetRole
from greenroom.protocol.ringing import RingKind
from greenroom.protocol.room import Room
from greenroom.protocol.text import safe_text
from greenroom.server.people import Person
from greenroom.server.tokens import JOIN_SECONDS, Keys, mint
from greenroom.storage.base import Change
from greenroom.storage.call_urls import StoredUrl, UrlUse, url_change

if TYPE_CHECKING:
    from greenroom.server.house import House

STATEMENT_VERSION = 1
MAX_PAGE = 100
MAX_ATTEMPT_CHARACTERS = 100
CALL_ROOM_TYPE = "default"
UNUSED_SECONDS = JOIN_SECONDS + 30.0
_WORDS = {
    UrlState.REVOKED: "that link was taken back; ask for a new one",
    UrlState.EXPIRED: "that link has expired; ask for a new one",
    UrlState.USED_UP: "that link was used already; ask for a new one",
}
_NOT_VALID = "that link is not valid here; ask for a new one"
_SECRET = re.compile(r"[A-Za-z0-9]{1,32}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}")


class Statement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is signed: everything an address promises, so that no part of it can be exchanged."""

    version: int
    id: str
    kind: UrlKind
    cid: str | None
    to: str | None
    media: RingKind
    role: str
    name: str
    expires_at: int
    uses: int


def sign(keys: Keys, info: UrlInfo) -> str:
    """Return the secret of an address: key id, statement and HMAC-SHA-256, joined by dots."""
    statement = msgspec.json.encode(_statement(info))
    body = f"{keys.current}.{_base64(statement)}"
    return f"{body}.{_base64(_mac(keys.secrets[keys.current], body))}"


def read(keys: Keys, secret: str) -> Statement:
    """Return what `secret` states. Raises `Unauthorized` unless one of `keys` signed exactly that."""
    if len(secret) > MAX_SECRET_CHARACTERS or not _SECRET.fullmatch(secret):
        raise Unauthorized(_NOT_VALID)
    body, _, given = secret.rpartition(".")
    kid, _, encoded = body.partition(".")
    key = keys.secrets.get(kid)
    if key is None or not hmac.compare_digest(_base64(_mac(key, body)), given):
        raise Unauthorized(_NOT_VALID)
    try:
        return msgspec.json.decode(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), type=Statement)
    except (msgspec.MsgspecError, ValueError):
        raise Unauthorized(_NOT_VALID) from None


class CallUrls:
    """The addresses of one server."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._made: dict[Cid, float] = {}

    def tick(self, now: float) -> None:
        """End rooms that were made for one call, once that is over or was never placed. `now` is wall-clock time."""
        for cid, made_at in list(self._made.items()):
            hosted = self._house.hosted(cid)
            room = None if hosted is None else hosted.room
            if self._house.ringing.board.ring(cid) is not None or (room is not None and room.participants):
                self._made[cid] = now
            elif hosted is None or now - made_at > UNUSED_SECONDS:
                del self._made[cid]
                if hosted is not None:
                    hosted.apply(lambda value: () if value.ended_at is not None else (RoomEnded(now, None),))

    async def answer(
        self, person: Person, question: MakeUrl | QueryUrls | RevokeUrl
    ) -> SignedUrl | UrlsPage | Refusal:
        """Return the answer to `question`. Raises `StorageFailed`."""
        if person.actor.role in (GUEST, ANONYMOUS) or person.bound_to is not None:
            return Refusal(Reason.UNAUTHORIZED, "guests make no links; ask a member of this server for one")
        match question:
            case MakeUrl():
                return await self._make(person, question)
            case QueryUrls(limit, after):
                return await self._page(person, limit, after)
            case RevokeUrl(id):
                return await self._revoke(person, id)

    async def redeem(self, secret: str, cid: Cid | None, name: str, attempt: str) -> Redeemed | Refusal:
        """Return what the bearer of `secret` may do, and count it. Raises `Unauthorized` and `StorageFailed`.

        `cid`: the room their page is of, which must be the one that was signed. `attempt`: a secret of their own; the
        same one again, when an answer was lost, counts once.
        """
        statement = read(self._house.keys, secret)
        stored = await self._house.repository.call_urls.get(statement.id)
        if stored is None or _statement(stored.info) != statement:
            raise Unauthorized(_NOT_VALID)
        info, now = stored.info, time.time()
        if info.kind is UrlKind.ROOM and cid is not None and cid != info.cid:
            raise Unauthorized(_NOT_VALID)
        if (state := url_state(info, now)) in (UrlState.REVOKED, UrlState.EXPIRED):
            return Refusal(Reason.UNAUTHORIZED, _WORDS[state])
        maker = Actor(info.by, str(info.by), stored.by_role)
        if (refusal := await self._still_allowed(maker, info)) is not None:
            return refusal
        room = info.cid or Cid(f"{CALL_ROOM_TYPE}:{secrets.token_hex(16)}")
        role = ANONYMOUS if info.kind is UrlKind.ROOM and info.role == ANONYMOUS else GUEST
        wanted = UrlUse(
            UserId(f"{'listener' if role == ANONYMOUS else 'guest'}-{secrets.token_hex(8)}"), room
        )
        use = await self._house.repository.call_urls.use(info.id, _hash(attempt), wanted, now)
        if use is None:
            return Refusal(Reason.UNAUTHORIZED, _WORDS[UrlState.USED_UP])
        called = info.name or safe_text(name) or ("" if role == ANONYMOUS else "Guest")
        if (refusal := await self._prepare(maker, info, use, called)) is not None:
            return refusal
        token = mint(
            self._house.keys, use.user, now, name=called, role=role, seconds=JOIN_SECONDS, bound_to=use.cid
        )
        return Redeemed(
            info.kind, token.token, token.expires_at, use.user, use.cid, info.to, info.media, called
        )

    async def _make(self, person: Person, wanted: MakeUrl) -> SignedUrl | Refusal:
        if not (60.0 <= wanted.seconds <= MAX_URL_SECONDS and 1 <= wanted.uses <= MAX_URL_USES):
            words = f"a link is good for a minute to 30 days, and for 1 to {MAX_URL_USES} people"
            return Refusal(Reason.INVALID, words)
        maker, now = person.actor, time.time()
        if wanted.kind is UrlKind.CALL:
            refusal = await self._may_make_call(maker, wanted)
        else:
            refusal = await self._may_make_room(maker, wanted)
        if refusal is not None:
            return refusal
        is_call = wanted.kind is UrlKind.CALL
        info = UrlInfo(
            id=secrets.token_hex(8),
            kind=wanted.kind,
            cid=wanted.cid,
            to=wanted.to if is_call else None,
            media=wanted.media,
            role=CALL_MEMBER if is_call else wanted.role,
            name=safe_text(wanted.name),
            by=maker.user,
            made_at=now,
            expires_at=float(int(now + wanted.seconds)),
            uses=wanted.uses,
        )
        await self._house.writer.commit((url_change(StoredUrl(info, maker.role)),))
        return SignedUrl(info, url_path(info.kind, info.cid), sign(self._house.keys, info))

    async def _may_make_call(self, maker: Actor, wanted: MakeUrl) -> Refusal | None:
        if wanted.media is not RingKind.AUDIO:
            return Refusal(Reason.NOT_AVAILABLE, "video is not available on this server yet; audio is")
        if wanted.to is None or not is_user(wanted.to):
            return Refusal(Reason.INVALID, "a link that calls somebody needs to say whom")
        if wanted.to != maker.user and maker.role != ADMIN:
            return Refusal(
                Reason.UNAUTHORIZED, "anybody may make a link that calls themselves; others', an admin"
            )
        if wanted.cid is None:
            return None
        if not is_cid(wanted.cid):
            return not_found(wanted.cid)
        room = (await self._house.room(wanted.cid)).committed
        if room is None:
            return None
        return _may_open(room, maker, CALL_MEMBER)

    async def _may_make_room(self, maker: Actor, wanted: MakeUrl) -> Refusal | None:
        if wanted.cid is None or not is_cid(wanted.cid):
            return Refusal(Reason.INVALID, "a link into a room needs to say which")
        if not is_role(wanted.role) or wanted.role in (ADMIN, HOST, USER):
            return Refusal(
                Reason.INVALID, "a link can make somebody anonymous, a guest, or a member below a host"
            )
        room = (await self._house.room(wanted.cid)).committed
        return not_found(wanted.cid) if room is None else _may_open(room, maker, wanted.role)

    async def _still_allowed(self, maker: Actor, info: UrlInfo) -> Refusal | None:
        """Return why `maker` could not make this address any more: it opens no more than its maker may."""
        if info.cid is None:
            return None
        room = (await self._house.room(info.cid)).committed
        if room is None:
            return None if info.kind is UrlKind.CALL else not_found(info.cid)
        if room.ended_at is not None:
            return Refusal(Reason.ENDED, "this room has ended")
        if _may_open(room, maker, info.role) is not None:
            return Refusal(Reason.UNAUTHORIZED, _WORDS[UrlState.REVOKED])
        return None

    async def _prepare(self, maker: Actor, info: UrlInfo, use: UrlUse, name: str) -> Refusal | None:
        """Let the newcomer be in the room what the address says: as its maker would."""
        if info.kind is UrlKind.ROOM:
            if info.role in (GUEST, ANONYMOUS):
                return None
            room = await self._house.room(use.cid)
            return await room.request(maker, SetRole(use.user, info.role, name), time.time(), Facts())
        person = Person(maker, None, "")
        members = [NewMember(use.user, CALL_MEMBER, name)]
        if info.to is not None:
            members.append(NewMember(info.to, HOST))
        make = GetOrCreate(members=tuple(members), private=True)
        refusal = await self._house.create(person, OpId(secrets.token_hex(8)), use.cid, make)
        if refusal is not None:
            return refusal
        if info.cid is None:
            self._made[use.cid] = time.time()
        room = await self._house.room(use.cid)
        if room.committed is not None and use.user not in room.committed.members:
            return await room.request(maker, SetRole(use.user, CALL_MEMBER, name), time.time(), Facts())
        return None

    async def _page(self, person: Person, limit: int, after: str | None) -> UrlsPage:
        by = None if person.actor.role == ADMIN else person.user
        limit = max(1, min(limit, MAX_PAGE))
        return UrlsPage(*await self._house.repository.call_urls.page(by, after, limit))

    async def _revoke(self, person: Person, id: str) -> UrlsPage | Refusal:
        stored = await self._house.repository.call_urls.get(id)
        if stored is None or (stored.info.by != person.user and person.actor.role != ADMIN):
            return Refusal(Reason.NOT_FOUND, "there is no link of yours with that id")
        info = stored.info
        if info.revoked_at is None:
            info = msgspec.structs.replace(info, revoked_at=time.time())
            change = Change("call_urls", {"id": id}, {"revoked_at": info.revoked_at})
            await self._house.writer.commit((change,))
        return UrlsPage((info,))


def _may_open(room: Room, maker: Actor, role: Role) -> Refusal | None:
    """Return why `maker` may not let others into `room` as `role`, or None when they may."""
    if not may_see(room, maker, time.time()):
        return not_found(room.cid)
    if role not in (GUEST, ANONYMOUS):
        return _may_set(room, maker, role)
    if room.settings.private:
        words = "a private room lets in members only; make the link for role 'call-member'"
        return Refusal(Reason.INVALID, words)
    return None


def _may_set(room: Room, maker: Actor, role: Role) -> Refusal | None:
    decision = decide(room, room.cid, maker, SetRole(UserId("guest-0"), role, "Guest"), time.time())
    return decision if isinstance(decision, Refusal) else None


def _statement(info: UrlInfo) -> Statement:
    return Statement(
        STATEMENT_VERSION,
        info.id,
        info.kind,
        info.cid,
        info.to,
        info.media,
        info.role,
        info.name,
        int(info.expires_at),
        info.uses,
    )


def _mac(key: bytes, body: str) -> bytes:
    """Return the HMAC of `body` under a key of its own purpose, so that no token is ever a link nor a link a token."""
    purpose = hmac.digest(key, b"greenroom pre-signed address", "sha256")
    return hmac.digest(purpose, body.encode(), "sha256")


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _hash(attempt: str) -> str:
    return hashlib.sha256((attempt or secrets.token_hex(16)).encode("utf-8", "surrogatepass")).hexdigest()
