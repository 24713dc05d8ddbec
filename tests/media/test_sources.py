"""Sources: always as many frames as asked for, never a wait, and a clear word about files that are no sound."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import silence
from greenroom.media.dsp import level_dbfs
from greenroom.media.files import File, load
from greenroom.media.render_voices import write_opus
from greenroom.media.sinks import WavFile
from greenroom.media.sources import AudioSource, Silence, Tone
from greenroom.media.voices import FOLDER, Voice, sound_of, voice_named, voices
from tests.media.sound import assert_tone, click_ratio, until


@pytest.fixture
def tone_file(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    sink = WavFile(path, channels=1)
    tone = Tone(440.0, -20.0)
    for _ in range(100):
        sink.write(tone.read(960))
    sink.close()
    return path


@pytest.mark.parametrize("source", [Silence(), Silence(2), Tone(), Tone(440.0, -20.0, 2), Voice(voices()[0])])
@pytest.mark.parametrize("frames", [0, 1, 960, 1234])
def test_a_source_gives_exactly_what_was_asked_for(source: AudioSource, frames: int) -> None:
    assert isinstance(source, AudioSource)
    block = source.read(frames)
    assert block.shape == (frames, source.channels)
    assert block.dtype == np.float32


def test_a_tone_goes_on_without_a_seam() -> None:
    tone = Tone(441.7, -20.0)
    pieces = np.concatenate([tone.read(frames) for frames in (960, 313, 960, 7, 2000)])
    assert click_ratio(pieces, Tone(441.7, -20.0).read(5000)) < 1.05


def test_a_tone_that_cannot_be_heard_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be heard"):
        Tone(0.0)


async def test_a_file_is_played_to_its_end_and_then_silent(tone_file: Path) -> None:
    source = File(tone_file)
    await until(lambda: len(source._ring) >= 48_000, "a second is decoded ahead")
    assert_tone(source.read(48_000), 440.0, -20.0)
    await until(lambda: source._decoded_all, "the rest is decoded")
    source.read(48_000)
    assert source.finished
    assert not source.read(960).any()
    source.close()


async def test_a_looping_file_begins_again(tone_file: Path) -> None:
    source = File(tone_file, loop=True)
    for _ in range(5):
        await until(lambda: len(source._ring) >= 48_000, "a second is decoded ahead")
        assert level_dbfs(source.read(48_000)) == pytest.approx(-20.0, abs=0.3)
    assert not source.finished
    source.close()


def test_a_file_of_another_rate_and_kind_sounds_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tone.opus"
    write_opus(path, Tone(440.0, -20.0).read(96_000))
    source = File(path, channels=2)
    block = source.read(19_200)
    assert block.shape == (19_200, 2)
    assert_tone(block[4800:], 440.0, -20.0)
    source.close()


def test_a_closed_file_is_silent_and_closes_twice(tone_file: Path) -> None:
    source = File(tone_file)
    source.close()
    source.close()
    assert not source.read(960).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "there is no file", id="missing"),
        pytest.param(b"", "has no sound|cannot be read", id="empty"),
        pytest.param(b"this is not a sound\n" * 100, "has no sound|cannot be read", id="text"),
        pytest.param(bytes(range(256)) * 50, "has no sound|cannot be read", id="bytes"),
    ],
)
@pytest.mark.parametrize("name", ["holiday.jpg", "holiday.wav", "holiday.opus"])
def test_what_is_no_audio_file_is_refused_in_words(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioUnavailable, match=message):
        File(path)


def test_a_folder_is_no_audio_file(tmp_path: Path) -> None:
    with pytest.raises(AudioUnavailable):
        File(tmp_path)


def test_the_demo_voices_are_all_there_small_and_equally_loud() -> None:
    assert [voice.name for voice in voices()] == ["ann", "ben", "cal"]
    for voice in voices():
        for sentence in voice.sentences:
            sound = load(FOLDER / sentence.file)
            assert len(sound) / 48_000 == pytest.approx(sentence.seconds, abs=0.1)
            assert level_dbfs(sound) == pytest.approx(-20.0, abs=1.5)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


def test_the_demo_voices_differ() -> None:
    def pitch_hz(name: str) -> float:
        sound = sound_of(voice_named(name).sentences[1])[:48_000, 0].astype(np.float64)
        frames = [sound[at : at + 2400] for at in range(0, len(sound) - 2400, 2400)]
        found = []
        for frame in frames:
            correlation = np.correlate(frame, frame, "full")[len(frame) - 1 :]
            lag = int(correlation[120:600].argmax()) + 120
            if correlation[lag] > 0.5 * correlation[0] > 0.1:
                found.append(48_000 / lag)
        return float(np.median(found))

    assert pitch_hz("ann") > 1.3 * pitch_hz("ben")


def test_a_voice_speaks_when_told_and_says_so() -> None:
    voice = Voice(voices()[0])
    assert not voice.read(960).any()
    was_speaking = voice.speaking
    sentence = voice.say()
    assert (was_speaking, voice.speaking) == (False, True)
    heard = voice.read(round(sentence.seconds * 48_000))
    assert level_dbfs(heard) > -25.0
    voice.read(9600)
    assert voice.saying is None


def test_the_same_seed_says_the_same() -> None:
    def said(seed: int) -> list[str]:
        voice = Voice(voices()[0], seed=seed)
        return [voice.say().text for _ in range(20)]

    assert said(1) == said(1)
    assert said(1) != said(2)
    assert len(set(said(1)[:8])) == 8


def test_a_voice_left_to_itself_pauses_and_speaks() -> None:
    voice = Voice(voices()[1], seed=4, pause_seconds=(0.5, 1.0))
    speaking = []
    for _ in range(1000):
        voice.read(960)
        speaking.append(voice.speaking)
    turns = sum(now and not before for before, now in itertools.pairwise(speaking))
    assert 4 <= turns <= 10
    voice.close()
    assert not voice.read(96_000).any()


def test_an_unknown_voice_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(AudioUnavailable, match="ann, ben, cal"):
        voice_named("zoe")


def test_silence_is_silent() -> None:
    assert np.array_equal(Silence(2).read(100), silence(100, 2))
