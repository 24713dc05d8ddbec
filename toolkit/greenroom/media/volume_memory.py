"""How loud a person wants others to be, in a small file of theirs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec

from greenroom.media.small_files import write_whole
from greenroom.protocol.ids import UserId
from greenroom.state.volumes import LOUDEST, Volume

MOST = 500
"""People beyond these many are forgotten, those changed longest ago first."""
_LARGEST_BYTES = 1 << 20


class Known(msgspec.Struct, frozen=True):
    """The same name is somebody else on another `server`."""

    server: str
    user: UserId
    gain: float = 1.0
    muted: bool = False

    @property
    def volume(self) -> Volume:
        """What it says."""
        return Volume(self.gain, self.muted)


class _File(msgspec.Struct, frozen=True):
    people: tuple[Known, ...] = ()


def recall(path: Path) -> tuple[tuple[Known, ...], str]:
    """Return what `path` says, changed longest ago first, and why not more, in words; empty where nothing is wrong."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return (), f"{path.name} is damaged: it is too large"
        people = msgspec.json.decode(path.read_bytes(), type=_File).people
    except FileNotFoundError:
        return (), ""
    except OSError as error:
        return (), f"{path.name} cannot be read: {(error.strerror or 'unknown').lower()}"
    except msgspec.MsgspecError:
        return (), f"{path.name} is damaged"
    sound = tuple(one for one in people if math.isfinite(one.gain) and 0.0 <= one.gain <= LOUDEST)
    return sound[-MOST:], ""


def remember(path: Path, changed: Iterable[Known]) -> str:
    """Keep `changed` in `path` besides what others wrote there; return why that is not possible, or ""."""
    changed = tuple(changed)
    names = {(one.server, one.user) for one in changed}
    before, _ = recall(path)
    kept = [one for one in before if (one.server, one.user) not in names]
    new = [one for one in changed if one.volume != Volume()]
    try:
        write_whole(path, msgspec.json.encode(_File((*kept, *new)[-MOST:])))
    except OSError as error:
        return f"{path.name} cannot be written: {(error.strerror or 'unknown').lower()}"
    return ""
