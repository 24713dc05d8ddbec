"""Sound goes straight only between two people who may both speak, in a room made for it."""

from __future__ import annotations

import pytest

from greenroom.engine.ways import MOST_TRIES, Asked, Ways
from greenroom.policies.peer_to_peer import (
    Straight,
    ThroughServer,
    Waiting,
    WayPlan,
    given_up_after,
    plan_way,
    who_speaks,
)
from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Accepted, Actor
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import ANONYMOUS, Cid, UserId
from greenroom.protocol.peers import Failure, PeerCandidate, PeerFailed, PeerOffer, PeerReady, may_signal
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import (
    End,
    GetOrCreate,
    Join,
    Leave,
    Mute,
    Request,
    Revoke,
    SetMicrophone,
    SetSuspended,
)
from greenroom.protocol.room import Room
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.path import MediaPath, Way
from greenroom.views.status import path_words, status_words

ANN, BO, CY = (Actor(UserId(name), name.title()) for name in ("ann", "bo", "cy"))
LISTENER = Actor(UserId("eve"), "Eve", ANONYMOUS)
SPEAK = frozenset({Capability.SEND_AUDIO})
OFFER = PeerOffer("a1", "v=0")
Step = tuple[Actor, Request]


def room_of(*steps: Step, kind: str = "direct") -> Room:
    """Return a room of `kind` that Ann made and is in, after `steps`."""
    room: Room | None = None
    opening: list[Step] = [(ANN, GetOrCreate()), (ANN, Join())]
    for moment, (who, request) in enumerate([*opening, *steps]):
        decision = decide(room, Cid(f"{kind}:tea"), who, request, float(moment))
        assert isinstance(decision, Accepted), (who.user, request, decision)
        room = fold(room, decision.events)
    assert room is not None
    return room


TWO: tuple[Step, ...] = ((BO, Join()),)
BO_SPEAKS: tuple[Step, ...] = (*TWO, (BO, SetMicrophone(True)))


def straight_to_bo(audible: bool = False) -> Straight:
    return Straight(BO.user, "Bo", 2, offers=True, audible=audible)


@pytest.mark.parametrize(
    ("steps", "plan"),
    [
        pytest.param((), Waiting(), id="alone: nobody to send to"),
        pytest.param(TWO, straight_to_bo(), id="two: straight"),
        pytest.param(BO_SPEAKS, straight_to_bo(audible=True), id="two, the other one's microphone is open"),
        pytest.param(
            (*BO_SPEAKS, (ANN, Mute(BO.user))), straight_to_bo(), id="muted by a moderator: not to be heard"
        ),
        pytest.param(
            (*BO_SPEAKS, (BO, SetSuspended(True))), straight_to_bo(), id="suspended: not to be heard"
        ),
        pytest.param((*TWO, (CY, Join())), ThroughServer("3 people are here"), id="three: the server"),
        pytest.param(
            (*TWO, (ANN, Revoke(BO.user, SPEAK))),
            ThroughServer("not everybody here may speak, and only the server can see to that"),
            id="one may not speak: the server",
        ),
        pytest.param(
            ((LISTENER, Join()),),
            ThroughServer("not everybody here may speak, and only the server can see to that"),
            id="a listener: the server",
        ),
        pytest.param((*TWO, (BO, Leave())), Waiting(), id="alone again"),
        pytest.param((*TWO, (ANN, End())), ThroughServer(), id="ended: we are not in it"),
    ],
)
def test_the_way_follows_from_who_is_here_and_may_speak(steps: tuple[Step, ...], plan: WayPlan) -> None:
    assert plan_way(room_of(*steps), ANN.user, {}) == plan


def test_the_one_who_came_first_offers_and_both_agree_on_it() -> None:
    room = room_of(*TWO)
    mine, theirs = plan_way(room, ANN.user, {}), plan_way(room, BO.user, {})
    assert isinstance(mine, Straight)
    assert isinstance(theirs, Straight)
    assert (mine.offers, theirs.offers) == (True, False)


@pytest.mark.parametrize("kind", ["default", "audio_room", "livestream", "development"])
def test_rooms_of_other_kinds_know_the_server_only(kind: str) -> None:
    room = room_of(kind=kind)
    assert plan_way(room, ANN.user, {}) == ThroughServer()
    assert not may_signal(room, ANN.user, BO.user, OFFER)


def test_whom_we_did_not_reach_is_served_through_the_server_until_they_come_anew() -> None:
    given_up = {2: "no direct way to Bo was found"}
    assert plan_way(room_of(*TWO), ANN.user, given_up) == ThroughServer(given_up[2])
    back = room_of(*TWO, (BO, Leave()), (BO, Join()))
    kept = given_up_after(given_up, back, ANN.user)
    assert kept == {}
    assert isinstance(plan_way(back, ANN.user, kept), Straight)


