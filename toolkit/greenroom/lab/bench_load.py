"""The other side of `bench_forward`, in processes of its own: listeners with a speaker, and a bare sender.

Both are driven by one JSON value a line on standard input and answer on standard output.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from typing import Any

import msgspec
import numpy as np

from greenroom.lab.light_client import Credentials, LightClient
from greenroom.sfu.fanout import SMALL_STRIDE_BYTES, Arena, socket_address, system_sendmmsg

FRAME_SECONDS = 0.02
FRAME_UNITS = 960
PAYLOAD_BYTES = 120  # 48 kbit/s
SWEEP_SECONDS = 0.04
MAX_MESSAGES = 1024


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Make a speaker and this many listeners; answered by `Offers`."""

    listeners: int


class Accept(msgspec.Struct, frozen=True, tag=True):
    """The answer for one client; the speaker is number 0."""

    client: int
    answer: str


class Run(msgspec.Struct, frozen=True, tag=True):
    """Speak, or send barely, from now on, or stop. Stopping is answered by `Sent`."""

    running: bool


class Targets(msgspec.Struct, frozen=True, tag=True):
    """Where the bare sender sends, and how many bytes each."""

    ports: tuple[int, ...]
    size: int


class Count(msgspec.Struct, frozen=True, tag=True):
    """Report what the listeners received; answered by `Counted`."""


Order = Prepare | Accept | Run | Targets | Count


class Offers(msgspec.Struct, frozen=True, tag=True):
    """One offer a client, and the listeners' ports."""

    offers: tuple[str, ...]
    ports: tuple[int, ...]


class Sent(msgspec.Struct, frozen=True, tag=True):
    """Datagrams sent in the run that was stopped."""

    packets: int


class Counted(msgspec.Struct, frozen=True, tag=True):
    """What all listeners received, and what they missed between their first packet and their newest."""

    packets: int
    lost: int
    shortest: int
    """What the listener who received least received."""


Answer = Offers | Sent | Counted


class _Orders:
    """Standard input, without waiting."""

    def __init__(self) -> None:
        self._decoder: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
        self._waiting = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def take(self, patience_seconds: float) -> list[Order]:
        """Return what was ordered within `patience_seconds`; raises `EOFError` when nobody orders any more."""
        if not self._selector.select(max(0.0, patience_seconds)):
            return []
        chunk = os.read(sys.stdin.fileno(), 1 << 20)
        if not chunk:
            raise EOFError
        *lines, self._waiting = (self._waiting + chunk).split(b"\n")
        return [self._decoder.decode(line) for line in lines]


def answer(value: Answer) -> None:
    """Write one answer."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def listen() -> None:
    """Run the listeners and the speaker until standard input ends."""
    orders = _Orders()
    clients: list[LightClient] = []
    speaking = False
    spoken = 0
    next_frame = next_sweep = 0.0
    while True:
        due = min(next_frame, next_sweep) if speaking else next_sweep
        for order in orders.take(due - time.monotonic()):
            match order:
                case Prepare(listeners):
                    clients = _clients(listeners)
                    ports = tuple(client.udp.getsockname()[1] for client in clients[1:])
                    answer(Offers(tuple(client.offer() for client in clients), ports))
                case Accept(number, text):
                    clients[number].accept(text)
                    next_sweep = 0.0
                case Run(running):
                    speaking, next_frame = running, time.monotonic()
                    if not running:
                        answer(Sent(spoken))
                    spoken = 0
                case Count():
                    heard = [client.slots[0] for client in clients[1:]]
                    counts = [count.packets for count in heard]
                    answer(Counted(sum(counts), sum(count.lost for count in heard), min(counts)))
                case Targets():
                    pass
        now = time.monotonic()
        if speaking and now >= next_frame:
            next_frame += FRAME_SECONDS
            spoken += 1
            clients[0].say(bytes(PAYLOAD_BYTES), int(now * 48000) // FRAME_UNITS * FRAME_UNITS)
        if now >= next_sweep:
            for client in clients:
                client.turn(now)
            connecting = any(client.server is not None and not client.connected for client in clients)
            next_sweep = time.monotonic() + (0.002 if connecting else SWEEP_SECONDS)


def send_barely() -> None:
    """Send the same bytes by `sendmmsg` and nothing else, every 20 ms, until standard input ends."""
    orders = _Orders()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    sendmmsg: Any = system_sendmmsg()
    arena = Arena(SMALL_STRIDE_BYTES, 16)
    rows = sent = 0
    running = False
    next_batch = time.monotonic()
    while True:
        patience = next_batch - time.monotonic() if running else 1.0
        for order in orders.take(patience):
            match order:
                case Targets(ports, size):
                    rows = len(ports)
                    arena.fill(bytes(size), rows)
                    arena.vector_lengths[:rows] = np.uintp(size)
                    arena.names[0 : 16 * rows] = b"".join(socket_address(("127.0.0.1", p)) for p in ports)
                case Run(run):
                    running, next_batch = run, time.monotonic()
                    if not run:
                        answer(Sent(sent))
                    sent = 0
                case _:
                    pass
        if running and time.monotonic() >= next_batch:
            next_batch += FRAME_SECONDS
            at = 0
            while at < rows:
                count = sendmmsg(udp.fileno(), arena.messages + at, min(MAX_MESSAGES, rows - at), 0)
                at += max(1, count)
            sent += rows


def _clients(listeners: int) -> list[LightClient]:
    credentials = Credentials()
    speaker = LightClient(slots=0, speaks=True, credentials=credentials)
    return [speaker, *(LightClient(slots=1, credentials=credentials) for _ in range(listeners))]


if __name__ == "__main__":
    try:
        send_barely() if sys.argv[1:] == ["bare"] else listen()
    except (EOFError, KeyboardInterrupt):
        sys.exit(0)
