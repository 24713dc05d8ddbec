"""Audio configuration: who decides each value, what a room allows, what may change in use."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from greenroom.errors import Malformed
from greenroom.policies.audio_config import (
    FIELDS,
    LIVE,
    LOCAL,
    PROFILES,
    AudioConfiguration,
    BitrateProfile,
    broadcaster,
    changed_though_frozen,
    conversation,
    custom,
    hi_fi,
    live_audio,
    resolve,
    values_of,
    viewer,
    why_refused,
    with_bitrate_profile,
)
from greenroom.policies.redundancy import Redundancy
from greenroom.protocol.call_types import AudioSettings
from greenroom.state.audio import NoiseSuppression, Origin

partial = st.builds(
    AudioConfiguration,
    channels=st.sampled_from([None, 1, 2]),
    bitrate=st.none() | st.integers(6_000, 510_000),
    dtx=st.none() | st.booleans(),
    red_depth=st.sampled_from([None, "adaptive", 0, 1, 2]),
    expected_loss_percent=st.none() | st.just("adaptive") | st.integers(0, 100),
    frame_length_ms=st.sampled_from([None, 10, 20, 40, 60]),
    noise_suppression=st.none() | st.sampled_from(NoiseSuppression),
    playout_target_ms=st.none() | st.integers(40, 200),
)


@given(partial, partial)
def test_each_value_is_the_calls_else_the_clients_else_the_broadcasters(
    call: AudioConfiguration, client: AudioConfiguration
) -> None:
    effective = resolve(call, client)
    for name in FIELDS:
        said = {
            Origin.CALL: getattr(call, name),
            Origin.CLIENT: getattr(client, name),
            Origin.BROADCASTER: getattr(broadcaster(), name),
        }
        first = next(origin for origin, value in said.items() if value is not None)
        assert effective.origins[name] is first
        assert getattr(effective, name) == said[first]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_every_value_and_survives_json(name: str) -> None:
    profile = PROFILES[name]
    assert all(getattr(profile, field) is not None for field in FIELDS)
    assert msgspec.json.decode(msgspec.json.encode(profile), type=AudioConfiguration) == profile
    assert set(resolve(profile).origins.values()) == {Origin.CALL}


def test_a_room_without_dtx_or_redundancy_has_the_last_word() -> None:
    effective = resolve(broadcaster(), None, AudioSettings(opus_dtx=False, redundant_coding=False))
    assert (effective.dtx, effective.red_depth) == (False, 0)
    assert effective.origins["dtx"] is effective.origins["red_depth"] is Origin.ROOM


@pytest.mark.parametrize(
    ("wish", "refused"),
    [
        pytest.param(broadcaster(), False, id="a broadcaster is always allowed"),
        pytest.param(viewer(), False, id="hearing in stereo is always allowed"),
        pytest.param(with_bitrate_profile(broadcaster(), BitrateProfile.VOICE_128K), False, id="128k of voice"),
        pytest.param(hi_fi(), True, id="music is not"),
        pytest.param(custom(conversation(), channels=2), True, id="a stereo microphone is not"),
    ],
)  # fmt: skip
def test_high_fidelity_needs_a_room_that_allows_it(wish: AudioConfiguration, refused: bool) -> None:
    reason = why_refused(resolve(wish), AudioSettings())
    assert (reason is not None) is refused
    assert why_refused(resolve(wish), AudioSettings(hifi=True)) is None


def test_music_leaves_the_microphone_untouched_and_going_back_is_what_it_was() -> None:
    before = custom(broadcaster(), noise_suppression=NoiseSuppression.STRONG)
    music = with_bitrate_profile(before, BitrateProfile.MUSIC_128K_STEREO)
    assert (music.noise_suppression, music.echo_cancellation, music.gain_control) == ("off", False, False)
    assert before.noise_suppression is NoiseSuppression.STRONG


def test_in_use_only_what_opus_can_change_and_what_stays_here_changes() -> None:
    before = replace(resolve(broadcaster()), frozen=True)
    assert changed_though_frozen(before, resolve(custom(broadcaster(), bitrate=24_000, dtx=False))) == ()
    untouched = custom(broadcaster(), noise_suppression="off", output_route="headphones")
    assert changed_though_frozen(before, resolve(untouched)) == ()
    other = resolve(custom(broadcaster(), channels=2, playout_target_ms=100))
    assert changed_though_frozen(before, other) == ("channels", "playout_target_ms")
    assert changed_though_frozen(replace(before, frozen=False), other) == ()
    assert set(FIELDS) >= LIVE | LOCAL


def test_music_covers_who_wanted_processing_and_uncovers_it_again() -> None:
    call = custom(broadcaster(), noise_suppression=NoiseSuppression.STRONG, gain_control=False)
    during, after = resolve(call, music=True), resolve(call)
    assert not during.processing.wanted
    assert during.dtx is False
    assert during.origins["noise_suppression"] is Origin.MUSIC
    assert during.origins["gain_control"] is Origin.CALL, "it was off before"
    assert (after.noise_suppression, after.gain_control, after.echo_cancellation) == ("strong", False, True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("64k", {"bitrate": 64_000, "channels": 1, "application": "voip"}),
        ("128k", {"bitrate": 128_000, "channels": 1, "application": "voip"}),
        ("128k-stereo", {"bitrate": 128_000, "channels": 2, "noise_suppression": NoiseSuppression.OFF}),
        ("hi-fi", {"playout_target_ms": 100, "frame_length_ms": 20}),
    ],
)
def test_a_profile_says_what_its_name_promises(name: str, said: dict[str, object]) -> None:
    assert said.items() <= values_of(name).items()


def test_a_profile_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(Malformed, match="broadcaster, conversation, viewer, hi-fi, 64k, 128k, 128k-stereo"):
        values_of("studio")


def test_a_fixed_depth_is_kept_whatever_is_lost() -> None:
    lossy = Redundancy(2, 20, 0.2)
    assert live_audio(resolve(broadcaster()), lossy).red_depth == 2
    assert live_audio(resolve(custom(broadcaster(), red_depth=0)), lossy).red_depth == 0
    assert live_audio(resolve(hi_fi()), Redundancy()).red_depth == 1


def test_opus_is_told_the_listeners_loss_unless_somebody_says_another() -> None:
    lossy = Redundancy(2, 20, 0.2)
    assert live_audio(resolve(broadcaster()), lossy).expected_loss_percent == 20
    assert (
        live_audio(resolve(custom(broadcaster(), expected_loss_percent=0)), lossy).expected_loss_percent == 0
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"bitrate": 5_999},
        {"bitrate": "64k"},
        {"bitrate": "adaptive"},
        {"complexity": 11},
        {"channels": 3},
        {"channels": True},
        {"red_depth": 3},
        {"application": "x"},
        {"frame_length_ms": 30},
        {"expected_loss_percent": 101},
        {"noise_suppression": "much"},
        {"dtx": "yes"},
        {"output_route": "wall"},
    ],
)
def test_a_value_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        custom(broadcaster(), **wrong)
