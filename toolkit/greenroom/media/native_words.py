"""What ALSA and PortAudio print on descriptor 2 whenever a device fails, which nobody at a terminal can use."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


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
