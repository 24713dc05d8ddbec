"""Background services as values: what runs for a call while nobody looks at it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from greenroom.protocol.ids import Cid


class ServiceKind(StrEnum):
    """Independent of each other."""

    CALL = "call"
    SCREEN_SHARE = "screen_share"


class Service(msgspec.Struct, frozen=True):
    """One service of one call. `started_at`: wall-clock seconds."""

    kind: ServiceKind
    cid: Cid
    started_at: float
