"""What lobby and room have in common: they follow the state, say notices and answer keys from tables."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from textual.css.query import NoMatches
from textual.events import Key
from textual.screen import Screen
from textual.widgets import Input

from greenroom.protocol.ids import Cid, UserId
from greenroom.state.call import CallState
from greenroom.state.engine import ClientState, ConnectionPhase
from greenroom.views.actions import Action
from greenroom.views.log import name_of
from greenroom.views.words import connection_words
from greenroom_tui.cells import Cell, Line, Look, clean
from greenroom_tui.screens.help import HelpScreen
from greenroom_tui.screens.why import WhyScreen
from greenroom_tui.shortcuts import EVERYWHERE, Shortcut
from greenroom_tui.widgets.calls import CallsStrip, Foot
from greenroom_tui.widgets.keys import Keys

if TYPE_CHECKING:
    from greenroom_tui.app import DashboardApp

NOTICE_SECONDS = 8.0
_TONES: dict[str, tuple[str, Look]] = {
    "info": ("·", "accent"),
    "good": ("✓", "good"),
    "warning": ("!", "warn"),
    "bad": ("‼", "bad"),
}


class RoomsideScreen(Screen[None]):
    """A screen that is told every new state."""

    SHORTCUTS: tuple[Shortcut, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._notice: tuple[str, str, float] = ("", "info", 0.0)

    @property
    def dashboard(self) -> DashboardApp:
        """The app, by its own type."""
        return cast("DashboardApp", self.app)

    def show(self, state: ClientState, now: float) -> None:
        """Show `state`; `now` is wall-clock."""
        raise NotImplementedError

    def say(self, words: str, tone: str = "info") -> None:
        """Show `words` for some seconds."""
        self._notice = (words, tone, time.time())
        self.refresh_state()

    def follow(self, state: ClientState, now: float) -> None:
        """Show `state` if the screen is whole."""
        if self.is_mounted and self.is_running:
            # Between the first and the last part that goes when a screen is closed, there is nothing to show to.
            with suppress(NoMatches):
                self.show(state, now)
                self.query_one(Foot).follow(state, now)

    def refresh_state(self) -> None:
        """Show the newest state again, because something else than the state changed."""
        self.follow(self.dashboard.engine_state, time.time())

    def notice_line(self, now: float) -> Line:
        """Return the notice while it is fresh: a mark and words."""
        words, tone, at = self._notice
        if not words or now - at >= NOTICE_SECONDS:
            return ()
        mark, look = _TONES.get(tone, _TONES["info"])
        return (Cell(f"{mark} ", look), Cell(clean(words, 600), look), Cell(" "))

    def connection_line(self, state: ClientState, now: float) -> Line:
        """Return how the connection is, when there is something to say about it."""
        if state.connection is ConnectionPhase.ONLINE:
            return ()
        return (Cell("↻ ", "bad"), Cell(clean(connection_words(state, now), 60), "bad"), Cell(" "))

    def subject(self) -> CallState | None:
        """Return the call that actions are about."""
        return None

    @property
    def person(self) -> UserId | None:
        """The person actions and questions are about, if one is chosen."""
        return None

    def actions(self) -> tuple[Action, ...]:
        """Return the actions that have their keys on this screen."""
        return ()

    def possible(self, action: Action) -> bool:
        """Tell whether `action` makes sense now, with what is selected."""
        return False

    def take(self, action: Action) -> None:
        """Do `action`, one of `actions()`, with what is selected."""

    def on_key(self, event: Key) -> None:
        if self.app.screen is not self:
            return  # typed while a question was opening: not meant for what lies under it
        if isinstance(self.focused, Input):
            # Typed, or pasted, so soon after the key that leads there that it was sent here.
            if event.is_printable and event.character is not None:
                self.focused.insert_text_at_cursor(event.character)
            return
        if event.character is not None and self.take_key(event.character):
            event.stop()
            event.prevent_default()

    @property
    def call_in_question(self) -> Cid | None:
        """The call that what is done about calls is about, unless it is the focused one."""
        call = self.subject()
        return None if call is None else call.cid

    def on_calls_strip_picked(self, event: CallsStrip.Picked) -> None:
        self.dashboard.calls.focus(event.cid)

    def on_keys_pressed(self, event: Keys.Pressed) -> None:
        self.take_key(event.key)

    def on_screen_resume(self) -> None:
        self.refresh_state()

    def take_key(self, key: str) -> bool:
        """Do what `key` means here; tell whether it means something."""
        for shortcut in (*self.SHORTCUTS, *EVERYWHERE):
            if key == shortcut.key:
                self.take_shortcut(shortcut)
                return True
        return self.dashboard.calls.take_key(key, self.call_in_question)

    def take_shortcut(self, shortcut: Shortcut) -> None:
        """Call the method of a shortcut, on this screen or on the app."""
        for owner in (self, self.app):
            method = getattr(owner, f"action_{shortcut.method}", None)
            if method is not None:
                method()
                return

    def action_why(self) -> None:
        """Answer why it is silent, and whatever else is asked."""
        call, person = self.subject(), self.person
        name = "" if call is None or person in (None, call.me) else name_of(call.room, person)
        cid = None if call is None else call.cid
        self.app.push_screen(WhyScreen(self.dashboard.explain, cid, name))

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen(self.subject(), self.possible))
