"""A ring from its first sound to its end: every answer, every wait, and nothing that rings for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.ring_steps import (
    Accepted,
    Action,
    Callee,
    CallerLost,
    Cancelled,
    Elapsed,
    More,
    Present,
    Reached,
    Rejected,
    RoomOver,
    begin,
    due,
    step,
)
from greenroom.protocol.ringing import (
    JOIN_SECONDS,
    NEXT_ANSWERS,
    NEXT_PHASES,
    EndReason,
    Ring,
    RingAnswer,
    RingId,
    RingPhase,
)

ANN, BO, CY, DI, EVE = (UserId(name) for name in ("ann", "bo", "cy", "di", "eve"))
R, A = RingPhase, RingAnswer


def ring(*people: UserId, reached: bool = True, **options: bool | float) -> Ring:
    """A ring by Ann at 0 s: 30 s to answer, 45 s to wait."""
    callees = [Callee(user, user.title(), reached) for user in people or (BO,)]
    times = {"incoming_seconds": 30.0, "waiting_seconds": 45.0, **options}
    return begin(RingId("r"), Cid("default:x"), ANN, "Ann", callees, 0.0, **times)  # type: ignore[arg-type]


def after(before: Ring, *actions: Action | tuple[float, Action]) -> Ring:
    """The ring after actions, none of them refused; those without a time happen at 1 s."""
    for action in actions:
        now, one = action if isinstance(action, tuple) else (1.0, action)
        changed = step(before, one, now)
        assert isinstance(changed, Ring), changed
        before = changed
    return before


def here(*users: UserId) -> Present:
    return Present(frozenset(users))


def answers(value: Ring) -> list[RingAnswer]:
    return [rung.answer for rung in value.rung]


def refused(before: Ring, action: Action, now: float = 1.0) -> Reason:
    refusal = step(before, action, now)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.message
    return refusal.reason


CONNECTED = (Accepted(BO), here(ANN, BO))


@pytest.mark.parametrize(
    ("people", "actions", "phase", "outcome"),
    [
        pytest.param((BO,), [], R.RINGING, None, id="it rings"),
        pytest.param((BO,), [Accepted(BO)], R.RINGING, None, id="who said yes is awaited"),
        pytest.param((BO,), [Accepted(BO), here(BO)], R.RINGING, None, id="one alone is not connected"),
        pytest.param((BO,), [*CONNECTED], R.CONNECTED, None, id="two together are connected"),
        pytest.param((BO,), [*CONNECTED, here(ANN)], R.ENDED, EndReason.ENDED, id="alone again: over"),
        pytest.param((BO,), [*CONNECTED, here(BO)], R.ENDED, EndReason.ENDED, id="the caller left: over"),
        pytest.param(
            (BO,), [*CONNECTED, Cancelled(ANN)], R.ENDED, EndReason.ENDED, id="the caller hangs up for all"
        ),
        pytest.param((BO,), [Rejected(BO)], R.ENDED, EndReason.DECLINED, id="the only one declines"),
        pytest.param((BO,), [Rejected(BO, busy=True)], R.ENDED, EndReason.BUSY, id="the only one is busy"),
        pytest.param((BO,), [Cancelled(ANN)], R.ENDED, EndReason.CANCELLED, id="the caller hangs up"),
        pytest.param(
            (BO,), [Accepted(BO), Cancelled(ANN)], R.ENDED, EndReason.CANCELLED, id="hung up after a yes"
        ),
        pytest.param(
            (BO,), [Accepted(BO), Rejected(BO)], R.ENDED, EndReason.DECLINED, id="thought better of it"
        ),
        pytest.param((BO,), [(29.9, Elapsed())], R.RINGING, None, id="not missed before its time"),
        pytest.param((BO,), [(30.0, Elapsed())], R.ENDED, EndReason.MISSED, id="missed"),
        pytest.param(
            (BO,), [Accepted(BO), (31.0, Elapsed())], R.ENDED, EndReason.FAILED, id="said yes and never came"
        ),
        pytest.param(
            (BO,), [Accepted(BO), here(BO), here()], R.ENDED, EndReason.FAILED, id="came and left alone"
        ),
        pytest.param((BO,), [here(ANN), here()], R.ENDED, EndReason.CANCELLED, id="waited inside and went"),
        pytest.param((BO,), [CallerLost()], R.ENDED, EndReason.FAILED, id="the caller's network died"),
        pytest.param((BO,), [*CONNECTED, CallerLost()], R.CONNECTED, None, id="the room says who is there"),
        pytest.param((BO,), [RoomOver(ANN)], R.ENDED, EndReason.CANCELLED, id="the caller ended the room"),
        pytest.param((BO,), [RoomOver()], R.ENDED, EndReason.FAILED, id="the server ended the room"),
        pytest.param((BO,), [*CONNECTED, RoomOver(BO)], R.ENDED, EndReason.ENDED, id="the room ended"),
        pytest.param((BO,), [here(ANN, BO)], R.CONNECTED, None, id="coming in is an answer too"),
        pytest.param((BO, CY), [Rejected(BO)], R.RINGING, None, id="another may still answer"),
        pytest.param(
            (BO, CY), [Rejected(BO), Rejected(CY, busy=True)], R.ENDED, EndReason.DECLINED, id="all said no"
        ),
        pytest.param(
            (BO, CY), [Rejected(BO), (30.0, Elapsed())], R.ENDED, EndReason.MISSED, id="one no, one missed"
        ),
        pytest.param((BO, CY), [*CONNECTED, here(ANN)], R.CONNECTED, None, id="one is still rung"),
        pytest.param(
            (BO, CY), [*CONNECTED, here(ANN), Rejected(CY)], R.ENDED, EndReason.ENDED, id="none is left"
        ),
        pytest.param(
            (BO, CY),
            [*CONNECTED, Accepted(CY), here(BO, CY)],
            R.CONNECTED,
            None,
            id="a group goes on without its caller",
        ),
        pytest.param((BO, CY), [*CONNECTED, here()], R.ENDED, EndReason.ENDED, id="nobody rings into a void"),
    ],
)
def test_a_call_becomes_what_people_do(
    people: tuple[UserId, ...],
    actions: list[Action],
    phase: RingPhase,
    outcome: EndReason | None,
) -> None:
    call = after(ring(*people), *actions)
    assert (call.phase, call.outcome) == (phase, outcome)
    assert (call.ended_at is None) is (outcome is None)
    if call.over:
        assert RingAnswer.RINGING not in answers(call)


@pytest.mark.parametrize(
    ("actions", "asked", "reason"),
    [
        pytest.param([Accepted(BO)], Accepted(BO), Reason.ALREADY, id="accept twice"),
        pytest.param([Cancelled(ANN)], Accepted(BO), Reason.ENDED, id="accept after it was cancelled"),
        pytest.param([Cancelled(ANN)], Cancelled(ANN), Reason.ENDED, id="cancel twice"),
        pytest.param([Rejected(BO)], Accepted(BO), Reason.ENDED, id="accept after declining"),
        pytest.param([Rejected(BO)], Rejected(BO), Reason.ENDED, id="decline twice"),
        pytest.param([*CONNECTED], Rejected(BO), Reason.ALREADY, id="decline when in it"),
        pytest.param([*CONNECTED], Accepted(BO), Reason.ALREADY, id="accept when in it"),
        pytest.param([], Cancelled(BO), Reason.INVALID, id="who is rung cannot hang up for the caller"),
        pytest.param([], Accepted(ANN), Reason.INVALID, id="the caller cannot answer"),
        pytest.param([(30.0, Elapsed())], Accepted(BO), Reason.ENDED, id="accept after it was missed"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    actions: list[Action], asked: Action, reason: Reason
) -> None:
    assert refused(after(ring(), *actions), asked) is reason


def test_what_somebody_missed_in_a_group_they_cannot_accept_but_their_refusal_says_how_to_come() -> None:
    call = after(ring(BO, CY), *CONNECTED, (30.0, Elapsed()))
    assert answers(call) == [A.ACCEPTED, A.MISSED]
    assert refused(call, Accepted(CY)) is Reason.ENDED


def test_a_call_is_not_missed_before_it_could_be_heard() -> None:
    call = after(ring(reached=False), (31.0, Elapsed()))
    assert answers(call) == [A.RINGING]
    call = after(call, (40.0, Reached(BO)))
    assert call.rung[0].reached
    assert after(call, (44.9, Elapsed())).phase is R.RINGING
    assert after(call, (45.0, Elapsed())).outcome is EndReason.MISSED  # the caller's patience bounds it


def test_without_any_time_set_it_rings_until_somebody_acts_or_an_hour_has_passed() -> None:
    call = ring(incoming_seconds=0.0, waiting_seconds=0.0)
    assert call.expires_at is None
    assert after(call, (3599.0, Elapsed())) is call
    assert after(call, (3600.0, Elapsed())).outcome is EndReason.MISSED


def test_the_duration_is_the_time_together() -> None:
    call = after(ring(), (3.0, Accepted(BO)), (4.0, here(BO)), (5.0, here(ANN, BO)), (65.0, here(ANN)))
    assert (call.connected_at, call.ended_at, call.duration_seconds) == (5.0, 65.0, 60.0)
    assert after(ring(), Rejected(BO)).duration_seconds == 0.0


def test_somebody_in_the_call_rings_more_people_and_may_take_it_back() -> None:
    call = after(ring(), *CONNECTED, (10.0, More(BO, "Bo", (Callee(CY, "Cy", True), Callee(ANN, "Ann")))))
    rung = call.of(CY)
    assert rung is not None
    assert (rung.by, rung.answer, rung.answer_by, call.group) == (BO, A.RINGING, 40.0, True)
    assert refused(call, Cancelled(DI)) is Reason.INVALID
    call = after(call, Cancelled(BO))
    assert call.phase is R.CONNECTED
    assert [one.answer for one in call.rung if one.user == CY] == [A.CANCELLED]
    assert refused(call, Cancelled(BO)) is Reason.ALREADY


def test_who_said_no_or_left_may_be_rung_again_and_who_is_rung_is_not_rung_twice() -> None:
    call = after(ring(BO, CY), Rejected(CY), *CONNECTED)
    again = after(call, (20.0, More(ANN, "Ann", (Callee(CY, "Cy", True), Callee(BO, "Bo", True)))))
    assert answers(again) == [A.ACCEPTED, A.RINGING]
    assert again.rung[1].rung_at == 20.0
    assert after(again, (21.0, More(ANN, "Ann", (Callee(CY, "Cy", True),)))) is again


def test_people_rung_into_a_room_where_others_are_leave_that_room_as_it_was() -> None:
    call = begin(
        RingId("r"),
        Cid("default:x"),
        ANN,
        "Ann",
        [Callee(BO, "Bo", True)],
        0.0,
        incoming_seconds=30.0,
        waiting_seconds=45.0,
        placed=False,
        present=frozenset({ANN, DI, EVE}),
    )
    assert after(call, here(DI, EVE)).phase is R.RINGING  # whoever is there can still be called in to
    connected = after(call, Accepted(BO), here(DI, EVE, BO))
    assert connected.phase is R.CONNECTED
    assert after(connected, here(DI, EVE)).outcome is EndReason.ENDED
    assert after(call, here(DI), here()).outcome is EndReason.CANCELLED


def test_versions_count_changes_and_nothing_else() -> None:
    call = ring(BO, CY)
    assert after(call, (1.0, Elapsed()), Reached(BO), here()) is call
    assert after(call, Accepted(BO), Rejected(CY)).version == call.version + 2


users = st.sampled_from([ANN, BO, CY, DI, EVE])
actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(Accepted, users),
    st.builds(Accepted, users),
    st.builds(Rejected, users, st.booleans()),
    st.builds(Cancelled, users),
    st.builds(Reached, users),
    st.builds(Present, st.frozensets(users, max_size=4)),
    st.builds(Present, st.frozensets(users, max_size=4)),
    st.builds(lambda by, who: More(by, by.title(), (Callee(who, who.title()),)), users, users),
    st.just(Elapsed()),
    st.just(CallerLost()),
    st.just(RoomOver()),
)
steps = st.lists(st.tuples(st.floats(0.0, 20.0), actions), max_size=25)


@given(
    st.lists(st.sampled_from([BO, CY, DI]), min_size=1, max_size=3, unique=True),
    steps,
    st.booleans(),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([0.0, 45.0]),
)
def test_no_order_of_actions_leaves_a_ring_stuck(
    people: list[UserId],
    order: list[tuple[float, Action]],
    placed: bool,
    incoming_seconds: float,
    waiting_seconds: float,
) -> None:
    call = ring(*people, placed=placed, incoming_seconds=incoming_seconds, waiting_seconds=waiting_seconds)
    now = 0.0
    for seconds, action in order:
        now += seconds
        changed = step(call, action, now)
        if isinstance(changed, Ring):
            assert_legal(call, changed)
            call = changed
    # Everybody goes home, and time passes: whatever happened before, that is the end of it.
    empty = step(call, here(), now)
    assert isinstance(empty, Ring)
    call = empty
    for _ in range(3 * len(call.rung) + 1):
        if (then := due(call, now)) is not None:
            now = then
            elapsed = step(call, Elapsed(), now)
            assert isinstance(elapsed, Ring)
            call = elapsed
    assert call.over
    assert call.outcome is not None
    assert RingAnswer.RINGING not in answers(call)
    for action in (Accepted(BO), Rejected(BO), Cancelled(ANN)):
        assert isinstance(step(call, action, now), Refusal)
    for noticed in (Elapsed(), here(ANN, BO), Reached(BO), RoomOver(), CallerLost()):
        assert step(call, noticed, now + JOIN_SECONDS) is call


def assert_legal(before: Ring, changed: Ring) -> None:
    """What changed is in the tables, and counts as one version more."""
    if changed is before:
        return
    assert changed.version == before.version + 1
    assert replace(changed, version=before.version) != before
    assert changed.phase is before.phase or changed.phase in NEXT_PHASES[before.phase]
    was = {one.user: one for one in before.rung}
    for one in changed.rung:
        if one.user in was and one.answer is not was[one.user].answer:
            assert one.answer in NEXT_ANSWERS[was[one.user].answer]
