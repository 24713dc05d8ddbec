"""The commands that open the dashboard, and what `greenroom` alone does."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from greenroom.cli import access
from greenroom.cli.config import Origin, Resolved, resolve
from greenroom.cli.output import say
from greenroom.cli.people import NameOption, ServerOption
from greenroom.cli.sound import InputOption, OutputOption, expect_devices, open_session, volumes_file
from greenroom.errors import GreenroomError, Malformed, Refused, Unreachable
from greenroom.protocol.ids import Cid, parse_cid

if TYPE_CHECKING:
    from greenroom.engine.client import Client


def dash(
    room: Annotated[str | None, typer.Argument(metavar="[ROOM]", help="A room to enter at once.")] = None,
    server: ServerOption = None,
    name: NameOption = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the room unless it is there; you host it.")
    ] = False,
    input: InputOption = None,
    output: OutputOption = None,
    screenshot: Annotated[
        Path | None, typer.Option(help="Save a picture of the dashboard (SVG) and go.", dir_okay=False)
    ] = None,
) -> None:
    """Open the dashboard on a server that runs."""
    resolved = resolve({"server": server, "name": name, "input": input, "output": output})
    cid = None if room is None else parse_cid(room)
    if create and cid is None:
        raise Malformed("--create needs the room to make: greenroom dash ROOM --create")
    access.require_server(resolved.config)
    open_dashboard(resolved, cid, screenshot, create)


def start() -> None:
    """What `greenroom` alone does: the dashboard on the configured server, or an offer to start one."""
    resolved = resolve()
    config = resolved.config
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        say("greenroom needs a terminal for its dashboard; greenroom --help lists every command")
        return
    try:
        access.require_server(config)
    except Unreachable:
        say(f"No server answers at {config.server}.")
        if typer.confirm("Start one here, for as long as the dashboard is open?", default=True):
            _serve_and_dash(resolved)
        return
    open_dashboard(resolved, None, None)


def open_dashboard(
    resolved: Resolved,
    cid: Cid | None,
    screenshot: Path | None,
    create: bool = False,
    beside: Callable[[Client], AbstractContextManager[object]] | None = None,
    follow_focus: bool = False,
) -> None:
    """Show the dashboard until the person quits; what `beside` returns is entered for as long.

    With `follow_focus` it shows the room of whichever call gets the microphone.
    """
    from greenroom_tui.run import run_dashboard, screenshot_svg

    config = resolved.config
    with contextlib.ExitStack() as stack:
        session = None if screenshot is not None else stack.enter_context(open_session(resolved))
        if session is not None and Origin.OPTION in (resolved.origins["input"], resolved.origins["output"]):
            expect_devices(session, resolved)
        client = access.client(config, devices=session, several=True, volumes=volumes_file(resolved))
        stack.callback(client.blocking.close)
        try:
            client.blocking.connect()
            if create and cid is not None:
                client.blocking.create(cid)
            if beside is not None:
                stack.enter_context(beside(client))
            if screenshot is not None:
                picture = screenshot_svg(client, cid, client.link, theme=config.theme)
                screenshot.write_text(picture, encoding="utf-8")
                say(f"saved {screenshot}")
                return
            if not sys.stdout.isatty():
                raise Refused("the dashboard needs a terminal; use greenroom rooms, join or hands in a pipe")
            code = run_dashboard(client, cid, client.link, follow_focus=follow_focus, theme=config.theme)
        except GreenroomError as error:
            raise access.with_advice(error, config) from error
        except OSError as error:
            raise GreenroomError(f"cannot write {screenshot}: {error.strerror}") from None
    if code:
        raise typer.Exit(code)


def _serve_and_dash(resolved: Resolved) -> None:
    from greenroom.hosting import start_server

    config = resolved.config
    with start_server(
        host=config.host,
        port=config.port,
        data_dir=config.data,
        database=config.database,
        media_workers=config.media_workers,
    ) as server:
        open_dashboard(replace(resolved, config=replace(config, server=server.url)), None, None)
