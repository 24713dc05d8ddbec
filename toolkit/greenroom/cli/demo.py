"""`greenroom demo`: a server, a room and people who talk; or a scene."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from greenroom.cli.config import resolve
from greenroom.cli.dashboard import open_dashboard
from greenroom.cli.output import say, say_error, say_json
from greenroom.cli.people import Json
from greenroom.cli.scenes import check_scene, scene_in_dashboard, tell_scene
from greenroom.cli.sound import InputOption, OutputOption
from greenroom.errors import Malformed


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="No dashboard; say who was heard.")] = False,
    seconds: Annotated[
        float, typer.Option(min=1.0, max=86400.0, help="How long a headless demo lasts.")
    ] = 30.0,
    people: Annotated[int, typer.Option(min=3, max=15, help="How many simulated people.")] = 8,
    seed: Annotated[int, typer.Option(help="Another seed, another evening.")] = 1,
    screenshot: Annotated[
        Path | None, typer.Option(help="Save a picture of the dashboard (SVG) and go.", dir_okay=False)
    ] = None,
    input: InputOption = None,
    output: OutputOption = None,
    scene: Annotated[
        str | None,
        typer.Option(help="Play a scene: one that comes with Greenroom, or a file.", metavar="NAME"),
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="With --scene: wait for Enter before each step.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="With --scene: play it in memory at once and say what holds.")
    ] = False,
    json: Json = False,
) -> None:
    """Start a server, a room and people who talk, and open the dashboard on it. Nothing is kept."""
    from greenroom.lab.demo import DEMO_CID, Demo

    resolved = resolve({"input": input, "output": output})
    config = resolved.config
    if scene is None and (step or check):
        raise Malformed("--step and --check are for a scene: greenroom demo --scene NAME")
    if scene is not None:
        if check:
            check_scene(scene, json)
        elif headless or json or step or not sys.stdout.isatty():
            with _ends_on_sigterm():
                tell_scene(scene, stepped=step, json=json)
        else:
            with _ends_on_sigterm():
                scene_in_dashboard(scene, resolved, screenshot, seed)
        return
    alone = headless or json or (screenshot is None and not sys.stdout.isatty())
    if not json:
        say_error(
            "starting a server, a room and people … (for this machine only; everything is gone afterwards)"
        )
    with (
        _ends_on_sigterm(),
        Demo(people=people, seed=seed, host=config.name or "You", host_grants=alone) as running,
    ):
        if alone:
            running.wait_ready()
            if not json:
                say(f"{DEMO_CID} is live with {running.people} people: {running.link}")
            time.sleep(seconds)
            report = running.finish()
            if json:
                say_json(report)
                return
            say(
                f"spoke: {', '.join(report.speakers)}; concealed {report.concealed_ratio:.1%} of what was played"
            )
            for who, heard in report.heard.items():
                say(f"{who} heard {', '.join(heard) or 'nobody'}")
            return
        config = replace(config, server=running.url, token=running.host_token)
        open_dashboard(replace(resolved, config=config), DEMO_CID, screenshot)


@contextlib.contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end a demo as Ctrl-C does, so that its children end in order."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
