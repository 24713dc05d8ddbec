"""Values of an audio configuration that are heard: rate, channels both ways, the wait before playing."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, Block
from greenroom.media.connection import new_microphone, new_slot
from greenroom.media.dsp import tone_dbfs
from greenroom.media.sources import AudioSource, Tone
from greenroom.policies.audio_config import AudioConfiguration, broadcaster, custom, hi_fi, resolve
from greenroom.state.audio import LiveAudio
from tests.media.room import Room, noise

PLAIN = custom(broadcaster(), dtx=False)


def heard(
    source: AudioSource, sent_as: AudioConfiguration, played_as: AudioConfiguration, seconds: float
) -> Block:
    """Return what a listener hears of `source`, on a network that loses nothing."""
    line, slot = new_microphone(source, resolve(sent_as)), new_slot(resolve(played_as))
    line.set_live(LiveAudio(bitrate=128_000, dtx=False))
    line.set_open(True)
    blocks = []
    for number in range(round(seconds * 50)):
        packet = line.next_packet()
        assert packet is not None
        slot.push(number, number * FRAME, packet.payload, 1)
        blocks.append(
            sum((voice for _, voice in slot.pull()), start=np.zeros((FRAME, slot.channels), np.float32))
        )
    return np.concatenate(blocks)


def above_dbfs(sound: Block, frequency_hz: float) -> float:
    """Return how loud everything above a frequency is."""
    spectrum = np.square(np.abs(np.fft.rfft(sound[:, 0])))
    share = spectrum[round(frequency_hz * len(sound) / 48_000) :].sum() / spectrum.sum()
    return float(10.0 * np.log10(share + 1e-12))


@pytest.mark.parametrize(("rate_hz", "highest_hz"), [(8_000, 4_000.0), (16_000, 8_000.0), (24_000, 12_000.0)])
def test_a_lower_rate_sends_nothing_above_half_of_it(rate_hz: int, highest_hz: float) -> None:
    narrow = heard(Room(noise(2.0, -20.0)), custom(PLAIN, sample_rate_hz=rate_hz), PLAIN, 2.0)
    whole = heard(Room(noise(2.0, -20.0)), PLAIN, PLAIN, 2.0)
    assert above_dbfs(narrow[48_000:], highest_hz * 1.1) < -25.0
    assert above_dbfs(whole[48_000:], highest_hz * 1.1) > -6.0


def test_a_longer_wait_is_as_much_longer_as_was_asked_for() -> None:
    click = np.zeros((96_000, 1), np.float32)
    click[48_000:48_480] = 0.5

    def arrives(target_ms: int) -> int:
        sound = heard(Room(click), PLAIN, custom(PLAIN, playout_target_ms=target_ms), 2.0)
        return int(np.argmax(np.abs(sound[:, 0]) > 0.1))

    assert arrives(120) - arrives(40) == pytest.approx(80 * 48, abs=2 * 48)


class Left(Tone):
    """A tone on the left alone."""

    def __init__(self) -> None:
        super().__init__(440.0, -20.0, channels=2)

    def read(self, frames: int) -> Block:
        block = super().read(frames).copy()
        block[:, 1] = 0.0
        return block


def test_stereo_is_sent_and_played_where_both_sides_say_so() -> None:
    stereo = heard(Left(), hi_fi(), hi_fi(), 2.0)[48_000:]
    assert stereo.shape[1] == 2
    left, right = tone_dbfs(stereo[:, :1], 440.0), tone_dbfs(stereo[:, 1:], 440.0)
    assert left == pytest.approx(-20.0, abs=1.0)
    assert right < left - 20.0


def test_who_listens_in_mono_hears_both_sides_in_one_and_a_mono_voice_is_in_the_middle() -> None:
    mono = heard(Left(), hi_fi(), PLAIN, 2.0)[48_000:]
    assert mono.shape[1] == 1
    assert tone_dbfs(mono, 440.0) == pytest.approx(-26.0, abs=1.0)
    middle = heard(Tone(440.0, -20.0), PLAIN, hi_fi(), 2.0)[48_000:]
    assert np.allclose(middle[:, 0], middle[:, 1], atol=1e-4)
