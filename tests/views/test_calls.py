"""Several calls as rows and words, what can be done about them, and whom one can call."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.errors import Malformed
from greenroom.policies.multicall import plan
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.requests import Leave
from greenroom.protocol.ringing import MissedCall, RingId
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.engine import ClientState
from greenroom.state.focus import (
    Cause,
    Focus,
    Hearing,
    MultiCallPolicy,
    ResumeAudio,
    SetMultiCallPolicy,
    Standing,
    SuspendAudio,
    Suspension,
    SwitchFocus,
)
from greenroom.state.idle import Idle, IdlePhase
from greenroom.state.own_requests import Stay
from greenroom.state.rings import RingsState
from greenroom.views.actions import ACTIONS
from greenroom.views.call_actions import (
    CALL_ACTIONS,
    CALL_ACTIONS_BY_ID,
    call_label,
    meant,
    numbered,
    possible,
)
from greenroom.views.calls import call_rows, policy_choices
from greenroom.views.people import completed, known_people, people_called
from greenroom.views.ring_actions import RING_ACTIONS

ME = UserId("me")
A, B = Cid("audio_room:a"), Cid("audio_room:b")


def suspended(by: Cid | None, cause: Cause) -> Standing:
    return Standing(A, True, Suspension(cause, 5.0, by, MultiCallPolicy.SUSPEND_EXISTING))


def client(first: Standing | None = None, policy: MultiCallPolicy | None = None) -> ClientState:
    """We are in A and, focused, in B."""
    acts = policy or MultiCallPolicy.SUSPEND_EXISTING
    standings = {A: first or suspended(B, Cause.OTHER), B: Standing(B, True)}
    focus = Focus(True, acts, standings, (A, B), B, 5.0)
    calls = {
        cid: CallState(
            cid,
            ME,
            phase=CallPhase.JOINED,
            media=MediaPhase.CONNECTED,
            share=share,
            hearing=Hearing(not share.suspended, "suspended" if share.suspended else ""),
        )
        for cid, share in plan(focus).shares.items()
    }
    return ClientState(ME, "Me", calls=calls, focus=focus)


@pytest.mark.parametrize(
    ("first", "policy", "words"),
    [
        (suspended(B, Cause.OTHER), None, f"suspended: {B} took over"),
        (suspended(B, Cause.INCOMING), None, f"suspended: it came during {B}"),
        (suspended(None, Cause.PERSON), None, "suspended by you"),
        (Standing(A, True), MultiCallPolicy.DUCK, f"{B} has the mic"),
    ],
)
def test_a_row_says_in_few_words_what_keeps_a_call_back(
    first: Standing, policy: MultiCallPolicy | None, words: str
) -> None:
    row = call_rows(client(first, policy))[0]
    assert row.because == words
    assert (row.suspended, row.focused) == (first.suspension is not None, False)


def test_every_policy_can_be_chosen_and_the_one_in_force_says_so() -> None:
    choices = dict(policy_choices(Focus(several=True, policy=MultiCallPolicy.PAN)))
    assert list(choices) == list(MultiCallPolicy)
    assert [policy for policy, words in choices.items() if "(now): " in words] == [MultiCallPolicy.PAN]


def test_keys_are_free_in_all_three_tables() -> None:
    keys = [*(action.key for action in ACTIONS), *(action.key for action in RING_ACTIONS)]
    keys += [action.key for action in CALL_ACTIONS]
    assert len(keys) == len(set(keys))
    assert not set(keys) & set("123456789")


def test_calls_are_numbered_in_order_of_joining_without_those_that_are_over() -> None:
    here = client()
    assert [numbered(here, key) for key in ("1", "2", "3", "0", "", "12")] == [A, B, None, None, None, None]
    over = replace(here, calls={**here.calls, A: replace(here.calls[A], phase=CallPhase.LEFT)})
    assert numbered(over, "1") == B


def test_the_call_that_is_meant_is_the_chosen_one_else_the_focused_one() -> None:
    here = client()
    assert [meant(here, cid) for cid in (A, None, Cid("audio_room:c"))] == [A, B, None]
    assert meant(ClientState(), None) is None


def test_actions_make_what_they_say() -> None:
    here = client()
    act = CALL_ACTIONS_BY_ID
    assert [act["hold"].build(here.calls[cid], "") for cid in (A, B)] == [ResumeAudio(), SuspendAudio()]
    assert act["focus"].build(here.calls[A], "") == SwitchFocus()
    assert act["leave_call"].build(here.calls[A], "") == Leave()
    assert act["policy"].build(None, "duck") == SetMultiCallPolicy(MultiCallPolicy.DUCK)
    assert call_label(act["hold"], here, A) == f"Resume: {A}"
    assert call_label(act["policy"], here, None) == "Policy: suspend existing"
    assert call_label(act["hold"], ClientState(), None) == "Suspend"


def test_what_needs_a_call_is_not_possible_without_one() -> None:
    nobody = ClientState(focus=Focus(several=True))
    assert [action.id for action in CALL_ACTIONS if possible(action, nobody, None)] == ["policy"]
    here = client()
    assert not possible(CALL_ACTIONS_BY_ID["stay_in"], here, None)
    idle = replace(here.calls[A], idle=Idle(IdlePhase.PROMPTING, 0.0, 1.0, 9.0))
    asked = replace(here, calls={**here.calls, A: idle})
    assert CALL_ACTIONS_BY_ID["stay_in"].about(asked, B) == A
    assert CALL_ACTIONS_BY_ID["stay_in"].build(idle, "") == Stay()


def people() -> ClientState:
    missed = tuple(
        MissedCall(RingId(user), Cid("default:x"), UserId(user), name, 0.0)
        for user, name in (("ann", "Ann"), ("bo", "Bo"), ("bo-2", "Bo"), ("me", "Me"))
    )
    return ClientState(ME, "Me", rings=RingsState(missed=missed))


def test_people_are_found_by_name_or_id_and_a_name_that_two_have_is_asked_about() -> None:
    known = known_people(people())
    assert [person.user for person in known] == ["ann", "bo", "bo-2"]
    assert people_called("ANN, zoe, ann", known) == ("ann", "zoe")
    assert people_called("bo", known) == ("bo",)
    for text, why in (("Bo", "bo and bo-2"), (" , ", "whom to call"), ("Ann Lee", "not a user id")):
        with pytest.raises(Malformed, match=why):
            people_called(text, known)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a", "ann"), ("An", "Ann"), ("ann, b", "ann, bo"), ("zoe", None), ("", None), ("ann", None)],
)
def test_the_last_name_is_completed(text: str, words: str | None) -> None:
    assert completed(text, known_people(people())) == words
