"""Tells when sound devices may have come or gone, without touching PortAudio."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

from greenroom.media.pulse import subscribe

POLL_SECONDS = 2.0
_CONNECTED_AFTER_SECONDS = 0.5
_TELLING = (
    (b"'new'", b"sink #"),
    (b"'new'", b"source #"),
    (b"'remove'", b"sink #"),
    (b"'remove'", b"source #"),
)


class DeviceWatch:
    """Calls `on_change`, on a thread of its own, until it is closed.

    `pactl subscribe` tells within 50 ms. Beside it, and where there is no sound server, what Linux shows of its cards
    and of the server's socket is compared every 2 s; elsewhere `on_change` is called every 5th time.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="device-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell nothing more; twice is quiet."""
        self._closed.set()
        with self._lock:
            if self._process is not None:
                self._process.terminate()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        known = visible()
        first = True
        again = False
        polls = 0
        while not self._closed.is_set():
            if self._listen(first):
                self._on_change()
            first = False
            polls += 1
            now = visible()
            if now != known or again or (now is None and polls % 5 == 0):
                again = now != known  # what just came may not be ready yet
                known = now
                self._on_change()
            self._closed.wait(POLL_SECONDS)

    def _listen(self, first: bool) -> bool:
        """Follow the sound server until it ends; return whether there was one."""
        with self._lock:
            if self._closed.is_set():
                return False
            process = self._process = subscribe()
        if process is None or process.stdout is None:
            return False
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CONNECTED_AFTER_SECONDS)
                return False
            if not first:
                self._on_change()
            for line in process.stdout:
                if matters(line):
                    self._on_change()
            return not self._closed.is_set()
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
            with self._lock:
                self._process = None


def matters(line: bytes) -> bool:
    """Whether a line of `pactl subscribe` tells of a device that came or went, or of another default."""
    if b"sink-input" in line or b"source-output" in line:
        return False
    return (b"'change'" in line and b"on server" in line) or any(
        what in line and where in line for what, where in _TELLING
    )


def visible(environment: Mapping[str, str] = os.environ) -> Hashable:
    """Return what Linux shows of cards and sound server for nothing: equal while nothing changed. None elsewhere."""
    cards = Path("/proc/asound/cards")
    if not Path("/proc").is_dir():
        return None
    server = environment.get("PULSE_SERVER", "").removeprefix("unix:")
    socket = (
        Path(server)
        if server.startswith("/")
        else Path(environment.get("XDG_RUNTIME_DIR", "/")) / "pulse/native"
    )
    try:
        listed = cards.read_text(encoding="utf-8", errors="replace")
        nodes = tuple(sorted(os.listdir("/dev/snd")))
    except OSError:
        listed, nodes = "", ()
    try:
        made = socket.stat()
        server_id = (made.st_ino, made.st_ctime_ns)
    except OSError:
        server_id = (0, 0)
    return listed, nodes, server_id
