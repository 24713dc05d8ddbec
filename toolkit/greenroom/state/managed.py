"""Calls as a call manager shows them: idle, calling, incoming, connected, ended. Computed from what the client knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ringing import YES, EndReason, Ring, RingAnswer, RingId, RingPhase
from greenroom.state.call import CallPhase, CallState
from greenroom.state.engine import ClientState
from greenroom.state.rings import FORGOTTEN, answer_of, answered_elsewhere

KEPT_ENDED = 40


class ManagerPhase(StrEnum):
    """Where a call is for us. `IDLE` is no call."""

    IDLE = "idle"
    CALLING = "calling"
    INCOMING = "incoming"
    CONNECTED = "connected"
    ENDED = "ended"


P = ManagerPhase
NEXT: Mapping[ManagerPhase, frozenset[ManagerPhase]] = {
    P.IDLE: frozenset({P.CALLING, P.INCOMING, P.CONNECTED, P.ENDED}),
    P.CALLING: frozenset({P.CONNECTED, P.ENDED}),
    P.INCOMING: frozenset({P.CONNECTED, P.ENDED}),
    P.CONNECTED: frozenset({P.ENDED}),
    P.ENDED: frozenset(),
}


class ManagedCall(msgspec.Struct, frozen=True):
    """One call. `outgoing`: we placed it. `people`: who else is in it. `reason` is set once it has ended for us.

    `connected_at` and `ended_at` are our own, in wall-clock seconds: a group may go on without us.
    """

    ring: Ring
    phase: ManagerPhase
    outgoing: bool
    people: Mapping[UserId, str] = {}
    connected_at: float | None = None
    ended_at: float | None = None
    reason: EndReason | None = None

    @property
    def cid(self) -> Cid:
        """The room of the call."""
        return self.ring.cid

    @property
    def seconds(self) -> float:
        """For how long we were connected; 0 while we are, and where we never were."""
        if self.connected_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.connected_at)


class ManagerState(msgspec.Struct, frozen=True):
    """`calls` by ring, in order of their beginning; of those that ended the last 40 are kept.

    `before` were over already when the manager came.
    """

    calls: Mapping[RingId, ManagedCall] = {}
    before: frozenset[RingId] = frozenset()

    @property
    def phase(self) -> ManagerPhase:
        """The phase of what matters most now; `ENDED` until the next call, `IDLE` before the first."""
        phases = {call.phase for call in self.calls.values()}
        return next(
            (phase for phase in (P.CONNECTED, P.CALLING, P.INCOMING, P.ENDED) if phase in phases), P.IDLE
        )

    def at(self, cid: Cid) -> ManagedCall | None:
        """Return the newest call in a room."""
        return next((call for call in reversed(tuple(self.calls.values())) if call.cid == cid), None)


class PhaseChanged(msgspec.Struct, frozen=True):
    """A call came into another phase."""

    call: ManagedCall
    before: ManagerPhase


class IncomingCall(msgspec.Struct, frozen=True):
    """Somebody calls us."""

    call: ManagedCall


class CallOver(msgspec.Struct, frozen=True):
    """A call ended for us; `call.reason` and `call.seconds` say how and after how long."""

    call: ManagedCall
    reason: EndReason


class PersonJoined(msgspec.Struct, frozen=True):
    """Somebody else came into a call we are in."""

    call: ManagedCall
    user: UserId
    name: str


class PersonLeft(msgspec.Struct, frozen=True):
    """Somebody else left a call we are in."""

    call: ManagedCall
    user: UserId
    name: str


class CallError(msgspec.Struct, frozen=True):
    """Something we asked for did not work; `reason` is that of `Refused`, empty for the network's."""

    cid: Cid | None
    words: str
    reason: str = ""


ManagerEvent = PhaseChanged | IncomingCall | CallOver | PersonJoined | PersonLeft | CallError


