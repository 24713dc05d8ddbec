"""What the control process and a media worker say to each other, as values.

Frames are msgpack tagged unions with a 32-bit big-endian length in front, over a local stream
socket which the worker inherits. The worker ends when that socket closes.
"""

from __future__ import annotations

import msgspec

MAX_FRAME_BYTES = 1 << 20
LENGTH_BYTES = 4


class _Message(msgspec.Struct, frozen=True, tag=True):
    """A value on the control socket; its tag is its class name."""


# --- what the control process asks ---------------------------------------------------------------


class Configure(_Message, frozen=True):
    """The first frame: where to listen and how patient to be.

    `udp_port` 0 lets the operating system choose. `announce` is the address in answers.
    `relay_directory` holds one datagram socket per worker, `index` names ours. A peer is dead
    after three of its own intervals between consent checks, but never sooner than
    `consent_seconds`.
    """

    index: int
    host: str
    udp_port: int
    announce: str
    relay_directory: str
    consent_seconds: float = 6.0


class Connect(_Message, frozen=True):
    """Answer this offer; a peer of the same name is replaced quietly."""

    request: int
    peer: str
    room: str
    number: int
    offer: str
    may_speak: bool


class SetForwarding(_Message, frozen=True):
    """Open or close the peer's line."""

    request: int
    peer: str
    allowed: bool


class Disconnect(_Message, frozen=True):
    """Forget the peer; it is sent nothing more."""

    request: int
    peer: str


class CloseRoom(_Message, frozen=True):
    """Forget everyone in the room."""

    request: int
    room: str


class SetRelay(_Message, frozen=True):
    """The other workers (their indexes) that have listeners of this room."""

    request: int
    room: str
    workers: tuple[int, ...]


class GetStatistics(_Message, frozen=True):
    """Report what this worker used and did."""

    request: int


Command = Connect | SetForwarding | Disconnect | CloseRoom | SetRelay | GetStatistics


# --- what the worker answers ---------------------------------------------------------------------


class Ready(_Message, frozen=True):
    """The worker listens; the answer to `Configure`."""

    udp_port: int
    process: int


class Answered(_Message, frozen=True):
    """The answer to `Connect`."""

    request: int
    answer: str


class Done(_Message, frozen=True):
    """It has been applied."""

    request: int


class Failed(_Message, frozen=True):
    """It was not done, and why: words for a person."""

    request: int
    reason: str


class WorkerStatistics(msgspec.Struct, frozen=True):
    """What one worker used and did since it started.

    `cpu_seconds` is user and system time from the operating system. Packets are RTP datagrams;
    `packets_dropped` counts those refused, capped or not taken by the network, `packets_denied`
    those whose line was closed.
    """

    index: int
    process: int
    udp_port: int
    cpu_seconds: float
    rss_bytes: int
    packets_in: int
    packets_out: int
    packets_dropped: int
    packets_denied: int
    peers: int
    connected: int


class Measured(_Message, frozen=True):
    """The answer to `GetStatistics`."""

    request: int
    statistics: WorkerStatistics


Reply = Ready | Answered | Done | Failed | Measured


# --- what happens in the media -------------------------------------------------------------------


class PeerUp(_Message, frozen=True):
    """ICE and DTLS are complete and the fingerprint is the one of the offer."""

    peer: str


class PeerDown(_Message, frozen=True):
    """The peer is gone: 'closed', 'consent expired', 'never connected', 'fingerprint mismatch' or
    'handshake failed'. Not sent for what the control process itself disconnects."""

    peer: str
    reason: str


class SpeakerLevel(msgspec.Struct, frozen=True, array_like=True):
    """Who, how loud in the last tenth of a second (dBov, -127 silence to 0), and whether it is voice."""

    number: int
    level_dbov: int
    voice: bool


class Levels(_Message, frozen=True):
    """Levels of everyone in the room whose line is open and who is sending; at most ten a second.

    A room spread over workers gets one from each, with the speakers connected there.
    """

    room: str
    speakers: tuple[SpeakerLevel, ...]


class DominantChanged(_Message, frozen=True):
    """Who is speaking, by hysteresis; None when nobody has spoken for a while."""

    room: str
    number: int | None


class Loss(_Message, frozen=True):
    """A listener's receiver reports, at most one every 2 s: the worst of its slots, and what we received of its voice.

    `fraction_lost` of what we send it, `sent_fraction_lost` of what it sends, 0..1; `rtt_ms` is None until it has echoed a
    sender report, `jitter_ms` is the worse of both directions.
    """

    peer: str
    fraction_lost: float
    jitter_ms: float
    rtt_ms: float | None
    sent_fraction_lost: float = 0.0


class SpeakerLoss(_Message, frozen=True):
    """The 90th percentile of the loss of those who hear this speaker, 0..1; every 2 s.

    In a room spread over workers, that of the worst worker's listeners.
    """

    peer: str
    p90_fraction: float


class Spoke(_Message, frozen=True):
    """Someone spoke from `started` to `ended`, in seconds of the system's monotonic clock."""

    room: str
    number: int
    started: float
    ended: float


class WorkerDied(_Message, frozen=True):
    """A media worker ended; these peers must establish their media again."""

    index: int
    peers: tuple[str, ...]


class WorkerReplaced(_Message, frozen=True):
    """A new worker took the place of the one that died."""

    index: int


MediaEvent = (
    PeerUp | PeerDown | Levels | DominantChanged | Loss | SpeakerLoss | Spoke | WorkerDied | WorkerReplaced
)

WorkerEvent = PeerUp | PeerDown | Levels | DominantChanged | Loss | SpeakerLoss | Spoke
FromWorker = Reply | WorkerEvent
ToWorker = Configure | Command

_encoder = msgspec.msgpack.Encoder()
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)


def frame(message: ToWorker | FromWorker) -> bytes:
    """Return `message` as one length-prefixed frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def read_from_worker(body: bytes) -> FromWorker:
    """Return the value in a frame's body; raises `msgspec.DecodeError`."""
    return _from_worker.decode(body)


def read_to_worker(body: bytes) -> ToWorker:
    """Return the value in a frame's body; raises `msgspec.DecodeError`."""
    return _to_worker.decode(body)


class FrameReader:
    """Cuts a stream of bytes into frame bodies."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the bodies completed by `chunk`; raises `ValueError` when a frame is too long."""
        pending = self._pending
        pending += chunk
        bodies: list[bytes] = []
        while len(pending) >= LENGTH_BYTES:
            length = int.from_bytes(pending[:LENGTH_BYTES], "big")
            if length > MAX_FRAME_BYTES:
                raise ValueError("a control frame is too long")
            end = LENGTH_BYTES + length
            if len(pending) < end:
                break
            bodies.append(bytes(pending[LENGTH_BYTES:end]))
            del pending[:end]
        return bodies
