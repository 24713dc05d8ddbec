"""What an action needs beyond its key: a yes, words, an emoji, a message."""

from __future__ import annotations

import unicodedata
from typing import Protocol

from textual.app import App

from greenroom.protocol.ids import MessageId, UserId
from greenroom.state.call import CallState
from greenroom.views.actions import REACTIONS, Action, Chosen, Target, label_of
from greenroom.views.chat import ChatRow, chat_rows
from greenroom.views.log import name_of
from greenroom.views.people import Person, completed, people_called
from greenroom_tui.screens.ask import AskText, Choice, Choose, Confirm


class Asking(Protocol):
    """The screen an action is taken on."""

    @property
    def app(self) -> App[object]: ...

    def build(self, action: Action, chosen: Chosen) -> None: ...

    def write(self) -> None: ...

    def say(self, words: str, tone: str = ...) -> None: ...

    def chosen_message(self) -> str | None: ...

    def people(self) -> tuple[Person, ...]: ...


class Choosing:
    """One action on its way from key to request. `person` is whom it is about, if it is about somebody."""

    def __init__(self, screen: Asking, action: Action, call: CallState, person: UserId | None) -> None:
        self._screen = screen
        self._action = action
        self._call = call
        self._person = person

    def ask(self) -> None:
        """Ask for what is missing, then have the request made."""
        match self._action.target:
            case Target.TEXT if self._action.id == "message":
                self._screen.write()
            case Target.TEXT:
                room = self._call.room
                self._ask_text("" if room is None else room.title, lambda text: Chosen(text=text))
            case Target.NAME:
                self._ask_name()
            case Target.EMOJI:
                choices = [Choice(emoji, _named(emoji)) for emoji in REACTIONS]
                self._choose(choices, lambda emoji: Chosen(text=emoji))
            case Target.BLOCKED:
                room = self._call.room
                blocked = () if room is None else tuple(room.blocked)
                choices = [Choice(user, name_of(room, user)) for user in blocked]
                self._choose(choices, lambda user: Chosen(user=UserId(user)))
            case Target.MESSAGE:
                self._message()
            case _:
                self._sure(Chosen(user=self._person))

    def _message(self) -> None:
        message = self._the_message()
        if message is None:
            self._screen.say(
                "there is no message of yours: choose one in the chat, with Tab and the arrow keys", "warning"
            )
        elif self._action.id == "edit_message":
            if not message.mine:
                self._screen.say("only its author can change a message", "warning")
                return
            self._ask_text(message.text, lambda text: Chosen(message=MessageId(message.id), text=text))
        else:
            self._sure(Chosen(message=message.id), f"“{message.text}”")

    def _the_message(self) -> ChatRow | None:
        """The chosen message, else my newest that is not deleted."""
        rows = {row.id: row for row in chat_rows(self._call)}
        chosen = self._screen.chosen_message()
        if chosen is not None and chosen in rows:
            return rows[MessageId(chosen)]
        mine = [row for row in rows.values() if row.mine and not row.note.startswith("deleted")]
        return mine[-1] if mine else None

    def _sure(self, chosen: Chosen, what: str = "") -> None:
        if not self._action.confirm:
            self._screen.build(self._action, chosen)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._screen.build(self._action, chosen)

        about = "" if self._person is None else f" {name_of(self._call.room, self._person)}"
        question = f"{label_of(self._action, self._call)}{about}?"
        self._screen.app.push_screen(Confirm(question, what or self._action.help), answered)

    def _ask_text(self, initial: str, made: _FromText) -> None:
        def answered(text: str | None) -> None:
            if text is not None and text.strip():
                self._screen.build(self._action, made(text))

        self._screen.app.push_screen(AskText(self._action.label, initial, self._action.help), answered)

    def _ask_name(self) -> None:
        known = self._screen.people()

        def answered(text: str | None) -> None:
            if text is not None:
                self._screen.build(self._action, Chosen(user=people_called(text, known)[0]))

        self._screen.app.push_screen(
            AskText(
                self._action.label,
                hint=f"{self._action.help}: a name or user id; → completes a name",
                check=lambda text: people_called(text, known),
                complete=lambda text: completed(text, known),
            ),
            answered,
        )

    def _choose(self, choices: list[Choice], made: _FromText) -> None:
        def answered(value: str | None) -> None:
            if value is not None:
                self._screen.build(self._action, made(value))

        self._screen.app.push_screen(Choose(self._action.label, choices), answered)


def _named(emoji: str) -> str:
    """Return `emoji` with its name, for terminals that cannot draw it."""
    return f"{emoji}  {unicodedata.name(emoji[:1], '').lower()}"


class _FromText(Protocol):
    def __call__(self, text: str, /) -> Chosen: ...
