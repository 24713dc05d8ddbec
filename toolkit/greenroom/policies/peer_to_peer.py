"""Which way the sound of a call should go: straight to the other person, or through the server. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.protocol.peers import Failure, direct_pair, why_not_direct
from greenroom.protocol.room import Room, audible

SPEAKING_DBFS = -50.0


class ThroughServer(msgspec.Struct, frozen=True):
    """`reason` is empty where the room knows no other way."""

    reason: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """There is nobody yet to send sound to."""


class Straight(msgspec.Struct, frozen=True):
    """To `partner`, heard as `number`. `offers`: we make the offer. `audible`: whether the room lets them be heard."""

    partner: UserId
    name: str
    number: int
    offers: bool
    audible: bool


WayPlan = ThroughServer | Waiting | Straight


def plan_way(room: Room | None, me: UserId, given_up: Mapping[int, str]) -> WayPlan:
    """Return the way sound should go. `given_up` says with whom (by number) the direct way was tried, and what became of it.

    A person who comes in anew has another number, and so another try.
    """
    if room is None or not room.settings.peer_to_peer or me not in room.participants:
        return ThroughServer()
    if len(room.participants) == 1:
        return Waiting()
    pair = direct_pair(room)
    if pair is None:
        return ThroughServer(why_not_direct(room) or "")
    first, second = pair
    partner = second if first.user == me else first
    if (reason := given_up.get(partner.number)) is not None:
        return ThroughServer(reason)
    return Straight(
        partner=partner.user,
        name=partner.name,
        number=partner.number,
        offers=first.user == me,
        audible=audible(room, partner.user),
    )


def given_up_after(given_up: Mapping[int, str], room: Room | None, me: UserId) -> Mapping[int, str]:
    """Return `given_up` for the people who are here, with everybody of a room that went through the server for a while.

    Back to two, the server goes on: changing the way is heard, and nobody asked for it.
    """
    if room is None or not room.settings.peer_to_peer:
        return given_up
    here = {person.number for user, person in room.participants.items() if user != me}
    kept = {number: reason for number, reason in given_up.items() if number in here}
    if len(here) > 1:
        kept = dict.fromkeys(here, "somebody else was here too")
    return given_up if kept == given_up else kept


def who_speaks(levels: Mapping[UserId, float]) -> tuple[frozenset[UserId], UserId | None]:
    """Return who speaks, by their `levels` in dBFS, and who of them is loudest: where no server listens, we do."""
    speaking = frozenset(user for user, level in levels.items() if level > SPEAKING_DBFS)
    return speaking, max(speaking, key=lambda user: levels[user], default=None)


def failure_words(failure: Failure, name: str) -> str:
    """Return why sound does not go straight to `name`, as they say."""
    match failure:
        case Failure.NO_WAY:
            return f"no direct way to {name} was found"
        case Failure.LOST:
            return f"the direct way to {name} was lost"
        case Failure.UNREADABLE:
            return f"{name}'s program and ours do not understand each other"
        case Failure.UNWILLING:
            return f"{name}'s side goes through the server"
