"""A real server in a process of its own, for browsers to visit."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

import aiohttp

START_SECONDS = 20.0
END_SECONDS = 12.0


class LiveServer:
    """Where the server is, and who may come in."""

    def __init__(self, url: str, admin_token: str, process: int) -> None:
        self.url = url
        self.process = process
        self._admin_token = admin_token

    async def host(self, name: str = "Ann") -> str:
        """Return a token for somebody new: who joins room after room within seconds is asked to slow down."""
        return await self.token(f"host-{token_hex(4)}", name)

    async def token(self, user: str, name: str) -> str:
        """Return a token for `user`, as an operator would make one."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._admin_token}"}) as http,
            http.post(f"{self.url}/api/tokens", json={"user": user, "name": name}) as answer,
        ):
            body = await answer.json()
            assert answer.status == 201, body
            return str(body["token"])


@asynccontextmanager
async def serving(data: Path, options: Sequence[str] = (), port: int = 0) -> AsyncIterator[LiveServer]:
    """Yield a server that keeps what it knows in `data` and ends with us."""
    reading, writing = os.pipe()
    held, alive = os.pipe()  # the child ends when nobody holds `alive` any more
    arguments = [
        "--port",
        str(port),
        "--data",
        str(data),
        "--ready-fd",
        str(writing),
        "--parent-fd",
        str(held),
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "greenroom.server", *arguments, *options, pass_fds=(writing, held)
    )
    os.close(writing)
    os.close(held)
    try:
        async with asyncio.timeout(START_SECONDS):
            with os.fdopen(reading) as pipe:
                line = await asyncio.to_thread(pipe.readline)
        assert line, "the server ended before it was ready"
        ready = json.loads(line)
        yield LiveServer(ready["url"], ready["admin_token"], process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
        os.close(alive)