def test_back_to_two_after_three_the_server_goes_on() -> None:
    three = room_of(*TWO, (CY, Join()))
    given_up = given_up_after({}, three, ANN.user)
    two = room_of(*TWO, (CY, Join()), (CY, Leave()))
    kept = given_up_after(given_up, two, ANN.user)
    assert plan_way(two, ANN.user, kept) == ThroughServer("somebody else was here too")


def test_where_no_server_listens_we_hear_who_speaks() -> None:
    ann, bo, cy = ANN.user, BO.user, CY.user
    assert who_speaks({ann: -20.0, bo: -30.0, cy: -60.0}) == (frozenset({ann, bo}), ann)
    assert who_speaks({}) == (frozenset(), None)


# ---- what a call remembers of it


def ways_of(room: Room, me: Actor) -> Ways:
    ways = Ways()
    ways.follow(room, me.user)
    return ways


def test_an_offer_that_comes_before_we_began_is_kept_for_then_with_its_addresses() -> None:
    ways = ways_of(room_of(*TWO), BO)
    later = PeerCandidate("a1", "candidate:1 1 udp 1 127.0.0.1 5000 typ host")
    assert ways.said(ANN.user, OFFER) is Asked.ANOTHER_TRY
    assert ways.said(ANN.user, later) is Asked.NOTHING
    assert isinstance(ways.plan, Straight)
    assert ways.take_early(ways.plan) == (OFFER, later)
    assert ways.take_early(ways.plan) == ()


def test_who_asks_for_another_try_gets_some_but_not_without_end() -> None:
    ways = ways_of(room_of(*TWO), BO)
    for _ in range(MOST_TRIES):
        assert isinstance(ways.plan, Straight)
        ways.tried(ways.plan)
        ways.give_up(ways.plan, "no direct way to Ann was found")
        assert isinstance(ways.plan, ThroughServer)
        last = ways.said(ANN.user, OFFER)
    assert last is Asked.TOO_MUCH
    assert isinstance(ways.plan, ThroughServer)


@pytest.mark.parametrize(
    ("user", "signal"),
    [
        pytest.param(CY.user, OFFER, id="a stranger"),
        pytest.param(ANN.user, PeerReady(), id="the one who offers does not wait for an offer"),
        pytest.param(CY.user, PeerCandidate("a1", "candidate:1"), id="an address of nobody we know"),
        pytest.param(CY.user, PeerFailed(Failure.NO_WAY), id="a stranger who gives up"),
    ],
)
def test_what_does_not_fit_changes_nothing(user: UserId, signal: PeerOffer) -> None:
    ways = ways_of(room_of(*TWO), BO)
    plan = ways.plan
    assert ways.said(user, signal) is Asked.NOTHING
    assert ways.plan == plan
    assert not ways.asked_anew


def test_who_says_beforehand_that_they_do_not_go_directly_is_not_tried() -> None:
    ways = ways_of(room_of(*TWO), ANN)
    assert ways.said(BO.user, PeerFailed(Failure.UNWILLING)) is Asked.NOTHING
    assert ways.plan == ThroughServer("Bo's side goes through the server")


# ---- in words


@pytest.mark.parametrize(
    ("media", "path", "line", "words"),
    [
        (MediaPhase.NONE, MediaPath(Way.NONE, "nobody else is here yet"), "nobody else is here yet", None),
        (MediaPhase.CONNECTED, MediaPath(Way.DIRECT), "sound direct", "straight to the other person"),
        (
            MediaPhase.CONNECTED,
            MediaPath(Way.RELAYED),
            "sound through a relay",
            "to the other person through a relay",
        ),
        (
            MediaPhase.CONNECTED,
            MediaPath(Way.FORWARDED, "3 people are here"),
            "sound through the server",
            "through the server: 3 people are here",
        ),
    ],
)
def test_the_status_says_which_way_sound_goes(
    media: MediaPhase, path: MediaPath, line: str, words: str | None
) -> None:
    call = CallState(
        Cid("direct:tea"), ANN.user, phase=CallPhase.JOINED, room=room_of(*TWO), media=media, path=path
    )
    assert status_words(call, 0.0).endswith(f" · {line}")
    assert path_words(call) == (words or path.reason)


def test_an_ordinary_room_says_nothing_of_its_only_way() -> None:
    call = CallState(
        Cid("default:tea"),
        ANN.user,
        phase=CallPhase.JOINED,
        room=room_of(*TWO, kind="default"),
        media=MediaPhase.CONNECTED,
        path=MediaPath(Way.FORWARDED),
    )
    assert "sound" not in status_words(call, 0.0)
