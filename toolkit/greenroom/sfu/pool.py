"""The media workers as one engine: starts them, spreads rooms over them, replaces those that die."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from greenroom.errors import MediaFailed
from greenroom.sfu.base import MediaEventHandler, MediaRefused
from greenroom.sfu.child import ANSWER_SECONDS, WorkerGone, WorkerProcess
from greenroom.sfu.control import (
    Answered,
    CloseRoom,
    Command,
    Configure,
    Connect,
    Disconnect,
    DominantChanged,
    Failed,
    GetStatistics,
    Measured,
    MediaEvent,
    PeerDown,
    Reply,
    SetForwarding,
    SetRelay,
    WorkerDied,
    WorkerReplaced,
    WorkerStatistics,
)

FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 5.0

log = logging.getLogger(__name__)


class MediaPool:
    """A `MediaEngine` of worker processes. Use as an async context manager, or `start` and `close`.

    A room's peers go to one worker until it has `max_peers_per_worker`, then to the next; the plain RTP of
    its speakers goes between them. `udp_ports` gives each worker its port, else the system chooses.
    `announce` is the address in answers, for a `host` that is not itself reachable.
    """

    def __init__(
        self,
        workers: int = 1,
        host: str = "127.0.0.1",
        udp_ports: Sequence[int] | None = None,
        announce: str | None = None,
        *,
        max_peers_per_worker: int = 1000,
        consent_seconds: float = 6.0,
    ) -> None:
        if workers < 1:
            raise ValueError("a media pool needs at least one worker")
        if udp_ports is not None and len(udp_ports) != workers:
            raise ValueError(f"{workers} media workers need as many UDP ports, not {len(udp_ports)}")
        self.on_event: MediaEventHandler = _ignore
        self._host = host
        self._ports = list(udp_ports) if udp_ports is not None else [0] * workers
        self._announce = announce
        self._max_peers = max_peers_per_worker
        self._consent_seconds = consent_seconds
        self._workers: list[WorkerProcess | None] = [None] * workers
        self._ready = [asyncio.Event() for _ in range(workers)]
        self._peers: dict[str, tuple[int, str]] = {}
        """Peer to (worker, room)."""
        self._rooms: dict[str, list[int]] = {}
        """Room to its workers; the first tells who is dominant."""
        self._directory: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the workers; raises `MediaFailed` when one cannot listen."""
        self._host = await _address_of(self._host)
        self._announce = (
            _reachable(self._host) if self._announce is None else await _address_of(self._announce)
        )
        self._directory = await asyncio.to_thread(tempfile.mkdtemp, prefix="greenroom-")
        starts = [self._start_worker(index) for index in range(len(self._workers))]
        try:
            for result in await asyncio.gather(*starts, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the workers and wait for them; twice is quiet."""
        self._closed = True
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        workers, self._workers = self._workers, [None] * len(self._workers)
        await asyncio.gather(*(worker.end() for worker in workers if worker is not None))
        self._peers.clear()
        self._rooms.clear()
        if self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
            self._directory = None

    async def connect(self, peer: str, room: str, number: int, offer: str, may_speak: bool) -> str:
        """Return the answer to `offer`; raises `MediaRefused`, or `WorkerGone` when a worker just died."""
        if self._closed or self._directory is None:
            raise MediaFailed("the media engine is not running")
        before = self._peers.get(peer)
        index = self._place(peer, room)
        if before is not None and before != (index, room):
            await self.disconnect(peer)
        self._peers[peer] = (index, room)
        await self._spread(room, index)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._ready[index].wait()
        except TimeoutError:
            self._forget(peer)
            raise WorkerGone("the media worker is not back yet; try again") from None
        try:
            reply = await self._ask(index, Connect(0, peer, room, number, offer, may_speak))
        except MediaFailed:
            self._forget(peer)
            raise
        if isinstance(reply, Answered):
            return reply.answer
        self._forget(peer)
        raise MediaRefused(reply.reason if isinstance(reply, Failed) else "no answer was made")

    async def set_forwarding(self, peer: str, allowed: bool) -> None:
        """Open or close the peer's line; returns when the worker has applied it."""
        place = self._peers.get(peer)
        if place is not None:
            await self._tell(place[0], SetForwarding(0, peer, allowed))

    async def disconnect(self, peer: str) -> None:
        """Forget the peer; returns when it is sent nothing more."""
        place = self._peers.get(peer)
        if place is not None:
            self._forget(peer)
            await self._tell(place[0], Disconnect(0, peer))

    async def close_room(self, room: str) -> None:
        """Forget everyone in the room."""
        indexes = self._rooms.pop(room, [])
        for peer in [name for name, place in self._peers.items() if place[1] == room]:
            self._forget(peer)
        for index in indexes:
            await self._tell(index, CloseRoom(0, room))

    async def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Return what each living worker used and did since it started."""
        found: list[WorkerStatistics] = []
        for index, worker in enumerate(self._workers):
            if worker is None:
                continue
            with contextlib.suppress(WorkerGone):
                reply = await self._ask(index, GetStatistics(0))
                if isinstance(reply, Measured):
                    found.append(reply.statistics)
        return tuple(found)

    # --- which worker ---

    def _place(self, peer: str, room: str) -> int:
        loads = [0] * len(self._workers)
        for name, (index, _) in self._peers.items():
            loads[index] += name != peer
        ours = self._rooms.get(room, [])
        for index in ours:
            if loads[index] < self._max_peers:
                return index
        others = [index for index in range(len(loads)) if index not in ours]
        return min(others or range(len(loads)), key=lambda index: loads[index])

    async def _spread(self, room: str, index: int) -> None:
        indexes = self._rooms.setdefault(room, [])
        if index in indexes:
            return
        indexes.append(index)
        if len(indexes) > 1:
            await self._tell_relays(room)

    async def _tell_relays(self, room: str) -> None:
        indexes = self._rooms.get(room, [])
        for index in list(indexes):
            await self._tell(index, SetRelay(0, room, tuple(i for i in indexes if i != index)))

    def _forget(self, peer: str) -> None:
        place = self._peers.pop(peer, None)
        if place is not None and all(other[1] != place[1] for other in self._peers.values()):
            self._rooms.pop(place[1], None)

    # --- speaking with workers ---

    async def _tell(self, index: int, command: Command) -> None:
        """Ask for something whose failure changes nothing: a worker that died has forgotten it all."""
        with contextlib.suppress(WorkerGone):
            await self._ask(index, command)

    async def _ask(self, index: int, command: Command) -> Reply:
        worker = self._workers[index]
        if worker is None:
            raise WorkerGone("the media worker is being replaced; try again")
        return await worker.ask(command)

    # --- their lives ---

    async def _start_worker(self, index: int) -> None:
        assert self._directory is not None
        assert self._announce is not None
        configuration = Configure(
            index=index,
            host=self._host,
            udp_port=self._ports[index],
            announce=self._announce,
            relay_directory=self._directory,
            consent_seconds=self._consent_seconds,
        )
        worker = await WorkerProcess.start(configuration, self._happened)
        self._workers[index] = worker
        task = asyncio.create_task(self._watch(index, worker), name=f"media worker {index}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        for room, indexes in self._rooms.items():
            if index in indexes and len(indexes) > 1:
                await self._tell(index, SetRelay(0, room, tuple(i for i in indexes if i != index)))
        self._ready[index].set()

    async def _watch(self, index: int, worker: WorkerProcess) -> None:
        await worker.read()
        self._ready[index].clear()
        self._workers[index] = None
        lost = tuple(peer for peer, place in self._peers.items() if place[0] == index)
        for peer in lost:
            self._forget(peer)
        log.warning("media worker %d ended; replacing it", index)
        self.on_event(WorkerDied(index, lost))
        await worker.end()
        delay = FIRST_RETRY_SECONDS
        while not self._closed:
            try:
                await self._start_worker(index)
            except MediaFailed:
                await asyncio.sleep(delay)
                delay = min(LONGEST_RETRY_SECONDS, 2 * delay)
            else:
                self.on_event(WorkerReplaced(index))
                return

    def _happened(self, index: int, event: MediaEvent) -> None:
        match event:
            case PeerDown(peer):
                if self._peers.get(peer, (None,))[0] != index:
                    return  # it has been connected elsewhere since
                self._forget(peer)
            case DominantChanged(room):
                if self._rooms.get(room, [index])[0] != index:
                    return
        self.on_event(event)


async def _address_of(host: str) -> str:
    """Return the IP address of `host`; raises `MediaFailed` when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        raise MediaFailed(f"'{host}' is not an address media can use; give an IP address") from None
    return str(found[0][4][0])


def _reachable(address: str) -> str:
    """Return `address`, or for "any address" the one this machine uses towards others (nothing is sent)."""
    if address not in ("0.0.0.0", "::"):
        return address
    family, outside = (socket.AF_INET6, "2001:db8::1") if ":" in address else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))
        except OSError:
            return "::1" if ":" in address else "127.0.0.1"
        return str(probe.getsockname()[0])


def _ignore(event: MediaEvent) -> None:
    """What happens before somebody listens is nobody's."""
