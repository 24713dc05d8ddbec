"""How good the lines of a call's people are: what the server says of them and what is heard of them here, as one."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from greenroom.policies.quality import LineTrack, line_quality, next_line, own_loss, worse_of
from greenroom.protocol.ids import UserId
from greenroom.protocol.wire import PersonQuality, Quality
from greenroom.state.statistics import CallStatistics, Cause, LineQuality, PersonStatistics

_FORGOTTEN_AFTER_SAMPLES = 15
_ENOUGH_PACKETS_PER_SECOND = 10.0  # fewer, as in pauses, say nothing about a share


class Lines:
    """One call's lines by person, mine among them. `told` and `sampled` take news; `all` is what to show."""

    def __init__(self, me: UserId) -> None:
        self._me = me
        self._told: dict[UserId, LineQuality] = {}
        self._heard: dict[UserId, LineTrack] = {}
        self._silent: dict[UserId, int] = {}

    def told(self, message: PersonQuality) -> None:
        """Take what the server says, which flickers no more."""
        heard = line_quality(
            sent_lost=message.sent_lost,
            received_lost=message.received_lost,
            jitter_ms=message.jitter_ms,
            rtt_ms=message.rtt_ms,
        )
        cause = Cause.NONE if message.quality is Quality.EXCELLENT else heard.cause
        self._told[message.user] = replace(heard, quality=message.quality, cause=cause)

    def sampled(self, sample: CallStatistics) -> None:
        """Take what two seconds of sound were like."""
        talking = {
            user: person
            for user, person in sample.by_person.items()
            if person.packets_per_second >= _ENOUGH_PACKETS_PER_SECOND
        }
        mine = self._my_loss(talking)
        self._take(self._me, _mine(sample, mine))
        for user, person in talking.items():
            self._take(user, _heard(person, mine))
        for user in self._heard.keys() - talking.keys() - {self._me}:
            self._silent[user] = self._silent.get(user, 0) + 1
            if self._silent[user] >= _FORGOTTEN_AFTER_SAMPLES:
                del self._heard[user]
        self._silent = {
            user: samples
            for user, samples in self._silent.items()
            if user in self._heard and user not in talking
        }

    def all(self, people: Mapping[UserId, object]) -> Mapping[UserId, LineQuality]:
        """Return the worse of both views for everybody of whom something is known and who is among `people`."""
        for user in [user for user in self._told if user not in people]:
            del self._told[user]
        users = [user for user in people if user in self._told or user in self._heard]
        return {user: self._of(user) for user in users}

    def _my_loss(self, talking: Mapping[UserId, PersonStatistics]) -> float:
        """Return how much is lost on the last part of the way, to me, 0.0 to 1.0.

        What everybody I hear loses is lost there. Of one person alone the server must say whose loss it is; until then it
        is theirs.
        """
        told = self._told.get(self._me, LineQuality()).received_lost
        rests = [
            own_loss(person.lost_fraction, self._told.get(user, LineQuality()).sent_lost)
            for user, person in talking.items()
        ]
        together = min(rests) if len(rests) > 1 else 0.0
        most = max((person.lost_fraction for person in talking.values()), default=told)
        return min(max(told, together), most)

    def _of(self, user: UserId) -> LineQuality:
        heard, told = self._heard.get(user), self._told.get(user)
        if heard is None:
            return told or LineQuality()
        if told is None:
            return heard.shown
        worse = worse_of(heard.shown, told)
        return worse if worse.rtt_ms is not None else replace(worse, rtt_ms=told.rtt_ms)

    def _take(self, user: UserId, heard: LineQuality) -> None:
        self._heard[user] = next_line(self._heard.get(user, LineTrack()), heard)


def _mine(sample: CallStatistics, lost: float) -> LineQuality:
    sends = sample.sent_kbps > 0
    recovered = sample.recovered_fraction / sample.lost_fraction if sample.lost_fraction else 0.0
    return line_quality(
        sent_lost=sample.sent_lost_fraction if sends else 0.0,
        received_lost=lost,
        recovered=lost * recovered,
        late=max(0.0, sample.concealed_fraction - (sample.lost_fraction - sample.recovered_fraction)),
        jitter_ms=max(sample.jitter_ms, sample.sent_jitter_ms if sends else 0.0),
        rtt_ms=sample.rtt_ms,
    )


def _heard(person: PersonStatistics, mine: float) -> LineQuality:
    lost = own_loss(person.lost_fraction, mine)
    recovered = person.recovered_fraction / person.lost_fraction if person.lost_fraction else 0.0
    line = line_quality(sent_lost=lost, recovered=lost * recovered, jitter_ms=person.jitter_ms)
    return replace(line, here=True)
