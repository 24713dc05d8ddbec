"""Lines made of cells: text with a look, cut and padded to terminal columns. The last place text passes before the
terminal, so nothing leaves it that could act there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from rich.cells import cell_len

from greenroom.protocol.text import safe_text

Look = Literal[
    "plain",
    "strong",
    "dim",
    "accent",
    "good",
    "warn",
    "bad",
    "key",
    "meter",
    "meter-high",
    "meter-hot",
    "track",
]
LOOKS: tuple[Look, ...] = (
    "plain",
    "strong",
    "dim",
    "accent",
    "good",
    "warn",
    "bad",
    "key",
    "meter",
    "meter-high",
    "meter-hot",
    "track",
)
# Terminals disagree how wide a picture made of several characters is; without what joins and colours them, they agree.
_JOINING = dict.fromkeys((0x200D, 0xFE0E, 0xFE0F, *range(0x1F3FB, 0x1F400)))


class Cell(NamedTuple):
    """A piece of a line; `look` names a style of the theme."""

    text: str
    look: Look = "plain"


Line = tuple[Cell, ...]


@lru_cache(maxsize=4096)
def clean(text: str, columns: int = 2_000) -> str:
    """Return `text` on one line, safe to print, at most `columns` wide, ending in `…` when something was cut."""
    if columns <= 0:
        return ""
    # The sanitizer of the model also runs here: a state may come from a server that is not ours.
    plain = " ".join(safe_text(text[:4_000], 4_000).translate(_JOINING).split())
    if cell_len(plain) <= columns:
        return plain
    kept, used = [], 1
    for character in plain:
        used += cell_len(character)
        if used > columns:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


@lru_cache(maxsize=4096)
def fit(text: str, columns: int, align: Literal["left", "right"] = "left") -> str:
    """Return `text` as `clean` does, padded with spaces to exactly `columns` (0 or more)."""
    if columns <= 0:
        return ""
    shown = clean(text, columns)
    gap = " " * max(0, columns - cell_len(shown))
    return gap + shown if align == "right" else shown + gap


@lru_cache(maxsize=256)
def wrap(text: str, columns: int) -> tuple[str, ...]:
    """Return `text` on as many lines as it needs, each at most `columns` wide; words longer than a line are broken."""
    lines: list[str] = []
    line, used = "", 0
    for word in clean(text).split():
        width = cell_len(word)
        if line and used + 1 + width <= columns:
            line, used = f"{line} {word}", used + 1 + width
            continue
        if line:
            lines.append(line)
        while cell_len(word) > max(1, columns):
            piece = ""
            for character in word:
                if cell_len(piece + character) > max(1, columns):
                    break
                piece += character
            piece = piece or word[0]
            lines.append(piece)
            word = word[len(piece) :]
        line, used = word, cell_len(word)
    return (*lines, line) if line else tuple(lines)


def width_of(line: Iterable[Cell]) -> int:
    """Return how many columns `line` takes."""
    return sum(cell_len(cell.text) for cell in line)


def crop(line: Line, columns: int) -> Line:
    """Return as much of `line` as fits into `columns`, the last cell shortened with `…`."""
    kept: list[Cell] = []
    left = columns
    for cell in line:
        if left <= 0:
            break
        width = cell_len(cell.text)
        kept.append(cell if width <= left else Cell(fit(cell.text, left), cell.look))
        left -= width
    return tuple(kept)


def spread(left: Line, right: Line, columns: int) -> Line:
    """Return `left` and `right` at the two ends of a line; `left` gives way when there is not room for both."""
    right = crop(right, columns)
    room = columns - width_of(right) - (1 if right else 0)
    shown = crop(left, max(0, room))
    gap = columns - width_of(shown) - width_of(right)
    return (*shown, Cell(" " * gap), *right)


@lru_cache(maxsize=1024)
def meter_cells(filled: float, columns: int) -> Line:
    """Return a level meter `columns` wide for `filled` from 0.0 to 1.0, in steps of half a column.

    From −18 dBFS (0.7) up it is high, from −6 dBFS (0.9) hot.
    """
    columns = max(0, columns)
    whole, rest = divmod(round(min(1.0, max(0.0, filled)) * columns * 2), 2)
    high, hot = int(columns * 0.7), int(columns * 0.9)
    cells: list[Cell] = []
    for look, start, end in (
        ("meter", 0, high),
        ("meter-high", high, hot),
        ("meter-hot", hot, columns),
    ):
        length = min(whole, end) - start
        if length > 0:
            cells.append(Cell("━" * length, look))  # type: ignore[arg-type]  # a Look, from the literals above
    if rest and whole < columns:
        cells.append(Cell("╸", "meter" if whole < high else "meter-high" if whole < hot else "meter-hot"))
        whole += 1
    if whole < columns:
        cells.append(Cell("─" * (columns - whole), "track"))
    return tuple(cells)
