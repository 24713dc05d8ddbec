"""Who speaks, told from the sound: hits and false alarms on the demo's voices, and what is no voice at all."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, Block
from greenroom.media.opus import new_encoder
from greenroom.media.outgoing import Microphone
from greenroom.media.voice_activity import (
    EnergyDetector,
    SileroDetector,
    VoiceActivity,
    VoiceDetector,
    WebrtcDetector,
    _silero,
    new_detector,
)
from greenroom.media.voices import sound_of, voices
from tests.media.room import Room, noise, spoken

Words = np.ndarray[Any, np.dtype[np.bool_]]
HOLD_STEPS = 25  # a voice is held for 400 ms, by detectors themselves for up to 100 more
PAUSE = np.zeros((72_000, 1), np.float32)


def talk() -> tuple[Block, Words]:
    """Return a sentence of each voice with pauses of 1.5 s, and which blocks of 20 ms are speech, small gaps included."""
    parts = [np.concatenate([sound_of(voice.sentences[0]), PAUSE]) for voice in voices()]
    sound = np.concatenate(parts)
    sound = sound[: len(sound) // FRAME * FRAME] * np.float32(0.05 / 0.07)
    words: Words = np.asarray(spoken(sound).reshape(-1, FRAME).any(axis=1))
    at = np.flatnonzero(words)
    for one, following in itertools.pairwise(at):
        if following - one <= 10:
            words[one:following] = True
    return sound, words


def rates(detector: VoiceDetector, sound: Block, words: Words) -> tuple[float, float]:
    """Return the shares of speech that is taken for voice, and of pauses that are once it is not held any more."""
    activity = VoiceActivity(detector)
    told = np.array([activity.update(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)])
    held = np.convolve(words, np.ones(HOLD_STEPS + 1))[: len(words)] > 0
    return float(told[words].mean()), float(told[~held].mean())


@pytest.mark.parametrize(
    ("detector", "background_dbfs", "least_hits", "most_false"),
    [
        pytest.param(WebrtcDetector, -65.0, 0.97, 0.02, id="webrtc in quiet"),
        pytest.param(WebrtcDetector, -40.0, 0.95, 0.02, id="webrtc, noise 15 dB below speech"),
        pytest.param(EnergyDetector, -65.0, 0.97, 0.02, id="energy in quiet"),
    ],
)
def test_speech_is_hit_and_pauses_are_not(
    detector: type[WebrtcDetector | EnergyDetector],
    background_dbfs: float,
    least_hits: float,
    most_false: float,
) -> None:
    sound, words = talk()
    heard = sound + noise(len(sound) / 48_000, background_dbfs)
    hits, false = rates(detector(), heard, words)
    assert hits >= least_hits
    assert false <= most_false


def test_silero_hits_speech_in_noise() -> None:
    try:
        detector = SileroDetector()
    except ImportError:
        pytest.skip("silero needs onnxruntime and silero-vad, which this project does not install")
    sound, words = talk()
    hits, false = rates(detector, sound + noise(len(sound) / 48_000, -40.0), words)
    assert (hits >= 0.9, false <= 0.1) == (True, True)


@pytest.mark.parametrize(
    ("detector", "level_dbfs"), [(WebrtcDetector, -30.0), (WebrtcDetector, -60.0), (EnergyDetector, -60.0)]
)
def test_steady_noise_is_no_voice(detector: type[WebrtcDetector | EnergyDetector], level_dbfs: float) -> None:
    activity = VoiceActivity(detector())
    sound = noise(20.0, level_dbfs)
    told = [activity.update(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)]
    assert not any(told[900:]), "once it has gone on for a while"


def test_the_next_best_detector_takes_over_where_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    _silero.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert new_detector().name == "webrtc"
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    assert new_detector().name == "energy"


def test_speech_opens_the_way_at_once_after_a_pause_and_noise_keeps_it_nearly_closed() -> None:
    sound, _ = talk()
    heard = np.concatenate([noise(3.0, -60.0), sound[:48_000] + noise(1.0, -60.0), noise(6.0, -60.0)])
    microphone = Microphone(Room(heard), new_encoder(complexity=9))
    microphone.set_open(True)
    packets = [microphone.next_packet() for _ in range(500)]
    first_word = 150 + int(np.argmax(spoken(sound[:48_000]))) // FRAME
    assert all(packets[first_word : first_word + 5])
    spoken_packets = [packet for packet in packets[first_word + 5 : first_word + 20] if packet]
    assert all(packet.voice for packet in spoken_packets)
    pause = [packet for packet in packets[300:500] if packet]
    assert 2 <= len(pause) / 4 <= 4, "packets a second"
    assert not any(packet.voice for packet in pause)


def test_who_speaks_into_a_closed_microphone_is_noticed() -> None:
    sound, _ = talk()
    microphone = Microphone(Room(sound), new_encoder())
    told = []
    for _ in range(50):
        assert microphone.next_packet() is None
        told.append(microphone.voice)
    assert any(told)
