"""Lines that are only read: help, choices."""

from __future__ import annotations

from typing import NamedTuple

from greenroom_tui.cells import Cell, Line, crop
from greenroom_tui.widgets.rows import Rows


class WordsRow(NamedTuple):
    """One line; `key` identifies it."""

    key: str
    line: Line


class Words(Rows[WordsRow]):
    """A list of ready lines."""

    def key_of(self, row: WordsRow) -> str:
        return row.key

    def draw(self, row: WordsRow, columns: int) -> Line:
        return crop(row.line, columns)


def words_row(key: str, *cells: Cell) -> WordsRow:
    """Return a row of `cells`."""
    return WordsRow(key, cells)
