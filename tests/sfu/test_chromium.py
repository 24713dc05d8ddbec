"""A stock browser: it hears a tone through a worker and is heard, with video lines left alone."""

from __future__ import annotations

import asyncio

import pytest

from greenroom.sfu.pool import MediaPool
from tests.page.chromium import launched
from tests.sfu.aiortc_peers import AiortcPeer, ToneTrack, loopback_candidates, loudest_hertz

pytestmark = pytest.mark.browser

FLAGS = ["--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required"]

OFFER = """async () => {
  window.pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  window.tracks = [];
  pc.ontrack = event => tracks.push(event.track);
  window.microphone = pc.addTransceiver('audio', {direction: 'sendonly'});
  for (let slot = 0; slot < 3; slot++) pc.addTransceiver('audio', {direction: 'recvonly'});
  pc.addTransceiver('video', {direction: 'inactive'});
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""

CONNECT = """async answer => {
  await pc.setRemoteDescription({type: 'answer', sdp: answer});
  await new Promise(resolve => {
    const look = () => pc.connectionState === 'connected' && resolve();
    pc.onconnectionstatechange = look;
    look();
  });
}"""

HUM = """async hertz => {
  const context = new AudioContext(), out = context.createMediaStreamDestination();
  const tone = context.createOscillator();
  tone.frequency.value = hertz;
  tone.connect(out);
  tone.start();
  await microphone.sender.replaceTrack(out.stream.getAudioTracks()[0]);
}"""

LISTEN = """async () => {
  const context = new AudioContext();
  const stream = new MediaStream([tracks[0]]);
  const player = new Audio();
  player.srcObject = stream;
  await player.play();
  const analyser = context.createAnalyser();
  analyser.fftSize = 32768;
  context.createMediaStreamSource(stream).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  for (;;) {
    await new Promise(resolve => setTimeout(resolve, 200));
    analyser.getFloatFrequencyData(bins);
    const loudest = bins.indexOf(Math.max(...bins));
    if (bins[loudest] > -50) return loudest * context.sampleRate / analyser.fftSize;
  }
}"""

CIPHER = (
    """async () => [...(await pc.getStats()).values()].find(row => row.type === 'transport').srtpCipher"""
)


async def test_a_browser_hears_and_is_heard() -> None:
    async with MediaPool() as pool, launched(FLAGS) as browser:
        page = await browser.new_page()
        answer = await pool.connect("browser", "room", 9, await page.evaluate(OFFER), True)
        await page.evaluate(CONNECT, answer)
        assert await page.evaluate(CIPHER) == "SRTP_AEAD_AES_128_GCM"
        with loopback_candidates():
            ann = AiortcPeer(slots=1, tone=ToneTrack(440, 0.3))
            try:
                await ann.join(pool, "ann", "room", 1, may_speak=True)
                assert await asyncio.wait_for(page.evaluate(LISTEN), 15) == pytest.approx(440, abs=5)
                await page.evaluate(HUM, 700)
                heard = await asyncio.wait_for(ann.hear(0, 100), 15)
                assert loudest_hertz(heard[-48000:]) == pytest.approx(700, abs=5)
            finally:
                await ann.close()
