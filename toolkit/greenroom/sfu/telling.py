"""What a worker tells about its rooms: levels, who dominates, what was spoken, how much is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from greenroom.policies.quality import own_jitter_ms, own_loss
from greenroom.sfu.control import (
    DominantChanged,
    Levels,
    Loss,
    SpeakerLevel,
    SpeakerLoss,
    Spoke,
    WorkerEvent,
)
from greenroom.sfu.peer import Peer
from greenroom.sfu.room import Room, Speaker

LEVELS_SECONDS = 0.1
LOSS_SECONDS = 2.0
CLOCK_PER_MILLISECOND = 48
FORGET_SECONDS = 5.0


class Telling:
    """Samples rooms at 10 Hz and losses at 0.5 Hz; nobody is told about a line that is closed."""

    def __init__(
        self, emit: Callable[[WorkerEvent], None], tell_workers: Callable[[Room, float], None]
    ) -> None:
        self._emit = emit
        self._tell_workers = tell_workers
        self._levels_due = 0.0
        self._loss_due = 0.0
        self._heard: set[str] = set()

    def tick(self, rooms: Mapping[str, Room], now: float) -> list[Room]:
        """Tell what is due; return the rooms in which someone now needs another kind of packet."""
        if now >= self._levels_due:
            self._levels_due = now + LEVELS_SECONDS
            for room in rooms.values():
                self._tell_levels(room, now)
        if now < self._loss_due:
            return []
        self._loss_due = now + LOSS_SECONDS
        return [room for room in rooms.values() if self._tell_losses(room, now)]

    def ended(self, room: Room, speaker: Speaker, now: float) -> None:
        """A line was closed: what its owner was saying ends here."""
        if speaker.remote:
            return
        segment = speaker.activity.take_segment(now, ending=True)
        if segment is not None:
            self._emit(Spoke(room.name, speaker.number, segment.started, segment.ended))

    def close(self, room: Room, now: float) -> None:
        """The room has nobody left."""
        self._heard.discard(room.name)
        for speaker in room.speakers.values():
            self.ended(room, speaker, now)
        if room.dominant.number is not None:
            self._emit(DominantChanged(room.name, None))

    def _tell_levels(self, room: Room, now: float) -> None:
        levels: list[SpeakerLevel] = []
        for speaker in list(room.speakers.values()):
            activity = speaker.activity
            if not speaker.remote:
                segment = activity.take_segment(now)
                if segment is not None:
                    self._emit(Spoke(room.name, speaker.number, segment.started, segment.ended))
                if activity.sending(now):
                    voice = activity.started is not None
                    levels.append(SpeakerLevel(speaker.number, activity.take_level(), voice))
            elif now - activity.last_packet > FORGET_SECONDS:
                room.silence(speaker.number, now)
        if (
            levels or room.name in self._heard
        ):  # once more when nobody is heard, else somebody speaks for ever
            self._emit(Levels(room.name, tuple(levels)))
        (self._heard.add if levels else self._heard.discard)(room.name)
        heard = [(s.number, s.activity.loudness(now)) for s in room.speakers.values()]
        if room.dominant.judge(heard, now):
            self._emit(DominantChanged(room.name, room.dominant.number))

    def _tell_losses(self, room: Room, now: float) -> bool:
        changed = False
        talking = {peer.number: peer for peer in room.peers.values() if peer.line is not None}
        for peer in room.peers.values():
            changed = self._tell_loss(peer, room, talking, now) or changed
        listeners = sorted(
            peer.fraction_lost for peer in room.peers.values() if peer.connected and peer.slots
        )
        p90 = listeners[min(len(listeners) - 1, len(listeners) * 9 // 10)] if listeners else 0.0
        self._tell_workers(room, p90)
        fresh = [loss for loss, at in room.losses_elsewhere.values() if now - at < FORGET_SECONDS]
        worst = max([p90, *fresh])
        for peer in room.peers.values():
            speaker = room.speakers.get(peer.number)
            if speaker is not None and not speaker.remote and speaker.activity.sending(now):
                self._emit(SpeakerLoss(peer.name, worst))
        return changed

    def _tell_loss(self, peer: Peer, room: Room, talking: Mapping[int, Peer], now: float) -> bool:
        reports = dict(peer.losses)
        peer.losses.clear()
        if reports:
            peer.fraction_lost = max(block.fraction_lost for block, _ in reports.values())
        sent = _received_of(peer, now)
        if reports or sent is not None:
            losses, jitters = [0.0], [0.0 if sent is None else sent.jitter_ms]
            for slot, (block, _) in reports.items():
                on_the_way_here = _received_of(_speaker_in(room, peer, slot, talking), now) or _NOTHING
                losses.append(own_loss(block.fraction_lost, on_the_way_here.worst_lost))
                jitters.append(own_jitter_ms(block.jitter / CLOCK_PER_MILLISECOND, on_the_way_here.jitter_ms))
            trips = [1000 * seconds for _, seconds in reports.values() if seconds is not None]
            self._emit(
                Loss(
                    peer.name,
                    max(losses),
                    max(jitters),
                    max(trips) if trips else None,
                    0.0 if sent is None else sent.fraction_lost,
                )
            )
        return peer.judge_loss(peer.fraction_lost, now)


class _Received(NamedTuple):
    """What became of somebody's packets on their way to us: lost on the average, at worst, and how unevenly they came."""

    fraction_lost: float
    worst_lost: float
    jitter_ms: float


_NOTHING = _Received(0.0, 0.0, 0.0)


def _received_of(peer: Peer | None, now: float) -> _Received | None:
    """Return what we measured of a publisher just now; None where there is none, or they have been silent."""
    if peer is None or peer.line is None:
        return None
    reception = peer.line.reception
    if reception.ssrc is None or now - reception.last_arrival > FORGET_SECONDS:
        return None
    # A listener's report is the worst of some seconds; compared with an average, the difference would be chance.
    return _Received(reception.lost, reception.worst_lost, reception.jitter / CLOCK_PER_MILLISECOND)


def _speaker_in(room: Room, listener: Peer, slot: int, talking: Mapping[int, Peer]) -> Peer | None:
    """Return who is in a listener's slot now, None for nobody or somebody of another worker."""
    group = room.groups.get(listener.slots)
    number = None if group is None or slot >= len(group.streams) else group.streams[slot].number
    return None if number is None else talking.get(number)
