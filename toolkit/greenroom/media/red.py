"""Redundant audio on its way out (RFC 2198): each packet carries the ones before it once more."""

from __future__ import annotations

from collections import deque

from greenroom.rtp.red import MAX_OFFSET, MAX_REDUNDANT_BYTES, RedBlock, pack_red

RED_PAYLOAD_TYPE = 63
DEEPEST = 2


class RedWriter:
    """Wraps Opus payloads. `payload_type` is None until the other side agreed to take RED; then nothing is wrapped.

    `depth` is how many earlier packets each repeats, 0 to 2, and may change at any time: it acts on the next packet.
    """

    def __init__(self) -> None:
        self.payload_type: int | None = None
        self._depth = 0
        self._sent: deque[tuple[int, bytes]] = deque(maxlen=DEEPEST)

    @property
    def depth(self) -> int:
        """How many earlier packets the next one repeats at most."""
        return self._depth

    @depth.setter
    def depth(self, depth: int) -> None:
        if not 0 <= depth <= DEEPEST:
            raise ValueError(f"a packet repeats 0 to {DEEPEST} earlier ones, not {depth}")
        self._depth = depth

    def wrap(self, opus_type: int, timestamp: int, payload: bytes) -> tuple[int, bytes]:
        """Return the payload type and payload to send for the Opus `payload` at RTP `timestamp` (32 bits).

        What is too old or too big for a RED header is left out; with nothing to repeat, plain Opus is sent.
        """
        before = list(self._sent)[-self._depth :] if self._depth else []
        self._sent.append((timestamp, payload))
        if self.payload_type is None:
            return opus_type, payload
        copies = [
            RedBlock(opus_type, offset, earlier)
            for offset, earlier in ((timestamp - at & 0xFFFFFFFF, earlier) for at, earlier in before)
            if offset <= MAX_OFFSET and len(earlier) <= MAX_REDUNDANT_BYTES
        ]
        if not copies:
            return opus_type, payload
        return self.payload_type, pack_red([*copies, RedBlock(opus_type, 0, payload)])
