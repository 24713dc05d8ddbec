"""Numbers of the last minutes: a line of blocks each, and one of them as a curve."""

from __future__ import annotations

from textual.strip import Strip

from greenroom.views.charts import Series, blocks, braille, span_words
from greenroom_tui.cells import Cell, Line, Look, crop, fit
from greenroom_tui.widgets.looks import Looks
from greenroom_tui.widgets.rows import Rows

LABEL, VALUE, AXIS = 11, 9, 6


class Charts(Rows[Series]):
    """Each number with what it is now and how it came there."""

    EMPTY = "nothing was measured yet"

    def key_of(self, row: Series) -> str:
        return row.id

    def draw(self, row: Series, columns: int) -> Line:
        left = max(0, columns - LABEL - VALUE - 1)
        look: Look = "plain" if row.known else "dim"
        points = row.points[-left:] if left else ()
        return (
            Cell(fit(row.label, LABEL), look),
            Cell(fit(row.value, VALUE, "right"), "strong" if row.known else "dim"),
            Cell(" "),
            Cell(blocks(points, row.low, row.high), "meter"),
        )

    @property
    def points(self) -> int:
        """How many points a line has room for."""
        return max(1, self._columns - LABEL - VALUE - 1)


class Curve(Looks):
    """One series as high as there is room, with its ends at the left and its time below."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._series: Series | None = None
        self._seconds = 0.0

    def show(self, series: Series | None, seconds: float) -> None:
        """Show `series`, which spans `seconds`."""
        if (series, seconds) != (self._series, self._seconds):
            self._series, self._seconds = series, seconds
            self.refresh()

    @property
    def points(self) -> int:
        """How many points it has room for: two a column."""
        return max(2, 2 * (self.size.width - AXIS - 2))

    def render_line(self, y: int) -> Strip:
        width, rows = self.size.width, self.size.height - 1
        series = self._series
        if series is None or rows < 1:
            return Strip.blank(width, self.rich_style)
        if y >= rows:
            unit = f" in {series.unit}" if series.unit else ""
            words = f"{series.label}{unit}, the last {span_words(self._seconds)}" if series.known else ""
            return self.strip(crop((Cell(" " * (AXIS + 1)), Cell(words, "dim")), width), width)
        curve = braille(series.points[-self.points :], rows, series.low, series.high)
        end = series.high if y == 0 else series.low if y == rows - 1 else None
        axis = "" if end is None else f"{end:g}"
        line: Line = (
            Cell(fit(axis, AXIS, "right"), "dim"),
            Cell("┤" if end is not None else "│", "track"),
            Cell(curve[y], "meter"),
        )
        return self.strip(crop(line, width), width)
