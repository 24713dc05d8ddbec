from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from greenroom.protocol.deciding import Actor, Facts
from greenroom.protocol.hub import RoomHub
from greenroom.protocol.ids import Cid, MessageId, UserId
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import GetOrCreate, GoLive, Join, Leave, Request, SetMicrophone, SetSuspended
from greenroom.protocol.room import Counts, Room
from greenroom.storage.base import RowChange
from greenroom.storage.changes import room_changes
from greenroom.storage.sql import SqlRepository, sqlite_url
from tests.protocol.strategies import steps

CID = Cid("audio_room:standup")
ANN = Actor(UserId("ann"), "Ann")


def lasting(room: Room) -> Room:
    """Return what of `room` outlives the server."""
    return replace(room, participants={}, counts=Counts(), next_number=1, listed=0)


def decide_all(asked: list[tuple[Actor, Request]]) -> tuple[Room | None, list[RowChange]]:
    """Return the room after everything that was accepted, and the rows of it."""
    hub = RoomHub(None, CID, epoch=1)
    changes: list[RowChange] = []
    for number, (who, request) in enumerate([(ANN, GetOrCreate(title="Stand-up")), *asked]):
        proposal = hub.propose(who, request, 1_000.0 + number, Facts(message_id=MessageId(str(number))))
        if not isinstance(proposal, Refusal):
            changes += room_changes(proposal.before, proposal.events)
    return hub.room, changes


@given(steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_room_read_back_is_the_room_that_was_kept(asked: list[tuple[Actor, Request]]) -> None:
    async def read_back(changes: list[RowChange]) -> Room | None:
        with tempfile.TemporaryDirectory() as directory:
            repository = SqlRepository(sqlite_url(Path(directory) / "a.db"))
            await repository.open()
            try:
                await repository.commit(changes)
                return await repository.room(CID)
            finally:
                await repository.close()

    room, changes = decide_all(asked)
    assert room is not None
    assert asyncio.run(read_back(changes)) == lasting(room)


def test_coming_going_and_muting_costs_no_rows() -> None:
    _, made = decide_all([(ANN, GoLive())])
    passing: list[tuple[Actor, Request]] = [
        (ANN, GoLive()),
        (ANN, Join()),
        (ANN, SetMicrophone(True)),
        (ANN, SetSuspended(True)),
        (ANN, Leave()),
    ]
    assert decide_all(passing)[1] == made


def test_a_change_costs_as_little_in_a_large_room_as_in_a_small_one() -> None:
    people = [(Actor(UserId(f"u{n}"), f"U{n}"), Join()) for n in range(300)]
    small = decide_all([(ANN, GoLive()), (ANN, Join())])[1]
    started = time.perf_counter()
    large = decide_all([(ANN, GoLive()), (ANN, Join()), *people])[1]
    assert large == small
    assert time.perf_counter() - started < 5.0
