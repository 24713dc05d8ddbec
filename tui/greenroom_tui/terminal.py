"""Leaving well when the terminal is taken away: closed window, dropped connection; and calling attention through it.

The only place that touches private parts of Textual.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from typing import Any, TextIO, cast

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from greenroom.protocol.text import safe_text

# Those known to show a notification for it; others would beep at best, or print what they do not understand.
_OSC_777 = ("foot", "ghostty", "rxvt-unicode")
_OSC_9 = ("iterm.app", "wezterm")


def notification(words: str, environment: Mapping[str, str]) -> str:
    """Return what makes this terminal show `words` as a desktop notification; empty where it would not.

    `words` may come from anybody: nothing in them ends the sequence or begins another.
    """
    if environment.get("TMUX") or environment.get("STY") or environment.get("GREENROOM_NOTIFY") == "0":
        return ""  # a multiplexer swallows it, or shows it as text
    plain = safe_text(words, 120).replace(";", ",")
    program = environment.get("TERM_PROGRAM", "").lower()
    term = environment.get("TERM", "").lower()
    if not plain:
        return ""
    if program in _OSC_777 or term.startswith(_OSC_777):
        return f"\x1b]777;notify;Greenroom;{plain}\x1b\\"
    if program in _OSC_9 or "kitty" in term:
        return f"\x1b]9;Greenroom: {plain}\x1b\\"
    return ""


def notify(app: App[Any], words: str) -> None:
    """Show `words` as a notification of the desktop, where the terminal can."""
    driver = app._driver
    sequence = notification(words, os.environ)
    if sequence and driver is not None and not app.is_headless:
        driver.write(sequence)


class _Tolerant:
    """A text stream that swallows writing to a terminal which no longer exists."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            pass


class TerminalDriver(LinuxDriver):
    """Textual's driver, which would hang or die noisily when its terminal is gone; this one ends the dashboard."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        # Textual draws on standard error; who sends that to a file still wants to see the dashboard.
        if sys.__stdout__ is not None and not self._file_is_terminal() and sys.__stdout__.isatty():
            self._file = sys.__stdout__
        if self._file is not None:
            self._file = cast(TextIOWrapper, _Tolerant(self._file))

    def _file_is_terminal(self) -> bool:
        return self._file is not None and self._file.isatty()

    def _get_terminal_size(self) -> tuple[int, int]:
        # Textual believes COLUMNS and LINES first, which stay as they were when the window does not.
        for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
            try:
                if stream is not None and all(size := os.get_terminal_size(stream.fileno())):
                    return size.columns, size.lines
            except (OSError, ValueError):
                continue
        return super()._get_terminal_size()

    def run_input_thread(self) -> None:
        try:
            super().run_input_thread()
        except OSError:
            gone = getattr(self._app, "terminal_gone", None)
            if gone is not None:
                self._app.call_later(cast(Callable[[], None], gone))
