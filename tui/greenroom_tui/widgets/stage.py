"""The people who may speak, with their levels."""

from __future__ import annotations

from greenroom.views.stage import SpeakerRow
from greenroom_tui.cells import Cell, Line, Look, fit, meter_cells
from greenroom_tui.widgets.rows import Rows

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
        name_columns = min(24, max(8, columns // 3 - 2))
        line: list[Cell] = [
            Cell(f"{mark} ", look),
            Cell(fit(f"{row.name} (you)" if row.me else row.name, name_columns), _name_look(row)),
            Cell(" "),
        ]
        if wide:
            line.append(Cell(fit(row.role, 11), "dim"))
        line.append(Cell(fit(word, 10), look if look != "plain" else "dim"))
        reaction = f" {row.reaction}" if row.reaction else ""
        quality = f" {row.quality} line" if row.quality in ("poor", "lost") else ""
        tail = fit(reaction, 3) + (fit(quality, 10) if quality else "")
        left = columns - 2 - name_columns - 1 - (11 if wide else 0) - 10 - (len(tail) if quality else 3)
        if row.microphone != "open":
            line.append(Cell(fit(row.why, left), "dim"))
        elif left >= 14:
            line += [*meter_cells(row.meter, left - 7), Cell(f"{_decibel(row.level_dbfs):>7}", "dim")]
        else:
            line += meter_cells(row.meter, left)
        line.append(Cell(tail, "warn"))
        return tuple(line)


def _name_look(row: SpeakerRow) -> Look:
    return "strong" if row.dominant or row.speaking else "plain"


def _decibel(level: float) -> str:
    return f"{round(level):d} dB".replace("-", "−") if level > -60.0 else ""