def managed(before: ManagerState, client: ClientState, now: float) -> ManagerState:
    """Return the calls after what `client` knows at `now`; the same object where nothing changed."""
    calls = dict(before.calls)
    rings = {ring.id: ring for ring in (*client.rings.over, *client.rings.rings.values())}
    for id_, ring in rings.items():
        known = calls.get(id_)
        call = _next(known, ring, client, now)
        if known is not None or _begins(call, before):
            calls[id_] = call
    for id_, known in before.calls.items():
        if id_ not in rings:
            calls[id_] = _next(known, known.ring, client, now)
    ended = [id_ for id_, call in calls.items() if call.phase is P.ENDED]
    for id_ in ended[: max(0, len(ended) - KEPT_ENDED)]:
        del calls[id_]
    return before if calls == before.calls else ManagerState(calls, before.before)


def events(before: ManagerState, after: ManagerState) -> Iterator[ManagerEvent]:
    """Yield what happened between two states, in the order in which calls began."""
    for id_, call in after.calls.items():
        was = before.calls.get(id_)
        if was is call:
            continue
        phase = P.IDLE if was is None else was.phase
        people = {} if was is None else was.people
        if phase is not call.phase:
            yield PhaseChanged(call, phase)
            if call.phase is P.INCOMING:
                yield IncomingCall(call)
        if call.phase is P.CONNECTED:
            yield from (PersonJoined(call, u, name) for u, name in call.people.items() if u not in people)
            yield from (PersonLeft(call, u, name) for u, name in people.items() if u not in call.people)
        if phase is not call.phase and call.reason is not None:
            yield CallOver(call, call.reason)


def _begins(call: ManagedCall, before: ManagerState) -> bool:
    """Tell whether a call is new to us. One that is over when we learn of it is news only where we placed it."""
    if call.ring.outcome is EndReason.MERGED or call.ring.id in before.before:
        return False
    return call.phase is not P.ENDED or call.outgoing


def _next(known: ManagedCall | None, ring: Ring, client: ClientState, now: float) -> ManagedCall:
    outgoing = ring.by == client.user
    if known is not None and known.phase is P.ENDED:
        return known
    call = client.calls.get(ring.cid)
    inside = call is not None and call.phase in (CallPhase.JOINED, CallPhase.RECONNECTING)
    phase, reason = _phase(known, ring, client, inside)
    state = known or ManagedCall(ring, P.IDLE, outgoing)
    if phase is not state.phase and phase not in NEXT[state.phase]:
        phase, reason = state.phase, None
    people = _others(call, client.user) if phase is P.CONNECTED else state.people
    connected_at = now if phase is P.CONNECTED and state.connected_at is None else state.connected_at
    after = replace(
        state,
        ring=ring,
        phase=phase,
        people=people,
        connected_at=connected_at,
        ended_at=now if phase is P.ENDED else None,
        reason=reason if phase is P.ENDED else None,
    )
    return state if known is not None and after == state else after


def _phase(
    known: ManagedCall | None, ring: Ring, client: ClientState, inside: bool
) -> tuple[ManagerPhase, EndReason | None]:
    if known is not None and known.phase is P.CONNECTED:
        over = ring.over and ring.reason != FORGOTTEN
        return (P.CONNECTED, None) if inside and not over else (P.ENDED, ring.outcome or EndReason.ENDED)
    if ring.over:
        return P.ENDED, ring.outcome or EndReason.FAILED
    answer = answer_of(ring, client.user)
    if answer in _NOT_TAKEN:
        return P.ENDED, _NOT_TAKEN[answer]
    if ring.phase is RingPhase.CONNECTED and inside:
        return P.CONNECTED, None
    if ring.by == client.user:
        return P.CALLING, None
    if answer in YES and answered_elsewhere(client.rings, ring, client.user) and not inside:
        return P.ENDED, EndReason.ENDED
    return P.INCOMING, None


def _others(call: CallState | None, me: UserId) -> Mapping[UserId, str]:
    room = None if call is None else call.room
    return {} if room is None else {user: one.name for user, one in room.participants.items() if user != me}


_NOT_TAKEN: Mapping[RingAnswer | None, EndReason] = {
    RingAnswer.DECLINED: EndReason.DECLINED,
    RingAnswer.BUSY: EndReason.BUSY,
    RingAnswer.MISSED: EndReason.MISSED,
    RingAnswer.CANCELLED: EndReason.CANCELLED,
}
