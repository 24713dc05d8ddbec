"""Several calls, one microphone: the tables of each policy, and what holds after anything that may happen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.errors import Malformed
from greenroom.policies.multicall import (
    DUCK_SECONDS,
    DUCKED_DB,
    FADE_SECONDS,
    UNDUCK_SECONDS,
    begun,
    fade_seconds,
    gone,
    joined,
    plan,
    policy_named,
    resumed,
    rolled_back,
    suspended,
    switched,
    with_policy,
)
from greenroom.protocol.ids import Cid
from greenroom.state.focus import SILENT_DB, Cause, Focus, MultiCallPolicy, Share

A, B, C, D, E = (Cid(f"audio_room:{name}") for name in "abcde")
EXISTING, INCOMING = MultiCallPolicy.SUSPEND_EXISTING, MultiCallPolicy.SUSPEND_INCOMING
MANUAL, DUCK, PAN = MultiCallPolicy.MANUAL, MultiCallPolicy.DUCK, MultiCallPolicy.PAN
Step = tuple[str, Cid]


def after(policy: MultiCallPolicy, *steps: Step, several: bool = True) -> Focus:
    """Return the focus after steps such as ("join", A), a second apart."""
    focus = Focus(several, policy)
    for now, (what, cid) in enumerate(steps):
        focus = take(focus, what, cid, float(now))
    return focus


def take(focus: Focus, what: str, cid: Cid, now: float) -> Focus:
    if what == "join":
        return joined(begun(focus, cid, now), cid)
    reducers: dict[str, Callable[[Focus, Cid, float], Focus]] = {
        "begin": begun,
        "fail": gone,
        "leave": gone,
        "suspend": suspended,
        "resume": resumed,
        "switch": switched,
    }
    return reducers[what](focus, cid, now)


def happen(focus: Focus, what: Step | MultiCallPolicy, now: float) -> Focus:
    return with_policy(focus, what, now) if isinstance(what, MultiCallPolicy) else take(focus, *what, now)


def heard(focus: Focus) -> set[Cid]:
    return {cid for cid, share in plan(focus).shares.items() if share.gain_db > SILENT_DB}


def joins(*cids: Cid) -> list[Step]:
    return [("join", cid) for cid in cids]


@pytest.mark.parametrize(
    ("policy", "steps", "holder", "audible"),
    [
        pytest.param(EXISTING, joins(A), A, {A}, id="the only call has everything"),
        pytest.param(EXISTING, joins(A, B), B, {B}, id="existing: the newest has everything"),
        pytest.param(EXISTING, joins(A, B, C), C, {C}, id="existing: of three too"),
        pytest.param(
            EXISTING, [("join", A), ("begin", B)], B, {B}, id="existing: while it is still dialling"
        ),
        pytest.param(EXISTING, [("begin", A), ("begin", B)], B, {B}, id="existing: two joins at once"),
        pytest.param(
            EXISTING,
            [("join", A), ("begin", B), ("fail", B)],
            A,
            {A},
            id="existing: a failed join gives it back",
        ),
        pytest.param(
            EXISTING, [*joins(A, B), ("leave", B)], A, {A}, id="existing: the one before comes back"
        ),
        pytest.param(
            EXISTING, [*joins(A, B, C), ("leave", C)], B, {B}, id="existing: only one of two comes back"
        ),
        pytest.param(
            EXISTING,
            [*joins(A, B, C), ("switch", A), ("leave", B)],
            A,
            {A},
            id="existing: a background call that leaves makes no second holder",
        ),
        pytest.param(
            EXISTING,
            [*joins(A, B, C), ("switch", A), ("switch", C), ("leave", C)],
            A,
            {A},
            id="existing: the most recently focused comes back, not the newest",
        ),
        pytest.param(
            EXISTING, [*joins(A, B), ("leave", A)], B, {B}, id="existing: the background one leaves"
        ),
        pytest.param(EXISTING, [*joins(A, B), ("suspend", B)], None, set(), id="existing: nobody by wish"),
        pytest.param(
            EXISTING,
            [*joins(A, B), ("suspend", B), ("leave", B)],
            A,
            {A},
            id="existing: the call put aside goes, the one before comes back",
        ),
        pytest.param(
            EXISTING,
            [("join", A), ("suspend", A), ("join", B), ("leave", B)],
            None,
            set(),
            id="existing: what the person put aside stays aside",
        ),
        pytest.param(
            EXISTING,
            [*joins(C, A), ("suspend", A), ("begin", B), ("fail", B)],
            None,
            set(),
            id="existing: a failed join opens no call that was silent before it",
        ),
        pytest.param(
            EXISTING,
            [*joins(C, A), ("suspend", A), ("join", D), ("suspend", D), ("leave", C)],
            None,
            set(),
            id="existing: a background call that leaves opens nothing",
        ),
        pytest.param(
            EXISTING,
            [*joins(A, B), ("suspend", B), ("resume", A), ("leave", A)],
            B,
            {B},
            id="existing: suspend the one and resume the other is a switch",
        ),
        pytest.param(EXISTING, [*joins(A, B), ("resume", A)], A, {A}, id="existing: a resume takes over"),
        pytest.param(INCOMING, joins(A, B, C), A, {A}, id="incoming: the newcomers wait"),
        pytest.param(INCOMING, [*joins(A, B), ("leave", A)], None, set(), id="incoming: nothing by itself"),
        pytest.param(INCOMING, [*joins(A, B), ("leave", B)], A, {A}, id="incoming: the waiting one leaves"),
        pytest.param(
            INCOMING, [*joins(A, B), ("leave", A), ("resume", B)], B, {B}, id="incoming: resumed by hand"
        ),
        pytest.param(INCOMING, [*joins(A, B), ("switch", B)], B, {B}, id="incoming: switched by hand"),
        pytest.param(INCOMING, [*joins(A, B), ("resume", B)], B, {B}, id="incoming: never two at once"),
        pytest.param(INCOMING, [("join", A), ("leave", A), ("join", B)], B, {B}, id="incoming: alone again"),
        pytest.param(MANUAL, joins(A, B), A, {A, B}, id="manual: both are heard, the first keeps speaking"),
        pytest.param(MANUAL, [*joins(A, B), ("leave", A)], None, {B}, id="manual: nothing by itself"),
        pytest.param(
            MANUAL, [*joins(A, B), ("resume", B)], B, {A, B}, id="manual: a resume moves the microphone"
        ),
        pytest.param(
            MANUAL, [*joins(A, B), ("switch", B)], B, {B}, id="manual: a switch suspends the one before"
        ),
        pytest.param(
            MANUAL, [*joins(A, B), ("suspend", A), ("resume", B)], B, {B}, id="manual: suspend, then resume"
        ),
        pytest.param(DUCK, joins(A, B), B, {A, B}, id="duck: the newest speaks, both are heard"),
        pytest.param(DUCK, [*joins(A, B), ("leave", B)], A, {A}, id="duck: the microphone comes back"),
        pytest.param(DUCK, [*joins(A, B), ("switch", A)], A, {A, B}, id="duck: moved by hand"),
        pytest.param(DUCK, [*joins(A, B), ("suspend", A)], B, {B}, id="duck: one silenced by hand"),
        pytest.param(
            DUCK,
            [*joins(A, B), ("suspend", A), ("resume", A)],
            B,
            {A, B},
            id="duck: and heard again as before",
        ),
        pytest.param(DUCK, [*joins(A, B), ("suspend", B)], None, {A}, id="duck: nobody hears us"),
        pytest.param(PAN, joins(A, B, C), C, {A, B, C}, id="pan: all are heard"),
    ],
)
def test_each_policy_hands_sound_over_as_its_table_says(
    policy: MultiCallPolicy, steps: list[Step], holder: Cid | None, audible: set[Cid]
) -> None:
    focus = after(policy, *steps)
    assert plan(focus).holder == holder
    assert heard(focus) == audible


def test_ducked_calls_are_12_db_softer_and_the_focused_one_is_not() -> None:
    shares = plan(after(DUCK, *joins(A, B, C))).shares
    assert [shares[cid].gain_db for cid in (A, B, C)] == [DUCKED_DB, DUCKED_DB, 0.0] == [-12.0, -12.0, 0.0]


def test_panned_calls_stand_from_left_to_right_and_one_alone_in_the_middle() -> None:
    assert [share.pan for share in plan(after(PAN, *joins(A, B, C))).shares.values()] == [-0.7, 0.0, 0.7]
    assert [share.pan for share in plan(after(PAN, *joins(A))).shares.values()] == [0.0]


def test_a_plan_says_why_a_call_has_less_than_everything() -> None:
    words = {cid: share.why for cid, share in plan(after(EXISTING, *joins(A, B))).shares.items()}
    assert words == {A: f"suspended: call {B} became active (suspend_existing)", B: ""}
    assert plan(after(INCOMING, *joins(A, B))).shares[B].why == (
        f"suspended: it came while call {A} was active (suspend_incoming)"
    )
    assert plan(after(EXISTING, ("join", A), ("suspend", A))).shares[A].why == "suspended by you"
    assert plan(after(DUCK, *joins(A, B))).shares[A].why == f"call {B} has the microphone (duck)"
    assert (
        plan(after(MANUAL, *joins(A, B), ("leave", A))).shares[B].why.startswith("no call has the microphone")
    )


def test_what_is_so_already_changes_nothing() -> None:
    focus = after(EXISTING, *joins(A, B))
    assert begun(focus, A, 9.0) is focus, "a call is active once"
    assert joined(focus, A) is focus
    assert suspended(focus, A, 9.0) is focus, "the reason of the first suspension stays"
    assert resumed(focus, B, 9.0) is focus
    assert switched(focus, B, 9.0) is focus
    assert gone(focus, C, 9.0) is focus
    assert with_policy(focus, EXISTING, 9.0) is focus


def test_in_single_mode_the_policy_has_no_say() -> None:
    focus = after(INCOMING, *joins(A, B), several=False)
    assert plan(focus).holder == B
    assert plan(focus).shares[B].policy is None


@pytest.mark.parametrize(
    ("before", "steps", "to", "holder", "audible"),
    [
        pytest.param(
            EXISTING, joins(A, B), DUCK, B, {A, B}, id="mixing brings back what the policy suspended"
        ),
        pytest.param(DUCK, joins(A, B, C), EXISTING, C, {C}, id="suspending leaves the focused one"),
        pytest.param(
            MANUAL, [*joins(A, B), ("leave", A)], EXISTING, B, {B}, id="suspending focuses what is heard"
        ),
        pytest.param(EXISTING, joins(A, B), MANUAL, B, {B}, id="manual leaves everything as it is"),
        pytest.param(
            EXISTING, [*joins(A, B), ("suspend", B)], PAN, None, {A}, id="what a person put aside stays aside"
        ),
        pytest.param(
            INCOMING,
            [*joins(A, B), ("leave", A)],
            DUCK,
            B,
            {B},
            id="mixing gives the microphone to who is left",
        ),
    ],
)
def test_a_policy_changes_while_calls_run(
    before: MultiCallPolicy,
    steps: list[Step],
    to: MultiCallPolicy,
    holder: Cid | None,
    audible: set[Cid],
) -> None:
    focus = with_policy(after(before, *steps), to, 99.0)
    assert plan(focus).holder == holder
    assert heard(focus) == audible


def test_there_and_back_again_a_policy_restores_who_speaks() -> None:
    focus = after(EXISTING, *joins(A, B, C))
    for policy in (DUCK, PAN, MANUAL, INCOMING, EXISTING):
        focus = with_policy(focus, policy, 9.0)
        assert plan(focus).holder == C


def test_a_switch_that_failed_is_undone_but_not_what_happened_since() -> None:
    before = after(EXISTING, *joins(A, B))
    tried = switched(before, A, 5.0)
    assert plan(rolled_back(tried, before)) == plan(before)
    left = gone(tried, B, 6.0)
    assert plan(rolled_back(left, before)).holder is None, "nobody who left has the microphone"
    newer = begun(tried, C, 6.0)
    assert plan(rolled_back(newer, before)).holder == C


def test_fades_are_20_ms_and_ducking_is_faster_down_than_up() -> None:
    full, ducked, silent = Share(), Share(gain_db=DUCKED_DB), Share(suspended=True, gain_db=SILENT_DB)
    assert fade_seconds(full, silent) == fade_seconds(silent, full) == FADE_SECONDS == 0.02
    assert fade_seconds(silent, ducked) == FADE_SECONDS
    assert fade_seconds(full, ducked) == DUCK_SECONDS == 0.08
    assert fade_seconds(ducked, full) == UNDUCK_SECONDS == 0.4


def test_a_policy_is_known_by_its_name_and_another_name_is_refused_with_those_there_are() -> None:
    assert policy_named("duck") is DUCK
    with pytest.raises(
        Malformed, match="there is no multi-call policy 'loudest'; there are suspend_existing"
    ):
        policy_named("loudest")


CIDS = st.sampled_from([A, B, C, D, E])
HAPPENS = st.one_of(
    st.tuples(st.sampled_from(["join", "begin", "leave", "suspend", "resume", "switch"]), CIDS),
    st.sampled_from(list(MultiCallPolicy)),
)


@given(st.sampled_from(list(MultiCallPolicy)), st.booleans(), st.lists(HAPPENS, max_size=25))
def test_after_anything_one_call_at_most_has_the_microphone_and_the_policy_holds(
    policy: MultiCallPolicy, several: bool, happens: list[Step | MultiCallPolicy]
) -> None:
    focus = Focus(several, policy)
    for now, what in enumerate(happens):
        before, focus = focus, happen(focus, what, float(now))
        assert_sound(focus)
        if not isinstance(what, MultiCallPolicy):
            assert_expected(before, focus, *what)


def assert_sound(focus: Focus) -> None:
    shares = plan(focus).shares
    assert [cid for cid, share in shares.items() if share.microphone] == (
        [] if focus.focused is None else [focus.focused]
    )
    assert set(focus.history) <= set(focus.standings)
    assert len(set(focus.history)) == len(focus.history)
    assert not any(share.suspended and share.microphone for share in shares.values())
    assert all(bool(share.why) != share.microphone for share in shares.values())
    if not focus.several or focus.policy in (EXISTING, INCOMING):
        assert len(heard(focus)) <= 1
        assert heard(focus) == ({focus.focused} if focus.focused else set())


def assert_expected(before: Focus, after: Focus, what: str, cid: Cid) -> None:
    """What a person expects of one step, whatever came before it."""
    was, now = plan(before).shares, plan(after).shares
    if what == "suspend" and cid in before.standings:
        assert now[cid].suspended
        untouched = [other for other in was if other != cid]
        assert [now[other].suspended for other in untouched] == [was[other].suspended for other in untouched]
    if what in ("resume", "switch") and cid in before.standings:
        assert not now[cid].suspended
    if what == "switch" and cid in before.standings:
        assert after.focused == cid
    for other, standing in after.standings.items():
        earlier = before.standings.get(other)
        person = earlier is not None and earlier.suspension is not None
        if person and earlier is not None and earlier.suspension is not None and other != cid:
            by_hand = earlier.suspension.cause is Cause.PERSON
            assert not by_hand or standing.suspension is not None, "nobody but the person ends that"


@given(st.sampled_from(list(MultiCallPolicy)), st.lists(HAPPENS, max_size=12), CIDS)
def test_a_suspension_that_is_ended_again_leaves_everything_as_it_was(
    policy: MultiCallPolicy, happens: list[Step | MultiCallPolicy], cid: Cid
) -> None:
    focus = Focus(True, policy)
    for what in happens:
        focus = (
            with_policy(focus, what, 0.0) if isinstance(what, MultiCallPolicy) else take(focus, *what, 0.0)
        )
    if focus.focused != cid:
        return
    again = resumed(suspended(focus, cid, 1.0), cid, 2.0)
    mine, theirs = plan(focus).shares, plan(again).shares
    assert {one: (s.suspended, s.microphone, s.gain_db, s.pan) for one, s in mine.items()} == {
        one: (s.suspended, s.microphone, s.gain_db, s.pan) for one, s in theirs.items()
    }


@given(st.sampled_from(list(MultiCallPolicy)), st.lists(HAPPENS, max_size=12))
def test_a_join_that_fails_leaves_who_speaks_as_before(
    policy: MultiCallPolicy, happens: list[Step | MultiCallPolicy]
) -> None:
    focus = Focus(True, policy)
    for what in happens:
        focus = (
            with_policy(focus, what, 0.0) if isinstance(what, MultiCallPolicy) else take(focus, *what, 0.0)
        )
    newcomer = Cid("default:newcomer")
    tried = gone(begun(focus, newcomer, 1.0), newcomer, 2.0)
    if focus.focused is not None:
        assert plan(tried).holder == focus.focused
        assert heard(tried) == heard(focus)
