"""A room in a media worker: its speakers, its slots, and whom each slot is sent to."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from struct import Struct

import numpy as np

from greenroom.rtp.red import RedBlock, primary_of, rewrite_red, unpack_red
from greenroom.rtp.rtcp import SenderReport, SourceDescription, build_compound, ntp_time
from greenroom.rtp.sequence import starting_offset
from greenroom.sfu.activity import Activity
from greenroom.sfu.fanout import Batch, Outlet
from greenroom.sfu.peer import Peer
from greenroom.sfu.relay import SpeakerPacket
from greenroom.sfu.slots import CLOCK_RATE, Dominant, Occupant, Rewritten, SlotStream, choose_slot

ACTIVE_SECONDS = 2.0
LOWEST_START = 256  # room for packets that arrive late, below the first
HIGHEST_START = 1 << 14

_header = Struct("!BBHIII")
_ONE_CSRC = 0x81


class Speaker:
    """Someone who sends in this room, here or through another worker. `remote` ones are not reported by us."""

    __slots__ = ("activity", "number", "remote", "report_timestamp", "reported_at")

    def __init__(self, number: int, remote: bool) -> None:
        self.number = number
        self.remote = remote
        self.activity = Activity()
        self.report_timestamp: int | None = None
        self.reported_at = 0.0


class Audience:
    """Whom one slot goes to: everyone; and, once somebody needs redundancy, the others and those apart."""

    __slots__ = ("everyone", "plain", "redundant")

    def __init__(self, listeners: Sequence[tuple[Peer, int]]) -> None:
        self.everyone = _batch(listeners)
        lossy: dict[tuple[int, int], list[tuple[Peer, int]]] = {}
        for listener in listeners:
            peer = listener[0]
            if peer.wants_red and peer.red_type is not None:
                lossy.setdefault((peer.red_type, peer.opus_type), []).append(listener)
        self.redundant: Mapping[tuple[int, int], Batch] = {
            types: _batch(rows) for types, rows in lossy.items()
        }
        self.plain = _batch([row for row in listeners if not row[0].wants_red]) if lossy else self.everyone


class SlotGroup:
    """The slots of those listeners who have the same number of them, usually all."""

    __slots__ = ("_empty", "audiences", "slot_of", "streams")

    def __init__(self, slots: int) -> None:
        self.streams = tuple(
            SlotStream(secrets.randbits(32) or 1, secrets.randbelow(HIGHEST_START), secrets.randbits(32))
            for _ in range(slots)
        )
        self._empty = Audience(())
        self.audiences = [self._empty] * slots
        self.slot_of: dict[int, int] = {}

    @property
    def sources(self) -> tuple[int, ...]:
        """The constant SSRC of each slot."""
        return tuple(stream.ssrc for stream in self.streams)

    def give(self, slot: int, number: int | None, now: float) -> None:
        """Let `number` have the slot; who had it has none."""
        before = self.streams[slot].number
        if before is not None:
            self.slot_of.pop(before, None)
        if number is not None:
            self.slot_of[number] = slot
        self.streams[slot].give_to(number, now)

    def rebuild(self, slot: int, peers: Iterable[Peer]) -> None:
        """Make the slot's audience: every connected listener but the speaker in it."""
        stream = self.streams[slot]
        listeners: list[tuple[Peer, int]] = []
        for peer in peers:
            if peer.outbound is None or peer.address is None:
                continue
            offset = peer.offsets[slot]
            if offset is None:
                start = LOWEST_START + secrets.randbelow(HIGHEST_START - LOWEST_START)
                offset = starting_offset(stream.highest + 1, start)
            if peer.number == stream.number:
                peer.withheld.setdefault(slot, stream.highest)
                peer.offsets[slot] = offset
                continue
            mark = peer.withheld.pop(slot, None)
            if mark is not None:  # what was not sent to them left no gap in their numbers
                offset = offset - (stream.highest - mark) & 0xFFFF
            peer.offsets[slot] = offset
            listeners.append((peer, offset))
        self.audiences[slot] = Audience(listeners)


