"""A stock browser sends redundant audio to us and is repaired by ours."""

from __future__ import annotations

import asyncio

import pytest

from greenroom.lab.netsim import answer_through, relay_before
from greenroom.lab.weather import Weather
from greenroom.media.connection import MediaConnection
from greenroom.media.sources import Tone
from greenroom.sfu.pool import MediaPool
from greenroom.state.audio import LiveAudio
from tests.live.listening import until
from tests.page.chromium import launched
from tests.sfu.test_chromium import CONNECT, FLAGS, HUM, LISTEN

pytestmark = pytest.mark.browser

RED = 63
OFFER = """async () => {
  window.pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  window.tracks = [];
  pc.ontrack = event => tracks.push(event.track);
  const known = RTCRtpReceiver.getCapabilities('audio').codecs;
  const wanted = ['audio/red', 'audio/opus'].flatMap(type => known.filter(codec => codec.mimeType === type));
  window.microphone = pc.addTransceiver('audio', {direction: 'sendonly'});
  microphone.setCodecPreferences(wanted);
  for (let slot = 0; slot < 2; slot++)
    pc.addTransceiver('audio', {direction: 'recvonly'}).setCodecPreferences(wanted);
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""
HEARD = """async () => {
  const rows = [...(await pc.getStats()).values()];
  const row = rows.find(row => row.type === 'inbound-rtp' && row.packetsReceived > 0);
  return row ? [row.concealedSamples, row.totalSamplesReceived, row.packetsLost, row.packetsReceived] : [0, 0, 0, 0];
}"""


def is_red(datagram: bytes) -> bool:
    return datagram[0] >> 6 == 2 and datagram[1] & 0x7F == RED


async def test_a_browser_sends_redundancy_and_is_repaired_by_ours() -> None:
    async with MediaPool() as pool, launched(FLAGS) as browser:
        page = await browser.new_page()
        answer = await pool.connect("browser", "room", 9, await page.evaluate(OFFER), True)
        relay = relay_before(answer)
        assert relay is not None
        sent, received = 0, 0

        def up(datagram: bytes) -> None:
            nonlocal sent
            sent += is_red(datagram)

        def down(datagram: bytes) -> None:
            nonlocal received
            received += is_red(datagram)

        relay.taps_up.append(up)
        relay.taps_down.append(down)
        ann = MediaConnection(source=Tone(440.0, -20.0), slots=2)
        async with relay:
            await page.evaluate(CONNECT, answer_through(answer, relay))
            await ann.accept(await pool.connect("ann", "room", 1, await ann.offer(), True))
            await ann.wait_connected()
            try:
                ann.set_microphone(True)
                ann.set_live(LiveAudio(red_depth=2))
                assert await asyncio.wait_for(page.evaluate(LISTEN), 15) == pytest.approx(440, abs=5)
                await page.evaluate(HUM, 700)
                await until(lambda: sent > 50, 10.0)
                relay.change(down=Weather(loss=0.2))
                await until(lambda: received > 50, 20.0)
                before = await page.evaluate(HEARD)
                await asyncio.sleep(4.0)  # shares are measured over 200 packets
                after = await page.evaluate(HEARD)
                concealed, samples, lost, packets = (b - a for a, b in zip(before, after, strict=True))
                share = lost / (lost + packets)
                assert share > 0.1
                assert concealed / samples < share / 2, "without redundancy it would be all of it"
            finally:
                await ann.close()
