"""The dashboard: follows the engine's state, shows a lobby and rooms, passes requests on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen

from greenroom.errors import GreenroomError
from greenroom.protocol.ids import Cid
from greenroom.protocol.records import HistoryPage, QueryHistory
from greenroom.state.call import CallPhase
from greenroom.state.devices import Direction
from greenroom.state.engine import ClientState
from greenroom.state.meters import Meters
from greenroom.state.statistics import CallStatistics
from greenroom.views.actions import Asked
from greenroom.views.call_actions import calls_here
from greenroom.views.calls import title_of
from greenroom_tui.calling import Calling
from greenroom_tui.commands import Commands
from greenroom_tui.engine import Engine
from greenroom_tui.screens.audio import AudioScreen
from greenroom_tui.screens.base import RoomsideScreen
from greenroom_tui.screens.calls import CallsScreen
from greenroom_tui.screens.history import HistoryScreen
from greenroom_tui.screens.lobby import LobbyScreen
from greenroom_tui.screens.room import RoomScreen
from greenroom_tui.screens.share import ShareScreen
from greenroom_tui.shortcuts import ANYWHERE
from greenroom_tui.terminal import TerminalDriver
from greenroom_tui.themes import THEMES, theme_named
from greenroom_tui.widgets.calls import Foot

FRAMES_A_SECOND = 15
LEAVE_SECONDS = 2.0
HERE = (CallPhase.JOINING, CallPhase.JOINED, CallPhase.RECONNECTING)

LinkOf = Callable[[Cid], str | Awaitable[str]]
"""Gives the link by which somebody else can join a room."""


class DashboardApp(App[None]):
    """Shows what `engine` knows, at most 15 times a second, the newest state first and last.

    `cid` is entered at the start. `link` makes the link of a room, where it is not the engine's own. With `follow_focus`
    the room of whichever call gets the microphone is opened, e.g. while a scene plays. `theme` is the name of one of
    `greenroom_tui.themes.THEMES`. Raises `Malformed` for another.
    """

    CSS_PATH = "greenroom.tcss"
    TITLE = "Greenroom"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {Commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave_and_quit", show=False, priority=True),
        Binding("ctrl+c", "leave_and_quit", show=False, priority=True),
        *(Binding(one.key.lower(), f"calls('{one.method}')", show=False, priority=True) for one in ANYWHERE),
    ]

    def __init__(
        self,
        engine: Engine,
        *,
        cid: Cid | None = None,
        link: LinkOf | None = None,
        follow_focus: bool = False,
        theme: str = THEMES[0].name,
    ) -> None:
        super().__init__(driver_class=TerminalDriver)
        self._engine = engine
        self.calls = Calling(self, engine, follow_focus=follow_focus)
        self.drafts: dict[Cid, str] = {}
        self._first = cid
        self._link = link or engine.link
        self._shown: tuple[ClientState, int, Screen[Any] | None] | None = None
        self._leaving = False
        for known in THEMES:
            self.register_theme(known)
        self.theme = theme_named(theme).name

    # ---- Textual

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return THEMES[0].variables

    def get_default_screen(self) -> Screen[None]:
        return LobbyScreen()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        return ()

    def on_mount(self) -> None:
        self.follow()
        self.set_interval(1 / FRAMES_A_SECOND, self.follow)
        self.run_worker(self._begin(self._first), exit_on_error=False)

    # ---- state flows in

    @property
    def engine_state(self) -> ClientState:
        """The newest state of the engine."""
        return self._engine.state.value

    def follow(self) -> None:
        """Show the newest state, if it, the second or the screen on top is new."""
        if not self.screen_stack:
            return  # on the way out
        state, now, top = self.engine_state, time.time(), self.screen
        shown = self._shown
        if shown is not None and shown[0] is state and shown[1] == int(now) and shown[2] is top:
            return
        self._shown = (state, int(now), top if top.is_mounted and top.is_running else None)
        self.calls.follow(state, now)
        for screen in self.screen_stack:
            if isinstance(screen, RoomsideScreen):
                screen.follow(state, now)
            elif screen.is_mounted and screen.is_running:
                for foot in screen.query(Foot):
                    foot.follow(state, now)
        for cid, call in state.calls.items():
            if call.phase is CallPhase.LEFT:
                self._engine.forget(cid)  # its screen has said why and is gone

    # ---- requests flow out

    def perform(self, cid: Cid, request: Asked) -> None:
        """Ask the engine; a refusal becomes a notice."""
        self.run_worker(self._perform(cid, request), exit_on_error=False)

    def enter(self, cid: Cid, *, create: bool = False, title: str = "") -> None:
        """Go into a room, joining it unless we are in it."""
        call = self.engine_state.calls.get(cid)
        if call is not None and call.phase in HERE:
            self.show_room(cid)
        else:
            self.run_worker(self._join(cid, create, title), exit_on_error=False)

    def show_room(self, cid: Cid) -> None:
        """Put the screen of a room on top of the lobby; what lay there goes."""
        top = self.screen
        if isinstance(top, RoomScreen) and top.cid == cid:
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.push_screen(RoomScreen(cid))

    def refresh_calls(self) -> None:
        """Show again what concerns calls, because something else than the state changed."""
        self.calls.show_banner(self.engine_state, time.time())

    def explain(self, question: str, cid: Cid | None) -> str:
        """Answer a question about a call, or about all, with the titles of calls for their ids."""
        try:
            words = self._engine.explain(question, cid)
        except GreenroomError as error:
            return str(error)
        for call in calls_here(self.engine_state):
            words = words.replace(call.cid, title_of(call))
        return words

    def share(self, cid: Cid) -> None:
        """Show the link of a room."""
        self.run_worker(self._share(cid), exit_on_error=False)

    def say(self, words: str, tone: str = "info") -> None:
        """Tell the person something, on the screen they look at."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, RoomsideScreen):
                screen.say(words, tone)
                return

    # ---- sound

    @property
    def meters(self) -> Meters:
        """The newest levels of microphone and loudspeaker."""
        return self._engine.meters.value

    def history(self, cid: Cid) -> tuple[CallStatistics, ...]:
        """The statistics of a call's last ten minutes; none of a call that is over."""
        try:
            return self._engine.call(cid).statistics
        except (GreenroomError, KeyError):
            return ()

    def choose_device(self, direction: Direction, wish: str) -> bool:
        """Use another device from now on; tell whether that can be asked for."""
        try:
            if direction is Direction.INPUT:
                self._engine.choose_devices(input=wish)
            else:
                self._engine.choose_devices(output=wish)
        except GreenroomError as error:
            self.say(str(error), "warning")
            return False
        return True

    def try_microphone(self, on: bool) -> None:
        """Listen to the microphone for its level, or no longer."""
        self.run_worker(self.ask(self._engine.try_microphone(on)), exit_on_error=False)

    def play_chime(self) -> None:
        """Play a soft tone on the loudspeaker."""
        self.run_worker(self.ask(self._engine.play_chime()), exit_on_error=False)

    async def call_history(self, query: QueryHistory) -> HistoryPage | None:
        """Return a page of calls that were; None when the answer is no, which is said."""
        page: list[HistoryPage] = []

        async def asked() -> None:
            page.append(
                await self._engine.call_history(
                    kinds=query.kinds,
                    statuses=query.statuses,
                    participant=query.participant,
                    direction=query.direction,
                    limit=query.limit,
                    after=query.after,
                    before=query.before,
                )
            )

        return page[0] if await self.ask(asked()) else None

    # ---- the dashboard's own keys

    def action_calls(self, id_: str = "") -> None:
        """Show every call; with `id_` do that about calls, wherever one is."""
        if id_:
            self.calls.take(id_)
        else:
            self._toggle(CallsScreen)

    def action_history(self) -> None:
        """Show the calls that were."""
        self._toggle(HistoryScreen)

    def _toggle(self, kind: type[CallsScreen] | type[HistoryScreen]) -> None:
        """Go to a screen that is there once, or back from it."""
        if isinstance(self.screen, kind):
            self.pop_screen()
        elif not any(isinstance(screen, kind) for screen in self.screen_stack):
            self.push_screen(kind())
        else:
            while not isinstance(self.screen, kind):
                self.pop_screen()

    def action_sound(self) -> None:
        """Show everything about sound, or go back."""
        top = self.screen
        if isinstance(top, AudioScreen):
            top.action_back()
        else:
            self.push_screen(AudioScreen(top.cid if isinstance(top, RoomScreen) else None))

    def action_next_theme(self) -> None:
        names = [theme.name for theme in THEMES]
        here = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(here + 1) % len(names)]

    def action_palette(self) -> None:
        self.action_command_palette()

    def action_leave_and_quit(self) -> None:
        if not self._leaving:
            self._leaving = True
            self.run_worker(self._leave_and_quit(), exit_on_error=False)

    def terminal_gone(self) -> None:
        """The terminal was closed under us: leave as if asked to."""
        self.action_leave_and_quit()

    # ---- what may wait

    async def _begin(self, cid: Cid | None) -> None:
        # A guest is let in by the room; only then may they look at others.
        if cid is not None:
            call = self.engine_state.calls.get(cid)
            if call is not None and call.phase in HERE:
                self.show_room(cid)
            else:
                await self._join(cid, create=False, title="")
        await self.ask(self._engine.watch_rooms())

    async def _perform(self, cid: Cid, request: Asked) -> None:
        try:
            call = self._engine.call(cid)
        except (GreenroomError, KeyError):
            self.say("you are not in this room", "warning")
            return
        await self.ask(call.perform(request))

    async def _join(self, cid: Cid, create: bool, title: str) -> None:
        self.say(f"entering {cid}…")
        if await self.ask(self._engine.join(cid, create=create, title=title)):
            self.say("")
            self.show_room(cid)

    async def _share(self, cid: Cid) -> None:
        call = self.engine_state.calls.get(cid)
        title = cid if call is None or call.room is None else call.room.title
        try:
            link = self._link(cid)
            shown = link if isinstance(link, str) else await link
        except GreenroomError as error:
            self.say(str(error), "warning")
            return
        self.push_screen(ShareScreen(title, shown))

    async def ask(self, question: Awaitable[object]) -> bool:
        """Wait for `question`; say why when the answer is no."""
        try:
            await question
        except GreenroomError as error:
            self.say(str(error), "warning")
            return False
        except (OSError, TimeoutError):
            self.say("the server did not answer; try again", "bad")
            return False
        return True

    async def _leave_and_quit(self) -> None:
        """Leave every call, waiting a moment for the server to know, then close."""
        here = [cid for cid, call in self.engine_state.calls.items() if call.phase in HERE]
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await asyncio.gather(*(self._leave(cid) for cid in here))
        except TimeoutError:
            pass  # the server sees the connection close and counts us out by itself
        self.exit()

    async def _leave(self, cid: Cid) -> None:
        try:
            await self._engine.call(cid).leave()
        except (GreenroomError, KeyError, OSError):
            pass  # whoever quits need not be told that a room had already ended
