"""Sinks: never a wait, never a click of their own, and a recording that survives a crash."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import Block
from greenroom.media.sinks import AudioSink, Callback, Meter, Null, WavFile, read_wav
from greenroom.media.sources import Tone
from tests.media.sound import assert_tone, until


def test_a_meter_knows_level_and_last_sound() -> None:
    meter, tone = Meter(keep_seconds=1.0), Tone(440.0, -20.0)
    for _ in range(100):
        meter.write(tone.read(960))
    assert meter.level_dbfs == pytest.approx(-20.0, abs=0.1)
    assert len(meter.recent()) == 48_000
    assert_tone(meter.recent(0.5), 440.0, -20.0)
    assert len(meter.recent(0.5)) == 24_000


def test_a_meter_that_heard_nothing_reads_silence() -> None:
    assert Meter().level_dbfs == -96.0
    assert Meter(channels=2).recent().shape == (0, 2)


def test_a_callback_gets_every_block_with_frames_and_channels() -> None:
    got: list[Block] = []
    sink = Callback(got.append, channels=2)
    sink.write(Tone().read(960))
    assert got[0].shape == (960, 2)
    sink.close()
    sink.write(Tone().read(960))
    assert len(got) == 1


def test_a_callback_that_raises_is_not_called_again_and_harms_nobody() -> None:
    calls = []

    def broken(block: Block) -> None:
        calls.append(block)
        raise RuntimeError("mine")

    sink = Callback(broken)
    for _ in range(3):
        sink.write(Tone().read(960))
    assert len(calls) == 1
    assert isinstance(sink.error, RuntimeError)


def test_a_recording_has_its_name_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    sink, tone = WavFile(path), Tone(440.0, -20.0)
    for _ in range(100):
        sink.write(tone.read(960))
    assert not path.exists()
    sink.close()
    sink.close()
    assert [file.name for file in tmp_path.iterdir()] == ["call.wav"]
    recorded = read_wav(path)
    assert recorded.shape == (96_000, 2)
    assert_tone(recorded, 440.0, -20.0)


async def test_a_recording_that_was_never_closed_can_be_read_to_the_last_second(tmp_path: Path) -> None:
    sink, tone = WavFile(tmp_path / "call.wav", channels=1), Tone(440.0, -20.0)
    for _ in range(110):
        sink.write(tone.read(960))
    part = tmp_path / "call.wav.part"

    def readable_frames() -> int:
        try:
            return len(read_wav(part))
        except AudioUnavailable:
            return 0  # the writer's thread has not begun

    await until(lambda: readable_frames() >= 96_000, "two seconds are in the header")
    assert_tone(read_wav(part), 440.0, -20.0)
    sink.close()


def test_where_nothing_can_be_written_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(AudioUnavailable, match="cannot be written"):
        WavFile(tmp_path / "no" / "such" / "folder.wav")


def test_loud_sound_is_clipped_not_wrapped(tmp_path: Path) -> None:
    sink = WavFile(tmp_path / "loud.wav", channels=1)
    sink.write(np.full((960, 1), 1.7, np.float32))
    sink.close()
    assert read_wav(tmp_path / "loud.wav").min() > 0.99


def test_what_is_no_wav_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"no")
    with pytest.raises(AudioUnavailable, match="cannot be read"):
        read_wav(tmp_path / "x.wav")


def test_every_sink_is_one() -> None:
    sinks = [Null(), Meter(), Callback(lambda block: None)]
    for sink in sinks:
        assert isinstance(sink, AudioSink)
        sink.write(Tone().read(960))
        sink.close()
        sink.close()


def test_no_thread_of_a_recording_is_left(tmp_path: Path) -> None:
    sink = WavFile(tmp_path / "x.wav")
    sink.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "wav-writer"]
