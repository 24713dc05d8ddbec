"""Leaving well when the terminal is taken away: closed window, dropped connection.

The only place that touches private parts of Textual.
"""

from __future__ import annotations

from collections.abc import Callable
from io import TextIOWrapper
from typing import Any, TextIO, cast

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver


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
        if self._file is not None:
            self._file = cast(TextIOWrapper, _Tolerant(self._file))

    def run_input_thread(self) -> None:
        try:
            super().run_input_thread()
        except OSError:
            gone = getattr(self._app, "terminal_gone", None)
            if gone is not None:
                self._app.call_later(cast(Callable[[], None], gone))
