"""One call's wishes about its sound: profiles over values, music over profiles, and nothing is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.engine.call_audio import CallAudio
from greenroom.errors import Misuse, Refused
from greenroom.policies.audio_config import broadcaster, custom
from greenroom.protocol.call_types import AudioSettings
from greenroom.state.audio import NoiseSuppression, Origin

STRONG = custom(broadcaster(), noise_suppression="strong", gain_control=False, dtx=True)
HI_FI = AudioSettings(hifi=True)


def seen(audio: CallAudio, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(audio.effective, name) for name in names)


def test_music_switches_processing_off_in_use_and_gives_back_what_was() -> None:
    audio = CallAudio(STRONG, None)
    audio.enter(AudioSettings())
    values = ("echo_cancellation", "noise_suppression", "gain_control", "dtx")
    before = seen(audio, *values)
    audio.configure({"music": True})
    assert seen(audio, *values) == (False, "off", False, False)
    assert audio.effective.origins["noise_suppression"] is Origin.MUSIC
    audio.configure({"music": False})
    assert seen(audio, *values) == before


def test_what_is_wished_during_music_counts_after_it() -> None:
    audio = CallAudio(STRONG, None)
    audio.configure({"music": True})
    audio.configure({"noise_suppression": "normal"})
    assert seen(audio, "noise_suppression") == (NoiseSuppression.OFF,)
    audio.configure({"music": False})
    assert seen(audio, "noise_suppression") == (NoiseSuppression.NORMAL,)


def test_back_from_the_music_profile_every_value_is_what_it_was() -> None:
    audio = CallAudio(STRONG, None)
    before = audio.effective
    audio.configure({"profile": "128k-stereo"})
    assert seen(audio, "channels", "bitrate", "red_depth", "noise_suppression") == (2, 128_000, 1, "off")
    audio.configure({"profile": None})
    assert audio.effective == before


def test_a_value_said_after_a_profile_counts_and_the_profiles_others_stay() -> None:
    audio = CallAudio(None, None)
    audio.enter(AudioSettings())
    audio.configure({"profile": "128k"})
    audio.configure({"bitrate": 96_000})
    assert audio.effective.bitrate == 96_000
    audio.configure({"profile": "64k"})
    assert audio.effective.bitrate == 64_000


def test_stereo_is_refused_where_the_room_has_none_and_too_late_in_use() -> None:
    talk, music = CallAudio(None, None), CallAudio(None, None)
    talk.enter(AudioSettings())
    music.enter(HI_FI)
    before = talk.effective
    with pytest.raises(Refused, match="does not allow high-fidelity"):
        talk.configure({"profile": "128k-stereo"})
    assert talk.effective == before
    with pytest.raises(Misuse, match="channels, application cannot change"):
        music.configure({"profile": "128k-stereo"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": "studio"}, "no profile 'studio'"),
        ({"music": "yes"}, "music is True or False"),
        ({"loudness": 3}, "loudness"),
        ({"bitrate": "64k"}, "bitrate is 6000 to 510000"),
    ],
)
def test_what_is_no_configuration_is_refused_and_changes_nothing(changes: dict[str, Any], words: str) -> None:
    audio = CallAudio(STRONG, None)
    before = audio.effective
    with pytest.raises(Misuse, match=words):
        audio.configure(changes)
    assert audio.effective == before
