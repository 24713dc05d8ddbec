"""Calls as users of calling SDKs know them: many, one after another and at once, each with its phases and its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from greenroom.backends.loopback import LoopbackWorld
from greenroom.engine.call_manager import CallManager
from greenroom.engine.client import Client
from greenroom.errors import Misuse, Refused
from greenroom.protocol.ringing import EndReason
from greenroom.state.managed import (
    NEXT,
    CallError,
    CallOver,
    IncomingCall,
    ManagedCall,
    ManagerEvent,
    ManagerPhase,
    PersonJoined,
    PersonLeft,
    PhaseChanged,
)

SECONDS = 5.0
P = ManagerPhase


class Caller:
    """Somebody with a manager, and what it told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.manager = CallManager(client)
        self.told: list[ManagerEvent] = []
        self.manager.on(self.told.append)

    async def rung(self, calls: int = 1) -> ManagedCall:
        """Return the newest call that rings, once it is that many."""
        state = await self.manager.state.until(
            lambda state: _incoming(state.calls.values()) >= calls, SECONDS
        )
        return [call for call in state.calls.values() if call.phase is P.INCOMING][-1]

    def phases(self, call: ManagedCall) -> list[ManagerPhase]:
        return [
            event.call.phase
            for event in self.told
            if isinstance(event, PhaseChanged) and event.call.ring.id == call.ring.id
        ]


def _incoming(calls: object) -> int:
    return sum(call.phase is P.INCOMING for call in calls)  # type: ignore[attr-defined]  # values of a mapping


class Crowd:
    """Ann, Bo and Cy; Cy may be in several calls."""

    def __init__(self, ann: Caller, bo: Caller, cy: Caller) -> None:
        self.ann, self.bo, self.cy = ann, bo, cy


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    world = LoopbackWorld()
    async with AsyncExitStack() as stack:
        callers = [
            Caller(
                await stack.enter_async_context(
                    Client(backend=world.backend(name), allow_multiple_active_calls=name == "cy")
                )
            )
            for name in ("ann", "bo", "cy")
        ]
        yield Crowd(*callers)


async def test_a_call_goes_through_its_phases_for_both_and_its_length_is_real(crowd: Crowd) -> None:
    ann, bo = crowd.ann, crowd.bo
    assert ann.manager.phase is P.IDLE
    placed = await ann.manager.initiate("bo", title="Plan", metadata={"ticket": 7})
    assert (placed.phase, placed.outgoing, ann.manager.phase) == (P.CALLING, True, P.CALLING)
    rung = await bo.rung()
    assert (rung.outgoing, rung.ring.title, rung.ring.metadata) == (False, "Plan", {"ticket": 7})
    call = await bo.manager.accept(rung, audio=False)
    await bo.manager.connected(rung, SECONDS)
    connected = await ann.manager.connected(placed, SECONDS)
    assert ann.client.call(placed.cid).state.value.microphone.wish
    assert not call.state.value.microphone.wish
    await ann.manager.state.until(lambda state: state.calls[placed.ring.id].people == {"bo": "bo"}, SECONDS)
    await asyncio.sleep(0.05)  # a moment together, so that the call has a length
    await bo.manager.end(rung)
    over = await ann.manager.ended(placed, SECONDS)
    assert over.reason is EndReason.ENDED
    assert over.connected_at == connected.connected_at
    assert 0.05 <= over.seconds < 1.0
    assert over.seconds == pytest.approx(over.ring.duration_seconds, abs=0.1)
    assert ann.phases(placed) == [P.CALLING, P.CONNECTED, P.ENDED]
    assert bo.phases(rung) == [P.INCOMING, P.CONNECTED, P.ENDED]
    joined = [event.user for event in ann.told if isinstance(event, PersonJoined)]
    assert joined == ["bo"]
    assert [type(event) for event in bo.told].count(IncomingCall) == 1
    assert isinstance(ann.told[-1], CallOver)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("reject", EndReason.DECLINED),
        ("decline", EndReason.DECLINED),
        ("busy", EndReason.BUSY),
        ("cancel", EndReason.CANCELLED),
        ("end", EndReason.CANCELLED),
        ("end it there", EndReason.DECLINED),
    ],
)
async def test_how_a_call_ends_before_it_begins_is_told_as_its_reason(
    crowd: Crowd, how: str, reason: EndReason
) -> None:
    placed = await crowd.ann.manager.initiate("bo")
    rung = await crowd.bo.rung()
    match how:
        case "reject":
            await crowd.bo.manager.reject(rung, reason="later")
        case "decline":
            await crowd.bo.manager.decline(rung.cid)
        case "busy":
            await crowd.bo.manager.reject(rung, busy=True)
        case "cancel":
            await crowd.ann.manager.cancel(placed)
        case "end":
            await crowd.ann.manager.end(placed)
        case _:
            await crowd.bo.manager.end(rung)
    for caller, call in ((crowd.ann, placed), (crowd.bo, rung)):
        over = await caller.manager.ended(call, SECONDS)
        assert (over.reason, over.seconds) == (reason, 0.0)
    with pytest.raises(Refused) as refused:
        await crowd.ann.manager.connected(placed, SECONDS)
    assert refused.value.reason == reason.value
    await crowd.ann.manager.end(placed)  # over is quiet


