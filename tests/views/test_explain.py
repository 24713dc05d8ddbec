"""Answers to "why is it silent?": from what happened and from the plan, with times."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.engine.folding import with_events
from greenroom.policies.multicall import begun, joined, plan, suspended
from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Accepted, Actor
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import (
    DenyHand,
    End,
    GetOrCreate,
    GoLive,
    Grant,
    Join,
    Kick,
    Leave,
    Mute,
    RaiseHand,
    Request,
    Revoke,
    SetMicrophone,
    SetSuspended,
)
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.engine import ClientState
from greenroom.state.focus import Focus, MultiCallPolicy
from greenroom.state.microphone import effective_hearing, effective_microphone
from greenroom.views.explain import explain, lately, mentioned

TALK, SUPPORT = Cid("audio_room:talk"), Cid("support:7")
HANA, ANN, BO = (Actor(UserId(name), name.title()) for name in ("hana", "ann", "bo"))
SPEAK = frozenset({Capability.SEND_AUDIO})
Did = tuple[Actor, Request]
OPENING: list[Did] = [
    (HANA, GetOrCreate(title="Evening talk")),
    (HANA, Join()),
    (HANA, GoLive()),
    (ANN, Join()),
    (BO, Join()),
    (HANA, Grant(BO.user, SPEAK)),
    (BO, SetMicrophone(True)),
]


def clock(at: float) -> str:
    return f"12:00:{int(at):02}"


def call_of(me: Actor, *steps: Did) -> CallState:
    """Return the call as `me` sees it after steps a second apart; the opening takes seven seconds."""
    call = CallState(TALK, me.user, CallPhase.JOINED, media=MediaPhase.CONNECTED)
    for at, (who, request) in enumerate([*OPENING, *steps]):
        decision = decide(call.room, TALK, who, request, float(at))
        assert isinstance(decision, Accepted), decision
        call, _ = with_events(call, call.room, decision.events, float(at))
        call = replace(call, room=fold(call.room, decision.events))
    return call


def client_of(call: CallState, focus: Focus | None = None, *, wish: bool = False) -> ClientState:
    """Return a client in that call, whose sound is as `focus` says."""
    focus = focus or joined(begun(Focus(several=True), TALK, 0.0), TALK)
    share = plan(focus).shares[TALK]
    microphone = effective_microphone(
        wish, call.room, call.me, phase=call.phase, media=call.media, share=share
    )
    hearing = effective_hearing(share, phase=call.phase, media=call.media)
    call = replace(call, share=share, suspended=share.suspended, microphone=microphone, hearing=hearing)
    return ClientState(call.me, call.me.title(), calls={TALK: call}, focus=focus)


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        pytest.param([(HANA, Mute(BO.user))], "Bo is silent: muted by Hana since 12:00:07", id="muted"),
        pytest.param(
            [(BO, SetMicrophone(False))],
            "Bo is silent: the microphone is switched off since 12:00:07",
            id="switched off",
        ),
        pytest.param(
            [(BO, SetSuspended(True))], "Bo is silent: in another call since 12:00:07", id="suspended"
        ),
        pytest.param(
            [(HANA, Revoke(BO.user, SPEAK))],
            "Bo is silent: Hana took them off the stage at 12:00:07",
            id="off the stage",
        ),
        pytest.param(
            [(HANA, Revoke(BO.user, SPEAK)), (HANA, Grant(BO.user, SPEAK)), (BO, Leave())],
            "Bo is silent: left at 12:00:09",
            id="left",
        ),
        pytest.param(
            [(HANA, Kick(BO.user))], "Bo is silent: was sent out at 12:00:07 by Hana", id="sent out"
        ),
        pytest.param([(HANA, End())], "Bo is silent: the room ended at 12:00:07", id="the room is over"),
    ],
)
def test_why_somebody_is_silent(steps: list[Did], answer: str) -> None:
    assert explain(client_of(call_of(ANN, *steps)), TALK, "Why is Bo silent?", clock) == answer


def test_why_somebody_in_the_audience_is_silent() -> None:
    def ask(*steps: Did) -> str:
        return explain(client_of(call_of(BO, *steps)), TALK, "why can't I hear ann", clock)

    assert ask() == "Ann is silent: in the audience, without permission to speak"
    assert ask((ANN, RaiseHand())).endswith("in the audience, with a hand up: number 1 in the queue")
    assert ask((ANN, RaiseHand()), (HANA, DenyHand(ANN.user))).endswith(
        "the hand was turned down at 12:00:08"
    )


def test_somebody_who_is_heard_is_not_silent_and_an_open_microphone_may_have_nothing_to_say() -> None:
    call = call_of(ANN)
    assert explain(client_of(replace(call, levels={BO.user: -23.4})), TALK, "is bo silent?", clock) == (
        "Bo is not silent: -23 dBFS now"
    )
    assert "nothing comes from it now" in explain(client_of(call), TALK, "why is bo silent?", clock)


def test_what_lies_with_us_is_said_too() -> None:
    focus = joined(begun(begun(Focus(several=True), TALK, 0.0), SUPPORT, 10.0), SUPPORT)
    told = explain(client_of(call_of(ANN), focus), TALK, "why is bo silent?", clock)
    assert told == (
        "you do not hear Bo: this call is suspended since 12:00:10 because call support:7 became active "
        "under suspend_existing"
    )
    both = explain(client_of(call_of(ANN, (HANA, Mute(BO.user))), focus), TALK, "why is bo silent?", clock)
    assert both.startswith(
        "Bo is silent: muted by Hana since 12:00:07. You would not hear Bo either: this call"
    )
    turned = replace(call_of(ANN), volumes={BO.user: 0.0})
    assert explain(client_of(turned), TALK, "why is bo silent?", clock) == (
        "you do not hear Bo: you have turned Bo down to nothing"
    )


def test_a_call_says_what_it_has_and_why() -> None:
    call, alone = call_of(BO), None
    assert explain(client_of(call, alone, wish=True), TALK, "", clock) == (
        "You hear audio_room:talk at full volume. Your microphone is open."
    )
    focus = joined(begun(begun(Focus(several=True), TALK, 0.0), SUPPORT, 10.0), SUPPORT)
    assert explain(client_of(call, focus, wish=True), TALK, "", clock) == (
        "You hear nothing of audio_room:talk, and nobody there hears you: suspended since 12:00:10 because call "
        "support:7 became active under suspend_existing."
    )
    by_hand = suspended(Focus(several=True), TALK, 0.0)
    by_hand = suspended(begun(by_hand, TALK, 0.0), TALK, 11.0)
    assert "suspended by you, since 12:00:11" in explain(client_of(call, by_hand), TALK, "", clock)
    ducked = begun(begun(Focus(several=True, policy=MultiCallPolicy.DUCK), TALK, 0.0), SUPPORT, 10.0)
    words = explain(client_of(call, ducked, wish=True), TALK, "", clock)
    assert "12 dB softer, as call support:7 has the microphone (duck)" in words
    assert "Your microphone is closed: call support:7 has the microphone (duck), since 12:00:10." in words


@pytest.mark.parametrize("question", ["Why does nobody hear me?", "does anyone hear me", "why am I silent"])
def test_why_nobody_hears_me(question: str) -> None:
    call = call_of(BO, (HANA, Mute(BO.user)))
    assert explain(client_of(call), TALK, question, clock) == (
        "Your microphone is closed: muted by Hana since 12:00:07."
    )


def test_who_has_the_microphone_and_why_i_hear_nothing() -> None:
    client = client_of(call_of(BO), wish=True)
    assert explain(client, TALK, "who has the microphone?", clock).startswith(
        "microphone open in Evening talk"
    )
    assert (
        explain(client, TALK, "why do I hear nothing?", clock) == "You hear audio_room:talk at full volume."
    )
    assert explain(client, None, "", clock).count("\n") == 1


def test_what_is_not_understood_is_answered_with_what_can_be_asked() -> None:
    assert "“why is bo silent?”" in explain(client_of(call_of(BO)), TALK, "how is the weather", clock)
    assert explain(client_of(call_of(BO)), SUPPORT, "", clock) == "you are not in support:7"
    assert explain(ClientState(), None, "", clock) == "you are in no call"


def test_who_is_not_here_is_said_to_be_nobody() -> None:
    here = client_of(call_of(BO))
    assert explain(here, TALK, "Why is Zoe silent?", clock) == (
        "nobody here is called 'zoe', and nobody who was here lately"
    )
    assert "nobody here" not in explain(here, TALK, "why is everybody silent?", clock)
    assert "nobody here" not in explain(here, TALK, "why is my microphone muted?", clock)


def test_what_happened_is_told_in_order_and_without_an_audience_that_comes_and_goes() -> None:
    call = call_of(ANN, (HANA, Mute(BO.user)), (ANN, RaiseHand()), (BO, SetMicrophone(True)))
    assert lately(call, clock).splitlines() == [
        "12:00:01  Hana came in",
        "12:00:02  Hana went live",
        "12:00:05  Bo may speak",
        "12:00:06  Bo opened the microphone",
        "12:00:07  Hana muted Bo",
        "12:00:09  Bo opened the microphone",
    ]


def test_a_name_is_found_whole_and_the_longest_first() -> None:
    call = call_of(ANN)
    assert mentioned(call, "why is bo silent") == BO.user
    assert mentioned(call, "the robot is silent") is None
    assert mentioned(call, "is it me?") is None
