"""Two people's sound goes straight from one to the other, and through the server whenever that does not work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from greenroom import CallManager
from greenroom.backends.sfu import SfuBackend
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.lab.netsim import RelayedBackend
from greenroom.lab.weather import CLEAR, Weather
from greenroom.media.dsp import strongest_hz
from greenroom.media.sources import Tone
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.peers import Failure, PeerFailed, PeerOffer, PeerReady
from greenroom.protocol.requests import Join, SetMicrophone
from greenroom.protocol.wire import FromPeer, ToPeer
from greenroom.server.serve import Server
from greenroom.state.call import CallState, MediaPhase
from greenroom.state.path import MediaPath, Way
from tests.live.listening import until
from tests.server.guest import serving, token_for, visiting
from tests.turn import relaying

pytestmark = pytest.mark.live

CID = Cid("direct:tea")
ANN, BO, CY = UserId("ann"), UserId("bo"), UserId("cy")
TONES = {ANN: 440.0, BO: 700.0, CY: 1000.0}
BLOCKED = Weather(loss=1.0)


@asynccontextmanager
async def person(server: Server, data: Path, user: UserId, **options: Any) -> AsyncIterator[Client]:
    """Yield a client for `user` whose microphone hums their tone."""
    backend = options.pop("backend", None) or SfuBackend(server.url, token=token_for(data, user), **options)
    async with Client(backend=backend, source=Tone(TONES[user], -20.0)) as client:
        yield client


async def joined(client: Client, create: bool = False) -> Call:
    return await client.join(CID, create=create, microphone=True)


def behind(server: Server, data: Path, user: UserId, between: Weather) -> RelayedBackend:
    """Return the way in for a person between whom and others there is this weather; the server is reached well."""
    return RelayedBackend(server.url, token=token_for(data, user), between=between)


def forwarded_for(server: Server) -> set[UserId]:
    """Return whose sound has a connection to the forwarding unit; from nobody else it takes a packet."""
    assert server._house is not None
    return {user for user in (ANN, BO, CY) if server._house.sound.connected(CID, user)}


async def goes(call: Call, way: Way, timeout_seconds: float = 8.0) -> CallState:
    """Return the state once sound goes this way."""
    return await call.state.until(
        lambda state: state.path.way is way and state.media is MediaPhase.CONNECTED, timeout_seconds
    )


async def hears_now(listener: Call, user: UserId, timeout_seconds: float = 10.0) -> None:
    """Return once `listener` has heard half a second more of `user` than before, and it is their tone."""
    before = listener.heard_seconds().get(user, 0.0)
    await until(lambda: listener.heard_seconds().get(user, 0.0) >= before + 0.5, timeout_seconds)
    await until(
        lambda: abs(strongest_hz(listener.last(user, 0.5)[:, 0]) - TONES[user]) < 15.0, timeout_seconds
    )


async def both_hear(ann: Call, bo: Call) -> None:
    """Return once Ann and Bo hear each other."""
    await asyncio.gather(hears_now(ann, BO), hears_now(bo, ANN))


@pytest.mark.quiet
async def test_two_people_hear_each_other_directly_and_the_forwarding_unit_hears_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "greenroom")
    async with (
        serving(tmp_path, media_workers=1) as server,
        person(server, tmp_path, ANN) as ann,
        person(server, tmp_path, BO) as bo,
    ):
        hers = await joined(ann, create=True)
        assert (await hers.state.until(lambda state: state.path.reason != "")).path == MediaPath(
            Way.NONE, "nobody else is here yet"
        )
        began = time.perf_counter()
        his = await joined(bo)
        await goes(his, Way.DIRECT)
        await goes(hers, Way.DIRECT)
        seconds = time.perf_counter() - began
        print(f"from joining to a direct way: {seconds * 1000:.0f} ms")
        assert seconds < 1.0
        await both_hear(hers, his)
        assert forwarded_for(server) == set()
        assert (await his.state.until(lambda state: state.speaking == {ANN, BO})).dominant in (ANN, BO)
        sound = his._membership._media.current
        assert sound is not None
        await hers.mute(BO)
        await his.state.until(lambda state: not state.microphone.open)
        await hers.state.until(lambda state: BO not in state.levels and BO not in state.speaking, 2.0)
        sent = sound.statistics().sent.packets
        await hers.state.until(lambda state: not state.level_history.get(BO), 3.0)  # a second later
        assert sound.statistics().sent.packets == sent

        keep, heard = sound.set_microphone, hers.heard_seconds()[BO]
        bo.engine.call_soon(lambda: keep(True))  # a program that does not obey
        setattr(sound, "set_microphone", lambda open_: None)  # noqa: B010  mypy would not have it replaced
        await until(lambda: sound.statistics().sent.packets > sent + 25)
        assert hers.heard_seconds()[BO] - heard < 0.05
        assert BO not in hers.state.value.levels
        setattr(sound, "set_microphone", keep)  # noqa: B010
        await his.set_microphone(True)
        await both_hear(hers, his)
        assert forwarded_for(server) == set()
        assert "127.0.0.1 " not in caplog.text
        assert "candidate" not in caplog.text


async def test_a_direct_call_that_is_accepted_goes_directly(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, media_workers=1) as server,
        person(server, tmp_path, ANN) as ann,
        person(server, tmp_path, BO) as bo,
    ):
        calling, called = CallManager(ann), CallManager(bo)
        await calling.initiate_p2p(BO)
        (ring,) = await bo.incoming_calls.until(bool)
        await called.accept(ring.cid)
        for client in (ann, bo):
            await client.state.until(lambda state: ring.cid in state.calls)
            await goes(client.call(ring.cid), Way.DIRECT)
        await both_hear(ann.call(ring.cid), bo.call(ring.cid))


async def test_where_udp_between_them_is_blocked_both_go_through_the_server(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, media_workers=1) as server,
        person(server, tmp_path, ANN) as ann,
        person(server, tmp_path, BO, backend=behind(server, tmp_path, BO, BLOCKED)) as bo,
    ):
        hers = await joined(ann, create=True)
        his = await joined(bo)
        began = time.perf_counter()
        ways = [(await goes(call, Way.FORWARDED)).path for call in (hers, his)]
        assert 2.5 < time.perf_counter() - began < 6.0
        assert ways == [
            MediaPath(Way.FORWARDED, "no direct way to Bo was found"),
            MediaPath(Way.FORWARDED, "no direct way to Ann was found"),
        ]
        await both_hear(hers, his)
        assert forwarded_for(server) == {ANN, BO}


async def test_a_direct_way_that_is_lost_leads_through_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path, media_workers=1) as server:
        backend = behind(server, tmp_path, BO, CLEAR)
        async with (
            person(server, tmp_path, ANN) as ann,
            person(server, tmp_path, BO, backend=backend) as bo,
        ):
            hers = await joined(ann, create=True)
            his = await joined(bo)
            await both_hear(hers, his)
            assert (await goes(his, Way.DIRECT)).path == MediaPath(Way.DIRECT)
            backend.change_between(BLOCKED)
            for call in (hers, his):
                reason = (await goes(call, Way.FORWARDED)).path.reason
                assert "could not be reached directly any more" in reason or "was lost" in reason
            await both_hear(hers, his)
            assert forwarded_for(server) == {ANN, BO}


async def test_a_third_person_leads_everybody_through_the_server_for_good(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, media_workers=1) as server,
        person(server, tmp_path, ANN) as ann,
        person(server, tmp_path, BO) as bo,
        person(server, tmp_path, CY) as cy,
    ):
        hers = await joined(ann, create=True)
        his = await joined(bo)
        await goes(hers, Way.DIRECT)
        third = await joined(cy)
        for call in (hers, his, third):
            assert (await goes(call, Way.FORWARDED)).path.reason == "3 people are here"
        await hears_now(third, ANN)
        await hears_now(third, BO)
        await both_hear(hers, his)
        assert forwarded_for(server) == {ANN, BO, CY}
        await third.leave()
        await hers.state.until(lambda state: state.path.reason == "somebody else was here too")
        await both_hear(hers, his)
        await his.leave()
        await hers.state.until(lambda state: state.path == MediaPath(Way.NONE, "nobody else is here yet"))
        again = await joined(bo)
        await goes(again, Way.DIRECT)
        await both_hear(hers, again)


async def test_a_direct_way_needs_no_server_once_it_stands(tmp_path: Path) -> None:
    async with serving(tmp_path, media_workers=1, port=0) as first:
        port = int(first.url.rpartition(":")[2])
        async with (
            person(first, tmp_path, ANN) as ann,
            person(first, tmp_path, BO) as bo,
        ):
            hers = await joined(ann, create=True)
            his = await joined(bo)
            await both_hear(hers, his)
            media = hers._membership._media.current
            assert first._house is not None
            await first._stack.aclose()
            await both_hear(hers, his)
            async with serving(tmp_path, media_workers=1, port=port) as second:
                await until(lambda: both_back(second), 15.0)
                await both_hear(hers, his)
                assert hers._membership._media.current is media, "it is the same connection"
                assert forwarded_for(second) == set()
                await hers.leave()


async def test_forced_through_a_relay_both_hear_each_other_and_the_state_says_so(tmp_path: Path) -> None:
    async with (
        relaying(tmp_path / "turn") as turn,
        serving(
            tmp_path, media_workers=1, turn=(turn.address,), turn_secret_file=str(turn.secret_file)
        ) as server,
        person(server, tmp_path, ANN, ice_transport="relay") as ann,
        person(server, tmp_path, BO, ice_transport="relay") as bo,
    ):
        hers = await joined(ann, create=True)
        his = await joined(bo)
        for call in (hers, his):
            assert (await goes(call, Way.RELAYED)).path == MediaPath(Way.RELAYED, "through a relay")
        await both_hear(hers, his)
        assert forwarded_for(server) == set()


async def test_a_relay_that_is_asked_for_and_missing_is_not_waited_for(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, media_workers=1) as server,
        person(server, tmp_path, ANN, ice_transport="relay") as ann,
        person(server, tmp_path, BO) as bo,
    ):
        hers = await joined(ann, create=True)
        his = await joined(bo)
        reasons = [(await goes(call, Way.FORWARDED, 2.0)).path.reason for call in (hers, his)]
        assert reasons == [
            "no relay (TURN) can be reached, and nothing else was to be used",
            "no direct way to Ann was found",
        ]
        await both_hear(hers, his)


@pytest.mark.parametrize(
    ("sdp", "reason"),
    [
        pytest.param("v=0 garbage", "the other person's offer cannot be read", id="garbage"),
        pytest.param(None, "Mallory's side goes through the server", id="never an offer, but a refusal"),
    ],
)
async def test_an_engine_survives_what_a_hostile_peer_says(
    tmp_path: Path, sdp: str | None, reason: str
) -> None:
    async with serving(tmp_path, media_workers=1) as server, visiting(server.url) as visit:
        mallory = await visit.enter(token_for(tmp_path, "mallory"))
        async with person(server, tmp_path, ANN) as ann:
            await ann.create(CID)
            await mallory.done(Join(), SetMicrophone(True), cid=CID)
            hers = await joined(ann)
            await mallory.hears(FromPeer, lambda message: isinstance(message.body, PeerReady))
            signal = PeerFailed(Failure.UNWILLING) if sdp is None else PeerOffer("a1", sdp)
            await mallory.say(ToPeer(CID, ANN, signal))
            began = time.perf_counter()
            assert (await goes(hers, Way.FORWARDED)).path.reason == reason
            assert time.perf_counter() - began < 2.0
            if sdp is not None:
                told = await mallory.hears(FromPeer, lambda message: isinstance(message.body, PeerFailed))
                assert told.body == PeerFailed(Failure.UNREADABLE, "a1")


def both_back(server: Server) -> bool:
    """Tell whether both are back in the room of a server that began anew."""
    house = server._house
    room = None if house is None else house.hosted(CID)
    return room is not None and room.committed is not None and set(room.committed.participants) == {ANN, BO}
