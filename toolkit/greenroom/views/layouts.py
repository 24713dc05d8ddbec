"""Who stands where: the order of the people on the stage, and which of them are large, for each layout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from functools import cmp_to_key

import msgspec

from greenroom.protocol.ids import ADMIN, HOST, SPEAKER, Role, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Participant, Room, may
from greenroom.state.call import CallState
from greenroom.state.call_settings import CallMode
from greenroom.state.layout import Layout
from greenroom.views.stage import SpeakerRow, stage_rows
from greenroom.views.words import count

_STAGE_ROLES: tuple[Role, ...] = (ADMIN, HOST, SPEAKER)


class Preset(StrEnum):
    """A way to sort people. `PIP` sorts for a small window, where nobody need stay in place."""

    REGULAR = "regular"
    SPEAKER = "speaker"
    AUDIO_ROOM = "audio_room"
    PIP = "pip"


class Person(msgspec.Struct, frozen=True):
    """What sorting asks about somebody. `pin` counts from 0 for the last pinned, None without; `visible`: on the screen
    now, so better left in place."""

    user: UserId
    number: int
    pin: int | None = None
    screen: bool = False
    camera: bool = False
    microphone: bool = False
    dominant: bool = False
    speaking: bool = False
    hand: bool = False
    role: Role = SPEAKER
    visible: bool = False


class Arrangement(msgspec.Struct, frozen=True):
    """`main` are large (or everybody, in a layout that knows no difference), `side` small; each in order."""

    main: tuple[UserId, ...] = ()
    side: tuple[UserId, ...] = ()

    @property
    def everybody(self) -> tuple[UserId, ...]:
        """The large before the small."""
        return (*self.main, *self.side)


def people_on_stage(call: CallState, visible: Collection[UserId] = ()) -> tuple[Person, ...]:
    """Return the people who may speak, in order of joining. `visible`: whose tiles are on the screen now."""
    room = call.room
    if room is None:
        return ()
    here = (person for person in room.participants.values() if may(room, person.user, Capability.SEND_AUDIO))
    hands = {hand.user for hand in room.hands}
    return tuple(
        _person(call, room, person, person.user in hands, person.user in visible)
        for person in sorted(here, key=lambda person: person.number)
    )


def sort_people(people: Sequence[Person], preset: Preset) -> tuple[Person, ...]:
    """Return `people` by `preset`; those it does not tell apart stay in their order."""
    comparators = _PRESETS[preset]

    def compare(one: Person, other: Person) -> int:
        return next((answer for by in comparators if (answer := by(one, other)) != 0), 0)

    return tuple(sorted(people, key=cmp_to_key(compare)))


def arranged_rows(call: CallState) -> tuple[SpeakerRow, ...]:
    """Return the rows of the stage as a list shows them: in the order of the layout, where the session has one of ours."""
    rows = {row.user: row for row in stage_rows(call)}
    if not call.settings.default_layout:
        return tuple(rows.values())
    return tuple(rows[user] for user in arrange(call).everybody if user in rows)


def stage_words(call: CallState) -> str:
    """Return how many are on the stage and, beyond a plain list, in which layout: `3 people · spotlight`."""
    people = len(people_on_stage(call))
    if call.view.picture_in_picture:
        return f"{min(people, 1)} of {count(people, 'person', 'people')} · small view"
    layout = "" if call.view.layout is Layout.LIST else f" · {call.view.layout}"
    return f"{count(people, 'person', 'people')}{layout}"


def arrange(call: CallState, visible: Collection[UserId] = (), preset: Preset | None = None) -> Arrangement:
    """Return who is large and who small in the layout of `call`. Without a `preset` the layout's own is taken.

    In a list people stay in order of joining, the pinned before them.
    """
    people = people_on_stage(call, visible)
    layout = call.view.layout
    if preset is None:
        preset = Preset.PIP if call.view.picture_in_picture else _OF_LAYOUT.get(layout)
    people = tuple(sorted(people, key=_pinned_first)) if preset is None else sort_people(people, preset)
    users = tuple(person.user for person in people)
    if call.view.picture_in_picture:
        return Arrangement(users[:1])
    if layout in (Layout.TILE, Layout.LIST):
        return Arrangement(users)
    pinned = tuple(person.user for person in people if person.pin is not None)
    main = pinned if layout is Layout.SIDEBAR and pinned else users[:1]
    side = tuple(user for user in users if user not in main)
    return Arrangement(main, () if call.settings.mode is CallMode.SINGLE else side)


Comparator = Callable[[Person, Person], int]


def _first(is_so: Callable[[Person], bool]) -> Comparator:
    return lambda one, other: int(is_so(other)) - int(is_so(one))


def _by_pin(one: Person, other: Person) -> int:
    return _place(one.pin) - _place(other.pin)


def _place(pin: int | None) -> int:
    return 1_000 if pin is None else pin


def _unless_both_visible(*comparators: Comparator) -> Comparator:
    """Whoever is seen keeps the place while others are seen too: tiles do not jump while people talk."""

    def compare(one: Person, other: Person) -> int:
        if one.visible and other.visible:
            return 0
        return next((answer for by in comparators if (answer := by(one, other)) != 0), 0)

    return compare


_screen = _first(lambda person: person.screen)
_dominant = _first(lambda person: person.dominant)
_speaking = _first(lambda person: person.speaking)
_hand = _first(lambda person: person.hand)
_camera = _first(lambda person: person.camera)
_microphone = _first(lambda person: person.microphone)
_stage_role = _first(lambda person: person.role in _STAGE_ROLES)
_livelier = (_dominant, _speaking, _hand, _camera, _microphone)

_PRESETS: dict[Preset, tuple[Comparator, ...]] = {
    Preset.REGULAR: (_by_pin, _screen, _unless_both_visible(*_livelier)),
    Preset.SPEAKER: (
        _by_pin,
        _screen,
        _dominant,
        _unless_both_visible(_speaking, _hand, _camera, _microphone),
    ),
    Preset.AUDIO_ROOM: (_by_pin, _unless_both_visible(*_livelier), _stage_role),
    Preset.PIP: (_by_pin, _screen, *_livelier),
}
_OF_LAYOUT = {
    Layout.TILE: Preset.REGULAR,
    Layout.SPOTLIGHT: Preset.SPEAKER,
    Layout.SIDEBAR: Preset.SPEAKER,
}


def _pinned_first(person: Person) -> int:
    return _place(person.pin)


def _person(call: CallState, room: Room, person: Participant, hand: bool, visible: bool) -> Person:
    user = person.user
    return Person(
        user=user,
        number=person.number,
        pin=call.view.pins.index(user) if user in call.view.pins else None,
        screen=person.screen,
        camera=person.camera,
        microphone=person.microphone,
        dominant=call.dominant == user,
        speaking=user in call.speaking,
        hand=hand,
        role=person.role,
        visible=visible,
    )
