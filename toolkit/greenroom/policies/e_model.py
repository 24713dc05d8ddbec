"""What a connection is worth to a listener, from loss and delay alone (E-model, ITU-T G.107, simplified). Pure."""

from __future__ import annotations

_BEST = 93.2
_LOSS_ROBUSTNESS = (
    10.0  # Bpl: how well Opus' concealment hides random loss; G.113 lists 4 to 25 for other codecs
)
_LATE_MS = 177.3


def rating(concealed: float, one_way_ms: float, burst_ratio: float = 1.0) -> float:
    """Return the E-model's R, 0.0 to 93.2.

    `concealed` is the share of frames that had to be made up, 0.0 to 1.0: what FEC and repeated packets recovered is
    not lost to a listener. `one_way_ms` is the delay from mouth to ear, as far as it is known. `burst_ratio` is how much
    longer runs of lost frames are than chance makes them, 1.0 and up (G.107, 7.2: BurstR).
    """
    lost_percent = 100.0 * min(max(concealed, 0.0), 1.0)
    delay_ms = max(one_way_ms, 0.0)
    delay = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - _LATE_MS)
    equipment = 95.0 * lost_percent / (lost_percent / max(burst_ratio, 1.0) + _LOSS_ROBUSTNESS)
    return min(max(_BEST - delay - equipment, 0.0), _BEST)


def mean_opinion(concealed: float, one_way_ms: float, burst_ratio: float = 1.0) -> float:
    """Return the mean opinion score a listener would give, 1.0 to 4.41; arguments as for `rating`."""
    return opinion_of(rating(concealed, one_way_ms, burst_ratio))


def opinion_of(r: float) -> float:
    """Return the mean opinion score of the rating `r` (G.107, annex B), 1.0 to 4.5."""
    r = min(max(r, 0.0), 100.0)
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)


def burst_ratio(mean_run_frames: float, concealed: float) -> float:
    """Return how much longer runs of lost frames are, at `mean_run_frames`, than chance makes them at this share.

    By chance a run is 1 / (1 - share) frames long; shorter ones count as chance (1.0).
    """
    return max(1.0, mean_run_frames * (1.0 - min(max(concealed, 0.0), 1.0)))
