"""Who is connected, and who may come back: sessions, the latest connection, presence in rooms."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from greenroom.errors import StorageFailed
from greenroom.protocol.decide import lost, returned
from greenroom.protocol.deciding import Actor
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.room import LeaveReason
from greenroom.protocol.wire import CloseCode
from greenroom.server.room import Follower, HostedRoom
from greenroom.server.tokens import Claims
from greenroom.storage.base import Change, Drop, Repository, StoredSession
from greenroom.storage.changes import json_text, session_change
from greenroom.storage.writer import Writer

KEEP_SESSION_SECONDS = 1.0
"""How long a newcomer waits for the store; a session it cannot keep is good until the server ends."""


class Line(Follower, Protocol):
    """A client's connection, as far as sessions know it."""

    def cut(self, code: int, reason: str) -> None:
        """Close the connection, some time soon."""


@dataclass(slots=True, eq=False)
class Person:
    """Somebody who is connected, or may come back for a while. `line` is None while they are away."""

    actor: Actor
    bound_to: Cid | None
    token_hash: str
    previous_hash: str = ""
    line: Line | None = None
    rooms: set[Cid] = field(default_factory=set)
    removals: dict[Cid, asyncio.TimerHandle] = field(default_factory=dict)
    expiry: asyncio.TimerHandle | None = None

    @property
    def user(self) -> UserId:
        """Their id."""
        return self.actor.user


