"""The last minutes of a call's numbers as lines that can be drawn: series in equal steps of time, blocks and braille."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.state.statistics import CallStatistics, PersonStatistics
from greenroom.views.quality import opinion_words, percent

SPANS_SECONDS = (60.0, 300.0, 600.0)
"""How much time a chart may show."""
SAMPLE_SECONDS = 2.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

Points = tuple[float | None, ...]


class Series(msgspec.Struct, frozen=True):
    """One number over time. `points` are equally far apart, newest last, None where nothing was measured; each is the worst
    of its time. `value` is the newest in words; `low` and `high` are what a chart should span; `unit` is of its ends."""

    id: str
    label: str
    value: str
    unit: str
    points: Points
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is anything to draw."""
        return any(point is not None for point in self.points)


class _Metric(msgspec.Struct, frozen=True):
    id: str
    label: str
    unit: str
    of_call: Callable[[CallStatistics], float | None]
    of_person: Callable[[PersonStatistics], float | None] | None
    words: Callable[[float], str]
    least_high: float
    scale: float = 1.0
    low: float = 0.0
    small_is_bad: bool = False


def _kbps(value: float) -> str:
    return f"{value:.0f} kb/s"


def _ms(value: float) -> str:
    return f"{value:.0f} ms"


_METRICS = (
    _Metric("sent", "sent", "kb/s", lambda s: s.sent_kbps, None, _kbps, 32.0),
    _Metric("received", "received", "kb/s", lambda s: s.received_kbps, lambda p: p.kbps, _kbps, 32.0),
    _Metric(
        "lost", "lost", "%", lambda s: s.lost_fraction, lambda p: p.lost_fraction, percent, 10.0, scale=100.0
    ),
    _Metric("jitter", "jitter", "ms", lambda s: s.jitter_ms, lambda p: p.jitter_ms, _ms, 20.0),
    _Metric("rtt", "round trip", "ms", lambda s: s.rtt_ms, None, _ms, 50.0),
    _Metric("buffer", "buffer", "ms", lambda s: s.buffer_ms, lambda p: p.buffer_ms, _ms, 80.0),
    _Metric(
        "opinion", "opinion", "", lambda s: s.mean_opinion, lambda p: p.mean_opinion, opinion_words, 5.0,
        low=1.0, small_is_bad=True,
    ),
)  # fmt: skip
METRICS = tuple(metric.id for metric in _METRICS)


def all_series(
    history: Sequence[CallStatistics],
    points: int,
    seconds: float = SPANS_SECONDS[1],
    user: UserId | None = None,
) -> tuple[Series, ...]:
    """Return every number over the last `seconds` in `points` steps, up to the newest sample.

    With `user` what is heard of that person; what only a whole call has is left out then.
    """
    return tuple(
        _series(metric, history, points, seconds, user)
        for metric in _METRICS
        if user is None or metric.of_person is not None
    )


def blocks(points: Points, low: float, high: float) -> str:
    """Return one character a point, from ▁ to █; a blank where nothing was measured."""
    drawn = [" " if point is None else _BLOCKS[_level(point, low, high, len(_BLOCKS))] for point in points]
    return "".join(drawn)


def braille(points: Points, rows: int, low: float, high: float) -> tuple[str, ...]:
    """Return a curve `rows` lines high, top first, two points in each character, in dots of braille.

    Neighbouring points are joined, so that a jump is a line and not two dots.
    """
    height = rows * 4
    columns = -(-len(points) // 2)
    cells = [[0] * columns for _ in range(rows)]
    before: int | None = None
    for place, point in enumerate(points):
        if point is None:
            before = None
            continue
        level = _level(point, low, high, height)
        for dot in range(min(level, level if before is None else before), max(level, before or level) + 1):
            if dot != before or dot == level:
                line = height - 1 - dot
                cells[line // 4][place // 2] |= _DOTS[place % 2][line % 4]
        before = level
    return tuple("".join(chr(_BRAILLE + cell) for cell in line) for line in cells)


def chart_words(series: Series, seconds: float) -> str:
    """Return a chart in a sentence, for who cannot see it: `lost: 0 to 12 % in 5 minutes, 3 % now`."""
    known = [point for point in series.points if point is not None]
    if not known:
        return f"{series.label}: nothing was measured yet"
    low, high = min(known), max(known)
    digits = 1 if series.id == "opinion" else 0
    lowest, highest = f"{low:.{digits}f}", f"{high:.{digits}f}"
    ends = lowest if lowest == highest else f"{lowest} to {highest}"
    unit = f" {series.unit}" if series.unit else ""
    return f"{series.label}: {ends}{unit} in {span_words(seconds)}, {series.value} now"


def span_words(seconds: float) -> str:
    """Return a span of time as people say it."""
    minutes = round(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _series(
    metric: _Metric, history: Sequence[CallStatistics], points: int, seconds: float, user: UserId | None
) -> Series:
    found: list[float | None] = [None] * max(1, points)
    newest: float | None = None
    step = max(seconds / max(1, points), SAMPLE_SECONDS)
    if history:
        # Steps are of the clock, not of the newest sample: else every chart would be another one every two seconds.
        last = math.floor(history[-1].at / step)
        worst = min if metric.small_is_bad else max
        for sample in history:
            value = _value(metric, sample, user)
            place = len(found) - 1 - (last - math.floor(sample.at / step))
            if value is None or place < 0:
                continue
            there = found[place]
            found[place] = value if there is None else worst(there, value)
        newest = _value(metric, history[-1], user)
    known = [point for point in found if point is not None]
    high = metric.least_high if metric.small_is_bad else _round_up(max([metric.least_high, *known]))
    words = "—" if newest is None else metric.words(newest / metric.scale)
    return Series(metric.id, metric.label, words, metric.unit, tuple(found), metric.low, high)


def _value(metric: _Metric, sample: CallStatistics, user: UserId | None) -> float | None:
    if user is None:
        value = metric.of_call(sample)
    else:
        person = sample.by_person.get(user)
        value = None if person is None or metric.of_person is None else metric.of_person(person)
    return None if value is None or not math.isfinite(value) else value * metric.scale


def _level(point: float, low: float, high: float, steps: int) -> int:
    share = (point - low) / (high - low) if high > low else 0.0
    return min(steps - 1, max(0, int(share * steps)))


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50… that is not less."""
    if value <= 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value - 1e-9)
