"""Raised hands and the audience."""

from __future__ import annotations

from greenroom.views.hands import HandRow, ListenerRow
from greenroom_tui.cells import Cell, Line, Look, fit
from greenroom_tui.widgets.rows import Rows


class Hands(Rows[HandRow]):
    """The queue, in the order it will be served."""

    EMPTY = "no hands are up"

    def key_of(self, row: HandRow) -> str:
        return row.user

    def draw(self, row: HandRow, columns: int) -> Line:
        name = f"{row.name} (you)" if row.me else row.name
        waiting = row.waiting if row.present else f"away {row.waiting}"
        tail = max(10, len(waiting) + 1)
        return (
            Cell(f"{row.position:>2} ", "warn"),
            Cell(fit(name, max(0, columns - 3 - tail - 1)), "strong" if row.me else "plain"),
            Cell(fit(waiting, tail, "right"), "dim"),
            Cell(" "),
        )


class Audience(Rows[ListenerRow]):
    """The listeners who are known by name."""

    EMPTY = "the room listens to nobody yet"

    def key_of(self, row: ListenerRow) -> str:
        return row.user

    def draw(self, row: ListenerRow, columns: int) -> Line:
        name = f"{row.name} (you)" if row.me else row.name
        words = _state(row)
        tail = min(len(words) + 1, columns // 2)
        look: Look = "dim" if row.connected else "bad"
        return (
            Cell(fit(name, max(0, columns - tail - 1)), "strong" if row.me else "plain"),
            Cell(fit(words, tail, "right"), "warn" if row.position or row.invited else look),
            Cell(" "),
        )


def _state(row: ListenerRow) -> str:
    if not row.connected:
        return "not reachable"
    if row.position:
        return f"hand {row.position}"
    if row.invited:
        return "invited"
    return row.role
