"""A session that nobody uses asks, then ends; whoever stays begins anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.policies.idle import IdleFacts, next_idle, stay
from greenroom.state.call_settings import NEVER_IDLE, IdleTimeout, IdleWhen
from greenroom.state.idle import Idle, IdlePhase

INACTIVE = IdleTimeout(120.0, 60.0, IdleWhen.INACTIVE)
ALONE = IdleTimeout(120.0, 60.0, IdleWhen.ALONE)
QUIET = IdleFacts(here=True, alone=False, active=False)
TALKING = IdleFacts(here=True, alone=False, active=True)
BY_MYSELF = IdleFacts(here=True, alone=True, active=True)
GONE = IdleFacts(here=False, alone=True, active=False)


def after(timeout: IdleTimeout, *looks: tuple[float, IdleFacts]) -> Idle:
    idle = Idle()
    for now, facts in looks:
        idle = next_idle(idle, timeout, facts, now)
    return idle


@pytest.mark.parametrize(
    ("timeout", "facts", "now", "phase"),
    [
        pytest.param(INACTIVE, QUIET, 119.9, IdlePhase.ARMED, id="not yet"),
        pytest.param(INACTIVE, QUIET, 120.0, IdlePhase.PROMPTING, id="a minute before the end"),
        pytest.param(INACTIVE, QUIET, 179.9, IdlePhase.PROMPTING, id="still asked"),
        pytest.param(INACTIVE, QUIET, 180.0, IdlePhase.EXPIRED, id="over"),
        pytest.param(INACTIVE, BY_MYSELF, 180.0, IdlePhase.ARMED, id="alone, but doing something"),
        pytest.param(ALONE, QUIET, 180.0, IdlePhase.ARMED, id="silent in company"),
        pytest.param(ALONE, BY_MYSELF, 180.0, IdlePhase.EXPIRED, id="talking to nobody"),
        pytest.param(NEVER_IDLE, QUIET, 1e6, IdlePhase.OFF, id="zero is off"),
        pytest.param(INACTIVE, GONE, 1e6, IdlePhase.OFF, id="not in the room"),
        pytest.param(IdleTimeout(10.0, 0.0), QUIET, 10.0, IdlePhase.EXPIRED, id="without asking"),
    ],
)
def test_what_becomes_of_an_unused_session(
    timeout: IdleTimeout, facts: IdleFacts, now: float, phase: IdlePhase
) -> None:
    looks = [(float(second), facts) for second in range(0, min(int(now), 200), 10)]
    assert after(timeout, *looks, (now, facts)).phase is phase


@pytest.mark.parametrize(
    ("timeout", "unused", "used"),
    [
        pytest.param(INACTIVE, QUIET, TALKING, id="somebody speaks"),
        pytest.param(ALONE, BY_MYSELF, QUIET, id="somebody comes"),
    ],
)
def test_use_begins_the_count_anew_even_while_asking(
    timeout: IdleTimeout, unused: IdleFacts, used: IdleFacts
) -> None:
    asked = after(timeout, (0.0, unused), (130.0, unused))
    assert (asked.phase, asked.ends_at) == (IdlePhase.PROMPTING, 180.0)
    armed = next_idle(asked, timeout, used, 131.0)
    assert armed == Idle(IdlePhase.ARMED)
    again = next_idle(armed, timeout, unused, 140.0)
    assert (again.phase, again.prompt_at, again.ends_at) == (IdlePhase.ARMED, 260.0, 320.0)


def test_after_a_laptop_slept_the_person_is_asked_first() -> None:
    woken = after(INACTIVE, (0.0, QUIET), (9_000.0, QUIET))
    assert (woken.phase, woken.ends_at) == (IdlePhase.PROMPTING, 9_060.0)
    assert next_idle(woken, INACTIVE, QUIET, 9_060.0).phase is IdlePhase.EXPIRED


def test_who_stays_has_all_the_time_again() -> None:
    asked = after(INACTIVE, (0.0, QUIET), (170.0, QUIET))
    stayed = next_idle(stay(asked), INACTIVE, QUIET, 171.0)
    assert (stayed.phase, stayed.ends_at) == (IdlePhase.ARMED, 351.0)


def test_after_the_end_nothing_brings_a_session_back() -> None:
    over = after(INACTIVE, (0.0, QUIET), (120.0, QUIET), (180.0, QUIET))
    assert stay(over) is over
    assert next_idle(over, INACTIVE, TALKING, 181.0) is over


def test_nothing_is_made_anew_while_nothing_changes() -> None:
    idle = after(INACTIVE, (0.0, QUIET), (1.0, QUIET))
    assert next_idle(idle, INACTIVE, QUIET, 2.0) is idle
    assert stay(Idle()) == Idle()


facts = st.builds(IdleFacts, here=st.just(True), alone=st.booleans(), active=st.booleans())


@given(
    when=st.sampled_from(IdleWhen),
    looks=st.lists(st.tuples(st.floats(0.0, 50.0), facts, st.booleans()), max_size=40),
)
def test_a_session_never_ends_sooner_than_promised_and_never_unasked(
    when: IdleWhen, looks: list[tuple[float, IdleFacts, bool]]
) -> None:
    timeout, idle, now, used_at, asked_at = IdleTimeout(60.0, 30.0, when), Idle(), 0.0, 0.0, None
    for wait, seen, stays in looks:
        now += wait
        if stays and idle.phase is not IdlePhase.EXPIRED:
            idle, used_at = stay(idle), now
        if not (seen.alone if when is IdleWhen.ALONE else not seen.active):
            used_at = now
        before, idle = idle, next_idle(idle, timeout, seen, now)
        if idle.phase is IdlePhase.EXPIRED and before.phase is not IdlePhase.EXPIRED:
            assert now - used_at >= 90.0
            assert before.phase is IdlePhase.PROMPTING
            asked_at = now
        if asked_at is not None:
            assert idle.phase is IdlePhase.EXPIRED
