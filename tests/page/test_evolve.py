"""The browser folds rooms exactly as Python does: same events, same room, for legal histories and for nonsense."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.async_api import Page

from greenroom.policies.reconnect import next_attempt
from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.deciding import Actor, Facts
from greenroom.protocol.events import (
    ConnectionChanged,
    CountsChanged,
    Event,
    GrantsChanged,
    HandLowered,
    HandRaised,
    InvitationEnded,
    InvitedToStage,
    LiveStopped,
    MemberRemoved,
    MemberSet,
    MessageDeleted,
    MessageEdited,
    MessagePosted,
    MicrophoneChanged,
    ParticipantHidden,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantListed,
    ParticipantShown,
    PermissionsChanged,
    RoomCreated,
    RoomEnded,
    RoomUpdated,
    SuspensionChanged,
    UserBlocked,
    UserUnblocked,
    WentLive,
)
from greenroom.protocol.evolve import evolve
from greenroom.protocol.hub import RoomHub
from greenroom.protocol.ids import GUEST, HOST, SPEAKER, USER, Cid, MessageId, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.publish import View
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import GetOrCreate, GoLive, Join, Request
from greenroom.protocol.room import (
    CHAT_TAIL,
    Block,
    Counts,
    Hand,
    HandOutcome,
    Invitation,
    InvitationOutcome,
    LeaveReason,
    Member,
    Message,
    Participant,
    Room,
    may,
    new_room,
)
from greenroom.protocol.wire import Happened, Snapshot, encode
from greenroom.state.replica import Replica, receive
from tests.protocol.strategies import actors, capability_sets, roles, steps

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CID = Cid("audio_room:standup")
# A page shared by all examples holds no state: the modules are pure.
FOLDING = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Names that are own properties of every JavaScript object, or that it would put in an order of its own.
users = st.sampled_from([UserId(name) for name in ("ann", "bo", "42", "7", "constructor", "toString")])
instants = st.floats(0, 2e9, allow_nan=False)
participants = st.builds(
    Participant,
    user=users,
    name=st.text(max_size=5),
    number=st.integers(1, 2**32 - 1),
    role=roles,
    joined_at=instants,
    microphone=st.booleans(),
    muted_by=st.none() | users,
    suspended=st.booleans(),
    connected=st.booleans(),
    listed=st.booleans(),
)
ids = st.sampled_from([MessageId(str(number)) for number in range(4)])
messages = st.builds(
    Message, id=ids, user=users, name=st.text(max_size=3), text=st.text(max_size=9), at=instants
)
grants = st.dictionaries(st.sampled_from([USER, SPEAKER, GUEST, HOST]), capability_sets, max_size=3)
wild_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(RoomUpdated, st.text(max_size=5), st.none() | instants, st.just(AUDIO_ROOM.settings), users),
    st.builds(GrantsChanged, grants, users),
    st.builds(WentLive, instants, users),
    st.builds(LiveStopped, instants, users),
    st.builds(MemberSet, st.builds(Member, users, st.text(max_size=4), roles), users),
    st.builds(MemberRemoved, users, roles, users),
    st.builds(ParticipantJoined, participants),
    st.builds(ParticipantJoined, participants),
    st.builds(ParticipantShown, participants),
    st.builds(ParticipantLeft, users, st.sampled_from(LeaveReason)),
    st.builds(ParticipantHidden, users),
    st.builds(ParticipantListed, users),
    st.builds(ConnectionChanged, users, st.booleans()),
    st.builds(MicrophoneChanged, users, st.booleans(), st.none() | users),
    st.builds(SuspensionChanged, users, st.booleans()),
    st.builds(PermissionsChanged, users, capability_sets, capability_sets, st.none() | users),
    st.builds(HandRaised, st.builds(Hand, users, st.text(max_size=4), instants)),
    st.builds(HandLowered, users, st.sampled_from(HandOutcome), st.none() | users),
    st.builds(InvitedToStage, st.builds(Invitation, users, users, instants)),
    st.builds(InvitationEnded, users, st.sampled_from(InvitationOutcome)),
    st.builds(UserBlocked, st.builds(Block, users, users, instants)),
    st.builds(UserUnblocked, users, users),
    st.builds(MessagePosted, messages),
    st.builds(MessageEdited, ids, st.text(max_size=5), instants),
    st.builds(MessageDeleted, ids, users, instants),
    st.builds(CountsChanged, st.builds(Counts, st.integers(0, 9), st.integers(0, 9))),
)


@FOLDING
@given(crowd=st.tuples(*[participants] * 5), events=st.lists(wild_events, min_size=30, max_size=60))
async def test_any_events_fold_to_the_same_room(
    modules: Page, crowd: tuple[Participant, ...], events: list[Event]
) -> None:
    made = new_room(CID, AUDIO_ROOM, "Standup", UserId("ann"), 1.0)
    if len(events) % 2:
        made = msgspec.structs.replace(made, next_number=0)  # as in a replica
    # Whom everything is about should be there more often than not; what ends a room would leave little to compare.
    joined = [ParticipantJoined(participant) for participant in crowd]
    history = [
        events[0],
        RoomCreated(made),
        *joined,
        *events,
        RoomEnded(2.0, None),
        *events,
        RoomCreated(made),
    ]
    rooms: list[Room | None] = [None]
    for event in history:
        rooms.append(evolve(rooms[-1], event))
    assert await folded_in_browser(modules, history) == plain(json.loads(as_text(rooms)))


async def test_a_browser_keeps_as_much_chat_as_everybody(modules: Page) -> None:
    made = new_room(CID, AUDIO_ROOM, "Standup", UserId("ann"), 1.0)
    said = [Message(MessageId(str(n)), UserId("bo"), "Bo", f"line {n}", 1.0) for n in range(CHAT_TAIL + 3)]
    history: list[Event] = [RoomCreated(made), *(MessagePosted(message) for message in said)]
    rooms = await folded_in_browser(modules, history)
    assert [message["text"] for message in rooms[-1]["chat"]] == [
        message.text for message in said[-CHAT_TAIL:]
    ]


@FOLDING
@given(plan=steps, seed=st.integers(0, 2**32))
async def test_a_browser_replica_goes_through_what_a_python_replica_does(
    modules: Page, plan: list[tuple[Actor, Request]], seed: int
) -> None:
    wire = unreliable(published(plan), random.Random(seed))
    replica, outcomes = Replica(CID), []
    for message in wire:
        replica, outcome = receive(replica, message)
        outcomes.append(outcome.value)
    ended = await modules.evaluate(
        """async (wire) => {
            const { emptyReplica, receive } = await import("/static/replica.mjs");
            let replica = emptyReplica("audio_room:standup");
            const outcomes = [];
            for (const text of wire) {
                const received = receive(replica, JSON.parse(text));
                replica = received.replica;
                outcomes.push(received.outcome);
            }
            return JSON.stringify({ replica, outcomes });
        }""",
        [encode(message).decode() for message in wire],
    )
    theirs = json.loads(ended)
    assert theirs["outcomes"] == outcomes
    assert plain(theirs["replica"]) == plain(json.loads(as_text(replica)))


@FOLDING
@given(events=st.lists(wild_events, max_size=20), who=actors)
async def test_a_browser_knows_who_may_do_what(modules: Page, events: list[Event], who: Actor) -> None:
    room = new_room(CID, AUDIO_ROOM, "Standup", UserId("ann"), 1.0)
    for event in events:
        room = evolve(room, event) or room
    everybody = [UserId("ann"), UserId("bo"), UserId("constructor"), who.user]
    theirs = await modules.evaluate(
        """async ([text, users, capabilities, role]) => {
            const { may } = await import("/static/room.mjs");
            const room = JSON.parse(text);
            return users.map((user) => capabilities.map((capability) => may(room, user, capability, role)));
        }""",
        [as_text(room), everybody, [capability.value for capability in Capability], who.role],
    )
    assert theirs == [
        [may(room, user, capability, who.role) for capability in Capability] for user in everybody
    ]


async def test_an_event_from_a_newer_server_changes_nothing(modules: Page) -> None:
    room = new_room(CID, AUDIO_ROOM, "Standup", UserId("ann"), 1.0)
    unchanged = await modules.evaluate(
        """async (text) => {
            const { evolve } = await import("/static/evolve.mjs");
            const room = JSON.parse(text);
            return ["confetti_thrown", "constructor", "__proto__"].every((event) => evolve(room, { event }) === room);
        }""",
        as_text(room),
    )
    assert unchanged


async def test_a_browser_comes_back_as_patiently_as_every_client(modules: Page) -> None:
    asked = [(attempt, jitter) for attempt in range(-1, 9) for jitter in (0.0, 0.4, 1.0, 2.0)]
    theirs = await modules.evaluate(
        """async (asked) => {
            const { nextAttempt } = await import("/static/connection.mjs");
            return asked.map(([attempt, jitter]) => nextAttempt(attempt, jitter));
        }""",
        asked,
    )
    assert theirs == [next_attempt(attempt, jitter) for attempt, jitter in asked]


async def folded_in_browser(modules: Page, events: list[Event]) -> Any:
    """Return every room the browser goes through, from none at all, as plain JSON values."""
    rooms = await modules.evaluate(
        """async (events) => {
            const { evolve } = await import("/static/evolve.mjs");
            const rooms = [null];
            for (const event of JSON.parse(events)) rooms.push(evolve(rooms.at(-1), event));
            return JSON.stringify(rooms);
        }""",
        as_text(events),
    )
    return plain(json.loads(rooms))


def published(plan: Iterable[tuple[Actor, Request]]) -> list[Snapshot | Happened]:
    """Return what a hub sends an audience that sees `plan` happen: a snapshot, then events, then a late snapshot."""
    hub = RoomHub(None, CID, epoch=7)
    sent: list[Snapshot | Happened] = []
    opening: list[tuple[Actor, Request]] = [
        (Actor(UserId("ann"), "Ann"), request) for request in (GetOrCreate(), Join(), GoLive())
    ]
    for moment, (who, request) in enumerate([*opening, *plan]):
        proposal = hub.propose(who, request, float(moment), Facts(message_id=MessageId(str(moment))))
        if isinstance(proposal, Refusal):
            continue
        batch = hub.published(proposal)[View.AUDIENCE]
        snapshot = hub.snapshot(View.AUDIENCE)
        if not sent and snapshot is not None:
            sent.append(snapshot)
        elif batch.events:
            sent.append(Happened(CID, batch.epoch, batch.seq, batch.events))
    last = hub.snapshot(View.AUDIENCE)
    return [*sent, last] if last is not None else sent


def unreliable(sent: list[Snapshot | Happened], chance: random.Random) -> list[Snapshot | Happened]:
    """Return `sent` with losses, repetitions and neighbours swapped."""
    received = [message for message in sent for _ in range(chance.choice((0, 1, 1, 1, 1, 2)))]
    for place in range(len(received) - 1):
        if chance.random() < 0.1:
            received[place], received[place + 1] = received[place + 1], received[place]
    return received


def as_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def plain(value: Any) -> Any:
    """Return JSON `value` with sets of capabilities in order: a set has none."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inner_values = [plain(inner) for inner in value]
        names = {capability.value for capability in Capability}
        return (
            sorted(inner_values)
            if value and all(inner in names for inner in map(str, value))
            else inner_values
        )
    return value
