"""Start a server as a child process: for a demo, a notebook or a test. It ends with its parent."""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from greenroom.errors import Refused, SetUpIncomplete, Unreachable

START_SECONDS = 15.0
STOP_SECONDS = 10.0


class ServerProcess:
    """A server that runs as our child. `close` ends it and nothing else; it also ends by itself when we are gone.

    `admin_token` lives in memory only and is good for a day.
    """

    def __init__(self, process: subprocess.Popen[bytes], lifeline: int, url: str, admin_token: str) -> None:
        self.url = url
        self.admin_token = admin_token
        self._process = process
        self._lifeline: int | None = lifeline

    def __repr__(self) -> str:
        return f"ServerProcess(url={self.url!r}, pid={self.pid}, admin_token=…)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def mint(
        self, user: str, name: str = "", role: str = "user", seconds: float = 3600.0, cid: str | None = None
    ) -> str:
        """Return a token for `user`. Raises `Unreachable` when the server is gone, `Refused` when it says no."""
        wanted = {"user": user, "name": name, "role": role, "seconds": seconds, "cid": cid}
        request = Request(
            f"{self.url}/api/tokens",
            json.dumps(wanted).encode(),
            {"Authorization": f"Bearer {self.admin_token}", "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=5.0) as response:
                token: str = json.load(response)["token"]
        except HTTPError as error:
            with error:
                refusal = json.loads(error.read() or b"{}")
            message = refusal.get("message", "the server refused to make a token")
            raise Refused(message, reason=refusal.get("reason", "refused")) from None
        except (URLError, OSError, ValueError):
            raise Unreachable(f"the server at {self.url} does not answer") from None
        return token

    def close(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """End the child: clients are told, what was decided is kept. Twice is quiet."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def kill(self) -> None:
        """End the child at once, as a crash would."""
        self._process.kill()
        self._process.wait()
        self.close()


def start_server(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    data_dir: str = "",
    database: str = "",
    media_workers: int = 1,
    arguments: tuple[str, ...] = (),
) -> ServerProcess:
    """Return a server that takes newcomers. Port 0 is any free one; without `data_dir` the user's is used.

    `arguments` are more of those of `python -m greenroom.server`. Raises `SetUpIncomplete` with the server's own
    words when it cannot begin. Blocks for about a second: from a running loop, use `start_server_async`.
    """
    ready_read, ready_write = os.pipe()
    lifeline_read, lifeline_write = os.pipe()
    errors = tempfile.TemporaryFile()  # noqa: SIM115  a pipe would have to be read for as long as the child lives
    command = [
        *(sys.executable, "-m", "greenroom.server", "--host", host, "--port", str(port), "--data", data_dir),
        *("--database", database, "--media-workers", str(media_workers)),
        *("--ready-fd", str(ready_write), "--parent-fd", str(lifeline_read), *arguments),
    ]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=(ready_write, lifeline_read),
            start_new_session=True,  # Ctrl-C in the terminal is for the parent, who then ends it in order
        )
    except BaseException:
        os.close(ready_read)
        os.close(lifeline_write)
        errors.close()
        raise
    finally:
        os.close(ready_write)
        os.close(lifeline_read)
    try:
        line = _read_line(ready_read, START_SECONDS)
        said = json.loads(line) if line else None
    finally:
        os.close(ready_read)
    if said is None:
        os.close(lifeline_write)
        process.kill()
        process.wait()
        errors.seek(0)
        words = errors.read().decode("utf-8", "replace").strip().splitlines()
        errors.close()
        why = words[-1].removeprefix("greenroom: ") if words else "it gave no reason"
        raise SetUpIncomplete(f"the server did not start: {why}")
    errors.close()
    return ServerProcess(process, lifeline_write, said["url"], said["admin_token"])


async def start_server_async(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    data_dir: str = "",
    database: str = "",
    media_workers: int = 1,
    arguments: tuple[str, ...] = (),
) -> ServerProcess:
    """Return what `start_server` returns, without blocking the loop."""
    return await asyncio.to_thread(
        start_server,
        host=host,
        port=port,
        data_dir=data_dir,
        database=database,
        media_workers=media_workers,
        arguments=arguments,
    )


def _read_line(descriptor: int, timeout_seconds: float) -> bytes:
    """Return the first line that arrives, or b"" when the other end closes or time is up."""
    deadline = time.monotonic() + timeout_seconds
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            part = os.read(descriptor, 4096) if left > 0 and selector.select(left) else b""
            if not part:
                return b""
            line += part
    return line
