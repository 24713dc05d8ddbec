"""The people who may speak, with their levels."""

from __future__ import annotations

from greenroom.views.stage import SpeakerRow
from greenroom_tui.cells import Cell, Line, Look, fit, meter_cells, width_of
from greenroom_tui.widgets.rows import Rows
from greenroom_tui.widgets.sound import BAR_LOOKS

WIDE = 62
_MARKS: dict[str, tuple[str, Look]] = {
    "speaking": ("●", "good"),
    "open": ("○", "plain"),
    "muted": ("×", "dim"),
    "suspended": ("‖", "warn"),
    "lost": ("?", "bad"),
}


class Stage(Rows[SpeakerRow]):
    """One line each: mark, name, state in a word, meter or reason."""

    EMPTY = "nobody is on the stage"

    def key_of(self, row: SpeakerRow) -> str:
        return row.user

    def draw(self, row: SpeakerRow, columns: int) -> Line:
        word = "speaking" if row.speaking else row.microphone
        mark, look = _MARKS[word]
        wide = columns >= WIDE
        name_columns = min(24, max(8, columns // 3 - (6 if wide else 3)))
        line: list[Cell] = [
            Cell(f"{mark} ", look),
            Cell(fit(f"{row.name} (you)" if row.me else row.name, name_columns), _name_look(row)),
            Cell(" "),
        ]
        if wide:
            line.append(Cell(fit(row.role, 11), "dim"))
        line.append(Cell(fit(word, 10), look if look != "plain" else "dim"))
        tail = _tail(row, wide)
        left = columns - 2 - name_columns - 1 - (11 if wide else 0) - 10 - width_of(tail)
        if row.microphone != "open":
            line.append(Cell(fit(row.why, left), "dim"))
        elif left >= 14:
            line += [*meter_cells(row.meter, left - 7), Cell(f"{_decibel(row.level_dbfs):>7}", "dim")]
        else:
            line += meter_cells(row.meter, left)
        return (*line, *tail)


def _tail(row: SpeakerRow, wide: bool) -> Line:
    """Return how good the line is: bars, with the word where there is room or where it matters; a reaction goes first."""
    look = BAR_LOOKS.get(row.quality, "plain")
    bars = Cell(fit(f" {row.reaction}", 4), "warn") if row.reaction else Cell(f" {row.bars}", look)
    said = row.bars.strip() and (wide or row.quality != "excellent")
    word = Cell(f" {fit(row.quality, 9 if wide else 4)}", look) if said else Cell(" " * 10 if wide else "")
    return (bars, word)


def _name_look(row: SpeakerRow) -> Look:
    return "strong" if row.dominant or row.speaking else "plain"


def _decibel(level: float) -> str:
    return f"{round(level):d} dB".replace("-", "−") if level > -60.0 else ""
