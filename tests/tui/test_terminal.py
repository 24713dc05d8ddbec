"""The dashboard in a real terminal: what reaches it, and how it is left."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.hostile import FORBIDDEN
from tests.tui.pseudo import Terminal
from tests.tui.world import CID

pytestmark = pytest.mark.terminal
POINTER = re.compile(r"\x1b\]22;[a-z-]*\x07")  # Textual says which pointer the mouse should have
NOTIFICATION = re.compile(r"\x1b\]9;Greenroom: [^\x00-\x1f\x7f-\x9f]+\x1b\\")
ALTERNATE_OFF, CURSOR_ON = b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.json"


@pytest.fixture
def terminal(report: Path) -> Iterator[Terminal]:
    with Terminal([sys.executable, "-m", "tests.tui.program", str(report)]) as running:
        running.sees("Hands", "Audience", "Quit")
        yield running


def assert_left(report: Path) -> None:
    assert json.loads(report.read_text()) == {"left": [CID], "code": 0}


def test_nothing_that_people_typed_acts_on_the_terminal(terminal: Terminal) -> None:
    terminal.sees("[@click", "[/oops]")
    terminal.press("?")
    terminal.sees("Esc closes")
    terminal.press("q")
    terminal.until(lambda: "Esc closes" not in terminal.text)
    terminal.press("h")
    terminal.sees("1 room ")
    written = POINTER.sub("", terminal.written.decode())
    assert not set(written) & set(FORBIDDEN)
    assert "\x1b[31mred" not in written
    assert "\x1b]0;" not in written
    terminal.press("q")
    assert terminal.ends() == 0


def test_a_call_rings_in_the_terminal_and_on_the_desktop_and_its_name_does_nothing(report: Path) -> None:
    command = [sys.executable, "-m", "tests.tui.program", str(report), "--ringing"]
    with Terminal(command) as terminal:
        terminal.sees("calls you", "F2 Accept", "F3 Reject", "1 missed call")
        terminal.press("0")
        terminal.sees("still rings")
        terminal.press("/")
        terminal.sees("Why?")
        written = POINTER.sub("", terminal.written.decode())
        assert len(NOTIFICATION.findall(written)) == 1
        written, bells = NOTIFICATION.sub("", written), written.count("\x07")
        assert bells == 1
        assert not set(written.replace("\x07", "")) & set(FORBIDDEN)
        assert "\x1b[31mred" not in written
        assert "\x1b]" not in written
        terminal.press("\x1b")
        terminal.press("\x11")
        assert terminal.ends() == 0


def test_the_dashboard_fills_the_terminal_whatever_the_environment_says(terminal: Terminal) -> None:
    terminal.sees("q Quit")
    terminal.resize(100, 30)
    terminal.until(lambda: "q Quit" in terminal.text.splitlines()[29])
    terminal.press("q")
    assert terminal.ends() == 0


def test_what_is_typed_in_one_go_after_the_key_for_writing_is_text(terminal: Terminal) -> None:
    text = "quite_a_question,ql"
    terminal.press(f"c{text}")
    # Letters that arrive in the same instant may overtake each other; none may be lost or do something.
    terminal.until(
        lambda: any(sorted(line[:46].strip()) == sorted(text) for line in terminal.text.splitlines())
    )
    terminal.press("\x1b")
    terminal.sees("q Quit")
    assert terminal.process.poll() is None


def test_quitting_restores_the_terminal_and_leaves_the_call(terminal: Terminal, report: Path) -> None:
    terminal.press("q")
    assert terminal.ends() == 0
    assert_left(report)
    assert ALTERNATE_OFF in terminal.written
    assert terminal.written.rindex(CURSOR_ON) > terminal.written.index(b"\x1b[?25l")
    assert terminal.attributes_now() == terminal.attributes


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_being_asked_to_end_is_like_quitting(
    terminal: Terminal, report: Path, number: signal.Signals
) -> None:
    terminal.signal(number)
    assert terminal.ends() == 0
    assert_left(report)
    assert ALTERNATE_OFF in terminal.written


def test_a_terminal_that_is_taken_away_ends_the_dashboard_cleanly(terminal: Terminal, report: Path) -> None:
    terminal.hang_up()
    assert terminal.ends() == 0
    assert_left(report)


@pytest.mark.quiet
def test_a_thousand_people_and_eight_moving_meters_cost_little(report: Path) -> None:
    with Terminal([sys.executable, "-m", "tests.tui.crowd", "4", str(report)], 120, 40) as running:
        assert running.ends(40.0) == 0
    assert json.loads(report.read_text())["core"] < 0.15
