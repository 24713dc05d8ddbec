"""Who stands where in each layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.protocol.call_types import DEFAULT
from greenroom.protocol.ids import HOST, USER, Cid, UserId
from greenroom.protocol.room import Hand, Participant, new_room
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.call_settings import CallMode, CallSettings
from greenroom.state.layout import CallView, Layout
from greenroom.views.layouts import (
    Arrangement,
    Person,
    Preset,
    arrange,
    arranged_rows,
    people_on_stage,
    sort_people,
    stage_words,
)

CID = Cid("default:talk")
ANN, BO, CY, DEE = (UserId(name) for name in ("ann", "bo", "cy", "dee"))
PEOPLE = {
    user: Participant(user, user.title(), number, HOST if user == ANN else USER, 0.0)
    for number, user in enumerate((ANN, BO, CY, DEE), 1)
}
ROOM = replace(new_room(CID, DEFAULT, "Talk", ANN, 0.0), participants=PEOPLE)
CALL = CallState(CID, ANN, CallPhase.JOINED, ROOM, media=MediaPhase.CONNECTED)


def looking(layout: Layout, *pins: UserId, **changes: object) -> CallState:
    return replace(CALL, view=CallView(layout, pins), **changes)


@pytest.mark.parametrize(
    ("call", "arrangement"),
    [
        pytest.param(
            looking(Layout.LIST, speaking=frozenset({DEE}), dominant=DEE),
            Arrangement((ANN, BO, CY, DEE)),
            id="in a list nobody jumps",
        ),
        pytest.param(looking(Layout.LIST, CY), Arrangement((CY, ANN, BO, DEE)), id="but the pinned"),
        pytest.param(
            looking(Layout.TILE, speaking=frozenset({DEE, BO}), dominant=DEE),
            Arrangement((DEE, BO, ANN, CY)),
            id="tiles: who speaks first",
        ),
        pytest.param(
            looking(Layout.SPOTLIGHT, dominant=CY), Arrangement((CY,), (ANN, BO, DEE)), id="one is large"
        ),
        pytest.param(
            looking(Layout.SPOTLIGHT, BO, dominant=CY),
            Arrangement((BO,), (CY, ANN, DEE)),
            id="the pinned before the loudest",
        ),
        pytest.param(
            looking(Layout.SIDEBAR, BO, DEE, dominant=CY),
            Arrangement((BO, DEE), (CY, ANN)),
            id="beside a list, all the pinned are large",
        ),
        pytest.param(
            looking(Layout.SPOTLIGHT, dominant=CY, settings=CallSettings(mode=CallMode.SINGLE)),
            Arrangement((CY,)),
            id="one at a time",
        ),
        pytest.param(
            replace(CALL, view=CallView(Layout.TILE, picture_in_picture=True), dominant=BO),
            Arrangement((BO,)),
            id="a small window shows one",
        ),
    ],
)
def test_a_layout_says_who_is_large(call: CallState, arrangement: Arrangement) -> None:
    assert arrange(call) == arrangement


def test_tiles_on_the_screen_keep_their_places_while_people_talk() -> None:
    call = looking(Layout.TILE, speaking=frozenset({CY}), dominant=CY)
    assert arrange(call, visible=(ANN, BO, CY)).main == (ANN, BO, CY, DEE)
    assert arrange(call, visible=(ANN, BO)).main[0] == CY, "who speaks out of sight comes into it"


@pytest.mark.parametrize(
    ("preset", "first"),
    [
        (Preset.REGULAR, ["pinned", "screen", "dominant", "speaking", "hand", "camera", "microphone"]),
        (Preset.SPEAKER, ["pinned", "screen", "dominant", "speaking", "hand", "camera", "microphone"]),
        (Preset.AUDIO_ROOM, ["pinned", "dominant", "speaking", "hand", "camera", "microphone", "host"]),
        (Preset.PIP, ["pinned", "screen", "dominant", "speaking", "hand", "camera", "microphone"]),
    ],
)
def test_a_preset_sorts_by_what_matters_to_it(preset: Preset, first: list[str]) -> None:
    people = [
        Person(UserId("nothing"), 0, role=USER),
        Person(UserId("host"), 1, role=HOST),
        Person(UserId("microphone"), 2, microphone=True, role=USER),
        Person(UserId("camera"), 3, camera=True, role=USER),
        Person(UserId("hand"), 4, hand=True, role=USER),
        Person(UserId("speaking"), 5, speaking=True, role=USER),
        Person(UserId("dominant"), 6, dominant=True, role=USER),
        Person(UserId("screen"), 7, screen=True, role=USER),
        Person(UserId("pinned"), 8, pin=0, role=USER),
    ]
    assert [person.user for person in sort_people(people, preset)][: len(first)] == first


def test_speakers_come_before_each_other_even_on_the_screen_where_speakers_matter() -> None:
    quiet, loud = Person(ANN, 1, visible=True), Person(BO, 2, visible=True, dominant=True)
    assert sort_people([quiet, loud], Preset.SPEAKER)[0] is loud
    assert sort_people([quiet, loud], Preset.REGULAR)[0] is quiet


def test_a_raised_hand_moves_somebody_on_the_stage_forward() -> None:
    call = looking(Layout.TILE, room=replace(ROOM, hands=(Hand(DEE, "Dee", 1.0),)))
    assert arrange(call).main[0] == DEE


def test_a_list_of_rows_follows_the_layout_unless_the_session_has_its_own_view() -> None:
    call = looking(Layout.TILE, dominant=CY)
    assert [row.user for row in arranged_rows(call)] == [CY, ANN, BO, DEE]
    own = replace(call, settings=CallSettings(default_layout=False))
    assert [row.user for row in arranged_rows(own)] == [ANN, BO, CY, DEE]


def test_the_heading_names_the_layout_and_what_a_small_view_leaves_out() -> None:
    assert stage_words(CALL) == "4 people"
    assert stage_words(looking(Layout.SPOTLIGHT)) == "4 people · spotlight"
    small = replace(CALL, view=CallView(picture_in_picture=True))
    assert stage_words(small) == "1 of 4 people · small view"


def test_a_room_that_is_not_known_yet_has_nobody() -> None:
    assert arrange(replace(CALL, room=None)) == Arrangement()
    assert people_on_stage(replace(CALL, room=None)) == ()


users = st.sampled_from([ANN, BO, CY, DEE])


@given(
    layout=st.sampled_from(Layout),
    pins=st.lists(users, unique=True),
    speaking=st.frozensets(users),
    dominant=st.none() | users,
    visible=st.frozensets(users),
)
def test_everybody_stands_somewhere_and_only_once(
    layout: Layout,
    pins: list[UserId],
    speaking: frozenset[UserId],
    dominant: UserId | None,
    visible: frozenset[UserId],
) -> None:
    call = looking(layout, *pins, speaking=speaking, dominant=dominant)
    assert sorted(arrange(call, visible).everybody) == [ANN, BO, CY, DEE]
