"""What an audio configuration does, seen on the wire: the sizes, the kinds and the number of datagrams."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import pytest

from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import Misuse, Refused
from greenroom.lab.netsim import RelayedBackend
from greenroom.lab.weather import CLEAR, Weather
from greenroom.media.blocks import Block
from greenroom.media.sources import AudioSource
from greenroom.policies.audio_config import broadcaster, custom, hi_fi
from greenroom.protocol.call_types import AudioSettings, Settings
from greenroom.state.audio import Origin
from tests.backends.places import Server, client
from tests.live.listening import until

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


class Wire:
    """The sound that passes between one person and the server: (payload type, bytes) of every packet."""

    def __init__(self) -> None:
        self.packets: list[tuple[int, int]] = []

    def __call__(self, datagram: bytes) -> None:
        if datagram[0] >> 6 == 2 and datagram[1] & 0x7F in (OPUS, RED):
            self.packets.append((datagram[1] & 0x7F, len(datagram)))

    async def next(self, packets: int) -> list[tuple[int, int]]:
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


def wire_of(backend: RelayedBackend) -> Wire:
    wire = Wire()
    assert backend.relay is not None
    backend.relay.taps_up.append(wire)
    return wire


async def joined(who: Client, cid: str, **options: object) -> Call:
    call = await who.join(cid, create=True, microphone=True, **options)  # type: ignore[arg-type]  # options by name
    await call.go_live()
    await call.sound_connected()
    await call.state.until(lambda state: state.microphone.open, 5.0)
    return call


def kbps(packets: list[tuple[int, int]]) -> float:
    return sum(size - HEADER_BYTES for _, size in packets) * 8 / (len(packets) * 0.02) / 1000


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
        assert {kind for kind, _ in repeated} == {RED}
        assert kbps(repeated) == pytest.approx(3 * 16 + 4, rel=0.4)
        await call.configure_audio(red_depth=0)
        assert {kind for kind, _ in (await wire.next(20))[3:]} == {OPUS}
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
        assert {kind for kind, _ in await wire.next(25)} == {OPUS}
        assert down.relay is not None
        down.relay.change(down=Weather(loss=0.2))
        await until(lambda: wire.packets[-1][0] == RED, 10.0)
        await listening.state.until(
            lambda call: call.statistics is not None and call.statistics.recovered_red > 20, 10.0
        )
        if and_back:
            down.relay.change(down=CLEAR)
            await until(lambda: wire.packets[-1][0] == OPUS, 25.0)


async def test_two_calls_of_one_process_keep_to_their_own_profiles(server: Server, cid: str) -> None:
    speech = custom(broadcaster(), bitrate=24_000)
    async with client(server, "host") as host:
        with pytest.raises(Refused, match="high-fidelity"):
            await host.join(f"{cid}-talk", create=True, audio_configuration=hi_fi())
        await host.create(f"{cid}-music", title="Music")
        room = await host.join(f"{cid}-music")
        await room.update(settings=Settings(audio=AudioSettings(hifi=True)))
        await room.go_live()
        ann, up = through_relay(server, "ann", Noise(-20.0))
        bob, other = through_relay(server, "bob", Noise(-20.0))
        async with ann, bob:
            talk = await joined(ann, cid, audio_configuration=speech)
            music = await bob.join(f"{cid}-music", microphone=False, audio_configuration=hi_fi())
            await music.sound_connected()
            await room.grant(server.user("bob"))
            await music.set_microphone(True)
            await music.state.until(lambda state: state.microphone.open, 5.0)
            one, two = wire_of(up), wire_of(other)
            assert kbps((await one.next(60))[20:]) == pytest.approx(24, rel=0.4)
            assert kbps((await two.next(60))[20:]) == pytest.approx(2 * 128, rel=0.35)
            assert Counter(kind for kind, _ in two.packets).most_common(1)[0][0] == RED
            assert talk.audio_configuration.channels == 1
            assert music.audio_configuration.channels == 2
            assert music.state.value.audio == music.audio_configuration
