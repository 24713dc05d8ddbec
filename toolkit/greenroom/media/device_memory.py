"""Which microphone and loudspeaker a person chose last, in a small file of theirs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from greenroom.media.small_files import write_whole


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
        write_whole(path, msgspec.json.encode(chosen))
    except OSError:
        return False
    return True
