"""A list of rows, of which only the visible are drawn and only the changed are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from greenroom_tui.cells import Cell, Line, clean
from greenroom_tui.widgets.looks import Looks

Row = TypeVar("Row")


class Rows(Looks, ScrollView, Generic[Row], can_focus=True):
    """A list with a heading and one chosen row. The choice follows its row when rows come and go.

    A subclass says how a row is drawn (`draw`) and what identifies it (`key_of`). Neighbours with the same key are
    one entry on several lines.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-8)", show=False),
        Binding("pagedown", "move(8)", show=False),
        Binding("home", "move(-100000)", show=False),
        Binding("end", "move(100000)", show=False),
    ]
    EMPTY: ClassVar[str] = ""
    MARKER: ClassVar[bool] = True
    FIRST_CHOICE: ClassVar[int] = 0

    class Chosen(Message):
        """Another row was chosen."""

        def __init__(self, rows: Rows[Row]) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: tuple[Row, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._chosen: str | None = None
        self._place = 0
        self._heading = ""

    # ---- what a subclass says

    def key_of(self, row: Row) -> str:
        """Return what stays the same while the row changes."""
        raise NotImplementedError

    def draw(self, row: Row, columns: int) -> Line:
        """Return the row as cells, at most `columns` wide."""
        raise NotImplementedError

    # ---- what a screen says

    def show(self, rows: Sequence[Row]) -> None:
        """Show `rows`; only lines that look different are drawn again."""
        before, self._rows = self._rows, tuple(rows)
        self._keys = tuple(self.key_of(row) for row in self._rows)
        self._keep_choice()
        if len(before) != len(self._rows):
            self.virtual_size = Size(0, len(self._rows))
            self.refresh()
            return
        columns = self._columns
        for y, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if old is not new and old != new and self.draw(old, columns) != self.draw(new, columns):
                self.refresh_line(y)

    def head(self, words: str) -> None:
        """Set the heading, as plain text."""
        if words != self._heading:
            self._heading = words
            self.border_title = Content(clean(words, 200))

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is shown."""
        return self._rows

    @property
    def heading(self) -> str:
        """The heading, as it was set."""
        return self._heading

    @property
    def chosen(self) -> Row | None:
        """The chosen row; None when there are no rows."""
        if self._chosen is None or self._chosen not in self._keys:
            return None
        return self._rows[self._keys.index(self._chosen)]

    def choose(self, key: str | None) -> None:
        """Choose the row with `key`, if there is one; None chooses nothing."""
        if key is not None and key not in self._keys:
            return
        if key == self._chosen:
            return
        self._chosen = key
        if key is not None:
            self._place = self._entries.index(key)
            self._reveal()
        self.refresh()
        self.post_message(self.Chosen(self))

    # ---- how it behaves

    def action_move(self, by: int) -> None:
        entries = self._entries
        if not entries:
            return
        here = entries.index(self._chosen) if self._chosen in entries else (-1 if by > 0 else 0)
        self.choose(entries[min(len(entries) - 1, max(0, here + by))])

    def on_focus(self) -> None:
        if self._chosen is None and self._entries:
            self.choose(self._entries[self.FIRST_CHOICE])
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: Click) -> None:
        place = event.y - self.gutter.top + self.scroll_offset.y
        if 0 <= place < len(self._keys):
            self.choose(self._keys[place])

    def render_line(self, y: int) -> Strip:
        width = self._width
        place = y + self.scroll_offset.y
        if place >= len(self._rows):
            words = f"  {clean(self.EMPTY, width - 2)}" if place == 0 else ""
            return self.strip((Cell(words, "dim"),), width)
        line = self.draw(self._rows[place], self._columns)
        chosen = self._keys[place] == self._chosen
        if self.MARKER:
            first = place == 0 or self._keys[place - 1] != self._keys[place]
            marker = "▸ " if chosen and first else "  "
            line = (Cell(marker, "accent"), *line)
        return self.strip(line, width, cursor=chosen and self.has_focus)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    @property
    def _columns(self) -> int:
        return max(0, self._width - (2 if self.MARKER else 0))

    @property
    def _entries(self) -> list[str]:
        return list(dict.fromkeys(self._keys))

    def _keep_choice(self) -> None:
        """When the chosen row is gone, the one that took its place is chosen."""
        if self._chosen is None:
            if self._keys and self.has_focus:
                self._chosen = self._keys[self.FIRST_CHOICE]
            return
        entries = self._entries
        if self._chosen in entries:
            self._place = entries.index(self._chosen)
            return
        self._chosen = entries[min(self._place, len(entries) - 1)] if entries else None
        self.refresh()
        self.post_message(self.Chosen(self))

    def _reveal(self) -> None:
        if self._chosen is None:
            return
        first = self._keys.index(self._chosen)
        last = first + self._keys.count(self._chosen) - 1
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif last >= top + height:
            self.scroll_to(y=last - height + 1, animate=False)


class NewestLast(Rows[Row]):
    """A list that grows at its end and keeps it in sight, until somebody scrolls up; at the end it follows again."""

    FIRST_CHOICE = -1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._following = True

    def show(self, rows: Sequence[Row]) -> None:
        following = self._following
        super().show(rows)
        if following:
            self._to_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._following = new_value >= self.max_scroll_y

    def on_resize(self, _event: Resize) -> None:
        if self._following:
            self._to_end()

    def _to_end(self) -> None:
        # At once, not after a refresh: under a dialog there is none. Forced, since the scroll bar may not be there yet.
        self.scroll_end(animate=False, immediate=True, force=True, x_axis=False)
