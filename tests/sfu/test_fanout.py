"""The fan-out: every listener its own key, numbers and types; nothing unprotected ever leaves."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from greenroom.rtp.packets import RtpPacket, build_rtp, parse_rtp
from greenroom.sfu.fanout import Batch, Outlet, last_errno, socket_address, system_sendmmsg
from greenroom.sfu.srtp import PREFERRED, Inbound, Outbound, SrtpProfile


class Listener:
    """A socket and the two ends of one key."""

    def __init__(self, profile: SrtpProfile = PREFERRED[0]) -> None:
        key = secrets.token_bytes(profile.key_bytes + profile.salt_bytes)
        self.outbound = Outbound(profile, key)
        self.inbound = Inbound(profile, key)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self.address: tuple[str, int] = self.udp.getsockname()

    def datagrams(self) -> list[bytes]:
        found: list[bytes] = []
        while True:
            try:
                found.append(self.udp.recv(2048))
            except BlockingIOError:
                return found

    def packets(self) -> list[RtpPacket]:
        read = [parse_rtp(self.inbound.open(datagram)) for datagram in self.datagrams()]
        return [packet for packet in read if packet is not None]


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        yield found


def gathered(count: int) -> list[Listener]:
    return [Listener(PREFERRED[index % len(PREFERRED)]) for index in range(count)]


def batch_of(listeners: list[Listener], addresses: list[tuple[str, int]] | None = None) -> Batch:
    count = len(listeners)
    return Batch(
        [listener.outbound for listener in listeners],
        addresses if addresses is not None else [listener.address for listener in listeners],
        [100 * row for row in range(count)],
        [96 + row % 20 for row in range(count)],
    )


def packet_of(sequence: int, payload: bytes = b"opus") -> bytes:
    return build_rtp(RtpPacket(0, sequence, 960, 77, payload, csrcs=(5,)))


def send(outlet: Outlet, batch: Batch, sequence: int, payload: bytes = b"opus", marker: bool = False) -> None:
    outlet.fan_out(batch, packet_of(0, payload), sequence, marker, batch.payload_types)


def only_some(limit: int) -> Any:
    """A sendmmsg that, like a busy kernel, takes at most `limit` messages a call."""
    real: Any = system_sendmmsg()
    return lambda descriptor, messages, count, flags: real(descriptor, messages, min(limit, count), flags)


SENDERS = [
    pytest.param(system_sendmmsg(), id="sendmmsg"),
    pytest.param(only_some(3), id="sendmmsg that takes three at a time"),
    pytest.param(None, id="without sendmmsg"),
]


@pytest.mark.parametrize("sendmmsg", SENDERS)
@pytest.mark.parametrize("size", [4, 400], ids=["small", "with much redundancy"])
def test_everyone_gets_the_packet_with_their_own_numbers(
    udp: socket.socket, sendmmsg: Any, size: int
) -> None:
    listeners = gathered(80)  # more than an arena starts with
    outlet = Outlet(udp, sendmmsg)
    send(outlet, batch_of(listeners), 65500, bytes(size), marker=True)
    for row, listener in enumerate(listeners):
        (packet,) = listener.packets()
        assert packet == RtpPacket(
            96 + row % 20, (65500 + 100 * row) & 0xFFFF, 960, 77, bytes(size), True, (5,)
        )
    assert (outlet.sent, outlet.dropped) == (80, 0)


def test_an_address_that_cannot_be_reached_costs_only_its_own_packet(udp: socket.socket) -> None:
    listeners = gathered(9)
    addresses = [listener.address for listener in listeners]
    addresses[4] = ("127.0.0.1", 0)  # the kernel refuses port 0
    outlet = Outlet(udp, system_sendmmsg())
    send(outlet, batch_of(listeners, addresses), 7)
    assert [len(listener.packets()) for listener in listeners] == [1, 1, 1, 1, 0, 1, 1, 1, 1]
    assert (outlet.sent, outlet.dropped) == (8, 1)


def test_a_full_network_drops_the_rest_and_does_not_wait_for_it(udp: socket.socket) -> None:
    listeners = gathered(5)
    real: Any = system_sendmmsg()
    errors: list[int] = []

    def full_after_two(descriptor: int, messages: Any, count: int, flags: int) -> int:
        if count > 3:
            return int(real(descriptor, messages, 2, flags))
        errors.append(errno.EAGAIN)
        return -1

    outlet = Outlet(udp, full_after_two, lambda: errors[-1] if errors else last_errno())
    send(outlet, batch_of(listeners), 7)
    assert [len(listener.packets()) for listener in listeners] == [1, 1, 0, 0, 0]
    assert (outlet.sent, outlet.dropped) == (2, 3)


@pytest.mark.parametrize("spent", [[0], [2, 3], [0, 1, 2, 3, 4]], ids=["first", "two", "all"])
def test_what_could_not_be_protected_is_not_sent(udp: socket.socket, spent: list[int]) -> None:
    listeners = gathered(5)
    batch = batch_of(listeners)
    outlet = Outlet(udp, system_sendmmsg())
    for row in spent:  # a sequence number that was used is refused by libsrtp
        listeners[row].outbound.protect(build_rtp(RtpPacket(96, 7 + 100 * row, 960, 77, b"x")))
    send(outlet, batch, 7)
    assert [len(listener.packets()) for listener in listeners] == [int(row not in spent) for row in range(5)]
    assert outlet.dropped == len(spent)


def test_a_packet_too_long_for_the_network_is_dropped(udp: socket.socket) -> None:
    (listener,) = listeners = gathered(1)
    outlet = Outlet(udp, system_sendmmsg())
    send(outlet, batch_of(listeners), 1, bytes(1600))
    assert listener.datagrams() == []
    assert outlet.dropped == 1


def test_addresses_are_what_the_kernel_calls_them() -> None:
    assert socket_address(("127.0.0.1", 0x1234))[2:8] == bytes([0x12, 0x34, 127, 0, 0, 1])
    six = socket_address(("::1", 0x1234))
    assert len(six) == 28
    assert six[8:24] == bytes(15) + b"\1"


def test_an_empty_audience_costs_nothing(udp: socket.socket) -> None:
    outlet = Outlet(udp, system_sendmmsg())
    outlet.fan_out(Batch([], [], [], []), packet_of(1), 1, False, np.array([], dtype=np.uint8))
    assert outlet.sent == 0
