"""Which microphone and loudspeaker a person chose last, in a small file of theirs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import msgspec


class Remembered(msgspec.Struct, frozen=True):
    """Names, or parts of names; empty is the system's default."""

    input: str = ""
    output: str = ""


def recall(path: Path) -> Remembered:
    """Return what `path` says; nothing remembered where it is missing or damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Remembered)
    except (OSError, msgspec.MsgspecError):
        return Remembered()


def remember(path: Path, chosen: Remembered) -> bool:
    """Write `chosen` to `path`, whole or not at all; return whether that was possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(chosen))
            Path(name).replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError:
        return False
    return True
