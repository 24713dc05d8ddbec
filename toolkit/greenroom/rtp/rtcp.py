"""RTCP (RFC 3550, 6): sender and receiver reports, goodbyes, names, and compounds of them."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

import msgspec

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203

NTP_EPOCH_SECONDS = 2208988800  # from 1900 to 1970
_CNAME = 1
_MAX_PACKETS = 32

_sender_info = Struct("!IIIII")
_report_block = Struct("!IIIIII")


class ReportBlock(msgspec.Struct, frozen=True):
    """What a receiver says about one source (RFC 3550, 6.4.1).

    `fraction_lost` is 0..1 since the last report, `jitter` in timestamp units, `last_sender_report` the
    middle 32 bits of an NTP time (0: none yet), `delay_since` in 1/65536 s.
    """

    ssrc: int
    fraction_lost: float
    packets_lost: int
    highest_sequence: int
    jitter: int
    last_sender_report: int = 0
    delay_since: int = 0


class SenderReport(msgspec.Struct, frozen=True):
    """When `rtp_timestamp` was, in NTP units (32.32 fixed point), and how much was sent."""

    ssrc: int
    ntp_time: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    blocks: tuple[ReportBlock, ...] = ()


class ReceiverReport(msgspec.Struct, frozen=True):
    """Report blocks of someone who sends nothing."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


class SourceDescription(msgspec.Struct, frozen=True):
    """(SSRC, canonical name) pairs; other items are skipped."""

    names: tuple[tuple[int, str], ...]


class Goodbye(msgspec.Struct, frozen=True):
    """Sources that end."""

    ssrcs: tuple[int, ...]


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye


def ntp_time(unix_seconds: float) -> int:
    """Return `unix_seconds` in NTP's 32.32 fixed point, wrapped to 64 bits."""
    return int((unix_seconds + NTP_EPOCH_SECONDS) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def middle_bits(ntp: int) -> int:
    """Return the middle 32 bits of an NTP time, as report blocks echo it."""
    return ntp >> 16 & 0xFFFFFFFF


def round_trip_seconds(block: ReportBlock, now_ntp: int) -> float | None:
    """Return the round trip time a block proves (RFC 3550, 6.4.1), or None when it proves none."""
    if block.last_sender_report == 0:
        return None
    elapsed = (middle_bits(now_ntp) - block.last_sender_report - block.delay_since) & 0xFFFFFFFF
    return elapsed / 65536 if elapsed < 0x80000000 else None


def parse_compound(datagram: bytes) -> tuple[RtcpPacket, ...] | None:
    """Return the packets this module knows, or None when a length lies.

    Packets of other types (feedback, extended reports, application) are skipped.
    """
    packets: list[RtcpPacket] = []
    at, size = 0, len(datagram)
    for _ in range(_MAX_PACKETS):
        if at == size:
            break
        if at + 4 > size or datagram[at] >> 6 != 2:
            return None
        count, kind = datagram[at] & 31, datagram[at + 1]
        end = at + 4 + 4 * int.from_bytes(datagram[at + 2 : at + 4], "big")
        if end > size:
            return None
        body = datagram[at + 4 : end]
        if datagram[at] & 0x20:
            if not body or body[-1] > len(body):
                return None
            body = body[: len(body) - body[-1]]
        at = end
        if kind in _parsers:
            packet = _parsers[kind](count, body)
            if packet is None:
                return None
            packets.append(packet)
    return tuple(packets)


def build_compound(packets: Sequence[RtcpPacket]) -> bytes:
    """Return `packets` on the wire. Raises `ValueError` when one has over 31 blocks, names or sources."""
    return b"".join(map(_build, packets))


def _sender_report(count: int, body: bytes) -> SenderReport | None:
    if len(body) < 24 + 24 * count:
        return None
    high, low, timestamp, packet_count, octet_count = _sender_info.unpack_from(body, 4)
    ssrc = int.from_bytes(body[:4], "big")
    return SenderReport(
        ssrc, high << 32 | low, timestamp, packet_count, octet_count, _blocks(body, 24, count)
    )


def _receiver_report(count: int, body: bytes) -> ReceiverReport | None:
    if len(body) < 4 + 24 * count:
        return None
    return ReceiverReport(int.from_bytes(body[:4], "big"), _blocks(body, 4, count))


def _source_description(count: int, body: bytes) -> SourceDescription | None:
    names: list[tuple[int, str]] = []
    at, size = 0, len(body)
    for _ in range(count):
        if at + 4 > size:
            return None
        ssrc = int.from_bytes(body[at : at + 4], "big")
        at += 4
        while at < size and body[at]:
            if at + 2 > size or at + 2 + body[at + 1] > size:
                return None
            if body[at] == _CNAME:
                names.append((ssrc, body[at + 2 : at + 2 + body[at + 1]].decode("utf-8", "replace")))
            at += 2 + body[at + 1]
        at += 4 - at % 4  # the closing zero, and padding to a word
    return SourceDescription(tuple(names))


def _goodbye(count: int, body: bytes) -> Goodbye | None:
    if len(body) < 4 * count:
        return None
    return Goodbye(tuple(int.from_bytes(body[4 * i : 4 * i + 4], "big") for i in range(count)))


_parsers = {
    SENDER_REPORT: _sender_report,
    RECEIVER_REPORT: _receiver_report,
    SOURCE_DESCRIPTION: _source_description,
    GOODBYE: _goodbye,
}


def _blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    blocks: list[ReportBlock] = []
    for i in range(count):
        ssrc, loss, highest, jitter, last, delay = _report_block.unpack_from(body, at + 24 * i)
        lost = loss & 0xFFFFFF
        lost -= (lost & 0x800000) << 1  # a signed 24-bit number
        blocks.append(ReportBlock(ssrc, (loss >> 24) / 256, lost, highest, jitter, last, delay))
    return tuple(blocks)


def _build(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport(ssrc, ntp, timestamp, packet_count, octet_count, blocks):
            info = _sender_info.pack(ntp >> 32, ntp & 0xFFFFFFFF, timestamp, packet_count, octet_count)
            return _packet(SENDER_REPORT, len(blocks), ssrc.to_bytes(4, "big") + info + _build_blocks(blocks))
        case ReceiverReport(ssrc, blocks):
            return _packet(RECEIVER_REPORT, len(blocks), ssrc.to_bytes(4, "big") + _build_blocks(blocks))
        case SourceDescription(names):
            return _packet(SOURCE_DESCRIPTION, len(names), b"".join(_chunk(*name) for name in names))
        case Goodbye(ssrcs):
            return _packet(GOODBYE, len(ssrcs), b"".join(ssrc.to_bytes(4, "big") for ssrc in ssrcs))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    if count > 31:
        raise ValueError("an RTCP packet carries at most 31 entries")
    return bytes([0x80 | count, kind]) + (len(body) // 4).to_bytes(2, "big") + body


def _build_blocks(blocks: Sequence[ReportBlock]) -> bytes:
    return b"".join(
        _report_block.pack(
            block.ssrc,
            min(255, int(block.fraction_lost * 256)) << 24
            | max(-0x800000, min(0x7FFFFF, block.packets_lost)) & 0xFFFFFF,
            block.highest_sequence & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_sender_report,
            block.delay_since,
        )
        for block in blocks
    )


def _chunk(ssrc: int, name: str) -> bytes:
    text = name.encode()[:255]
    chunk = ssrc.to_bytes(4, "big") + bytes([_CNAME, len(text)]) + text
    return chunk + bytes(4 - len(chunk) % 4)
