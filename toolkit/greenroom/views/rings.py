"""Calls that ring: a row for each that rings for us, each we placed, and words for how it ended."""

from __future__ import annotations

import msgspec

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ringing import YES, EndReason, MissedCall, Ring, RingAnswer, RingPhase, Rung
from greenroom.state.engine import ClientState
from greenroom.state.rings import answer_of, answered_elsewhere, incoming, outgoing
from greenroom.views.words import count, duration, enumerate_names


class IncomingRow(msgspec.Struct, frozen=True):
    """A call that rings for us. `words`: `Ann calls you: weekly`; `waits`: how long it still rings, empty for ever.

    `others`: who else is called, in words.
    """

    cid: Cid
    by: UserId
    caller: str
    words: str
    others: str
    waits: str
    group: bool


class OutgoingRow(msgspec.Struct, frozen=True):
    """A call we placed. `words`: `calling Bo and Cy…`; `people`: `Bo: rings`, one for each."""

    cid: Cid
    words: str
    people: tuple[str, ...]
    waits: str


class MissedRow(msgspec.Struct, frozen=True):
    """A call we did not get to answer. `ago`: `3 min`."""

    cid: Cid
    by: UserId
    words: str
    ago: str
    caller: str = ""


def incoming_rows(client: ClientState, now: float) -> tuple[IncomingRow, ...]:
    """Return what rings for us, oldest first. `now` is wall-clock."""
    rows: list[IncomingRow] = []
    for ring in incoming(client.rings, client.user):
        mine = ring.of(client.user)
        if mine is None:
            continue
        others = [rung.name for rung in ring.rung if rung.user != client.user]
        rows.append(
            IncomingRow(
                ring.cid,
                mine.by,
                mine.by_name,
                incoming_words(ring, mine),
                f"with {enumerate_names(others)}" if others else "",
                _waits(mine.answer_by, now),
                ring.group,
            )
        )
    return tuple(rows)


def outgoing_rows(client: ClientState, now: float) -> tuple[OutgoingRow, ...]:
    """Return whom we ring, oldest first. `now` is wall-clock."""
    rows: list[OutgoingRow] = []
    for ring in outgoing(client.rings, client.user):
        mine = [rung for rung in ring.rung if rung.by == client.user]
        times = [rung.answer_by for rung in mine if rung.answer is RingAnswer.RINGING]
        until = max((time for time in times if time is not None), default=None)
        people = tuple(f"{rung.name}: {answer_word(rung)}" for rung in mine)
        rows.append(OutgoingRow(ring.cid, _calling(mine), people, _waits(until, now)))
    return tuple(rows)


def missed_rows(client: ClientState, now: float) -> tuple[MissedRow, ...]:
    """Return what we missed, newest first. `now` is wall-clock."""
    calls = reversed(client.rings.missed)
    return tuple(
        MissedRow(call.cid, call.by, missed_words(call), duration(now - call.at), call.by_name)
        for call in calls
    )


def incoming_words(ring: Ring, mine: Rung) -> str:
    """Return who calls us, and what for."""
    into = "calls you into a call" if mine.by != ring.by or not ring.placed else "calls you"
    return f"{mine.by_name} {into}{f': {ring.title}' if _titled(ring) else ''}"


def missed_words(call: MissedCall) -> str:
    """Return whose call we missed."""
    return f"missed call from {call.by_name}"


def answer_word(rung: Rung) -> str:
    """Return what somebody who is rung did, with what they said to it."""
    if rung.answer is RingAnswer.RINGING:
        return "rings" if rung.reached else "is not connected; rings as soon as they are"
    word = "in the call" if rung.here else _ANSWERS[rung.answer]
    return f"{word} ({rung.reason})" if rung.reason else word


