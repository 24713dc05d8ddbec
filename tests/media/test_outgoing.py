"""The outgoing line: gate, fades, pauses, levels; stepped without a clock."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs
from greenroom.media.opus import Encoder, new_decoder, new_encoder
from greenroom.media.outgoing import Microphone, OutgoingPacket
from greenroom.media.sources import AudioSource, Silence, Tone
from greenroom.media.toc import has_fec
from greenroom.media.voices import Voice, voices
from greenroom.state.audio import LiveAudio
from tests.media.room import Room, speech
from tests.media.sound import assert_tone, click_ratio


def opened(source: AudioSource, encoder: Encoder | None = None) -> Microphone:
    microphone = Microphone(source, encoder or new_encoder())
    microphone.set_open(True)
    return microphone


def decoded(packets: list[OutgoingPacket | None]) -> Block:
    decoder = new_decoder()
    return np.concatenate([decoder.decode(p.payload) if p else decoder.conceal() for p in packets])


def test_a_closed_microphone_sends_nothing_but_shows_its_level() -> None:
    microphone = Microphone(Tone(440.0, -20.0), new_encoder())
    assert [microphone.next_packet() for _ in range(20)] == [None] * 20
    assert microphone.level_dbfs == pytest.approx(-20.0, abs=0.1)


def test_an_open_microphone_sends_the_tone_without_gaps() -> None:
    microphone = opened(Tone(440.0, -20.0))
    packets = [microphone.next_packet() for _ in range(100)]
    assert None not in packets
    assert_tone(decoded(packets)[24_000:], 440.0, -20.0)


def test_closing_fades_within_40_ms_and_then_nothing_is_sent() -> None:
    microphone = opened(Tone(300.0, -12.0))
    packets = [microphone.next_packet() for _ in range(30)]
    microphone.set_open(False)
    assert not microphone.open
    packets += [microphone.next_packet() for _ in range(10)]
    assert [p is not None for p in packets[30:]] == [True, True] + [False] * 8
    heard = decoded(packets)
    assert level_dbfs(heard[32 * FRAME :]) < -45.0
    assert click_ratio(heard[9600:], heard[9600:24_000]) < 2.0


def test_opening_fades_in_and_marks_the_first_packet() -> None:
    microphone = Microphone(Tone(300.0, -12.0), new_encoder())
    microphone.next_packet()
    microphone.set_open(True)
    packets = [microphone.next_packet() for _ in range(20)]
    assert [p.starts for p in packets if p] == [True] + [False] * 19
    heard = decoded(packets)
    assert click_ratio(heard, heard[9600:]) < 4.0  # a bare start has about a hundred


def test_pauses_are_hardly_sent_and_speech_after_one_starts_with_a_mark() -> None:
    voice = Voice(voices()[0])
    microphone = opened(voice)
    pause = [microphone.next_packet() for _ in range(100)]
    assert sum(p is not None for p in pause) < 30
    voice.say()
    speech = [p for p in (microphone.next_packet() for _ in range(60)) if p]
    assert len(speech) > 50
    assert speech[0].starts


def test_levels_are_those_of_rfc_6464_and_voice_is_told_from_silence() -> None:
    microphone = opened(Tone(440.0, -20.0))
    packet = [microphone.next_packet() for _ in range(5)][-1]
    assert packet is not None
    assert (packet.level, packet.voice) == (20, True)
    quiet = opened(Silence())
    first = quiet.next_packet()
    assert first is None or (first.level, first.voice) == (127, False)


def test_a_new_source_fades_in_while_the_old_one_fades_out() -> None:
    microphone = opened(Tone(300.0, -12.0))
    packets = [microphone.next_packet() for _ in range(50)]
    microphone.replace_source(Tone(440.0, -12.0))
    packets += [microphone.next_packet() for _ in range(50)]
    heard = decoded(packets)
    assert_tone(heard[9600:45_000], 300.0, -12.0)
    assert_tone(heard[52_000:], 440.0, -12.0)
    assert click_ratio(heard[9600:], heard[9600:45_000]) < 2.0


class Broken:
    """A source as somebody might write it."""

    channels = 1

    def __init__(self, failing: bool) -> None:
        self._failing = failing

    def read(self, frames: int) -> Block:
        if self._failing:
            raise RuntimeError("mine")
        return silence(frames - 1)

    def close(self) -> None: ...


@pytest.mark.parametrize("failing", [True, False])
def test_a_source_that_fails_becomes_silence_and_says_why(failing: bool) -> None:
    microphone = opened(Broken(failing))
    for _ in range(5):
        microphone.next_packet()
    assert microphone.source_error is not None
    assert microphone.level_dbfs == SILENCE_DBFS
    microphone.replace_source(Tone(440.0, -20.0))
    packets = [microphone.next_packet() for _ in range(5)]
    assert all(packets)
    assert microphone.source_error is None


def test_noise_of_a_quiet_room_is_hardly_sent_whatever_the_complexity() -> None:
    noise = Noise(-60.0)
    for complexity in (5, 9):
        microphone = opened(noise, new_encoder(complexity=complexity))
        for _ in range(100):
            microphone.next_packet()
        packets = [microphone.next_packet() for _ in range(500)]
        assert 2 <= sum(packet is not None for packet in packets) / 10 <= 4


def test_without_dtx_every_frame_of_a_pause_is_sent() -> None:
    microphone = opened(Noise(-60.0))
    microphone.set_live(LiveAudio(dtx=False))
    packets = [microphone.next_packet() for _ in range(150)]
    assert None not in packets


def test_another_bitrate_acts_on_the_next_packet() -> None:
    microphone = opened(Noise(-20.0))

    def bytes_a_frame(frames: int) -> float:
        return (
            sum(len(packet.payload) for packet in (microphone.next_packet() for _ in range(frames)) if packet)
            / frames
        )

    microphone.set_live(LiveAudio(bitrate=64_000, dtx=False, fec=False))
    bytes_a_frame(10)
    assert bytes_a_frame(50) == pytest.approx(160, rel=0.2)
    microphone.set_live(LiveAudio(bitrate=16_000, dtx=False, fec=False))
    bytes_a_frame(1)
    assert bytes_a_frame(50) == pytest.approx(40, rel=0.3)


FEC, NO_FEC = LiveAudio(dtx=False, expected_loss_percent=25), LiveAudio(dtx=False, fec=False)
LOSSLESS = LiveAudio(dtx=False, expected_loss_percent=0)


@pytest.mark.parametrize(
    ("before", "after", "some"),
    [
        pytest.param(NO_FEC, FEC, True, id="FEC on"),
        pytest.param(FEC, NO_FEC, False, id="FEC off"),
        pytest.param(LOSSLESS, FEC, True, id="loss expected"),
        pytest.param(FEC, LOSSLESS, False, id="no loss expected"),
    ],
)
def test_copies_inside_packets_begin_and_end_with_the_next_ones(
    before: LiveAudio, after: LiveAudio, some: bool
) -> None:
    microphone = opened(Room(speech(4.0, -20.0)), new_encoder(bitrate=32_000))
    microphone.set_live(replace(before, bitrate=32_000))
    first = [microphone.next_packet() for _ in range(60)]
    microphone.set_live(replace(after, bitrate=32_000))
    then = [microphone.next_packet() for _ in range(20)]
    copied = [[has_fec(packet.payload) for packet in part if packet] for part in (first, then)]
    assert (any(copied[0]), any(copied[1][1:])) == (not some, some)
    assert copied[1][1] is some, "within one frame: a packet has the copy of the one before"


class Noise:
    """White noise of a level, the same every time."""

    channels = 1

    def __init__(self, level: float) -> None:
        self._amplitude = 10.0 ** (level / 20.0)
        self._chance = np.random.default_rng(1)

    def read(self, frames: int) -> Block:
        block: Block = (self._chance.standard_normal((frames, 1)) * self._amplitude).astype(np.float32)
        return block

    def close(self) -> None: ...
