"""RTCP between us and one peer: what they say about our slots, what we say about their packets."""

from __future__ import annotations

from collections.abc import Sequence

from greenroom.rtp.rtcp import (
    ReceiverReport,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build_compound,
    round_trip_seconds,
)
from greenroom.sfu.peer import Line, Peer

SILENT_SECONDS = 2.0


def take_reports(peer: Peer, packets: Sequence[RtcpPacket], now: float, ntp: int) -> None:
    """Remember a publisher's clock, and the worst a listener says about each of its slots.

    Goodbyes, names and sources that are not this peer's to speak of are passed over.
    """
    group = peer.room.groups.get(peer.slots)
    sources = group.sources if group is not None else ()
    for packet in packets:
        if isinstance(packet, SenderReport) and peer.line is not None:
            peer.line.reception.sender_report(packet, now)
        if not isinstance(packet, SenderReport | ReceiverReport):
            continue
        for block in packet.blocks:
            if block.ssrc not in sources:
                continue
            slot = sources.index(block.ssrc)
            worst = peer.losses.get(slot)
            if worst is None or block.fraction_lost >= worst[0].fraction_lost:
                peer.losses[slot] = (block, round_trip_seconds(block, ntp))


def reception_report(source: int, line: Line, now: float) -> bytes | None:
    """Return what we tell a publisher, as any RTP receiver does; None when they have been silent."""
    if now - line.reception.last_arrival > SILENT_SECONDS:
        return None
    block = line.reception.block(now)
    if block is None:
        return None
    return build_compound([ReceiverReport(source, (block,)), SourceDescription(((source, "greenroom"),))])
