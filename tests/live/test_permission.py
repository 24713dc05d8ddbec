"""Who may not speak is not heard: measured on the decoded sound, also against one who ignores what they are told."""

from __future__ import annotations

import asyncio
import time

import pytest

from greenroom.engine.call import Call
from greenroom.media.sources import Tone
from tests.backends.places import Server, client
from tests.live.listening import Heard, hears

pytestmark = pytest.mark.live

SILENT_WITHIN_SECONDS = 0.1
BUFFERED_SECONDS = 0.08
"""What a listener's buffer still plays of packets that arrived before: at most 60 ms, and the 20 ms being played."""


def keep_sending(call: Call) -> None:
    """Make an engine hostile: its gate stays open whatever the room says."""
    membership = call._membership

    def ignore(_: bool) -> None:
        media = membership._media.current
        if media is not None and not media.microphone_open:
            media.set_microphone(True)

    membership._media.set_microphone = ignore  # type: ignore[assignment, method-assign]  # that is what hostile means


@pytest.mark.parametrize("hostile", [False, True], ids=["an honest client", "a hostile client"])
async def test_a_revoke_is_heard_as_silence_within_a_tenth_of_a_second(
    server: Server, cid: str, hostile: bool
) -> None:
    async with (
        client(server, "ann") as ann,
        client(server, "ben", source=Tone(500.0, -20.0)) as ben,
        client(server, "cal") as cal,
    ):
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        speaking, listening = await ben.join(cid), await cal.join(cid)
        await hosting.grant(server.ben)
        await speaking.state.until(lambda call: "send-audio" in call.capabilities, 5.0)
        await speaking.set_microphone(True)
        await hears(listening, server.ben)
        if hostile:
            keep_sending(speaking)
        heard = Heard(listening)
        revoked_at = time.monotonic()
        await hosting.revoke(server.ben)
        await asyncio.sleep(0.6)  # long enough to hear somebody who should not be heard
        assert heard.blocks > 0
        assert heard.at[server.ben] - revoked_at < SILENT_WITHIN_SECONDS + BUFFERED_SECONDS
        assert (speaking._membership._media.current or speaking).microphone_open is hostile  # type: ignore[union-attr]


async def test_a_hostile_listener_is_never_heard(server: Server, cid: str) -> None:
    async with (
        client(server, "ann") as ann,
        client(server, "ben", source=Tone(500.0, -20.0)) as ben,
    ):
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        await listening.sound_connected()
        await hosting.sound_connected()
        keep_sending(listening)
        media = listening._membership._media.current
        assert media is not None
        media.set_microphone(True)
        before = media.statistics().sent.packets
        await asyncio.sleep(0.6)
        assert media.statistics().sent.packets - before > 20, "it does send"
        assert hosting.heard_seconds() == {}
