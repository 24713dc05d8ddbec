"""The hot path: one packet to all listeners of a slot, each under their own key.

A batch says to whom; an arena is the memory it is done in, shared by all batches of a worker since one
fan-out is finished before the next begins. Per-listener header fields are columns of the arena.
"""

from __future__ import annotations

import errno
import select
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

from greenroom.sfu.srtp import (
    MAX_RTCP_PROTECTION_BYTES,
    Handle,
    Outbound,
    Protect,
    c_memory,
    protect_rtcp,
    protect_rtp,
)

Address = tuple[str, int]

SMALL_STRIDE_BYTES = 256
LARGE_STRIDE_BYTES = 1536
MAX_MESSAGES = 1024  # the kernel's limit for one sendmmsg (UIO_MAXIOV)
PATIENCE_SECONDS = 0.004

_system = FFI()
_system.cdef(
    """
    struct iovec { void *base; size_t length; };
    struct msghdr {
        void *name; unsigned int name_length; struct iovec *iov; size_t iov_length;
        void *control; size_t control_length; int flags;
    };
    struct mmsghdr { struct msghdr header; unsigned int length; };
    int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned int count, int flags);
    """
)


def system_sendmmsg() -> Callable[[int, Any, int, int], int] | None:
    """Return libc's `sendmmsg`, None where there is none (macOS, Windows)."""
    if not sys.platform.startswith("linux"):
        return None  # the layout above is Linux's
    try:
        function: Callable[[int, Any, int, int], int] = _system.dlopen(None).sendmmsg
    except (AttributeError, OSError):
        return None
    return function


def last_errno() -> int:
    """Return the error of the last `sendmmsg`."""
    return int(_system.errno)


def socket_address(address: Address) -> bytes:
    """Return `address` as the kernel's sockaddr_in or sockaddr_in6."""
    host, port = address
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host)
        return (
            int(socket.AF_INET6).to_bytes(2, sys.byteorder)
            + port.to_bytes(2, "big")
            + bytes(4)
            + packed
            + bytes(4)
        )
    return (
        int(socket.AF_INET).to_bytes(2, sys.byteorder)
        + port.to_bytes(2, "big")
        + socket.inet_aton(host)
        + bytes(8)
    )


class Batch:
    """To whom one packet goes, row by row.

    `offsets` is what each listener's sequence number is ahead of the slot's (mod 2**16), `payload_types`
    each one's Opus type; None when the packet is the same for all.
    """

    __slots__ = ("addresses", "handles", "names", "offsets", "payload_types", "sessions", "size")

    def __init__(
        self,
        sessions: Sequence[Outbound],
        addresses: Sequence[Address],
        offsets: Sequence[int],
        payload_types: Sequence[int],
    ) -> None:
        self.size = len(sessions)
        self.sessions = tuple(sessions)  # keeps the handles alive
        self.handles: list[Handle] = [session.handle for session in sessions]
        self.addresses = tuple(addresses)
        self.names = b"".join(map(socket_address, addresses))
        self.offsets: NDArray[np.uint16] = np.array(offsets, dtype=np.uint16)
        self.payload_types: NDArray[np.uint8] = np.array(payload_types, dtype=np.uint8)


class Arena:
    """Rows of `stride` bytes with their headers, lengths and message headers, grown on demand."""

    def __init__(self, stride: int, name_bytes: int) -> None:
        self.stride = stride
        self._name_bytes = name_bytes
        self._rows = 0
        self._grow(64)

    def _grow(self, rows: int) -> None:
        stride = self.stride
        self._rows = rows
        memory = c_memory.new("char[]", rows * stride)
        lengths = c_memory.new("int[]", rows)
        names = _system.new("char[]", rows * self._name_bytes)
        vectors = _system.new("struct iovec[]", rows)
        messages = _system.new("struct mmsghdr[]", rows)
        base = int(c_memory.cast("intptr_t", memory))
        for row in range(rows):
            vectors[row].base = _system.cast("void *", base + row * stride)
            header = messages[row].header
            header.name = names + row * self._name_bytes
            header.name_length = self._name_bytes
            header.iov = vectors + row
            header.iov_length = 1
        self._owned = (memory, lengths, names, vectors)
        self.messages = messages
        self.rows = [memory + row * stride for row in range(rows)]
        self.length_pointers = [lengths + row for row in range(rows)]
        self.bytes = c_memory.buffer(memory)
        self.names = _system.buffer(names)
        self.lengths: NDArray[np.int32] = np.frombuffer(c_memory.buffer(lengths), dtype=np.int32)
        words = np.frombuffer(_system.buffer(vectors), dtype=np.uintp)
        self.vector_lengths = words[1::2]
        self.payload_types: NDArray[np.uint8] = np.ndarray(
            (rows,), dtype=np.uint8, buffer=self.bytes, offset=1, strides=(stride,)
        )
        self.sequences: NDArray[Any] = np.ndarray(
            (rows,), dtype=">u2", buffer=self.bytes, offset=2, strides=(stride,)
        )

    def fill(self, packet: bytes, rows: int) -> None:
        """Put `packet` into the first `rows` rows."""
        if rows > self._rows:
            self._grow(max(rows, 2 * self._rows))
        self.bytes[0 : rows * self.stride] = packet.ljust(self.stride, b"\0") * rows
        self.lengths[:rows] = len(packet)


