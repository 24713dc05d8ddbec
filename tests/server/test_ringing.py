"""Calls on a server: asked twice, from two devices, through a lost network and a killed process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from greenroom.engine.client import Client
from greenroom.errors import StorageFailed
from greenroom.hosting import start_server_async
from greenroom.protocol.ids import ANONYMOUS, Cid, UserId
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import AcceptRing, CancelRing, GetOrCreate, Join, RejectRing, StartRing
from greenroom.protocol.ringing import EndReason, Ring, RingAnswer, RingPhase
from greenroom.protocol.wire import Done, Failed, MissedCalls, RingChanged, Rings
from greenroom.server.house import House
from greenroom.server.serve import Server
from greenroom.state.call import CallPhase
from greenroom.state.engine import ConnectionPhase
from tests.server.guest import Guest, Visit, serving, token_for, visiting

ANN, BO, CY = UserId("ann"), UserId("bo"), UserId("cy")
CALL = Cid("default:call")
SECONDS = 10.0


async def people(visit: Visit, data: Path, *names: str) -> list[Guest]:
    return [await visit.enter(token_for(data, name)) for name in names]


def house(server: Server) -> House:
    assert server._house is not None
    return server._house


async def ringing(guest: Guest, where: RingPhase = RingPhase.RINGING) -> Ring:
    """Return the call the guest was told of, once it is in that phase."""
    told = await guest.hears(RingChanged, lambda message: message.ring.phase is where)
    return told.ring


def reason(answer: Done | Failed) -> Reason:
    assert isinstance(answer, Failed)
    return answer.refusal.reason


async def test_a_request_that_is_sent_again_rings_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await people(visit, tmp_path, "ann", "bo")
        for _ in range(2):
            assert isinstance(await ann.do(StartRing((BO,)), CALL, op="once"), Done)
        await ringing(bo)
        for _ in range(2):
            assert isinstance(await bo.do(AcceptRing(), CALL, op="yes"), Done)
        await bo.until(lambda: bo.all(RingChanged)[-1].ring.rung[0].answer is RingAnswer.ACCEPTED)
        assert [message.ring.version for message in bo.all(RingChanged)] == [1, 2]
        assert reason(await bo.do(AcceptRing(), CALL)) is Reason.ALREADY


async def test_calls_are_told_to_those_they_concern_and_to_nobody_else(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo, cy = await people(visit, tmp_path, "ann", "bo", "cy")
        await ann.done(StartRing((BO,)), cid=CALL)
        await ringing(bo)
        for request in (AcceptRing(), RejectRing(), CancelRing(), StartRing((BO,)), Join()):
            assert reason(await cy.do(request, CALL)) is Reason.NOT_FOUND
        assert reason(await cy.do(AcceptRing(), Cid("default:nothing"))) is Reason.NOT_FOUND
        assert cy.all(RingChanged) == []
        assert cy.all(Rings) == [Rings(())]


async def test_another_device_of_the_same_person_is_told_what_rings_and_what_was_answered(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, phone = await people(visit, tmp_path, "ann", "bo")
        await ann.done(StartRing((BO,)), cid=CALL)
        await ringing(phone)
        (laptop,) = await people(visit, tmp_path, "bo")
        (heard,) = (await laptop.hears(Rings)).rings
        assert heard.rung[0].answer is RingAnswer.RINGING
        await phone.closed()
        await laptop.done(AcceptRing(), cid=CALL)
        (tablet,) = await people(visit, tmp_path, "bo")
        (heard,) = (await tablet.hears(Rings)).rings
        assert heard.rung[0].answer is RingAnswer.ACCEPTED
        await tablet.done(Join(), cid=CALL)
        await ann.done(Join(), cid=CALL)
        await ringing(ann, RingPhase.CONNECTED)


async def test_the_client_of_another_device_shows_that_it_was_answered_elsewhere(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, phone = await people(visit, tmp_path, "ann", "bo")
        await ann.done(StartRing((BO,)), cid=CALL)
        await ringing(phone)
        await phone.done(AcceptRing(), cid=CALL)
        async with Client(server.url, token=token_for(tmp_path, "bo")) as laptop:
            await laptop.state.until(lambda state: CALL in state.rings.rings, SECONDS)
            assert laptop.incoming_calls.value == ()


async def test_a_caller_whose_network_is_lost_rings_no_longer_than_they_could_be_back(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, grace_seconds=0.3) as server, visiting(server.url) as visit:
        ann, bo = await people(visit, tmp_path, "ann", "bo")
        await ann.done(StartRing((BO,)), cid=CALL)
        await ringing(bo)
        ann.vanish()
        await ann.closed()
        back = await visit.back(ann)  # in time: it rings on
        assert [ring.cid for ring in (await back.hears(Rings)).rings] == [CALL]
        back.vanish()
        over = await ringing(bo, RingPhase.ENDED)
        assert (over.outcome, over.ended_by) == (EndReason.FAILED, None)


async def test_who_is_told_of_changes_hears_each_once_and_who_is_not_connected_is_named(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        changes: list[tuple[int, RingPhase]] = []
        away: list[UserId] = []
        board = house(server).ringing
        board.on_change(lambda before, after: changes.append((before.version if before else 0, after.phase)))
        board.on_unreachable(lambda _, user: away.append(user))
        (ann,) = await people(visit, tmp_path, "ann")
        await ann.done(StartRing((BO, CY)), cid=CALL)
        assert (changes, away) == ([(0, RingPhase.RINGING)], [BO, CY])
        (bo,) = await people(visit, tmp_path, "bo")
        assert [ring.cid for ring in (await bo.hears(Rings)).rings] == [CALL]
        await ann.done(CancelRing(), cid=CALL)
        assert changes == [(0, RingPhase.RINGING), (1, RingPhase.RINGING), (2, RingPhase.ENDED)]
        (cy,) = await people(visit, tmp_path, "cy")
        missed = await cy.hears(MissedCalls)
        assert [(call.by, call.outcome) for call in missed.calls] == [(ANN, RingAnswer.CANCELLED)]
        assert bo.all(MissedCalls) == []  # was there, and saw it


async def test_a_call_that_cannot_be_kept_on_record_is_not_placed(tmp_path: Path) -> None:
    async def fail() -> None:
        raise StorageFailed("the disk is full")

    async with serving(tmp_path) as server, visiting(server.url) as visit:
        house(server).ringing.on_change(lambda before, _: fail() if before is None else None)
        ann, bo = await people(visit, tmp_path, "ann", "bo")
        assert reason(await ann.do(StartRing((BO,)), CALL)) is Reason.UNAVAILABLE
        assert (await ringing(bo, RingPhase.ENDED)).outcome is EndReason.FAILED


async def test_guests_of_one_room_and_listeners_without_a_name_call_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        (ann,) = await people(visit, tmp_path, "ann")
        room = Cid("default:open")
        await ann.done(GetOrCreate(), Join(), cid=room)
        nameless = await visit.enter(token_for(tmp_path, "x", role=ANONYMOUS))
        assert reason(await nameless.do(StartRing((ANN,)), room)) is Reason.MISSING_CAPABILITY
        bound = await visit.enter(token_for(tmp_path, "y", bound_to=room))
        assert reason(await bound.do(StartRing((ANN,)), CALL)) is Reason.NOT_FOUND
        assert (await bound.hears(Rings)).rings == ()


async def test_who_calls_too_often_is_slowed_down(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        (ann,) = await people(visit, tmp_path, "ann")
        answers = [await ann.do(StartRing((ANN,)), CALL) for _ in range(12)]
        assert {reason(answer) for answer in answers} == {Reason.INVALID, Reason.RATE_LIMITED}


@pytest.mark.live
async def test_after_the_server_was_killed_nothing_rings_for_ever_and_no_missed_call_is_forgotten(
    tmp_path: Path,
) -> None:
    server = await start_server_async(data_dir=str(tmp_path), media_workers=0)
    port = int(server.url.rpartition(":")[2])
    tokens = {user: await asyncio.to_thread(server.mint, UserId(user), user.title()) for user in "abcd"}
    async with (
        Client(server.url, token=tokens["a"], allow_multiple_active_calls=True) as ann,
        Client(server.url, token=tokens["b"], allow_multiple_active_calls=True) as bo,
        Client(server.url, token=tokens["c"]) as cy,
    ):
        talking = await ann.ring("b")
        await bo.incoming_calls.until(bool, SECONDS)
        await bo.accept(talking)
        call = await bo.join(talking.cid)
        await ann.state.until(
            lambda state: _phase(state.rings.find(talking.id)) is RingPhase.CONNECTED, SECONDS
        )
        waiting = await ann.ring("c")
        await cy.incoming_calls.until(bool, SECONDS)
        away = await ann.ring("d")
        server.kill()
        again = await start_server_async(data_dir=str(tmp_path), media_workers=0, port=port)
        try:
            await cy.incoming_calls.until(lambda calls: not calls, SECONDS)
            await ann.outgoing_calls.until(lambda calls: not calls, SECONDS)
            over = ann.state.value.rings.find(waiting.id)
            assert over is not None
            assert over.outcome is EndReason.FAILED
            await bo.state.until(lambda state: state.connection is ConnectionPhase.ONLINE, SECONDS)
            await call.state.until(lambda state: state.phase is CallPhase.JOINED, SECONDS)
            ring = await bo.ring("c")  # and calls can be placed again
            await cy.incoming_calls.until(bool, SECONDS)
            await bo.cancel_ring(ring)
            async with Client(server.url, token=tokens["d"]) as di:
                told = await di.state.until(lambda state: bool(state.rings.missed), SECONDS)
                assert [call.ring for call in told.rings.missed] == [away.id]
        finally:
            await asyncio.to_thread(again.close)


def _phase(ring: Ring | None) -> RingPhase | None:
    return None if ring is None else ring.phase
