"""The chat and the log: text that wraps and keeps its newest line in sight."""

from __future__ import annotations

import textwrap
import time
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from textual.events import Resize

from greenroom.state.engine import LogLine
from greenroom.views.chat import ChatRow
from greenroom_tui.cells import Cell, Line, clean, fit
from greenroom_tui.widgets.rows import NewestLast

CLOCK = 6


class ChatLine(NamedTuple):
    """One line on the screen of a message: `head` only on its first."""

    message: str
    clock: str
    name: str
    text: str
    note: str
    mine: bool


class Chat(NewestLast[ChatLine]):
    """Messages, wrapped. Follows the newest unless scrolled up."""

    EMPTY = "nobody has written yet"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._messages: tuple[ChatRow, ...] = ()

    def key_of(self, row: ChatLine) -> str:
        return row.message

    def show_messages(self, messages: tuple[ChatRow, ...]) -> None:
        """Show `messages`, oldest first."""
        self._messages = messages
        width = max(10, self._columns)
        self.show([line for message in messages for line in _lines(message, width)])

    def draw(self, row: ChatLine, columns: int) -> Line:
        return (
            Cell(fit(row.clock, CLOCK), "dim"),
            Cell(row.name, "accent" if row.mine else "good"),
            Cell(row.text),
            Cell(row.note, "dim"),
        )

    def on_resize(self, _event: Resize) -> None:
        self.show_messages(self._messages)


class Log(NewestLast[LogLine]):
    """What happened, newest last."""

    EMPTY = "nothing has happened yet"
    MARKER = False

    def key_of(self, row: LogLine) -> str:
        return f"{row.at} {row.text}"

    def draw(self, row: LogLine, columns: int) -> Line:
        return (Cell(fit(clock(row.at), CLOCK), "dim"), Cell(clean(row.text, columns - CLOCK), "dim"))


def clock(at: float) -> str:
    """Return wall-clock seconds `at` as local hours and minutes."""
    try:
        return time.strftime("%H:%M", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "--:--"


@lru_cache(maxsize=512)
def _lines(message: ChatRow, columns: int) -> tuple[ChatLine, ...]:
    name = clean(message.name, 24) + "  "
    note = f" ({message.note})" if message.note else ""
    indent = CLOCK + cell_len(name)
    lines: list[str] = []
    for paragraph in message.text.split("\n") or [""]:
        lines += _wrap(clean(paragraph), columns - (indent if not lines else CLOCK), columns - CLOCK)
    first, *rest = lines or [""]
    if note and cell_len((rest or [" " * indent + first])[-1]) + cell_len(note) > columns - CLOCK:
        rest.append("")
    shown = [ChatLine(message.id, clock(message.at), name, first, "", message.mine)]
    shown += [ChatLine(message.id, "", "", line, "", message.mine) for line in rest]
    shown[-1] = shown[-1]._replace(note=note.strip() if not shown[-1].text else note)
    return tuple(shown)


def _wrap(text: str, first_columns: int, columns: int) -> list[str]:
    """Return `text` in lines of at most `columns` (the first: `first_columns`) terminal columns."""
    if cell_len(text) <= first_columns:
        return [text]
    if cell_len(text) == len(text):
        width = max(4, columns)
        initial = " " * max(0, width - max(4, first_columns))
        wrapped = textwrap.wrap(text, width, initial_indent=initial, drop_whitespace=True)
        return [line.removeprefix(initial) if place == 0 else line for place, line in enumerate(wrapped)]
    lines, line, used, room = [], "", 0, first_columns
    for character in text:
        width = cell_len(character)
        if used + width > max(4, room):
            lines.append(line)
            line, used, room = "", 0, columns
        line += character
        used += width
    return [*lines, line]
