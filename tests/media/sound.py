"""Claims about sound, shared by the tests of media."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from greenroom.lab.clicks import clicks
from greenroom.media.blocks import Block
from greenroom.media.dsp import strongest_hz, tone_dbfs


def click_ratio(sound: Block, steady: Block) -> float:
    """How much the roughest moment of `sound` (third difference) exceeds that of `steady`; a click has 10 and more."""
    return float(np.abs(np.diff(sound[:, 0], 3)).max() / np.abs(np.diff(steady[:, 0], 3)).max())


def assert_no_click(sound: Block, louder_than_db: float = -80.0) -> None:
    """Nothing in `sound`, a tone that may come, go and change, is rougher than a fade of 3 ms (see `lab.clicks`)."""
    assert clicks(sound, louder_than_db) == []


def assert_tone(sound: Block, frequency_hz: float, level_dbfs: float, tolerance_db: float = 0.5) -> None:
    heard_hz = strongest_hz(
        sound
    )  # a listener who follows a sender's clock plays a thousandth faster or slower
    assert heard_hz == pytest.approx(frequency_hz, abs=1.0)
    assert tone_dbfs(sound, heard_hz) == pytest.approx(level_dbfs, abs=tolerance_db)


def is_tone(sound: Block, frequency_hz: float, level_dbfs: float, tolerance_db: float = 0.5) -> bool:
    """Whether half a second or more of `sound` is this tone at this level."""
    return (
        len(sound) >= 24_000
        and abs(strongest_hz(sound) - frequency_hz) < 1.0
        and abs(tone_dbfs(sound, strongest_hz(sound)) - level_dbfs) < tolerance_db
    )


async def until(true: Callable[[], bool], what: str, timeout_seconds: float = 5.0) -> None:
    """Wait for the thing itself."""
    deadline = time.monotonic() + timeout_seconds
    while not true():
        assert time.monotonic() < deadline, f"in {timeout_seconds} s this did not happen: {what}"
        await asyncio.sleep(0.01)
