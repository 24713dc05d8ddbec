"""Sound from engine to engine through a real server, measured on what was decoded."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from greenroom.media.blocks import RATE_HZ, Block
from greenroom.media.dsp import level_dbfs
from greenroom.media.sinks import Meter
from greenroom.media.sources import Tone
from tests.backends.places import Server, client
from tests.live.listening import assert_tone, hears, is_tone, until

pytestmark = pytest.mark.live


async def test_a_tone_arrives_with_its_frequency_and_level_and_never_at_its_maker(
    server: Server, cid: str
) -> None:
    meters = {"ann": Meter(), "ben": Meter()}
    async with (
        client(server, "ann", source=Tone(440.0, -20.0), sink=meters["ann"]) as ann,
        client(server, "ben", sink=meters["ben"]) as ben,
    ):
        speaking = await ann.join(cid, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(cid)
        await hears(listening, server.ann)
        await until(lambda: len(listening.last(server.ann, 1.0)) == RATE_HZ)
        await asyncio.sleep(1.0)  # a second of steady sound is what is measured
        assert_tone(listening.last(server.ann, 0.8), 440.0, -20.0)
        assert_tone(meters["ben"].recent(0.8), 440.0, -20.0)
        assert level_dbfs(meters["ann"].recent()) == -96.0


async def test_three_voices_are_told_apart_by_everybody(server: Server, cid: str) -> None:
    tones = {"ann": 400.0, "ben": 700.0, "cal": 1100.0}
    async with (
        client(server, "ann", source=Tone(tones["ann"], -24.0)) as ann,
        client(server, "ben", source=Tone(tones["ben"], -24.0)) as ben,
        client(server, "cal", source=Tone(tones["cal"], -24.0)) as cal,
        client(server, "dan") as dan,
    ):
        hosting = await ann.join(cid, create=True, microphone=True)
        await hosting.go_live()
        calls = {"ann": hosting}
        for one, name in ((ben, "ben"), (cal, "cal"), (dan, "dan")):
            calls[name] = await one.join(cid)
        for name in ("ben", "cal"):
            await hosting.grant(server.user(name))
            await calls[name].state.until(lambda call: "send-audio" in call.capabilities, 5.0)
            await calls[name].set_microphone(True)
        for listener, call in calls.items():
            for name in tones:
                if name != listener:
                    await hears(call, server.user(name))
        for listener, call in calls.items():
            for name, frequency_hz in tones.items():
                if name != listener:
                    user = server.user(name)
                    await until(lambda: is_tone(call.last(user, 0.5), frequency_hz, -24.0))  # noqa: B023  awaited here
            assert call.heard_seconds().keys() == {server.user(name) for name in tones if name != listener}


class Click:
    """Silence, and one burst when told; remembers when it was read."""

    channels = 1

    def __init__(self) -> None:
        self.wanted = False
        self.left_at = 0.0
        self._hum = Tone(1000.0, -12.0)

    def read(self, frames: int) -> Block:
        if self.wanted and not self.left_at:
            self.left_at = time.monotonic()
        return self._hum.read(frames) * np.float32(1.0 if self.wanted else 0.001)

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.quiet
async def test_a_block_is_heard_within_a_tenth_of_a_second(server: Server, cid: str) -> None:
    click = Click()
    async with client(server, "ann", source=click) as ann, client(server, "ben") as ben:
        speaking = await ann.join(cid, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(cid)
        await until(lambda: len(listening.last(server.ann, 0.5)) > RATE_HZ // 3)
        heard_at: list[float] = []

        def hear(_: str, block: Block) -> None:
            if level_dbfs(block) > -30.0:
                heard_at.append(time.monotonic())

        stop = listening.tap(hear)
        click.wanted = True
        await until(lambda: bool(heard_at))
        stop()
        assert heard_at[0] - click.left_at < 0.1
