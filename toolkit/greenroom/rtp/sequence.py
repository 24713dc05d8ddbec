"""Sequence numbers and timestamps that wrap (RFC 3550, appendix A.1; RFC 1982 arithmetic)."""

from __future__ import annotations

SEQUENCE_MODULUS = 1 << 16
TIMESTAMP_MODULUS = 1 << 32


def sequence_add(sequence: int, step: int) -> int:
    """Return `sequence + step`, wrapped to 0..65535."""
    return (sequence + step) & 0xFFFF


def sequence_distance(older: int, newer: int) -> int:
    """Return how far `newer` is ahead of `older`, -32768..32767; negative when it is behind."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def timestamp_add(timestamp: int, step: int) -> int:
    """Return `timestamp + step`, wrapped to 32 bits."""
    return (timestamp + step) & 0xFFFFFFFF


def timestamp_distance(older: int, newer: int) -> int:
    """Return how far `newer` is ahead of `older`, -2**31..2**31-1; negative when it is behind."""
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def unwrap_sequence(highest: int, sequence: int) -> int:
    """Return the extended number nearest to the extended number `highest` with these low 16 bits.

    May be negative when the first packets of a stream arrive out of order.
    """
    return highest + sequence_distance(highest & 0xFFFF, sequence)


def starting_offset(sequence: int, start: int) -> int:
    """Return the column entry that makes `sequence` appear as `start` to one listener (0..65535).

    Streams start in the lower half: SRTP guesses the roll-over counter of the first packet it
    sees as zero (RFC 3711, 3.3.1), which fails when a stream starts just before a wrap.
    """
    return (start - sequence) & 0xFFFF
