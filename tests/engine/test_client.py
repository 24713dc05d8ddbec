"""A client on its own thread, used from loops, from threads and from callbacks."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from greenroom.engine.call import BlockingCall, Call
from greenroom.engine.client import BlockingClient, Client
from greenroom.engine.thread import EngineThread
from greenroom.errors import Misuse, Refused
from greenroom.media.blocks import FRAME, Block
from greenroom.media.dsp import level_dbfs
from greenroom.media.sinks import Callback, Meter
from greenroom.media.sources import Tone
from greenroom.protocol.ids import UserId
from greenroom.protocol.requests import RaiseHand
from greenroom.state.call import CallPhase, CallState
from tests.backends.places import Memory, client

ROOM = "audio_room:room"
SECONDS = 5.0


def public_coroutines(kind: type) -> set[str]:
    """Return the names of the `async` methods of a class."""
    return {
        name
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and inspect.iscoroutinefunction(inspect.unwrap(member))
    }


@pytest.mark.parametrize(("kind", "twin"), [(Call, BlockingCall), (Client, BlockingClient)])
def test_every_async_method_has_a_blocking_twin(kind: type, twin: type) -> None:
    assert public_coroutines(kind)
    assert {name for name in public_coroutines(kind) if not hasattr(twin, name)} == set()


def test_a_program_without_a_loop_can_do_everything() -> None:
    place = Memory()
    with client(place, "ann") as ann:
        call = ann.blocking.join(ROOM, create=True, title="Standup")
        call.blocking.go_live()
        call.blocking.post("hello")
        assert call.state.value.room is not None
        assert [message.text for message in call.state.value.room.chat] == ["hello"]
        assert [room.title for room in ann.blocking.rooms()] == ["Standup"]
        with pytest.raises(Refused):
            call.blocking.perform(RaiseHand())
        call.blocking.leave()


def test_a_callback_of_the_engine_that_would_wait_for_the_engine_is_told_so() -> None:
    place = Memory()
    raised: list[type[BaseException]] = []
    with client(place, "ann") as ann:
        call = ann.blocking.join(ROOM, create=True)

        def look(_: CallState) -> None:
            try:
                call.blocking.post("no")
            except Misuse as error:
                raised.append(type(error))

        with call.state.subscribe(look, replay=False):
            call.blocking.go_live()
    assert raised[0] is Misuse


async def test_a_sleeping_program_costs_no_sound() -> None:
    place = Memory()
    blocks: list[float] = []
    async with (
        client(place, "ann", source=Tone(440.0, -20.0)) as ann,
        client(place, "ben", sink=Callback(lambda block: blocks.append(level_dbfs(block)))) as ben,
    ):
        speaking = await ann.join(ROOM, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(ROOM)
        await listening.state.until(lambda call: call.levels.get(place.ann, -96.0) > -30.0, SECONDS)
        before = len(blocks)
        time.sleep(0.5)  # noqa: ASYNC251  a notebook cell does just that
        assert len(blocks) - before >= 20
        assert min(blocks[before:]) > -30.0


async def test_a_raising_subscriber_tap_or_listener_harms_nobody() -> None:
    place = Memory()
    heard: list[Block] = []

    def raise_(*_: object) -> None:
        raise RuntimeError("mine alone")

    async with client(place, "ann", source=Tone(440.0, -20.0)) as ann, client(place, "ben") as ben:
        speaking = await ann.join(ROOM, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(ROOM)
        ben.state.subscribe(raise_)
        listening.state.subscribe(raise_)
        listening.tap(raise_)
        listening.on_custom(raise_)
        stop = listening.tap(lambda _user, block: heard.append(block))
        await speaking.send_custom("bang")
        await speaking.post("still here?")
        await listening.state.until(lambda call: bool(call.room and call.room.chat), SECONDS)
        await listening.state.until(lambda call: call.levels.get(place.ann, -96.0) > -30.0, SECONDS)
        stop()
        assert heard


async def test_stepped_by_hand_every_sample_arrives_in_order_and_at_once() -> None:
    place = Memory(paced=False)
    meter = Meter()
    engine = EngineThread()
    async with (
        client(place, "ann", source=Tone(500.0, -20.0), engine=engine, paced=False) as ann,
        client(place, "ben", sink=meter, engine=engine, paced=False) as ben,
    ):
        speaking = await ann.join(ROOM, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(ROOM)
        await speaking.sound_connected()
        await listening.sound_connected()

        async def step() -> None:
            place.world.step()

        for _ in range(10):
            await engine.run(step())
            await ben.step()
        sound = meter.recent(0.1)[:, 0]
        assert len(sound) == 5 * FRAME
        expected = np.sin(2 * np.pi * 500.0 * np.arange(len(sound)) / 48_000) * np.max(np.abs(sound))
        assert np.max(np.abs(sound - expected)) < 0.01
        await speaking.set_microphone(False)
        for _ in range(3):
            await engine.run(step())
            await ben.step()
        assert level_dbfs(meter.recent(0.02)) == -96.0
    assert not engine.running, "the thread ends with its last client"


async def test_lost_sound_comes_back_and_the_microphone_with_it() -> None:
    place = Memory()
    async with client(place, "ann", source=Tone(440.0, -20.0)) as ann, client(place, "ben") as ben:
        speaking = await ann.join(ROOM, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(ROOM)
        await listening.state.until(lambda call: call.levels.get(place.ann, -96.0) > -30.0, SECONDS)
        phases: list[tuple[str, bool]] = []
        with speaking.state.subscribe(phases.append, lambda call: (call.media, call.microphone.open)):
            session = place.world.sessions[place.ann]
            ann.engine.call_soon(lambda: session.lose_media(speaking.cid, "its worker died"))
            await _until(lambda: ("lost", False) in phases and phases[-1] == ("connected", True))
        assert phases[:2] == [("connected", True), ("lost", False)]
        assert phases[-1] == ("connected", True)
        assert speaking.state.value.microphone.wish


def test_a_closed_client_says_so_and_closing_twice_is_quiet() -> None:
    place = Memory()
    ann = client(place, "ann")
    with ann:
        call = ann.blocking.join(ROOM, create=True)
    ann.blocking.close()
    assert call.state.value.phase is CallPhase.LEFT
    with pytest.raises(Misuse, match="closed"):
        ann.blocking.join(ROOM)
    with pytest.raises(Misuse, match="join it first"):
        ann.call(ROOM)


def test_a_closed_client_stays_closed_though_others_keep_the_thread_going() -> None:
    place = Memory()
    with client(place, "ben"):
        ann = client(place, "ann")
        with ann:
            ann.blocking.join(ROOM, create=True)
        with pytest.raises(Misuse, match="closed"):
            ann.blocking.join(ROOM)
        with pytest.raises(Misuse, match="closed"):
            ann.blocking.rooms()
        assert ann.calls == ()


def test_a_slip_in_the_way_sound_may_take_is_refused() -> None:
    slip: Any = "relayed"
    with pytest.raises(Misuse, match="relay"):
        Client("http://127.0.0.1:9", token="none", ice_transport=slip)


def test_all_clients_of_a_process_share_one_thread() -> None:
    place = Memory()
    with client(place, "ann"), client(place, "ben"), client(place, "cal"):
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("greenroom-engine") == 1


async def test_cancelling_who_waits_cancels_the_work() -> None:
    engine = EngineThread()
    engine.acquire()
    ended = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    task = asyncio.create_task(engine.run(work()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, SECONDS)
    engine.release()


def test_waiting_may_give_up() -> None:
    engine = EngineThread()
    engine.acquire()
    with pytest.raises(TimeoutError):
        engine.wait(asyncio.sleep(60), timeout_seconds=0.05)
    engine.release()


async def test_a_volume_of_nothing_silences_one_person_for_me() -> None:
    place = Memory()
    meter = Meter()
    async with (
        client(place, "ann", source=Tone(440.0, -20.0)) as ann,
        client(place, "ben", sink=meter) as ben,
    ):
        speaking = await ann.join(ROOM, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(ROOM)
        await _until(lambda: meter.level_dbfs > -30.0)
        with pytest.raises(Misuse):
            listening.set_volume(UserId(place.ann), float("nan"))
        listening.set_volume(UserId(place.ann), 0.0)
        await _until(lambda: meter.level_dbfs == -96.0)
        assert level_dbfs(listening.last(place.ann, 0.02)) > -30.0, "she is heard, only not by me"


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110  a sink announces nothing to wait for
            await asyncio.sleep(0.01)
