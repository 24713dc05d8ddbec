"""What goes into the microphone and comes out of the loudspeaker now, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.geometry import Region
from textual.strip import Strip

from greenroom_tui.cells import Cell, Line, Look, fit, meter_cells, width_of
from greenroom_tui.widgets.looks import Looks

LABEL, DECIBELS = 13, 8


class Level(NamedTuple):
    """One meter: `share` from 0.0 to 1.0, None while nothing passes; then `words` say why."""

    mark: str
    look: Look
    label: str
    share: float | None
    decibels: str
    words: str = ""


class Levels(Looks):
    """Meters, of which only the lines that moved are drawn again."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Line] = []
        self._levels: tuple[Level, ...] = ()

    def show(self, levels: Sequence[Level]) -> None:
        """Show `levels`, one line each."""
        self._levels = tuple(levels)
        before, self._lines = self._lines, [_drawn(level, self.size.width) for level in self._levels]
        if len(before) != len(self._lines):
            self.styles.height = max(1, len(self._lines))
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        line = _drawn(self._levels[y], self.size.width) if y < len(self._levels) else ()
        return self.strip(line, self.size.width)


def _drawn(level: Level, columns: int) -> Line:
    head: Line = (Cell(f" {level.mark} ", level.look), Cell(fit(level.label, LABEL), "plain"))
    left = columns - width_of(head) - 1
    if level.share is None:
        return (*head, Cell(fit(level.words, max(0, left)), "dim"))
    meter = max(0, min(40, left - DECIBELS))
    rest = max(0, left - meter - DECIBELS)
    return (
        *head,
        *meter_cells(level.share, meter),
        Cell(fit(level.decibels, DECIBELS, "right"), "dim"),
        Cell(fit(f"  {level.words}", rest), "dim"),
    )
