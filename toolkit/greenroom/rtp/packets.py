"""RTP packets (RFC 3550, 5.1), header extensions (RFC 8285) and the audio level (RFC 6464)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct

import msgspec

HEADER_BYTES = 12
MAX_LEVEL_DBOV = 0
SILENCE_DBOV = -127

_ONE_BYTE_PROFILE = 0xBEDE
_TWO_BYTE_PROFILE = 0x1000
_fixed = Struct("!BBHII")
_pair = Struct("!HH")


class RtpPacket(msgspec.Struct, frozen=True):
    """One RTP packet; `payload` is without padding, `extensions` are (id, value) in wire order."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extensions: tuple[tuple[int, bytes], ...] = ()


class AudioLevel(msgspec.Struct, frozen=True):
    """RFC 6464: `level_dbov` from -127 (silence) to 0 (loudest), and the sender's own word on voice."""

    level_dbov: int
    voice: bool


def is_rtcp(datagram: bytes) -> bool:
    """Return whether an RTP or RTCP datagram of at least two bytes is RTCP (RFC 5761, 4)."""
    return 192 <= datagram[1] <= 223


def parse_rtp(datagram: bytes) -> RtpPacket | None:
    """Return the packet in `datagram`, or None when any of its lengths lie.

    Broken extension elements end the list of extensions; the packet itself stays readable.
    """
    size = len(datagram)
    if size < HEADER_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _fixed.unpack_from(datagram)
    if first >> 6 != 2:
        return None
    at = HEADER_BYTES + 4 * (first & 15)
    if at > size:
        return None
    csrcs: tuple[int, ...] = ()
    if first & 15:
        csrcs = tuple(int.from_bytes(datagram[i : i + 4], "big") for i in range(HEADER_BYTES, at, 4))
    extensions: tuple[tuple[int, bytes], ...] = ()
    if first & 0x10:
        if at + 4 > size:
            return None
        profile, words = _pair.unpack_from(datagram, at)
        start, at = at + 4, at + 4 + 4 * words
        if at > size:
            return None
        extensions = tuple(_elements(profile, datagram[start:at]))
    if first & 0x20:
        padding = datagram[-1]
        if padding == 0 or at + padding > size:
            return None
        size -= padding
    return RtpPacket(
        second & 0x7F,
        sequence,
        timestamp,
        ssrc,
        datagram[at:size],
        second > 0x7F,
        csrcs,
        extensions,
    )


def build_rtp(packet: RtpPacket) -> bytes:
    """Return `packet` on the wire, with one-byte extension elements where they fit, else two-byte.

    Raises `ValueError` when there are more than 15 CSRCs or an extension cannot be carried.
    """
    if len(packet.csrcs) > 15:
        raise ValueError("an RTP packet carries at most 15 contributing sources")
    header = _fixed.pack(
        0x80 | (0x10 if packet.extensions else 0) | len(packet.csrcs),
        (0x80 if packet.marker else 0) | packet.payload_type,
        packet.sequence,
        packet.timestamp,
        packet.ssrc,
    )
    sources = b"".join(csrc.to_bytes(4, "big") for csrc in packet.csrcs)
    return header + sources + _build_extensions(packet.extensions) + packet.payload


def parse_audio_level(value: bytes) -> AudioLevel | None:
    """Return the level in an extension element (RFC 6464, 3), or None when it is empty."""
    if not value:
        return None
    return AudioLevel(-(value[0] & 0x7F), value[0] > 0x7F)


def build_audio_level(level: AudioLevel) -> bytes:
    """Return the one byte of an RFC 6464 element; the level is clamped to -127..0."""
    return bytes([(0x80 if level.voice else 0) | max(0, min(127, -level.level_dbov))])


def _elements(profile: int, block: bytes) -> Iterator[tuple[int, bytes]]:
    if profile == _ONE_BYTE_PROFILE:
        one_byte = True
    elif profile & 0xFFF0 == _TWO_BYTE_PROFILE:
        one_byte = False
    else:
        return
    at, end = 0, len(block)
    while at < end:
        head = block[at]
        if head == 0:  # padding between elements
            at += 1
            continue
        if one_byte:
            identifier, length = head >> 4, (head & 15) + 1
            at += 1
            if identifier == 15:  # reserved: stop here (RFC 8285, 4.2)
                return
        else:
            if at + 2 > end:
                return
            identifier, length = head, block[at + 1]
            at += 2
        if at + length > end:
            return
        yield identifier, block[at : at + length]
        at += length


def _build_extensions(extensions: Sequence[tuple[int, bytes]]) -> bytes:
    if not extensions:
        return b""
    one_byte = all(1 <= identifier <= 14 and 1 <= len(value) <= 16 for identifier, value in extensions)
    block = bytearray()
    for identifier, value in extensions:
        if not 1 <= identifier <= 255 or len(value) > 255:
            raise ValueError("an RTP header extension has an id of 1..255 and at most 255 bytes")
        block += bytes([identifier << 4 | len(value) - 1] if one_byte else [identifier, len(value)])
        block += value
    block += bytes(-len(block) % 4)
    return _pair.pack(_ONE_BYTE_PROFILE if one_byte else _TWO_BYTE_PROFILE, len(block) // 4) + bytes(block)