async def test_one_manager_serves_many_calls_one_after_another(crowd: Crowd) -> None:
    for room in (None, "default:ours", "default:ours"):
        placed = await crowd.ann.manager.initiate("bo", room=room)
        rung = await crowd.bo.rung()
        await crowd.bo.manager.accept(rung)
        await crowd.ann.manager.connected(placed, SECONDS)
        await crowd.ann.manager.end(placed)
        assert (await crowd.bo.manager.ended(rung, SECONDS)).reason is EndReason.ENDED
    assert len(crowd.ann.manager.state.value.calls) == 3
    back = await crowd.bo.manager.initiate("ann")
    assert (await crowd.ann.rung()).ring.id == back.ring.id


async def test_one_manager_holds_many_calls_at_once(crowd: Crowd) -> None:
    first = await crowd.ann.manager.initiate("cy")
    second = await crowd.bo.manager.initiate("cy")
    newest = await crowd.cy.rung(2)
    assert newest.ring.id == second.ring.id
    for placed in (first, second):
        await crowd.cy.manager.accept(placed.ring)
        await crowd.cy.manager.connected(placed.ring, SECONDS)
    phases = {call.phase for call in crowd.cy.manager.state.value.calls.values()}
    assert phases == {P.CONNECTED}
    await crowd.ann.manager.end(first)
    await crowd.cy.manager.ended(first.ring, SECONDS)
    assert crowd.cy.manager.phase is P.CONNECTED


async def test_a_group_goes_on_for_the_others_when_one_leaves_and_ends_for_all_by_its_caller(
    crowd: Crowd,
) -> None:
    placed = await crowd.ann.manager.initiate_group(["bo", "cy"])
    for one in (crowd.bo, crowd.cy):
        await one.manager.accept(await one.rung())
        await one.manager.connected(placed.ring, SECONDS)
    await crowd.cy.manager.leave(placed.ring)
    gone = await crowd.cy.manager.ended(placed.ring, SECONDS)
    assert gone.reason is EndReason.ENDED
    left = await _tells(crowd.ann, PersonLeft)
    assert (left.user, crowd.ann.manager.phase) == ("cy", P.CONNECTED)
    await crowd.ann.manager.end(placed)
    assert (await crowd.bo.manager.ended(placed.ring, SECONDS)).reason is EndReason.ENDED


async def test_two_people_call_directly_in_a_room_for_two(crowd: Crowd) -> None:
    placed = await crowd.ann.manager.initiate_p2p("bo")
    assert placed.cid.startswith("direct:")
    rung = await crowd.bo.rung()
    assert rung.ring.p2p
    await crowd.bo.manager.accept(rung)
    await crowd.ann.manager.connected(placed, SECONDS)


async def test_both_calling_at_once_have_one_call(crowd: Crowd) -> None:
    mine, theirs = await asyncio.gather(crowd.ann.manager.initiate("bo"), crowd.bo.manager.initiate("ann"))
    assert mine.ring.id == theirs.ring.id
    for one in (crowd.ann, crowd.bo):
        await one.manager.connected(mine.ring, SECONDS)
        assert [call.phase for call in one.manager.state.value.calls.values()] == [P.CONNECTED]


