"""The hub and its replicas: everybody who folds what was published has the published room."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.protocol.call_types import AUDIO_ROOM, BUILT_IN, Limits
from greenroom.protocol.deciding import Actor, Facts
from greenroom.protocol.evolve import evolve, fold
from greenroom.protocol.hub import Batch, RoomHub
from greenroom.protocol.ids import HOST, USER, Cid, MessageId, Role, UserId
from greenroom.protocol.publish import View, project
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import (
    BlockUser,
    GetOrCreate,
    GoLive,
    Join,
    Leave,
    RaiseHand,
    Request,
    SetMicrophone,
)
from greenroom.protocol.room import LeaveReason, Room, audible
from greenroom.protocol.wire import Happened, Snapshot, decode_from_server, encode
from greenroom.state.replica import Outcome, Replica, receive
from tests.protocol.strategies import steps

CID = Cid("audio_room:standup")
LISTED_LISTENERS = AUDIO_ROOM.settings.limits.named_listeners
ANN = Actor(UserId("ann"), "Ann")
OPENING: list[tuple[Actor, Request]] = [(ANN, GetOrCreate()), (ANN, Join()), (ANN, GoLive())]


def hub_with_room(*, live: bool = True) -> RoomHub:
    hub = RoomHub(None, CID, epoch=7)
    for who, request in OPENING[: 3 if live else 2]:
        proposal = hub.propose(who, request, now=1.0)
        assert not isinstance(proposal, Refusal)
        hub.published(proposal)
    return hub


def listener(number: int) -> Actor:
    return Actor(UserId(f"listener-{number}"), f"Listener {number}")


def batches_of(hub: RoomHub, plan: list[tuple[Actor, Request]], view: View) -> list[Batch]:
    batches = []
    for moment, (who, request) in enumerate(plan):
        proposal = hub.propose(
            who, request, now=float(moment), facts=Facts(message_id=MessageId(str(moment)))
        )
        if not isinstance(proposal, Refusal):
            batch = hub.published(proposal)[view]
            if batch.events:
                batches.append(batch)
        if (ticked := hub.tick(float(moment))) is not None:
            batch = hub.published(ticked)[view]
            if batch.events:
                batches.append(batch)
    return batches


@given(steps, st.sampled_from(list(View)))
@settings(max_examples=150, deadline=None)
def test_what_is_published_folds_to_the_projection_at_every_step(
    plan: list[tuple[Actor, Request]], view: View
) -> None:
    hub = RoomHub(None, CID, epoch=1)
    with_room = [*OPENING, *plan]
    for moment, (who, request) in enumerate(with_room):
        proposal = hub.propose(
            who, request, now=float(moment), facts=Facts(message_id=MessageId(str(moment)))
        )
        if not isinstance(proposal, Refusal):
            hub.published(proposal)
        if (ticked := hub.tick(float(moment))) is not None:
            hub.published(ticked)
        assert hub.room is not None
        assert hub.public(view) == project(hub.room, view)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_the_projection_holds_when_few_listeners_can_be_named(plan: list[tuple[Actor, Request]]) -> None:
    few = replace(AUDIO_ROOM.settings, limits=Limits(named_listeners=1))
    hub = RoomHub(
        None, CID, epoch=1, call_types={**BUILT_IN, "audio_room": replace(AUDIO_ROOM, settings=few)}
    )
    for who, request in [*OPENING, *plan]:
        proposal = hub.propose(who, request, now=1.0, facts=Facts(message_id=MessageId("1")))
        if not isinstance(proposal, Refusal):
            hub.published(proposal)
        assert hub.room is not None
        for view in View:
            assert hub.public(view) == project(hub.room, view)


@given(steps, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_replicas_converge_under_loss_duplication_and_reorder(
    plan: list[tuple[Actor, Request]], chance: random.Random
) -> None:
    hub = RoomHub(None, CID, epoch=1)
    batches = batches_of(hub, [*OPENING, *plan], View.AUDIENCE)
    messages = [Happened(CID, batch.epoch, batch.seq, batch.events) for batch in batches]
    rough = [message for message in messages for _ in range(chance.choice([0, 1, 1, 2]))]
    for place in range(len(rough) - 1):
        if chance.random() < 0.3:
            rough[place], rough[place + 1] = rough[place + 1], rough[place]
    replica = Replica(CID)
    for message in rough:
        replica, outcome = receive(replica, message)
        if outcome is Outcome.GAP:
            missed = hub.since(View.AUDIENCE, replica.epoch, replica.seq)
            assert missed is not None
            replica, outcome = receive(replica, missed)
            assert outcome is Outcome.APPLIED
    if (missed := hub.since(View.AUDIENCE, replica.epoch, replica.seq)) is not None:
        replica, _ = receive(replica, missed)
    assert replica.room == hub.public(View.AUDIENCE)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_snapshots_and_events_survive_the_wire(plan: list[tuple[Actor, Request]]) -> None:
    hub = RoomHub(None, CID, epoch=1)
    for batch in batches_of(hub, [*OPENING[:2], *plan], View.MODERATORS):
        message = Happened(CID, batch.epoch, batch.seq, batch.events)
        assert decode_from_server(encode(message)) == message
    snapshot = hub.snapshot(View.MODERATORS)
    assert snapshot is not None
    assert decode_from_server(encode(snapshot)) == snapshot


@given(st.lists(st.tuples(steps, steps), min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_evolve_takes_any_event_on_any_room(pairs: list[tuple[list[tuple[Actor, Request]], ...]]) -> None:
    for first, second in pairs:
        one, other = hub_with_room(), hub_with_room()
        events = [
            event
            for batch in batches_of(other, [*OPENING[:1], *second], View.MODERATORS)
            for event in batch.events
        ]
        batches_of(one, list(first), View.MODERATORS)
        room: Room | None = one.room
        for event in events:  # events of another room's history, on this one
            room = evolve(room, event)
        assert fold(None, events) is None or room is not None


def test_a_big_audience_is_counted_and_the_earliest_are_named() -> None:
    hub = hub_with_room()
    for number in range(LISTED_LISTENERS + 20):
        proposal = hub.propose(listener(number), Join(), now=2.0 + number)
        assert not isinstance(proposal, Refusal)
        hub.published(proposal)
    public = hub.public(View.AUDIENCE)
    assert public is not None
    assert UserId(f"listener-{LISTED_LISTENERS - 1}") in public.participants
    assert UserId(f"listener-{LISTED_LISTENERS}") not in public.participants
    leaving = hub.propose(listener(3), Leave(), now=500.0)
    assert not isinstance(leaving, Refusal)
    hub.published(leaving)
    public = hub.public(View.AUDIENCE)
    assert public is not None
    assert UserId(f"listener-{LISTED_LISTENERS}") in public.participants
    ticked = hub.tick(600.0)
    assert ticked is not None
    hub.published(ticked)
    public = hub.public(View.AUDIENCE)
    assert public is not None
    assert public.counts.participants == LISTED_LISTENERS + 20


def test_an_unnamed_listener_is_named_as_soon_as_their_hand_is_up() -> None:
    hub = hub_with_room()
    for number in range(LISTED_LISTENERS + 1):
        proposal = hub.propose(listener(number), Join(), now=2.0 + number)
        assert not isinstance(proposal, Refusal)
        hub.published(proposal)
    late = listener(LISTED_LISTENERS)
    raised = hub.propose(late, RaiseHand(), now=600.0)
    assert not isinstance(raised, Refusal)
    hub.published(raised)
    public = hub.public(View.AUDIENCE)
    assert public is not None
    assert late.user in public.participants
    assert public.hands[0].user == late.user


def test_closing_and_opening_of_microphones_is_told_to_the_shell() -> None:
    hub = hub_with_room()
    opened = hub.propose(ANN, SetMicrophone(True), now=3.0)
    assert not isinstance(opened, Refusal)
    assert opened.opens == {ANN.user}
    assert hub.room is not None
    assert audible(hub.room, ANN.user)
    left = hub.remove(ANN.user, LeaveReason.LOST)
    assert left.closes == {ANN.user}
    assert left.removed[ANN.user].reason is LeaveReason.LOST


def test_somebody_too_far_behind_gets_a_snapshot_and_somebody_near_gets_events() -> None:
    hub = hub_with_room()
    snapshot = hub.snapshot(View.AUDIENCE)
    assert snapshot is not None
    assert hub.since(View.AUDIENCE, snapshot.epoch, snapshot.seq) is None
    raised = hub.propose(Actor(UserId("bo"), "Bo"), Join(), now=3.0)
    assert not isinstance(raised, Refusal)
    hub.published(raised)
    near = hub.since(View.AUDIENCE, snapshot.epoch, snapshot.seq)
    assert isinstance(near, Happened)
    assert isinstance(hub.since(View.AUDIENCE, snapshot.epoch - 2, snapshot.seq), Snapshot)
    assert isinstance(hub.since(View.AUDIENCE, snapshot.epoch, snapshot.seq + 50), Snapshot)


@pytest.mark.parametrize("role", [USER, HOST])
def test_only_moderators_learn_who_is_blocked(role: Role) -> None:
    hub = hub_with_room()
    blocked = hub.propose(ANN, BlockUser(UserId("mallory")), now=3.0)
    assert not isinstance(blocked, Refusal)
    batches = hub.published(blocked)
    view = View.MODERATORS if role == HOST else View.AUDIENCE
    public = hub.public(view)
    assert public is not None
    assert bool(batches[view].events) is (role == HOST)
    assert (UserId("mallory") in public.blocked) is (role == HOST)
