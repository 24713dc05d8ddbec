"""`greenroom demo` in a terminal multiplexer, driven by keys as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.skipif(
        shutil.which("tmux") is None and os.environ.get("GREENROOM_REQUIRE_TMUX") != "1",
        reason="tmux is not installed; GREENROOM_REQUIRE_TMUX=1 makes this a failure",
    ),
]
# In this evening three hands are up within the first three seconds.
SEED = "32"


class Tmux:
    """One program in a terminal of 100×30 in a tmux server of its own."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        self._status = folder / "status"
        line = f"{subprocess.list2cmdline(command)}; echo $? > {self._status}; cat"
        self._run("new-session", "-d", "-x", "100", "-y", "30", line)

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def write(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    @property
    def text(self) -> str:
        return self._run("capture-pane", "-p")

    @property
    def shell(self) -> int:
        return int(self._run("list-panes", "-F", "#{pane_pid}"))

    def until(self, true: Callable[[str], bool], seconds: float = 30.0) -> str:
        latest = time.monotonic() + seconds
        while not true(text := self.text):
            assert time.monotonic() < latest, f"it never came; the terminal:\n{text}"
            time.sleep(0.1)
        return text

    def sees(self, *words: str) -> str:
        return self.until(lambda text: all(word in text for word in words))

    def status(self) -> int:
        self.until(lambda _text: self._status.exists() and self._status.read_text().endswith("\n"))
        return int(self._status.read_text())

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], check=True, capture_output=True, text=True, timeout=10)
        return done.stdout


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Tmux]:
    command = [sys.executable, "-m", "greenroom", "demo", "--seed", SEED]
    running = Tmux(tmp_path, ["env", f"XDG_CONFIG_HOME={tmp_path}", *command])
    try:
        yield running
    finally:
        running.close()


SCENE = """
title = "An evening with two calls"
steps = [
  { at = 0.0, who = "you", do = "join", room = "audio_room:lecture", note = "A lecture." },
  { at = 1.0, who = "cleo", do = "ring", to = "you" },
  { at = 60.0, note = "over" },
]
[people]
you = {}
ann = { in = "audio_room:lecture", speaks = true }
cleo = {}
[rooms."audio_room:lecture"]
title = "The lecture"
roles = { you = "speaker" }
"""


@pytest.fixture
def two_calls(tmp_path: Path) -> Iterator[Tmux]:
    (tmp_path / "evening.toml").write_text(SCENE)
    command = [sys.executable, "-m", "greenroom", "demo", "--scene", str(tmp_path / "evening.toml")]
    running = Tmux(tmp_path, ["env", f"XDG_CONFIG_HOME={tmp_path}", *command])
    try:
        yield running
    finally:
        running.close()


def row_of(text: str, words: str) -> str:
    return next((line for line in text.splitlines() if words in line), "")


def test_a_person_hosts_the_demo_with_the_keys_alone(demo: Tmux) -> None:
    demo.sees("The green room", "Ann", "Ben", "Cal", "? Help")
    demo.until(lambda text: "speaking" in text and "━" in text)
    children = psutil.Process(demo.shell).children(recursive=True)
    assert children

    demo.press("m")
    demo.sees("m Close microphone")
    demo.press("m")
    demo.sees("m Open microphone", "microphone closed")

    demo.until(lambda text: "Hands · no hands" not in text and "g Grant hand" in text)
    demo.press("n")
    demo.sees("was given the stage")
    demo.sees("Stage · 5 people")

    demo.press("Home")
    stage = [row[:58] for row in demo.text.splitlines()[3:8]]
    place = next(place for place, row in enumerate(stage) if "Ann " in row)
    if place:
        demo.press(*["Down"] * place)
    demo.sees("▸ Ann", "u Mute")
    demo.press("u")
    demo.until(lambda text: "muted" in row_of(text, "Ann   "))

    demo.press("c")
    demo.write("Welcome q everybody")
    demo.press("Enter", "Escape")
    demo.sees("me  Welcome q everybody", "c to write")

    demo.press("Q")
    demo.sees("/r/audio_room:demo", "▀")
    demo.press("Escape")
    demo.until(lambda text: "Join The" not in text)

    demo.press("q")
    assert demo.status() == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert [process for process in alive if process.pid != os.getpid()] == []


def test_a_second_call_rings_is_accepted_takes_the_focus_and_gives_it_back(two_calls: Tmux) -> None:
    two_calls.sees("The lecture", "Ann", "❯ A lecture.", "Cleo calls you", "F2 Accept")
    two_calls.press("c", "F2")  # also while writing
    two_calls.sees("call with Cleo", "1 ‖ The lecture", "suspended: call with Cleo took over")
    two_calls.press("1")
    two_calls.sees("1 ▶ The lecture", "2 ‖ call with Cleo", "suspended: The lecture took over")
    two_calls.press("2")
    two_calls.until(lambda text: "call with Cleo" in text.splitlines()[0] and "1 ‖ The lecture" in text)
    two_calls.press("l")
    two_calls.until(lambda text: "The lecture" in text.splitlines()[0])
    two_calls.until(lambda text: "you left call with Cleo" in text or "the call ended" in text)
    two_calls.press("q")
    assert two_calls.status() == 0
