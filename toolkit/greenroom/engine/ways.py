"""What one call remembers about ways for its sound: the plan, what was tried in vain, what was said too early."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from greenroom.policies.peer_to_peer import (
    Straight,
    ThroughServer,
    Waiting,
    WayPlan,
    failure_words,
    given_up_after,
    plan_way,
)
from greenroom.protocol.ids import UserId
from greenroom.protocol.peers import PeerCandidate, PeerFailed, PeerOffer, PeerReady, PeerSignal
from greenroom.protocol.room import Room

MOST_TRIES = 6
"""With one person in one stay: whoever asks for new tries without end is served through the server."""
_MOST_EARLY = 32


class Asked(Enum):
    """What a signal asks for."""

    NOTHING = auto()
    ANOTHER_TRY = auto()
    TOO_MUCH = auto()


class Ways:
    """`plan` follows the room and what was given up. No clock and no network here."""

    def __init__(self) -> None:
        self.plan: WayPlan = ThroughServer()
        self._room: Room | None = None
        self._me = UserId("")
        self._joined_at: float | None = None
        self._given_up: Mapping[int, str] = {}
        self._tries: dict[int, int] = {}
        self._early: list[PeerSignal] = []
        self._early_from: UserId | None = None

    @property
    def asked_anew(self) -> bool:
        """Whether a try waits that the other person asked for."""
        return bool(self._early)

    @property
    def came_anew(self) -> bool:
        """Whether we are alone because we came in anew, as after a restart of the server: the other one may follow."""
        return isinstance(self.plan, Waiting) and self._joined_at not in (None, self._joined_at_now)

    @property
    def _joined_at_now(self) -> float | None:
        person = None if self._room is None else self._room.participants.get(self._me)
        return None if person is None else person.joined_at

    def follow(self, room: Room | None, me: UserId) -> None:
        """Plan for the room as it is now."""
        self._room, self._me = room, me
        self._given_up = given_up_after(self._given_up, room, me)
        self.plan = plan_way(room, me, self._given_up)
        if isinstance(self.plan, Straight):
            self._joined_at = self._joined_at_now

    def tried(self, plan: Straight) -> None:
        """Count a try with that person."""
        self._tries[plan.number] = self._tries.get(plan.number, 0) + 1

    def give_up(self, plan: Straight, why: str) -> None:
        """Go through the server with that person, until they ask for another try or come in anew."""
        self._given_up = {**self._given_up, plan.number: why}
        self.follow(self._room, self._me)

    def said(self, user: UserId, signal: PeerSignal) -> Asked:
        """Take what somebody says outside of a try that is under way, and return what it asks for."""
        if isinstance(signal, PeerCandidate):
            if user == self._early_from and len(self._early) < _MOST_EARLY:
                self._early.append(signal)
            return Asked.NOTHING
        wanted = plan_way(self._room, self._me, {})
        if not isinstance(wanted, Straight) or wanted.partner != user:
            return Asked.NOTHING
        if isinstance(signal, PeerFailed):
            if isinstance(self.plan, Straight):
                self.give_up(self.plan, failure_words(signal.reason, self.plan.name))
            return Asked.NOTHING
        if not isinstance(signal, PeerReady if wanted.offers else PeerOffer):
            return Asked.NOTHING
        if self._tries.get(wanted.number, 0) >= MOST_TRIES:
            return Asked.TOO_MUCH
        self._early, self._early_from = [signal], user
        self._given_up = {known: why for known, why in self._given_up.items() if known != wanted.number}
        self.follow(self._room, self._me)
        return Asked.ANOTHER_TRY

    def take_early(self, plan: Straight) -> tuple[PeerSignal, ...]:
        """Return what `plan.partner` said before we began, once."""
        early = tuple(self._early) if self._early_from == plan.partner else ()
        self._early, self._early_from = [], None
        return early
