"""One contract for calls, in memory and on a real server: who rings, who answers, and how it ends."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from greenroom.engine.client import Client
from greenroom.errors import GreenroomError, Malformed, Refused
from greenroom.hosting import ServerProcess, start_server
from greenroom.policies.preferences import CallPreferences
from greenroom.protocol.call_types import DEFAULT, CallType, RingSettings
from greenroom.protocol.ids import ADMIN
from greenroom.protocol.ringing import EndReason, Ring, RingAnswer, RingPhase
from greenroom.state.call import CallPhase
from greenroom.state.engine import ClientState
from tests.backends.places import Memory, Place, Server, client

SECONDS = 10.0
QUICK = CallType(
    "quick",
    replace(DEFAULT.settings, ring=RingSettings(incoming_seconds=0.4, auto_cancel_seconds=0.8)),
    DEFAULT.grants,
)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("server")
    with start_server(data_dir=str(folder), media_workers=0) as process:
        yield process


@pytest.fixture(params=["loopback", "sfu"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "loopback":
        return Memory()
    return Server(request.getfixturevalue("process"))


class People:
    """Ann, Ben and Cal, connected."""

    def __init__(self, place: Place, ann: Client, ben: Client, cal: Client) -> None:
        self.place, self.ann, self.ben, self.cal = place, ann, ben, cal


@pytest.fixture
async def people(place: Place) -> AsyncIterator[People]:
    async with AsyncExitStack() as stack:
        ann, ben, cal = [
            await stack.enter_async_context(client(place, name)) for name in ("ann", "ben", "cal")
        ]
        yield People(place, ann, ben, cal)


async def sees(one: Client, ring: Ring, **fields: object) -> Ring:
    """Return the ring once `one` sees it like that."""

    def find(state: ClientState) -> Ring | None:
        found = state.rings.find(ring.id)
        fits = found is not None and all(getattr(found, name) == value for name, value in fields.items())
        return found if fits else None

    found = find(await one.state.until(lambda state: find(state) is not None, SECONDS))
    assert found is not None
    return found


async def rings_for(one: Client, count: int = 1) -> tuple[Ring, ...]:
    """Return what rings for somebody, once it is that many."""
    return await one.incoming_calls.until(lambda calls: len(calls) == count, SECONDS)


async def talk(caller: Client, callee: Client, ring: Ring) -> Ring:
    """Let the callee accept and come in; return the call once it is connected for both."""
    await callee.accept(ring)
    await callee.join(ring.cid)
    await sees(callee, ring, phase=RingPhase.CONNECTED)
    return await sees(caller, ring, phase=RingPhase.CONNECTED)


def refusals(error: GreenroomError) -> str:
    assert isinstance(error, Refused), error
    return error.reason


async def test_a_call_rings_is_accepted_and_ends_for_both_when_the_caller_hangs_up(people: People) -> None:
    ring = await people.ann.ring(people.place.ben, title="Plan", metadata={"ticket": 7})
    (heard,) = await rings_for(people.ben)
    assert (heard.by, heard.by_name, heard.title, heard.metadata) == (
        people.place.ann,
        "Ann",
        "Plan",
        {"ticket": 7},
    )
    assert heard.expires_at is not None
    assert heard.cid.startswith("default:")
    assert not people.ann.calls  # placing a call joins nothing until somebody accepts
    connected = await talk(people.ann, people.ben, ring)
    assert connected.connected_at is not None
    assert [call.cid for call in people.ann.calls] == [ring.cid]
    assert people.ben.incoming_calls.value == ()
    await people.ann.cancel_ring(ring)
    for one in (people.ann, people.ben):
        over = await sees(one, ring, phase=RingPhase.ENDED)
        assert (over.outcome, over.ended_by) == (EndReason.ENDED, people.place.ann)
        await one.state.until(
            lambda state: all(call.phase is CallPhase.LEFT for call in state.calls.values()), SECONDS
        )
    with pytest.raises(Refused):
        await people.ben.join(ring.cid)  # the room was made for the call, and went with it


async def test_accepting_does_not_join_and_who_hangs_up_before_the_other_came_in_is_told(
    people: People,
) -> None:
    ring = await people.ann.ring(people.place.ben, join=False)
    await rings_for(people.ben)
    accepted = await people.ben.accept(ring)
    assert accepted.phase is RingPhase.RINGING
    assert people.ben.calls == ()
    await people.ann.cancel_ring(ring, reason="wrong\x1b[31m number")
    over = await sees(people.ben, ring, outcome=EndReason.CANCELLED)
    assert over.reason == "wrong[31m number"


async def test_who_leaves_the_other_alone_ends_the_call(people: People) -> None:
    ring = await people.ann.ring(people.place.ben)
    await rings_for(people.ben)
    await talk(people.ann, people.ben, ring)
    call = people.ann.call(ring.cid)
    await people.ben.call(ring.cid).leave()
    await sees(people.ann, ring, outcome=EndReason.ENDED)
    await asyncio.wait_for(call.left(), SECONDS)


async def test_who_prefers_to_stay_alone_stays(people: People) -> None:
    ring = await people.ann.ring(
        people.place.ben, preferences=CallPreferences(drop_if_alone=False), room=_own()
    )
    await rings_for(people.ben)
    await talk(people.ann, people.ben, ring)
    await people.ben.call(ring.cid).leave()
    await sees(people.ann, ring, outcome=EndReason.ENDED)
    assert [call.cid for call in people.ann.calls] == [ring.cid]
    assert people.ann.call(ring.cid).state.value.phase is CallPhase.JOINED


async def test_saying_no_comes_with_a_reason_and_being_busy_is_another_word_for_it(people: People) -> None:
    for busy, outcome in ((False, EndReason.DECLINED), (True, EndReason.BUSY)):
        ring = await people.ann.ring(people.place.ben)
        (heard,) = await rings_for(people.ben)
        await people.ben.reject(heard, reason="in a meeting", busy=busy)
        over = await sees(people.ann, ring, outcome=outcome)
        assert (over.reason, over.ended_by) == ("in a meeting", people.place.ben)
        assert people.ann.calls == ()
        assert people.ann.outgoing_calls.value == people.ben.incoming_calls.value == ()


async def test_a_call_that_nobody_answers_is_missed(people: People) -> None:
    async with client(people.place, "admin", ADMIN) as admin:
        await admin.put_call_type(QUICK)
    room = f"quick:{secrets.token_hex(6)}"
    ring = await people.ann.ring([people.place.ben], room=room)
    await rings_for(people.ben)
    over = await sees(people.ann, ring, outcome=EndReason.MISSED)
    assert over.rung[0].answer is RingAnswer.MISSED
    assert over.ended_at is not None
    assert over.ended_at - over.started_at >= 0.4
    await sees(people.ben, ring, outcome=EndReason.MISSED)
    assert [call.by for call in people.ben.missed_calls] == [people.place.ann]
    people.ben.look_at_missed_calls()
    await people.ben.state.until(lambda state: not state.rings.missed, SECONDS)
    again = await people.ann.ring([people.place.ben], room=room)  # an own room serves many calls
    assert again.id != ring.id


async def test_a_call_waits_for_somebody_who_is_not_connected_and_else_tells_them_they_missed_it(
    people: People,
) -> None:
    place = people.place
    ring = await people.ann.ring(place.user("dora"))
    assert not ring.rung[0].reached
    async with client(place, "dora") as dora:
        (heard,) = await rings_for(dora)
        assert heard.id == ring.id
        await people.ann.outgoing_calls.until(lambda calls: calls[0].rung[0].reached, SECONDS)
        await dora.reject(heard)
    gone = await people.ann.ring(place.user("dora"))
    await people.ann.cancel_ring(gone)
    async with client(place, "dora") as dora:
        state = await dora.state.until(lambda state: bool(state.rings.missed), SECONDS)
        assert [call.ring for call in state.rings.missed] == [gone.id]
        assert dora.incoming_calls.value == ()
    async with client(place, "dora") as dora:
        await people.ann.ring(place.user("dora"))
        await rings_for(dora)
        assert dora.missed_calls == ()  # told once


async def test_several_calls_ring_at_once_and_each_is_answered_by_itself(people: People) -> None:
    first = await people.ann.ring(people.place.cal)
    second = await people.ben.ring(people.place.cal)
    heard = await rings_for(people.cal, 2)
    assert [ring.id for ring in heard] == [first.id, second.id]
    await people.cal.reject(first)
    assert [ring.id for ring in await rings_for(people.cal, 1)] == [second.id]
    await talk(people.ben, people.cal, second)


async def test_in_single_mode_accepting_leaves_the_call_before_and_hangs_up_what_was_placed(
    people: People,
) -> None:
    first = await people.ann.ring(people.place.ben)
    await rings_for(people.ben)
    await talk(people.ann, people.ben, first)
    placed = await people.ben.ring(people.place.user("dora"))
    second = await people.cal.ring(people.place.ben)
    await rings_for(people.ben)
    await people.ben.accept(second)
    assert people.ben.calls == ()
    await sees(people.ann, first, outcome=EndReason.ENDED)
    await sees(people.ben, placed, outcome=EndReason.CANCELLED)
    await people.ben.join(second.cid)
    await sees(people.cal, second, phase=RingPhase.CONNECTED)


async def test_who_wants_to_be_busy_in_a_call_is(people: People) -> None:
    async with client(people.place, "dora", preferences=CallPreferences(reject_when_busy=True)) as dora:
        first = await people.ann.ring(people.place.user("dora"))
        await rings_for(dora)
        await talk(people.ann, dora, first)
        second = await people.ben.ring(people.place.user("dora"))
        await sees(people.ben, second, outcome=EndReason.BUSY)
        assert dora.calls
    assert people.ann.state.value.rings.find(first.id) is not None


async def test_two_who_ring_each_other_at_once_are_in_one_call(people: People) -> None:
    place = people.place
    mine, theirs = await asyncio.gather(people.ann.ring(place.ben), people.ben.ring(place.ann))
    assert mine.cid == theirs.cid
    for one in (people.ann, people.ben):
        connected = await sees(one, mine, phase=RingPhase.CONNECTED)
        assert {connected.by, connected.rung[0].user} == {place.ann, place.ben}
        assert [call.cid for call in one.calls] == [mine.cid]
        assert list(one.state.value.rings.rings) == [mine.cid]


async def test_a_group_call_begins_with_the_first_and_ends_when_its_caller_hangs_up(people: People) -> None:
    place = people.place
    ring = await people.ann.ring([place.ben, place.cal])
    assert ring.group
    await rings_for(people.cal)
    await talk(people.ann, people.ben, ring)
    assert people.cal.incoming_calls.value  # it still rings for the other
    await people.cal.accept(ring)
    await people.cal.join(ring.cid)
    await people.ann.call(ring.cid).leave()
    call = people.ben.call(ring.cid)
    await call.state.until(
        lambda state: state.room is not None and len(state.room.participants) == 2, SECONDS
    )
    still = await sees(people.ben, ring, caller_here=False)
    assert still.phase is RingPhase.CONNECTED  # a group goes on without its caller, who may still end it
    await people.ann.cancel_ring(ring)
    await sees(people.cal, ring, outcome=EndReason.ENDED)
    await asyncio.wait_for(call.left(), SECONDS)


async def test_everybody_saying_no_ends_a_group_call(people: People) -> None:
    ring = await people.ann.ring([people.place.ben, people.place.cal])
    await rings_for(people.ben)
    await people.ben.reject(ring)
    assert (await sees(people.ann, ring, phase=RingPhase.RINGING)).outcome is None
    await people.cal.reject(ring)
    await sees(people.ann, ring, outcome=EndReason.DECLINED)


async def test_more_people_are_called_in_by_whoever_is_in_the_call(people: People) -> None:
    place = people.place
    ring = await people.ann.ring(place.ben)
    await rings_for(people.ben)
    await talk(people.ann, people.ben, ring)
    same = await people.ben.call(ring.cid).ring(place.cal)
    assert same.id == ring.id
    (heard,) = await rings_for(people.cal)
    rung = heard.of(place.cal)
    assert rung is not None
    assert (rung.by, heard.group) == (place.ben, True)
    await people.cal.accept(heard)
    await people.cal.join(heard.cid)  # a private room, that they became a member of by being called
    with pytest.raises(Refused) as already:
        await people.ben.call(ring.cid).ring(place.cal)
    assert refusals(already.value) == "already"


async def test_a_meeting_goes_on_when_somebody_called_in_leaves(people: People) -> None:
    room = _own()
    meeting = await people.ann.join(room, create=True)
    ring = await meeting.ring(people.place.ben)
    await rings_for(people.ben)
    await talk(people.ann, people.ben, ring)
    await people.ben.call(room).leave()
    await sees(people.ann, ring, outcome=EndReason.ENDED)
    assert meeting.state.value.phase is CallPhase.JOINED


async def test_what_makes_no_sense_is_refused_with_its_reason_and_nothing_is_stuck(people: People) -> None:
    place = people.place
    ring = await people.ann.ring(place.ben)
    await rings_for(people.ben)

    async def reason(work: object) -> str:
        with pytest.raises(Refused) as refusal:
            await work  # type: ignore[misc]  # whatever is awaitable
        assert str(refusal.value)
        return refusal.value.reason

    assert await reason(people.ann.ring(place.ann)) == "invalid"
    assert await reason(people.ann.ring([])) == "invalid"
    assert await reason(people.ann.ring(place.ben, kind="video")) == "not_available"
    assert await reason(people.ben.accept(ring, kind="video")) == "not_available"
    assert await reason(people.ann.ring(place.ben, room="nosuchtype:x")) == "invalid"
    assert await reason(people.ann.ring(place.ben, metadata={"x": "y" * 2000})) == "too_large"
    assert await reason(people.ben.accept("default:unknown")) == "not_found"
    assert await reason(people.cal.accept(ring)) == "not_found"  # none of their business
    assert await reason(people.cal.cancel_ring(ring)) == "not_found"
    assert await reason(people.ben.cancel_ring(ring)) == "invalid"
    assert await reason(people.cal.ring(place.ben, room=ring.cid)) == "not_found"
    with pytest.raises(Malformed):
        await people.ann.ring("a stranger / with an impossible name")
    with pytest.raises(Malformed):
        await people.ann.ring(place.ben, kind="telepathy")
    for nothing in (5, None, [None]):
        with pytest.raises(Malformed):
            await people.ann.ring(nothing)  # type: ignore[arg-type]  # is the point
    with pytest.raises(Malformed):
        await people.ann.ring(place.ben, metadata={"x": float("nan")})
    with pytest.raises(Malformed):
        await people.ben.accept(5)  # type: ignore[arg-type]  # is the point

    await people.ben.accept(ring)
    assert await reason(people.ben.accept(ring)) == "already"
    await people.ann.cancel_ring(ring)
    await sees(people.ben, ring, phase=RingPhase.ENDED)
    assert await reason(people.ben.accept(ring)) == "ended"
    assert await reason(people.ben.reject(ring)) == "ended"
    assert await reason(people.ann.cancel_ring(ring)) == "ended"
    for one in (people.ann, people.ben, people.cal):
        assert one.incoming_calls.value == one.outgoing_calls.value == ()


async def test_a_client_that_goes_hangs_up_what_it_placed(people: People) -> None:
    async with client(people.place, "dora") as dora:
        ring = await dora.ring(people.place.ben)
        await rings_for(people.ben)
    over = await sees(people.ben, ring, phase=RingPhase.ENDED)
    assert over.outcome in (EndReason.CANCELLED, EndReason.FAILED)
    assert people.ben.incoming_calls.value == ()


def _own() -> str:
    return f"default:{secrets.token_hex(6)}"