def end_words(ring: Ring, me: UserId) -> str:
    """Return how a call that is over ended for us, e.g. `Bo declined: in a meeting`, `nobody answered`."""
    reason = f": {ring.reason}" if ring.reason else ""
    names = enumerate_names([rung.name for rung in ring.rung]) or ring.by_name
    match ring.outcome:
        case EndReason.ENDED:
            talked = ring.duration_seconds
            return (
                f"the call ended after {duration(talked)}{reason}"
                if talked >= 1
                else f"the call ended{reason}"
            )
        case EndReason.DECLINED:
            return (
                f"you declined{reason}"
                if answer_of(ring, me) is RingAnswer.DECLINED
                else f"{names} declined{reason}"
            )
        case EndReason.BUSY:
            busy = answer_of(ring, me) is RingAnswer.BUSY
            return (
                f"you are busy{reason}"
                if busy
                else f"{names} {'is' if len(ring.rung) == 1 else 'are'} busy{reason}"
            )
        case EndReason.MISSED:
            if ring.by != me:
                return f"you missed the call from {ring.by_name}"
            away = [rung for rung in ring.rung if not rung.reached]
            if away and len(away) == len(ring.rung):
                return f"{names} {'is' if len(away) == 1 else 'are'} not connected"
            return f"{names} did not answer" if len(ring.rung) == 1 else "nobody answered"
        case EndReason.CANCELLED:
            return f"you hung up{reason}" if ring.ended_by == me else f"{ring.by_name} hung up{reason}"
        case EndReason.MERGED:
            return "they called you at the same time; that call goes on"
        case _:
            return f"the call could not be connected{reason}"


def ring_words(before: Ring | None, ring: Ring, client: ClientState) -> str | None:
    """Return what a change of a ring means to us, for the log, or None where it is none of our business."""
    me = client.user
    mine, was = answer_of(ring, me), None if before is None else answer_of(before, me)
    if ring.over:
        return None if before is not None and before.over else end_words(ring, me)
    if mine is RingAnswer.RINGING and was is not RingAnswer.RINGING:
        rung = ring.of(me)
        return None if rung is None else incoming_words(ring, rung)
    if mine in YES and was is RingAnswer.RINGING and answered_elsewhere(client.rings, ring, me):
        return f"the call from {ring.by_name} was answered on another device"
    if before is None:
        return _calling([rung for rung in ring.rung if rung.by == me]) if ring.by == me else None
    changed = [
        rung
        for rung in ring.rung
        if rung.user != me and (old := before.of(rung.user)) is not None and old.answer is not rung.answer
    ]
    if changed and (ring.by == me or any(rung.by == me for rung in changed)):
        return ", ".join(f"{rung.name} {_SAID.get(rung.answer, rung.answer.value)}" for rung in changed)
    if ring.phase is RingPhase.CONNECTED and before.phase is RingPhase.RINGING:
        return "the call is connected"
    return None


def missed_count_words(client: ClientState) -> str:
    """Return `2 missed calls`, empty for none."""
    missed = len(client.rings.missed)
    return count(missed, "missed call") if missed else ""


def _calling(rung: list[Rung]) -> str:
    names = enumerate_names([one.name for one in rung if one.answer is RingAnswer.RINGING])
    return f"calling {names}…" if names else "connecting…"


def _waits(until: float | None, now: float) -> str:
    return "" if until is None else f"{max(0, round(until - now))} s"


def _titled(ring: Ring) -> bool:
    return bool(ring.title) and ring.title != ring.cid.partition(":")[2]


_ANSWERS = {
    RingAnswer.ACCEPTED: "accepted",
    RingAnswer.ELSEWHERE: "came in",
    RingAnswer.DECLINED: "declined",
    RingAnswer.BUSY: "busy",
    RingAnswer.MISSED: "did not answer",
    RingAnswer.CANCELLED: "no longer rings",
}
_SAID = {
    RingAnswer.RINGING: "is called",
    RingAnswer.ACCEPTED: "accepted the call",
    RingAnswer.ELSEWHERE: "came into the call",
    RingAnswer.DECLINED: "declined the call",
    RingAnswer.BUSY: "is busy",
    RingAnswer.MISSED: "did not answer",
    RingAnswer.CANCELLED: "is not called any more",
}
