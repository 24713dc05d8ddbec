"""The rooms of the server: which are live, who is on, where hands are up."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from greenroom.errors import Malformed
from greenroom.protocol.ids import parse_cid
from greenroom.state.engine import ClientState
from greenroom.views.rooms import named_cid, room_rows
from greenroom.views.words import count
from greenroom_tui.cells import Cell, clean
from greenroom_tui.screens.ask import AskText
from greenroom_tui.screens.base import RoomsideScreen
from greenroom_tui.shortcuts import EVERYWHERE, LOBBY
from greenroom_tui.widgets.bar import Bar
from greenroom_tui.widgets.calls import Foot
from greenroom_tui.widgets.keys import KeyRow, Keys, call_key
from greenroom_tui.widgets.notes import Notes
from greenroom_tui.widgets.rooms import Rooms


class LobbyScreen(RoomsideScreen):
    """A list of rooms; Enter goes in."""

    SHORTCUTS = LOBBY
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "enter_room", show=False)]

    def compose(self) -> ComposeResult:
        yield Bar(id="header")
        yield Notes(id="notice")
        yield Rooms(id="rooms")
        yield Foot()
        yield Keys(id="keys")

    def on_mount(self) -> None:
        self.query_one(Rooms).focus()
        self.refresh_state()

    def show(self, state: ClientState, now: float) -> None:
        rooms = room_rows(state, now)
        live = sum(row.status == "live" for row in rooms)
        me = f"{clean(state.name, 24)} on " if state.name else ""
        self.query_one("#header", Bar).show(
            (Cell(" Greenroom ", "accent"), Cell(f" {me}{clean(state.server, 60)}", "dim")),
            self.connection_line(state, now) or (Cell("● online ", "good"),),
        )
        words = state.error or ""
        self.query_one("#notice", Notes).show(
            self.notice_line(now) or ((Cell("! ", "warn"), Cell(clean(words, 600), "warn")) if words else ())
        )
        listed = self.query_one(Rooms)
        listed.head(f"{count(len(rooms), 'room')} · {live or 'none'} live")
        listed.show_rooms(rooms)
        self.query_one(Keys).show(
            (*(KeyRow(shortcut.key, shortcut.label) for shortcut in LOBBY), call_key()),
            tuple(KeyRow(shortcut.key, shortcut.label) for shortcut in EVERYWHERE),
        )

    def take_key(self, key: str) -> bool:
        if key in ("Enter", "\r"):
            self.action_enter_room()
            return True
        return super().take_key(key)

    def action_enter_room(self) -> None:
        room = self.query_one(Rooms).room
        if room is None:
            self.say("there is no room to enter: press n to open one", "warning")
        else:
            self.dashboard.enter(room.cid)

    def action_new_room(self) -> None:
        def answered(title: str | None) -> None:
            if title is not None:
                self.dashboard.enter(named_cid(title), create=True, title=title.strip())

        self.app.push_screen(
            AskText("Open a room", hint="its title, in your words", check=named_cid), answered
        )

    def action_join_by_id(self) -> None:
        def answered(text: str | None) -> None:
            if text is not None:
                self.dashboard.enter(parse_cid(text.strip()))

        self.app.push_screen(
            AskText(
                "Enter a room by its id", hint="for example standup, or livestream:talk", check=_checked_cid
            ),
            answered,
        )


def _checked_cid(text: str) -> None:
    if not text.strip():
        raise Malformed("write the id of a room, for example standup")
    parse_cid(text.strip())
