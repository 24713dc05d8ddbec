"""What forwarding costs: the worker's CPU per packet, beside a bare `sendmmsg` of the same packets.

The load is another process whose clients do real ICE, DTLS (AES-128-GCM) and consent checks. The bare sender
is a sibling process that does nothing else, so its caches are its own: the comparison favours it. Both are
paced at 20 ms, and their windows alternate, because the speed of a machine drifts. All CPU figures are the
operating system's, read from outside.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
import time
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from greenroom.errors import MediaFailed, SetUpIncomplete
from greenroom.lab.bench_load import (
    PAYLOAD_BYTES,
    Accept,
    Answer,
    Count,
    Counted,
    Offers,
    Order,
    Prepare,
    Run,
    Sent,
    Targets,
)
from greenroom.sfu.control import MediaEvent, PeerDown, PeerUp
from greenroom.sfu.fanout import system_sendmmsg
from greenroom.sfu.pool import MediaPool

WINDOWS = 7
SETTLE_SECONDS = 0.1
WARM_UP_SECONDS = 1.0
JOINING_AT_ONCE = 25
CONNECT_SECONDS = 30.0
FORWARDED_BYTES = 16 + PAYLOAD_BYTES + 16  # header with one CSRC, payload, tag


T = TypeVar("T", Offers, Sent, Counted)


class ForwardReport(msgspec.Struct, frozen=True):
    """`cpu_us_per_packet` and `bare_send_us` are medians over the windows; `ratio` is the median of each
    window's ratio to its neighbour. `packets` were received by the listeners, `lost` were not."""

    cpu_us_per_packet: float
    bare_send_us: float
    ratio: float
    packets: int
    lost: int
    listeners: int
    setup_cpu_ms_per_peer: float
    rss_kib_per_peer: float


def run(listeners: int, seconds: float, workers: int = 1) -> ForwardReport:
    """Return what it costs to forward one speaker to `listeners` for `seconds` in all.

    Raises `SetUpIncomplete` where there is no `sendmmsg`, `MediaFailed` when the load does not connect.
    """
    if listeners < 1 or seconds <= 0:
        raise ValueError("the benchmark needs at least one listener and some time")
    if system_sendmmsg() is None:
        raise SetUpIncomplete("the benchmark compares with sendmmsg, which this system does not have")
    return asyncio.run(_measure(listeners, seconds, workers))


async def _measure(listeners: int, seconds: float, workers: int) -> ForwardReport:
    share = math.ceil((listeners + 1) / workers)
    joined = _Joined()
    async with (
        MediaPool(workers, max_peers_per_worker=share) as pool,
        _Child("listen") as load,
        _Child("bare") as bare,
    ):
        pool.on_event = joined
        load.order(Prepare(listeners))
        offers = await load.answer(Offers)
        await _join(pool, load, joined, offers.offers[:1], 0)
        before = await pool.statistics()
        await _join(pool, load, joined, offers.offers[1:], 1)
        after = await pool.statistics()
        bare.order(Targets(offers.ports, FORWARDED_BYTES))
        processes = [worker.process for worker in after]
        load.order(Run(True))
        await asyncio.sleep(WARM_UP_SECONDS)
        load.order(Run(False))
        spoken = (await load.answer(Sent)).packets
        forward: list[float] = []
        barely: list[float] = []
        for _ in range(WINDOWS):
            frames, cost = await _forward_window(pool, load, processes, seconds / WINDOWS)
            spoken += frames
            forward.append(cost)
            barely.append(await _bare_window(bare, seconds / WINDOWS))
        await asyncio.sleep(4 * SETTLE_SECONDS)
        load.order(Count())
        counted = await load.answer(Counted)
    return ForwardReport(
        cpu_us_per_packet=round(statistics.median(forward), 2),
        bare_send_us=round(statistics.median(barely), 2),
        ratio=round(statistics.median(f / b for f, b in zip(forward, barely, strict=True)), 2),
        packets=counted.packets,
        lost=max(0, spoken * listeners - counted.packets),
        listeners=listeners,
        setup_cpu_ms_per_peer=round(
            1e3 * (sum(w.cpu_seconds for w in after) - sum(w.cpu_seconds for w in before)) / listeners, 2
        ),
        rss_kib_per_peer=round(
            (sum(w.rss_bytes for w in after) - sum(w.rss_bytes for w in before)) / 1024 / listeners, 1
        ),
    )


