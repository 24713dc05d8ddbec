"""Who may ring whom into which room, and what an ended call lets go of."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.protocol.call_types import AUDIO_ROOM, DEFAULT
from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Accepted, Actor
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import ANONYMOUS, CALL_MEMBER, GUEST, USER, Cid, Role, UserId
from greenroom.protocol.placing import MAX_RUNG, Placing, place
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import (
    AcceptRing,
    BlockUser,
    CancelRing,
    End,
    GetOrCreate,
    Join,
    Request,
    SetRole,
    StartRing,
)
from greenroom.protocol.ring_steps import Callee
from greenroom.protocol.ringing import EndReason, Ring, RingId, RingKind
from greenroom.protocol.room import Room
from greenroom.protocol.switchboard import MAX_RINGING_FOR_ONE, Change, Switchboard, let_go

ANN, BO, CY, DI = (UserId(name) for name in ("ann", "bo", "cy", "di"))
CALL = Cid("default:call")


def actor(user: UserId, role: Role = USER) -> Actor:
    return Actor(user, user.title(), role)


def room_of(*steps: tuple[UserId, Request], cid: Cid = CALL) -> Room:
    """The room after what people did, all of it allowed."""
    room: Room | None = None
    for user, request in steps:
        decision = decide(room, cid, actor(user), request, 0.0)
        assert isinstance(decision, Accepted), decision
        room = fold(room, decision.events)
    assert room is not None
    return room


PRIVATE = room_of((ANN, GetOrCreate(private=True)), (ANN, Join()))
OPEN = room_of((ANN, GetOrCreate()), (ANN, Join()), (BO, Join()))
BACKSTAGE = room_of((ANN, GetOrCreate()), (ANN, Join()), cid=Cid("audio_room:talk"))


@pytest.mark.parametrize(
    ("room", "who", "request_", "people", "strangers"),
    [
        pytest.param(None, ANN, StartRing((BO, CY, BO)), (BO, CY), (), id="a room is made for it"),
        pytest.param(PRIVATE, ANN, StartRing((BO,)), (BO,), (BO,), id="a host lets somebody in"),
        pytest.param(OPEN, BO, StartRing((CY,)), (CY,), (), id="in an open room who may speak may call"),
        pytest.param(OPEN, ANN, StartRing((BO, CY)), (CY,), (), id="who is here is not rung"),
    ],
)
def test_a_call_may_be_placed(
    room: Room | None,
    who: UserId,
    request_: StartRing,
    people: tuple[UserId, ...],
    strangers: tuple[UserId, ...],
) -> None:
    placing = place(room, CALL, actor(who), request_, None, 1.0)
    assert isinstance(placing, Placing), placing
    assert (placing.people, placing.strangers, placing.placed) == (people, strangers, room is None)


@pytest.mark.parametrize(
    ("room", "who", "request_", "reason"),
    [
        pytest.param(None, actor(ANN), StartRing((ANN,)), Reason.INVALID, id="oneself"),
        pytest.param(None, actor(ANN), StartRing(), Reason.INVALID, id="nobody"),
        pytest.param(None, actor(ANN), StartRing((UserId("a b"),)), Reason.INVALID, id="an impossible id"),
        pytest.param(
            None, actor(ANN), StartRing((BO,), RingKind.VIDEO), Reason.NOT_AVAILABLE, id="with video"
        ),
        pytest.param(
            None,
            actor(ANN),
            StartRing(tuple(UserId(f"u{n}") for n in range(MAX_RUNG + 1))),
            Reason.TOO_LARGE,
            id="a crowd",
        ),
        pytest.param(
            None, actor(ANN), StartRing((BO,), metadata={"a": "x" * 2000}), Reason.TOO_LARGE, id="a novel"
        ),
        pytest.param(
            OPEN, actor(DI, ANONYMOUS), StartRing((CY,)), Reason.MISSING_CAPABILITY, id="without a name"
        ),
        pytest.param(OPEN, actor(DI), StartRing((CY,)), Reason.NOT_JOINED, id="from outside"),
        pytest.param(PRIVATE, actor(DI), StartRing((CY,)), Reason.NOT_FOUND, id="into a stranger's room"),
        pytest.param(OPEN, actor(ANN), StartRing((BO,)), Reason.ALREADY, id="somebody who is here"),
        pytest.param(
            OPEN, actor(ANN), StartRing(), Reason.ALREADY, id="members, of whom there are no others"
        ),
        pytest.param(
            room_of((ANN, GetOrCreate()), (ANN, Join()), (ANN, BlockUser(BO))),
            actor(ANN),
            StartRing((BO,)),
            Reason.BLOCKED,
            id="somebody who was blocked",
        ),
        pytest.param(
            room_of((ANN, GetOrCreate()), (ANN, End())),
            actor(ANN),
            StartRing((BO,)),
            Reason.ENDED,
            id="into a room that has ended",
        ),
        pytest.param(BACKSTAGE, actor(ANN), StartRing((BO,)), Reason.INVALID, id="who could not enter"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(
    room: Room | None, who: Actor, request_: StartRing, reason: Reason
) -> None:
    refusal = place(room, CALL, who, request_, None, 1.0)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason is reason
    assert refusal.message


def test_only_a_host_and_those_in_a_call_let_strangers_into_a_private_room() -> None:
    board = Switchboard()
    room = _call(board, ANN, CALL, BO)
    inside = room_of((ANN, GetOrCreate(private=True)), (ANN, Join()), (ANN, _member(BO)), (BO, Join()))
    assert isinstance(place(inside, CALL, actor(BO), StartRing((CY,)), None, 1.0), Refusal)
    board.answer(CALL, actor(BO), AcceptRing(), 1.0)
    placing = place(inside, CALL, actor(BO), StartRing((CY,)), board.ring(CALL), 1.0)
    assert isinstance(placing, Placing)
    assert placing.strangers == (CY,)
    assert room.created_by == ANN


def test_a_guest_of_a_room_does_not_call_from_outside_it() -> None:
    assert isinstance(place(OPEN, CALL, actor(DI, GUEST), StartRing((CY,)), None, 1.0), Refusal)


def test_nobody_is_rung_by_more_calls_than_they_could_look_at() -> None:
    board = Switchboard()
    for number in range(MAX_RINGING_FOR_ONE):
        _call(board, ANN, Cid(f"default:{number}"), BO)
    refusal = board.check(None, Cid("default:more"), actor(CY), StartRing((BO,)), 1.0)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.FULL


def test_whoever_rings_second_answers_the_first() -> None:
    board = Switchboard()
    _call(board, ANN, CALL, BO)
    ring = board.check(None, Cid("default:back"), actor(BO), StartRing((ANN,)), 1.0)
    assert isinstance(ring, Ring)
    told, answered = board.merge(ring, Cid("default:back"), actor(BO), 1.0, RingId("second"))
    assert (told.after.outcome, told.after.merged_into, told.after.people) == (
        EndReason.MERGED,
        CALL,
        frozenset({BO}),
    )
    assert answered.after.rung[0].answer == "accepted"
    # A group is another call than the one that rings, and is placed.
    assert isinstance(board.check(None, Cid("default:group"), actor(BO), StartRing((ANN, CY)), 1.0), Placing)


@pytest.mark.parametrize(
    ("own_room", "drop", "here", "hung_up", "ends", "sent_home"),
    [
        pytest.param(True, True, (ANN, BO), True, True, (), id="hung up: its room ends"),
        pytest.param(False, True, (ANN, BO), True, False, (ANN, BO), id="hung up: an own room stays"),
        pytest.param(True, True, (ANN,), False, True, (), id="alone: its room ends"),
        pytest.param(False, True, (ANN,), False, False, (ANN,), id="alone: sent home from an own room"),
        pytest.param(False, False, (ANN,), False, False, (), id="alone, and may stay"),
        pytest.param(True, False, (ANN,), False, False, (), id="alone, and may stay in its room"),
        pytest.param(True, False, (), False, True, (), id="nobody is left: its room ends"),
        pytest.param(True, True, (ANN, CY), False, False, (), id="others are there"),
    ],
)
def test_a_call_that_is_over_lets_go_of_what_belonged_to_it(
    own_room: bool,
    drop: bool,
    here: tuple[UserId, ...],
    hung_up: bool,
    ends: bool,
    sent_home: tuple[UserId, ...],
) -> None:
    board = Switchboard()
    _call(board, ANN, CALL, BO, own_room=own_room, drop=drop)
    (change,) = _end(board)
    ring = replace(change.after, ended_by=ANN if hung_up else None)
    steps: list[tuple[UserId, Request]] = [(ANN, GetOrCreate())]
    steps += [(user, Join()) for user in here]
    assert let_go(ring, room_of(*steps)) == (ends, sent_home)
    assert let_go(ring, None) == (False, ())
    assert let_go(replace(ring, placed=False), room_of(*steps)) == (False, ())


def test_the_calls_of_a_type_without_ring_settings_have_no_times() -> None:
    assert AUDIO_ROOM.settings.ring.incoming_seconds == AUDIO_ROOM.settings.ring.auto_cancel_seconds == 0.0
    ring = DEFAULT.settings.ring
    assert (ring.incoming_seconds, ring.auto_cancel_seconds, ring.drop_when_alone) == (30.0, 45.0, True)


def _call(
    board: Switchboard, by: UserId, cid: Cid, to: UserId, *, own_room: bool = True, drop: bool = True
) -> Room:
    room = room_of((by, GetOrCreate(private=True)), cid=cid)
    request = StartRing((to,), keep_room=not own_room, drop_when_alone=drop)
    changes = board.start(
        room,
        cid,
        actor(by),
        request,
        0.0,
        ring_id=RingId(cid),
        made_room=True,
        callee=lambda user: Callee(user, user.title(), True),
    )
    assert not isinstance(changes, Refusal), changes
    return room


def _end(board: Switchboard) -> tuple[Change, ...]:
    changes = board.answer(CALL, actor(ANN), CancelRing(), 1.0)
    assert not isinstance(changes, Refusal)
    return changes


def _member(user: UserId) -> Request:
    return SetRole(user, CALL_MEMBER)
