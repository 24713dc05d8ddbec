"""A slot: packets in, blocks of people out."""

from __future__ import annotations

import random

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.dsp import level_dbfs
from greenroom.media.opus import new_encoder
from greenroom.media.slot import Slot
from greenroom.media.sources import Tone
from tests.media.sound import assert_tone, click_ratio


class Speaker:
    """Packets of a tone, one each 20 ms."""

    def __init__(self, number: int, frequency_hz: float, level_dbfs: float = -20.0) -> None:
        self.number = number
        self._tone = Tone(frequency_hz, level_dbfs)
        self._encoder = new_encoder(dtx=False, fec=False)

    def packet(self) -> bytes:
        return self._encoder.encode(self._tone.read(FRAME))


def heard_of(pulled: list[list[tuple[int, Block]]], number: int) -> Block:
    return np.concatenate([dict(blocks).get(number, silence(FRAME)) for blocks in pulled])


def test_a_tone_is_heard_as_its_speakers() -> None:
    slot, speaker = Slot(), Speaker(5, 440.0)
    pulled = []
    for n in range(100):
        slot.push(n, n * FRAME, speaker.packet(), speaker.number)
        pulled.append(slot.pull())
    assert_tone(heard_of(pulled, 5)[24_000:], 440.0, -20.0)
    assert slot.speaker == 5
    measured = slot.statistics()[5]
    assert (measured.packets, measured.lost, measured.concealed) == (100, 0, 0)
    assert 20.0 <= measured.buffer_ms <= 40.0


@pytest.mark.parametrize("frames", [480, 441, 960, 1024, 2880])
def test_any_number_of_frames_can_be_pulled(frames: int) -> None:
    slot, speaker = Slot(), Speaker(5, 440.0)
    sent, pieces = 0, list[Block]()
    for turn in range(1, 96_000 // frames):
        while sent * FRAME < turn * frames + FRAME:
            slot.push(sent, sent * FRAME, speaker.packet(), 5)
            sent += 1
        blocks = dict(slot.pull(frames))
        assert all(block.shape == (frames, 1) for block in blocks.values())
        pieces.append(blocks.get(5, silence(frames)))
    assert_tone(np.concatenate(pieces)[24_000:], 440.0, -20.0)


def test_a_tenth_lost_costs_a_tenth_concealed_and_the_tone_stays() -> None:
    chance, slot, speaker = random.Random(5), Slot(), Speaker(5, 440.0)
    pulled, lost = [], 0
    for n in range(1000):
        packet = speaker.packet()
        if n > 20 and chance.random() < 0.1:
            lost += 1
        else:
            slot.push(n, n * FRAME, packet, 5)
        pulled.append(slot.pull())
    measured = slot.statistics()[5]
    assert measured.concealed_ratio == pytest.approx(lost / 1000, abs=0.01)
    assert measured.buffer_ms <= 40.0
    assert level_dbfs(heard_of(pulled, 5)[-96_000:]) == pytest.approx(-20.0, abs=1.5)


def test_another_speaker_in_the_slot_is_heard_apart_and_without_a_click() -> None:
    slot, ann, ben = Slot(), Speaker(1, 440.0), Speaker(2, 300.0)
    pulled = []
    for n in range(100):
        speaker = ann if n < 50 else ben
        slot.push(n, n * FRAME, speaker.packet(), speaker.number)
        pulled.append(slot.pull())
    of_ann, of_ben = heard_of(pulled, 1), heard_of(pulled, 2)
    assert_tone(of_ann[9600:48_000], 440.0, -20.0)
    assert_tone(of_ben[-40_000:], 300.0, -20.0)
    assert not of_ann[-40_000:].any()
    assert not of_ben[:48_000].any()
    both = of_ann + of_ben
    assert click_ratio(both[9600:], both[9600:45_000]) < 5.0


def test_a_slot_in_which_nobody_speaks_has_nobody() -> None:
    slot, speaker = Slot(), Speaker(5, 440.0)
    assert slot.pull() == []
    for n in range(20):
        slot.push(n, n * FRAME, speaker.packet(), 5)
        slot.pull()
    for _ in range(60):
        slot.pull()
    assert slot.pull() == []
    assert slot.speaker is None


def test_the_bytes_of_a_stranger_are_as_good_as_lost() -> None:
    slot, chance = Slot(), random.Random(2)
    for n in range(200):
        slot.push(n, n * FRAME, bytes([chance.randrange(256)]) + chance.randbytes(chance.randrange(60)), 5)
        for _, block in slot.pull():
            assert np.isfinite(block).all()


def test_stereo_is_kept_where_it_is_wanted() -> None:
    slot, encoder, tone = Slot(channels=2), new_encoder(2, bitrate=64_000, dtx=False), Tone(440.0, -20.0)
    pulled = []
    for n in range(60):
        block = np.concatenate([tone.read(FRAME), silence(FRAME)], axis=1)
        slot.push(n, n * FRAME, encoder.encode(block), 5)
        pulled.append(dict(slot.pull()).get(5, silence(FRAME, 2)))
    heard = np.concatenate(pulled)[24_000:]
    assert_tone(heard[:, :1], 440.0, -20.0, tolerance_db=1.0)
    assert level_dbfs(heard[:, 1:]) < -35.0
