"""A server of its own process that is killed, stopped, and started again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from greenroom.errors import Refused, SetUpIncomplete
from greenroom.hosting import ServerProcess, start_server, start_server_async
from greenroom.protocol.call_types import HandPolicy
from greenroom.protocol.ids import MODERATOR, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import (
    BlockUser,
    DeleteMessage,
    EditMessage,
    Grant,
    InviteToStage,
    Join,
    PostMessage,
    RaiseHand,
    SetRole,
    UpdateRoom,
)
from greenroom.protocol.room import Counts, Room
from greenroom.protocol.wire import CloseCode, Done, Goodbye, Welcome
from tests.server.guest import CID, Guest, Visit, open_room, visiting

pytestmark = pytest.mark.live


@asynccontextmanager
async def child(data: Path, port: int = 0, *arguments: str) -> AsyncIterator[ServerProcess]:
    process = await start_server_async(data_dir=str(data), port=port, media_workers=0, arguments=arguments)
    try:
        yield process
    finally:
        await asyncio.to_thread(process.close)


async def come_in(visit: Visit, server: ServerProcess, user: str) -> Guest:
    return await visit.enter(await asyncio.to_thread(server.mint, user, user.title()))


def lasting(room: Room) -> Room:
    """Return what of a room does not depend on who is connected."""
    return msgspec.structs.replace(room, participants={}, counts=Counts(), listed=0)


async def test_after_a_kill_everything_is_as_before_and_clients_come_back(tmp_path: Path) -> None:
    async with child(tmp_path) as server:
        port = int(server.url.rpartition(":")[2])
        async with visiting(server.url) as visit:
            ann, bo, cy, di = [await come_in(visit, server, user) for user in ("ann", "bo", "cy", "di")]
            await open_room(ann)
            for guest in (bo, cy, di):
                await guest.done(Join())
            await cy.done(RaiseHand())
            await bo.done(RaiseHand())
            await ann.done(
                SetRole(UserId("eve"), MODERATOR), BlockUser(UserId("zed")), InviteToStage(UserId("di"))
            )
            await ann.done(Grant(UserId("di"), frozenset({Capability.PIN})))
            await ann.done(UpdateRoom(title="Renamed", hand_policy=HandPolicy.ROUND_ROBIN))
            for number in range(5):
                await ann.done(PostMessage(f"message {number}"))
            await ann.until(lambda: len(ann.room().chat) == 5)
            first, second = ann.room().chat[0].id, ann.room().chat[1].id
            await ann.done(EditMessage(first, "edited"), DeleteMessage(second))
            assert isinstance(await ann.do(PostMessage("kept"), op="kept"), Done)
            await ann.until(lambda: len(ann.room().chat) == 6)
            before = lasting(ann.room())
            await asyncio.to_thread(server.kill)
            assert [await guest.closed() for guest in (ann, bo)] != []

            async with child(tmp_path, port):
                started = time.monotonic()
                again = [await visit.back(guest) for guest in (ann, bo, cy, di)]
                for guest in again:
                    assert (await guest.hears(Welcome)).resumed == (CID,)
                host = again[0]
                await host.until(lambda: {"ann", "bo", "cy", "di"} <= set(host.room().participants))
                assert time.monotonic() - started < 5.0
                assert lasting(host.room()) == before
                assert host.room().live
                assert [hand.user for hand in host.room().hands] == ["cy", "bo"]
                # a request that was kept but whose answer was lost is not done twice
                assert isinstance(await host.do(PostMessage("kept"), op="kept"), Done)
                await host.done(PostMessage("after"))
                await host.until(lambda: host.room().chat[-1].text == "after")
                assert [message.text for message in host.room().chat].count("kept") == 1
                assert sum(guest.gaps for guest in again) == 0


async def test_a_hand_is_kept_over_a_restart_until_its_owner_could_be_back(tmp_path: Path) -> None:
    async with child(tmp_path) as server:
        port = int(server.url.rpartition(":")[2])
        async with visiting(server.url) as visit:
            ann, bo = [await come_in(visit, server, user) for user in ("ann", "bo")]
            await open_room(ann)
            await bo.done(Join(), RaiseHand())
            await asyncio.to_thread(server.kill)
            async with child(tmp_path, port, "--resume-seconds", "1.5"):
                host = await visit.back(ann)
                await host.hears(Welcome)
                await host.until(lambda: CID in host.replicas and "ann" in host.room().participants)
                assert [hand.user for hand in host.room().hands] == ["bo"]
                await host.until(lambda: not host.room().hands)


async def test_what_was_acknowledged_is_there_however_the_server_ends(tmp_path: Path) -> None:
    acknowledged = 0
    port = 0
    for attempt in range(2):
        async with child(tmp_path, port) as server, visiting(server.url) as visit:
            port = int(server.url.rpartition(":")[2])
            ann = await come_in(visit, server, "ann")
            if attempt == 0:
                await open_room(ann)
            else:
                await ann.done(Join())
            texts = {message.text for message in ann.room().chat}
            assert {str(number) for number in range(acknowledged)} <= texts
            writing = asyncio.create_task(_write(ann, acknowledged))
            await _until_chat_has(ann, acknowledged + 10 * (attempt + 1))
            os.kill(server.pid, 9)
            acknowledged = await writing


async def _until_chat_has(ann: Guest, messages: int) -> None:
    await ann.until(lambda: len(ann.room().chat) >= min(messages, 100))


async def _write(ann: Guest, first: int) -> int:
    """Post numbers from `first` until the connection ends; return the first that was not acknowledged."""
    number = first
    while True:
        try:
            answer = asyncio.ensure_future(ann.do(PostMessage(str(number))))
            await asyncio.wait((answer, ann._reading), return_when=asyncio.FIRST_COMPLETED)
        except ConnectionError:
            return number
        if not answer.done() or answer.exception() is not None:
            answer.cancel()
            return number
        number += isinstance(answer.result(), Done)


async def test_on_sigterm_everybody_is_told_at_once_and_nobody_new_comes_in(tmp_path: Path) -> None:
    async with child(tmp_path) as server, visiting(server.url) as visit:
        ann = await come_in(visit, server, "ann")
        await open_room(ann)
        started = time.monotonic()
        server._process.terminate()
        goodbye = await ann.hears(Goodbye)
        assert time.monotonic() - started < 1.0
        assert goodbye.retry_seconds is not None
        assert await ann.closed() == CloseCode.GOING_AWAY
        assert await asyncio.to_thread(server._process.wait, 10.0) == 0
        assert time.monotonic() - started < 10.0


def test_a_server_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from greenroom.hosting import start_server\n"
        f"server = start_server(data_dir={str(tmp_path)!r}, media_workers=0)\n"
        "print(server.pid, flush=True)\n"
        "os._exit(1)  # without closing anything, as a crash would\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    pid = int(found.stdout)
    deadline = time.monotonic() + 10.0
    while (
        Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]
    ):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with start_server(data_dir=str(tmp_path), media_workers=0) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(SetUpIncomplete, match="choose another --port"):
            start_server(data_dir=str(tmp_path / "other"), port=port, media_workers=0)
    with pytest.raises(SetUpIncomplete, match="--insecure"):
        start_server(data_dir=str(tmp_path), host="0.0.0.0", media_workers=0)
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(SetUpIncomplete, match="chmod 600"):
        start_server(data_dir=str(tmp_path), media_workers=0)


def test_a_child_starts_soon_and_shows_no_token(tmp_path: Path) -> None:
    started = time.monotonic()
    with start_server(data_dir=str(tmp_path), media_workers=0) as server:
        assert time.monotonic() - started < 6.0  # 2 s on a machine that does nothing else
        assert server.admin_token not in repr(server)
        assert server.admin_token not in Path(f"/proc/{server.pid}/cmdline").read_text()
        assert server.mint("ann", seconds=60.0)
        with pytest.raises(Refused):
            server.mint("not a user")
    server.close()
    assert not server.running


def test_the_module_prints_one_line_and_stops_on_sigint(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "greenroom.server",
        "--port",
        "0",
        "--data",
        str(tmp_path),
        "--media-workers",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        process.send_signal(2)
        assert process.wait(10.0) == 0
        assert line.startswith("Greenroom is listening on http://127.0.0.1:")
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""


def test_a_killed_server_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = start_server(data_dir=str(tmp_path / "data"))
    assert list(temporary.glob("greenroom-*"))
    process.kill()
    deadline = time.monotonic() + 10.0
    while list(temporary.glob("greenroom-*")):
        assert time.monotonic() < deadline, "its media worker goes with it and takes the folder"
        time.sleep(0.05)
