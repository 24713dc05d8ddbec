"""Answers to "why is it silent?" in words and with times, from what happened and from the plan. Pure.

Times are given as wall-clock seconds and said by a `Clock`, e.g. `12:03:10`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from greenroom.policies.multicall import rule
from greenroom.protocol.events import (
    ConnectionChanged,
    Event,
    HandLowered,
    LiveStopped,
    MicrophoneChanged,
    ParticipantLeft,
    PermissionsChanged,
    RoomEnded,
    SuspensionChanged,
)
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import HandOutcome, Participant, Room, may
from greenroom.state.call import CallPhase, CallState
from greenroom.state.engine import ClientState
from greenroom.state.recent import Happening
from greenroom.views.calls import holder_words, place_words, policy_words, title_of
from greenroom.views.log import LEFT, event_words, name_of

Clock = Callable[[float], str]

AUDIBLE_DBFS = -60.0
_ME = frozenset({"i", "me", "my", "mine", "myself", "we", "us"})
_LATELY = ("what happened", "lately", "history")
_HANDOVER = ("microphone", "focus", "policy", "speaker", "loudspeaker", "suspended", "who has", "which call")
_CAN_ASK = (
    "ask “why is bo silent?”, “why does nobody hear me?”, “why do I hear nothing?”, “who has the microphone?” or "
    "“what happened?”"
)


def explain(client: ClientState, cid: Cid | None, question: str, clock: Clock) -> str:
    """Answer `question` about the call `cid`, or about all calls where that is None.

    Without a question: what the call has of microphone and loudspeaker, and why. What is not understood is answered
    like that too, with what can be asked.
    """
    call = None if cid is None else client.calls.get(cid)
    if cid is not None and call is None:
        return f"you are not in {cid}"
    asked = " ".join(question.casefold().split()).strip("?!. ")
    if call is None:
        return _about_client(client, asked, clock)
    if not asked:
        return explain_call(client, call, clock)
    person = mentioned(call, asked)
    if person is not None and person != call.me:
        return explain_person(client, call, person, clock)
    if person is None and (stranger := _stranger(asked)) is not None:
        return f"nobody here is called '{stranger}', and nobody who was here lately"
    if any(words in asked for words in _LATELY):
        return lately(call, clock)
    if re.search(r"\bi\b.*\bhear\b|\bhear (nothing|nobody|anything|anyone)\b", asked):
        return _why_i_hear(client, call, clock)
    if re.search(r"\bhears? (me|us)\b", asked) or person == call.me:
        return _why_heard(call, clock)
    if any(words in asked for words in _HANDOVER):
        return f"{holder_words(client)}. {explain_call(client, call, clock)}"
    if _ME & set(re.findall(r"\w+", asked)):
        return _why_heard(call, clock)
    return f"{explain_call(client, call, clock)} (To know more, {_CAN_ASK}.)"


def explain_call(client: ClientState, call: CallState, clock: Clock) -> str:
    """Return what a call has of microphone and loudspeaker, and why, in a sentence or two."""
    if call.share.suspended and call.phase is not CallPhase.LEFT:
        words = _since(call.share.why, call.share.since, clock)
        closed = "" if call.microphone.wish else f"; your microphone is {call.microphone.reason}"
        return f"You hear nothing of {call.cid}, and nobody there hears you: {words}{closed}."
    return f"{_why_i_hear(client, call, clock)} {_why_heard(call, clock)}"


def explain_person(client: ClientState, call: CallState, user: UserId, clock: Clock) -> str:
    """Return why somebody is silent, or that they are not; first what lies with them, then what lies with us."""
    room = call.room
    name = _called(call, user)
    if room is None:
        return f"the room is not known yet: you are {call.phase}"
    theirs = _silent(call, room, user, name, clock)
    level = call.levels.get(user, -96.0)
    if theirs is None and call.hearing.open and call.volumes.get(user, 1.0) > 0.0:
        if level > AUDIBLE_DBFS:
            return f"{name} is not silent: {level:.0f} dBFS now"
        return f"{name} is silent: the microphone is open, but nothing comes from it now"
    ours = _our_side(call, user, name, clock)
    if theirs is None:
        return f"you do not hear {name}: {ours}"
    return f"{name} is silent: {theirs}" + (f". You would not hear {name} either: {ours}" if ours else "")


def lately(call: CallState, clock: Clock, most: int = 12) -> str:
    """Return what happened lately around who may speak and who does, a line each, oldest first."""
    lines = [
        f"{clock(one.at)}  {words}" for one in call.recent if (words := _happened(one, call.room)) is not None
    ]
    return "\n".join(lines[-most:]) or "nothing has happened here since you came"


def mentioned(call: CallState, question: str) -> UserId | None:
    """Return whom `question` names: by name or id, the longest that fits; also somebody who was here lately."""
    known: dict[str, UserId] = {one.name.casefold(): one.user for one in call.recent if one.user is not None}
    if call.room is not None:
        known |= {member.name.casefold(): user for user, member in call.room.members.items()}
        known |= {person.name.casefold(): user for user, person in call.room.participants.items()}
    known |= {user.casefold(): user for user in tuple(known.values())}
    for name in sorted(known, key=len, reverse=True):
        if name and name not in _ME and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", question.casefold()):
            return known[name]
    return None


def _stranger(asked: str) -> str | None:
    """Return whom "why is … silent?" asks for, unless that is one of us or nobody in particular."""
    found = re.search(r"\bis (?P<name>[^ ]{1,64}) (?:so )?(?:silent|quiet|muted|suspended)\b", asked)
    name = None if found is None else found["name"]
    return None if name is None or name in _ME | {"it", "everybody", "everyone", "nobody", "this"} else name


# ---- ours


def _about_client(client: ClientState, asked: str, clock: Clock) -> str:
    calls = [call for call in client.calls.values() if call.phase is not CallPhase.LEFT]
    if not calls:
        return "you are in no call"
    lines = [f"{holder_words(client)} ({policy_words(client.focus)})."]
    lines += [f"{title_of(call)}: {explain_call(client, call, clock)}" for call in calls]
    return "\n".join(lines)


def _why_i_hear(client: ClientState, call: CallState, clock: Clock) -> str:
    if call.phase is CallPhase.LEFT:
        return f"You hear nothing: you left{f' ({call.left_reason})' if call.left_reason else ''}."
    share, hearing = call.share, call.hearing
    if share.suspended:
        return f"You hear nothing of {call.cid}: {_since(share.why, share.since, clock)}."
    if not hearing.open:
        return f"You hear nothing of {call.cid}: {hearing.reason}."
    place = place_words(share.pan)
    how = f"{-share.gain_db:g} dB softer, as {share.why}" if share.gain_db < 0.0 else "at full volume"
    if place:
        how += f", on the {place} ({rule(client.focus)})"
    return f"You hear {call.cid} {how}."


def _why_heard(call: CallState, clock: Clock) -> str:
    microphone = call.microphone
    if microphone.open:
        return "Your microphone is open."
    if microphone.wish and not (microphone.held and not microphone.suspended):
        return f"Your microphone is closed: {_since(call.share.why, call.share.since, clock)}."
    at = _last(call, call.me, MicrophoneChanged) if not microphone.wish else None
    when = f" since {clock(at.at)}" if at is not None else ""
    held = "" if microphone.held and not microphone.suspended else f"; and {call.share.why}"
    return f"Your microphone is closed: {microphone.reason}{when}{held}."


def _our_side(call: CallState, user: UserId, name: str, clock: Clock) -> str:
    if call.share.suspended:
        return f"this call is {_since(call.share.why, call.share.since, clock)}"
    if not call.hearing.open:
        return call.hearing.reason
    return f"you have turned {name} down to nothing" if call.volumes.get(user, 1.0) <= 0.0 else ""


def _since(words: str, at: float | None, clock: Clock) -> str:
    """Return `suspended since 12:03:10 because call support:7 became active under suspend_existing`."""
    if at is None:
        return words
    became = re.fullmatch(r"suspended: (.*?)(?: \((\w+)\))?", words)
    if became is not None:
        under = f" under {became[2]}" if became[2] else ""
        return f"suspended since {clock(at)} because {became[1]}{under}"
    return f"{words}, since {clock(at)}"


# ---- theirs


def _silent(call: CallState, room: Room, user: UserId, name: str, clock: Clock) -> str | None:
    """Return why a person cannot be heard by anybody, or None when they can."""
    person = room.participants.get(user)
    if room.ended_at is not None:
        ended = _last(call, None, RoomEnded)
        return "the room is over" if ended is None else f"the room ended at {clock(ended.at)}"
    if person is None:
        left = _last(call, user, ParticipantLeft)
        if left is None or not isinstance(left.event, ParticipantLeft):
            return "not here"
        by = f" by {name_of(room, left.event.by)}" if left.event.by is not None else ""
        return f"{LEFT[left.event.reason]} at {clock(left.at)}{by}"
    if not person.connected:
        return f"not reachable{_at(_last(call, user, ConnectionChanged), clock)}; may come back"
    if not may(room, user, Capability.SEND_AUDIO):
        return _not_allowed(call, room, user, clock)
    if person.suspended:
        return _suspended(call, room, user, clock)
    return None if person.microphone else _closed(call, room, person, clock)


def _suspended(call: CallState, room: Room, user: UserId, clock: Clock) -> str:
    if user == call.me and call.share.why:
        return _since(call.share.why, call.share.since, clock)
    return f"in another call{_at(_last(call, user, SuspensionChanged), clock)}"


def _closed(call: CallState, room: Room, person: Participant, clock: Clock) -> str:
    when = _at(_last(call, person.user, MicrophoneChanged), clock)
    if person.muted_by is not None:
        return f"muted by {name_of(room, person.muted_by)}{when}"
    return f"the microphone is switched off{when}"


def _not_allowed(call: CallState, room: Room, user: UserId, clock: Clock) -> str:
    lost = _last(call, user, PermissionsChanged)
    if (
        lost is not None
        and isinstance(lost.event, PermissionsChanged)
        and Capability.SEND_AUDIO in lost.event.revoked
    ):
        return f"{name_of(room, lost.event.by)} took them off the stage at {clock(lost.at)}"
    place = next((place for place, hand in enumerate(room.hands, 1) if hand.user == user), None)
    if place is not None:
        return f"in the audience, with a hand up: number {place} in the queue"
    denied = _last(call, user, HandLowered)
    if (
        denied is not None
        and isinstance(denied.event, HandLowered)
        and denied.event.outcome is HandOutcome.DENIED
    ):
        return f"in the audience; the hand was turned down at {clock(denied.at)}"
    return "in the audience, without permission to speak"


def _happened(one: Happening, room: Room | None) -> str | None:
    match one.event:
        case MicrophoneChanged(_, on, None):
            return f"{one.name} {'opened' if on else 'closed'} the microphone"
        case LiveStopped():
            return "the room went backstage"
        case _:
            return event_words(one.event, room)


def _called(call: CallState, user: UserId) -> str:
    """Return the name of somebody, also of one who is not here any more."""
    here = call.room is not None and (user in call.room.participants or user in call.room.members)
    known = (one.name for one in reversed(call.recent) if one.user == user and one.name)
    return name_of(call.room, user) if here else next(known, user)


def _last(call: CallState, user: UserId | None, kind: type[Event]) -> Happening | None:
    """Return the newest happening of a kind about `user` (about the room for None)."""
    return next(
        (one for one in reversed(call.recent) if isinstance(one.event, kind) and one.user == user), None
    )


def _at(one: Happening | None, clock: Clock) -> str:
    return " since before you came" if one is None else f" since {clock(one.at)}"
