"""Text on its way to the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from greenroom_tui.cells import Cell, clean, fit, meter_cells, spread, width_of
from greenroom_tui.widgets.keys import KeyRow, lay_out

ANYTHING = st.text(st.characters(), max_size=80)


@given(ANYTHING, st.integers(0, 60))
def test_fitted_text_is_as_wide_as_asked_whatever_it_holds(text: str, columns: int) -> None:
    assert cell_len(fit(text, columns)) == columns


@given(ANYTHING)
def test_clean_text_has_nothing_that_acts_on_a_terminal(text: str) -> None:
    shown = clean(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def test_no_code_point_at_all_acts_on_a_terminal() -> None:
    for start in range(0, 0x110000, 1000):
        shown = clean("".join(map(chr, range(start, min(start + 1000, 0x110000)))), 10_000)
        assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_every_control_character_is_dropped() -> None:
    controls = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
    assert clean("a".join(["", *controls, ""])).replace(" ", "").strip("a") == ""


@given(st.floats(0.0, 1.0), st.integers(0, 80))
def test_a_meter_fills_its_columns(filled: float, columns: int) -> None:
    assert width_of(meter_cells(filled, columns)) == columns


@pytest.mark.parametrize(("filled", "bar"), [(0.0, ""), (0.5, "━━━━━"), (0.55, "━━━━━╸"), (1.0, "━" * 10)])
def test_a_meter_is_as_long_as_the_level(filled: float, bar: str) -> None:
    assert "".join(cell.text for cell in meter_cells(filled, 10)).rstrip("─") == bar


def test_a_loud_meter_has_another_look_at_its_end() -> None:
    assert [cell.look for cell in meter_cells(1.0, 10)] == ["meter", "meter-high", "meter-hot"]


@given(ANYTHING, ANYTHING, st.integers(0, 120))
def test_two_ends_of_a_line_never_take_more_than_the_line(left: str, right: str, columns: int) -> None:
    line = spread((Cell(clean(left)),), (Cell(clean(right)),), columns)
    assert width_of(line) == columns


def test_the_right_end_stays_when_there_is_not_room_for_both() -> None:
    line = spread((Cell("a very long title of a room"),), (Cell("live"),), 12)
    assert "".join(cell.text for cell in line) == "a very… live"


KEYS = tuple(KeyRow(letter, f"Action {letter}") for letter in "abcdefghijklm")
ALWAYS = (KeyRow("?", "Help"), KeyRow("q", "Quit"))


@pytest.mark.parametrize("columns", [30, 60, 79, 200])
def test_help_and_quit_stay_at_the_foot_however_many_keys_there_are(columns: int) -> None:
    laid = lay_out(KEYS, ALWAYS, columns, 2)
    assert len(laid) <= 2
    assert tuple(laid[-1][-2:]) == ALWAYS
    assert all(sum(len(row.key) + len(row.label) + 3 for row in line) <= columns for line in laid)
