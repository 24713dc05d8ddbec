"""Pins and layouts are a person's own."""

from __future__ import annotations

from greenroom.protocol.ids import UserId
from greenroom.state.layout import MAX_PINS, CallView, Layout, next_layout, with_pin, without_pin

ANN, BO = UserId("ann"), UserId("bo")


def test_the_last_pinned_comes_first_and_only_once() -> None:
    view = with_pin(with_pin(with_pin(CallView(), ANN), BO), ANN)
    assert view.pins == (ANN, BO)
    assert with_pin(view, ANN) is view


def test_one_pin_or_all_are_taken_away() -> None:
    view = CallView(pins=(ANN, BO))
    assert without_pin(view, ANN).pins == (BO,)
    assert without_pin(view).pins == ()
    assert without_pin(view, UserId("cy")) is view


def test_pins_are_not_kept_without_end() -> None:
    view = CallView()
    for number in range(MAX_PINS + 5):
        view = with_pin(view, UserId(f"user-{number}"))
    assert len(view.pins) == MAX_PINS
    assert view.pins[0] == f"user-{MAX_PINS + 4}"


def test_the_layouts_go_round() -> None:
    layout, seen = Layout.TILE, []
    for _ in Layout:
        layout = next_layout(layout)
        seen.append(layout)
    assert set(seen) == set(Layout)
    assert layout is Layout.TILE
