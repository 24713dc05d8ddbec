"""Running the dashboard in a terminal, or without one for a picture of it."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

from textual.pilot import Pilot

from greenroom.protocol.ids import Cid
from greenroom_tui.app import DashboardApp, LinkOf
from greenroom_tui.engine import Engine
from greenroom_tui.themes import THEMES

_OUTSIDE_FONTS = re.compile(r"@font-face\s*\{[^}]*\}\s*")  # a picture asks no other host for anything
_ASKED_TO_GO = (signal.SIGHUP, signal.SIGTERM)


def run_dashboard(
    engine: Engine,
    cid: Cid | None = None,
    link: LinkOf | None = None,
    *,
    follow_focus: bool = False,
    theme: str = THEMES[0].name,
) -> int:
    """Show the dashboard until the person quits; return an exit code.

    `cid` is entered at the start. Calls are left on the way out, also when the terminal is closed or the process is
    asked to end. The engine stays open: whoever opened it closes it. With `follow_focus` the room of whichever call
    gets the microphone is opened. Raises `Malformed` for a `theme` there is not.
    """
    return asyncio.run(show_dashboard(engine, cid, link, follow_focus=follow_focus, theme=theme))


async def show_dashboard(
    engine: Engine,
    cid: Cid | None = None,
    link: LinkOf | None = None,
    *,
    follow_focus: bool = False,
    theme: str = THEMES[0].name,
) -> int:
    """Do what `run_dashboard` does, on a loop that is already running in the main thread."""
    app = DashboardApp(engine, cid=cid, link=link, follow_focus=follow_focus, theme=theme)
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _ASKED_TO_GO}
    for number in _ASKED_TO_GO:
        loop.add_signal_handler(number, app.action_leave_and_quit)
    try:
        await app.run_async()
    finally:
        for number in _ASKED_TO_GO:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
    return app.return_code or 0


def screenshot_svg(
    engine: Engine,
    cid: Cid | None = None,
    link: LinkOf | None = None,
    *,
    size: tuple[int, int] = (120, 40),
    wait_seconds: float = 8.0,
    theme: str = THEMES[0].name,
) -> str:
    """Return a picture of the dashboard as SVG, taken once somebody is heard or `wait_seconds` are over."""
    pictures: list[str] = []
    app = DashboardApp(engine, cid=cid, link=link, theme=theme)
    picture = _photographer(app, cid, wait_seconds, pictures)
    asyncio.run(app.run_async(headless=True, size=size, auto_pilot=picture))
    return pictures[0]


def _photographer(
    app: DashboardApp, cid: Cid | None, wait_seconds: float, pictures: list[str]
) -> Callable[[Pilot[object]], Coroutine[Any, Any, None]]:
    def ready() -> bool:
        state = app.engine_state
        if cid is None:
            return bool(state.rooms)
        call = state.calls.get(cid)
        return call is not None and bool(call.speaking) and call.statistics is not None

    async def take(pilot: Pilot[object]) -> None:
        latest = time.monotonic() + wait_seconds
        while not ready() and time.monotonic() < latest:
            await pilot.pause(0.1)
        app.follow()
        await pilot.pause(0.2)
        pictures.append(_OUTSIDE_FONTS.sub("", app.export_screenshot(title="Greenroom")))
        app.action_leave_and_quit()

    return take
