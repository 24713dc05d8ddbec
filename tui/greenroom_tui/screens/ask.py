"""Small questions over a screen: words, yes or no, one of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input

from greenroom.errors import GreenroomError
from greenroom_tui.cells import Cell, clean, wrap
from greenroom_tui.widgets.bar import Bar
from greenroom_tui.widgets.words import Words, words_row

CHOICE_FRAME = 11
"""Columns around the words of a choice: border, padding, marker, number, scroll bar."""


def _title(card: Vertical, words: str) -> None:
    card.border_title = Content(clean(words, 60))


class Completing(Suggester):
    """Shows how what is typed could go on."""

    def __init__(self, complete: Callable[[str], str | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._goes_on = complete

    async def get_suggestion(self, value: str) -> str | None:
        return self._goes_on(value)


class AskText(ModalScreen[str | None]):
    """Ask for one line. The answer is None when the person thinks better of it.

    `check` may raise a `GreenroomError`, whose message is shown, and the question stays. `complete` gives what is typed
    with its last word completed, or None.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(
        self,
        question: str,
        initial: str = "",
        hint: str = "",
        check: Callable[[str], object] | None = None,
        complete: Callable[[str], str | None] | None = None,
    ) -> None:
        super().__init__()
        self._complete = None if complete is None else Completing(complete)
        self._question = question
        self._initial = initial
        self._hint = hint
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical(classes="card"):
            yield Input(self._initial, id="answer", select_on_focus=True, suggester=self._complete)
            yield Bar(id="hint")
            yield Bar(id="how")

    def on_mount(self) -> None:
        _title(self.query_one(Vertical), self._question)
        self.query_one("#hint", Bar).show((Cell(clean(self._hint, 200), "dim"),))
        self.query_one("#how", Bar).show(
            (Cell("Enter", "key"), Cell(" do it   ", "dim"), Cell("Esc", "key"), Cell(" never mind", "dim"))
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            if self._check is not None:
                self._check(event.value)
        except GreenroomError as error:
            self.query_one("#hint", Bar).show((Cell(clean(str(error), 200), "bad"),))
            return
        self.dismiss(event.value)


class Confirm(ModalScreen[bool]):
    """Ask before something that cannot be undone with the same key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(False)", show=False),
        Binding("y,enter", "dismiss(True)", show=False),
        Binding("n", "dismiss(False)", show=False),
    ]

    def __init__(self, question: str, what: str) -> None:
        super().__init__()
        self._question = question
        self._what = what

    def compose(self) -> ComposeResult:
        with Vertical(classes="card"):
            yield Bar(id="what")
            yield Bar()
            yield Bar(id="how")

    def on_mount(self) -> None:
        _title(self.query_one(Vertical), self._question)
        self.query_one("#what", Bar).show((Cell(clean(self._what, 200)),))
        self.query_one("#how", Bar).show(
            (Cell("y", "key"), Cell(" yes   ", "dim"), Cell("n", "key"), Cell(" no", "dim"))
        )


class Choice(NamedTuple):
    """One of several: `value` is the answer, `words` what is read."""

    value: str
    words: str


class Choose(ModalScreen[str | None]):
    """Ask for one of at most nine or, by the arrow keys, of many."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("enter", "take", show=False, priority=True),
    ]

    def __init__(self, question: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._question = question
        self._choices = tuple(choices)

    def compose(self) -> ComposeResult:
        with Vertical(classes="card"):
            yield Words(id="choices")
            yield Bar(id="how")

    def on_mount(self) -> None:
        _title(self.query_one(Vertical), self._question)
        words = self.query_one(Words)
        longest = max((cell_len(choice.words) for choice in self._choices), default=0)
        width = min(self.app.size.width - 2, max(64, longest + CHOICE_FRAME))
        self.query_one(Vertical).styles.width = width
        rows = [
            words_row(
                choice.value, Cell(f" {number} " if number < 10 and place == 0 else "   ", "key"), Cell(line)
            )
            for number, choice in enumerate(self._choices, 1)
            for place, line in enumerate(wrap(choice.words, width - CHOICE_FRAME) or ("",))
        ]
        words.show(rows)
        words.styles.height = min(12, len(rows))
        words.focus()
        self.query_one("#how", Bar).show(
            (
                Cell("1–9, ↑ ↓, Enter", "key"),
                Cell(" choose   ", "dim"),
                Cell("Esc", "key"),
                Cell(" never mind", "dim"),
            )
        )

    def on_key(self, event: Key) -> None:
        if event.character and event.character in "123456789":
            place = int(event.character) - 1
            if place < len(self._choices):
                event.stop()
                self.dismiss(self._choices[place].value)

    def action_take(self) -> None:
        chosen = self.query_one(Words).chosen
        self.dismiss(None if chosen is None else chosen.key)
