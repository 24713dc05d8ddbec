"""The queue of raised hands and the audience."""

from __future__ import annotations

import msgspec

from greenroom.protocol.call_types import HandPolicy
from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import may
from greenroom.state.call import CallState
from greenroom.views.words import count, duration, role_word

_ORDER = {HandPolicy.LEAST_TALKED: "least talked first", HandPolicy.ROUND_ROBIN: "in turns"}


class HandRow(msgspec.Struct, frozen=True):
    """One raised hand; `position` counts from 1. `present` is false while its owner is away and may come back."""

    position: int
    user: UserId
    name: str
    waiting: str
    me: bool
    present: bool


class ListenerRow(msgspec.Struct, frozen=True):
    """Somebody in the audience. `position` is their place in the queue of hands, 0 without one."""

    user: UserId
    name: str
    role: str
    me: bool
    connected: bool
    invited: bool
    position: int


def hand_rows(call: CallState, now: float) -> tuple[HandRow, ...]:
    """Return the queue in order. `now` is wall-clock."""
    room = call.room
    if room is None:
        return ()
    return tuple(
        HandRow(
            place,
            hand.user,
            hand.name,
            duration(now - hand.raised_at),
            hand.user == call.me,
            hand.user in room.participants,
        )
        for place, hand in enumerate(room.hands, 1)
    )


def queue_words(call: CallState) -> str:
    """Return how long the queue is and, unless first come is first served, whose turn is next."""
    room = call.room
    if room is None:
        return ""
    order = _ORDER.get(room.settings.hand_policy, "")
    return count(len(room.hands), "hand") + (f", {order}" if order else "")


def listener_rows(call: CallState) -> tuple[ListenerRow, ...]:
    """Return the named audience in order of joining; `audience_words` says how many there are in all."""
    room = call.room
    if room is None:
        return ()
    places = {hand.user: place for place, hand in enumerate(room.hands, 1)}
    people = [
        person for person in room.participants.values() if not may(room, person.user, Capability.SEND_AUDIO)
    ]
    return tuple(
        ListenerRow(
            person.user,
            person.name,
            role_word(person.role),
            person.user == call.me,
            person.connected,
            person.user in room.invitations,
            places.get(person.user, 0),
        )
        for person in sorted(people, key=lambda person: person.number)
    )


def audience_words(call: CallState) -> str:
    """Return `12 listening, 3 by name` or `nobody is listening`. Counts may trail by a second."""
    if call.room is None:
        return ""
    named = len(listener_rows(call))
    stage = len(call.room.participants) - named
    total = max(named, call.room.counts.participants - stage)
    if not total:
        return "nobody is listening"
    beyond = total - named
    return count(total, "listener") + (f", {beyond} not by name" if beyond else "")
