"""Which session events follow from what happened to a room, and to our side of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Accepted, Actor
from greenroom.protocol.events import (
    CameraChanged,
    Event,
    HandRaised,
    MicrophoneChanged,
    ParticipantHidden,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantShown,
    PermissionsChanged,
    RecordingChanged,
    RoomEnded,
    ScreenShareChanged,
)
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import HOST, USER, Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import Request
from greenroom.protocol.room import Hand, LeaveReason, Participant, Room, new_room
from greenroom.state.call import CallPhase, CallState
from greenroom.state.idle import Idle, IdlePhase
from greenroom.state.layout import CallView, Layout
from greenroom.state.session_changes import call_changes, room_changes
from greenroom.state.session_events import (
    CallEnded,
    ConnectionLost,
    ConnectionRestored,
    DominantSpeakerChanged,
    LayoutChanged,
    PictureInPictureChanged,
    PinsChanged,
    RecordingToggled,
    SessionEvent,
    SessionJoined,
    SessionLeft,
    SessionPrompted,
    SwitchedToVideo,
    UserJoined,
    UserLeft,
    UserListChanged,
    UserMuted,
    UserRaisedHand,
    UserUnmuted,
)
from tests.protocol.strategies import actors, requests

CID = Cid("audio_room:room")
ANN, BO = UserId("ann"), UserId("bo")
EMPTY = new_room(CID, AUDIO_ROOM, "Room", ANN, 0.0)
ANN_HERE = Participant(ANN, "Ann", 1, HOST, 0.0)
BO_HERE = Participant(BO, "Bo", 2, USER, 0.0)
ROOM = replace(EMPTY, participants={ANN: ANN_HERE})
BOTH = replace(EMPTY, participants={ANN: ANN_HERE, BO: BO_HERE})
SPEAK = frozenset({Capability.SEND_AUDIO})
SPEAKING = fold(BOTH, (PermissionsChanged(BO, granted=SPEAK), MicrophoneChanged(BO, True)))


def told(room: Room | None, *events: Event) -> list[SessionEvent]:
    return list(room_changes(CID, room, events, fold(room, events), 9.0))


@pytest.mark.parametrize(
    ("room", "event", "first"),
    [
        pytest.param(ROOM, ParticipantJoined(BO_HERE), UserJoined(CID, 9.0, BO, "Bo"), id="came in"),
        pytest.param(
            BOTH,
            ParticipantLeft(BO, LeaveReason.KICKED, ANN),
            UserLeft(CID, 9.0, BO, "Bo", LeaveReason.KICKED),
            id="sent out",
        ),
        pytest.param(SPEAKING, MicrophoneChanged(BO, False, ANN), UserMuted(CID, 9.0, BO, ANN), id="muted"),
        pytest.param(BOTH, MicrophoneChanged(BO, True), UserUnmuted(CID, 9.0, BO), id="microphone open"),
        pytest.param(
            SPEAKING,
            PermissionsChanged(BO, revoked=SPEAK, by=ANN),
            UserMuted(CID, 9.0, BO, ANN),
            id="who may not speak has a closed microphone",
        ),
        pytest.param(BOTH, HandRaised(Hand(BO, "Bo", 1.0)), UserRaisedHand(CID, 9.0, BO, "Bo", 1), id="hand"),
        pytest.param(BOTH, RoomEnded(1.0, ANN), CallEnded(CID, 9.0, ANN), id="ended"),
        pytest.param(
            BOTH, RecordingChanged(True, ANN), RecordingToggled(CID, 9.0, True, ANN), id="recording"
        ),
        pytest.param(BOTH, CameraChanged(BO, True), SwitchedToVideo(CID, 9.0, BO), id="first camera"),
    ],
)
def test_an_event_of_the_room_is_told(room: Room, event: Event, first: SessionEvent) -> None:
    assert told(room, event)[0] == first


@pytest.mark.parametrize(
    ("room", "event"),
    [
        pytest.param(BOTH, MicrophoneChanged(BO, False), id="closed already"),
        pytest.param(ROOM, MicrophoneChanged(BO, True), id="of somebody who is not here"),
        pytest.param(ROOM, ParticipantLeft(BO, LeaveReason.LEFT), id="left before"),
        pytest.param(BOTH, CameraChanged(BO, False), id="no camera"),
        pytest.param(BOTH, ScreenShareChanged(BO, True), id="a screen is no switch to video"),
    ],
)
def test_what_changes_nothing_for_a_person_is_not_told(room: Room, event: Event) -> None:
    assert told(room, event) == []


def test_who_is_only_counted_from_now_on_did_not_leave_and_who_is_named_did_not_come() -> None:
    assert told(BOTH, ParticipantHidden(BO)) == [UserListChanged(CID, 9.0, (ANN,))]
    assert told(ROOM, ParticipantShown(BO_HERE)) == [UserListChanged(CID, 9.0, (ANN, BO))]


def test_a_second_camera_is_no_switch_to_video() -> None:
    one = fold(BOTH, (CameraChanged(ANN, True),))
    assert told(one, CameraChanged(BO, True)) == []


def test_the_first_snapshot_names_who_is_here_and_nobody_joined() -> None:
    assert list(room_changes(CID, None, (), BOTH, 9.0)) == [UserListChanged(CID, 9.0, (ANN, BO))]


def test_after_a_gap_the_difference_is_told() -> None:
    later = replace(
        EMPTY,
        participants={BO: replace(BO_HERE, microphone=True)},
        hands=(Hand(BO, "Bo", 1.0),),
        recording=True,
    )
    assert list(room_changes(CID, BOTH, (), later, 9.0)) == [
        UserLeft(CID, 9.0, ANN, "Ann"),
        UserUnmuted(CID, 9.0, BO),
        UserRaisedHand(CID, 9.0, BO, "Bo", 1),
        RecordingToggled(CID, 9.0, True),
        UserListChanged(CID, 9.0, (BO,)),
    ]


CALL = CallState(CID, ANN, CallPhase.JOINED)


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        pytest.param({"phase": CallPhase.JOINING}, {}, [SessionJoined(CID, 9.0)], id="in"),
        pytest.param({}, {"phase": CallPhase.RECONNECTING}, [ConnectionLost(CID, 9.0)], id="lost"),
        pytest.param({"phase": CallPhase.RECONNECTING}, {}, [ConnectionRestored(CID, 9.0)], id="back"),
        pytest.param(
            {},
            {"phase": CallPhase.LEFT, "left_reason": "kicked", "dominant": BO},
            [SessionLeft(CID, 9.0, "kicked")],
            id="out, and nobody speaks to us any more",
        ),
        pytest.param({}, {"dominant": BO}, [DominantSpeakerChanged(CID, 9.0, BO)], id="speaks"),
        pytest.param(
            {},
            {"view": CallView(Layout.TILE, (BO,), True)},
            [
                LayoutChanged(CID, 9.0, Layout.TILE),
                PinsChanged(CID, 9.0, (BO,)),
                PictureInPictureChanged(CID, 9.0, True),
            ],
            id="looked at otherwise",
        ),
        pytest.param(
            {"idle": Idle(IdlePhase.ARMED)},
            {"idle": Idle(IdlePhase.PROMPTING, 0.0, 1.0, 61.0)},
            [SessionPrompted(CID, 9.0, 61.0)],
            id="asked",
        ),
        pytest.param(
            {"idle": Idle(IdlePhase.PROMPTING, 0.0, 1.0, 61.0)},
            {"idle": Idle(IdlePhase.PROMPTING, 0.0, 1.0, 61.0), "speaking": frozenset({BO})},
            [],
            id="asked once",
        ),
    ],
)
def test_what_becomes_of_our_side_is_told(
    before: dict[str, object], after: dict[str, object], events: list[SessionEvent]
) -> None:
    assert list(call_changes(replace(CALL, **before), replace(CALL, **after), 9.0)) == events


@given(st.lists(st.tuples(actors, requests), max_size=40))
def test_who_joined_less_who_left_is_who_is_here(steps: list[tuple[Actor, Request]]) -> None:
    room: Room | None = None
    here: set[UserId] = set()
    open_: set[UserId] = set()
    for moment, (who, request) in enumerate(steps):
        decision = decide(room, CID, who, request, float(moment))
        if not isinstance(decision, Accepted) or not decision.events:
            continue
        after = fold(room, decision.events)
        for event in room_changes(CID, room, decision.events, after, float(moment)):
            match event:
                case UserJoined(_, _, user):
                    assert user not in here
                    here.add(user)
                case UserLeft(_, _, user):
                    here.remove(user)
                    open_.discard(user)
                case UserUnmuted(_, _, user):
                    assert user not in open_
                    open_.add(user)
                case UserMuted(_, _, user):
                    open_.remove(user)
                case CallEnded():
                    here.clear()
                    open_.clear()
        room = after
        people = {} if room is None else room.participants
        assert here == set(people)
        assert open_ == {user for user, person in people.items() if person.microphone}
