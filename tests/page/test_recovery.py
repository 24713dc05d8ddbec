"""A browser finds its way back when what carries it dies: the media worker, the whole server."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.async_api import Browser, expect

from greenroom.media.sources import Tone
from greenroom.protocol.requests import InviteToStage, Join, SetMicrophone
from tests.page.live import serving
from tests.page.person import joined
from tests.page.visitor import visitor

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.asyncio(loop_scope="session")]

CID = "audio_room:recovery"
TONE_HZ = 1000.0
MICROPHONE_HZ = 440.0


async def test_sound_comes_back_both_ways_after_the_media_worker_is_killed(
    talker: Browser, tmp_path: Path
) -> None:
    async with (
        serving(tmp_path) as server,
        joined(server.url, await server.token("ann", "Ann"), CID, source=Tone(TONE_HZ, -20.0)) as ann,
        visitor(talker) as bo,
    ):
        await ann.do(SetMicrophone(on=True))
        await bo.come_in(server.url, CID, "Bo")
        room = await ann.until(lambda room: len(room.participants) == 2)
        guest = next(person for person in room.participants.values() if person.name == "Bo")
        await ann.do(InviteToStage(guest.user))
        await bo.page.get_by_role("button", name="Accept").click()
        await bo.page.get_by_role("button", name="Open microphone").click()
        await ann.hears(guest.number)
        worker = media_worker(server.process)

        os.kill(worker, signal.SIGKILL)
        await bo.until("watched.peers.length > 1")
        await ann.reattach()
        await bo.status("You hear the room, and it hears you.")
        assert await bo.hears(ann.room.participants[ann.user].number, TONE_HZ) == pytest.approx(
            TONE_HZ, abs=5
        )
        ann.heard.clear()
        hertz, _ = await ann.hears(guest.number)
        assert hertz == pytest.approx(MICROPHONE_HZ, abs=2)
        await bo.assert_unharmed()


async def test_a_listener_is_back_by_themselves_after_the_server_is_killed(
    browser: Browser, tmp_path: Path
) -> None:
    async with visitor(browser) as maria:
        async with (
            serving(tmp_path) as first,
            joined(first.url, await first.token("ann", "Ann"), CID, media=False, leaves=False) as ann,
        ):
            port = urlsplit(first.url).port
            assert port is not None
            await maria.come_in(first.url, CID, "Maria")
            await maria.page.get_by_role("button", name="Raise hand").click()
            await ann.until(lambda room: len(room.hands) == 1)
            os.kill(first.process, signal.SIGKILL)
            await expect(maria.page.locator("#status")).to_contain_text("Connection lost")
        async with (
            serving(tmp_path, port=port) as second,
            joined(
                second.url,
                await second.token("ann", "Ann"),
                CID,
                source=Tone(TONE_HZ, -20.0),
                requests=(Join(), SetMicrophone(on=True)),
            ) as ann,
        ):
            await maria.status("You hear the room.")
            await maria.hears(ann.room.participants[ann.user].number, TONE_HZ)
            room = await ann.until(lambda room: len(room.participants) == 2 and len(room.hands) == 1)
            assert [person.name for person in room.participants.values()].count("Maria") == 1
            await expect(maria.page.locator("#main-words")).to_have_text("Your hand is up. You are next.")
            await maria.assert_unharmed()


def media_worker(server: int) -> int:
    """Return the process id of the server's only media worker."""
    workers = [
        child.pid
        for child in psutil.Process(server).children(recursive=True)
        if "greenroom.sfu.worker" in " ".join(child.cmdline())
    ]
    assert len(workers) == 1, workers
    return workers[0]
