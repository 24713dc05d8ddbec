"""Why it is silent: answers in words, and whatever else is asked about who hears whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Input

from greenroom.protocol.ids import Cid
from greenroom_tui.cells import Cell, Look, wrap
from greenroom_tui.widgets.bar import Bar
from greenroom_tui.widgets.calls import Foot
from greenroom_tui.widgets.words import Words, WordsRow, words_row

Explain = Callable[[str, Cid | None], str]
MOST_ANSWERS = 20


class WhyScreen(ModalScreen[None]):
    """Answers about the call `cid`, about everything without one; `name` is somebody to ask about first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", show=False)]

    def __init__(self, explain: Explain, cid: Cid | None, name: str = "") -> None:
        super().__init__()
        self._explain = explain
        self._cid = cid
        self._name = name
        self._answers: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="card", id="why"):
            yield Words(id="answers")
            yield Input(id="question", placeholder="why does nobody hear me?")
            yield Bar(id="how")
        yield Foot()

    def on_mount(self) -> None:
        self.query_one("#why", Vertical).border_title = Content("Why?")
        self.query_one("#how", Bar).show(
            (Cell("Enter", "key"), Cell(" ask   ", "dim"), Cell("Esc", "key"), Cell(" closes", "dim"))
        )
        if self._cid is not None:
            self._answers.append(("what happened here?", self._explain("what happened?", self._cid)))
        self._answers.append(("who has what?", self._explain("", None)))
        if self._name:
            self._answer(f"why is {self._name} silent?")
        self._show()
        self.query_one(Input).focus()

    def on_resize(self, _event: Resize) -> None:
        self._show()

    @on(Input.Submitted)
    def _asked(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self._answer(event.value.strip())
            event.input.clear()
            self._show()

    def _answer(self, question: str) -> None:
        self._answers = [*self._answers, (question, self._explain(question, self._cid))][-MOST_ANSWERS:]

    def _show(self) -> None:
        columns = max(20, min(self.app.size.width - 4, 108) - 8)
        rows: list[WordsRow] = []
        for number, (question, answer) in enumerate(self._answers):
            lines: list[tuple[str, Look]] = [(line, "accent") for line in wrap(question, columns)]
            for line in answer.split("\n"):
                lines += [(piece, "plain") for piece in wrap(line, columns)]
            rows += [words_row(f"{number}", Cell(line, look)) for line, look in (*lines, ("", "plain"))]
        words = self.query_one(Words)
        words.show(rows[:-1])
        words.scroll_end(animate=False, force=True, x_axis=False)
