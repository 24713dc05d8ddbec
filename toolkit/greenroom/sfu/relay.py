"""Plain RTP of a room's speakers between the workers of one machine, over datagram sockets in a private folder."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence

import msgspec

MAX_DATAGRAMS_PER_TURN = 128
MAX_DATAGRAM_BYTES = 8192


class SpeakerPacket(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """One frame of someone whose line is open. `report_timestamp` is their RTP time now, if they told it."""

    room: str
    number: int
    ssrc: int
    sequence: int
    timestamp: int
    marker: bool
    payload_type: int
    redundant: bool
    level_dbov: int
    payload: bytes
    report_timestamp: int | None = None


class SpeakerGone(msgspec.Struct, frozen=True, array_like=True, tag="g"):
    """Their line was closed or they left: they hold no slot any more."""

    room: str
    number: int


class ListenerLoss(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """The 90th percentile of the loss of a worker's listeners in a room, 0..1."""

    room: str
    worker: int
    p90_fraction: float


RelayMessage = SpeakerPacket | SpeakerGone | ListenerLoss
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[RelayMessage] = msgspec.msgpack.Decoder(RelayMessage)


class Relay:
    """This worker's socket in `directory`, which only its owner may enter. A full neighbour loses packets."""

    def __init__(self, directory: str, index: int) -> None:
        self._directory = directory
        self._index = index
        self.index = index
        path = self._path(index)
        if os.path.exists(path):  # left by the worker whose place we take
            os.unlink(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(path)

    def _path(self, index: int) -> str:
        return os.path.join(self._directory, f"worker-{index}")

    def send(self, workers: Sequence[int], message: RelayMessage) -> None:
        """Send `message` to these workers; it is lost where one is not there or not reading."""
        if not workers:
            return
        datagram = _encoder.encode(message)
        for index in workers:
            try:
                self.socket.sendto(datagram, self._path(index))
            except OSError:
                continue

    def receive(self) -> Iterator[RelayMessage]:
        """Yield what has arrived, a bounded number at a time."""
        for _ in range(MAX_DATAGRAMS_PER_TURN):
            try:
                datagram = self.socket.recv(MAX_DATAGRAM_BYTES)
            except OSError:
                return
            try:
                yield _decoder.decode(datagram)
            except msgspec.DecodeError:
                continue

    def close(self) -> None:
        """Close the socket and take its name away; the last worker to go takes the folder, should its owner be gone."""
        self.socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path(self._index))
        with contextlib.suppress(OSError):
            os.rmdir(self._directory)
