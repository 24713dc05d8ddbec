"""Somebody who is not connected: a command and a webhook are told, safely, and never in anybody's way."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from msgspec.structs import replace

from greenroom.errors import SetUpIncomplete
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.push import (
    DELIVERY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    PushNotice,
    PushType,
    notice,
    sign_push,
    verify_push,
)
from greenroom.protocol.requests import CancelRing, StartRing
from greenroom.protocol.ringing import Ring, RingId, Rung
from greenroom.protocol.wire import MissedCalls
from greenroom.server.options import ServeOptions, command_words
from greenroom.server.push import (
    MAX_WAITING,
    NotDelivered,
    Push,
    check_webhook,
    command_delivery,
    push_for,
    webhook_delivery,
)
from tests.server.guest import serving, token_for, visiting

ROOM = Cid("default:talk")
BO = UserId("bo")
SECRET = "a secret that signs what we send"
RING = Ring(RingId("r1"), ROOM, UserId("ann"), "Ann", 1.0, (Rung(BO, "Bo", UserId("ann"), "Ann", 2.0),))
TOLD = notice("n1", PushType.RING, RING, BO)


class Hook:
    """A receiver of webhooks on this machine. `answers` are the status codes it gives, the last one for ever."""

    def __init__(self, answers: list[int]) -> None:
        self.answers = answers
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.news = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.received.append((dict(request.headers), await request.read()))
        self.news.set()
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10.0):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def hooked(*answers: int) -> AsyncIterator[Hook]:
    hook = Hook(list(answers or (200,)))
    app = web.Application()
    app.router.add_post("/hook", hook.take)
    app.router.add_route("*", "/elsewhere", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        hook.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"  # type: ignore[attr-defined]  # as aiohttp has it
        yield hook
    finally:
        await runner.cleanup()


async def written(file: Path, lines: int) -> list[Any]:
    """Return the JSON lines of `file` once there are `lines`."""
    async with asyncio.timeout(10.0):
        while True:
            text = await asyncio.to_thread(lambda: file.read_text() if file.exists() else "")
            if text.count("\n") >= lines:
                return [json.loads(line) for line in text.splitlines()]
            await asyncio.sleep(0.02)


def keeping(file: Path) -> tuple[str, ...]:
    """Return a command that appends what it is told to `file`."""
    program = "import sys; open(sys.argv[1], 'a').write(sys.stdin.readline())"
    return (sys.executable, "-I", "-c", program, str(file))


async def test_a_command_learns_of_a_ring_and_of_a_missed_call_of_who_is_not_connected(
    tmp_path: Path,
) -> None:
    file = tmp_path / "told; touch nothing $(id)"  # no shell ever reads it
    async with serving(tmp_path, push_command=keeping(file)) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        cy = await visit.enter(token_for(tmp_path, "cy"))
        await ann.done(StartRing((BO, cy.welcome.user), title="Hello"), cid=ROOM)
        (ring,) = await written(file, 1)
        assert (ring["type"], ring["to"], ring["by"], ring["by_name"]) == ("ring", "bo", "ann", "Ann")
        assert (ring["cid"], ring["title"]) == (ROOM, "Hello")
        assert ring["expires_at"] > time.time()
        await ann.done(CancelRing(), cid=ROOM)
        _, missed = await written(file, 2)
        assert (missed["type"], missed["to"], missed["ring"]) == ("missed_call", "bo", ring["ring"])
        bo = await visit.enter(token_for(tmp_path, "bo"))
        assert (await bo.hears(MissedCalls)).calls[0].ring == ring["ring"]
        assert len(await written(file, 2)) == 2  # who is connected needs no push


async def test_a_webhook_is_signed_and_tried_again_while_it_may_pass(tmp_path: Path) -> None:
    secret = tmp_path / "push-secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    async with (
        hooked(503, 200) as hook,
        serving(tmp_path, push_webhook=hook.url, push_secret_file=str(secret)) as server,
        visiting(server.url) as visit,
    ):
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await ann.done(StartRing((BO,)), cid=ROOM)
        await hook.until(lambda: len(hook.received) == 2)
        (first, body), (second, again) = hook.received
        told = msgspec.json.decode(again, type=PushNotice)
        assert (told.type, told.to) == (PushType.RING, BO)
        assert first[DELIVERY_HEADER] == second[DELIVERY_HEADER] == told.id
        for headers, content in hook.received:
            stamp, signature = headers[TIMESTAMP_HEADER], headers[SIGNATURE_HEADER]
            assert verify_push(SECRET, stamp, signature, content, time.time())
        assert body == again
        assert SECRET not in str(hook.received)


@pytest.mark.parametrize(("status", "tries"), [(200, 1), (404, 1), (302, 1), (500, 3)])
async def test_a_webhook_follows_no_redirect_and_gives_up(status: int, tries: int) -> None:
    async with hooked(status) as hook:
        push = Push(webhook_delivery(hook.url, SECRET), retry_after_seconds=(0.01, 0.01))
        push.tell(PushType.MISSED_CALL, RING, BO)
        await hook.until(lambda: len(hook.received) == tries)
        await push.close()
        assert len(hook.received) == tries


def test_a_signature_holds_for_these_words_at_this_time_only() -> None:
    signature = sign_push(SECRET, 1000, b"words")
    assert verify_push(SECRET, "1000", signature, b"words", 1299.0)
    for secret, stamp, given, body, now in (
        ("another", "1000", signature, b"words", 1000.0),
        (SECRET, "1001", signature, b"words", 1000.0),
        (SECRET, "1000", signature, b"other", 1000.0),
        (SECRET, "1000", signature, b"words", 1301.0),
        (SECRET, "1000", signature[:-1], b"words", 1000.0),
        (SECRET, "1000", "", b"words", 1000.0),
        (SECRET, "", signature, b"words", 1000.0),
        (SECRET, "1e3", signature, b"words", 1000.0),
        (SECRET, "9" * 5000, signature, b"words", 1000.0),
        (SECRET, "1000", "v1=é", b"words", 1000.0),
    ):
        assert not verify_push(secret, stamp, given, body, now)


async def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = (
        "import os, subprocess, sys, time; child = subprocess.Popen(['sleep', '60']);"
        "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid}\\n'); time.sleep(60)"
    )
    deliver = command_delivery((sys.executable, "-I", "-c", program, str(file)), timeout_seconds=0.5)
    with pytest.raises(NotDelivered, match="longer than"):
        await deliver(TOLD)
    for pid in map(int, file.read_text().split()):
        async with asyncio.timeout(5.0):
            while _runs(pid):  # noqa: ASYNC110  the kernel tells nobody
                await asyncio.sleep(0.02)


async def test_a_command_sees_no_setting_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENROOM_TOKEN", "SECRET")
    file = tmp_path / "environment"
    program = "import os, sys; open(sys.argv[1], 'w').write(str(dict(os.environ)))"
    await command_delivery((sys.executable, "-I", "-c", program, str(file)))(TOLD)
    assert "SECRET" not in file.read_text()


async def test_a_flood_is_bounded_and_in_nobodys_way(caplog: pytest.LogCaptureFixture) -> None:
    at_once = most = done = 0
    gate = asyncio.Event()

    async def slow(told: PushNotice) -> None:
        nonlocal at_once, most, done
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1
        done += 1

    push = Push(slow)
    with caplog.at_level(logging.WARNING):
        for _ in range(MAX_WAITING + 100):
            push.tell(PushType.MISSED_CALL, RING, BO)
    async with asyncio.timeout(5.0):
        while most < 4:  # noqa: ASYNC110  the workers begin in the next turns of the loop
            await asyncio.sleep(0)
    gate.set()
    await push.close()
    assert (most, done) == (4, MAX_WAITING)
    assert 0 < len(caplog.records) < 10


async def test_a_ring_that_is_over_is_not_told() -> None:
    told: list[PushNotice] = []

    async def deliver(one: PushNotice) -> None:
        told.append(one)

    push = Push(deliver)
    push.tell(PushType.RING, replace(RING, expires_at=time.time() - 1.0), BO)
    push.tell(PushType.MISSED_CALL, RING, BO)
    await push.close()
    assert [one.type for one in told] == [PushType.MISSED_CALL]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://127.0.0.1/",
        "https://user:password@example.org/",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://example.org:port/",
        "rubbish",
        "https://example.org/#x",
    ],
)
def test_a_webhook_goes_to_https_or_this_machine_and_nowhere_near_by(url: str) -> None:
    with pytest.raises(SetUpIncomplete):
        check_webhook(url)


async def test_a_name_that_leads_near_by_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    def leads(host: str, port: int, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", leads)
    with pytest.raises(NotDelivered, match="cannot be reached"):
        await webhook_delivery("https://metadata.example.org/", SECRET, timeout_seconds=3.0)(TOLD)


def test_options_that_do_not_hold_together_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SetUpIncomplete, match="cannot be read"):
        command_words("notify 'me")
    assert command_words("notify --to 'a b'") == ("notify", "--to", "a b")
    for options in (
        ServeOptions(push_webhook="https://example.org/"),
        ServeOptions(push_secret_file="x"),
        ServeOptions(push_webhook="https://example.org/", push_secret_file=str(tmp_path / "none")),
        ServeOptions(push_command=("/no/such/program",)),
    ):
        with pytest.raises(SetUpIncomplete):
            push_for(options)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
