"""Reading what a dashboard shows, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from greenroom.protocol.ids import Cid
from greenroom_tui.app import DashboardApp
from greenroom_tui.screens.room import RoomScreen
from greenroom_tui.widgets.rows import Rows
from greenroom_tui.widgets.stage import Stage
from tests.tui.world import CID, World

WAIT_SECONDS = 10.0


class Dashboard:
    """A running dashboard without a terminal, and the person at its keys."""

    def __init__(self, app: DashboardApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def write(self, text: str) -> None:
        for character in text:
            await self.pilot.press("space" if character == " " else character)

    async def until(self, true: Callable[[], bool], what: str = "") -> None:
        """Wait for `true`; what is on the screen is told when it does not come."""
        latest = time.monotonic() + WAIT_SECONDS
        while not true():
            assert time.monotonic() < latest, f"{what or 'it'} never came; the screen:\n{self.text}"
            await self.pilot.pause(0.02)

    async def sees(self, *words: str) -> None:
        """Wait until every one of `words` is on the screen."""
        await self.until(lambda: all(word in self.text for word in words), f"{words}")

    async def select(self, rows: type[Rows[Any]], key: str) -> None:
        """Go to a list and choose a row, as Tab and the arrow keys do."""
        listed = self.room.query_one(rows)
        listed.focus()
        await self.pilot.pause()
        listed.choose(key)
        await self.pilot.pause()

    @property
    def room(self) -> RoomScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, RoomScreen))

    @property
    def lines(self) -> list[str]:
        """The screen, line by line."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@asynccontextmanager
async def dashboard(
    world: World, cid: Cid | None = CID, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Dashboard]:
    """Run a dashboard on `world`; with a `cid`, inside that room."""
    app = DashboardApp(world, cid=cid)
    async with app.run_test(size=size) as pilot:
        shown = Dashboard(app, pilot)
        if cid is not None:
            await shown.until(lambda: isinstance(app.focused, Stage), "the room")
        await pilot.pause()
        yield shown
