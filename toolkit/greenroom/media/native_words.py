"""What ALSA and PortAudio print on standard error whenever a device fails, which nobody can use."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_users = 0
_theirs: int | None = None


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Send what libraries print with C's `stderr` nowhere; descriptor 2 and Python's standard error stay as they are.

    They print from threads of their own, at any time, so this is on while devices are in use. Where C's `stderr` is not
    to be found by that name (elsewhere than on Linux), nothing happens.
    """
    _use(1)
    try:
        yield
    finally:
        _use(-1)


@contextlib.contextmanager
def without_native_words() -> Iterator[None]:
    """Send what libraries print on a terminal's descriptor 2 nowhere; Python's own standard error goes on.

    For a whole program, not a library: the descriptor belongs to all threads. Where standard error is no terminal,
    everything stays as it is, for whoever reads that file.
    """
    if sys.stderr is not sys.__stderr__ or sys.stderr is None or not os.isatty(2):
        yield
        return
    before = sys.stderr
    before.flush()
    saved = os.dup(2)
    ours = open(saved, "w", encoding=before.encoding, errors=before.errors, buffering=1)  # noqa: SIM115  closed below
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = ours
    sys.__stderr__ = ours  # type: ignore[misc]  # what Textual draws on
    try:
        yield
    finally:
        ours.flush()
        os.dup2(saved, 2)
        sys.stderr = sys.__stderr__ = before  # type: ignore[misc]
        ours.close()


def _use(more: int) -> None:
    """Count who wants quiet; the first brings it, the last ends it."""
    global _users, _theirs
    with _lock:
        _users += more
        try:
            stderr = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
        except (AttributeError, OSError, TypeError, ValueError):
            return
        if _users > 0 and _theirs is None:
            nowhere = _nowhere()
            if nowhere is not None:
                _theirs, stderr.value = stderr.value, nowhere
        elif _users == 0 and _theirs is not None:
            stderr.value, _theirs = _theirs, None


_opened: int | None = None


def _nowhere() -> int | None:
    """Return C's stream to nowhere. There is one, never closed: a thread may be writing to it at any moment."""
    global _opened
    if _opened is None:
        fopen = ctypes.CDLL(None).fopen
        fopen.argtypes, fopen.restype = (ctypes.c_char_p, ctypes.c_char_p), ctypes.c_void_p
        _opened = fopen(os.devnull.encode(), b"we")
    return _opened
