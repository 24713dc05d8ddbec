"""One media worker as its owner sees it: a child process and the conversation with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import msgspec

from greenroom.errors import MediaFailed
from greenroom.sfu.control import (
    Answered,
    Command,
    Configure,
    Done,
    Failed,
    FrameReader,
    FromWorker,
    Measured,
    MediaEvent,
    Ready,
    Reply,
    frame,
    read_from_worker,
)

START_SECONDS = 15.0
ANSWER_SECONDS = 10.0
END_SECONDS = 2.0


class WorkerGone(MediaFailed):
    """The media worker ended before it answered; establish the media again."""


class WorkerProcess:
    """One child process and the conversation with it."""

    def __init__(
        self,
        index: int,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        happened: Callable[[int, MediaEvent], None],
    ) -> None:
        self._index = index
        self._process = process
        self._reader = reader
        self._writer = writer
        self._happened = happened
        self._frames = FrameReader()
        self._requests = 0
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._gone = False

    @classmethod
    async def start(
        cls, configuration: Configure, happened: Callable[[int, MediaEvent], None]
    ) -> WorkerProcess:
        """Start a process and wait until it listens; raises `MediaFailed`."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.to_thread(_spawn, theirs.fileno())
        except OSError as error:
            ours.close()
            raise MediaFailed(f"a media worker could not be started: {error.strerror}") from None
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = cls(configuration.index, process, reader, writer, happened)
        try:
            writer.write(frame(configuration))
            async with asyncio.timeout(START_SECONDS):
                first = await worker._first()
        except (TimeoutError, ConnectionError, msgspec.DecodeError):
            first = Failed(0, "a media worker did not start in time")
        except BaseException:
            await worker.end()
            raise
        if not isinstance(first, Ready):
            await worker.end()
            raise MediaFailed(first.reason if isinstance(first, Failed) else "a media worker did not start")
        return worker

    async def _first(self) -> FromWorker:
        while True:
            chunk = await self._reader.read(65536)
            if not chunk:
                return Failed(0, "a media worker ended while it started")
            for body in self._frames.feed(chunk):
                return read_from_worker(body)

    async def ask(self, command: Command) -> Reply:
        """Return the worker's reply; raises `WorkerGone`."""
        if self._gone:
            raise WorkerGone("the media worker ended; try again")
        self._requests += 1
        request = self._requests
        waiting = self._waiting[request] = asyncio.get_running_loop().create_future()
        self._writer.write(frame(msgspec.structs.replace(command, request=request)))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reply: Reply = await waiting
                return reply
        except TimeoutError:
            self._process.kill()  # it hangs: whoever watches it sees it end and replaces it
            raise WorkerGone("the media worker does not answer and is being replaced; try again") from None
        finally:
            self._waiting.pop(request, None)

    async def read(self) -> None:
        """Hand on what the worker says, until it ends."""
        try:
            while chunk := await self._reader.read(65536):
                for body in self._frames.feed(chunk):
                    self._take(read_from_worker(body))
        except (OSError, ValueError, msgspec.DecodeError):
            pass
        self._fail()

    def _take(self, message: FromWorker) -> None:
        match message:
            case Answered(request) | Done(request) | Failed(request) | Measured(request):
                waiting = self._waiting.get(request)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case Ready():
                pass
            case event:
                self._happened(self._index, event)

    def _fail(self) -> None:
        self._gone = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(WorkerGone("the media worker ended; try again"))

    async def end(self) -> None:
        """Close the conversation, which ends the process, and wait for it; twice is quiet."""
        self._fail()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await asyncio.to_thread(_wait, self._process)


def _spawn(control: int) -> subprocess.Popen[bytes]:
    # numpy's linear algebra would start threads of its own; a worker has one.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "greenroom.sfu.worker", "--control", str(control)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[control],
        start_new_session=True,  # a Ctrl-C in the terminal is for its owner; it ends with the socket
        env=environment,
    )


def _wait(process: subprocess.Popen[bytes]) -> None:
    for insist in (process.terminate, process.kill):
        try:
            process.wait(END_SECONDS)
            return
        except subprocess.TimeoutExpired:
            insist()
    process.wait()
