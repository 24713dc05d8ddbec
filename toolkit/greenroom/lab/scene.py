"""A scene as a value: who is where, who does what when, and what must then be heard and seen.

A scene is a TOML file. `[people]` names who plays, `[rooms]` where, and `steps` is what happens, in order of time:

    title = "Pause on an incoming call"

    [people]
    you = { policy = "suspend_existing" }
    ann = { in = "audio_room:talk", speaks = true }

    [rooms."audio_room:talk"]
    title = "An evening talk"

    steps = [
      { at = 0.0, who = "you", do = "join", room = "audio_room:talk" },
      { at = 1.0, expect = ["you hears ann", "you is not suspended in audio_room:talk"] },
    ]

What is expected is a sentence of `greenroom.lab.expectations`. The same file plays in the demo, can be stepped, and is a
test.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from greenroom.errors import Malformed
from greenroom.lab.expectations import Expectation, parse_expectation
from greenroom.protocol.ids import SPEAKER, is_cid, is_role, is_user

FOLDER = Path(__file__).parent / "scenes"
SUFFIX = ".scene.toml"
MOST_STEPS = 1_000
MOST_PEOPLE = 24
LONGEST_SECONDS = 3_600.0


class Do(StrEnum):
    """What somebody can do in a scene; most are what the faces call the same thing."""

    JOIN = "join"
    LEAVE = "leave"
    SPEAK = "speak"
    HUSH = "hush"
    MUTE = "mute"
    UNMUTE = "unmute"
    SUSPEND = "suspend"
    RESUME = "resume"
    FOCUS = "focus"
    POLICY = "policy"
    VOLUME = "volume"
    RAISE_HAND = "raise hand"
    WITHDRAW_HAND = "withdraw hand"
    NEXT_HAND = "next hand"
    GRANT = "grant"
    DENY = "deny"
    REVOKE = "revoke"
    MUTE_OTHER = "mute other"
    GO_LIVE = "go live"
    STOP_LIVE = "stop live"
    END = "end"
    RING = "ring"
    ACCEPT = "accept"
    REJECT = "reject"
    CANCEL = "cancel"
    CHAT = "chat"
    REACT = "react"
    LOSE_SOUND = "lose sound"


NEEDS_ROOM = frozenset(Do) - {
    Do.SPEAK,
    Do.HUSH,
    Do.POLICY,
    Do.RING,
    Do.ACCEPT,
    Do.REJECT,
    Do.CANCEL,
}
NEEDS_TO = frozenset({Do.VOLUME, Do.GRANT, Do.DENY, Do.REVOKE, Do.MUTE_OTHER, Do.RING})
NEEDS_WORDS = frozenset({Do.POLICY, Do.CHAT, Do.REACT})


class PersonPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"in_room": "in"}):
    """Somebody of the scene. `in_room`: where they are from the start; `speaks`: with an open microphone, talking.

    `policy` is their hand-off policy, `voice` the demo voice they have; without one they get one by turns.
    """

    name: str = ""
    voice: str = ""
    policy: str = "suspend_existing"
    in_room: str = ""
    speaks: bool = False


class RoomPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A room that is there from the start. `roles` maps people to roles; who speaks from the start is a speaker at least."""

    title: str = ""
    roles: Mapping[str, str] = {}
    backstage: bool = False


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At `at` seconds: `who` does `do`; or, without them, everything in `expect` holds within `within` seconds.

    `note` is told to whoever watches.
    """

    at: float
    who: str = ""
    do: Do | None = None
    room: str = ""
    to: str = ""
    words: str = ""
    value: float = 1.0
    expect: tuple[str, ...] = ()
    within: float = 0.5
    note: str = ""


class Scene(msgspec.Struct, frozen=True):
    """A whole scene, checked. `expectations` are those of each step, parsed, in the same order as `steps`."""

    title: str
    about: str
    people: Mapping[str, PersonPlan]
    rooms: Mapping[str, RoomPlan]
    steps: tuple[Step, ...]
    expectations: tuple[tuple[Expectation, ...], ...]

    @property
    def seconds(self) -> float:
        """How long it plays: to the last step, and what may follow it."""
        return max((step.at + (step.within if step.expect else 0.0) for step in self.steps), default=0.0)

    @property
    def lead(self) -> str:
        """Whose screen shows the scene: the first person."""
        return next(iter(self.people))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    people: Mapping[str, PersonPlan]
    steps: tuple[Step, ...]
    about: str = ""
    rooms: Mapping[str, RoomPlan] = {}


def parse_scene(text: str, name: str = "this scene") -> Scene:
    """Return the scene that `text` (TOML) describes. Raises `Malformed`, which says where and what is wrong."""
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"{name} is not a scene: {error}") from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise Malformed(f"{name} is not a scene: {error}") from None
    problem = _problem(file)
    if problem:
        raise Malformed(f"{name}: {problem}")
    expectations: list[tuple[Expectation, ...]] = []
    for number, step in enumerate(file.steps, 1):
        try:
            expectations.append(
                tuple(parse_expectation(sentence, file.people, _rooms(file)) for sentence in step.expect)
            )
        except Malformed as error:
            raise Malformed(f"{name}, step {number}: {error}") from None
    return Scene(file.title, file.about, file.people, _with_speakers(file), file.steps, tuple(expectations))


def read_scene(path: Path) -> Scene:
    """Return the scene in a file. Raises `Malformed` when it cannot be read or is none."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Malformed(f"the scene {path} cannot be read: {why}") from None
    return parse_scene(text, path.name)


