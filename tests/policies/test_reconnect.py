"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.policies.reconnect import DELAYS_SECONDS, next_attempt


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 0.0), (1, 0.3), (2, 1.2), (3, 2.7), (4, 4.8), (5, 7.0), (50, 7.0)]
)
def test_attempts_come_at_growing_distances(attempt: int, seconds: float) -> None:
    assert next_attempt(attempt, jitter=0.0) == seconds


@given(st.integers(-3, 100), st.floats(-1.0, 2.0))
def test_a_crowd_is_spread_by_at_most_a_second(attempt: int, jitter: float) -> None:
    assert 0.0 <= next_attempt(attempt, jitter) <= DELAYS_SECONDS[-1] + 1.0


def test_the_first_attempt_is_at_once_for_everybody() -> None:
    assert next_attempt(0, jitter=1.0) == 0.0
