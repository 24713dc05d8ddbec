"""Which way the sound of a call goes, and why."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Way(StrEnum):
    """`direct`: from one person to the other; `relayed`: through a TURN relay; `forwarded`: through the server."""

    NONE = "none"
    DIRECT = "direct"
    RELAYED = "relayed"
    FORWARDED = "forwarded"


STRAIGHT = frozenset({Way.DIRECT, Way.RELAYED})
"""Ways past the server."""


class MediaPath(msgspec.Struct, frozen=True):
    """`reason` says in words why it is this way and no better one; empty where there is nothing to explain."""

    way: Way = Way.NONE
    reason: str = ""
