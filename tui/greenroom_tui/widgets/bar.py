"""One line with something at each end: header, notices, numbers."""

from __future__ import annotations

from textual.strip import Strip

from greenroom_tui.cells import Line, spread
from greenroom_tui.widgets.looks import Looks


class Bar(Looks):
    """A line that is drawn again only when what it says changes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: Line = ()
        self._right: Line = ()

    def show(self, left: Line, right: Line = ()) -> None:
        """Say `left` and `right`."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self.rich_style)
        return self.strip(spread(self._left, self._right, width), width)