def scene_named(name: str) -> Scene:
    """Return a scene that comes with Greenroom, or the one in the file of that name. Raises `Malformed`."""
    built_in = FOLDER / f"{name}{SUFFIX}"
    if name in scene_names():
        return read_scene(built_in)
    if not Path(name).exists():
        raise Malformed(
            f"there is no scene '{name[:80]}'; there are {', '.join(scene_names())}, and files of your own"
        )
    return read_scene(Path(name))


def scene_names() -> tuple[str, ...]:
    """Return the names of the scenes that come with Greenroom."""
    return tuple(sorted(file.name.removesuffix(SUFFIX) for file in FOLDER.glob(f"*{SUFFIX}")))


def _rooms(file: _File) -> frozenset[str]:
    named = {person.in_room for person in file.people.values()} | {step.room for step in file.steps}
    return frozenset(file.rooms) | {room for room in named if room}


def _with_speakers(file: _File) -> Mapping[str, RoomPlan]:
    """Return every room of the scene; who speaks there from the start has the role for it."""
    rooms = {cid: file.rooms.get(cid, RoomPlan()) for cid in sorted(_rooms(file))}
    for who, person in file.people.items():
        if person.in_room and person.speaks and who not in rooms[person.in_room].roles:
            plan = rooms[person.in_room]
            rooms[person.in_room] = msgspec.structs.replace(plan, roles={**plan.roles, who: SPEAKER})
    return rooms


def _problem(file: _File) -> str:
    if not 1 <= len(file.people) <= MOST_PEOPLE:
        return f"a scene has 1 to {MOST_PEOPLE} people, not {len(file.people)}"
    if len(file.steps) > MOST_STEPS:
        return f"a scene has up to {MOST_STEPS} steps, not {len(file.steps)}"
    for who in file.people:
        if not is_user(who):
            return f"'{who[:40]}' cannot name a person"
    for cid, plan in file.rooms.items():
        if not is_cid(cid):
            return f"'{cid[:40]}' cannot name a room; write type:id"
        for who, role in plan.roles.items():
            if who not in file.people or not is_role(role):
                return f"room {cid} gives the role '{role[:40]}' to '{who[:40]}', who is not in the scene"
    for who, person in file.people.items():
        if person.in_room and not is_cid(person.in_room):
            return f"{who} cannot be in '{person.in_room[:40]}'; write type:id"
        if person.speaks and not person.in_room:
            return f'{who} speaks from the start, but is in no room; add: in = "type:id"'
    before = 0.0
    for number, step in enumerate(file.steps, 1):
        if problem := _step_problem(step, file.people, before):
            return f"step {number}: {problem}"
        before = step.at
    return ""


def _step_problem(step: Step, people: Mapping[str, PersonPlan], before: float) -> str:
    if not 0.0 <= step.at <= LONGEST_SECONDS or not 0.0 <= step.within <= 60.0:
        return f"at {step.at:g} s, within {step.within:g} s: a scene lasts up to {LONGEST_SECONDS:g} s"
    if step.at < before:
        return f"{step.at:g} s is before the step above it ({before:g} s); steps are in order of time"
    if step.do is None:
        return "" if step.expect or step.note else "it does nothing and expects nothing"
    if step.who not in people:
        return f"'{step.who[:40]}' is not one of the people"
    if step.do in NEEDS_ROOM and not is_cid(step.room):
        return f"'{step.do}' needs a room, written type:id"
    if step.room and not is_cid(step.room):
        return f"'{step.room[:40]}' cannot name a room; write type:id"
    if step.do in NEEDS_TO and (not step.to or any(name not in people for name in step.to.split())):
        return f"'{step.do}' needs `to`, one or more of the people"
    if step.do in NEEDS_WORDS and not step.words:
        return f"'{step.do}' needs `words`"
    return ""
