"""Numbers over time as lines of text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.ids import UserId
from greenroom.state.statistics import CallStatistics, PersonStatistics
from greenroom.views.charts import METRICS, Series, all_series, blocks, braille, chart_words

BO = UserId("bo")


def history(*lost: float) -> list[CallStatistics]:
    """Samples two seconds apart."""
    return [
        CallStatistics(
            1000.0 + 2.0 * place,
            lost_fraction=share,
            sent_kbps=30.0,
            by_person={BO: PersonStatistics(lost_fraction=share / 2)},
        )
        for place, share in enumerate(lost)
    ]


def series(name: str, *args: object, **more: object) -> Series:
    found = {one.id: one for one in all_series(*args, **more)}  # type: ignore[arg-type]  # as all_series takes them
    return found[name]


def test_the_newest_sample_is_the_last_point_and_time_before_the_first_is_blank() -> None:
    lost = series("lost", history(0.0, 0.1, 0.02), 10, 20.0)
    assert lost.points == (*[None] * 7, 0.0, pytest.approx(10.0), pytest.approx(2.0))
    assert (lost.value, lost.unit, lost.low, lost.high) == ("2.0 %", "%", 0.0, 10.0)


def test_a_point_is_the_worst_of_its_time() -> None:
    lost = series("lost", history(0.0, 0.3, 0.0, 0.0, 0.0), 2, 20.0)
    assert max(point or 0.0 for point in lost.points) == pytest.approx(30.0)
    good = [CallStatistics(1000.0, mean_opinion=4.4), CallStatistics(1002.0, mean_opinion=2.1)]
    assert series("opinion", good, 1, 60.0).points == (2.1,)


def test_points_stay_where_they_are_while_time_goes_on() -> None:
    samples = history(*[0.0] * 20, 0.5, *[0.0] * 20)
    before = series("lost", samples[:-1], 30, 300.0).points
    after = series("lost", samples, 30, 300.0).points
    assert after in (before, (*before[1:], after[-1]))


def test_a_person_has_the_numbers_there_are_of_one() -> None:
    names = [one.id for one in all_series(history(0.1), 5, 20.0, BO)]
    assert names == ["received", "lost", "jitter", "buffer", "opinion"]
    assert series("lost", history(0.1), 5, 20.0, BO).points[-1] == pytest.approx(5.0)
    assert not series("lost", history(0.1), 5, 20.0, UserId("nobody")).known


def test_without_samples_every_number_is_there_and_nothing_is_drawn() -> None:
    empty = all_series([], 4)
    assert tuple(one.id for one in empty) == METRICS
    assert all(one.points == (None,) * 4 and one.value == "—" for one in empty)
    assert blocks(empty[0].points, 0.0, 1.0) == "    "


def test_blocks_rise_with_the_value() -> None:
    assert blocks((0.0, 1.0, None, 4.0, 7.9, 9.0), 0.0, 8.0) == "▁▂ ▅██"


def test_braille_has_two_points_a_character_and_joins_them() -> None:
    assert braille((0.0, 0.0, 0.0, 0.0), 1, 0.0, 4.0) == ("⣀⣀",)
    assert braille((0.0, 4.0), 1, 0.0, 4.0) == ("⡸",)
    assert braille((4.0, None, None, 0.0), 2, 0.0, 8.0) == ("⡀⠀", "⠀⢀")


points = st.lists(st.none() | st.floats(-10.0, 1e6), min_size=1, max_size=40)


@given(points, st.integers(1, 6))
def test_charts_have_the_size_that_was_asked_for_whatever_was_measured(
    measured: list[float | None], rows: int
) -> None:
    lines = braille(tuple(measured), rows, 0.0, 100.0)
    assert [len(line) for line in lines] == [-(-len(measured) // 2)] * rows
    assert all(0x2800 <= ord(character) <= 0x28FF for line in lines for character in line)
    assert len(blocks(tuple(measured), 0.0, 100.0)) == len(measured)


def test_a_chart_can_be_read_aloud() -> None:
    lost = series("lost", history(0.0, 0.12, 0.03), 150, 300.0)
    assert chart_words(lost, 300.0) == "lost: 0 to 12 % in 5 minutes, 3.0 % now"
    assert chart_words(series("rtt", [], 5, 60.0), 60.0) == "round trip: nothing was measured yet"
