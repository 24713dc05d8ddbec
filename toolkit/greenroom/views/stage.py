"""The stage: one row for each person who may speak."""

from __future__ import annotations

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Participant, Room, may
from greenroom.state.call import CallState
from greenroom.state.statistics import SILENCE_DBFS
from greenroom.views.knobs import volume_of, volume_words
from greenroom.views.quality import quality_row
from greenroom.views.words import role_word

METER_FLOOR_DBFS = -60.0


class SpeakerRow(msgspec.Struct, frozen=True):
    """`microphone`: open, muted, suspended or lost. `meter`: 0.0 to 1.0 for a level from −60 dBFS to full scale.

    `quality` is of the line: excellent, good, poor, lost; `bars` the same in three columns, blank while nothing is known;
    `reason` what makes it worse than excellent. `volume` is how loud they are for me, empty where it is as they are sent.
    """

    user: UserId
    name: str
    role: str
    me: bool
    microphone: str
    why: str
    speaking: bool
    dominant: bool
    level_dbfs: float
    meter: float
    quality: str
    reaction: str
    bars: str = "   "
    reason: str = ""
    volume: str = ""


def stage_rows(call: CallState) -> tuple[SpeakerRow, ...]:
    """Return the people who may speak, in order of joining, so that rows do not jump while people talk."""
    room = call.room
    if room is None:
        return ()
    people = [
        person for person in room.participants.values() if may(room, person.user, Capability.SEND_AUDIO)
    ]
    return tuple(_row(call, room, person) for person in sorted(people, key=lambda person: person.number))


def meter(level_dbfs: float) -> float:
    """Return how far a meter goes for `level_dbfs`: 0.0 at −60 dBFS and below, 1.0 at 0 dBFS and above."""
    return min(1.0, max(0.0, 1.0 - level_dbfs / METER_FLOOR_DBFS))


def _row(call: CallState, room: Room, person: Participant) -> SpeakerRow:
    word, why = _microphone(call, room, person)
    level = call.levels.get(person.user, SILENCE_DBFS) if word == "open" else SILENCE_DBFS
    line = quality_row(call, person.user)
    reaction = next((shown.emoji for shown in reversed(call.reactions) if shown.user == person.user), "")
    return SpeakerRow(
        user=person.user,
        name=person.name,
        role=role_word(person.role),
        me=person.user == call.me,
        microphone=word,
        why=why,
        speaking=word == "open" and person.user in call.speaking,
        dominant=word == "open" and person.user == call.dominant,
        level_dbfs=level,
        meter=meter(level),
        quality=line.word,
        reaction=reaction,
        bars=line.bars if person.user in call.lines else "   ",
        reason=line.reason,
        volume=volume_words(volume_of(call, person.user)),
    )


def _microphone(call: CallState, room: Room, person: Participant) -> tuple[str, str]:
    if not person.connected:
        return "lost", "connection lost; may come back"
    if person.suspended:
        return "suspended", "another call has the microphone"
    if not person.microphone:
        muter = None if person.muted_by is None else room.participants.get(person.muted_by)
        by = person.muted_by if muter is None else muter.name
        return "muted", "" if by is None else f"muted by {by}"
    if person.user == call.me and not call.microphone.open:
        return "muted", call.microphone.reason
    return "open", ""
