"""Turning lines of cells into what Textual puts on the terminal."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from greenroom_tui.cells import LOOKS, Line


class Looks(Widget):
    """A widget whose text has the looks of the theme. Colours are in `greenroom.tcss`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"look--{look}" for look in LOOKS), "look--cursor"}

    def strip(self, line: Line, columns: int, *, cursor: bool = False) -> Strip:
        """Return `line`, exactly `columns` wide; with `cursor` on the background of the chosen row."""
        over = self.get_component_rich_style("look--cursor", partial=True) if cursor else Style.null()
        segments = [
            Segment(cell.text, self.get_component_rich_style(f"look--{cell.look}") + over) for cell in line
        ]
        return Strip(segments).adjust_cell_length(columns, self.rich_style + over)
