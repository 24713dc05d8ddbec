"""Debian's coturn on loopback, as a relay for tests."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aioice import stun

START_SECONDS = 10.0
# Only here: people who test sit on this machine. `greenroom config coturn` denies such peers.
FOR_TESTS = """\
listening-ip=127.0.0.1
relay-ip=127.0.0.1
realm=greenroom.test
use-auth-secret
static-auth-secret={secret}
fingerprint
allow-loopback-peers
no-cli
"""
QUIET = """\
listening-port={port}
no-tls
no-dtls
no-software-attribute
relay-threads=1
log-file=stdout
simple-log
pidfile={folder}/turnserver.pid
userdb={folder}/turndb
"""


@dataclass(frozen=True)
class Turn:
    """A relay that runs: where it listens, the secret it shares, the file that holds it, and its process id."""

    host: str
    port: int
    secret: str
    secret_file: Path
    pid: int

    @property
    def address(self) -> str:
        """What `serve --turn` takes."""
        return f"{self.host}:{self.port}"


def turnserver_path() -> str:
    """Return where coturn is. Without it the test is skipped, or fails where a relay is required."""
    found = shutil.which("turnserver")
    if found is not None:
        return found
    if os.environ.get("GREENROOM_REQUIRE_TURN") == "1":
        pytest.fail("coturn is required here and missing: apt-get install coturn")
    pytest.skip("coturn is missing")


@asynccontextmanager
async def relaying(folder: Path, config: str = "", secret: str = "") -> AsyncIterator[Turn]:
    """Yield a running coturn that keeps its files in `folder`.

    `config`: another configuration than the tests' own, which relays to loopback; it must hold `secret`.
    """
    path, port = turnserver_path(), _free_port()
    secret = secret or secrets.token_hex(32)
    file, secret_file = _write(folder, (config or FOR_TESTS).format(secret=secret), secret, port)
    with (folder / "turnserver.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            path, "-c", str(file), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        await _answers(port, process)
        yield Turn("127.0.0.1", port, secret, secret_file, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(5.0):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _write(folder: Path, config: str, secret: str, port: int) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "turnserver.conf", folder / "turn-secret"
    for file, text in zip(files, (config + QUIET.format(port=port, folder=folder), secret), strict=True):
        file.touch(mode=0o600)
        file.write_text(text)
    return files


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class _Waiting(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answered = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.answered.set()


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    """Return when the relay answers a STUN binding request (RFC 8489, section 6)."""
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(
        _Waiting, remote_addr=("127.0.0.1", port), family=socket.AF_INET
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not waiting.answered.is_set():
                assert process.returncode is None, "coturn ended before it was ready"
                request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
                transport.sendto(bytes(request))
                try:
                    async with asyncio.timeout(0.1):
                        await waiting.answered.wait()
                except TimeoutError:
                    pass
    finally:
        transport.close()
