"""Packets of 10 to 60 ms: how many are sent, how they are stamped, and that they are heard whatever is lost."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, Block
from greenroom.media.connection import MediaConnection
from greenroom.media.dsp import level_dbfs
from greenroom.media.jitter import JitterBuffer
from greenroom.media.opus import new_encoder
from greenroom.media.outgoing import Microphone
from greenroom.media.red import RED_PAYLOAD_TYPE, RedWriter
from greenroom.media.slot import Slot
from greenroom.media.sources import AudioSource, Tone
from greenroom.media.toc import packet_samples
from greenroom.policies.audio_config import broadcaster, custom, resolve
from greenroom.rtp.red import unpack_red
from greenroom.state.audio import FrameLength, LiveAudio
from tests.media.sound import assert_tone, click_ratio

LENGTHS = pytest.mark.parametrize("length_ms", [10, 20, 40, 60])
Sent = tuple[int, int, bytes, list[tuple[int, bytes]]]


def microphone(source: AudioSource, length_ms: FrameLength) -> Microphone:
    made = Microphone(source, new_encoder(frame_length_ms=length_ms, expected_loss_percent=20), length_ms)
    made.set_live(LiveAudio(dtx=False))
    made.set_open(True)
    return made


def sent(source: AudioSource, length_ms: FrameLength, seconds: float, red_depth: int = 0) -> dict[int, Sent]:
    """Return what goes out, by the sample at which it goes: (sequence, timestamp, payload, copies)."""
    line, red, packets = microphone(source, length_ms), RedWriter(), dict[int, Sent]()
    red.payload_type, red.depth = RED_PAYLOAD_TYPE, red_depth
    for at in range(0, round(seconds * 48_000), line.step_frames):
        packet = line.next_packet()
        if packet is None:
            continue
        first = at + line.step_frames - packet.frames
        kind, payload = red.wrap(111, first, packet.payload)
        blocks = unpack_red(payload) if kind == RED_PAYLOAD_TYPE else None
        copies = [] if blocks is None else [(block.offset, block.data) for block in blocks[:-1]]
        packets[at + line.step_frames] = (len(packets), first, packet.payload, copies)
    return packets


def heard(packets: dict[int, Sent], seconds: float, lost: frozenset[int] = frozenset()) -> tuple[Block, Slot]:
    """Return what a listener plays who pulls 20 ms at a time, with these sequence numbers lost on the way."""
    slot, blocks = Slot(jitter=JitterBuffer()), []
    for at in range(0, round(seconds * 48_000), 480):
        if at in packets and packets[at][0] not in lost:
            sequence, timestamp, payload, copies = packets[at]
            slot.push(sequence, timestamp, payload, 1, copies)
        if at % FRAME == 0:
            block = np.zeros((FRAME, 1), np.float32)
            for _, voice in slot.pull():
                block += voice
            blocks.append(block)
    return np.concatenate(blocks), slot


@LENGTHS
def test_a_packet_carries_what_was_asked_for_and_there_are_as_many_as_that_takes(
    length_ms: FrameLength,
) -> None:
    packets = sent(Tone(440.0, -20.0), length_ms, 1.2)
    samples = length_ms * 48
    assert {packet_samples(payload) for _, _, payload, _ in packets.values()} == {samples}
    assert len(packets) == 1200 // length_ms
    stamps = [timestamp for _, timestamp, _, _ in packets.values()]
    assert stamps == list(range(0, round(1.2 * 48_000), samples)), "stamped with the first sample of each"


@LENGTHS
def test_a_tone_arrives_whole_and_without_clicks(length_ms: FrameLength) -> None:
    sound, slot = heard(sent(Tone(300.0, -12.0), length_ms, 3.0), 2.9)
    assert_tone(sound[24_000:], 300.0, -12.0)
    assert click_ratio(sound[24_000:], sound[24_000:48_000]) < 2.0
    measured = slot.statistics()[1]
    assert (measured.lost, measured.concealed, measured.late) == (0, 0, 0)


@LENGTHS
@pytest.mark.parametrize("phase", [0, 480])
@pytest.mark.parametrize("depth", [0, 2])
def test_without_another_clock_nothing_is_stretched(length_ms: FrameLength, phase: int, depth: int) -> None:
    packets = sent(Tone(300.0, -12.0), length_ms, 4.0, red_depth=depth)
    _, slot = heard({at + phase: packet for at, packet in packets.items()}, 3.9)
    measured = slot.statistics()[1]
    assert measured.inserted_samples % FRAME == 0, "whole frames are waited for copies"
    assert measured.removed_samples == 0


@LENGTHS
def test_lost_packets_come_back_from_redundancy_whatever_their_length(length_ms: FrameLength) -> None:
    packets = sent(Tone(300.0, -12.0), length_ms, 4.0, red_depth=2)
    lost = frozenset(number for number in range(20, len(packets)) if number % 5 < 2)
    sound, slot = heard(packets, 3.9, lost)
    measured = slot.statistics()[1]
    assert measured.recovered_red >= 0.8 * len([n for n in lost if n < 3500 // length_ms])
    assert_tone(sound[96_000:], 300.0, -12.0)


@LENGTHS
def test_a_lost_packet_costs_its_own_length_of_made_up_sound_and_no_delay(length_ms: FrameLength) -> None:
    packets = sent(Tone(300.0, -12.0), length_ms, 4.0)
    before, _ = heard(packets, 3.9)
    lost = 2000 // length_ms
    after, slot = heard(packets, 3.9, frozenset({lost, lost + 1}))
    measured = slot.statistics()[1]
    assert measured.lost == 2
    tail = slice(3 * 48_000, None)
    assert np.allclose(before[tail], after[tail], atol=0.05), (
        "the same sample at the same time as without the loss"
    )
    assert level_dbfs(after[tail]) == pytest.approx(-12.0, abs=0.5)


@LENGTHS
async def test_the_offer_says_how_long_packets_are(length_ms: FrameLength) -> None:
    connection = MediaConnection(
        source=Tone(440.0, -20.0), audio=resolve(custom(broadcaster(), frame_length_ms=length_ms))
    )
    try:
        offer = await connection.offer()
        microphone_line, others = offer.split("m=audio ")[1], offer.split("m=audio ")[2:]
        assert f"a=ptime:{length_ms}\r\n" in microphone_line
        assert not any("ptime:" in line for line in others)
    finally:
        await connection.close()
