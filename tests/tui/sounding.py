"""A world with sound: devices, a configuration, lines and ten minutes of numbers."""

from __future__ import annotations

import math

from msgspec.structs import replace

from greenroom.policies.audio_config import AudioConfiguration, resolve
from greenroom.protocol.ids import Cid
from greenroom.protocol.wire import Quality
from greenroom.state.audio import LiveAudio
from greenroom.state.devices import Device, DevicePhase, DevicesState, Direction, Line
from greenroom.state.statistics import (
    CallStatistics,
    Cause,
    Coding,
    LineQuality,
    PersonStatistics,
)
from tests.tui.world import ANN, CID, HANA, World

YETI = Device("pulse:yeti", 0, "Blue Yeti", "PulseAudio", inputs=1, default_input=True)
HEADSET = Device("pulse:headset", 1, "Headset with a rather long name", "PulseAudio", inputs=1, outputs=2)
SPEAKERS = Device("pulse:spk", 2, "Built-in loudspeakers", "PulseAudio", outputs=2, default_output=True)

DEVICES = DevicesState(
    available=(YETI, HEADSET, SPEAKERS),
    backend="PulseAudio",
    microphone=Line(Direction.INPUT, "", DevicePhase.RUNNING, "Blue Yeti"),
    speaker=Line(Direction.OUTPUT, "", DevicePhase.RUNNING, "Built-in loudspeakers"),
)
LOST = (
    "the microphone 'Blue Yeti' was unplugged; it is taken again as soon as it is back, and until then a long "
    "explanation like this one must stay readable to its very last word"
)


def minutes_of(number: int) -> tuple[CallStatistics, ...]:
    """Numbers of a line that had two minutes of loss in the middle."""
    samples = []
    for place in range(number * 30):
        bad = 0.12 if number * 10 < place < number * 20 else 0.0
        samples.append(
            CallStatistics(
                1000.0 + 2.0 * place,
                packets_sent=100 * place,
                packets_received=90 * place,
                sent_kbps=62.0 + 6.0 * math.sin(place / 5),
                received_kbps=31.0,
                lost_fraction=bad,
                recovered_fraction=bad * 0.9,
                jitter_ms=3.0 + 20.0 * (bad > 0),
                rtt_ms=24.0,
                buffer_ms=60.0 if bad else 40.0,
                level_dbfs=-24.0,
                mean_opinion=3.4 if bad else 4.3,
                by_person={ANN.user: PersonStatistics(kbps=31.0, lost_fraction=bad, coding=Coding())},
                coding=Coding(bitrate=64_000, red_payload_type=63, fec=True, dtx=True),
            )
        )
    return tuple(samples)


def sounding(world: World, cid: Cid = CID) -> None:
    """Give the world devices, a configuration of which each value has another origin, and numbers."""
    samples = minutes_of(5)
    world.history[cid] = samples
    world.state.value = replace(world.state.value, devices=DEVICES)
    audio = resolve(AudioConfiguration(bitrate=48_000), AudioConfiguration(fec=False))
    world.change(
        cid,
        audio=replace(audio, frozen=True),
        live_audio=LiveAudio(48_000, True, False, 1, 10),
        statistics=samples[-1],
        lines={
            HANA.user: LineQuality(Quality.GOOD, Cause.JITTER, jitter_ms=52.0),
            ANN.user: LineQuality(Quality.POOR, Cause.SENT_LOSS, sent_lost=0.12, recovered=0.11, here=True),
        },
        quality={HANA.user: Quality.GOOD, ANN.user: Quality.POOR},
        levels={ANN.user: -14.0, HANA.user: -38.0},
        speaking=frozenset({ANN.user}),
        dominant=ANN.user,
    )
