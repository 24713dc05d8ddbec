"""One room with 195 light clients, four engines and a browser: everybody hears the speakers, nobody else is heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from greenroom.backends.base import LinkChanged, Session
from greenroom.backends.sfu import SfuBackend
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.hosting import start_server
from greenroom.lab.light_client import Credentials, Crowd, LightClient
from greenroom.media.sources import Tone
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.requests import Join
from greenroom.protocol.wire import FromServer, Happened, Snapshot
from greenroom.server.tokens import load_keys, mint
from tests.backends.places import Server, client
from tests.live.listening import assert_tone, hears, until
from tests.page.chromium import launched
from tests.page.visitor import visitor

pytestmark = [pytest.mark.live, pytest.mark.browser, pytest.mark.quiet]

LIGHT = 195
AT_ONCE = 10


class Ear:
    """Counts what one light client is told."""

    def __init__(self) -> None:
        self.snapshots = 0
        self.events = 0

    def received(self, message: FromServer) -> None:
        self.snapshots += isinstance(message, Snapshot)
        self.events += len(message.events) if isinstance(message, Happened) else 0

    def link_changed(self, change: LinkChanged) -> None:
        raise AssertionError(f"a light client lost its connection: {change.reason}")

    def seen(self) -> Mapping[Cid, tuple[int, int]]:
        return {}


async def come_in(url: str, token: str, cid: Cid, light: LightClient, ear: Ear) -> Session:
    """Join with signalling of our own client and the media of a light one."""
    session = SfuBackend(url, token=token).session()
    await session.open(ear)
    await session.do(cid, Join())
    light.accept(await session.attach(cid, light.offer()))
    return session


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Server]:
    with start_server(data_dir=str(tmp_path)) as process:
        yield Server(process)


async def test_a_full_room_hears_its_speakers(place: Server, tmp_path: Path, cid: str) -> None:
    server = place
    keys = load_keys(tmp_path / "secret")  # the server's own way to make tokens is limited in speed
    tones = {"ann": 400.0, "ben": 700.0, "cal": 1100.0}
    engines: dict[str, Client] = {
        name: client(server, name, source=Tone(tones.get(name, 200.0), -24.0)) for name in (*tones, "dan")
    }
    sessions: list[Session] = []
    credentials = Credentials()
    lights = [LightClient(credentials=credentials) for _ in range(LIGHT)]
    ears = [Ear() for _ in lights]
    gate = asyncio.Semaphore(AT_ONCE)
    calls: dict[str, Call] = {}
    try:
        calls["ann"] = await engines["ann"].join(cid, create=True, microphone=True)
        await calls["ann"].go_live()
        async with Crowd(lights) as crowd, launched() as browser, visitor(browser) as guest:

            async def enter(number: int) -> None:
                token = mint(keys, UserId(f"light{number}"), time.time()).token
                async with gate:
                    url = server.process.url
                    sessions.append(await come_in(url, token, Cid(cid), lights[number], ears[number]))

            async with asyncio.timeout(60.0), asyncio.TaskGroup() as coming:
                for number in range(LIGHT):
                    coming.create_task(enter(number))
            await crowd.connected(30.0)
            for name in ("ben", "cal", "dan"):
                calls[name] = await engines[name].join(cid)
            for name in ("ben", "cal"):
                await calls["ann"].grant(server.user(name))
                await calls[name].state.until(lambda call: "send-audio" in call.capabilities, 10.0)
                await calls[name].set_microphone(True)
            for name in tones:
                await hears(calls["dan"], server.user(name), 20.0)
            await guest.come_in(server.process.url, cid, "Bea")
            seen = calls["dan"].state.value.room
            assert seen is not None
            for name, frequency_hz in tones.items():
                await guest.hears(seen.participants[server.user(name)].number, frequency_hz)
            before = [sum(slot.packets for slot in light.slots) for light in lights]
            await asyncio.sleep(4.0)  # what is counted below
            after = [sum(slot.packets for slot in light.slots) for light in lights]
            received = [late - early for late, early in zip(after, before, strict=True)]
            lost = sum(slot.lost for light in lights for slot in light.slots)
            assert min(received) > 0.9 * 4.0 / 0.02, "each light client got the loudest voice all the time"
            assert lost <= 0.01 * sum(after)
            for name, frequency_hz in tones.items():
                assert_tone(calls["dan"].last(server.user(name), 0.5), frequency_hz, -24.0)
            assert calls["dan"].heard_seconds().keys() == {server.user(name) for name in tones}
            room = calls["dan"].state.value.room
            assert room is not None
            await calls["dan"].state.until(
                lambda call: call.room is not None and call.room.counts.participants == LIGHT + 5, 5.0
            )
            assert all(ear.snapshots == 1 for ear in ears)
            events = {ear.events for ear in ears}
            assert max(events) <= 2 * (LIGHT + 5) + 60
            page = await calls["dan"].people(limit=100)
            assert page.total == LIGHT + 5
            await until(lambda: calls["dan"].state.value.statistics is not None)
    finally:
        for session in sessions:
            await session.close()
        for one in engines.values():
            await one.close()
