"""What must be read whole: my microphone with its reason, a notice. On one line where both fit, else on several."""

from __future__ import annotations

from textual.events import Resize
from textual.strip import Strip

from greenroom_tui.cells import Cell, Line, spread, width_of, wrap
from greenroom_tui.widgets.looks import Looks

MOST_LINES = 8


class Notes(Looks):
    """Up to some notes, each a mark and words; as high as they need, at most `MOST_LINES`."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._notes: tuple[Line, ...] = ()

    def show(self, *notes: Line) -> None:
        """Say `notes`; empty ones are left out. The first stands left, the last right where there is room for both."""
        told = tuple(note for note in notes if note)
        if told != self._notes:
            self._notes = told
            self._fit()
            self.refresh()

    @property
    def lines(self) -> list[Line]:
        """What stands on each line now."""
        columns = self.size.width
        if not self._notes or columns <= 0:
            return [()]
        if sum(width_of(note) for note in self._notes) + len(self._notes) <= columns:
            *left, right = self._notes if len(self._notes) > 1 else (self._notes[0], ())
            together = tuple(cell for note in left for cell in (*note, Cell(" ")))
            return [spread(together, right, columns)]
        found: list[Line] = []
        for note in self._notes:
            found += _wrapped(note, columns)
        return found[:MOST_LINES]

    def on_resize(self, _event: Resize) -> None:
        self._fit()

    def render_line(self, y: int) -> Strip:
        lines = self.lines
        return self.strip(lines[y] if y < len(lines) else (), self.size.width)

    def _fit(self) -> None:
        height = max(1, len(self.lines))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height


def _wrapped(note: Line, columns: int) -> list[Line]:
    """Return a note on as many lines as it needs, indented by its mark."""
    mark, *words = note if len(note) > 1 else (Cell(" "), *note)
    indent = width_of((mark,))
    text = " ".join(cell.text.strip() for cell in words if cell.text.strip())
    look = words[0].look if words else "plain"
    return [
        (mark if place == 0 else Cell(" " * indent), Cell(line, look))
        for place, line in enumerate(wrap(text, columns - indent - 1))
    ]