class People:
    """Everybody by id. A person has one connection: the latest. Tokens for coming back are kept hashed."""

    def __init__(
        self,
        repository: Repository,
        writer: Writer,
        hosted: Callable[[Cid], HostedRoom | None],
        *,
        grace_seconds: float,
        resume_seconds: float,
    ) -> None:
        self._repository = repository
        self._writer = writer
        self._hosted = hosted
        self._grace_seconds = grace_seconds
        self._resume_seconds = resume_seconds
        self._people: dict[UserId, Person] = {}
        self._by_hash: dict[str, Person] = {}
        self._connected = 0
        self._emptied = asyncio.Event()

    def get(self, user: UserId) -> Person | None:
        """Return somebody who is connected or may come back."""
        return self._people.get(user)

    async def enter(self, claims: Claims, name: str, line: Line) -> tuple[Person, str]:
        """Return who came with a valid token, and the token to come back with. An earlier connection is closed.

        Rooms of an earlier connection are theirs until the grace period ends, unless they join them again.
        """
        before = self._people.get(claims.user)
        actor = Actor(claims.user, claims.name or name or claims.user, claims.role)
        person = Person(actor, claims.bound_to, "")
        if before is not None:
            self._let_go(before)
            person.rooms = set(before.rooms)
            self._forget(before)
        self._people[person.user] = person
        person.line = line
        self._connected += 1
        if before is not None:
            for cid in list(person.rooms):
                self._lost_in(person, cid)
        token = await self._new_token(person)
        return person, token

    async def come_back(self, token: str, line: Line) -> tuple[Person, str, bool] | None:
        """Return who was here with `token`, a new token, and whether this server remembers them itself.

        Otherwise it was an earlier run of it, and their rooms have to be joined again. None: nobody, or too late.
        """
        hashed = _hash(token)
        person = self._by_hash.get(hashed)
        remembered = person is not None
        if person is None:
            stored = await self._repository.session(hashed)
            person = self._by_hash.get(hashed)  # somebody else may have come with it meanwhile
            if person is None and (stored is None or stored.user in self._people or _expired(stored)):
                return None
            if person is None and stored is not None:
                person = Person(Actor(stored.user, stored.name, stored.role), stored.bound_to, hashed)
                person.rooms = set(stored.rooms)
                self._people[stored.user] = person
        if person is None:
            return None
        self._let_go(person)
        person.line = line
        self._connected += 1
        if person.expiry is not None:
            person.expiry.cancel()
            person.expiry = None
        return person, await self._new_token(person, spent=hashed), remembered

    def confirm(self, person: Person) -> None:
        """Spend the token they came back with: they have the new one."""
        if person.previous_hash:
            self._by_hash.pop(person.previous_hash, None)
            person.previous_hash = ""
            self._writer.journal(Change("sessions", {"user": person.user}, {"previous_hash": ""}))

    def resume_rooms(
        self, person: Person, line: Line, seen: Mapping[Cid, tuple[int, int]]
    ) -> tuple[Cid, ...]:
        """Take up the rooms they are still in; `seen` says what they know of each. Call after the welcome."""
        here = self.still_in(person)
        for cid in here:
            room = self._hosted(cid)
            if room is not None:
                self.back_in(person, cid)
                room.follow(person.user, line, seen.get(cid, (-1, 0)))
                room.apply(lambda value: returned(value, person.user))
        return here

    def still_in(self, person: Person) -> tuple[Cid, ...]:
        """Return the rooms where they are present."""
        hosted = ((cid, self._hosted(cid)) for cid in sorted(person.rooms))
        return tuple(
            cid
            for cid, room in hosted
            if room is not None and room.committed is not None and person.user in room.committed.participants
        )

    def gone_away(self, person: Person, line: Line) -> None:
        """Their connection ended. They stay in their rooms for the grace period, and may come back after it too."""
        for cid in person.rooms:
            if (room := self._hosted(cid)) is not None:
                room.unfollow(person.user, line)
        if person.line is not line:
            return
        person.line = None
        self._connected -= 1
        if not self._connected:
            self._emptied.set()
        for cid in list(person.rooms):
            self._lost_in(person, cid)
        expires_at = time.time() + self._resume_seconds
        self._writer.journal(Change("sessions", {"user": person.user}, {"expires_at": expires_at}))
        loop = asyncio.get_running_loop()
        person.expiry = loop.call_later(self._resume_seconds, self._expire, person)

    def joined(self, user: UserId, cid: Cid) -> None:
        """They are in a room now."""
        person = self._people.get(user)
        if person is None:
            return
        person.rooms.add(cid)
        self._keep_rooms(person)
        if person.line is None:  # the connection ended before the room had them
            self._lost_in(person, cid)

    def left(self, user: UserId, cid: Cid) -> None:
        """They are in a room no longer."""
        person = self._people.get(user)
        if person is not None and cid in person.rooms:
            self.back_in(person, cid)
            person.rooms.discard(cid)
            self._keep_rooms(person)

    def back_in(self, person: Person, cid: Cid) -> None:
        """They are connected to the room again: nobody has to remove them."""
        if (timer := person.removals.pop(cid, None)) is not None:
            timer.cancel()

    async def all_gone(self, timeout_seconds: float) -> None:
        """Return when nobody is connected, or after the timeout."""
        if self._connected:
            self._emptied.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), timeout_seconds)

    def say_goodbye(self, frame: bytes, code: int, reason: str) -> None:
        """Send everybody a last frame and close."""
        for person in self._people.values():
            if person.line is not None:
                person.line.send(frame)
                person.line.cut(code, reason)

    def close(self) -> None:
        """Cancel what was to happen later."""
        for person in self._people.values():
            self._cancel(person)

    def _lost_in(self, person: Person, cid: Cid) -> None:
        room = self._hosted(cid)
        if room is None or cid in person.removals:
            return
        room.apply(lambda value: lost(value, person.user))
        person.removals[cid] = asyncio.get_running_loop().call_later(
            self._grace_seconds, self._remove, person.user, cid
        )

    def _remove(self, user: UserId, cid: Cid) -> None:
        if (person := self._people.get(user)) is not None:
            person.removals.pop(cid, None)
        if (room := self._hosted(cid)) is not None:
            room.remove(user, LeaveReason.LOST)

    def _let_go(self, person: Person) -> None:
        line, person.line = person.line, None
        if line is None:
            return
        self._connected -= 1
        for cid in person.rooms:
            if (room := self._hosted(cid)) is not None:
                room.unfollow(person.user, line)
        line.cut(CloseCode.REPLACED, "you came in from somewhere else")

    def _expire(self, person: Person) -> None:
        if person.line is None and self._people.get(person.user) is person:
            for cid in list(person.rooms):
                self._remove(person.user, cid)
            self._forget(person)
            self._writer.journal(Drop("sessions", {"user": person.user, "token_hash": person.token_hash}))

    def _forget(self, person: Person) -> None:
        self._cancel(person)
        for hashed in (person.token_hash, person.previous_hash):
            self._by_hash.pop(hashed, None)
        del self._people[person.user]

    def _cancel(self, person: Person) -> None:
        for timer in (*person.removals.values(), person.expiry):
            if timer is not None:
                timer.cancel()
        person.removals.clear()

    async def _new_token(self, person: Person, spent: str = "") -> str:
        token = secrets.token_urlsafe(24)
        for hashed in (person.token_hash, person.previous_hash):
            self._by_hash.pop(hashed, None)
        person.token_hash, person.previous_hash = _hash(token), spent
        self._by_hash[person.token_hash] = person
        if spent:
            self._by_hash[spent] = person
        change = session_change(_stored(person))
        try:
            async with asyncio.timeout(KEEP_SESSION_SECONDS):
                await asyncio.shield(asyncio.ensure_future(self._writer.commit((change,))))
        except (StorageFailed, TimeoutError):
            self._writer.journal(session_change(_stored(person)))
        return token

    def _keep_rooms(self, person: Person) -> None:
        rooms = json_text(tuple(sorted(person.rooms)))
        self._writer.journal(Change("sessions", {"user": person.user}, {"rooms": rooms}))


def _stored(person: Person) -> StoredSession:
    return StoredSession(
        user=person.user,
        token_hash=person.token_hash,
        name=person.actor.name,
        role=person.actor.role,
        previous_hash=person.previous_hash,
        bound_to=person.bound_to,
        rooms=tuple(sorted(person.rooms)),
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _expired(stored: StoredSession) -> bool:
    return stored.expires_at is not None and stored.expires_at < time.time()
