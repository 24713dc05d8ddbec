"""Scenes from the command line: checked in memory, told step by step in a plain terminal, or played in the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from msgspec.structs import replace

from greenroom.cli.config import Resolved
from greenroom.cli.dashboard import open_dashboard
from greenroom.cli.output import Exit, say, say_error, say_json
from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from greenroom.engine.client import Client
    from greenroom.lab.scene import Scene
    from greenroom.lab.scene_demo import SceneDemo
    from greenroom.lab.scene_play import Done, SceneReport


def check_scene(name: str, json: bool) -> None:
    """Play a scene in memory, as fast as the machine can, and say what held. The command fails where something did not."""
    from greenroom.lab.scene import scene_named
    from greenroom.lab.scene_play import play_in_memory

    scene = scene_named(name)
    lines: list[str] = []
    report = play_in_memory(scene, lambda done: lines.extend(_words(done)))
    _finish(scene, report, lines, json)


def tell_scene(name: str, *, stepped: bool, json: bool) -> None:
    """Play a scene on a server by the clock and tell each step; `stepped` waits for Enter before each."""
    from greenroom.lab.scene import scene_named
    from greenroom.lab.scene_demo import SceneDemo

    scene = scene_named(name)

    def tell(done: Done) -> None:
        if not json:
            for line in _words(done):
                say(line)

    async def play(demo: SceneDemo) -> SceneReport:
        async with demo.player() as player:
            if not json:
                say(f"{scene.title}: {demo.server.url}")
            return await player.play(tell, before=_enter if stepped else None)

    with SceneDemo(scene) as demo:
        report = asyncio.run(play(demo))
    _finish(scene, report, [], json)


def scene_in_dashboard(name: str, resolved: Resolved, screenshot: Path | None, seed: int) -> None:
    """Open the dashboard as the scene's first person, and let the scene play in it."""
    from greenroom.lab.scene import scene_named
    from greenroom.lab.scene_demo import SceneDemo

    scene = scene_named(name)
    with SceneDemo(scene, seed=seed) as demo:
        config = replace(resolved.config, server=demo.server.url, token=demo.token(scene.lead))
        open_dashboard(
            replace(resolved, config=config),
            None,
            screenshot,
            beside=lambda client: _beside(client, demo),
            follow_focus=True,
        )


@contextlib.contextmanager
def _beside(client: Client, demo: SceneDemo) -> Iterator[None]:
    """Play the scene with `client` as its first person, on the client's engine, until it is over or we leave."""
    scene = demo.scene
    playing: list[asyncio.Task[None]] = []

    def tell(done: Done) -> None:
        for line in (done.step.note, done.refused):
            if line:
                client.note(line)

    async def play() -> None:
        try:
            async with demo.player(talking=True, clients={scene.lead: client}) as player:
                client.note(f"{scene.title}. {' '.join(scene.about.split())}")
                await player.play(tell)
                client.note("that was the scene; everybody stays until you leave")
                await asyncio.Event().wait()
        except GreenroomError as error:
            client.note(f"the scene stopped: {error}")

    async def stop() -> None:
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)

    client.engine.call_soon(lambda: playing.append(asyncio.get_running_loop().create_task(play())))
    try:
        yield
    finally:
        client.engine.wait(stop())


async def _enter(number: int) -> None:
    with contextlib.suppress(EOFError):  # nobody there to press it
        await asyncio.to_thread(input, f"[Enter: step {number}] " if sys.stdin.isatty() else "")


def _words(done: Done) -> list[str]:
    step = done.step
    told = [step.note] if step.note else []
    if step.do is not None:
        about = " ".join(part for part in (step.who, str(step.do), step.to, step.room, step.words) if part)
        told.append(done.refused or about)
    marks = [
        f"  ✓ {one.expected}" if one.holds else f"  ✗ {one.expected}: {one.seen}" for one in done.checked
    ]
    return [f"{step.at:6.1f} s  {line}" for line in told] + [f"        {mark}" for mark in marks]


def _finish(scene: Scene, report: SceneReport, lines: list[str], json: bool) -> None:
    if json:
        say_json(report)
    else:
        for line in lines:
            say(line)
        expected = sum(len(step.expect) for step in scene.steps)
        failed = len(report.failed) + len(report.refused)
        say_error(f"{scene.title}: {expected - len(report.failed)} of {expected} expectations hold")
        if failed and not report.failed:
            say_error(f"{failed} requests were refused")
    if not report.holds:
        raise typer.Exit(Exit.FAILED)
