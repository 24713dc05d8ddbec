"""Scenes as tests: pytest collects `*.scene.toml`, plays each in memory and fails with what was heard instead.

Installed with Greenroom; nothing of the engine is imported before a scene is run. `greenroom_scene` is a fixture for tests
that play a scene themselves:

    def test_evening(greenroom_scene):
        assert greenroom_scene("evening.scene.toml").holds
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from greenroom.lab.scene_play import SceneReport

SUFFIX = ".scene.toml"


class SceneFailed(Exception):
    """What was expected of a scene and did not hold."""


class SceneFile(pytest.File):
    """A file with one scene."""

    def collect(self) -> list[pytest.Item]:
        """Return the one test in it."""
        return [SceneItem.from_parent(self, name=self.path.name.removesuffix(SUFFIX))]


class SceneItem(pytest.Item):
    """A scene, to be played."""

    def runtest(self) -> None:
        """Play it. Raises `SceneFailed`, or `Malformed` for a file that is no scene."""
        report = play_file(self.path)
        if not report.holds:
            raise SceneFailed(failures(report))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: str | None = None) -> str:
        """Return what did not hold, without our own frames."""
        from greenroom.errors import GreenroomError

        if isinstance(excinfo.value, SceneFailed | GreenroomError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it is written."""
        return self.path, 0, f"scene: {self.name}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SceneFile | None:
    """Take files that end in `.scene.toml`."""
    return SceneFile.from_parent(parent, path=file_path) if file_path.name.endswith(SUFFIX) else None


@pytest.fixture
def greenroom_scene() -> Callable[[str | Path], SceneReport]:
    """Return what plays a scene file in memory, stepped, and returns its report."""
    return lambda path: play_file(Path(path))


def play_file(path: Path) -> SceneReport:
    """Play the scene in `path` in memory, stepped. Raises `Malformed`."""
    from greenroom.lab.scene import read_scene
    from greenroom.lab.scene_play import play_in_memory

    return play_in_memory(read_scene(path))


def failures(report: SceneReport) -> str:
    """Return a line for everything that did not hold, or was refused."""
    lines = [
        f'step {one.step} at {one.at:g} s: expected "{one.expected}", but {one.seen}' for one in report.failed
    ]
    return "\n".join([f"{report.title}:", *lines, *report.refused])
