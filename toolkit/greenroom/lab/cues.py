"""What simulated people do and when: a seeded, endless evening of talking, hands, chat, coming and going."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import msgspec


class Act(StrEnum):
    """One thing a simulated person does. `Cue.words` holds what is written, or the emoji."""

    SPEAK = "speak"
    RAISE = "raise"
    WITHDRAW = "withdraw"
    REACT = "react"
    CHAT = "chat"
    LEAVE = "leave"
    RETURN = "return"


class Cue(msgspec.Struct, frozen=True, order=True):
    """At `at` seconds after the start, `who` does `act`."""

    at: float
    who: str
    act: Act
    words: str = ""


_EMOJI = ("👏", "❤️", "😂", "👍", "🎉")
_LINES = (
    "Good evening, everybody.",
    "Could you say that again?",
    "I agree with Ann.",
    "Greetings from the back row.",
    "How many people are listening?",
    "The sound is very clear here.",
    "Where can I read more about this?",
    "That is a good question.",
    "I have to go in a few minutes.",
    "Thank you, that helped.",
)
FIRST_WORD_SECONDS = 0.5
_PAUSE_SECONDS = (0.3, 1.2)
_OVERLAP_CHANCE = 0.2
_OVERLAP_SECONDS = 0.6


def cues(seed: int, speakers: Mapping[str, Sequence[float]], listeners: Sequence[str]) -> Iterator[Cue]:
    """Yield cues in order of time, without end.

    `speakers` maps each person on the stage to the lengths of what they can say, in seconds. They take turns, everybody
    once before anybody twice, with pauses, and one time in five somebody begins before the other has finished.
    """
    chance = random.Random(f"cues/{seed}")
    return heapq.merge(
        _turns(chance.randrange(1 << 30), speakers),
        *(_listener(chance.randrange(1 << 30), name) for name in listeners),
    )


def _turns(seed: int, speakers: Mapping[str, Sequence[float]]) -> Iterator[Cue]:
    chance = random.Random(seed)
    at = FIRST_WORD_SECONDS
    last = ""
    while speakers:
        order = chance.sample(list(speakers), len(speakers))
        if order[0] == last and len(order) > 1:
            order = [*order[1:], order[0]]
        for who in order:
            lengths = speakers[who]
            number = chance.randrange(len(lengths))
            yield Cue(at, who, Act.SPEAK, str(number))
            at += lengths[number]
            at += -_OVERLAP_SECONDS if chance.random() < _OVERLAP_CHANCE else chance.uniform(*_PAUSE_SECONDS)
            last = who


def _listener(seed: int, who: str) -> Iterator[Cue]:
    chance = random.Random(seed)
    at = chance.uniform(1.0, 8.0)
    hand_up = False
    while True:
        act = chance.choices((Act.RAISE, Act.REACT, Act.CHAT, Act.LEAVE), (4, 5, 4, 1))[0]
        match act:
            case Act.RAISE:
                yield Cue(at, who, Act.WITHDRAW if hand_up else Act.RAISE)
                hand_up = not hand_up
            case Act.REACT:
                yield Cue(at, who, act, chance.choice(_EMOJI))
            case Act.CHAT:
                yield Cue(at, who, act, chance.choice(_LINES))
            case _:
                yield Cue(at, who, Act.LEAVE)
                at += chance.uniform(5.0, 12.0)
                yield Cue(at, who, Act.RETURN)
                hand_up = False
        at += chance.uniform(6.0, 20.0)
