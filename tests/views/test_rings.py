"""Calls as rows and words, and what a client makes of what it is told, in whichever order it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ring_steps import (
    Accepted,
    Action,
    Callee,
    Cancelled,
    Elapsed,
    More,
    Present,
    Rejected,
    begin,
    step,
)
from greenroom.protocol.ringing import EndReason, MissedCall, Ring, RingAnswer, RingId
from greenroom.protocol.wire import MissedCalls, RingChanged, Rings, RoomPreview
from greenroom.state.engine import ClientState, ConnectionPhase
from greenroom.state.rings import FORGOTTEN, RingsState, incoming, outgoing, received, seen
from greenroom.views.actions import ACTIONS
from greenroom.views.ring_actions import RING_ACTIONS, RING_ACTIONS_BY_ID, RingChoice
from greenroom.views.rings import (
    end_words,
    incoming_rows,
    missed_count_words,
    missed_rows,
    outgoing_rows,
    ring_words,
)
from greenroom.views.rooms import room_rows

ANN, BO, CY = UserId("ann"), UserId("bo"), UserId("cy")
HERE = Cid("default:x")


def ring(*people: UserId, title: str = "", reached: bool = True, id_: str = "r") -> Ring:
    callees = [Callee(user, user.title(), reached) for user in people or (BO,)]
    return begin(
        RingId(id_), HERE, ANN, "Ann", callees, 0.0, incoming_seconds=30.0, waiting_seconds=45.0, title=title
    )


def after(before: Ring, *actions: Action, now: float = 1.0) -> Ring:
    for action in actions:
        changed = step(before, action, now)
        assert isinstance(changed, Ring)
        before = changed
    return before


def client(me: UserId, *rings: Ring) -> ClientState:
    state = RingsState()
    for one in rings:
        state = received(state, RingChanged(one), me, 0.0)
    return ClientState(user=me, connection=ConnectionPhase.ONLINE, rings=state)


TOGETHER = (Accepted(BO), Present(frozenset({ANN, BO})))


def test_who_is_rung_sees_who_calls_what_for_with_whom_and_for_how_long() -> None:
    (row,) = incoming_rows(client(BO, ring(BO, CY, title="Plan")), 10.0)
    assert (row.words, row.others, row.waits) == ("Ann calls you: Plan", "with Cy", "20 s")
    called_in = after(ring(), *TOGETHER, More(BO, "Bo", (Callee(CY, "Cy", True),)))
    (row,) = incoming_rows(client(CY, called_in), 1.0)
    assert (row.caller, row.words) == ("Bo", "Bo calls you into a call")


@pytest.mark.parametrize(
    ("title", "shown"), [("x", "call with Ann and Cy"), ("Plan", "Plan")], ids=["made for the call", "titled"]
)
def test_the_lobby_calls_a_room_made_for_a_call_by_its_people(title: str, shown: str) -> None:
    room = RoomPreview(HERE, title, True, 0.0, 0.0, None, None, ANN, 1, 0)
    (row,) = room_rows(replace(client(BO, ring(BO, CY)), rooms=(room,)), 1.0)
    assert row.title == shown


def test_who_calls_sees_what_each_one_does() -> None:
    call = after(ring(BO, CY), Rejected(CY, reason="in a meeting"))
    (row,) = outgoing_rows(client(ANN, call), 10.0)
    assert row.words == "calling Bo…"
    assert row.people == ("Bo: rings", "Cy: declined (in a meeting)")
    assert row.waits == "20 s"
    (row,) = outgoing_rows(client(ANN, ring(reached=False)), 10.0)
    assert row.people == ("Bo: is not connected; rings as soon as they are",)


@pytest.mark.parametrize(
    ("call", "caller", "callee"),
    [
        (after(ring(), Rejected(BO)), "Bo declined", "you declined"),
        (after(ring(), Rejected(BO, reason="later")), "Bo declined: later", "you declined: later"),
        (after(ring(), Rejected(BO, busy=True)), "Bo is busy", "you are busy"),
        (after(ring(), Cancelled(ANN)), "you hung up", "Ann hung up"),
        (after(ring(), Elapsed(), now=30.0), "Bo did not answer", "you missed the call from Ann"),
        (
            after(ring(reached=False), Elapsed(), now=45.0),
            "Bo is not connected",
            "you missed the call from Ann",
        ),
        (
            after(after(ring(), *TOGETHER), Present(frozenset({ANN})), now=66.0),
            "the call ended after 1 min",
            "the call ended after 1 min",
        ),
    ],
)
def test_both_are_told_how_it_ended_each_from_their_side(call: Ring, caller: str, callee: str) -> None:
    assert (end_words(call, ANN), end_words(call, BO)) == (caller, callee)
    assert call.over


def test_a_change_is_told_to_those_it_means_something_to_once() -> None:
    before = ring(BO, CY)
    changed = after(before, Accepted(BO))
    assert ring_words(before, changed, client(ANN, changed)) == "Bo accepted the call"
    assert ring_words(before, changed, client(CY, changed)) is None
    assert (
        ring_words(before, changed, client(BO, changed)) == "the call from Ann was answered on another device"
    )
    assert ring_words(changed, changed, client(ANN, changed)) is None
    over = after(changed, Cancelled(ANN))
    assert ring_words(changed, over, client(CY, over)) == "Ann hung up"
    assert ring_words(over, over, client(CY, over)) is None


def test_missed_calls_are_counted_until_they_are_looked_at() -> None:
    missed = after(ring(), Elapsed(), now=30.0)
    state = client(BO, ring(), missed)
    state = replace(
        state,
        rings=received(
            state.rings,
            MissedCalls((MissedCall(RingId("q"), HERE, CY, "Cy", 5.0),)),
            BO,
            0.0,
        ),
    )
    assert [row.words for row in missed_rows(state, 90.0)] == ["missed call from Cy", "missed call from Ann"]
    assert missed_count_words(state) == "2 missed calls"
    assert missed_count_words(replace(state, rings=seen(state.rings))) == ""


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=5))
def test_in_whichever_order_and_however_often_a_ring_is_told_the_newest_counts(
    order: list[int], again: list[int]
) -> None:
    versions = [ring(BO, CY)]
    for action in (Rejected(CY), Accepted(BO), Present(frozenset({ANN, BO})), Cancelled(ANN)):
        versions.append(after(versions[-1], action))
    state = RingsState()
    for place in (*order, *again):
        state = received(state, RingChanged(versions[place]), BO, 0.0)
    assert state.rings == {}
    assert [one.outcome for one in state.over] == [EndReason.ENDED]
    assert incoming(state, BO) == outgoing(state, ANN) == ()


def test_what_the_server_no_longer_knows_is_over_and_what_it_knows_counts() -> None:
    state = received(RingsState(), RingChanged(ring()), BO, 0.0)
    state = received(state, Rings(()), BO, 9.0)
    (over,) = state.over
    assert (over.outcome, over.reason, over.rung[0].answer) == (
        EndReason.FAILED,
        FORGOTTEN,
        RingAnswer.CANCELLED,
    )
    assert [call.by for call in state.missed] == [ANN]
    back = received(
        state, Rings((ring(),)), BO, 10.0
    )  # we believed it over while we could not hear the server
    assert [one.id for one in incoming(back, BO)] == ["r"]
    assert back.over == ()


def test_keys_for_calls_are_free_in_rooms_and_say_what_they_do() -> None:
    keys = [*(action.key for action in ACTIONS), *(action.key for action in RING_ACTIONS)]
    assert len(keys) == len(set(keys))
    assert all(len(action.key) == 1 and action.label and action.help for action in RING_ACTIONS)


def test_a_call_is_answered_and_hung_up_where_that_is_possible() -> None:
    rung, caller = client(BO, ring()), client(ANN, ring())
    can = {action.id for action in RING_ACTIONS if action.available(rung)}
    assert can == {"call", "answer", "reject", "busy"}
    assert {action.id for action in RING_ACTIONS if action.available(caller)} == {"call", "hang_up"}
    answer, hang_up, call = (RING_ACTIONS_BY_ID[id_] for id_ in ("answer", "hang_up", "call"))
    assert answer.about(rung, RingChoice()) == HERE
    assert answer.about(rung, RingChoice(cid=Cid("default:other"))) is None
    assert hang_up.about(caller, RingChoice()) == HERE
    assert hang_up.about(rung, RingChoice()) is None
    assert call.build(RingChoice()) is None
    assert call.build(RingChoice(people=(UserId("not a name"),))) is None
    assert call.build(RingChoice(people=(BO,))) is not None
