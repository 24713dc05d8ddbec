"""Whom one can call: people known from rooms, calls and their history, found by name or id. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from greenroom.errors import Malformed
from greenroom.protocol.ids import UserId, parse_user
from greenroom.protocol.records import CallRecord
from greenroom.state.engine import ClientState


class Person(msgspec.Struct, frozen=True, order=True):
    """Somebody by the name others see, and their id."""

    name: str
    user: UserId


def known_people(client: ClientState, records: Iterable[CallRecord] = ()) -> tuple[Person, ...]:
    """Return everybody but us who is known from our rooms, calls, missed calls and `records`, by name."""
    names: dict[UserId, str] = {}
    for record in records:
        names |= {one.user: one.name for one in record.people} | {record.by: record.by_name}
    for missed in client.rings.missed:
        names[missed.by] = missed.by_name
    for ring in (*client.rings.over, *client.rings.rings.values()):
        names |= {one.user: one.name for one in ring.rung} | {ring.by: ring.by_name}
    for call in client.calls.values():
        if call.room is not None:
            names |= {user: member.name for user, member in call.room.members.items()}
            names |= {user: person.name for user, person in call.room.participants.items()}
    names.pop(client.user, None)
    return tuple(sorted(Person(name or user, user) for user, name in names.items() if user))


def people_called(text: str, known: Iterable[Person]) -> tuple[UserId, ...]:
    """Return whom `text` names: ids or names of known people, with commas between.

    Raises `Malformed` for nobody, for a name that several have, and for what is neither a name nor an id.
    """
    people = tuple(known)
    wanted = [word for word in (part.strip() for part in text.split(",")) if word]
    if not wanted:
        raise Malformed("write whom to call: a user id, or the name of somebody you have met")
    return tuple(dict.fromkeys(_one(word, people) for word in wanted))


def completed(text: str, known: Iterable[Person]) -> str | None:
    """Return `text` with its last name completed, or None where nobody fits."""
    before, comma, last = text.rpartition(",")
    typed = last.lstrip()
    if not typed:
        return None
    gap = last[: len(last) - len(typed)]
    for person in known:
        for words in (person.name, person.user):
            if words.casefold().startswith(typed.casefold()) and len(words) > len(typed):
                return f"{before}{comma}{gap}{typed}{words[len(typed) :]}"
    return None


def _one(word: str, people: tuple[Person, ...]) -> UserId:
    if any(person.user == word for person in people):
        return UserId(word)
    fits = sorted({person.user for person in people if person.name.casefold() == word.casefold()})
    if len(fits) > 1:
        raise Malformed(f"{word} is the name of {' and '.join(fits)}: write which")
    return fits[0] if fits else parse_user(word)
