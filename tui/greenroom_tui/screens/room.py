"""One room: stage, hands, audience, chat, log, numbers."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.requests import PostMessage
from greenroom.protocol.room import Room
from greenroom.protocol.wire import Typing
from greenroom.state.call import CallPhase, CallState
from greenroom.state.engine import ClientState
from greenroom.views.actions import ACTIONS, Action, Chosen, Group, Target, label_of
from greenroom.views.chat import chat_rows
from greenroom.views.hands import audience_words, hand_rows, listener_rows, queue_words
from greenroom.views.idle import idle_words
from greenroom.views.knobs import volume_of, volume_words
from greenroom.views.layouts import arranged_rows, stage_words
from greenroom.views.log import name_of
from greenroom.views.people import Person
from greenroom.views.quality import quality_row
from greenroom.views.session import has_button
from greenroom.views.status import microphone_words, statistics_line, status_words, title_words
from greenroom.views.words import enumerate_names
from greenroom_tui.cells import Cell, Line, clean
from greenroom_tui.screens.base import RoomsideScreen
from greenroom_tui.screens.choosing import Choosing
from greenroom_tui.shortcuts import EVERYWHERE, ROOM
from greenroom_tui.widgets.bar import Bar
from greenroom_tui.widgets.calls import Foot
from greenroom_tui.widgets.chat import Chat, Log
from greenroom_tui.widgets.keys import KeyRow, Keys
from greenroom_tui.widgets.notes import Notes
from greenroom_tui.widgets.people import Audience, Hands
from greenroom_tui.widgets.rows import Rows
from greenroom_tui.widgets.stage import Stage

SHORT = 22
TYPING_SECONDS = 3.0
# What stands at the foot first; the rest follows in the order of the table.
_FIRST = ("stay", "accept", "decline", "microphone", "hand", "next", "grant", "deny", "message", "react")
_LAST = ("leave",)
_VIEW_LAST = 300


class RoomScreen(RoomsideScreen):
    """The room `cid`, as our call sees it."""

    SHORTCUTS = ROOM
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "to_stage", show=False)]

    def __init__(self, cid: Cid) -> None:
        super().__init__()
        self.cid = cid
        self._call: CallState | None = None
        self._people: Stage | Hands | Audience | None = None
        self._told = -1
        self._drawn: tuple[Room | None, int] | None = None
        self._typed_at = float("-inf")
        self._seen = False

    def compose(self) -> ComposeResult:
        yield Bar(id="header")
        yield Notes(id="notice")
        with Horizontal(id="panels"):
            with Vertical(id="left"):
                yield Stage(id="stage")
                yield Chat(id="chat")
                yield Input(id="write", placeholder="c to write", compact=True, select_on_focus=False)
            with Vertical(id="right"):
                yield Hands(id="hands")
                yield Audience(id="audience")
                yield Log(id="log")
        yield Bar(id="numbers")
        yield Foot(self.cid)
        yield Keys(id="keys")

    def on_mount(self) -> None:
        self.query_one(Log).head("Log")
        self.query_one("#write", Input).value = self.dashboard.drafts.get(self.cid, "")
        self.query_one(Stage).focus()
        self.refresh_state()

    def on_resize(self) -> None:
        self.set_class(self.app.size.height < SHORT, "-short")
        self._drawn = None
        self.refresh_state()

    # ---- state in

    def show(self, state: ClientState, now: float) -> None:
        call = state.calls.get(self.cid)
        if call is None or call.phase is CallPhase.LEFT:
            self._over(call, state)
            return
        self._seen, self._call = True, call
        self._tell(call, state)
        self._show_heads(state, call, now)
        self._show_stage(call)
        if self._drawn != (call.room, int(now)):
            if self._drawn is None or self._drawn[0] is not call.room:
                self._show_audience(call)
                self.query_one(Chat).show_messages(chat_rows(call))
            self._show_hands(call, now)
            self._drawn = (call.room, int(now))
        self._show_chat_head(call)
        log = [line for line in state.log if line.cid in (None, self.cid)]
        self.query_one(Log).show(log[-200:])
        self._show_keys(call)

    def _over(self, call: CallState | None, state: ClientState) -> None:
        """The call is gone: back to the call that has the sound now, else to the lobby, with the reason."""
        if not self._seen or not self.is_attached or self._call is None:
            return
        self._seen = False
        words, tone = self.dashboard.calls.over_words(call or self._call, state)
        self._back()
        focused = state.focus.focused
        if focused is not None and focused in state.calls and focused != self.cid:
            self.dashboard.show_room(focused)
        self.dashboard.say(words, tone)

    def _back(self) -> None:
        """Take this screen and what lies over it away."""
        while self in self.app.screen_stack:
            self.app.pop_screen()

    def _tell(self, call: CallState, state: ClientState) -> None:
        notes = {line.text for line in state.log[-40:] if line.note}  # the foot of the screen says those
        fresh = [notice for notice in call.notices if notice.id > self._told and notice.text not in notes]
        if fresh:
            newest = fresh[-1]
            self._told = newest.id
            if (
                newest.at >= self._notice[2]
            ):  # what was just said is newer than what a call we come back to had to tell
                self._notice = (newest.text, newest.tone, newest.at)

    def _show_heads(self, state: ClientState, call: CallState, now: float) -> None:
        room = call.room
        live = room is not None and room.live and call.phase is CallPhase.JOINED
        status: Line = (
            Cell("● " if live else "○ ", "good" if live else "warn"),
            Cell(clean(status_words(call, now), 90), "plain"),
            Cell(" "),
        )
        self.query_one("#header", Bar).show(
            (Cell(" Greenroom ", "accent"), Cell(f" {clean(title_words(call), 80)}", "strong")),
            self.connection_line(state, now) or status,
        )
        is_open = call.microphone.open
        person = self.person
        picked: Line = ()
        if person is not None and room is not None and person != call.me:
            picked = (Cell("▸ ", "accent"), Cell(_picked_words(call, person), "dim"), Cell(" "))
        self.query_one("#notice", Notes).show(
            (
                Cell(" ● " if is_open else " × ", "good" if is_open else "dim"),
                Cell(clean(microphone_words(call), 600), "plain" if is_open else "dim"),
            ),
            _idle_line(call, now) or self.notice_line(now) or picked,
        )
        self.query_one("#numbers", Bar).show((Cell(f" {clean(statistics_line(call), 118)}", "dim"),))

    def _show_stage(self, call: CallState) -> None:
        rows = arranged_rows(call)
        stage = self.query_one(Stage)
        stage.head(f"Stage · {stage_words(call)}")
        stage.show(rows)
        self._height(stage, len(rows), 2, max(3, (self.size.height - 6) * 2 // 5))

    def _show_hands(self, call: CallState, now: float) -> None:
        rows = hand_rows(call, now)
        hands = self.query_one(Hands)
        hands.head(f"Hands · {queue_words(call)}")
        hands.show(rows)
        self._height(hands, len(rows), 1, max(2, (self.size.height - 6) // 3))

    def _show_audience(self, call: CallState) -> None:
        audience = self.query_one(Audience)
        audience.head(f"Audience · {audience_words(call)}")
        audience.show(listener_rows(call))

    def _show_chat_head(self, call: CallState) -> None:
        names = enumerate_names(list(call.typing))
        verb = "are" if len(call.typing) > 1 else "is"
        self.query_one(Chat).head(f"Chat · {names} {verb} writing…" if names else "Chat")

    def _show_keys(self, call: CallState) -> None:
        def place(action: Action) -> int:
            if action.id in _FIRST:
                return _FIRST.index(action.id)
            if action.group in (Group.SOUND, Group.VIEW):
                return _VIEW_LAST  # the place of sound is a screen of its own
            return 200 if action.id in _LAST else 100

        shown = (action for action in ACTIONS if self.possible(action) and has_button(action, call))
        actions = sorted(shown, key=place)
        rows = tuple(KeyRow(action.key, label_of(action, call)) for action in actions)
        always = (*(s for s in ROOM if s.key == "Q"), *(s for s in EVERYWHERE if s.key in "0?q"))
        self.query_one(Keys).show(rows, tuple(KeyRow(shortcut.key, shortcut.label) for shortcut in always))

    def _height(self, rows: Rows[object] | Stage | Hands, wanted: int, least: int, most: int) -> None:
        height = min(most, max(least, wanted)) + 1
        if rows.styles.height is None or rows.styles.height.value != height:
            rows.styles.height = height

    # ---- what is selected

    @property
    def person(self) -> UserId | None:
        """The person actions are about: the chosen row of the list of people looked at last."""
        row = None if self._people is None else self._people.chosen
        return None if row is None else row.user

    @property
    def hand(self) -> UserId | None:
        """The hand actions are about: the chosen one, else the first."""
        hands = self.query_one(Hands)
        row = hands.chosen or next(iter(hands.rows), None)
        return None if row is None else row.user

    def subject(self) -> CallState | None:
        return self._call

    def actions(self) -> tuple[Action, ...]:
        return ACTIONS

    def possible(self, action: Action) -> bool:
        """Tell whether `action` makes sense now, with what is selected."""
        return self._call is not None and action.available(self._call, self._about(action))

    def _about(self, action: Action) -> UserId | None:
        return {Target.PERSON: self.person, Target.HAND: self.hand}.get(action.target)

    @on(Rows.Chosen)
    def _chosen(self, event: Rows.Chosen) -> None:
        rows = event.rows
        if isinstance(rows, Stage | Hands | Audience) and rows.has_focus:
            self._people = rows
        self.refresh_state()

    def on_descendant_focus(self) -> None:
        focused = self.focused
        if isinstance(focused, Stage | Hands | Audience):
            self._people = focused
        self.query_one("#write", Input).placeholder = (
            "Enter sends, Esc goes back" if isinstance(focused, Input) else "c to write"
        )
        self.refresh_state()

    # ---- actions out

    def take_key(self, key: str) -> bool:
        action = next((action for action in ACTIONS if action.key == key), None)
        if action is None:
            return super().take_key(key)
        self.take(action)
        return True

    def take(self, action: Action) -> None:
        """Do `action`, asking first for what it still needs."""
        call = self._call
        if call is None:
            return
        person = self._about(action)
        if not self.possible(action):
            hint = ": choose somebody first, with Tab and the arrow keys"
            needs = action.target is Target.PERSON and person in (None, call.me)
            self.say(f"“{label_of(action, call)}” is not possible now{hint if needs else ''}", "warning")
            return
        Choosing(self, action, call, person).ask()

    def build(self, action: Action, chosen: Chosen) -> None:
        """Make the request of `action` from the newest state and send it."""
        if self._call is None:
            return
        request = action.build(self._call, chosen)
        if request is not None:
            self.dashboard.perform(self.cid, request)

    def write(self) -> None:
        """Put the cursor where chat is written."""
        self.set_focus(self.query_one("#write", Input))

    def people(self) -> tuple[Person, ...]:
        """Everybody who can be called by name."""
        return self.dashboard.calls.people()

    def chosen_message(self) -> str | None:
        """The message chosen in the chat while it has the focus."""
        chat = self.query_one(Chat)
        return chat.chosen.message if chat.has_focus and chat.chosen is not None else None

    @on(Input.Submitted, "#write")
    def _written(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self.dashboard.perform(self.cid, PostMessage(event.value))
            event.input.clear()
        self.action_to_stage()

    @on(Input.Changed, "#write")
    def _typing(self, event: Input.Changed) -> None:
        now = time.monotonic()
        self.dashboard.drafts[self.cid] = event.value  # another call may come in between
        if event.value and event.input.has_focus and now - self._typed_at >= TYPING_SECONDS:
            self._typed_at = now
            self.dashboard.perform(self.cid, Typing())

    # ---- the dashboard's own keys

    def action_to_stage(self) -> None:
        self.query_one(Stage).focus()

    def action_next_list(self) -> None:
        self.focus_next(Rows)

    def action_lobby(self) -> None:
        self._back()

    def action_share(self) -> None:
        self.dashboard.share(self.cid)


def _picked_words(call: CallState, person: UserId) -> str:
    """Return who is chosen, with what is wrong about their line and how loud they are for me."""
    line = quality_row(call, person)
    volume = volume_words(volume_of(call, person))
    parts = (name_of(call.room, person), volume, f"{line.word}: {line.reason}" if line.reason else "")
    return clean(" · ".join(part for part in parts if part), 400)


def _idle_line(call: CallState, now: float) -> Line:
    words = idle_words(call, now)
    return (Cell("! ", "warn"), Cell(clean(words, 90), "warn"), Cell(" ")) if words else ()
