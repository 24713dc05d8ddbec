"""What moves ten times a second in a call: levels, who speaks, who types, and whether we speak while muted."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from greenroom.backends.base import Media
from greenroom.engine.folding import TYPING_SECONDS, numbers_heard, with_levels, with_notice
from greenroom.policies.peer_to_peer import who_speaks
from greenroom.policies.speaking import MutedSpeech, next_muted_speech
from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import may
from greenroom.protocol.wire import PersonLevel, Pulse
from greenroom.state.call import CallState
from greenroom.state.path import STRAIGHT
from greenroom.state.statistics import SILENCE_DBFS

MUTED_WORDS = "you are speaking, but your microphone is switched off"


class Moments:
    """Takes what is told between two looks, and puts it into the state at each look."""

    def __init__(self) -> None:
        self._pulse: Mapping[int, PersonLevel] = {}
        self._dominant: int | None = None
        self._typing: dict[UserId, tuple[str, float]] = {}
        self._muted_speech = MutedSpeech()

    def pulsed(self, pulse: Pulse) -> None:
        """Take the levels that the server measured."""
        self._pulse = {level.number: level for level in pulse.levels}
        self._dominant = pulse.dominant

    def typed(self, user: UserId, name: str, now: float) -> None:
        """Take that somebody writes."""
        self._typing[user] = (name, now)

    def look(
        self, state: CallState, people: Mapping[int, UserId], media: Media | None, now: float
    ) -> CallState:
        """Return `state` as it is now. `people` maps numbers to people, `media` is the sound that is connected, if any."""
        levels, speaking, dominant = self._heard(state, people, media)
        if state.path.way in STRAIGHT:
            speaking, dominant = who_speaks(levels)
        state = with_levels(state, levels, speaking, dominant)
        self._typing = {user: one for user, one in self._typing.items() if now - one[1] < TYPING_SECONDS}
        typing = tuple(name for user, (name, _) in self._typing.items() if user != state.me)
        if typing != state.typing:
            state = replace(state, typing=typing)
        return state if media is None else self._told_when_muted(state, media, now)

    def _heard(
        self, state: CallState, people: Mapping[int, UserId], media: Media | None
    ) -> tuple[dict[UserId, float], frozenset[UserId], UserId | None]:
        open_numbers = numbers_heard(state.room)  # a pulse may be older than what the room knows by now
        pulse = {
            number: level
            for number, level in self._pulse.items()
            if number in people and number in open_numbers
        }
        levels = {
            people[number]: level.level_dbfs
            for number, level in pulse.items()
            if level.level_dbfs > SILENCE_DBFS
        }
        if media is not None:
            measured = media.levels().items()
            levels |= {people[n]: level for n, level in measured if n in people and level > SILENCE_DBFS}
            if state.microphone.open:
                levels[state.me] = media.own_level_dbfs
        speaking = frozenset(people[number] for number, level in pulse.items() if level.speaking)
        dominant = None if self._dominant not in open_numbers else people.get(self._dominant or 0)
        return levels, speaking, dominant

    def _told_when_muted(self, state: CallState, media: Media, now: float) -> CallState:
        could_speak = state.room is not None and may(state.room, state.me, Capability.SEND_AUDIO)
        closed = could_speak and not state.microphone.wish
        self._muted_speech, tell = next_muted_speech(
            self._muted_speech, media.own_level_dbfs, closed, now, voice=media.own_voice
        )
        return with_notice(state, MUTED_WORDS, "warning", now) if tell else state
