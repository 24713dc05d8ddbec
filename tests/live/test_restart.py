"""After `kill -9`: everybody is back by themselves, as they were, and hears and is heard."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import psutil
import pytest

from greenroom.backends.sfu import SfuSession
from greenroom.engine.client import Client
from greenroom.hosting import ServerProcess, start_server, start_server_async
from greenroom.media.sources import Tone
from greenroom.protocol.room import Room
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.engine import ConnectionPhase
from tests.backends.places import Server, client
from tests.live.listening import hears, until

pytestmark = pytest.mark.live


def durable(room: Room | None) -> object:
    """Return what of a room must survive."""
    assert room is not None
    return (
        room.title,
        room.live,
        room.members,
        room.overrides,
        [hand.user for hand in room.hands],
        [(message.id, message.text) for message in room.chat],
        {user: person.microphone for user, person in room.participants.items()},
    )


def media_workers(process: ServerProcess) -> list[psutil.Process]:
    """Return the media workers of a server."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "greenroom.sfu" in " ".join(child.cmdline())]


async def cut(one: Client) -> None:
    """Cut the connection of a client as a network would."""
    session = one._core.session
    assert isinstance(session, SfuSession)
    socket = session._socket
    assert socket is not None
    await one.engine.run(socket.close())


async def test_a_killed_server_that_comes_back_finds_everybody_as_they_were(tmp_path: Path, cid: str) -> None:
    process = await start_server_async(data_dir=str(tmp_path))
    port = int(process.url.rpartition(":")[2])
    server = Server(process)
    async with (
        client(server, "ann", source=Tone(400.0, -20.0)) as ann,
        client(server, "ben", source=Tone(800.0, -20.0)) as ben,
        client(server, "cal") as cal,
    ):
        try:
            hosting = await ann.join(cid, create=True, title="Standup", microphone=True)
            await hosting.go_live()
            speaking, listening = await ben.join(cid), await cal.join(cid)
            await hosting.grant(server.ben)
            await speaking.state.until(lambda call: "send-audio" in call.capabilities, 5.0)
            await speaking.set_microphone(True)
            await listening.raise_hand()
            await hosting.post("before")
            await hears(hosting, server.ben)
            await hears(listening, server.ann)
            await hosting.state.until(
                lambda call: bool(call.room and call.room.hands and call.room.chat), 5.0
            )
            before = durable(hosting.state.value.room)

            process.kill()
            await ann.state.until(lambda state: state.connection is ConnectionPhase.RECONNECTING, 5.0)
            await speaking.state.until(lambda call: call.phase is CallPhase.RECONNECTING, 5.0)
            assert speaking.state.value.microphone.wish
        finally:
            process.kill()
        process = await start_server_async(data_dir=str(tmp_path), port=port)
        try:
            for one in (ann, ben, cal):
                await one.state.until(lambda state: state.connection is ConnectionPhase.ONLINE, 10.0)

            def back(call: CallState) -> bool:
                return call.phase is CallPhase.JOINED and durable(call.room) == before

            for call in (hosting, speaking, listening):
                await call.state.until(back, 10.0)
            await hears(hosting, server.ben, 8.0)
            await hears(listening, server.ann, 8.0)
            await hears(listening, server.ben, 8.0)
            assert speaking.state.value.microphone.open
            await hosting.post("after")
            await listening.state.until(lambda call: call.room is not None and len(call.room.chat) == 2, 5.0)
        finally:
            await ann.close()
            await ben.close()
            await cal.close()
            process.close()


async def test_a_killed_media_worker_costs_a_moment_of_sound_and_nothing_else(tmp_path: Path) -> None:
    cid = f"audio_room:{secrets.token_hex(4)}"
    with start_server(data_dir=str(tmp_path)) as process:
        server = Server(process)
        async with client(server, "ann", source=Tone(400.0, -20.0)) as ann, client(server, "ben") as ben:
            speaking = await ann.join(cid, create=True, microphone=True)
            await speaking.go_live()
            listening = await ben.join(cid)
            await hears(listening, server.ann)
            lost: list[MediaPhase] = []
            listening.state.subscribe(lost.append, lambda call: call.media, replay=False)
            (worker,) = media_workers(process)
            worker.send_signal(signal.SIGKILL)
            await until(lambda: lost[-1:] == [MediaPhase.CONNECTED])
            assert lost[0] is MediaPhase.LOST
            await hears(listening, server.ann)
            assert speaking.state.value.microphone.open
            assert listening.state.value.phase is CallPhase.JOINED
            assert ben.state.value.connection is ConnectionPhase.ONLINE


async def test_losing_the_connection_keeps_the_wish_and_makes_no_ghosts(server: Server, cid: str) -> None:
    async with client(server, "ann", source=Tone(400.0, -20.0)) as ann, client(server, "ben") as ben:
        speaking = await ann.join(cid, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(cid)
        await hears(listening, server.ann)
        for _ in range(3):
            await cut(ann)
            await speaking.state.until(lambda call: call.phase is CallPhase.RECONNECTING, 5.0)
            await speaking.state.until(lambda call: call.phase is CallPhase.JOINED, 5.0)
        await listening.state.until(
            lambda call: call.room is not None and call.room.participants[server.ann].connected, 5.0
        )
        assert speaking.state.value.microphone.open
        room = listening.state.value.room
        assert room is not None
        assert room.participants.keys() == {server.ann, server.ben}
        await hears(listening, server.ann)