async def _forward_window(
    pool: MediaPool, load: _Child, processes: Sequence[int], seconds: float
) -> tuple[int, float]:
    """Return how many frames were spoken and what a forwarded packet cost, in microseconds."""
    before, cpu = await _packets_out(pool), sum(map(cpu_seconds, processes))
    load.order(Run(True))
    await asyncio.sleep(seconds)
    load.order(Run(False))
    frames = (await load.answer(Sent)).packets
    await asyncio.sleep(SETTLE_SECONDS)
    used = sum(map(cpu_seconds, processes)) - cpu
    packets = await _packets_out(pool) - before
    if not packets:
        raise MediaFailed("nothing was forwarded in a whole window; the machine is too busy to measure")
    return frames, 1e6 * used / packets


async def _bare_window(bare: _Child, seconds: float) -> float:
    """Return what a barely sent packet cost, in microseconds."""
    cpu = cpu_seconds(bare.process)
    bare.order(Run(True))
    await asyncio.sleep(seconds)
    bare.order(Run(False))
    sent = (await bare.answer(Sent)).packets
    await asyncio.sleep(SETTLE_SECONDS)
    if not sent:
        raise MediaFailed("nothing was sent in a whole window; the machine is too busy to measure")
    return 1e6 * (cpu_seconds(bare.process) - cpu) / sent


async def _packets_out(pool: MediaPool) -> int:
    return sum(worker.packets_out for worker in await pool.statistics())


def cpu_seconds(process: int) -> float:
    """Return user and system time of another process of ours, to the nanosecond (Linux's CPU clocks)."""
    return time.clock_gettime(~process << 3 | 2)  # CPUCLOCK_SCHED of that process, clock_getcpuclockid(3)


class _Joined:
    """Counts who is connected."""

    def __init__(self) -> None:
        self.peers = 0
        self.failed: str | None = None
        self._changed = asyncio.Event()

    def __call__(self, event: MediaEvent) -> None:
        if isinstance(event, PeerUp):
            self.peers += 1
        elif isinstance(event, PeerDown):
            self.failed = event.reason
        self._changed.set()

    async def reach(self, peers: int) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            while self.peers < peers:
                if self.failed is not None:
                    raise MediaFailed(f"a listener was lost: {self.failed}")
                self._changed.clear()
                await self._changed.wait()


async def _join(pool: MediaPool, load: _Child, joined: _Joined, offers: Sequence[str], first: int) -> None:
    for start in range(0, len(offers), JOINING_AT_ONCE):
        group = offers[start : start + JOINING_AT_ONCE]
        for index, offer in enumerate(group, first + start):
            text = await pool.connect(f"peer-{index}", "bench", index + 1, offer, may_speak=index == 0)
            load.order(Accept(index, text))
        await joined.reach(first + start + len(group))


class _Child:
    """One of the two other processes."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._child: asyncio.subprocess.Process | None = None
        self._decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)

    async def __aenter__(self) -> _Child:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "greenroom.lab.bench_load", self._role),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        child = self._running
        assert child.stdin is not None
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), 3)
        except TimeoutError:
            child.kill()
            await child.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise MediaFailed("a process of the benchmark was not started")
        return self._child

    @property
    def process(self) -> int:
        """Its process id."""
        return self._running.pid

    def order(self, order: Order) -> None:
        """Tell it what to do."""
        stream = self._running.stdin
        assert stream is not None
        stream.write(msgspec.json.encode(order) + b"\n")

    async def answer(self, kind: type[T]) -> T:
        """Return its next answer, which must be of `kind`."""
        stream = self._running.stdout
        assert stream is not None
        async with asyncio.timeout(CONNECT_SECONDS):
            line = await stream.readline()
        if not line:
            raise MediaFailed("a process of the benchmark ended early")
        value = self._decoder.decode(line)
        if not isinstance(value, kind):
            raise MediaFailed("a process of the benchmark answered something else")
        return value
