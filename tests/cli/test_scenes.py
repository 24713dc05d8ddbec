"""Scenes from the command line: told, checked, stepped, refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.cli.output import Exit
from tests.cli.program import Place

ROOM = "audio_room:one"
SCENE = f"""
title = "Two people"
steps = [
  {{ at = 0.5, note = "Ann talks.", expect = ["ben hears ann"], within = 3.0 }},
  {{ at = 0.6, who = "ann", do = "mute", room = "{ROOM}" }},
  {{ at = 0.7, expect = ["ben does not hear ann"], within = 3.0 }},
]

[people]
ann = {{ in = "{ROOM}", speaks = true }}
ben = {{ in = "{ROOM}" }}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    file = tmp_path / "two.scene.toml"
    file.write_text(SCENE)
    return file


def test_a_scene_is_checked_in_memory_and_told(scene: Path, place: Place) -> None:
    run = place.run("demo", "--scene", str(scene), "--check")
    assert run.code == Exit.OK, run.err
    assert "Ann talks." in run.out
    assert "✓ ben hears ann" in run.out
    assert "2 of 2 expectations hold" in run.err


def test_a_scene_that_does_not_hold_fails_and_says_what_was_heard(scene: Path, place: Place) -> None:
    scene.write_text(SCENE.replace("ben does not hear ann", "ann hears ben").replace("3.0", "0.1"))
    run = place.run("demo", "--scene", str(scene), "--check", "--json")
    report = run.json
    assert run.code == Exit.FAILED
    assert report["holds"] is False
    assert report["failed"][0]["seen"] == "ben is heard at -96 dBFS"


def test_a_scene_there_is_not_is_refused_with_those_there_are(place: Place) -> None:
    run = place.run("demo", "--scene", "nothing", "--check")
    assert run.code == Exit.USAGE, run.err
    assert "foreground-background" in run.err
    assert "classroom" in run.err
    assert "Traceback" not in run.err


def test_steps_are_for_a_scene(place: Place) -> None:
    run = place.run("demo", "--step")
    assert run.code == Exit.USAGE
    assert "greenroom demo --scene NAME" in run.err


@pytest.mark.live
def test_a_scene_on_a_server_waits_for_enter_before_each_step(scene: Path, place: Place) -> None:
    run = place.run("demo", "--scene", str(scene), "--step", typed="\n\n")
    assert run.code == Exit.OK, run.out + run.err
    assert "✓ ben does not hear ann" in run.out
