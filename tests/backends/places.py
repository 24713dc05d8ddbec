"""Where a suite runs: rooms in memory, or a real server. Both give clients for people by name."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from greenroom.backends.base import Backend
from greenroom.backends.loopback import LoopbackWorld
from greenroom.backends.sfu import SfuBackend
from greenroom.engine.client import Client
from greenroom.hosting import ServerProcess, start_server_async
from greenroom.protocol.ids import USER, Role, UserId


class Place:
    """Somewhere with rooms, and people of its own: a server lets nobody come and go too fast."""

    def __init__(self) -> None:
        self._suffix = secrets.token_hex(3)
        self.ann, self.ben, self.cal = (self.user(name) for name in ("ann", "ben", "cal"))

    def user(self, name: str) -> UserId:
        """Return the id of the person called `name` here."""
        return UserId(f"{name}-{self._suffix}")

    def backend(self, name: str, role: Role = USER) -> Backend:
        """Return the way in for the person called `name`."""
        raise NotImplementedError


class Memory(Place):
    """Rooms in memory, with sound by the clock."""

    def __init__(self, *, paced: bool = True) -> None:
        super().__init__()
        self.world = LoopbackWorld(paced=paced)

    def backend(self, name: str, role: Role = USER) -> Backend:
        return self.world.backend(self.user(name), name.title(), role)


class Server(Place):
    """A real server in a process of its own."""

    def __init__(self, process: ServerProcess) -> None:
        super().__init__()
        self.process = process

    def backend(self, name: str, role: Role = USER) -> Backend:
        return SfuBackend(self.process.url, token=self.process.mint(self.user(name), name.title(), role))


@asynccontextmanager
async def real_server(folder: Path, **options: Any) -> AsyncIterator[Server]:
    """A server whose data is in `folder`; it ends with the block."""
    process = await start_server_async(data_dir=str(folder), **options)
    try:
        yield Server(process)
    finally:
        process.close()


def client(place: Place, name: str, role: Role = USER, **options: Any) -> Client:
    """Return a client for the person called `name`, to be entered."""
    return Client(backend=place.backend(name, role), **options)
