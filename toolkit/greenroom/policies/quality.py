"""How well the server and one person reach each other, in one word, without flicker. Pure."""

from __future__ import annotations

from msgspec import Struct

from greenroom.protocol.wire import Quality

_BETTER_AFTER = 3
"""Reports in a row that must be better before the word gets better; it gets worse at the second, `LOST` at the first."""
_WORSE_AFTER = 2
_RANK = (Quality.EXCELLENT, Quality.GOOD, Quality.POOR, Quality.LOST)


class QualityTrack(Struct, frozen=True):
    """`shown` is what people see; `better` and `worse` count reports in a row that say otherwise."""

    shown: Quality = Quality.EXCELLENT
    better: int = 0
    worse: int = 0


def grade(fraction_lost: float, jitter_ms: float, rtt_ms: float | None) -> Quality:
    """Return what one report says on its own. `fraction_lost` is 0..1; `rtt_ms` None is unknown.

    Half of the packets lost is `LOST`: no concealment makes words of the rest.
    """
    rtt = rtt_ms or 0.0
    if fraction_lost >= 0.5:
        return Quality.LOST
    if fraction_lost >= 0.1 or jitter_ms >= 100.0 or rtt >= 800.0:
        return Quality.POOR
    if fraction_lost >= 0.02 or jitter_ms >= 40.0 or rtt >= 300.0:
        return Quality.GOOD
    return Quality.EXCELLENT


def next_quality(track: QualityTrack, heard: Quality) -> QualityTrack:
    """Return the track after a report that says `heard`: one bad report is not yet a bad connection."""
    if heard is track.shown:
        return QualityTrack(track.shown)
    if _RANK.index(heard) > _RANK.index(track.shown):
        worse = track.worse + 1
        changed = heard is Quality.LOST or worse >= _WORSE_AFTER
        return QualityTrack(heard) if changed else QualityTrack(track.shown, worse=worse)
    better = track.better + 1
    return QualityTrack(heard) if better >= _BETTER_AFTER else QualityTrack(track.shown, better=better)
