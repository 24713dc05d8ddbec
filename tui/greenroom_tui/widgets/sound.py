"""Lists of the sound screen: devices to choose, what our sound is made of, how others are heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len

from greenroom.protocol.ids import UserId
from greenroom.state.devices import Direction
from greenroom.views.audio import AudioRow
from greenroom.views.devices import ChoiceRow
from greenroom.views.stage import SpeakerRow
from greenroom_tui.cells import Cell, Line, Look, fit, wrap
from greenroom_tui.widgets.rows import Rows

BAR_LOOKS: dict[str, Look] = {"excellent": "good", "good": "plain", "poor": "warn", "lost": "bad"}
_FEWEST = 24


class DeviceLine(NamedTuple):
    """One line of a device."""

    choice: ChoiceRow
    cells: Line


def device_lines(rows: Sequence[ChoiceRow], columns: int) -> list[DeviceLine]:
    """Return each device on one line where name and note fit, else on several: a name that is cut names nothing."""
    lines: list[DeviceLine] = []
    for row in rows:
        mark, look = _mark(row)
        word = "mic" if row.direction is Direction.INPUT else "out"
        state = "in use" if row.running else "chosen" if row.chosen else ""
        note = ", ".join(part for part in (state, row.note) if part)
        head: Line = (Cell(f"{mark} ", look), Cell(f"{word} ", "dim"))
        name_look: Look = "strong" if row.chosen else "plain"
        left = columns - 6
        gap = left - cell_len(row.name) - cell_len(note)
        if gap >= (1 if note else 0):
            cells = (*head, Cell(row.name, name_look), Cell(" " * gap), Cell(note, "dim"))
            lines.append(DeviceLine(row, cells))
            continue
        indent: Line = (Cell(" " * 6),)
        for place, name in enumerate(wrap(row.name, max(_FEWEST, left))):
            lines.append(DeviceLine(row, (*(head if place == 0 else indent), Cell(name, name_look))))
        lines += [DeviceLine(row, (*indent, Cell(one, "dim"))) for one in wrap(note, max(_FEWEST, left))]
    return lines


def _mark(row: ChoiceRow) -> tuple[str, Look]:
    if row.running:
        return "●", "good"
    return ("○", "plain") if row.chosen else (" ", "dim")


class Devices(Rows[DeviceLine]):
    """What can be chosen: the mark says what is, and whether sound passes."""

    EMPTY = "there is no sound device"

    def key_of(self, row: DeviceLine) -> str:
        return row.choice.key

    def draw(self, row: DeviceLine, columns: int) -> Line:
        return row.cells

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        return self._columns


class ConfigurationLine(NamedTuple):
    """One line of a value; `key` is its name in `AudioConfiguration`."""

    key: str
    cells: Line


def configuration_lines(
    rows: Sequence[AudioRow], keys: dict[str, str], acting: str, columns: int
) -> list[ConfigurationLine]:
    """Return a value on one line where title, value, who said it and its keys fit, else on two.

    `keys` has the keys of those that can be turned. `acting` says what really happens to the microphone.
    """
    lines = [
        ConfigurationLine("acting", (Cell(line, "dim"),)) for line in wrap(acting, max(_FEWEST, columns))
    ]
    for row in rows:
        key = keys.get(row.name, "") if row.changeable else ""
        origin = row.origin if row.changeable else f"{row.origin}, fixed"
        after = "".join(f"  {part}" for part in (row.value, origin, key) if part)
        if cell_len(row.title) + cell_len(after) <= columns:
            gap = " " * (columns - cell_len(row.title) - cell_len(after) + 2)
            lines.append(
                ConfigurationLine(
                    row.name,
                    (
                        Cell(f"{row.title}{gap}", "plain"),
                        Cell(row.value, "strong"),
                        Cell(f"  {origin}", "dim"),
                        Cell(f"  {key}" if key else "", "key"),
                    ),
                )
            )
        else:
            lines.append(
                ConfigurationLine(
                    row.name,
                    (Cell(fit(row.title, max(0, columns - len(key) - 1)), "plain"), Cell(f" {key}", "key")),
                )
            )
            words = f"{row.value} · {origin}"
            lines += [
                ConfigurationLine(row.name, (Cell("  "), Cell(line, "strong" if place == 0 else "dim")))
                for place, line in enumerate(wrap(words, max(_FEWEST, columns - 2)))
            ]
        if row.note and row.note not in acting:
            lines += [
                ConfigurationLine(row.name, (Cell("  ! ", "warn"), Cell(line, "warn")))
                for line in wrap(row.note, max(_FEWEST, columns - 4))
            ]
    return lines


class Configuration(Rows[ConfigurationLine]):
    """Every value of a call's sound, who said it, and the keys that turn it."""

    EMPTY = "in no call: nothing is sent"

    def key_of(self, row: ConfigurationLine) -> str:
        return row.key

    def draw(self, row: ConfigurationLine, columns: int) -> Line:
        return row.cells

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        return self._columns


class PersonLine(NamedTuple):
    """One line about somebody."""

    user: UserId
    cells: Line


def person_lines(rows: Sequence[SpeakerRow], columns: int) -> list[PersonLine]:
    """Return everybody with volume and line, and below it what makes a line worse than excellent, whole."""
    lines: list[PersonLine] = []
    for row in rows:
        look: Look = BAR_LOOKS.get(row.quality, "plain")
        known = bool(row.bars.strip())
        volume = row.volume or "as sent"
        name = max(0, columns - 13 - 13)
        lines.append(
            PersonLine(
                row.user,
                (
                    Cell(
                        fit(f"{row.name} (you)" if row.me else row.name, name),
                        "strong" if row.speaking else "plain",
                    ),
                    Cell(fit("" if row.me else volume, 13), "warn" if row.volume else "dim"),
                    Cell(row.bars, look),
                    Cell(f" {fit(row.quality if known else '', 9)}", look),
                ),
            )
        )
        lines += [
            PersonLine(row.user, (Cell("  "), Cell(line, "dim")))
            for line in wrap("" if row.me else row.reason, max(_FEWEST, columns - 2))  # mine is said above
        ]
    return lines


class People(Rows[PersonLine]):
    """Those who may speak: how loud they are for me, how good their line is."""

    EMPTY = "nobody may speak yet"

    def key_of(self, row: PersonLine) -> str:
        return row.user

    def draw(self, row: PersonLine, columns: int) -> Line:
        return row.cells

    @property
    def columns(self) -> int:
        """How wide a line may be."""
        return self._columns
