"""A call's media over real sockets: against aiortc as it is, and through the forwarding unit."""

from __future__ import annotations

import asyncio
import fractions
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection
from aiortc import RTCSessionDescription as Description
from aiortc.rtp import RtpPacket

from greenroom.errors import MediaFailed, Misuse
from greenroom.media import aiortc_private
from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.connection import MediaConnection, with_opus_at_111
from greenroom.media.dsp import level_dbfs
from greenroom.media.sources import Silence, Tone
from greenroom.sfu.pool import MediaPool
from tests.media.sound import is_tone, until


class ToneTrack(MediaStreamTrack):
    """A tone as aiortc's own sender wants it."""

    kind = "audio"

    def __init__(self, frequency_hz: float) -> None:
        super().__init__()
        self._tone = Tone(frequency_hz, -20.0, channels=2)
        self._sent = 0
        self._began: float | None = None

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._began = loop.time() if self._began is None else self._began
        await asyncio.sleep(max(0.0, self._began + self._sent * 0.02 - loop.time()))
        samples = (self._tone.read(FRAME) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = (
            48_000,
            self._sent * FRAME,
            fractions.Fraction(1, 48_000),
        )
        self._sent += 1
        return frame


class Listening:
    """Pulls from connections every 20 ms, as a sink would, and keeps what each person said."""

    def __init__(self, *connections: MediaConnection) -> None:
        self.heard: list[dict[int, list[Block]]] = [{} for _ in connections]
        self._connections = connections
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        while True:
            for connection, people in zip(self._connections, self.heard, strict=True):
                for number, block in connection.pull().items():
                    people.setdefault(number, []).append(block)
            deadline += 0.02
            await asyncio.sleep(max(0.0, deadline - loop.time()))

    def frames(self, listener: int, number: int) -> int:
        return len(self.heard[listener].get(number, []))

    def last(self, listener: int, number: int, seconds: float) -> Block:
        blocks = self.heard[listener].get(number, [])[-round(seconds * 50) :]
        return np.concatenate(blocks) if blocks else silence(0)

    def stop(self) -> None:
        self._task.cancel()


@asynccontextmanager
async def room(
    *connections: MediaConnection, speak: bool = True
) -> AsyncIterator[tuple[MediaPool, Listening]]:
    """Everyone in one room of a real forwarding unit, numbered from 1."""
    async with MediaPool() as pool:
        for number, connection in enumerate(connections, start=1):
            offer = await connection.offer()
            await connection.accept(await pool.connect(f"peer-{number}", "room", number, offer, speak))
        for connection in connections:
            await connection.wait_connected(5.0)
        listening = Listening(*connections)
        try:
            yield pool, listening
        finally:
            listening.stop()
            for connection in connections:
                await connection.close()


@pytest.mark.live
async def test_a_tone_goes_both_ways_between_us_and_aiortc_as_it_is() -> None:
    connection = MediaConnection(source=Tone(440.0, -20.0), slots=1)
    far = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: list[MediaStreamTrack] = []
    far.on("track", tracks.append)
    await far.setRemoteDescription(Description(await connection.offer(), "offer"))
    aiortc_private.correct_ice(aiortc_private.ice_connection(far))  # for 127.0.0.1 only
    line = far.getTransceivers()[1]
    line.sender.replaceTrack(ToneTrack(700.0))
    line.direction = "sendonly"
    await far.setLocalDescription()
    await connection.accept(far.localDescription.sdp)
    await connection.wait_connected(5.0)
    connection.set_microphone(True)
    listening = Listening(connection)
    there: list[Block] = []
    while not is_tone(np.concatenate([silence(0), *there[-25:]]), 440.0, -20.0):
        assert len(there) < 500, "the tone does not arrive"
        frame = await asyncio.wait_for(tracks[0].recv(), 5.0)
        assert isinstance(frame, av.AudioFrame)
        there.append(np.asarray(frame.to_ndarray().reshape(-1, 2)[:, :1] / 32768.0, np.float32))
    await until(lambda: is_tone(listening.last(0, 0, 0.5), 700.0, -20.0), "the tone is heard here")
    listening.stop()
    await connection.close()
    await far.close()


@pytest.mark.live
async def test_two_people_hear_each_other_through_the_forwarding_unit() -> None:
    ann, ben = MediaConnection(source=Tone(440.0, -20.0)), MediaConnection(source=Tone(700.0, -26.0))
    async with room(ann, ben) as (_, listening):
        assert ann.statistics().sent.packets == 0
        ann.set_microphone(True)
        ben.set_microphone(True)
        await until(lambda: min(listening.frames(0, 2), listening.frames(1, 1)) >= 75, "both hear 1.5 s")
        await until(lambda: is_tone(listening.last(0, 2, 0.5), 700.0, -26.0), "ann hears ben's tone")
        await until(lambda: is_tone(listening.last(1, 1, 0.5), 440.0, -20.0), "ben hears ann's tone")
        assert listening.frames(0, 1) == 0
        assert ann.levels()[2] == pytest.approx(-26.0, abs=1.0)
        assert ann.own_level_dbfs == pytest.approx(-20.0, abs=0.5)
        measured = ann.statistics()
        assert set(measured.people) == {2}
        assert measured.received.packets > 60
        assert measured.received.concealed_ratio < 0.2
        ann.set_microphone(False)
        await asyncio.sleep(0.1)
        before = ann.statistics().sent.packets
        await until(lambda: level_dbfs(listening.last(1, 1, 0.02)) < -60.0, "ben hears silence")
        ben.replace_source(Tone(1000.0, -20.0))
        await until(lambda: is_tone(listening.last(0, 2, 0.5), 1000.0, -20.0), "ann hears ben's new tone")
        assert ann.statistics().sent.packets == before


class Clicks:
    """A soft hum with a loud block every 300 ms; remembers when each was read."""

    channels = 1

    def __init__(self) -> None:
        self.at: list[float] = []
        self._blocks = 0
        self._hum, self._click = Tone(200.0, -40.0), Tone(1000.0, -10.0)

    def read(self, frames: int) -> Block:
        self._blocks += 1
        if self._blocks % 15:
            return self._hum.read(frames)
        self.at.append(asyncio.get_running_loop().time())
        return self._click.read(frames)

    def close(self) -> None: ...


@pytest.mark.live
@pytest.mark.quiet
async def test_the_delay_from_source_to_pull_is_under_70_ms() -> None:
    clicks, heard_at, was_loud = Clicks(), list[float](), False
    ann, ben = MediaConnection(source=clicks), MediaConnection(source=Silence())
    async with room(ann, ben) as (_, listening):
        ann.set_microphone(True)
        await until(lambda: listening.frames(1, 1) >= 60, "ann is heard, and the first second is over")
        listening.stop()
        clicks.at.clear()
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        while len(heard_at) < 7:
            is_loud = level_dbfs(ben.pull().get(1, silence(FRAME))) > -25.0
            if is_loud and not was_loud and clicks.at:
                heard_at.append(loop.time() - clicks.at[-1])
            was_loud = is_loud
            deadline += 0.02
            assert len(clicks.at) < 30, "the clicks are not heard"
            await asyncio.sleep(max(0.0, deadline - loop.time()))
    assert sorted(heard_at)[3] < 0.07


@pytest.mark.live
async def test_a_tenth_lost_on_the_way_costs_a_tenth_and_no_delay() -> None:
    chance, dropped = random.Random(8), 0
    ann, ben = MediaConnection(source=Tone(440.0, -20.0)), MediaConnection(source=Silence())
    async with room(ann, ben) as (_, listening):
        assert ben._peer is not None
        for line in ben._peer.getTransceivers()[1:]:
            private: Any = line.receiver
            whole = private._handle_rtp_packet

            async def lossy(packet: RtpPacket, arrival_time_ms: int, whole: Any = whole) -> None:
                nonlocal dropped
                if listening.frames(1, 1) > 50 and chance.random() < 0.1:
                    dropped += 1
                else:
                    await whole(packet, arrival_time_ms=arrival_time_ms)

            private._handle_rtp_packet = lossy
        ann.set_microphone(True)
        await until(lambda: listening.frames(1, 1) >= 300, "five seconds with loss are heard", 10.0)
        measured = ben.statistics().people[1]
        assert dropped > 10
        assert measured.lost == pytest.approx(dropped, abs=3)
        assert measured.concealed + measured.recovered_fec == pytest.approx(dropped, abs=10)
        await until(lambda: ben.statistics().people[1].buffer_ms <= 60.0, "the delay is what it was", 10.0)


@pytest.mark.live
async def test_the_end_of_the_other_side_is_told_once_in_words() -> None:
    told: list[str] = []
    connection = MediaConnection(source=Tone(), slots=1, on_dead=told.append)
    far = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await far.setRemoteDescription(Description(await connection.offer(), "offer"))
    aiortc_private.correct_ice(aiortc_private.ice_connection(far))
    await far.setLocalDescription()
    await connection.accept(far.localDescription.sdp)
    await connection.wait_connected(5.0)
    await until(lambda: connection.connected and far.connectionState == "connected", "both are connected")
    await far.close()
    await until(lambda: len(told) > 0, "the end is noticed")
    connected_after_the_end = connection.connected
    await connection.close()
    await connection.close()
    assert not connected_after_the_end
    assert len(told) == 1
    assert "ended" in told[0]


async def test_closing_before_anything_happened_is_quiet_and_leaves_nothing_running() -> None:
    told: list[str] = []
    before = asyncio.all_tasks()
    for offers in (False, True):
        connection = MediaConnection(source=Tone(), on_dead=told.append)
        if offers:
            await connection.offer()
        await connection.close()
        await connection.close()
        with pytest.raises(MediaFailed, match="closed"):
            await connection.wait_connected(1.0)
    await until(lambda: asyncio.all_tasks() <= before, "every task has ended")
    assert told == []


async def test_a_server_that_never_answers_is_said_in_words() -> None:
    connection = MediaConnection(source=Tone())
    await connection.offer()
    with pytest.raises(MediaFailed, match=r"within 0\.05 s"):
        await connection.wait_connected(0.05)
    await connection.close()


@pytest.mark.parametrize("answer", ["", "nonsense", "v=0\r\nm=audio 9 RTP/AVP 0\r\n"])
async def test_an_answer_that_does_not_fit_is_refused_in_words(answer: str) -> None:
    connection = MediaConnection(source=Tone())
    await connection.offer()
    with pytest.raises(MediaFailed, match="does not fit"):
        await connection.accept(answer)
    await connection.close()


async def test_one_connection_makes_one_offer_and_takes_one_answer_after_it() -> None:
    connection = MediaConnection(source=Tone())
    with pytest.raises(Misuse):
        await connection.accept("")
    await connection.offer()
    with pytest.raises(Misuse):
        await connection.offer()
    await connection.close()


def test_nobody_is_pulled_before_anyone_was_heard() -> None:
    connection = MediaConnection(source=Tone())
    assert connection.pull() == {}
    assert connection.levels() == {}
    assert connection.statistics().received.concealed_ratio == 0.0


def test_an_offer_without_opus_is_left_as_it_is() -> None:
    assert with_opus_at_111("v=0\r\n") == "v=0\r\n"
