"""What media workers report, told to the rooms: levels, who dominates, quality, lost sound, who spoke how long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from greenroom.policies.quality import LineTrack, line_quality, next_line
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.room import Room, on_stage
from greenroom.protocol.wire import (
    LossReport,
    MediaLost,
    PersonLevel,
    PersonQuality,
    Pulse,
    Quality,
    encode,
)
from greenroom.sfu.control import (
    DominantChanged,
    Levels,
    Loss,
    MediaEvent,
    PeerDown,
    SpeakerLoss,
    Spoke,
    WorkerDied,
)
from greenroom.state.statistics import LineQuality
from greenroom.storage.base import Add, Row

if TYPE_CHECKING:
    from greenroom.server.house import House

_REPORTS_AFTER_LOSS = 10
_MOVED_SECONDS = 6.0
_AGAIN_SECONDS = 20.0
WORDS = {
    "consent expired": "nothing was heard of your connection for too long",
    "never connected": "sound could not get through; a firewall may block UDP",
    "fingerprint mismatch": "somebody else answered in your place",
    "handshake failed": "the encrypted connection could not be made",
}


class MediaEvents:
    """Turns events of the media engine into what rooms are told and what is kept."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._levels: dict[Cid, tuple[PersonLevel, ...]] = {}
        self._dominant: dict[Cid, int | None] = {}
        self._lines: dict[tuple[Cid, UserId], LineTrack] = {}
        self._told: dict[tuple[Cid, UserId], tuple[tuple[int, ...], float]] = {}
        self._losing: dict[tuple[Cid, UserId], int] = {}

    def happened(self, event: MediaEvent) -> None:
        """Take one event; never raises."""
        match event:
            case Levels(room, speakers):
                levels = tuple(PersonLevel(s.number, float(s.level_dbov), s.voice) for s in speakers)
                if levels or self._levels.get(Cid(room)):
                    self._levels[Cid(room)] = levels
                    self._pulse(Cid(room))
            case DominantChanged(room, number):
                self._dominant[Cid(room)] = number
                self._pulse(Cid(room))
            case Loss():
                self._loss(event)
            case SpeakerLoss():
                self._speaker_loss(event)
            case Spoke():
                self._spoke(event)
            case PeerDown(peer, reason):
                self._down(peer, WORDS.get(reason, "the sound connection was closed"))
            case WorkerDied(_, peers):
                for peer in peers:
                    self._down(peer, "the media worker was replaced; connect sound again")
            case _:
                pass

    def forget(self, cid: Cid, user: UserId) -> None:
        """Forget what is known of one person's connection."""
        self._lines.pop((cid, user), None)
        self._told.pop((cid, user), None)
        self._losing.pop((cid, user), None)

    def forget_room(self, cid: Cid) -> None:
        """Forget what is known of a room's sound."""
        self._levels.pop(cid, None)
        self._dominant.pop(cid, None)

    def _pulse(self, cid: Cid) -> None:
        room = self._house.hosted(cid)
        if room is not None:
            pulse = Pulse(cid, self._levels.get(cid, ()), self._dominant.get(cid))
            room.tell_latest(("pulse", cid), encode(pulse))

    def _loss(self, loss: Loss) -> None:
        owner = self._house.sound.owner(loss.peer)
        hosted = None if owner is None else self._house.hosted(owner[0])
        room = None if hosted is None else hosted.committed
        if owner is None or hosted is None or room is None:
            return
        cid, user = owner
        before = self._lines.get(owner, LineTrack())
        heard = line_quality(
            sent_lost=loss.sent_fraction_lost,
            received_lost=loss.fraction_lost,
            jitter_ms=loss.jitter_ms,
            rtt_ms=loss.rtt_ms,
        )
        after = self._lines[owner] = next_line(before, heard)
        speaks = on_stage(room, user)
        changed = after.shown.quality is not before.shown.quality
        if changed or self._worth_telling(owner, after.shown):
            line = after.shown
            self._told[owner] = _figures(line), time.monotonic()
            told = PersonQuality(
                cid,
                user,
                line.quality,
                sent_lost=round(line.sent_lost, 3),
                received_lost=round(line.received_lost, 3),
                jitter_ms=round(line.jitter_ms, 1),
                rtt_ms=None if line.rtt_ms is None else round(line.rtt_ms, 1),
            )
            # Everybody sees how well the stage is connected; of the audience, each their own.
            hosted.tell_latest(("quality", cid, user), encode(told), only=None if speaks else user)
        if speaks or changed:
            self._house.writer.journal(
                Add(
                    "quality",
                    {
                        "cid": cid,
                        "user": user,
                        "at": time.time(),
                        "fraction_lost": loss.fraction_lost,
                        "jitter_ms": loss.jitter_ms,
                        "rtt_ms": loss.rtt_ms,
                    },
                )
            )

    def _worth_telling(self, owner: tuple[Cid, UserId], line: LineQuality) -> bool:
        """Whether the numbers behind a line that is not excellent moved, and were not told just now.

        They are told again from time to time as they are, for those who came in meanwhile.
        """
        if line.quality is Quality.EXCELLENT:
            return False
        figures, at = self._told.get(owner, ((), float("-inf")))
        since = time.monotonic() - at
        return since >= _AGAIN_SECONDS or (since >= _MOVED_SECONDS and figures != _figures(line))

    def _speaker_loss(self, loss: SpeakerLoss) -> None:
        """Tell a publisher what their listeners lose; of nothing lost, only until they know that it is over."""
        owner = self._house.sound.owner(loss.peer)
        hosted = None if owner is None else self._house.hosted(owner[0])
        if owner is None or hosted is None:
            return
        left = _REPORTS_AFTER_LOSS if loss.p90_fraction > 0.0 else self._losing.get(owner, 0) - 1
        if left < 0:
            return
        self._losing[owner] = left
        cid, user = owner
        hosted.tell_latest(("loss", cid), encode(LossReport(cid, loss.p90_fraction)), only=user)

    def _spoke(self, spoke: Spoke) -> None:
        hosted = self._house.hosted(Cid(spoke.room))
        room = None if hosted is None else hosted.committed
        user = None if room is None else _user_of(room, spoke.number)
        if hosted is None or user is None:
            return
        seconds = max(0.0, spoke.ended - spoke.started)
        hosted.talked_seconds[user] = hosted.talked_seconds.get(user, 0.0) + seconds
        ended_at = time.time() - max(0.0, time.monotonic() - spoke.ended)
        row: Row = {"cid": hosted.cid, "user": user, "started_at": ended_at - seconds, "ended_at": ended_at}
        self._house.writer.journal(Add("spoken", row))

    def _down(self, peer: str, words: str) -> None:
        owner = self._house.sound.forget(peer)
        if owner is not None and (room := self._house.hosted(owner[0])) is not None:
            room.tell(owner[1], encode(MediaLost(owner[0], words)))


def _figures(line: LineQuality) -> tuple[int, ...]:
    """Return the numbers of a line as coarsely as people read them."""
    return (
        round(line.sent_lost * 20),
        round(line.received_lost * 20),
        round(line.jitter_ms / 20),
        round((line.rtt_ms or 0.0) / 100),
    )


def _user_of(room: Room, number: int) -> UserId | None:
    people = room.participants.items()
    return next((user for user, participant in people if participant.number == number), None)
