"""Everything one client knows, as one immutable value that screens mirror."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.protocol.ids import USER, Cid, Role, UserId
from greenroom.protocol.wire import RoomPreview
from greenroom.state.call import CallState
from greenroom.state.devices import DevicesState
from greenroom.state.focus import Focus
from greenroom.state.rings import RingsState
from greenroom.state.services import Service

LOG_LINES = 500


class ConnectionPhase(StrEnum):
    """The connection to the server."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    ONLINE = "online"
    RECONNECTING = "reconnecting"


class LogLine(msgspec.Struct, frozen=True):
    """What happened, in words. `note`: somebody wrote it for the person to read, e.g. a scene that tells its story."""

    at: float
    text: str
    cid: Cid | None = None
    note: bool = False


class ClientState(msgspec.Struct, frozen=True):
    """`calls` is in order of joining. `rooms` is the lobby, newest known. `retry_at`: when the next attempt is made.
    `focus`: which of several calls has microphone and loudspeaker.

    `services` are what runs in the background for our calls, in order of starting.
    `rings`: who calls whom, as far as it concerns us. `devices` is None where the client was given its sound, or none.
    """

    user: UserId = UserId("")
    name: str = ""
    role: Role = USER
    server: str = ""
    connection: ConnectionPhase = ConnectionPhase.OFFLINE
    reconnect_attempt: int = 0
    retry_at: float | None = None
    calls: Mapping[Cid, CallState] = {}
    rooms: tuple[RoomPreview, ...] = ()
    log: tuple[LogLine, ...] = ()
    error: str | None = None
    devices: DevicesState | None = None
    services: tuple[Service, ...] = ()
    focus: Focus = Focus()
    rings: RingsState = RingsState()