class Room:
    """The fan-out of one room. `now` is monotonic seconds; `outlet` is the worker's socket."""

    def __init__(self, name: str, outlet: Outlet) -> None:
        self.name = name
        self.peers: dict[str, Peer] = {}
        self.speakers: dict[int, Speaker] = {}
        self.groups: dict[int, SlotGroup] = {}
        self.relays: tuple[int, ...] = ()
        self.losses_elsewhere: dict[int, tuple[float, float]] = {}
        """Other workers to their listeners' loss (0..1) and when they said so."""
        self.dominant = Dominant()
        self._outlet = outlet

    def group_for(self, slots: int) -> SlotGroup:
        """Return the group of listeners with this many slots, made when it is new."""
        group = self.groups.get(slots)
        if group is None:
            group = self.groups[slots] = SlotGroup(slots)
        return group

    def rebuild(self) -> None:
        """Make all batches anew: someone came, left, moved or needs something else."""
        for slots, group in self.groups.items():
            members = [peer for peer in self.peers.values() if peer.slots == slots]
            for slot in range(slots):
                group.rebuild(slot, members)

    def speaker(self, number: int, *, remote: bool) -> Speaker:
        """Return the speaker of that number, made when new."""
        speaker = self.speakers.get(number)
        if speaker is None:
            speaker = self.speakers[number] = Speaker(number, remote)
        speaker.remote = remote
        return speaker

    def silence(self, number: int, now: float) -> Speaker | None:
        """Take the slots from someone whose line closed; return who it was, None when they never sent."""
        for slots, group in self.groups.items():
            slot = group.slot_of.get(number)
            if slot is not None:
                group.give(slot, None, now)
                group.rebuild(slot, [peer for peer in self.peers.values() if peer.slots == slots])
        return self.speakers.pop(number, None)

    def forward(self, speaker: Speaker, packet: SpeakerPacket, now: float) -> None:
        """Send one frame to every listener whose slots have this speaker in them, or now get them."""
        speaker.activity.heard(packet.level_dbov, now)
        if packet.report_timestamp is not None:
            speaker.report_timestamp, speaker.reported_at = packet.report_timestamp, now
        blocks: tuple[RedBlock, ...] | None = None
        payload = packet.payload
        if packet.redundant:
            blocks = unpack_red(payload)
            if blocks is None:
                return
            payload = primary_of(blocks).data
        for slots, group in self.groups.items():
            slot = group.slot_of.get(speaker.number)
            if slot is None:
                slot = self._take_slot(slots, group, speaker, now)
                if slot is None:
                    continue
            stream = group.streams[slot]
            place = stream.rewrite(
                packet.ssrc, packet.sequence, packet.timestamp, packet.marker, len(payload), now
            )
            if place is not None:
                self._send(group.audiences[slot], stream.ssrc, speaker.number, place, payload, blocks)

    def _send(
        self,
        audience: Audience,
        ssrc: int,
        number: int,
        place: Rewritten,
        payload: bytes,
        blocks: tuple[RedBlock, ...] | None,
    ) -> None:
        header = _header.pack(_ONE_CSRC, 0, 0, place.timestamp, ssrc, number)
        send = self._outlet.fan_out
        if blocks is None or not audience.redundant:
            batch = audience.everyone
            send(batch, header + payload, place.sequence, place.marker, batch.payload_types)
            return
        batch = audience.plain
        send(batch, header + payload, place.sequence, place.marker, batch.payload_types)
        inner = primary_of(blocks).payload_type
        for (red_type, opus_type), batch in audience.redundant.items():
            body = rewrite_red(blocks, {inner: opus_type}, place.max_offset)
            if body is not None:
                types = np.full(batch.size, red_type, dtype=np.uint8)
                send(batch, header + body, place.sequence, place.marker, types)

    def _take_slot(self, slots: int, group: SlotGroup, speaker: Speaker, now: float) -> int | None:
        occupants = [self._occupant(stream, now) for stream in group.streams]
        slot = choose_slot(occupants, speaker.activity.loudness(now), now)
        if slot is not None:
            group.give(slot, speaker.number, now)
            group.rebuild(slot, [peer for peer in self.peers.values() if peer.slots == slots])
        return slot

    def _occupant(self, stream: SlotStream, now: float) -> Occupant | None:
        if stream.number is None:
            return None
        speaker = self.speakers.get(stream.number)
        loudness = speaker.activity.loudness(now) if speaker is not None else -127.0
        return Occupant(stream.number, loudness, stream.since)

    def send_reports(self, now: float, unix_seconds: float) -> None:
        """Send a sender report for every slot that has carried sound lately (RFC 3550, 6.4.1).

        It says which slot timestamp it is now, by the speaker's own report where there is one.
        """
        ntp = ntp_time(unix_seconds)
        for group in self.groups.values():
            for slot, stream in enumerate(group.streams):
                if stream.last_sent is None or now - stream.last_sent > ACTIVE_SECONDS:
                    continue
                timestamp = self._timestamp_now(stream, now)
                report = SenderReport(
                    stream.ssrc, ntp, timestamp, stream.packets & 0xFFFFFFFF, stream.octets & 0xFFFFFFFF
                )
                compound = build_compound([report, SourceDescription(((stream.ssrc, "greenroom"),))])
                self._outlet.fan_out_rtcp(group.audiences[slot].everyone, compound)

    def _timestamp_now(self, stream: SlotStream, now: float) -> int:
        speaker = None if stream.number is None else self.speakers.get(stream.number)
        if speaker is not None and speaker.report_timestamp is not None:
            elapsed = round((now - speaker.reported_at) * CLOCK_RATE)
            translated = stream.translate(speaker.report_timestamp + elapsed & 0xFFFFFFFF)
            if translated is not None:
                return translated
        sent = now if stream.last_sent is None else stream.last_sent
        return stream.timestamp + round((now - sent) * CLOCK_RATE) & 0xFFFFFFFF


def _batch(listeners: Sequence[tuple[Peer, int]]) -> Batch:
    rows = [
        (peer.outbound, peer.address, offset, peer.opus_type)
        for peer, offset in listeners
        if peer.outbound is not None and peer.address is not None
    ]
    return Batch([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], [r[3] for r in rows])
