"""Redundancy follows what listeners lose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.policies.redundancy import Redundancy, plan_redundancy


def after(*reports: float) -> Redundancy:
    plan = Redundancy()
    for report in reports:
        plan = plan_redundancy(plan, report)
    return plan


@pytest.mark.parametrize(
    ("reports", "depth"),
    [
        pytest.param((0.0, 0.0), 0, id="nothing is repeated where nothing is lost"),
        pytest.param((0.0, 0.04, 0.0), 0, id="a single lost packet changes nothing"),
        pytest.param((0.05, 0.05), 1, id="at five percent each packet repeats one"),
        pytest.param((0.2,), 2, id="at twenty percent the first report is enough for two"),
        pytest.param((0.2, 0.2, 0.07, 0.07, 0.07), 2, id="a little less loss does not yet repeat less"),
        pytest.param((0.2, *(0.0,) * 8), 0, id="after the loss nothing is repeated any more"),
    ],
)
def test_depth_follows_the_loss_of_listeners(reports: tuple[float, ...], depth: int) -> None:
    assert after(*reports).red_depth == depth


@given(st.lists(st.floats(allow_nan=False), max_size=30))
def test_any_report_gives_a_plan_that_can_be_set(reports: list[float]) -> None:
    plan = after(*reports)
    assert plan.red_depth in (0, 1, 2)
    assert 10 <= plan.expected_loss_percent <= 30
