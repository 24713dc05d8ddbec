"""An audio configuration in words."""

from __future__ import annotations

from msgspec.structs import replace

from greenroom.policies.audio_config import FIELDS, PROFILES, broadcaster, custom, hi_fi, resolve
from greenroom.policies.processing import plan_processing
from greenroom.protocol.call_types import AudioSettings
from greenroom.views.audio import audio_report, audio_rows


def test_every_value_has_a_title_words_and_who_said_it() -> None:
    for profile in PROFILES.values():
        rows = audio_rows(resolve(None, profile))
        assert tuple(row.name for row in rows) == FIELDS
        assert all(row.title and row.value and row.origin == "my default" for row in rows)


def test_rows_say_what_a_person_reads_and_what_can_still_change() -> None:
    audio = resolve(custom(hi_fi(), red_depth=2), None, AudioSettings(opus_dtx=False, hifi=True))
    rows = {row.name: row for row in audio_rows(replace(audio, frozen=True))}
    said = {name: rows[name].value for name in ("channels", "bitrate", "red_depth", "dtx", "frame_length_ms")}
    assert said == {
        "channels": "stereo",
        "bitrate": "128 kb/s",
        "red_depth": "two earlier packets",
        "dtx": "off",
        "frame_length_ms": "20 ms",
    }
    assert rows["bitrate"].changeable
    assert rows["noise_suppression"].changeable
    assert not rows["channels"].changeable


def test_programs_get_every_value_with_its_origin_and_why_it_does_not_act() -> None:
    audio = resolve(custom(broadcaster(), bitrate=24_000), hi_fi())
    report = audio_report(replace(audio, route_reason="there are no headphones"))
    assert set(report) == {*FIELDS, "processing"}
    assert report["bitrate"] == {"value": 24_000, "origin": "call"}
    assert report["output_route"] == {"value": "speaker", "origin": "call", "note": "there are no headphones"}
    assert report["processing"]["by"] == "none"


def test_a_value_that_does_not_act_says_why() -> None:
    audio = resolve(broadcaster())
    acting = plan_processing(audio.processing, microphone=True, webrtc=False)
    shown = replace(audio, acting=acting, route_reason="there are no headphones")
    notes = {row.name: row.note for row in audio_rows(shown) if row.note}
    assert notes == {
        "echo_cancellation": "echo cancellation needs more (pip install 'greenroom[processing]'); use headphones",
        "output_route": "there are no headphones",
    }
