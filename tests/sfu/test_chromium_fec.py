"""A stock browser without redundancy: in-band error correction and pauses that are not sent, both ways."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from greenroom.lab.bench_quality import speech
from greenroom.lab.netsim import answer_through, relay_before
from greenroom.lab.weather import CLEAR, Weather
from greenroom.media.blocks import Block, silence
from greenroom.media.connection import MediaConnection
from greenroom.sfu.pool import MediaPool
from greenroom.state.audio import LiveAudio
from tests.live.listening import until
from tests.page.chromium import launched
from tests.sfu.test_chromium import CONNECT, FLAGS, OFFER

pytestmark = pytest.mark.browser

SPEAK = """async samples => {
  const context = new AudioContext(), out = context.createMediaStreamDestination();
  const sound = context.createBuffer(1, samples.length, 16000), voice = context.createBufferSource();
  sound.copyToChannel(Float32Array.from(samples), 0);
  Object.assign(voice, {buffer: sound, loop: true});
  window.voice = context.createGain();
  voice.connect(window.voice).connect(out);
  voice.start();
  await microphone.sender.replaceTrack(out.stream.getAudioTracks()[0]);
}"""
LISTEN = """async () => {
  const player = window.player = new Audio();
  player.srcObject = new MediaStream([tracks[0]]);
  await player.play();
}"""
HUSH = "loudness => { voice.gain.value = loudness; }"
RECEIVED = """async () => [...(await pc.getStats()).values()].filter(row => row.type === 'inbound-rtp')
  .sort((one, other) => other.packetsReceived - one.packetsReceived)[0]"""


class Talker:
    """Says one thing after another, or nothing."""

    channels = 1

    def __init__(self, said: Block) -> None:
        self.speaks = True
        self._said = said
        self._at = 0

    def read(self, frames: int) -> Block:
        if not self.speaks:
            return silence(frames)
        self._at += frames
        return np.take(self._said, range(self._at - frames, self._at), axis=0, mode="wrap")

    def close(self) -> None: ...


class Traffic:
    """Counts the packets of sound that pass."""

    def __init__(self) -> None:
        self.packets = 0

    def __call__(self, datagram: bytes) -> None:
        self.packets += datagram[0] >> 6 == 2 and datagram[1] & 0x7F == 111

    async def in_a_second(self) -> int:
        before = self.packets
        await asyncio.sleep(1.0)
        return self.packets - before


async def until_few(ways: list[Traffic], timeout_seconds: float = 8.0) -> None:
    """Return once each way a second passes with at most six packets, as DTX leaves."""
    async with asyncio.timeout(timeout_seconds):
        while max(await asyncio.gather(*(way.in_a_second() for way in ways))) > 6:
            pass


async def test_a_browser_repairs_by_error_correction_and_is_repaired_and_pauses_cost_next_to_nothing() -> (
    None
):
    async with MediaPool() as pool, launched(FLAGS) as browser:
        page = await browser.new_page()
        answer = await pool.connect("browser", "room", 9, await page.evaluate(OFFER), True)
        relay = relay_before(answer)
        assert relay is not None
        up, down = Traffic(), Traffic()
        relay.taps_up.append(up)
        relay.taps_down.append(down)
        said = speech(0, 8.0)
        talker = Talker(said)
        ann = MediaConnection(source=talker, slots=2)

        async def listen() -> None:
            while True:
                ann.pull()
                await asyncio.sleep(0.02)

        async def received() -> dict[str, Any]:
            row: dict[str, Any] = await page.evaluate(RECEIVED)
            return row

        async with relay:
            await page.evaluate(CONNECT, answer_through(answer, relay))
            await ann.accept(await pool.connect("ann", "room", 1, await ann.offer(), True))
            await ann.wait_connected()
            listening = asyncio.create_task(listen())
            try:
                ann.set_microphone(True)
                ann.set_live(LiveAudio(expected_loss_percent=20, bitrate=32_000))
                await page.evaluate(LISTEN)
                await page.evaluate(SPEAK, said[::3, 0].tolist())
                relay.change(up=Weather(loss=0.2), down=Weather(loss=0.2))
                await until(
                    lambda: 9 in (people := ann.statistics().people) and people[9].recovered_fec > 8, 15.0
                )
                async with asyncio.timeout(15.0):
                    row = await received()
                    while row.get("fecPacketsReceived", 0) - row.get("fecPacketsDiscarded", 0) <= 8:
                        await asyncio.sleep(0.2)
                        row = await received()
                assert row["packetsLost"] > 8
                relay.change(up=CLEAR, down=CLEAR)
                talker.speaks = False
                await page.evaluate(HUSH, 0)
                await until_few([up, down])
                lost = (await received())["packetsLost"]
                talker.speaks = True
                await page.evaluate(HUSH, 1)
                assert await up.in_a_second() > 30
                assert await down.in_a_second() > 30
                assert (await received())["packetsLost"] <= lost + 1, "what was not sent is not lost"
            finally:
                listening.cancel()
                await ann.close()
