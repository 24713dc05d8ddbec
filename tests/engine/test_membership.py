"""One side of one room, told things by hand: what it asks of its session, and when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.backends.loopback import LoopbackSession, LoopbackWorld
from greenroom.engine.membership import Membership
from greenroom.engine.shared_source import SharedSource
from greenroom.media.playout import Playout
from greenroom.media.sinks import Null
from greenroom.media.sources import Silence
from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.deciding import Actor
from greenroom.protocol.events import ParticipantJoined, WentLive
from greenroom.protocol.ids import USER, Cid, UserId
from greenroom.protocol.room import Participant, new_room
from greenroom.protocol.wire import (
    Happened,
    PersonLevel,
    PersonQuality,
    Pulse,
    Quality,
    Removed,
    Snapshot,
)
from greenroom.state.call import CallPhase, CallState
from greenroom.state.engine import LogLine
from greenroom.views.quality import quality_words

CID, ME = Cid("audio_room:room"), UserId("me")


class Recording(LoopbackSession):
    """A session that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(LoopbackWorld(paced=False), Actor(ME, "Me"))
        self.synced: list[tuple[int, int]] = []

    def sync(self, cid: Cid, epoch: int, seq: int) -> None:
        self.synced.append((epoch, seq))


class Owner:
    """A client that only listens."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def call_changed(self, cid: Cid, state: CallState) -> None:
        """Nothing mirrors it."""

    def microphone_missing(self) -> str:
        return ""

    def speaker_missing(self) -> str:
        return ""

    def log(self, lines: tuple[LogLine, ...]) -> None:
        self.lines += [line.text for line in lines]


def membership(session: LoopbackSession) -> Membership:
    return Membership(CID, ME, session, SharedSource(Silence()), Playout(Null()), Owner())


ROOM = replace(
    new_room(CID, AUDIO_ROOM, "Room", ME, 0.0), participants={ME: Participant(ME, "Me", 1, USER, 0.0)}
)
LATER = Happened(CID, 1, 9, (WentLive(1.0, ME),))


async def test_a_gap_is_asked_for_once_however_much_follows_it() -> None:
    session = Recording()
    mine = membership(session)
    mine.receive(Snapshot(CID, 1, 3, ROOM))
    for seq in (9, 10, 11):
        mine.receive(replace(LATER, seq=seq))
    assert session.synced == [(1, 3)]
    mine.receive(Snapshot(CID, 1, 11, replace(ROOM, live=True)))
    mine.receive(replace(LATER, seq=20))
    assert session.synced == [(1, 3), (1, 11)]


async def test_events_told_twice_are_folded_and_logged_once() -> None:
    mine = membership(Recording())
    owner = mine._owner
    assert isinstance(owner, Owner)
    mine.receive(Snapshot(CID, 1, 3, ROOM))
    ann = ParticipantJoined(Participant(UserId("ann"), "Ann", 2, USER, 1.0))
    ben = ParticipantJoined(Participant(UserId("ben"), "Ben", 3, USER, 1.0))
    mine.receive(Happened(CID, 1, 4, (ann,)))
    mine.receive(Happened(CID, 1, 4, (ann, ben)))
    assert owner.lines == ["Ann came in", "Ben came in"]
    room = mine.state.value.room
    assert room is not None
    assert list(room.participants) == [ME, "ann", "ben"]


async def test_what_comes_after_the_end_changes_nothing() -> None:
    mine = membership(Recording())
    mine.receive(Snapshot(CID, 1, 3, ROOM))
    await mine.end("kicked")
    over = mine.state.value
    mine.receive(Removed(CID, "blocked"))
    mine.sample(100.0, statistics=True)
    await mine.end(None)
    assert mine.state.value is over
    assert (over.phase, over.left_reason) == (CallPhase.LEFT, "kicked")


def talking(*people: Participant) -> Membership:
    """A room in which everybody of `people` is told to speak, the first dominantly."""
    mine = membership(Recording())
    everybody = {person.user: person for person in (*ROOM.participants.values(), *people)}
    mine.receive(Snapshot(CID, 1, 3, replace(ROOM, participants=everybody)))
    levels = tuple(PersonLevel(person.number, -20.0, True) for person in people)
    mine.receive(Pulse(CID, levels, people[0].number))
    return mine


async def test_who_speaks_and_how_loud_is_of_those_whose_microphone_is_open() -> None:
    ann = Participant(UserId("ann"), "Ann", 2, USER, 1.0, microphone=True)
    mine = talking(ann)
    for moment in range(12):
        mine.sample(100.0 + moment / 10, statistics=False)
    state = mine.state.value
    assert state.speaking == {"ann"}
    assert state.dominant == "ann"
    assert state.levels == {"ann": -20.0}
    assert state.level_history == {"ann": (-20.0,) * 10}, "the last ten, a second of them"
    for moment in range(3):
        mine.receive(Pulse(CID, (PersonLevel(2, -30.0, True),), 2))
        mine.sample(102.0 + moment / 10, statistics=False)
    assert mine.state.value.level_history[ann.user] == (-20.0,) * 7 + (-30.0,) * 3


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"microphone": False}, id="muted"),
        pytest.param({"connected": False}, id="gone for a moment"),
        pytest.param({"suspended": True}, id="in another call"),
    ],
)
async def test_a_pulse_older_than_a_mute_puts_nobody_on_the_air(change: dict[str, bool]) -> None:
    ann = Participant(UserId("ann"), "Ann", 2, USER, 1.0, microphone=True)
    mine = talking(replace(ann, **change))
    mine.sample(100.0, statistics=False)
    state = mine.state.value
    assert (state.speaking, state.dominant, state.levels) == (frozenset(), None, {})


async def test_how_good_lines_are_is_in_the_state_with_the_reason() -> None:
    mine = talking(Participant(UserId("ann"), "Ann", 2, USER, 1.0, microphone=True))
    mine.receive(PersonQuality(CID, UserId("ann"), Quality.POOR, sent_lost=0.3))
    state = mine.state.value
    assert state.quality == {"ann": Quality.POOR}
    assert quality_words(state, UserId("ann")) == (
        "poor: 30 % of what Ann sends is lost on the way to the server"
    )
