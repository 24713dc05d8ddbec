"""When a session ends by itself, looked at with a clock of the test's own."""

from __future__ import annotations

from msgspec.structs import replace

from greenroom.engine.session import SessionLife
from greenroom.engine.sessions import Sessions
from greenroom.errors import Refused
from greenroom.policies.preferences import CallPreferences, Preferences
from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.ids import USER, Cid, UserId
from greenroom.protocol.room import Counts, Participant, new_room
from greenroom.state.call import CallPhase, CallState
from greenroom.state.call_settings import AudioMode, CallSettings, IdleTimeout, IdleWhen
from greenroom.state.devices import Device, DevicePhase, DevicesState, Direction, Line
from greenroom.state.idle import IdlePhase
from greenroom.state.session_events import (
    AudioModesChanged,
    CallEnded,
    SessionError,
    SessionEvent,
    SessionTimedOut,
)

CID, ME = Cid("audio_room:room"), UserId("me")
ROOM = replace(
    new_room(CID, AUDIO_ROOM, "Room", ME, 0.0), participants={ME: Participant(ME, "Me", 1, USER, 0.0)}
)
STATE = CallState(CID, ME, CallPhase.JOINED, ROOM)


class Life:
    """A session, what it told, and why it ended."""

    def __init__(self, settings: CallSettings | None = None, preferences: Preferences | None = None) -> None:
        self.told: list[SessionEvent] = []
        self.over: list[str] = []
        self.life = SessionLife(
            CID,
            settings=settings or CallSettings(),
            preferences=preferences,
            tell=self.told.extend,
            over=self.over.append,
        )

    def look(self, state: CallState, now: float) -> CallState:
        """Look as the engine does a few times a second."""
        state = self.life.looked(state, now)
        self.life.check(state, now)
        return state


def test_silence_ends_a_session_once_and_what_i_do_keeps_it() -> None:
    mine = Life(CallSettings(idle_timeout=IdleTimeout(10.0, 5.0)))
    state = STATE
    for second in range(9):
        state = mine.look(state, float(second))
    mine.life.acted()
    for second in range(9, 40):
        state = mine.look(state, float(second))
    assert state.idle.phase is IdlePhase.EXPIRED
    assert mine.over == ["nothing happened for 15 s"]
    assert [event.at for event in mine.told if isinstance(event, SessionTimedOut)] == [25.0]


def test_somebody_who_speaks_keeps_a_session_and_listeners_who_are_only_counted_are_company() -> None:
    inactive = Life(CallSettings(idle_timeout=IdleTimeout(1.0, 1.0)))
    speaking = replace(STATE, speaking=frozenset({UserId("bo")}))
    alone = Life(CallSettings(idle_timeout=IdleTimeout(1.0, 1.0, IdleWhen.ALONE)))
    crowd = replace(STATE, room=replace(ROOM, counts=Counts(participants=300)))
    for second in range(10):
        speaking = inactive.look(speaking, float(second))
        crowd = alone.look(crowd, float(second))
    assert inactive.over == alone.over == []


def test_a_call_is_left_when_the_server_stays_away_and_only_then() -> None:
    patient, forever = Life(preferences=Preferences(reconnect_timeout_seconds=20.0)), Life()
    lost = replace(STATE, phase=CallPhase.RECONNECTING)
    for at, state in ((0.0, lost), (19.0, lost), (20.0, STATE), (21.0, lost), (40.0, lost)):
        patient.look(state, at)
        forever.look(state, at)
    assert patient.over == []
    patient.look(lost, 41.0)
    patient.look(lost, 42.0)
    forever.look(lost, 1e6)
    assert patient.over == ["the server was not reached again within 20 s"]
    assert forever.over == []


def test_the_end_of_a_room_is_told_once_however_it_is_learnt() -> None:
    mine = Life()
    mine.life.ended(CallEnded(CID, 1.0, ME))
    mine.life.ended(CallEnded(CID, 2.0, ME))
    assert mine.told == [CallEnded(CID, 1.0, ME)]


def test_other_places_to_listen_are_told_to_every_call_and_the_same_ones_are_not() -> None:
    told: list[SessionEvent] = []
    sessions = Sessions(CallPreferences(), lambda cid: True, lambda words, cid: None)
    sessions.listeners.add("test", told.append)
    speaker = Device("a", 0, "Built-in Audio", outputs=2)
    headset = Device("b", 1, "USB Headset", outputs=2)
    playing = Line(Direction.OUTPUT, phase=DevicePhase.RUNNING, device="Built-in Audio")
    before = DevicesState(available=(speaker,), speaker=playing)
    after = DevicesState(available=(speaker, headset), speaker=playing)
    sessions.devices_changed(before, after, [CID])
    sessions.devices_changed(after, replace(after, backend="another"), [CID])
    assert [
        (event.cid, event.modes, event.selected) for event in told if isinstance(event, AudioModesChanged)
    ] == [(CID, (AudioMode.SPEAKER, AudioMode.HEADPHONES), AudioMode.SPEAKER)]


def test_what_was_refused_is_told_with_its_reason() -> None:
    mine = Life()
    mine.life.failed(Refused("no video here", reason="not_available"), 1.0)
    assert mine.told == [SessionError(CID, 1.0, "not_available", "no video here")]
