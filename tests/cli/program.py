"""The real command in a real process, with a data folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

COMMAND = (sys.executable, "-m", "greenroom")


class Ran(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Place:
    """A machine's worth of settings: where data lives, which server, whose name."""

    def __init__(self, folder: Path, server: str = "http://127.0.0.1:9") -> None:
        self.folder = folder
        self.server = server

    def environment(self, name: str = "Ada") -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GREENROOM_")}
        return {
            **kept,
            "GREENROOM_CONFIG": str(self.folder / "config.toml"),
            "GREENROOM_DATA": str(self.folder / "data"),
            "GREENROOM_SERVER": self.server,
            "GREENROOM_NAME": name,
        }

    def run(self, *arguments: str, name: str = "Ada", typed: str = "", timeout_seconds: float = 40.0) -> Ran:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment(name),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            input=typed,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def running(self, *arguments: str, name: str = "Ada") -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment(name),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Place]:
    """Yield a place with `greenroom serve` running on a free port."""
    place = Place(folder)
    with place.running("serve", "--port", "0") as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        place.server = line.rsplit(" ", 1)[-1].strip()
        assert place.server.startswith("http://127.0.0.1:"), line
        yield place
