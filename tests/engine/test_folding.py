"""What messages make of a call, as values."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.engine.folding import (
    wish_after,
    with_events,
    with_levels,
    with_reaction,
    without_old_reactions,
)
from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.events import (
    Event,
    MicrophoneChanged,
    ParticipantJoined,
    ParticipantShown,
    PermissionsChanged,
)
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import HOST, USER, Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Member, Participant, Room, new_room
from greenroom.protocol.wire import Emitted, Reaction, Typing
from greenroom.state.call import CallState

CID, ME, HER = Cid("audio_room:standup"), UserId("me"), UserId("her")
SPEAK = frozenset({Capability.SEND_AUDIO})


def room() -> Room:
    """A room with a host and me, who may speak and does."""
    made = replace(new_room(CID, AUDIO_ROOM, "Standup", HER, 0.0), members={HER: Member(HER, "Her", HOST)})
    people = {
        HER: Participant(HER, "Her", 1, HOST, 0.0),
        ME: Participant(ME, "Me", 2, USER, 0.0, microphone=True),
    }
    return fold(
        replace(made, participants=people), (PermissionsChanged(ME, granted=SPEAK, by=HER),)
    ) or pytest.fail("the room is there")


@pytest.mark.parametrize(
    ("events", "wish"),
    [
        pytest.param((), True, id="nothing happened"),
        pytest.param((MicrophoneChanged(ME, on=False),), True, id="my own older request came back"),
        pytest.param((MicrophoneChanged(ME, on=False, by=HER),), False, id="a moderator muted me"),
        pytest.param((MicrophoneChanged(HER, on=False, by=ME),), True, id="somebody else was muted"),
        pytest.param((PermissionsChanged(ME, revoked=SPEAK, by=HER),), False, id="I was taken off the stage"),
    ],
)
def test_the_wish_to_speak_ends_with_a_mute_or_a_revoke_only(events: tuple[Event, ...], wish: bool) -> None:
    before = room()
    assert wish_after(True, ME, before, fold(before, events), events) is wish
    assert wish_after(False, ME, before, fold(before, events), events) is False


def test_a_mute_that_stands_ends_the_wish_when_the_room_comes_as_a_snapshot() -> None:
    muted = fold(room(), (MicrophoneChanged(ME, on=False, by=HER),))
    assert not wish_after(True, ME, room(), muted)
    assert wish_after(True, ME, muted, muted, (MicrophoneChanged(HER, on=True),)), "it was ended once already"


def test_losing_the_room_for_a_moment_keeps_the_wish() -> None:
    without_me = replace(room(), participants={})
    assert wish_after(True, ME, room(), without_me)
    assert wish_after(True, ME, room(), None)


def test_a_newcomer_is_news_and_a_listener_who_is_named_later_is_not() -> None:
    new, known = (
        Participant(UserId("ben"), "Ben", 9, USER, 0.0),
        Participant(UserId("cal"), "Cal", 1, USER, 0.0),
    )
    call = CallState(cid=CID, me=ME)
    _, lines = with_events(call, room(), (ParticipantJoined(new), ParticipantShown(known)), 5.0)
    assert [line.text for line in lines] == ["Ben came in"]


def test_notices_are_bounded_and_numbered_on() -> None:
    call = CallState(cid=CID, me=ME)
    for _ in range(30):
        call, _ = with_events(call, room(), (MicrophoneChanged(ME, on=False, by=HER),), 1.0)
    assert [notice.id for notice in call.notices] == list(range(11, 31))
    assert call.notices[-1].text == "Her muted you"


def test_reactions_are_made_safe_and_float_by() -> None:
    call = with_reaction(CallState(cid=CID, me=ME), Emitted(CID, HER, "Her", Reaction("\x1b[2J👏")), 10.0)
    assert "\x1b" not in call.reactions[0].emoji
    assert with_reaction(call, Emitted(CID, HER, "Her", Typing()), 10.0) is call
    assert without_old_reactions(call, 14.0) is call
    assert without_old_reactions(call, 15.5).reactions == ()


def test_levels_keep_a_second_of_history_and_an_unchanged_call_is_the_same_object() -> None:
    call = CallState(cid=CID, me=ME)
    for level in range(12):
        call = with_levels(call, {HER: -40.0 + level}, frozenset({HER}), HER)
    assert call.level_history[HER] == tuple(-40.0 + level for level in range(2, 12))
    for _ in range(10):
        call = with_levels(call, {}, frozenset(), None)
    assert call.level_history == {}
    assert with_levels(call, {}, frozenset(), None) is call
