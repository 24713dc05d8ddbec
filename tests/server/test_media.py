"""Rooms and real media workers: who is heard follows what is decided, before it is kept."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from greenroom.lab.light_client import Crowd, LightClient
from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import (
    BlockUser,
    Grant,
    Join,
    Kick,
    Leave,
    PostMessage,
    Revoke,
    SetMicrophone,
)
from greenroom.protocol.wire import Attached, Failed, MediaLost, PersonQuality, Pulse, Quality, Removed
from greenroom.server.serve import Server
from tests.server.guest import CID, Guest, Visit, open_room, serving, token_for, visiting

pytestmark = pytest.mark.live
BO = UserId("bo")
SPEAK = frozenset({Capability.SEND_AUDIO})
FRAME_SECONDS = 0.02


class Talk:
    """Ann listens, Bo speaks without a pause."""

    def __init__(self, server: Server, visit: Visit, ann: Guest, bo: Guest, crowd: Crowd) -> None:
        self.server = server
        self.visit = visit
        self.ann = ann
        self.bo = bo
        self.crowd = crowd
        self.listener = LightClient(slots=3, speaks=False, decrypts=True)
        self.speaker = LightClient(slots=1, speaks=True)

    async def connect(self, guest: Guest, client: LightClient) -> None:
        answer = await guest.attach(client.offer())
        assert isinstance(answer, Attached), answer
        client.accept(answer.answer)
        self.crowd.clients.append(client)
        await self.crowd.until(lambda: client.connected)

    async def speak(self) -> None:
        timestamp = 0
        while True:
            timestamp += 960
            if self.speaker.connected:
                self.speaker.say(b"\x78voice of bo" + bytes(40), timestamp, level_dbov=-20)
            await asyncio.sleep(FRAME_SECONDS)

    async def heard(self) -> None:
        """Return when Bo is heard once more."""
        before = len(self.listener.heard)
        await self.crowd.until(lambda: len(self.listener.heard) > before)

    async def silent_within(self, seconds: float) -> None:
        """Fail unless nothing arrives from `seconds` on, for ten frames."""
        await asyncio.sleep(seconds)
        before = len(self.listener.heard)
        await asyncio.sleep(10 * FRAME_SECONDS)
        assert len(self.listener.heard) == before


@asynccontextmanager
async def talking(data: Path) -> AsyncIterator[Talk]:
    async with serving(data, media_workers=1) as server, visiting(server.url) as visit, Crowd() as crowd:
        ann, bo = await visit.enter(token_for(data, "ann")), await visit.enter(token_for(data, "bo"))
        await open_room(ann)
        await bo.done(Join())
        await ann.done(Grant(BO, SPEAK))
        await bo.done(SetMicrophone(True))
        talk = Talk(server, visit, ann, bo, crowd)
        await talk.connect(ann, talk.listener)
        await talk.connect(bo, talk.speaker)
        speaking = asyncio.create_task(talk.speak())
        try:
            await talk.heard()
            yield talk
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


async def test_a_revoke_silences_before_it_is_kept(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        with closing(sqlite3.connect(tmp_path / "greenroom.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nothing can be kept now
            revoking = asyncio.create_task(talk.ann.do(Revoke(BO, SPEAK)))
            await talk.silent_within(0.1)
            assert not revoking.done()
            assert talk.bo.room().participants[BO].microphone  # and nothing is told yet
            other.execute("ROLLBACK")
        await revoking
        await talk.bo.until(lambda: not talk.bo.room().participants[BO].microphone)
        await talk.silent_within(0.0)


async def test_a_revoke_that_cannot_be_kept_is_undone_in_the_sound_too(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        with closing(sqlite3.connect(tmp_path / "greenroom.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert isinstance(await talk.ann.do(Revoke(BO, SPEAK)), Failed)
            await talk.heard()
            other.execute("ROLLBACK")


async def test_a_microphone_opens_again_after_a_grant(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.ann.done(Revoke(BO, SPEAK))
        await talk.silent_within(0.1)
        await talk.ann.done(Grant(BO, SPEAK))
        await talk.silent_within(0.0)  # whoever was revoked opens their microphone themselves
        await talk.bo.done(SetMicrophone(True))
        await talk.heard()


@pytest.mark.parametrize("way", ["kick", "leave"])
async def test_whoever_goes_is_neither_heard_nor_hears(tmp_path: Path, way: str) -> None:
    async with talking(tmp_path) as talk:
        if way == "kick":
            await talk.ann.done(Kick(BO))
            await talk.bo.hears(Removed)
        else:
            await talk.bo.done(Leave())
        await talk.silent_within(0.1)
        refused = await talk.bo.attach(talk.speaker.offer())
        assert isinstance(refused, Failed)


async def test_levels_are_told_by_number(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        number = talk.ann.room().participants[BO].number
        pulse = await talk.ann.hears(Pulse, lambda p: any(level.speaking for level in p.levels))
        assert [(level.number, round(level.level_dbfs)) for level in pulse.levels] == [(number, -20)]
        await talk.ann.hears(Pulse, lambda p: p.dominant == number)


async def test_sound_goes_on_while_the_signalling_is_away(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.bo.vanish()
        await talk.ann.until(lambda: not talk.ann.room().participants[BO].connected)
        await talk.heard()
        again = await talk.visit.back(talk.bo)
        await talk.ann.until(lambda: talk.ann.room().participants[BO].connected)
        await talk.heard()
        assert not again.all(MediaLost)


async def test_a_worker_that_dies_is_told_and_sound_can_be_connected_anew(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert talk.server._house is not None
        engine = talk.server._house._engine
        assert engine is not None
        (statistics,) = await engine.statistics()
        started = time.monotonic()
        os.kill(statistics.process, 9)
        await talk.ann.hears(MediaLost)
        await talk.bo.hears(MediaLost)
        talk.listener, talk.speaker = (
            LightClient(slots=3, speaks=False, decrypts=True),
            LightClient(slots=1, speaks=True),
        )
        await talk.connect(talk.ann, talk.listener)
        await talk.connect(talk.bo, talk.speaker)
        await talk.heard()
        assert time.monotonic() - started < 8.0


async def test_an_offer_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        answer = await talk.ann.attach("v=0\r\nrubbish")
        assert isinstance(answer, Failed)
        assert answer.refusal.reason == "media_refused"


async def test_who_spoke_and_how_long_is_kept(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert talk.server._house is not None
        room = talk.server._house.hosted(CID)
        assert room is not None
        await talk.crowd.until(lambda: len(talk.listener.heard) > 30)
        talk.crowd.clients.remove(talk.speaker)
        talk.speaker.close()
        await talk.crowd.until(lambda: room.talked_seconds.get(BO, 0.0) > 0.4, 10.0)
    with closing(sqlite3.connect(tmp_path / "greenroom.db")) as connection:
        ((user, seconds, ended_at),) = connection.execute(
            "SELECT user, ended_at - started_at, ended_at FROM spoken"
        )
    assert user == "bo"
    assert 0.4 < seconds < 5.0
    assert abs(time.time() - ended_at) < 15.0


async def test_a_bad_connection_shows_to_the_one_who_has_it(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        reporting = asyncio.create_task(_report(talk.listener, 0.7))
        quality = await talk.ann.hears(PersonQuality)
        reporting.cancel()
        assert (quality.user, quality.quality) == ("ann", Quality.LOST)


async def _report(client: LightClient, fraction_lost: float) -> None:
    while True:
        client.report(fraction_lost)
        await asyncio.sleep(0.2)


async def test_nothing_that_is_secret_or_personal_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with talking(tmp_path) as talk:
        await talk.ann.done(PostMessage("what I said"), Revoke(BO, SPEAK), BlockUser(BO))
        offer = talk.listener.offer()
        assert isinstance(await talk.ann.attach(offer), Attached)
        secrets = [
            talk.ann.welcome.resume_token,
            talk.server.admin_token,
            "what I said",
            "ice-pwd",
            "eyJ",
            "candidate:",
        ]
        secrets.append((tmp_path / "secret").read_text().split()[1])
    written = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert [line for line in written if any(secret in line for secret in secrets)] == []
