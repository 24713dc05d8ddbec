"""What a person asks of their own engine: it concerns no other person and no server is asked."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.state.layout import Layout


class SetLayout(msgspec.Struct, frozen=True):
    """Arrange the people of a call in another way, for me alone."""

    layout: Layout


class Pin(msgspec.Struct, frozen=True):
    """Keep somebody first, for me alone."""

    user: UserId


class Unpin(msgspec.Struct, frozen=True):
    """Keep somebody first no longer; None: nobody."""

    user: UserId | None = None


class SetPictureInPicture(msgspec.Struct, frozen=True):
    """Show the call small, beside something else."""

    on: bool


class Stay(msgspec.Struct, frozen=True):
    """I am still here: the idle timeout begins anew."""


class SetVolume(msgspec.Struct, frozen=True):
    """Make somebody louder or softer for me alone; `gain` as in `Volume`."""

    user: UserId
    gain: float


class SetPersonMuted(msgspec.Struct, frozen=True):
    """Hear somebody no more, or again, for me alone."""

    user: UserId
    muted: bool


class ConfigureAudio(msgspec.Struct, frozen=True):
    """Change values of `AudioConfiguration` for a call, by name."""

    changes: Mapping[str, str | int | bool]


OwnRequest = (
    SetLayout | Pin | Unpin | SetPictureInPicture | Stay | SetVolume | SetPersonMuted | ConfigureAudio
)
