"""A scene is played by real engines, and what it expects is measured on what comes out of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.engine.thread import EngineThread
from greenroom.lab.pytest_plugin import failures
from greenroom.lab.scene import Scene, parse_scene, scene_named, scene_names
from greenroom.lab.scene_demo import SceneDemo
from greenroom.lab.scene_play import Done, ScenePlayer, play_in_memory

ROOM = "audio_room:one"
TWO = f"""
[people]
ann = {{ in = "{ROOM}", speaks = true }}
ben = {{ in = "{ROOM}" }}
"""


def scene(steps: str, people: str = TWO) -> Scene:
    return parse_scene(f'title = "t"\nsteps = [\n{steps}\n]\n{people}')


@pytest.mark.parametrize("name", scene_names())
def test_a_scene_that_comes_with_greenroom_holds(name: str) -> None:
    report = play_in_memory(scene_named(name))
    assert report.holds, failures(report)


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ("ben does not hear ann", "ann is heard at -20 dBFS"),
        ("ann hears ben", "ben is heard at -96 dBFS"),
        ("ben hears ann 12 dB softer", "0 dB softer"),
        (f"ben speaks in {ROOM}", "switched off"),
        (f"ann does not speak in {ROOM}", "the microphone is open"),
        (f"ann is suspended in {ROOM}", "ann is not suspended"),
        (f"ann is not in {ROOM}", "ann is in"),
        (f"{ROOM} has hands ben", "the queue is empty"),
        (f"{ROOM} is not live", "is live"),
        ("ben is rung by ann", "ben is rung by nobody"),
    ],
)
def test_what_is_not_so_does_not_hold_and_says_what_there_is(expected: str, seen: str) -> None:
    report = play_in_memory(scene(f'{{ at = 0.5, expect = ["{expected}"], within = 0.2 }}'))
    assert not report.holds
    assert seen in report.failed[0].seen
    assert expected in failures(report)


def test_what_the_room_refuses_fails_the_scene() -> None:
    report = play_in_memory(scene(f'{{ at = 0.5, who = "ben", do = "end", room = "{ROOM}" }}'))
    assert not report.holds
    assert "step 1: ben could not end" in report.refused[0]


def test_the_same_scene_comes_out_the_same_every_time() -> None:
    told = scene('{ at = 1.0, expect = ["ben does not hear ann"], within = 0.3 }')
    assert play_in_memory(told) == play_in_memory(told)


def test_time_stands_still_between_steps_until_the_next_is_asked_for() -> None:
    engine = EngineThread("scene")
    engine.acquire()
    told = scene('{ at = 0.5, note = "one" },\n{ at = 9.0, expect = ["ben hears ann"] }')

    async def step() -> list[Done]:
        async with ScenePlayer.in_memory(told, engine) as player:
            return [one async for one in player.steps()]

    try:
        first, second = engine.wait(step())
    finally:
        engine.release()
    assert (first.number, first.step.note) == (1, "one")
    assert second.checked[0].holds


@pytest.mark.live
async def test_a_scene_plays_on_a_server_by_the_clock() -> None:
    told = scene(
        f"""{{ at = 1.0, expect = ["ben hears ann", "ann does not hear ben"], within = 3.0 }},
        {{ at = 1.1, who = "ann", do = "mute", room = "{ROOM}" }},
        {{ at = 1.2, expect = ["ben does not hear ann"], within = 3.0 }},"""
    )
    with SceneDemo(told) as demo:
        async with asyncio.timeout(20), demo.player() as player:
            report = await player.play()
    assert report.holds, failures(report)


def test_pytest_runs_scene_files(tmp_path: Path) -> None:
    good = f'title = "good"\nsteps = [{{ at = 0.5, expect = ["ben hears ann"] }}]\n{TWO}'
    bad = f'title = "bad"\nsteps = [{{ at = 0.5, expect = ["ann hears ben"], within = 0.1 }}]\n{TWO}'
    (tmp_path / "good.scene.toml").write_text(good)
    (tmp_path / "bad.scene.toml").write_text(bad)
    (tmp_path / "none.scene.toml").write_text("nothing")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert "2 failed, 1 passed" in run.stdout, run.stdout
    assert 'expected "ann hears ben", but ben is heard at -96 dBFS' in run.stdout
    assert "none.scene.toml is not a scene" in run.stdout
    assert "Traceback" not in run.stdout
