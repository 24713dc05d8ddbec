"""What arrives is not what it says: it is concealed, and the voice is back with the next good packet."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from greenroom.media.blocks import FRAME, silence
from greenroom.media.connection import _arrivals, _contributor
from greenroom.media.opus import new_encoder
from greenroom.media.slot import Slot
from greenroom.media.sources import Tone
from greenroom.rtp.red import RedBlock, pack_red
from tests.media.sound import assert_tone

CHANCE = random.Random(4)


def garbage(size: int) -> bytes:
    """Bytes that begin as an Opus packet of 20 ms does, and go on as they like."""
    return b"\x78" + CHANCE.randbytes(size)


def lying(payload: bytes) -> bytes:
    """RED whose header promises a copy longer than the whole packet."""
    return bytes([0x80 | 111, 0x0F, 0x00 | 0x3, 0xFF, 111]) + payload


Make = Callable[[bytes], tuple[bytes, bool]]
BAD: dict[str, Make] = {
    "Opus that is none": lambda payload: (garbage(60), False),
    "Opus of one byte": lambda payload: (payload[:1], False),
    "nothing": lambda payload: (b"", False),
    "RED whose lengths lie": lambda payload: (lying(payload), True),
    "RED without an end": lambda payload: (b"\xef" * 30, True),
    "RED with copies that are none": lambda payload: (
        pack_red(
            [RedBlock(111, 2 * FRAME, garbage(30)), RedBlock(111, FRAME, b"\xff"), RedBlock(111, 0, payload)]
        ),
        True,
    ),
    "RED with copies from the future": lambda payload: (
        pack_red([RedBlock(111, 0, garbage(20)), RedBlock(111, 0, payload)]),
        True,
    ),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_bad_packets_are_concealed_and_the_voice_comes_back(make: Make) -> None:
    slot, encoder, tone = Slot(), new_encoder(dtx=False), Tone(440.0, -20.0)
    arrived, heard = _arrivals(slot, _contributor), []
    for number in range(200):
        payload, is_red = encoder.encode(tone.read(FRAME)), False
        if 50 <= number < 100 and number % 3:
            payload, is_red = make(payload)
        packet = RtpPacket(
            payload_type=111, sequence_number=number, timestamp=number * FRAME, payload=payload
        )
        packet.csrc = [7]
        arrived(packet, is_red, 0.0)
        heard.append(dict(slot.pull()).get(7, silence(FRAME)))
    sound = np.concatenate(heard)
    assert np.isfinite(sound).all()
    assert_tone(sound[20 * FRAME : 50 * FRAME], 440.0, -20.0)
    assert_tone(sound[120 * FRAME :], 440.0, -20.0)
    assert slot.statistics()[7].buffer_ms <= 60.0
