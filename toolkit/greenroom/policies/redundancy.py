"""How much a publisher repeats, by what their listeners lose. Pure."""

from __future__ import annotations

from msgspec import Struct

_NEWEST_COUNTS = 0.5
_ONE_FROM, _TWO_FROM = 0.025, 0.08
_NONE_BELOW, _ONE_BELOW = 0.01, 0.05
_LEAST_EXPECTED_PERCENT = 10  # with less, libopus spends nothing on a copy of the previous frame


class Redundancy(Struct, frozen=True):
    """`red_depth` earlier packets are repeated in each (0 to 2); Opus is told to expect `expected_loss_percent`.

    `loss` is the smoothed 90th percentile of the listeners' loss, 0.0 to 1.0.
    """

    red_depth: int = 0
    expected_loss_percent: int = _LEAST_EXPECTED_PERCENT
    loss: float = 0.0


def plan_redundancy(before: Redundancy, p90_fraction: float) -> Redundancy:
    """Return what to do after a report that the 90th percentile of the listeners lost `p90_fraction`, 0.0 to 1.0.

    A single lost packet changes nothing; real loss is answered at its first report. Less is repeated only well
    below the loss at which more was, so the depth does not flicker.
    """
    newest = min(max(p90_fraction, 0.0), 1.0)
    loss = before.loss + _NEWEST_COUNTS * (newest - before.loss)
    rising = 2 if loss >= _TWO_FROM else 1 if loss >= _ONE_FROM else 0
    falling = 2 if loss >= _ONE_BELOW else 1 if loss >= _NONE_BELOW else 0
    depth = max(rising, min(before.red_depth, falling))
    return Redundancy(depth, min(max(round(loss * 100), _LEAST_EXPECTED_PERCENT), 30), loss)
