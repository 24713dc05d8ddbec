"""Redundant audio data (RFC 2198): several frames in one packet, the newest last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

MAX_OFFSET = (1 << 14) - 1
MAX_REDUNDANT_BYTES = (1 << 10) - 1
MAX_BLOCKS = 16


class RedBlock(msgspec.Struct, frozen=True):
    """One frame. `offset` is how much older it is than the packet's timestamp; the primary has 0."""

    payload_type: int
    offset: int
    data: bytes


def unpack_red(payload: bytes) -> tuple[RedBlock, ...] | None:
    """Return the blocks, primary last, or None when a length lies or there are more than 16."""
    heads: list[tuple[int, int, int]] = []
    at, size = 0, len(payload)
    while True:
        if at >= size or len(heads) >= MAX_BLOCKS:
            return None
        if payload[at] < 0x80:
            break
        if at + 4 > size:
            return None
        word = int.from_bytes(payload[at : at + 4], "big")
        heads.append((word >> 24 & 0x7F, word >> 10 & MAX_OFFSET, word & MAX_REDUNDANT_BYTES))
        at += 4
    primary_type = payload[at]
    at += 1
    blocks: list[RedBlock] = []
    for payload_type, offset, length in heads:
        if at + length > size:
            return None
        blocks.append(RedBlock(payload_type, offset, payload[at : at + length]))
        at += length
    blocks.append(RedBlock(primary_type, 0, payload[at:]))
    return tuple(blocks)


def pack_red(blocks: Sequence[RedBlock]) -> bytes:
    """Return the payload of `blocks`, primary last.

    Redundant blocks that do not fit the header (offset over 16383, over 1023 bytes) are left out.
    Raises `ValueError` when there is no primary.
    """
    if not blocks:
        raise ValueError("a redundant packet needs a primary block")
    primary = blocks[-1]
    kept = [b for b in blocks[:-1] if 0 <= b.offset <= MAX_OFFSET and len(b.data) <= MAX_REDUNDANT_BYTES]
    heads = b"".join(
        ((0x80 | block.payload_type) << 24 | block.offset << 10 | len(block.data)).to_bytes(4, "big")
        for block in kept
    )
    return heads + bytes([primary.payload_type & 0x7F]) + b"".join(b.data for b in kept) + primary.data


def primary_of(blocks: Sequence[RedBlock]) -> RedBlock:
    """Return the newest block."""
    return blocks[-1]


def rewrite_red(
    blocks: Sequence[RedBlock], payload_types: Mapping[int, int], max_offset: int = MAX_OFFSET
) -> bytes | None:
    """Return the payload with other payload types and without blocks older than `max_offset`.

    Redundant blocks of a type that has no counterpart are left out; None when the primary has none.
    """
    if not blocks or blocks[-1].payload_type not in payload_types:
        return None
    kept = [
        RedBlock(payload_types[block.payload_type], block.offset, block.data)
        for block in blocks
        if block.payload_type in payload_types and block.offset <= max_offset
    ]
    return pack_red(kept)
