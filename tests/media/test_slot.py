"""A slot: packets in, blocks of people out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.dsp import level_dbfs
from greenroom.media.opus import new_decoder, new_encoder
from greenroom.media.slot import Slot
from greenroom.media.sources import Tone
from tests.media.sound import assert_no_click, assert_tone

CODED_DB = -43.0
"""A click beyond what Opus makes of a tone by itself (-50), against -30 for a bare cut."""


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
    assert_no_click((of_ann + of_ben)[9600:], CODED_DB)


def heard_when(arrivals: Mapping[int, Sequence[int]], ticks: int, hertz: float) -> tuple[Block, Slot]:
    """Return what is heard of a tone whose packet N comes at tick N, but for those `arrivals` has at its ticks."""
    slot, speaker = Slot(), Speaker(5, hertz)
    packets = [speaker.packet() for _ in range(ticks + 20)]
    pulled = []
    for tick in range(ticks):
        for n in arrivals.get(tick, [tick]):
            slot.push(n, n * FRAME, packets[n], 5)
        pulled.append(slot.pull())
    return heard_of(pulled, 5), slot


EDGES: dict[str, dict[int, Sequence[int]]] = {
    "lost packets": {n: [] for n in (50, 70, 71, 72, 100, 102)},
    "two seconds of nothing": {n: [] for n in range(60, 160)},
    "a late packet, so that the buffer grows": {**{n: [] for n in range(50, 54)}, 54: range(50, 55)},
    "packets ahead of time, so that it shrinks": {50: [50, 51, 52], **{n: [n + 2] for n in range(51, 200)}},
    "far too many, so that some are skipped": {50: range(50, 66), **{n: [n + 15] for n in range(51, 200)}},
    "jitter": {n: [n, n + 1] if n % 7 == 3 else [] if n % 7 == 4 else [n] for n in range(40, 200)},
}


@pytest.mark.parametrize("hertz", [300.0, 311.0, 457.0])
@pytest.mark.parametrize("arrivals", EDGES.values(), ids=EDGES)
def test_what_is_made_up_begins_and_ends_without_a_click_and_so_does_every_change_of_the_buffer(
    arrivals: Mapping[int, Sequence[int]], hertz: float
) -> None:
    heard, _ = heard_when(arrivals, 200, hertz)
    assert_no_click(heard[9600:], CODED_DB)
    assert_tone(heard[-12_000:], hertz, -20.0)


def test_the_delay_after_a_stall_is_soon_what_it_was() -> None:
    heard, slot = heard_when({**{n: [] for n in range(50, 57)}, 57: range(50, 58)}, 300, 311.0)
    assert slot.statistics()[5].buffer_ms <= 40.0
    assert_no_click(heard[9600:], CODED_DB)


def test_asking_how_a_voice_goes_on_changes_nothing_of_how_it_does() -> None:
    speaker, asked, plain = Speaker(5, 440.0), new_decoder(), new_decoder()
    for _ in range(20):
        packet = speaker.packet()
        assert np.array_equal(asked.decode(packet), plain.decode(packet))
        guess = asked.foresee(480)
        assert level_dbfs(guess) == pytest.approx(level_dbfs(plain.foresee(480)), abs=0.01)
    assert np.array_equal(asked.foresee(), plain.conceal())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("minutes", "ppm"),
    [
        (3, -600),
        (3, 600),
        pytest.param(30, -200, marks=pytest.mark.long),
        pytest.param(30, 200, marks=pytest.mark.long),
    ],
)
def test_minutes_with_another_clock_cost_no_gap_no_click_and_no_memory(minutes: int, ppm: int) -> None:
    slot, speaker = Slot(), Speaker(5, 300.0)
    packets = [speaker.packet() for _ in range(110)][10:]  # two seconds that go on from their end
    sent, deepest, heard, resident = 0, 0.0, list[Block](), 0
    for tick in range(minutes * 3000):
        while sent * (1 + ppm * 1e-6) <= tick + 0.5:
            slot.push(sent & 0xFFFF, sent * FRAME & 0xFFFFFFFF, packets[sent % 100], 5)
            sent += 1
        block = dict(slot.pull()).get(5, silence(FRAME))
        if tick > 100:
            deepest = max(deepest, slot._jitter.depth_ms)
        if tick % 1500 > 1400:  # two seconds of each half minute are listened to
            heard.append(block)
        elif heard:
            assert_no_click(np.concatenate(heard), CODED_DB)
            heard.clear()
        if tick == 3000:
            resident = resident_bytes()
    measured = slot.statistics()[5]
    assert (measured.concealed, measured.lost, measured.late) == (0, 0, 0)
    corrected = measured.inserted_samples - measured.removed_samples
    assert corrected == pytest.approx(minutes * 60 * 48_000 * ppm * 1e-6, abs=2 * FRAME)
    assert deepest <= 60.0
    assert resident_bytes() - resident < 3_000_000


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
