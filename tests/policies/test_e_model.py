"""The E-model has the opinions of its standard, and is monotonic everywhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.policies.e_model import mean_opinion, opinion_of, rating

shares = st.floats(0.0, 1.0)
delays = st.floats(0.0, 2_000.0)


@pytest.mark.parametrize(("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_ratings_have_the_opinions_of_the_standard(r: float, score: float) -> None:
    assert opinion_of(r) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(
    ("concealed", "delay_ms", "least", "most"),
    [
        pytest.param(0.0, 60.0, 4.3, 4.5, id="a call without loss is very good"),
        pytest.param(0.02, 80.0, 3.6, 4.0, id="two percent made up are heard"),
        pytest.param(0.2, 80.0, 1.0, 2.0, id="a fifth made up is bad"),
        pytest.param(0.0, 600.0, 1.0, 3.0, id="at 600 ms people interrupt each other"),
    ],
)
def test_loss_and_delay_have_their_price(
    concealed: float, delay_ms: float, least: float, most: float
) -> None:
    assert least <= mean_opinion(concealed, delay_ms) <= most


@given(shares, shares, delays, delays)
def test_more_loss_or_delay_is_never_better(one: float, other: float, early: float, late: float) -> None:
    good = mean_opinion(min(one, other), min(early, late))
    bad = mean_opinion(max(one, other), max(early, late))
    assert 1.0 <= bad <= good <= 4.42
    assert 0.0 <= rating(one, early) <= 93.2
