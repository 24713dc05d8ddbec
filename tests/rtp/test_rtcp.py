"""RTCP compounds: read what we write, and what others might."""

from __future__ import annotations

import pytest
from aiortc.rtp import RtcpPacket as TheirPacket
from aiortc.rtp import RtcpSdesPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from greenroom.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build_compound,
    middle_bits,
    ntp_time,
    parse_compound,
    round_trip_seconds,
)

u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(
        ReportBlock,
        ssrc=u32,
        fraction_lost=st.integers(0, 255).map(lambda n: n / 256),
        packets_lost=st.integers(-0x800000, 0x7FFFFF),
        highest_sequence=u32,
        jitter=u32,
        last_sender_report=u32,
        delay_since=u32,
    ),
    max_size=3,
).map(tuple)
names = st.lists(st.tuples(u32, st.text(max_size=20)), max_size=3).map(tuple)
packets = st.one_of(
    st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, blocks),
    st.builds(ReceiverReport, u32, blocks),
    st.builds(SourceDescription, names),
    st.builds(Goodbye, st.lists(u32, max_size=5).map(tuple)),
)


@given(st.lists(packets, max_size=4))
def test_a_compound_survives_the_wire(compound: list[RtcpPacket]) -> None:
    assert parse_compound(build_compound(compound)) == tuple(compound)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_compound_or_none(datagram: bytes) -> None:
    parse_compound(datagram)


@given(st.lists(packets, min_size=1, max_size=3), st.data())
def test_a_damaged_compound_never_raises(compound: list[RtcpPacket], data: st.DataObject) -> None:
    wire = bytearray(build_compound(compound))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    parse_compound(bytes(wire[: data.draw(st.integers(0, len(wire)))]))


def test_aiortc_reads_our_sender_report() -> None:
    ours = build_compound(
        [SenderReport(7, ntp_time(1.5), 48000, 10, 1200), SourceDescription(((7, "room"),))]
    )
    report, names_ = TheirPacket.parse(ours)
    assert isinstance(report, RtcpSrPacket)
    assert isinstance(names_, RtcpSdesPacket)
    assert (report.ssrc, report.sender_info.rtp_timestamp, report.sender_info.packet_count) == (7, 48000, 10)
    assert names_.chunks[0].items[0][1] == b"room"


def test_unknown_packets_are_skipped() -> None:
    feedback = bytes([0x81, 206, 0, 2]) + bytes(8)
    assert parse_compound(feedback + build_compound([Goodbye((1,))])) == (Goodbye((1,)),)


def test_a_round_trip_is_what_is_left_of_the_echo() -> None:
    sent = ntp_time(1000.0)
    block = ReportBlock(1, 0.0, 0, 0, 0, middle_bits(sent), 65536 // 2)
    assert round_trip_seconds(block, ntp_time(1000.6)) == pytest.approx(0.1, abs=0.001)


def test_without_an_echo_there_is_no_round_trip() -> None:
    assert round_trip_seconds(ReportBlock(1, 0.0, 0, 0, 0), ntp_time(5.0)) is None
