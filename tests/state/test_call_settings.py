"""A session's settings are checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from greenroom.errors import Malformed
from greenroom.state.call_settings import (
    AudioMode,
    Buttons,
    CallMode,
    CallSettings,
    IdleTimeout,
    MainVideo,
    first_view,
    parse_settings,
)
from greenroom.state.layout import Layout


def wrong(**values: Any) -> dict[str, Any]:
    """Return values that no type checker would let pass."""
    return values


def test_a_session_asks_after_two_minutes_and_ends_after_three() -> None:
    timeout = CallSettings().idle_timeout
    assert timeout.on
    assert timeout.before_prompt_seconds + timeout.after_prompt_seconds == 180.0
    assert timeout.after_prompt_seconds == 60.0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        pytest.param(lambda: CallSettings(**wrong(mode="spotlight")), "mode", id="a word for a mode"),
        pytest.param(lambda: CallSettings(**wrong(output="loud")), "output", id="no audio mode"),
        pytest.param(
            lambda: CallSettings(**wrong(start_muted="no")), "start_muted", id="a word for a switch"
        ),
        pytest.param(lambda: CallSettings(**wrong(tile_click=1)), "tile_click", id="a number for a switch"),
        pytest.param(
            lambda: CallSettings(**wrong(idle_timeout=180)), "idle_timeout", id="seconds for a timeout"
        ),
        pytest.param(lambda: CallSettings(**wrong(buttons=None)), "buttons", id="no buttons"),
        pytest.param(lambda: Buttons(**wrong(end="yes")), "end", id="a word for a button"),
        pytest.param(lambda: MainVideo(**wrong(fit="stretch")), "fit", id="no fit"),
        pytest.param(lambda: IdleTimeout(-1.0), "before_prompt_seconds", id="before now"),
        pytest.param(lambda: IdleTimeout(1.0, math.nan), "after_prompt_seconds", id="not a number"),
        pytest.param(lambda: IdleTimeout(1e9), "before_prompt_seconds", id="longer than a day"),
        pytest.param(lambda: IdleTimeout(**wrong(when="bored")), "when", id="no such habit"),
    ],
)
def test_what_is_no_value_is_refused_by_its_name(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


def test_settings_are_read_from_a_file_with_words() -> None:
    settings = parse_settings(
        {"mode": "single", "output": "headphones", "idle_timeout": {"before_prompt_seconds": 0}}
    )
    assert (settings.mode, settings.output, settings.idle_timeout.on) == (
        CallMode.SINGLE,
        AudioMode.HEADPHONES,
        False,
    )


@pytest.mark.parametrize(
    "values", [{"mode": "cinema"}, {"colour": "red"}, {"idle_timeout": {"when": "bored"}}, {"mode": None}]
)
def test_a_file_that_is_wrong_is_malformed(values: dict[str, object]) -> None:
    with pytest.raises(Malformed, match="call settings"):
        parse_settings(values)


@pytest.mark.parametrize(
    ("mode", "layout"),
    [
        (CallMode.DEFAULT, Layout.TILE),
        (CallMode.SPOTLIGHT, Layout.SPOTLIGHT),
        (CallMode.SINGLE, Layout.SPOTLIGHT),
    ],
)
def test_the_mode_says_how_a_session_looks_at_first(mode: CallMode, layout: Layout) -> None:
    assert first_view(CallSettings(mode=mode)).layout is layout
