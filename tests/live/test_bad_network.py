"""Sound over a bad network: what is lost is concealed, and nothing lasts."""

from __future__ import annotations

import asyncio

import pytest

from greenroom.engine.client import Client
from greenroom.lab.netsim import RelayedBackend
from greenroom.lab.weather import CLEAR, Weather
from greenroom.media.sources import Tone
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.state.call import MediaPhase
from greenroom.state.statistics import CallStatistics
from tests.backends.places import Server, client
from tests.live.listening import assert_tone, hears, until

pytestmark = pytest.mark.live


def behind(server: Server, name: str, down: Weather = CLEAR) -> RelayedBackend:
    """Return the way in for a person whose sound passes a relay."""
    token = server.process.mint(server.user(name), name.title())
    return RelayedBackend(server.process.url, token=token, down=down)


async def test_a_tenth_lost_costs_about_a_tenth_concealed_and_no_delay(server: Server, cid: str) -> None:
    backend = behind(server, "ben", down=Weather(loss=0.1, after=50))
    async with (
        client(server, "ann", source=Tone(440.0, -20.0)) as ann,
        Client(backend=backend) as ben,
    ):
        plain = AudioConfiguration(red_depth=0)  # what is repeated would not be missing
        speaking = await ann.join(cid, create=True, microphone=True, audio_configuration=plain)
        await speaking.go_live()
        listening = await ben.join(cid)
        await hears(listening, server.ann)
        relay = backend.relay
        assert relay is not None
        await until(lambda: relay.down.passed > 100)
        media = listening._membership._media.current
        assert media is not None
        early, passed, lost = media.statistics().received, relay.down.passed, relay.down.lost
        await asyncio.sleep(4.0)  # 200 frames are what the shares below are measured on
        late = media.statistics().received
        on_the_way = (relay.down.lost - lost) / (relay.down.passed - passed)
        frames = late.frames - early.frames
        missing = late.concealed + late.recovered_fec - early.concealed - early.recovered_fec
        assert frames > 170
        assert missing / frames == pytest.approx(on_the_way, abs=0.04)
        assert late.concealed / late.frames < 0.16
        await until(lambda: media.statistics().received.buffer_ms <= 60.0)
        assert_tone(listening.last(server.ann, 2.0), 440.0, -20.0)


async def test_jitter_reordering_and_repeats_are_not_heard_as_loss(server: Server, cid: str) -> None:
    weather = Weather(delay_seconds=0.01, jitter_seconds=0.03, repeat=0.02)
    backend = behind(server, "ben", weather)
    async with (
        client(server, "ann", source=Tone(440.0, -20.0)) as ann,
        Client(backend=backend) as ben,
    ):
        speaking = await ann.join(cid, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(cid)
        await hears(listening, server.ann)
        await listening.state.until(lambda call: call.statistics is not None, 5.0)
        before = _statistics(listening.state.value.statistics)
        await listening.state.until(
            lambda call: _statistics(call.statistics).frames_played > before.frames_played + 200, 10.0
        )
        after = _statistics(listening.state.value.statistics)
        concealed = after.frames_concealed - before.frames_concealed
        assert concealed / (after.frames_played - before.frames_played) < 0.05
        assert after.buffer_ms < 250.0


async def test_after_a_blackout_of_two_seconds_sound_is_back_at_once(server: Server, cid: str) -> None:
    backend = behind(server, "ben")
    async with (
        client(server, "ann", source=Tone(440.0, -20.0)) as ann,
        Client(backend=backend) as ben,
    ):
        speaking = await ann.join(cid, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(cid)
        await hears(listening, server.ann)
        relay = backend.relay
        assert relay is not None
        relay.change(up=Weather(loss=1.0), down=Weather(loss=1.0))
        await asyncio.sleep(2.0)
        relay.change(up=CLEAR, down=CLEAR)
        await hears(listening, server.ann, timeout_seconds=1.5)
        assert listening.state.value.media is MediaPhase.CONNECTED
        assert backend.relay is relay, "it is the same connection"


async def test_sound_that_stays_away_is_connected_anew(server: Server, cid: str) -> None:
    backend = behind(server, "ben")
    async with (
        client(server, "ann", source=Tone(440.0, -20.0)) as ann,
        Client(backend=backend) as ben,
    ):
        speaking = await ann.join(cid, create=True, microphone=True)
        await speaking.go_live()
        listening = await ben.join(cid)
        await hears(listening, server.ann)
        relay = backend.relay
        assert relay is not None
        relay.change(up=Weather(loss=1.0), down=Weather(loss=1.0))
        await listening.state.until(lambda call: call.media is MediaPhase.LOST, 10.0)
        await hears(listening, server.ann, timeout_seconds=5.0)
        assert backend.relay is not relay


def _statistics(sampled: CallStatistics | None) -> CallStatistics:
    return sampled or CallStatistics(at=0.0)
