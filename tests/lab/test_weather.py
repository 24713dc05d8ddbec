"""A bad network decides by its seed, with the shares and the runs that were asked for."""

from __future__ import annotations

from itertools import groupby

import pytest

from greenroom.lab.weather import Way, Weather

DATAGRAMS = 40_000


def runs_of_loss(weather: Weather, seed: str = "1") -> list[int]:
    way = Way(weather, seed)
    lost = [not way.plan(100, number * 0.02) for number in range(DATAGRAMS)]
    return [len(list(run)) for gone, run in groupby(lost) if gone]


@pytest.mark.parametrize(
    ("loss", "burst", "mean_run"),
    [
        pytest.param(0.2, 1.0, 1.25, id="independent loss comes in short runs"),
        pytest.param(0.2, 2.5, 2.5, id="bursts of 2.5"),
        pytest.param(0.05, 8.0, 8.0, id="rare long bursts"),
    ],
)
def test_the_share_and_the_runs_of_loss_are_those_asked_for(
    loss: float, burst: float, mean_run: float
) -> None:
    runs = runs_of_loss(Weather(loss=loss, burst=burst))
    assert sum(runs) / DATAGRAMS == pytest.approx(loss, rel=0.1)
    assert sum(runs) / len(runs) == pytest.approx(mean_run, rel=0.1)


def test_a_blackout_lets_nothing_through_and_ends_at_once() -> None:
    way = Way(Weather(loss=1.0, burst=4.0), "1")
    assert not any(way.plan(100, 0.0) for _ in range(100))
    way.weather = Weather()
    assert way.plan(100, 0.0) == (0.0,)


def test_the_same_seed_decides_the_same_way() -> None:
    weather = Weather(loss=0.2, burst=3.0, jitter_seconds=0.05, repeat=0.1, reorder=0.1)
    one, same, other = Way(weather, "1"), Way(weather, "1"), Way(weather, "2")
    plans = [[way.plan(100, 0.0) for _ in range(200)] for way in (one, same, other)]
    assert plans[0] == plans[1] != plans[2]


def test_a_narrow_link_spaces_datagrams_and_drops_what_would_wait_too_long() -> None:
    way = Way(Weather(rate_bits=80_000.0, queue_seconds=0.05), "1")
    arrivals = [way.plan(100, 0.0) for _ in range(10)]  # each takes 10 ms
    assert [plan[0] for plan in arrivals if plan] == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    assert way.lost == 4
    assert way.plan(100, 1.0) == pytest.approx((0.01,))


def test_some_are_held_back_by_so_much_that_others_overtake_them() -> None:
    way = Way(Weather(reorder=0.1, reorder_seconds=0.03, delay_seconds=0.01), "1")
    delays = {way.plan(100, 0.0) for _ in range(200)}
    assert delays == {(0.01,), (0.04,)}


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.1}, {"burst": 0.5}, {"jitter_seconds": -1.0}, {"rate_bits": float("nan")}]
)
def test_weather_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Weather(**wrong)  # type: ignore[arg-type]  # a dictionary's values have one type