class Outlet:
    """Sends batches through one socket. `sent` and `dropped` count RTP datagrams."""

    def __init__(
        self,
        udp: socket.socket,
        sendmmsg: Callable[[int, Any, int, int], int] | None = None,
        error_number: Callable[[], int] = last_errno,
    ) -> None:
        name_bytes = 28 if udp.family == socket.AF_INET6 else 16
        self._udp = udp
        self._name_bytes = name_bytes
        self._descriptor = udp.fileno()
        self._sendmmsg = sendmmsg
        self._error_number = error_number
        self._small = Arena(SMALL_STRIDE_BYTES, name_bytes)
        self._large = Arena(LARGE_STRIDE_BYTES, name_bytes)
        self.sent = 0
        self.dropped = 0

    def fan_out(
        self, batch: Batch, packet: bytes, sequence: int, marker: bool, payload_types: NDArray[np.uint8]
    ) -> None:
        """Send one RTP packet to the batch, with each listener's sequence number and payload type."""
        size = batch.size
        if not size:
            return
        arena = self._arena(packet)
        if arena is None:
            self.dropped += size
            return
        arena.fill(packet, size)
        arena.sequences[:size] = batch.offsets + np.uint16(sequence)
        arena.payload_types[:size] = payload_types | np.uint8(0x80) if marker else payload_types
        self._protect_and_send(arena, batch, protect_rtp)

    def fan_out_rtcp(self, batch: Batch, packet: bytes) -> None:
        """Send one RTCP compound to the batch as it is."""
        arena = self._arena(packet)
        if batch.size and arena is not None:
            before = self.sent
            arena.fill(packet, batch.size)
            self._protect_and_send(arena, batch, protect_rtcp)
            self.sent = before

    def _arena(self, packet: bytes) -> Arena | None:
        size = len(packet) + MAX_RTCP_PROTECTION_BYTES
        if size <= SMALL_STRIDE_BYTES:
            return self._small
        return self._large if size <= LARGE_STRIDE_BYTES else None

    def _protect_and_send(self, arena: Arena, batch: Batch, protect: Protect) -> None:
        size = batch.size
        statuses = map(protect, batch.handles, arena.rows, arena.length_pointers)
        if any(statuses):
            self._send_around_failures(arena, batch, list(statuses))
            return
        arena.vector_lengths[:size] = arena.lengths[:size]
        self._send_rows(arena, batch, 0, size)

    def _send_around_failures(self, arena: Arena, batch: Batch, rest: Sequence[int]) -> None:
        """Send every row but those whose protection failed: they are still plain text.

        `rest` holds the statuses behind the first failure.
        """
        size = batch.size
        first = size - len(rest) - 1
        failed = [first, *(first + 1 + i for i, status in enumerate(rest) if status)]
        self.dropped += len(failed)
        arena.vector_lengths[:size] = arena.lengths[:size]
        start = 0
        for row in [*failed, size]:
            self._send_rows(arena, batch, start, row)
            start = row + 1

    def _send_rows(self, arena: Arena, batch: Batch, start: int, end: int) -> None:
        if self._sendmmsg is None:
            self._send_each(arena, batch, start, end)
            return
        width = self._name_bytes
        arena.names[width * start : width * end] = batch.names[width * start : width * end]
        at = start
        patience = 1
        while at < end:
            count = self._sendmmsg(self._descriptor, arena.messages + at, min(MAX_MESSAGES, end - at), 0)
            if count > 0:
                at += count
                self.sent += count
                continue
            error = self._error_number()
            if error == errno.EINTR:
                continue
            if error in (errno.EAGAIN, errno.ENOBUFS):
                if patience:  # one short wait for the network to take some; media is never worth more
                    patience -= 1
                    select.select([], [self._descriptor], [], PATIENCE_SECONDS)
                    continue
                self.dropped += end - at
                return
            at += 1  # this address cannot be reached; the others can
            self.dropped += 1

    def _send_each(self, arena: Arena, batch: Batch, start: int, end: int) -> None:
        memory = memoryview(arena.bytes)
        for row in range(start, end):
            offset = row * arena.stride
            try:
                self._udp.sendto(memory[offset : offset + int(arena.lengths[row])], batch.addresses[row])
            except OSError:
                self.dropped += 1
            else:
                self.sent += 1
