"""Sentences about a moment of a scene: what is heard, whose microphone is open, who is where. True or false. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from greenroom.errors import Malformed


class Hears(msgspec.Struct, frozen=True):
    """`who` hears `whom` in what comes out of their speaker, or does not. `softer_db`: that much below full volume."""

    who: str
    whom: str
    yes: bool = True
    softer_db: float = 0.0


class Speaks(msgspec.Struct, frozen=True):
    """The microphone of `who` is open in `room`, or closed."""

    who: str
    room: str
    yes: bool = True


class Suspended(msgspec.Struct, frozen=True):
    """The others in `room` see that the sound of `who` is held by another call, or see that it is not."""

    who: str
    room: str
    yes: bool = True


class Present(msgspec.Struct, frozen=True):
    who: str
    room: str
    yes: bool = True


class Hands(msgspec.Struct, frozen=True):
    """The queue of `room` is exactly `queue`, in that order."""

    room: str
    queue: tuple[str, ...]


class Live(msgspec.Struct, frozen=True):
    room: str
    yes: bool = True


class Rung(msgspec.Struct, frozen=True):
    """`who` is being rung by `by` (by anybody where that is empty), or is not."""

    who: str
    by: str = ""
    yes: bool = True


class Focused(msgspec.Struct, frozen=True):
    """The call of `who` in `room` is the focused one."""

    who: str
    room: str


Expectation = Hears | Speaks | Suspended | Present | Hands | Live | Rung | Focused

_WHO, _ROOM, _NOT = r"(?P<who>\S+)", r"(?P<room>\S+:\S+)", r"(?P<no> not)?"
_SENTENCES: tuple[tuple[str, str, Callable[[dict[str, Any]], Expectation]], ...] = (
    ("a hears b", rf"{_WHO} hears (?P<whom>\S+)", lambda m: Hears(m["who"], m["whom"])),
    (
        "a hears b 12 dB softer",
        rf"{_WHO} hears (?P<whom>\S+) (?P<db>\d+(?:\.\d+)?) dB softer",
        lambda m: Hears(m["who"], m["whom"], True, float(m["db"])),
    ),
    (
        "a does not hear b",
        rf"{_WHO} does not hear (?P<whom>\S+)",
        lambda m: Hears(m["who"], m["whom"], False),
    ),
    ("a speaks in type:id", rf"{_WHO} speaks in {_ROOM}", lambda m: Speaks(m["who"], m["room"])),
    (
        "a does not speak in type:id",
        rf"{_WHO} does not speak in {_ROOM}",
        lambda m: Speaks(m["who"], m["room"], False),
    ),
    (
        "a is (not) suspended in type:id",
        rf"{_WHO} is{_NOT} suspended in {_ROOM}",
        lambda m: Suspended(m["who"], m["room"], m["no"] is None),
    ),
    (
        "a is (not) in type:id",
        rf"{_WHO} is{_NOT} in {_ROOM}",
        lambda m: Present(m["who"], m["room"], m["no"] is None),
    ),
    (
        "type:id has hands a b",
        rf"{_ROOM} has hands (?P<hands>\S+(?: \S+)*)",
        lambda m: Hands(m["room"], tuple(m["hands"].split())),
    ),
    ("type:id has no hands", rf"{_ROOM} has no hands", lambda m: Hands(m["room"], ())),
    ("type:id is (not) live", rf"{_ROOM} is{_NOT} live", lambda m: Live(m["room"], m["no"] is None)),
    ("a is rung by b", rf"{_WHO} is rung by (?P<by>\S+)", lambda m: Rung(m["who"], m["by"])),
    ("a is not rung", rf"{_WHO} is not rung", lambda m: Rung(m["who"], "", False)),
    ("a is focused on type:id", rf"{_WHO} is focused on {_ROOM}", lambda m: Focused(m["who"], m["room"])),
)
_PATTERNS = tuple((re.compile(pattern), make) for _, pattern, make in _SENTENCES)
SENTENCES: tuple[str, ...] = tuple(example for example, _, _ in _SENTENCES)
"""What can be expected, as examples."""


def parse_expectation(sentence: str, people: Collection[str], rooms: Collection[str]) -> Expectation:
    """Return what `sentence` claims. Raises `Malformed` for no known sentence, or for names the scene does not have."""
    for pattern, make in _PATTERNS:
        match = pattern.fullmatch(sentence.strip())
        if match is None:
            continue
        named = match.groupdict()
        unknown = [name for name in _people_of(named) if name not in people]
        if unknown:
            raise Malformed(f"'{unknown[0][:40]}' in \"{sentence[:80]}\" is not one of the people")
        if named.get("room") is not None and named["room"] not in rooms:
            raise Malformed(f"'{named['room'][:40]}' in \"{sentence[:80]}\" is not one of the rooms")
        return make(named)
    raise Malformed(
        f'"{sentence[:80]}" is no sentence that can be checked; write one of: {"; ".join(SENTENCES)}'
    )


def _people_of(named: dict[str, Any]) -> Iterable[str]:
    yield from (named[key] for key in ("who", "whom", "by") if named.get(key) is not None)
    yield from (named.get("hands") or "").split()
