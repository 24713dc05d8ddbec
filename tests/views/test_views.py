"""Rows and words: what every face shows of a state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Accepted, Actor
from greenroom.protocol.events import HandLowered, MicrophoneChanged
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.placing import Placing, place
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import (
    BlockUser,
    GetOrCreate,
    GoLive,
    Grant,
    InviteToStage,
    Join,
    Mute,
    RaiseHand,
    Request,
    SetMicrophone,
    StartRing,
)
from greenroom.protocol.room import HandOutcome, Room
from greenroom.protocol.wire import RoomPreview
from greenroom.state.call import CallPhase, CallState, MediaPhase, Microphone
from greenroom.state.engine import ClientState, ConnectionPhase
from greenroom.state.microphone import effective_microphone
from greenroom.state.statistics import CallStatistics
from greenroom.views.actions import ACTIONS, BY_ID, Chosen, available_actions, label_of
from greenroom.views.hands import audience_words, hand_rows, listener_rows
from greenroom.views.log import event_words, notice_words
from greenroom.views.rooms import room_rows
from greenroom.views.stage import meter, stage_rows
from greenroom.views.status import microphone_words, statistics_line, status_words
from greenroom.views.words import connection_words, duration, enumerate_names

CID = Cid("audio_room:standup")
HANA, ANN, BO = (Actor(UserId(name), name.title()) for name in ("hana", "ann", "bo"))
SPEAK = frozenset({Capability.SEND_AUDIO})


def room_after(*steps: tuple[Actor, Request]) -> Room:
    room: Room | None = None
    opening: list[tuple[Actor, Request]] = [
        (HANA, GetOrCreate(title="Stand-up")),
        (HANA, Join()),
        (HANA, GoLive()),
    ]
    for moment, (who, request) in enumerate([*opening, (ANN, Join()), (BO, Join()), *steps]):
        decision = decide(room, CID, who, request, float(moment))
        assert isinstance(decision, Accepted), decision
        room = fold(room, decision.events)
    assert room is not None
    return room


def call_of(who: Actor, *steps: tuple[Actor, Request]) -> CallState:
    return CallState(CID, who.user, CallPhase.JOINED, room_after(*steps), media=MediaPhase.CONNECTED)


def test_the_stage_shows_who_may_speak_and_why_a_microphone_is_closed() -> None:
    call = call_of(HANA, (HANA, Grant(ANN.user, SPEAK)), (ANN, SetMicrophone(True)), (HANA, Mute(ANN.user)))
    rows = {row.name: row for row in stage_rows(call)}
    assert set(rows) == {"Hana", "Ann"}
    assert (rows["Ann"].microphone, rows["Ann"].why) == ("muted", "muted by Hana")


def test_somebody_speaking_is_marked_and_has_a_level() -> None:
    call = call_of(HANA, (HANA, Grant(ANN.user, SPEAK)), (ANN, SetMicrophone(True)))
    call = replace(call, speaking=frozenset({ANN.user}), levels={ANN.user: -30.0}, dominant=ANN.user)
    row = next(row for row in stage_rows(call) if row.user == ANN.user)
    assert (row.speaking, row.dominant, row.meter) == (True, True, 0.5)


@pytest.mark.parametrize(
    ("level", "filled"), [(-96.0, 0.0), (-60.0, 0.0), (-30.0, 0.5), (0.0, 1.0), (6.0, 1.0)]
)
def test_a_meter_goes_from_minus_sixty_to_full_scale(level: float, filled: float) -> None:
    assert meter(level) == filled


def test_hands_have_a_place_and_a_waiting_time() -> None:
    call = call_of(ANN, (BO, RaiseHand()), (ANN, RaiseHand()))
    rows = hand_rows(call, now=5.0 + 65.0)
    assert [(row.position, row.name, row.waiting, row.me) for row in rows] == [
        (1, "Bo", "1 min", False),
        (2, "Ann", "1 min", True),
    ]
    assert microphone_words(call) == "hand up, place 2"


def test_the_audience_is_named_and_counted() -> None:
    call = call_of(ANN, (HANA, InviteToStage(BO.user)))
    assert [row.name for row in listener_rows(call)] == ["Ann", "Bo"]
    assert [row.invited for row in listener_rows(call)] == [False, True]
    room = call.room
    assert room is not None
    crowd = replace(call, room=replace(room, counts=replace(room.counts, participants=103)))
    assert audience_words(crowd) == "102 listeners, 100 not by name"


def test_the_lobby_puts_live_rooms_first() -> None:
    quiet = RoomPreview(Cid("audio_room:a"), "A", False, None, 0.0, None, None, HANA.user, 9, 0)
    live = RoomPreview(Cid("audio_room:b"), "B", True, 40.0, 0.0, None, None, HANA.user, 2, 1, ("Ann", "Bo"))
    rows = room_rows(ClientState(rooms=(quiet, live)), now=100.0)
    assert [(row.title, row.status, row.since) for row in rows] == [
        ("B", "live", "1 min"),
        ("A", "backstage", ""),
    ]
    assert (rows[0].people, rows[0].stage, rows[0].hands) == ("2 people", "Ann and Bo", "1 hand")


def test_every_action_has_a_key_of_its_own_a_label_and_help() -> None:
    keys = [action.key for action in ACTIONS]
    assert len(set(keys)) == len(keys)
    assert all(len(action.key) == 1 and action.label and action.help for action in ACTIONS)


def test_a_listener_can_raise_a_hand_and_a_host_can_answer_it() -> None:
    step: tuple[Actor, Request] = (ANN, RaiseHand())
    listener, host = call_of(BO, step), call_of(HANA, step)
    assert {"hand", "leave", "message", "react"} <= {action.id for action in available_actions(listener)}
    assert "next" not in {action.id for action in available_actions(listener)}
    assert {"grant", "deny", "next"} <= {action.id for action in available_actions(host, ANN.user)}


def test_an_action_makes_the_request_the_room_accepts() -> None:
    host = call_of(HANA, (ANN, RaiseHand()), (HANA, BlockUser(UserId("mallory"))))
    for action in available_actions(host, ANN.user):
        request = action.build(host, Chosen(user=ANN.user, text="words"))
        if not isinstance(request, Request) or action.id in ("unblock", "call_in"):
            continue
        assert not isinstance(decide(host.room, CID, HANA, request, 50.0), Refusal), action.id

    call_in = BY_ID["call_in"].build(host, Chosen(user=UserId("zoe")))
    assert isinstance(call_in, StartRing)
    assert isinstance(place(host.room, CID, HANA, call_in, None, 50.0), Placing)


def test_a_switch_is_named_after_what_it_would_do() -> None:
    call = call_of(HANA)
    assert label_of(BY_ID["microphone"], call) == "Open microphone"
    open_ = replace(call, microphone=Microphone(wish=True, open=True))
    assert label_of(BY_ID["microphone"], open_) == "Close microphone"


def test_what_concerns_me_is_told_to_me() -> None:
    room = room_after((ANN, RaiseHand()))
    assert notice_words(MicrophoneChanged(ANN.user, False, HANA.user), room, ANN.user) == (
        "Hana muted you",
        "warning",
    )
    assert notice_words(MicrophoneChanged(ANN.user, False, HANA.user), room, BO.user) is None
    denied = HandLowered(ANN.user, HandOutcome.DENIED, HANA.user)
    assert notice_words(denied, room, ANN.user) == ("Hana turned your hand down for now", "warning")
    assert event_words(denied, room) == "Ann was turned down"


@pytest.mark.parametrize(
    ("wish", "steps", "media", "opens", "reason"),
    [
        pytest.param(False, [], MediaPhase.CONNECTED, False, "switched off", id="no wish"),
        pytest.param(True, [], MediaPhase.CONNECTED, False, "send-audio", id="no permission"),
        pytest.param(
            True, [(HANA, Grant(ANN.user, SPEAK))], MediaPhase.CONNECTED, False, "room", id="not told"
        ),
        pytest.param(
            True,
            [(HANA, Grant(ANN.user, SPEAK)), (ANN, SetMicrophone(True))],
            MediaPhase.LOST,
            False,
            "sound",
            id="no sound",
        ),
        pytest.param(
            True,
            [(HANA, Grant(ANN.user, SPEAK)), (ANN, SetMicrophone(True))],
            MediaPhase.CONNECTED,
            True,
            "open",
            id="open",
        ),
    ],
)
def test_a_microphone_is_open_when_everything_agrees_and_else_says_what_does_not(
    wish: bool, steps: list[tuple[Actor, Request]], media: MediaPhase, opens: bool, reason: str
) -> None:
    computed = effective_microphone(wish, room_after(*steps), ANN.user, phase=CallPhase.JOINED, media=media)
    assert computed.open is opens
    assert reason in computed.reason


def test_status_and_numbers_fit_a_line() -> None:
    call = call_of(HANA)
    assert status_words(call, now=62.0) == "live for 1 min · 3 people"
    numbers = CallStatistics(
        at=1.0, packets_received=90, packets_lost=10, frames_played=100, frames_concealed=9
    )
    assert "lost 10%" in statistics_line(replace(call, statistics=numbers))
    assert "concealed 9.0%" in statistics_line(replace(call, statistics=numbers))


def test_a_line_of_numbers_has_units_and_fits_a_terminal() -> None:
    numbers = CallStatistics(
        at=1.0,
        received_kbps=1234.0,
        sent_kbps=128.0,
        packets_received=9,
        packets_lost=991,
        frames_played=100,
        frames_concealed=50,
        jitter_ms=123.0,
        buffer_ms=1000.0,
        rtt_ms=999.0,
    )
    line = statistics_line(replace(call_of(ANN), statistics=numbers))
    assert line.endswith("jitter/buffer/rtt 123/1000/999 ms")
    assert len(line) <= 79
    assert statistics_line(replace(call_of(ANN), statistics=replace(numbers, rtt_ms=None))).endswith(
        "jitter/buffer 123/1000 ms"
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "now"), (12, "12 s"), (200, "3 min"), (3900, "1 h 05 min"), (200_000, "2 d")]
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_names_are_enumerated_and_the_rest_counted() -> None:
    assert enumerate_names([]) == ""
    assert enumerate_names(["Ann", "Bo"]) == "Ann and Bo"
    assert enumerate_names(["Ann", "Bo", "Cy", "Di"]) == "Ann, Bo, Cy and 1 more"


def test_a_lost_connection_counts_down() -> None:
    client = ClientState(connection=ConnectionPhase.RECONNECTING, reconnect_attempt=3, retry_at=104.0)
    assert connection_words(client, now=100.0) == "connection lost; attempt 3 in 4 s"
