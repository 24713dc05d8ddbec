"""Media workers as processes: connected, revoked, killed, replaced, spread."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil
import pytest

from greenroom.errors import MediaFailed
from greenroom.lab.light_client import Credentials, Crowd, LightClient
from greenroom.sfu.base import MediaEngine, MediaRefused
from greenroom.sfu.control import MediaEvent, PeerDown, PeerUp, SpeakerLoss, WorkerDied, WorkerReplaced
from greenroom.sfu.pool import MediaPool
from tests.sfu.aiortc_peers import AiortcPeer, ToneTrack, loopback_candidates, loudest_hertz

pytestmark = pytest.mark.live

CREDENTIALS = Credentials()


class Watched:
    """A running pool, what it told, and a crowd of light clients."""

    def __init__(self, pool: MediaPool, crowd: Crowd) -> None:
        self.pool = pool
        self.crowd = crowd
        self.events: list[tuple[float, MediaEvent]] = []
        pool.on_event = self._happened

    def _happened(self, event: MediaEvent) -> None:
        self.events.append((time.monotonic(), event))

    def told(self, kind: type[MediaEvent]) -> list[MediaEvent]:
        return [event for _, event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
        await self.crowd.until(condition, timeout_seconds)

    async def join(
        self, name: str, number: int, *, may_speak: bool = True, room: str = "room"
    ) -> LightClient:
        client = LightClient(slots=3, speaks=True, decrypts=True, credentials=CREDENTIALS)
        before = self.told(PeerUp).count(PeerUp(name))
        client.accept(await self.pool.connect(name, room, number, client.offer(), may_speak))
        self.crowd.clients.append(client)
        await self.until(lambda: client.connected and self.told(PeerUp).count(PeerUp(name)) > before)
        return client


@asynccontextmanager
async def watched(workers: int = 1, max_peers_per_worker: int = 1000) -> AsyncIterator[Watched]:
    async with (
        MediaPool(workers, max_peers_per_worker=max_peers_per_worker) as pool,
        Crowd(interval_seconds=0.005) as crowd,
    ):
        yield Watched(pool, crowd)


@asynccontextmanager
async def talking(client: LightClient, payload: bytes) -> AsyncIterator[None]:
    """Let a client publish, allowed or not, every 20 ms."""

    async def talk() -> None:
        frame = 0
        while True:
            client.say(payload, frame * 960)
            frame += 1
            await asyncio.sleep(0.02)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_pool_is_a_media_engine_and_closes_quietly_twice() -> None:
    pool = MediaPool()
    engine: MediaEngine = pool
    await engine.start()
    (statistics,) = await engine.statistics()
    assert psutil.pid_exists(statistics.process)
    await engine.close()
    await engine.close()
    assert not psutil.pid_exists(statistics.process)


async def test_a_worker_runs_one_python_thread_and_leaves_interrupts_to_its_owner() -> None:
    async with MediaPool() as pool:
        (statistics,) = await pool.statistics()
        assert psutil.Process(statistics.process).num_threads() == 1
        assert os.getsid(statistics.process) != os.getsid(0)


async def test_an_offer_that_cannot_be_answered_is_refused_with_a_reason() -> None:
    async with MediaPool() as pool:
        with pytest.raises(MediaRefused, match="not a session description"):
            await pool.connect("ann", "room", 1, "hello", True)
        await pool.set_forwarding("ann", True)
        await pool.disconnect("ann")
        await pool.close_room("room")


async def test_a_host_that_has_no_address_is_said_so() -> None:
    with pytest.raises(MediaFailed, match="nowhere"):
        await MediaPool(host="nowhere.invalid").start()


async def test_a_host_may_be_named() -> None:
    async with MediaPool(host="localhost") as pool:
        client = LightClient(credentials=CREDENTIALS)
        client.accept(await pool.connect("ann", "room", 1, client.offer(), True))
        assert client.server is not None
        assert client.server[0] in ("127.0.0.1", "::1")
        client.close()


async def test_a_port_that_is_taken_is_said_so() -> None:
    async with MediaPool() as pool:
        (statistics,) = await pool.statistics()
        other = MediaPool(udp_ports=[statistics.udp_port])
        with pytest.raises(Exception, match="port could not be opened"):
            await other.start()


@pytest.mark.quiet
async def test_within_100_ms_of_a_revoke_a_sender_who_ignores_it_is_silent() -> None:
    async with watched() as stage:
        ann, ben = await stage.join("ann", 1), await stage.join("ben", 2)
        async with talking(ann, b"mallory"):
            await stage.until(lambda: len(ben.heard) > 10)
            revoked = time.monotonic()
            await stage.pool.set_forwarding("ann", False)
            acknowledged = time.monotonic()
            await asyncio.sleep(0.5)  # how long we listen: she goes on all the while
            last = ben.heard[-1].at
            assert last - revoked <= 0.1
            assert acknowledged - revoked <= 0.1
            (statistics,) = await stage.pool.statistics()
            assert statistics.packets_denied > 15


async def test_who_was_never_allowed_or_was_removed_is_not_heard() -> None:
    async with watched() as stage:
        ann = await stage.join("ann", 1, may_speak=False)
        eve, ben = await stage.join("eve", 3), await stage.join("ben", 2)
        async with talking(ann, b"never"), talking(eve, b"once"):
            await stage.until(lambda: len(ben.heard) > 5)
            await stage.pool.disconnect("eve")
            removed = time.monotonic()
            await asyncio.sleep(0.3)  # how long we listen
        assert {heard.packet.payload for heard in ben.heard} == {b"once"}
        assert ben.heard[-1].at - removed <= 0.1


async def test_rooms_do_not_hear_each_other() -> None:
    async with watched() as stage:
        ann = await stage.join("ann", 1, room="one")
        near, far = await stage.join("near", 2, room="one"), await stage.join("far", 2, room="two")
        async with talking(ann, b"one"):
            await stage.until(lambda: len(near.heard) > 5)
        assert not far.heard


async def test_a_killed_worker_is_replaced_within_two_seconds_and_its_peers_are_named() -> None:
    async with watched() as stage:
        await stage.join("ann", 1)
        await stage.join("ben", 2)
        (before,) = await stage.pool.statistics()
        killed = time.monotonic()
        os.kill(before.process, signal.SIGKILL)
        await stage.until(lambda: bool(stage.told(WorkerReplaced)))
        died = next(event for event in stage.told(WorkerDied) if isinstance(event, WorkerDied))
        assert sorted(died.peers) == ["ann", "ben"]
        replaced = next(at for at, event in stage.events if isinstance(event, WorkerReplaced))
        assert replaced - killed < 2.0
        ann, ben = await stage.join("ann", 1), await stage.join("ben", 2)
        async with talking(ann, b"back"):
            await stage.until(lambda: len(ben.heard) > 5)


async def test_a_connection_asked_for_while_a_worker_is_being_replaced_waits_for_it() -> None:
    async with watched() as stage:
        (before,) = await stage.pool.statistics()
        os.kill(before.process, signal.SIGKILL)
        await stage.until(lambda: bool(stage.told(WorkerDied)))
        await stage.join("ann", 1)


async def test_a_room_larger_than_a_worker_is_spread_and_everyone_hears_everyone() -> None:
    async with watched(workers=2, max_peers_per_worker=2) as stage:
        people = [await stage.join(f"p{number}", number) for number in range(1, 5)]
        workers = await stage.pool.statistics()
        assert [worker.connected for worker in workers] == [2, 2]
        async with talking(people[0], b"first"), talking(people[3], b"last"):
            await stage.until(lambda: all(len(people[i].heard) > 20 for i in (1, 2)))
            heard = {heard.packet.payload for heard in people[1].heard}
            assert heard == {heard.packet.payload for heard in people[2].heard} == {b"first", b"last"}
            assert {heard.packet.payload for heard in people[0].heard} == {b"last"}
            await stage.pool.set_forwarding("p1", False)
            revoked = time.monotonic()
            await asyncio.sleep(0.3)  # how long we listen
        late = [heard for heard in people[3].heard if heard.at > revoked + 0.1]
        assert late == []


async def test_a_speaker_is_told_the_loss_of_listeners_on_another_worker() -> None:
    async with watched(workers=2, max_peers_per_worker=1) as stage:
        ann, ben = await stage.join("ann", 1), await stage.join("ben", 2)
        async with talking(ann, b"hello"):
            await stage.until(lambda: bool(ben.heard))
            ben.report(0.25)
            await stage.until(
                lambda: any(
                    isinstance(event, SpeakerLoss) and event.peer == "ann" and event.p90_fraction > 0.2
                    for _, event in stage.events
                ),
                8.0,
            )


async def test_a_peer_that_leaves_by_itself_is_told() -> None:
    async with watched() as stage:
        ann = await stage.join("ann", 1)
        ann.close()
        await stage.until(lambda: stage.told(PeerDown) == [PeerDown("ann", "closed")])


async def test_two_aiortc_peers_hear_each_others_tones_at_their_own_level() -> None:
    async with MediaPool() as pool:
        with loopback_candidates():
            ann, ben = AiortcPeer(tone=ToneTrack(440, 0.3)), AiortcPeer(tone=ToneTrack(1000, 0.1))
            try:
                await ann.join(pool, "ann", "room", 1, may_speak=True)
                await ben.join(pool, "ben", "room", 2, may_speak=True)
                slots = asyncio.gather(*(_tone(peer) for peer in (ann, ben)))
                heard_by_ann, heard_by_ben = await asyncio.wait_for(slots, 15)
            finally:
                await ann.close()
                await ben.close()
    assert heard_by_ann == pytest.approx((1000, 0.1 / 2**0.5), rel=0.1)
    assert heard_by_ben == pytest.approx((440, 0.3 / 2**0.5), rel=0.1)


async def _tone(peer: AiortcPeer) -> tuple[float, float]:
    """Return (hertz, RMS) of the first slot that has sound; the first half second is the codec's."""
    waiting = {asyncio.create_task(peer.hear(slot, 75)) for slot in range(len(peer.tracks))}
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        samples = done.pop().result()[-48000:]
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return loudest_hertz(samples), float((samples**2).mean() ** 0.5)
