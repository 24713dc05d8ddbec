"""Opus through libopus: what goes in comes out, and what is missing is made up."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.errors import AudioUnavailable
from greenroom.media import opus
from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.dsp import level_dbfs, strongest_hz, tone_dbfs
from greenroom.media.opus import Decoder, Encoder, new_decoder, new_encoder
from greenroom.media.sources import Tone
from greenroom.media.toc import has_fec, is_stereo, packet_samples
from greenroom.media.voices import sound_of, voice_named


def through(encoder: Encoder, decoder: Decoder, sound: Block) -> Block:
    return np.concatenate(
        [decoder.decode(encoder.encode(sound[at : at + FRAME])) for at in range(0, len(sound), FRAME)]
    )


def speech(frames: int) -> Block:
    sound = sound_of(voice_named("ben").sentences[1])
    return sound[: len(sound) // FRAME * FRAME][: frames * FRAME]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_keeps_its_frequency_and_level(channels: int) -> None:
    heard = through(
        new_encoder(channels, dtx=False), new_decoder(channels), Tone(440.0, -20.0, channels).read(48_000)
    )
    assert heard.shape == (48_000, channels)
    assert strongest_hz(heard[9600:, :1]) == pytest.approx(440.0, abs=0.5)
    assert level_dbfs(heard[9600:]) == pytest.approx(-20.0, abs=0.5)


def test_the_library_in_the_wheel_is_found() -> None:
    assert opus.library() is not None


def test_the_bitrate_changes_while_sound_flows() -> None:
    encoder, sound = new_encoder(bitrate=64_000, dtx=False), speech(50)
    loud = sum(len(encoder.encode(sound[at : at + FRAME])) for at in range(0, len(sound), FRAME))
    encoder.set_bitrate(12_000)
    soft = sum(len(encoder.encode(sound[at : at + FRAME])) for at in range(0, len(sound), FRAME))
    assert soft < loud / 3


def test_silence_is_hardly_sent_with_dtx_and_always_without() -> None:
    sizes = {}
    for dtx in (True, False):
        encoder = new_encoder(dtx=dtx)
        sizes[dtx] = sum(len(encoder.encode(silence(FRAME))) > 2 for _ in range(100))
    assert sizes[False] == 100
    assert sizes[True] < 30


def test_a_lost_packet_comes_back_from_the_next_one() -> None:
    sound = speech(60)
    encoder = new_encoder(expected_loss_percent=25)
    packets = [encoder.encode(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)]
    lost = next(n for n in range(20, 59) if has_fec(packets[n + 1]) and len(packets[n]) > 60)
    whole, fec, plc = new_decoder(), new_decoder(), new_decoder()
    for packet in packets[:lost]:
        for decoder in (whole, fec, plc):
            decoder.decode(packet)
    original = whole.decode(packets[lost])
    recovered, concealed = fec.decode_fec(packets[lost + 1]), plc.conceal()
    assert len(recovered) == len(concealed) == FRAME
    assert np.square(recovered - original).sum() < np.square(concealed - original).sum()


def test_concealment_continues_and_then_fades_away() -> None:
    encoder, decoder = new_encoder(), new_decoder()
    through(encoder, decoder, speech(40))
    first = level_dbfs(decoder.conceal())
    for _ in range(15):
        last = level_dbfs(decoder.conceal())
    assert last < first - 10.0


def test_a_reset_decoder_knows_nothing_of_the_speaker_before() -> None:
    encoder, decoder = new_encoder(dtx=False), new_decoder()
    through(encoder, decoder, Tone(440.0, -20.0).read(9600))
    decoder.reset()
    assert level_dbfs(decoder.conceal()) < -90.0


def test_what_is_not_opus_is_refused_in_words() -> None:
    with pytest.raises(AudioUnavailable, match="cannot be decoded"):
        new_decoder().decode(b"\xff\xff\xff\xff")


def test_three_channels_are_refused() -> None:
    with pytest.raises(AudioUnavailable, match="3 channels"):
        new_encoder(3)


@pytest.mark.parametrize(
    ("payload", "samples", "stereo"),
    [
        pytest.param(b"", 0, False, id="nothing"),
        pytest.param(bytes([0x48, 1]), 960, False, id="silk 20 ms mono"),
        pytest.param(bytes([0xFC, 1]), 960, True, id="celt 20 ms stereo"),
        pytest.param(bytes([0xE0, 1]), 120, False, id="celt 2.5 ms"),
        pytest.param(bytes([0x59, 1]), 5760, False, id="two of 60 ms"),
        pytest.param(bytes([0x5B, 3]), 0, False, id="three of 60 ms are too many"),
        pytest.param(bytes([0x4B]), 0, False, id="a count that is cut off"),
    ],
)
def test_the_first_byte_tells_how_long_a_packet_is(payload: bytes, samples: int, stereo: bool) -> None:
    assert packet_samples(payload) == samples
    assert is_stereo(payload) is stereo


@pytest.mark.parametrize(("expected_loss", "some"), [(0, False), (25, True)])
def test_fec_is_seen_in_a_packet_that_has_it(expected_loss: int, some: bool) -> None:
    encoder, sound = new_encoder(expected_loss_percent=expected_loss), speech(60)
    found = [has_fec(encoder.encode(sound[at : at + FRAME])) for at in range(0, len(sound), FRAME)]
    assert any(found) is some


def test_without_libopus_pyav_still_carries_a_tone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "library", lambda: None)
    encoder, decoder = new_encoder(), new_decoder()
    sound = Tone(440.0, -20.0).read(48_000)
    packets = [encoder.encode(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)]
    heard = np.concatenate([decoder.decode(packet) for packet in packets if packet])
    assert tone_dbfs(heard[9600:], 440.0) == pytest.approx(-20.0, abs=0.5)
    assert not decoder.conceal().any()
    with pytest.raises(AudioUnavailable):
        decoder.decode(b"\xff\xff\xff\xff")
