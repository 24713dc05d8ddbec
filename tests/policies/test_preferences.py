"""Preferences: the call's, else the client's, else ours, each value by itself."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.policies.audio_config import hi_fi, viewer
from greenroom.policies.preferences import CallPreferences, Preferences, changed, over, resolve_preferences


def test_each_value_comes_from_the_first_who_says_one() -> None:
    client = CallPreferences(
        connect_timeout_seconds=10.0, reject_when_busy=True, audio_configuration=viewer()
    )
    call = CallPreferences(connect_timeout_seconds=5.0)
    assert resolve_preferences(call, client) == Preferences(
        connect_timeout_seconds=5.0, reject_when_busy=True, audio_configuration=viewer()
    )


def test_what_nobody_says_is_ours() -> None:
    assert resolve_preferences() == Preferences()
    assert (Preferences().drop_if_alone, Preferences().reject_when_busy) == (True, False)


def test_none_is_said_and_takes_the_clients_configuration_away() -> None:
    client = CallPreferences(audio_configuration=hi_fi())
    assert resolve_preferences(CallPreferences(audio_configuration=None), client).audio_configuration is None


def test_a_change_changes_what_it_sets() -> None:
    now = Preferences(reaction_seconds=2.0)
    assert changed(now, CallPreferences(drop_if_alone=False)) == Preferences(
        reaction_seconds=2.0, drop_if_alone=False
    )
    assert changed(now, CallPreferences()) is now
    assert over(CallPreferences(reaction_seconds=1.0), CallPreferences(reject_when_busy=True)) == (
        CallPreferences(reaction_seconds=1.0, reject_when_busy=True)
    )


@pytest.mark.parametrize(
    "values",
    [
        {"connect_timeout_seconds": 0.0},
        {"connect_timeout_seconds": "soon"},
        {"reconnect_timeout_seconds": -1.0},
        {"reconnect_timeout_seconds": float("nan")},
        {"reaction_seconds": True},
        {"reject_when_busy": None},
        {"drop_if_alone": 1},
        {"audio_configuration": "hi-fi"},
    ],
    ids=str,
)
def test_what_is_no_value_is_refused_by_its_name(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        CallPreferences(**values)
