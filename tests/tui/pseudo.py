"""A program in a terminal of its own, and what it writes there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import pyte


class Terminal:
    """Runs `command` in a pseudo-terminal which is its controlling terminal; use as a context manager."""

    def __init__(self, command: Sequence[str], columns: int = 80, lines: int = 24) -> None:
        self._command = list(command)
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._size = struct.pack("HHHH", lines, columns, 0, 0)
        self.written = b""
        self.attributes: list[Any] = []

    def __enter__(self) -> Self:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, self._size)
        self.attributes = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            self._command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={
                **{name: value for name, value in os.environ.items() if name not in ("TMUX", "STY")},
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "COLUMNS": "33",
                "TERM_PROGRAM": "WezTerm",  # one that shows notifications
            },
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.hang_up()
        os.close(self._slave)

    @property
    def text(self) -> str:
        """What stands in the terminal, a line each. The second cell of a wide character is empty."""
        buffer = self._screen.buffer
        return "\n".join(
            "".join(buffer[y][x].data for x in range(self._screen.columns)) for y in range(self._screen.lines)
        )

    def attributes_now(self) -> list[Any]:
        """The terminal's line settings, as `stty` would tell them."""
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, true: Callable[[], bool], seconds: float = 20.0) -> None:
        """Read what is written until `true`."""
        latest = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < latest, f"it never came; the terminal:\n{self.text}"
            self._read(0.05)

    def sees(self, *words: str, seconds: float = 20.0) -> None:
        self.until(lambda: all(word in self.text for word in words), seconds)

    def ends(self, seconds: float = 20.0) -> int:
        """Wait for the program to end and return its exit code."""
        self.until(lambda: self.process.poll() is not None, seconds)
        self._read(0.05)
        return self.process.returncode

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def hang_up(self) -> None:
        """Take the terminal away, as closing its window does."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self, seconds: float) -> None:
        if self._master < 0:
            time.sleep(seconds)
            return
        while select.select([self._master], [], [], seconds)[0]:
            try:
                some = os.read(self._master, 65536)
            except OSError:
                return
            if not some:
                return
            self.written += some
            self._stream.feed(some)
            seconds = 0.0
