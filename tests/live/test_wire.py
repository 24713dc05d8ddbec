"""What an audio configuration does, seen on the wire: the sizes, the kinds and the number of datagrams."""

from __future__ import annotations

import asyncio
import itertools
from typing import NamedTuple

import numpy as np
import pytest

from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import Misuse, Refused
from greenroom.lab.netsim import RelayedBackend
from greenroom.lab.weather import CLEAR, Weather
from greenroom.media.blocks import Block
from greenroom.media.sinks import Meter
from greenroom.media.sources import AudioSource, Tone
from greenroom.policies.audio_config import broadcaster, custom, hi_fi
from greenroom.protocol.call_types import AudioSettings, Settings
from greenroom.protocol.ids import Cid, UserId
from greenroom.state.audio import Origin
from greenroom.state.call import CallState
from tests.backends.places import Server, client
from tests.live.listening import until
from tests.media.sound import is_tone

pytestmark = pytest.mark.live

OPUS, RED = 111, 63
HEADER_BYTES = 12 + 4 + 8 + 16  # RTP, extension header, level and line, authentication tag


class Noise:
    """White noise, the same every time."""

    channels = 1

    def __init__(self, level_dbfs: float) -> None:
        self._chance = np.random.default_rng(1)
        self.level_dbfs = level_dbfs

    def read(self, frames: int) -> Block:
        amplitude = 10.0 ** (self.level_dbfs / 20.0)
        block: Block = (self._chance.standard_normal((frames, 1)) * amplitude).astype(np.float32)
        return block

    def close(self) -> None: ...


class Sent(NamedTuple):
    """One packet of sound on its way to the server: its payload type, its bytes, its RTP timestamp."""

    kind: int
    size: int
    timestamp: int


class Wire:
    """The sound that passes between one call and the server."""

    def __init__(self) -> None:
        self.packets: list[Sent] = []

    def __call__(self, datagram: bytes) -> None:
        if datagram[0] >> 6 == 2 and datagram[1] & 0x7F in (OPUS, RED):
            stamp = int.from_bytes(datagram[4:8], "big")
            self.packets.append(Sent(datagram[1] & 0x7F, len(datagram), stamp))

    async def next(self, packets: int) -> list[Sent]:
        """Return the next so many packets."""
        start = len(self.packets)
        await until(lambda: len(self.packets) >= start + packets)
        return self.packets[start : start + packets]


def through_relay(
    server: Server, name: str, source: AudioSource, **options: object
) -> tuple[Client, RelayedBackend]:
    token = server.process.mint(server.user(name), name.title())
    backend = RelayedBackend(server.process.url, token=token, **options)  # type: ignore[arg-type]  # weather by name
    return Client(backend=backend, source=source, allow_multiple_active_calls=True), backend


def wire_of(backend: RelayedBackend, cid: str | None = None) -> Wire:
    """Return what is sent from now on, in the room `cid` where there are several."""
    wire = Wire()
    relay = backend.relay if cid is None else backend.relays[Cid(cid)]
    assert relay is not None
    relay.taps_up.append(wire)
    return wire


async def joined(who: Client, cid: str, **options: object) -> Call:
    call = await who.join(cid, create=True, microphone=True, **options)  # type: ignore[arg-type]  # options by name
    await call.go_live()
    await call.sound_connected()
    await call.state.until(lambda state: state.microphone.open, 5.0)
    return call


def kbps(packets: list[Sent], frame_ms: int = 20) -> float:
    return sum(packet.size - HEADER_BYTES for packet in packets) * 8 / (len(packets) * frame_ms)