async def test_what_is_refused_is_raised_and_told_and_leaves_nothing_behind(crowd: Crowd) -> None:
    manager = crowd.ann.manager
    with pytest.raises(Refused) as video:
        await manager.initiate("bo", call_type="video")
    assert video.value.reason == "not_available"
    with pytest.raises(Refused):
        await manager.initiate("ann")
    with pytest.raises(Refused):
        await manager.accept("default:nothing")
    with pytest.raises(Misuse):
        await manager.end("default:nothing")
    placed = await crowd.bo.manager.initiate("ann")
    rung = await crowd.ann.rung()
    with pytest.raises(Refused) as later:
        await manager.accept(rung, video=True)
    assert later.value.reason == "not_available"
    await manager.accept(rung)
    with pytest.raises(Refused) as twice:
        await manager.accept(rung)
    assert twice.value.reason == "already"
    errors = [event.reason for event in crowd.ann.told if isinstance(event, CallError)]
    assert errors == ["not_available", "invalid", "not_found", "not_available", "already"]
    await crowd.bo.manager.connected(placed, SECONDS)
    assert len(manager.state.value.calls) == 1


async def test_who_raises_while_listening_harms_nobody_and_who_stops_listening_hears_no_more(
    crowd: Crowd,
) -> None:
    def broken(event: ManagerEvent) -> None:
        raise ValueError("a mistake of an application")

    for unusable in ((5,), (broken, "IncomingCall")):
        with pytest.raises(Misuse):
            crowd.bo.manager.on(*unusable)
    heard: list[IncomingCall] = []
    crowd.bo.manager.on(broken)
    stop = crowd.bo.manager.on(heard.append, IncomingCall)
    placed = await crowd.ann.manager.initiate("bo")
    await crowd.bo.rung()
    await crowd.ann.manager.cancel(placed)
    await crowd.bo.manager.ended(placed.ring, SECONDS)
    stop()
    await crowd.ann.manager.initiate("bo")
    await crowd.bo.rung()
    assert [event.call.ring.id for event in heard] == [placed.ring.id]


async def test_disposing_ends_every_call_and_twice_is_quiet(crowd: Crowd) -> None:
    placed = await crowd.cy.manager.initiate("ann")
    await crowd.ann.manager.accept(await crowd.ann.rung())
    await crowd.cy.manager.connected(placed, SECONDS)
    ringing = await crowd.cy.manager.initiate("bo")
    await crowd.bo.rung()
    await crowd.cy.manager.dispose()
    await crowd.cy.manager.dispose()
    assert (await crowd.bo.manager.ended(ringing.ring, SECONDS)).reason is EndReason.CANCELLED
    assert (await crowd.ann.manager.ended(placed.ring, SECONDS)).reason is EndReason.ENDED
    with pytest.raises(Misuse):
        await crowd.cy.manager.initiate("bo")
    another = CallManager(crowd.cy.client)
    assert another.state.value.calls == {}  # what was over before it came is none of its calls


def test_a_call_without_a_loop_of_ones_own_works_by_the_blocking_twin() -> None:
    world = LoopbackWorld()
    with Client(backend=world.backend("ann")) as ann, Client(backend=world.backend("bo")) as bo:
        caller, callee = CallManager(ann), CallManager(bo)
        placed = caller.blocking.initiate("bo")
        callee.blocking.accept(placed.cid)
        assert caller.blocking.connected(placed, SECONDS).phase is P.CONNECTED
        caller.blocking.end(placed)
        assert callee.blocking.ended(placed.cid, SECONDS).reason is EndReason.ENDED


def test_no_phase_leads_back_and_the_end_is_final() -> None:
    assert NEXT.keys() == set(P)
    assert NEXT[P.ENDED] == frozenset()
    assert all(P.IDLE not in after for after in NEXT.values())


async def _tells(caller: Caller, kind: type[PersonLeft]) -> PersonLeft:
    async with asyncio.timeout(SECONDS):
        while True:
            for event in caller.told:
                if isinstance(event, kind):
                    return event
            await asyncio.sleep(0.01)
