"""RTP packets: what is built is read back, and nothing a peer sends raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.rtp.packets import (
    AudioLevel,
    RtpPacket,
    build_audio_level,
    build_rtp,
    is_rtcp,
    parse_audio_level,
    parse_rtp,
)

u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
extensions = st.one_of(
    st.lists(st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)), max_size=4),
    st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=40)), max_size=4),
)
packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence=u16,
    timestamp=u32,
    ssrc=u32,
    payload=st.binary(max_size=60),
    marker=st.booleans(),
    csrcs=st.lists(u32, max_size=15).map(tuple),
    extensions=extensions.map(tuple),
)


@given(packets)
def test_a_packet_survives_the_wire(packet: RtpPacket) -> None:
    assert parse_rtp(build_rtp(packet)) == packet


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_none(datagram: bytes) -> None:
    parse_rtp(datagram)


@given(packets, st.data())
def test_a_damaged_packet_never_raises_nor_reads_beyond_itself(
    packet: RtpPacket, data: st.DataObject
) -> None:
    wire = bytearray(build_rtp(packet))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    wire = wire[: data.draw(st.integers(0, len(wire)))]
    read = parse_rtp(bytes(wire))
    if read is not None:
        assert len(read.payload) <= len(wire) - 12


def test_padding_is_not_payload() -> None:
    wire = bytearray(build_rtp(RtpPacket(111, 1, 2, 3, b"opus")))
    wire[0] |= 0x20
    padded = parse_rtp(bytes(wire) + b"\0\0\3")
    assert padded is not None
    assert padded.payload == b"opus"


@pytest.mark.parametrize("padding", [0, 200], ids=["no length", "longer than the packet"])
def test_padding_that_lies_is_refused(padding: int) -> None:
    wire = bytearray(build_rtp(RtpPacket(111, 1, 2, 3, b"opus")))
    wire[0] |= 0x20
    assert parse_rtp(bytes(wire) + bytes([padding])) is None


@given(st.integers(-127, 0), st.booleans())
def test_a_level_survives_its_byte(level: int, voice: bool) -> None:
    assert parse_audio_level(build_audio_level(AudioLevel(level, voice))) == AudioLevel(level, voice)


def test_an_empty_level_is_none() -> None:
    assert parse_audio_level(b"") is None


def test_too_many_contributors_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="15"):
        build_rtp(RtpPacket(111, 1, 2, 3, csrcs=tuple(range(16))))


def test_reports_are_told_from_media_by_the_second_byte() -> None:
    assert is_rtcp(bytes([0x80, 200]))
    assert not is_rtcp(bytes([0x80, 0x80 | 111]))
