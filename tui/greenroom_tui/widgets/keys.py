"""The keys that make sense now, at the foot of a screen."""

from __future__ import annotations

from typing import NamedTuple

from textual.events import Click
from textual.message import Message
from textual.strip import Strip

from greenroom.protocol.ids import Cid
from greenroom.state.engine import ClientState
from greenroom.views.call_actions import CALL_ACTIONS, hold_label, possible
from greenroom.views.ring_actions import RING_ACTIONS_BY_ID
from greenroom_tui.cells import Cell, Line, width_of
from greenroom_tui.widgets.looks import Looks

GAP = 2


class KeyRow(NamedTuple):
    """A key and what it does now."""

    key: str
    label: str


def call_key() -> KeyRow:
    """Return the key that calls somebody."""
    action = RING_ACTIONS_BY_ID["call"]
    return KeyRow(action.key, action.label)


def call_keys(client: ClientState, chosen: Cid | None) -> tuple[KeyRow, ...]:
    """Return the keys that do something about calls now, `chosen` being the call in question."""
    rows: list[KeyRow] = []
    for action in CALL_ACTIONS:
        cid = action.about(client, chosen)
        if possible(action, client, chosen):
            held = action.id == "hold" and cid is not None
            rows.append(KeyRow(action.key, hold_label(client, cid) if held and cid else action.label))
    return tuple(rows)


def lay_out(
    rows: tuple[KeyRow, ...], always: tuple[KeyRow, ...], columns: int, lines: int
) -> list[list[KeyRow]]:
    """Return which keys stand on which line: `rows` in order as far as they fit, then `always`."""
    laid: list[list[KeyRow]] = [[]]
    used = 0
    for place, row in enumerate((*rows, *always)):
        tail = always if place < len(rows) else ()
        reserve = sum(_columns(other) for other in tail) if len(laid) == lines else 0
        if used + _columns(row) + reserve > columns and laid[-1]:
            if len(laid) < lines:
                laid.append([])
                used = 0
            elif tail:
                continue
        if used + _columns(row) + (reserve if len(laid) == lines else 0) > columns and tail:
            continue
        laid[-1].append(row)
        used += _columns(row)
    return laid


def _columns(row: KeyRow) -> int:
    return len(row.key) + 1 + len(row.label) + GAP


class Keys(Looks):
    """Keys with their labels. A click on one is the same as the key."""

    class Pressed(Message):
        """Somebody clicked on a key."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: tuple[tuple[KeyRow, ...], tuple[KeyRow, ...]] = ((), ())

    def show(self, rows: tuple[KeyRow, ...], always: tuple[KeyRow, ...]) -> None:
        """Show `rows` as far as there is room, and `always` in any case."""
        if (rows, always) != self._rows:
            self._rows = (rows, always)
            self.refresh()

    @property
    def shown(self) -> list[list[KeyRow]]:
        """The keys as they stand on the lines now."""
        return lay_out(*self._rows, self.size.width - 1, max(1, self.size.height))

    def render_line(self, y: int) -> Strip:
        laid = self.shown
        line: list[Cell] = [Cell(" ")]
        for row in laid[y] if y < len(laid) else ():
            line += [Cell(row.key, "key"), Cell(f" {row.label}{' ' * GAP}", "dim")]
        return self.strip(tuple(line), self.size.width)

    def on_click(self, event: Click) -> None:
        laid = self.shown
        if event.y >= len(laid):
            return
        at = 1
        for row in laid[event.y]:
            line: Line = (Cell(row.key), Cell(f" {row.label}"))
            if at <= event.x < at + width_of(line):
                self.post_message(self.Pressed(row.key))
                return
            at += _columns(row)
