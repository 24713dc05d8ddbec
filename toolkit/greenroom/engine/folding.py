"""What messages make of the engine's state: functions of values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from greenroom.protocol.events import Event, MicrophoneChanged
from greenroom.protocol.evolve import evolve
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Room, may
from greenroom.protocol.text import safe_text
from greenroom.protocol.wire import Emitted, Reaction
from greenroom.state.call import (
    LEVEL_HISTORY,
    CallState,
    Notice,
    ShownReaction,
)
from greenroom.state.engine import LOG_LINES, ClientState, LogLine
from greenroom.state.recent import KEPT as RECENT
from greenroom.state.recent import Happening, happening
from greenroom.state.statistics import SILENCE_DBFS
from greenroom.views.log import event_words, notice_words

NOTICES = 20
REACTIONS = 20
REACTION_SECONDS = 5.0
TYPING_SECONDS = 5.0


def with_notice(call: CallState, text: str, tone: str, now: float) -> CallState:
    """Return `call` with one more thing to tell the person."""
    newest = call.notices[-1].id if call.notices else 0
    return replace(call, notices=(*call.notices, Notice(newest + 1, now, text, tone))[-NOTICES:])


def with_events(
    call: CallState, before: Room | None, events: Iterable[Event], now: float
) -> tuple[CallState, tuple[LogLine, ...]]:
    """Return `call` with the notices of `events`, and their lines for the log. `before` is the room they happened to."""
    lines: list[LogLine] = []
    recent: list[Happening] = []
    room = before
    for event in events:
        words = event_words(event, room)
        if words is not None:
            lines.append(LogLine(now, words, call.cid))
        notice = notice_words(event, room, call.me)
        if notice is not None:
            call = with_notice(call, *notice, now)
        after = evolve(room, event)
        happened = happening(event, room, after, now)
        if happened is not None:
            recent.append(happened)
        room = after
    if recent:
        call = replace(call, recent=(*call.recent, *recent)[-RECENT:])
    return call, tuple(lines)


def wish_after(
    wish: bool, me: UserId, before: Room | None, after: Room | None, events: Sequence[Event] = ()
) -> bool:
    """Return whether the person still wants their microphone open.

    A moderator's mute, and losing the permission to speak, end the wish: nobody is put on the air again without
    doing something themselves. Losing the connection does not. Without `events` the room came as a snapshot.
    """
    if not wish or after is None:
        return wish
    if any(isinstance(event, MicrophoneChanged) and event.user == me and event.by for event in events):
        return False
    myself = after.participants.get(me)
    if not events and myself is not None and myself.muted_by is not None:
        return False
    had = before is not None and me in before.participants and may(before, me, Capability.SEND_AUDIO)
    return not (had and myself is not None and not may(after, me, Capability.SEND_AUDIO))


def with_reaction(call: CallState, emitted: Emitted, now: float) -> CallState:
    """Return `call` with a reaction shown; other signals leave it as it is."""
    if not isinstance(emitted.signal, Reaction):
        return call
    shown = ShownReaction(emitted.user, emitted.name, safe_text(emitted.signal.emoji, 8), now)
    return replace(call, reactions=(*call.reactions, shown)[-REACTIONS:])


def without_old_reactions(call: CallState, now: float, seconds: float = REACTION_SECONDS) -> CallState:
    """Return `call` without the reactions that have been shown for `seconds`."""
    recent = tuple(shown for shown in call.reactions if now - shown.at < seconds)
    return call if len(recent) == len(call.reactions) else replace(call, reactions=recent)


def with_levels(
    call: CallState, levels: Mapping[UserId, float], speaking: frozenset[UserId], dominant: UserId | None
) -> CallState:
    """Return `call` with what was measured just now; the same object when nothing moved."""
    levels = {user: round(level, 1) for user, level in levels.items()}
    history: dict[UserId, tuple[float, ...]] = {}
    for user in {*call.level_history, *levels}:
        past = (*call.level_history.get(user, ()), levels.get(user, SILENCE_DBFS))[-LEVEL_HISTORY:]
        if any(level > SILENCE_DBFS for level in past):
            history[user] = past
    if (levels, speaking, dominant, history) == (
        call.levels,
        call.speaking,
        call.dominant,
        call.level_history,
    ):
        return call
    return replace(call, levels=levels, level_history=history, speaking=speaking, dominant=dominant)


def people_by_number(room: Room | None) -> Mapping[int, UserId]:
    """Return who speaks under which number."""
    return {} if room is None else {person.number: user for user, person in room.participants.items()}


def numbers_heard(room: Room | None) -> frozenset[int]:
    """Return the numbers of those whose microphone is open and who are connected."""
    people = () if room is None else room.participants.values()
    return frozenset(one.number for one in people if one.microphone and one.connected and not one.suspended)


def with_log(state: ClientState, lines: Iterable[LogLine]) -> ClientState:
    """Return `state` with `lines` at the end of the log, which keeps the last 500."""
    added = tuple(lines)
    return state if not added else replace(state, log=(*state.log, *added)[-LOG_LINES:])


def log_line(text: str, now: float, cid: Cid | None = None) -> LogLine:
    """Return a line that did not come from an event."""
    return LogLine(now, text, cid)