def frame_lengths_ms(packets: list[Sent]) -> set[int]:
    """Return how far apart packets that follow each other are, by their timestamps."""
    pairs = itertools.pairwise(packets)
    return {((after.timestamp - before.timestamp) & 0xFFFFFFFF) // 48 for before, after in pairs}


async def test_live_values_act_on_the_next_packets(server: Server, cid: str) -> None:
    noise = Noise(-20.0)
    ann, backend = through_relay(server, "ann", noise)
    async with ann:
        call = await joined(ann, cid, audio_configuration=custom(broadcaster(), fec=False))
        wire = wire_of(backend)
        assert kbps((await wire.next(50))[10:]) == pytest.approx(64, rel=0.25)
        await call.configure_audio(bitrate=16_000)
        assert kbps((await wire.next(50))[10:]) == pytest.approx(16, rel=0.4)
        await call.configure_audio(red_depth=2)
        repeated = (await wire.next(50))[10:]
        assert {packet.kind for packet in repeated} == {RED}
        assert kbps(repeated) == pytest.approx(3 * 16 + 4, rel=0.4)
        await call.configure_audio(red_depth=0)
        assert {packet.kind for packet in (await wire.next(20))[3:]} == {OPUS}
        noise.level_dbfs = -60.0
        await asyncio.sleep(2.0)  # the level has to be taken for background first
        start = len(wire.packets)
        await asyncio.sleep(4.0)  # packets a second are counted over four
        assert 1.5 <= (len(wire.packets) - start) / 4 <= 4.5
        await call.configure_audio(dtx=False)
        start = len(wire.packets)
        await asyncio.sleep(1.0)
        assert len(wire.packets) - start > 40
        with pytest.raises(Misuse, match="channels, playout_target_ms cannot change"):
            await call.configure_audio(channels=2, playout_target_ms=100)
        assert call.audio_configuration.origins["bitrate"] is Origin.CALL


@pytest.mark.parametrize(
    "and_back",
    [
        pytest.param(False, id="while there is loss"),
        pytest.param(True, id="and when it is over", marks=pytest.mark.long),
    ],
)
async def test_redundancy_follows_the_loss_of_a_listener_and_repairs_it(
    server: Server, cid: str, and_back: bool
) -> None:
    ann, up = through_relay(server, "ann", Noise(-20.0))
    ben, down = through_relay(server, "ben", Noise(-90.0))
    async with ann, ben:
        await joined(ann, cid)
        wire = wire_of(up)
        listening = await ben.join(cid)
        await listening.sound_connected()
        assert {packet.kind for packet in await wire.next(25)} == {OPUS}
        assert down.relay is not None
        down.relay.change(down=Weather(loss=0.2))
        await until(lambda: wire.packets[-1].kind == RED, 10.0)
        await listening.state.until(
            lambda call: call.statistics is not None and call.statistics.recovered_red > 20, 10.0
        )
        if and_back:
            down.relay.change(down=CLEAR)
            await until(lambda: wire.packets[-1].kind == OPUS, 25.0)


async def test_two_calls_of_one_client_keep_to_their_own_profiles(server: Server, cid: str) -> None:
    speech = custom(broadcaster(), bitrate=24_000, red_depth=0)
    music = custom(hi_fi(), frame_length_ms=40)
    stage = f"{cid}-music"
    async with client(server, "host") as host:
        with pytest.raises(Refused, match="high-fidelity"):
            await host.join(f"{cid}-talk", create=True, audio_configuration=hi_fi())
        await host.create(stage, title="Music")
        room = await host.join(stage)
        await room.update(settings=Settings(audio=AudioSettings(hifi=True)))
        await room.go_live()
        ann, up = through_relay(server, "ann", Noise(-20.0))
        async with ann:
            talk = await joined(ann, cid, audio_configuration=speech)
            talking = wire_of(up, cid)
            playing = await ann.join(stage, microphone=False, audio_configuration=music)
            await playing.sound_connected()
            await room.grant(server.user("ann"))
            await playing.set_microphone(True)
            await playing.state.until(lambda state: state.microphone.open, 5.0)
            stereo = (await wire_of(up, stage).next(50))[20:]
            assert kbps(stereo, 40) == pytest.approx(2 * 128, rel=0.35)
            assert ({packet.kind for packet in stereo}, frame_lengths_ms(stereo)) == ({RED}, {40})
            silent = len(talking.packets)
            await room.state.until(
                lambda call: _coding(call, server.user("ann")) == (2, 40.0, 0), 6.0
            )  # as a listener without loss gets it: stereo, 40 ms a packet, nothing repeated
            assert len(talking.packets) == silent, "one microphone, one call"
            await ann.switch_focus(talk)
            mono = (await talking.next(60))[20:]
            assert kbps(mono) == pytest.approx(24, rel=0.4)
            assert ({packet.kind for packet in mono}, frame_lengths_ms(mono)) == ({OPUS}, {20})
            assert (talk.audio_configuration.channels, playing.audio_configuration.channels) == (1, 2)
            assert playing.state.value.audio == playing.audio_configuration


def _coding(call: CallState, user: UserId) -> tuple[int, float, int] | None:
    person = None if call.statistics is None else call.statistics.by_person.get(user)
    coding = None if person is None else person.coding
    return None if coding is None else (coding.channels, coding.frame_ms, coding.red_depth)


@pytest.mark.parametrize("length_ms", [10, 60])
async def test_a_packet_carries_as_much_as_asked_for_and_is_heard(
    server: Server, cid: str, length_ms: int
) -> None:
    ear = Meter(keep_seconds=1.0)
    profile = custom(broadcaster(), frame_length_ms=length_ms, red_depth=1)
    ann, up = through_relay(server, "ann", Tone(440.0, -20.0))
    async with ann, client(server, "ben", sink=ear) as ben:
        await joined(ann, cid, audio_configuration=profile)
        await (await ben.join(cid)).sound_connected()
        packets = (await wire_of(up).next(20))[5:]
        assert ({packet.kind for packet in packets}, frame_lengths_ms(packets)) == ({RED}, {length_ms})
        await until(lambda: is_tone(ear.recent(), 440.0, -20.0), 5.0)
