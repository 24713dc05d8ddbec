"""Stock aiortc peers on loopback: one hums a tone, one measures what it hears."""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import Iterator
from contextlib import contextmanager

import aioice.ice
import numpy as np
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from av import AudioFrame
from numpy.typing import NDArray

from greenroom.sfu.base import MediaEngine

RATE = 48000
FRAME = 960


@contextmanager
def loopback_candidates() -> Iterator[None]:
    """Let aioice offer 127.0.0.1, which it leaves out by itself."""
    before = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = before


class ToneTrack(AudioStreamTrack):
    """A stereo sine, paced in real time (stereo, because aiortc lowers mono by 3 dB)."""

    def __init__(self, hertz: float, amplitude: float) -> None:
        super().__init__()
        self._hertz = hertz
        self._amplitude = amplitude
        self._at = 0
        self._started: float | None = None

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        if self._started is None:
            self._started = loop.time()
        await asyncio.sleep(max(0.0, self._started + self._at / RATE - loop.time()))
        time = (self._at + np.arange(FRAME)) / RATE
        mono = (32767 * self._amplitude * np.sin(2 * np.pi * self._hertz * time)).astype(np.int16)
        frame = AudioFrame.from_ndarray(np.repeat(mono, 2)[None, :], format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts = self._at
        frame.time_base = fractions.Fraction(1, RATE)
        self._at += FRAME
        return frame


class AiortcPeer:
    """One stock peer connection with a microphone line and some slots."""

    def __init__(self, slots: int = 3, tone: ToneTrack | None = None) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.tracks: list[MediaStreamTrack] = []
        self.connection.on("track", self.tracks.append)
        self.connection.addTransceiver(tone if tone is not None else "audio", direction="sendonly")
        for _ in range(slots):
            self.connection.addTransceiver("audio", direction="recvonly")

    async def join(self, media: MediaEngine, name: str, room: str, number: int, may_speak: bool) -> str:
        """Connect through `media`; return the answer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await media.connect(name, room, number, self.connection.localDescription.sdp, may_speak)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return answer

    async def hear(self, slot: int, frames: int) -> NDArray[np.float32]:
        """Return the next `frames` frames of a slot as mono samples, full scale 1.0."""
        parts = []
        for _ in range(frames):
            frame = await self.tracks[slot].recv()
            assert isinstance(frame, AudioFrame)
            parts.append(frame.to_ndarray().reshape(-1, 2)[:, 0].astype(np.float32) / 32768)
        return np.concatenate(parts)

    async def close(self) -> None:
        await self.connection.close()


def loudest_hertz(samples: NDArray[np.float32]) -> float:
    """Return the frequency with the most energy."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))
