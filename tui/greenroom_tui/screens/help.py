"""Every key and what it does, made from the tables of actions and shortcuts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from greenroom.state.call import CallState
from greenroom.views.actions import ACTIONS, Action, Group, label_of
from greenroom.views.call_actions import CALL_ACTIONS
from greenroom.views.ring_actions import RING_ACTIONS
from greenroom_tui.cells import Cell, Look, fit
from greenroom_tui.shortcuts import ANYWHERE, CALLS, EVERYWHERE, HISTORY, LOBBY, ROOM, SOUND
from greenroom_tui.widgets.calls import Foot
from greenroom_tui.widgets.words import Words, WordsRow, words_row

KEY, LABEL, WIDTH = 7, 20, 108
_SHORTCUTS = (
    ("Also while writing", ANYWHERE),
    ("Lobby", LOBBY),
    ("Room", ROOM),
    ("Sound", SOUND),
    ("List of calls", CALLS),
    ("History", HISTORY),
    ("Dashboard", EVERYWHERE),
)


def help_rows(call: CallState | None, possible: Callable[[Action], bool], columns: int) -> list[WordsRow]:
    """Return the lines of help. What is not possible now says so; without a call nothing is marked.

    They are at most `columns` wide.
    """
    rows: list[WordsRow] = []
    for group in Group:
        rows.append(words_row(f"group {group}", Cell(group.value.capitalize(), "accent")))
        for action in ACTIONS:
            if action.group is group:
                now = call is None or possible(action)
                label = action.label if call is None else label_of(action, call)
                rows += _row(action.key, label, action.help, now, columns)
        rows.append(words_row(f"after {group}"))
    rows.append(words_row("group calls", Cell("Calls, from every screen", "accent")))
    for one in CALL_ACTIONS:
        rows += _row(one.key, one.label, one.help, True, columns)
    for ring in RING_ACTIONS:
        rows += _row(ring.key, ring.label, ring.help, True, columns)
    rows.append(words_row("after calls"))
    for heading, shortcuts in _SHORTCUTS:
        rows.append(words_row(f"group {heading}", Cell(heading, "accent")))
        for shortcut in shortcuts:
            lines = _row(shortcut.key, shortcut.label, shortcut.help, True, columns)
            rows += [line._replace(key=f"{heading} {line.key}") for line in lines]
        rows.append(words_row(f"after {heading}"))
    return rows[:-1]


def _row(key: str, label: str, words: str, now: bool, columns: int) -> list[WordsRow]:
    look: Look = "plain" if now else "dim"
    first, *rest = textwrap.wrap(words if now else f"{words} (not\u00a0now)", max(20, columns - KEY - LABEL))
    return [
        words_row(
            key,
            Cell(fit(f" {key}", KEY), "key" if now else "dim"),
            Cell(fit(label, LABEL), look),
            Cell(first, "dim"),
        ),
        *(words_row(key, Cell(" " * (KEY + LABEL)), Cell(line, "dim")) for line in rest),
    ]


class HelpScreen(ModalScreen[None]):
    """Help, over the screen it was asked on."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", show=False)]

    def __init__(self, call: CallState | None, possible: Callable[[Action], bool]) -> None:
        super().__init__()
        self._call = call
        self._possible = possible

    def compose(self) -> ComposeResult:
        with Vertical(classes="card", id="help"):
            yield Words(id="keys")
        yield Foot()

    def on_mount(self) -> None:
        self.query_one(Vertical).border_title = Content("Keys · Esc closes")
        words = self.query_one(Words)
        columns = min(self.app.size.width - 4, WIDTH) - 8
        words.show(help_rows(self._call, self._possible, columns))
        words.focus()
