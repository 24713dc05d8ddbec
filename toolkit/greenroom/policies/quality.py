"""How good a line is, in one word and with what makes it so, without flicker. Pure."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from greenroom.protocol.wire import Quality
from greenroom.state.statistics import Cause, LineQuality

_BETTER_AFTER = 3
"""Reports in a row that must be better before the word gets better; it gets worse at the second, `LOST` at the first."""
_WORSE_AFTER = 2
_RANK = (Quality.EXCELLENT, Quality.GOOD, Quality.POOR, Quality.LOST)
_LOSS = (0.02, 0.1, 0.5)
_CHANCE = 0.03
_LATE = (0.04, 0.12, 0.6)
_JITTER_MS = (40.0, 100.0)
_RTT_MS = (300.0, 800.0)


class QualityTrack(Struct, frozen=True):
    """`shown` is what people see; `better` and `worse` count reports in a row that say otherwise."""

    shown: Quality = Quality.EXCELLENT
    better: int = 0
    worse: int = 0


def grade(fraction_lost: float, jitter_ms: float, rtt_ms: float | None) -> Quality:
    """Return what one report says on its own. `fraction_lost` is 0..1; `rtt_ms` None is unknown.

    Half of the packets lost is `LOST`: no concealment makes words of the rest.
    """
    return max(
        _step(fraction_lost, _LOSS), _step(jitter_ms, _JITTER_MS), _step(rtt_ms or 0.0, _RTT_MS), key=rank
    )


def rank(quality: Quality) -> int:
    """Return 0 for excellent to 3 for lost."""
    return _RANK.index(quality)


def next_quality(track: QualityTrack, heard: Quality) -> QualityTrack:
    """Return the track after a report that says `heard`: one bad report is not yet a bad connection."""
    if heard is track.shown:
        return QualityTrack(track.shown)
    if rank(heard) > rank(track.shown):
        worse = track.worse + 1
        changed = heard is Quality.LOST or worse >= _WORSE_AFTER
        return QualityTrack(heard) if changed else QualityTrack(track.shown, worse=worse)
    better = track.better + 1
    return QualityTrack(heard) if better >= _BETTER_AFTER else QualityTrack(track.shown, better=better)


def line_quality(
    *,
    sent_lost: float = 0.0,
    received_lost: float = 0.0,
    recovered: float = 0.0,
    late: float = 0.0,
    jitter_ms: float = 0.0,
    rtt_ms: float | None = None,
) -> LineQuality:
    """Return what one report says of both directions, with the worst of it as the cause.

    `sent_lost` and `received_lost` are 0.0 to 1.0; `recovered` is the share of all packets that were lost and played all
    the same, `late` of the sound that was made up for packets that were not lost. Of causes that are equally bad, loss
    comes first, then sound that came late, jitter, and the round trip.
    """
    steps = (
        (_step(sent_lost, _LOSS), Cause.SENT_LOSS),
        (_step(received_lost, _LOSS), Cause.RECEIVED_LOSS),
        (_step(late, _LATE), Cause.LATE),
        (_step(jitter_ms, _JITTER_MS), Cause.JITTER),
        (_step(rtt_ms or 0.0, _RTT_MS), Cause.ROUND_TRIP),
    )
    worst = max(rank(quality) for quality, _ in steps)
    losses = {Cause.SENT_LOSS: sent_lost, Cause.RECEIVED_LOSS: received_lost}
    causes = [cause for quality, cause in steps if rank(quality) == worst]
    cause = Cause.NONE if worst == 0 else max(causes, key=lambda one: losses.get(one, 0.0))
    return LineQuality(
        quality=_RANK[worst],
        cause=cause,
        sent_lost=sent_lost,
        received_lost=received_lost,
        recovered=recovered,
        late=late,
        jitter_ms=jitter_ms,
        rtt_ms=rtt_ms,
    )


def own_loss(measured: float, before: float) -> float:
    """Return the share that was lost on the last part of a way of which `measured` was lost in all, `before` on the first.

    Both are 0.0 to 1.0 and of a few dozen packets: a rest that may be chance is none.
    """
    if before <= 0.005:
        return measured
    rest = (measured - before) / (1.0 - before) if before < 1.0 else 0.0
    return rest if rest > max(_CHANCE, before / 2) else 0.0


def own_jitter_ms(measured_ms: float, before_ms: float) -> float:
    """Return the jitter of the last part of a way, where that of the first is known: both vary by themselves."""
    return math.sqrt(max(0.0, measured_ms**2 - before_ms**2))


class LineTrack(Struct, frozen=True):
    """One line over time: the word that is shown, and the newest numbers that say this word."""

    track: QualityTrack = QualityTrack()
    shown: LineQuality = LineQuality()


def next_line(before: LineTrack, heard: LineQuality) -> LineTrack:
    """Return the line after a report. The word changes as `next_quality` says.

    While the word stays though the newest report says another, so do the numbers: a reason that does not fit its word
    would be no reason.
    """
    track = next_quality(before.track, heard.quality)
    if heard.quality is track.shown:
        return LineTrack(track, heard)
    return LineTrack(track, replace(before.shown, quality=track.shown))


def worse_of(one: LineQuality, other: LineQuality) -> LineQuality:
    """Return the worse of two views of a line; `one` where they agree."""
    return other if rank(other.quality) > rank(one.quality) else one


def _step(value: float, limits: tuple[float, ...]) -> Quality:
    """Return EXCELLENT below the first of `limits`, and one worse from each on."""
    return _RANK[sum(value >= limit for limit in limits)]
