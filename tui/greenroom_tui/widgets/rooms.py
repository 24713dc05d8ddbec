"""The lobby's list."""

from __future__ import annotations

from typing import NamedTuple

from greenroom.views.rooms import RoomRow
from greenroom_tui.cells import Cell, Line, Look, fit
from greenroom_tui.widgets.rows import Rows

_STATUS: dict[str, tuple[str, Look]] = {
    "live": ("●", "good"),
    "backstage": ("○", "warn"),
    "ended": ("×", "dim"),
}


class RoomLine(NamedTuple):
    """A room takes two lines; `second` tells which."""

    row: RoomRow
    second: bool


class Rooms(Rows[RoomLine]):
    """Two lines each: title, state, people; then who is on."""

    EMPTY = "no rooms yet: press n to open one"

    def key_of(self, row: RoomLine) -> str:
        return row.row.cid

    def show_rooms(self, rooms: tuple[RoomRow, ...]) -> None:
        """Show `rooms` in the order given."""
        self.show([RoomLine(room, second) for room in rooms for second in (False, True)])

    @property
    def room(self) -> RoomRow | None:
        """The chosen room."""
        return None if self.chosen is None else self.chosen.row

    def draw(self, row: RoomLine, columns: int) -> Line:
        room = row.row
        if row.second:
            who = f"on stage: {room.stage}" if room.stage else "nobody is on the stage"
            joined = "joined  " if room.joined else ""
            return (
                Cell("  "),
                Cell(joined, "accent"),
                Cell(fit(who, max(0, columns * 3 // 5 - len(joined))), "dim"),
                Cell(fit(room.cid, max(0, columns - 3 - columns * 3 // 5), "right"), "dim"),
            )
        mark, look = _STATUS[room.status]
        status = f"{room.status} {room.since}".strip()
        title = max(8, columns - 2 - 19 - 13 - 11)
        return (
            Cell(f"{mark} ", look),
            Cell(fit(room.title, title), "strong"),
            Cell(fit(status, 19), look),
            Cell(fit(room.people, 12, "right"), "plain"),
            Cell(fit(room.hands, 11, "right"), "warn"),
        )
